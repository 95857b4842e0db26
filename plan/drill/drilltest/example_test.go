package drilltest_test

import (
	"context"
	"fmt"

	"github.com/quorate-dev/quorate/plan/drill"
	"github.com/quorate-dev/quorate/plan/drill/drilltest"
)

// A test of one's own breaker: the cluster says what is broken. To run a whole
// drill, do so within testing/synctest.Test: it takes minutes otherwise.
func ExampleCluster() {
	cluster, err := drilltest.New(3)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = cluster.Close() }()
	ctx, cfg := context.Background(), cluster.Config()
	b := drill.Break{Fault: drill.StopKeepalived, Host: cfg.Hosts[1]}
	fmt.Println(cfg.Breaker.Break(ctx, b), cluster.Broken())
	fmt.Println(cfg.Breaker.Heal(ctx, b), cluster.Broken())
	// Output:
	// <nil> [cp-2: stop-keepalived]
	// <nil> []
}
