//go:build unix

package filejournal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/filejournal"
	"github.com/quorate-dev/quorate/plan/journal"
)

// asTrimmer makes this test's binary keep one record and die before an operation,
// by its number from 1.
const (
	asTrimmer = "QUORATE_TEST_JOURNAL_TRIM"
	dieBefore = "QUORATE_TEST_JOURNAL_DIE_BEFORE"
	keep      = 4
)

func trimAndDie(path, at string) {
	j := &filejournal.Journal{Path: path, KeepRuns: keep}
	n := 0
	j.Before(func(op string) {
		n++
		fmt.Println(op)
		if fmt.Sprint(n) == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	ctx := context.Background()
	s, err := j.Begin(ctx, dead)
	if err == nil {
		err = errors.Join(s.Append(ctx, intent("last")), s.End(ctx))
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	os.Exit(0)
}

// grown writes a journal of twenty runs, each of which has one step of its own
// and leaves it undone if it is one of the first two, and returns its text.
func grown(t *testing.T, path string) []byte {
	t.Helper()
	j := &filejournal.Journal{Path: path, KeepRuns: -1}
	for i := range 20 {
		s, err := j.Begin(t.Context(), dead)
		require.NoError(t, err)
		run := fmt.Sprintf("R%d", i)
		records := []plan.Record{
			{Kind: plan.RecordRun, Operator: &plan.Operator{Name: "operator of " + run}},
			{Kind: plan.RecordIntent, Step: plan.ID("step/" + run), Host: "h"},
			{Kind: plan.RecordOutcome, Step: plan.ID("step/" + run), Host: "h", Outcome: plan.Changed},
			{Kind: plan.RecordEnd},
		}
		switch i {
		case 0:
			records[2].Outcome = plan.Failed
		case 1:
			records = records[:2]
		}
		for _, r := range records {
			r.Schema, r.Run, r.Time = plan.RecordSchema, run, dead.Since
			require.NoError(t, s.Append(t.Context(), r))
		}
		require.NoError(t, s.End(t.Context()))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return text
}

// trimmed is what grown comes to.
func trimmed(t *testing.T) (before, after []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal")
	before = grown(t, path)
	add(t, &filejournal.Journal{Path: path, KeepRuns: keep})
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Less(t, len(after), len(before)/2)
	return before, after
}

// whole checks that a journal is one of the two, knows what is unfinished, and
// that the next run ends what a death has begun.
func whole(t *testing.T, path string, before, after []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(text, before) || bytes.Equal(text, after), "the journal is neither the one nor the other:\n%s", text)
	j := &filejournal.Journal{Path: path, KeepRuns: keep}
	unfinished(t, j)
	add(t, j)
	text, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(after), string(text))
	add(t, j, "next")
	unfinished(t, j, "next")
	left, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.Equal(t, []string{path}, left)
}

func unfinished(t *testing.T, j *filejournal.Journal, more ...string) {
	t.Helper()
	left, err := plan.UnfinishedOf(j.Records(t.Context()))
	require.NoError(t, err)
	var got []string
	for _, u := range left {
		got = append(got, strings.TrimSpace(string(u.Step)+" "+u.Operator.Name))
	}
	require.Equal(t, append([]string{"step/R0 operator of R0", "step/R1 operator of R1"}, more...), got)
}

// What is left of a journal, reviewed by eye.
func TestTrim(t *testing.T) {
	_, after := trimmed(t)
	var got []string
	for i, text := range strings.Split(strings.TrimSpace(string(after)), "\n") {
		if i == 0 {
			continue // the header
		}
		r, err := journal.ParseRecord([]byte(text))
		require.NoError(t, err)
		got = append(got, strings.TrimSpace(fmt.Sprint(r.Run, " ", r.Kind, " ", r.Outcome)))
	}
	want := []string{"R0 run-started", "R0 outcome failed", "R0 run-ended", "R1 run-started", "R1 intent"}
	for i := 16; i < 20; i++ {
		for _, record := range []string{"run-started", "intent", "outcome changed", "run-ended"} {
			want = append(want, fmt.Sprintf("R%d %s", i, record))
		}
	}
	require.Equal(t, want, got)
}

// A process that is killed before any operation of a run leaves the journal as it
// was, or as it was to be, or short of its last record; the next run goes on from
// there and leaves nothing else behind.
func TestProcessKilledAnywhere(t *testing.T) {
	before, after := trimmed(t)
	line, err := json.Marshal(intent("last"))
	require.NoError(t, err)
	last := string(line) + "\n"
	const header = `{"journal":"quorate.dev/plan","version":1}` + "\n"
	const torn = `{"schema":1,"run":"R20","ki`
	self, err := os.Executable()
	require.NoError(t, err)

	for name, c := range map[string]struct {
		make       func(path string)
		want       []string // what the file may be, "-" if it is not there
		unfinished bool
		operations []string // some of them, in order
	}{
		"of a journal to be trimmed, with all that a crash leaves": {
			make: func(path string) {
				require.NoError(t, os.WriteFile(path, append(slices.Clone(before), torn...), 0o600))
				for _, left := range []string{".lock", ".lock.4711", ".trimmed"} {
					require.NoError(t, os.WriteFile(path+left, []byte("{}\n"), 0o600))
				}
			},
			want:       []string{string(before) + torn, string(before), string(after), string(after) + last},
			unfinished: true,
			operations: []string{"create the lock", "write the lock", "replace the lock", "sweep", "truncate", "remove a remnant",
				"create", "write", "flush", "sync", "rename", "sync directory", "append", "sync the record", "remove the lock"},
		},
		"of the first journal": {
			make:       func(string) {},
			want:       []string{"-", "", header, header + last},
			operations: []string{"create the lock", "link the lock", "open", "write the header", "append", "remove the lock"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			die := func(at int) (path string, operations []string, err error) {
				path = filepath.Join(t.TempDir(), "journal")
				c.make(path)
				cmd := exec.CommandContext(t.Context(), self)
				cmd.Env = []string{asTrimmer + "=" + path, dieBefore + "=" + fmt.Sprint(at)}
				out, err := cmd.Output()
				return path, strings.Split(strings.TrimSpace(string(out)), "\n"), err
			}
			_, all, err := die(0)
			require.NoError(t, err)
			rest := slices.Clone(c.operations)
			for _, op := range all {
				if len(rest) > 0 && op == rest[0] {
					rest = rest[1:]
				}
			}
			require.Empty(t, rest, "operations that were not come to, of %q", all)
			for at := 1; at <= len(all); at++ {
				path, operations, err := die(at)
				require.ErrorContains(t, err, "signal: killed")
				require.Equal(t, all[:at], operations)
				text, err := os.ReadFile(path)
				if errors.Is(err, fs.ErrNotExist) {
					text, err = []byte("-"), nil
				}
				require.NoError(t, err)
				require.Contains(t, c.want, string(text), "before %s", all[at-1])

				j := &filejournal.Journal{Path: path, KeepRuns: keep}
				var left []string
				if strings.HasSuffix(string(text), last) {
					left = append(left, "last")
				}
				add(t, j, "next")
				if c.unfinished {
					unfinished(t, j, append(left, "next")...)
				} else {
					require.Len(t, steps(t, j), len(left)+1)
				}
				files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
				require.NoError(t, err)
				require.Equal(t, []string{path}, files, "left of a death before %s", all[at-1])
			}
		})
	}
}

// However much of the shorter journal a death has let be written.
func TestAnyPrefixOfATrim(t *testing.T) {
	before, after := trimmed(t)
	dir := t.TempDir()
	for cut := 0; cut <= len(after); cut += 151 {
		path := filepath.Join(dir, fmt.Sprint(cut))
		require.NoError(t, os.WriteFile(path, before, 0o600))
		require.NoError(t, os.WriteFile(path+".trimmed", after[:cut], 0o600))
		whole(t, path, before, after)
	}
}

// A trim that cannot be done says so, changes nothing, and releases the lock.
func TestFailedTrim(t *testing.T) {
	before, after := trimmed(t)
	path := filepath.Join(t.TempDir(), "journal")
	require.NoError(t, os.WriteFile(path, before, 0o600))
	inTheWay := filepath.Join(path+".trimmed", "directory")
	j := &filejournal.Journal{Path: path, KeepRuns: keep}
	j.Before(func(op string) {
		if op == "create" {
			require.NoError(t, os.MkdirAll(inTheWay, 0o700))
		}
	})
	_, err := j.Begin(t.Context(), dead)
	require.Error(t, err)
	j.Before(nil)
	require.NoFileExists(t, path+".lock")
	require.NoError(t, os.RemoveAll(path+".trimmed"))

	// Cancelled in the middle of it.
	ctx, cancel := context.WithCancel(t.Context())
	j.Before(func(op string) {
		if op == "write" {
			cancel()
		}
	})
	_, err = j.Begin(ctx, dead)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "trim journal "+path)
	j.Before(nil)
	require.NoFileExists(t, path+".lock")
	require.NoFileExists(t, path+".trimmed")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, text))
	whole(t, path, before, after)
}

