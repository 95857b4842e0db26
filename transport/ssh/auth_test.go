package ssh_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/youmark/pkcs8"
	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/ssh/sshtest"
)

func authorized(t *testing.T, key crypto.Signer) string {
	t.Helper()
	public, err := xssh.NewPublicKey(key.Public())
	require.NoError(t, err)
	return string(xssh.MarshalAuthorizedKey(public))
}

// userCertificate is signed by ca for root.
func userCertificate(t *testing.T, ca, key crypto.Signer) *xssh.Certificate {
	t.Helper()
	public, err := xssh.NewPublicKey(key.Public())
	require.NoError(t, err)
	cert := &xssh.Certificate{Key: public, CertType: xssh.UserCert, ValidPrincipals: []string{"root"}, ValidBefore: xssh.CertTimeInfinity}
	signer, err := xssh.NewSignerFromSigner(ca)
	require.NoError(t, err)
	require.NoError(t, cert.SignCert(rand.Reader, signer))
	return cert
}

// login dials a server once.
func login(t *testing.T, serve sshtest.Config, auth ssh.Auth) error {
	t.Helper()
	if serve.Conn == nil {
		serve.Conn = fakeHost(t)
	}
	tr := connect(t, start(t, serve), func(c *ssh.Config) { c.Auth = auth })
	_, err := tr.Dial(t.Context(), "host")
	return err
}

// refused returns the AuthError of a login that is not to be tried again.
func refused(t *testing.T, err error) *ssh.AuthError {
	t.Helper()
	reason(t, err, transport.Auth)
	var auth *ssh.AuthError
	require.ErrorAs(t, err, &auth)
	return auth
}

// Keys come before the agent's, which is asked only when they have failed: one
// that is dead, or does not answer, harms no good key. The agent's key that is named comes
// first of its own, and sshd's limit of six is reported as such.
func TestAgents(t *testing.T) {
	good, goodPublic := newKey(t)
	serve := sshtest.Config{AuthorizedKeys: []xssh.PublicKey{goodPublic}}
	ring := agent.NewKeyring()
	for range 10 {
		key, _ := newKey(t)
		require.NoError(t, ring.Add(agent.AddedKey{PrivateKey: key}))
	}
	require.NoError(t, ring.Add(agent.AddedKey{PrivateKey: good}))
	eleven := serveAgent(t, ring)
	hung := filepath.Join(t.TempDir(), "hung.sock")
	l, err := net.Listen("unix", hung)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	dead := filepath.Join(t.TempDir(), "dead.sock")
	own := []ssh.Signer{ssh.NewSigner(good)}
	publicFile := filepath.Join(t.TempDir(), "id.pub")
	put(t, publicFile, authorized(t, good))
	stranger, _ := newKey(t)

	for name, auth := range map[string]ssh.Auth{
		"own key, eleven in the agent":    {Signers: own, AgentSocket: eleven},
		"own key, dead agent":             {Signers: own, AgentSocket: dead},
		"own key, hung agent":             {Signers: own, AgentSocket: hung},
		"named by its public key":         {AgentSocket: eleven, Identities: []string{authorized(t, good)}},
		"named by its fingerprint":        {AgentSocket: eleven, Identities: []string{xssh.FingerprintSHA256(goodPublic)}, IdentitiesOnly: true},
		"named by a file of a public key": {AgentSocket: eleven, KeyFiles: []string{publicFile}},
	} {
		t.Run(name, func(t *testing.T) { require.NoError(t, login(t, serve, auth)) })
	}
	t.Run("eleven keys", func(t *testing.T) {
		e := refused(t, login(t, serve, ssh.Auth{AgentSocket: eleven}))
		require.Error(t, e.Err)
		require.LessOrEqual(t, len(e.Attempts), 7)
	})
	t.Run("dead agent alone", func(t *testing.T) {
		e := refused(t, login(t, serve, ssh.Auth{AgentSocket: dead}))
		require.Empty(t, e.Attempts)
		require.Len(t, e.LeftOut, 1)
		require.Contains(t, e.Error(), dead)
	})
	t.Run("only named ones", func(t *testing.T) {
		e := refused(t, login(t, serve, ssh.Auth{AgentSocket: eleven, Identities: []string{authorized(t, stranger)}, IdentitiesOnly: true}))
		require.Empty(t, e.Attempts)
	})
}

