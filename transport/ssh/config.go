package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Config says how hosts are reached. Auth and HostKeys must hold something;
// every other zero value works.
type Config struct {
	// Targets by the names that are passed to Dial. A name that is not among them
	// is read by ParseTarget, unless OnlyTargets is set.
	Targets map[string]Target
	// OnlyTargets refuses to dial a name that is not among Targets, with an error that
	// wraps transport.ErrNoHost: one that is misspelt is then no address. Jump hosts may
	// be addresses all the same.
	OnlyTargets bool
	// User for targets without one; empty means root.
	User string
	// Jump is the way to targets without one of their own.
	Jump []string

	Auth       Auth
	HostKeys   HostKeys
	Algorithms Algorithms

	// DialTimeout bounds connecting and authenticating at each hop; 0 means
	// 15 s.
	DialTimeout time.Duration
	// KeepAlive is the time between two signs of life asked of a host; 0 means
	// 10 s, negative none. KeepAliveMax of them unanswered, 0 means 3, and the
	// connection counts as lost.
	KeepAlive    time.Duration
	KeepAliveMax int
	// Sessions is how many commands run at once on a host, further ones wait;
	// 0 means 8. One session more is used to end commands whose ctx has ended, so
	// it should be less than sshd's MaxSessions, which is 10 unless set. Where it
	// is not, sessions that the host refuses are waited for, and commands are ended over a
	// connection of its own.
	Sessions int
	// SessionTimeout bounds how long a host may take to open a session and to start a
	// command in it; 0 means 1 minute. A host that does not answer within it has
	// lost its connection.
	SessionTimeout time.Duration
	// Grace is the time between SIGTERM and SIGKILL, and from that to giving
	// up, when a command's ctx has ended; 0 means 3 s.
	Grace time.Duration
	// Now is the time that certificates are judged at; nil means time.Now.
	Now func() time.Time
	// DialContext makes the TCP connections to the first hops; nil means
	// net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

// HostKeys is how hosts prove who they are. A host with a pin is held to it
// alone; others need an entry in one of the rest.
type HostKeys struct {
	// Pinned maps a host, as passed to Dial, to the public keys it may have:
	// lines as in authorized_keys or fingerprints as "SHA256:...".
	Pinned map[string][]string
	// Authorities are public keys of host CAs, lines as in authorized_keys.
	// Certificates must name the host's address or alias, "*" and "?" allowed; one
	// that names no host is for none, as in OpenSSH since 10.3.
	Authorities []string
	// KnownHosts is the content of a known_hosts file, hashed names, wildcards
	// and @cert-authority and @revoked lines included. Names are compared as
	// OpenSSH does: in lower case, as "[host]:port" where the port is not 22, and
	// if nothing is known for that, without the port. A line that cannot be read
	// is skipped; a @revoked one of that kind refuses the hosts it names.
	KnownHosts []byte
	// KnownHostsFiles are paths of such files, at most 64 MiB each, read when New is called.
	KnownHostsFiles []string
}

func (c Config) withDefaults() Config {
	c.User = or(c.User, "root")
	c.DialTimeout = or(c.DialTimeout, 15*time.Second)
	c.KeepAlive = or(c.KeepAlive, 10*time.Second)
	c.KeepAliveMax = or(c.KeepAliveMax, 3)
	c.Sessions = or(c.Sessions, 8)
	c.SessionTimeout = or(c.SessionTimeout, time.Minute)
	c.Grace = or(c.Grace, 3*time.Second)
	c.Algorithms = c.Algorithms.withDefaults()
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.DialContext == nil {
		c.DialContext = new(net.Dialer).DialContext
	}
	return c
}

func (c Config) limits() limits {
	return limits{
		sessions: c.Sessions, sessionTimeout: c.SessionTimeout,
		keepAlive: c.KeepAlive, keepAliveMax: c.KeepAliveMax,
	}
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// validate reports everything wrong with the plain values; keys and host keys
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
		"Sessions": c.Sessions < 0, "SessionTimeout": c.SessionTimeout < 0, "Grace": c.Grace < 0,
	} {
		if negative {
			errs = append(errs, fmt.Errorf("%s: is negative", field))
		}
	}
	return errors.Join(append(errs, c.Algorithms.problems()...)...)
}