// The shorter journal is where the longer one was, for whom it was, and what a
// later version has added to its records is in it.
func TestTrimKeepsUnknownRecords(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "journal"), filepath.Join(dir, "link")
	grown(t, path)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	const later = `{"later":[1, 2],"schema":1,"run":"LATER","kind":"run-started","time":"2026-02-03T04:05:06Z"}` + "\n"
	_, err = f.WriteString(later)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, os.Chmod(path, 0o640))
	if os.Getuid() == 0 {
		require.NoError(t, os.Chown(path, 4711, 4712))
	}
	require.NoError(t, os.Symlink("journal", link))
	longer, err := os.Stat(path)
	require.NoError(t, err)

	j := &filejournal.Journal{Path: link, KeepRuns: keep}
	next, stop := iter.Pull2(j.Records(t.Context()))
	defer stop()
	_, _, ok := next()
	require.True(t, ok)
	add(t, j)

	target, err := os.Readlink(link)
	require.NoError(t, err)
	require.Equal(t, "journal", target)
	shorter, err := os.Stat(path)
	require.NoError(t, err)
	require.False(t, os.SameFile(longer, shorter), "this test has trimmed nothing")
	require.Equal(t, fs.FileMode(0o640), shorter.Mode())
	if os.Getuid() == 0 {
		owner := shorter.Sys().(*syscall.Stat_t)
		require.Equal(t, []uint32{4711, 4712}, []uint32{owner.Uid, owner.Gid})
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(text), later))

	// Who was reading reads on.
	n := 1
	for _, err, ok := next(); ok; _, err, ok = next() {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 79, n)
}
