package plan_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/plan/journal"
	"github.com/quorate-dev/quorate/plan/journaltest"
)

// lines are records as text, without what differs from run to run.
func lines(t require.TestingT, j plan.Journal) []string {
	var out []string
	for _, r := range fixture.Records(t, j) {
		line := strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Kind, r.Step, r.Outcome))
		for _, c := range r.Changes {
			line += ": " + c.String()
		}
		if r.Error != "" {
			line += ": " + r.Error
		}
		out = append(out, line)
	}
	return out
}

func TestJournalRecords(t *testing.T) {
	var done atomic.Bool
	var j journaltest.Memory
	make := once(&done)
	apply := make.OnApply
	var before []string
	make.OnApply = func(ctx context.Context, h *plan.Host) error {
		before = lines(t, &j)
		return apply(ctx, h)
	}
	p := fixture.MustPlan(t, plan.Step{ID: "make", Host: "h", Action: make}, step("look", "other"))
	now := time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)
	r := &plan.Runner{Transport: &idle{}, Journal: &j, Operator: fixture.Alice, Now: func() time.Time { return now }}
	_, err := r.Run(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, []string{"run-started", "intent make: create /thing"}, before, "before anything is applied")
	require.Equal(t, []string{"run-started", "intent make: create /thing", "outcome make changed", "run-ended"}, lines(t, &j))
	all := fixture.Records(t, &j)
	begun, _ := p.Step("make")
	for _, r := range all {
		require.Equal(t, all[0].Run, r.Run)
		require.Equal(t, now, r.Time)
		require.Equal(t, plan.RecordSchema, r.Schema)
	}
	require.Equal(t, &fixture.Alice, all[0].Operator)
	require.Equal(t, p.Fingerprint(), all[0].Plan)
	require.Equal(t, 2, all[0].Steps)
	require.Equal(t, "h", all[1].Host)
	require.Equal(t, 1, all[1].Attempt)
	require.Equal(t, begun.Fingerprint(), all[1].Inputs)
	require.Equal(t, begun.Fingerprint(), all[2].Inputs)
	require.Equal(t, map[plan.Outcome]int{plan.Changed: 1, plan.Unchanged: 1}, all[3].Outcomes)

	_, err = r.Run(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, []string{"run-started", "run-ended"}, lines(t, &j)[4:], "nothing was done")
	require.NotEqual(t, all[0].Run, fixture.Records(t, &j)[4].Run)
}

// The journal says that it is done; the host says that it is not.
func TestCheckDecides(t *testing.T) {
	var done atomic.Bool
	var j journaltest.Memory
	p := fixture.MustPlan(t, plan.Step{ID: "make", Host: "h", Action: once(&done)})
	r := &plan.Runner{Transport: &idle{}, Journal: &j}
	for range 2 {
		done.Store(false)
		sum, err := r.Run(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, 1, sum.Outcomes[plan.Changed])
	}
}

// Whatever happens to the steps, a run reports the same with a journal as without.
func TestJournalDecidesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var j journaltest.Memory
		boom := errors.New("boom")
		n := rapid.IntRange(1, 6).Draw(rt, "steps")
		differs := rapid.SliceOfN(rapid.Bool(), n, n).Draw(rt, "differs")
		fails := rapid.SliceOfN(rapid.Bool(), n, n).Draw(rt, "fails")
		run := func(journal plan.Journal) (fixture.Trace, map[plan.Outcome]int, string) {
			var steps []plan.Step
			for i := range n {
				var done atomic.Bool
				done.Store(!differs[i])
				a := once(&done)
				if apply := a.OnApply; fails[i] {
					a.OnApply = func(ctx context.Context, h *plan.Host) error { return errors.Join(apply(ctx, h), boom) }
				}
				steps = append(steps, plan.Step{ID: name(i), Host: "h", Action: a})
				if i > 0 && i%2 == 0 {
					steps[i].After = []plan.ID{name(i - 1)}
				}
			}
			var tr fixture.Trace
			sum, err := (&plan.Runner{Transport: &idle{}, Journal: journal, Observe: func(e plan.Event) {
				if e.Kind != plan.StepUnfinished {
					tr.Observe(e)
				}
			}}).Run(context.Background(), fixture.MustPlan(rt, steps...))
			return tr, sum.Outcomes, fmt.Sprint(err)
		}
		events, outcomes, err := run(nil)
		for range 2 { // the second time with a past
			withEvents, withOutcomes, withErr := run(&j)
			require.Equal(rt, events, withEvents)
			require.Equal(rt, outcomes, withOutcomes)
			require.Equal(rt, err, withErr)
		}
	})
}

