package plan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan/internal/capped"
	"github.com/quorate-dev/quorate/transport"
)

// Host is what an Action has of the host it works on. It is safe for
// concurrent use.
type Host struct {
	// Name of the host, as the plan and the transport know it.
	Name string

	conn   transport.Conn
	files  transport.Filer
	report func(string)
	// secrets are those of the run's plan.
	secrets *secretTexts
	trips   atomic.Int64
	// seen is what Stat found, nil but in a preview.
	seen *sightings
	// prefetched is what was read ahead for the checks of all steps, and answers is
	// for the one that is under way. silent: reading ahead did not work.
	prefetched *prefetched
	answers    atomic.Pointer[answers]
	silent     bool
	// shared is the run's, of all its hosts.
	shared *Shared
}

// NewHost makes a Host of a connection, for testing an Action by itself.
func NewHost(name string, conn transport.Conn) *Host {
	return &Host{
		Name: name, conn: conn, files: transport.FilesOf(conn),
		report: func(string) {}, shared: &Shared{},
	}
}

// Run runs a command and returns its standard output, of which more than 16 MiB
// is an error. Errors are those of transport.Conn: a *transport.ExitError for a
// command that did not succeed, with the output until then. Each call counts as
// one round trip, as do the file operations below, unless a Check gets what
// was read ahead.
func (h *Host) Run(ctx context.Context, argv ...string) ([]byte, error) {
	return h.Ask(ctx, transport.Query{Argv: argv})
}

// Ask is Run for a command that only reads, with its standard input; its Needs
// is not looked at. Other than RunInput it can be read ahead.
func (h *Host) Ask(ctx context.Context, q transport.Query) ([]byte, error) {
	if out, ok := h.answers.Load().ask(q); ok {
		return out, nil
	}
	var stdin io.Reader
	if q.Stdin.Len() > 0 {
		stdin = bytes.NewReader(q.Stdin.Bytes())
	}
	return h.RunInput(ctx, stdin, q.Argv...)
}

// RunInput is Run with standard input, which may carry secrets: the arguments
// must not, since events and errors show them.
func (h *Host) RunInput(ctx context.Context, stdin io.Reader, argv ...string) ([]byte, error) {
	h.trips.Add(1)
	out := &capped.Buffer{Limit: capped.Output}
	err := h.conn.Run(ctx, transport.Cmd{Argv: argv, Stdin: stdin, Stdout: out})
	if err == nil && out.Over {
		return nil, fmt.Errorf("%s: %s: more than %d bytes of output", h.Name, argv[0], capped.Output)
	}
	text := out.Bytes.String()
	if err == nil {
		return []byte(h.secrets.redact(text)), nil
	}
	return []byte(h.secrets.redactCut(text)), h.secrets.redactError(err) // it may have ended anywhere
}

// Script runs a POSIX shell script with variables and arguments, as the function
// Script has it.
func (h *Host) Script(ctx context.Context, text string, vars map[string]string, args ...string) ([]byte, error) {
	return h.Ask(ctx, Script(text, vars, args...))
}

// Stat describes files, all in one round trip. Errors of the file operations
// are those of transport.Filer.
func (h *Host) Stat(ctx context.Context, paths ...string) ([]transport.FileInfo, error) {
	infos, ok := h.answers.Load().stat(paths)
	var err error
	if !ok {
		h.trips.Add(1)
		infos, err = h.files.Stat(ctx, paths...)
		err = h.secrets.redactError(err)
	}
	h.seen.add(infos)
	return infos, err
}

// Read returns a file's content; more than 16 MiB is an error, and so is a file
// that is not there (fs.ErrNotExist).
func (h *Host) Read(ctx context.Context, path string) ([]byte, error) {
	h.trips.Add(1)
	b, err := h.files.Read(ctx, path, capped.Output)
	return b, h.secrets.redactError(err)
}

// ReadAll returns the contents of files, each of limit bytes at most (a larger one
// is an error, and so is one that is not there), all in one round trip, or one
// each where the transport's files have no transport.BatchReader.
func (h *Host) ReadAll(ctx context.Context, limit int64, paths ...string) ([]transport.Data, error) {
	if batch, ok := h.files.(transport.BatchReader); ok {
		h.trips.Add(1)
		all, err := batch.ReadAll(ctx, limit, paths...)
		return all, h.secrets.redactError(err)
	}
	all := make([]transport.Data, 0, len(paths))
	for _, p := range paths {
		h.trips.Add(1)
		b, err := h.files.Read(ctx, p, limit)
		if err != nil {
			return nil, h.secrets.redactError(err)
		}
		all = append(all, transport.Bytes(b))
	}
	return all, nil
}

// Write puts files in place, each whole or not at all, in one round trip.
func (h *Host) Write(ctx context.Context, files ...transport.File) error {
	h.trips.Add(1)
	return h.secrets.redactError(h.files.Write(ctx, files...))
}

// Upload streams one large file into place.
func (h *Host) Upload(ctx context.Context, f transport.File, r io.Reader) error {
	h.trips.Add(1)
	return h.secrets.redactError(h.files.Upload(ctx, f, r))
}

// Remove deletes files; one that is not there is no error.
func (h *Host) Remove(ctx context.Context, paths ...string) error {
	h.trips.Add(1)
	return h.secrets.redactError(h.files.Remove(ctx, paths...))
}

// DialContext opens a connection from the host, which counts as one round trip.
// Its transport may have no tunnels: then the error wraps errors.ErrUnsupported.
func (h *Host) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	d, ok := transport.As[transport.Dialer](h.conn)
	if !ok {
		return nil, fmt.Errorf("%s: the transport has no tunnels: %w", h.Name, errors.ErrUnsupported)
	}
	h.trips.Add(1)
	conn, err := d.DialContext(ctx, network, addr)
	return conn, h.secrets.redactError(err)
}

// CheckTunnels is transport.CheckTunnels for the host, and counts as one round trip.
func (h *Host) CheckTunnels(ctx context.Context, network, addr string) error {
	h.trips.Add(1)
	return h.secrets.redactError(transport.CheckTunnels(ctx, h.conn, network, addr))
}

// Shared is what the steps of this run hand to each other; a Host by itself has
// its own.
func (h *Host) Shared() *Shared { return h.shared }

// PrefetchedAt returns when the host was read for what this check has been
// answered with, and whether any of its answers were read ahead.
func (h *Host) PrefetchedAt() (time.Time, bool) {
	if f := h.answers.Load(); f != nil && f.wasUsed() {
		return f.at, true
	}
	return time.Time{}, false
}

// Report sends the step's progress to the run's observer. The plan's secrets are
// hidden in it, and what is not printable, which a host may have sent, is escaped.
func (h *Host) Report(format string, args ...any) {
	h.report(termsafe.Text(h.secrets.redact(fmt.Sprintf(format, args...))))
}
