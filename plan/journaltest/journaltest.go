// Package journaltest is the conformance suite of journals: what plan.Journal
// promises, tried on one. The journals of Quorate pass it, and one of your own
// should:
//
//	func TestConformance(t *testing.T) {
//		journaltest.Run(t, journaltest.Harness{New: func(t *testing.T) func(*testing.T) plan.Journal {
//			path := filepath.Join(t.TempDir(), "journal")
//			return func(*testing.T) plan.Journal { return mine.Open(path) }
//		}})
//	}
//
// Memory is a journal for tests of programs that embed Quorate.
package journaltest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/journal"
)

// Harness is a kind of journal under test.
type Harness struct {
	// New makes an empty journal and returns what opens it, each time as
	// another program would: two such journals share nothing but what they keep.
	New func(t *testing.T) (open func(t *testing.T) plan.Journal)
	// NewKeeping does what New does, with a journal that keeps so many runs whole.
	// Nil if the journal keeps all.
	NewKeeping func(t *testing.T, runs int) (open func(t *testing.T) plan.Journal)
	// Crash, if set, ends a session as the death of its program would, and
	// returns once the journal can be begun again.
	Crash func(t *testing.T, j plan.Journal, s plan.JournalSession)
	// CannotLock says that the journal admits several sessions at once.
	CannotLock bool
}

// patience bounds every test of the suite.
const patience = time.Minute

// Run runs the suite as subtests of t.
func Run(t *testing.T, h Harness) {
	for _, test := range []struct {
		name string
		run  func(context.Context, *testing.T, Harness, func(*testing.T) plan.Journal)
	}{
		{"a new journal is empty", empty},
		{"records come back as they were", roundTrip},
		{"records of several sessions", sessions},
		{"a record as large as may be", large},
		{"appending side by side", sideBySide},
		{"reading stops on request", stopReading},
		{"a ctx that has ended", ended},
		{"a session that has ended", afterEnd},
		{"one session at a time", locking},
		{"many want it at once", contention},
		{"after a crash", crash},
		{"old runs go", oldRunsGo},
		{"runs", runs},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			test.run(ctx, t, h, h.New(t))
		})
	}
}

// moment has a fraction of a second and a zone: both must survive.
func moment() time.Time {
	return time.Date(2026, 2, 3, 4, 5, 6, 789012345, time.FixedZone("", 5400))
}

func holder(name string) plan.Holder {
	return plan.Holder{
		Operator: plan.Operator{Name: name, Machine: "laptop of " + name, Process: "4711"},
		Run:      "RUN-" + name, Since: moment(),
	}
}

func record(run string, i int) plan.Record {
	return plan.Record{
		Schema: plan.RecordSchema, Run: run, Kind: plan.RecordIntent, Time: moment(),
		Step: plan.ID(fmt.Sprintf("step/%d", i)), Host: "cp-1", Inputs: "abc", Attempt: 1,
	}
}

// awkward is text that an encoding of its own would break.
const awkward = "two\nlines\r\n\"quoted\" \\ back, \x00 nul, \u2028 separator, ünïcödé, </script>, %s"

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func begin(ctx context.Context, t *testing.T, j plan.Journal, name string) plan.JournalSession {
	t.Helper()
	s, err := j.Begin(ctx, holder(name))
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	return s
}

func read(ctx context.Context, t *testing.T, j plan.Journal) []plan.Record {
	t.Helper()
	var out []plan.Record
	for r, err := range j.Records(ctx) {
		if err != nil {
			t.Fatalf("Records: %v", err)
		}
		out = append(out, r)
	}
	return out
}

// want compares records by their JSON, which is what a journal keeps.
func want(t *testing.T, got []plan.Record, want ...plan.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		g, err := json.Marshal(got[i])
		fatal(t, err)
		w, err := json.Marshal(want[i])
		fatal(t, err)
		if !bytes.Equal(g, w) {
			t.Errorf("record %d:\n got %s\nwant %s", i, g, w)
		}
	}
}

func empty(ctx context.Context, t *testing.T, _ Harness, open func(*testing.T) plan.Journal) {
	j := open(t)
	want(t, read(ctx, t, j))
	s := begin(ctx, t, j, "alice")
	want(t, read(ctx, t, j))
	fatal(t, s.End(ctx))
	want(t, read(ctx, t, open(t)))
}

