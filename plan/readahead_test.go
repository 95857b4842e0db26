package plan_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/plan/plantest"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
	"github.com/quorate-dev/quorate/transport/sudo"
	"github.com/quorate-dev/quorate/transport/transporttest"
)

// noReadAhead has every check read for itself.
const noReadAhead = -1

// drifts are what another hand may do to a host of a cluster that runs.
var drifts = map[string]func(t require.TestingT, hosts *plantest.Cluster, host string){
	"content": edit("/etc/keepalived/keepalived.conf", func(f *transport.File) { f.Data = transport.Bytes([]byte("# by hand\n")) }),
	"mode":    edit("/etc/sysctl.d/99-quorate.conf", func(f *transport.File) { f.Mode = 0o600 }),
	"owner":   edit("/etc/systemd/system/etcd.service", func(f *transport.File) { f.Owner = "nobody" }),
	"deleted": remove("/etc/keepalived/check_apiserver.sh"),
	"key":     remove("/etc/kubernetes/pki/sa.key"),
	"stamp":   remove("/var/lib/quorate/services.sha256", "/var/lib/quorate/keepalived.sha256"),
	"mark":    edit("/var/lib/quorate/kubeadm.state", func(f *transport.File) { f.Data = transport.Bytes([]byte("begun\n")) }),
	"stopped": systemctl("stop", "keepalived.service"),
	"runtime": systemctl("stop", "containerd.service"),
	"etcd":    systemctl("stop", "etcd.service"),
	"restart": systemctl("restart", "keepalived.service"),
	"node": func(t require.TestingT, hosts *plantest.Cluster, host string) {
		apply(t, hosts, "cp-1", "kubectl", "delete", "node", host)
	},
	"not root": func(_ require.TestingT, hosts *plantest.Cluster, host string) {
		hosts.Host(host).Handle(faketransport.Exact("id", "-u"), faketransport.Reply("1000\n"))
	},
	"no program": func(_ require.TestingT, hosts *plantest.Cluster, host string) {
		hosts.Host(host).Handle(faketransport.Prefix("kubelet"), faketransport.Reply("Kubernetes v1.36.0\n"))
	},
	"kernel": func(_ require.TestingT, hosts *plantest.Cluster, host string) {
		hosts.Host(host).Handle(faketransport.Exact("sysctl", "net.ipv4.ip_forward"), faketransport.Reply("net.ipv4.ip_forward = 0\n"))
	},
	"api": func(_ require.TestingT, hosts *plantest.Cluster, host string) {
		hosts.Host(host).Handle(faketransport.Prefix("kubectl"), faketransport.Fail(1, "connection refused\n"))
	},
}

func edit(path string, how func(*transport.File)) func(require.TestingT, *plantest.Cluster, string) {
	return func(t require.TestingT, hosts *plantest.Cluster, host string) {
		f, err := hosts.Host(host).File(path)
		if err != nil {
			return // not on this host
		}
		how(&f)
		require.NoError(t, hosts.Host(host).Put(f))
	}
}

func remove(paths ...string) func(require.TestingT, *plantest.Cluster, string) {
	return func(_ require.TestingT, hosts *plantest.Cluster, host string) { hosts.Host(host).Delete(paths...) }
}

func systemctl(verb, unit string) func(require.TestingT, *plantest.Cluster, string) {
	return func(t require.TestingT, hosts *plantest.Cluster, host string) {
		apply(t, hosts, host, "systemctl", verb, unit)
	}
}

// apply runs a command on a host; that the host has no such unit is no matter.
func apply(t require.TestingT, hosts *plantest.Cluster, host string, argv ...string) {
	conn, err := hosts.Dial(context.Background(), host)
	require.NoError(t, err)
	_ = conn.Run(context.Background(), transport.Cmd{Argv: argv})
	require.NoError(t, conn.Close())
}

// told is what a run says of each step: its outcome, differences and error.
func told(ctx context.Context, r plan.Runner, p *plan.Plan) (map[plan.ID]string, plan.Summary) {
	out := map[plan.ID]string{}
	r.Observe = func(e plan.Event) {
		if e.Kind == plan.StepEnded {
			out[e.Step] = fmt.Sprint(e.Outcome, e.Diff, e.Err)
		}
	}
	sum, _ := r.Run(ctx, p)
	return out, sum
}

