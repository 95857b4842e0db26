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
)

// A unit test of a program that embeds Quorate: its plan fails once in the middle, is
// run again, and holds when a host loses its power.
func Example() {
	ctx := context.Background()
	description := quorate.Cluster{
		Name: "test", Version: quorate.MustVersion("v1.37.2"),
		Endpoint: quorate.Endpoint{Host: "192.0.2.10", VIP: quorate.VIP{Interface: "eth0", Subnet: netip.MustParsePrefix("192.0.2.0/24")}},
	}
	for i, name := range []string{"cp-1", "cp-2", "cp-3"} {
		address := netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)})
		description.Nodes = append(description.Nodes, quorate.Node{Name: name, Role: quorate.ControlPlane, Addresses: []netip.Addr{address}})
	}
	bundle, err := pki.New(description, pki.Config{})
	if err != nil {
		log.Fatal(err)
	}
	token, err := kubeadm.ParseToken("abcdef.0123456789abcdef")
	if err != nil {
		log.Fatal(err)
	}
	cluster, err := ha.New(ctx, ha.Config{Cluster: description, Certs: bundle, Kubeadm: kubeadm.Secrets{Token: token}})
	if err != nil {
		log.Fatal(err)
	}
	create, err := cluster.Plan()
	if err != nil {
		log.Fatal(err)
	}

	hosts, err := hatest.New(description)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = hosts.Close() }()
	hosts.Host("cp-3").HandleOnce(faketransport.Prefix("kubeadm", "join"), faketransport.Fail(1, "timed out"))
	runner := plan.Runner{Transport: hosts}
	_, err = runner.Run(ctx, create)
	var step *plan.StepError
	fmt.Println("failed:", errors.As(err, &step) && step.Step == ha.StepJoin.On("cp-3"))
	_, err = runner.Run(ctx, create)
	fmt.Println("then:", err, hosts.Nodes(), "joins of cp-3:", len(hosts.Host("cp-3").Commands("kubeadm", "join")))

	if err := hosts.CutPower("cp-2"); err != nil {
		log.Fatal(err)
	}
	running, voters := hosts.Quorum()
	fmt.Println("etcd:", running, "of", voters)
	if err := hosts.Boot("cp-2"); err != nil {
		log.Fatal(err)
	}
	summary, err := runner.Run(ctx, create)
	fmt.Println("after its boot:", err, "changed:", summary.Changed())
	// Output:
	// failed: true
	// then: <nil> [cp-1 cp-2 cp-3] joins of cp-3: 2
	// etcd: 2 of 3
	// after its boot: <nil> changed: false
}
