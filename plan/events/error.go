package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/truncate"
	"github.com/quorate-dev/quorate/transport"
)

// Kind is the kind of an error in an event, for programs that do not link this
// package.
type Kind string

// The kinds, and their errors.
const (
	// KindStep is a *plan.StepError: Step, Host, Phase, Attempt, and its cause.
	KindStep Kind = "step"
	// KindRun is a *plan.RunError: NotReached, and every root cause.
	KindRun Kind = "run"
	// KindExit is a *transport.ExitError, a command that did not succeed: Host,
	// Tried is the command, Output the end of its standard error, ExitCode, Signal.
	KindExit Kind = "exit"
	// KindNotStarted is a *transport.NotStartedError, a command that the host did not
	// run: Host, Tried, Output is what it printed instead, ExitCode, Signal, Do.
	KindNotStarted Kind = "not-started"
	// KindStillRunning is a *transport.StillRunningError, a command that was to end and
	// may still run: Host, Tried, Do.
	KindStillRunning Kind = "still-running"
	// KindUnknownExit is a *transport.UnknownExitError, a command that started and of
	// which it is not known how it ended: Host, Tried, Output.
	KindUnknownExit Kind = "unknown-exit"
	// KindAuth is an *ssh.AuthError, in a KindDial: a host that did not let the user in.
	// Tried is the user and what was offered, Output is what the host says to who logs
	// in, Reason is "password expired" if that is known, Want what the host takes, Do.
	KindAuth Kind = "auth"
	// KindTunnel is a *transport.TunnelError, a connection from a host that did not
	// come about: Host, Tried, Address, Reason, Do.
	KindTunnel Kind = "tunnel"
	// KindDial is a *transport.DialError, a host that could not be reached or no
	// longer: Host, Tried, Address, Reason, Do.
	KindDial Kind = "dial"
	// KindHost is a *plan.HostError, a host that is not as a step needs it: Host, Findings.
	KindHost Kind = "host"
	// KindPreflight is a *preflight.Error, hosts that are not fit for what they are
	// to become: Findings.
	KindPreflight Kind = "preflight"
	// KindDrift is a *survey.DriftError, fields of which a running cluster has other values
	// than the description: Problems.
	KindDrift Kind = "drift"
	// KindNotConverged is a *plan.NotConvergedError: Changes is what still differs.
	KindNotConverged Kind = "not-converged"
	// KindPanic is a *plan.PanicError, an Action that panicked: Output is the end of
	// its goroutine's stack.
	KindPanic Kind = "panic"
	// KindJournal is a *plan.JournalError: Tried, Step, and the journal's own error.
	KindJournal Kind = "journal"
	// KindLocked is a *plan.LockedError: Holder runs, Do.
	KindLocked Kind = "locked"
	// KindLockLost is a *plan.LockLostError: Holder had the journal.
	KindLockLost Kind = "lock-lost"
	// KindSchema is a *journal.SchemaError: the journal has records of the later form Got.
	KindSchema Kind = "schema"
	// KindHash is a *software.HashError: a file that was to be sent, Path, has the hash Got
	// and not Want.
	KindHash Kind = "hash"
	// KindFile is a *transport.FileError, an operation on a file of a host: Host,
	// Tried, Path, and its cause.
	KindFile Kind = "file"
	// KindSudo is a *sudo.Error, a host whose sudo refused: Host, Tried,
	// Reason, Do.
	KindSudo Kind = "sudo"
	// KindStale is a *plan.StaleError, a preview that no longer holds: Problems says of
	// each step what is not as it was, Do.
	KindStale Kind = "stale"
	// KindUndescribed is a *plan.UndescribedError, a preview of Actions that do not say what
	// they are made of: Problems names their steps, Do.
	KindUndescribed Kind = "undescribed"
	// KindPreviewSchema is a *plan.PreviewSchemaError, what is no preview or one of the
	// form Got.
	KindPreviewSchema Kind = "preview-schema"
	// KindQuorum is a *ha.QuorumError, a member of etcd that the others could not do
	// without: Tried, Do, and what was wrong with the others.
	KindQuorum Kind = "quorum"
	// KindRestart is a *ha.RestartError, a member of etcd, or a *ha.ComponentError, a component or a
	// kubelet, that did not come back with its new files: Tried, Do, and why.
	KindRestart Kind = "restart"
	// KindDrain is a *ha.DrainError, a node whose pods have not left it in time: Tried, Do, and kubectl's
	// own error.
	KindDrain Kind = "drain"
	// KindIrreversible is an *plan.IrreversibleError: Step cannot be undone, for Reason.
	KindIrreversible Kind = "irreversible"
	// KindGraph is a *plan.GraphError, steps that make no plan: Problems.
	KindGraph Kind = "graph"
	// KindEventWrite is an *WriteError, Tried says from which event on a
	// stream of events is not complete.
	KindEventWrite Kind = "event-write"
	// KindEventRead is an *ReadError, Tried says at which line a stream of
	// events ends to be one.
	KindEventRead Kind = "event-read"
	// KindEventSchema is an *SchemaError, an event of the other form Got.
	KindEventSchema Kind = "event-schema"
	// KindEtcd is an *etcdclient.EndpointError: Address is the member's, Tried.
	KindEtcd Kind = "etcd"
	// KindInvalid is a *quorate.InvalidError: Problems.
	KindInvalid Kind = "invalid"
	// KindCanceled is context.Canceled: the run was cancelled.
	KindCanceled Kind = "canceled"
	// KindTimeout is context.DeadlineExceeded.
	KindTimeout Kind = "timeout"
	// KindOther is any other error. A later version may name some of them.
	KindOther Kind = "other"
	// KindOmitted replaces causes that were left out: Message counts them.
	KindOmitted Kind = "omitted"
)

