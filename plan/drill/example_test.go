package drill_test

import (
	"context"
	"fmt"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/drill"
	"github.com/quorate-dev/quorate/plan/drill/drilltest"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/transport"
)

// A drill on the cluster that an installer has made, with what its hosts can do
// to each other by themselves. Set Config.Power for the scenarios that cut it.
func ExampleRun() {
	drillOn := func(ctx context.Context, c quorate.Cluster, hosts transport.Transport) error {
		kubeconfig, err := ha.Kubeconfig(ctx, ha.KubeconfigConfig{Transport: hosts, Cluster: c})
		if err != nil {
			return err
		}
		cfg, err := drill.ForCluster(c, hosts, kubeconfig)
		if err != nil {
			return err
		}
		report, err := drill.Run(ctx, cfg)
		if err != nil {
			return err
		}
		for _, r := range report.Results {
			fmt.Println(r.Scenario, r.Verdict, r.Writes.Longest, len(r.Lost))
		}
		return nil
	}
	_ = drillOn
}

// The dry run says what would be broken.
func ExamplePreview() {
	c, err := drilltest.New(3)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close() }()
	cfg := c.Config()
	cfg.Scenarios = drill.Scenarios(drill.NetworkPartition, drill.ColdStart)
	plan, err := drill.Preview(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range plan.Scenarios {
		fmt.Println(s.Break)
		for _, h := range s.Holds {
			fmt.Println("-", h)
		}
	}
	// Output:
	// Cut the VIP's holder off from every other host and from the clients
	// - etcd has a quorum again within 10s
	// - writes through the endpoint go on before anything is healed
	// - the host that is cut off gives up the VIP by itself
	// - its API server acknowledges no write
	// Cut the power of all control planes at once
}
