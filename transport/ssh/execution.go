package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/internal/frame"
	"github.com/quorate-dev/quorate/transport/internal/stream"
)

// execution is one command's session.
type execution struct {
	client         *client
	cmd            transport.Cmd
	line           string
	frame          *frame.Frame
	tail           *stream.Tail
	stdout, stderr *stream.Gate
	input          atomic.Pointer[stream.Pump]
	holders        atomic.Int32  // of the place in client.room
	stopped        chan struct{} // closed when the command is not wanted any more
	abandoned      chan struct{} // closed when Run has given up
	failed         chan error    // why the command is to be ended by us
	over           chan struct{} // closed when do has returned, which sets end and err
	end            exit
	err            error

	mu      sync.Mutex
	session *session
	sent    bool // the host has been asked to run the command
	begun   func()
	missed  error // why a signal was not delivered
}

func newExecution(c *client, cmd transport.Cmd) (*execution, error) {
	mark, err := frame.NewMark(nil)
	if err != nil {
		return nil, err
	}
	e := &execution{
		client: c, cmd: cmd, tail: stream.NewTail(transport.StderrLimit),
		stdout: stream.NewGate(cmd.Stdout), stderr: stream.NewGate(cmd.Stderr),
		stopped: make(chan struct{}), abandoned: make(chan struct{}), failed: make(chan error, 4), over: make(chan struct{}),
	}
	if e.line, err = frame.Line(frame.Script(mark, cmd.Argv)); err != nil {
		return nil, err
	}
	e.frame = frame.New(mark, e.stdout, stream.Tee(e.stderr, e.tail))
	e.holders.Store(2) // Run, and the request for a session, which may outlive it
	return e, nil
}

// release frees the place in the room when nobody holds it any more.
func (e *execution) release() {
	if e.holders.Add(-1) == 0 {
		e.client.leave()
	}
}

// run is do with its result kept.
func (e *execution) run() {
	defer close(e.over)
	e.end, e.err = e.do()
}

// do opens the session, runs the command and waits until it has ended and its
// output is delivered.
func (e *execution) do() (exit, error) {
	s, err := e.client.open(e.stopped)
	e.release()
	if err != nil {
		return exit{}, err
	}
	defer s.close()
	if !e.begin(s) {
		return exit{}, errStopped
	}
	defer e.begun()
	defer e.client.backlog.open()()
	var outputs sync.WaitGroup
	for from, to := range map[io.Reader]io.Writer{s.channel: e.frame.Stdout, s.channel.Stderr(): e.frame.Stderr} {
		outputs.Go(func() {
			if !e.copy(e.client.backlog.writer(to), from) {
				defer e.client.backlog.wait()()
				<-s.ended
				_, _ = io.Copy(e.client.backlog.writer(io.Discard), from)
			}
		})
	}
	if err := e.client.exec(s, e.line); err != nil {
		if errors.Is(err, errExecRefused) {
			return exit{}, err
		}
		return exit{}, fmt.Errorf("a request to run the command was not answered: %w", err)
	}
	e.client.spawn(func() { e.awaitStart(s) })
	if e.cmd.Stdin == nil {
		_ = s.channel.CloseWrite()
	} else {
		go e.feed(s)
	}
	<-s.ended
	outputs.Wait()
	if err := e.frame.Finish(); err != nil {
		e.failed <- err
	}
	return s.result(), nil
}

// awaitStart fails a command that the host has taken and does not start: a
// login shell that waits for something.
func (e *execution) awaitStart(s *session) {
	timer := time.NewTimer(e.client.cfg.sessionTimeout)
	defer timer.Stop()
	select {
	case <-e.frame.Begun():
	case <-s.ended:
	case <-e.stopped:
	case <-timer.C:
		e.failed <- fmt.Errorf("nothing of it came within %v", e.client.cfg.sessionTimeout)
	}
}

