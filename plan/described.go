package plan

import (
	"github.com/quorate-dev/quorate/internal/guard"
	"github.com/quorate-dev/quorate/internal/termsafe"
)

// described is what an Action is made of, as far as it says.
type described struct {
	Description
	// fault is of an Action whose Describe did not return, nil of all others. It is a
	// function, because fmt prints nothing of what that holds: no secret of the plan
	// has been taken out yet.
	fault func(*Plan) *PanicError
}

// ask has an Action describe itself.
func ask(a Action) *described {
	d := &described{}
	able, ok := a.(Describer)
	if !ok {
		return d
	}
	if fault := guard.Call(func() { d.Description = able.Describe() }); fault != nil {
		d.fault = func(p *Plan) *PanicError { return p.panicked(fault) }
	}
	return d
}

// maxPanic bounds what is kept of a panic's value, in bytes.
const maxPanic = 4 << 10

// panicked is the error of what did not return, without the plan's secrets.
func (p *Plan) panicked(f *guard.Fault) *PanicError {
	return &PanicError{Value: termsafe.Cut(p.redact(f.Value), maxPanic, "..."), Stack: p.redact(f.Stack)}
}

// guard calls what an embedder has handed in, and returns its error, or a *PanicError if
// it did not return.
func (p *Plan) guard(f func() error) error {
	var err error
	if fault := guard.Call(func() { err = f() }); fault != nil {
		return p.panicked(fault)
	}
	return err
}

// describable reports the Actions whose Describe panicked, each as its
// step's failure.
func (p *Plan) describable() error {
	var failed []*StepError
	for i, d := range p.described {
		if d.fault != nil {
			s := p.steps[i]
			failed = append(failed, &StepError{Step: s.ID, Host: s.Host, Phase: Checking, Attempt: 1, Err: d.fault(p)})
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
