package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/internal/frame"
	"github.com/quorate-dev/quorate/transport/internal/stream"
)

// killer sends signals to the process groups of a host. Those that come
// together are sent together, so that one session is enough for all commands
// of a connection: Config.Sessions leaves one free for it, and where the host
// has none, a connection of its own is made.
type killer struct {
	client *client
	// redial makes another connection to the same host, for a host that grants
	// this one no session more; nil without.
	redial func(ctx context.Context) (*client, error)

	mu      sync.Mutex
	queue   []*kill
	working bool
}

// kill is a signal to one process group.
type kill struct {
	signal string
	group  int
	with   func(signal string, group int) transport.Cmd // nil means kill(1)
	done   chan error
}

// send returns when the host's kill has run, which does not mean that the group has
// ended, or when ctx ends; the signal is sent all the same.
func (k *killer) send(ctx context.Context, what *kill) error {
	what.done = make(chan error, 1)
	k.mu.Lock()
	k.queue = append(k.queue, what)
	start := !k.working
	k.working = true
	k.mu.Unlock()
	if start {
		k.client.spawn(k.run)
	}
	select {
	case err := <-what.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("SIG%s: no session for it yet: %w", what.signal, ctx.Err())
	}
}

// run sends what is queued until nothing is.
func (k *killer) run() {
	for {
		k.mu.Lock()
		batch := k.queue
		k.queue = nil
		k.working = len(batch) > 0
		k.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		var plain []*kill
		for _, one := range batch {
			if one.with != nil {
				cmd := one.with(one.signal, one.group)
				one.done <- k.deliver("exec"+frame.Words(cmd.Argv), cmd)
				continue
			}
			plain = append(plain, one)
		}
		if len(plain) == 0 {
			continue
		}
		err := k.deliver(killScript(plain), transport.Cmd{})
		for _, one := range plain {
			one.done <- err
		}
	}
}

// killScript signals every group, whatever becomes of the others. Neither "-s"
// nor "--" is taken by all of dash, bash and busybox before a group.
func killScript(kills []*kill) string {
	var b strings.Builder
	b.WriteString("bad=0")
	for _, k := range kills {
		fmt.Fprintf(&b, "; kill -%s -%d || bad=1", k.signal, k.group)
	}
	return b.String() + "; exit $bad"
}

// deliver runs a script with a command's streams in a session of this connection, or of one of its own
// if the host grants no other here.
func (k *killer) deliver(script string, cmd transport.Cmd) error {
	line, err := frame.Line(script)
	if err != nil {
		return err
	}
	c := k.client
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.sessionTimeout)
	defer cancel()
	s, err := c.openOnce(ctx.Done())
	for pause := 10 * time.Millisecond; isRefused(err) && pause < 100*time.Millisecond; pause *= 2 {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return c.lostError(ctx.Err())
		}
		s, err = c.openOnce(ctx.Done())
	}
	if isRefused(err) && k.redial != nil {
		spare, dialErr := k.redial(ctx)
		if dialErr != nil {
			return errors.Join(err, dialErr)
		}
		defer spare.lose(errStopped)
		c = spare
		s, err = c.openOnce(ctx.Done())
	}
	if err != nil {
		return err
	}
	return c.runOn(ctx, s, line, cmd)
}

// runOn runs a line with a command's streams.
func (c *client) runOn(ctx context.Context, s *session, line string, cmd transport.Cmd) error {
	defer s.close()
	if err := c.exec(s, line); err != nil {
		return err
	}
	input := struct {
		io.Writer
		io.Closer
	}{s.channel, closeWrite(s.channel.CloseWrite)}
	stream.StartPump(input, cmd.Stdin)
	var outputs sync.WaitGroup
	for from, to := range map[io.Reader]io.Writer{s.channel: cmd.Stdout, s.channel.Stderr(): cmd.Stderr} {
		outputs.Go(func() {
			gate := stream.NewGate(to)
			defer gate.Shut()
			_, _ = io.Copy(gate, from)
		})
	}
	select {
	case <-s.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	outputs.Wait()
	if end := s.result(); !end.known || end.code != 0 {
		return fmt.Errorf("kill: exit status %d", end.code)
	}
	return nil
}

// closeWrite closes one direction of a channel.
type closeWrite func() error

// Close sends the end of the input.
func (c closeWrite) Close() error { return c() }
