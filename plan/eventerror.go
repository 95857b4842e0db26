package plan

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/sudo"
)

// ErrorKind tells errors in events apart, for programs that do not link this
// package.
type ErrorKind string

// The kinds, and the errors that they stand for.
const (
	// ErrorStep is a *StepError: Step, Host, Phase, Attempt, and its cause.
	ErrorStep ErrorKind = "step"
	// ErrorRun is a *RunError: NotReached, and every root cause.
	ErrorRun ErrorKind = "run"
	// ErrorExit is a *transport.ExitError, a command that did not succeed: Host,
	// Tried is the command, Output the end of its standard error, ExitCode, Signal.
	ErrorExit ErrorKind = "exit"
	// ErrorDial is a *transport.DialError, a host that could not be reached or no
	// longer: Host, Tried, Address, Reason, Do.
	ErrorDial ErrorKind = "dial"
	// ErrorHost is a *HostError, a host that is not as a step needs it: Host, Faults.
	ErrorHost ErrorKind = "host"
	// ErrorPreflight is a *PreflightError, hosts that are not fit for what they are
	// to become: Findings.
	ErrorPreflight ErrorKind = "preflight"
	// ErrorNotConverged is a *NotConvergedError: Changes is what still differs.
	ErrorNotConverged ErrorKind = "not-converged"
	// ErrorJournal is a *JournalError: Tried, Step, and the journal's own error.
	ErrorJournal ErrorKind = "journal"
	// ErrorLocked is a *LockedError: Holder runs, Do.
	ErrorLocked ErrorKind = "locked"
	// ErrorLockLost is a *LockLostError: Holder had the journal.
	ErrorLockLost ErrorKind = "lock-lost"
	// ErrorSchema is a *SchemaError: the journal has records of the later form Got.
	ErrorSchema ErrorKind = "schema"
	// ErrorHash is a *HashError: a file that was to be sent, Path, has the hash Got
	// and not Want.
	ErrorHash ErrorKind = "hash"
	// ErrorFile is a *transport.FileError, an operation on a file of a host: Host,
	// Tried, Path, and its cause.
	ErrorFile ErrorKind = "file"
	// ErrorSudo is a *sudo.Error, a host whose sudo refused: Host, Tried,
	// Reason, Do.
	ErrorSudo ErrorKind = "sudo"
	// ErrorStale is a *StaleError, a preview that no longer holds: Problems says of
	// each step what is not as it was, Do.
	ErrorStale ErrorKind = "stale"
	// ErrorPreviewSchema is a *PreviewSchemaError, what is no preview or one of the
	// form Got.
	ErrorPreviewSchema ErrorKind = "preview-schema"
	// ErrorQuorum is a *QuorumError, a member of etcd that the others could not do
	// without: Tried, Do, and what was wrong with the others.
	ErrorQuorum ErrorKind = "quorum"
	// ErrorIrreversible is an *IrreversibleError: Step cannot be undone, for Reason.
	ErrorIrreversible ErrorKind = "irreversible"
	// ErrorGraph is a *GraphError, steps that make no plan: Problems.
	ErrorGraph ErrorKind = "graph"
	// ErrorEventWrite is an *EventWriteError, Tried says from which event on a
	// stream of events is not complete.
	ErrorEventWrite ErrorKind = "event-write"
	// ErrorEventRead is an *EventReadError, Tried says at which line a stream of
	// events ends to be one.
	ErrorEventRead ErrorKind = "event-read"
	// ErrorEventSchema is an *EventSchemaError, an event of the other form Got.
	ErrorEventSchema ErrorKind = "event-schema"
	// ErrorEtcd is an *etcdclient.EndpointError: Address is the member's, Tried.
	ErrorEtcd ErrorKind = "etcd"
	// ErrorInvalid is a *quorate.InvalidError: Problems.
	ErrorInvalid ErrorKind = "invalid"
	// ErrorCanceled is context.Canceled: the run was told to stop.
	ErrorCanceled ErrorKind = "canceled"
	// ErrorTimeout is context.DeadlineExceeded.
	ErrorTimeout ErrorKind = "timeout"
	// ErrorOther is any other error. A later version may name some of them.
	ErrorOther ErrorKind = "other"
	// ErrorOmitted stands for causes that were left out: Message counts them.
	ErrorOmitted ErrorKind = "omitted"
)

