package quorate

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate/internal/syntax"
)

// Beyond seven members every write waits for too many disks
// (https://etcd.io/docs/v3.6/faq/: "at most seven").
const maxMembers = 7

// kubelet writes the node's name into the kubernetes.io/hostname label, whose
// value takes 63 characters.
const maxNodeName = 63

func (v *validator) nodes() {
	v.members()
	seen := nodeKeys{names: map[string]string{}, addresses: map[netip.Addr]string{}, targets: map[string]string{}}
	for i, n := range v.c.Nodes {
		at := index("nodes", i)
		v.nodeName(at+".name", n.Name, seen.names)
		v.role(at+".role", n.Role)
		v.addresses(at+".addresses", n, seen.addresses)
		v.ssh(at+".ssh", n.SSH, seen.targets)
		if n.Interface != "" {
			interfaceName(&v.Problems, at+".interface", n.Interface)
			if n.Role == Worker || v.c.Endpoint.External {
				v.Warn(at+".interface", "is not used: no VIP is carried here")
			} else if why := noCarrier(n.Interface, v.c.Endpoint.Address()); why != "" {
				v.Refuse(at+".interface", "%q %s", n.Interface, why)
			}
		}
		v.labels(at+".labels", n.Labels)
		v.taints(at+".taints", n.Taints)
	}
}

// nodeKeys holds the path where each key was first seen.
type nodeKeys struct {
	names     map[string]string
	addresses map[netip.Addr]string
	targets   map[string]string
}

// members checks how many control planes, and so etcd members, there are.
func (v *validator) members() {
	if slices.ContainsFunc(v.c.Nodes, func(n Node) bool { return n.Role != ControlPlane && n.Role != Worker }) {
		return // how many there are depends on what that role should have been
	}
	n := len(v.c.ControlPlanes())
	even := n%2 == 0
	switch {
	case n == 0:
		v.Refuse("nodes", "no control plane: want an odd number of nodes with role %s, three as a rule", ControlPlane)
		return
	case n == 1:
		v.Warn("nodes", "one control plane: when it fails, the cluster is gone; three survive one failure")
	case even && !v.c.AllowEvenControlPlanes:
		v.Refuse("nodes", "%d control planes survive no more failures than %d: want an odd number, or set allowEvenControlPlanes", n, n-1)
	case even:
		v.Warn("nodes", "%d control planes survive no more failures than %d", n, n-1)
	}
	if n > maxMembers {
		v.Warn("nodes", "%d control planes: every write waits for a majority of the etcd members; %d is the sensible maximum", n, maxMembers)
	}
}

func (v *validator) nodeName(at, name string, seen map[string]string) {
	switch {
	case name == "":
		v.Refuse(at, "is required")
		return
	case syntax.IsAddress(name):
		v.Refuse(at, "%q is an address: want a name", name)
	case !syntax.IsSubdomain(name):
		v.Refuse(at, "%q is no RFC 1123 name: %s", name, syntax.WantSubdomain)
	case len(name) > maxNodeName:
		v.Refuse(at, "%q is %d characters long: the kubernetes.io/hostname label takes %d", name, len(name), maxNodeName)
	}
	if first, again := seen[name]; again {
		v.Refuse(at, "%q is also %s", name, first)
		return
	}
	seen[name] = at
}

func (v *validator) role(at string, r Role) {
	switch r {
	case ControlPlane, Worker:
	case "":
		v.Refuse(at, "is required: %s or %s", ControlPlane, Worker)
	default:
		v.Refuse(at, "%q is no role: want %s or %s", string(r), ControlPlane, Worker)
	}
}

func (v *validator) addresses(at string, n Node, seen map[netip.Addr]string) {
	if len(n.Addresses) == 0 {
		v.Refuse(at, "is required: the node's address, or one of each family in a dual-stack cluster")
		return
	}
	if dualStack(v.c.Pods) && len(n.Addresses) == 1 {
		v.Refuse(at, "one address only: pods is dual-stack, so every node needs one of each family")
	}
	for j, a := range n.Addresses {
		here := index(at, j)
		if why := syntax.Unusable(a); why != "" {
			v.Refuse(here, "%s %s", a, why)
			continue
		}
		if a.IsLoopback() {
			v.Warn(here, "%s is a loopback address: other hosts do not reach it", a)
		}
		if first, again := seen[a]; again {
			v.Refuse(here, "%s is also %s", a, first)
		} else {
			seen[a] = here
		}
		v.addressFamily(here, j, n.Addresses)
		inRanges(&v.Problems, v.c, here, a)
		if n.Role == ControlPlane {
			v.inSubnet(here, a)
		}
	}
}

