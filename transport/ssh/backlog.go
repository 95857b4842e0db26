package ssh

import (
	"fmt"
	"io"
	"sync"
)

// window is what a host may send on a channel before something of it is taken.
const window = 2 << 20

// backlog bounds what is held of a host's output while nobody takes some of it. The
// library holds what comes within each channel's window, which costs fifty times as much
// memory if it comes in packets of a byte: what counts is what comes over the wire.
// The zero value is ready for use.
type backlog struct {
	mu       sync.Mutex
	channels int // that are open
	ahead    int // of what was received over what was taken, since the first of those that wait
	waiting  int // streams that nobody takes anything from
}

// received notes what has come over the wire.
func (b *backlog) received(n int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == 0 {
		return nil
	}
	b.ahead += n
	if most := (b.channels + 2) * window; b.ahead > most {
		return fmt.Errorf("the host went on sending what nobody took, over %d MiB", most>>20)
	}
	return nil
}

// open notes a channel, until the function returned is called.
func (b *backlog) open() (closed func()) {
	b.add(1, 0)
	return func() { b.add(-1, 0) }
}

func (b *backlog) add(channels, taken int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.channels += channels
	b.ahead -= taken
}

// wait notes that nobody takes anything from a stream until the function returned is called.
func (b *backlog) wait() (resumed func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == 0 {
		b.ahead = 0
	}
	b.waiting++
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.waiting--
	}
}

// writer passes on what was read of a channel to w, which may block.
func (b *backlog) writer(w io.Writer) io.Writer { return taker{b, w} }

type taker struct {
	backlog *backlog
	to      io.Writer
}

func (t taker) Write(p []byte) (int, error) {
	t.backlog.add(0, len(p))
	defer t.backlog.wait()()
	return t.to.Write(p)
}
