package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/local"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/ssh/sshtest"
)

// Sessions that the host refuses because it has not yet forgotten those that
// ended, or because it grants fewer than Sessions, are waited for.
func TestWaitForRefusedSessions(t *testing.T) {
	for _, c := range []struct {
		granted, used, atOnce, times int
		lag                          time.Duration
	}{
		{1, 1, 1, 100, 30 * time.Millisecond}, {1, 8, 16, 5, 30 * time.Millisecond}, {2, 2, 12, 5, 30 * time.Millisecond}, {8, 8, 16, 20, 30 * time.Millisecond},
		{10, 8, 16, 20, 30 * time.Millisecond}, {3, 8, 40, 2, 30 * time.Millisecond}, {1, 1, 1, 20, 1900 * time.Millisecond}, {1, 8, 16, 2, 1900 * time.Millisecond}, {3, 8, 16, 2, time.Second},
	} {
		t.Run(fmt.Sprintf("%d granted, %d used, %d at once, %v late", c.granted, c.used, c.atOnce, c.lag), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tr, _ := inMemory(t, sshtest.Config{MaxSessions: c.granted, SessionLag: c.lag}, func(cfg *ssh.Config) {
					cfg.Sessions = c.used
				})
				conn, err := tr.Dial(t.Context(), "host")
				require.NoError(t, err)
				for range c.times {
					var all sync.WaitGroup
					for range c.atOnce {
						all.Go(func() {
							if _, err := transport.Output(t.Context(), conn, "true"); err != nil {
								t.Error(err)
							}
						})
					}
					all.Wait()
				}
			})
		})
	}
}

// A wait for a session that the host does not grant ends with ctx.
func TestCancelWhileWaitingForASession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr, _ := inMemory(t, sshtest.Config{Conn: holding{fakeHost(t)}, MaxSessions: 1}, nil)
		conn, err := tr.Dial(t.Context(), "host")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		long := make(chan error, 1)
		started := make(chan struct{})
		go func() {
			long <- conn.Run(ctx, transport.Cmd{Argv: []string{"echo", "hold"}, Stdout: onWrite{started}})
		}()
		<-started
		short, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		begin := time.Now()
		_, err = transport.Output(short, conn, "true")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(begin))
		cancel()
		require.ErrorIs(t, <-long, context.Canceled)
	})
}

// holding is a host whose commands with the word hold go on until ctx ends.
type holding struct{ transport.Conn }

func (h holding) Run(ctx context.Context, cmd transport.Cmd) error {
	err := h.Conn.Run(ctx, cmd)
	if strings.Contains(strings.Join(cmd.Argv, " "), "hold") {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

// alive reports whether a process of this machine runs.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(syscall.Kill(pid, 0), syscall.EPERM)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func requireGone(t *testing.T, pids []int) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, pid := range pids {
			if alive(pid) {
				return false
			}
		}
		return true
	}, patient, 10*time.Millisecond, "%d still run", pids)
}

// sleepers starts commands that print their process ID and sleep, and returns those once all do.
func sleepers(ctx context.Context, t *testing.T, conn transport.Conn, n int, argv ...string) (pids []int, ended func() []error) {
	t.Helper()
	if len(argv) == 0 {
		argv = []string{"sh", "-c", "echo $$; exec sleep 600"}
	}
	outs := make([]*numberWriter, n)
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		outs[i] = &numberWriter{done: make(chan struct{})}
		all.Go(func() { errs[i] = conn.Run(ctx, transport.Cmd{Argv: argv, Stdout: outs[i]}) })
	}
	for _, out := range outs {
		<-out.done
		pids = append(pids, out.number)
	}
	t.Cleanup(func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return pids, func() []error { all.Wait(); return errs }
}

// numberWriter reads the number on the first line.
type numberWriter struct {
	text   bytes.Buffer
	number int
	done   chan struct{}
}

func (w *numberWriter) Write(p []byte) (int, error) {
	w.text.Write(p)
	if w.number == 0 && bytes.ContainsRune(w.text.Bytes(), '\n') {
		w.number, _ = strconv.Atoi(strings.TrimSpace(w.text.String()))
		close(w.done)
	}
	return len(p), nil
}

// Every command that is cancelled ends on the host, however few sessions it
// grants, and where it does not deliver SSH's signals, as for root.
func TestCancelledTogether(t *testing.T) {
	for name, c := range map[string]struct {
		granted, used int
		noSignals     bool
	}{
		"defaults":                      {0, 0, true},
		"no session left":               {8, 8, true},
		"one session":                   {1, 1, true},
		"no session left, with signals": {8, 8, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, sshtest.Config{MaxSessions: c.granted, NoSignals: c.noSignals})
			tr := connect(t, s, func(cfg *ssh.Config) { cfg.Sessions, cfg.Grace = c.used, patient })
			conn, err := tr.Dial(t.Context(), "host")
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n := 8
			if c.used > 0 {
				n = c.used
			}
			pids, ended := sleepers(ctx, t, conn, n)
			cancel()
			for _, err := range ended() {
				require.ErrorIs(t, err, context.Canceled)
				var running *transport.StillRunningError
				require.False(t, errors.As(err, &running), err)
			}
			requireGone(t, pids)
			_, err = transport.Output(t.Context(), conn, "true")
			require.NoError(t, err)
		})
	}
}

