package quorate

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate/internal/syntax"
)

// VRRP version 3 counts hundredths of a second, at most 4095 of them; below
// minAdvert a busy host would be taken for a dead one.
const (
	advertStep = 10 * time.Millisecond
	minAdvert  = 100 * time.Millisecond
	maxAdvert  = 40 * time.Second
)

// Problems is everything that is wrong with the endpoint by itself once its
// defaults are filled in. Paths begin at the endpoint: "vip.routerID". What only
// the cluster around it shows, such as a VIP that is a node's own address,
// Cluster.Problems finds.
func (e Endpoint) Problems() Problems {
	r := endpointRules{Endpoint: e.WithDefaults()}
	r.taken = collisions(slices.Concat(r.portUses(), Kubeadm{}.portUses(Version{})), "", false)
	r.all()
	return r.Problems
}

func (v *validator) endpoint() {
	r := endpointRules{Endpoint: v.c.Endpoint, cluster: &v.c, taken: v.taken}
	r.all()
	v.Include("endpoint", r.Problems)
}

// endpointRules go over a defaulted endpoint field by field, and hold it against
// the cluster around it unless there is none.
type endpointRules struct {
	Problems
	Endpoint
	cluster *Cluster
	// taken are the ports that other fields have too.
	taken map[string][]string
}

func (r *endpointRules) all() {
	r.host()
	if !syntax.IsPort(r.Port) {
		r.Refuse("port", "%d is no port: want 1 to 65535", r.Port)
	} else if !r.External {
		refuseTaken(&r.Problems, "port", r.taken["endpoint.port"])
	}
	r.loadBalancer()
	if !r.External {
		r.vip()
	} else if r.VIP != (VIP{}) {
		r.Warn("vip", "is not used with endpoint.external")
	}
}

func (r *endpointRules) host() {
	switch addr := r.Address(); {
	case r.Host == "":
		r.Refuse("host", "is required: the VIP, or with external the load balancer's address or DNS name")
	case strings.HasPrefix(r.Host, "["):
		r.Refuse("host", "%q: write an IPv6 address without brackets, and the port in endpoint.port", r.Host)
	case addr.IsValid():
		r.address(addr)
	case !r.External:
		r.Refuse("host", "%q is no IP address: a VIP is one; with a load balancer of your own set endpoint.external", r.Host)
	case !syntax.IsSubdomain(r.Host):
		r.Refuse("host", "%q is neither an IP address nor a DNS name in lower case", r.Host)
	default:
		r.name()
	}
}

func (r *endpointRules) loadBalancer() {
	const at = "loadBalancer"
	switch {
	case r.LoadBalancer == "":
	case r.LoadBalancer != HAProxy:
		r.Refuse(at, "%q: want %s, or leave it out", r.LoadBalancer, HAProxy)
	case r.External:
		r.Refuse(at, "endpoint.external has a load balancer already: leave one of the two out")
	case r.Port == backendPort:
		r.Refuse("port", "%d is the port of the API servers, which share their hosts with %s: leave it out for 8443", r.Port, r.LoadBalancer)
	}
}

func (r *endpointRules) address(a netip.Addr) {
	if why := syntax.Unusable(a); why != "" {
		r.Refuse("host", "%s %s", a, why)
		return
	}
	if a.String() != r.Host {
		r.Refuse("host", "%s: write it in its shortest form, %s", r.Host, a)
	}
	switch {
	case !a.IsLoopback():
	case r.External && r.onlyHere():
		r.Refuse("host", "%s is a loopback address: every node would connect to itself; set the address or the name of the load balancer", a)
	default:
		r.Warn("host", "%s is a loopback address: only this host reaches it", a)
	}
	if r.cluster != nil {
		inRanges(&r.Problems, *r.cluster, "host", a)
		r.againstNodes(a)
	}
}

// onlyHere reports whether a loopback address or name cannot be meant: there are
// nodes that have other addresses, and more than one of them. A cluster whose
// hosts all have loopback addresses is on one machine, for tests.
func (r *endpointRules) onlyHere() bool {
	if r.cluster == nil || len(r.cluster.Nodes) < 2 {
		return false
	}
	return slices.ContainsFunc(r.cluster.Nodes, func(n Node) bool { return !n.Address().IsLoopback() })
}

