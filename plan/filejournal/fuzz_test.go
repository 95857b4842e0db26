package filejournal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/internal/hostiletest"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/filejournal"
	"github.com/quorate-dev/quorate/plan/journal"
)

// A file at the journal's path that somebody else wrote is read as records or refused,
// and a refused one is left as it is, to the byte.
func FuzzJournal(f *testing.F) {
	const header = `{"journal":"quorate.dev/plan","version":1}` + "\n"
	const record = `{"schema":1,"run":"R","kind":"run-started","time":"2026-01-02T03:04:05Z"}` + "\n"
	for _, s := range []string{
		"", header, header + record, header + record + "{\"sch", header + "x\n" + record, header + record + record[:20] + "\n" + record, "#!/bin/sh\n",
		header + `{"schema":9,"run":"R","kind":"x"}` + "\n", header + `{"schema":1,"run":"R","Run":"S","kind":"x"}` + "\n", header + "\x00\x00\x00", header + `{"schema":1,"run":"` + hostiletest.Text + `"}` + "\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		j := &filejournal.Journal{Path: path}
		session, err := j.Begin(t.Context(), plan.Holder{Run: "NEW", Since: time.Unix(1, 0)})
		if err == nil {
			for _, err := range j.Records(t.Context()) {
				if err != nil {
					t.Errorf("begun, and not to be read: %v", err)
				}
			}
			if err := session.End(t.Context()); err != nil {
				t.Error(err)
			}
			return
		}
		if problem := hostiletest.Problem(err.Error()); problem != "" {
			t.Error(problem)
		}
		var format *filejournal.FormatError
		var schema *journal.SchemaError
		after, readErr := os.ReadFile(path)
		if !errors.As(err, &format) && !errors.As(err, &schema) || readErr != nil || !bytes.Equal(after, content) {
			t.Errorf("%v; %v; %q became %q", err, readErr, content, after)
		}
	})
}
