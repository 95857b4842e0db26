package plan_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

func newPlan(t *testing.T, steps ...plan.Step) *plan.Plan {
	t.Helper()
	p, err := plan.New(steps...)
	require.NoError(t, err)
	return p
}

// waits returns what each step waits for, by its ID.
func waits(p *plan.Plan) map[plan.ID][]plan.ID {
	out := map[plan.ID][]plan.ID{}
	for _, s := range p.Steps() {
		out[s.ID] = s.After
	}
	return out
}

func ids(p *plan.Plan) (out []plan.ID) {
	for _, s := range p.Steps() {
		out = append(out, s.ID)
	}
	return out
}

func TestPlanWith(t *testing.T) {
	p := newPlan(t, step("a", "h"), step("b", "h", "a"))
	more, err := p.With(step("mine", "h", "b"), step("other", "h"))
	require.NoError(t, err)
	require.Equal(t, []plan.ID{"a", "b", "mine", "other"}, ids(more))
	require.Equal(t, []plan.ID{"a", "b"}, ids(p), "the plan has changed")

	var graph *plan.GraphError
	_, err = p.With(step("a", "h"), step("mine", "h", "nowhere"))
	require.ErrorAs(t, err, &graph)
	require.Len(t, graph.Faults, 2)
}

func TestPlanBefore(t *testing.T) {
	p := newPlan(t, step("prepare", "h"), step("init", "h", "prepare"), step("join", "h", "init"))
	more, err := p.Before("init", step("one", "h"), step("two", "h", "one", "prepare"))
	require.NoError(t, err)
	require.Equal(t, map[plan.ID][]plan.ID{
		"prepare": nil, "one": {"prepare"}, "two": {"one", "prepare"}, "init": {"prepare", "one", "two"}, "join": {"init"},
	}, waits(more))
	require.Equal(t, []plan.ID{"prepare", "one", "two", "init", "join"}, ids(more))
	require.Equal(t, []plan.ID{"prepare"}, waits(p)["init"], "the plan has changed")

	var graph *plan.GraphError
	_, err = p.Before("nowhere", step("one", "h"))
	require.ErrorAs(t, err, &graph)
	_, err = p.Before("init", step("one", "h", "join"))
	require.ErrorAs(t, err, &graph, "a step that waits for what waits for it")
}

func TestPlanAfter(t *testing.T) {
	p := newPlan(t, step("init", "h"), step("ready", "h", "init"), step("last", "h", "ready"))
	more, err := p.After("ready", step("one", "h"), step("two", "h", "one"))
	require.NoError(t, err)
	require.Equal(t, map[plan.ID][]plan.ID{
		"init": nil, "ready": {"init"}, "one": {"ready"}, "two": {"one", "ready"}, "last": {"ready"},
	}, waits(more))
	var graph *plan.GraphError
	_, err = p.After("nowhere", step("one", "h"))
	require.ErrorAs(t, err, &graph)
}

// Whatever is done to the steps that a plan was made of or returns, it stays what it was.
func TestPlanIsImmutable(t *testing.T) {
	steps := []plan.Step{{ID: "a", Host: "h", Action: nothing{}, Locks: []string{"lock"}}, step("b", "h", "a")}
	p := newPlan(t, steps...)
	before := p.Fingerprint()
	mutate := func(steps []plan.Step) {
		for i := range steps {
			for j := range steps[i].After {
				steps[i].After[j] = "spoilt"
			}
			for j := range steps[i].Locks {
				steps[i].Locks[j] = "spoilt"
			}
		}
		steps[0] = plan.Step{}
	}
	b, _ := p.Step("b")
	b.After[0] = "spoilt"
	mutate(p.Steps())
	mutate(steps)
	require.Equal(t, before, p.Fingerprint())
	require.Equal(t, map[plan.ID][]plan.ID{"a": nil, "b": {"a"}}, waits(p))
	a, _ := p.Step("a")
	require.Equal(t, []string{"lock"}, a.Locks)
}

const marker = "marker-4711-secret"

func fakeHosts(names ...string) *faketransport.Transport {
	hosts := faketransport.New()
	for _, n := range names {
		hosts.Host(n)
	}
	return hosts
}

// leaky is an action whose command quotes its input in its complaint, as many do.
func leaky() fixture.Action {
	return fixture.Action{OnCheck: func(ctx context.Context, h *plan.Host) (plan.Diff, error) {
		_, err := h.Run(ctx, "blurt")
		return nil, err
	}}
}

func blurting(t *testing.T) *faketransport.Transport {
	t.Helper()
	hosts := fakeHosts("h")
	hosts.Host("h").Handle(faketransport.Exact("blurt"), func(_ context.Context, i faketransport.Invocation) error {
		_, err := io.WriteString(i.Stderr, "invalid input: "+marker+" and other-secret-0815")
		return errors.Join(err, faketransport.Exit(1))
	})
	return hosts
}

