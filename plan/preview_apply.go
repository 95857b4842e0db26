package plan

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
)

// StaleError refuses to apply a preview. Nothing has been changed.
type StaleError struct {
	// OtherPlan tells that the preview was made from another plan than the one
	// given. No host was asked then, and Steps is empty.
	OtherPlan bool
	// Steps are those whose check finds something else than it did, in the
	// plan's order.
	Steps []StaleStep
}

// StaleStep is one step whose facts no longer hold.
type StaleStep struct {
	Step ID
	Host string
	// Was and Is are what the preview says and what was found now.
	Was, Is StepPreview
	// Differences say in words what is not as it was, at least one.
	Differences []string
}

func (e *StaleError) Error() string {
	if e.OtherPlan {
		return "the preview was made from another plan: make a new one from this plan"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the preview no longer holds, %s: look at a new one", plural(len(e.Steps), "step")+" would do something else")
	for _, s := range e.Steps {
		for _, d := range s.Differences {
			fmt.Fprintf(&b, "\n  step %s on %s: %s", s.Step, s.Host, strings.ReplaceAll(strings.TrimSpace(d), "\n", "\n    "))
		}
	}
	return b.String()
}

// Apply runs a plan that somebody has seen a preview of, if it still holds: it
// makes another preview of the plan, quietly, and refuses with a *StaleError,
// before it changes anything, if the plan is another one or if any check finds
// something else than it did. Then it does as Run does. If the hosts cannot be
// asked, the error is a *RunError.
//
// Compared are outcomes, differences (of a change that only waits, not why), and
// the files that would be replaced: by their text or, where that was hidden, by
// their Seals. A step that was Unknown was not promised anything, and a step
// that failed or was not reached is never what it was.
//
// Secrets count if there is a private key among those that the plan's Actions
// describe, as there is in every plan of HA's. The identity and the seals are
// then made with a key that comes from all of them: the preview does not hold
// it, whoever holds the plan has it. Without such a key they would be open to
// guessing, so secrets do not count: neither that the plan has others, nor what
// stands at the path of one.
//
// What happens on the hosts between the two previews, and what the first steps
// of the run bring about, each step's own check sees, as in every run.
func (r *Runner) Apply(ctx context.Context, p *Plan, seen *Preview) (Summary, error) {
	if err := r.problems(p); err != nil {
		return Summary{}, err
	}
	if seen == nil {
		var problems quorate.Problems
		problems.Refuse("preview", "missing: the one of this plan that Preview returned, or ParsePreview read")
		return Summary{}, problems.Err("runner")
	}
	if seen.Plan != newSealer(p).identity(p) {
		return Summary{}, &StaleError{OtherPlan: true}
	}
	quiet := *r
	quiet.Observe = nil
	now, err := quiet.Preview(ctx, p)
	if err != nil {
		return Summary{Steps: p.Len(), Outcomes: now.Totals, RoundTrips: now.RoundTrips}, err
	}
	if stale := compareSteps(seen, now); len(stale) > 0 {
		return Summary{}, &StaleError{Steps: stale}
	}
	return r.Run(ctx, p)
}

func compareSteps(seen, now *Preview) []StaleStep {
	// What JSON cannot hold, as bytes that are no text, must not differ by
	// whether the preview was saved.
	seen, now = asSaved(seen), asSaved(now)
	was := map[ID]StepPreview{}
	for _, s := range seen.Steps {
		was[s.Step] = s
	}
	var stale []StaleStep
	for _, is := range now.Steps {
		if d := differences(was[is.Step], is); len(d) > 0 {
			stale = append(stale, StaleStep{Step: is.Step, Host: is.Host, Was: was[is.Step], Is: is, Differences: d})
		}
	}
	return stale
}

func asSaved(p *Preview) *Preview {
	if saved, err := ParsePreview(p.JSON()); err == nil {
		return saved
	}
	return p // not made by Preview: nothing in it will be found again
}

// differences say how a step's facts differ.
func differences(was, is StepPreview) []string {
	if was.Outcome != is.Outcome || was.Outcome == Failed || was.Outcome == NotReached {
		out := []string{fmt.Sprintf("it was %s and is %s", orNothing(string(was.Outcome)), is.Outcome)}
		for _, c := range is.Changes {
			out = append(out, "new: "+c.fact())
		}
		return out
	}
	var out []string
	before, after := facts(was), facts(is)
	for _, c := range was.Changes {
		if !after[c.fact()] {
			out = append(out, "gone: "+c.fact())
		}
	}
	for _, c := range is.Changes {
		if !before[c.fact()] {
			out = append(out, "new: "+c.fact())
		}
	}
	paths := map[string]bool{}
	for _, seals := range []map[string]string{was.Seals, is.Seals} {
		for path := range seals {
			paths[path] = true
		}
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if was.Seals[path] != is.Seals[path] {
			out = append(out, "something else stands at "+path)
		}
	}
	return out
}

func facts(s StepPreview) map[string]bool {
	out := map[string]bool{}
	for _, c := range s.Changes {
		out[c.fact()] = true
	}
	return out
}

// fact is what must be as it was: of what is waited for, not how it fails to
// come, which an error says in many ways.
func (c Change) fact() string {
	if c.Verb == "wait" {
		c.Detail = ""
	}
	text := c.String()
	if c.Hidden != "" {
		text += " [not shown: " + c.Hidden + "]"
	}
	if c.Text != "" {
		text += "\n" + c.Text
	}
	return text
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