// serveAgent serves an agent by a socket.
func serveAgent(t *testing.T, a agent.Agent) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "agent.sock")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = agent.ServeAgent(a, c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return socket
}

// broken is a key whose hardware does not sign.
type broken struct{ crypto.Signer }

func (broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no touch")
}

// A key that cannot sign ends neither the login nor the others' chances.
func TestKeyThatCannotSign(t *testing.T) {
	bad, badPublic := newKey(t)
	good, goodPublic := newKey(t)
	serve := sshtest.Config{AuthorizedKeys: []xssh.PublicKey{badPublic, goodPublic}}
	require.NoError(t, login(t, serve, ssh.Auth{Signers: []ssh.Signer{ssh.NewSigner(broken{bad}), ssh.NewSigner(good)}}))
	e := refused(t, login(t, serve, ssh.Auth{Signers: []ssh.Signer{ssh.NewSigner(broken{bad})}}))
	require.ErrorContains(t, e.Attempts[0].Err, "no touch")
}

// Encrypted PKCS#8, as openssl writes it, is read with its passphrase.
func TestEncryptedPKCS8(t *testing.T) {
	key, public := newKey(t)
	der, err := pkcs8.MarshalPrivateKey(key, []byte("right"), nil)
	require.NoError(t, err)
	text := transport.Bytes(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}))
	auth := func(passphrase string) ssh.Auth {
		return ssh.Auth{Keys: []transport.Data{text}, Passphrase: func(name string) (transport.Data, error) {
			require.Equal(t, "Keys[0]", name)
			return transport.Bytes([]byte(passphrase)), nil
		}}
	}
	require.NoError(t, login(t, sshtest.Config{AuthorizedKeys: []xssh.PublicKey{public}}, auth("right")))
	hosts := ssh.HostKeys{Pinned: map[string][]string{"h": {"SHA256:x"}}}
	_, err = ssh.New(ssh.Config{Auth: auth("wrong-passphrase"), HostKeys: hosts})
	require.ErrorContains(t, err, "Auth.Keys[0]")
	require.NotContains(t, err.Error(), "wrong-passphrase")
	_, err = ssh.New(ssh.Config{Auth: ssh.Auth{Keys: []transport.Data{text}}, HostKeys: hosts})
	require.ErrorContains(t, err, "Passphrase is not set")
}

// A user's certificate is offered before its key, whether it is passed, lies
// beside the key's file, or is for a key of the agent.
func TestUserCertificates(t *testing.T) {
	ca, _ := newKey(t)
	key, _ := newKey(t)
	cert := userCertificate(t, ca, key)
	line := string(xssh.MarshalAuthorizedKey(cert))
	serve := sshtest.Config{Library: func(c *xssh.ServerConfig) {
		checker := xssh.CertChecker{IsUserAuthority: func(k xssh.PublicKey) bool {
			return string(xssh.MarshalAuthorizedKey(k)) == authorized(t, ca)
		}}
		c.PublicKeyCallback = checker.Authenticate
	}}
	block, err := xssh.MarshalPrivateKey(key, "")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "id")
	put(t, file, string(pem.EncodeToMemory(block)))
	put(t, file+"-cert.pub", line)
	plain, withCert := agent.NewKeyring(), agent.NewKeyring()
	require.NoError(t, plain.Add(agent.AddedKey{PrivateKey: key}))
	require.NoError(t, withCert.Add(agent.AddedKey{PrivateKey: key, Certificate: cert}))
	for name, auth := range map[string]ssh.Auth{
		"passed":            {Signers: []ssh.Signer{ssh.NewSigner(key)}, Certificates: []string{line}},
		"beside the file":   {KeyFiles: []string{file}},
		"for the agent's":   {AgentSocket: serveAgent(t, plain), Certificates: []string{line}},
		"held by the agent": {AgentSocket: serveAgent(t, withCert)},
		"named":             {AgentSocket: serveAgent(t, withCert), Identities: []string{authorized(t, key)}, IdentitiesOnly: true},
	} {
		t.Run(name, func(t *testing.T) { require.NoError(t, login(t, serve, auth)) })
	}
	_ = refused(t, login(t, serve, ssh.Auth{Signers: []ssh.Signer{ssh.NewSigner(key)}}))
	other, _ := newKey(t)
	_, err = ssh.New(ssh.Config{
		Auth:     ssh.Auth{Signers: []ssh.Signer{ssh.NewSigner(other)}, Certificates: []string{line, authorized(t, other)}},
		HostKeys: ssh.HostKeys{Pinned: map[string][]string{"h": {"SHA256:x"}}},
	})
	require.ErrorContains(t, err, "no certificate")
}

