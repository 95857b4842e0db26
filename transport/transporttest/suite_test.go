//go:build unix

package transporttest_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/local"
	"github.com/quorate-dev/quorate/transport/transporttest"
)

// flawed is a transport whose connections break one rule.
type flawed struct {
	local.Transport
	run   func(ctx context.Context, inner transport.Conn, cmd transport.Cmd) error
	close func(inner transport.Conn) error
}

func (f *flawed) Dial(ctx context.Context, host string) (transport.Conn, error) {
	inner, err := f.Transport.Dial(ctx, host)
	if err != nil {
		return nil, err
	}
	return &flawedConn{inner, f}, nil
}

type flawedConn struct {
	inner transport.Conn
	flaw  *flawed
}

func (c *flawedConn) Run(ctx context.Context, cmd transport.Cmd) error {
	if c.flaw.run == nil {
		return c.inner.Run(ctx, cmd)
	}
	return c.flaw.run(ctx, c.inner, cmd)
}

func (c *flawedConn) Close() error {
	if c.flaw.close == nil {
		return c.inner.Close()
	}
	return c.flaw.close(c.inner)
}

// flaws are transports that the suite has to fail, and what it has to say.
var flaws = map[string]struct {
	flawed
	part, says string
}{
	"Run hangs": {flawed{run: func(ctx context.Context, inner transport.Conn, cmd transport.Cmd) error {
		if len(cmd.Argv) > 0 && cmd.Argv[0] == "/nonexistent/program" {
			select {}
		}
		return inner.Run(ctx, cmd)
	}}, "commands/a_program", `Run of ["/nonexistent/program" "x"] has not returned`},
	"Run ignores ctx": {flawed{run: func(ctx context.Context, inner transport.Conn, cmd transport.Cmd) error {
		return inner.Run(context.WithoutCancel(ctx), cmd)
	}}, "cancelling/while_it_runs", `sleep 600"] has not returned`},
	"Close hangs":     {flawed{close: func(transport.Conn) error { select {} }}, "closing", "Close has not returned"},
	"Run after Close": {flawed{close: func(transport.Conn) error { return nil }}, "closing", "has not returned"},
	"status 1 for no program": {flawed{run: func(ctx context.Context, inner transport.Conn, cmd transport.Cmd) error {
		err := inner.Run(ctx, cmd)
		var exit *transport.ExitError
		if errors.As(err, &exit) && exit.Code == 127 {
			exit.Code = 1
		}
		return err
	}}, "commands/a_program", "exit status 1"},
	"a greeting": {flawed{run: func(ctx context.Context, inner transport.Conn, cmd transport.Cmd) error {
		if cmd.Stdout != nil {
			_, _ = io.WriteString(cmd.Stdout, "Welcome\n")
		}
		return inner.Run(ctx, cmd)
	}}, "commands/exit_status", `Welcome\nout`},
	"SIGKILL at once": {flawed{run: func(ctx context.Context, inner transport.Conn, cmd transport.Cmd) error {
		cmd.Kill = func(_ string, group int) transport.Cmd {
			return transport.Cmd{Argv: []string{"sh", "-c", `kill -s KILL -- "-$1"`, "sh", strconv.Itoa(group)}}
		}
		return inner.Run(ctx, cmd)
	}}, "cancelling/SIGTERM", "the command's trap runs: not within"},
	"words through a shell": {flawed{run: func(ctx context.Context, inner transport.Conn, cmd transport.Cmd) error {
		cmd.Argv = []string{"sh", "-c", strings.Join(cmd.Argv, " ")}
		return inner.Run(ctx, cmd)
	}}, "commands/arguments", "FAIL"},
}

const flawVariable = "QUORATE_FLAW"

// TestFlawed is the suite on a flawed transport, in a process of its own.
func TestFlawed(t *testing.T) {
	name := os.Getenv(flawVariable)
	if name == "" {
		t.Skip("for TestSuiteFindsFlaws")
	}
	tr := flaws[name].flawed
	tr.Grace = 100 * time.Millisecond
	transporttest.Run(t, transporttest.Harness{Transport: &tr, Host: "here", Dir: t.TempDir(), Patience: time.Second})
}

// Each rule that a transport may break is found, named, and in a time that the
// suite bounds itself.
func TestSuiteFindsFlaws(t *testing.T) {
	for name, flaw := range flaws {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestFlawed$/"+flaw.part, "-test.timeout=1m", "-test.v")
			cmd.Env = append(os.Environ(), flawVariable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), flaw.says) || strings.Contains(string(out), "panic: test timed out") {
				t.Errorf("%v, want %q in:\n%s", err, flaw.says, out)
			}
		})
	}
}
