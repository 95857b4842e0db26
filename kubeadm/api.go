package kubeadm

import (
	"fmt"
	"strings"

	"github.com/quorate-dev/quorate"
)

// api is a version of kubeadm's configuration API. Their order is theirs.
type api int

const (
	v1alpha1 api = iota + 1
	v1alpha2
	v1alpha3
	v1beta1
	v1beta2
	v1beta3
	v1beta4
)

// apis says which kubeadm reads a version of the API, by the minors of its
// Kubernetes, and from which minor on it is the one to write: the first that
// has it for good. v1beta4 was experimental in 1.28 to 1.30, with another
// schema. From the scheme and the loader (cmd/kubeadm/app/apis/kubeadm/scheme,
// .../util/config) of a release of every minor.
var apis = map[api]struct {
	name        string
	first, last int
	write       int
}{
	v1alpha1: {"v1alpha1", 10, 11, 10},
	v1alpha2: {"v1alpha2", 11, 12, 11},
	v1alpha3: {"v1alpha3", 12, 13, 12},
	v1beta1:  {"v1beta1", 13, 21, 13},
	v1beta2:  {"v1beta2", 15, 26, 15},
	v1beta3:  {"v1beta3", 22, 36, 22},
	v1beta4:  {"v1beta4", 31, 37, 31},
}

func (a api) String() string { return apis[a].name }

// groupVersion is what documents call it.
func (a api) groupVersion() string { return "kubeadm.k8s.io/" + a.String() }

// APIVersionFor is the version of kubeadm's configuration API that is written
// for a version of Kubernetes unless another is set: "v1beta4"; "" if
// there is none.
func APIVersionFor(v quorate.Version) string {
	if a := apiFor(v); a != 0 {
		return a.String()
	}
	return ""
}

// apiFor is zero for a version that there is no API for.
func apiFor(v quorate.Version) api {
	var found api
	if v.Major != 1 || v.Minor > quorate.MaxMinor {
		return 0
	}
	for a := v1alpha1; a <= v1beta4; a++ {
		if v.Minor >= apis[a].write {
			found = a
		}
	}
	return found
}

// apiNamed finds a version of the API by its name, with its group or without;
// zero if there is none.
func apiNamed(name string) api {
	name = strings.TrimPrefix(name, "kubeadm.k8s.io/")
	for a := v1alpha1; a <= v1beta4; a++ {
		if a.String() == name {
			return a
		}
	}
	return 0
}

// chooseAPI returns the version to write: the one that is set, if kubeadm
// of that version reads it, else its own. why is what is wrong with the
// choice.
func chooseAPI(asked string, v quorate.Version) (a api, why string) {
	own := apiFor(v)
	if asked == "" || own == 0 {
		return own, ""
	}
	a = apiNamed(asked)
	switch known := apis[a]; {
	case a == 0:
		return own, fmt.Sprintf("%q is no version of kubeadm's configuration API: want v1alpha1 to v1alpha3 or v1beta1 to v1beta4", asked)
	case v.Minor < known.first || v.Minor > known.last:
		return own, fmt.Sprintf("kubeadm of Kubernetes %s does not read %s, which those of v1.%d to v1.%d do: leave it out for %s", v, asked, known.first, known.last, own)
	}
	return a, ""
}

// docSet is a set of the places that a field may be in.
type docSet int

const (
	// inInit and inCluster are the documents of kubeadm init, inJoin that of
	// kubeadm join. Up to v1alpha2 the first two are one.
	inInit docSet = 1 << iota
	inCluster
	inJoin
	// inFlag is kubeadm's command line.
	inFlag
	// inDropIn is the kubelet's own unit.
	inDropIn
	// inKubelet and inKubeProxy are those components' own documents, beside
	// that of kubeadm init from v1alpha3 on.
	inKubelet
	inKubeProxy
	// inReset and inUpgrade are the documents of kubeadm's other commands, of
	// v1beta4.
	inReset
	inUpgrade
)

// fileOrder is the order of a file's documents.
var fileOrder = []docSet{inInit, inCluster, inJoin, inReset, inUpgrade, inKubelet, inKubeProxy}

// otherKinds are the documents of which no field is in a Config.
var otherKinds = map[string]docSet{"ResetConfiguration": inReset, "UpgradeConfiguration": inUpgrade}

// groupVersion of a document.
func (d docSet) groupVersion(a api) string {
	switch d {
	case inKubelet:
		return kubeletAPI
	case inKubeProxy:
		return kubeProxyAPI
	}
	return a.groupVersion()
}

// kind of the document.
func (d docSet) kind(a api) string {
	switch {
	case d == inKubelet:
		return "KubeletConfiguration"
	case d == inKubeProxy:
		return "KubeProxyConfiguration"
	case d == inReset:
		return "ResetConfiguration"
	case d == inUpgrade:
		return "UpgradeConfiguration"
	case d == inJoin && a <= v1alpha2:
		return "NodeConfiguration"
	case d == inJoin:
		return "JoinConfiguration"
	case a <= v1alpha2:
		return "MasterConfiguration"
	case d == inCluster:
		return "ClusterConfiguration"
	default:
		return "InitConfiguration"
	}
}

// ControlPlanesInit reports whether control planes beyond the first are made by
// kubeadm init, each with the same authorities, as they are before
// quorate.ControlPlaneJoin.
func ControlPlanesInit(v quorate.Version) bool { return !v.Has(quorate.ControlPlaneJoin) }