// Error is an error as an event's JSON has it: what the typed errors of this
// package and of transport say, with their causes. It holds no secrets, and is
// bounded: long texts end in "...", and of many causes or changes the last of a
// hundred counts those that were left out. Decode returns it as an Event's
// Err; its text is that of the error it was made of.
type Error struct {
	Kind Kind `json:"kind"`
	// Message is the error's whole text, up to 1 KiB of it.
	Message string     `json:"message"`
	Step    plan.ID    `json:"step,omitempty"`
	Host    string     `json:"host,omitempty"`
	Phase   plan.Phase `json:"phase,omitempty"`
	Attempt int        `json:"attempt,omitempty"`
	// Tried is what was tried, in words or as a command.
	Tried string `json:"tried,omitempty"`
	// Output is what came back, up to 8 KiB of its end.
	Output string `json:"output,omitempty"`
	// Do is what to do about it, where the error knows.
	Do string `json:"do,omitempty"`
	// ExitCode of a command, -1 if Signal ended it.
	ExitCode *int   `json:"exitCode,omitempty"`
	Signal   string `json:"signal,omitempty"`
	// Address that was dialled.
	Address string `json:"address,omitempty"`
	// Reason is a DialReason of transport's, or a sudo.Reason.
	Reason string `json:"reason,omitempty"`
	// Path of a file.
	Path string `json:"path,omitempty"`
	// Want is what was to be found, a hash or a schema, and Got what was.
	Want string `json:"want,omitempty"`
	Got  string `json:"got,omitempty"`
	// Findings about hosts, each with its hosts and what to do.
	Findings []plan.Finding `json:"findings,omitempty"`
	// Changes that are still due.
	Changes plan.Diff `json:"changes,omitempty"`
	// Problems of an input, by its fields' paths, or of a preview, by step.
	Problems []quorate.Problem `json:"problems,omitempty"`
	// NotReached counts the steps that did not run.
	NotReached int `json:"notReached,omitempty"`
	// Holder of a journal.
	Holder *plan.Holder `json:"holder,omitempty"`
	// Causes are what the error wraps.
	Causes []Error `json:"causes,omitempty"`
}

