package ha_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

func replaceFor(cfg ha.Config, o ha.ReplaceConfig) (*plan.Plan, error) {
	c, err := ha.New(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	return c.PlanReplace(o)
}

// spare is a control plane that is not in the description yet.
func spare() quorate.Node {
	return quorate.Node{Name: "cp-4", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.24")}}
}

// instead is the description with another node in the place of one, or with one fewer.
func instead(c quorate.Cluster, old string, with ...quorate.Node) quorate.Cluster {
	i := slices.IndexFunc(c.Nodes, func(n quorate.Node) bool { return n.Name == old })
	c.Nodes = slices.Replace(slices.Clone(c.Nodes), i, i+1, with...)
	return c
}

// broken is a cluster in memory of which one host has lost its power, with a spare host beside it.
func broken(t *testing.T, cfg ha.Config, old string, with ...quorate.Node) *hatest.Cluster {
	t.Helper()
	hosts := running(t, cfg)
	for _, n := range with {
		require.NoError(t, hosts.Add(n))
	}
	require.NoError(t, hosts.CutPower(old))
	return hosts
}

// A dead control plane, whichever it is, is replaced under another name and address; a second run
// changes nothing, and when the dead one gets its power again it takes part in nothing.
func TestReplaceADeadControlPlane(t *testing.T) {
	for _, minor := range []int{10, 13, 16, 21, 30, 37} {
		for _, old := range []string{"cp-1", "cp-2", "cp-3"} {
			if minor != 37 && old != "cp-1" {
				continue
			}
			t.Run(quorate.Version{Major: 1, Minor: minor}.String()+" "+old, func(t *testing.T) {
				t.Parallel()
				bubble.Test(t, func(t *testing.T) {
					cfg := sweepConfig(t)
					cfg.Cluster.Version.Minor = minor
					if minor < 37 {
						cfg.Cluster.Name = ""
					}
					cfg.Certs = bundleOf(t, cfg.Cluster)
					cp4 := spare()
					hosts := broken(t, cfg, old, cp4)
					before := filesOnHost(t, hosts, old)
					cfg.Cluster = instead(cfg.Cluster, old, cp4)
					cfg.Certs = reissued(t, cfg, cfg.Cluster)
					p, err := replaceFor(cfg, ha.ReplaceConfig{Nodes: []ha.Replacement{{Old: old, New: "cp-4", Fenced: true}}})
					require.NoError(t, err)
					lost := watch(hosts, cfg.Cluster)
					mustRun(t.Context(), t, hosts, p)
					require.Empty(t, lost())
					requireThreeVoters(t, hosts)
					require.NotContains(t, hosts.Members(), old)
					require.Contains(t, hosts.Members(), "cp-4")
					require.NotContains(t, hosts.Nodes(), old)
					require.Contains(t, hosts.Nodes(), "cp-4")
					for _, n := range cfg.Cluster.ControlPlanes() {
						requireForgotten(t, hosts, n.Name, hafixture.Three(), old)
					}
					require.False(t, mustRun(t.Context(), t, hosts, p).Changed())
					create, err := planFor(cfg)
					require.NoError(t, err)
					require.False(t, mustRun(t.Context(), t, hosts, create).Changed())
					require.Empty(t, surveyOf(t, hosts, cfg).Differences)

					require.NoError(t, hosts.Boot(old))
					require.False(t, hosts.Active(old, "etcd.service"), "etcd lets it in")
					require.NotEqual(t, old, hosts.VIPHolder())
					require.NotEmpty(t, hosts.VIPHolder())
					requireThreeVoters(t, hosts)
					require.Equal(t, before, filesOnHost(t, hosts, old))
					// The VIP's holder fails: another that is described takes it.
					require.NoError(t, hosts.CutPower(hosts.VIPHolder()))
					require.Contains(t, []string{"cp-1", "cp-2", "cp-3", "cp-4"}, hosts.VIPHolder())
					require.NotEqual(t, old, hosts.VIPHolder())
				})
			})
		}
	}
}

// The kubelet of a worker that was removed registers its node again when the host starts: a run
// refuses to pass over it, and what removes it says that it is alive.
func TestReturnOfARemovedWorker(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		cfg := sweepConfig(t)
		hosts := broken(t, cfg, "worker-1")
		cfg.Cluster = instead(cfg.Cluster, "worker-1")
		p, err := replaceFor(cfg, ha.ReplaceConfig{Nodes: []ha.Replacement{{Old: "worker-1", Fenced: true}}})
		require.NoError(t, err)
		mustRun(t.Context(), t, hosts, p)
		require.NotContains(t, hosts.Nodes(), "worker-1")
		require.NoError(t, hosts.Boot("worker-1"))
		require.Contains(t, hosts.Nodes(), "worker-1")
		create, err := planFor(cfg)
		require.NoError(t, err)
		_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), create)
		require.ErrorContains(t, err, "PlanReplace")
		_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
		require.ErrorContains(t, err, "node worker-1 is Ready, and its host is to be gone for good")
		require.NoError(t, hosts.CutPower("worker-1"))
		mustRun(t.Context(), t, hosts, p)
		require.NotContains(t, hosts.Nodes(), "worker-1")
	})
}

