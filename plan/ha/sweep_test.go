package ha_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// sweep is a plan on one cluster, from a state to start with to the end of a run
// that nothing disturbs.
type sweep struct {
	cluster quorate.Cluster
	// before, if not nil, has been run on the hosts already, and drift has
	// happened since.
	before *plan.Plan
	drift  func(t *testing.T, hosts *hatest.Cluster)
	plan   *plan.Plan
	// sparse takes one call in so many: what comes before takes most of its time.
	sparse int
	// dead is a host that has no power, and gets none.
	dead string
	// quorate wants etcd to have quorum of its own list at every call.
	quorate bool
	calls   int
	end     string
}

// measure runs the plan undisturbed.
func (s sweep) measure(t *testing.T) sweep {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		hosts := s.hosts(t)
		var calls atomic.Int64
		s.inject(hosts, faketransport.Fault{On: func(faketransport.Op) bool { calls.Add(1); return false }})
		_, err := s.run(t.Context(), hosts)
		require.NoError(t, err)
		s.calls, s.end = int(calls.Load()), stateOf(t, hosts)
		s.unchanged(t, hosts)
	})
	return s
}

// hosts as they are before the plan is run.
func (s sweep) hosts(t *testing.T) *hatest.Cluster {
	hosts := fakeCluster(t, s.cluster)
	installFiles(t, hosts, s.cluster)
	if s.before != nil {
		_, err := (&plan.Runner{Transport: hosts, Parallel: 1}).Run(t.Context(), s.before)
		require.NoError(t, err)
	}
	if s.drift != nil {
		s.drift(t, hosts)
	}
	return hosts
}

// inBubble has certificates that are valid in a bubble, whose clock starts in the year 2000.
func inBubble(t *testing.T, cfg ha.Config) ha.Config {
	t.Helper()
	cfg.Certs = bundleOf(t, cfg.Cluster)
	return cfg
}

func sweepConfig(t *testing.T) ha.Config {
	t.Helper()
	cfg := inBubble(t, config(t, hafixture.Three()))
	cfg.Manifests = []ha.Manifest{{Name: "network", Content: quorate.Public([]byte("kind: DaemonSet\n"))}}
	cfg.Untaint = true
	return cfg
}

// bundleOf has certificates that hold in a bubble.
func bundleOf(t *testing.T, c quorate.Cluster) *pki.Bundle {
	t.Helper()
	return hafixture.Bundle(t, c, pki.Config{Now: func() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }})
}

func (s sweep) inject(hosts *hatest.Cluster, f faketransport.Fault) {
	for _, n := range swept(hosts) {
		hosts.Host(n.Name).Inject(f)
	}
}

// swept are the hosts of a sweep: three control planes and a worker, and one that comes later.
func swept(hosts *hatest.Cluster) []quorate.Node {
	nodes := hafixture.Three().Nodes
	if later := spare(); hosts.Has(later.Name) == nil {
		nodes = append(nodes, later)
	}
	return nodes
}

// run takes one step after another, so that call k is the same every time.
func (s sweep) run(ctx context.Context, hosts *hatest.Cluster) (plan.Summary, error) {
	return (&plan.Runner{Transport: hosts, Parallel: 1}).Run(ctx, s.plan)
}

// stateOf is everything that hosts and cluster hold, byte for byte.
func stateOf(t *testing.T, hosts *hatest.Cluster) string {
	t.Helper()
	var b strings.Builder
	for _, n := range swept(hosts) {
		h := hosts.Host(n.Name)
		for _, path := range h.Files() {
			f, err := h.File(path)
			require.NoError(t, err)
			if strings.HasPrefix(path, "/proc/") && strings.HasSuffix(path, "/stat") {
				continue // says when a process was started
			}
			if path == simulatedWAL { // a member's ID depends on how it became one
				f.Data = transport.Bytes(nil)
			}
			fmt.Fprintf(&b, "%s %s %o %s:%s %q\n", n.Name, path, f.Mode, f.Owner, f.Group, f.Data.Bytes())
		}
		for _, unit := range []string{"containerd.service", "etcd.service", "keepalived.service", "kubelet.service"} {
			fmt.Fprintf(&b, "%s %s active=%t\n", n.Name, unit, hosts.Active(n.Name, unit))
			require.Empty(t, hosts.Outdated(n.Name, unit), "%s on %s runs with other files", unit, n.Name)
		}
	}
	members := hosts.Members()
	slices.Sort(members)
	fmt.Fprintln(&b, hosts.Nodes(), members)
	return b.String()
}

