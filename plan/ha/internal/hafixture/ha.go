// Package hafixture has what the tests of package ha and of those below it share.
package hafixture

import (
	"net/netip"
	"time"

	"github.com/quorate-dev/quorate"
)

// Three control planes and a worker.
func Three() quorate.Cluster {
	c := quorate.Cluster{
		Name:    "test",
		Version: quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint: quorate.Endpoint{
			Host: "192.0.2.10",
			// Whole seconds: VRRP's version 2, whose password is one secret more.
			VIP: quorate.VIP{Interface: "eth0", Subnet: netip.MustParsePrefix("192.0.2.0/24"), AdvertInterval: quorate.Duration(time.Second)},
		},
	}
	for i, name := range []string{"cp-1", "cp-2", "cp-3", "worker-1"} {
		role := quorate.ControlPlane
		if i == 3 {
			role = quorate.Worker
		}
		address := netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)})
		c.Nodes = append(c.Nodes, quorate.Node{Name: name, Role: role, Addresses: []netip.Addr{address}})
	}
	return c
}