// Error returns Message, with what is not printable escaped.
func (e *Error) Error() string { return termsafe.Indented(e.Message) }

// Unwrap returns the causes.
func (e *Error) Unwrap() []error {
	errs := make([]error, len(e.Causes))
	for i := range e.Causes {
		errs[i] = &e.Causes[i]
	}
	return errs
}

// Is makes what has been read back context.Canceled and context.DeadlineExceeded
// again.
func (e *Error) Is(target error) bool {
	return e.Kind == KindCanceled && target == context.Canceled || //nolint:errorlint // Is is not to unwrap
		e.Kind == KindTimeout && target == context.DeadlineExceeded //nolint:errorlint // as above
}

// Describer is the ability of an error to say what an event should hold of
// it besides its text and its causes, which are found without its help.
//
// An error of a package that is not to import this one has, in its place, a
// method EventFields() map[string]string, with the names of EventError's JSON:
// kind, step, host, tried, output, do, signal, address, reason, path, want, got.
type Describer interface{ DescribeEvent() Error }

func ofFields(f map[string]string) Error {
	return Error{
		Kind: Kind(f["kind"]), Step: plan.ID(f["step"]), Host: f["host"], Tried: f["tried"], Output: f["output"], Do: f["do"],
		Signal: f["signal"], Address: f["address"], Reason: f["reason"], Path: f["path"], Want: f["want"], Got: f["got"],
	}
}

const (
	maxMessage = 1 << 10
	maxDepth   = 16
)

// Describe returns an error in the form that events have it in JSON; nil for
// nil.
func Describe(err error) *Error {
	if err == nil {
		return nil
	}
	e := describeError(err, 0)
	return &e
}

func describeError(err error, depth int) Error {
	var e Error
	if done, ok := err.(*Error); ok { //nolint:errorlint // walks the whole tree itself
		e = *done
	} else {
		e = typedError(err)
		e.Message = err.Error()
		causes := causesOf(err)
		for i, cause := range causes {
			switch {
			case depth >= maxDepth:
			case i == truncate.MaxChanges-1 && len(causes) > truncate.MaxChanges:
				e.Causes = append(e.Causes, omitted(len(causes)-i))
				return e.bounded(depth)
			default:
				e.Causes = append(e.Causes, describeError(cause, depth+1))
			}
		}
	}
	return e.bounded(depth)
}

func omitted(n int) Error {
	return Error{Kind: KindOmitted, Message: fmt.Sprintf("%d more", n)}
}

// causesOf unwraps an error by one level.
func causesOf(err error) []error {
	var causes []error
	switch u := err.(type) { //nolint:errorlint // walks the whole tree itself
	case interface{ Unwrap() error }:
		causes = []error{u.Unwrap()}
	case interface{ Unwrap() []error }:
		causes = u.Unwrap()
	}
	var out []error
	for _, c := range causes {
		if c != nil {
			out = append(out, c)
		}
	}
	return out
}

