package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/transport"
)

// GraphError refuses steps that make no plan, with every fault.
type GraphError struct{ Faults []string }

func (e *GraphError) Error() string {
	return termsafe.Indented("plan: " + strings.Join(e.Faults, "; "))
}

// Phase is the part of a step's life in which something happened.
type Phase string

const (
	// Connecting to the host.
	Connecting Phase = "connect"
	// Checking what differs.
	Checking Phase = "check"
	// Recording in the journal what will be applied, and keeping what undoes it.
	Recording Phase = "record"
	// Applying the difference.
	Applying Phase = "apply"
	// Verifying, by checking again, that nothing differs any more.
	Verifying Phase = "verify"
)

// StepError is the failure of one step. Err holds the cause: a
// *transport.ExitError with the remote standard error, a *transport.DialError,
// a *NotConvergedError, a *HostError, a *PreflightError, a *JournalError, or ctx's
// error.
type StepError struct {
	Step    ID
	Host    string
	Phase   Phase
	Attempt int
	Err     error
}

func (e *StepError) Error() string {
	s := fmt.Sprintf("step %s on %s: %s", e.Step, e.Host, e.Phase)
	if e.Attempt > 1 {
		s += fmt.Sprintf(" (attempt %d)", e.Attempt)
	}
	return termsafe.Indented(s + ": " + e.Err.Error())
}

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }

// RunError is the failure of a run: the root causes, and what was not reached
// because of them. It unwraps to every *StepError and *JournalError.
type RunError struct {
	Failed []*StepError
	// NotReached are the steps that did not run.
	NotReached []ID
	// Canceled is ctx's cause when the run was cancelled.
	Canceled error
	// Journal is what the journal could not do: begin, in which case nothing
	// was reached, or keep what was done.
	Journal []*JournalError
}

func (e *RunError) Error() string {
	var b strings.Builder
	switch {
	case e.Canceled != nil:
		fmt.Fprintf(&b, "run stopped: %v", e.Canceled)
	case len(e.Failed) == 0 && len(e.NotReached) == 0:
		b.WriteString("every step succeeded, but the journal is not complete")
	case len(e.Failed) == 0:
		b.WriteString("run not begun")
	case len(e.Failed) == 1:
		b.WriteString("1 step failed")
	default:
		fmt.Fprintf(&b, "%d steps failed", len(e.Failed))
	}
	if n := len(e.NotReached); n > 0 {
		fmt.Fprintf(&b, ", %d not reached", n)
	}
	for _, f := range e.Failed {
		b.WriteString("\n  " + strings.ReplaceAll(f.Error(), "\n", "\n  "))
	}
	for _, j := range e.Journal {
		b.WriteString("\n  " + strings.ReplaceAll(j.Error(), "\n", "\n  "))
	}
	return termsafe.Indented(b.String())
}

// Unwrap returns every root cause.
func (e *RunError) Unwrap() []error {
	var errs []error
	for _, f := range e.Failed {
		errs = append(errs, f)
	}
	for _, j := range e.Journal {
		errs = append(errs, j)
	}
	if e.Canceled != nil {
		errs = append(errs, e.Canceled)
	}
	return errs
}

// NotConvergedError reports that a step was applied without complaint and its
// check still finds a difference.
type NotConvergedError struct{ Left Diff }

func (e *NotConvergedError) Error() string {
	left := make([]string, 0, len(e.Left))
	for _, c := range e.Left {
		left = append(left, c.String())
	}
	return termsafe.Indented("applied, but still differs: " + strings.Join(left, "; "))
}

// PanicError is a panic of an Action, or of what it called, or the end of its
// goroutine (runtime.Goexit, as testing's FailNow does). The step failed by it,
// and nothing else did.
type PanicError struct {
	// Value is what it panicked with, as text, without the plan's secrets.
	Value string
	// Stack is the goroutine's, as runtime/debug.Stack has it. It names this
	// machine's source files.
	Stack string
}

func (e *PanicError) Error() string { return termsafe.Indented("the action panicked: " + e.Value) }

// HostError reports that a host is not as a step needs it: everything found, each
// with what to do about it.
type HostError struct {
	Host string
	// Findings are Refused, whatever their Severity says, and about Host, whatever
	// their Hosts say: both may be left out.
	Findings []Finding
}

func (e *HostError) Error() string {
	found := make([]string, 0, len(e.Findings))
	for _, f := range e.Findings {
		found = append(found, f.Found+": "+f.Do)
	}
	return termsafe.Indented("host is not ready: " + strings.Join(found, "; "))
}

// Transient reports whether an error is of the kind that passes by itself: a
// connection that could not be made or was lost, or a session that the host did not grant. A host key or credential that
// was refused is not, nor is a command's own failure.
func Transient(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var dial *transport.DialError
	return errors.As(err, &dial) &&
		(dial.Reason == transport.Unreachable || dial.Reason == transport.Lost || dial.Reason == transport.Refused)
}
