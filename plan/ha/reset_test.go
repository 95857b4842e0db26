package ha_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/internal/members"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// planOf is a recipe and what resets it.
func planOf(t require.TestingT, cfg ha.Config, o ha.ResetConfig) (create, reset *plan.Plan) {
	create, err := planFor(cfg)
	require.NoError(t, err)
	reset, err = resetFor(cfg, o)
	require.NoError(t, err)
	return create, reset
}

func mustRun(ctx context.Context, t require.TestingT, hosts transport.Transport, p *plan.Plan) plan.Summary {
	sum, err := (&plan.Runner{Transport: hosts}).Run(ctx, p)
	require.NoError(t, err)
	return sum
}

// The steps of a reset, what each waits for and what it locks, are reviewed by
// eye when they change.
func TestStepsOfReset(t *testing.T) {
	cfg := config(t, hafixture.Three())
	for name, o := range map[string]ha.ResetConfig{
		"reset-some.txt":  {Nodes: []string{"cp-1", "worker-1"}},
		"reset-whole.txt": {WholeCluster: true, Data: ha.RemoveData},
	} {
		_, p := planOf(t, cfg, o)
		goldenText(t, name, stepsText(p))
	}
}

// A node that is reset leaves a cluster that goes on, leaves nothing behind but
// what is kept, and comes back by the recipe; each run a second time changes
// nothing. In every era: with learners of etcd and without, with control planes
// that join and with such as are all initialised.
func TestResetAndRejoinOfANode(t *testing.T) {
	for _, minor := range []int{10, 15, 37} {
		for i, nodes := range [][]string{{"cp-1"}, {"cp-2"}, {"worker-1"}, {"cp-3", "worker-1"}, {"cp-1", "cp-3"}} {
			t.Run(fmt.Sprintf("1.%d %v", minor, nodes), func(t *testing.T) {
				t.Parallel()
				c := hafixture.Three()
				c.Name, c.Version = "", quorate.Version{Major: 1, Minor: minor, Patch: 2}
				resetAndBack(t, c, ha.ResetConfig{Nodes: nodes, Data: []ha.Data{ha.KeepData, ha.RemoveData}[i%2]})
			})
		}
	}
}

// A member that leads etcd hands over before it leaves: to that of the control
// plane through which the reset is done. Where it cannot, it leaves all the same.
func TestRemovalOfTheLeader(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		options ha.ResetConfig
		cut     bool // the leader cannot be reached
		want    []string
	}{
		"the leader":          {options: ha.ResetConfig{Nodes: []string{"cp-1"}, Via: "cp-3"}, want: []string{"handing over etcd's leadership to cp-3"}},
		"one after the other": {options: ha.ResetConfig{Nodes: []string{"cp-1", "cp-2"}}, want: []string{"handing over etcd's leadership to cp-3"}},
		"another":             {options: ha.ResetConfig{Nodes: []string{"cp-2"}}},
		"cut off": {options: ha.ResetConfig{Nodes: []string{"cp-1"}}, cut: true, want: []string{
			"handing over etcd's leadership to cp-2", "; an election follows",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			hosts := fakeCluster(t, hafixture.Three())
			create, reset := planOf(t, config(t, hafixture.Three()), tt.options)
			_, err := (&plan.Runner{Transport: hosts, Parallel: 1}).Run(t.Context(), create) // cp-1 starts first, and leads
			require.NoError(t, err)
			dials := 0
			if tt.cut {
				leaving := hafixture.Three().Nodes[0].Address().String()
				hosts.Host("cp-2").Inject(faketransport.Fault{On: func(op faketransport.Op) bool {
					tunnel := op.Kind == faketransport.Tunnel && len(op.Argv) == 2 && strings.HasPrefix(op.Argv[1], leaving+":")
					if tunnel {
						dials++
					}
					return tunnel && dials > 1 // the first is the survivors' guard
				}, Before: faketransport.Refuse})
			}
			var said []string
			_, err = (&plan.Runner{Transport: hosts, Observe: func(e plan.Event) {
				if e.Kind == plan.StepProgress && strings.HasPrefix(string(e.Step), "etcd-leave/") {
					said = append(said, e.Message)
				}
			}}).Run(t.Context(), reset)
			require.NoError(t, err)
			require.Len(t, said, len(tt.want), "%v", said)
			for i, want := range tt.want {
				require.Contains(t, said[i], want)
			}
		})
	}
}

