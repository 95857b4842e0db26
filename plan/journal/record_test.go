package journal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/journal"
)

func TestParseRecord(t *testing.T) {
	r, err := journal.ParseRecord([]byte(`{"schema":1,"run":"R","kind":"intent","time":"2026-01-02T03:04:05Z","laterField":{}}`))
	require.NoError(t, err)
	require.Equal(t, plan.RecordIntent, r.Kind)
	var schema *journal.SchemaError
	_, err = journal.ParseRecord([]byte(`{"schema":2,"run":{"id":1}}`))
	require.ErrorAs(t, err, &schema)
	for _, bad := range []string{"", "x", "{}", "[]", `{"schema":1}`, `{"schema":1,"run":"R"}`, `{"schema":0,"run":"R","kind":"intent"}`, `{"schema":1,"run":7}`} {
		_, err := journal.ParseRecord([]byte(bad))
		require.Error(t, err, bad)
	}
}
