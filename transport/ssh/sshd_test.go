//go:build unix

package ssh_test

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/transporttest"
)

// SSH passes the suite against OpenSSH's sshd, run by the test as the current
// user on a loopback port.
func TestRealOpenSSH(t *testing.T) {
	tier.Host(t)
	sshd := tier.Program(t, "sshd")
	dir := t.TempDir()
	hostKey, clientKey := writeKey(t, dir+"/host_key"), writeKey(t, dir+"/client_key")
	put(t, dir+"/authorized_keys", string(xssh.MarshalAuthorizedKey(clientKey)))
	port := freePort(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir+"/sshd_config", fmt.Sprintf(`ListenAddress 127.0.0.1
Port %d
HostKey %s/host_key
AuthorizedKeysFile %s/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
`, port, dir, dir))
	if me.Uid == "0" {
		// Where the privileges are dropped to; packages make it at boot.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(sshd, "-D", "-e", "-f", dir+"/sshd_config")
	server.Stderr = log
	server.Env = []string{"PATH=" + os.Getenv("PATH")}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("sshd: %s", text)
		}
	})
	awaitPort(t, port)

	tr, err := ssh.New(ssh.Config{
		Targets: map[string]ssh.Target{"openssh": {Addr: "127.0.0.1", Port: port, User: me.Username}},
		Auth:    ssh.Auth{KeyFiles: []string{dir + "/client_key"}},
		HostKeys: ssh.HostKeys{Pinned: map[string][]string{
			"openssh": {string(xssh.MarshalAuthorizedKey(hostKey))},
		}},
		Grace: patient,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	transporttest.Run(t, transporttest.Harness{Transport: tr, Host: "openssh", Dir: t.TempDir()})
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeKey makes a key file and gives the public key.
func writeKey(t *testing.T, path string) xssh.PublicKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := xssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, string(pem.EncodeToMemory(block)))
	key, err := xssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func awaitPort(t *testing.T, port int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
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