func roundTrip(ctx context.Context, t *testing.T, _ Harness, open func(*testing.T) plan.Journal) {
	j := open(t)
	s := begin(ctx, t, j, "alice")
	all := []plan.Record{
		{Schema: 1, Run: "R", Kind: plan.RecordRun, Time: moment(), Operator: &plan.Operator{Name: "alice"}, Plan: "00ff", Steps: 7},
		{
			Schema: 1, Run: "R", Kind: plan.RecordIntent, Time: moment(), Step: "etcd/cp-1", Host: "cp-1", Inputs: "00ff", Attempt: 2,
			Changes: []plan.Change{{Verb: "update", Subject: "/etc/" + awkward, Detail: awkward, Disruptive: true}}, Omitted: 3,
		},
		{
			Schema: 1, Run: "R", Kind: plan.RecordOutcome, Time: moment(), Step: "etcd/cp-1", Host: "cp-1", Inputs: "00ff", Attempt: 2,
			Outcome: plan.Failed, Phase: plan.Applying, Error: awkward, Elapsed: 3 * time.Second,
		},
		{Schema: 1, Run: "R", Kind: plan.RecordEnd, Time: moment(), Outcomes: map[plan.Outcome]int{plan.Failed: 1, plan.NotReached: 6}, Elapsed: time.Minute},
	}
	for i, r := range all {
		fatal(t, s.Append(ctx, r))
		want(t, read(ctx, t, open(t)), all[:i+1]...)
	}
	fatal(t, s.End(ctx))
	want(t, read(ctx, t, j), all...)
}

func sessions(ctx context.Context, t *testing.T, _ Harness, open func(*testing.T) plan.Journal) {
	var all []plan.Record
	for i := range 12 { // more than one digit, should it count in names
		j := open(t)
		s := begin(ctx, t, j, "alice")
		want(t, read(ctx, t, j), all...)
		r := record(fmt.Sprintf("R%d", i), i)
		fatal(t, s.Append(ctx, r))
		all = append(all, r)
		fatal(t, s.End(ctx))
	}
	want(t, read(ctx, t, open(t)), all...)
}

func large(ctx context.Context, t *testing.T, _ Harness, open func(*testing.T) plan.Journal) {
	s := begin(ctx, t, open(t), "alice")
	r := record("R", 1)
	b, err := json.Marshal(r)
	fatal(t, err)
	r.Error = strings.Repeat("x", journal.MaxRecord-len(b)-len(`,"error":""`))
	all := []plan.Record{record("R", 0), r, r, record("R", 2)}
	for _, r := range all {
		fatal(t, s.Append(ctx, r))
	}
	fatal(t, s.End(ctx))
	want(t, read(ctx, t, open(t)), all...)
}

func sideBySide(ctx context.Context, t *testing.T, _ Harness, open func(*testing.T) plan.Journal) {
	s := begin(ctx, t, open(t), "alice")
	const writers, each = 8, 8
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for i := range each {
				if err := s.Append(ctx, record(fmt.Sprint(w), i)); err != nil {
					t.Errorf("Append: %v", err)
				}
			}
		})
	}
	wait.Wait()
	fatal(t, s.End(ctx))
	seen := map[string]int{}
	for _, r := range read(ctx, t, open(t)) {
		if r.Step != record(r.Run, seen[r.Run]).Step {
			t.Errorf("writer %s: %s comes as number %d", r.Run, r.Step, seen[r.Run])
		}
		seen[r.Run]++
	}
	for w := range writers {
		if n := seen[fmt.Sprint(w)]; n != each {
			t.Errorf("%d records of writer %d", n, w)
		}
	}
}

func stopReading(ctx context.Context, t *testing.T, _ Harness, open func(*testing.T) plan.Journal) {
	j := open(t)
	s := begin(ctx, t, j, "alice")
	for i := range 3 {
		fatal(t, s.Append(ctx, record("R", i)))
	}
	n := 0
	for _, err := range j.Records(ctx) {
		fatal(t, err)
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("read %d records", n)
	}
	fatal(t, s.End(ctx))
}

func ended(ctx context.Context, t *testing.T, _ Harness, open func(*testing.T) plan.Journal) {
	j := open(t)
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := j.Begin(over, holder("alice")); !errors.Is(err, context.Canceled) {
		t.Errorf("Begin: %v", err)
	}
	s := begin(ctx, t, j, "bob")
	if err := s.Append(over, record("R", 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("Append: %v", err)
	}
	fatal(t, s.Append(ctx, record("R", 1)))
	want(t, read(ctx, t, j), record("R", 1))
	for _, err := range j.Records(over) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Records: %v", err)
		}
	}
	fatal(t, s.End(ctx))
}