func TestFailedWriteOfAnIntent(t *testing.T) {
	full := errors.New("no space left on device")
	j := journaltest.Memory{Fail: func(r plan.Record) error {
		if r.Kind == plan.RecordIntent && r.Step == "make" {
			return full
		}
		return nil
	}}
	var done, other atomic.Bool
	p := fixture.MustPlan(t,
		plan.Step{ID: "make", Host: "h", Action: once(&done)}, step("after", "h", "make"),
		plan.Step{ID: "other", Host: "i", Action: once(&other)},
	)
	var events fixture.Trace
	sum, err := (&plan.Runner{Transport: &idle{}, Journal: &j, Observe: events.Observe}).Run(t.Context(), p)
	require.False(t, done.Load(), "applied")
	require.True(t, other.Load(), "a sibling was stopped")
	require.NotContains(t, events, "step-applying make")
	require.Equal(t, map[plan.Outcome]int{plan.Failed: 1, plan.NotReached: 1, plan.Changed: 1}, sum.Outcomes)
	var failed *plan.StepError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, plan.Recording, failed.Phase)
	var journal *plan.JournalError
	require.ErrorAs(t, err, &journal)
	require.Equal(t, plan.JournalError{Record: plan.RecordIntent, Op: "append", Step: "make", Err: full}, *journal)
	require.ErrorIs(t, err, full)
	require.Contains(t, err.Error(), "step make on h: record: journal: append intent of make: no space left on device")
	require.Equal(t, []string{"run-started", "intent other: create /thing", "outcome other changed", "run-ended"}, lines(t, &j))
}

// What was done stays done, the run says that the journal does not have it, and
// the next run reports it.
func TestFailedWriteOfAnOutcome(t *testing.T) {
	full := errors.New("no space left on device")
	var broken atomic.Bool
	broken.Store(true)
	j := journaltest.Memory{Fail: func(r plan.Record) error {
		if r.Kind == plan.RecordOutcome && broken.Load() {
			return full
		}
		return nil
	}}
	var done atomic.Bool
	p := fixture.MustPlan(t, plan.Step{ID: "make", Title: "make it", Host: "h", Action: once(&done)}, step("after", "h", "make"))
	var seen []plan.Event
	r := &plan.Runner{Transport: &idle{}, Journal: &j, Operator: fixture.Alice, Observe: func(e plan.Event) { seen = append(seen, e) }}
	sum, err := r.Run(t.Context(), p)
	require.Equal(t, map[plan.Outcome]int{plan.Changed: 1, plan.Unchanged: 1}, sum.Outcomes)
	var run *plan.RunError
	require.ErrorAs(t, err, &run)
	require.Empty(t, run.Failed)
	require.Equal(t, []*plan.JournalError{{Record: plan.RecordOutcome, Op: "append", Step: "make", Err: full}}, run.Journal)
	require.ErrorIs(t, err, full)
	require.Equal(t, "every step succeeded, but the journal is not complete\n  journal: append outcome of make: no space left on device", err.Error())
	i := slices.IndexFunc(seen, func(e plan.Event) bool { return e.Kind == plan.JournalFailed })
	require.GreaterOrEqual(t, i, 0)
	require.Equal(t, plan.ID("make"), seen[i].Step)
	require.ErrorIs(t, seen[i].Err, full)

	broken.Store(false)
	seen = nil
	sum, err = r.Run(t.Context(), p)
	require.NoError(t, err)
	require.Len(t, sum.Unfinished, 1)
	require.Equal(t, plan.Outcome(""), sum.Unfinished[0].Outcome)
	require.Equal(t, fixture.Alice, sum.Unfinished[0].Operator)
	require.Equal(t, plan.StepUnfinished, seen[1].Kind, "before any step")
	require.Equal(t, "make it", seen[1].Title)
	require.Contains(t, seen[1].Message, "of alice (process 4711 on laptop) was interrupted while applying it at ")
	require.Equal(t, "outcome make unchanged", lines(t, &j)[4], "what was unfinished is settled")

	sum, err = r.Run(t.Context(), p)
	require.NoError(t, err)
	require.Empty(t, sum.Unfinished)
}

