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
	"github.com/quorate-dev/quorate/plan/journaltest"
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
		"changes in another order": func(pv *plan.Preview) {
			pv.Steps[0].Changes[0], pv.Steps[0].Changes[1] = pv.Steps[0].Changes[1], pv.Steps[0].Changes[0]
		},
		"round trips":          func(pv *plan.Preview) { pv.RoundTrips["h"]++ },
		"round trips left out": func(pv *plan.Preview) { pv.RoundTrips = nil },
		"digest":               func(pv *plan.Preview) { pv.Digest = "" },
		"change left out":      func(pv *plan.Preview) { pv.Steps[0].Changes = pv.Steps[0].Changes[:1] },
		"change doubled":       func(pv *plan.Preview) { pv.Steps[0].Changes = append(pv.Steps[0].Changes, pv.Steps[0].Changes[1]) },
		"change altered":       func(pv *plan.Preview) { pv.Steps[0].Changes[1].Subject = "/etc/y" },
		"commands":             func(pv *plan.Preview) { pv.Steps[0].Commands = []plan.Command{{Argv: []string{"true"}}} },
		"why":                  func(pv *plan.Preview) { pv.Steps[2].Why = "do not mind" },
		"plan":                 func(pv *plan.Preview) { pv.Plan = "x" },
		"undescribed":          func(pv *plan.Preview) { pv.Undescribed = []plan.ID{"a"} },
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

// mute is an Action that says nothing of what it is made of.
type mute struct{ applied *bool }

func (m mute) Check(context.Context, *plan.Host) (plan.Diff, error) {
	if *m.applied {
		return nil, nil
	}
	return plan.Diff{{Verb: "run", Subject: "it"}}, nil
}

func (m mute) Apply(context.Context, *plan.Host, plan.Diff) error { *m.applied = true; return nil }

// kindless describes itself, but not what it is.
type kindless struct{ mute }

func (kindless) Describe() plan.Description {
	return plan.Description{Inputs: []quorate.Content{plan.InputText("x")}}
}

// An Action that cannot be compared is shown and can be run, but its preview is not
// applied; nor is that of undoing it.
func TestApplyUndescribed(t *testing.T) {
	for name, make := range map[string]func(m mute) plan.Action{
		"no Describer": func(m mute) plan.Action { return m }, "no Kind": func(m mute) plan.Action { return kindless{m} },
	} {
		t.Run(name, func(t *testing.T) {
			applied := false
			known := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) { return nil, nil }}
			p := newPlan(t, plan.Step{ID: "known", Host: "h", Action: known}, plan.Step{ID: "mine", Host: "h", Action: make(mute{&applied})})
			hosts := fakeHosts("h")
			runner := plan.Runner{Transport: hosts}
			refused := func(p *plan.Plan, want plan.ID) {
				t.Helper()
				pv := fixture.Saved(t, hosts, p)
				require.Equal(t, []plan.ID{want}, pv.Undescribed)
				require.Contains(t, pv.Text(), "cannot be applied as shown, only run: the actions of "+string(want)+" do not describe themselves")
				calls := len(hosts.Calls())
				_, err := runner.Apply(t.Context(), p, pv)
				var undescribed *plan.UndescribedError
				require.ErrorAs(t, err, &undescribed)
				require.Equal(t, []plan.ID{want}, undescribed.Steps)
				require.Len(t, hosts.Calls(), calls, "a host was asked")
				require.False(t, applied)
			}
			refused(p, "mine")
			back, err := plan.Rollback(p, "run")
			require.NoError(t, err)
			refused(back, "undo/mine")
			_, err = runner.Run(t.Context(), p)
			require.NoError(t, err)
			require.True(t, applied)
		})
	}
}