// questions makes a server ask, and take one set of answers.
func questions(texts []string, want ...string) func(*xssh.ServerConfig) {
	return func(c *xssh.ServerConfig) {
		c.PublicKeyCallback = nil
		c.KeyboardInteractiveCallback = ask(texts, want...)
	}
}

func ask(texts []string, want ...string) func(xssh.ConnMetadata, xssh.KeyboardInteractiveChallenge) (*xssh.Permissions, error) {
	return func(_ xssh.ConnMetadata, challenge xssh.KeyboardInteractiveChallenge) (*xssh.Permissions, error) {
		answers, err := challenge("", "", texts, make([]bool, len(texts)))
		if err != nil {
			return nil, err
		}
		if strings.Join(answers, "|") != strings.Join(want, "|") {
			return nil, errors.New("wrong")
		}
		return nil, nil
	}
}

func passwords(want string, asked *atomic.Int32) func(*xssh.ServerConfig) {
	return func(c *xssh.ServerConfig) {
		c.PublicKeyCallback = nil
		c.PasswordCallback = func(_ xssh.ConnMetadata, got []byte) (*xssh.Permissions, error) {
			asked.Add(1)
			if string(got) != want {
				return nil, errors.New("wrong")
			}
			return nil, nil
		}
	}
}

func password(text string) func(context.Context, ssh.Login) (transport.Data, error) {
	return func(_ context.Context, l ssh.Login) (transport.Data, error) {
		if l.Host != "host" || l.User != "root" {
			return transport.Data{}, fmt.Errorf("asked for %+v", l)
		}
		return transport.Bytes([]byte(text)), nil
	}
}

func answers(texts ...string) func(context.Context, ssh.Questions) ([]transport.Data, error) {
	return func(context.Context, ssh.Questions) ([]transport.Data, error) {
		var all []transport.Data
		for _, text := range texts {
			all = append(all, transport.Bytes([]byte(text)))
		}
		return all, nil
	}
}

// Passwords and questions: what is answered, what is named in the error, and
// that a wrong password is sent once.
func TestPasswordsAndQuestions(t *testing.T) {
	var asked atomic.Int32
	for name, c := range map[string]struct {
		library func(*xssh.ServerConfig)
		auth    ssh.Auth
	}{
		"password":               {passwords("right", &asked), ssh.Auth{Password: password("right")}},
		"password as an answer":  {questions([]string{"Password: "}, "right"), ssh.Auth{Password: password("right")}},
		"two questions":          {questions([]string{"Password: ", "Code: "}, "right", "123"), ssh.Auth{Answer: answers("right", "123")}},
		"something to read only": {questions(nil), ssh.Auth{Answer: answers()}},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, login(t, sshtest.Config{Library: c.library}, c.auth))
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		asked.Store(0)
		err := login(t, sshtest.Config{Library: passwords("right", &asked)}, ssh.Auth{Password: password("MARKER")})
		e := refused(t, err)
		require.EqualValues(t, 1, asked.Load())
		require.Equal(t, "password", e.Attempts[0].Method)
		require.NotContains(t, err.Error(), "MARKER")
	})
	t.Run("wrong password by both methods", func(t *testing.T) {
		asked.Store(0)
		both := func(c *xssh.ServerConfig) {
			passwords("right", &asked)(c)
			c.KeyboardInteractiveCallback = ask([]string{"Password: "}, "right")
		}
		e := refused(t, login(t, sshtest.Config{Library: both}, ssh.Auth{Password: password("wrong")}))
		require.Zero(t, asked.Load())
		require.Len(t, e.Attempts, 1)
	})
	t.Run("a question that nobody answers", func(t *testing.T) {
		e := refused(t, login(t, sshtest.Config{Library: questions([]string{"Code\x1b[2J: "}, "1")}, ssh.Auth{Signers: []ssh.Signer{ssh.NewSigner(mustKey(t))}}))
		require.Contains(t, e.Allowed, "keyboard-interactive")
		require.Empty(t, e.Attempts)
	})
	t.Run("not the password", func(t *testing.T) {
		e := refused(t, login(t, sshtest.Config{Library: questions([]string{"Code\x1b[2J: ", "More: "}, "1")}, ssh.Auth{Password: password("right")}))
		require.ErrorContains(t, e.Attempts[0].Err, "Code")
		requireShowable(t, e.Error())
	})
	t.Run("a password that must be changed", func(t *testing.T) {
		err := login(t, sshtest.Config{Library: questions([]string{"New password: "}, "1")}, ssh.Auth{Password: password("right")})
		_ = refused(t, err)
		require.ErrorIs(t, err, ssh.ErrPasswordExpired)
		require.ErrorContains(t, err, "change the password")
	})
}

func mustKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, _ := newKey(t)
	return key
}

// A host that wants two factors gets both; where the second is missing the error
// says which was right and what is wanted.
func TestSeveralFactors(t *testing.T) {
	first, firstPublic := newKey(t)
	second, secondPublic := newKey(t)
	is := func(want xssh.PublicKey, next *xssh.ServerAuthCallbacks) func(xssh.ConnMetadata, xssh.PublicKey) (*xssh.Permissions, error) {
		return func(_ xssh.ConnMetadata, key xssh.PublicKey) (*xssh.Permissions, error) {
			switch {
			case string(key.Marshal()) != string(want.Marshal()):
				return nil, errors.New("another")
			case next != nil:
				return nil, &xssh.PartialSuccessError{Next: *next}
			}
			return nil, nil
		}
	}
	code := func(c *xssh.ServerConfig) {
		c.PublicKeyCallback = is(firstPublic, &xssh.ServerAuthCallbacks{KeyboardInteractiveCallback: ask([]string{"Code: "}, "123")})
	}
	keys := func(c *xssh.ServerConfig) {
		c.PublicKeyCallback = is(firstPublic, &xssh.ServerAuthCallbacks{PublicKeyCallback: is(secondPublic, nil)})
	}
	one, two := ssh.NewSigner(first), ssh.NewSigner(second)
	require.NoError(t, login(t, sshtest.Config{Library: code}, ssh.Auth{Signers: []ssh.Signer{one}, Answer: answers("123")}))
	require.NoError(t, login(t, sshtest.Config{Library: keys}, ssh.Auth{Signers: []ssh.Signer{one, two}}))

	err := login(t, sshtest.Config{Library: code}, ssh.Auth{Signers: []ssh.Signer{one, two}})
	e := refused(t, err)
	require.Equal(t, []string{"publickey"}, e.Accepted)
	require.Equal(t, []string{"keyboard-interactive"}, e.Allowed)
	require.True(t, e.Attempts[0].Accepted)
	require.ErrorContains(t, err, "set Auth.Answer")
	e = refused(t, login(t, sshtest.Config{Library: keys}, ssh.Auth{Signers: []ssh.Signer{one}}))
	require.Equal(t, []string{"publickey"}, e.Accepted)
}

// An agent that answers what nobody asked, or too much, harms no good key and leaves no goroutine behind.
func TestHostileAgents(t *testing.T) {
	for name, serve := range map[string]func(c net.Conn){
		"zeros": func(c net.Conn) {
			for range 100 {
				if _, err := c.Write(make([]byte, 4)); err != nil {
					return
				}
			}
		},
		"another protocol": func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") },
		"endless": func(c net.Conn) {
			_, _ = c.Write([]byte{0, 0xff, 0xff, 0xff})
			for {
				if _, err := c.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		},
		"a million keys": func(c net.Conn) { _, _ = c.Write([]byte{0, 0, 0, 5, 12, 0, 0x10, 0, 0}) },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("unix", t.TempDir()+"/agent")
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
						defer func() { _ = c.Close() }()
						serve(c)
						_, _ = io.Copy(io.Discard, c)
					})
				}
			})
			t.Cleanup(func() { _ = l.Close(); all.Wait() })
			s := start(t, sshtest.Config{})
			dial := func(own []ssh.Signer) error {
				tr := connect(t, s, func(c *ssh.Config) { c.Auth.Signers, c.Auth.AgentSocket = own, l.Addr().String() })
				defer func() { _ = tr.Close() }()
				_, err := tr.Dial(t.Context(), "host")
				return err
			}
			if text := reason(t, dial(nil), transport.Auth); !strings.Contains(text, "agent") {
				t.Error(text)
			}
			if err := dial([]ssh.Signer{ssh.NewSigner(s.ClientKey())}); err != nil {
				t.Error(err)
			}
		})
	}
}