// A plan's secrets stay hidden however its steps are composed, and further ones add to them.
func TestSecretsOfComposedPlans(t *testing.T) {
	secret := func(text string) quorate.Content { return quorate.Sensitive([]byte(text)) }
	p := newPlan(t, step("first", "h")).WithSecrets(secret(marker))
	mine := plan.Step{ID: "mine", Host: "h", Action: leaky(), After: []plan.ID{"first"}}
	own := newPlan(t, plan.Step{ID: "mine", Host: "h", Action: leaky()}).WithSecrets(secret("other-secret-0815"))
	first, _ := p.Step("first")
	for name, compose := range map[string]func() (*plan.Plan, error){
		"New of its steps":     func() (*plan.Plan, error) { return plan.New(append(p.Steps(), mine)...) },
		"New of one step":      func() (*plan.Plan, error) { return plan.New(first, mine) },
		"With":                 func() (*plan.Plan, error) { return p.With(mine) },
		"With of another plan": func() (*plan.Plan, error) { return p.With(own.Steps()...) },
		"After":                func() (*plan.Plan, error) { return p.After("first", mine) },
		"Before": func() (*plan.Plan, error) {
			return p.Before("first", plan.Step{ID: "mine", Host: "h", Action: leaky()})
		},
		"WithSecrets again": func() (*plan.Plan, error) { q, err := p.With(mine); return q.WithSecrets(secret("else-secret")), err },
	} {
		t.Run(name, func(t *testing.T) {
			q, err := compose()
			require.NoError(t, err)
			var said strings.Builder
			r := plan.Runner{Transport: blurting(t), Observe: func(e plan.Event) { fmt.Fprintf(&said, "%+v\n", e) }}
			_, err = r.Run(t.Context(), q)
			require.ErrorContains(t, err, "invalid input: [sensitive]")
			require.NotContains(t, err.Error(), marker)
			require.NotContains(t, said.String(), marker)
			require.NotContains(t, fmt.Sprintf("%v %+v %#v %#v", q, q, q, q.Steps()), marker)
			if name == "With of another plan" {
				require.NotContains(t, err.Error(), "other-secret-0815")
			}
		})
	}
}

// Of secrets with a common prefix no rest is shown.
func TestSecretsWithACommonPrefix(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		long := rapid.StringMatching(`[a-z]{16,24}`).Draw(rt, "secret")
		parts := []string{long, long[:rapid.IntRange(8, len(long)).Draw(rt, "length")]}
		p, err := plan.New(step("a", "h"))
		require.NoError(rt, err)
		for _, s := range rapid.Permutation(parts).Draw(rt, "order") {
			p = p.WithSecrets(quorate.Sensitive([]byte(s)))
		}
		boom := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) { panic("with " + long) }}
		q, err := p.With(plan.Step{ID: "boom", Host: "h", Action: boom})
		require.NoError(rt, err)
		_, err = (&plan.Runner{Transport: &idle{}}).Run(t.Context(), q)
		require.True(rt, strings.HasSuffix(err.Error(), "the action panicked: with [sensitive]"), "%v", err)
	})
}

// describes panics in Describe.
type describes struct{ nothing }

func (describes) Describe() plan.Description { panic("described " + marker) }

// undoable panics where it is to be kept for an undo.
type undoable struct{ nothing }

func (undoable) Check(context.Context, *plan.Host) (plan.Diff, error) {
	return plan.Diff{{Verb: "run", Subject: "it"}}, nil
}
func (undoable) Backup(context.Context, *plan.Host, plan.Diff, string) error { panic("kept") }
func (undoable) Undo(context.Context, *plan.Host, string) error              { panic("undone") }

