// Package shelltest runs shell scripts in tests, with programs of the test's own in PATH.
package shelltest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/internal/tier"
)

// Dash returns the path of dash.
func Dash(t *testing.T) string {
	t.Helper()
	return tier.Program(t, "dash")
}

// Run runs a script with dash, where only these programs are found
// besides some coreutils, and DIR is a directory of the test's. It gives what it
// printed.
func Run(t *testing.T, script string, programs map[string]string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	shell := Dash(t)
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
	cmd := exec.Command(shell, append([]string{"-c", strings.ReplaceAll(script, "DIR", dir), "sh"}, args...)...)
	cmd.Env = []string{"PATH=" + dir}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return stdout.String()
}
