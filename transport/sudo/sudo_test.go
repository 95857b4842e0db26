//go:build unix

package sudo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/local"
	"github.com/quorate-dev/quorate/transport/sudo"
	"github.com/quorate-dev/quorate/transport/transporttest"
)

const sudoPassword = "sudo-PASSWORD-MARKER"

// patient is how long a stopped command may take to clean up after itself on a
// machine that does much else at the same time.
const patient = 20 * time.Second

// as runs every command of this machine as a user, through setpriv.
type as struct {
	transport.Transport
	user string
}

func (a as) Dial(ctx context.Context, host string) (transport.Conn, error) {
	conn, err := a.Transport.Dial(ctx, host)
	if err != nil {
		return nil, err
	}
	return asConn{conn, a.user, conn.(transport.Dialer)}, nil
}

type asConn struct {
	conn transport.Conn
	user string
	transport.Dialer
}

func (a asConn) Close() error { return a.conn.Close() }

func (a asConn) Run(ctx context.Context, c transport.Cmd) error {
	c.Argv = append([]string{"setpriv", "--reuid", a.user, "--regid", a.user, "--init-groups", "--"}, c.Argv...)
	return a.conn.Run(ctx, c)
}

// suTools are what the user with a right to sudo is made and run with.
var suTools = []string{"sudo", "setpriv", "useradd", "userdel", "chpasswd"}

// sudoUser makes a user with a password, and sudoers rules for it, until the
// end of the test.
func sudoUser(t *testing.T, rule string) string {
	t.Helper()
	tier.Root(t)
	name := fmt.Sprintf("quorate-t%d", os.Getpid())
	run := func(stdin string, argv ...string) {
		t.Helper()
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Stdin = strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", argv, err, out)
		}
	}
	run("", "useradd", "--no-create-home", "--user-group", "--shell", "/bin/sh", name)
	t.Cleanup(func() { run("", "userdel", name) })
	// A quick hash: each call of sudo computes it.
	run(name+":"+sudoPassword+"\n", "chpasswd", "-c", "SHA256", "-s", "1000")
	sudoers := filepath.Join("/etc/sudoers.d", name)
	text := fmt.Sprintf("Defaults:%s !lecture, timestamp_timeout=0\n%s %s\n", name, name, rule)
	if err := os.WriteFile(sudoers, []byte(text), 0o440); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(sudoers) })
	return name
}

func password(text string, calls *atomic.Int32) func(context.Context, string) (transport.Data, error) {
	return func(context.Context, string) (transport.Data, error) {
		calls.Add(1)
		return transport.Bytes([]byte(text)), nil
	}
}

// Sudo passes the suite with real sudo that asks for nothing.
func TestRealSudoConformanceWithoutPassword(t *testing.T) {
	tier.Host(t, suTools...)
	user := sudoUser(t, "ALL=(ALL) NOPASSWD: ALL")
	tr := sudo.New(as{&local.Transport{Grace: patient}, user}, sudo.Config{})
	transporttest.Run(t, transporttest.Harness{Transport: tr, Host: "here", Dir: t.TempDir(), Owner: "nobody"})
}

// A password that sudo does not ask for is not asked for, and reaches no command.
func TestRealSudoUnneededPassword(t *testing.T) {
	tier.Host(t, suTools...)
	user := sudoUser(t, "ALL=(ALL) NOPASSWD: ALL")
	var calls atomic.Int32
	conn, err := sudo.New(as{&local.Transport{Grace: patient}, user}, sudo.Config{Password: password(sudoPassword, &calls)}).Dial(t.Context(), "here")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, in := range []string{"", "mine"} {
		var stdout bytes.Buffer
		if err := conn.Run(t.Context(), transport.Cmd{Argv: []string{"cat"}, Stdin: strings.NewReader(in), Stdout: &stdout}); err != nil || stdout.String() != in {
			t.Errorf("%q, %v", stdout.String(), err)
		}
	}
	if calls.Load() != 0 {
		t.Error("the password was asked for without need")
	}
}