// A command that ignores SIGTERM is killed.
func TestCancelledIgnoresTerm(t *testing.T) {
	s := start(t, sshtest.Config{NoSignals: true})
	tr := connect(t, s, func(cfg *ssh.Config) { cfg.Grace = time.Second })
	conn, err := tr.Dial(t.Context(), "host")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pids, ended := sleepers(ctx, t, conn, 1, "sh", "-c", "trap '' TERM; echo $$; while :; do sleep 600; done")
	cancel()
	require.ErrorIs(t, ended()[0], context.Canceled)
	requireGone(t, pids)
}

// delayed is a host that starts commands only when it is let, whatever became of
// them since.
type delayed struct {
	transport.Conn
	taken, let, ended chan struct{} // ended is closed when the late one has
	once              *sync.Once
}

func (d delayed) Run(ctx context.Context, cmd transport.Cmd) error {
	if strings.Contains(strings.Join(cmd.Argv, " "), "late") {
		d.once.Do(func() { close(d.taken) })
		<-d.let
		defer close(d.ended)
		ctx = context.WithoutCancel(ctx)
	}
	return d.Conn.Run(ctx, cmd)
}

// A command that the host starts only after Run has returned is ended then,
// gets no input, and the error says that it may still run.
func TestStartAfterCancel(t *testing.T) {
	served, err := (&local.Transport{Grace: patient}).Dial(t.Context(), "served")
	require.NoError(t, err)
	d := delayed{served, make(chan struct{}), make(chan struct{}), make(chan struct{}), new(sync.Once)}
	s := start(t, sshtest.Config{Conn: d, NoSignals: true})
	tr := connect(t, s, func(cfg *ssh.Config) { cfg.Grace = 10 * time.Millisecond })
	conn, err := tr.Dial(t.Context(), "host")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	dir := t.TempDir()
	const script = `cat >"$1/late"; exec sleep 600`
	go func() {
		done <- conn.Run(ctx, transport.Cmd{Argv: []string{"sh", "-c", script, "sh", dir}, Stdin: strings.NewReader("content")})
	}()
	<-d.taken
	cancel()
	err = <-done
	var running *transport.StillRunningError
	require.ErrorAs(t, err, &running)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "if it still starts, it is ended")
	close(d.let)
	select {
	case <-d.ended:
	case <-time.After(patient):
		t.Fatal("it runs on")
	}
	content, _ := os.ReadFile(filepath.Join(dir, "late"))
	require.Empty(t, content)
	_, err = transport.Output(t.Context(), conn, "true")
	require.NoError(t, err)
}

// A decorator's own way to send signals is used in place of kill.
func TestKillOfADecorator(t *testing.T) {
	s := start(t, sshtest.Config{NoSignals: true})
	tr := connect(t, s, func(cfg *ssh.Config) { cfg.Grace = patient })
	conn, err := tr.Dial(t.Context(), "host")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &numberWriter{done: make(chan struct{})}
	record := filepath.Join(t.TempDir(), "record")
	done := make(chan error, 1)
	go func() {
		done <- conn.Run(ctx, transport.Cmd{
			Argv: []string{"sh", "-c", "echo $$; exec sleep 600"}, Stdout: out,
			Kill: func(signal string, group int) transport.Cmd {
				return transport.Cmd{
					Argv:  []string{"sh", "-c", `cat >"$1" && kill -"$2" -"$3"`, "sh", record, signal, strconv.Itoa(group)},
					Stdin: strings.NewReader("input"),
				}
			},
		})
	}()
	<-out.done
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	requireGone(t, []int{out.number})
	text, err := os.ReadFile(record)
	require.NoError(t, err)
	require.Equal(t, "input", string(text))
}

// A writer that fails ends the command, and its error is returned.
func TestFailingWriter(t *testing.T) {
	s := start(t, sshtest.Config{})
	tr := connect(t, s, func(cfg *ssh.Config) { cfg.Grace = patient })
	conn, err := tr.Dial(t.Context(), "host")
	require.NoError(t, err)
	full := errors.New("the disk is full")
	err = conn.Run(t.Context(), transport.Cmd{Argv: []string{"sh", "-c", "while :; do echo more; done"}, Stdout: failingWriter{full}})
	require.ErrorIs(t, err, full)
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }
