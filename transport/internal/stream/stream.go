// Package stream holds the small writers and the input pump that transports
// share.
package stream

import (
	"errors"
	"io"
	"sync"
)

// Tail keeps the last bytes written to it. It is safe for concurrent use.
type Tail struct {
	mu    sync.Mutex
	limit int
	kept  []byte
}

// NewTail keeps at most limit bytes.
func NewTail(limit int) *Tail { return &Tail{limit: limit} }

// Write never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	if len(p) >= t.limit {
		t.kept = append(t.kept[:0], p[len(p)-t.limit:]...)
		return n, nil
	}
	if over := len(t.kept) + len(p) - t.limit; over > 0 {
		t.kept = t.kept[:copy(t.kept, t.kept[over:])]
	}
	t.kept = append(t.kept, p...)
	return n, nil
}

// String returns what was kept.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}

// Tee writes to w, nil discards, and keeps the tail, even where w fails.
func Tee(w io.Writer, tail *Tail) io.Writer { return tee{w, tail} }

type tee struct {
	to   io.Writer
	tail *Tail
}

func (t tee) Write(p []byte) (int, error) {
	_, _ = t.tail.Write(p)
	if t.to == nil {
		return len(p), nil
	}
	return t.to.Write(p)
}

// Watch writes to w, and calls failed at its first error.
func Watch(w io.Writer, failed func(error)) io.Writer { return &watch{to: w, failed: failed} }

type watch struct {
	to     io.Writer
	failed func(error)
	once   sync.Once
}

func (w *watch) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	if err != nil {
		w.once.Do(func() { w.failed(err) })
	}
	return n, err
}

// Gate passes writes on until it is shut, and drops them from then on: a
// command that could not be stopped must not write into a buffer its caller
// uses again.
type Gate struct {
	mu   sync.Mutex
	to   io.Writer
	shut bool
}

// NewGate passes writes on to w; nil discards them.
func NewGate(w io.Writer) *Gate {
	if w == nil {
		w = io.Discard
	}
	return &Gate{to: w}
}

// Write passes p on, or pretends to.
func (g *Gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return len(p), nil
	}
	return g.to.Write(p)
}

// Shut ends the passing. It waits for a write under way.
func (g *Gate) Shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
}

// Pump copies a command's input until it ends, the command does, or reading
// fails.
type Pump struct {
	done chan struct{}
	err  error
}

// StartPump copies from r, nothing if nil, to w and closes w. The goroutine
// ends at the end of r or when w fails, and blocks as long as r does.
func StartPump(w io.WriteCloser, r io.Reader) *Pump {
	p := &Pump{done: make(chan struct{})}
	go func() {
		if r != nil {
			p.err = pump(w, r)
		}
		// Before the command sees the end and may end itself.
		close(p.done)
		_ = w.Close()
	}()
	return p
}

// Err is what reading the input failed with, if the pump has ended; failures
// to write are the command's business and none here.
func (p *Pump) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

func pump(w io.Writer, r io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return nil //nolint:nilerr // the command no longer reads, which is its own affair
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
