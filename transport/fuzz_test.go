package transport

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/internal/hostiletest"
)

// What Stat takes for files is what a whole answer says of each path, in order.
func FuzzParseStats(f *testing.F) {
	sum := strings.Repeat("ab", 32)
	for _, s := range []string{"-\n-\n.\n", "-\nd\n755 root 0 root 0 4096\n.\n", "f\nf\n600 a 1 b 2 1\n600 a 1 b 2 1\n" + sum + "  /a\n\\" + sum + "  /b\n.\n", hostiletest.Text, "-\n-\n.\n-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, out string) {
		infos, err := parseStats([]string{"/a", "/b"}, out)
		if err == nil && (len(infos) != 2 || infos[0].Path != "/a" || infos[1].Path != "/b") {
			t.Errorf("%q is %+v", out, infos)
		}
	})
}

// An answer to what is read ahead counts only between its own marks.
func FuzzGather(f *testing.F) {
	const mark = "MARK"
	for _, s := range []string{"", "[MARK]-\n.\n\nMARK 0\n[MARK]out\nMARK 0\n", "[MARK]\nMARK 0\n[MARK]x\nMARK 1\n", "[MARK][MARK]\nMARK 0", hostiletest.Text} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		queries := []Query{{Argv: []string{"a"}}, {Argv: []string{"b"}}}
		into := Gathered{Answers: make([]Answer, len(queries))}
		newBatch([]string{"/a"}, queries).read(out, mark, &into)
		for _, a := range into.Answers {
			if a.OK && !strings.Contains(string(out), "["+mark+"]"+string(a.Stdout)+"\n"+mark+" 0\n") {
				t.Errorf("%q answers %q", out, a.Stdout)
			}
		}
	})
}

// said is a Conn that answers every command alike.
type said struct{ out, err string }

func (s said) Run(_ context.Context, c Cmd) error {
	if c.Stdout != nil {
		_, _ = c.Stdout.Write([]byte(s.out))
	}
	if s.err != "" {
		return &ExitError{Host: "h", Argv: c.Argv, Code: 1, Stderr: s.err}
	}
	return nil
}

func (said) Close() error { return nil }

// A host that answers as it likes is believed in nothing: it does not know the mark.
func FuzzFilesOfALiar(f *testing.F) {
	for _, s := range []string{"", "[x]", "YQ==\n.\n", "-\n.\n", hostiletest.Text} {
		f.Add(s, "")
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, out, stderr string) {
		files := FilesOf(said{out, stderr})
		_, statErr := files.Stat(t.Context(), "/a")
		_, readErr := files.Read(t.Context(), "/a", 100)
		batch, _ := files.(BatchReader)
		_, allErr := batch.ReadAll(t.Context(), 100, "/a", "/b")
		for what, err := range map[string]error{
			"stat": statErr, "read": readErr, "read all": allErr,
			"write": files.Write(t.Context(), File{Path: "/a"}), "remove": files.Remove(t.Context(), "/a"),
		} {
			var file *FileError
			if !errors.As(err, &file) {
				t.Fatalf("%s of %q: %v", what, out, err)
			}
			if problem := hostiletest.Problem(err.Error()); problem != "" {
				t.Fatalf("%s: %s", what, problem)
			}
		}
	})
}
