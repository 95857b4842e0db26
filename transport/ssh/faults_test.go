package ssh_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/ssh/sshtest"
)

// reason fails the test unless err is a DialError of that reason; it returns its
// text.
func reason(t *testing.T, err error, want transport.DialReason) string {
	t.Helper()
	var dial *transport.DialError
	if !errors.As(err, &dial) || dial.Reason != want {
		t.Fatalf("want %q, got %v", want, err)
	}
	return err.Error()
}

func newKey(t *testing.T) (ed25519.PrivateKey, xssh.PublicKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := xssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

// Each way to know a host accepts the right key and refuses any other, and distinguishes
// unknown from changed with the fingerprints.
func TestHostKeys(t *testing.T) {
	ca, caPublic := newKey(t)
	hostKey, hostPublic := newKey(t)
	cert := &xssh.Certificate{
		Key: hostPublic, CertType: xssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: xssh.CertTimeInfinity,
	}
	caSigner, err := xssh.NewSignerFromSigner(ca)
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.SignCert(rand.Reader, caSigner); err != nil {
		t.Fatal(err)
	}
	_, other := newKey(t)
	s := start(t, sshtest.Config{HostKey: hostKey, HostCertificate: cert})
	plain := start(t, sshtest.Config{HostKey: hostKey})
	fingerprint, otherFingerprint := xssh.FingerprintSHA256(hostPublic), xssh.FingerprintSHA256(other)
	line := func(k xssh.PublicKey) string { return string(xssh.MarshalAuthorizedKey(k)) }
	known := func(s *sshtest.Server, k xssh.PublicKey) []byte {
		return []byte(fmt.Sprintf("[127.0.0.1]:%d %s", s.Target().Port, line(k)))
	}
	for name, c := range map[string]struct {
		server *sshtest.Server
		keys   ssh.HostKeys
		refuse []string // what the error must say; nil accepts
	}{
		"known":              {plain, ssh.HostKeys{KnownHosts: known(plain, hostPublic)}, nil},
		"known beside a CA":  {s, ssh.HostKeys{KnownHosts: known(s, hostPublic)}, nil},
		"unknown":            {plain, ssh.HostKeys{KnownHosts: []byte("elsewhere " + line(hostPublic))}, []string{"no key is known", fingerprint, "compare"}},
		"changed":            {plain, ssh.HostKeys{KnownHosts: known(plain, other)}, []string{"changed", fingerprint, otherFingerprint}},
		"pinned key":         {plain, ssh.HostKeys{Pinned: map[string][]string{"host": {line(hostPublic)}}}, nil},
		"pinned fingerprint": {plain, ssh.HostKeys{Pinned: map[string][]string{"host": {fingerprint}}}, nil},
		"other pin":          {plain, ssh.HostKeys{Pinned: map[string][]string{"host": {line(other)}}}, []string{"changed", fingerprint, otherFingerprint}},
		"a pin beats known":  {plain, ssh.HostKeys{KnownHosts: known(plain, hostPublic), Pinned: map[string][]string{"host": {otherFingerprint}}}, []string{"changed"}},
		"no pin for it":      {plain, ssh.HostKeys{Pinned: map[string][]string{"another": {line(hostPublic)}}}, []string{"no key is pinned", fingerprint}},
		"host CA":            {s, ssh.HostKeys{Authorities: []string{line(caPublic)}}, nil},
		"other CA":           {s, ssh.HostKeys{Authorities: []string{line(other)}}, []string{fingerprint}},
		"revoked":            {plain, ssh.HostKeys{KnownHosts: []byte("@revoked * " + line(hostPublic))}, []string{"revoked", fingerprint}},
	} {
		t.Run(name, func(t *testing.T) {
			tr := connect(t, c.server, func(cfg *ssh.Config) { cfg.HostKeys = c.keys })
			_, err := tr.Dial(t.Context(), "host")
			if c.refuse == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			text := reason(t, err, transport.HostKey)
			for _, want := range c.refuse {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in %q", want, text)
				}
			}
		})
	}
}

