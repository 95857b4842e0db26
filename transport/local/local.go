//go:build unix

package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/internal/stream"
)

// Transport reaches this machine under any name. The zero value is ready to
// use.
type Transport struct {
	// Grace is the time between SIGTERM and SIGKILL to a command's process
	// group when its ctx has ended; 0 means 2 s.
	Grace time.Duration
	// Env is the environment of the commands, "NAME=value"; nil means this
	// process's own.
	Env []string
}

// Dial never fails, unless ctx has ended. The host's name appears in errors
// and nowhere else.
func (t *Transport) Dial(ctx context.Context, host string) (transport.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", host, err)
	}
	grace := t.Grace
	if grace == 0 {
		grace = 2 * time.Second
	}
	return &conn{host: host, grace: grace, env: t.Env, closed: make(chan struct{})}, nil
}

type conn struct {
	host  string
	grace time.Duration
	env   []string

	once   sync.Once
	closed chan struct{}
}

// Close stops what still runs.
func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *conn) open() error {
	select {
	case <-c.closed:
		return &transport.DialError{Host: c.host, Reason: transport.Lost, Err: net.ErrClosed}
	default:
		return nil
	}
}

// Run starts the command in a process group of its own, so that ending it
// reaches its children too.
func (c *conn) Run(ctx context.Context, cmd transport.Cmd) error {
	if err := c.open(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", c.host, err)
	}
	if err := transport.ValidateArgv(cmd.Argv); err != nil {
		return fmt.Errorf("%s: %w", c.host, err)
	}
	tail := stream.NewTail(transport.StderrLimit)
	stdout, stderr := stream.NewGate(cmd.Stdout), stream.NewGate(cmd.Stderr)
	defer stdout.Shut()
	defer stderr.Shut()
	p := exec.Command(cmd.Argv[0], cmd.Argv[1:]...) //nolint:noctx // the end of ctx ends the whole process group, below
	p.Env = c.env
	p.Stdout, p.Stderr = stdout, stream.Tee(stderr, tail)
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := p.StdinPipe()
	if err != nil {
		return fmt.Errorf("%s: %w", c.host, err)
	}
	if err := p.Start(); err != nil {
		_ = stdin.Close()
		return &transport.ExitError{Host: c.host, Argv: cmd.Argv, Code: startCode(err), Stderr: err.Error()}
	}
	input := stream.StartPump(stdin, cmd.Stdin)
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	err = c.wait(ctx, cmd, p.Process.Pid, ended)
	var exit *exec.ExitError
	var running *transport.StillRunningError // which may hold the status of what was to end the command
	switch {
	case errors.As(err, &running):
		return err
	case errors.As(err, &exit):
		return exitError(c.host, cmd.Argv, exit, tail.String())
	case err != nil:
		return err
	}
	if err := input.Err(); err != nil {
		return fmt.Errorf("%s: standard input: %w", c.host, err)
	}
	return nil
}

// wait ends the process group when ctx or the connection does, and then returns
// that as the error whatever the command made of it.
func (c *conn) wait(ctx context.Context, cmd transport.Cmd, pid int, ended <-chan error) error {
	var cause, why error
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		cause = ctx.Err()
		why = fmt.Errorf("%s: %w", c.host, cause)
	case <-c.closed:
		cause = c.open()
		why = cause
	}
	var missed error
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		missed = c.signal(cmd, signal, pid)
		timer := time.NewTimer(c.grace)
		select {
		case <-ended: //nolint:errcheck // that it ended is what matters here
			timer.Stop()
			// What the command left behind in its group has the same signal, and the same
			// time to clean up after itself: sudo may end before what it runs.
			if signal == syscall.SIGTERM && c.gone(pid) {
				return why
			}
			if missed = c.signal(cmd, syscall.SIGKILL, pid); c.gone(pid) {
				return why
			}
			if missed == nil {
				missed = errors.New("the command has ended, and what it started in its process group has not, after SIGKILL")
			}
			return &transport.StillRunningError{Host: c.host, Argv: cmd.Argv, Group: pid, Err: cause, Why: missed}
		case <-timer.C:
		}
	}
	if missed == nil {
		missed = errors.New("it has not ended after SIGKILL, or something that it started holds its output")
	}
	return &transport.StillRunningError{Host: c.host, Argv: cmd.Argv, Group: pid, Err: cause, Why: missed}
}

// gone waits for the end of all of a process group that has got a signal, for as long as
// a step of ending it may take. The command's ctx has ended already.
func (c *conn) gone(group int) bool {
	deadline := time.NewTimer(c.grace)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for runs(group) {
		select {
		case <-tick.C:
		case <-deadline.C:
			return !runs(group)
		}
	}
	return true
}

// signal sends to a process group, by the command's own Kill where it has one and
// there is something left to signal.
func (c *conn) signal(cmd transport.Cmd, signal syscall.Signal, group int) error {
	if cmd.Kill == nil {
		return syscall.Kill(-group, signal)
	}
	if errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) {
		return nil
	}
	by := cmd.Kill(strings.TrimPrefix(unix.SignalName(signal), "SIG"), group)
	// The command's ctx has ended; this one's patience is that of every step of
	// ending it.
	ctx, cancel := context.WithTimeout(context.Background(), c.grace)
	defer cancel()
	p := exec.CommandContext(ctx, by.Argv[0], by.Argv[1:]...)
	p.Env, p.Stdin, p.WaitDelay = c.env, by.Stdin, c.grace
	tail := stream.NewTail(transport.StderrLimit)
	p.Stdout, p.Stderr = by.Stdout, stream.Tee(by.Stderr, tail)
	if err := p.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", by.Argv[0], err, strings.TrimSpace(tail.String()))
	}
	return nil
}

// DialContext connects from this machine.
func (c *conn) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := c.open(); err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// startCode is what a shell would exit with.
func startCode(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, syscall.ENOENT) {
		return 127
	}
	return 126
}

func exitError(host string, argv []string, exit *exec.ExitError, stderr string) error {
	e := &transport.ExitError{Host: host, Argv: argv, Code: exit.ExitCode(), Stderr: stderr}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = strings.TrimPrefix(unix.SignalName(status.Signal()), "SIG")
	}
	return e
}
