package vip

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
)

// Where the files of an instance are on its host.
const (
	ConfigPath = "/etc/keepalived/keepalived.conf"
	CheckPath  = "/etc/keepalived/check_apiserver.sh"
	// DropInPath has systemd start keepalived again whatever ended it, and take off
	// an address that a killed one has left.
	DropInPath = hostpath.SystemdUnits + "/keepalived.service.d/quorate.conf"
)

// Defaults of an Instance's optional fields.
const (
	// DefaultCAFile is where kubeadm keeps the certificates of the authority
	// that signed the API server's.
	DefaultCAFile = hostpath.KubernetesCA
	// DefaultScriptUser is root because `keepalived -t` of 2.2.7, which Debian 12
	// has, ends itself by SIGTERM once it has looked at another user's script.
	DefaultScriptUser = "root"
)

// Instance is keepalived on one control plane. Instances makes it from a
// Cluster; a program may as well fill it in by hand. It is a quorate.Artifact,
// a value, and safe for concurrent use while nobody changes it.
type Instance struct {
	// Node is the host's name, keepalived's router_id. Required.
	Node string
	// Endpoint whose Host is the VIP, the same on every node. Its zero fields
	// mean the defaults of quorate.Endpoint. The VIP takes the prefix length of
	// Endpoint.VIP.Subnet, or is a single address (/32, /128) without one.
	Endpoint quorate.Endpoint
	// Interface that carries the VIP here. Default Endpoint.VIP.Interface.
	Interface string
	// Source is the node's own address of the VIP's family, where its
	// advertisements come from. Required.
	Source netip.Addr
	// Peers are the other nodes' Sources. Without any, advertisements go to
	// the multicast group, as there is nobody else to send them to.
	Peers []netip.Addr
	// Priority, 1 to 254, different on every node, or with Endpoint.VIP.Weight
	// less apart than its size. Required.
	Priority int
	// Kubernetes is the version of the API server, which decides what the check
	// requires of it. Zero means the newest.
	Kubernetes quorate.Version
	// APIServer is the address of the node's own API server that its
	// certificate names, and that haproxy listens on too where it is the
	// Endpoint's LoadBalancer. Default Source.
	APIServer netip.Addr
	// CAFile on the host that verifies the API server's certificate; readable
	// by ScriptUser. Default DefaultCAFile.
	CAFile string
	// ScriptUser runs the check. Default DefaultScriptUser.
	ScriptUser string
	// Auth is VRRP's password, the same on every node, sensitive; see NewAuth.
	// Required with version 2 of VRRP: an IPv4 VIP and an
	// Endpoint.VIP.AdvertInterval of whole seconds. Not used with version 3.
	Auth quorate.Content
}

var _ quorate.Artifact = Instance{}

// The priorities of a cluster's control planes: the first one's, the least of
// the last one's, and how far they lie apart at most. See the package comment.
const (
	highestPriority = 230
	lowestPriority  = 64
	priorityStep    = 55
)

// With a weight, whose size must exceed every difference: the first control
// plane's and all others'. Those may be equal, since VRRP prefers the higher
// address then (RFC 3768 and RFC 5798, section 6.4.3).
const (
	weightedFirst = 101
	weightedOther = 100
)

// Instances returns the instance of each control plane, in the order of the
// nodes, and none for an External endpoint. The error is the
// *quorate.InvalidError of c.Validate, or of the instances where they know more:
// an auth that VRRP does not take, an Endpoint.VIP.Weight with which a node
// whose check fails could outbid one whose check succeeds.
func Instances(c quorate.Cluster, auth quorate.Content) ([]Instance, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.WithDefaults()
	if c.Endpoint.External {
		return nil, nil
	}
	nodes := c.ControlPlanes()
	sources := sources(c, nodes)
	instances := make([]Instance, len(nodes))
	for i, n := range nodes {
		instances[i] = Instance{
			Node:       n.Name,
			Endpoint:   c.Endpoint,
			Interface:  cmp.Or(n.Interface, c.Endpoint.VIP.Interface),
			Source:     sources[i],
			Peers:      slices.Delete(slices.Clone(sources), i, i+1),
			Priority:   priority(i, len(nodes), c.Endpoint.VIP.Weight),
			Kubernetes: c.Version,
			APIServer:  n.Address(),
			CAFile:     DefaultCAFile,
			ScriptUser: DefaultScriptUser,
			Auth:       auth,
		}
		if err := instances[i].Validate(); err != nil {
			return nil, err
		}
	}
	return instances, checkWeight(instances, c.Endpoint.VIP.Weight)
}

// checkWeight refuses a weight that does not put a node whose check fails below
// every other.
func checkWeight(instances []Instance, weight int) error {
	var p quorate.Problems
	highest := slices.MaxFunc(instances, byPriority)
	lowest := slices.MinFunc(instances, byPriority)
	if apart := highest.Priority - lowest.Priority; weight != 0 && -weight <= apart {
		p.Refuse("endpoint.vip.weight", "%d: %s with priority %d would keep the VIP from %s with %d although its API server is dead: want %d or less",
			weight, highest.Node, highest.Priority, lowest.Node, lowest.Priority, -apart-1)
	}
	return p.Err("VIP")
}

func byPriority(a, b Instance) int { return cmp.Compare(a.Priority, b.Priority) }

// sources returns each node's first address of the VIP's family; none, which
// Instance.Validate refuses, if it has no such address.
func sources(c quorate.Cluster, nodes []quorate.Node) []netip.Addr {
	out := make([]netip.Addr, len(nodes))
	for i, n := range nodes {
		at := slices.IndexFunc(n.Addresses, func(a netip.Addr) bool { return a.Is4() == c.Endpoint.Address().Is4() })
		if at >= 0 {
			out[i] = n.Addresses[at]
		}
	}
	return out
}

// priority of the i-th of n control planes.
func priority(i, n, weight int) int {
	if weight != 0 {
		if i == 0 {
			return weightedFirst
		}
		return weightedOther
	}
	step := min(priorityStep, (highestPriority-lowestPriority)/max(1, n-1))
	return highestPriority - i*step
}

func (i Instance) withDefaults() Instance {
	i.Endpoint = i.Endpoint.WithDefaults()
	i.Interface = cmp.Or(i.Interface, i.Endpoint.VIP.Interface)
	i.APIServer = cmp.Or(i.APIServer, i.Source)
	i.CAFile = cmp.Or(i.CAFile, DefaultCAFile)
	i.ScriptUser = cmp.Or(i.ScriptUser, DefaultScriptUser)
	return i
}

// address is the VIP with its prefix length.
func (i Instance) address() netip.Prefix {
	a := i.Endpoint.Address()
	if s := i.Endpoint.VIP.Subnet; s.IsValid() {
		return netip.PrefixFrom(a, s.Bits())
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// vrrpVersion is 2 where that can be, with IPv4 and intervals of whole seconds
// (RFC 3768 section 5.3.7), since it has a password; else 3.
func (i Instance) vrrpVersion() int {
	if i.Endpoint.Address().Is4() && i.Endpoint.VIP.AdvertInterval.Std()%time.Second == 0 {
		return 2
	}
	return 3
}