// Nothing is taken from the environment, not even a directory for temporary
// files.
func TestNewReadsNoEnvironment(t *testing.T) {
	for _, name := range []string{"TMPDIR", "HOME", "SSH_AUTH_SOCK", "USER"} {
		t.Setenv(name, "/nonexistent")
	}
	s := start(t, sshtest.Config{})
	tr := connect(t, s, nil)
	if _, err := tr.Dial(t.Context(), "host"); err != nil {
		t.Fatal(err)
	}
}

// A bad configuration is refused whole, every problem with its field, and
// nothing skips host keys.
func TestNewReportsEveryProblem(t *testing.T) {
	_, err := ssh.New(ssh.Config{
		Targets:  map[string]ssh.Target{"a": {Addr: "bad host", Port: -1}, "b": {Addr: "ok", Jump: []string{"b", "x y"}}},
		Sessions: -1,
		HostKeys: ssh.HostKeys{Pinned: map[string][]string{"a": {"nonsense"}}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`Targets["a"]`, "port -1", `Targets["b"].Jump`, "Sessions", "Auth: no key", `Pinned["a"]`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	key, _ := newKey(t)
	cfg := ssh.Config{}
	cfg.Auth.Signers = append(cfg.Auth.Signers, ssh.NewSigner(key))
	if _, err := ssh.New(cfg); err == nil || !strings.Contains(err.Error(), "HostKeys") {
		t.Errorf("no host keys: %v", err)
	}
}

// Keys in each form log in, a stranger's does not, and secrets are not shown.
func TestAuth(t *testing.T) {
	key, public := newKey(t)
	s := start(t, sshtest.Config{AuthorizedKeys: []xssh.PublicKey{public}})
	const passphrase = "PASSPHRASE-MARKER"
	locked, err := xssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	lockedPEM := pem.EncodeToMemory(locked)
	file := filepath.Join(t.TempDir(), "key")
	put(t, file, string(lockedPEM))
	give := func(string) (transport.Data, error) { return transport.Bytes([]byte(passphrase)), nil }
	for name, auth := range map[string]ssh.Auth{
		"PEM":   {Keys: []transport.Data{transport.Bytes(lockedPEM)}, Passphrase: give},
		"file":  {KeyFiles: []string{file}, Passphrase: give},
		"agent": {AgentSocket: startAgent(t, key)},
	} {
		t.Run(name, func(t *testing.T) {
			if shown := fmt.Sprintf("%v %+v %#v", auth, auth, auth); strings.Contains(shown, "PRIVATE KEY") {
				t.Errorf("shows a key: %s", shown)
			}
			tr := connect(t, s, func(c *ssh.Config) { c.Auth = auth })
			if _, err := tr.Dial(t.Context(), "host"); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("stranger", func(t *testing.T) {
		tr := connect(t, s, nil) // the server's own client key, which is not authorized here
		_, err := tr.Dial(t.Context(), "host")
		if text := reason(t, err, transport.Auth); !strings.Contains(text, "authorized_keys") {
			t.Error(text)
		}
	})
}

func startAgent(t *testing.T, key ed25519.PrivateKey) string {
	t.Helper()
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				_ = agent.ServeAgent(ring, c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return socket
}

// A host behind two others is reached through them, over one connection each,
// and the error of a hop names the hop.
func TestJumpHosts(t *testing.T) {
	a, b, c := start(t, sshtest.Config{}), start(t, sshtest.Config{}), start(t, sshtest.Config{})
	var dialled []string
	tr := connect(t, a, func(cfg *ssh.Config) {
		c2, b2 := c.Target(), b.Target()
		c2.Jump = []string{"host", "b"}
		cfg.Targets["b"], cfg.Targets["c"] = b2, c2
		cfg.Targets["gone"] = ssh.Target{Addr: "127.0.0.1", Port: 1, Jump: []string{"host"}}
		cfg.HostKeys.KnownHosts = append(append(a.KnownHosts(), b.KnownHosts()...), c.KnownHosts()...)
		cfg.Auth.Signers = append(cfg.Auth.Signers, ssh.NewSigner(b.ClientKey()), ssh.NewSigner(c.ClientKey()))
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled = append(dialled, addr)
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	})
	for range 2 {
		conn, err := tr.Dial(t.Context(), "c")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := transport.Output(t.Context(), conn, "true"); err != nil {
			t.Fatal(err)
		}
	}
	if len(dialled) != 1 || dialled[0] != a.Addr() || a.Accepted() != 1 || b.Accepted() != 1 || c.Accepted() != 1 {
		t.Errorf("dialled %v; accepted %d, %d, %d", dialled, a.Accepted(), b.Accepted(), c.Accepted())
	}
	_, err := tr.Dial(t.Context(), "gone")
	if text := reason(t, err, transport.Unreachable); !strings.HasPrefix(text, "gone (127.0.0.1:1)") {
		t.Error(text)
	}
}

// Sixteen dials at once make one TCP connection; after it is lost, what ran
// says so and the next dial makes another.
func TestOneConnectionAndReconnect(t *testing.T) {
	s := start(t, sshtest.Config{})
	tr := connect(t, s, nil)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			conn, err := tr.Dial(t.Context(), "host")
			if err == nil {
				_, err = transport.Output(t.Context(), conn, "true")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := s.Accepted(); n != 1 {
		t.Errorf("%d connections", n)
	}
	conn, err := tr.Dial(t.Context(), "host")
	if err != nil {
		t.Fatal(err)
	}
	started, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- conn.Run(t.Context(), transport.Cmd{Argv: []string{"sh", "-c", "echo on; exec sleep 600"}, Stdout: onWrite{started}})
	}()
	<-started
	s.Drop()
	reason(t, <-done, transport.Lost)
	reason(t, conn.Run(t.Context(), transport.Cmd{Argv: []string{"true"}}), transport.Lost)
	if conn, err = tr.Dial(t.Context(), "host"); err != nil {
		t.Fatal(err)
	}
	if _, err := transport.Output(t.Context(), conn, "true"); err != nil {
		t.Error(err)
	}
	if n := s.Accepted(); n != 2 {
		t.Errorf("%d connections after the loss", n)
	}
}

// A connection that hangs is noticed by keepalive, and before that a
// cancelled command returns all the same.
func TestDeadConnection(t *testing.T) {
	s := start(t, sshtest.Config{})
	tr := connect(t, s, func(c *ssh.Config) {
		c.KeepAlive, c.KeepAliveMax, c.Grace = 300*time.Millisecond, 4, 50*time.Millisecond
	})
	conn, err := tr.Dial(t.Context(), "host")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, second := make(chan struct{}), make(chan struct{})
	cancelled, lost := make(chan error, 1), make(chan error, 1)
	sleep := []string{"sh", "-c", "echo on; exec sleep 600"}
	go func() { cancelled <- conn.Run(ctx, transport.Cmd{Argv: sleep, Stdout: onWrite{first}}) }()
	go func() { lost <- conn.Run(t.Context(), transport.Cmd{Argv: sleep, Stdout: onWrite{second}}) }()
	<-first
	<-second
	s.Hang()
	cancel()
	if err := <-cancelled; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if text := reason(t, <-lost, transport.Lost); !strings.Contains(text, "no sign of life") {
		t.Error(text)
	}
}

// A host that allows no more sessions is an error that says so, and works
// when it grants them again.
func TestSessionsRefusedFromNowOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr, s := inMemory(t, sshtest.Config{}, nil)
		conn, err := tr.Dial(t.Context(), "host")
		if err != nil {
			t.Fatal(err)
		}
		s.RefuseSessions(true)
		_, err = transport.Output(t.Context(), conn, "true")
		if text := reason(t, err, transport.Refused); !strings.Contains(text, "MaxSessions") {
			t.Error(text)
		}
		s.RefuseSessions(false)
		if _, err := transport.Output(t.Context(), conn, "true"); err != nil {
			t.Error(err)
		}
	})
}

// A server that takes the connection and says nothing is given up after
// DialTimeout, and at once when ctx ends.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s := start(t, sshtest.Config{})
	tr := connect(t, s, func(c *ssh.Config) { c.DialTimeout = 200 * time.Millisecond })
	_, err = tr.Dial(t.Context(), l.Addr().String())
	if text := reason(t, err, transport.Unreachable); !strings.Contains(text, "200ms") {
		t.Error(text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tr.Dial(ctx, l.Addr().String()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// onWrite closes a channel at the first output.
type onWrite struct{ c chan struct{} }

func (o onWrite) Write(p []byte) (int, error) {
	close(o.c)
	return len(p), nil
}
