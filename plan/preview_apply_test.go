package plan_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/plan/journal"
	"github.com/quorate-dev/quorate/transport"
)

// Without a private key in the plan nothing in a preview depends on a secret,
// which could be short: whoever has the preview cannot tell two apart.
func TestPreviewOfShortSecrets(t *testing.T) {
	tr, h := fixture.FakeHost(t)
	of := func(secret, stands string) string {
		require.NoError(t, h.Put(transport.File{Path: "/etc/password", Mode: 0o600, Data: transport.Bytes([]byte(stands))}))
		return string(fixture.Preview(t, tr, fixture.MustPlan(t, plan.Step{ID: "s", Host: "cp-1", Action: plan.Deploy{Files: []quorate.File{
			{Path: "/etc/password", Content: quorate.Sensitive([]byte(secret))},
		}}})).JSON())
	}
	require.Equal(t, of("12345678", "x"), of("87654321", "y"))
}

// What is waited for is a fact, how it fails to come is not.
func TestApplyIgnoresTheReasonForWaiting(t *testing.T) {
	why := "connection refused"
	wait := fixture.Action{
		OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
			if why == "" {
				return nil, nil
			}
			return plan.Diff{{Verb: "wait", Waits: true, Subject: "it", Detail: why}}, nil
		},
		OnApply: func(context.Context, *plan.Host) error { why = ""; return nil },
	}
	p := fixture.MustPlan(t, plan.Step{ID: "s", Host: "h", Action: wait})
	pv := fixture.Saved(t, &idle{}, p)
	why = "no route to host"
	_, err := (&plan.Runner{Transport: &idle{}}).Apply(t.Context(), p, pv)
	require.NoError(t, err)
}

// A preview in which a step failed promises nothing.
func TestApplyOfAFailedPreview(t *testing.T) {
	boom := errors.New("boom")
	flaky := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) { return nil, boom }}
	p := fixture.MustPlan(t, plan.Step{ID: "s", Host: "h", Action: &flaky})
	runner := plan.Runner{Transport: &idle{}}
	pv, err := runner.Preview(t.Context(), p)
	require.ErrorIs(t, err, boom)
	_, err = runner.Apply(t.Context(), p, pv)
	require.ErrorIs(t, err, boom, "it still fails")
	flaky.OnCheck = nil
	_, err = runner.Apply(t.Context(), p, pv)
	require.ErrorContains(t, err, "step s on h: it was failed and is unchanged")
}

// Whoever applies a saved preview applies what its reader saw: whatever is altered in
// the file is found, before a host is changed.
func TestApplyOfAnAlteredPreview(t *testing.T) {
	applied := false
	change := fixture.Action{
		OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
			if applied {
				return nil, nil
			}
			return plan.Diff{{Verb: "restart", Subject: "board", Disruptive: true}, {Verb: "create", Subject: "/etc/x"}}, nil
		},
		OnApply: func(context.Context, *plan.Host) error { applied = true; return nil },
	}
	same := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) { return nil, nil }}
	p := fixture.MustPlan(t,
		plan.Step{ID: "a", Host: "h", Title: "First", Action: change},
		plan.Step{ID: "b", Host: "h", Title: "Second", After: []plan.ID{"a"}, Action: change},
		plan.Step{ID: "c", Host: "g", Title: "Third", Action: same},
	)
	runner := plan.Runner{Transport: &idle{}}
	for name, alter := range map[string]func(*plan.Preview){
		"host":  func(pv *plan.Preview) { pv.Steps[0].Host = "g" },
		"title": func(pv *plan.Preview) { pv.Steps[0].Title = "Harmless" },
		"name":  func(pv *plan.Preview) { pv.Steps[0].Step = "z" },
		"order": func(pv *plan.Preview) { pv.Steps[0], pv.Steps[2] = pv.Steps[2], pv.Steps[0] },
		"step added": func(pv *plan.Preview) {
			pv.Steps = append(pv.Steps, plan.StepPreview{Step: "d", Outcome: plan.Unchanged})
		},
		"step doubled":        func(pv *plan.Preview) { pv.Steps = append(pv.Steps, pv.Steps[0]) },
		"step left out":       func(pv *plan.Preview) { pv.Steps = pv.Steps[:2] },
		"after":               func(pv *plan.Preview) { pv.Steps[1].After = nil },
		"awaits":              func(pv *plan.Preview) { pv.Steps[1].Awaits = nil },
		"outcome":             func(pv *plan.Preview) { pv.Steps[0].Outcome = plan.Unchanged },
		"totals":              func(pv *plan.Preview) { pv.Totals = map[plan.Outcome]int{plan.Unchanged: 3} },
		"number disruptive":   func(pv *plan.Preview) { pv.Disruptive = 0 },
		"step not disruptive": func(pv *plan.Preview) { pv.Steps[0].Disruptive = false },
		"nothing disruptive": func(pv *plan.Preview) {
			pv.Disruptive = 0
			for i := range pv.Steps {
				pv.Steps[i].Disruptive = false
				for j := range pv.Steps[i].Changes {
					pv.Steps[i].Changes[j].Disruptive = false
				}
			}
		},
		"change left out": func(pv *plan.Preview) { pv.Steps[0].Changes = pv.Steps[0].Changes[:1] },
		"change doubled":  func(pv *plan.Preview) { pv.Steps[0].Changes = append(pv.Steps[0].Changes, pv.Steps[0].Changes[1]) },
		"change altered":  func(pv *plan.Preview) { pv.Steps[0].Changes[1].Subject = "/etc/y" },
		"commands":        func(pv *plan.Preview) { pv.Steps[0].Commands = []plan.Command{{Argv: []string{"true"}}} },
		"why":             func(pv *plan.Preview) { pv.Steps[2].Why = "do not mind" },
		"plan":            func(pv *plan.Preview) { pv.Plan = "x" },
	} {
		t.Run(name, func(t *testing.T) {
			pv := fixture.Saved(t, &idle{}, p)
			alter(pv)
			saved, err := plan.ParsePreview(pv.JSON())
			require.NoError(t, err)
			_, err = runner.Apply(t.Context(), p, saved)
			var stale *plan.StaleError
			require.ErrorAs(t, err, &stale)
			require.False(t, applied)
		})
	}
	_, err := runner.Apply(t.Context(), p, fixture.Saved(t, &idle{}, p))
	require.NoError(t, err)
	require.True(t, applied)
}

