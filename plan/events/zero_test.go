package events_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
)

// A Writer that was not made by NewWriter, or of nothing, ends no run: Err says why there
// are no events.
func TestZeroWriter(t *testing.T) {
	for name, w := range map[string]*events.Writer{"zero": {}, "of nothing": events.NewWriter(nil)} {
		t.Run(name, func(t *testing.T) {
			w.Observe(plan.Event{Kind: plan.RunStarted})
			var refused *events.WriteError
			require.ErrorAs(t, w.Err(), &refused)
			require.Equal(t, 1, refused.Seq)
			require.ErrorContains(t, refused, "NewWriter")
		})
	}
}