func afterEnd(ctx context.Context, t *testing.T, _ Harness, open func(*testing.T) plan.Journal) {
	j := open(t)
	s := begin(ctx, t, j, "alice")
	fatal(t, s.Append(ctx, record("R", 0)))
	fatal(t, s.End(ctx))
	if err := s.Append(ctx, record("R", 1)); err == nil {
		t.Error("Append after End returned no error")
	}
	next := begin(ctx, t, j, "bob")
	fatal(t, s.End(ctx)) // and does not end the other's
	if err := s.Append(ctx, record("R", 2)); err == nil {
		t.Error("Append after End and another's Begin returned no error")
	}
	fatal(t, next.Append(ctx, record("R", 3)))
	fatal(t, next.End(ctx))
	select {
	case err := <-s.Lost():
		t.Errorf("an ended session was lost: %v", err)
	default:
	}
	want(t, read(ctx, t, j), record("R", 0), record("R", 3))
}

// refused checks that somebody else has the journal.
func refused(t *testing.T, err error, by plan.Holder) {
	t.Helper()
	var locked *plan.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("got %v, want a *plan.LockedError", err)
	}
	if locked.Holder.Operator != by.Operator || locked.Holder.Run != by.Run || !locked.Holder.Since.Equal(by.Since) {
		t.Errorf("held by %+v, want %+v", locked.Holder, by)
	}
}

func locking(ctx context.Context, t *testing.T, h Harness, open func(*testing.T) plan.Journal) {
	if h.CannotLock {
		t.Skip("it cannot lock")
	}
	j := open(t)
	s := begin(ctx, t, j, "alice")
	for _, other := range []plan.Journal{j, open(t)} {
		_, err := other.Begin(ctx, holder("bob"))
		refused(t, err, holder("alice"))
	}
	fatal(t, s.Append(ctx, record("R", 0)))
	want(t, read(ctx, t, open(t)), record("R", 0))
	fatal(t, s.End(ctx))
	second := open(t)
	s = begin(ctx, t, second, "bob")
	_, err := j.Begin(ctx, holder("alice"))
	refused(t, err, holder("bob"))
	fatal(t, s.End(ctx))
}

func contention(ctx context.Context, t *testing.T, h Harness, open func(*testing.T) plan.Journal) {
	if h.CannotLock {
		t.Skip("it cannot lock")
	}
	const contenders, each = 4, 6
	var inside sync.Mutex
	var wait sync.WaitGroup
	for w := range contenders {
		j := open(t)
		name := fmt.Sprint(w)
		wait.Go(func() {
			for i := 0; i < each; {
				s, err := j.Begin(ctx, holder(name))
				var locked *plan.LockedError
				if errors.As(err, &locked) {
					if locked.Holder.Run == "" || locked.Holder.Run == "RUN-"+name {
						t.Errorf("%s got %+v as its holder", name, locked.Holder)
					}
					continue
				}
				if err != nil {
					t.Errorf("Begin: %v", err)
					return
				}
				if !inside.TryLock() {
					t.Error("two have it")
					return
				}
				err = s.Append(ctx, record(name, i))
				inside.Unlock()
				if err = errors.Join(err, s.End(ctx)); err != nil {
					t.Errorf("%v", err)
					return
				}
				i++
			}
		})
	}
	wait.Wait()
	if n := len(read(ctx, t, open(t))); n != contenders*each {
		t.Errorf("%d records, want %d", n, contenders*each)
	}
}

func crash(ctx context.Context, t *testing.T, h Harness, open func(*testing.T) plan.Journal) {
	if h.Crash == nil {
		t.Skip("the harness cannot crash")
	}
	j := open(t)
	s := begin(ctx, t, j, "alice")
	fatal(t, s.Append(ctx, record("R", 0)))
	h.Crash(t, j, s)
	other := open(t)
	s = begin(ctx, t, other, "bob")
	fatal(t, s.Append(ctx, record("R", 1)))
	_, err := open(t).Begin(ctx, holder("carol"))
	if !h.CannotLock {
		refused(t, err, holder("bob"))
	}
	fatal(t, s.End(ctx))
	want(t, read(ctx, t, other), record("R", 0), record("R", 1))
}