// typedError returns what one error says besides its text and its causes.
func typedError(err error) Error {
	switch e := err.(type) { //nolint:errorlint // each error of the tree by itself
	case *plan.StepError:
		return Error{Kind: KindStep, Step: e.Step, Host: e.Host, Phase: e.Phase, Attempt: e.Attempt}
	case *plan.RunError:
		return Error{Kind: KindRun, NotReached: len(e.NotReached)}
	case *transport.ExitError:
		return Error{Kind: KindExit, Host: e.Host, Tried: commandLine(e.Argv), Output: e.Stderr, ExitCode: &e.Code, Signal: e.Signal}
	case *transport.NotStartedError:
		return Error{Kind: KindNotStarted, Host: e.Host, Tried: commandLine(e.Argv), Output: e.Said, ExitCode: &e.Code, Signal: e.Signal, Do: e.Advice()}
	case *transport.StillRunningError:
		return Error{Kind: KindStillRunning, Host: e.Host, Tried: commandLine(e.Argv), Do: e.Advice()}
	case *transport.UnknownExitError:
		return Error{Kind: KindUnknownExit, Host: e.Host, Tried: commandLine(e.Argv), Output: e.Stderr}
	case *transport.TunnelError:
		return Error{Kind: KindTunnel, Host: e.Host, Tried: "connect from the host", Address: e.Addr, Reason: string(e.Reason), Do: e.Advice}
	case *transport.DialError:
		tried := "connect"
		if e.Reason == transport.Lost {
			tried = "keep the connection"
		}
		return Error{Kind: KindDial, Host: e.Host, Tried: tried, Address: e.Addr, Reason: string(e.Reason), Do: e.Advice}
	case *plan.HostError:
		findings := slices.Clone(e.Findings)
		for i := range findings {
			findings[i].Severity, findings[i].Hosts = quorate.Refused, []string{e.Host}
		}
		return Error{Kind: KindHost, Host: e.Host, Findings: findings}
	case *plan.NotConvergedError:
		return Error{Kind: KindNotConverged, Changes: e.Left}
	case *plan.PanicError:
		return Error{Kind: KindPanic, Output: e.Stack}
	case *plan.JournalError:
		return Error{Kind: KindJournal, Step: e.Step, Tried: strings.TrimSpace(e.Op + " " + string(e.Record))}
	case *plan.LockedError:
		return Error{Kind: KindLocked, Holder: &e.Holder, Do: "wait until that run has ended"}
	case *plan.LockLostError:
		return Error{Kind: KindLockLost, Holder: &e.Holder, Do: "look whether somebody else runs, and run again"}
	case *transport.FileError:
		return Error{Kind: KindFile, Host: e.Host, Tried: e.Op, Path: e.Path}
	case *plan.StaleError:
		return Error{Kind: KindStale, Problems: staleProblems(e), Do: "look at a new preview"}
	case *plan.UndescribedError:
		return Error{Kind: KindUndescribed, Problems: undescribedProblems(e), Do: "make their actions plan.Describers that return a Kind, or run the plan"}
	case *plan.PreviewSchemaError:
		return Error{Kind: KindPreviewSchema, Want: plan.PreviewSchema, Got: e.Got}
	case *plan.IrreversibleError:
		return Error{Kind: KindIrreversible, Step: e.Step, Reason: e.Reason}
	case *plan.GraphError:
		return Error{Kind: KindGraph, Problems: graphProblems(e)}
	case *WriteError:
		return Error{Kind: KindEventWrite, Tried: fmt.Sprintf("write event %d", e.Seq)}
	case *ReadError:
		return Error{Kind: KindEventRead, Tried: fmt.Sprintf("read line %d", e.Line)}
	case *SchemaError:
		return Error{Kind: KindEventSchema, Want: Schema, Got: e.Got}
	case Describer:
		return e.DescribeEvent()
	case interface{ EventFields() map[string]string }:
		return ofFields(e.EventFields())
	case *quorate.InvalidError:
		return Error{Kind: KindInvalid, Problems: e.Problems}
	}
	switch err { //nolint:errorlint // as above
	case context.Canceled:
		return Error{Kind: KindCanceled}
	case context.DeadlineExceeded:
		return Error{Kind: KindTimeout}
	}
	return Error{Kind: KindOther}
}

// staleProblems returns what is not as it was, by step.
func staleProblems(e *plan.StaleError) []quorate.Problem {
	var out []quorate.Problem
	for _, s := range e.Steps {
		for _, d := range s.Differences {
			out = append(out, quorate.Problem{Path: string(s.Step), Message: strings.TrimSpace(d), Severity: quorate.Refused})
		}
	}
	return out
}

