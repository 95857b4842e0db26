package quorate

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// VRRP version 3 counts hundredths of a second, at most 4095 of them; below
// minAdvert a busy host would be taken for a dead one.
const (
	advertStep = 10 * time.Millisecond
	minAdvert  = 100 * time.Millisecond
	maxAdvert  = 40 * time.Second
)

func (v *validator) endpoint() {
	e := v.c.Endpoint
	switch addr := e.Address(); {
	case e.Host == "":
		v.Refuse("endpoint.host", "is required: the VIP, or with external the load balancer's address or DNS name")
	case strings.HasPrefix(e.Host, "["):
		v.Refuse("endpoint.host", "%q: write an IPv6 address without brackets, and the port in endpoint.port", e.Host)
	case addr.IsValid():
		v.endpointAddress(addr)
	case !e.External:
		v.Refuse("endpoint.host", "%q is no IP address: a VIP is one; with a load balancer of your own set endpoint.external", e.Host)
	case !isSubdomain(e.Host):
		v.Refuse("endpoint.host", "%q is neither an IP address nor a DNS name in lower case", e.Host)
	}
	if !isPort(e.Port) {
		v.Refuse("endpoint.port", "%d is no port: want 1 to 65535", e.Port)
	} else if !e.External {
		v.portTaken("endpoint.port", e.Port, nil)
	}
	v.loadBalancer(e)
	if !e.External {
		v.vip()
	} else if e.VIP != (VIP{}) {
		v.Warn("endpoint.vip", "is not used with endpoint.external")
	}
}

func (v *validator) loadBalancer(e Endpoint) {
	const at = "endpoint.loadBalancer"
	switch {
	case e.LoadBalancer == "":
	case e.LoadBalancer != HAProxy:
		v.Refuse(at, "%q: want %s, or leave it out", e.LoadBalancer, HAProxy)
	case e.External:
		v.Refuse(at, "endpoint.external has a load balancer already: leave one of the two out")
	case e.Port == backendPort:
		v.Refuse("endpoint.port", "%d is the port of the API servers, which share their hosts with %s: leave it out for 8443", e.Port, e.LoadBalancer)
	}
}

func (v *validator) endpointAddress(a netip.Addr) {
	const at = "endpoint.host"
	if why := unusable(a); why != "" {
		v.Refuse(at, "%s %s", a, why)
		return
	}
	if a.String() != v.c.Endpoint.Host {
		v.Refuse(at, "%s: write it in its shortest form, %s", v.c.Endpoint.Host, a)
	}
	if a.IsLoopback() {
		v.Warn(at, "%s is a loopback address: only this host reaches it", a)
	}
	v.inRanges(at, a)
	v.endpointAgainstNodes(at, a)
}

func (v *validator) endpointAgainstNodes(at string, a netip.Addr) {
	families := map[bool]bool{}
	for i, n := range v.c.Nodes {
		for j, own := range n.Addresses {
			families[own.Is4()] = true
			switch {
			case own != a:
			case v.c.Endpoint.External:
				v.Warn(at, "%s is %s: the API is gone when that node is", a, index(index("nodes", i)+".addresses", j))
			default:
				v.Refuse(at, "%s is %s: a VIP is nobody's own address", a, index(index("nodes", i)+".addresses", j))
			}
		}
	}
	if !v.c.Endpoint.External && len(families) > 0 && !families[a.Is4()] {
		v.Refuse(at, "%s is %s, but the nodes have no %[2]s address to hold it beside", a, familyName(a.Is4()))
	}
}

func (v *validator) vip() {
	vip := v.c.Endpoint.VIP
	if vip.Interface != "" {
		v.interfaceName("endpoint.vip.interface", vip.Interface)
	} else if lacking := v.withoutInterface(); len(lacking) > 0 {
		v.Refuse("endpoint.vip.interface", "is required: it carries the VIP on %s, which name none of their own", strings.Join(lacking, ", "))
	}
	if vip.Subnet != (netip.Prefix{}) {
		v.subnet(vip.Subnet)
	}
	if vip.RouterID < 1 || vip.RouterID > 255 {
		v.Refuse("endpoint.vip.routerID", "%d is no VRID: want 1 to 255, unique on the network segment", vip.RouterID)
	}
	if d := vip.AdvertInterval.Std(); d < minAdvert || d > maxAdvert || d%advertStep != 0 {
		v.Refuse("endpoint.vip.advertInterval", "%s: want %s to %s in steps of %s", vip.AdvertInterval, Duration(minAdvert), Duration(maxAdvert), Duration(advertStep))
	}
	v.wholeSeconds("endpoint.vip.checkInterval", vip.CheckInterval)
	v.wholeSeconds("endpoint.vip.checkTimeout", vip.CheckTimeout)
	if vip.CheckTimeout > vip.CheckInterval && vip.CheckInterval > 0 {
		v.Refuse("endpoint.vip.checkTimeout", "%s is longer than endpoint.vip.checkInterval %s: keepalived would run one check over another", vip.CheckTimeout, vip.CheckInterval)
	}
	if vip.Weight > 0 || vip.Weight < -253 {
		v.Refuse("endpoint.vip.weight", "%d: want 0 for the fault state, or -1 to -253", vip.Weight)
	}
	v.atLeastOne("endpoint.vip.fall", vip.Fall)
	v.atLeastOne("endpoint.vip.rise", vip.Rise)
}

func (v *validator) withoutInterface() []string {
	var names []string
	for _, n := range v.c.ControlPlanes() {
		if n.Interface == "" {
			names = append(names, n.Name)
		}
	}
	return names
}

func (v *validator) interfaceName(at, name string) {
	if !isInterface(name) {
		v.Refuse(at, "%q is no interface name: want at most 15 letters, digits and . _ -, not beginning with . or -", name)
	}
}

// subnet checks the VIP's subnet; that the control planes lie in it is checked
// at their addresses.
func (v *validator) subnet(s netip.Prefix) {
	const at = "endpoint.vip.subnet"
	if !v.rangeForm(at, s) {
		return
	}
	v.eachRange(func(path string, r netip.Prefix) {
		if r.Overlaps(s) {
			v.Refuse(at, "%s overlaps %s %s", s, path, r)
		}
	})
	a := v.c.Endpoint.Address()
	switch {
	case !a.IsValid():
	case !s.Contains(a):
		v.Refuse(at, "%s does not hold the VIP %s", s, a)
	case slices.Contains(reserved(s), a):
		v.Refuse(at, "the VIP %s is the network or broadcast address of %s", a, s)
	}
}

// reserved gives the addresses of an IPv4 subnet that no host may have.
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
func (v *validator) wholeSeconds(at string, d Duration) {
	if d.Std() < time.Second || d.Std() > time.Hour || d.Std()%time.Second != 0 {
		v.Refuse(at, "%s: want whole seconds, from 1s to %s", d, Duration(time.Hour))
	}
}

func (v *validator) atLeastOne(at string, n int) {
	if n < 1 {
		v.Refuse(at, "%d: want 1 or more", n)
	}
}
