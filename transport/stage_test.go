//go:build unix

package transport_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/transport"
)

// inPath is a host with another sh, and programs of the test's before its own.
func inPath(t *testing.T, conn running, shell string, programs map[string]string) running {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(shell, filepath.Join(dir, "sh")); err != nil {
		t.Fatal(err)
	}
	for name, script := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	return func(ctx context.Context, cmd transport.Cmd) error {
		cmd.Argv = append([]string{"env", "PATH=" + dir + ":" + os.Getenv("PATH")}, cmd.Argv...)
		return conn(ctx, cmd)
	}
}

// Between its making and its use a stage, or the directory around it, is replaced by
// a link to a private directory of the same user, full or empty. Nothing there or
// beside it is touched.
func TestStageThatLeadsElsewhere(t *testing.T) {
	mktemp := tier.Program(t, "mktemp")
	var shells []string
	for _, shell := range []string{"dash", "bash", "busybox"} {
		if path, err := exec.LookPath(shell); err == nil {
			shells = append(shells, path)
		} else if os.Getenv("QUORATE_CI") != "" {
			t.Fatal(err)
		}
	}
	for name, swap := range map[string]string{
		"the stage":  `mv "$dir" "$dir.aside"; ln -s "$VAULT" "$dir"`,
		"its parent": `p=${dir%/*}; mv "$p" "$p.aside"; mkdir "$p"; ln -s "$VAULT" "$p/${dir##*/}"`,
	} {
		for i, held := range []string{"", "f0", "from"} {
			shell := shells[i%len(shells)]
			for op, do := range map[string]func(f transport.Filer, path string) error{
				"write": func(f transport.Filer, path string) error {
					return f.Write(t.Context(), transport.File{Path: path, Data: transport.Bytes([]byte("SECRET"))})
				},
				"upload": func(f transport.Filer, path string) error {
					return f.Upload(t.Context(), transport.File{Path: path}, strings.NewReader("SECRET"))
				},
				"fails": func(f transport.Filer, path string) error {
					return f.Write(t.Context(), transport.File{Path: path, Owner: "no-such-user-here", Data: transport.Bytes([]byte("SECRET"))})
				},
			} {
				t.Run(name+", "+op+", holds "+held, func(t *testing.T) {
					base := t.TempDir()
					around := filepath.Join(base, "around")
					vault := filepath.Join(around, "vault")
					if err := os.MkdirAll(vault, 0o700); err != nil {
						t.Fatal(err)
					}
					if held != "" {
						if err := os.WriteFile(filepath.Join(vault, held), []byte("mine"), 0o600); err != nil {
							t.Fatal(err)
						}
					}
					theirs := filepath.Join(base, "theirs")
					if err := os.Mkdir(theirs, 0o755); err != nil {
						t.Fatal(err)
					}
					conn := inPath(t, here(t), shell, map[string]string{"mktemp": "dir=$(" + mktemp + " \"$@\") || exit\nprintf '%s\\n' \"$dir\"\ncase $dir in /*) ;; *) dir=$PWD/${dir#./} ;; esac\nVAULT='" + vault + "'\n" + swap + "\n"})
					err := do(transport.FilesOf(conn), filepath.Join(theirs, "key"))
					if err == nil && name == "the stage" {
						t.Error("it was written")
					}
					var found []string
					_ = filepath.WalkDir(around, func(p string, _ os.DirEntry, _ error) error {
						found = append(found, strings.TrimPrefix(p, around))
						return nil
					})
					want := " /vault"
					if held != "" {
						want += " /vault/" + held
					}
					if got := strings.Join(found, " "); got != want {
						t.Errorf("root's own directory holds %q, want %q; %v", got, want, err)
					}
				})
			}
		}
	}
}

// A write that gets SIGTERM, and another while it cleans up, as from a sudo that
// passes it on, leaves nothing behind and has written nothing.
func TestStageAfterTwoSignals(t *testing.T) {
	base64, rm := tier.Program(t, "base64"), tier.Program(t, "rm")
	for _, shell := range []string{"dash", "bash"} {
		t.Run(shell, func(t *testing.T) {
			conn := inPath(t, here(t), tier.Program(t, shell), map[string]string{
				"base64": "kill -TERM \"$PPID\"\nexec " + base64 + " \"$@\"\n",
				"rm":     "case $* in *./*) kill -TERM \"$PPID\" ;; esac\nexec " + rm + " \"$@\"\n",
			})
			dir := t.TempDir()
			err := transport.FilesOf(conn).Write(t.Context(), transport.File{Path: dir + "/f", Data: transport.Bytes([]byte("new"))})
			var exit *transport.ExitError
			if !errors.As(err, &exit) || exit.Code != 143 {
				t.Errorf("got %v", err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}
