package hatest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/transport/faketransport"
	"github.com/quorate-dev/quorate/vip"
)

// A program's own test: a host that cannot be reached ends a run, and the same plan, run
// again, makes the cluster.
func Example() {
	cluster := quorate.Cluster{
		Name:     "example",
		Version:  quorate.MustVersion("v1.37.2"),
		Endpoint: quorate.Endpoint{Host: "192.0.2.10", VIP: quorate.VIP{Interface: "eth0"}},
		Nodes: []quorate.Node{
			{Name: "cp-1", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.11")}},
			{Name: "cp-2", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.12")}},
			{Name: "cp-3", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.13")}},
		},
	}
	hosts, err := hatest.New(cluster)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = hosts.Close() }()

	certs, err := pki.New(cluster, pki.Config{})
	if err != nil {
		log.Fatal(err)
	}
	token, err := kubeadm.NewToken(nil)
	if err != nil {
		log.Fatal(err)
	}
	auth, err := vip.NewAuth(nil)
	if err != nil {
		log.Fatal(err)
	}
	described, err := ha.New(context.Background(), ha.Config{Cluster: cluster, Certs: certs, Kubeadm: kubeadm.Secrets{Token: token}, VIPAuth: auth})
	if err != nil {
		log.Fatal(err)
	}
	create, err := described.Plan()
	if err != nil {
		log.Fatal(err)
	}
	runner := plan.Runner{Transport: hosts}

	hosts.Host("cp-2").Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Dial), Before: faketransport.Refuse})
	_, err = runner.Run(context.Background(), create)
	var failed *plan.RunError
	fmt.Println("failed:", errors.As(err, &failed), "nodes:", hosts.Nodes())

	hosts.Host("cp-2").Heal()
	if _, err := runner.Run(context.Background(), create); err != nil {
		log.Fatal(err)
	}
	fmt.Println("nodes:", hosts.Nodes(), "etcd:", hosts.Members(), "VIP:", hosts.VIPHolder())
	// Output:
	// failed: true nodes: []
	// nodes: [cp-1 cp-2 cp-3] etcd: [cp-1 cp-2 cp-3] VIP: cp-1
}
