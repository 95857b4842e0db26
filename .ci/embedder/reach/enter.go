// Package reach has a program's own ways to hosts.
package reach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/quorate-dev/quorate/transport"
)

// Enter reaches hosts that live on this machine, in namespaces or below a root
// directory: its commands begin with words that enter the host ("ip", "netns", "exec",
// NAME). It has none of the abilities of a Conn: files then travel by shell scripts.
type Enter struct {
	// Words that enter a host; none where it is this machine.
	Words func(host string) []string
	// Grace between SIGTERM and SIGKILL.
	Grace time.Duration
}

// Dial implements transport.Transport.
func (e Enter) Dial(ctx context.Context, host string) (transport.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", host, err)
	}
	return &entered{Enter: e, host: host, closed: make(chan struct{})}, nil
}

type entered struct {
	Enter
	host   string
	once   sync.Once
	closed chan struct{}
}

func (c *entered) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *entered) lost() error {
	return &transport.DialError{Host: c.host, Reason: transport.Lost, Err: net.ErrClosed}
}

// Run implements transport.Conn.
func (c *entered) Run(ctx context.Context, cmd transport.Cmd) error {
	select {
	case <-c.closed:
		return c.lost()
	default:
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", c.host, err)
	}
	if err := transport.ValidateArgv(cmd.Argv); err != nil {
		return fmt.Errorf("%s: %w", c.host, err)
	}
	argv := append(c.Words(c.host), cmd.Argv...)
	p := exec.Command(argv[0], argv[1:]...)
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	undelivered := make(chan error, 2)
	tail := &tail{}
	stdout, stderr := &watched{to: cmd.Stdout, failed: undelivered}, &watched{to: cmd.Stderr, failed: undelivered, tail: tail}
	p.Stdout, p.Stderr = stdout, stderr
	stdin, err := p.StdinPipe()
	if err != nil {
		return fmt.Errorf("%s: %w", c.host, err)
	}
	if err := p.Start(); err != nil {
		_ = stdin.Close()
		code := 126
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, syscall.ENOENT) {
			code = 127
		}
		return &transport.ExitError{Host: c.host, Argv: cmd.Argv, Code: code, Stderr: err.Error()}
	}
	input := make(chan error, 1)
	go func() {
		var err error
		if cmd.Stdin != nil {
			_, err = io.Copy(stdin, cmd.Stdin)
		}
		_ = stdin.Close()
		if errors.Is(err, syscall.EPIPE) {
			err = nil // the command ended without reading all of it
		}
		input <- err
	}()
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	var why error
	select {
	case err = <-ended:
	case <-ctx.Done():
		why = fmt.Errorf("%s: %w", c.host, ctx.Err())
	case <-c.closed:
		why = c.lost()
	case err := <-undelivered:
		why = fmt.Errorf("%s: its output could not be delivered: %w", c.host, err)
	}
	if why != nil {
		stdout.shut()
		stderr.shut()
		return c.end(cmd, p.Process.Pid, ended, why)
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		e := &transport.ExitError{Host: c.host, Argv: cmd.Argv, Code: exit.ExitCode(), Stderr: tail.String()}
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			e.Signal = map[syscall.Signal]string{syscall.SIGTERM: "TERM", syscall.SIGKILL: "KILL", syscall.SIGINT: "INT"}[status.Signal()]
		}
		return e
	case err != nil:
		return fmt.Errorf("%s: its output could not be delivered: %w", c.host, err)
	}
	select {
	case err := <-input:
		if err != nil {
			return fmt.Errorf("%s: standard input: %w", c.host, err)
		}
	default: // it ended and left its input unread
	}
	return nil
}

// end sends SIGTERM to the command's group, and SIGKILL to what is left.
func (c *entered) end(cmd transport.Cmd, group int, ended <-chan error, why error) error {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = syscall.Kill(-group, signal)
		timer := time.NewTimer(c.Grace)
		select {
		case <-ended:
			timer.Stop()
			_ = syscall.Kill(-group, syscall.SIGKILL)
			return why
		case <-timer.C:
		}
	}
	return &transport.StillRunningError{Host: c.host, Argv: cmd.Argv, Group: group, Err: why, Why: errors.New("it has not ended after SIGKILL")}
}

// watched hands on what a command prints until it is shut.
type watched struct {
	mu     sync.Mutex
	to     io.Writer
	tail   *tail
	failed chan<- error
	over   bool
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return len(b), nil
	}
	if w.tail != nil {
		w.tail.add(b)
	}
	if w.to == nil {
		return len(b), nil
	}
	n, err := w.to.Write(b)
	if err != nil {
		select {
		case w.failed <- err:
		default:
		}
	}
	return n, err
}

// shut returns at once, also while somebody's Write hangs.
func (w *watched) shut() {
	go func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.over = true
	}()
}

// tail is the end of a command's standard error.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) add(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if over := len(t.b) - transport.StderrLimit; over > 0 {
		t.b = append([]byte(nil), t.b[over:]...)
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
