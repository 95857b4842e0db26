package plan_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/plan/journaltest"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
	"github.com/quorate-dev/quorate/transport/sudo"
)

// encode gives events as lines.
func encode(t require.TestingT, events ...plan.Event) string {
	var b bytes.Buffer
	w := plan.NewEventWriter(&b)
	for _, e := range events {
		w.Observe(e)
	}
	require.NoError(t, w.Err())
	return b.String()
}

func decode(t require.TestingT, text string) []plan.Event {
	var out []plan.Event
	for e, err := range plan.DecodeEvents(strings.NewReader(text)) {
		require.NoError(t, err)
		out = append(out, e)
	}
	return out
}

// aWholeRun is three steps, one after another: a file, a command that may fail,
// and one that waits for them.
func aWholeRun(t *testing.T, wrong func(h *faketransport.Host)) (*faketransport.Transport, *plan.Plan) {
	t.Helper()
	hosts := faketransport.New()
	h := hosts.Host("web-1")
	ran := false
	h.Handle(faketransport.Prefix("greet"), func(_ context.Context, in faketransport.Invocation) error {
		if len(in.Argv) > 1 {
			ran = true
			return nil
		}
		_, err := fmt.Fprintln(in.Stdout, ran)
		return err
	})
	if wrong != nil {
		wrong(h)
	}
	greet := action{
		check: func(ctx context.Context, h *plan.Host) (plan.Diff, error) {
			out, err := h.Run(ctx, "greet")
			if err != nil || string(out) == "true\n" {
				return nil, err
			}
			return plan.Diff{{Verb: "run", Subject: "greet", Disruptive: true}}, nil
		},
		apply: func(ctx context.Context, h *plan.Host) error {
			h.Report("greeting, with %s", "<joy>")
			_, err := h.Run(ctx, "greet", "loudly")
			return err
		},
	}
	return hosts, mustPlan(t,
		plan.Step{ID: "motd/web-1", Host: "web-1", Title: "write the greeting", Action: plan.Deploy{Files: []quorate.File{
			{Path: "/etc/motd", Mode: 0o644, Content: quorate.Public([]byte("welcome\n"))},
			{Path: "/etc/token", Content: quorate.Sensitive([]byte("hunter2-hunter2"))},
		}}},
		plan.Step{ID: "greet/web-1", Host: "web-1", After: []plan.ID{"motd/web-1"}, Action: greet},
		plan.Step{ID: "last/web-1", Host: "web-1", After: []plan.ID{"greet/web-1"}, Action: action{}},
	)
}