// fault goes wrong at one call. stop ends the run, as the operator's death does.
type fault func(hosts *hatest.Cluster, stop context.CancelFunc) faketransport.Fault

var faults = map[string]fault{
	// The call is not carried out, and the connection is gone.
	"reset": func(*hatest.Cluster, context.CancelFunc) faketransport.Fault {
		return faketransport.Fault{Before: faketransport.Reset}
	},
	// Likewise, and from then on no host lets the operator in.
	"refused": func(hosts *hatest.Cluster, _ context.CancelFunc) faketransport.Fault {
		return faketransport.Fault{Before: func(ctx context.Context, op faketransport.Op) error {
			for _, n := range swept(hosts) {
				hosts.Host(n.Name).Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Dial), Before: faketransport.Refuse})
			}
			if op.Kind == faketransport.Dial {
				return faketransport.Refuse(ctx, op)
			}
			return faketransport.Reset(ctx, op)
		}}
	},
	// Ten minutes are longer than any step but kubeadm's waits.
	"slow": func(*hatest.Cluster, context.CancelFunc) faketransport.Fault {
		return faketransport.Fault{Before: faketransport.Slow(10 * time.Minute)}
	},
	// The call is carried out, and its result is lost.
	"reset after": func(*hatest.Cluster, context.CancelFunc) faketransport.Fault {
		return faketransport.Fault{After: faketransport.ResetAfter}
	},
	"hangs": func(*hatest.Cluster, context.CancelFunc) faketransport.Fault {
		return faketransport.Fault{Before: faketransport.Hang}
	},
	"exit 1": func(*hatest.Cluster, context.CancelFunc) faketransport.Fault {
		return faketransport.Fault{Before: func(_ context.Context, op faketransport.Op) error {
			return &transport.ExitError{Code: 1, Argv: op.Argv, Stderr: "no reason"}
		}}
	},
	"disk full": func(*hatest.Cluster, context.CancelFunc) faketransport.Fault {
		return faketransport.Fault{Before: faketransport.DiskFull}
	},
	// Of several files in one write the first is in place when the connection goes.
	"partial write": func(*hatest.Cluster, context.CancelFunc) faketransport.Fault {
		return faketransport.Fault{Files: 1, Before: faketransport.Reset}
	},
	// kubeadm is killed with its connection, half-way.
	"cut kubeadm": func(hosts *hatest.Cluster, _ context.CancelFunc) faketransport.Fault {
		return faketransport.Fault{Before: func(ctx context.Context, op faketransport.Op) error {
			if op.Kind == faketransport.Run && op.Argv[0] == "kubeadm" {
				switch op.Argv[1] {
				case "init", "join":
					return errors.Join(cutKubeadm(hosts, hosts.CutKubeadm), faketransport.Reset(ctx, op))
				case "reset":
					return errors.Join(cutKubeadm(hosts, hosts.CutKubeadmReset), faketransport.Reset(ctx, op))
				}
			}
			return faketransport.Reset(ctx, op)
		}}
	},
	"operator dies after": func(_ *hatest.Cluster, stop context.CancelFunc) faketransport.Fault {
		return faketransport.Fault{After: faketransport.Dies(stop)}
	},
}

// cutKubeadm finds the host whose kubeadm has not ended.
func cutKubeadm(hosts *hatest.Cluster, cut func(host string) error) error {
	for _, n := range swept(hosts) {
		calls := hosts.Host(n.Name).Calls()
		if len(calls) > 0 && !calls[len(calls)-1].Done && calls[len(calls)-1].Op.Kind == faketransport.Run &&
			calls[len(calls)-1].Op.Argv[0] == "kubeadm" {
			return cut(n.Name)
		}
	}
	return errors.New("no host runs kubeadm")
}

// TestCrashSweep fails each call of the recipe in turn, in every way, and runs
// again: the end is that of a run which nothing disturbed, byte for byte.
func TestCrashSweep(t *testing.T) {
	p, err := planFor(sweepConfig(t))
	require.NoError(t, err)
	s := sweep{cluster: hafixture.Three(), plan: p}.measure(t)
	s.everyCall(t, len(s.cluster.Nodes))
}