func resetAndBack(t *testing.T, c quorate.Cluster, o ha.ResetConfig) {
	hosts := fakeCluster(t, c)
	cfg := config(t, c)
	cfg.Manifests = []ha.Manifest{{Name: "network", Content: quorate.Public([]byte("kind: DaemonSet\n"))}}
	create, reset := planOf(t, cfg, o)
	mustRun(t.Context(), t, hosts, create)
	require.True(t, mustRun(t.Context(), t, hosts, reset).Changed())

	all, members := []string{"cp-1", "cp-2", "cp-3", "worker-1"}, []string{"cp-1", "cp-2", "cp-3"}
	gone := func(name string) bool { return o.WholeCluster || slices.Contains(o.Nodes, name) }
	if !o.WholeCluster {
		require.Equal(t, slices.DeleteFunc(slices.Clone(all), gone), hosts.Nodes())
		require.ElementsMatch(t, slices.DeleteFunc(slices.Clone(members), gone), hosts.Members())
		running, voters := hosts.Quorum()
		require.Equal(t, voters, running)
	}
	for _, name := range all {
		if !gone(name) {
			require.True(t, hosts.Active(name, "kubelet.service"), name)
			continue
		}
		for _, unit := range []string{"etcd.service", "keepalived.service", "haproxy.service", "kubelet.service"} {
			require.False(t, hosts.Active(name, unit), "%s on %s", unit, name)
		}
		kept := 0
		for _, path := range hosts.Host(name).Files() {
			switch {
			case path == "/proc/1/comm" || strings.HasPrefix(path, "/proc/sys/") || path == "/etc/kubernetes/kubelet.conf.d":
			case strings.HasPrefix(path, ha.KeptDir+"/") || strings.Contains(path, "/member.kept/"):
				kept++
			default:
				t.Errorf("%s still has %s", name, path)
			}
		}
		if want := o.Data == ha.KeepData && name != "worker-1"; (kept > 0) != want {
			t.Errorf("%s keeps %d files", name, kept)
		}
	}
	again := mustRun(t.Context(), t, hosts, reset)
	require.Equal(t, map[plan.Outcome]int{plan.Unchanged: reset.Len()}, again.Outcomes)

	require.True(t, mustRun(t.Context(), t, hosts, create).Changed())
	require.Equal(t, all, hosts.Nodes())
	require.ElementsMatch(t, members, hosts.Members())
	running, voters := hosts.Quorum()
	require.Equal(t, []int{3, 3}, []int{running, voters})
	again = mustRun(t.Context(), t, hosts, create)
	require.Equal(t, map[plan.Outcome]int{plan.Unchanged: create.Len()}, again.Outcomes)
}

// haproxy goes with its control plane.
func TestResetOfHAProxy(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]ha.ResetConfig{
		"some":  {Nodes: []string{"cp-1"}, Data: ha.RemoveData},
		"whole": {WholeCluster: true},
	} {
		t.Run(name, func(t *testing.T) { resetAndBack(t, hafixture.Balanced(), o) })
	}
}

// The whole cluster is reset to hosts on which the recipe makes a new one.
func TestResetAndCreate(t *testing.T) {
	t.Parallel()
	for _, minor := range []int{10, 15, 37} {
		c := hafixture.Three()
		c.Name, c.Version = "", quorate.Version{Major: 1, Minor: minor, Patch: 2}
		for _, data := range []ha.Data{ha.KeepData, ha.RemoveData} {
			resetAndBack(t, c, ha.ResetConfig{WholeCluster: true, Data: data})
		}
	}
}

