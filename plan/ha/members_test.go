package ha_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

const simulatedWAL = "/var/lib/quorate/etcd/member/wal/0000000000000000-0000000000000000.wal"

func requireThreeVoters(t *testing.T, hosts *hatest.Cluster) {
	t.Helper()
	running, voters := hosts.Quorum()
	require.Equal(t, [2]int{3, 3}, [2]int{running, voters})
}

// created is a cluster that has been brought up, what it was made from, and the plan.
func created(t *testing.T) (ha.Config, *hatest.Cluster, *plan.Plan) {
	t.Helper()
	cfg := config(t, hafixture.Three())
	hosts := fakeCluster(t, cfg.Cluster)
	p, err := planFor(cfg)
	require.NoError(t, err)
	mustRun(t.Context(), t, hosts, p)
	return cfg, hosts, p
}

// A setting with which etcd does not start stops at the first member, which runs again with
// its old unit; the others are not touched.
func TestEtcdStopsAtTheFirstBadMember(t *testing.T) {
	t.Parallel()
	bubble.Test(t, func(t *testing.T) {
		cfg, hosts, _ := created(t)
		unit, err := hosts.Host("cp-1").File("/etc/systemd/system/etcd.service")
		require.NoError(t, err)
		cfg.Cluster.Etcd.QuotaBytes = 5 << 30
		hosts.RefuseEtcdFlag("--quota-backend-bytes=5368709120")
		changed, err := planFor(cfg)
		require.NoError(t, err)
		for range 2 { // another run stops there too
			_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), changed)
			var failed *plan.StepError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, ha.StepEtcd.On("cp-1"), failed.Step)
			require.ErrorContains(t, err, "its old unit is in place again, and it runs")
			requireThreeVoters(t, hosts)
			after, err := hosts.Host("cp-1").File("/etc/systemd/system/etcd.service")
			require.NoError(t, err)
			require.Equal(t, unit.Data.Bytes(), after.Data.Bytes())
			for _, host := range []string{"cp-2", "cp-3"} {
				require.Empty(t, hosts.Outdated(host, "etcd.service"), host)
				require.Empty(t, commands(hosts, host, "systemctl restart etcd.service"), host)
			}
		}
		hosts.RefuseEtcdFlag("")
		mustRun(t.Context(), t, hosts, changed)
		requireThreeVoters(t, hosts)
		require.False(t, mustRun(t.Context(), t, hosts, changed).Changed())
	})
}

// A member whose others could not act meanwhile is not restarted.
func TestNoRestartWithoutTheOthers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		cfg, hosts, _ := created(t)
		cfg.Cluster.Etcd.QuotaBytes = 5 << 30
		changed, err := planFor(cfg)
		require.NoError(t, err)
		hosts.RefuseEtcdFlag("--quota-backend-bytes=") // whoever stops, stays so
		apply(t, hosts, "cp-3", "systemctl", "stop", "etcd.service")
		_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), changed)
		require.Error(t, err)
		running, voters := hosts.Quorum()
		require.Equal(t, [2]int{2, 3}, [2]int{running, voters})
	})
}

// Of a member whose disk is lost, systemd's start at boot leaves a database and no log: it
// comes back all the same, and what an earlier one has left aside stays.
func TestErrorOfAMemberFromItsLog(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		_, hosts, p := created(t)
		apply(t, hosts, "cp-2", "systemctl", "stop", "etcd.service")
		hosts.Host("cp-2").Delete(simulatedWAL)
		seed(t, hosts.Host("cp-2"), "/var/lib/quorate/etcd/member/snap/db", "of a start\n")
		seed(t, hosts.Host("cp-2"), "/var/lib/quorate/etcd/member.kept/wal/0.wal", "of before\n")
		apply(t, hosts, "cp-2", "systemctl", "start", "etcd.service") // it ends at once
		require.False(t, hosts.Active("cp-2", "etcd.service"))
		mustRun(t.Context(), t, hosts, p)
		requireThreeVoters(t, hosts)
		_, err := hosts.Host("cp-2").File("/var/lib/quorate/etcd/member.kept/wal/0.wal")
		require.NoError(t, err)
		require.False(t, mustRun(t.Context(), t, hosts, p).Changed())
	})
}

// A learner that loses its disk before it has its vote is replaced: it never gets one for a
// disk that is gone.
func TestReplacementOfALearnerWithoutItsDisk(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		_, hosts, p := created(t)
		apply(t, hosts, "cp-2", "systemctl", "stop", "etcd.service")
		hosts.Host("cp-2").Delete(simulatedWAL)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, err := (&plan.Runner{Transport: hosts, Observe: func(e plan.Event) {
			if e.Kind == plan.StepProgress && strings.Contains(e.Message, "has caught up") {
				cancel() // before it is promoted, or just after
			}
		}}).Run(ctx, p)
		require.Error(t, err)
		require.ErrorIs(t, errors.Join(err, ctx.Err()), context.Canceled)
		_, voters := hosts.Quorum()
		require.Equal(t, 2, voters, "it has its vote already")
		apply(t, hosts, "cp-2", "systemctl", "stop", "etcd.service")
		hosts.Host("cp-2").Delete(simulatedWAL)
		mustRun(t.Context(), t, hosts, p)
		requireThreeVoters(t, hosts)
		require.False(t, mustRun(t.Context(), t, hosts, p).Changed())
	})
}