// TestCrashSweepOfAChange does the same with a change of settings on a cluster
// that runs: its units end up running with the files that are there.
func TestCrashSweepOfAChange(t *testing.T) {
	cfg := sweepConfig(t)
	before, err := planFor(cfg)
	require.NoError(t, err)
	cfg.Cluster.Etcd.Heartbeat = quorate.Duration(200 * time.Millisecond)
	cfg.Cluster.Etcd.Election = quorate.Duration(2 * time.Second)
	cfg.Cluster.Endpoint.VIP.Rise = 4
	after, err := planFor(cfg)
	require.NoError(t, err)
	s := sweep{cluster: hafixture.Three(), before: before, plan: after}.measure(t)
	s.everyCall(t, 0)
}

// sweepStep takes one call in so many: all of them take minutes, and are for "make
// sweep". The race detector makes each take five times as long.
var sweepStep = func() int {
	switch {
	case tier.Sweep():
		return 1
	case tier.Race:
		return 151
	}
	return 47
}()

// TestCrashSweepOfADrift does the same after another hand has changed files and
// restarted their units: the units end up running with what is there.
func TestCrashSweepOfADrift(t *testing.T) {
	p, err := planFor(sweepConfig(t))
	require.NoError(t, err)
	s := sweep{cluster: hafixture.Three(), before: p, plan: p, drift: func(t *testing.T, hosts *hatest.Cluster) {
		conn, err := hosts.Dial(t.Context(), "cp-2")
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()
		for unit, path := range map[string]string{"keepalived.service": "/etc/keepalived/check_apiserver.sh", "etcd.service": "/etc/systemd/system/etcd.service"} {
			f, err := hosts.Host("cp-2").File(path)
			require.NoError(t, err)
			f.Data = transport.Bytes(append(f.Data.Bytes(), "# by hand\n"...))
			require.NoError(t, hosts.Host("cp-2").Put(f))
			require.NoError(t, conn.Run(t.Context(), transport.Cmd{Argv: []string{"systemctl", "restart", unit}}))
		}
	}}.measure(t)
	s.everyCall(t, 0)
}

// TestCrashSweepOfAReset does the same with nodes that leave, with the whole
// cluster, and with one that comes back: quorum is kept in between, whatever fails.
func TestCrashSweepOfAReset(t *testing.T) {
	t.Parallel()
	cfg := sweepConfig(t)
	create, err := planFor(cfg)
	require.NoError(t, err)
	resetOf := func(o ha.ResetConfig) *plan.Plan {
		p, err := resetFor(cfg, o)
		require.NoError(t, err)
		return p
	}
	one := resetOf(ha.ResetConfig{Nodes: []string{"cp-1"}})
	for name, s := range map[string]sweep{
		"nodes":     {before: create, plan: resetOf(ha.ResetConfig{Nodes: []string{"cp-2", "worker-1"}}), quorate: true},
		"whole":     {before: create, plan: resetOf(ha.ResetConfig{WholeCluster: true, Data: ha.RemoveData})},
		"come back": {before: create, plan: create, quorate: true, drift: func(t *testing.T, hosts *hatest.Cluster) { mustRun(t.Context(), t, hosts, one) }},
		"come back late": {before: create, plan: create, quorate: true, drift: func(t *testing.T, hosts *hatest.Cluster) {
			mustRun(t.Context(), t, hosts, one)
			time.Sleep(25 * time.Hour) // no token is left to join with
		}},
	} {
		if tier.Race && name != "come back" { // to which one is like another
			continue
		}
		t.Run(name, func(t *testing.T) {
			s.cluster, s.sparse = hafixture.Three(), 4
			s.measure(t).everyCall(t, 0) // a reset takes kubeadm back anyway
		})
	}
}

