package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/quorate-dev/quorate/transport"
)

// verifier judges host keys.
type verifier struct {
	pins map[string]pin
	db   *knownhosts.HostKeyDB // nil when there are only pins
}

// pin is the keys a host may have.
type pin struct{ keys, fingerprints []string }

// verifier reads everything, telling all that is wrong.
func (h HostKeys) verifier() (*verifier, error) {
	v := &verifier{pins: map[string]pin{}}
	var errs []error
	for _, host := range sortedKeys(h.Pinned) {
		p, err := parsePin(h.Pinned[host])
		if err != nil {
			errs = append(errs, fmt.Errorf("HostKeys.Pinned[%q]: %w", host, err))
		}
		v.pins[host] = p
	}
	lines := bytes.Clone(h.KnownHosts)
	for i, line := range h.Authorities {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			errs = append(errs, fmt.Errorf("HostKeys.Authorities[%d]: %w", i, err))
			continue
		}
		lines = append(lines, "\n@cert-authority * "...)
		lines = append(lines, ssh.MarshalAuthorizedKey(key)...)
	}
	if len(h.Pinned)+len(lines)+len(h.KnownHostsFiles) == 0 {
		errs = append(errs, errors.New("HostKeys: neither known hosts, nor pinned keys, nor a host CA; host keys are never taken on trust"))
	}
	if len(lines)+len(h.KnownHostsFiles) > 0 {
		db, err := openDB(lines, h.KnownHostsFiles)
		if err != nil {
			errs = append(errs, fmt.Errorf("HostKeys: %w", err))
		}
		v.db = db
	}
	return v, errors.Join(errs...)
}

func parsePin(lines []string) (pin, error) {
	var p pin
	var errs []error
	for i, line := range lines {
		if strings.HasPrefix(line, "SHA256:") {
			p.fingerprints = append(p.fingerprints, strings.TrimRight(line, "="))
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			errs = append(errs, fmt.Errorf("[%d]: neither a fingerprint SHA256:... nor a public key: %w", i, err))
			continue
		}
		p.keys = append(p.keys, key.Type())
		p.fingerprints = append(p.fingerprints, ssh.FingerprintSHA256(key))
	}
	if len(p.fingerprints) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("no key"))
	}
	return p, errors.Join(errs...)
}

// openDB gives the library a file for what we hold in memory: it reads files
// only, and at once.
func openDB(lines []byte, files []string) (*knownhosts.HostKeyDB, error) {
	if len(lines) == 0 {
		return knownhosts.NewDB(files...)
	}
	f, err := os.CreateTemp("", "quorate-known-hosts-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(lines)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	db, err := knownhosts.NewDB(append(slices.Clone(files), f.Name())...)
	if err != nil {
		// The temporary name would only puzzle.
		return nil, errors.New(strings.ReplaceAll(err.Error(), f.Name(), "KnownHosts"))
	}
	return db, nil
}

// algorithms to ask the host for, so that it shows the key that is known
// rather than another it has; nil leaves the library's.
func (v *verifier) algorithms(h hop) []string {
	p, pinned := v.pins[h.name]
	if !pinned {
		if v.db == nil {
			return nil
		}
		return v.db.HostKeyAlgorithms(h.target.keyName())
	}
	var algos []string
	for _, t := range p.keys {
		if t == ssh.KeyAlgoRSA {
			algos = append(algos, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
			continue
		}
		algos = append(algos, t)
	}
	if len(p.keys) < len(p.fingerprints) {
		return nil
	}
	return algos
}

// check returns a *transport.DialError that tells an unknown key from a
// changed one.
func (v *verifier) check(h hop, key ssh.PublicKey) error {
	shown := key
	if cert, ok := key.(*ssh.Certificate); ok {
		shown = cert.Key
	}
	received := describe(shown)
	if p, ok := v.pins[h.name]; ok {
		if slices.Contains(p.fingerprints, ssh.FingerprintSHA256(shown)) {
			return nil
		}
		return h.keyError(fmt.Errorf("the host showed %s, pinned is %s", received, strings.Join(p.fingerprints, " or ")), changedAdvice)
	}
	if v.db == nil {
		return h.keyError(fmt.Errorf("the host showed %s, no key is pinned for it", received),
			"compare this fingerprint with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub at its console), then pin it")
	}
	err := v.db.HostKeyCallback()(h.target.keyName(), &net.TCPAddr{}, key) // it looks at the name only
	if err == nil {
		return nil
	}
	var keyErr *xknownhosts.KeyError
	var revoked *xknownhosts.RevokedError
	switch {
	case errors.As(err, &revoked):
		return h.keyError(fmt.Errorf("the host showed %s, which is revoked: %w", received, err), "give the host a new key")
	case errors.As(err, &keyErr) && len(keyErr.Want) > 0:
		var want []string
		for _, w := range keyErr.Want {
			want = append(want, describe(w.Key))
		}
		return h.keyError(fmt.Errorf("the host showed %s, known is %s: %w", received, strings.Join(want, " or "), err), changedAdvice)
	case errors.As(err, &keyErr):
		return h.keyError(fmt.Errorf("the host showed %s, no key is known for %s: %w", received, xknownhosts.Normalize(h.target.keyName()), err),
			"compare this fingerprint with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub at its console), then add it to known_hosts or pin it")
	}
	return h.keyError(fmt.Errorf("the host showed %s: %w", received, err), "")
}

const changedAdvice = "the key has changed: either the host was set up anew, then replace the known key, or something else answers at its address"

func describe(key ssh.PublicKey) string {
	return key.Type() + " " + ssh.FingerprintSHA256(key)
}

func (h hop) keyError(err error, advice string) error {
	return &transport.DialError{Host: h.name, Addr: h.target.hostPort(), Reason: transport.HostKey, Err: err, Advice: advice}
}
