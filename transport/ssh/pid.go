package ssh

import (
	"bytes"
	"io"
	"strconv"
	"sync"
)

// announce writes the command's process id to standard error, between marks,
// and becomes the command. sshd starts a command as the leader of its own
// process group, so the id is the group's too.
//
// It is needed to stop commands: OpenSSH does not deliver SSH's signals to the
// commands of root ("session signalling requires privilege separation").
const announce = `printf '[%s %s]' "$0" "$$" >&2; exec "$@"`

// announced is argv so that it announces itself.
func announced(mark string, argv []string) []string {
	return append([]string{"sh", "-c", announce, mark}, argv...)
}

// pidGate takes the announcement out of standard error and passes the rest on.
// It is the first thing a command says; what a login shell said before it is
// passed on as well.
type pidGate struct {
	mark string
	to   io.Writer

	mu      sync.Mutex
	pending []byte
	pid     int
}

func (g *pidGate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pid != 0 {
		return g.to.Write(p)
	}
	g.pending = append(g.pending, p...)
	before, rest, found := bytes.Cut(g.pending, []byte("["+g.mark+" "))
	if !found {
		return len(p), nil
	}
	digits, after, found := bytes.Cut(rest, []byte("]"))
	if !found {
		return len(p), nil
	}
	g.pid, _ = strconv.Atoi(string(digits))
	text := append(bytes.Clone(before), after...)
	g.pending = nil
	if len(text) == 0 {
		return len(p), nil
	}
	_, err := g.to.Write(text)
	return len(p), err
}

// flush passes on what came of a command that never announced itself.
func (g *pidGate) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.pending) > 0 {
		_, _ = g.to.Write(g.pending)
		g.pending = nil
	}
}

// group is the process group, 0 while it is not known.
func (g *pidGate) group() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pid
}
