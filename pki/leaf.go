package pki

import (
	"crypto/x509"
	"net"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
)

// LeafKind is one of a node's leaves.
type LeafKind string

const (
	// EtcdServer is what a member shows its clients.
	EtcdServer LeafKind = "etcd-server"
	// EtcdPeer is what a member shows the other members, in both directions.
	EtcdPeer LeafKind = "etcd-peer"
	// APIServerEtcdClient is what a node's API server shows etcd.
	APIServerEtcdClient LeafKind = "apiserver-etcd-client"
	// OperatorEtcdClient is what the program that runs Quorate shows etcd. It
	// belongs to no node and is never put on one.
	OperatorEtcdClient LeafKind = "etcd-client"
)

// operatorName is the common name of the operator's client certificate.
const operatorName = "quorate-operator"

// leafSpec is what a leaf must be.
type leafSpec struct {
	kind       LeafKind
	node       string // empty for the operator's
	commonName string
	hosts      []string
	profile    string
}

// name is the path of the leaf in a store, without its extension.
func (s leafSpec) name() string {
	if s.node == "" {
		return "operator/" + string(s.kind)
	}
	return "nodes/" + s.node + "/" + string(s.kind)
}

// leafSpecs returns every leaf of a cluster, in the order in which they are issued.
func leafSpecs(c quorate.Cluster, cfg Config) []leafSpec {
	specs := []leafSpec{{kind: OperatorEtcdClient, commonName: operatorName, profile: ProfileClient}}
	if c.Etcd.Stacked {
		return specs // kubeadm issues the others on the hosts
	}
	for _, n := range c.ControlPlanes() {
		hosts := nodeHosts(n)
		specs = append(specs,
			leafSpec{EtcdServer, n.Name, commonName(n.Name), hosts, ProfileServer},
			leafSpec{EtcdPeer, n.Name, commonName(n.Name), hosts, ProfilePeer},
			leafSpec{APIServerEtcdClient, n.Name, cfg.APIServerClientName, nil, ProfileClient},
		)
	}
	return specs
}

// nodeHosts are the names and addresses a member answers to: its own and
// loopback's, each once.
func nodeHosts(n quorate.Node) []string {
	hosts := []string{n.Name, "localhost"}
	for _, a := range n.Addresses {
		hosts = append(hosts, a.Unmap().String())
	}
	hosts = append(hosts, "127.0.0.1", "::1")
	var once []string
	for _, h := range hosts {
		if !slices.Contains(once, h) {
			once = append(once, h)
		}
	}
	return once
}

// maxCommonName is what X.509 has room for (RFC 5280, ub-common-name).
const maxCommonName = 64

// commonName cuts a name to that; verifiers look at the SANs, which hold it
// whole.
func commonName(name string) string { return name[:min(len(name), maxCommonName)] }

// certHosts returns the SANs of a certificate in the form of leafSpec.hosts.
func certHosts(c *x509.Certificate) []string {
	var hosts []string
	for _, ip := range c.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	for _, u := range c.URIs {
		hosts = append(hosts, u.String())
	}
	return slices.Concat(hosts, c.DNSNames, c.EmailAddresses)
}

// sameHosts compares as sets, addresses by value.
func sameHosts(a, b []string) bool { return slices.Equal(canonicalHosts(a), canonicalHosts(b)) }

func canonicalHosts(hosts []string) []string {
	var out []string
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			h = ip.String()
		}
		out = append(out, strings.ToLower(h))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
