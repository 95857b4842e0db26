package plan

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// Journal keeps what runs intended and what came of it, beyond the life of the
// program that ran. Check is the truth and the journal is a hint: a Runner does
// the same work with or without one, and no record ever replaces a check. A
// journal is there to say afterwards what was done, when and by whom; to show a
// run what an earlier one left unfinished; and, if it can lock, to keep two
// operators from running at once.
//
// One journal is for one cluster. plan/filejournal and plan/etcdjournal are
// journals, journaltest.Memory is one for tests, and journaltest.Run is the
// suite that a journal of one's own should pass. A Journal is safe for
// concurrent use.
type Journal interface {
	// Begin takes the journal for one run, under the name of h. A journal that
	// can lock refuses while another session has it, at once and with a
	// *LockedError; a session whose program has died does not count for longer
	// than the journal says. What a crash has left half written is repaired
	// here, and what is too old to keep may be removed, as journal.Trim has it. When Begin
	// fails there is nothing to end.
	Begin(ctx context.Context, h Holder) (JournalSession, error)
	// Records returns what has been kept, oldest first, also while a session is
	// open; it stops after its first error. A *journal.SchemaError is a record by a
	// later version. It takes no lock, and memory for one record at a time or
	// for a bounded number of them.
	Records(ctx context.Context) iter.Seq2[Record, error]
}

// JournalSession is a Journal taken for one run. It is safe for concurrent use.
type JournalSession interface {
	// Append returns nil once the record will outlive a crash of this program,
	// and, if the journal is a file, of the machine. After an error the record
	// may have been kept or not, but never in part. Of records that are
	// appended one after another the order is kept. Records of up to
	// journal.MaxRecord
	// bytes of JSON are taken.
	Append(ctx context.Context, r Record) error
	// Lost returns at most one error, a *LockLostError, when another run may have
	// the journal although this session has not ended: a lease ran out. From
	// then on Append fails. It is nil if that cannot happen.
	Lost() <-chan error
	// End returns the journal back. After it Append fails, and End does nothing
	// more.
	End(ctx context.Context) error
}

// Operator says who runs, in the words of the program that runs: nothing of it
// is read from the environment. Every field may be empty.
type Operator struct {
	// Name of a person or a service: "alice".
	Name string `json:"name,omitempty"`
	// Machine that the program runs on.
	Machine string `json:"machine,omitempty"`
	// Process on it: a process ID, a job's URL.
	Process string `json:"process,omitempty"`
}

// String returns "alice (process 4711 on laptop)".
func (o Operator) String() string {
	var where []string
	if o.Process != "" {
		where = append(where, "process "+o.Process)
	}
	if o.Machine != "" {
		where = append(where, "on "+o.Machine)
	}
	name := o.Name
	if name == "" {
		name = "somebody"
	}
	if len(where) > 0 {
		name += " (" + strings.Join(where, " ") + ")"
	}
	return termsafe.Indented(name)
}

// Holder is who has a journal, and since when.
type Holder struct {
	Operator
	// Run is the ID of the run that the journal is held for.
	Run   string    `json:"run"`
	Since time.Time `json:"since"`
}

// String returns "alice (process 4711 on laptop) since 2026-01-02T15:04:05Z".
func (h Holder) String() string {
	if h.Since.IsZero() {
		return h.Operator.String()
	}
	return h.Operator.String() + " since " + h.Since.UTC().Format(time.RFC3339)
}

// LockedError reports that somebody else runs: the journal is theirs until they
// are done.
type LockedError struct {
	// Holder is zero in what could not be found out.
	Holder Holder
}

func (e *LockedError) Error() string {
	return termsafe.Indented("the journal is held by " + e.Holder.String() + ": wait until that run has ended")
}

// LockLostError reports that a session's hold of the journal ran out while it was
// in use, so that another run may have begun.
type LockLostError struct {
	// Holder is the session that lost it.
	Holder Holder
	// Err says how, nil if it is not known.
	Err error
}

func (e *LockLostError) Error() string {
	s := "the journal is no longer held by " + e.Holder.String()
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return termsafe.Indented(s)
}

// Unwrap returns how it was lost.
func (e *LockLostError) Unwrap() error { return e.Err }

// RecordSchema is the version of the form of Record that this package writes.
// Fields may be added within a version; a later version means something else.
const RecordSchema = 1

// RecordKind is the kind of a Record.
type RecordKind string

const (
	// RecordRun is the first record of a run: Operator, Plan and Steps.
	RecordRun RecordKind = "run-started"
	// RecordIntent is written before a step is applied: Inputs, Attempt and
	// Changes. Without it nothing is applied.
	RecordIntent RecordKind = "intent"
	// RecordOutcome says how a step ended. There is one for each step that was
	// applied, or failed, or had been left unfinished by an earlier run; steps
	// that were found as they should be are counted in RecordEnd.
	RecordOutcome RecordKind = "outcome"
	// RecordEnd is the last record of a run: Outcomes and Elapsed. A run
	// without it was interrupted, or lost its journal.
	RecordEnd RecordKind = "run-ended"
)

