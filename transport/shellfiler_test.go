//go:build unix

package transport_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/local"
	"github.com/quorate-dev/quorate/transport/sudo"
)

// running is a Conn that answers commands by a function.
type running func(ctx context.Context, cmd transport.Cmd) error

func (r running) Run(ctx context.Context, cmd transport.Cmd) error { return r(ctx, cmd) }
func (running) Close() error                                       { return nil }

// here is this machine with no ability but to run commands.
func here(t *testing.T) running {
	t.Helper()
	conn, err := (&local.Transport{}).Dial(t.Context(), "here")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.Run
}

// operations are what a Filer and a Gatherer do.
var operations = map[string]func(ctx context.Context, conn transport.Conn, path string) error{
	"stat": func(ctx context.Context, conn transport.Conn, path string) error {
		_, err := transport.FilesOf(conn).Stat(ctx, path)
		return err
	},
	"read": func(ctx context.Context, conn transport.Conn, path string) error {
		_, err := transport.FilesOf(conn).Read(ctx, path, 1000)
		return err
	},
	"read all": func(ctx context.Context, conn transport.Conn, path string) error {
		_, err := transport.FilesOf(conn).(transport.BatchReader).ReadAll(ctx, 1000, path)
		return err
	},
	"write": func(ctx context.Context, conn transport.Conn, path string) error {
		return transport.FilesOf(conn).Write(ctx, transport.File{Path: path, Data: transport.Bytes([]byte("new"))})
	},
	"upload": func(ctx context.Context, conn transport.Conn, path string) error {
		return transport.FilesOf(conn).Upload(ctx, transport.File{Path: path}, strings.NewReader("new"))
	},
	"remove": func(ctx context.Context, conn transport.Conn, path string) error {
		return transport.FilesOf(conn).Remove(ctx, path)
	},
	"gather": func(ctx context.Context, conn transport.Conn, path string) error {
		_, err := transport.GathererOf(conn).Gather(ctx, []string{path}, []transport.Query{{Argv: []string{"true"}}})
		return err
	},
}

// A host that reports success without an answer is not
// believed, whatever it prints.
func TestForgedAnswers(t *testing.T) {
	for _, says := range []string{"", "ok\n", "-\n", ".\n", "f 600 root 0 root 0 0 " + strings.Repeat("ab", 32) + "\n", "\n\n"} {
		lying := running(func(_ context.Context, cmd transport.Cmd) error {
			_, err := io.WriteString(cmd.Stdout, says)
			return err
		})
		for name, do := range operations {
			if err := do(t.Context(), lying, "/etc/f"); err == nil {
				t.Errorf("%s believes %q", name, says)
			}
		}
	}
}

// Statuses that the scripts use mean nothing from anybody else.
func TestForgedStatuses(t *testing.T) {
	for _, code := range []int{1, 44, 45} {
		lying := running(func(_ context.Context, cmd transport.Cmd) error {
			return &transport.ExitError{Host: "h", Argv: cmd.Argv, Code: code, Stderr: "missing 0\n"}
		})
		for name, do := range operations {
			if err := do(t.Context(), lying, "/etc/f"); err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
				t.Errorf("%s, status %d: %v", name, code, err)
			}
		}
	}
}

