package plan_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// kept keeps one file, with Deploy's ability to be read ahead.
func kept(path string) plan.Deploy {
	return plan.Deploy{Files: []quorate.File{{Path: path, Mode: 0o644, Content: quorate.Public([]byte("as described\n"))}}}
}

// otherHand is a step whose check lets somebody else do something.
func otherHand(do func()) plan.Action {
	return fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) { do(); return nil, nil }}
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
func TestPrefetchExpires(t *testing.T) {
	for _, tt := range []struct {
		ahead, takes time.Duration
		found        bool
	}{
		{0, 59 * time.Second, false},
		{0, 61 * time.Second, true},
		{2 * time.Second, time.Second, false},
		{2 * time.Second, 3 * time.Second, true},
		{fixture.NoReadAhead, 0, true},
	} {
		t.Run(fmt.Sprint(tt.ahead, " ", tt.takes), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				tr := world(t)
				p := fixture.MustPlan(t,
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
				sum, err = r.Run(t.Context(), fixture.MustPlan(t, plan.Step{ID: "second", Host: "a", Action: kept("/second")}))
				require.NoError(t, err)
				require.Equal(t, !tt.found, sum.Changed(), "the next run")
			})
		})
	}
}

// A difference that was read ahead and is gone by the time of its check is not
// applied, and a fault that is gone is not reported.
func TestRecheckBeforeApply(t *testing.T) {
	tr := world(t)
	spoil(t, tr, "a")
	p := fixture.MustPlan(t,
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
func TestApplyInvalidatesThePrefetch(t *testing.T) {
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
				return fixture.Action{
					OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
						if applied {
							return nil, nil
						}
						return plan.Diff{{Verb: "run", Subject: lock}}, nil
					},
					OnApply: func(context.Context, *plan.Host) error {
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
			// and lets the scheduler hear of the end before the next step starts.
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
			said, sum := fixture.Reports(t.Context(), plan.Runner{Transport: tr}, fixture.MustPlan(t, append(steps, tt.second)...))
			require.Equal(t, tt.found, strings.HasPrefix(said["second"], string(plan.Changed)), "%v %v", said, sum.RoundTrips)
		})
	}
}

// foretold is an action that says what its check will ask.
type foretold struct {
	fixture.Action
	reads plan.Prefetch
}

func (f foretold) Prefetch() plan.Prefetch { return f.reads }

func asks(argv ...string) plan.Prefetch {
	return plan.Prefetch{Queries: []transport.Query{{Argv: argv}}}
}

// A check that reads twice does not get the same answer twice: it may be waiting.
func TestPrefetchedAnswersAreUsedOnce(t *testing.T) {
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
	act := foretold{fixture.Action{OnCheck: check}, asks("count")}
	sum, err := (&plan.Runner{Transport: tr}).Run(t.Context(), fixture.MustPlan(t,
		plan.Step{ID: "one", Host: "a", Action: act}, plan.Step{ID: "two", Host: "a", After: []plan.ID{"one"}, Action: act}))
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2", "3", "1", "4", "5"}, got, "each check is answered once from what was read ahead")
	require.Equal(t, map[string]int{"a": 5}, sum.RoundTrips)
}

// Where reading ahead fails, or a command hangs or floods in it, every step does
// as without: what was answered counts, and the trouble is its own step's.
func TestFailedPrefetch(t *testing.T) {
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
				ask := foretold{fixture.Action{OnCheck: func(ctx context.Context, h *plan.Host) (plan.Diff, error) {
					_, err := h.Run(ctx, "ask")
					return nil, err
				}}, asks("ask")}
				said, _ := fixture.Reports(t.Context(), plan.Runner{Transport: tr}, fixture.MustPlan(t,
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

// A verification reads what is there then: an action that does nothing is
// found out, although what it wants was described before.
func TestVerificationIgnoresThePrefetch(t *testing.T) {
	tr := world(t)
	spoil(t, tr, "a")
	lazy := foretold{fixture.Action{
		OnCheck: kept("/second").Check,
		OnApply: func(context.Context, *plan.Host) error { return nil },
	}, kept("/second").Prefetch()}
	_, err := (&plan.Runner{Transport: tr}).Run(t.Context(), fixture.MustPlan(t,
		plan.Step{ID: "first", Host: "a", Action: kept("/first")}, plan.Step{ID: "lazy", Host: "a", After: []plan.ID{"first"}, Action: lazy}))
	var left *plan.NotConvergedError
	require.ErrorAs(t, err, &left)
}
