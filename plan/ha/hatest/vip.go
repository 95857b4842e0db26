package hatest

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// VIPHolder returns the name of the host that holds the VIP, empty if none does. As
// with the real keepalived, who holds it keeps it while its keepalived runs and its
// API server serves; then the first control plane of which both are true takes it.
func (c *Cluster) VIPHolder() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.vipHolder()
}

func (c *Cluster) vipHolder() string {
	eligible := func(name string) bool {
		h := c.hosts[name]
		return h != nil && h.running("keepalived.service") && h.serves()
	}
	if c.c.Endpoint.External || eligible(c.holder) {
		return c.holder
	}
	c.holder = ""
	for _, n := range c.c.ControlPlanes() {
		if eligible(n.Name) {
			c.holder = n.Name
			break
		}
	}
	return c.holder
}

// mac is the address of a host's only interface, made of its place in the description.
func (h *host) mac() string {
	i := slices.IndexFunc(h.cluster.c.Nodes, func(n quorate.Node) bool { return n.Name == h.node.Name })
	return fmt.Sprintf("02:00:00:00:%02x:%02x", i/256, i%256)
}

// ip answers "ip -o addr show", "ip -o addr show to ADDRESS", "ip -o link
// show", "ip link show dev NAME", "ip route get ADDRESS" and "ip neigh show to
// ADDRESS".
func (h *host) ip(in faketransport.Invocation, args []string) error {
	c, name, last := h.cluster, h.interfaceName(), args[len(args)-1]
	vip, holder := netip.Addr{}, ""
	if !c.c.Endpoint.External {
		vip, holder = c.c.Endpoint.Address(), c.vipHolder()
	}
	switch {
	case slices.Contains(args, "route"):
		return say(in, "%s via %s dev %s src %s uid 0\n", last, h.node.Address(), name, h.node.Address())
	case slices.Contains(args, "neigh"):
		// A host that has the address asks nobody for it.
		if slices.Contains(args, "flush") || last != vip.String() || holder == "" || holder == h.node.Name {
			return nil
		}
		return say(in, "%s dev %s lladdr %s REACHABLE\n", vip, name, c.hosts[holder].mac())
	case slices.Contains(args, "link"):
		if !slices.Contains(args, "dev") {
			return say(in, "1: lo: <LOOPBACK,UP> mtu 65536 state UNKNOWN\\    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n"+
				"2: %s: <BROADCAST,UP> mtu 1500 state UP\\    link/ether %s brd ff:ff:ff:ff:ff:ff\n", name, h.mac())
		}
		if last != name {
			return fail(in, "Device %q does not exist.", last)
		}
		return nil
	}
	addresses := slices.Clone(h.node.Addresses)
	if holder == h.node.Name {
		addresses = append(addresses, vip)
	}
	only, restricted := netip.Addr{}, slices.Contains(args, "to")
	if restricted {
		only, _ = netip.ParseAddr(last) // what is none matches nothing
	}
	for _, a := range addresses {
		if restricted && a != only {
			continue
		}
		family, bits := "inet", 24
		if a.Is6() {
			family, bits = "inet6", 64
		}
		if a == vip {
			bits = a.BitLen()
		}
		if err := say(in, "2: %s    %s %s/%d scope global %s\n", name, family, a, bits, name); err != nil {
			return err
		}
	}
	return nil
}