// What a login shell prints before the command is no part of an answer.
func TestGreetings(t *testing.T) {
	machine := here(t)
	greeting := running(func(ctx context.Context, cmd transport.Cmd) error {
		cmd.Argv = append([]string{"sh", "-c", `echo "Welcome ."; echo "- [x]"; echo careful >&2; exec "$@"`, "sh"}, cmd.Argv...)
		return machine(ctx, cmd)
	})
	dir := t.TempDir()
	files := transport.FilesOf(greeting)
	if err := files.Write(t.Context(), transport.File{Path: dir + "/a", Data: transport.Bytes([]byte("content"))}); err != nil {
		t.Fatal(err)
	}
	if got, err := files.Read(t.Context(), dir+"/a", 100); err != nil || string(got) != "content" {
		t.Errorf("read %q, %v", got, err)
	}
	if all, err := files.(transport.BatchReader).ReadAll(t.Context(), 100, dir+"/a"); err != nil || string(all[0].Bytes()) != "content" {
		t.Errorf("read all: %v, %v", all, err)
	}
	if infos, err := files.Stat(t.Context(), dir+"/a", dir+"/b"); err != nil || infos[0].Size != 7 || infos[1].Exists {
		t.Errorf("stat %+v, %v", infos, err)
	}
	got, err := transport.GathererOf(greeting).Gather(t.Context(), []string{dir + "/a"}, []transport.Query{{Argv: []string{"echo", "one"}}, {Argv: []string{"echo", "two"}}})
	if err != nil || len(got.Files) != 1 || string(got.Answers[0].Stdout) != "one\n" || string(got.Answers[1].Stdout) != "two\n" {
		t.Errorf("gathered %+v, %v", got, err)
	}
}

// However a host quotes what it was sent, no error holds a file's content, and
// the system's own reason is still there.
func TestErrorsQuoteNoContent(t *testing.T) {
	machine := here(t)
	const secret = "SECRET-CONTENT-MARKER of a key"
	content := strings.Repeat(secret+"\n", 20)
	quoting := map[string]running{
		"traced": func(ctx context.Context, cmd transport.Cmd) error {
			cmd.Argv = append([]string{"sh", "-x"}, cmd.Argv[1:]...)
			return machine(ctx, cmd)
		},
		"verbose": func(ctx context.Context, cmd transport.Cmd) error {
			cmd.Argv = append([]string{"sh", "-v"}, cmd.Argv[1:]...)
			return machine(ctx, cmd)
		},
		"quotes its input, decoded too": func(_ context.Context, cmd transport.Cmd) error {
			in, err := io.ReadAll(cmd.Stdin)
			if err != nil {
				return err
			}
			said := string(in) + "\n" + secret + "\n"
			for _, word := range strings.Fields(string(in)) {
				plain, _ := base64.StdEncoding.DecodeString(strings.Trim(word, "'"))
				said += string(plain)
			}
			said += "mktemp: " + secret + ": No space left on device\n"
			return &transport.ExitError{Host: "h", Argv: cmd.Argv, Code: 1, Stderr: said}
		},
	}
	traces := []string{"MARKER", secret[:12], base64.StdEncoding.EncodeToString([]byte(content))[:20]}
	for name, conn := range quoting {
		files := transport.FilesOf(conn)
		for op, err := range map[string]error{
			"write":  files.Write(t.Context(), transport.File{Path: "/proc/nothing/f", Data: transport.Bytes([]byte(content))}),
			"upload": files.Upload(t.Context(), transport.File{Path: "/proc/nothing/f"}, strings.NewReader(content)),
			"owner":  files.Write(t.Context(), transport.File{Path: t.TempDir() + "/f", Owner: "no-such-user-here", Data: transport.Bytes([]byte(content))}),
		} {
			var exit *transport.ExitError
			var file *transport.FileError
			if !errors.As(err, &exit) || !errors.As(err, &file) {
				t.Errorf("%s, %s: got %v", name, op, err)
				continue
			}
			shown := fmt.Sprintf("%v %+v %#v %q", err, exit, exit, exit.Stderr)
			for _, trace := range traces {
				if strings.Contains(shown, trace) {
					t.Errorf("%s, %s shows the content: %.300s", name, op, shown)
				}
			}
			if name != "quotes its input, decoded too" && op == "owner" && !strings.Contains(shown, "invalid user") {
				t.Errorf("%s, %s does not say why: %s", name, op, shown)
			}
			if name == "quotes its input, decoded too" && !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s, %s: the disk is not said to be full: %v", name, op, err)
			}
		}
	}
}

// serverError is an error with a server's words in it, as package ssh has them.
type serverError struct{ said string }

