//go:build unix

package opensshtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/internal/opensshtest"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/sudo"
)

// greetings are what users put where their shells read it at every start.
var greetings = map[string]string{
	".bashrc": "echo Welcome; echo careful >&2\n", ".cshrc": "echo Welcome\n", ".tcshrc": "echo Welcome\n",
	".config/fish/config.fish": "echo Welcome; echo careful >&2\n", ".zshenv": "echo Welcome; echo careful >&2\n",
}

// A user's login shell may be any that Debian has: words arrive as they are, files
// and statuses too, no greeting is taken for content, and more paths than fit into a
// command line are described.
func TestRealLoginShells(t *testing.T) {
	opensshtest.Need(t, "fish", "tcsh", "bsd-csh", "bash", "dash", "zsh")
	server := opensshtest.Start(t)
	words := []string{"two\nlines", "bang!", "!!", "it's", `false \`, `\`, `\'`, "$(touch /tmp/quorate-must-not-be)", "; touch /tmp/quorate-must-not-be", "~", "*", "", "é\x01\xff", "end\n"}
	var many []string
	for i := range 1200 {
		many = append(many, fmt.Sprintf("/tmp/%s/%d", strings.Repeat("p", 150), i))
	}
	for _, shell := range []string{"/bin/dash", "/bin/bash", "/usr/bin/fish", "/usr/bin/tcsh", "/bin/bsd-csh", "/usr/bin/zsh"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			user, home := opensshtest.User(t, shell)
			for path, text := range greetings {
				if err := os.MkdirAll(home+"/.config/fish", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(home+"/"+path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			conn := opensshtest.Dial(t, server.Transport(t, user, nil))
			out, err := transport.Output(t.Context(), conn, append([]string{"printf", `%s\0`}, words...)...)
			if want := strings.Join(words, "\x00") + "\x00"; err != nil || string(out) != want {
				t.Errorf("%v\ngot  %q\nwant %q", err, out, want)
			}
			var exit *transport.ExitError
			if err := conn.Run(t.Context(), transport.Cmd{Argv: []string{"false", `\`}}); !errors.As(err, &exit) || exit.Code != 1 || exit.Stderr != "" {
				t.Errorf("false: %v", err)
			}
			files := transport.FilesOf(conn)
			content := []byte("it's\n!content!\n")
			if err := files.Write(t.Context(), transport.File{Path: home + "/new dir!/it's", Data: transport.Bytes(content)}); err != nil {
				t.Fatal(err)
			}
			if got, err := files.Read(t.Context(), home+"/new dir!/it's", 100); err != nil || !bytes.Equal(got, content) {
				t.Errorf("read %q, %v", got, err)
			}
			if infos, err := files.Stat(t.Context(), slices.Concat(many, []string{home + "/new dir!/it's"})...); err != nil || !infos[len(many)].Exists {
				t.Errorf("stat: %v", err)
			}
			if err := files.Remove(t.Context(), slices.Concat(many, []string{home + "/new dir!/it's"})...); err != nil {
				t.Errorf("remove: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		if _, err := os.Lstat("/tmp/quorate-must-not-be"); err == nil {
			t.Error("an argument was run")
		}
	})
}

// What answers in a command's place is not believed, and what it says is in the error.
func TestRealCommandNotRun(t *testing.T) {
	opensshtest.Need(t)
	forced := opensshtest.Start(t, "ForceCommand echo this is not a shell")
	plain := opensshtest.Start(t)
	for name, c := range map[string]struct {
		server      *opensshtest.Server
		shell, says string
	}{
		"forced command": {forced, "/bin/sh", "this is not a shell"},
		"nologin":        {plain, "/usr/sbin/nologin", "not available"},
		"false":          {plain, "/bin/false", ""},
		"true":           {plain, "/bin/true", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user, home := opensshtest.User(t, c.shell)
			conn := opensshtest.Dial(t, c.server.Transport(t, user, nil))
			files := transport.FilesOf(conn)
			_, readErr := files.Read(t.Context(), home+"/f", 100)
			_, statErr := files.Stat(t.Context(), home+"/f")
			out, outErr := transport.Output(t.Context(), conn, "true")
			for what, err := range map[string]error{
				"write": files.Write(t.Context(), transport.File{Path: home + "/f"}), "remove": files.Remove(t.Context(), home+"/f"),
				"read": readErr, "stat": statErr, "output": outErr,
			} {
				var unstarted *transport.NotStartedError
				if !errors.As(err, &unstarted) || what != "write" && !strings.Contains(err.Error(), c.says) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if len(out) > 0 {
				t.Errorf("output %q", out)
			}
		})
	}
}

// A forced command that runs what was sent and has a status of its own hides no failure, and
// makes none; what is cancelled ends, though it is not the leader of its process group.
func TestRealForcedStatus(t *testing.T) {
	opensshtest.Need(t)
	for name, c := range map[string]struct {
		forced string
		own    bool
	}{
		"pipe":             {`sh -c "$SSH_ORIGINAL_COMMAND" | cat`, true},
		"exit 0":           {`sh -c "$SSH_ORIGINAL_COMMAND"; exit 0`, true},
		"exit 9":           {`sh -c "$SSH_ORIGINAL_COMMAND"; exit 9`, true},
		"both as one":      {`sh -c "$SSH_ORIGINAL_COMMAND" 2>&1 | cat`, false},
		"errors discarded": {`sh -c "$SSH_ORIGINAL_COMMAND" 2>/dev/null`, false},
	} {
		for _, root := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, root %v", name, root), func(t *testing.T) {
				t.Parallel()
				user, home := "root", t.TempDir()
				if !root {
					user, home = opensshtest.User(t, "/bin/sh")
				}
				conn := opensshtest.Dial(t, opensshtest.Start(t, "ForceCommand "+c.forced).Transport(t, user, func(cfg *ssh.Config) {
					if !c.own { // the input of Write is never asked for
						cfg.SessionTimeout = 5 * time.Second
					}
				}))
				write := transport.FilesOf(conn).Write(t.Context(), transport.File{Path: home + "/none/f"})
				for _, code := range []int{0, 1, 7} {
					var stdout bytes.Buffer
					err := conn.Run(t.Context(), transport.Cmd{Argv: []string{"sh", "-c", fmt.Sprintf("echo out; echo problem >&2; exit %d", code)}, Stdout: &stdout})
					var exit *transport.ExitError
					switch {
					case !c.own && err == nil:
						t.Errorf("status %d: no error", code)
					case !c.own:
					case stdout.String() != "out\n" || code == 0 && err != nil:
						t.Errorf("status %d: %q, %v", code, stdout.String(), err)
					case code > 0 && (!errors.As(err, &exit) || exit.Code != code || exit.Stderr != "problem\n"):
						t.Errorf("status %d: %v", code, err)
					}
				}
				if !c.own {
					return
				}
				if write != nil {
					t.Errorf("write: %v", write)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				out := &lines{n: 2, seen: make(chan struct{})}
				done := make(chan error, 1)
				go func() { done <- conn.Run(ctx, transport.Cmd{Argv: []string{"sh", "-c", sleeping}, Stdout: out}) }()
				<-out.seen
				cancel()
				if err := <-done; !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				for _, text := range strings.Fields(out.String()) {
					pid, err := strconv.Atoi(text)
					if err != nil {
						t.Fatal(err)
					}
					gone(t, pid)
				}
			})
		}
	}
}

// sleeping is a script that prints its process ID and a child's, and waits.
const sleeping = `echo "$$"; sleep 600 & echo "$!"; wait`

// Root's commands under sudo, more of them than sessions, end with their children when
// they are cancelled: by sudo that asks for nothing, for a password, and that makes a
// terminal for each.
func TestRealCancelledUnderSudo(t *testing.T) {
	opensshtest.Need(t)
	server := opensshtest.Start(t)
	for name, c := range map[string]struct {
		rules    []string
		password bool
	}{
		"no password": {[]string{"%s ALL=(ALL) NOPASSWD: ALL"}, false},
		"password":    {[]string{"%s ALL=(ALL) ALL"}, true},
		"use_pty":     {[]string{"Defaults:%s use_pty", "%s ALL=(ALL) NOPASSWD: ALL"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user, _ := opensshtest.User(t, "/bin/sh")
			opensshtest.Sudoers(t, user, c.rules...)
			cfg := sudo.Config{}
			if c.password {
				cfg.Password = func(context.Context, string) (transport.Data, error) {
					return transport.Bytes([]byte(opensshtest.Password)), nil
				}
			}
			conn := opensshtest.Dial(t, sudo.New(server.Transport(t, user, nil), cfg))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			const commands = 8
			outs := make([]*lines, commands)
			errs := make(chan error, commands)
			for i := range outs {
				outs[i] = &lines{n: 2, seen: make(chan struct{})}
				go func() {
					errs <- conn.Run(ctx, transport.Cmd{Argv: []string{"sh", "-c", sleeping}, Stdout: outs[i]})
				}()
			}
			for _, out := range outs {
				<-out.seen
			}
			cancel()
			for range commands {
				if err := <-errs; !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			}
			for _, out := range outs {
				for _, text := range strings.Fields(out.String()) {
					pid, err := strconv.Atoi(text)
					if err != nil {
						t.Fatal(err)
					}
					gone(t, pid)
				}
			}
		})
	}
}

// gone waits until a process is no more.
func gone(t *testing.T, pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for syscall.Kill(pid, 0) == nil {
		select {
		case <-ctx.Done():
			t.Fatalf("process %d goes on", pid)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// A Write that was cancelled changes nothing after it has returned, whenever it
// was cancelled.
func TestRealCancelledWrites(t *testing.T) {
	opensshtest.Need(t)
	server := opensshtest.Start(t)
	user, home := opensshtest.User(t, "/bin/sh")
	conn := opensshtest.Dial(t, server.Transport(t, user, func(c *ssh.Config) { c.Sessions = 4 }))
	files := transport.FilesOf(conn)
	var all sync.WaitGroup
	var mu sync.Mutex
	after := map[string]string{}
	for i := range 24 {
		all.Go(func() {
			path := fmt.Sprintf("%s/f%d", home, i)
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*i)*time.Millisecond)
			defer cancel()
			if err := files.Write(ctx, transport.File{Path: path, Data: transport.Bytes([]byte("new"))}); err == nil {
				return
			}
			b, _ := os.ReadFile(path)
			mu.Lock()
			defer mu.Unlock()
			after[path] = string(b)
		})
	}
	all.Wait()
	// What is still on its way on the host has had its chance when this has ended.
	for range 3 {
		if _, err := transport.Output(t.Context(), conn, "sh", "-c", "sleep 0.3"); err != nil {
			t.Fatal(err)
		}
	}
	for path, then := range after {
		if b, _ := os.ReadFile(path); string(b) != then {
			t.Errorf("%s was %q when Write returned, and is %q now", path, then, b)
		}
	}
	if left, _ := os.ReadDir(home); len(left) > 0 {
		for _, e := range left {
			if strings.HasPrefix(e.Name(), ".quorate-") {
				t.Errorf("%s is left behind", e.Name())
			}
		}
	}
}

// sudo's own rules are explained: no terminal, and programs that it does not find.
func TestRealSudoRules(t *testing.T) {
	opensshtest.Need(t)
	server := opensshtest.Start(t)
	const program = "/usr/local/bin/quorate-test-program"
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho found\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(program) })
	for name, c := range map[string]struct {
		rules []string
		says  string
	}{
		"requiretty":  {[]string{"Defaults:%s requiretty", "%s ALL=(ALL) NOPASSWD: ALL"}, "!requiretty"},
		"secure_path": {[]string{"Defaults:%s secure_path=/usr/sbin\\:/usr/bin\\:/sbin\\:/bin", "%s ALL=(ALL) NOPASSWD: ALL"}, "secure_path"},
		"no rule":     {nil, "sudoers has no rule"},
		"password":    {[]string{"%s ALL=(ALL) ALL"}, "NOPASSWD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user, _ := opensshtest.User(t, "/bin/sh")
			opensshtest.Sudoers(t, user, c.rules...)
			var cfg sudo.Config
			if name == "no rule" {
				cfg.Password = func(context.Context, string) (transport.Data, error) {
					return transport.Bytes([]byte(opensshtest.Password)), nil
				}
			}
			conn := opensshtest.Dial(t, sudo.New(server.Transport(t, user, nil), cfg))
			_, err := transport.Output(t.Context(), conn, "quorate-test-program")
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), opensshtest.Password) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A host that forbids tunnels is found before they are needed.
func TestRealTunnels(t *testing.T) {
	opensshtest.Need(t)
	for line, want := range map[string]transport.TunnelReason{
		"AllowTcpForwarding yes":    "",
		"AllowTcpForwarding no":     transport.TunnelForbidden,
		"DisableForwarding yes":     transport.TunnelForbidden,
		"PermitOpen 127.0.0.1:2379": transport.TunnelForbidden,
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			conn := opensshtest.Dial(t, opensshtest.Start(t, line).Transport(t, "root", nil))
			err := transport.CheckTunnels(t.Context(), conn, "tcp", "127.0.0.1:1")
			var tunnel *transport.TunnelError
			if (want == "") != (err == nil) || want != "" && (!errors.As(err, &tunnel) || tunnel.Reason != want || !strings.Contains(err.Error(), "sshd_config")) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// lines collects output and reports when n lines of it have come.
type lines struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	n    int
	once sync.Once
	seen chan struct{}
}

func (w *lines) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	if bytes.Count(w.buf.Bytes(), []byte("\n")) >= w.n {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}

func (w *lines) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}