// Record is one thing that a run did. It holds no secrets, and nothing made of
// them. Its JSON is what a journal keeps; a Record that has been marshalled is
// read by journal.ParseRecord.
type Record struct {
	// Schema is the version of this form: RecordSchema.
	Schema int `json:"schema"`
	// Run is the random ID of the run, the same in all its records.
	Run  string     `json:"run"`
	Kind RecordKind `json:"kind"`
	// Time by the clock of the machine that runs.
	Time time.Time `json:"time"`

	// Operator, of RecordRun, is who runs.
	Operator *Operator `json:"operator,omitempty"`
	// Plan, of RecordRun, is Plan.Fingerprint: it is the same whenever the
	// same work is planned with the same public inputs.
	Plan string `json:"plan,omitempty"`
	// Steps, of RecordRun, is how many the plan has.
	Steps int `json:"steps,omitempty"`

	// Step and Host, of RecordIntent and RecordOutcome.
	Step ID     `json:"step,omitempty"`
	Host string `json:"host,omitempty"`
	// Inputs, of the same, is the SHA-256 of the step's public inputs in
	// hexadecimal: Step.Fingerprint.
	Inputs string `json:"inputs,omitempty"`
	// Attempt, of the same, counts from 1.
	Attempt int `json:"attempt,omitempty"`
	// Changes, of RecordIntent, is what the check found to differ and will be
	// applied; Omitted is how many more there are.
	Changes []Change `json:"changes,omitempty"`
	Omitted int      `json:"omitted,omitempty"`

	// Outcome, of RecordOutcome: Changed, Unchanged or Failed. Of a failure,
	// Phase is where and Error is its text, cut if it is long.
	Outcome Outcome `json:"outcome,omitempty"`
	Phase   Phase   `json:"phase,omitempty"`
	Error   string  `json:"error,omitempty"`

	// Outcomes, of RecordEnd, counts the steps by their outcome.
	Outcomes map[Outcome]int `json:"outcomes,omitempty"`
	// Elapsed, of RecordOutcome and RecordEnd, is how long the step or the run
	// took, in nanoseconds.
	Elapsed time.Duration `json:"elapsed,omitempty"`
}

// JournalError is what went wrong with a run's journal.
type JournalError struct {
	// Record that could not be written; empty if the journal could not be
	// begun, read or ended.
	Record RecordKind
	// Op is what was tried: "begin", "read", "append", "end".
	Op string
	// Step, if the record is of one.
	Step ID
	Err  error
}

func (e *JournalError) Error() string {
	s := "journal: " + e.Op
	if e.Record != "" {
		s += " " + string(e.Record)
	}
	if e.Step != "" {
		s += " of " + string(e.Step)
	}
	return termsafe.Indented(s + ": " + e.Err.Error())
}

// Unwrap returns the journal's own error: a *LockedError, a *LockLostError.
func (e *JournalError) Unwrap() error { return e.Err }

// Unfinished is a step that an earlier run began and did not bring to its end.
type Unfinished struct {
	Step ID     `json:"step"`
	Host string `json:"host"`
	// Run that left it so, by whom, and when it last said something of it.
	Run      string    `json:"run"`
	Operator Operator  `json:"operator"`
	Time     time.Time `json:"time"`
	// Outcome is Failed, or empty if nothing says how applying it ended: the
	// program died, or its journal did.
	Outcome Outcome `json:"outcome,omitempty"`
	// Error of a failure.
	Error string `json:"error,omitempty"`
}

// String says what happened, in a sentence without its step.
func (u Unfinished) String() string {
	how := "was interrupted while applying it"
	if u.Outcome == Failed {
		how = "failed"
	}
	s := fmt.Sprintf("run %s of %v %s at %s", u.Run, u.Operator, how, u.Time.UTC().Format(time.RFC3339))
	if u.Error != "" {
		s += ": " + u.Error
	}
	return termsafe.Indented(s)
}

// UnfinishedOf returns the steps whose last record is an intent or a failure, in
// the order in which they were left. A step of which no run has said anything
// since stays among them, also when no plan has it any more.
func UnfinishedOf(records iter.Seq2[Record, error]) ([]Unfinished, error) {
	type key struct {
		step ID
		host string
	}
	left := map[key]Unfinished{}
	var order []key // may hold what is settled, and a key more than once
	operators := map[string]Operator{}
	for r, err := range records {
		if err != nil {
			return nil, err
		}
		k := key{r.Step, r.Host}
		switch {
		case r.Kind == RecordRun && r.Operator != nil:
			operators[r.Run] = *r.Operator
		case r.Kind == RecordEnd:
			delete(operators, r.Run) // a journal may be long
		case r.Kind == RecordIntent, r.Kind == RecordOutcome && r.Outcome == Failed:
			left[k] = Unfinished{
				Step: r.Step, Host: r.Host, Run: r.Run, Operator: operators[r.Run],
				Time: r.Time, Outcome: r.Outcome, Error: r.Error,
			}
			order = append(order, k)
		case r.Kind == RecordOutcome:
			delete(left, k)
			if len(left) == 0 {
				order = order[:0]
			}
		}
	}
	var out []Unfinished
	for i := len(order) - 1; i >= 0; i-- { // the last time counts
		if u, ok := left[order[i]]; ok {
			out = append(out, u)
			delete(left, order[i])
		}
	}
	slices.Reverse(out)
	return out, nil
}
