package etcd_test

import (
	"fmt"
	"log"
	"net/netip"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
)

func ExampleMembers() {
	node := func(name, address string) quorate.Node {
		return quorate.Node{Name: name, Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr(address)}}
	}
	members, err := etcd.Members(quorate.Cluster{
		Version:  quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint: quorate.Endpoint{Host: "10.0.0.10", VIP: quorate.VIP{Interface: "eth0"}},
		Nodes:    []quorate.Node{node("cp-1", "10.0.0.1"), node("cp-2", "10.0.0.2"), node("cp-3", "10.0.0.3")},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range members {
		files, err := m.Files()
		if err != nil {
			log.Fatal(err)
		}
		for _, f := range files {
			fmt.Println(m.Name, f.Mode, f.Path)
		}
	}
	fmt.Println(etcd.ClientEndpoints(members))
	// Output:
	// cp-1 -rw-r--r-- /etc/etcd.env
	// cp-1 -rw-r--r-- /etc/systemd/system/etcd.service
	// cp-2 -rw-r--r-- /etc/etcd.env
	// cp-2 -rw-r--r-- /etc/systemd/system/etcd.service
	// cp-3 -rw-r--r-- /etc/etcd.env
	// cp-3 -rw-r--r-- /etc/systemd/system/etcd.service
	// [https://10.0.0.1:2379 https://10.0.0.2:2379 https://10.0.0.3:2379]
}
