package plan_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/plan/journaltest"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// ending ends its goroutine in one of its methods, as testing's FailNow does.
type ending struct{ in string }

func (e ending) at(method string) {
	if e.in == method {
		runtime.Goexit()
	}
}

func (e ending) Check(context.Context, *plan.Host) (plan.Diff, error) {
	e.at("Check")
	if e.in == "Apply" || e.in == "Backup" || e.in == "Commands" {
		return plan.Diff{{Verb: "run", Subject: "it"}}, nil
	}
	return nil, nil
}

func (e ending) Apply(context.Context, *plan.Host, plan.Diff) error { e.at("Apply"); return nil }

func (e ending) Describe() plan.Description {
	e.at("Describe")
	return plan.Description{Kind: "example.com/ending"}
}

func (e ending) Prefetch() plan.Prefetch {
	e.at("Prefetch")
	return plan.Prefetch{}
}

func (e ending) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	e.at("Commands")
	return nil, nil
}

func (e ending) Backup(context.Context, *plan.Host, plan.Diff, string) error {
	e.at("Backup")
	return nil
}
func (ending) Undo(context.Context, *plan.Host, string) error { return nil }

func (e ending) JudgeUnreached(*plan.Shared) error { e.at("JudgeUnreached"); return nil }

// A method of an Action that ends its goroutine ends no run and no caller: it is the failure
// of its own step, and the steps of others end as they would.
func TestGoexitInActions(t *testing.T) {
	for _, in := range []string{"Describe", "Check", "Apply", "Prefetch", "Commands", "Backup", "JudgeUnreached"} {
		t.Run(in, func(t *testing.T) {
			fails := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
				if in == "JudgeUnreached" {
					return nil, errors.New("fails")
				}
				return nil, nil
			}}
			steps := []plan.Step{{ID: "first", Host: "h", Action: fails}, {ID: "ends", Host: "h", After: []plan.ID{"first"}, Action: ending{in: in}}, step("good", "other")}
			p := newPlan(t, steps...)
			ended := false
			r := plan.Runner{Transport: fakeHosts("h", "other"), BackupAs: "run", Observe: func(e plan.Event) { ended = ended || e.Kind == plan.RunEnded }}
			run := func() (plan.Summary, error) { return r.Run(t.Context(), p) }
			if in == "Commands" {
				run = func() (plan.Summary, error) {
					preview, err := r.Preview(t.Context(), p)
					return plan.Summary{Outcomes: preview.Totals}, err
				}
			}
			sum, err := run()
			var panicked *plan.PanicError
			require.ErrorAs(t, err, &panicked)
			require.Equal(t, "its goroutine was ended", panicked.Value)
			require.Contains(t, panicked.Stack, "guarded_test.go")
			if in == "Describe" { // refused before any step
				return
			}
			require.True(t, ended)
			require.Equal(t, 1, sum.Outcomes[plan.Failed]+sum.Outcomes[plan.NotReached]-map[bool]int{true: 1}[in == "JudgeUnreached"])
			require.Positive(t, sum.Outcomes[plan.Unchanged], "the other host's step did not end")
		})
	}
}

// A run whose observer ends its goroutine, or panics, leaves nothing behind: what runs is
// cancelled, connections are closed, and the journal is free for the next.
func TestObserverThatDoesNotReturn(t *testing.T) {
	for _, kind := range []plan.EventKind{plan.RunStarted, plan.StepStarted, plan.StepApplying, plan.StepEnded, plan.RunEnded} {
		for name, end := range map[string]func(){"Goexit": runtime.Goexit, "panic": func() { panic("observed") }} {
			t.Run(string(kind)+" "+name, func(t *testing.T) {
				var done, cancelled atomic.Bool
				waits := fixture.Action{OnCheck: func(ctx context.Context, _ *plan.Host) (plan.Diff, error) {
					if kind == plan.RunEnded {
						return nil, nil
					}
					<-ctx.Done()
					cancelled.Store(true)
					return nil, ctx.Err()
				}}
				p := newPlan(t, plan.Step{ID: "a", Host: "a", Action: once(&done)}, plan.Step{ID: "b", Host: "b", Action: waits})
				tr := &idle{}
				var journal journaltest.Memory
				r := plan.Runner{Transport: tr, Journal: &journal, Observe: func(e plan.Event) {
					if e.Kind == kind && e.Step != "b" {
						end()
					}
				}}
				over := make(chan any)
				go func() {
					defer func() { over <- recover() }()
					_, _ = r.Run(t.Context(), p)
				}()
				if value := <-over; name == "panic" {
					require.Equal(t, "observed", value)
				}
				require.Zero(t, tr.open, "connections are open")
				require.Equal(t, kind != plan.RunStarted && kind != plan.RunEnded, cancelled.Load())
				_, err := (&plan.Runner{Transport: tr, Journal: &journal}).Run(t.Context(), newPlan(t, step("c", "a")))
				require.NoError(t, err, "the journal is still held")
			})
		}
	}
}

