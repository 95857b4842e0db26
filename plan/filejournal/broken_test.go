package filejournal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/journal"
)

// A disk that refuses a record, and refuses to remove it, ends the
// session: what follows would come after half a line.
func TestBrokenSession(t *testing.T) {
	j := &Journal{Path: filepath.Join(t.TempDir(), "journal")}
	begun, err := j.Begin(t.Context(), plan.Holder{})
	require.NoError(t, err)
	s := begun.(*session)
	r := plan.Record{Schema: 1, Run: "R", Kind: plan.RecordIntent}
	require.NoError(t, s.Append(t.Context(), r))
	good := s.file
	s.file, err = os.Open(j.Path) // refuses every write
	require.NoError(t, err)
	require.Error(t, s.Append(t.Context(), r))
	require.NoError(t, s.file.Close())
	s.file = good
	require.Error(t, s.Append(t.Context(), r))
	require.NoError(t, s.End(t.Context()))

	begun, err = j.Begin(t.Context(), plan.Holder{})
	require.NoError(t, err)
	require.NoError(t, begun.Append(t.Context(), r))
	require.NoError(t, begun.End(t.Context()))
	n := 0
	for _, err := range j.Records(t.Context()) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 2, n)
}

func TestRecordTooLong(t *testing.T) {
	j := &Journal{Path: filepath.Join(t.TempDir(), "journal")}
	s, err := j.Begin(t.Context(), plan.Holder{})
	require.NoError(t, err)
	require.Error(t, s.Append(t.Context(), plan.Record{Error: string(make([]byte, journal.MaxRecord))}))
	require.NoError(t, s.End(t.Context()))
}
