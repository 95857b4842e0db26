package faketransport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport/internal/memfs"
	"github.com/quorate-dev/quorate/transport/faketransport/internal/posixsh"
)

// Host is one fake host. It is safe for concurrent use.
type Host struct {
	owner   *Transport
	name    string
	machine *posixsh.Machine

	mu       sync.Mutex
	scripted []*scripted
	faults   []*armed
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	down     bool
	clock    time.Duration
	path     string
	conns    map[*conn]struct{}
}

func newHost(t *Transport, name string) *Host {
	h := &Host{owner: t, name: name, conns: map[*conn]struct{}{}}
	h.machine = &posixsh.Machine{Host: name, FS: memfs.New(), Scripts: &t.scripts, Now: h.now, Path: h.searchPath, Find: h.find, Knows: h.scripts, Unknown: h.unscripted}
	return h
}

func (h *Host) fs() *memfs.FS { return h.machine.FS }

// Name is what it is dialled by.
func (h *Host) Name() string { return h.name }

// Handle scripts the commands that m matches, also when a shell script runs
// them, and also in place of a built-in tool. Of several that match, the one
// added last is taken.
func (h *Host) Handle(m Match, f Handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.scripted = append(h.scripted, &scripted{match: m, handler: f})
}

// HandleOnce is Handle for the next command that m matches, and no other: those after it
// go to whoever had them before.
func (h *Host) HandleOnce(m Match, f Handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.scripted = append(h.scripted, &scripted{match: m, handler: f, once: true})
}

// HandleDial makes tunnels end at what dial connects to; a net.Dialer's
// DialContext reaches this machine's own network.
func (h *Host) HandleDial(dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dial = dial
}

// SetDown cuts or restores the host's power: while down its connections
// are lost and it cannot be dialled. Its files stay.
func (h *Host) SetDown(down bool) {
	h.mu.Lock()
	h.down = down
	var cut []*conn
	if down {
		for c := range h.conns {
			cut = append(cut, c)
		}
	}
	h.mu.Unlock()
	for _, c := range cut {
		c.end(errors.New("the host is down"))
	}
}

// SetClock sets the offset of the host's clock from this process's; date prints the former.
func (h *Host) SetClock(offset time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock = offset
}

// SetPath sets the PATH that commands on the host have, as sudo's secure_path does.
// Default /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin. Scripted
// commands are found whatever it is.
func (h *Host) SetPath(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.path = path
}

func (h *Host) searchPath() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return cmp.Or(h.path, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

func (h *Host) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Add(h.clock)
}

// Calls returns the calls to this host so far.
func (h *Host) Calls() []Call {
	return slices.DeleteFunc(h.owner.Calls(), func(c Call) bool { return c.Host != h.name })
}

// Commands returns the argument vectors of the commands that ran here so far and begin
// with these words, of all without any: those that a caller ran, and those that its
// scripts ran and that are scripted.
func (h *Host) Commands(words ...string) [][]string {
	var out [][]string
	for _, c := range h.Calls() {
		if c.Op.Kind != Run && c.Op.Kind != Exec {
			continue
		}
		if len(c.Op.Argv) >= len(words) && slices.Equal(c.Op.Argv[:len(words)], words) {
			out = append(out, slices.Clone(c.Op.Argv))
		}
	}
	return out
}

// AddUser makes a user and a group of that name, with the same number, known
// to chown. root, daemon and nobody are there.
func (h *Host) AddUser(name string, id int) { h.fs().AddUser(name, id) }

// Put seeds files, as Filer.Write would place them but owned by root unless
// they say otherwise. It is no call and hits no fault.
func (h *Host) Put(files ...transport.File) error {
	for _, f := range files {
		if err := f.Validate(); err != nil {
			return err
		}
		if err := h.fs().Put(f); err != nil {
			return &transport.FileError{Host: h.name, Op: "put", Path: f.Path, Err: err}
		}
	}
	return nil
}

// Delete takes files away, and directories with all that is in them, as if by
// another hand; what is not there is no error. It is no call and hits no fault.
func (h *Host) Delete(paths ...string) {
	for _, p := range paths {
		h.fs().RemoveAll(p)
	}
}

// Mkdir seeds a directory and its parents, mode 0755.
func (h *Host) Mkdir(path string) error { return h.fs().MkdirAll(path, 0o755) }

// File reads a file back, for the test to look at.
func (h *Host) File(path string) (transport.File, error) { return h.fs().File(path) }

// Files lists the paths of all regular files, sorted.
func (h *Host) Files() []string { return h.fs().List() }

// Limit leaves room for that many bytes in the files below dir, like a file
// system of its own; further writes fail with "no space left on device".
func (h *Host) Limit(dir string, bytes int64) { h.fs().Limit(dir, bytes) }

func (h *Host) isDown() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down
}

func (h *Host) dialer() func(ctx context.Context, network, addr string) (net.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dial
}

func (h *Host) enlist(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[c] = struct{}{}
}

func (h *Host) dismiss(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
}

// handler returns the scripted handler for a command, of those before another, or of all
// if that is nil; nil if there is none.
func (h *Host) handler(argv []string, before *scripted) *scripted {
	h.mu.Lock()
	defer h.mu.Unlock()
	passed := before == nil
	for _, s := range slices.Backward(h.scripted) {
		switch {
		case s == before:
			passed = true
		case passed && !s.used && s.match.matches(argv):
			s.used = s.once
			return s
		}
	}
	return nil
}

// scripts reports whether a command of that name is scripted.
func (h *Host) scripts(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.scripted, func(s *scripted) bool { return s.match.program == name })
}

// unscripted is the message for a command nobody has scripted.
func (h *Host) unscripted(argv []string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "faketransport: %s: not scripted: %s\n", h.name, Exact(argv...).shown)
	if len(h.scripted) == 0 {
		b.WriteString("nothing is scripted on this host\n")
		return b.String()
	}
	b.WriteString("scripted:\n")
	for _, s := range h.scripted {
		b.WriteString("  " + s.match.shown + "\n")
	}
	return b.String()
}
