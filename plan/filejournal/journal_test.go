//go:build unix

package filejournal_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/filejournal"
	"github.com/quorate-dev/quorate/plan/journal"
	"github.com/quorate-dev/quorate/plan/journaltest"
	"github.com/quorate-dev/quorate/transport"
)

// asHolder in the environment makes this test's own binary hold the journal
// there until it is killed.
const asHolder = "QUORATE_TEST_HOLD_JOURNAL"

func TestMain(m *testing.M) {
	if path := os.Getenv(asTrimmer); path != "" {
		trimAndDie(path, os.Getenv(dieBefore))
	}
	if path := os.Getenv(asHolder); path != "" {
		s, err := (&filejournal.Journal{Path: path}).Begin(context.Background(), dead)
		if err == nil {
			err = s.Append(context.Background(), intent("kept"))
		}
		fmt.Println("held", err)
		select {} // until it is killed
	}
	os.Exit(m.Run())
}

var dead = plan.Holder{
	Operator: plan.Operator{Name: "alice", Machine: "laptop", Process: "4711"},
	Run:      "R", Since: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
}

func intent(step plan.ID) plan.Record {
	return plan.Record{Schema: 1, Run: "R", Kind: plan.RecordIntent, Time: dead.Since, Step: step, Host: "h"}
}

func steps(t require.TestingT, j plan.Journal) []plan.ID {
	var out []plan.ID
	for r, err := range j.Records(context.Background()) {
		require.NoError(t, err)
		out = append(out, r.Step)
	}
	return out
}

func add(t require.TestingT, j plan.Journal, ids ...plan.ID) {
	s, err := j.Begin(context.Background(), dead)
	require.NoError(t, err)
	for _, id := range ids {
		require.NoError(t, s.Append(context.Background(), intent(id)))
	}
	require.NoError(t, s.End(context.Background()))
}

// hold starts a process that holds the journal, and returns what kills it.
func hold(t *testing.T, path string) (kill func()) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = []string{asHolder + "=" + path}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	kill = func() {
		_ = cmd.Process.Kill() // killed already by some tests
		_ = cmd.Wait()         // "signal: killed"
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "held <nil>\n", line)
	return kill
}

func TestConformance(t *testing.T) {
	journaltest.Run(t, journaltest.Harness{
		New: func(t *testing.T) func(*testing.T) plan.Journal {
			path := filepath.Join(t.TempDir(), "journal")
			return func(*testing.T) plan.Journal { return &filejournal.Journal{Path: path} }
		},
		NewKeeping: func(t *testing.T, runs int) func(*testing.T) plan.Journal {
			path := filepath.Join(t.TempDir(), "journal")
			return func(*testing.T) plan.Journal { return &filejournal.Journal{Path: path, KeepRuns: runs} }
		},
	})
}

// A process that is killed leaves its records and a lock that holds nobody up.
func TestDeadProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := &filejournal.Journal{Path: path}
	for round := range 3 {
		kill := hold(t, path)
		_, err := j.Begin(t.Context(), plan.Holder{})
		var locked *plan.LockedError
		require.ErrorAs(t, err, &locked)
		require.Equal(t, dead, locked.Holder)
		require.Equal(t, "the journal is held by alice (process 4711 on laptop) since 2026-02-03T04:05:06Z: wait until that run has ended", err.Error())
		kill()
		require.FileExists(t, path+".lock", "the test has killed nothing")
		require.Len(t, steps(t, j), round+1)
		if round == 1 {
			add(t, j) // somebody of this process; in the other rounds the next one
			require.NoFileExists(t, path+".lock")
		}
	}
	add(t, j, "next")
	require.Equal(t, []plan.ID{"kept", "kept", "kept", "next"}, steps(t, j))
	left, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.Equal(t, []string{path}, left)
}

func TestFileFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := &filejournal.Journal{Path: path}
	s, err := j.Begin(t.Context(), dead)
	require.NoError(t, err)
	require.NoError(t, s.Append(t.Context(), intent("a\nb")))
	for _, p := range []string{path, path + ".lock"} {
		info, err := os.Stat(p)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode(), p)
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, `{"journal":"quorate.dev/plan","version":1}
{"schema":1,"run":"R","kind":"intent","time":"2026-02-03T04:05:06Z","step":"a\nb","host":"h"}
`, string(text))
	require.NoError(t, s.End(t.Context()))
}

// Wherever a crash cuts the file, every whole record is read, and the next run
// goes on from there.
func TestReadOfAnyPrefix(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	var ids []plan.ID
	for i := range 5 {
		ids = append(ids, plan.ID(fmt.Sprintf("step/%d", i)))
	}
	ids[2] = plan.ID(strings.Repeat("long\n", 30))
	add(t, &filejournal.Journal{Path: whole}, ids...)
	text, err := os.ReadFile(whole)
	require.NoError(t, err)
	for cut := range len(text) + 1 {
		path := filepath.Join(dir, fmt.Sprint(cut))
		require.NoError(t, os.WriteFile(path, text[:cut], 0o600))
		j := &filejournal.Journal{Path: path}
		complete := ids[:max(0, bytes.Count(text[:cut], []byte("\n"))-1)]
		got := steps(t, j)
		require.Equal(t, len(complete), len(got), "cut at %d", cut)
		unread, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text[:cut], unread, "reading has changed the file")
		add(t, j, "next")
		require.Equal(t, append(complete[:len(complete):len(complete)], "next"), steps(t, j), "cut at %d", cut)
		again, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(again, text[:bytes.LastIndexByte(text[:cut], '\n')+1]), "more than the torn line has gone")
	}
}

// A power cut may keep the length of what was written last and not its bytes.
func TestLostBlocksOfTheLastRecord(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "quorate-journal-")
		require.NoError(rt, err)
		defer func() { _ = os.RemoveAll(dir) }()
		path := filepath.Join(dir, "journal")
		j := &filejournal.Journal{Path: path}
		add(rt, j, "a", "b")
		text, err := os.ReadFile(path)
		require.NoError(rt, err)
		last := bytes.LastIndexByte(text[:len(text)-1], '\n') + 1
		from := rapid.IntRange(last, len(text)-2).Draw(rt, "from")
		to := rapid.IntRange(from+1, len(text)).Draw(rt, "to")
		clear(text[from:to])
		require.NoError(rt, os.WriteFile(path, text, 0o600))
		require.Equal(rt, []plan.ID{"a"}, steps(rt, j))
		add(rt, j, "c")
		require.Equal(rt, []plan.ID{"a", "c"}, steps(rt, j))
	})
}

func TestForeignFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	header := `{"journal":"quorate.dev/plan","version":1}` + "\n"
	line, err := json.Marshal(intent("a"))
	require.NoError(t, err)
	record := string(line) + "\n"
	long := strings.Repeat("x", 3<<20)
	for name, text := range map[string]string{
		"a note":                 "remember the milk\n",
		"other JSON":             `{"kind":"Config"}` + "\n",
		"a later version":        strings.Replace(header, ":1", ":2", 1),
		"one character":          "x",
		"a header without end":   strings.TrimSuffix(header, "\n") + " ",
		"a record alone":         record,
		"a line too long":        header + record + long,
		"a whole line too long":  header + record + long + "\n",
		"too long, then more":    header + long + "\n" + record,
		"rubbish in the middle":  header + record + "rubbish\n" + record,
		"rubbish, then a tail":   header + record + "rubbish\n" + record + record[:9],
		"a later record, a tail": header + record + `{"schema":2}` + "\n" + record[:9],
		"JSON that is no record": header + record + `{"kind":"Config"}` + "\n",
		"a later record":         header + record + `{"schema":2}` + "\n",
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		j := &filejournal.Journal{Path: path, KeepRuns: -(len(name) % 2)} // some that are never trimmed
		var format *filejournal.FormatError
		err := errors.New("no error")
		for _, err = range j.Records(t.Context()) {
			continue
		}
		require.ErrorAs(t, err, &format, name)
		require.Contains(t, err.Error(), path)
		tr := &unreachable{}
		p, err := plan.New(plan.Step{ID: "s", Host: "h", Action: always{}})
		require.NoError(t, err)
		_, err = (&plan.Runner{Transport: tr, Journal: j}).Run(t.Context(), p)
		require.ErrorAs(t, err, &format, name)
		require.Zero(t, tr.dials.Load(), name)
		require.NoFileExists(t, path+".lock")
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, text == string(after), "%s was changed", name)
	}
	var schema *journal.SchemaError
	for _, err = range (&filejournal.Journal{Path: filepath.Join(dir, "a later record")}).Records(t.Context()) {
		continue
	}
	require.ErrorAs(t, err, &schema)

	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	for _, path := range []string{fifo, dir, "/dev/null"} {
		var format *filejournal.FormatError
		if path != "/dev/null" { // whose lock would be in /dev
			_, err := (&filejournal.Journal{Path: path}).Begin(t.Context(), dead)
			require.ErrorAs(t, err, &format, path)
		}
		for _, err = range (&filejournal.Journal{Path: path}).Records(t.Context()) {
			require.ErrorAs(t, err, &format, path)
		}
	}
	_, err = (&filejournal.Journal{Path: filepath.Join(dir, "none", "journal")}).Begin(t.Context(), dead)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

