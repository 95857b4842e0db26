package events

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quorate-dev/quorate/internal/strictjson"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/truncate"
)

// Schema names the form of events in JSON Lines, which docs/events.md
// describes. Later versions of this package may add fields, kinds of events and
// kinds of errors to it; they may call it quorate.dev/event/v1.1 and so on.
// What readers of this form would misunderstand is called v2.
const Schema = eventSchemaName + "1"

const eventSchemaName = "quorate.dev/event/v"

// MaxSize bounds one line of events in bytes.
const MaxSize = 16 << 20

// eventLine is one line. Its fields are the form that EventSchema names.
type eventLine struct {
	Schema string         `json:"schema"`
	Seq    int            `json:"seq"`
	Time   time.Time      `json:"time"`
	Run    string         `json:"run,omitempty"`
	Kind   plan.EventKind `json:"kind"`
	Steps  int            `json:"steps,omitempty"`
	DryRun bool           `json:"dryRun,omitempty"`
	// Irreversible steps are those that a rollback of the run would leave as they are.
	Irreversible []plan.ID     `json:"irreversible,omitempty"`
	Step         plan.ID       `json:"step,omitempty"`
	Host         string        `json:"host,omitempty"`
	Title        string        `json:"title,omitempty"`
	Attempt      int           `json:"attempt,omitempty"`
	Outcome      plan.Outcome  `json:"outcome,omitempty"`
	Elapsed      time.Duration `json:"elapsed,omitempty"`
	Changes      plan.Diff     `json:"changes,omitempty"`
	Message      string        `json:"message,omitempty"`
	Error        *Error        `json:"error,omitempty"`
	Summary      *plan.Summary `json:"summary,omitempty"`
}

// Writer writes events as JSON Lines in the form that EventSchema names, so
// that programs in any language can follow a run. Its Observe belongs into
// Runner.Observe. Every event is one Write. It is safe for concurrent use, so
// that several runs may share one, with Event.Run for which. The zero Writer writes
// nothing, and its Err says so.
type Writer struct {
	mu  sync.Mutex
	w   io.Writer
	seq int
	err error
}

// NewWriter makes a writer of events to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Observe writes one event. A run is not stopped because nobody can follow it:
// the first error is kept for Err, and from then on nothing is written, so that
// what has been written stays whole but for its last line.
func (w *Writer) Observe(e plan.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.seq++
	line, err := encodeEvent(e, w.seq)
	if err == nil && w.w == nil {
		err = errors.New("there is nothing to write to: make the Writer with NewWriter")
	}
	if err == nil {
		_, err = w.w.Write(line)
	}
	if err != nil {
		w.err = &WriteError{Seq: w.seq, Err: err}
	}
}

// Err returns the first thing that went wrong, a *WriteError, or nil. Ask
// once the run has ended.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// WriteError reports that events are missing from what a Writer wrote.
// The run itself went on.
type WriteError struct {
	// Seq of the first event that was not written, or not in whole.
	Seq int
	Err error
}

func (e *WriteError) Error() string {
	return termsafe.Indented(fmt.Sprintf("write event %d: %v; it and all after it are missing, the run went on", e.Seq, e.Err))
}

// Unwrap returns the writer's error.
func (e *WriteError) Unwrap() error { return e.Err }

func encodeEvent(e plan.Event, seq int) ([]byte, error) {
	line := eventLine{
		Schema: Schema, Seq: seq, Time: e.Time.UTC(), Run: e.Run, Kind: e.Kind, Steps: e.Steps, DryRun: e.DryRun, Irreversible: e.Irreversible,
		Step: e.Step, Host: e.Host, Title: truncate.Text(e.Title, maxMessage), Attempt: e.Attempt, Outcome: e.Outcome, Elapsed: e.Elapsed,
		Changes: boundedDiff(e.Diff), Message: truncate.Text(e.Message, truncate.MaxError), Error: Describe(e.Err),
	}
	if e.Summary != nil {
		sum := *e.Summary
		sum.Unfinished = sum.Unfinished[:min(len(sum.Unfinished), truncate.MaxChanges)]
		line.Summary = &sum
	}
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	if err := out.Encode(line); err != nil {
		return nil, err
	}
	return termsafe.JSON(b.Bytes()), nil
}

