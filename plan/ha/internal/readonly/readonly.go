// Package readonly has the one Action of steps that change nothing.
package readonly

import (
	"context"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
)

// Action looks at a host, or judges what others have seen: its Check fails or finds nothing,
// so that there is nothing to apply and nothing to undo.
type Action struct {
	plan.NothingToUndo
	// Kind and Inputs are what it describes itself by.
	Kind   string
	Inputs []string
	// Queries are what Look asks the host.
	Queries []transport.Query
	// Look is the work; nil only comes after others.
	Look func(ctx context.Context, h *plan.Host) error
	// Unreached, if set, judges what the run had seen where the step was not reached.
	Unreached func(seen *plan.Shared) error
}

// Check calls Look.
func (a Action) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	if a.Look == nil {
		return nil, nil
	}
	return nil, a.Look(ctx, h)
}

// Apply is never called.
func (Action) Apply(context.Context, *plan.Host, plan.Diff) error { return nil }

// Describe returns the kind and the inputs.
func (a Action) Describe() plan.Description {
	d := plan.Description{Kind: a.Kind}
	if len(a.Inputs) > 0 {
		d.Inputs = []quorate.Content{plan.InputText(a.Inputs...)}
	}
	return d
}

// Prefetch returns the queries.
func (a Action) Prefetch() plan.Prefetch { return plan.Prefetch{Queries: a.Queries} }

// JudgeUnreached calls Unreached.
func (a Action) JudgeUnreached(seen *plan.Shared) error {
	if a.Unreached == nil {
		return nil
	}
	return a.Unreached(seen)
}
