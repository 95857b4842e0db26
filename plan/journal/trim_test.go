package journal_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/journal"
)

// theRecords returns records as a journal does.
func theRecords(records []plan.Record) iter.Seq2[plan.Record, error] {
	return func(yield func(plan.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// history is runs of which some were cut off, and some steps never done.
func history(t *rapid.T) (all []plan.Record, runs []string) {
	for i := range rapid.IntRange(0, 30).Draw(t, "runs") {
		run := fmt.Sprintf("R%d", i)
		runs = append(runs, run)
		add := func(kind plan.RecordKind, step int, outcome plan.Outcome) {
			r := plan.Record{Schema: 1, Run: run, Kind: kind, Outcome: outcome}
			if kind == plan.RecordRun {
				r.Operator = &plan.Operator{Name: "of " + run}
			}
			if step >= 0 {
				r.Step, r.Host = plan.ID(fmt.Sprint(step)), "h"
			}
			all = append(all, r)
		}
		add(plan.RecordRun, -1, "")
		for range rapid.IntRange(0, 4).Draw(t, "steps") {
			step := rapid.IntRange(0, 5).Draw(t, "step")
			if rapid.Bool().Draw(t, "intent") {
				add(plan.RecordIntent, step, "")
			}
			if rapid.Bool().Draw(t, "ends") {
				add(plan.RecordOutcome, step, rapid.SampledFrom([]plan.Outcome{plan.Changed, plan.Unchanged, plan.Failed}).Draw(t, "outcome"))
			}
		}
		if rapid.Bool().Draw(t, "whole") {
			add(plan.RecordEnd, -1, "")
		}
	}
	return all, runs
}

// Whatever runs have done: what they left unfinished stays known, and by whom,
// also if the trim is cut off anywhere; the last runs stay whole; the rest goes.
func TestTrimKeepsWhatIsUnfinished(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, runs := history(t)
		keep := rapid.IntRange(1, 12).Draw(t, "keep")
		want, err := plan.UnfinishedOf(theRecords(all))
		require.NoError(t, err)
		trim, err := journal.NewTrim(theRecords(all), keep)
		require.NoError(t, err)

		var kept []plan.Record
		dropped := 0
		for n, r := range all {
			if trim.Keeps(n, r) {
				kept = append(kept, r)
				continue
			}
			dropped++
			// Cut off here, after it has removed this much.
			got, err := plan.UnfinishedOf(theRecords(slices.Concat(kept, all[n+1:])))
			require.NoError(t, err)
			require.Equal(t, want, got, "after record %d", n)
		}
		require.Equal(t, trim.Drops(), dropped)
		got, err := plan.UnfinishedOf(theRecords(kept))
		require.NoError(t, err)
		require.Equal(t, want, got)

		recent := runs[max(0, len(runs)-keep):]
		of := func(records []plan.Record, which func(string) bool) []plan.Record {
			return slices.DeleteFunc(slices.Clone(records), func(r plan.Record) bool { return !which(r.Run) })
		}
		isRecent := func(run string) bool { return slices.Contains(recent, run) }
		require.Equal(t, of(all, isRecent), of(kept, isRecent))
		older := map[string]bool{}
		for _, r := range kept {
			if !isRecent(r.Run) {
				older[r.Run] = true
			}
		}
		require.LessOrEqual(t, len(older), keep/4+len(want), "no more than the slack, and runs that left something")

		// What has been trimmed is not trimmed again.
		if dropped > 0 {
			again, err := journal.NewTrim(theRecords(kept), keep)
			require.NoError(t, err)
			require.Zero(t, again.Drops())
		}
		all2, err := journal.NewTrim(theRecords(all), -1)
		require.NoError(t, err)
		require.Zero(t, all2.Drops())
	})
}

func TestTrimOfUnreadableRecords(t *testing.T) {
	broken := errors.New("broken")
	_, err := journal.NewTrim(func(yield func(plan.Record, error) bool) { yield(plan.Record{}, broken) }, 1)
	require.ErrorIs(t, err, broken)
}

// The default is a thousand runs, and a quarter more before anything goes.
func TestTrimDefault(t *testing.T) {
	var all []plan.Record
	for i := range 1250 {
		all = append(all, plan.Record{Run: fmt.Sprint(i), Kind: plan.RecordRun})
	}
	trim, err := journal.NewTrim(theRecords(all), 0)
	require.NoError(t, err)
	require.Zero(t, trim.Drops())
	all = append(all, plan.Record{Run: "one more", Kind: plan.RecordRun})
	trim, err = journal.NewTrim(theRecords(all), 0)
	require.NoError(t, err)
	require.Equal(t, 251, trim.Drops())
}
