package preflight

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/addresses"
	"github.com/quorate-dev/quorate/transport"
)

// Judge holds facts against a description. It does no I/O.
type Judge struct {
	Cluster quorate.Cluster
	// Ignore names checks whose findings stop nothing; what only they need is not
	// tried either.
	Ignore []plan.Check
	// Authorities of this cluster, by the path of their certificates, per node: they
	// say whether a host is the cluster's already.
	Authorities map[string]map[string][]string
	// Units is each member's unit of etcd, where there are no authorities to say so.
	Units map[string]string
	// APIPorts is where each control plane's API server listens.
	APIPorts map[string]uint16
	// Programs are paths to which the recipe itself brings programs.
	Programs []string
	// Runtime is the command of a container runtime that must be there, and Driver
	// the name of one that is taken as it is; empty if the recipe brings it, or if
	// Quorate does not know it.
	Runtime, Driver string
	// Now is the operator's clock. Default time.Now.
	Now func() time.Time
}

// The certificates of the authorities, where they are on a control plane.
const (
	KubernetesCA = hostpath.KubernetesCA
	EtcdCA       = hostpath.EtcdCA
)

// CertificatesIn are the certificates of a PEM text, each by its SHA-256: two
// programs write one certificate with different line breaks and comments, and a CA
// that is being replaced is beside its successor.
func CertificatesIn(text string) []string {
	var sums []string
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return sums
		}
		if block.Type == "CERTIFICATE" {
			sum := sha256.Sum256(block.Bytes)
			sums = append(sums, hex.EncodeToString(sum[:]))
		}
	}
}

func (j Judge) now() time.Time {
	if j.Now == nil {
		return time.Now()
	}
	return j.Now()
}

func (j Judge) ignored(c plan.Check) bool { return slices.Contains(j.Ignore, c) }

// wants reports whether a check that is not ignored rests on a fact.
func (j Judge) wants(k fact) bool {
	return slices.ContainsFunc(Checks(), func(c Check) bool { return slices.Contains(c.needs, k) && !j.ignored(c.Name) })
}

// factsQuery is what a host is asked for of itself.
func (j Judge) factsQuery(n quorate.Node) transport.Query {
	return plan.Script(factsScript, map[string]string{
		"VIP_INTERFACE": vipInterface(j.Cluster, n), "DATA_DIR": j.dataDir(n), "RUNTIME": j.Runtime,
	}, KubernetesCA, EtcdCA, etcd.UnitPath)
}

// dataDir is where a node's etcd keeps its data; a name that no host has for a
// node without.
func (j Judge) dataDir(n quorate.Node) string {
	if n.Role != quorate.ControlPlane {
		return "/nonexistent"
	}
	return j.Cluster.Etcd.DataDir
}

// ours reports whether what Kubernetes, and what etcd has on a host is this
// cluster's: an authority tells clusters apart, and its certificate is the first
// thing that a run puts in place. A worker gets it from kubeadm join, which the
// recipe's mark comes before.
func (j Judge) ours(n quorate.Node, f factSheet) (kubernetes, member bool) {
	shares := func(path string) bool {
		want := j.Authorities[n.Name][path]
		return slices.ContainsFunc(CertificatesIn(f.texts[path]), func(sum string) bool { return slices.Contains(want, sum) })
	}
	_, there := f.texts[KubernetesCA]
	known := len(j.Authorities[n.Name][KubernetesCA]) > 0
	kubernetes = shares(KubernetesCA) || f.mark != "" && (!there || !known)
	unit, has := j.Units[n.Name]
	return kubernetes, kubernetes || shares(EtcdCA) || has && f.texts[etcd.UnitPath] == unit
}

// fresh reports whether one of the hosts is not this cluster's yet.
func (j Judge) fresh(all []hostFacts) bool {
	return slices.ContainsFunc(all, func(h hostFacts) bool {
		kubernetes, _ := j.ours(h.node, h.facts)
		return !kubernetes
	})
}

func (j Judge) kubeadmIgnores(check string) bool {
	return slices.ContainsFunc(j.Cluster.Kubeadm.IgnorePreflightErrors, func(s string) bool {
		return strings.EqualFold(s, check) || strings.EqualFold(s, "all")
	})
}

// hostFacts are a host's facts and when they were asked: the host's clock was
// read between sent and received by the operator's.
type hostFacts struct {
	node           quorate.Node
	facts          factSheet
	sent, received time.Time
	// away is why the host could not be read, or no longer; nil if it was.
	away error
}

// holds reports whether the host has an address.
func (f factSheet) holds(a netip.Addr) bool {
	return len(addresses.Devices(f.addresses, a)) > 0
}

func (f factSheet) addressList() string {
	var words []string
	for _, p := range f.addresses {
		words = append(words, p.Prefix.String())
	}
	return strings.Join(words, " ")
}

// listener returns what listens on a port at one of the addresses, or at all.
func (f factSheet) listener(port uint16, at ...netip.Addr) (netip.AddrPort, bool) {
	for _, l := range f.listening {
		if l.Port() == port && (len(at) == 0 || l.Addr().IsUnspecified() || l.Addr().IsLoopback() || slices.Contains(at, l.Addr())) {
			return l, true
		}
	}
	return netip.AddrPort{}, false
}

// serves reports whether something listens where a connection from elsewhere goes.
func (f factSheet) serves(at netip.AddrPort) bool {
	return slices.ContainsFunc(f.listening, func(l netip.AddrPort) bool {
		return l == at || l.Port() == at.Port() && l.Addr().IsUnspecified() && l.Addr().Is4() == at.Addr().Is4()
	})
}

// vipInterface is the interface that carries the VIP on a node, empty if none does.
func vipInterface(c quorate.Cluster, n quorate.Node) string {
	if c.Endpoint.External || n.Role != quorate.ControlPlane {
		return ""
	}
	if n.Interface != "" {
		return n.Interface
	}
	return c.Endpoint.VIP.Interface
}

// vipAddress is the VIP, invalid where there is none.
func vipAddress(c quorate.Cluster) netip.Addr {
	if c.Endpoint.External {
		return netip.Addr{}
	}
	return c.Endpoint.Address()
}
