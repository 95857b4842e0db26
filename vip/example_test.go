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
	// -rw-r--r-- /etc/systemd/system/keepalived.service.d/quorate.conf sensitive: false
}

func ExampleHAProxies() {
	ca := authorityOfTheCluster() // of a pki.Bundle, or your own
	node := func(name, address string) quorate.Node {
		return quorate.Node{Name: name, Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr(address)}}
	}
	haproxies, err := vip.HAProxies(quorate.Cluster{
		Version: quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint: quorate.Endpoint{
			Host: "10.0.0.10", LoadBalancer: quorate.HAProxy, VIP: quorate.VIP{Interface: "eth0"},
		},
		Nodes: []quorate.Node{node("cp-1", "10.0.0.1"), node("cp-2", "10.0.0.2"), node("cp-3", "10.0.0.3")},
	}, ca)
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range haproxies {
		fmt.Println(h.Node, "listens on", h.Endpoint.Port, "for", len(h.Backends), "API servers on", h.Endpoint.APIServerPort())
	}
	// Output:
	// cp-1 listens on 8443 for 3 API servers on 6443
	// cp-2 listens on 8443 for 3 API servers on 6443
	// cp-3 listens on 8443 for 3 API servers on 6443
}

func authorityOfTheCluster() quorate.Content {
	const certificate = `-----BEGIN CERTIFICATE-----
MIIBgDCCASWgAwIBAgIUZXJqVqiwkDSd1GoEEdqW1YkNjm8wCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKa3ViZXJuZXRlczAeFw0yNjExMjUxNDAwNTBaFw0zNjExMjIx
NDAwNTBaMBUxEzARBgNVBAMMCmt1YmVybmV0ZXMwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAS3l3aOGWfjlYQ+y4pk0X1zwK04IiHOsnIbgeiRCQyJc1y0a+5kxW0n
CGFT9hxPElhg59PEGF3UO9Jil4p/bZbLo1MwUTAdBgNVHQ4EFgQUiG5z5shBlT1q
Sr9rMCe/Kudu+8IwHwYDVR0jBBgwFoAUiG5z5shBlT1qSr9rMCe/Kudu+8IwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAyAzOiTNCSfhyw9fsDBIO
JeLCMQRLUQdvDFxqWDgO6vECIQCDY1fBjWGpg1639r5XO7GNhrZo7pTht3YBVWRV
qbz0+Q==
-----END CERTIFICATE-----
`
	return quorate.Public([]byte(certificate))
}