// Whatever has drifted on the hosts, a run that reads ahead finds, does and says
// what one does that reads step by step: dry, applied, and run again; with the
// fake hosts' own Gatherer, through the shell, and through sudo.
func TestReadingAheadChangesNothing(t *testing.T) {
	cfg := sweepConfig(t)
	cfg.Certs = config(t, cfg.Cluster).Certs // of this year
	p, err := plan.HA(cfg)
	require.NoError(t, err)
	through := map[string]func(transport.Transport) transport.Transport{
		"gatherer": func(tr transport.Transport) transport.Transport { return tr },
		"shell":    transporttest.WithoutFiler,
		"sudo":     func(tr transport.Transport) transport.Transport { return sudo.New(tr, sudo.Config{}) },
	}
	type drift struct{ what, host string }
	oneDrift := rapid.Custom(func(t *rapid.T) drift {
		return drift{
			rapid.SampledFrom(slices.Sorted(maps.Keys(drifts))).Draw(t, "what"),
			rapid.SampledFrom([]string{"cp-1", "cp-2", "cp-3", "worker-1"}).Draw(t, "host"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		decorate := through[rapid.SampledFrom(slices.Sorted(maps.Keys(through))).Draw(rt, "through")]
		drawn := rapid.SliceOfN(oneDrift, 0, 4).Draw(rt, "drifts")
		var ends []string
		var said [][]map[plan.ID]string
		for _, ahead := range []time.Duration{0, noReadAhead} {
			hosts, err := plantest.New(cfg.Cluster)
			require.NoError(rt, err)
			_, err = (&plan.Runner{Transport: hosts, Parallel: 1}).Run(t.Context(), p)
			require.NoError(rt, err)
			for _, d := range drawn {
				drifts[d.what](rt, hosts, d.host)
			}
			r := plan.Runner{Transport: decorate(hosts), Parallel: 1, ReadAhead: ahead}
			dry := r
			dry.DryRun = true
			var all []map[plan.ID]string
			for _, r := range []plan.Runner{dry, r, r} {
				one, _ := told(t.Context(), r, p)
				all = append(all, one)
			}
			said, ends = append(said, all), append(ends, filesOf(rt, hosts))
			require.NoError(rt, hosts.Close())
		}
		for i, run := range []string{"dry run", "run", "run again"} {
			require.Equal(rt, said[1][i], said[0][i], "%s after %v", run, drawn)
		}
		require.Equal(rt, ends[1], ends[0], "%v", drawn)
	})
}

// filesOf is what stands on the hosts and what runs there.
func filesOf(t require.TestingT, hosts *plantest.Cluster) string {
	var b strings.Builder
	for _, n := range three().Nodes {
		for _, path := range hosts.Host(n.Name).Files() {
			f, err := hosts.Host(n.Name).File(path)
			require.NoError(t, err)
			fmt.Fprintf(&b, "%s %s %o %s:%s %q\n", n.Name, path, f.Mode, f.Owner, f.Group, f.Data.Bytes())
		}
		for _, unit := range []string{"containerd.service", "etcd.service", "keepalived.service", "kubelet.service"} {
			fmt.Fprintf(&b, "%s %s %t %t\n", n.Name, unit, hosts.Active(n.Name, unit), hosts.Outdated(n.Name, unit))
		}
	}
	return b.String()
}

// A converged run takes one round trip a host wherever programs come from, also
// by the procedures of old releases, through the shell and through sudo.
func TestOneRoundTripAHost(t *testing.T) {
	for name, change := range map[string]func(*plan.HAConfig){
		"present":  func(*plan.HAConfig) {},
		"stacked":  func(c *plan.HAConfig) { c.Cluster.Etcd.Stacked = true },
		"external": func(c *plan.HAConfig) { c.Cluster.Endpoint = quorate.Endpoint{Host: "api.example.org", External: true} },
		"1.17":     func(c *plan.HAConfig) { c.Cluster.Version = quorate.Version{Major: 1, Minor: 17} },
		"1.10": func(c *plan.HAConfig) {
			c.Cluster.Name, c.Cluster.Version = "", quorate.Version{Major: 1, Minor: 10, Patch: 4}
		},
		"pushed": func(c *plan.HAConfig) {
			_, sent := archive("registry.k8s.io/pause:3.10")
			c.Prerequisites = plan.Pushed{Images: []plan.ImageArchive{sent}}
		},
	} {
		for through, decorate := range map[string]func(transport.Transport) transport.Transport{
			"gatherer": func(tr transport.Transport) transport.Transport { return tr },
			"shell":    transporttest.WithoutFiler,
			"sudo":     func(tr transport.Transport) transport.Transport { return sudo.New(tr, sudo.Config{}) },
		} {
			t.Run(name+", "+through, func(t *testing.T) {
				cfg := sweepConfig(t)
				change(&cfg)
				whole := config(t, cfg.Cluster)
				cfg.Certs, cfg.Kubeadm = whole.Certs, whole.Kubeadm
				hosts := fakeCluster(t, cfg.Cluster)
				hosts.Archive(archivePath, "registry.k8s.io/pause:3.10")
				p, err := plan.HA(cfg)
				require.NoError(t, err)
				r := plan.Runner{Transport: decorate(hosts)}
				_, err = r.Run(t.Context(), p)
				require.NoError(t, err)
				sum, err := r.Run(t.Context(), p)
				require.NoError(t, err)
				require.False(t, sum.Changed())
				tunnels := 3
				if cfg.Cluster.Etcd.Stacked {
					tunnels = 0
				}
				require.Equal(t, map[string]int{"cp-1": 1 + tunnels, "cp-2": 1, "cp-3": 1, "worker-1": 1}, sum.RoundTrips)
			})
		}
	}
}

// kept keeps one file, with Deploy's ability to be read ahead.
func kept(path string) plan.Deploy {
	return plan.Deploy{Files: []quorate.File{{Path: path, Mode: 0o644, Content: quorate.Public([]byte("as described\n"))}}}
}

// otherHand is a step whose check lets somebody else do something.
func otherHand(do func()) plan.Action {
	return action{check: func(context.Context, *plan.Host) (plan.Diff, error) { do(); return nil, nil }}
}

// world is hosts a and b, as kept wants them at /first and /second.
func world(t *testing.T) *faketransport.Transport {
	t.Helper()
	tr := faketransport.New()
	for _, name := range []string{"a", "b"} {
		for _, path := range []string{"/first", "/second"} {
			require.NoError(t, tr.Host(name).Put(transport.File{Path: path, Mode: 0o644, Owner: "root", Group: "root", Data: transport.Bytes([]byte("as described\n"))}))
		}
	}
	return tr
}

func spoil(t *testing.T, tr *faketransport.Transport, host string) {
	t.Helper()
	require.NoError(t, tr.Host(host).Put(transport.File{Path: "/second", Mode: 0o644, Owner: "root", Group: "root", Data: transport.Bytes([]byte("by hand\n"))}))
}

// What changes on a host after it was read ahead is found by the next run, by
// this one only if more than ReadAhead has gone by. That is the bound.
func TestWhatIsReadAheadCountsForSoLong(t *testing.T) {
	for _, tt := range []struct {
		ahead, takes time.Duration
		found        bool
	}{
		{0, 59 * time.Second, false},
		{0, 61 * time.Second, true},
		{2 * time.Second, time.Second, false},
		{2 * time.Second, 3 * time.Second, true},
		{noReadAhead, 0, true},
	} {
		t.Run(fmt.Sprint(tt.ahead, " ", tt.takes), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				tr := world(t)
				p := mustPlan(t,
					plan.Step{ID: "first", Host: "a", Action: kept("/first")},
					plan.Step{ID: "meanwhile", Host: "a", After: []plan.ID{"first"}, Action: otherHand(func() {
						spoil(t, tr, "a")
						time.Sleep(tt.takes)
					})},
					plan.Step{ID: "second", Host: "a", After: []plan.ID{"meanwhile"}, Action: kept("/second")},
				)
				r := plan.Runner{Transport: tr, ReadAhead: tt.ahead}
				sum, err := r.Run(t.Context(), p)
				require.NoError(t, err)
				require.Equal(t, tt.found, sum.Changed())
				sum, err = r.Run(t.Context(), mustPlan(t, plan.Step{ID: "second", Host: "a", Action: kept("/second")}))
				require.NoError(t, err)
				require.Equal(t, !tt.found, sum.Changed(), "the next run")
			})
		})
	}
}