func (e serverError) Error() string { return "disconnect: " + e.said }

func (e serverError) FilterWords(filter func(string) string) error {
	return serverError{filter(e.said)}
}

// A host may quote what it was sent anywhere: in place of the command, as it ends the
// connection, as it refuses to end the command. What kind of error it is stays.
func TestOtherErrorsQuoteNoContent(t *testing.T) {
	const secret = "SECRET-CONTENT-MARKER of a key"
	said := serverError{secret}
	for name, err := range map[string]error{
		"lost":          &transport.DialError{Host: "h", Reason: transport.Lost, Err: said},
		"still running": &transport.StillRunningError{Host: "h", Err: &transport.DialError{Host: "h", Reason: transport.Lost, Err: said}, Why: said},
		"not started":   &transport.NotStartedError{Host: "h", Said: secret, Err: said},
		"unknown exit":  &transport.UnknownExitError{Host: "h", Stderr: secret, Err: said},
		"tunnel":        &transport.TunnelError{Host: "h", Addr: "a", Reason: transport.TunnelForbidden, Err: said},
		"sudo":          &sudo.Error{Host: "h", Reason: sudo.NotAllowed, Err: &transport.ExitError{Host: "h", Code: 1, Stderr: secret}},
	} {
		quoting := running(func(context.Context, transport.Cmd) error { return err })
		for op, got := range map[string]error{
			"write":  operations["write"](t.Context(), quoting, "/f"),
			"upload": operations["upload"](t.Context(), quoting, "/f"),
		} {
			want := reflect.New(reflect.TypeOf(err))
			if !errors.As(got, want.Interface()) {
				t.Errorf("%s, %s: got %v", name, op, got)
				continue
			}
			if shown := fmt.Sprintf("%v %+v", got, want.Elem().Elem()); strings.Contains(shown, "MARKER") {
				t.Errorf("%s, %s shows the content: %s", name, op, shown)
			}
		}
	}
}

// More paths than fit into a command line are one command all the same.
func TestManyPaths(t *testing.T) {
	machine := here(t)
	commands := 0
	counted := running(func(ctx context.Context, cmd transport.Cmd) error {
		commands++
		if size := len(strings.Join(cmd.Argv, " ")); size > 1000 {
			t.Errorf("an argument vector of %d bytes", size)
		}
		return machine(ctx, cmd)
	})
	dir := t.TempDir()
	var paths []string
	var files []transport.File
	for i := range 1000 {
		p := fmt.Sprintf("%s/%s/%d", dir, strings.Repeat("p", 150), i)
		paths = append(paths, p)
		if i%100 == 0 {
			files = append(files, transport.File{Path: p, Data: transport.Bytes([]byte("x"))})
		}
	}
	f := transport.FilesOf(counted)
	if err := f.Write(t.Context(), files...); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{len(files), 0} {
		infos, err := f.Stat(t.Context(), paths...)
		if err != nil {
			t.Fatal(err)
		}
		there := slices.DeleteFunc(slices.Clone(infos), func(i transport.FileInfo) bool { return !i.Exists })
		if len(infos) != len(paths) || len(there) != want {
			t.Errorf("%d of %d are there, want %d", len(there), len(infos), want)
		}
		if err := f.Remove(t.Context(), paths...); err != nil {
			t.Fatal(err)
		}
	}
	if commands != 5 {
		t.Errorf("%d commands", commands)
	}
}

// attackDir and attackVictim make this test binary the attacker of
// TestWriteIntoAnotherUsersDirectory.
const attackDir, attackVictim = "QUORATE_ATTACK_DIR", "QUORATE_ATTACK_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(attackDir); dir != "" {
		attack(dir, os.Getenv(attackVictim))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// attack does all that the owner of a directory can do to one who writes there:
