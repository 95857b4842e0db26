package events_test

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
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/plan/journaltest"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

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
	greet := fixture.Action{
		OnCheck: func(ctx context.Context, h *plan.Host) (plan.Diff, error) {
			out, err := h.Run(ctx, "greet")
			if err != nil || string(out) == "true\n" {
				return nil, err
			}
			return plan.Diff{{Verb: "run", Subject: "greet", Disruptive: true}}, nil
		},
		OnApply: func(ctx context.Context, h *plan.Host) error {
			h.Report("greeting, with %s", "<joy>")
			_, err := h.Run(ctx, "greet", "loudly")
			return err
		},
	}
	return hosts, fixture.MustPlan(t,
		plan.Step{ID: "motd/web-1", Host: "web-1", Title: "write the greeting", Action: plan.Deploy{Files: []quorate.File{
			{Path: "/etc/motd", Mode: 0o644, Content: quorate.Public([]byte("welcome\n"))},
			{Path: "/etc/token", Content: quorate.Sensitive([]byte("hunter2-hunter2"))},
		}}},
		plan.Step{ID: "greet/web-1", Host: "web-1", After: []plan.ID{"motd/web-1"}, Action: greet},
		plan.Step{ID: "last/web-1", Host: "web-1", After: []plan.ID{"greet/web-1"}, Action: fixture.Action{}},
	)
}