type unreachable struct{ dials atomic.Int64 }

func (u *unreachable) Dial(context.Context, string) (transport.Conn, error) {
	u.dials.Add(1)
	return nil, errors.New("unreachable")
}

// always differs once for each time it is applied.
type always struct{ checks *int }

func (a always) Check(context.Context, *plan.Host) (plan.Diff, error) {
	if *a.checks++; *a.checks%2 == 0 {
		return nil, nil
	}
	return plan.Diff{{Verb: "update", Subject: "/etc/thing", Detail: "content"}}, nil
}

func (always) Apply(context.Context, *plan.Host, plan.Diff) error { return nil }

// nowhere reaches hosts on which nothing is done.
type nowhere struct{}

func (nowhere) Dial(context.Context, string) (transport.Conn, error) { return nowhere{}, nil }

func (nowhere) Run(context.Context, transport.Cmd) error { return nil }

func (nowhere) Close() error { return nil }

// BenchmarkRun runs a hundred steps on ten hosts, all of which are applied and
// take no time: what is left is the runner and the journal.
func BenchmarkRun(b *testing.B) {
	var all []plan.Step
	for i := range 100 {
		all = append(all, plan.Step{ID: plan.ID(fmt.Sprint(i)), Host: fmt.Sprint(i % 10), Action: always{new(int)}})
	}
	p, err := plan.New(all...)
	require.NoError(b, err)
	for name, j := range map[string]func(dir string) plan.Journal{
		"none":   func(string) plan.Journal { return nil },
		"memory": func(string) plan.Journal { return &journaltest.Memory{} },
		"file":   func(dir string) plan.Journal { return &filejournal.Journal{Path: filepath.Join(dir, "journal")} },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				dir := filepath.Join(b.TempDir(), fmt.Sprint(rand.Uint64()))
				require.NoError(b, os.Mkdir(dir, 0o700))
				sum, err := (&plan.Runner{Transport: nowhere{}, Journal: j(dir)}).Run(b.Context(), p)
				require.NoError(b, err)
				require.Equal(b, 100, sum.Outcomes[plan.Changed])
			}
		})
	}
}

// BenchmarkRecords reads a journal of ten thousand records.
func BenchmarkRecords(b *testing.B) {
	path := filepath.Join(b.TempDir(), "journal")
	j := &filejournal.Journal{Path: path}
	add(b, j)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(b, err)
	line, err := json.Marshal(intent("etcd/cp-1"))
	require.NoError(b, err)
	_, err = f.Write(bytes.Repeat(append(line, '\n'), 10_000))
	require.NoError(b, errors.Join(err, f.Close()))
	for b.Loop() {
		_, err := plan.UnfinishedOf(j.Records(b.Context()))
		require.NoError(b, err)
	}
}
