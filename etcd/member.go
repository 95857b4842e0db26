package etcd

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
)

// PKIDir is where a member's certificates are on its host: ca.crt,
// server.crt, server.key, peer.crt and peer.key.
const PKIDir = hostpath.EtcdPKI

// State is the kind of cluster that a member without data is to join. A member with data ignores it.
type State string

const (
	// New is a cluster that comes into being with this member.
	New State = "new"
	// Existing is a running cluster to which this member has been added.
	Existing State = "existing"
)

// Peer is one voting member as the others know it.
type Peer struct {
	// Name of the member, an RFC 1123 subdomain. Required.
	Name string
	// Address where the other members reach it. Required.
	Address netip.Addr
}

// Member is one etcd member on one host. Members makes it from a Cluster; a
// program may as well fill it in by hand. It is a quorate.Artifact, a value,
// and safe for concurrent use while nobody changes it.
type Member struct {
	// Name of the member, one of Peers. Required.
	Name string
	// Addresses of the host. The member listens on all of them and on
	// loopback, and announces the first, which is also its address in
	// Peers. Required.
	Addresses []netip.Addr
	// Peers are all members of the cluster, this one included. They are
	// rendered in the order of their names. Required.
	Peers []Peer
	// Token keeps members of different clusters apart while they come into
	// being. Required.
	Token string
	// State is New by default.
	State State
	// PKIDir with the certificates. Default PKIDir. Not used with PlainHTTP.
	PKIDir string
	// Kubernetes is the version that the members serve. It decides the defaults
	// of Etcd and what is refused there. Zero means the newest.
	Kubernetes quorate.Version
	// Etcd holds what is the same for every member; its zero fields mean the
	// defaults of quorate.Etcd. Stacked is refused: kubeadm runs such a member.
	Etcd quorate.Etcd
	// ExtraFlags are added to etcd's command line, by name without leading
	// dashes, for what has no field here. One that a field already sets is
	// refused.
	ExtraFlags map[string]string
}

var _ quorate.Artifact = Member{}

// Members returns the member of each control plane, in the order of the nodes,
// and none for Etcd.Stacked, whose members are kubeadm's to make. The error is
// the *quorate.InvalidError of c.Validate.
func Members(c quorate.Cluster) ([]Member, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.WithDefaults()
	if c.Etcd.Stacked {
		return nil, nil
	}
	nodes := c.ControlPlanes()
	peers := make([]Peer, len(nodes))
	for i, n := range nodes {
		peers[i] = Peer{Name: n.Name, Address: n.Address()}
	}
	members := make([]Member, len(nodes))
	for i, n := range nodes {
		members[i] = Member{
			Name:       n.Name,
			Addresses:  slices.Clone(n.Addresses),
			Peers:      slices.Clone(peers),
			Token:      c.Name + "-etcd",
			State:      New,
			PKIDir:     PKIDir,
			Kubernetes: c.Version,
			Etcd:       c.Etcd,
		}
	}
	return members, nil
}

// ClientEndpoints are the URLs where clients reach the members: the first
// address of each, in the members' order.
func ClientEndpoints(members []Member) []string {
	urls := make([]string, len(members))
	for i, m := range members {
		urls[i] = m.ClientURL()
	}
	return urls
}

// ClientURL is where clients reach the member; "" if it has no address.
func (m Member) ClientURL() string {
	if len(m.Addresses) == 0 {
		return ""
	}
	return addressURL(m.scheme(), m.Addresses[0], m.withDefaults().Etcd.ClientPort)
}

func (m Member) withDefaults() Member {
	m.State = cmp.Or(m.State, New)
	m.PKIDir = cmp.Or(m.PKIDir, PKIDir)
	m.Etcd = m.Etcd.WithDefaults(m.Kubernetes)
	return m
}

// scheme of the URLs of clients and peers.
func (m Member) scheme() string {
	if m.Etcd.PlainHTTP {
		return "http"
	}
	return "https"
}

// loopbacks are the addresses for clients on the host itself: one of each
// family that the host has. A member whose own address is a loopback address
// leaves the others to its neighbours on that machine.
func (m Member) loopbacks() []netip.Addr {
	if i := slices.IndexFunc(m.Addresses, netip.Addr.IsLoopback); i >= 0 {
		return []netip.Addr{m.Addresses[i]}
	}
	var out []netip.Addr
	for _, a := range m.Addresses {
		lo := netip.IPv6Loopback()
		if a.Is4() {
			lo = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		if !slices.Contains(out, lo) {
			out = append(out, lo)
		}
	}
	return out
}

func addressURL(scheme string, a netip.Addr, port int) string {
	u := url.URL{Scheme: scheme, Host: net.JoinHostPort(a.String(), strconv.Itoa(port))}
	return u.String()
}

func urls(scheme string, port int, addresses []netip.Addr) string {
	var out []string
	for _, a := range addresses {
		if u := addressURL(scheme, a, port); !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return strings.Join(out, ",")
}
