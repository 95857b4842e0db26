//go:build unix

// Package opensshtest reaches this machine through OpenSSH's own sshd, as users
// that a test makes, for what only the real one can show.
package opensshtest

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/ssh"
)

// Password is that of every User.
const Password = "PASSWORD-MARKER"

// Need is tier.Host for tests of real users, which take root.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	tier.Host(t, append(programs, "sshd", "useradd", "userdel", "chpasswd")...)
	tier.Root(t)
}

var users atomic.Int32

// User makes a user of this machine until the end of the test, with a home
// directory of its own.
func User(t testing.TB, shell string) (name, home string) {
	t.Helper()
	Need(t)
	name = fmt.Sprintf("quorate-u%d-%d", os.Getpid(), users.Add(1))
	home = "/tmp/" + name
	run(t, "", "useradd", "--create-home", "--home-dir", home, "--skel", "/nonexistent", "--user-group", "--shell", shell, name)
	t.Cleanup(func() { run(t, "", "userdel", "--remove", "--force", name) })
	run(t, name+":"+Password+"\n", "chpasswd", "-c", "SHA256", "-s", "1000")
	return name, home
}

// Sudoers adds lines for a user, where %s is its name, until the end of the test.
func Sudoers(t testing.TB, user string, lines ...string) {
	t.Helper()
	Need(t, "sudo", "visudo")
	file := "/etc/sudoers.d/" + user
	text := fmt.Sprintf("Defaults:%s !lecture, timestamp_timeout=0\n", user)
	for _, line := range lines {
		text += strings.ReplaceAll(line, "%s", user) + "\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o440); err != nil { //nolint:gosec // what sudo asks for
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(file) })
	run(t, "", "visudo", "-c", "-q", "-f", file)
}

// Server is a running sshd.
type Server struct {
	// Dir has its host_key, client_key and authorized_keys.
	Dir string
	// Port on 127.0.0.1.
	Port    int
	HostKey xssh.PublicKey
}

// Start is Run for tests of several users, which take root.
func Start(t testing.TB, config ...string) *Server {
	t.Helper()
	Need(t)
	return Run(t, config...)
}

// Run runs sshd as the test's own user on a loopback port, until the end of the test.
// Lines of configuration come before its own, so that they count; DIR in them is
// Server.Dir.
func Run(t testing.TB, config ...string) *Server {
	t.Helper()
	program := tier.Program(t, "sshd")
	// Not below a directory that only root may enter: sshd reads keys as the user.
	dir, err := os.MkdirTemp("/tmp", "quorate-sshd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	s := &Server{Dir: dir, Port: freePort(t), HostKey: WriteKey(t, dir+"/host_key")}
	client := WriteKey(t, dir+"/client_key")
	put(t, dir+"/authorized_keys", string(xssh.MarshalAuthorizedKey(client)), 0o644)
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { //nolint:gosec // where sshd drops its rights; packages make it at boot
			t.Fatal(err)
		}
	}
	put(t, dir+"/sshd_config", strings.ReplaceAll(strings.Join(config, "\n")+
		fmt.Sprintf("\nListenAddress 127.0.0.1\nPort %d\nHostKey DIR/host_key\nAuthorizedKeysFile DIR/authorized_keys\n", s.Port)+
		"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\n"+
		"PermitRootLogin prohibit-password\n", "DIR", dir), 0o600)
	var log strings.Builder
	server := exec.Command(program, "-D", "-e", "-f", dir+"/sshd_config") //nolint:noctx // ends with the test
	server.Stderr = &log
	server.Env = []string{"PATH=" + os.Getenv("PATH")}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("sshd: %s", log.String())
		}
	})
	s.await(t)
	return s
}

// Transport logs in as a user, on the host "openssh".
func (s *Server) Transport(t testing.TB, user string, change func(*ssh.Config)) *ssh.Transport {
	t.Helper()
	cfg := ssh.Config{
		Targets:  map[string]ssh.Target{"openssh": {Addr: "127.0.0.1", Port: s.Port, User: user}},
		Auth:     ssh.Auth{KeyFiles: []string{s.Dir + "/client_key"}},
		HostKeys: ssh.HostKeys{Pinned: map[string][]string{"openssh": {string(xssh.MarshalAuthorizedKey(s.HostKey))}}},
		Grace:    20 * time.Second, // on a busy machine
	}
	if change != nil {
		change(&cfg)
	}
	tr, err := ssh.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

// Dial connects over a transport to the host "openssh".
func Dial(t testing.TB, tr transport.Transport) transport.Conn {
	t.Helper()
	conn, err := tr.Dial(t.Context(), "openssh")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (s *Server) await(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", s.Port))
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// WriteKey makes a key file and returns the public key.
func WriteKey(t testing.TB, path string) xssh.PublicKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := xssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, string(pem.EncodeToMemory(block)), 0o600)
	key, err := xssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func put(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, stdin string, argv ...string) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // also at the end of a test
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%q: %v: %s", argv, err, out)
	}
}