// A panic of an Action is its step's failure, with its stack; the other steps end as they would.
func TestPanickingAction(t *testing.T) {
	differs := func(context.Context, *plan.Host) (plan.Diff, error) {
		return plan.Diff{{Verb: "run", Subject: "it"}}, nil
	}
	for name, c := range map[string]struct {
		action plan.Action
		phase  plan.Phase
		keep   string
	}{
		"Check": {action: fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) { panic("boom") }}, phase: plan.Checking},
		"Apply": {action: fixture.Action{OnCheck: differs, OnApply: func(context.Context, *plan.Host) error { panic("boom") }}, phase: plan.Applying},
		"nil pointer": {action: fixture.Action{OnCheck: differs, OnApply: func(context.Context, *plan.Host) error {
			var h *plan.Host
			return errors.New(h.Name)
		}}, phase: plan.Applying},
		"Goexit":   {action: fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) { runtime.Goexit(); return nil, nil }}, phase: plan.Checking},
		"Describe": {action: describes{}, phase: plan.Checking},
		"Keep":     {action: undoable{}, phase: plan.Recording, keep: "run"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlan(t, plan.Step{ID: "bad", Host: "h", Action: c.action}, step("waits", "h", "bad"), step("good", "other"))
			hosts := fakeHosts("h", "other")
			sum, err := (&plan.Runner{Transport: hosts, BackupAs: c.keep}).Run(t.Context(), p)
			var failed *plan.StepError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, plan.ID("bad"), failed.Step)
			require.Equal(t, "h", failed.Host)
			require.Equal(t, c.phase, failed.Phase)
			var panicked *plan.PanicError
			require.ErrorAs(t, err, &panicked)
			require.Contains(t, panicked.Stack, "goroutine ")
			require.Contains(t, panicked.Stack, "compose_test.go")
			if name != "Describe" { // refused before any step
				require.Equal(t, 1, sum.Outcomes[plan.Unchanged])
				require.Equal(t, 1, sum.Outcomes[plan.NotReached])
			}
			_, err = (&plan.Runner{Transport: hosts}).Preview(t.Context(), p)
			if c.phase == plan.Checking {
				require.ErrorAs(t, err, &panicked)
			}
		})
	}
}

// An Action whose Describe panics ends neither the program nor
// the secrecy of what it panicked with.
func TestPanicInDescribe(t *testing.T) {
	p := newPlan(t, plan.Step{ID: "bad", Host: "h", Action: describes{}}).WithSecrets(quorate.Sensitive([]byte(marker)))
	require.NotEmpty(t, p.Fingerprint())
	require.NotEmpty(t, p.Steps()[0].Fingerprint())
	_, err := (&plan.Runner{Transport: fakeHosts("h")}).Run(t.Context(), p)
	var panicked *plan.PanicError
	require.ErrorAs(t, err, &panicked)
	require.Equal(t, "described [sensitive]", panicked.Value)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %v %+v %#v", p, p, p, *p, *p, *p), marker)
}

func TestZeroValues(t *testing.T) {
	p := newPlan(t, step("a", "h"))
	hosts := fakeHosts("h")
	for name, call := range map[string]func() error{
		"Run, zero Runner":     func() error { _, err := (&plan.Runner{}).Run(t.Context(), p); return err },
		"Run, nil Runner":      func() error { var r *plan.Runner; _, err := r.Run(t.Context(), p); return err },
		"Run, nil Plan":        func() error { _, err := (&plan.Runner{Transport: hosts}).Run(t.Context(), nil); return err },
		"Preview, zero Runner": func() error { _, err := (&plan.Runner{}).Preview(t.Context(), p); return err },
		"Preview, nil Plan":    func() error { _, err := (&plan.Runner{Transport: hosts}).Preview(t.Context(), nil); return err },
		"Apply, zero Runner":   func() error { _, err := (&plan.Runner{}).Apply(t.Context(), p, &plan.Preview{}); return err },
		"Apply, nil Plan": func() error {
			_, err := (&plan.Runner{Transport: hosts}).Apply(t.Context(), nil, &plan.Preview{})
			return err
		},
		"Apply, nil Preview": func() error { _, err := (&plan.Runner{Transport: hosts}).Apply(t.Context(), p, nil); return err },
		"Rollback, nil Plan": func() error { _, err := plan.Rollback(nil, "run"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			var invalid *quorate.InvalidError
			require.ErrorAs(t, call(), &invalid)
			require.NotEmpty(t, invalid.Problems)
		})
	}
	t.Run("zero Plan", func(t *testing.T) {
		var zero plan.Plan
		require.Zero(t, zero.Len())
		require.Empty(t, zero.Steps())
		require.Empty(t, zero.Hosts())
		_, found := zero.Step("a")
		require.False(t, found)
		_, err := (&plan.Runner{Transport: hosts}).Run(t.Context(), &zero)
		require.NoError(t, err)
		one, err := zero.With(step("a", "h"))
		require.NoError(t, err)
		require.Equal(t, 1, one.Len())
	})
}

// A nil plan has no steps and becomes none; a nil preview shows nothing.
func TestNilPlan(t *testing.T) {
	var p *plan.Plan
	for name, compose := range map[string]func() (*plan.Plan, error){
		"With":   func() (*plan.Plan, error) { return p.With(step("a", "h")) },
		"Before": func() (*plan.Plan, error) { return p.Before("a", step("b", "h")) },
		"After":  func() (*plan.Plan, error) { return p.After("a", step("b", "h")) },
	} {
		var fault *plan.GraphError
		q, err := compose()
		require.ErrorAs(t, err, &fault, name)
		require.Nil(t, q, name)
	}
	require.Zero(t, p.Len())
	require.Empty(t, p.Steps())
	require.Empty(t, p.Hosts())
	require.Empty(t, p.Irreversible())
	require.Nil(t, p.WithSecrets(quorate.Sensitive([]byte(marker))))
	require.Equal(t, (&plan.Plan{}).Fingerprint(), p.Fingerprint())
	_, found := p.Step("a")
	require.False(t, found)

	var v *plan.Preview
	require.False(t, v.Changed())
	require.Empty(t, v.Hosts())
	require.Contains(t, v.Text(), "0 steps on 0 hosts")
	require.Contains(t, v.Mermaid(), "flowchart")
	require.Contains(t, v.DOT(), "digraph")
}