// requireForgotten wants a name and an address nowhere in what programs of a host read.
func requireForgotten(t *testing.T, hosts *hatest.Cluster, host string, c quorate.Cluster, old string) {
	t.Helper()
	n, _ := c.Node(old)
	for _, path := range hosts.Host(host).Files() {
		if !strings.HasPrefix(path, "/etc/keepalived/") && !strings.HasPrefix(path, "/etc/haproxy/") && path != "/etc/systemd/system/etcd.service" {
			continue
		}
		f, err := hosts.Host(host).File(path)
		require.NoError(t, err)
		require.NotContains(t, string(f.Data.Bytes()), n.Address().String()+":", path)
		require.NotContains(t, string(f.Data.Bytes()), n.Address().String()+"\n", path)
		require.NotContains(t, string(f.Data.Bytes()), old+"=", path)
	}
}

// Nothing is removed, and nothing done to any host, where it would cost more than what is dead already.
func TestReplaceRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		before func(t *testing.T, hosts *hatest.Cluster)
		want   string
		quorum bool
	}{
		"another member is down": {func(t *testing.T, hosts *hatest.Cluster) {
			require.NoError(t, hosts.CutPower("cp-2"))
			apply(t, hosts, "cp-3", "systemctl", "stop", "etcd.service")
		}, "", true},
		"it is alive": {func(t *testing.T, hosts *hatest.Cluster) {}, "etcd member cp-2 answers at https://192.0.2.12:2379", false},
		"its kubelet is alive": {func(t *testing.T, hosts *hatest.Cluster) {
			apply(t, hosts, "cp-2", "systemctl", "stop", "etcd.service")
		}, "node cp-2 is Ready, and its host is to be gone for good", false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				cfg := sweepConfig(t)
				hosts := running(t, cfg)
				cp4 := spare()
				require.NoError(t, hosts.Add(cp4))
				c.before(t, hosts)
				before := stateOf(t, hosts)
				cfg.Cluster = instead(cfg.Cluster, "cp-2", cp4)
				cfg.Certs = reissued(t, cfg, cfg.Cluster)
				p, err := replaceFor(cfg, ha.ReplaceConfig{Nodes: []ha.Replacement{{Old: "cp-2", New: "cp-4", Fenced: true}}})
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				_, err = (&plan.Runner{Transport: hosts}).Run(ctx, p)
				require.ErrorContains(t, err, c.want)
				var quorum *ha.QuorumError
				if c.quorum {
					require.Error(t, err)
				} else {
					require.False(t, errors.As(err, &quorum), "%v", err)
				}
				require.Equal(t, before, stateOf(t, hosts))
				require.Contains(t, hosts.Members(), "cp-2")
				require.Empty(t, commands(hosts, "cp-4", "systemctl start"))
			})
		})
	}
}

// One of five is removed only while the four others are well: a majority is not enough.
func TestReplaceWantsEverybodyElse(t *testing.T) {
	cfg := config(t, five())
	hosts := running(t, cfg)
	require.NoError(t, hosts.CutPower("cp-4"))
	apply(t, hosts, "cp-5", "systemctl", "stop", "etcd.service")
	cfg.Cluster = instead(cfg.Cluster, "cp-4")
	cfg.Cluster.AllowEvenControlPlanes = true
	cfg.Certs = reissued(t, cfg, cfg.Cluster)
	p, err := replaceFor(cfg, ha.ReplaceConfig{Nodes: []ha.Replacement{{Old: "cp-4", Fenced: true}}})
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	var quorum *ha.QuorumError
	require.ErrorAs(t, err, &quorum)
	require.True(t, quorum.All)
	require.Equal(t, []string{"cp-1", "cp-2", "cp-3"}, quorum.Healthy)
	require.Len(t, hosts.Members(), 5)

	apply(t, hosts, "cp-5", "systemctl", "start", "etcd.service")
	mustRun(t.Context(), t, hosts, p)
	require.Equal(t, []string{"cp-1", "cp-2", "cp-3", "cp-5"}, hosts.Members())
	require.False(t, mustRun(t.Context(), t, hosts, p).Changed())
}

// A worker whose host is gone leaves nothing behind, and two of five control planes go at once.
func TestRemoveForGood(t *testing.T) {
	cfg := config(t, five())
	hosts := running(t, cfg)
	var gone []ha.Replacement
	for _, name := range []string{"cp-1", "cp-5", "worker-1"} {
		require.NoError(t, hosts.CutPower(name))
		cfg.Cluster = instead(cfg.Cluster, name)
		gone = append(gone, ha.Replacement{Old: name, Fenced: true})
	}
	cfg.Certs = reissued(t, cfg, cfg.Cluster)
	p, err := replaceFor(cfg, ha.ReplaceConfig{Nodes: gone})
	require.NoError(t, err)
	mustRun(t.Context(), t, hosts, p)
	require.Equal(t, []string{"cp-2", "cp-3", "cp-4"}, hosts.Members())
	require.Equal(t, []string{"cp-2", "cp-3", "cp-4"}, hosts.Nodes())
	requireThreeVoters(t, hosts)
	require.False(t, mustRun(t.Context(), t, hosts, p).Changed())
	create, err := planFor(cfg)
	require.NoError(t, err)
	require.False(t, mustRun(t.Context(), t, hosts, create).Changed())
}