func undescribedProblems(e *plan.UndescribedError) []quorate.Problem {
	out := make([]quorate.Problem, 0, len(e.Steps))
	for _, id := range e.Steps {
		out = append(out, quorate.Problem{Path: string(id), Message: "its action does not describe itself", Severity: quorate.Refused})
	}
	return out
}

func graphProblems(e *plan.GraphError) []quorate.Problem {
	out := make([]quorate.Problem, 0, len(e.Faults))
	for _, f := range e.Faults {
		out = append(out, quorate.Problem{Message: f, Severity: quorate.Refused})
	}
	return out
}

// commandLine shows a command; of a script that is an argument, its first line.
func commandLine(argv []string) string {
	words := make([]string, 0, len(argv))
	for _, a := range argv {
		if first, _, more := strings.Cut(a, "\n"); more {
			a = first + " ..."
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// bounded returns the error within its bounds; what is within them stays as it is.
func (e Error) bounded(depth int) Error {
	for _, s := range []*string{&e.Message, &e.Tried, &e.Do, &e.Address, &e.Reason, &e.Path, &e.Want, &e.Got, &e.Host, &e.Signal, (*string)(&e.Step)} {
		*s = truncate.Text(*s, maxMessage)
	}
	e.Output = truncate.Head(e.Output, transport.StderrLimit)
	e.Changes = boundedDiff(e.Changes)
	e.Findings = boundedFindings(e.Findings)
	problems := e.Problems
	e.Problems = nil
	for i, p := range problems {
		if i == truncate.MaxChanges-1 && len(problems) > truncate.MaxChanges {
			e.Problems = append(e.Problems, quorate.Problem{Message: fmt.Sprintf("%d more", len(problems)-i), Severity: quorate.Refused})
			break
		}
		p.Path, p.Message = truncate.Text(p.Path, maxMessage), truncate.Text(p.Message, maxMessage)
		e.Problems = append(e.Problems, p)
	}
	causes := e.Causes
	e.Causes = nil
	if depth >= maxDepth {
		return e
	}
	for i, c := range causes {
		if i == truncate.MaxChanges-1 && len(causes) > truncate.MaxChanges {
			e.Causes = append(e.Causes, omitted(len(causes)-i))
			break
		}
		e.Causes = append(e.Causes, c.bounded(depth+1))
	}
	return e
}

// boundedDiff returns a Diff without the texts of a preview, of at most maxChanges.
func boundedDiff(d plan.Diff) plan.Diff {
	var out plan.Diff
	for i, c := range d {
		if i == truncate.MaxChanges-1 && len(d) > truncate.MaxChanges {
			return append(out, plan.Change{Verb: "omit", Subject: fmt.Sprintf("%d more", len(d)-i)})
		}
		out = append(out, plan.Change{
			Verb: truncate.Text(c.Verb, truncate.MaxText), Subject: truncate.Text(c.Subject, truncate.MaxText), Detail: truncate.Text(c.Detail, truncate.MaxText),
			Disruptive: c.Disruptive, Waits: c.Waits,
		})
	}
	return out
}

// errCut is why a line of events has no end.
var errCut = errors.New("the last line has been cut off")

func boundedFindings(findings []plan.Finding) []plan.Finding {
	var out []plan.Finding
	for i, f := range findings {
		if i == truncate.MaxChanges-1 && len(findings) > truncate.MaxChanges {
			return append(out, plan.Finding{Severity: quorate.Refused, Hosts: []string{}, Found: fmt.Sprintf("%d more", len(findings)-i)})
		}
		f.Found, f.Do = truncate.Text(f.Found, maxMessage), truncate.Text(f.Do, maxMessage)
		if n := len(f.Hosts); n > truncate.MaxChanges {
			f.Hosts = append(f.Hosts[:truncate.MaxChanges-1:truncate.MaxChanges-1], fmt.Sprintf("%d more", n-truncate.MaxChanges+1))
		}
		out = append(out, f)
	}
	return out
}
