package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Plan is a set of steps and their order, checked to be runnable. It is
// immutable.
type Plan struct {
	steps []Step
	index map[ID]int
	// after[i] and before[i] are the indices of the steps that step i waits for
	// and that wait for it.
	after, before [][]int
	// redact hides secrets in what hosts print, see WithSecrets.
	redact func(string) string
}

// New checks the steps and makes them a plan. The order of the arguments
// decides between steps that could start at the same moment. Every fault is
// reported at once in a *GraphError: a missing ID, host or action, an ID given
// twice, an unknown ID in After, a cycle.
func New(steps ...Step) (*Plan, error) {
	p := &Plan{steps: slices.Clone(steps), index: make(map[ID]int, len(steps))}
	p.redact = func(s string) string { return s }
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
	return p, nil
}

func stepFaults(i int, s Step) []string {
	var faults []string
	if s.ID == "" {
		faults = append(faults, fmt.Sprintf("step %d has no ID", i))
	}
	if s.Host == "" {
		faults = append(faults, fmt.Sprintf("step %q has no host", s.ID))
	}
	if s.Action == nil {
		faults = append(faults, fmt.Sprintf("step %q has no action", s.ID))
	}
	return faults
}

// Steps gives the steps in the order they were given to New.
func (p *Plan) Steps() []Step { return slices.Clone(p.steps) }

// Len is the number of steps.
func (p *Plan) Len() int { return len(p.steps) }

// Step finds a step by its ID.
func (p *Plan) Step(id ID) (Step, bool) {
	i, ok := p.index[id]
	if !ok {
		return Step{}, false
	}
	return p.steps[i], true
}

// Hosts gives the hosts in the order in which steps first name them.
func (p *Plan) Hosts() []string {
	var hosts []string
	seen := map[string]bool{}
	for _, s := range p.steps {
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
		if at, again := seen[i]; again {
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