// The lines of whole runs, reviewed by eye when they change: programs that are
// not ours read them.
func TestTheLinesOfWholeRuns(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1) // for the runs' IDs
	var got txtar.Archive
	record := func(name string, r plan.Runner, wrong func(*faketransport.Host)) {
		bubble.Test(t, func(t *testing.T) { // begins at 2000-01-01T00:00:00Z, and waits take the time they say
			hosts, p := aWholeRun(t, wrong)
			var b bytes.Buffer
			w := plan.NewEventWriter(&b)
			r.Transport, r.Observe = hosts, w.Observe
			_, _ = r.Run(t.Context(), p) // how it ends is in its last event
			require.NoError(t, w.Err())
			got.Files = append(got.Files, txtar.File{Name: name, Data: b.Bytes()})
			require.Equal(t, b.String(), encode(t, decode(t, b.String())...), name)
		})
	}
	complain := faketransport.Fail(3, "greet: nobody is there\n")
	record("success", plan.Runner{}, nil)
	record("dry-run", plan.Runner{DryRun: true}, nil)
	record("retry", plan.Runner{}, func(h *faketransport.Host) {
		h.Inject(faketransport.Fault{On: faketransport.OnRun(faketransport.Prefix("greet")), Nth: 2, Before: faketransport.Reset})
	})
	record("failure", plan.Runner{}, func(h *faketransport.Host) { h.Handle(faketransport.Exact("greet", "loudly"), complain) })
	record("not-converged", plan.Runner{}, func(h *faketransport.Host) {
		h.Handle(faketransport.Exact("greet", "loudly"), faketransport.Reply(""))
	})
	record("unreachable", plan.Runner{}, func(h *faketransport.Host) { h.SetDown(true) })
	full := errors.New("no space left on device")
	record("journal-fails", plan.Runner{Journal: &journaltest.Memory{Fail: func(r plan.Record) error {
		if r.Kind == plan.RecordIntent && r.Step == "greet/web-1" {
			return full
		}
		return nil
	}}}, nil)
	var held journaltest.Memory
	since := time.Date(1999, 12, 31, 23, 0, 0, 0, time.UTC)
	_, err := held.Begin(t.Context(), plan.Holder{Operator: alice, Run: "ONE", Since: since})
	require.NoError(t, err)
	record("locked", plan.Runner{Journal: &held}, nil)
	var left journaltest.Memory
	s, err := left.Begin(t.Context(), plan.Holder{Operator: alice, Run: "ONE", Since: since})
	require.NoError(t, err)
	for _, r := range []plan.Record{
		{Kind: plan.RecordRun, Operator: &alice, Steps: 3},
		{Kind: plan.RecordIntent, Step: "greet/web-1", Host: "web-1", Attempt: 1},
	} {
		r.Schema, r.Run, r.Time = plan.RecordSchema, "ONE", since
		require.NoError(t, s.Append(t.Context(), r))
	}
	require.NoError(t, s.End(t.Context()))
	record("left-unfinished", plan.Runner{Journal: &left}, nil)

	path := filepath.Join("testdata", "events.txtar")
	if *update {
		require.NoError(t, os.WriteFile(path, txtar.Format(&got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(string(want), string(txtar.Format(&got))))
	require.NotContains(t, string(want), "hunter2")
}

// What has been read back is what was written, whatever an Action's errors and
// differences hold, and is read as the same errors.
func TestEventsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(rapid.Custom(anEvent), 1, 4).Draw(t, "events")
		text := encode(t, events...)
		back := decode(t, text)
		require.Len(t, back, len(events))
		require.Equal(t, text, encode(t, back...))
		for i, e := range events {
			require.Equal(t, e.Kind, back[i].Kind)
			require.Equal(t, e.Err == nil, back[i].Err == nil)
			if !strings.Contains(text, `"omitted"`) {
				require.Equal(t, errors.Is(e.Err, context.Canceled), errors.Is(back[i].Err, context.Canceled))
			}
			for line := range strings.Lines(text) {
				require.Less(t, len(line), plan.MaxEvent)
			}
		}
	})
}

var anyText = rapid.OneOf(rapid.String(), rapid.Just(""), rapid.Just(strings.Repeat("é<\x00", 9000)), rapid.Just("\xff\xfe"))

func anEvent(t *rapid.T) plan.Event {
	text := func(name string) string { return anyText.Draw(t, name) }
	e := plan.Event{
		Time: time.Unix(rapid.Int64Range(0, 1<<34).Draw(t, "time"), 5).In(time.FixedZone("", rapid.IntRange(-12, 12).Draw(t, "zone")*3600)),
		Run:  "R", Kind: plan.StepEnded, Step: plan.ID(rapid.StringMatching("[a-z]{1,9}/[a-z]{1,9}").Draw(t, "step")), Host: "h", Title: text("title"),
		Attempt: rapid.IntRange(0, 5).Draw(t, "attempt"), Message: text("message"), Outcome: plan.Failed,
		Elapsed: time.Duration(rapid.Int64Range(0, 1<<50).Draw(t, "elapsed")), Diff: aDiff(t),
	}
	if rapid.Bool().Draw(t, "failed") {
		e.Err = anError(t, 0)
	}
	if rapid.Bool().Draw(t, "summary") {
		e.Summary = &plan.Summary{Steps: 3, Outcomes: map[plan.Outcome]int{plan.Changed: 2}, RoundTrips: map[string]int{"h": 2}}
		for range rapid.SampledFrom([]int{0, 1, 101}).Draw(t, "unfinished") {
			e.Summary.Unfinished = append(e.Summary.Unfinished, plan.Unfinished{Step: "a", Error: "x", Time: e.Time.UTC()})
		}
	}
	return e
}