// TestCrashSweepOfAReplacement does the same with a dead control plane, the first one or another, that
// another takes the place of: quorum is kept in between, whatever fails.
func TestCrashSweepOfAReplacement(t *testing.T) {
	t.Parallel()
	for _, old := range []string{"cp-1", "cp-2"} {
		if !tier.Sweep() && old == "cp-1" { // to which the other is like
			continue
		}
		t.Run(old, func(t *testing.T) {
			cfg, cp4 := sweepConfig(t), spare()
			both := hafixture.Three()
			both.AllowEvenControlPlanes, both.Nodes = true, append(both.Nodes, cp4)
			cfg.Certs = bundleOf(t, both)
			create, err := planFor(cfg)
			require.NoError(t, err)
			cfg.Cluster = instead(cfg.Cluster, old, cp4)
			replace, err := replaceFor(cfg, ha.ReplaceConfig{Nodes: []ha.Replacement{{Old: old, New: "cp-4", Fenced: true}}})
			require.NoError(t, err)
			s := sweep{cluster: hafixture.Three(), before: create, plan: replace, dead: old, quorate: true, sparse: 8, drift: func(t *testing.T, hosts *hatest.Cluster) {
				require.NoError(t, hosts.Add(cp4))
				require.NoError(t, hosts.CutPower(old))
				time.Sleep(time.Minute) // the cluster has noticed
			}}.measure(t)
			s.everyCall(t, 1)
		})
	}
}

// everyCall also cuts each of so many init and join of kubeadm half-way, whatever
// their calls' numbers are, and wants it undone.
func (s sweep) everyCall(t *testing.T, cuts int) {
	var cases, resets atomic.Int64
	step := sweepStep * max(1, s.sparse)
	t.Cleanup(func() {
		t.Logf("%d calls, %d kinds of fault, %d cases; %d times kubeadm was undone", s.calls, len(faults), cases.Load(), resets.Load())
	})
	for i := range cuts {
		t.Run(fmt.Sprintf("kubeadm %d cut", i+1), func(t *testing.T) {
			t.Parallel()
			cases.Add(1)
			bubble.Test(t, func(t *testing.T) {
				hosts, taken := s.crashAt(t, nthKubeadm(i+1), faults["cut kubeadm"])
				s.unchanged(t, hosts)
				resets.Add(int64(taken))
				require.Equal(t, 1, taken, "how often kubeadm was undone")
			})
		})
	}
	for i, name := range slices.Sorted(maps.Keys(faults)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for k := 1 + i*step/len(faults)%s.calls; k <= s.calls; k += step { // each kind starts at another call
				cases.Add(1)
				bubble.Test(t, func(t *testing.T) { resets.Add(int64(s.crash(t, k, faults[name]))) })
				if t.Failed() {
					t.Fatalf("call %d of %d", k, s.calls)
				}
			}
		})
	}
}

// nthKubeadm is the n-th init or join.
func nthKubeadm(n int) func(faketransport.Op) bool {
	var seen atomic.Int64
	return func(op faketransport.Op) bool {
		return op.Kind == faketransport.Run && len(op.Argv) > 1 && op.Argv[0] == "kubeadm" &&
			(op.Argv[1] == "init" || op.Argv[1] == "join") && int(seen.Add(1)) == n
	}
}

// crash fails call k. In one case of three it runs once more than it takes to
// converge: measure has seen that a run changes nothing of the end that all have.
func (s sweep) crash(t *testing.T, k int, f fault) (resets int) {
	var calls atomic.Int64
	hosts, resets := s.crashAt(t, func(faketransport.Op) bool { return int(calls.Add(1)) == k }, f)
	if k%3 == 0 {
		s.unchanged(t, hosts)
	}
	return resets
}

func (s sweep) unchanged(t *testing.T, hosts *hatest.Cluster) {
	t.Helper()
	again, err := s.run(t.Context(), hosts)
	require.NoError(t, err)
	require.False(t, again.Changed())
}

// crashAt returns how often kubeadm was undone.
func (s sweep) crashAt(t *testing.T, on func(faketransport.Op) bool, f fault) (hosts *hatest.Cluster, resets int) {
	hosts = s.hosts(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if s.quorate {
		lost := watch(hosts, s.cluster)
		defer func() { require.Empty(t, lost()) }()
	}
	at := f(hosts, stop)
	at.On = on
	s.inject(hosts, at)
	_, first := s.run(ctx, hosts)

	for _, n := range swept(hosts) {
		if n.Name != s.dead {
			hosts.Host(n.Name).Heal()
		}
	}
	_, err := s.run(t.Context(), hosts)
	require.NoError(t, err, "the first run: %v", first)
	require.Equal(t, s.end, stateOf(t, hosts), "the first run: %v", first)
	for _, n := range swept(hosts) {
		resets += len(commands(hosts, n.Name, "kubeadm reset"))
	}
	return hosts, resets
}
