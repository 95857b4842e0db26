package ssh_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/ssh/sshtest"
)

func rsaKey(t *testing.T, bits int) (*rsa.PrivateKey, xssh.PublicKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	public, err := xssh.NewPublicKey(key.Public())
	require.NoError(t, err)
	return key, public
}

// What OpenSSH's client does not offer by default is not accepted, unless the
// configuration asks for it.
func TestAlgorithms(t *testing.T) {
	key, _ := rsaKey(t, 1024)
	sha1 := func(c *xssh.ServerConfig) { c.AddHostKey(limited(t, key, xssh.KeyAlgoRSA)) }
	insecure := xssh.InsecureAlgorithms()
	for name, c := range map[string]struct {
		serve sshtest.Config
		allow ssh.Algorithms
	}{
		"group14-sha1": {
			sshtest.Config{Library: func(c *xssh.ServerConfig) { c.KeyExchanges = []string{xssh.InsecureKeyExchangeDH14SHA1} }},
			ssh.Algorithms{KeyExchanges: insecure.KeyExchanges},
		},
		"hmac-sha1-96": {
			sshtest.Config{Library: func(c *xssh.ServerConfig) {
				c.Ciphers, c.MACs = []string{xssh.CipherAES128CTR}, []string{xssh.InsecureHMACSHA196}
			}},
			ssh.Algorithms{MACs: insecure.MACs},
		},
		"CBC": {
			sshtest.Config{Library: func(c *xssh.ServerConfig) { c.Ciphers = []string{xssh.InsecureCipherAES128CBC} }},
			ssh.Algorithms{Ciphers: insecure.Ciphers},
		},
		"ssh-rsa with SHA-1": {sshtest.Config{HostKey: key, Library: sha1}, ssh.Algorithms{HostKeys: insecure.HostKeys}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, c.serve)
			known := func(cfg *ssh.Config) {
				cfg.HostKeys = ssh.HostKeys{Pinned: map[string][]string{"host": {xssh.FingerprintSHA256(s.HostKey())}}}
			}
			_, err := connect(t, s, known).Dial(t.Context(), "host")
			require.Contains(t, reason(t, err, transport.Incompatible), "Algorithms")
			_, err = connect(t, s, func(cfg *ssh.Config) { known(cfg); cfg.Algorithms = c.allow }).Dial(t.Context(), "host")
			require.NoError(t, err)
		})
	}
	_, err := ssh.New(ssh.Config{Algorithms: ssh.Algorithms{MACs: []string{"nonsense"}, MinRSABits: -1}})
	require.ErrorContains(t, err, `Algorithms.MACs[0]: "nonsense" is not known`)
	require.ErrorContains(t, err, "Algorithms.MinRSABits")
}

func limited(t *testing.T, key crypto.Signer, algorithms ...string) xssh.Signer {
	t.Helper()
	signer, err := xssh.NewSignerFromSigner(key)
	require.NoError(t, err)
	only, err := xssh.NewSignerWithAlgorithms(signer.(xssh.AlgorithmSigner), algorithms)
	require.NoError(t, err)
	return only
}

// RSA keys are as large as required, 1024 bits as in OpenSSH: those of hosts and
// users, and no login signs with SHA-1.
func TestRSAKeys(t *testing.T) {
	small, smallPublic := rsaKey(t, 1024)
	serve := sshtest.Config{HostKey: small, AuthorizedKeys: []xssh.PublicKey{smallPublic}}
	s := start(t, serve)
	auth := ssh.Auth{Signers: []ssh.Signer{ssh.NewSigner(small)}}
	_, err := connect(t, s, func(c *ssh.Config) { c.Auth = auth }).Dial(t.Context(), "host")
	require.NoError(t, err)
	_, err = connect(t, s, func(c *ssh.Config) { c.Algorithms.MinRSABits = 2048 }).Dial(t.Context(), "host")
	require.Contains(t, reason(t, err, transport.HostKey), "1024 bits, fewer than the 2048 required")
	_, err = ssh.New(ssh.Config{Auth: auth, HostKeys: ssh.HostKeys{KnownHosts: s.KnownHosts()}, Algorithms: ssh.Algorithms{MinRSABits: 2048}})
	require.ErrorContains(t, err, "Auth.Signers[0]: an RSA key of 1024 bits")

	old := start(t, sshtest.Config{AuthorizedKeys: []xssh.PublicKey{smallPublic}, Library: func(c *xssh.ServerConfig) {
		c.PublicKeyAuthAlgorithms = []string{xssh.KeyAlgoRSA}
	}})
	_, err = connect(t, old, func(c *ssh.Config) { c.Auth = auth }).Dial(t.Context(), "host")
	reason(t, err, transport.Auth)
	_, err = connect(t, old, func(c *ssh.Config) { c.Auth = auth; c.Algorithms.PublicKeys = []string{xssh.KeyAlgoRSA} }).Dial(t.Context(), "host")
	require.NoError(t, err)
}

