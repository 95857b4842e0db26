//go:build unix

package sudo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/local"
	"github.com/quorate-dev/quorate/transport/sudo"
)

// asks prints the prompt that it is called with, as sudo does.
const asks = `while [ "$#" -gt 0 ] && [ "$1" != -- ]; do
	if [ "$1" = -p ]; then printf '%s' "$2" >&2; fi
	shift
done
`

// through is this machine with a script in sudo's place.
func through(t *testing.T, script string, cfg sudo.Config) transport.Conn {
	t.Helper()
	bin := t.TempDir()
	if err := os.WriteFile(bin+"/sudo", []byte("#!/bin/sh\n"+script), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	inner := &local.Transport{Env: []string{"PATH=" + bin + ":" + os.Getenv("PATH")}, Grace: 100 * time.Millisecond}
	conn, err := sudo.New(inner, cfg).Dial(t.Context(), "here")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Whatever runs in sudo's place, the error says what it refused and what to
// do, and nothing is believed that did not come from the command.
func TestRefusals(t *testing.T) {
	var calls atomic.Int32
	for name, c := range map[string]struct {
		script string
		reason sudo.Reason
		says   string
	}{
		"requiretty": {`echo "sudo: sorry, you must have a tty to run sudo" >&2; exit 1`, sudo.TerminalNeeded, "!requiretty"},
		"another language": {`if [ "$LC_ALL" = C ]; then echo "me is not in the sudoers file." >&2
			else echo "me steht nicht in der sudoers-Datei." >&2; fi; exit 1`, sudo.NotAllowed, "no rule for this user"},
		"expired":       {`echo "sudo: Account or password is expired, reset your password and try again" >&2; exit 1`, sudo.AccountRefused, "chage"},
		"no setuid":     {`echo "sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set" >&2; exit 1`, sudo.NotPrivileged, "nosuid"},
		"success":       {`echo ok; exit 0`, sudo.NotStarted, "did not run"},
		"flood":         {`while :; do echo "a sudo that goes on and on"; done >&2`, sudo.TooMuchPrinted, "64 KiB"},
		"flood, stdout": {`while :; do echo "a sudo that goes on and on"; done`, sudo.TooMuchPrinted, "64 KiB"},
		"echo": {asks + `IFS= read -r typed; echo "sudo: not $typed" >&2; echo "Sorry, $typed" >&2; echo "so $typed it is" >&2
			echo "$typed" | cut -c1-8 >&2; exit 1`, sudo.WrongPassword, "sudo: not [password]"},
		"echo, then not allowed": {asks + `IFS= read -r typed; echo "$typed is not in the sudoers file" >&2; exit 1`, sudo.NotAllowed, ": not in the sudoers file"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := through(t, c.script, sudo.Config{Password: password(sudoPassword, &calls)})
			out, err := transport.Output(t.Context(), conn, "id")
			var refused *sudo.Error
			if len(out) > 0 || !errors.As(err, &refused) || refused.Reason != c.reason || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q, %v", out, err)
			}
			var exit *transport.ExitError
			errors.As(err, &exit)
			if shown := fmt.Sprintf("%v %+v %#v %+v %#v", err, err, refused, exit, exit); strings.Contains(shown, "MARKER") || strings.Contains(shown, sudoPassword[:8]) {
				t.Errorf("shows the password: %s", shown)
			}
		})
	}
}

// What PAM asks beyond the password is in the error when ctx ends.
func TestUnknownQuestion(t *testing.T) {
	conn := through(t, `printf 'Verification code: ' >&2; exec sleep 600`, sudo.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := conn.Run(ctx, transport.Cmd{Argv: []string{"id"}})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "Verification code:") {
		t.Errorf("got %v", err)
	}
}

// A command of sudo's that prints the password itself does not put it into an
// error either.
func TestEchoAfterTheStart(t *testing.T) {
	var calls atomic.Int32
	conn := through(t, asks+`IFS= read -r typed; shift; "$@"; echo "$typed" >&2; exit 4`, sudo.Config{Password: password(sudoPassword, &calls)})
	err := conn.Run(t.Context(), transport.Cmd{Argv: []string{"sh", "-c", "exit 4"}})
	var exit *transport.ExitError
	if !errors.As(err, &exit) || exit.Code != 4 || strings.Contains(fmt.Sprintf("%v %#v", err, exit), "MARKER") {
		t.Errorf("got %v", err)
	}
}

// The command's own status counts, whatever runs in sudo's place makes of it; where the
// command's did not come, success is not believed.
func TestReplacedStatus(t *testing.T) {
	const words = `while [ "$1" != -- ]; do shift; done; shift; `
	for name, c := range map[string]struct {
		script  string
		own     bool
		unknown bool
	}{
		"pipe":        {words + `"$@" | cat`, true, false},
		"exit 0":      {words + `"$@"; exit 0`, true, false},
		"exit 1":      {words + `"$@"; exit 1`, true, false},
		"signal":      {words + `"$@"; kill -KILL $$`, true, false},
		"no end":      {words + `"$@" 2>&1 >&3 3>&- | sed 's/\[\/.*//' >&2`, false, true},
		"no end, 0":   {words + `"$@" 2>"$0.said"; sed 's/\[\/.*//' "$0.said" >&2`, false, true},
		"no end, 1":   {words + `"$@" 2>"$0.said"; sed 's/\[\/.*//' "$0.said" >&2; exit 9`, false, false},
		"both as one": {words + `"$@" 2>&1`, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			conn := through(t, "exec 3>&1\n"+c.script, sudo.Config{})
			for _, code := range []int{0, 7} {
				err := conn.Run(t.Context(), transport.Cmd{Argv: []string{"sh", "-c", fmt.Sprintf("echo problem >&2; exit %d", code)}})
				var exit *transport.ExitError
				var unknown *transport.UnknownExitError
				switch {
				case c.own && code == 0:
					if err != nil {
						t.Error(err)
					}
				case c.own:
					if !errors.As(err, &exit) || exit.Code != code || exit.Signal != "" || exit.Stderr != "problem\n" {
						t.Errorf("status %d: %v", code, err)
					}
				case c.unknown:
					if !errors.As(err, &unknown) || unknown.Stderr != "problem\n" {
						t.Errorf("status %d: %v", code, err)
					}
				case err == nil:
					t.Errorf("status %d: no error", code)
				}
			}
		})
	}
}

// The command has the locale that it would have had, not the one that sudo is
// called with.
func TestLocaleOfTheCommand(t *testing.T) {
	conn := through(t, `while [ "$1" != -- ]; do shift; done; shift; exec "$@"`, sudo.Config{})
	for _, want := range []string{"unset", "en_US.UTF-8"} {
		argv := []string{"sh", "-c", `echo "${LC_ALL-unset}"`}
		inner := conn
		if want != "unset" {
			bin := t.TempDir()
			if err := os.WriteFile(bin+"/sudo", []byte("#!/bin/sh\n"+`while [ "$1" != -- ]; do shift; done; shift; exec "$@"`), 0o755); err != nil { //nolint:gosec // a program
				t.Fatal(err)
			}
			var err error
			inner, err = sudo.New(&local.Transport{Env: []string{"LC_ALL=" + want, "PATH=" + bin + ":" + os.Getenv("PATH")}}, sudo.Config{}).Dial(t.Context(), "here")
			if err != nil {
				t.Fatal(err)
			}
		}
		if out, err := transport.Output(t.Context(), inner, argv...); err != nil || string(out) != want+"\n" {
			t.Errorf("%q, %v", out, err)
		}
	}
}
