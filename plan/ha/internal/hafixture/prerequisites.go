package hafixture

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// Preparations returns what is prepared on a control plane of three.
func Preparations(t *testing.T, p software.Source, c quorate.Cluster) []software.Preparation {
	t.Helper()
	c = c.WithDefaults()
	prepared, err := p.Prepare(c, c.Nodes[0])
	require.NoError(t, err)
	return prepared
}

// Preparation returns one of them by its name.
func Preparation(t *testing.T, prepared []software.Preparation, name string) plan.Action {
	t.Helper()
	i := slices.IndexFunc(prepared, func(p software.Preparation) bool { return p.Name == name })
	require.GreaterOrEqual(t, i, 0, "no preparation %s", name)
	return prepared[i].Action
}

// RunOne runs one action on the host, and returns the change that it saw.
func RunOne(t *testing.T, tr *faketransport.Transport, a plan.Action, dry bool) (plan.Diff, error) {
	t.Helper()
	p, err := plan.New(plan.Step{ID: "one", Host: "cp-1", Retry: plan.Retry{Attempts: 1}, Action: a})
	require.NoError(t, err)
	var diff plan.Diff
	_, err = (&plan.Runner{Transport: tr, DryRun: dry, Observe: func(e plan.Event) {
		if len(e.Diff) > 0 {
			diff = e.Diff
		}
	}}).Run(t.Context(), p)
	return diff, err
}

// Changes returns a diff as text.
func Changes(d plan.Diff) []string {
	var out []string
	for _, c := range d {
		out = append(out, c.String())
	}
	return out
}