// A difference that was read ahead and is gone by the time of its check is not
// applied, and a fault that is gone is not reported.
func TestWhatDiffersIsReadAgainBeforeItIsApplied(t *testing.T) {
	tr := world(t)
	spoil(t, tr, "a")
	p := mustPlan(t,
		plan.Step{ID: "first", Host: "a", Action: kept("/first")},
		plan.Step{ID: "meanwhile", Host: "a", After: []plan.ID{"first"}, Action: otherHand(func() {
			require.NoError(t, tr.Host("a").Put(transport.File{Path: "/second", Mode: 0o644, Owner: "root", Group: "root", Data: transport.Bytes([]byte("as described\n"))}))
		})},
		plan.Step{ID: "second", Host: "a", After: []plan.ID{"meanwhile"}, Action: kept("/second")},
	)
	sum, err := (&plan.Runner{Transport: tr}).Run(t.Context(), p)
	require.NoError(t, err)
	require.False(t, sum.Changed())
	require.Equal(t, map[string]int{"a": 2}, sum.RoundTrips)
}

// What a step's application may have changed is read again: on its own host, by
// the steps that come after it on other hosts, however far, and by those that
// share a lock with it. A step that has nothing to do with it is not.
func TestWhatWasAppliedOutdatesWhatWasReadAhead(t *testing.T) {
	for name, tt := range map[string]struct {
		// second is the step under test, on host b; applied is on host a.
		second plan.Step
		host   string
		found  bool
	}{
		"after it":          {plan.Step{After: []plan.ID{"read", "applied"}}, "a", true},
		"far after it":      {plan.Step{After: []plan.ID{"read", "between"}}, "a", true},
		"a shared lock":     {plan.Step{After: []plan.ID{"read", "signal"}, Locks: []string{"quorum"}}, "a", true},
		"the same host":     {plan.Step{After: []plan.ID{"read", "signal"}}, "b", true},
		"nothing to do":     {plan.Step{After: []plan.ID{"read", "signal"}}, "a", false},
		"another lock":      {plan.Step{After: []plan.ID{"read", "signal"}, Locks: []string{"other"}}, "a", false},
		"after its failure": {plan.Step{After: []plan.ID{"read", "signal"}, Locks: []string{"broken"}}, "a", true},
	} {
		t.Run(name, func(t *testing.T) {
			tr := world(t)
			done, read, failed := make(chan struct{}), make(chan struct{}), make(chan struct{})
			effect := func(lock string, end chan struct{}, err error) plan.Action {
				var applied bool
				return action{
					check: func(context.Context, *plan.Host) (plan.Diff, error) {
						if applied {
							return nil, nil
						}
						return plan.Diff{{Verb: "run", Subject: lock}}, nil
					},
					apply: func(context.Context, *plan.Host) error {
						<-read
						spoil(t, tr, "b")
						applied = true
						close(end)
						return err
					},
				}
			}
			steps := []plan.Step{
				{ID: "read", Host: "b", Action: kept("/first")},
				{ID: "seen", Host: "c", After: []plan.ID{"read"}, Action: otherHand(func() { close(read) })},
				{ID: "applied", Host: tt.host, Locks: []string{"quorum"}, After: []plan.ID{"seen"}, Action: effect("it", done, nil)},
				{ID: "between", Host: "c", After: []plan.ID{"applied"}, Action: otherHand(func() {})},
			}
			if strings.Contains(name, "failure") {
				steps[2].Action = otherHand(func() {})
				steps = append(steps, plan.Step{
					ID: "broken", Host: tt.host, Locks: []string{"broken"}, After: []plan.ID{"seen"}, Action: effect("it", failed, errors.New("broken")),
				})
			}
			// signal comes after nothing of it: it only sees that the effect is there,
			// and lets the scheduler hear of the end before the next step begins.
			steps = append(steps, plan.Step{ID: "signal", Host: "d", Timeout: time.Minute, Action: otherHand(func() {
				select {
				case <-done:
				case <-failed:
				}
			})})
			tt.second.ID, tt.second.Host, tt.second.Action = "second", "b", kept("/second")
			if !slices.Contains(tt.second.After, plan.ID("between")) {
				// The effect's own end is waited for by the lock, or by nothing.
				tt.second.After = append(tt.second.After, "seen")
			}
			tr.Host("c")
			tr.Host("d")
			said, sum := told(t.Context(), plan.Runner{Transport: tr}, mustPlan(t, append(steps, tt.second)...))
			require.Equal(t, tt.found, strings.HasPrefix(said["second"], string(plan.Changed)), "%v %v", said, sum.RoundTrips)
		})
	}
}