// EventError is an error as an event's JSON has it: what the typed errors of this
// package and of transport say, with their causes. It holds no secrets, and is
// bounded: long texts end in "...", and of many causes or changes the last of a
// hundred counts those that were left out. DecodeEvents gives it as an Event's
// Err; its text is that of the error it was made of.
type EventError struct {
	Kind ErrorKind `json:"kind"`
	// Message is the error's whole text, up to 1 KiB of it.
	Message string `json:"message"`
	Step    ID     `json:"step,omitempty"`
	Host    string `json:"host,omitempty"`
	Phase   Phase  `json:"phase,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
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
	// Reason is a DialReason of transport's, or one of a sudo.Error's.
	Reason string `json:"reason,omitempty"`
	// Path of a file.
	Path string `json:"path,omitempty"`
	// Want is what was to be found, a hash or a schema, and Got what was.
	Want string `json:"want,omitempty"`
	Got  string `json:"got,omitempty"`
	// Faults of a host, each with what to do.
	Faults []HostFault `json:"faults,omitempty"`
	// Findings of a preflight, each with its hosts and what to do.
	Findings []Finding `json:"findings,omitempty"`
	// Changes that are still due.
	Changes Diff `json:"changes,omitempty"`
	// Problems of an input, by its fields' paths, or of a preview, by step.
	Problems []quorate.Problem `json:"problems,omitempty"`
	// NotReached counts the steps that did not run.
	NotReached int `json:"notReached,omitempty"`
	// Holder of a journal.
	Holder *Holder `json:"holder,omitempty"`
	// Causes are what the error wraps.
	Causes []EventError `json:"causes,omitempty"`
}

// Error gives Message.
func (e *EventError) Error() string { return e.Message }

// Unwrap gives the causes.
func (e *EventError) Unwrap() []error {
	errs := make([]error, len(e.Causes))
	for i := range e.Causes {
		errs[i] = &e.Causes[i]
	}
	return errs
}

// Is makes what has been read back context.Canceled and context.DeadlineExceeded
// again.
func (e *EventError) Is(target error) bool {
	return e.Kind == ErrorCanceled && target == context.Canceled || //nolint:errorlint // Is is not to unwrap
		e.Kind == ErrorTimeout && target == context.DeadlineExceeded //nolint:errorlint // as above
}

const (
	maxMessage = 1 << 10
	maxDepth   = 16
)

// DescribeError gives an error in the form that events have it in JSON; nil for
// nil.
func DescribeError(err error) *EventError {
	if err == nil {
		return nil
	}
	e := describeError(err, 0)
	return &e
}

func describeError(err error, depth int) EventError {
	var e EventError
	if done, ok := err.(*EventError); ok { //nolint:errorlint // walks the whole tree itself
		e = *done
	} else {
		e = typedError(err)
		e.Message = err.Error()
		causes := causesOf(err)
		for i, cause := range causes {
			switch {
			case depth >= maxDepth:
			case i == maxChanges-1 && len(causes) > maxChanges:
				e.Causes = append(e.Causes, omitted(len(causes)-i))
				return e.bounded(depth)
			default:
				e.Causes = append(e.Causes, describeError(cause, depth+1))
			}
		}
	}
	return e.bounded(depth)
}

func omitted(n int) EventError {
	return EventError{Kind: ErrorOmitted, Message: fmt.Sprintf("%d more", n)}
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

// typedError gives what one error says besides its text and its causes.
func typedError(err error) EventError {
	switch e := err.(type) { //nolint:errorlint // each error of the tree by itself
	case *StepError:
		return EventError{Kind: ErrorStep, Step: e.Step, Host: e.Host, Phase: e.Phase, Attempt: e.Attempt}
	case *RunError:
		return EventError{Kind: ErrorRun, NotReached: len(e.NotReached)}
	case *transport.ExitError:
		return EventError{Kind: ErrorExit, Host: e.Host, Tried: commandLine(e.Argv), Output: e.Stderr, ExitCode: &e.Code, Signal: e.Signal}
	case *transport.DialError:
		tried := "connect"
		if e.Reason == transport.Lost {
			tried = "keep the connection"
		}
		return EventError{Kind: ErrorDial, Host: e.Host, Tried: tried, Address: e.Addr, Reason: string(e.Reason), Do: e.Advice}
	case *HostError:
		return EventError{Kind: ErrorHost, Host: e.Host, Faults: e.Faults}
	case *PreflightError:
		return EventError{Kind: ErrorPreflight, Findings: e.Findings}
	case *NotConvergedError:
		return EventError{Kind: ErrorNotConverged, Changes: e.Left}
	case *JournalError:
		return EventError{Kind: ErrorJournal, Step: e.Step, Tried: strings.TrimSpace(e.Op + " " + string(e.Record))}
	case *LockedError:
		return EventError{Kind: ErrorLocked, Holder: &e.Holder, Do: "wait until that run has ended"}
	case *LockLostError:
		return EventError{Kind: ErrorLockLost, Holder: &e.Holder, Do: "look whether somebody else runs, and run again"}
	case *SchemaError:
		return EventError{Kind: ErrorSchema, Want: strconv.Itoa(RecordSchema), Got: strconv.Itoa(e.Schema), Do: "use a later version"}
	case *HashError:
		return EventError{Kind: ErrorHash, Tried: "put the file in place", Path: e.Path, Want: e.Want, Got: e.Got, Do: "give the right file, or its hash"}
	case *transport.FileError:
		return EventError{Kind: ErrorFile, Host: e.Host, Tried: e.Op, Path: e.Path}
	case *sudo.Error:
		return EventError{Kind: ErrorSudo, Host: e.Host, Tried: "sudo", Reason: string(e.Reason), Do: e.Advice()}
	case *StaleError:
		return EventError{Kind: ErrorStale, Problems: e.problems(), Do: "look at a new preview"}
	case *PreviewSchemaError:
		return EventError{Kind: ErrorPreviewSchema, Want: PreviewSchema, Got: e.Got}
	case *QuorumError:
		return EventError{Kind: ErrorQuorum, Tried: "remove etcd member " + e.Member, Do: quorumAdvice}
	case *IrreversibleError:
		return EventError{Kind: ErrorIrreversible, Step: e.Step, Reason: e.Reason}
	case *GraphError:
		return EventError{Kind: ErrorGraph, Problems: e.problems()}
	case *EventWriteError:
		return EventError{Kind: ErrorEventWrite, Tried: fmt.Sprintf("write event %d", e.Seq)}
	case *EventReadError:
		return EventError{Kind: ErrorEventRead, Tried: fmt.Sprintf("read line %d", e.Line)}
	case *EventSchemaError:
		return EventError{Kind: ErrorEventSchema, Want: EventSchema, Got: e.Got}
	case *etcdclient.EndpointError:
		return EventError{Kind: ErrorEtcd, Address: e.Endpoint, Tried: e.Op}
	case *quorate.InvalidError:
		return EventError{Kind: ErrorInvalid, Problems: e.Problems}
	}
	switch err { //nolint:errorlint // as above
	case context.Canceled:
		return EventError{Kind: ErrorCanceled}
	case context.DeadlineExceeded:
		return EventError{Kind: ErrorTimeout}
	}
	return EventError{Kind: ErrorOther}
}

// problems gives what is not as it was, by step.
func (e *StaleError) problems() []quorate.Problem {
	var out []quorate.Problem
	for _, s := range e.Steps {
		for _, d := range s.Differences {
			out = append(out, quorate.Problem{Path: string(s.Step), Message: strings.TrimSpace(d), Severity: quorate.Refused})
		}
	}
	return out
}

func (e *GraphError) problems() []quorate.Problem {
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

// bounded gives the error within its bounds; what is within them stays as it is.
func (e EventError) bounded(depth int) EventError {
	for _, s := range []*string{&e.Message, &e.Tried, &e.Do, &e.Address, &e.Reason, &e.Path, &e.Want, &e.Got, &e.Host, &e.Signal, (*string)(&e.Step)} {
		*s = cutText(*s, maxMessage)
	}
	e.Output = cutHead(e.Output, transport.StderrLimit)
	e.Changes = e.Changes.bounded()
	e.Findings = boundedFindings(e.Findings)
	faults := e.Faults
	e.Faults = nil
	for i, f := range faults {
		if i == maxChanges-1 && len(faults) > maxChanges {
			e.Faults = append(e.Faults, HostFault{Found: fmt.Sprintf("%d more", len(faults)-i)})
			break
		}
		e.Faults = append(e.Faults, HostFault{Found: cutText(f.Found, maxMessage), Do: cutText(f.Do, maxMessage)})
	}
	problems := e.Problems
	e.Problems = nil
	for i, p := range problems {
		if i == maxChanges-1 && len(problems) > maxChanges {
			e.Problems = append(e.Problems, quorate.Problem{Message: fmt.Sprintf("%d more", len(problems)-i), Severity: quorate.Refused})
			break
		}
		p.Path, p.Message = cutText(p.Path, maxMessage), cutText(p.Message, maxMessage)
		e.Problems = append(e.Problems, p)
	}
	causes := e.Causes
	e.Causes = nil
	if depth >= maxDepth {
		return e
	}
	for i, c := range causes {
		if i == maxChanges-1 && len(causes) > maxChanges {
			e.Causes = append(e.Causes, omitted(len(causes)-i))
			break
		}
		e.Causes = append(e.Causes, c.bounded(depth+1))
	}
	return e
}

// bounded gives a Diff without the texts of a preview, of at most maxChanges.
func (d Diff) bounded() Diff {
	var out Diff
	for i, c := range d {
		if i == maxChanges-1 && len(d) > maxChanges {
			return append(out, Change{Verb: "omit", Subject: fmt.Sprintf("%d more", len(d)-i)})
		}
		out = append(out, Change{
			Verb: cutText(c.Verb, maxText), Subject: cutText(c.Subject, maxText), Detail: cutText(c.Detail, maxText), Disruptive: c.Disruptive,
		})
	}
	return out
}

// errCut is why a line of events has no end.
var errCut = errors.New("the last line has been cut off")

func boundedFindings(findings []Finding) []Finding {
	var out []Finding
	for i, f := range findings {
		if i == maxChanges-1 && len(findings) > maxChanges {
			return append(out, Finding{Severity: SeverityError, Hosts: []string{}, Found: fmt.Sprintf("%d more", len(findings)-i)})
		}
		f.Found, f.Do = cutText(f.Found, maxMessage), cutText(f.Do, maxMessage)
		if n := len(f.Hosts); n > maxChanges {
			f.Hosts = append(f.Hosts[:maxChanges-1:maxChanges-1], fmt.Sprintf("%d more", n-maxChanges+1))
		}
		out = append(out, f)
	}
	return out
}
