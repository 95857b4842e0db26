package transport

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
	"pgregory.net/rapid"
)

// Every script sent to hosts is POSIX shell.
func TestScriptsParse(t *testing.T) {
	files := []File{{Path: "/a/b", Data: Bytes([]byte("x"))}, {Path: "/c"}, {Path: "/a/d"}}
	gather := batches([]string{"/a", "/b"}, []Query{
		{Argv: []string{"x", "y z"}}, {Argv: []string{"x"}, Stdin: Bytes([]byte("in"))}, {Argv: []string{"x"}, Needs: "/a"}, {Argv: []string{"x"}, Stdin: Bytes([]byte("in")), Needs: "/a"},
	})
	for name, script := range map[string]string{
		"gather": gather[0].script(), "stat": commonScript + statScript, "read": commonScript + readScript, "read all": commonScript + readAllScript, "remove": commonScript + removeScript,
		"upload": commonScript + placeScript + uploadScript, "write": writeScript(files),
	} {
		if _, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(script), name); err != nil {
			t.Error(err)
		}
	}
}

// A write script that is cut short anywhere, as by a lost connection, never
// replaces a file: it is a syntax error, or ends before its last line.
func TestWriteScriptCutShort(t *testing.T) {
	p := t.TempDir() + "/f"
	script := writeScript([]File{{Path: p, Mode: 0o600, Data: Bytes(bytes.Repeat([]byte("secret"), 50))}})
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, strings.LastIndex(script, "main")).Draw(t, "length")
		cmd := exec.Command("sh", "-s", "--", p, "0600", "")
		cmd.Stdin = strings.NewReader(script[:n])
		out, _ := cmd.CombinedOutput()
		if strings.Contains(string(out), "secret") {
			t.Fatalf("content in %q", out)
		}
		if err := exec.Command("test", "!", "-e", p).Run(); err != nil {
			t.Fatalf("after %d of %d bytes the file is there", n, len(script))
		}
	})
}

// Stat's lines are read strictly: anything else is an error, never a guess.
func FuzzParseStat(f *testing.F) {
	f.Add("-")
	f.Add("d 755 root 0 root 0 4096")
	f.Add("f 600 UNKNOWN 1234 root 0 1 " + strings.Repeat("ab", 32))
	f.Fuzz(func(t *testing.T, line string) {
		info, err := parseStat("/p", line)
		if err == nil && line != "-" && !info.Exists {
			t.Errorf("%q gave %+v", line, info)
		}
	})
}