func aDiff(t *rapid.T) plan.Diff {
	var d plan.Diff
	for range rapid.SampledFrom([]int{0, 1, 2, 99, 100, 101, 500}).Draw(t, "changes") {
		d = append(d, plan.Change{Verb: "update", Subject: "/etc/x", Detail: "content", Text: "@@", Hidden: "secret"})
	}
	if len(d) > 0 {
		d[0].Subject, d[0].Disruptive = anyText.Draw(t, "subject"), true
	}
	return d
}

func anError(t *rapid.T, depth int) error {
	text := func(name string) string { return anyText.Draw(t, name) }
	leaf := func() error {
		return rapid.SampledFrom([]error{
			context.Canceled, context.DeadlineExceeded, io.ErrUnexpectedEOF, errors.New(text("text")),
			&transport.ExitError{Host: "h", Argv: []string{"sh", "-c", "# do it\nfalse", text("arg")}, Code: 3, Stderr: text("stderr")},
			&transport.ExitError{Host: "h", Argv: []string{"x"}, Code: -1, Signal: "KILL"},
			&plan.HostError{Host: "h", Faults: []plan.HostFault{{Found: text("found"), Do: text("do")}}},
			&plan.HostError{Host: "h", Faults: make([]plan.HostFault, 101)},
			&plan.NotConvergedError{Left: aDiff(t)},
			&plan.LockedError{Holder: plan.Holder{Operator: alice, Run: "R", Since: time.Unix(1, 0).UTC()}},
			&plan.SchemaError{Schema: 9}, &plan.HashError{Path: "/x", Want: "a", Got: "b"},
			&sudo.Error{Host: "h", Reason: sudo.NotAllowed}, &plan.EventSchemaError{Got: text("got")},
			&plan.StaleError{Steps: []plan.StaleStep{{Step: "a", Differences: []string{text("difference")}}}},
			&plan.GraphError{Faults: make([]string, 150)},
			&quorate.InvalidError{What: "x", Problems: []quorate.Problem{{Path: "a.b", Message: text("message"), Severity: quorate.Refused}}},
			&quorate.InvalidError{What: "x", Problems: make([]quorate.Problem, 300)},
		}).Draw(t, "leaf")
	}
	if depth > 3 {
		return leaf()
	}
	inner := func() error { return anError(t, depth+1) }
	switch rapid.IntRange(0, 9).Draw(t, "error") {
	case 0:
		return &plan.StepError{Step: "a", Host: "h", Phase: plan.Applying, Attempt: 2, Err: inner()}
	case 1:
		return &plan.RunError{Failed: []*plan.StepError{{Step: "a", Host: "h", Phase: plan.Checking, Err: inner()}}, NotReached: []plan.ID{"b"}, Canceled: inner()}
	case 2:
		return &transport.DialError{Host: "h", Addr: "192.0.2.1:22", Reason: transport.Lost, Advice: text("advice"), Err: inner()}
	case 3:
		return &plan.JournalError{Op: "append", Record: plan.RecordIntent, Step: "a", Err: inner()}
	case 4:
		return &plan.LockLostError{Err: inner()}
	case 5:
		return &etcdclient.EndpointError{Endpoint: "https://192.0.2.1:2379", Op: "ask", Err: inner()}
	case 6:
		return fmt.Errorf("%s: %w", text("text"), inner())
	case 8:
		return &transport.FileError{Host: "h", Op: "read", Path: text("path"), Err: inner()}
	case 7:
		n := rapid.SampledFrom([]int{1, 2, 150}).Draw(t, "joined")
		return errors.Join(append(slices.Repeat([]error{errors.New("one")}, n), inner())...)
	}
	return leaf()
}

