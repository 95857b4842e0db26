package drill_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/plan/drill"
	"github.com/quorate-dev/quorate/plan/drill/drilltest"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/transport"
)

// inBubble runs a drill on a fake cluster in virtual time.
func inBubble(t *testing.T, controlPlanes int, flaws []drilltest.Flaw, test func(t *testing.T, c *drilltest.Cluster)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		c, err := drilltest.New(controlPlanes, flaws...)
		require.NoError(t, err)
		defer func() { require.NoError(t, c.Close()) }()
		test(t, c)
	})
}

func show(r *drill.Report) string {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// A cluster that keeps every guarantee passes every scenario, with the load
// going on in all of them; afterwards nothing of the drill is left.
func TestRun(t *testing.T) {
	cases := map[int][]drill.Scenario{
		3: drill.Scenarios()[:9], // the others with more hosts
		5: drill.Scenarios(drill.MinorityPowerCut, drill.RollingPowerCut, drill.ColdStart),
	}
	for n, scenarios := range cases {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inBubble(t, n, nil, func(t *testing.T, c *drilltest.Cluster) {
				cfg := c.Config()
				cfg.Scenarios = scenarios
				var events strings.Builder
				cfg.Observe = func(e drill.Event) { fmt.Fprintf(&events, "%+v %#v\n", e, e) }
				r, err := drill.Run(t.Context(), cfg)
				require.NoError(t, err)
				token := string(cfg.API.Token.Bytes())
				require.NotContains(t, events.String(), token)
				require.NotContains(t, show(r), token)
				require.NotContains(t, fmt.Sprintf("%+v %#v", cfg.API, cfg.API), token)
				require.Equal(t, drill.Passed, r.Verdict, show(r))
				require.Empty(t, r.NotRun)
				require.Len(t, r.Results, len(scenarios))
				for _, res := range r.Results {
					// 20 a second while there is service.
					served := res.Ended.Sub(res.Began) - res.Writes.Total
					require.Greater(t, float64(res.Writes.Acknowledged), 15*served.Seconds(), res.Scenario)
					require.NotEmpty(t, res.Broken)
					require.False(t, res.BrokeAt.Before(res.Began) || res.HealedAt.Before(res.BrokeAt) || res.Redundant.Before(res.HealedAt) || res.Ended.Before(res.Redundant), show(r))
					require.Len(t, res.ServerReads, n)
				}
				require.Empty(t, c.Broken())
				require.Empty(t, c.Namespaces())
			})
		})
	}
}

// Each broken guarantee is found by the scenario that shows it, ends the drill,
// and leaves nothing broken.
func TestRunCatches(t *testing.T) {
	cases := []struct {
		flaw     drilltest.Flaw
		scenario string
		want     string
	}{
		{drilltest.LosesWrites, drill.EtcdLeaderPowerCut, "acknowledged writes are lost"},
		{drilltest.GoesBack, drill.EtcdLeaderPowerCut, "etcd went back"},
		{drilltest.TwoOwners, drill.EtcdPartition, "cp-1 and cp-2 held the VIP at once"},
		{drilltest.KeepsVIP, drill.NetworkPartition, "cp-1 still held the VIP when it was let back"},
		{drilltest.AcceptsCutOff, drill.NetworkPartition, "cp-1 acknowledged"},
		{drilltest.NoElection, drill.EtcdLeaderPowerCut, "etcd had no quorum for"},
		{drilltest.NoTakeOver, drill.VIPHolderPowerCut, "no write through 192.0.2.100:6443 was acknowledged"},
		{drilltest.StaysDown, drill.HostReboot, "not redundant again"},
		{drilltest.LosesMember, drill.VIPHolderPowerCut, "not redundant again"},
		{drilltest.StaleList, drill.APIServerStop, "acknowledged writes are lost"},
	}
	for _, test := range cases {
		t.Run(string(test.flaw), func(t *testing.T) {
			inBubble(t, 3, []drilltest.Flaw{test.flaw}, func(t *testing.T, c *drilltest.Cluster) {
				cfg := c.Config()
				cfg.Scenarios = drill.Scenarios(test.scenario, drill.KeepalivedStop)
				cfg.Thresholds.Redundancy = 15 * time.Second
				r, err := drill.Run(t.Context(), cfg)
				require.NoError(t, err)
				require.Equal(t, drill.Violated, r.Verdict, show(r))
				require.Len(t, r.Results, 1)
				require.Contains(t, strings.Join(r.Results[0].Violations, "\n"), test.want)
				require.Equal(t, []string{drill.KeepalivedStop}, r.NotRun)
				require.Empty(t, c.Broken())
			})
		})
	}
}

