package journaltest_test

import (
	"testing"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/journaltest"
)

func TestMemoryConforms(t *testing.T) {
	journaltest.Run(t, journaltest.Harness{
		New: func(*testing.T) func(*testing.T) plan.Journal {
			var m journaltest.Memory
			return func(*testing.T) plan.Journal { return &m }
		},
		NewKeeping: func(_ *testing.T, runs int) func(*testing.T) plan.Journal {
			m := journaltest.Memory{KeepRuns: runs}
			return func(*testing.T) plan.Journal { return &m }
		},
		Crash: func(_ *testing.T, j plan.Journal, _ plan.JournalSession) { j.(*journaltest.Memory).Lose(nil) },
	})
}
