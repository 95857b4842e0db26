package ssh

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"al.essio.dev/pkg/shellescape"
	"golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/internal/stream"
)

// conn is one caller's share of a client.
type conn struct {
	client *client
	host   string
	grace  time.Duration

	mu      sync.Mutex
	shut    bool
	tunnels map[*tunnel]struct{}
	closed  chan struct{}
}

func newConn(c *client, host string, grace time.Duration) *conn {
	return &conn{client: c, host: host, grace: grace, tunnels: map[*tunnel]struct{}{}, closed: make(chan struct{})}
}

// Close ends the commands and tunnels of this Conn.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.shut {
		c.shut = true
		close(c.closed)
	}
	for t := range c.tunnels {
		t.hangUp()
	}
	return nil
}

func (c *conn) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", c.host, err)
	}
	select {
	case <-c.closed:
		return c.closedError()
	default:
	}
	if c.client.lost() != nil {
		return c.client.lostError(nil)
	}
	return nil
}

func (c *conn) closedError() error { return c.client.hop.dialError(transport.Lost, net.ErrClosed, "") }

// CommandLine is what is sent for an argument vector: a line that any login
// shell splits back into exactly these words. exec keeps the shell's own
// builtins, keywords and assignments out of it, and makes the program receive
// the signals.
func CommandLine(argv []string) string { return "exec " + shellescape.QuoteCommand(argv) }

// Run runs the command in a session of its own.
func (c *conn) Run(ctx context.Context, cmd transport.Cmd) error {
	if err := c.usable(ctx); err != nil {
		return err
	}
	if len(cmd.Argv) == 0 {
		return fmt.Errorf("%s: a command without a program", c.host)
	}
	for _, arg := range cmd.Argv {
		if strings.ContainsRune(arg, 0) {
			return fmt.Errorf("%s: an argument of %q holds a NUL byte", c.host, cmd.Argv[0])
		}
	}
	if err := c.client.enter(ctx, c.closed); err != nil {
		return err
	}
	defer c.client.leave()
	if err := c.usable(ctx); err != nil {
		return err
	}
	mark := make([]byte, 8)
	if _, err := rand.Read(mark); err != nil {
		return fmt.Errorf("%s: %w", c.host, err)
	}
	e := &execution{
		client: c.client.ssh, mark: hex.EncodeToString(mark), cmd: cmd, tail: stream.NewTail(transport.StderrLimit),
		stdout: stream.NewGate(cmd.Stdout), stderr: stream.NewGate(cmd.Stderr),
	}
	defer e.stdout.Shut()
	defer e.stderr.Shut()
	e.said = &pidGate{mark: e.mark, to: teeTail{e.stderr, e.tail}}
	ended := make(chan error, 1)
	go func() { ended <- e.do() }()
	select {
	case err := <-ended:
		return c.result(cmd, e, err)
	case <-ctx.Done():
		e.stop(ended, c.grace)
		return fmt.Errorf("%s: %w", c.host, ctx.Err())
	case <-c.closed:
		e.stop(ended, c.grace)
		return c.closedError()
	}
}

// result makes the library's error ours.
func (c *conn) result(cmd transport.Cmd, e *execution, err error) error {
	var exit *ssh.ExitError
	var refused *ssh.OpenChannelError
	switch {
	case err == nil:
		if err := e.input.Err(); err != nil {
			return fmt.Errorf("%s: standard input: %w", c.host, err)
		}
		return nil
	case errors.As(err, &exit):
		failed := &transport.ExitError{Host: c.host, Argv: cmd.Argv, Code: exit.ExitStatus(), Signal: exit.Signal(), Stderr: e.tail.String()}
		if failed.Signal != "" {
			failed.Code = -1
		}
		return failed
	case errors.As(err, &refused):
		return c.client.hop.dialError(transport.Refused, err, "the host allows fewer sessions at once than asked for (sshd's MaxSessions): lower Config.Sessions")
	case errors.Is(err, errOutput):
		return fmt.Errorf("%s: %w", c.host, err)
	}
	return c.client.failed(err, c.grace)
}

// errOutput tells that the caller's writer failed.
var errOutput = errors.New("output could not be delivered")

// execution is one command's session.
type execution struct {
	client         *ssh.Client
	mark           string
	cmd            transport.Cmd
	said           *pidGate
	tail           *stream.Tail
	stdout, stderr *stream.Gate
	input          *stream.Pump

	mu      sync.Mutex
	session *ssh.Session
	stopped bool
}

// do opens the session, runs the command and waits for its end.
func (e *execution) do() error {
	session, err := e.client.NewSession()
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	if !e.begin(session) {
		return net.ErrClosed
	}
	stdin, err := session.StdinPipe()
	if err != nil {
		return err
	}
	session.Stdout, session.Stderr = e.stdout, e.said
	defer e.said.flush()
	if err := session.Start(CommandLine(announced(e.mark, e.cmd.Argv))); err != nil {
		return err
	}
	e.input = stream.StartPump(stdin, e.cmd.Stdin)
	return classifyWait(session.Wait())
}

// classifyWait marks errors of the caller's own writers.
func classifyWait(err error) error {
	var exit *ssh.ExitError
	var missing *ssh.ExitMissingError
	if err == nil || errors.As(err, &exit) || errors.As(err, &missing) {
		return err
	}
	return fmt.Errorf("%w: %w", errOutput, err)
}

// begin makes the session stoppable; false if it was stopped before.
func (e *execution) begin(s *ssh.Session) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.session = s
	return !e.stopped
}

// stop sends SIGTERM, then SIGKILL, and then gives up on the session; each
// step waits no longer than grace, also if the host answers nothing.
func (e *execution) stop(ended <-chan error, grace time.Duration) {
	e.mu.Lock()
	e.stopped = true
	session := e.session
	e.mu.Unlock()
	if session == nil {
		return // do closes it when it opens
	}
	for _, signal := range []ssh.Signal{ssh.SIGTERM, ssh.SIGKILL} {
		// Sending blocks when the connection does.
		go func() { e.signal(session, signal) }()
		timer := time.NewTimer(grace)
		select {
		case <-ended: //nolint:errcheck // that it ended is what matters here
			timer.Stop()
			return
		case <-timer.C:
		}
	}
	go func() { _ = session.Close() }()
}

// signal sends by the protocol, and by a command of its own for servers that
// do not deliver it. Both are harmless to a process that is gone: a session
// that has ended takes no signal, and ids are not reused within a grace.
func (e *execution) signal(session *ssh.Session, signal ssh.Signal) {
	_ = session.Signal(signal)
	group := e.said.group()
	if group <= 1 {
		return
	}
	killer, err := e.client.NewSession()
	if err != nil {
		return
	}
	defer func() { _ = killer.Close() }()
	_ = killer.Run(fmt.Sprintf("kill -%s -- -%d", signal, group))
}

// teeTail writes to the caller's writer and keeps the tail, even where the
// caller's fails.
type teeTail struct {
	to   *stream.Gate
	tail *stream.Tail
}

func (t teeTail) Write(p []byte) (int, error) {
	_, _ = t.tail.Write(p)
	return t.to.Write(p)
}
