package sudo

import (
	"bytes"
	"io"
	"slices"
	"sync"

	"github.com/quorate-dev/quorate/transport/internal/frame"
)

// gate takes sudo's prompts out of standard error on its way to the command's
// frame, and counts them.
type gate struct {
	prompt []byte
	to     io.Writer     // the frame's standard error
	begun  func() bool   // whether the frame has begun: then there are no prompts any more
	asked  chan struct{} // closed at the first prompt
	again  chan struct{} // closed at the second: the password was wrong
	failed func()        // called when the frame takes no more

	mu   sync.Mutex
	held []byte // what may be the beginning of a prompt
	asks int
	err  error
}

func newGate(prompt string, to io.Writer, begun func() bool, failed func()) *gate {
	return &gate{prompt: []byte(prompt), to: to, begun: begun, failed: failed, asked: make(chan struct{}), again: make(chan struct{})}
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return 0, g.err
	}
	text := slices.Concat(g.held, p)
	g.held = nil
	for !g.begun() {
		i := bytes.Index(text, g.prompt)
		if i < 0 {
			break
		}
		g.pass(text[:i])
		text = text[i+len(g.prompt):]
		switch g.asks++; g.asks {
		case 1:
			close(g.asked)
		case 2:
			close(g.again)
		}
	}
	if !g.begun() {
		n := frame.Beginning(text, g.prompt)
		text, g.held = text[:len(text)-n], bytes.Clone(text[len(text)-n:])
	}
	g.pass(text)
	if g.begun() { // in text: what is held is the command's
		g.pass(g.held)
		g.held = nil
	}
	return len(p), g.err
}

// pass writes text to the frame. Its first failure ends the command.
func (g *gate) pass(text []byte) {
	if g.err != nil || len(text) == 0 {
		return
	}
	if _, g.err = g.to.Write(text); g.err != nil {
		g.failed()
	}
}

// fail ends the command for what the other stream failed with, unless this one has
// failed before.
func (g *gate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
		g.failed()
	}
}

func (g *gate) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *gate) prompts() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asks
}
