package plan

import (
	"fmt"
	"runtime/debug"
)

// described is what an Action is made of, as far as it says.
type described struct {
	Description
	// fault is of an Action whose Describe panicked, nil of all others. It is a
	// function, because fmt prints nothing of what that holds: no secret of the plan
	// has been taken out yet.
	fault func(redact func(string) string) *PanicError
}

// ask has an Action describe itself.
func ask(a Action) (d *described) {
	d = &described{}
	able, ok := a.(Describer)
	if !ok {
		return d
	}
	defer func() {
		if value := recover(); value != nil {
			text, stack := fmt.Sprint(value), string(debug.Stack())
			d.fault = func(redact func(string) string) *PanicError { return &PanicError{Value: redact(text), Stack: stack} }
		}
	}()
	d.Description = able.Describe()
	return d
}

// describable reports the Actions whose Describe panicked, each as its
// step's failure.
func (p *Plan) describable() error {
	var failed []*StepError
	for i, d := range p.described {
		if d.fault != nil {
			s := p.steps[i]
			failed = append(failed, &StepError{Step: s.ID, Host: s.Host, Phase: Checking, Attempt: 1, Err: d.fault(p.redact)})
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return &RunError{Failed: failed}
}

// undescribed are the steps of whose Actions a preview cannot know whether they are the
// same as when it was made.
func (p *Plan) undescribed() []ID {
	var ids []ID
	for i, d := range p.described {
		if d.Kind == "" {
			ids = append(ids, p.steps[i].ID)
		}
	}
	return ids
}
