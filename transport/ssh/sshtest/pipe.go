package sshtest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipe returns the ends of a connection in memory. Like one of TCP, and unlike
// net.Pipe, it holds some of what was written and not yet read: in SSH both
// sides write first.
func pipe() (a, b net.Conn) {
	one, other := newFlow(), newFlow()
	return &end{in: one, out: other}, &end{in: other, out: one}
}

// buffered is what a direction holds.
const buffered = 64 << 10

// errReset reports that the other end is closed.
var errReset = errors.New("connection reset by peer")

// flow is one direction.
type flow struct {
	mu       sync.Mutex
	changed  sync.Cond
	held     []byte
	noReader bool
	noWriter bool
}

func newFlow() *flow {
	f := &flow{}
	f.changed.L = &f.mu
	return f
}

// end is one end. A deadline holds for both directions.
type end struct {
	in, out *flow

	mu       sync.Mutex
	deadline time.Time
	timer    *time.Timer
}

func (e *end) late() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.deadline.IsZero() && !time.Now().Before(e.deadline)
}

func (e *end) Read(p []byte) (int, error) {
	f := e.in
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.noReader:
			return 0, net.ErrClosed
		case len(f.held) > 0:
			n := copy(p, f.held)
			f.held = f.held[n:]
			f.changed.Broadcast()
			return n, nil
		case f.noWriter:
			return 0, io.EOF
		case e.late():
			return 0, os.ErrDeadlineExceeded
		}
		f.changed.Wait()
	}
}

func (e *end) Write(p []byte) (int, error) {
	f := e.out
	f.mu.Lock()
	defer f.mu.Unlock()
	written := 0
	for {
		switch {
		case f.noWriter:
			return written, net.ErrClosed
		case f.noReader:
			return written, errReset
		case written == len(p):
			return written, nil
		case e.late():
			return written, os.ErrDeadlineExceeded
		case len(f.held) < buffered:
			n := min(len(p)-written, buffered-len(f.held))
			f.held = append(f.held, p[written:written+n]...)
			written += n
			f.changed.Broadcast()
			continue
		}
		f.changed.Wait()
	}
}

func (e *end) Close() error {
	for f, closed := range map[*flow]*bool{e.in: &e.in.noReader, e.out: &e.out.noWriter} {
		f.mu.Lock()
		*closed = true
		f.changed.Broadcast()
		f.mu.Unlock()
	}
	return e.SetDeadline(time.Time{})
}

func (e *end) SetDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timer != nil {
		e.timer.Stop()
	}
	e.deadline = t
	if !t.IsZero() {
		e.timer = time.AfterFunc(time.Until(t), func() {
			for _, f := range []*flow{e.in, e.out} {
				f.mu.Lock()
				f.changed.Broadcast()
				f.mu.Unlock()
			}
		})
	}
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error  { return e.SetDeadline(t) }
func (e *end) SetWriteDeadline(t time.Time) error { return e.SetDeadline(t) }
func (e *end) LocalAddr() net.Addr                { return memory{} }
func (e *end) RemoteAddr() net.Addr               { return memory{} }

type memory struct{}

func (memory) Network() string { return "memory" }
func (memory) String() string  { return "192.0.2.1:22" }