// it moves away what appears, puts links to a victim or files of its own in its
// place, and prints what it can read, until its standard input ends.
func attack(dir, victim string) {
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	fmt.Println("ready")
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			p := filepath.Join(dir, e.Name())
			inside, _ := filepath.Glob(p + "/*")
			for _, q := range append(inside, p) {
				if b, err := os.ReadFile(q); err == nil && len(b) > 0 {
					fmt.Printf("read %s\n", b)
				}
			}
			if !strings.HasPrefix(e.Name(), ".quorate-") {
				continue
			}
			// Before it is used, between two uses, or never.
			if n%3 == 2 {
				continue
			}
			if os.Rename(p, filepath.Join(dir, fmt.Sprintf("aside-%d-%s", n, e.Name()))) != nil {
				continue
			}
			switch n % 4 {
			case 0:
				_ = os.Symlink(victim, p)
			case 1:
				_ = os.WriteFile(p, nil, 0o666)
			case 2:
				_ = os.Mkdir(p, 0o777)
			case 3:
				_ = os.Symlink(filepath.Dir(victim), p)
			}
		}
	}
}

// Root writes a secret into a directory of another user's, who interferes in
// every way that it can: it reads nothing, and nothing of root's changes.
func TestWriteIntoAnotherUsersDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the attacked is root")
	}
	const nobody = 65534
	base := t.TempDir()
	for p := base; p != "/"; p = filepath.Dir(p) { // the attacker has to get there
		if err := os.Chmod(p, 0o755); err != nil && p == base {
			t.Fatal(err)
		}
		if p == os.TempDir() || filepath.Dir(p) == os.TempDir() {
			break
		}
	}
	dir, vault := base+"/theirs", base+"/vault"
	for _, d := range []string{dir, vault} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	victim := vault + "/shadow"
	if err := os.WriteFile(victim, []byte("root's own"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = self.Close() }()
	attacker := exec.Command("/proc/self/fd/3")
	attacker.ExtraFiles = []*os.File{self}
	attacker.Env = []string{attackDir + "=" + dir, attackVictim + "=" + victim}
	attacker.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	stop, err := attacker.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	ready := make(chan struct{})
	attacker.Stdout = &onFirst{to: &said, first: ready}
	attacker.Stderr = os.Stderr
	if err := attacker.Start(); err != nil {
		t.Fatal(err)
	}
	<-ready
	files := transport.FilesOf(here(t))
	written := 0
	for i := range 24 {
		f := transport.File{Path: dir + "/key", Mode: 0o600, Data: transport.Bytes([]byte("SECRET"))}
		if i%2 == 0 {
			f.Path, f.Mode = dir+"/public", 0o644
			f.Data = transport.Bytes([]byte("OPEN"))
		}
		err := files.Write(t.Context(), f)
		if i%4 == 3 {
			err = files.Upload(t.Context(), transport.File{Path: dir + "/key2"}, strings.NewReader("SECRET"))
		}
		if err == nil {
			written++
		}
	}
	_ = stop.Close()
	if err := attacker.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%d of 24 files were written", written)
	if strings.Contains(said.String(), "SECRET") || strings.Contains(said.String(), "root's own") {
		t.Errorf("the attacker read: %.200s", said.String())
	}
	entries, err := os.ReadDir(vault)
	if err != nil || len(entries) != 1 {
		t.Errorf("root's own directory holds %v, %v", entries, err)
	}
	if b, err := os.ReadFile(victim); err != nil || string(b) != "root's own" {
		t.Errorf("root's file is %q now, %v", b, err)
	}
	for p, mode := range map[string]fs.FileMode{victim: 0o600, vault: 0o700} {
		if st, err := os.Stat(p); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, %v", p, st.Mode(), err)
		}
	}
}

// onFirst closes a channel at the first output.
type onFirst struct {
	to    io.Writer
	first chan struct{}
}

func (o *onFirst) Write(p []byte) (int, error) {
	if o.first != nil {
		close(o.first)
		o.first = nil
	}
	return o.to.Write(p)
}