// Decode reads what an EventWriter wrote, one event at a time; memory is
// needed for one. Fields that this version does not know are passed over, and so
// are kinds that it does not know handed on as they are. An Event's Err is an
// *EventError. It stops after its first error, an *EventReadError: a line that
// is no event, one that has been cut off (io.ErrUnexpectedEOF), an
// *EventSchemaError, or what r said.
func Decode(r io.Reader) iter.Seq2[plan.Event, error] {
	return func(yield func(plan.Event, error) bool) {
		in := bufio.NewReader(r)
		for number := 1; ; number++ {
			line, err := readLine(in)
			if err == io.EOF { //nolint:errorlint // readLine's own
				return
			}
			var e plan.Event
			if err == nil {
				e, err = parseEvent(line)
			}
			if err != nil {
				yield(plan.Event{}, &ReadError{Line: number, Err: err})
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// readLine returns a line without its end; io.EOF if there is none.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > MaxSize:
			return nil, fmt.Errorf("longer than %d bytes", MaxSize)
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%w: %w", errCut, io.ErrUnexpectedEOF)
		default:
			return nil, err
		}
	}
}

func parseEvent(b []byte) (plan.Event, error) {
	// The schema first: in a later one fields may have other types.
	var v struct {
		Schema string `json:"schema"`
	}
	lenient := strictjson.Options{MaxSize: MaxSize, AllowUnknown: true}
	if err := strictjson.Decode(b, &v, lenient); err != nil {
		return plan.Event{}, fmt.Errorf("no event: %w", err)
	}
	if !eventSchemaKnown(v.Schema) {
		return plan.Event{}, &SchemaError{Got: v.Schema}
	}
	var l eventLine
	if err := strictjson.Decode(b, &l, lenient); err != nil {
		return plan.Event{}, fmt.Errorf("no event: %w", err)
	}
	if l.Kind == "" {
		return plan.Event{}, errors.New("no event: it has no kind")
	}
	e := plan.Event{
		Time: l.Time.UTC(), Run: l.Run, Kind: l.Kind, Steps: l.Steps, DryRun: l.DryRun, Irreversible: l.Irreversible, Step: l.Step, Host: l.Host, Title: l.Title, Attempt: l.Attempt, Outcome: l.Outcome,
		Elapsed: l.Elapsed, Diff: l.Changes, Message: l.Message, Summary: l.Summary,
	}
	if year := e.Time.Year(); year < 0 || year > 9999 {
		return plan.Event{}, errors.New("no event: its time is out of range")
	}
	if l.Error != nil {
		e.Err = l.Error
	}
	return e, nil
}

// eventSchemaKnown reports whether a schema is v1 or a minor version of it.
func eventSchemaKnown(schema string) bool {
	if schema == Schema {
		return true
	}
	minor, ok := strings.CutPrefix(schema, Schema+".")
	_, err := strconv.ParseUint(minor, 10, 32)
	return ok && err == nil
}

// ReadError reports where a stream of events cannot be read any further.
type ReadError struct {
	// Line, from 1.
	Line int
	Err  error
}

func (e *ReadError) Error() string {
	return termsafe.Indented(fmt.Sprintf("events, line %d: %v", e.Line, e.Err))
}

// Unwrap returns why.
func (e *ReadError) Unwrap() error { return e.Err }

// SchemaError refuses a line of another form than EventSchema.
type SchemaError struct {
	// Got is what the line names, empty if nothing.
	Got string
}

func (e *SchemaError) Error() string {
	if strings.HasPrefix(e.Got, eventSchemaName) {
		return fmt.Sprintf("its schema is %q, and this program knows %q: use a later version", e.Got, Schema)
	}
	return fmt.Sprintf("no event: its schema is %q, not %q", e.Got, Schema)
}
