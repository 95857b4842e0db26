package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/quorate-dev/quorate/transport"
)

// awkwardWords are arguments that a careless transport changes.
var awkwardWords = []string{
	"", " ", "two words", "'", "\"", `it's "both"`, `\`, `\n`, "line\nbreak", "tab\there",
	"$HOME", "${x}", "$(id)", "`id`", "*", "?", "[a-z]", "~", "~root", "!", "!!", "#no comment",
	"a;b", "a&b", "a|b", "<in", ">out", "-n", "--", "-", "--flag=value", "NAME=value", "{a,b}",
	"café", "日本", "\U0001F600", "\x01\x7f", "%s", "%%", " lead", "trail ", "trail\n",
}

func commands(t *testing.T, h Harness) {
	conn := h.dial(t)

	t.Run("arguments arrive as they are", func(t *testing.T) {
		argv := append([]string{"printf", `%s\0`}, awkwardWords...)
		want := strings.Join(awkwardWords, "\x00") + "\x00"
		if got := mustRun(t, conn, argv...); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		// As positional parameters of a script, and alone.
		script := []string{"sh", "-c", `for word; do printf '%s\0' "$word"; done`, "sh"}
		if got := mustRun(t, conn, append(script, awkwardWords...)...); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		for _, word := range []string{"", "-n", "\n", "it's", "!"} {
			if got := mustRun(t, conn, "sh", "-c", `printf '%s' "$1"`, "sh", word); got != word {
				t.Errorf("got %q, want %q", got, word)
			}
		}
	})

	t.Run("an argument with a NUL is refused", func(t *testing.T) {
		if err := conn.Run(t.Context(), transport.Cmd{Argv: []string{"printf", "a\x00b"}}); err == nil {
			t.Error("no error")
		}
	})

	t.Run("input is streamed to output", func(t *testing.T) {
		pr, pw := io.Pipe()
		out := &firstLine{seen: make(chan struct{})}
		done := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), h.Patience)
		defer cancel()
		go func() { done <- conn.Run(ctx, transport.Cmd{Argv: []string{"cat"}, Stdin: pr, Stdout: out}) }()
		_, _ = io.WriteString(pw, "first\n")
		select {
		case <-out.seen: // before the input has ended
		case err := <-done:
			t.Fatalf("cat ended early: %v", err)
		case <-ctx.Done():
			t.Fatal("no output while the input is open")
		}
		_, _ = io.WriteString(pw, "second\n")
		_ = pw.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != "first\nsecond\n" {
			t.Errorf("got %q", got)
		}
	})

	t.Run("large output arrives whole on both streams", func(t *testing.T) {
		data := noise(4 << 20)
		const script = `cat >"$1" && cat "$1" && cat "$1" >&2 && rm "$1"`
		r := run(t, conn, string(data), "sh", "-c", script, "sh", h.Dir+"/large")
		if r.err != nil {
			t.Fatal(r.err)
		}
		if !bytes.Equal(r.stdout.Bytes(), data) {
			t.Errorf("stdout differs: %d bytes of %d", r.stdout.Len(), len(data))
		}
		if !bytes.Equal(r.stderr.Bytes(), data) {
			t.Errorf("stderr differs: %d bytes of %d", r.stderr.Len(), len(data))
		}
	})

	t.Run("exit status", func(t *testing.T) {
		for _, code := range []int{1, 2, 126, 127, 128 + 9, 255} {
			argv := []string{"sh", "-c", fmt.Sprintf("echo out; echo why >&2; exit %d", code)}
			r := run(t, conn, "", argv...)
			var exit *transport.ExitError
			if !errors.As(r.err, &exit) {
				t.Fatalf("status %d returned %v", code, r.err)
			}
			if exit.Code != code || exit.Signal != "" || exit.Stderr != "why\n" || exit.Host != h.Host {
				t.Errorf("status %d returned %+v", code, exit)
			}
			if strings.Join(exit.Argv, "\x00") != strings.Join(argv, "\x00") {
				t.Errorf("Argv %q, want %q", exit.Argv, argv)
			}
			if r.stdout.String() != "out\n" || r.stderr.String() != "why\n" {
				t.Errorf("output %q, %q", r.stdout.String(), r.stderr.String())
			}
		}
	})

	t.Run("a program that is not there is status 127", func(t *testing.T) {
		r := run(t, conn, "", "/nonexistent/program", "x")
		var exit *transport.ExitError
		if !errors.As(r.err, &exit) || exit.Code != 127 {
			t.Errorf("got %v", r.err)
		}
	})

	t.Run("no argv is an error", func(t *testing.T) {
		if err := conn.Run(t.Context(), transport.Cmd{}); err == nil {
			t.Error("no error")
		}
	})

	t.Run("the end of stderr is kept and bounded", func(t *testing.T) {
		r := run(t, conn, "", "sh", "-c", `i=0
while [ $i -lt 2000 ]; do echo "line $i" >&2; i=$((i+1)); done; echo last >&2; exit 1`)
		var exit *transport.ExitError
		if !errors.As(r.err, &exit) {
			t.Fatal(r.err)
		}
		if len(exit.Stderr) > transport.StderrLimit || !strings.HasSuffix(exit.Stderr, "last\n") {
			t.Errorf("%d bytes, end %q", len(exit.Stderr), exit.Stderr[max(0, len(exit.Stderr)-20):])
		}
	})

	t.Run("signal", func(t *testing.T) {
		r := run(t, conn, "", "sh", "-c", "kill -KILL $$")
		var exit *transport.ExitError
		if !errors.As(r.err, &exit) {
			t.Fatal(r.err)
		}
		// A process between the transport and the command may turn the signal
		// into a status, as shells do.
		if (exit.Signal != "KILL" || exit.Code != -1) && exit.Code != 128+9 {
			t.Errorf("got %+v", exit)
		}
	})

	t.Run("input that the command does not read", func(t *testing.T) {
		never, w := io.Pipe()
		defer func() { _ = w.Close() }()
		for name, in := range map[string]io.Reader{"blocks": never, "endless": endless{}} {
			ctx, cancel := context.WithTimeout(t.Context(), h.Patience)
			if err := conn.Run(ctx, transport.Cmd{Argv: []string{"true"}, Stdin: in}); err != nil {
				t.Errorf("input that %s: %v", name, err)
			}
			cancel()
		}
	})

	t.Run("input that fails", func(t *testing.T) {
		broken := errors.New("the source broke")
		in := io.MultiReader(strings.NewReader("some"), failing{broken})
		err := conn.Run(t.Context(), transport.Cmd{Argv: []string{"cat"}, Stdin: in})
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})

	t.Run("output that nobody takes ends the command", func(t *testing.T) {
		broken := errors.New("the sink broke")
		err := conn.Run(t.Context(), transport.Cmd{Argv: []string{"sh", "-c", "while :; do echo more; done"}, Stdout: refusing{broken}})
		if err == nil {
			t.Error("no error")
		}
		mustRun(t, conn, "true")
	})

	t.Run("sixteen at once", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				data := string(noise(64<<10)) + fmt.Sprint(i)
				r := run(t, conn, data, "sh", "-c", "cat; exit $1", "sh", fmt.Sprint(i))
				var exit *transport.ExitError
				if i > 0 && (!errors.As(r.err, &exit) || exit.Code != i) || i == 0 && r.err != nil {
					t.Errorf("command %d: %v", i, r.err)
				}
				if r.stdout.String() != data {
					t.Errorf("command %d: output differs", i)
				}
			})
		}
		all.Wait()
	})
}

func cancelling(t *testing.T, h Harness) {
	conn := h.dial(t)

	t.Run("before the start", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		path := h.Dir + "/never"
		err := conn.Run(ctx, transport.Cmd{Argv: []string{"touch", path}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if names := list(t, conn, h.Dir); len(names) > 0 {
			t.Errorf("it ran: %q", names)
		}
		if _, err := h.tryDial(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Dial: %v", err)
		}
	})

	t.Run("while it runs", func(t *testing.T) {
		for _, argv := range [][]string{
			{"sh", "-c", "echo $$; exec sleep 600"},
			{"sh", "-c", "echo $$; sleep 600; echo more"},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			out := &firstLine{seen: make(chan struct{})}
			done := make(chan error, 1)
			go func() { done <- conn.Run(ctx, transport.Cmd{Argv: argv, Stdout: out}) }()
			await(t, h, "the command starts", out.seen)
			cancel()
			if err := await(t, h, "Run returns", done); !errors.Is(err, context.Canceled) {
				t.Errorf("%q: got %v", argv, err)
			}
			if !h.Simulated {
				pid := strings.TrimSpace(out.String())
				h.eventually(t, "the process ends", func() bool {
					return run(t, conn, "", "kill", "-0", pid).err != nil
				})
			}
			mustRun(t, conn, "true") // the connection goes on
		}
	})

	// cancelled runs a script with a file of its own, cancels it after its first
	// line, and waits for its end.
	cancelled := func(t *testing.T, script string) (pid, file string) {
		t.Helper()
		file = h.Dir + "/cancelled"
		t.Cleanup(func() { mustRun(t, conn, "rm", "-f", file) })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		out := &firstLine{seen: make(chan struct{})}
		done := make(chan error, 1)
		go func() {
			done <- conn.Run(ctx, transport.Cmd{Argv: []string{"sh", "-c", script, "sh", file}, Stdout: out})
		}()
		await(t, h, "the command starts", out.seen)
		cancel()
		if err := await(t, h, "Run returns", done); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		return strings.TrimSpace(out.String()), file
	}

	t.Run("SIGTERM comes first", func(t *testing.T) {
		if h.Simulated {
			t.Skip("commands are simulated")
		}
		_, file := cancelled(t, `trap 'echo asked >"$1"; exit 3' TERM; echo $$; while :; do sleep 1; done`)
		h.eventually(t, "the command's trap runs", func() bool { return run(t, conn, "", "test", "-s", file).err == nil })
	})

	t.Run("children end too", func(t *testing.T) {
		if h.Simulated {
			t.Skip("commands are simulated")
		}
		pid, _ := cancelled(t, `(trap '' HUP; exec sleep 600) & echo $!; wait`)
		h.eventually(t, "the child ends", func() bool { return run(t, conn, "", "kill", "-0", pid).err != nil })
	})

	t.Run("SIGKILL ends what ignores SIGTERM", func(t *testing.T) {
		if h.Simulated || h.Grace == 0 {
			t.Skip("the harness has no grace")
		}
		pid, _ := cancelled(t, `trap '' TERM; echo $$; while :; do sleep 1; done`)
		h.eventually(t, "the process ends", func() bool { return run(t, conn, "", "kill", "-0", pid).err != nil })
	})
}

func closing(t *testing.T, h Harness) {
	conn := h.dial(t)
	other := h.dial(t)

	out := &firstLine{seen: make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		done <- conn.Run(t.Context(), transport.Cmd{Argv: []string{"sh", "-c", "echo on; exec sleep 600"}, Stdout: out})
	}()
	await(t, h, "the command starts", out.seen)
	for range 2 {
		if err := conn.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	isLost := func(what string, err error) {
		t.Helper()
		var dial *transport.DialError
		if !errors.As(err, &dial) || dial.Reason != transport.Lost || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	isLost("Run during Close", await(t, h, "Run returns", done))
	isLost("Run after Close", conn.Run(t.Context(), transport.Cmd{Argv: []string{"true"}}))
	_, err := conn.filer().Stat(t.Context(), "/")
	isLost("Stat after Close", err)
	_, err = conn.gatherer().Gather(t.Context(), []string{"/"}, nil)
	isLost("Gather after Close", err)
	mustRun(t, other, "true") // another Conn to the host is none of its business
}

// firstLine collects output and reports when a line of it has come.
type firstLine struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	once sync.Once
	seen chan struct{}
}

func (w *firstLine) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	if bytes.ContainsRune(w.buf.Bytes(), '\n') {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}

func (w *firstLine) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// noise is bytes without a pattern, the same ones every time.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type refusing struct{ err error }

func (r refusing) Write([]byte) (int, error) { return 0, r.err }