// Without the flaw the same scenarios pass: what TestRunCatches sees is the flaw.
func TestRunCatchesNothingElse(t *testing.T) {
	inBubble(t, 3, nil, func(t *testing.T, c *drilltest.Cluster) {
		cfg := c.Config()
		cfg.Scenarios = drill.Scenarios(drill.EtcdLeaderPowerCut, drill.EtcdPartition, drill.NetworkPartition, drill.VIPHolderPowerCut, drill.APIServerStop)
		r, err := drill.Run(t.Context(), cfg)
		require.NoError(t, err)
		require.Equal(t, drill.Passed, r.Verdict, show(r))
		partition := r.Results[2]
		require.NotZero(t, partition.Refused["cp-1"].Requests+partition.Refused["cp-2"].Requests+partition.Refused["cp-3"].Requests, "no request reached the host that was cut off")
		notes := strings.Join(partition.Notes, "\n")
		require.Contains(t, notes, "released the VIP 3")
		require.NotContains(t, notes, "not known")
	})
}

// Whenever ctx ends, whatever is broken is healed and the namespace is gone.
func TestRunHealsOnCancel(t *testing.T) {
	for _, after := range []time.Duration{500 * time.Millisecond, 3 * time.Second, 7 * time.Second, 20 * time.Second, 25 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			inBubble(t, 3, nil, func(t *testing.T, c *drilltest.Cluster) {
				cfg := c.Config()
				cfg.Scenarios = drill.Scenarios(drill.NetworkPartition, drill.ColdStart)
				ctx, cancel := context.WithTimeout(t.Context(), after)
				defer cancel()
				r, err := drill.Run(ctx, cfg)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Empty(t, c.Broken())
				require.Empty(t, c.Namespaces())
				if r != nil {
					require.Equal(t, drill.Aborted, r.Verdict, show(r))
					require.Len(t, r.NotRun, 2-len(r.Results))
				}
			})
		})
	}
}

// Nothing is broken on a cluster that has nothing to lose.
func TestRunRefuses(t *testing.T) {
	for _, fault := range []drill.Fault{drill.StopAPIServer, drill.StopKeepalived, drill.StopEtcd, drill.PartitionEtcd} {
		t.Run(string(fault), func(t *testing.T) {
			inBubble(t, 3, nil, func(t *testing.T, c *drilltest.Cluster) {
				cfg := c.Config()
				require.NoError(t, cfg.Breaker.Break(t.Context(), drill.Break{Fault: fault, Host: cfg.Hosts[1]}))
				_, err := drill.Run(t.Context(), cfg)
				var refused *drill.NotRedundantError
				require.ErrorAs(t, err, &refused)
				require.Contains(t, err.Error(), "cp-2")
				require.Equal(t, []string{"cp-2: " + string(fault)}, c.Breaks(), "the drill broke something")
			})
		})
	}
}

// noTunnels is a transport without transport.Dialer.
type noTunnels struct{ transport.Transport }

func (n noTunnels) Dial(ctx context.Context, host string) (transport.Conn, error) {
	conn, err := n.Transport.Dial(ctx, host)
	return struct{ transport.Conn }{conn}, err
}

// What could not be read is reported, and not taken for a refusal.
func TestRunReportsUnreadStates(t *testing.T) {
	inBubble(t, 3, nil, func(t *testing.T, c *drilltest.Cluster) {
		cfg := c.Config()
		cfg.Scenarios = drill.Scenarios(drill.NetworkPartition)
		cfg.Transport = noTunnels{c.Transport}
		r, err := drill.Run(t.Context(), cfg)
		require.NoError(t, err)
		require.Contains(t, strings.Join(r.Results[0].Notes, "\n"), "the transport has no tunnels")
	})
}
