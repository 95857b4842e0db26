package journaltest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/plan"
)

// oldRunsGo has many runs, which leave this and that unfinished: what a journal
// no longer has is what nobody needs.
func oldRunsGo(ctx context.Context, t *testing.T, h Harness, _ func(*testing.T) plan.Journal) {
	if h.NewKeeping == nil {
		t.Skip("it keeps all")
	}
	const keep, total, steps = 8, 40, 5
	open := h.NewKeeping(t, keep)
	var all []plan.Record
	var ids []string
	least := 0
	for i := range total {
		j := open(t)
		s := begin(ctx, t, j, "alice")
		got := read(ctx, t, j)
		sameUnfinished(t, got, all)
		recent := ids[max(0, len(ids)-keep):]
		want(t, ofRuns(got, recent), ofRuns(all, recent)...)
		older := map[string]bool{}
		for _, r := range got {
			if !slices.Contains(recent, r.Run) {
				older[r.Run] = true
			}
		}
		if most := keep/4 + steps; len(older) > most { // each step is left by one run
			t.Errorf("run %d: %d runs more than the %d to keep, and not at most %d", i, len(older), keep, most)
		}
		least = len(got)

		id := fmt.Sprintf("R%d", i)
		ids = append(ids, id)
		for _, r := range oneRun(id, i, steps) {
			fatal(t, s.Append(ctx, r))
			all = append(all, r)
		}
		fatal(t, s.End(ctx))
	}
	if least >= len(all)/2 {
		t.Errorf("%d records are left of %d", least, len(all))
	}
	sameUnfinished(t, read(ctx, t, open(t)), all)
}

// oneRun fails with a step at times, or is cut off, and does others to their
// end. The first leaves one that no other run has.
func oneRun(id string, i, steps int) []plan.Record {
	of := func(kind plan.RecordKind, step int) plan.Record {
		r := record(id, step)
		r.Kind = kind
		return r
	}
	first := plan.Record{Schema: plan.RecordSchema, Run: id, Kind: plan.RecordRun, Time: moment(), Operator: &plan.Operator{Name: "operator of " + id}}
	done := of(plan.RecordOutcome, (i+1)%(steps-1))
	done.Outcome = plan.Changed
	out := []plan.Record{first, of(plan.RecordIntent, (i+1)%(steps-1)), done, of(plan.RecordIntent, i%(steps-1))}
	if i == 0 {
		out = append(out, of(plan.RecordIntent, steps))
	}
	switch i % 3 {
	case 0:
		failed := of(plan.RecordOutcome, i%(steps-1))
		failed.Outcome, failed.Error, failed.Elapsed = plan.Failed, awkward, time.Second
		out = append(out, failed)
	case 1:
		return out // the program died
	}
	return append(out, plan.Record{Schema: plan.RecordSchema, Run: id, Kind: plan.RecordEnd, Time: moment()})
}

func ofRuns(records []plan.Record, ids []string) []plan.Record {
	return slices.DeleteFunc(slices.Clone(records), func(r plan.Record) bool { return !slices.Contains(ids, r.Run) })
}

func sameUnfinished(t *testing.T, got, want []plan.Record) {
	t.Helper()
	text := func(records []plan.Record) string {
		left, err := plan.UnfinishedOf(func(yield func(plan.Record, error) bool) {
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
			}
		})
		fatal(t, err)
		for i := range left {
			left[i].Time = left[i].Time.UTC()
		}
		b, err := json.Marshal(left)
		fatal(t, err)
		return string(b)
	}
	if g, w := text(got), text(want); g != w {
		t.Errorf("unfinished is\n%s\nwant\n%s", g, w)
	}
}
