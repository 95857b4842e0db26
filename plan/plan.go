package plan

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// Plan is a set of steps and their order, checked to be runnable. It is
// immutable and shares nothing that can be changed with the steps that it was
// made of or returns. The zero Plan has no steps, and neither has a nil one.
type Plan struct {
	steps []Step
	index map[ID]int
	// after[i] and before[i] are the indices of the steps that step i waits for
	// and that wait for it.
	after, before [][]int
	// described is the steps' descriptions, read once.
	described []*described
	// secrets are hidden in what hosts print, see WithSecrets. Each step has
	// them too, so that they stay hidden in a plan that is composed of the steps
	// of this one.
	secrets *secretTexts
}

// New checks the steps and makes them a plan. The order of the arguments
// decides between steps that could start at the same moment. Every fault is
// reported at once in a *GraphError: a missing ID, host or action, an ID that
// two steps have, an unknown ID in After, a cycle.
//
// Steps of other plans bring with them the secrets of these (WithSecrets). Actions that
// are Describers are described once, here; one that panics is its step's failure in a run.
func New(steps ...Step) (*Plan, error) { return compose(steps, nil) }

// compose makes a plan of steps of which some have been described already.
func compose(steps []Step, known map[ID]*described) (*Plan, error) {
	p := &Plan{steps: copySteps(steps), index: make(map[ID]int, len(steps))}
	p.keepSecrets()
	var faults []string
	for i, s := range p.steps {
		faults = append(faults, stepFaults(i, s)...)
		if first, dup := p.index[s.ID]; dup && s.ID != "" {
			faults = append(faults, fmt.Sprintf("steps %d and %d have the same ID %q", first, i, s.ID))
			continue
		}
		p.index[s.ID] = i
	}
	p.after, p.before = make([][]int, len(steps)), make([][]int, len(steps))
	for i, s := range p.steps {
		for _, id := range s.After {
			j, ok := p.index[id]
			if !ok {
				faults = append(faults, fmt.Sprintf("step %q comes after %q, which the plan does not have", s.ID, id))
				continue
			}
			p.after[i] = append(p.after[i], j)
			p.before[j] = append(p.before[j], i)
		}
	}
	if cycle := p.cycle(); cycle != nil {
		faults = append(faults, "steps wait for each other: "+cycleText(cycle))
	}
	if len(faults) > 0 {
		return nil, &GraphError{Faults: faults}
	}
	for _, s := range p.steps {
		d := known[s.ID]
		if d == nil {
			d = ask(s.Action)
		}
		p.described = append(p.described, d)
	}
	return p, nil
}

func stepFaults(i int, s Step) []string {
	var faults []string
	if s.ID == "" {
		faults = append(faults, fmt.Sprintf("step %d has no ID", i))
	}
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Sprintf("step %q ", s.ID)+fmt.Sprintf(format, args...))
		}
	}
	refuse(s.Host == "", "has no host")
	for _, name := range append([]string{string(s.ID), s.Host}, s.Locks...) {
		refuse(termsafe.Line(name) != name, "has a name that cannot be shown: %q", name)
	}
	refuse(slices.Contains(s.Locks, ""), "has a lock without a name")
	refuse(s.Timeout < 0, "has a negative timeout: %v", s.Timeout)
	refuse(s.Retry.Attempts < 0 || s.Retry.Wait < 0, "has a negative retry: %d attempts, %v apart", s.Retry.Attempts, s.Retry.Wait)
	action := reflect.ValueOf(s.Action)
	refuse(!action.IsValid() || action.Kind() == reflect.Pointer && action.IsNil(), "has no action")
	return faults
}

// noPlan is the error of whatever is wanted of a nil plan.
func noPlan() error {
	return &GraphError{Faults: []string{"there is no plan: look at the error that came with it"}}
}

// orEmpty is an empty plan in place of a nil one.
func (p *Plan) orEmpty() *Plan {
	if p == nil {
		return &Plan{}
	}
	return p
}

// Steps returns the steps in the order in which New had them. Changing them does
// not change the plan.
func (p *Plan) Steps() []Step { return copySteps(p.orEmpty().steps) }

func copySteps(steps []Step) []Step {
	out := slices.Clone(steps)
	for i := range out {
		out[i] = out[i].clone()
	}
	return out
}

func (s Step) clone() Step {
	s.After, s.Locks = slices.Clone(s.After), slices.Clone(s.Locks)
	return s
}

