package ssh

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/quorate-dev/quorate/internal/secret"
	"github.com/quorate-dev/quorate/transport"
)

// Config says how hosts are reached. Auth and HostKeys must hold something;
// every other zero value works.
type Config struct {
	// Targets by the names that Dial is given. A name that is not among them
	// is read by ParseTarget.
	Targets map[string]Target
	// User for targets without one; empty means root.
	User string
	// Jump is the way to targets without one of their own.
	Jump []string

	Auth     Auth
	HostKeys HostKeys

	// DialTimeout bounds connecting and authenticating at each hop; 0 means
	// 15 s.
	DialTimeout time.Duration
	// KeepAlive is the time between two signs of life asked of a host; 0 means
	// 10 s, negative none. KeepAliveMax of them unanswered, 0 means 3, and the
	// connection counts as lost.
	KeepAlive    time.Duration
	KeepAliveMax int
	// Sessions is how many commands run at once on a host, further ones wait;
	// 0 means 8. sshd's MaxSessions is 10 unless set.
	Sessions int
	// Grace is the time between SIGTERM and SIGKILL, and from that to giving
	// up, when a command's ctx has ended; 0 means 1 s.
	Grace time.Duration
	// DialContext makes the TCP connections to the first hops; nil means
	// net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Auth is what proves who we are. Everything given is offered, in the order
// of the fields. No output of it, at any depth, shows a secret.
type Auth struct {
	// Signers are keys in memory or in hardware.
	Signers []Signer
	// Keys are private keys, PEM or OpenSSH format.
	Keys []transport.Data
	// KeyFiles are paths of such keys, read when New is called.
	KeyFiles []string
	// Passphrase decrypts keys that need it: it is called once for each, with
	// the file's path or "key 0", when New is called.
	Passphrase func(name string) (transport.Data, error)
	// AgentSocket is the path of an ssh-agent's socket, usually the value of
	// SSH_AUTH_SOCK. The agent is asked at each dial.
	AgentSocket string
}

// HostKeys is how hosts prove who they are. A host with a pin is held to it
// alone; others need an entry in one of the rest.
type HostKeys struct {
	// Pinned maps a host, as given to Dial, to the public keys it may have:
	// lines as in authorized_keys or fingerprints as "SHA256:...".
	Pinned map[string][]string
	// Authorities are public keys of host CAs, lines as in authorized_keys.
	// Certificates must name the host's address or alias.
	Authorities []string
	// KnownHosts is the content of a known_hosts file, hashed names, wildcards
	// and @cert-authority and @revoked lines included. It passes through a
	// temporary file when New is called.
	KnownHosts []byte
	// KnownHostsFiles are paths of such files, read when New is called.
	KnownHostsFiles []string
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

func (c Config) withDefaults() Config {
	c.User = or(c.User, "root")
	c.DialTimeout = or(c.DialTimeout, 15*time.Second)
	c.KeepAlive = or(c.KeepAlive, 10*time.Second)
	c.KeepAliveMax = or(c.KeepAliveMax, 3)
	c.Sessions = or(c.Sessions, 8)
	c.Grace = or(c.Grace, time.Second)
	if c.DialContext == nil {
		c.DialContext = new(net.Dialer).DialContext
	}
	return c
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// validate tells everything wrong with the plain values; keys and host keys
// are judged where they are read.
func (c Config) validate() error {
	var errs []error
	for _, name := range sortedKeys(c.Targets) {
		target := c.Targets[name]
		if err := target.validate(); err != nil {
			errs = append(errs, fmt.Errorf("Targets[%q]: %w", name, err))
		}
		if err := c.checkJumps(name); err != nil {
			errs = append(errs, fmt.Errorf("Targets[%q].Jump: %w", name, err))
		}
	}
	for field, negative := range map[string]bool{
		"DialTimeout": c.DialTimeout < 0, "KeepAliveMax": c.KeepAliveMax < 0,
		"Sessions": c.Sessions < 0, "Grace": c.Grace < 0,
	} {
		if negative {
			errs = append(errs, fmt.Errorf("%s: is negative", field))
		}
	}
	return errors.Join(errs...)
}
