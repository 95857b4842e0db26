package transport

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
	"pgregory.net/rapid"
)

// sentScripts are the scripts as hosts get them.
func sentScripts() map[string]string {
	files := []File{{Path: "/a/b", Data: Bytes([]byte("x"))}, {Path: "/c"}, {Path: "/a/it's", Owner: "root", Group: "0"}}
	gather := newBatch([]string{"/a", "/b"}, []Query{
		{Argv: []string{"x", "y z"}}, {Argv: []string{"x"}, Stdin: Bytes([]byte("in"))}, {Argv: []string{"x"}, Needs: "/a"}, {Argv: []string{"x"}, Stdin: Bytes([]byte("in")), Needs: "/a"},
	})
	sent := map[string]string{"gather": gather.script("m")}
	for name, s := range map[string]script{
		"stat": {text: describeScript([]string{"/a", "/it's"})}, "read": {text: readScript, args: []string{"/a", "5"}},
		"readall": {text: readAllScript, args: []string{"5", "/a"}}, "remove": {text: removeScript, args: []string{"/a"}},
		"upload": {text: stageScript + uploadScript, args: []string{"/a", "b", "0600", ""}}, "write": {text: stageScript + writeScript(files)},
	} {
		sent[name] = s.compose("m")
	}
	return sent
}

// Every script sent to hosts is POSIX shell, for a parser, for the shells that
// hosts have and for shellcheck. SC2317 is about functions that nobody calls: what the
// scripts have in common is more than each of them needs.
func TestScriptsParse(t *testing.T) {
	for name, text := range sentScripts() {
		if _, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(text), name); err != nil {
			t.Error(err)
		}
		for _, argv := range [][]string{{"dash", "-n"}, {"busybox", "sh", "-n"}, {"shellcheck", "--shell=sh", "--severity=style", "--exclude=SC2317", "-"}} {
			if _, err := exec.LookPath(argv[0]); err != nil {
				if os.Getenv("QUORATE_CI") != "" {
					t.Fatal(err)
				}
				continue // the other shells run all the same
			}
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Stdin = strings.NewReader(text)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %q: %v: %s", name, argv, err, out)
			}
		}
	}
}

// A write script that is cut short anywhere, as by a lost connection, never
// replaces a file: it is a syntax error, or ends before its last line.
func TestWriteScriptCutShort(t *testing.T) {
	p := t.TempDir() + "/f"
	text := script{text: stageScript + writeScript([]File{{Path: p, Mode: 0o600, Data: Bytes(bytes.Repeat([]byte("secret"), 50))}})}.compose("m")
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, strings.LastIndex(text, "answer")).Draw(t, "length")
		cmd := exec.Command("sh", "-s")
		cmd.Stdin = strings.NewReader(text[:n])
		out, _ := cmd.CombinedOutput()
		if strings.Contains(string(out), "secret") {
			t.Fatalf("content in %q", out)
		}
		if _, err := os.Lstat(p); err == nil {
			t.Fatalf("after %d of %d bytes the file is there", n, len(text))
		}
	})
}

// Stat's lines are read strictly: anything else is an error, never a guess.
func FuzzParseStat(f *testing.F) {
	f.Add("-")
	f.Add("d 755 root 0 root 0 4096")
	f.Add("f 600 UNKNOWN 1234 root 0 1 " + strings.Repeat("ab", 32))
	for _, hostile := range []string{
		"f \x1b[2J root 0 root 0 1 ab", "f 600 \u202eroot 0 root 0 1 " + strings.Repeat("ab", 32), "d 777777777777 a 1 b 2 3", "f 600 a 1 b 2 -1 " + strings.Repeat("ab", 32),
		"f 600 a 1 b 2 99999999999999999999 ab", "\x00", "- -", strings.Repeat("f ", 10000), "d 755 root 0 root 0 4096\nd 755 root 0 root 0 4096", "é 1 2 3",
	} {
		f.Add(hostile)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if all, err := parseStats([]string{"/p", "/q"}, line); err == nil && len(all) != 2 {
			t.Errorf("%q returned %+v", line, all)
		}
		info, err := parseStat("/p", line)
		if err == nil && line != "-" && !info.Exists {
			t.Errorf("%q returned %+v", line, info)
		}
	})
}
