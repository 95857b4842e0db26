package ha_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
)

// workers is three control planes and three workers.
func workers() quorate.Cluster {
	c := hafixture.Three()
	for i, name := range []string{"worker-2", "worker-3"} {
		c.Nodes = append(c.Nodes, quorate.Node{Name: name, Role: quorate.Worker, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(15 + i)})}})
	}
	return c
}

// Pods leave a node before it is reset, and never go to another that leaves; what a budget holds stops
// its own node alone, and is named.
func TestResetDrains(t *testing.T) {
	for _, minor := range []int{10, 19, 37} {
		bubble.Test(t, func(t *testing.T) {
			cfg := sweepConfig(t)
			cfg.Cluster = workers()
			cfg.Cluster.Version.Minor = minor
			if minor < 37 {
				cfg.Cluster.Name = ""
			}
			cfg.Certs = bundleOf(t, cfg.Cluster)
			hosts := running(t, cfg)
			hosts.Run("worker-1", hatest.Pod{Namespace: "shop", Name: "web-0", Controller: "StatefulSet"})
			hosts.Run("worker-1", hatest.Pod{Namespace: "kube-system", Name: "proxy-a", Controller: "DaemonSet"})
			hosts.Run("worker-2", hatest.Pod{Namespace: "shop", Name: "db-0", Controller: "StatefulSet", Budget: true})
			hosts.Run("cp-3", hatest.Pod{Namespace: "shop", Name: "web-1", Controller: "ReplicaSet"})
			reset, err := resetFor(cfg, ha.ResetConfig{Nodes: []string{"worker-1", "worker-2", "cp-3"}, Drain: ha.Drain{Timeout: time.Minute}})
			require.NoError(t, err)
			_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), reset)
			var drain *ha.DrainError
			require.ErrorAs(t, err, &drain)
			require.Equal(t, "worker-2", drain.Node)
			require.Equal(t, []string{"shop/db-0"}, drain.Pods)
			require.ErrorContains(t, err, "after 1m0s there are still shop/db-0")
			require.Equal(t, []string{"cp-1", "cp-2", "worker-2", "worker-3"}, hosts.Nodes())
			require.Equal(t, []string{"shop/web-0", "shop/web-1"}, hosts.Pods("worker-3"))
			require.Equal(t, []string{"shop/db-0"}, hosts.Pods("worker-2"))
			require.True(t, hosts.Active("worker-2", "kubelet.service"))

			hosts.Run("worker-2", hatest.Pod{Namespace: "shop", Name: "db-0", Controller: "StatefulSet"})
			mustRun(t.Context(), t, hosts, reset)
			require.Equal(t, []string{"cp-1", "cp-2", "worker-3"}, hosts.Nodes())
			require.False(t, mustRun(t.Context(), t, hosts, reset).Changed())
		})
	}
}

// A pod that nothing makes again stops its node, unless it may go; and a node may be reset with what runs
// there.
func TestResetOfUnmanagedPods(t *testing.T) {
	for name, tt := range map[string]struct {
		drain ha.Drain
		want  string
		left  []string
	}{
		"refused": {ha.Drain{}, "node worker-1 runs pods that nothing makes again elsewhere: shop/job", []string{"shop/job"}},
		"deleted": {ha.Drain{Unmanaged: true}, "", nil},
		"skipped": {ha.Drain{Skip: true}, "", []string{"shop/job"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, workers())
			hosts := running(t, cfg)
			hosts.Run("worker-1", hatest.Pod{Namespace: "shop", Name: "job"})
			reset, err := resetFor(cfg, ha.ResetConfig{Nodes: []string{"worker-1"}, Drain: tt.drain})
			require.NoError(t, err)
			_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), reset)
			require.Equal(t, tt.left, hosts.Pods("worker-1"))
			if tt.want == "" {
				require.NoError(t, err)
				require.NotContains(t, hosts.Nodes(), "worker-1")
				return
			}
			require.ErrorContains(t, err, tt.want)
			require.Contains(t, hosts.Nodes(), "worker-1")
		})
	}
}

// A worker that does not answer stops its own way out alone.
func TestResetBesideADeadWorker(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		cfg := sweepConfig(t)
		cfg.Cluster = workers()
		cfg.Certs = bundleOf(t, cfg.Cluster)
		hosts := running(t, cfg)
		require.NoError(t, hosts.CutPower("worker-1"))
		reset, err := resetFor(cfg, ha.ResetConfig{Nodes: []string{"worker-1", "worker-2", "cp-3"}})
		require.NoError(t, err)
		_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), reset)
		var failed *plan.RunError
		require.ErrorAs(t, err, &failed)
		require.Len(t, failed.Failed, 1)
		require.Equal(t, ha.StepFacts.On("worker-1"), failed.Failed[0].Step)
		require.Equal(t, []string{"cp-1", "cp-2", "worker-1", "worker-3"}, hosts.Nodes())
	})
}

// Of several control planes that leave the VIP's holder hands over last, before any is reset: the VIP
// moves once, to one that stays.
func TestShrinkMovesTheVIPOnce(t *testing.T) {
	cfg := config(t, five())
	hosts := running(t, cfg)
	require.Equal(t, "cp-1", hosts.VIPHolder())
	reset, err := resetFor(cfg, ha.ResetConfig{Nodes: []string{"cp-1", "cp-2"}})
	require.NoError(t, err)
	var holders []string
	lost := watch(hosts, cfg.Cluster)
	_, err = (&plan.Runner{Transport: hosts, Parallel: 1, Observe: func(e plan.Event) {
		if e.Kind == plan.StepEnded {
			if now := hosts.VIPHolder(); len(holders) == 0 || holders[len(holders)-1] != now {
				holders = append(holders, now)
			}
		}
	}}).Run(t.Context(), reset)
	require.NoError(t, err)
	require.Equal(t, []string{"cp-1", "cp-3"}, holders)
	require.Empty(t, lost())
	require.Equal(t, []string{"cp-3", "cp-4", "cp-5"}, hosts.Members())
}