// A host with the data of a member that was removed, as from an image of its disk, is told from the member that
// the cluster knows by the ID in its log, and comes in as a new one.
func TestDataOfARemovedMember(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		_, hosts, p := created(t)
		old, err := hosts.Host("cp-2").File(simulatedWAL)
		require.NoError(t, err)
		apply(t, hosts, "cp-2", "systemctl", "stop", "etcd.service")
		hosts.Host("cp-2").Delete(simulatedWAL)
		mustRun(t.Context(), t, hosts, p)
		requireThreeVoters(t, hosts)
		apply(t, hosts, "cp-2", "systemctl", "stop", "etcd.service")
		require.NoError(t, hosts.Host("cp-2").Put(old))
		apply(t, hosts, "cp-2", "systemctl", "start", "etcd.service")
		require.False(t, hosts.Active("cp-2", "etcd.service"))
		mustRun(t.Context(), t, hosts, p)
		requireThreeVoters(t, hosts)
		require.False(t, mustRun(t.Context(), t, hosts, p).Changed())
	})
}

// A worker that does not answer stops its own steps alone: the others are brought to what is
// described, another worker joins, and the run says at its end what it could not do.
func TestDeadWorkerStopsItsOwnStepsOnly(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := hafixture.Three()
		c.Nodes = append(c.Nodes, quorate.Node{Name: "worker-2", Role: quorate.Worker, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.15")}})
		cfg := config(t, c)
		hosts := fakeCluster(t, c)
		cfg.Cluster.Nodes = c.Nodes[:4]
		p, err := planFor(cfg)
		require.NoError(t, err)
		mustRun(t.Context(), t, hosts, p)
		hosts.Host("worker-1").SetDown(true)
		cfg.Cluster.Nodes = c.Nodes
		cfg.Cluster.Etcd.SnapshotCount = 20000
		p, err = planFor(cfg)
		require.NoError(t, err)
		sum, err := (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
		var failed *plan.RunError
		require.ErrorAs(t, err, &failed)
		require.Len(t, failed.Failed, 1)
		require.Equal(t, ha.StepFacts.On("worker-1"), failed.Failed[0].Step)
		for _, id := range failed.NotReached {
			ofWorker := strings.HasSuffix(string(id), "/worker-1") || strings.HasPrefix(string(id), "prerequisites/worker-1/")
			atTheEnd := id == ha.StepReady || id == ha.StepVIPHolder || strings.HasPrefix(string(id), string(ha.StepVIPLook)+"/")
			require.True(t, ofWorker || atTheEnd, id)
		}
		require.Contains(t, hosts.Nodes(), "worker-2")
		unit, err := hosts.Host("cp-3").File("/etc/systemd/system/etcd.service")
		require.NoError(t, err)
		require.Contains(t, string(unit.Data.Bytes()), "--snapshot-count=20000")
		require.Positive(t, sum.Outcomes[plan.Changed])

		hosts.Host("worker-1").SetDown(false)
		mustRun(t.Context(), t, hosts, p)
		require.False(t, mustRun(t.Context(), t, hosts, p).Changed())
	})
}

// A new member is not added beside one that nobody described: a dead one would count for ever.
func TestNoMemberIsAddedBesideAStray(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		four := hafixture.Three()
		four.AllowEvenControlPlanes = true
		four.Nodes = append(four.Nodes, quorate.Node{Name: "cp-4", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.24")}})
		hosts := fakeCluster(t, four)
		cfg := config(t, four)
		p, err := planFor(cfg)
		require.NoError(t, err)
		mustRun(t.Context(), t, hosts, p)
		gone, err := resetFor(cfg, ha.ResetConfig{Nodes: []string{"cp-4"}})
		require.NoError(t, err)
		mustRun(t.Context(), t, hosts, gone)
		requireThreeVoters(t, hosts)
		// cp-3 dies, and somebody deletes its node.
		apply(t, hosts, "cp-3", "systemctl", "stop", "etcd.service")
		apply(t, hosts, "cp-1", "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "delete", "node", "cp-3")
		hosts.Host("cp-3").SetDown(true)
		cfg.Cluster.Nodes = slices.Concat(four.Nodes[:2], four.Nodes[3:])
		cfg.Certs = reissued(t, cfg, cfg.Cluster)
		p, err = planFor(cfg)
		require.NoError(t, err)
		_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
		require.ErrorContains(t, err, "etcd has members that are not described, cp-3")
		running, voters := hosts.Quorum()
		require.Equal(t, [2]int{2, 3}, [2]int{running, voters})
	})
}

// A run that ends before it has noted with what a member was started leaves members that
// run and one that never did: the next run restarts the one and starts the other, since
// etcd holds nothing that anybody could miss.
func TestRestartInAnEmptyEtcd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		cfg := config(t, hafixture.Three())
		hosts := fakeCluster(t, cfg.Cluster)
		p, err := planFor(cfg)
		require.NoError(t, err)
		hosts.Host("cp-2").Inject(faketransport.Fault{
			On: func(op faketransport.Op) bool {
				return op.Kind == faketransport.Write && slices.ContainsFunc(op.Files, func(f transport.File) bool { return f.Path == "/var/lib/quorate/etcd.sha256" })
			},
			Nth: 2, Before: faketransport.DiskFull,
		})
		_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
		require.Error(t, err)
		running, _ := hosts.Quorum()
		require.Equal(t, 2, running)
		mustRun(t.Context(), t, hosts, p)
		requireThreeVoters(t, hosts)
	})
}
