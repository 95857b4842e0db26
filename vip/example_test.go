package vip_test

import (
	"crypto/rand"
	"fmt"
	"log"
	"net/netip"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/vip"
)

func ExampleInstances() {
	auth, err := vip.NewAuth(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	node := func(name, address string) quorate.Node {
		return quorate.Node{Name: name, Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr(address)}}
	}
	instances, err := vip.Instances(quorate.Cluster{
		Version:  quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint: quorate.Endpoint{Host: "10.0.0.10", VIP: quorate.VIP{Interface: "eth0"}},
		Nodes:    []quorate.Node{node("cp-1", "10.0.0.1"), node("cp-2", "10.0.0.2"), node("cp-3", "10.0.0.3")},
	}, auth)
	if err != nil {
		log.Fatal(err)
	}
	for _, i := range instances {
		fmt.Printf("%s priority %d: dead API server %s, dead host %s\n", i.Node, i.Priority, i.APIServerLossBound(), i.HostLossBound())
	}
	files, err := instances[0].Files()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range files {
		fmt.Println(f.Mode, f.Path, "sensitive:", f.Content.IsSensitive())
	}
	// Output:
	// cp-1 priority 230: dead API server 4.05078125s, dead host 1.55078125s
	// cp-2 priority 175: dead API server 4.158203125s, dead host 1.658203125s
	// cp-3 priority 120: dead API server 4.265625s, dead host 1.765625s
	// -rwxr-xr-x /etc/keepalived/check_apiserver.sh sensitive: false
	// -rw------- /etc/keepalived/keepalived.conf sensitive: false
}
