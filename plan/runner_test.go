package plan_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport"
)

// idle is a transport whose hosts do nothing: what is tested here is the
// runner, and the actions do without a host.
type idle struct {
	dial  func(host string) error
	mu    sync.Mutex
	dials map[string]int
	open  int
}

func (i *idle) Dial(_ context.Context, host string) (transport.Conn, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.dials == nil {
		i.dials = map[string]int{}
	}
	i.dials[host]++
	if i.dial != nil {
		if err := i.dial(host); err != nil {
			return nil, err
		}
	}
	i.open++
	return &idleConn{i}, nil
}

type idleConn struct{ t *idle }

func (*idleConn) Run(context.Context, transport.Cmd) error { return nil }

func (c *idleConn) Close() error {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	c.t.open--
	return nil
}

// once is an action that differs until it has been applied.
func once(done *atomic.Bool) fixture.Action {
	return fixture.Action{
		OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
			if done.Load() {
				return nil, nil
			}
			return plan.Diff{{Verb: "create", Subject: "/thing"}}, nil
		},
		OnApply: func(context.Context, *plan.Host) error { done.Store(true); return nil },
	}
}

func TestRunTwice(t *testing.T) {
	var done atomic.Bool
	p := fixture.MustPlan(t, plan.Step{ID: "make", Host: "h", Action: once(&done)})
	tr := &idle{}
	var first fixture.Trace
	sum, err := (&plan.Runner{Transport: tr, Observe: first.Observe}).Run(t.Context(), p)
	require.NoError(t, err)
	require.True(t, sum.Changed())
	require.Equal(t, fixture.Trace{
		"run-started", "step-started make", "step-applying make", "step-ended make changed", "run-ended",
	}, first)
	require.Zero(t, tr.open, "connections left open")

	sum, err = (&plan.Runner{Transport: tr}).Run(t.Context(), p)
	require.NoError(t, err)
	require.False(t, sum.Changed())
	require.Equal(t, map[plan.Outcome]int{plan.Unchanged: 1}, sum.Outcomes)
}

func TestFailureStopsItsSuccessorsOnly(t *testing.T) {
	boom := errors.New("boom")
	fail := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) { return nil, boom }}
	p := fixture.MustPlan(t,
		plan.Step{ID: "bad", Host: "one", Action: fail},
		plan.Step{ID: "also-bad", Host: "two", Action: fail},
		step("child", "one", "bad"),
		step("grandchild", "three", "child"),
		step("sibling", "three"),
	)
	sum, err := (&plan.Runner{Transport: &idle{}}).Run(t.Context(), p)
	var run *plan.RunError
	require.ErrorAs(t, err, &run)
	require.ErrorIs(t, err, boom)
	require.Len(t, run.Failed, 2)
	require.Equal(t, []plan.ID{"child", "grandchild"}, run.NotReached)
	require.Equal(t, 1, sum.Outcomes[plan.Unchanged])
	require.Contains(t, err.Error(), "2 steps failed, 2 not reached")
	require.Contains(t, err.Error(), "step bad on one: check: boom")
}

// A step with Alone stops those after it on its host, and others do without it and
// without those of them with Alone too.
func TestAloneStopsItsHostOnly(t *testing.T) {
	fail := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) { return nil, errors.New("boom") }}
	alone := func(s plan.Step) plan.Step { s.Alone = true; return s }
	p := fixture.MustPlan(t,
		alone(plan.Step{ID: "bad", Host: "one", Action: fail}),
		alone(step("next", "one", "bad")),
		alone(step("both", "one", "bad", "next")),
		step("last", "one", "next"),
		step("judge", "two", "bad", "next", "both"),
		step("needs", "two", "last", "judge"),
		step("other", "three", "judge"),
	)
	sum, err := (&plan.Runner{Transport: &idle{}}).Run(t.Context(), p)
	var run *plan.RunError
	require.ErrorAs(t, err, &run)
	require.Len(t, run.Failed, 1)
	require.Equal(t, []plan.ID{"next", "both", "last", "needs"}, run.NotReached)
	require.Equal(t, 2, sum.Outcomes[plan.Unchanged])
}

func TestNotConverged(t *testing.T) {
	p := fixture.MustPlan(t, plan.Step{ID: "s", Host: "h", Action: fixture.Action{
		OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
			return plan.Diff{{Verb: "update", Subject: "/etc/x", Detail: "content"}}, nil
		},
		OnApply: func(context.Context, *plan.Host) error { return nil },
	}})
	_, err := (&plan.Runner{Transport: &idle{}}).Run(t.Context(), p)
	var not *plan.NotConvergedError
	require.ErrorAs(t, err, &not)
	require.Contains(t, err.Error(), "verify: applied, but still differs: update /etc/x (content)")
}

func TestDryRun(t *testing.T) {
	var done atomic.Bool
	needs := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
		return nil, errors.New("no such command")
	}}
	p := fixture.MustPlan(t,
		plan.Step{ID: "install", Host: "h", Action: once(&done)},
		plan.Step{ID: "use", Host: "h", After: []plan.ID{"install"}, Action: needs},
		step("unrelated", "h", "use"),
	)
	sum, err := (&plan.Runner{Transport: &idle{}, DryRun: true}).Run(t.Context(), p)
	require.NoError(t, err)
	require.False(t, done.Load())
	require.Equal(t, map[plan.Outcome]int{plan.WouldChange: 1, plan.Unknown: 1, plan.Unchanged: 1}, sum.Outcomes)

	p = fixture.MustPlan(t, plan.Step{ID: "use", Host: "h", Action: needs})
	_, err = (&plan.Runner{Transport: &idle{}, DryRun: true}).Run(t.Context(), p)
	require.Error(t, err, "nothing before it would have changed anything, so the failure is real")
}

