// Package shelltest tries the shell scripts that Actions send to hosts.
package shelltest

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/plan"
)

// Run runs a script with dash, as plan.Script has it, where only these programs
// are found besides some coreutils, and DIR is a directory of the test's. It
// returns what it printed.
func Run(t *testing.T, script string, programs, vars map[string]string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	shell := tier.Program(t, "dash")
	for name, body := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!"+shell+"\n"+strings.ReplaceAll(body, "DIR", dir)+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"head", "tail", "cat", "grep", "env", "stat", "readlink"} {
		real, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(real, filepath.Join(dir, name)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	argv := plan.Script(place.ReplaceAllString(script, "${1}"+dir+"/"), vars, args...).Argv
	cmd := exec.CommandContext(t.Context(), shell, argv[1:]...)
	cmd.Env = []string{"PATH=" + dir}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return stdout.String()
}

// Files returns the scripts below a directory, by path.
func Files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".sh" {
			return err
		}
		b, err := os.ReadFile(path)
		found[path] = string(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// place is DIR in a script, and no variable of that name.
var place = regexp.MustCompile(`(^|[^A-Z_$])DIR/`)

var (
	documented = regexp.MustCompile(`(?m)^#   ([A-Z][A-Z_0-9]*)  +\S`)
	variable   = regexp.MustCompile(`\$\{?([A-Z][A-Z_0-9]*)\b`)
	assigned   = regexp.MustCompile(`(?m)(?:^|\s)([A-Z][A-Z_0-9]*)=`)
)

// Check requires that a script is POSIX shell for every shell that hosts have and
// for shellcheck, that its first line says what it does, since errors show that
// line, and that its header documents the variables and arguments that it uses.
func Check(t *testing.T, path, text string) {
	t.Helper()
	if _, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(text), path); err != nil {
		t.Error(err)
	}
	if first, _, _ := strings.Cut(text, "\n"); len(first) < 10 || !strings.HasPrefix(first, "# ") {
		t.Errorf("%s: the first line does not say what it does: %q", path, first)
	}
	header := ""
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		header += line
	}
	names := func(re *regexp.Regexp, in string) []string {
		var out []string
		for _, m := range re.FindAllStringSubmatch(in, -1) {
			out = append(out, m[1])
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	body := strings.TrimPrefix(text, header)
	own := names(assigned, body)
	used := slices.DeleteFunc(names(variable, body), func(name string) bool { return slices.Contains(own, name) })
	if known := names(documented, header); !slices.Equal(known, used) {
		t.Errorf("%s documents the variables %q and uses %q", path, known, used)
	}
	if strings.Contains(header, `"$@"`) != regexp.MustCompile(`(?m)\$[@#*]`).MatchString(outsideFunctions(body)) {
		t.Errorf("%s: its header is wrong about \"$@\"", path)
	}
	for _, argv := range [][]string{
		{tier.Program(t, "dash"), "-n"}, {tier.Program(t, "busybox"), "sh", "-n"}, {tier.Program(t, "shellcheck"), "--shell=sh", "-"},
	} {
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %s: %v\n%s", path, argv[0], err, out)
		}
	}
}

// outsideFunctions leaves out the bodies of functions, whose "$@" is their own.
func outsideFunctions(body string) string {
	return regexp.MustCompile(`(?ms)^\w+\(\) \{.*?(?:^\}| \})$`).ReplaceAllString(body, "")
}