// What cannot be meant is refused before any host is touched.
func TestResetRefuses(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]ha.ResetConfig{
		"nodes: name the nodes to reset, or set WholeCluster": {},
		"and not both": {Nodes: []string{"cp-1"}, WholeCluster: true},
		`nodes[1]: "cp-9" is no node of this description: if the cluster has it, describe it again`: {Nodes: []string{"cp-1", "cp-9"}},
		`nodes[1]: "cp-1" is listed twice`:                 {Nodes: []string{"cp-1", "cp-1"}},
		"nodes: no control plane would be left":            {Nodes: []string{"cp-1", "cp-2", "cp-3"}},
		`via: "cp-2": want a control plane that stays`:     {Nodes: []string{"cp-2"}, Via: "cp-2"},
		`via: "worker-1": want a control plane that stays`: {Nodes: []string{"cp-2"}, Via: "worker-1"},
		`via: "cp-1": want a control plane that stays`:     {WholeCluster: true, Via: "cp-1"},
		"data: 7: want KeepData or RemoveData":             {WholeCluster: true, Data: 7},
		`nodes[0]: "x" is no node`:                         {Nodes: []string{"x", "cp-1", "cp-2", "cp-3"}, Via: "y"},
		`via: "y": want`:                                   {Nodes: []string{"x", "cp-1", "cp-2", "cp-3"}, Via: "y"},
	} {
		_, err := resetFor(config(t, hafixture.Three()), o)
		var invalid *quorate.InvalidError
		require.ErrorAs(t, err, &invalid, want)
		require.ErrorContains(t, err, want)
	}
	c := hafixture.Three()
	c.Etcd.Stacked = true
	_, err := resetFor(config(t, c), ha.ResetConfig{WholeCluster: true})
	require.ErrorContains(t, err, "data: kubeadm reset removes the data of a stacked member")
	_, err = resetFor(config(t, c), ha.ResetConfig{WholeCluster: true, Data: ha.RemoveData})
	require.NoError(t, err)
}

// on runs a command on a host.
func on(t *testing.T, hosts *hatest.Cluster, host string, argv ...string) {
	t.Helper()
	conn, err := hosts.Dial(t.Context(), host)
	require.NoError(t, err)
	require.NoError(t, conn.Run(t.Context(), transport.Cmd{Argv: argv}))
	require.NoError(t, conn.Close())
}

// A reset that the cluster could not do without is refused, and nothing has been
// changed then: no member of etcd, no file, no unit.
func TestResetRefusesToLoseQuorum(t *testing.T) {
	cfg := config(t, hafixture.Three())
	for name, tt := range map[string]struct {
		down   func(t *testing.T, hosts *hatest.Cluster)
		nodes  []string
		via    string
		quorum bool
		want   string
	}{
		"another member is down": {
			func(t *testing.T, hosts *hatest.Cluster) { on(t, hosts, "cp-3", "systemctl", "stop", "etcd.service") },
			[]string{"cp-2"}, "", true, "etcd member cp-2 stays: of the 2 that would be left 1 are healthy (cp-1), and it takes 2",
		},
		"two others are down": {
			func(t *testing.T, hosts *hatest.Cluster) {
				on(t, hosts, "cp-3", "systemctl", "stop", "etcd.service")
				on(t, hosts, "cp-2", "systemctl", "stop", "etcd.service")
			}, []string{"cp-2"}, "", false, "the API server at https://192.0.2.11:6443/readyz is not well",
		},
		"the second is one too many": {
			func(t *testing.T, hosts *hatest.Cluster) { on(t, hosts, "cp-1", "systemctl", "stop", "etcd.service") },
			[]string{"cp-2", "worker-1"}, "cp-3", true, "etcd member cp-2 stays",
		},
		"the VIP has nowhere to go": {
			func(t *testing.T, hosts *hatest.Cluster) {
				on(t, hosts, "cp-1", "systemctl", "stop", "keepalived.service")
			}, []string{"cp-2"}, "", false, "keepalived is inactive here, and the VIP would have nowhere to go",
		},
	} {
		t.Run(name, func(t *testing.T) {
			hosts := fakeCluster(t, cfg.Cluster)
			create, reset := planOf(t, cfg, ha.ResetConfig{Nodes: tt.nodes, Via: tt.via})
			mustRun(t.Context(), t, hosts, create)
			tt.down(t, hosts)
			before := stateOf(t, hosts)
			_, err := (&plan.Runner{Transport: hosts}).Run(t.Context(), reset)
			require.ErrorContains(t, err, tt.want)
			var quorum *members.QuorumError
			require.Equal(t, tt.quorum, errors.As(err, &quorum), "%v", err)
			require.Equal(t, before, stateOf(t, hosts))
		})
	}
}

// The member whose own host is to go may be the one that is down.
func TestRemovalOfAMemberThatIsDown(t *testing.T) {
	cfg := config(t, hafixture.Three())
	hosts := fakeCluster(t, cfg.Cluster)
	create, reset := planOf(t, cfg, ha.ResetConfig{Nodes: []string{"cp-2"}})
	mustRun(t.Context(), t, hosts, create)
	on(t, hosts, "cp-2", "systemctl", "stop", "etcd.service")
	mustRun(t.Context(), t, hosts, reset)
	require.Equal(t, []string{"cp-1", "cp-3"}, hosts.Members())
}