// foretold is an action that says what its check will ask.
type foretold struct {
	action
	reads plan.Reads
}

func (f foretold) Reads() plan.Reads { return f.reads }

func asks(argv ...string) plan.Reads { return plan.Reads{Queries: []transport.Query{{Argv: argv}}} }

// A check that asks twice is not given the same answer twice: it may be waiting.
func TestAnAnswerIsGivenOnce(t *testing.T) {
	tr := faketransport.New()
	n := 0
	tr.Host("a").Handle(faketransport.Exact("count"), func(_ context.Context, in faketransport.Invocation) error {
		n++
		_, err := fmt.Fprint(in.Stdout, n)
		return err
	})
	var got []string
	check := func(ctx context.Context, h *plan.Host) (plan.Diff, error) {
		for range 3 {
			out, err := h.Run(ctx, "count")
			if err != nil {
				return nil, err
			}
			got = append(got, string(out))
		}
		return nil, nil
	}
	act := foretold{action{check: check}, asks("count")}
	sum, err := (&plan.Runner{Transport: tr}).Run(t.Context(), mustPlan(t,
		plan.Step{ID: "one", Host: "a", Action: act}, plan.Step{ID: "two", Host: "a", After: []plan.ID{"one"}, Action: act}))
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2", "3", "1", "4", "5"}, got, "each check is answered once from what was read ahead")
	require.Equal(t, map[string]int{"a": 5}, sum.RoundTrips)
}

