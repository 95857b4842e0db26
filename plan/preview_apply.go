package plan

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/termsafe"
)

// UndescribedError refuses to apply a preview of a plan with Actions that do not say
// what they are made of: nobody can know whether they are the ones that the preview was
// made from. No host was reached.
type UndescribedError struct {
	// Steps have such Actions, in the plan's order.
	Steps []ID
}

func (e *UndescribedError) Error() string {
	return termsafe.Indented(fmt.Sprintf("a preview of this plan cannot be applied: the actions of %s do not describe themselves: make them plan.Describers that return a Kind, or use Run",
		ids(e.Steps)))
}

// StaleError refuses to apply a preview. Where Runner.Apply returns it, nothing has
// been changed; where it is the cause of a *StepError, that step has changed nothing.
type StaleError struct {
	// OtherPlan reports that the preview was made from another plan than the one
	// to run. No host was reached then, and Steps is empty.
	OtherPlan bool
	// Altered says what a preview of this plan cannot hold: it was written by hand,
	// or changed since. Steps is empty then.
	Altered []string
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
	if len(e.Altered) > 0 {
		return termsafe.Indented("the preview was changed since it was made: make a new one\n  " + strings.Join(e.Altered, "\n  "))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the preview no longer holds, %s: look at a new one", plural(len(e.Steps), "step")+" would do something else")
	for _, s := range e.Steps {
		for _, d := range s.Differences {
			fmt.Fprintf(&b, "\n  step %s on %s: %s", s.Step, s.Host, strings.ReplaceAll(strings.TrimSpace(d), "\n", "\n    "))
		}
	}
	return termsafe.Indented(b.String())
}

// Apply runs a plan that somebody has seen a preview of, if it still holds: it
// makes another preview of the plan, quietly, and refuses with a *StaleError,
// before it changes anything, if the plan is another one or if any check finds
// something else than it did. If the hosts cannot be reached, the error is a *RunError.
// A plan with an Action that does not describe itself (Describer, with a Kind) is
// refused with an *UndescribedError: it could be another than the one that was shown.
// Then it does as Run does, with one difference: a step before which this run has
// applied nothing that it depends on (steps that it comes after, of its host, or that
// share a lock with it) applies no change that the preview does not have. It fails
// with a *StaleError if its check finds one, because somebody else works on the host
// at the same time.
//
// A preview in which anything was altered since is refused by its Digest. Compared
// with what is found now is all that it shows but RoundTrips, and why a step is Unknown:
// steps and their order, hosts, titles, totals, outcomes, commands, differences and their order (of
// a change that only waits, not why), what is disruptive, and the files that would be
// replaced: by their text or, where that was hidden, by their Digests. A step that was Unknown was not promised anything.
//
// A preview in which a step failed is refused, with one exception, for that of a Rollback: a
// step that cannot be undone (*IrreversibleError) fails in the preview, and fails the run in
// the same way; the others are undone as the preview shows, and what it shows as not
// reached stays as it is.
//
// Secrets count if there is a private key among those that the plan's Actions
// describe, as there is in every plan of HA's. The identity and the digests are
// then made with a key that comes from all of them: the preview does not hold
// it, whoever holds the plan has it. Without such a key they would be open to
// guessing, so secrets do not count: neither that the plan has others, nor what
// is at the path of one.
//
// What the first steps of the run bring about, the checks of those after them see, as
// in every run: StepPreview.Awaits names the steps that could find something else then.
func (r *Runner) Apply(ctx context.Context, p *Plan, seen *Preview) (Summary, error) {
	if err := r.problems(p); err != nil {
		return Summary{}, err
	}
	if seen == nil {
		var problems quorate.Problems
		problems.Refuse("preview", "missing: the one of this plan that Preview returned, or ParsePreview read")
		return Summary{}, problems.Err("runner")
	}
	if steps := p.undescribed(); len(steps) > 0 {
		return Summary{}, &UndescribedError{Steps: steps}
	}
	if seen.Plan != newDigester(p).identity(p) {
		return Summary{}, &StaleError{OtherPlan: true}
	}
	if seen.Digest != newDigester(p).preview(seen) {
		return Summary{}, &StaleError{Altered: []string{"its digest is not that of what it says"}}
	}
	quiet := *r
	quiet.Observe = nil
	now, err := quiet.Preview(ctx, p)
	if err != nil && !onlyIrreversible(err) {
		return Summary{Steps: p.Len(), Outcomes: now.Totals, RoundTrips: now.RoundTrips}, err
	}
	if altered := alterations(seen, now); len(altered) > 0 {
		return Summary{}, &StaleError{Altered: altered}
	}
	if stale := compareSteps(seen, now); len(stale) > 0 {
		return Summary{}, &StaleError{Steps: stale}
	}
	s := r.scheduler(p)
	s.shown = now.Steps
	return s.run(ctx)
}

// onlyIrreversible reports whether all that failed cannot be undone: that will be so again,
// and a preview which says so is one of what a run does.
func onlyIrreversible(err error) bool {
	var failed *RunError
	if !errors.As(err, &failed) || failed.Canceled != nil || len(failed.Failed) == 0 {
		return false
	}
	return !slices.ContainsFunc(failed.Failed, func(f *StepError) bool { return !irreversible(f) })
}

func irreversible(err error) bool {
	var never *IrreversibleError
	return errors.As(err, &never)
}

// asShown refuses a change that the preview does not have, where nothing that this run
// has applied can be its reason.
func (w *worker) asShown(found Diff) error {
	if w.shown == nil || w.applied {
		return nil
	}
	was := w.shown[w.i]
	promised := was.Outcome != Failed && was.Outcome != NotReached // or it was not to do anything
	if promised && (w.touched || w.latest > 0 || len(was.Awaits) > 0) {
		return nil
	}
	known := map[string]Change{}
	for _, c := range was.Changes {
		c.Text, c.Hidden = "", ""
		known[c.fact()] = c
	}
	stale := StaleStep{Step: w.step.ID, Host: w.step.Host, Was: was, Is: was}
	stale.Is.Outcome, stale.Is.Changes = WouldChange, found
	for _, c := range found {
		shown, ok := known[c.fact()]
		switch {
		case !ok:
			stale.Differences = append(stale.Differences, "new: "+c.fact())
		case c.Disruptive && !shown.Disruptive:
			stale.Differences = append(stale.Differences, "disruptive, and it was not: "+c.fact())
		}
	}
	if len(stale.Differences) == 0 {
		return nil
	}
	return &StaleError{Steps: []StaleStep{stale}}
}

// alterations say what no preview of the plan holds, whatever the hosts are like. now
// is one that was made of it just now.
func alterations(seen, now *Preview) []string {
	seen, now = asSaved(seen), asSaved(now)
	if len(seen.Steps) != len(now.Steps) {
		return []string{fmt.Sprintf("it has %s, and the plan has %d", plural(len(seen.Steps), "step"), len(now.Steps))}
	}
	var out []string
	totals, disruptive, outcomes := map[Outcome]int{}, 0, map[ID]Outcome{}
	for _, s := range seen.Steps {
		outcomes[s.Step] = s.Outcome
	}
	for i, was := range seen.Steps {
		is := now.Steps[i]
		refuse := func(is bool, what string) {
			if is {
				out = append(out, fmt.Sprintf("step %d, %s: %s", i+1, now.Steps[i].Step, what))
			}
		}
		refuse(was.Step != is.Step, fmt.Sprintf("it is called %s, or is in another place", was.Step))
		refuse(was.Host != is.Host, "its host is another")
		refuse(was.Title != is.Title, "its title is another")
		refuse(!slices.Equal(was.After, is.After), "it waits for other steps")
		interrupts := slices.ContainsFunc(was.Changes, func(c Change) bool { return c.Disruptive })
		refuse(was.Disruptive != interrupts, "whether it is disruptive does not agree with its changes")
		refuse(!slices.Equal(sortedIDs(was.Awaits), sortedIDs(awaited(was.After, outcomes))), "what it awaits does not agree with the other steps")
		refuse(was.Why != "" && (was.Outcome == Unchanged || was.Outcome == WouldChange), "it has a reason for what did not fail")
		totals[was.Outcome]++
		if was.Disruptive {
			disruptive++
		}
	}
	if !slices.Equal(seen.Undescribed, now.Undescribed) {
		out = append(out, "other steps do not describe themselves")
	}
	said := maps.Clone(seen.Totals)
	maps.DeleteFunc(said, func(_ Outcome, n int) bool { return n == 0 })
	if !maps.Equal(said, totals) {
		out = append(out, "its totals do not agree with its steps")
	}
	if seen.Disruptive != disruptive {
		out = append(out, "its number of disruptive steps does not agree with its steps")
	}
	return out
}

// awaited are the steps that another waits for and that would do something.
func awaited(after []ID, outcomes map[ID]Outcome) []ID {
	return slices.DeleteFunc(slices.Clone(after), func(id ID) bool { return outcomes[id] != WouldChange && outcomes[id] != Unknown })
}

func sortedIDs(of []ID) []ID { return slices.Sorted(slices.Values(of)) }

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
	// Where Apply gets so far, what failed cannot be undone, and what was not reached comes
	// after that.
	if was.Outcome != is.Outcome || was.Outcome == Failed && was.Why != is.Why {
		out := []string{fmt.Sprintf("it was %s and is %s", orNothing(string(was.Outcome)), is.Outcome)}
		for _, c := range is.Changes {
			out = append(out, "new: "+c.fact())
		}
		return out
	}
	var out []string
	before, after := facts(was), facts(is)
	for _, c := range was.Changes {
		if _, still := after[c.fact()]; !still {
			out = append(out, "gone: "+c.fact())
		}
	}
	for _, c := range is.Changes {
		switch earlier, known := before[c.fact()]; {
		case !known:
			out = append(out, "new: "+c.fact())
		case earlier.Disruptive != c.Disruptive:
			out = append(out, fmt.Sprintf("disruptive: %t, and it was %t: %s", c.Disruptive, earlier.Disruptive, c.fact()))
		}
	}
	if len(out) == 0 && len(was.Changes) != len(is.Changes) {
		out = append(out, fmt.Sprintf("%d changes, and they were %d", len(is.Changes), len(was.Changes)))
	}
	if len(out) == 0 && !slices.EqualFunc(was.Changes, is.Changes, func(a, b Change) bool { return a.fact() == b.fact() }) {
		out = append(out, "the same changes in another order")
	}
	if !reflect.DeepEqual(was.Commands, is.Commands) {
		out = append(out, "it would run other commands")
	}
	paths := map[string]bool{}
	for _, digests := range []map[string]string{was.Digests, is.Digests} {
		for path := range digests {
			paths[path] = true
		}
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if was.Digests[path] != is.Digests[path] {
			out = append(out, "something else is at "+path)
		}
	}
	return out
}

func facts(s StepPreview) map[string]Change {
	out := map[string]Change{}
	for _, c := range s.Changes {
		out[c.fact()] = c
	}
	return out
}

// fact is what must be as it was: of what is waited for, not how it fails to
// come, which an error says in many ways.
func (c Change) fact() string {
	if c.Waits {
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