// A host that has lost its disk takes its place again, as a new member; not while
// the others could not do without the old one.
func TestLostDisk(t *testing.T) {
	t.Parallel()
	cfg := inBubble(t, config(t, hafixture.Three()))
	create, err := planFor(cfg)
	require.NoError(t, err)
	lose := func(t *testing.T, hosts *hatest.Cluster) {
		on(t, hosts, "cp-2", "systemctl", "stop", "etcd.service", "keepalived.service", "kubelet.service")
		for _, path := range hosts.Host("cp-2").Files() {
			if path != "/proc/1/comm" && !strings.HasPrefix(path, "/proc/sys/") {
				hosts.Host("cp-2").Delete(path)
			}
		}
		hosts.Host("cp-2").Delete("/var/lib/quorate/etcd/member")
	}
	bubble.Test(t, func(t *testing.T) {
		hosts := fakeCluster(t, cfg.Cluster)
		mustRun(t.Context(), t, hosts, create)
		undisturbed := stateOf(t, hosts)
		lose(t, hosts)
		preview, err := (&plan.Runner{Transport: hosts}).Preview(t.Context(), create)
		require.NoError(t, err)
		require.Contains(t, preview.Text(), "replace etcd member cp-2 (the cluster knows it, and its data is gone)")
		mustRun(t.Context(), t, hosts, create)
		require.Equal(t, undisturbed, stateOf(t, hosts))
		require.Equal(t, []string{"cp-1", "cp-3", "cp-2"}, hosts.Members(), "it is a new member")
	})
	bubble.Test(t, func(t *testing.T) {
		hosts := fakeCluster(t, cfg.Cluster)
		mustRun(t.Context(), t, hosts, create)
		lose(t, hosts)
		on(t, hosts, "cp-3", "systemctl", "stop", "etcd.service")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _ = (&plan.Runner{Transport: hosts}).Run(ctx, create) // two of three have no quorum: nobody to join
		require.ElementsMatch(t, []string{"cp-1", "cp-2", "cp-3"}, hosts.Members())
	})
}

// five control planes, for resets of several.
func five() quorate.Cluster {
	c := hafixture.Three()
	for i, name := range []string{"cp-4", "cp-5"} {
		n := c.Nodes[0]
		n.Name, n.Addresses = name, slices.Clone(n.Addresses)
		n.Addresses[0] = c.Nodes[3].Addresses[0].Next()
		if i == 1 {
			n.Addresses[0] = n.Addresses[0].Next()
		}
		c.Nodes = append(c.Nodes, n)
	}
	return c
}

// watch reports each call at which etcd has no quorum of its own list.
func watch(hosts *hatest.Cluster, c quorate.Cluster) func() []string {
	var mu sync.Mutex
	var lost []string
	for _, n := range c.Nodes {
		hosts.Host(n.Name).Inject(faketransport.Fault{On: func(op faketransport.Op) bool {
			if running, voters := hosts.Quorum(); running <= voters/2 {
				mu.Lock()
				defer mu.Unlock()
				lost = append(lost, fmt.Sprintf("%d of %d at %v", running, voters, op))
			}
			return false
		}})
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(lost)
	}
}

// Whichever nodes are reset, in whichever order, and brought back: at no moment
// do fewer members of etcd run than its own list takes to act.
func TestNoResetLosesQuorum(t *testing.T) {
	c := five()
	cfg := config(t, c)
	create, err := planFor(cfg)
	require.NoError(t, err)
	var names []string
	for _, n := range c.Nodes {
		names = append(names, n.Name)
	}
	order, many := rapid.Permutation(names), rapid.IntRange(1, 5)
	for seed := 0; seed < 21; seed += min(sweepStep, 7) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			nodes := order.Example(seed)[:many.Example(seed)]
			reset, err := resetFor(cfg, ha.ResetConfig{Nodes: nodes})
			if err != nil {
				require.ErrorContains(t, err, "no control plane would be left")
				return
			}
			hosts := fakeCluster(t, c)
			mustRun(t.Context(), t, hosts, create)
			lost := watch(hosts, c)
			mustRun(t.Context(), t, hosts, reset)
			require.Len(t, hosts.Nodes(), len(names)-len(nodes), "%v", nodes)
			mustRun(t.Context(), t, hosts, create)
			require.Len(t, hosts.Nodes(), len(names))
			require.Len(t, hosts.Members(), 5)
			require.Empty(t, lost(), "%v", nodes)
		})
	}
}