// rude is a journal that does not return from one of its methods.
type rude struct {
	*journaltest.Memory
	in  string
	how func()
}

func (r rude) at(method string) {
	if r.in == method {
		r.how()
	}
}

func (r rude) Begin(ctx context.Context, h plan.Holder) (plan.JournalSession, error) {
	r.at("Begin")
	s, err := r.Memory.Begin(ctx, h)
	return rudeSession{s, r}, err
}

func (r rude) Records(ctx context.Context) iter.Seq2[plan.Record, error] {
	r.at("Records")
	return r.Memory.Records(ctx)
}

type rudeSession struct {
	plan.JournalSession
	rude
}

func (s rudeSession) Append(ctx context.Context, r plan.Record) error {
	s.at("Append " + string(r.Kind))
	return s.JournalSession.Append(ctx, r)
}
func (s rudeSession) End(ctx context.Context) error { s.at("End"); return s.JournalSession.End(ctx) }

func TestJournalThatDoesNotReturn(t *testing.T) {
	for _, in := range []string{"Begin", "Records", "Append " + string(plan.RecordRun), "Append " + string(plan.RecordIntent), "Append " + string(plan.RecordOutcome), "Append " + string(plan.RecordEnd), "End"} {
		for name, how := range map[string]func(){"Goexit": runtime.Goexit, "panic": func() { panic("kept " + marker) }} {
			t.Run(in+" "+name, func(t *testing.T) {
				var done atomic.Bool
				p := newPlan(t, plan.Step{ID: "a", Host: "a", Action: once(&done)}).WithSecrets(quorate.Sensitive([]byte(marker)))
				_, err := (&plan.Runner{Transport: &idle{}, Journal: rude{&journaltest.Memory{}, in, how}}).Run(t.Context(), p)
				var failed *plan.JournalError
				require.ErrorAs(t, err, &failed)
				var panicked *plan.PanicError
				require.ErrorAs(t, err, &panicked)
				require.NotContains(t, err.Error(), marker)
			})
		}
	}
}

// A step on a host that the transport does not have is refused before any host is reached,
// all of them at once.
func TestUnknownHosts(t *testing.T) {
	hosts := fakeHosts("web-1")
	p := newPlan(t, step("a", "web-1"), step("b", "wbe-1", "a"), step("c", "wbe-1"), step("d", "web-2"))
	r := plan.Runner{Transport: hosts}
	for name, call := range map[string]func() error{
		"Run":     func() error { _, err := r.Run(t.Context(), p); return err },
		"Preview": func() error { _, err := r.Preview(t.Context(), p); return err },
		"Apply":   func() error { _, err := r.Apply(t.Context(), p, &plan.Preview{}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			err := call()
			var invalid *quorate.InvalidError
			require.ErrorAs(t, err, &invalid)
			require.Len(t, invalid.Problems, 2)
			require.Equal(t, "steps[b].host", invalid.Problems[0].Path)
			require.ErrorContains(t, err, "wbe-1")
			require.ErrorContains(t, err, "web-2")
			require.Empty(t, hosts.Calls())
		})
	}
	_, err := (&plan.Runner{Transport: strange{hosts}}).Run(t.Context(), newPlan(t, step("a", "web-1")))
	require.ErrorContains(t, err, "the action panicked: asked")
}

// strange panics when it is asked for its hosts.
type strange struct{ *faketransport.Transport }

func (strange) Has(string) error { panic("asked") }

// noWayBack is an Action that finds, once it has been applied, that it cannot be undone.
type noWayBack struct{ fixture.Action }

func (noWayBack) Backup(context.Context, *plan.Host, plan.Diff, string) error {
	return &plan.IrreversibleError{Reason: "others have seen it"}
}
func (noWayBack) Undo(context.Context, *plan.Host, string) error { return nil }

func file(path string) plan.Deploy {
	return plan.Deploy{Files: []quorate.File{{Path: path, Mode: 0o644, Content: quorate.Public([]byte("x\n"))}}}
}

// A rollback with a step that cannot be undone is applied from its preview, as the preview
// shows it: what comes before that step stays, the rest is undone, and the run says so.
func TestApplyOfARollbackWithNoWayBack(t *testing.T) {
	var done atomic.Bool
	hosts := boardHosts("h", "other")
	p := newPlan(t, plan.Step{ID: "base", Host: "h", Action: file("/etc/base")},
		plan.Step{ID: "announce", Host: "h", After: []plan.ID{"base"}, Action: noWayBack{once(&done)}},
		plan.Step{ID: "late", Host: "h", After: []plan.ID{"announce"}, Action: file("/etc/late")},
		plan.Step{ID: "apart", Host: "other", Action: file("/etc/apart")})
	runner := plan.Runner{Transport: hosts}
	backup := plan.Runner{Transport: hosts, BackupAs: "run"}
	_, err := backup.Run(t.Context(), p)
	require.NoError(t, err)
	back, err := plan.Rollback(p, "run")
	require.NoError(t, err)

	var never *plan.IrreversibleError
	shown, err := runner.Preview(t.Context(), back)
	require.ErrorAs(t, err, &never)
	outcomes := map[plan.ID]plan.Outcome{}
	for _, s := range shown.Steps {
		outcomes[s.Step] = s.Outcome
	}
	want := map[plan.ID]plan.Outcome{"undo/apart": plan.WouldChange, "undo/late": plan.WouldChange, "undo/announce": plan.Failed, "undo/base": plan.NotReached}
	require.Equal(t, want, outcomes)
	saved, err := plan.ParsePreview(shown.JSON())
	require.NoError(t, err)
	sum, err := runner.Apply(t.Context(), back, saved)
	require.ErrorAs(t, err, &never)
	require.Equal(t, plan.ID("announce"), never.Step)
	require.Equal(t, "others have seen it", never.Reason)
	require.Equal(t, map[plan.Outcome]int{plan.Changed: 2, plan.Failed: 1, plan.NotReached: 1}, sum.Outcomes)
	require.Contains(t, hosts.Host("h").Files(), "/etc/base")
	require.NotContains(t, hosts.Host("h").Files(), "/etc/late")
	require.NotContains(t, hosts.Host("other").Files(), "/etc/apart")

	var stale *plan.StaleError
	_, err = runner.Apply(t.Context(), back, saved)
	require.ErrorAs(t, err, &stale, "what it shows has been done")
}

// A preview is read as it was written, in any order and with any white space, and not with a
// field more or less.
func TestPreviewWithOtherFields(t *testing.T) {
	hosts := fakeHosts("h")
	text := string(fixture.Preview(t, hosts, newPlan(t, plan.Step{ID: "a", Host: "h", Action: file("/etc/a")})).JSON())
	for name, c := range map[string]struct{ from, to string }{
		"disruptive left out":   {"  \"disruptive\": 0,\n", ""},
		"round trips left out":  {"  \"roundTrips\": {\n    \"h\": 1\n  },\n", ""},
		"totals left out":       {"  \"totals\": {\n    \"would-change\": 1\n  },\n", ""},
		"disruptive added":      {`"host": "h",`, `"host": "h", "disruptive": false,`},
		"no commands added":     {`"host": "h",`, `"host": "h", "commands": [],`},
		"no undescribed added":  {`"disruptive": 0,`, `"disruptive": 0, "undescribed": null,`},
		"change not disruptive": {`"verb": "create",`, `"verb": "create", "disruptive": false,`},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, text, c.from)
			_, err := plan.ParsePreview([]byte(strings.Replace(text, c.from, c.to, 1)))
			var refused *plan.PreviewSchemaError
			require.ErrorAs(t, err, &refused)
		})
	}
	saved, err := plan.ParsePreview([]byte(strings.ReplaceAll(text, "\n", "\n\t ")))
	require.NoError(t, err)
	require.Equal(t, text, string(saved.JSON()))
}

var _ transport.Inventory = &faketransport.Transport{}