func TestReconnect(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		tr := &idle{}
		attempts := 0
		p := fixture.MustPlan(t, plan.Step{ID: "s", Host: "h", Action: fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
			if attempts++; attempts < 3 {
				return nil, &transport.DialError{Host: "h", Reason: transport.Lost}
			}
			return nil, nil
		}}})
		begin := time.Now()
		var events fixture.Trace
		_, err := (&plan.Runner{Transport: tr, Observe: events.Observe}).Run(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, 3, tr.dials["h"])
		require.Equal(t, 2*time.Second, time.Since(begin), "two waits of a second")
		require.Contains(t, events, "step-retrying s")
		require.Zero(t, tr.open)
	})
}

func TestRefusedHostKey(t *testing.T) {
	tr := &idle{dial: func(h string) error { return &transport.DialError{Host: h, Reason: transport.HostKey} }}
	_, err := (&plan.Runner{Transport: tr}).Run(t.Context(), fixture.MustPlan(t, step("s", "h")))
	var failed *plan.StepError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, plan.Connecting, failed.Phase)
	require.Equal(t, 1, tr.dials["h"])
}

func TestTimeoutError(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hang := fixture.Action{OnCheck: func(ctx context.Context, _ *plan.Host) (plan.Diff, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		p := fixture.MustPlan(t, plan.Step{ID: "s", Host: "h", Timeout: 7 * time.Second, Action: hang})
		begin := time.Now()
		_, err := (&plan.Runner{Transport: &idle{}}).Run(t.Context(), p)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Contains(t, err.Error(), "not done within 7s")
		require.Equal(t, 7*time.Second, time.Since(begin))
	})
}

func TestCancel(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("the operator left")
		p := fixture.MustPlan(t,
			plan.Step{ID: "a", Host: "h", Action: fixture.Action{OnCheck: func(ctx context.Context, _ *plan.Host) (plan.Diff, error) {
				cancel(why)
				<-ctx.Done()
				return nil, ctx.Err()
			}}},
			step("b", "h", "a"), step("c", "h"),
		)
		sum, err := (&plan.Runner{Transport: &idle{}}).Run(ctx, p)
		require.ErrorIs(t, err, why)
		require.Equal(t, 2, sum.Outcomes[plan.NotReached])
	})
}

func TestProgressIsReported(t *testing.T) {
	p := fixture.MustPlan(t, plan.Step{ID: "s", Host: "h", Action: fixture.Action{OnCheck: func(_ context.Context, h *plan.Host) (plan.Diff, error) {
		h.Report("%d of %d", 1, 2)
		return nil, nil
	}}})
	var events fixture.Trace
	_, err := (&plan.Runner{Transport: &idle{}, Observe: events.Observe}).Run(t.Context(), p)
	require.NoError(t, err)
	require.Contains(t, events, "step-progress s 1 of 2")
}

// Whatever the plan, steps of one host or with one lock never overlap, no step
// starts before those it comes after have ended, the bound on parallel steps
// holds, and every step runs once.
func TestOrderLocksAndBounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(rt, "steps")
		parallel := rapid.IntRange(1, 5).Draw(rt, "parallel")
		var mu sync.Mutex
		held := map[string]bool{}
		ended := map[plan.ID]bool{}
		ran := map[plan.ID]int{}
		var faults []string
		running := 0
		steps := make([]plan.Step, n)
		for i := range n {
			s := plan.Step{ID: name(i), Host: fmt.Sprintf("h%d", rapid.IntRange(0, 3).Draw(rt, "host"))}
			if rapid.Bool().Draw(rt, "locked") {
				s.Locks = []string{"quorum"}
			}
			for j := range i {
				if rapid.IntRange(0, 5).Draw(rt, "edge") == 0 {
					s.After = append(s.After, name(j))
				}
			}
			names := append([]string{s.Host}, s.Locks...)
			s.Action = fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
				mu.Lock()
				running++
				ran[s.ID]++
				if running > parallel {
					faults = append(faults, "too many at once")
				}
				for _, l := range names {
					if held[l] {
						faults = append(faults, "overlap on "+l)
					}
					held[l] = true
				}
				for _, id := range s.After {
					if !ended[id] {
						faults = append(faults, fmt.Sprintf("%s before %s", s.ID, id))
					}
				}
				mu.Unlock()
				for range 3 {
					mu.Lock()   // give others the chance to break in
					mu.Unlock() //nolint:staticcheck // an empty critical section is the point
				}
				mu.Lock()
				defer mu.Unlock()
				for _, l := range names {
					held[l] = false
				}
				ended[s.ID] = true
				running--
				return nil, nil
			}}
			steps[i] = s
		}
		_, err := (&plan.Runner{Transport: &idle{}, Parallel: parallel}).Run(context.Background(), fixture.MustPlan(rt, steps...))
		require.NoError(rt, err)
		require.Empty(rt, faults)
		require.Len(rt, ran, n)
		for id, times := range ran {
			require.Equal(rt, 1, times, id)
		}
	})
}