// A chain of causes ends somewhere.
func TestErrorsAreBounded(t *testing.T) {
	err := errors.New(strings.Repeat("x", 1<<20))
	for range 1000 {
		err = fmt.Errorf("y%w", errors.Join(err, err)) // each shows the text twice as long
		if len(err.Error()) > 1<<24 {
			break
		}
	}
	deep := fmt.Errorf("z: %w", io.EOF)
	for range 1000 {
		deep = fmt.Errorf("z: %w", deep)
	}
	for _, e := range []error{err, deep} {
		require.Less(t, len(encode(t, plan.Event{Kind: plan.RunEnded, Err: e})), 1<<20)
	}
	stderr := strings.Repeat("é", 100000) + "the end"
	got := plan.DescribeError(&transport.ExitError{Argv: []string{"x"}, Stderr: stderr})
	require.LessOrEqual(t, len(got.Output), transport.StderrLimit)
	require.True(t, strings.HasPrefix(got.Output, "...é"))
	require.True(t, strings.HasSuffix(got.Output, "éthe end"))
	require.Nil(t, plan.DescribeError(nil))
}

// A later minor version may have more to say; another major version is refused
// by name, as is what is no event, and everything before it is read.
func TestReadersOfEvents(t *testing.T) {
	const good = `{"schema":"quorate.dev/event/v1","seq":1,"time":"2026-01-02T03:04:05Z","kind":"run-started"}` + "\n"
	read := func(text string) (kinds []plan.EventKind, err error) {
		for e, err := range plan.DecodeEvents(strings.NewReader(text)) {
			if err != nil {
				return kinds, err
			}
			kinds = append(kinds, e.Kind)
		}
		return kinds, nil
	}
	kinds, err := read(good + `{"schema":"quorate.dev/event/v1.12","kind":"host-rebooted","time":"2026-01-02T03:04:05Z","new":{"a":[1]},"error":{"kind":"fire","message":"m","where":1}}` + "\n")
	require.NoError(t, err)
	require.Equal(t, []plan.EventKind{plan.RunStarted, "host-rebooted"}, kinds)

	for name, tt := range map[string]struct{ text, want string }{
		"later major":   {`{"schema":"quorate.dev/event/v2","kind":{"name":"x"}}` + "\n", `events, line 2: its schema is "quorate.dev/event/v2", and this program knows "quorate.dev/event/v1": use a later version`},
		"much later":    {`{"schema":"quorate.dev/event/v11","kind":"x"}` + "\n", `"quorate.dev/event/v11", and this program knows`},
		"no minor":      {`{"schema":"quorate.dev/event/v1.x","kind":"x"}` + "\n", `"quorate.dev/event/v1.x"`},
		"no schema":     {`{"kind":"x"}` + "\n", `no event: its schema is "", not "quorate.dev/event/v1"`},
		"no kind":       {`{"schema":"quorate.dev/event/v1"}` + "\n", "it has no kind"},
		"no JSON":       {"hello\n", "no event: invalid character"},
		"an empty line": {"\n", "no event: unexpected end"},
		"a wrong type":  {`{"schema":"quorate.dev/event/v1","kind":7}` + "\n", "no event: json: cannot unmarshal number"},
		"out of range":  {`{"schema":"quorate.dev/event/v1","kind":"x","time":"9999-12-31T23:59:59-23:00"}` + "\n", "its time is out of range"},
		"cut off":       {good[:40], "the last line has been cut off: unexpected EOF"},
	} {
		kinds, err := read(good + tt.text)
		require.ErrorContains(t, err, tt.want, name)
		require.Equal(t, []plan.EventKind{plan.RunStarted}, kinds, name)
		var at *plan.EventReadError
		require.ErrorAs(t, err, &at, name)
		require.Equal(t, 2, at.Line)
		var schema *plan.EventSchemaError
		require.Equal(t, strings.Contains(tt.want, "schema") || name == "no minor" || name == "much later", errors.As(err, &schema), name)
		require.Equal(t, name == "cut off", errors.Is(err, io.ErrUnexpectedEOF), name)
	}
	var last error
	for _, err := range plan.DecodeEvents(io.MultiReader(strings.NewReader(good), neverEnding('x'))) {
		last = err
	}
	require.ErrorContains(t, last, "events, line 2: longer than 16777216 bytes")
	for e, err := range plan.DecodeEvents(strings.NewReader(good + "x")) {
		require.NoError(t, err)
		require.Equal(t, plan.RunStarted, e.Kind)
		break
	}
}