// name refuses DNS names that are some host's own.
func (r *endpointRules) name() {
	if localName(r.Host) && r.onlyHere() {
		r.Refuse("host", "%q is every node itself: set the address or the name of the load balancer", r.Host)
	}
	if r.cluster == nil {
		return
	}
	for i, n := range r.cluster.Nodes {
		first, _, _ := strings.Cut(r.Host, ".")
		if r.Host == n.Name || first == n.Name {
			r.nodeName(n.Name, index("nodes", i)+".name")
		}
	}
}

// localName follows RFC 6761, section 6.3, and what distributions write into
// /etc/hosts.
func localName(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasPrefix(host, "localhost.") ||
		slices.Contains([]string{"localhost4", "localhost6", "ip6-localhost", "ip6-loopback"}, host)
}

// nodeName is about an endpoint that is a node's name. Unlike an address, which
// a load balancer on that host may share, it means something else on the node
// itself: Debian and others write it into /etc/hosts as a loopback address.
func (r *endpointRules) nodeName(name, where string) {
	if len(r.cluster.ControlPlanes()) > 1 {
		r.Refuse("host", "%q leads to the node %s alone, which is %s: the API is gone when that node is; set a VIP, or the name of a load balancer in front of all control planes", r.Host, name, where)
		return
	}
	r.Warn("host", "%q leads to the node %s alone, which is %s: the API is gone when that node is, and another control plane cannot take its place", r.Host, name, where)
}

func (r *endpointRules) againstNodes(a netip.Addr) {
	families := map[bool]bool{}
	for i, n := range r.cluster.Nodes {
		for j, own := range n.Addresses {
			families[own.Is4()] = true
			switch where := index(index("nodes", i)+".addresses", j); {
			case own != a:
			case r.External:
				r.Warn("host", "%s is %s: the API is gone when that node is", a, where)
			default:
				r.Refuse("host", "%s is %s: a VIP is nobody's own address", a, where)
			}
		}
	}
	if !r.External && len(families) > 0 && !families[a.Is4()] {
		r.Refuse("host", "%s is %s, but the nodes have no %[2]s address to hold it beside", a, familyName(a.Is4()))
	}
}

func (r *endpointRules) vip() {
	vip := r.VIP
	if vip.Interface != "" {
		interfaceName(&r.Problems, "vip.interface", vip.Interface)
		if why := noCarrier(vip.Interface, r.Address()); why != "" {
			r.Refuse("vip.interface", "%q %s", vip.Interface, why)
		}
	} else if lacking := r.withoutInterface(); len(lacking) > 0 {
		r.Refuse("vip.interface", "is required: it carries the VIP on %s, which name none of their own", strings.Join(lacking, ", "))
	}
	if vip.Subnet != (netip.Prefix{}) {
		r.subnet(vip.Subnet)
	} else if r.cluster != nil && len(r.Only(Refused)) == 0 {
		r.withoutSubnet()
	}
	if vip.RouterID < 1 || vip.RouterID > 255 {
		r.Refuse("vip.routerID", "%d is no VRID: want 1 to 255, unique on the network segment", vip.RouterID)
	}
	if d := vip.AdvertInterval.Std(); d < minAdvert || d > maxAdvert || d%advertStep != 0 {
		r.Refuse("vip.advertInterval", "%s: want %s to %s in steps of %s", vip.AdvertInterval, Duration(minAdvert), Duration(maxAdvert), Duration(advertStep))
	}
	r.wholeSeconds("vip.checkInterval", vip.CheckInterval)
	r.wholeSeconds("vip.checkTimeout", vip.CheckTimeout)
	if vip.CheckTimeout > vip.CheckInterval && vip.CheckInterval > 0 {
		r.Refuse("vip.checkTimeout", "%s is longer than endpoint.vip.checkInterval %s: keepalived would run one check over another", vip.CheckTimeout, vip.CheckInterval)
	}
	if vip.Weight > 0 || vip.Weight < -253 {
		r.Refuse("vip.weight", "%d: want 0 for the fault state, or -1 to -253", vip.Weight)
	}
	r.atLeastOne("vip.fall", vip.Fall)
	r.atLeastOne("vip.rise", vip.Rise)
}

func (r *endpointRules) withoutInterface() []string {
	if r.cluster == nil {
		return nil
	}
	var names []string
	for _, n := range r.cluster.ControlPlanes() {
		if n.Interface == "" {
			names = append(names, n.Name)
		}
	}
	return names
}

