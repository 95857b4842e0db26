package ssh

import (
	"context"
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/youmark/pkcs8"
	"golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/internal/secret"
	"github.com/quorate-dev/quorate/transport"
)

// Auth is what proves who we are, offered in this order until the host accepts:
// the keys of Signers, Keys and KeyFiles, each after its certificates; the agent's keys that
// Identities and KeyFiles name; the agent's other keys; answers; the password. A
// host that wants several of them gets them in the order in which it asks. What
// fails on this side, such as an agent that is not running, is left out and
// reported in the *AuthError if the host accepts nothing else.
//
// sshd ends a connection after six failures (MaxAuthTries): where an agent
// holds more keys, name the right one in Identities.
//
// No output of it, at any depth, shows a secret.
type Auth struct {
	// Signers are keys in memory or in hardware.
	Signers []Signer
	// Keys are private keys: OpenSSH's format, PKCS#1, PKCS#8 or SEC 1 in PEM.
	Keys []transport.Data
	// KeyFiles are paths of such keys, at most 1 MiB each, read when New is
	// called. PATH-cert.pub is read as a certificate for it if it is there. A file with a public key
	// names the agent's key, as one of Identities.
	KeyFiles []string
	// Passphrase decrypts keys that need it: it is called once for each, with
	// the file's path or "Keys[0]", when New is called.
	Passphrase func(name string) (transport.Data, error)
	// Certificates of users, lines as in KEY-cert.pub, each for one of the keys above
	// or of the agent.
	Certificates []string

	// AgentSocket is the path of an ssh-agent's socket, usually the value of
	// SSH_AUTH_SOCK. The agent is asked when the host has accepted none of the keys above.
	AgentSocket string
	// Identities are public keys of the agent, lines as in authorized_keys or
	// fingerprints as "SHA256:...". They are offered before its others.
	Identities []string
	// IdentitiesOnly leaves the agent's other keys out.
	IdentitiesOnly bool

	// Answer answers a host's questions (the method "keyboard-interactive"), such
	// as one for a one-time code, in their order. It may wait for a person: DialTimeout stops
	// still meanwhile. ctx ends with Dial's.
	Answer func(ctx context.Context, q Questions) ([]transport.Data, error)
	// Password returns a user's password on a host. It is sent by the method
	// "password", or where the host asks one hidden question instead and Answer is nil, as the answer to that. It is
	// called at most once a connection, and DialTimeout is stopped meanwhile.
	Password func(ctx context.Context, l Login) (transport.Data, error)
}

// Login is where and as whom somebody logs in.
type Login struct {
	// Host is the name passed to Dial or in a Jump, Addr what is dialled.
	Host, Addr string
	User       string
}

// Questions is what a host asks a user. Its texts are the host's own, cut to
// 1 KiB each, with control characters escaped.
type Questions struct {
	Login
	Name, Instruction string
	Questions         []Question
}

// Question is one of them. An answer that should be typed unseen has Hidden set.
type Question struct {
	Text   string
	Hidden bool
}

// identity is one key to offer.
type identity struct {
	name   string // where it comes from
	signer ssh.Signer
}

// credentials is Auth, read and checked.
type credentials struct {
	auth       Auth
	algorithms Algorithms
	own        []identity         // what needs no agent, certificates included
	wanted     []string           // fingerprints of the agent's keys to offer first
	loose      []*ssh.Certificate // certificates for none of own
}

const maxKeyFile = 1 << 20

// read reads the keys, and reports everything that is wrong with them.
func (a Auth) read(algorithms Algorithms) (*credentials, error) {
	c := &credentials{auth: a, algorithms: algorithms}
	var errs []error
	problem := func(field string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("Auth.%s: %w", field, err))
		}
	}
	var certificates []*ssh.Certificate
	for i, line := range a.Certificates {
		cert, err := parseCertificate([]byte(line))
		problem(fmt.Sprintf("Certificates[%d]", i), err)
		if err == nil {
			certificates = append(certificates, cert)
		}
	}
	var keys []identity
	add := func(field string, s ssh.Signer, err error) {
		if err == nil {
			err = c.usable(s.PublicKey())
		}
		problem(field, err)
		if err == nil {
			keys = append(keys, identity{field, s})
		}
	}
	for i, key := range a.Signers {
		s, err := key.signer()
		add(fmt.Sprintf("Signers[%d]", i), s, err)
	}
	for i, key := range a.Keys {
		name := fmt.Sprintf("Keys[%d]", i)
		s, err := a.parse(name, key.Bytes())
		add(name, s, err)
	}
	for i, path := range a.KeyFiles {
		field := fmt.Sprintf("KeyFiles[%d]", i)
		content, err := readFile(path, maxKeyFile)
		if err != nil {
			problem(field, err)
			continue
		}
		certs, err := certificateBeside(path)
		problem(field, err)
		certificates = append(certificates, certs...)
		if public, _, _, _, err := ssh.ParseAuthorizedKey(content); err == nil {
			c.wanted = append(c.wanted, ssh.FingerprintSHA256(public))
			continue
		}
		s, err := a.parse(path, content)
		add(field, s, err)
	}
	for i, line := range a.Identities {
		print, err := parseIdentity(line)
		problem(fmt.Sprintf("Identities[%d]", i), err)
		c.wanted = append(c.wanted, print)
	}
	c.own, c.loose = withCertificates(keys, certificates)
	if a.AgentSocket == "" && len(errs) == 0 {
		for _, cert := range c.loose {
			problem("Certificates", fmt.Errorf("the one of %s belongs to none of the keys, and there is no agent", describe(cert.Key)))
		}
		if len(c.wanted) > 0 {
			problem("Identities", errors.New("set, and there is no agent that could hold the private keys"))
		}
	}
	if len(a.Signers)+len(a.Keys)+len(a.KeyFiles) == 0 && a.AgentSocket == "" && a.Answer == nil && a.Password == nil {
		errs = append(errs, errors.New("Auth: no key, no agent and no password"))
	}
	return c, errors.Join(errs...)
}