// The lines of whole runs, reviewed by eye when they change: programs that are
// not ours read them.
func TestLinesOfWholeRuns(t *testing.T) {
	var got txtar.Archive
	record := func(name string, r plan.Runner, wrong func(*faketransport.Host)) {
		bubble.Test(t, func(t *testing.T) { // starts at 2000-01-01T00:00:00Z, and waits take the time they say
			hosts, p := aWholeRun(t, wrong)
			var b bytes.Buffer
			w := events.NewWriter(&b)
			r.Transport, r.Observe = hosts, w.Observe
			cryptotest.SetGlobalRandom(t, uint64(len(got.Files)+1)) // for the run's ID
			_, _ = r.Run(t.Context(), p)                            // how it ends is in its last event
			require.NoError(t, w.Err())
			got.Files = append(got.Files, txtar.File{Name: name, Data: b.Bytes()})
			require.Equal(t, b.String(), fixture.Encode(t, fixture.Decode(t, b.String())...), name)
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
	_, err := held.Begin(t.Context(), plan.Holder{Operator: fixture.Alice, Run: "ONE", Since: since})
	require.NoError(t, err)
	record("locked", plan.Runner{Journal: &held}, nil)
	var left journaltest.Memory
	s, err := left.Begin(t.Context(), plan.Holder{Operator: fixture.Alice, Run: "ONE", Since: since})
	require.NoError(t, err)
	for _, r := range []plan.Record{
		{Kind: plan.RecordRun, Operator: &fixture.Alice, Steps: 3},
		{Kind: plan.RecordIntent, Step: "greet/web-1", Host: "web-1", Attempt: 1},
	} {
		r.Schema, r.Run, r.Time = plan.RecordSchema, "ONE", since
		require.NoError(t, s.Append(t.Context(), r))
	}
	require.NoError(t, s.End(t.Context()))
	record("left-unfinished", plan.Runner{Journal: &left}, nil)

	path := filepath.Join("testdata", "events.txtar")
	if *fixture.Update {
		require.NoError(t, os.WriteFile(path, txtar.Format(&got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(string(want), string(txtar.Format(&got))))
	require.NotContains(t, string(want), "hunter2")
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
		require.Less(t, len(fixture.Encode(t, plan.Event{Kind: plan.RunEnded, Err: e})), 1<<20)
	}
	stderr := strings.Repeat("é", 100000) + "the end"
	got := events.Describe(&transport.ExitError{Argv: []string{"x"}, Stderr: stderr})
	require.LessOrEqual(t, len(got.Output), transport.StderrLimit)
	require.True(t, strings.HasPrefix(got.Output, "...é"))
	require.True(t, strings.HasSuffix(got.Output, "éthe end"))
	require.Nil(t, events.Describe(nil))
}

// A later minor version may have more to say; another major version is refused
// by name, as is what is no event, and everything before it is read.
func TestReadersOfEvents(t *testing.T) {
	const good = `{"schema":"quorate.dev/event/v1","seq":1,"time":"2026-01-02T03:04:05Z","kind":"run-started"}` + "\n"
	read := func(text string) (kinds []plan.EventKind, err error) {
		for e, err := range events.Decode(strings.NewReader(text)) {
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
		"a wrong type":  {`{"schema":"quorate.dev/event/v1","kind":7}` + "\n", "no event: kind: is of the wrong type: number"},
		"out of range":  {`{"schema":"quorate.dev/event/v1","kind":"x","time":"9999-12-31T23:59:59-23:00"}` + "\n", "its time is out of range"},
		"cut off":       {good[:40], "the last line has been cut off: unexpected EOF"},
	} {
		kinds, err := read(good + tt.text)
		require.ErrorContains(t, err, tt.want, name)
		require.Equal(t, []plan.EventKind{plan.RunStarted}, kinds, name)
		var at *events.ReadError
		require.ErrorAs(t, err, &at, name)
		require.Equal(t, 2, at.Line)
		var schema *events.SchemaError
		require.Equal(t, strings.Contains(tt.want, "schema") || name == "no minor" || name == "much later", errors.As(err, &schema), name)
		require.Equal(t, name == "cut off", errors.Is(err, io.ErrUnexpectedEOF), name)
	}
	var last error
	for _, err := range events.Decode(io.MultiReader(strings.NewReader(good), neverEnding('x'))) {
		last = err
	}
	require.ErrorContains(t, last, "events, line 2: longer than 16777216 bytes")
	for e, err := range events.Decode(strings.NewReader(good + "x")) {
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
func TestPanickingEventHandler(t *testing.T) {
	hosts, p := aWholeRun(t, nil)
	out := &failingWriter{room: 700}
	w := events.NewWriter(out)
	sum, err := (&plan.Runner{Transport: hosts, Observe: w.Observe}).Run(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, 2, sum.Outcomes[plan.Changed])
	var missing *events.WriteError
	require.ErrorAs(t, w.Err(), &missing)
	require.ErrorIs(t, w.Err(), errFull)
	whole := 0
	for _, err := range events.Decode(bytes.NewReader(out.b.Bytes())) {
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
func TestConcurrentRunsOnOneWriter(t *testing.T) {
	var b bytes.Buffer
	w := events.NewWriter(&b)
	var runs sync.WaitGroup
	for range 4 {
		hosts, p := aWholeRun(t, nil)
		runs.Go(func() { _, _ = (&plan.Runner{Transport: hosts, Observe: w.Observe}).Run(context.Background(), p) })
	}
	runs.Wait()
	require.NoError(t, w.Err())
	require.Zero(t, len(fixture.Decode(t, b.String()))%4)
}

// The log has the names of the schema.
func TestLogNames(t *testing.T) {
	known := map[string]bool{slog.TimeKey: true, slog.LevelKey: true, slog.MessageKey: true}
	var logged, line map[string]any
	e := plan.Event{
		Time: time.Unix(1, 0), Kind: plan.StepEnded, Step: "a", Host: "h", Title: "t", Attempt: 2, Message: "m", Run: "R", Outcome: plan.Failed,
		Err: errors.New("e"), Elapsed: time.Second, Diff: plan.Diff{{Verb: "run", Subject: "x"}, {Verb: "run", Subject: "y"}},
	}
	var log bytes.Buffer
	events.LogTo(slog.New(slog.NewJSONHandler(&log, nil)))(e)
	require.NoError(t, json.Unmarshal(log.Bytes(), &logged))
	require.NoError(t, json.Unmarshal([]byte(fixture.Encode(t, e)), &line))
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
		var stream []plan.Event
		for e, err := range events.Decode(bytes.NewReader(b)) {
			if err == nil {
				stream = append(stream, e)
			}
		}
		text := fixture.Encode(t, stream...)
		require.Equal(t, text, fixture.Encode(t, fixture.Decode(t, text)...))
	})
}
