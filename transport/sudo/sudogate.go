package sudo

import (
	"bytes"
	"io"
	"sync"

	"github.com/quorate-dev/quorate/transport"
)

// gate reads standard error on its way to the caller. Until the command
// has begun it looks for the prompt and the mark and takes both out; from then
// on it passes everything.
type gate struct {
	prompt, begun string
	stderr        io.Writer
	asked         chan struct{} // closed at the first prompt
	again         chan struct{} // closed at the second: the password was wrong
	in            chan struct{} // closed when the command has begun

	mu      sync.Mutex
	pending []byte
	asks    int
	open    bool
	tail    boundedTail
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open {
		return len(p), g.pass(p)
	}
	g.pending = append(g.pending, p...)
	for {
		if i := bytes.Index(g.pending, []byte(g.prompt)); i >= 0 {
			g.pending = append(g.pending[:i:i], g.pending[i+len(g.prompt):]...)
			switch g.asks++; g.asks {
			case 1:
				close(g.asked)
			case 2:
				close(g.again)
			}
			continue
		}
		i := bytes.Index(g.pending, []byte(g.begun))
		if i < 0 {
			return len(p), nil
		}
		rest := g.pending[i+len(g.begun):]
		g.pending, g.open = nil, true
		close(g.in)
		return len(p), g.pass(rest) // what sudo said before is its lecture
	}
}

func (g *gate) pass(p []byte) error {
	g.tail.add(p)
	if g.stderr == nil || len(p) == 0 {
		return nil
	}
	_, err := g.stderr.Write(p)
	return err
}

// text is the end of the command's standard error, or what sudo said instead.
func (g *gate) text() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open {
		return string(g.pending[max(0, len(g.pending)-transport.StderrLimit):])
	}
	return string(g.tail.kept)
}

func (g *gate) began() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

func (g *gate) prompts() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asks
}