// With returns a plan that has further steps too. What they wait for is in their
// After; nothing of this plan waits for them. Errors are those of New.
func (p *Plan) With(steps ...Step) (*Plan, error) {
	if p == nil {
		return nil, noPlan()
	}
	return compose(slices.Concat(p.steps, steps), p.known())
}

// Before returns a plan in which further steps are run before the step of that
// ID: it waits for them, and they wait for what it waits for, and for what their
// After names besides. Errors are those of New; an unknown ID is one.
func (p *Plan) Before(id ID, steps ...Step) (*Plan, error) {
	if p == nil {
		return nil, noPlan()
	}
	at, ok := p.index[id]
	if !ok {
		return nil, unknownStep("before", id)
	}
	own := copySteps(p.steps)
	added := copySteps(steps)
	for i := range added {
		added[i].After = withIDs(added[i].After, own[at].After)
	}
	for _, s := range added {
		own[at].After = withIDs(own[at].After, []ID{s.ID})
	}
	return compose(slices.Insert(own, at, added...), p.known())
}

// After returns a plan in which further steps are run once the step of that ID has
// succeeded, and what their After names besides. Nothing of this plan waits for
// them: for a step between two others use Before. Errors are those of New; an
// unknown ID is one.
func (p *Plan) After(id ID, steps ...Step) (*Plan, error) {
	if p == nil {
		return nil, noPlan()
	}
	at, ok := p.index[id]
	if !ok {
		return nil, unknownStep("after", id)
	}
	added := copySteps(steps)
	for i := range added {
		added[i].After = withIDs(added[i].After, []ID{id})
	}
	return compose(slices.Insert(copySteps(p.steps), at+1, added...), p.known())
}

// known has what the plan's own steps are made of. A step that is added under the ID of
// one of them is refused, whatever it is made of.
func (p *Plan) known() map[ID]*described {
	out := make(map[ID]*described, len(p.steps))
	for i, s := range p.steps {
		out[s.ID] = p.described[i]
	}
	return out
}

func unknownStep(where string, id ID) error {
	return &GraphError{Faults: []string{fmt.Sprintf("steps are to run %s %q, which the plan does not have", where, id)}}
}

// withIDs appends those IDs that are not there yet.
func withIDs(ids, more []ID) []ID {
	for _, id := range more {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Len is the number of steps.
func (p *Plan) Len() int { return len(p.orEmpty().steps) }

// Step finds a step by its ID.
func (p *Plan) Step(id ID) (Step, bool) {
	i, ok := p.orEmpty().index[id]
	if !ok {
		return Step{}, false
	}
	return p.steps[i].clone(), true
}

// Hosts returns the hosts in the order in which steps first name them.
func (p *Plan) Hosts() []string {
	var hosts []string
	seen := map[string]bool{}
	for _, s := range p.orEmpty().steps {
		if !seen[s.Host] {
			seen[s.Host] = true
			hosts = append(hosts, s.Host)
		}
	}
	return hosts
}

// cycle finds one cycle: what Kahn's algorithm cannot remove holds at least
// one, and walking backwards inside it must come round.
func (p *Plan) cycle() []ID {
	waits := make([]int, len(p.steps))
	var ready []int
	for i := range p.steps {
		if waits[i] = len(p.after[i]); waits[i] == 0 {
			ready = append(ready, i)
		}
	}
	for len(ready) > 0 {
		i := ready[0]
		ready = ready[1:]
		for _, j := range p.before[i] {
			if waits[j]--; waits[j] == 0 {
				ready = append(ready, j)
			}
		}
	}
	start := slices.IndexFunc(waits, func(n int) bool { return n > 0 })
	if start < 0 {
		return nil
	}
	seen := map[int]int{}
	var path []int
	for i := start; ; {
		if at, met := seen[i]; met {
			path = path[at:]
			break
		}
		seen[i] = len(path)
		path = append(path, i)
		i = p.after[i][slices.IndexFunc(p.after[i], func(j int) bool { return waits[j] > 0 })]
	}
	ids := make([]ID, 0, len(path))
	for _, i := range path {
		ids = append(ids, p.steps[i].ID)
	}
	return ids
}

func cycleText(cycle []ID) string {
	var b strings.Builder
	for _, id := range cycle {
		fmt.Fprintf(&b, "%q after ", id)
	}
	fmt.Fprintf(&b, "%q", cycle[0])
	return b.String()
}
