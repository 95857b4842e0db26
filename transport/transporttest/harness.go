// Package transporttest is the conformance suite of transports: what the
// documentation of transport.Conn, Filer, Gatherer, Dialer and Inventory promises, tried on a
// host. The transports of Quorate pass it, and one of your own should:
//
//	func TestConformance(t *testing.T) {
//		transporttest.Run(t, transporttest.Harness{
//			Transport: mine, Host: "test-host", Dir: t.TempDir(),
//		})
//	}
package transporttest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/transport"
)

// Harness is a transport under test with a host it can reach. The host needs
// sh and coreutils or busybox, or must pretend to.
type Harness struct {
	Transport transport.Transport
	Host      string
	// Dir is an absolute directory on the host that exists, is empty and may
	// be written to.
	Dir string
	// Owner and Group are set on a file in the test of ownership, which
	// needs the right to do so; without an Owner the test is skipped.
	Owner, Group string
	// FullDir is a directory on a file system of the host with less than 1 MiB
	// of room; without it the test of a full disk is skipped.
	FullDir string
	// Listen starts an echo server on the host and returns its address, for a
	// Conn that is a transport.Dialer. nil listens on this machine's loopback,
	// which is right for hosts that share its network.
	Listen func(t *testing.T, network string) (addr string)
	// Simulated says that commands are no real processes: none is looked for
	// after it was cancelled.
	Simulated bool
	// Grace is the transport's time between SIGTERM and SIGKILL, if it is short
	// enough to wait for: without it, what ignores SIGTERM is not tried.
	Grace time.Duration
	// Patience bounds every wait of the suite; 0 means 30 s. A call of the transport
	// that has not returned after twice as long fails the suite by its name.
	Patience time.Duration

	watch *watcher
}

// Run runs the suite as subtests of t.
func Run(t *testing.T, h Harness) {
	if h.Patience == 0 {
		h.Patience = 30 * time.Second
	}
	h.watch = &watcher{t, 2 * h.Patience}
	t.Run("commands", func(t *testing.T) { commands(t, h) })
	t.Run("cancelling", func(t *testing.T) { cancelling(t, h) })
	t.Run("closing", func(t *testing.T) { closing(t, h) })
	t.Run("files", func(t *testing.T) { files(t, h) })
	t.Run("gathering", func(t *testing.T) { gathering(t, h) })
	t.Run("tunnels", func(t *testing.T) { tunnels(t, h) })
	t.Run("inventory", func(t *testing.T) { inventory(t, h) })
}

// dial returns a Conn that is closed at the end of the test.
func (h Harness) dial(t *testing.T) *conn {
	t.Helper()
	made, err := h.tryDial(t.Context())
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	t.Cleanup(func() {
		if err := made.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return made
}

func (h Harness) tryDial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, h.Patience)
	defer cancel()
	made, err := watched(h.watch, "Dial", func() (transport.Conn, error) { return h.Transport.Dial(ctx, h.Host) })
	return &conn{made, h.watch}, err
}

// patience is what a wait of the suite may take.
func (c *conn) patience() time.Duration { return c.w.limit / 2 }

// result is what a command printed, and how it ended.
type result struct {
	stdout, stderr bytes.Buffer
	err            error
}

// run runs argv with input, and fails the test if it takes for ever.
func run(t *testing.T, conn *conn, input string, argv ...string) *result {
	t.Helper()
	// Also at the end of a test, when its own ctx is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), conn.patience())
	defer cancel()
	var r result
	r.err = conn.Run(ctx, transport.Cmd{
		Argv: argv, Stdin: strings.NewReader(input), Stdout: &r.stdout, Stderr: &r.stderr,
	})
	if errors.Is(r.err, context.DeadlineExceeded) {
		t.Fatalf("%q did not end in %v", argv, conn.patience())
	}
	return &r
}

// mustRun is run for a command that has to succeed.
func mustRun(t *testing.T, conn *conn, argv ...string) string {
	t.Helper()
	r := run(t, conn, "", argv...)
	if r.err != nil {
		t.Fatalf("%q: %v", argv, r.err)
	}
	return r.stdout.String()
}

// list returns the names of everything in a directory, hidden files too.
func list(t *testing.T, conn *conn, dir string) []string {
	t.Helper()
	const script = `cd "$1" || exit 1
for f in * .*; do
	case $f in . | ..) continue ;; esac
	[ -e "$f" ] || [ -L "$f" ] || continue
	printf '%s\0' "$f"
done`
	out := mustRun(t, conn, "sh", "-c", script, "sh", dir)
	if out == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
}

// eventually polls until ok holds.
func (h Harness) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), h.Patience)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, h.Patience)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// await waits for something to happen.
func await[T any](t *testing.T, h Harness, what string, c <-chan T) T {
	t.Helper()
	timer := time.NewTimer(h.watch.limit + time.Second)
	defer timer.Stop()
	select {
	case v := <-c:
		return v
	case <-timer.C:
		t.Fatalf("%s: not within %v", what, h.watch.limit)
		panic("not reached")
	}
}