func TestUnfinishedOf(t *testing.T) {
	var all []plan.Record
	add := func(run string, kind plan.RecordKind, step plan.ID, outcome plan.Outcome) {
		all = append(all, plan.Record{Schema: 1, Run: run, Kind: kind, Step: step, Host: "h", Outcome: outcome})
	}
	all = append(all, plan.Record{Schema: 1, Run: "A", Kind: plan.RecordRun, Operator: &fixture.Alice})
	add("A", plan.RecordIntent, "interrupted", "")
	add("A", plan.RecordIntent, "done", "")
	add("A", plan.RecordOutcome, "done", plan.Changed)
	add("A", plan.RecordOutcome, "unreachable", plan.Failed)
	add("A", plan.RecordIntent, "again", "")
	add("B", plan.RecordIntent, "later", "")
	add("B", plan.RecordIntent, "interrupted", "")
	add("B", plan.RecordOutcome, "again", plan.Unchanged)
	add("B", plan.RecordEnd, "", "")
	left, err := plan.UnfinishedOf(func(yield func(plan.Record, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	})
	require.NoError(t, err)
	var got []string
	for _, u := range left {
		got = append(got, fmt.Sprintf("%s %s %s %s", u.Step, u.Run, u.Operator.Name, u.Outcome))
	}
	require.Equal(t, []string{"unreachable A alice failed", "later B  ", "interrupted B  "}, got)

	broken := errors.New("broken")
	_, err = plan.UnfinishedOf(func(yield func(plan.Record, error) bool) { yield(plan.Record{}, broken) })
	require.ErrorIs(t, err, broken)
}

func TestSecondOperator(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var j journaltest.Memory
		begin := time.Now()
		bob, other := &idle{}, fixture.MustPlan(t, step("s", "h"))
		var sum plan.Summary
		var refused error
		p := fixture.MustPlan(t, plan.Step{ID: "s", Host: "h", Action: fixture.Action{OnCheck: func(ctx context.Context, _ *plan.Host) (plan.Diff, error) {
			time.Sleep(time.Minute)
			sum, refused = (&plan.Runner{Transport: bob, Journal: &j, Operator: plan.Operator{Name: "bob"}}).Run(ctx, other)
			return nil, nil
		}}})
		_, err := (&plan.Runner{Transport: &idle{}, Journal: &j, Operator: fixture.Alice}).Run(t.Context(), p)
		require.NoError(t, err)
		var locked *plan.LockedError
		require.ErrorAs(t, refused, &locked)
		require.Equal(t, fixture.Alice, locked.Holder.Operator)
		require.True(t, locked.Holder.Since.Equal(begin))
		require.Equal(t, map[plan.Outcome]int{plan.NotReached: 1}, sum.Outcomes)
		require.Equal(t, "run not begun, 1 not reached\n  journal: begin: the journal is held by alice (process 4711 on laptop) since "+
			begin.UTC().Format(time.RFC3339)+": wait until that run has ended", refused.Error())
		require.Empty(t, bob.dials, "bob has touched a host")
		require.Equal(t, []string{"run-started", "run-ended"}, lines(t, &j))
	})
}

func TestLostJournal(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var j journaltest.Memory
		expired := errors.New("the lease has run out")
		differs := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
			return plan.Diff{{Verb: "run", Subject: "it"}}, nil
		}}
		differs.OnApply = func(ctx context.Context, _ *plan.Host) error {
			j.Lose(expired)
			<-ctx.Done()
			return ctx.Err()
		}
		p := fixture.MustPlan(t, plan.Step{ID: "a", Host: "h", Action: differs}, step("b", "h"))
		begin := time.Now()
		sum, err := (&plan.Runner{Transport: &idle{}, Journal: &j, Operator: fixture.Alice}).Run(t.Context(), p)
		require.Zero(t, time.Since(begin))
		require.Equal(t, map[plan.Outcome]int{plan.Failed: 1, plan.NotReached: 1}, sum.Outcomes)
		var run *plan.RunError
		require.ErrorAs(t, err, &run)
		var lost *plan.LockLostError
		require.ErrorAs(t, run.Canceled, &lost)
		require.Equal(t, fixture.Alice, lost.Holder.Operator)
		require.ErrorIs(t, err, expired)
		require.Equal(t, []string{"run-started", "intent a: run it"}, lines(t, &j), "nothing more is kept by who does not hold it")
	})
}

// A cancelled run still records what was done.
func TestJournalOfACancelledRun(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var j journaltest.Memory
		ctx, cancel := context.WithCancel(t.Context())
		differs := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
			return plan.Diff{{Verb: "run", Subject: "it"}}, nil
		}}
		differs.OnApply = func(ctx context.Context, _ *plan.Host) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}
		p := fixture.MustPlan(t, plan.Step{ID: "a", Host: "h", Action: differs}, step("b", "h"))
		_, err := (&plan.Runner{Transport: &idle{}, Journal: &j}).Run(ctx, p)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, []string{"run-started", "intent a: run it", "outcome a failed: context canceled", "run-ended"}, lines(t, &j))
		s, err := j.Begin(t.Context(), plan.Holder{})
		require.NoError(t, err, "the journal was released")
		require.NoError(t, s.End(t.Context()))
	})
}

