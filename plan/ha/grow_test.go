package ha_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
)

// From one control plane to three to five and back to three: etcd has its quorum at every call, no member
// that is there is restarted, the VIP moves only when its holder leaves, and the leader hands over first.
func TestOneToThreeToFiveToThree(t *testing.T) {
	for _, balanced := range []bool{false, true} {
		bubble.Test(t, func(t *testing.T) {
			all := five()
			if balanced {
				all.Endpoint.LoadBalancer = quorate.HAProxy
			}
			cfg := sweepConfig(t)
			cfg.Certs = bundleOf(t, all)
			alone := all
			alone.Nodes = all.Nodes[:1]
			hosts := fakeCluster(t, alone)
			of := func(names ...string) *plan.Plan {
				c := all
				c.Nodes = slices.DeleteFunc(slices.Clone(all.Nodes), func(n quorate.Node) bool { return !slices.Contains(names, n.Name) })
				cfg.Cluster = c
				p, err := planFor(cfg)
				require.NoError(t, err)
				return p
			}
			restarts := func(unit string) (n int) {
				for _, node := range all.Nodes {
					n += len(commands(hosts, node.Name, "restart "+unit))
				}
				return n
			}
			mustRun(t.Context(), t, hosts, of("cp-1"))
			for _, n := range all.Nodes[1:] {
				require.NoError(t, hosts.Add(n))
			}
			lost := watch(hosts, all)
			three, five := of("cp-1", "cp-2", "cp-3"), of("cp-1", "cp-2", "cp-3", "cp-4", "cp-5")
			mustRun(t.Context(), t, hosts, three)
			requireThreeVoters(t, hosts)
			require.False(t, mustRun(t.Context(), t, hosts, three).Changed())
			require.Empty(t, surveyOf(t, hosts, cfg).Differences)
			first := restarts("keepalived.service") // it begins to send to peers
			mustRun(t.Context(), t, hosts, five)
			require.Len(t, hosts.Members(), 5)
			require.False(t, mustRun(t.Context(), t, hosts, five).Changed())
			require.Equal(t, "cp-1", hosts.VIPHolder())
			reset, err := resetFor(cfg, ha.ResetConfig{Nodes: []string{"cp-1", "cp-3"}})
			require.NoError(t, err)
			mustRun(t.Context(), t, hosts, reset)
			left := of("cp-2", "cp-4", "cp-5")
			mustRun(t.Context(), t, hosts, left)
			requireThreeVoters(t, hosts)
			require.False(t, mustRun(t.Context(), t, hosts, left).Changed())
			require.Empty(t, surveyOf(t, hosts, cfg).Differences)
			require.Empty(t, lost())
			require.Zero(t, restarts("etcd.service"))
			require.Zero(t, restarts("haproxy.service"))
			require.Equal(t, first, restarts("keepalived.service"))
			for _, n := range cfg.Cluster.ControlPlanes() {
				requireForgotten(t, hosts, n.Name, hafixture.Three(), "cp-1")
				for _, unit := range []string{"etcd.service", "keepalived.service", "haproxy.service"} {
					require.Empty(t, hosts.Outdated(n.Name, unit))
				}
			}
		})
	}
}