// Sudo passes the suite with real sudo that asks for the password each time.
func TestRealSudoConformanceWithPassword(t *testing.T) {
	tier.Host(t, suTools...)
	user := sudoUser(t, "ALL=(ALL) ALL")
	var calls atomic.Int32
	tr := sudo.New(as{&local.Transport{Grace: patient}, user}, sudo.Config{Password: password(sudoPassword, &calls)})
	transporttest.Run(t, transporttest.Harness{Transport: tr, Host: "here", Dir: t.TempDir(), Owner: "nobody"})
	if calls.Load() != 1 {
		t.Errorf("the password was asked for %d times", calls.Load())
	}
}

// Commands run as the user asked for, and nothing of the password or the
// prompt shows in their streams.
func TestRealSudoUserAndStreams(t *testing.T) {
	tier.Host(t, suTools...)
	user := sudoUser(t, "ALL=(ALL) ALL")
	var calls atomic.Int32
	conn, err := sudo.New(as{&local.Transport{Grace: patient}, user}, sudo.Config{
		User: "daemon", Password: password(sudoPassword, &calls),
	}).Dial(t.Context(), "here")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var stdout, stderr bytes.Buffer
	err = conn.Run(t.Context(), transport.Cmd{
		Argv: []string{"sh", "-c", "id -un; cat; echo problem >&2; exit 3"}, Stdin: strings.NewReader("mine"),
		Stdout: &stdout, Stderr: &stderr,
	})
	var exit *transport.ExitError
	if !errors.As(err, &exit) || exit.Code != 3 || exit.Stderr != "problem\n" || exit.Argv[0] != "sh" {
		t.Errorf("got %+v", err)
	}
	if stdout.String() != "daemon\nmine" || stderr.String() != "problem\n" {
		t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
	}
}

// A wrong password is tried once on a host, however many commands want it.
func TestRealSudoWrongPassword(t *testing.T) {
	tier.Host(t, suTools...)
	user := sudoUser(t, "ALL=(ALL) ALL")
	var calls atomic.Int32
	tr := sudo.New(as{&local.Transport{Grace: patient}, user}, sudo.Config{Password: password("wrong-"+sudoPassword, &calls)})
	conn, err := tr.Dial(t.Context(), "here")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			err := conn.Run(t.Context(), transport.Cmd{Argv: []string{"cat"}, Stdin: strings.NewReader("not a password\n")})
			var refused *sudo.Error
			if !errors.As(err, &refused) || refused.Reason != sudo.WrongPassword {
				t.Errorf("got %v", err)
			}
			if shown := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(shown, "MARKER") {
				t.Errorf("shows the password: %s", shown)
			}
		})
	}
	all.Wait()
	if calls.Load() != 1 {
		t.Errorf("asked for %d times", calls.Load())
	}
}

// Without a password at hand, and without a right, the errors say which.
func TestRealSudoRefusals(t *testing.T) {
	tier.Host(t, suTools...)
	user := sudoUser(t, "ALL=(daemon) NOPASSWD: ALL, (root) /bin/true")
	var calls atomic.Int32
	for want, cfg := range map[sudo.Reason]sudo.Config{
		sudo.PasswordNeeded: {},
		sudo.NotAllowed:     {Password: password(sudoPassword, &calls)},
	} {
		conn, err := sudo.New(as{&local.Transport{Grace: patient}, user}, cfg).Dial(t.Context(), "here")
		if err != nil {
			t.Fatal(err)
		}
		err = conn.Run(t.Context(), transport.Cmd{Argv: []string{"id"}})
		var refused *sudo.Error
		if !errors.As(err, &refused) || refused.Reason != want {
			t.Errorf("want %q, got %v", want, err)
		}
		_ = conn.Close()
	}
}
