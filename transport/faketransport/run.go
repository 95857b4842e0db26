package faketransport

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport/internal/posixsh"
	"github.com/quorate-dev/quorate/transport/internal/stream"
)

// Run implements transport.Conn.
func (c *conn) Run(ctx context.Context, cmd transport.Cmd) error {
	if err := transport.ValidateArgv(cmd.Argv); err != nil {
		return fmt.Errorf("%s: %w", c.host.name, err)
	}
	return c.do(ctx, Op{Kind: Run, Argv: cmd.Argv}, func(ctx context.Context, _ Op) error {
		return c.host.run(ctx, cmd)
	})
}

// run runs a command with its streams and makes its end an ExitError. Output
// that cannot be delivered ends it.
func (h *Host) run(ctx context.Context, cmd transport.Cmd) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	stdin, feed, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("%s: %w", h.name, err)
	}
	defer func() { _ = stdin.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = stdin.Close() })
	defer stop()
	input := stream.StartPump(feed, cmd.Stdin)
	tail := stream.NewTail(transport.StderrLimit)
	undelivered := func(err error) { end(&undeliveredError{err}) }
	stdout, stderr := stream.NewGate(cmd.Stdout), stream.NewGate(cmd.Stderr)
	err = h.exec(ctx, Invocation{
		Host: h, Argv: cmd.Argv, Stdin: stdin,
		Stdout: stream.Watch(stdout, undelivered),
		Stderr: stream.Watch(stream.Tee(stderr, tail), undelivered),
	})
	stdout.Shut() // what a script left in the background may still write
	stderr.Shut()
	var failed *undeliveredError
	if errors.As(context.Cause(ctx), &failed) {
		return fmt.Errorf("%s: %w", h.name, failed)
	}
	var exit *transport.ExitError
	if errors.As(err, &exit) {
		return &transport.ExitError{Host: h.name, Argv: cmd.Argv, Code: exit.Code, Signal: exit.Signal, Stderr: tail.String()}
	}
	if err == nil && input.Err() != nil {
		return fmt.Errorf("%s: standard input: %w", h.name, input.Err())
	}
	return h.named(Op{Argv: cmd.Argv}, err)
}

// undeliveredError is what a writer of the caller's failed with.
type undeliveredError struct{ err error }

func (e *undeliveredError) Error() string {
	return "its output could not be delivered: " + e.err.Error()
}
func (e *undeliveredError) Unwrap() error { return e.err }

// exec carries out a command on the host's machine.
func (h *Host) exec(ctx context.Context, in Invocation) error {
	return h.machine.Exec(ctx, posixsh.Command{
		Argv: in.Argv, Stdin: in.Stdin, Stdout: in.Stdout, Stderr: in.Stderr, Dir: "/", Umask: 0o022,
	})
}

// find is the machine's Find: what is scripted. Of a script's commands it records
// those.
func (h *Host) find(c posixsh.Command) posixsh.Program {
	s := h.handler(c.Argv, nil)
	if s == nil {
		return nil
	}
	return func(ctx context.Context, c posixsh.Command) error {
		if !c.FromScript {
			return h.carry(ctx, c, s)
		}
		i := h.owner.begin(h.name, Op{Kind: Exec, Argv: c.Argv})
		err := h.carry(ctx, c, s)
		h.owner.end(i, err)
		return err
	}
}

// carry has a scripted handler carry out a command, or, where that is nil, what is built in.
func (h *Host) carry(ctx context.Context, c posixsh.Command, s *scripted) error {
	if s == nil {
		return h.machine.Builtin(ctx, c)
	}
	return s.handler(ctx, Invocation{
		Host: h, Argv: c.Argv, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
		Next: func(ctx context.Context) error { return h.carry(ctx, c, h.handler(c.Argv, s)) },
	})
}