// Where reading ahead fails, or a command hangs or floods in it, every step does
// as without: what was answered counts, and the trouble is its own step's.
func TestReadingAheadMayFail(t *testing.T) {
	for name, tt := range map[string]struct {
		fault faketransport.Fault
		say   faketransport.Handler
		want  string
	}{
		"refused":      {fault: faketransport.Fault{On: faketransport.OnKind(faketransport.Gather), Before: faketransport.Fails(&transport.ExitError{Code: 1})}},
		"lost once":    {fault: faketransport.Fault{On: faketransport.OnKind(faketransport.Gather), Nth: 1, Before: faketransport.Reset}},
		"a part fails": {fault: faketransport.Fault{On: faketransport.OnKind(faketransport.Stat), Nth: 1, Before: faketransport.Fails(&transport.ExitError{Code: 1})}},
		"hangs":        {fault: faketransport.Fault{On: faketransport.OnKind(faketransport.Gather), Before: faketransport.Hang}},
		"a command hangs": {say: func(ctx context.Context, _ faketransport.Invocation) error {
			<-ctx.Done()
			return ctx.Err()
		}, want: "not done within"},
		"a command fails": {say: faketransport.Fail(3, "no such thing"), want: "exit status 3: no such thing"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				tr := world(t)
				tr.Host("a").Inject(tt.fault)
				if tt.fault.On == nil {
					tr.Host("a").Heal()
				}
				say := tt.say
				if say == nil {
					say = faketransport.Reply("well\n")
				}
				tr.Host("a").Handle(faketransport.Exact("ask"), say)
				ask := foretold{action{check: func(ctx context.Context, h *plan.Host) (plan.Diff, error) {
					_, err := h.Run(ctx, "ask")
					return nil, err
				}}, asks("ask")}
				said, _ := told(t.Context(), plan.Runner{Transport: tr}, mustPlan(t,
					plan.Step{ID: "first", Host: "a", Timeout: time.Minute, Action: kept("/first")},
					plan.Step{ID: "ask", Host: "a", Timeout: time.Minute, Action: ask},
					plan.Step{ID: "second", Host: "a", Timeout: time.Minute, Action: kept("/second")},
				))
				require.Contains(t, said["first"], "unchanged")
				require.Contains(t, said["second"], "unchanged")
				if tt.want == "" {
					require.Contains(t, said["ask"], "unchanged")
				} else {
					require.Contains(t, said["ask"], tt.want)
				}
			})
		})
	}
}

// A verification reads what stands there then: an action that does nothing is
// found out, although what it wants was described before.
func TestAVerificationReadsAfresh(t *testing.T) {
	tr := world(t)
	spoil(t, tr, "a")
	lazy := foretold{action{
		check: kept("/second").Check,
		apply: func(context.Context, *plan.Host) error { return nil },
	}, kept("/second").Reads()}
	_, err := (&plan.Runner{Transport: tr}).Run(t.Context(), mustPlan(t,
		plan.Step{ID: "first", Host: "a", Action: kept("/first")}, plan.Step{ID: "lazy", Host: "a", After: []plan.ID{"first"}, Action: lazy}))
	var left *plan.NotConvergedError
	require.ErrorAs(t, err, &left)
}