// Steps that nobody could have meant are refused all at once.
func TestRefusedSteps(t *testing.T) {
	var none *pointed
	_, err := plan.New(
		plan.Step{ID: "a\x1b[2J", Host: "h", Action: nothing{}}, plan.Step{ID: "b", Host: "h\n", Action: nothing{}},
		plan.Step{ID: "c", Host: "h", Action: none}, plan.Step{ID: "d", Host: "h", Action: nothing{}, Timeout: -1},
		plan.Step{ID: "e", Host: "h", Action: nothing{}, Retry: plan.Retry{Attempts: -1}}, plan.Step{ID: "f", Host: "h", Action: nothing{}, Locks: []string{""}},
	)
	var fault *plan.GraphError
	require.ErrorAs(t, err, &fault)
	require.Len(t, fault.Faults, 6)
	require.NotContains(t, err.Error(), "\x1b")
}

type pointed struct{ nothing }

// A secret is hidden in the forms in which programs quote and encode what they print.
func TestQuotedSecrets(t *testing.T) {
	const secret = `pass"word\with <&> and 'quotes' é`
	html, err := json.Marshal(secret)
	require.NoError(t, err)
	for name, said := range map[string]string{
		"as it is": secret, "Go": fmt.Sprintf("%q", secret), "Go in ASCII": fmt.Sprintf("%+q", secret), "JSON": string(html), "URL": url.QueryEscape(secret),
		"base64": base64.StdEncoding.EncodeToString([]byte(secret)), "base64 for URLs": base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"shell": "'" + strings.ReplaceAll(secret, "'", `'\''`) + "'",
	} {
		t.Run(name, func(t *testing.T) {
			bad := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) { panic(said) }}
			p := newPlan(t, plan.Step{ID: "bad", Host: "h", Action: bad}).WithSecrets(quorate.Sensitive([]byte(secret)))
			_, err := (&plan.Runner{Transport: fakeHosts("h")}).Run(t.Context(), p)
			require.ErrorContains(t, err, "[sensitive]")
			require.NotContains(t, err.Error(), said)
		})
	}
}

// unreached panics when it judges what was not reached.
type unreached struct{ nothing }

func (unreached) JudgeUnreached(*plan.Shared) error { panic("judged " + marker) }

func TestPanicInJudgeUnreached(t *testing.T) {
	fails := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) { return nil, errors.New("fails") }}
	p := newPlan(t, plan.Step{ID: "fails", Host: "h", Action: fails}, plan.Step{ID: "judges", Host: "h", Action: unreached{}, After: []plan.ID{"fails"}}).WithSecrets(quorate.Sensitive([]byte(marker)))
	_, err := (&plan.Runner{Transport: fakeHosts("h")}).Run(t.Context(), p)
	var panicked *plan.PanicError
	require.ErrorAs(t, err, &panicked)
	require.Equal(t, "judged [sensitive]", panicked.Value)
}

// nowhere returns neither a connection nor an error.
type nowhere struct{}

func (nowhere) Dial(context.Context, string) (transport.Conn, error) { return nil, nil } //nolint:nilnil // the fault

func TestTransportWithoutConn(t *testing.T) {
	sum, err := (&plan.Runner{Transport: nowhere{}}).Run(t.Context(), newPlan(t, step("a", "h")))
	require.ErrorContains(t, err, "host h: the transport's Dial returned neither a connection nor an error")
	require.Equal(t, 1, sum.Outcomes[plan.Failed])
}

// clumsy is a transport whose connections panic when they are closed.
type clumsy struct{ transport.Transport }

func (c clumsy) Dial(ctx context.Context, host string) (transport.Conn, error) {
	conn, err := c.Transport.Dial(ctx, host)
	return clumsyConn{conn}, err
}

type clumsyConn struct{ transport.Conn }

func (clumsyConn) Close() error { panic("closed") }

func TestPanicInClose(t *testing.T) {
	sum, err := (&plan.Runner{Transport: clumsy{fakeHosts("h")}}).Run(t.Context(), newPlan(t, step("a", "h")))
	require.NoError(t, err)
	require.Equal(t, 1, sum.Outcomes[plan.Unchanged])
}
