package ha_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"

	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/vip"
)

// A cluster from bare hosts to Ready nodes, and once more. The hosts are in
// memory; with transport/ssh in place of plantest they are real.
func Example() {
	cluster := hafixture.Three() // or clusterfile.Load
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
	cluster := hafixture.Three()
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