// neverEnding is one line without an end.
type neverEnding byte

func (n neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(n)
	}
	return len(p), nil
}

// failingWriter fails after some bytes.
type failingWriter struct {
	b    bytes.Buffer
	room int
}

var errFull = errors.New("no space left on device")

func (w *failingWriter) Write(p []byte) (int, error) {
	if len(p) > w.room {
		n, _ := w.b.Write(p[:w.room])
		w.room = 0
		return n, errFull
	}
	w.room -= len(p)
	return w.b.Write(p)
}

// A run goes on when its events cannot be written. That is found afterwards,
// and what was written is whole but for its last line.
func TestARunSurvivesItsEvents(t *testing.T) {
	hosts, p := aWholeRun(t, nil)
	out := &failingWriter{room: 700}
	w := plan.NewEventWriter(out)
	sum, err := (&plan.Runner{Transport: hosts, Observe: w.Observe}).Run(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, 2, sum.Outcomes[plan.Changed])
	var missing *plan.EventWriteError
	require.ErrorAs(t, w.Err(), &missing)
	require.ErrorIs(t, w.Err(), errFull)
	whole := 0
	for _, err := range plan.DecodeEvents(bytes.NewReader(out.b.Bytes())) {
		if err != nil {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			continue
		}
		whole++
	}
	require.Equal(t, missing.Seq-1, whole)
	require.Equal(t, 700, out.b.Len(), "nothing after the first error")
}

// Several runs may share a writer: each line is one write.
func TestRunsShareAWriter(t *testing.T) {
	var b bytes.Buffer
	w := plan.NewEventWriter(&b)
	var runs sync.WaitGroup
	for range 4 {
		hosts, p := aWholeRun(t, nil)
		runs.Go(func() { _, _ = (&plan.Runner{Transport: hosts, Observe: w.Observe}).Run(context.Background(), p) })
	}
	runs.Wait()
	require.NoError(t, w.Err())
	require.Zero(t, len(decode(t, b.String()))%4)
}

// The log has the names of the schema.
func TestTheLogHasTheNamesOfTheSchema(t *testing.T) {
	known := map[string]bool{slog.TimeKey: true, slog.LevelKey: true, slog.MessageKey: true}
	var logged, line map[string]any
	e := plan.Event{
		Time: time.Unix(1, 0), Kind: plan.StepEnded, Step: "a", Host: "h", Title: "t", Attempt: 2, Message: "m", Run: "R", Outcome: plan.Failed,
		Err: errors.New("e"), Elapsed: time.Second, Diff: plan.Diff{{Verb: "run", Subject: "x"}, {Verb: "run", Subject: "y"}},
	}
	var log bytes.Buffer
	plan.LogTo(slog.New(slog.NewJSONHandler(&log, nil)))(e)
	require.NoError(t, json.Unmarshal(log.Bytes(), &logged))
	require.NoError(t, json.Unmarshal([]byte(encode(t, e)), &line))
	for name := range logged {
		require.True(t, known[name] || line[name] != nil, name)
	}
	for _, name := range []string{"run", "step", "host", "title", "attempt", "message", "outcome", "elapsed", "changes", "error"} {
		require.Contains(t, logged, name)
	}
	require.Equal(t, line["elapsed"], logged["elapsed"])
	require.Equal(t, []any{"run x", "run y"}, logged["changes"])
}

// Whatever the input is, reading it ends, and what was read is written as it was.
func FuzzDecodeEvents(f *testing.F) {
	archive, err := txtar.ParseFile(filepath.Join("testdata", "events.txtar"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		f.Add(file.Data)
	}
	f.Add([]byte(`{"schema":"quorate.dev/event/v1","kind":"x","error":{"causes":[null,{}]},"changes":[{}],"summary":{}}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var events []plan.Event
		for e, err := range plan.DecodeEvents(bytes.NewReader(b)) {
			if err == nil {
				events = append(events, e)
			}
		}
		text := encode(t, events...)
		require.Equal(t, text, encode(t, decode(t, text)...))
	})
}
