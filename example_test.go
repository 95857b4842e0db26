package quorate_test

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/quorate-dev/quorate"
)

func ExampleCluster_Validate() {
	c := quorate.Cluster{
		Version:  quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint: quorate.Endpoint{Host: "192.0.2.11", VIP: quorate.VIP{Interface: "eth0", RouterID: 256}},
		Nodes: []quorate.Node{
			{Name: "cp-1", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.11")}},
			{Name: "CP-2", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.12")}},
			{Name: "cp-3", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.13")}},
		},
	}
	var invalid *quorate.InvalidError
	if errors.As(c.Validate(), &invalid) {
		for _, p := range invalid.Problems {
			fmt.Println(p.Path)
		}
		fmt.Println(invalid.Problems[0].Message)
	}
	// Output:
	// endpoint.host
	// endpoint.vip.routerID
	// nodes[1].name
	// 192.0.2.11 is nodes[0].addresses[0]: a VIP is nobody's own address
}

func ExampleSensitive() {
	f := quorate.File{Path: "/etc/keepalived/keepalived.conf", Mode: 0o600, Content: quorate.Sensitive([]byte("hunter22"))}
	fmt.Printf("%s %v\n", f.Path, f.Content)
	fmt.Println(len(f.Content.Bytes()))
	// Output:
	// /etc/keepalived/keepalived.conf [sensitive]
	// 8
}

func ExampleParseVersion() {
	rc, _ := quorate.ParseVersion("v1.37.0-rc.1")
	release, _ := quorate.ParseVersion("1.37.0")
	fmt.Println(rc.Compare(release), rc.AtLeast(1, 37))
	_, err := quorate.ParseVersion("1.37")
	fmt.Println(err)
	// Output:
	// -1 true
	// version "1.37": want MAJOR.MINOR.PATCH, as in v1.37.2
}
