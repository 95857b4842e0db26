package plan_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
)

// A host cannot make a terminal do what it likes.
func TestTextEscapesControlCharacters(t *testing.T) {
	check := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
		return plan.Diff{{Verb: "set", Subject: "x", Detail: "\x1b[2J\rall is well"}}, nil
	}}
	p := fixture.MustPlan(t, plan.Step{ID: "s", Host: "h", Action: check})
	text := fixture.Preview(t, &idle{}, p).Text()
	require.Contains(t, text, `set x (\x1b[2J\rall is well)`)
	require.NotContains(t, text, "\x1b")
}

func TestParsePreviewRefuses(t *testing.T) {
	for _, text := range []string{"", "{}", `{"schema":"quorate.dev/preview/v9"}`, `{"schema":"` + plan.PreviewSchema + `","steps":[{}]}`} {
		_, err := plan.ParsePreview([]byte(text))
		var schema *plan.PreviewSchemaError
		require.ErrorAs(t, err, &schema, text)
	}
}
