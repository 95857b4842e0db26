// Package upstream judges kubeadm configuration files with kubeadm's own code.
//
// It links the types, strict decoding, defaulting and validation of one
// Kubernetes release (see [Release]) and those of its kubelet and kube-proxy,
// and runs them over any file. It shares no code with the renderer that it
// checks, and lives in a module of its own, so that nobody who imports Quorate
// links Kubernetes.
//
// # What the verdict covers
//
// Unknown and duplicate fields, retired API versions, everything that
// "kubeadm config validate" of the release refuses, and what kubelet and
// kube-proxy of the release refuse when they read their configuration.
//
// It does not cover what kubeadm itself leaves unchecked: flags that a component
// does not know, overlapping pod and service ranges, malformed CA hashes, taint
// effects, names of preflight checks. Nor the skew between the control plane's
// version and kubeadm's: a library build does not know its own version.
//
// # Isolation
//
// Neither network nor host is read. Where kubeadm would read them (a version
// label, the default route's address, the host's name, the container runtime's
// socket, a discovery file), a placeholder is used and [Result.Assumed] names
// the field.
//
// # Running it
//
// The module is in no workspace: its commands run with GOWORK=off, in this
// directory. The first build compiles a good part of Kubernetes, which takes
// minutes; later ones take seconds.
package upstream

import (
	"cmp"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	kubeproxyv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/v1beta4"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/config"
	kubelet "k8s.io/kubernetes/pkg/kubelet/apis/config"
	kubeproxy "k8s.io/kubernetes/pkg/proxy/apis/config"
)

// Release is the Kubernetes release whose code judges.
const Release = "v1.37.2"

// Result is an accepted file. Its objects hold bootstrap tokens and the
// certificate key in clear: do not print them.
type Result struct {
	// Input holds each document as it was written, nothing defaulted.
	Input Input
	// Effective holds what the components act on: defaulted, converted to the
	// release's internal types, validated.
	Effective Effective
	// Assumed names the fields, "Kind.path", that kubeadm would have taken from
	// the host or the network and that hold a placeholder in Effective.
	Assumed []string
	// Warnings is what the release's code logged: deprecations, values that
	// differ from kubeadm's own, documents that will be ignored.
	Warnings []string
}

// Input holds the documents of a file, nil where there is none of the kind.
type Input struct {
	Init      *v1beta4.InitConfiguration
	Cluster   *v1beta4.ClusterConfiguration
	Join      *v1beta4.JoinConfiguration
	Reset     *v1beta4.ResetConfiguration
	Upgrade   *v1beta4.UpgradeConfiguration
	Kubelet   *kubeletv1beta1.KubeletConfiguration
	KubeProxy *kubeproxyv1alpha1.KubeProxyConfiguration
}

// Effective holds what the components act on. Init includes the cluster, and is
// set if the file has an InitConfiguration or a ClusterConfiguration; Kubelet
// and KubeProxy are then set too, with what kubeadm adds to them.
type Effective struct {
	Init      *kubeadm.InitConfiguration
	Join      *kubeadm.JoinConfiguration
	Reset     *kubeadm.ResetConfiguration
	Upgrade   *kubeadm.UpgradeConfiguration
	Kubelet   *kubelet.KubeletConfiguration
	KubeProxy *kubeproxy.KubeProxyConfiguration
}

// oneAtATime guards the process-wide logger from which warnings are taken.
var oneAtATime sync.Mutex

// Check judges a file of one or more YAML documents. The error, if any, is an
// [*Error] with every problem that could be found. Values of secret fields are
// not repeated in it. Calls from several goroutines take turns; while one runs,
// klog of the whole process is diverted.
func Check(data []byte) (*Result, error) {
	oneAtATime.Lock()
	defer oneAtATime.Unlock()
	log, stop := captureLog()
	defer stop()

	c := &checker{}
	c.run(data)
	if len(c.problems) == 0 && len(c.result.Assumed) == 0 {
		c.kubeadmItself(data)
	}
	if len(c.problems) > 0 {
		return nil, &Error{Problems: redact(c.problems, data)}
	}
	c.result.Warnings = append(c.result.Warnings, log.lines...)
	return &c.result, nil
}

// checker collects the verdict on one file.
type checker struct {
	docs     kubeadm.DocumentMap
	result   Result
	problems []Problem
}

func (c *checker) run(data []byte) {
	docs, err := split(data)
	if err != nil {
		c.refuse("", "", err)
		return
	}
	c.docs = docs
	for _, gvk := range kindsOf(docs) {
		c.decode(gvk, docs[gvk])
	}
	if len(c.problems) > 0 {
		return // defaulting a half-decoded object only adds noise
	}
	c.checkInit()
	c.checkJoin()
	c.checkReset()
	c.checkUpgrade()
	c.checkKubelet()
	c.checkKubeProxy()
}

// kubeadmItself runs the whole of "kubeadm config validate", so that a file is
// never accepted here and refused there. Only for files that assume nothing:
// it would fill gaps from the host.
func (c *checker) kubeadmItself(data []byte) {
	if err := config.ValidateConfig(data, false, false); err != nil {
		c.refuse("", "", err)
	}
}

func (c *checker) assume(kind, path string) {
	c.result.Assumed = append(c.result.Assumed, kind+"."+path)
}

// kindsOf lists the documents' kinds in an order that does not change.
func kindsOf(docs kubeadm.DocumentMap) []schema.GroupVersionKind {
	kinds := make([]schema.GroupVersionKind, 0, len(docs))
	for gvk := range docs {
		kinds = append(kinds, gvk)
	}
	slices.SortFunc(kinds, func(a, b schema.GroupVersionKind) int {
		return cmp.Compare(a.String(), b.String())
	})
	return kinds
}