// What somebody does to a host after Apply has compared is not mended on the quiet: the
// step fails, with what is new, and nothing is applied. What the run itself brings
// about is applied, as the preview has announced.
func TestApplyOnlyWhatWasShown(t *testing.T) {
	shown, other := plan.Change{Verb: "update", Subject: "/a"}, plan.Change{Verb: "update", Subject: "/b"}
	harder := shown
	harder.Disruptive = true
	for name, c := range map[string]struct {
		was, is plan.Diff
		refused string
	}{
		"the same":             {was: plan.Diff{shown}, is: plan.Diff{shown}},
		"less":                 {was: plan.Diff{shown, other}, is: plan.Diff{other}},
		"more":                 {was: plan.Diff{shown}, is: plan.Diff{shown, other}, refused: "new: update /b"},
		"something else":       {was: plan.Diff{shown}, is: plan.Diff{other}, refused: "new: update /b"},
		"where there was none": {was: nil, is: plan.Diff{other}, refused: "new: update /b"},
		"a restart":            {was: plan.Diff{shown}, is: plan.Diff{harder}, refused: "disruptive, and it was not: update /a"},
	} {
		t.Run(name, func(t *testing.T) {
			checks, applied := 0, plan.Diff(nil)
			action := fixture.Action{
				OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
					switch checks++; {
					case applied != nil:
						return nil, nil
					case checks <= 2: // Preview's, and Apply's own
						return c.was, nil
					}
					return c.is, nil
				},
				OnApply: func(context.Context, *plan.Host) error { applied = c.is; return nil },
			}
			p := newPlan(t, plan.Step{ID: "s", Host: "h", Action: action})
			runner := plan.Runner{Transport: fakeHosts("h")}
			_, err := runner.Apply(t.Context(), p, fixture.Saved(t, runner.Transport, p))
			if c.refused == "" {
				require.NoError(t, err)
				require.Equal(t, c.is, applied)
				return
			}
			var step *plan.StepError
			require.ErrorAs(t, err, &step)
			require.Equal(t, plan.Checking, step.Phase)
			var stale *plan.StaleError
			require.ErrorAs(t, err, &stale)
			require.Len(t, stale.Steps, 1)
			require.Equal(t, []string{c.refused}, stale.Steps[0].Differences)
			require.Nil(t, applied)
		})
	}
	t.Run("brought about by the run", func(t *testing.T) {
		for name, second := range map[string]plan.Step{
			"after it":            {Host: "g", After: []plan.ID{"first"}},
			"on its host":         {Host: "h"},
			"under the same lock": {Host: "g", Locks: []string{"lock"}},
		} {
			t.Run(name, func(t *testing.T) {
				done := map[string]bool{}
				first := fixture.Action{
					OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
						if done["first"] {
							return nil, nil
						}
						return plan.Diff{shown}, nil
					},
					OnApply: func(context.Context, *plan.Host) error { done["first"] = true; return nil },
				}
				second.ID, second.Action = "second", fixture.Action{
					OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
						if !done["first"] || done["second"] {
							return nil, nil
						}
						return plan.Diff{other}, nil
					},
					OnApply: func(context.Context, *plan.Host) error { done["second"] = true; return nil },
				}
				p := newPlan(t, plan.Step{ID: "first", Host: "h", Action: first, Locks: []string{"lock"}}, second)
				runner := plan.Runner{Transport: fakeHosts("h", "g")}
				_, err := runner.Apply(t.Context(), p, fixture.Saved(t, runner.Transport, p))
				require.NoError(t, err)
				require.True(t, done["second"])
			})
		}
	})
}

// counted counts how often it is asked what it is made of.
type counted struct {
	fixture.Action
	times *int
}

func (c counted) Describe() plan.Description {
	*c.times++
	return plan.Description{Kind: "example.com/counted", Inputs: []quorate.Content{plan.InputText("x")}}
}

// An Action is asked once what it is made of, when the plan is made, and not again by
// what is composed of it, shown, run, kept in a journal or undone.
func TestDescribeOnce(t *testing.T) {
	times, applied := 0, false
	action := counted{times: &times, Action: fixture.Action{
		OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
			if applied {
				return nil, nil
			}
			return plan.Diff{{Verb: "run", Subject: "it"}}, nil
		},
		OnApply: func(context.Context, *plan.Host) error { applied = true; return nil },
	}}
	p := newPlan(t, plan.Step{ID: "s", Host: "h", Action: action})
	p, err := p.With(step("a", "h"))
	require.NoError(t, err)
	p, err = p.Before("s", step("b", "h"))
	require.NoError(t, err)
	p, err = p.After("s", step("c", "h"))
	require.NoError(t, err)
	p = p.WithSecrets(quorate.Sensitive([]byte(marker)))
	runner := plan.Runner{Transport: fakeHosts("h"), Journal: &journaltest.Memory{}}
	pv := fixture.Saved(t, runner.Transport, p)
	_, err = runner.Apply(t.Context(), p, pv)
	require.NoError(t, err)
	_, err = plan.Rollback(p, "run")
	require.NoError(t, err)
	_ = p.Fingerprint()
	require.True(t, applied)
	require.Equal(t, 1, times)
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
