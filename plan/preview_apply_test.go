package plan_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport"
)

// Without a private key in the plan nothing in a preview depends on a secret,
// which could be short: whoever has the preview cannot tell two apart.
func TestAPreviewOfShortSecretsHoldsNoTraceOfThem(t *testing.T) {
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
func TestWaitingForAnotherReasonIsTheSame(t *testing.T) {
	why := "connection refused"
	wait := fixture.Action{
		OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
			if why == "" {
				return nil, nil
			}
			return plan.Diff{{Verb: "wait", Subject: "it", Detail: why}}, nil
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
func TestAPreviewThatFailedIsNotApplied(t *testing.T) {
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