// What somebody wrote into a preview's outcome is no syntax of a graph.
func TestUnknownOutcomeInAGraph(t *testing.T) {
	const evil = "x\n  click s0 href \"javascript:alert(1)\""
	pv := &plan.Preview{Schema: plan.PreviewSchema, Steps: []plan.StepPreview{{Step: "a", Host: "h\u202e\x1b[2J", Title: "t\u202e\u009b", Outcome: evil}}}
	_, err := plan.ParsePreview(pv.JSON())
	var refused *plan.PreviewSchemaError
	require.ErrorAs(t, err, &refused)
	for _, graph := range []string{pv.Mermaid(), pv.DOT(), pv.Text()} {
		require.NotContains(t, graph, "click s0")
		require.NotContains(t, graph, "\u202e")
		require.NotContains(t, graph, "\x1b")
		require.NotContains(t, graph, "\u009b")
	}
}

// Two readers of a preview or a record must not see two things in it.
func TestDuplicateNames(t *testing.T) {
	for _, bad := range []string{
		`{"schema":"quorate.dev/preview/v1","steps":[],"Steps":[]}`, `{"schema":"quorate.dev/preview/v1","steps":[],"\u017fteps":[]}`,
		`{"schema":"quorate.dev/preview/v1","steps":[],"steps":[]}`, `{"schema":"quorate.dev/preview/v1","later":1}`,
	} {
		_, err := plan.ParsePreview([]byte(bad))
		require.Error(t, err, bad)
	}
	for _, bad := range []string{
		`{"schema":1,"run":"r","kind":"intent","KIND":"end"}`, `{"schema":1,"run":"r","kind":"intent","\u212aind":"end"}`, `{"schema":1,"run":"r","run":"q","kind":"intent"}`,
	} {
		_, err := journal.ParseRecord([]byte(bad))
		require.Error(t, err, bad)
	}
}

func FuzzParsePreview(f *testing.F) {
	f.Add([]byte(`{"schema":"quorate.dev/preview/v1","plan":"x","steps":[{"step":"a","host":"h","title":"t","outcome":"unchanged"}],"totals":{"unchanged":1},"disruptive":0,"roundTrips":{}}`))
	f.Add([]byte(`{"schema":"quorate.dev/preview/v1","steps":[],"\u017fteps":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := plan.ParsePreview(b)
		if err != nil {
			return
		}
		again, err := plan.ParsePreview(p.JSON())
		require.NoError(t, err)
		require.Equal(t, string(p.JSON()), string(again.JSON()))
		_, _, _ = p.Text(), p.Mermaid(), p.DOT()
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"schema":1,"run":"R","kind":"intent","time":"2026-01-02T03:04:05Z","laterField":{}}`))
	f.Add([]byte(`{"schema":1,"run":"r","kind":"intent","KIND":"end"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := journal.ParseRecord(b); err == nil && (r.Run == "" || r.Kind == "") {
			t.Errorf("%q is a record", b)
		}
	})
}
