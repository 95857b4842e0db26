package software_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/plan/journal"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/sudo"
)

// What has been read back is what was written, whatever an Action's errors and
// differences hold, and is read as the same errors.
func TestEventsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stream := rapid.SliceOfN(rapid.Custom(anEvent), 1, 4).Draw(t, "events")
		text := fixture.Encode(t, stream...)
		back := fixture.Decode(t, text)
		require.Len(t, back, len(stream))
		require.Equal(t, text, fixture.Encode(t, back...))
		for i, e := range stream {
			require.Equal(t, e.Kind, back[i].Kind)
			require.Equal(t, e.Err == nil, back[i].Err == nil)
			if !strings.Contains(text, `"omitted"`) {
				require.Equal(t, errors.Is(e.Err, context.Canceled), errors.Is(back[i].Err, context.Canceled))
			}
			for line := range strings.Lines(text) {
				require.Less(t, len(line), events.MaxSize)
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
			&plan.HostError{Host: "h", Findings: []plan.Finding{{Found: text("found"), Do: text("do")}}},
			&plan.HostError{Host: "h", Findings: make([]plan.Finding, 101)},
			&plan.NotConvergedError{Left: aDiff(t)},
			&plan.LockedError{Holder: plan.Holder{Operator: fixture.Alice, Run: "R", Since: time.Unix(1, 0).UTC()}},
			&journal.SchemaError{Schema: 9}, &software.HashError{Path: "/x", Want: "a", Got: "b"},
			&sudo.Error{Host: "h", Reason: sudo.NotAllowed}, &events.SchemaError{Got: text("got")},
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