// usable refuses keys that could not sign under the algorithms allowed.
func (c *credentials) usable(key ssh.PublicKey) error {
	if bits, ok := rsaBits(key); ok && bits < c.algorithms.MinRSABits {
		return fmt.Errorf("an RSA key of %d bits, fewer than the %d required", bits, c.algorithms.MinRSABits)
	}
	if len(c.algorithms.signing(key)) == 0 {
		return fmt.Errorf("a key of type %s, which is not among the algorithms accepted", key.Type())
	}
	return nil
}

// withCertificates puts each key's certificates before it.
func withCertificates(keys []identity, certs []*ssh.Certificate) (all []identity, loose []*ssh.Certificate) {
	used := map[*ssh.Certificate]bool{}
	for _, key := range keys {
		for _, cert := range certs {
			if !sameKey(cert.Key, key.signer.PublicKey()) {
				continue
			}
			used[cert] = true
			if s, err := ssh.NewCertSigner(cert, key.signer); err == nil {
				all = append(all, identity{"certificate of " + key.name, s})
			}
		}
		all = append(all, key)
	}
	for _, cert := range certs {
		if !used[cert] {
			loose = append(loose, cert)
		}
	}
	return all, loose
}

func parseCertificate(line []byte) (*ssh.Certificate, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		return nil, err
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, fmt.Errorf("a key of type %s and no certificate", key.Type())
	}
	if cert.CertType != ssh.UserCert {
		return nil, errors.New("a certificate that is not one of a user")
	}
	return cert, nil
}

// certificateBeside reads KEY-cert.pub, which need not be there.
func certificateBeside(path string) ([]*ssh.Certificate, error) {
	content, err := readFile(strings.TrimSuffix(path, ".pub")+"-cert.pub", maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	cert, err := parseCertificate(content)
	if err != nil {
		return nil, fmt.Errorf("%s-cert.pub: %w", path, err)
	}
	return []*ssh.Certificate{cert}, nil
}

// parseIdentity returns the fingerprint of a public key.
func parseIdentity(line string) (string, error) {
	if strings.HasPrefix(line, "SHA256:") {
		return strings.TrimRight(line, "="), nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return "", fmt.Errorf("neither a fingerprint SHA256:... nor a public key: %w", err)
	}
	return ssh.FingerprintSHA256(key), nil
}

// parse reads one private key.
func (a Auth) parse(name string, content []byte) (ssh.Signer, error) {
	block, _ := pem.Decode(content)
	encrypted := block != nil && block.Type == "ENCRYPTED PRIVATE KEY"
	if !encrypted {
		s, err := ssh.ParsePrivateKey(content)
		var locked *ssh.PassphraseMissingError
		if !errors.As(err, &locked) {
			return s, err
		}
	}
	if a.Passphrase == nil {
		return nil, fmt.Errorf("%s is encrypted and Auth.Passphrase is not set", name)
	}
	passphrase, err := a.Passphrase(name)
	if err != nil {
		return nil, fmt.Errorf("passphrase of %s: %w", name, err)
	}
	if !encrypted {
		return ssh.ParsePrivateKeyWithPassphrase(content, passphrase.Bytes())
	}
	key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, passphrase.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return ssh.NewSignerFromKey(key)
}

// Signer is a private key in memory or in hardware. No output shows it. The
// zero Signer is refused by New.
type Signer struct{ held secret.Value[crypto.Signer] }

// NewSigner holds a key: ed25519.PrivateKey, *rsa.PrivateKey,
// *ecdsa.PrivateKey or anything else with such a public key.
func NewSigner(key crypto.Signer) Signer { return Signer{secret.Hide(key)} }

// String returns a placeholder.
func (s Signer) String() string { return s.held.String() }

// Format makes every verb print the placeholder.
func (s Signer) Format(f fmt.State, verb rune) { s.held.Format(f, verb) }

// MarshalText writes the placeholder.
func (s Signer) MarshalText() ([]byte, error) { return s.held.MarshalText() }

func (s Signer) signer() (ssh.Signer, error) {
	key := s.held.Reveal()
	if key == nil {
		return nil, errors.New("is nil")
	}
	return ssh.NewSignerFromSigner(key)
}
