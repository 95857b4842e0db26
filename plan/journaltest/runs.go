package journaltest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
)

// runs has two operators run plans with the journal: one learns that the other
// runs, and then what the other left unfinished.
func runs(ctx context.Context, t *testing.T, h Harness, open func(*testing.T) plan.Journal) {
	broken := errors.New("the disk is full")
	var work thing
	steps, err := plan.New(plan.Step{ID: "make", Host: "h", Action: &work})
	fatal(t, err)
	runner := func(name string) *plan.Runner {
		return &plan.Runner{Transport: nowhere{}, Journal: open(t), Operator: holder(name).Operator}
	}

	work.apply = func() error {
		if !h.CannotLock {
			_, err := runner("bob").Run(ctx, steps)
			var locked *plan.LockedError
			if !errors.As(err, &locked) || locked.Holder.Operator != holder("alice").Operator || locked.Holder.Since.IsZero() {
				t.Errorf("bob got %v", err)
			}
		}
		return broken
	}
	if _, err = runner("alice").Run(ctx, steps); !errors.Is(err, broken) {
		t.Fatalf("alice's run: %v", err)
	}

	work.apply = func() error { return nil }
	sum, err := runner("bob").Run(ctx, steps)
	fatal(t, err)
	if len(sum.Unfinished) != 1 || sum.Unfinished[0].Step != "make" || sum.Unfinished[0].Operator != holder("alice").Operator ||
		sum.Unfinished[0].Outcome != plan.Failed || sum.Unfinished[0].Error != broken.Error() {
		t.Errorf("bob got %+v as unfinished", sum.Unfinished)
	}

	sum, err = runner("carol").Run(ctx, steps)
	fatal(t, err)
	if len(sum.Unfinished) != 0 {
		t.Errorf("carol got %+v as unfinished", sum.Unfinished)
	}
	var kinds []plan.RecordKind
	for _, r := range read(ctx, t, open(t)) {
		kinds = append(kinds, r.Kind)
	}
	whole := []plan.RecordKind{plan.RecordRun, plan.RecordIntent, plan.RecordOutcome, plan.RecordEnd}
	if !slices.Equal(kinds, slices.Concat(whole, whole, []plan.RecordKind{plan.RecordRun, plan.RecordEnd})) {
		t.Errorf("kept %v", kinds)
	}
}

// thing is an Action that differs until applying it has succeeded.
type thing struct {
	apply func() error
	done  bool
}

func (w *thing) Check(context.Context, *plan.Host) (plan.Diff, error) {
	if w.done {
		return nil, nil
	}
	return plan.Diff{{Verb: "create", Subject: "/thing"}}, nil
}

func (w *thing) Apply(context.Context, *plan.Host, plan.Diff) error {
	err := w.apply()
	w.done = err == nil
	return err
}

// nowhere reaches hosts on which nothing is done.
type nowhere struct{}

func (nowhere) Dial(context.Context, string) (transport.Conn, error) { return nowhere{}, nil }
func (nowhere) Run(context.Context, transport.Cmd) error             { return nil }
func (nowhere) Close() error                                         { return nil }
