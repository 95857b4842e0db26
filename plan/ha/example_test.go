package ha_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"net/netip"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/vip"
)

// threeAndAWorker is a description; clusterfile.Load reads one from a file.
func threeAndAWorker() quorate.Cluster {
	node := func(name string, role quorate.Role, address string) quorate.Node {
		return quorate.Node{Name: name, Role: role, Addresses: []netip.Addr{netip.MustParseAddr(address)}}
	}
	return quorate.Cluster{
		Name:     "example",
		Version:  quorate.MustVersion("v1.37.2"),
		Endpoint: quorate.Endpoint{Host: "192.0.2.10", VIP: quorate.VIP{Interface: "eth0"}},
		Nodes: []quorate.Node{
			node("cp-1", quorate.ControlPlane, "192.0.2.11"), node("cp-2", quorate.ControlPlane, "192.0.2.12"),
			node("cp-3", quorate.ControlPlane, "192.0.2.13"), node("worker-1", quorate.Worker, "192.0.2.14"),
		},
	}
}

// A cluster from bare hosts to Ready nodes, and once more. The hosts are in
// memory; with transport/ssh in place of hatest they are real.
func Example() {
	cluster := threeAndAWorker()
	bundle, err := pki.New(cluster, pki.Config{})
	if err != nil {
		log.Fatal(err)
	}
	token, err := kubeadm.NewToken(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	auth, err := vip.NewAuth(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	described, err := ha.New(context.Background(), ha.Config{
		Cluster: cluster, Certs: bundle, Kubeadm: kubeadm.Secrets{Token: token}, VIPAuth: auth,
	})
	if err != nil {
		log.Fatal(err)
	}
	create, err := described.Plan()
	if err != nil {
		log.Fatal(err)
	}

	hosts, err := hatest.New(cluster)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = hosts.Close() }()
	runner := plan.Runner{Transport: hosts}
	for range 2 {
		summary, err := runner.Run(context.Background(), create)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("changed:", summary.Changed(), "nodes:", hosts.Nodes())
	}
	// Output:
	// changed: true nodes: [cp-1 cp-2 cp-3 worker-1]
	// changed: false nodes: [cp-1 cp-2 cp-3 worker-1]
}

// Hosts are looked at by themselves: here one has swap on, and nothing is known of
// the VRIDs on its network.
func ExampleCluster_Preflight() {
	cluster := threeAndAWorker()
	bundle, err := pki.New(cluster, pki.Config{})
	if err != nil {
		log.Fatal(err)
	}
	token, err := kubeadm.NewToken(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	auth, err := vip.NewAuth(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	hosts, err := hatest.New(cluster)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = hosts.Close() }()
	swaps := transport.File{Path: "/proc/swaps", Data: transport.Bytes([]byte("Filename Type\n/dev/sda2 partition\n"))}
	if err := hosts.Host("cp-2").Put(swaps); err != nil {
		log.Fatal(err)
	}

	described, err := ha.New(context.Background(), ha.Config{
		Cluster: cluster, Certs: bundle, Kubeadm: kubeadm.Secrets{Token: token}, VIPAuth: auth,
	})
	if err != nil {
		log.Fatal(err)
	}
	report, err := described.Preflight(context.Background(), preflight.Config{Transport: hosts})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(report.Text())
	fmt.Println(report.Err() != nil)
	// Output:
	// looked at cp-1, cp-2, cp-3, worker-1
	// error   cp-2 (swap)
	//         swap is on (/dev/sda2), with which the kubelet does not start
	//         -> swapoff -a and take it out of /etc/fstab, or set kubeadm.kubelet.failSwapOn to false
	// info    cp-1, cp-2, cp-3 (vrid)
	//         not checked: the host has no tcpdump to listen for VRRP with
	//         -> install tcpdump and look again, or make sure that nobody on this network has the VRID 51
	// info    cp-1, cp-2, cp-3 (vrrp)
	//         not checked: the host has no Python or Perl to send VRRP with, or may open no raw socket
	//         -> install python3 and look again, or make sure that IP protocol 112 gets through between control planes
	// errors: 1, warnings: 0, not checked: 2, ignored: 0
	// true
}
