package filejournal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who holds a lock is read by exact names, each once: whoever may write the file could
// else show one name to people and another to programs.
func TestHolderIsReadStrictly(t *testing.T) {
	for text, name := range map[string]string{
		`{"name":"alice","run":"R","since":"2026-01-02T03:04:05Z"}` + "\n":           "alice",
		`{"name":"alice","run":"R","since":"2026-01-02T03:04:05Z","later":1}`:        "alice",
		`{"name":"alice","Name":"mallory","run":"R","since":"2026-01-02T03:04:05Z"}`: "",
		`{"name":"alice","name":"mallory","run":"R","since":"2026-01-02T03:04:05Z"}`: "",
		`{"name":"alice","run":"R"}{"name":"mallory"}`:                               "",
		`{"name":"` + strings.Repeat("a", maxHolder) + `","run":"R"}`:                "",
		``: "",
	} {
		path := filepath.Join(t.TempDir(), "lock")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		f, err := os.Open(path)
		require.NoError(t, err)
		require.Equal(t, name, holderOf(f).Name, "%.100s", text)
		require.NoError(t, f.Close())
	}
}
