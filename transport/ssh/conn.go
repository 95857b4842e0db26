package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/quorate-dev/quorate/transport"
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

// Run runs the command in a session of its own.
func (c *conn) Run(ctx context.Context, cmd transport.Cmd) error {
	if err := c.usable(ctx); err != nil {
		return err
	}
	if err := transport.ValidateArgv(cmd.Argv); err != nil {
		return fmt.Errorf("%s: %w", c.host, err)
	}
	if err := c.client.enter(ctx, c.closed); err != nil {
		return err
	}
	if err := c.usable(ctx); err != nil {
		c.client.leave()
		return err
	}
	e, err := newExecution(c.client, cmd)
	if err != nil {
		c.client.leave()
		return fmt.Errorf("%s: %s: %w", c.host, cmd.Argv[0], err)
	}
	defer e.release()
	defer e.stdout.Shut()
	defer e.stderr.Shut()
	c.client.spawn(e.run)
	select {
	case <-e.over:
		return c.result(e, e.end, e.err)
	case err := <-e.failed:
		failed := c.failedError(e, err)
		return c.stopped(e, failed, failed)
	case <-ctx.Done():
		return c.stopped(e, ctx.Err(), fmt.Errorf("%s: %w", c.host, ctx.Err()))
	case <-c.closed:
		return c.stopped(e, c.closedError(), c.closedError())
	}
}

// stopped ends the command and returns err, or if the command may still run, its cause with that.
func (c *conn) stopped(e *execution, cause, err error) error {
	if why := e.stop(c.grace); why != nil {
		return &transport.StillRunningError{Host: c.host, Argv: e.cmd.Argv, Group: e.frame.Group(), Err: cause, Why: why}
	}
	return err
}

// failedError says why we end a command.
func (c *conn) failedError(e *execution, err error) error {
	if !e.frame.HasBegun() {
		return c.notStarted(e, exit{}, err)
	}
	return fmt.Errorf("%s: its output could not be delivered: %w", c.host, err)
}

// notStarted says that the host did not run the command, unless a part of its answer has
// come.
func (c *conn) notStarted(e *execution, end exit, err error) error {
	if e.frame.Stdout.HasBegun() || e.frame.Stderr.HasBegun() {
		if err == nil {
			err = errors.New("the host passed on one of its streams, or both as one")
		}
		return &transport.UnknownExitError{Host: c.host, Argv: e.cmd.Argv, Stderr: e.tail.String(), Err: err}
	}
	code := end.code
	if !end.known {
		code = -1
	}
	return &transport.NotStartedError{Host: c.host, Argv: e.cmd.Argv, Code: code, Signal: end.signal, Said: e.frame.Said(transport.StderrLimit), Err: err}
}

// errNoStatus reports success that only the host claims.
var errNoStatus = errors.New("the host reports success, and the command's own status did not come: a forced command or a gateway replaces it")

const refusedAdvice = "the host grants no session: see MaxSessions and the user's rights in its sshd_config, and set Config.Sessions to less than MaxSessions"

// result makes the host's answer ours.
func (c *conn) result(e *execution, end exit, err error) error {
	switch {
	case isRefused(err):
		return c.client.hop.dialError(transport.Refused, hostError{err}, refusedAdvice)
	case errors.Is(err, errExecRefused):
		return c.notStarted(e, end, err)
	case err != nil:
		if c.client.alive(hostError{err}, c.grace) {
			return c.notStarted(e, end, errors.New("the host closed the session in place of an answer"))
		}
		return c.client.lostError(hostError{err})
	}
	if !end.known {
		if end.err == nil {
			end.err = errors.New("the host closed the session without an exit status")
		}
		if !c.client.alive(end.err, c.grace) {
			return c.client.lostError(end.err)
		}
	}
	var delivery error
	select {
	case delivery = <-e.failed:
	default:
	}
	switch {
	case !e.frame.HasBegun():
		if delivery == nil {
			delivery = end.err
		}
		return c.notStarted(e, end, delivery)
	case !end.known:
		return &transport.UnknownExitError{Host: c.host, Argv: e.cmd.Argv, Stderr: e.tail.String(), Err: end.err}
	}
	// The command's own word counts. Where its shell was killed there is none.
	if code, own := e.frame.Status(); own {
		end = exit{known: true, code: code}
	} else if end.code == 0 && delivery == nil {
		return &transport.UnknownExitError{Host: c.host, Argv: e.cmd.Argv, Stderr: e.tail.String(), Err: errNoStatus}
	}
	switch {
	case end.code != 0:
		return &transport.ExitError{Host: c.host, Argv: e.cmd.Argv, Code: end.code, Signal: end.signal, Stderr: e.tail.String()}
	case delivery != nil:
		return c.failedError(e, delivery)
	}
	if err := e.inputErr(); err != nil {
		return fmt.Errorf("%s: standard input: %w", c.host, err)
	}
	return nil
}