// What cannot be meant is refused before any host is touched, all of it at once.
func TestReplaceProblems(t *testing.T) {
	cfg := config(t, hafixture.Three())
	for _, c := range []struct {
		o    ha.ReplaceConfig
		want []string
	}{
		{ha.ReplaceConfig{}, []string{"nodes: name the nodes"}},
		{ha.ReplaceConfig{Nodes: []ha.Replacement{{Old: "cp-2"}, {Old: "cp-9", New: "cp-8"}, {Fenced: true}}, Via: "worker-1"}, []string{
			`nodes[0].old: "cp-2" is described`, "nodes[0].fenced: state", "nodes[1].fenced: state", `nodes[1].new: "cp-8"`, "nodes[2].old: missing", `via: "worker-1"`,
		}},
		{ha.ReplaceConfig{Nodes: []ha.Replacement{{Old: "a", New: "cp-1", Fenced: true}, {Old: "a", New: "cp-1", Fenced: true}}, Via: "cp-1"}, []string{
			`nodes[1].old: "a" is listed twice`, `nodes[1].new: "cp-1" is listed twice`, `via: "cp-1"`,
		}},
		{ha.ReplaceConfig{Nodes: []ha.Replacement{{Old: "a", New: "cp-1", Fenced: true}, {Old: "b", New: "cp-2", Fenced: true}, {Old: "c", New: "cp-3", Fenced: true}}}, []string{
			"nodes: no control plane is left",
		}},
	} {
		_, err := replaceFor(cfg, c.o)
		var invalid *quorate.InvalidError
		require.ErrorAs(t, err, &invalid)
		for _, want := range c.want {
			require.ErrorContains(t, err, want)
		}
	}
}

// filesOnHost are those of one host, without its processes.
func filesOnHost(t *testing.T, hosts *hatest.Cluster, host string) string {
	t.Helper()
	var b strings.Builder
	for _, path := range hosts.Host(host).Files() {
		if strings.HasPrefix(path, "/proc/") {
			continue
		}
		f, err := hosts.Host(host).File(path)
		require.NoError(t, err)
		b.WriteString(path + " " + string(f.Data.Bytes()) + "\n")
	}
	return b.String()
}

// Before Kubernetes 1.22 kubeadm keeps where API servers are, and a stacked join asks every one.
func TestReplaceForgetsTheEndpoint(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		cfg := sweepConfig(t)
		cfg.Cluster.Version.Minor, cfg.Cluster.Name = 21, ""
		cfg.Certs = bundleOf(t, cfg.Cluster)
		hosts := broken(t, cfg, "cp-2")
		var kept string
		hosts.EditConfigMap("kubeadm-config", "ClusterStatus", func(string) string {
			return "apiEndpoints:\n  cp-1: {advertiseAddress: 192.0.2.11, bindPort: 6443}\n  cp-2: {advertiseAddress: 192.0.2.12, bindPort: 6443}\nkind: ClusterStatus\n"
		})
		cfg.Cluster = instead(cfg.Cluster, "cp-2")
		cfg.Cluster.AllowEvenControlPlanes = true
		p, err := replaceFor(cfg, ha.ReplaceConfig{Nodes: []ha.Replacement{{Old: "cp-2", Fenced: true}}})
		require.NoError(t, err)
		mustRun(t.Context(), t, hosts, p)
		hosts.EditConfigMap("kubeadm-config", "ClusterStatus", func(s string) string { kept = s; return s })
		require.Equal(t, "apiEndpoints:\n  cp-1:\n    advertiseAddress: 192.0.2.11\n    bindPort: 6443\nkind: ClusterStatus\n", kept)
		require.False(t, mustRun(t.Context(), t, hosts, p).Changed())
	})
}

// A connection that is lost while etcd is asked says nothing of the others: the new member joins them,
// and never starts as one of a new cluster.
func TestLostConnectionIsNoEmptyCluster(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		cfg := sweepConfig(t)
		cp4 := spare()
		hosts := broken(t, cfg, "cp-2", cp4)
		cfg.Cluster = instead(cfg.Cluster, "cp-2", cp4)
		cfg.Certs = reissued(t, cfg, cfg.Cluster)
		p, err := replaceFor(cfg, ha.ReplaceConfig{Nodes: []ha.Replacement{{Old: "cp-2", New: "cp-4", Fenced: true}}})
		require.NoError(t, err)
		hosts.Host("cp-4").Inject(faketransport.Fault{Nth: 1, Before: faketransport.Reset, On: func(op faketransport.Op) bool {
			return op.Kind == faketransport.Tunnel && len(hosts.Members()) == 2
		}})
		mustRun(t.Context(), t, hosts, p)
		requireThreeVoters(t, hosts)
		for _, path := range hosts.Host("cp-4").Files() {
			require.NotContains(t, path, "member.kept")
		}
	})
}