func interfaceName(p *Problems, at, name string) {
	if syntax.IsInterface(name) {
		return
	}
	hint := ""
	if len(name) > maxInterface {
		hint = "; instead of an alternative name (altname in `ip link`) set the interface's own, which keepalived looks for"
	}
	p.Refuse(at, "%q is no interface name: %s%s", name, syntax.WantInterface, hint)
}

// noCarrier says why an interface can carry no VIP, "" if it may: the loopback one, and
// those that runtimes and pod networks make on every host by itself.
func noCarrier(name string, vip netip.Addr) string {
	const pods = "is the pod network's, which no other host is behind: set the interface that has the nodes' addresses"
	switch {
	case name == "lo" && !vip.IsLoopback():
		return "is the host's loopback interface: several hosts would hold the VIP there, and none be reached; set the interface that has the nodes' addresses"
	case slices.Contains([]string{"docker0", "cni0", "cbr0", "podman0", "virbr0", "lxcbr0", "kube-bridge", "kube-ipvs0", "nodelocaldns", "tunl0", "flannel.1", "weave", "dummy0"}, name):
		return pods
	case strings.HasPrefix(name, "cali") || strings.HasPrefix(name, "cilium_") || strings.HasPrefix(name, "veth") || strings.HasPrefix(name, "lxc") || strings.HasPrefix(name, "vxlan.calico"):
		return pods
	}
	return ""
}

// maxInterface is the kernel's IFNAMSIZ without the byte that ends the name.
// Alternative names, which may be longer, are no names to keepalived.
const maxInterface = 15

// The networks that a VIP without a subnet is taken to be in.
const (
	usualBits4 = 24
	usualBits6 = 64
)

// withoutSubnet asks for the subnet where the control planes do not seem to have
// one in common with the VIP: a VIP is reached only through an interface in its
// own network.
func (r *endpointRules) withoutSubnet() {
	a := r.Address()
	if a.IsLoopback() {
		return // all of it is on one machine
	}
	bits := usualBits6
	if a.Is4() {
		bits = usualBits4
	}
	usual, err := a.Prefix(bits)
	if err != nil {
		return // the address is refused already
	}
	var away []string
	for _, n := range r.cluster.ControlPlanes() {
		i := slices.IndexFunc(n.Addresses, func(own netip.Addr) bool { return own.Is4() == a.Is4() })
		if i >= 0 && !usual.Contains(n.Addresses[i]) && syntax.Unusable(n.Addresses[i]) == "" && !n.Addresses[i].IsLoopback() {
			away = append(away, n.Name)
		}
	}
	if len(away) > 0 {
		r.Refuse("vip.subnet", "is required here: %s does not share a /%d with %s, and a VIP is only reached in the network of the interface that carries it; "+
			"set the subnet that holds the VIP and every control plane, or take a VIP from theirs", a, bits, strings.Join(away, ", "))
	}
}

// subnet checks the VIP's subnet; that the control planes lie in it is checked
// at their addresses.
func (r *endpointRules) subnet(s netip.Prefix) {
	const at = "vip.subnet"
	if !rangeForm(&r.Problems, at, s) {
		return
	}
	if r.cluster != nil {
		r.cluster.eachRange(func(path string, other netip.Prefix) {
			if other.Overlaps(s) {
				r.Refuse(at, "%s overlaps %s %s", s, path, other)
			}
		})
	}
	a := r.Address()
	switch {
	case !a.IsValid():
	case !s.Contains(a):
		r.Refuse(at, "%s does not hold the VIP %s", s, a)
	case slices.Contains(reserved(s), a):
		r.Refuse(at, "the VIP %s is the network or broadcast address of %s", a, s)
	}
}

// reserved are the addresses of an IPv4 subnet that no host may have.
func reserved(s netip.Prefix) []netip.Addr {
	if !is4(s) || s.Bits() > 30 {
		return nil
	}
	last := s.Addr().As4()
	for bit := s.Bits(); bit < 32; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	return []netip.Addr{s.Addr(), netip.AddrFrom4(last)}
}

// wholeSeconds are what keepalived counts the times of a check in.
func (r *endpointRules) wholeSeconds(at string, d Duration) {
	if d.Std() < time.Second || d.Std() > time.Hour || d.Std()%time.Second != 0 {
		r.Refuse(at, "%s: want whole seconds, from 1s to %s", d, Duration(time.Hour))
	}
}

func (r *endpointRules) atLeastOne(at string, n int) {
	if n < 1 {
		r.Refuse(at, "%d: want 1 or more", n)
	}
}