// copy delivers output. A writer that fails ends the command, as a closed pipe
// would. Neither then nor once Run has given up is anything more read: a host that goes on
// printing is held up by the channel's window. It reports whether it came to the end.
func (e *execution) copy(to io.Writer, from io.Reader) bool {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				e.failed <- err
				return false
			}
		}
		if err != nil {
			return true
		}
		select {
		case <-e.abandoned:
			return false
		default:
		}
	}
}

// feed sends the input once the command has announced itself: one that the
// host starts after it was cancelled gets none.
func (e *execution) feed(s *session) {
	select {
	case <-e.frame.Begun():
	case <-e.stopped:
		return
	case <-s.ended:
		return
	}
	input := struct {
		io.Writer
		io.Closer
	}{s.channel, closeWrite(s.channel.CloseWrite)}
	e.input.Store(stream.StartPump(input, e.cmd.Stdin))
}

// inputErr is what reading the caller's input failed with.
func (e *execution) inputErr() error {
	if p := e.input.Load(); p != nil {
		return p.Err()
	}
	return nil
}

// begin is called before the host is asked to run the command; it returns false if it is
// not wanted any more.
func (e *execution) begin(s *session) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.stopped:
		return false
	default:
	}
	e.session, e.sent, e.begun = s, true, e.client.began()
	return true
}

// stop sends SIGTERM, then SIGKILL, and then gives up; each step waits no longer
// than grace, also if the host answers nothing. The error says why the command
// may still run; nil means that it does not, or never will.
func (e *execution) stop(grace time.Duration) error {
	e.mu.Lock()
	close(e.stopped)
	sent := e.sent
	e.mu.Unlock()
	if !sent {
		return nil
	}
	for _, signal := range []string{"TERM", "KILL"} {
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		e.client.spawn(func() { e.signal(ctx, signal) })
		select {
		case <-e.over:
			cancel()
			return e.stoppedError()
		case <-ctx.Done():
		}
		cancel()
	}
	close(e.abandoned)
	e.client.spawn(e.reap)
	return e.stoppedError()
}

// stoppedError is nil if the host has said that the command ended.
func (e *execution) stoppedError() error {
	if e.session.result().known {
		// What it left behind in its process group goes too.
		if e.frame.Group() > 1 {
			e.client.spawn(func() { _ = e.kill(context.Background(), "KILL") })
		}
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.client.lost() != nil:
		return e.client.lost()
	case e.missed != nil:
		return e.missed
	case e.session.hasEnded():
		return errors.New("the host closed its session and did not say that it ended")
	case e.frame.Group() == 0:
		return errors.New("the host has not reported its start; if it still starts, it is ended")
	}
	return errors.New("it has not ended after SIGKILL")
}

// signal sends by the protocol where the host does that, and else by a command
// of its own: one of both, since a second SIGTERM makes some programs give up
// what they do for the first.
func (e *execution) signal(ctx context.Context, signal string) {
	if e.cmd.Kill == nil {
		delivered := make(chan bool, 1)
		e.client.spawn(func() { delivered <- e.session.signal(signal) })
		select {
		case done := <-delivered:
			if done {
				return
			}
		case <-time.After(time.Second): // some servers do not answer a signal
		case <-ctx.Done():
		case <-e.session.ended:
			return
		}
	}
	if e.frame.Group() <= 1 {
		return
	}
	err := e.kill(ctx, signal)
	if err != nil {
		err = hostError{err}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.missed = err
}

func (e *execution) kill(ctx context.Context, signal string) error {
	return e.client.killer.send(ctx, &kill{signal: signal, group: e.frame.Group(), with: e.cmd.Kill})
}

// reap goes on after Run has given up: it ends a command that the host starts
// only now, or that no signal has reached yet.
func (e *execution) reap() {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		select {
		case <-e.over:
			return
		case <-e.frame.Begun():
		}
		_ = e.kill(context.Background(), "KILL")
		timer := time.NewTimer(pause)
		select {
		case <-e.over:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}