// hostCertificate is signed by ca, by an algorithm of its own.
func hostCertificate(t *testing.T, ca xssh.Signer, key xssh.PublicKey, change func(*xssh.Certificate)) *xssh.Certificate {
	t.Helper()
	cert := &xssh.Certificate{
		Key: key, CertType: xssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: xssh.CertTimeInfinity,
	}
	change(cert)
	require.NoError(t, cert.SignCert(rand.Reader, ca))
	return cert
}

// A host's certificate is for the hosts it names, at the time it says, by an
// authority that is trusted for the host and signs with what is accepted.
func TestHostCertificates(t *testing.T) {
	authority, authorityPublic := newKey(t)
	ca, err := xssh.NewSignerFromSigner(authority)
	require.NoError(t, err)
	rsaAuthority, rsaPublic := rsaKey(t, 2048)
	hostKey, hostPublic := newKey(t)
	trust := "@cert-authority * " + string(xssh.MarshalAuthorizedKey(authorityPublic)) + "@cert-authority * " + string(xssh.MarshalAuthorizedKey(rsaPublic))
	now := time.Now()
	unix := func(d time.Duration) uint64 { return uint64(now.Add(d).Unix()) }
	for name, c := range map[string]struct {
		ca     xssh.Signer
		change func(*xssh.Certificate)
		known  string
		refuse string
	}{
		"good":                   {ca, func(*xssh.Certificate) {}, trust, ""},
		"a pattern":              {ca, func(c *xssh.Certificate) { c.ValidPrincipals = []string{"other", "127.*.0.?"} }, trust, ""},
		"no names":               {ca, func(c *xssh.Certificate) { c.ValidPrincipals = nil }, trust, "names no host"},
		"another host":           {ca, func(c *xssh.Certificate) { c.ValidPrincipals = []string{"127.0.0.2"} }, trust, "not for"},
		"a user's":               {ca, func(c *xssh.Certificate) { c.CertType = xssh.UserCert }, trust, "not one of a host"},
		"expired":                {ca, func(c *xssh.Certificate) { c.ValidBefore = unix(-time.Hour) }, trust, "expired"},
		"not yet":                {ca, func(c *xssh.Certificate) { c.ValidAfter = unix(time.Hour) }, trust, "not yet valid"},
		"critical option":        {ca, func(c *xssh.Certificate) { c.CriticalOptions = map[string]string{"x": "y"} }, trust, "critical option"},
		"signed with SHA-1":      {limited(t, rsaAuthority, xssh.KeyAlgoRSA), func(*xssh.Certificate) {}, trust, "signed by an algorithm"},
		"signed with SHA-2":      {limited(t, rsaAuthority, xssh.KeyAlgoRSASHA512), func(*xssh.Certificate) {}, trust, ""},
		"authority of others":    {ca, func(*xssh.Certificate) {}, "@cert-authority elsewhere " + string(xssh.MarshalAuthorizedKey(authorityPublic)), "no key is known"},
		"authority is revoked":   {ca, func(*xssh.Certificate) {}, trust + "@revoked * " + string(xssh.MarshalAuthorizedKey(authorityPublic)), "revoked"},
		"its key is revoked":     {ca, func(*xssh.Certificate) {}, trust + "@revoked * " + string(xssh.MarshalAuthorizedKey(hostPublic)), "revoked"},
		"bad, but the key known": {ca, func(c *xssh.Certificate) { c.ValidPrincipals = nil }, trust + "* " + string(xssh.MarshalAuthorizedKey(hostPublic)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			cert := hostCertificate(t, c.ca, hostPublic, c.change)
			s := start(t, sshtest.Config{HostKey: hostKey, HostCertificate: cert})
			tr := connect(t, s, func(cfg *ssh.Config) {
				cfg.HostKeys = ssh.HostKeys{KnownHosts: []byte(c.known)}
				cfg.Now = func() time.Time { return now }
			})
			_, err := tr.Dial(t.Context(), "host")
			if c.refuse == "" {
				require.NoError(t, err)
				return
			}
			require.Contains(t, reason(t, err, transport.HostKey), c.refuse)
		})
	}
}

// A host that shows another key when it is dialled again is refused.
func TestAnotherKeyAtReconnect(t *testing.T) {
	first := start(t, sshtest.Config{Conn: fakeHost(t), InMemory: true})
	second := start(t, sshtest.Config{Conn: fakeHost(t), InMemory: true, AuthorizedKeys: []xssh.PublicKey{mustPublic(t, first.ClientKey())}})
	servers := []*sshtest.Server{first, second}
	tr := connect(t, first, func(c *ssh.Config) {
		c.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			s := servers[0]
			servers = servers[1:]
			return s.DialContext(ctx, network, addr)
		}
	})
	_, err := tr.Dial(t.Context(), "host")
	require.NoError(t, err)
	first.Drop()
	require.Eventually(t, func() bool {
		_, err = tr.Dial(t.Context(), "host")
		return err != nil
	}, patient, time.Millisecond)
	require.Contains(t, reason(t, err, transport.HostKey), "changed")
}

func mustPublic(t *testing.T, key crypto.Signer) xssh.PublicKey {
	t.Helper()
	public, err := xssh.NewPublicKey(key.Public())
	require.NoError(t, err)
	return public
}