// addressFamily checks that a node's addresses are of the families of pods, in
// that order.
func (v *validator) addressFamily(at string, j int, all []netip.Addr) {
	a, pods := all[j], v.c.Pods
	switch {
	case j >= 2:
		v.Refuse(at, "too many addresses: want one, or one of each family")
	case j == 1 && all[0].Is4() == a.Is4():
		v.Refuse(at, "is %s like the first: want one address of each family", familyName(a.Is4()))
	case j == 1 && !dualStack(pods):
		v.Refuse(at, "pods is single-stack, so a node has one address")
	case j == 0 && pods[0].IsValid() && is4(pods[0]) != a.Is4():
		v.Refuse(at, "is %s but pods[0] is %s: the first address is of the primary family", familyName(a.Is4()), familyName(is4(pods[0])))
	}
}

// inSubnet checks a control plane's address against the VIP's subnet.
func (v *validator) inSubnet(at string, a netip.Addr) {
	s := v.c.Endpoint.VIP.Subnet
	if v.c.Endpoint.External || !usable(s) || is4(s) != a.Is4() {
		return
	}
	switch {
	case !s.Contains(a):
		v.Refuse(at, "%s lies outside endpoint.vip.subnet %s: a control plane there cannot carry the VIP", a, s)
	case slices.Contains(reserved(s), a):
		v.Refuse(at, "%s is the network or broadcast address of endpoint.vip.subnet %s", a, s)
	}
}

func (v *validator) ssh(at, target string, seen map[string]string) {
	if target == "" {
		return
	}
	host, port, ok := sshTarget(target)
	if !ok {
		v.Refuse(at, "%q: want [user@]host[:port], an IPv6 address with a port in brackets", target)
		return
	}
	whole := host + " " + port
	if first, again := seen[whole]; again {
		v.Refuse(at, "%q is the same host as %s", target, first)
		return
	}
	seen[whole] = at
}

func (v *validator) labels(at string, labels map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		here, value := key(at, k), labels[k]
		prefix, name, prefixed := strings.Cut(k, "/")
		if !prefixed {
			prefix, name = "", k
		}
		switch {
		case prefixed && !syntax.IsSubdomain(prefix) || !syntax.IsQualified(name):
			v.Refuse(here, "%q is no label: want an optional DNS name and a slash, then at most 63 letters, digits and - _ .", k)
		case !kubeletMaySet(prefix, k):
			v.Refuse(here, "kubelet may not set this label on itself; set it with kubectl, or use a name outside kubernetes.io and k8s.io")
		}
		if value != "" && !syntax.IsQualified(value) {
			v.Refuse(here, "%q is no label value: %s", value, syntax.WantQualified)
		}
	}
}

func (v *validator) taints(at string, taints []Taint) {
	seen := map[Taint]string{}
	for i, t := range taints {
		here := index(at, i)
		if !syntax.IsQualifiedKey(t.Key) {
			v.Refuse(here+".key", "%q is no taint: want an optional DNS name and a slash, then at most 63 letters, digits and - _ .", t.Key)
		}
		if t.Value != "" && !syntax.IsQualified(t.Value) {
			v.Refuse(here+".value", "%q is no value of a taint: %s", t.Value, syntax.WantQualified)
		}
		switch t.Effect {
		case "NoSchedule", "PreferNoSchedule", "NoExecute":
		default:
			v.Refuse(here+".effect", "%q: want NoSchedule, PreferNoSchedule or NoExecute", t.Effect)
		}
		same := Taint{Key: t.Key, Effect: t.Effect}
		if first, again := seen[same]; again {
			v.Refuse(here, "has the key and the effect of %s: a node has each once", first)
			continue
		}
		seen[same] = here
	}
}

// kubeletMaySet follows k8s.io/kubelet/pkg/apis/well_known_labels.go: kubelet
// refuses to start with any other label of Kubernetes' own.
func kubeletMaySet(prefix, label string) bool {
	if !within(prefix, "kubernetes.io") && !within(prefix, "k8s.io") {
		return true
	}
	if within(prefix, "kubelet.kubernetes.io") || within(prefix, "node.kubernetes.io") {
		return true
	}
	switch label {
	case "kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch",
		"topology.kubernetes.io/zone", "topology.kubernetes.io/region",
		"failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
		"beta.kubernetes.io/instance-type", "beta.kubernetes.io/os", "beta.kubernetes.io/arch":
		return true
	}
	return false
}

func within(domain, parent string) bool {
	return domain == parent || strings.HasSuffix(domain, "."+parent)
}