func TestJournalOfADryRun(t *testing.T) {
	var j journaltest.Memory
	s, err := j.Begin(t.Context(), plan.Holder{Operator: fixture.Alice})
	require.NoError(t, err)
	var done atomic.Bool
	p := fixture.MustPlan(t, plan.Step{ID: "make", Host: "h", Action: once(&done)})
	sum, err := (&plan.Runner{Transport: &idle{}, Journal: &j, DryRun: true}).Run(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, 1, sum.Outcomes[plan.WouldChange])
	require.NoError(t, s.End(t.Context()))
	require.Empty(t, fixture.Records(t, &j))
}

func TestUnreadableJournal(t *testing.T) {
	var j journaltest.Memory
	s, err := j.Begin(t.Context(), plan.Holder{Operator: fixture.Alice})
	require.NoError(t, err)
	require.NoError(t, s.Append(t.Context(), plan.Record{Schema: plan.RecordSchema + 1, Run: "R", Kind: "new"}))
	require.NoError(t, s.End(t.Context()))
	tr := &idle{}
	for range 2 { // and it is released
		_, err = (&plan.Runner{Transport: tr, Journal: &j}).Run(t.Context(), fixture.MustPlan(t, step("s", "h")))
		var schema *journal.SchemaError
		require.ErrorAs(t, err, &schema)
		require.Equal(t, plan.RecordSchema+1, schema.Schema)
		require.Empty(t, tr.dials)
	}
}

// However much differs, and however it fails, records stay within their bound.
func TestRecordsAreBounded(t *testing.T) {
	for _, text := range []string{"\x00\x01", "\xffx", "ü", "<", "x"} {
		long := strings.Repeat(text, 1<<16/len(text))
		var j journaltest.Memory
		a := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
			return slices.Repeat(plan.Diff{{Verb: long, Subject: long, Detail: long}}, 1000), nil
		}}
		a.OnApply = func(context.Context, *plan.Host) error { return errors.New(long) }
		_, err := (&plan.Runner{Transport: &idle{}, Journal: &j}).Run(t.Context(), fixture.MustPlan(t, plan.Step{ID: "s", Host: "h", Action: a}))
		require.Error(t, err)
		all := fixture.Records(t, &j)
		require.Len(t, all, 4)
		require.Len(t, all[1].Changes, 1000-all[1].Omitted)
		require.True(t, strings.HasSuffix(all[2].Error, "..."))
		for _, r := range all {
			b, err := json.Marshal(r)
			require.NoError(t, err)
			require.LessOrEqual(t, len(b), journal.MaxRecord)
		}
	}
}

func TestFingerprints(t *testing.T) {
	file := func(f quorate.File) plan.Step {
		return plan.Step{ID: "s", Host: "h", Action: plan.Deploy{Files: []quorate.File{f}}}
	}
	public := quorate.File{Path: "/etc/x", Mode: 0o644, Content: quorate.Public([]byte("one"))}
	secret := quorate.File{Path: "/etc/x", Mode: 0o644, Content: quorate.Sensitive([]byte("one"))}
	base := file(public)
	seen := map[string]string{base.Fingerprint(): "base"}
	require.Equal(t, base.Fingerprint(), file(public).Fingerprint())
	differs := func(what string, s plan.Step) {
		t.Helper()
		require.Empty(t, seen[s.Fingerprint()], what)
		seen[s.Fingerprint()] = what
	}
	with := func(change func(*quorate.File)) plan.Step {
		f := public
		change(&f)
		return file(f)
	}
	differs("content", with(func(f *quorate.File) { f.Content = quorate.Public([]byte("two")) }))
	differs("path", with(func(f *quorate.File) { f.Path = "/etc/y" }))
	differs("mode", with(func(f *quorate.File) { f.Mode = 0o600 }))
	differs("owner", with(func(f *quorate.File) { f.Owner = "board" }))
	differs("group", with(func(f *quorate.File) { f.Group = "board" }))
	differs("sensitive", file(secret))
	differs("host", plan.Step{ID: "s", Host: "i", Action: base.Action})
	differs("ID", plan.Step{ID: "r", Host: "h", Action: base.Action})
	differs("order", plan.Step{ID: "s", Host: "h", After: []plan.ID{"r"}, Action: base.Action})
	differs("no action's inputs", plan.Step{ID: "s", Host: "h", Action: fixture.Action{}})
	differs("unit", plan.Step{ID: "s", Host: "h", Action: plan.Deploy{Files: []quorate.File{public}, Units: []plan.Unit{{Name: "x.service"}}}})

	secret.Content = quorate.Sensitive([]byte("something else, and longer"))
	require.Equal(t, "sensitive", seen[file(secret).Fingerprint()], "a fingerprint distinguishes secrets")
}
