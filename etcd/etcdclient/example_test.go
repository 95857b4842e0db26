package etcdclient_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/quorate-dev/quorate/etcd/etcdclient"
)

// Before a member is stopped: would the others still be a quorum?
func ExampleClient_Status() {
	mayStopOne := func(ctx context.Context, endpoints []string, certificates *tls.Config) error {
		client, err := etcdclient.New(etcdclient.Config{Endpoints: endpoints, TLS: certificates})
		if err != nil {
			return err
		}
		defer func() { _ = client.Close() }()
		status, err := client.Status(ctx)
		if err != nil {
			return err
		}
		for _, e := range status.Endpoints {
			fmt.Println(e.Name, e.Healthy, e.Latency.Round(time.Millisecond), e.SizeInUse)
		}
		if status.Spare() < 1 {
			return fmt.Errorf("%d of %d members healthy, none to spare: %w", status.Healthy(), status.Voters(), status.Err())
		}
		return nil
	}
	_ = mayStopOne
}
