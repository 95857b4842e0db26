package ssh

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/transport"
)

// verifier judges host keys.
type verifier struct {
	pins       map[string]pin
	known      *knownHosts // nil when there are only pins
	algorithms []string
	signatures []string // that an authority may sign certificates with
	minRSA     int
	now        func() time.Time
}

// pin is the keys a host may have.
type pin struct {
	types        []string
	fingerprints []string
}

// maxKnownHosts bounds a known_hosts file.
const maxKnownHosts = 64 << 20

// verifier reads everything, and reports all that is wrong.
func (h HostKeys) verifier(a Algorithms, now func() time.Time) (*verifier, error) {
	v := &verifier{
		pins: map[string]pin{}, known: &knownHosts{}, now: now,
		algorithms: a.HostKeys, signatures: a.hostKeySignatures(), minRSA: a.MinRSABits,
	}
	var errs []error
	for _, host := range sortedKeys(h.Pinned) {
		p, err := parsePin(h.Pinned[host])
		if err != nil {
			errs = append(errs, fmt.Errorf("HostKeys.Pinned[%q]: %w", host, err))
		}
		v.pins[host] = p
	}
	for i, line := range h.Authorities {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			errs = append(errs, fmt.Errorf("HostKeys.Authorities[%d]: %w", i, err))
			continue
		}
		v.known.lines = append(v.known.lines, knownLine{
			where: fmt.Sprintf("Authorities[%d]", i), marker: markerCA, key: key, matches: func(string) bool { return true },
		})
	}
	v.add("KnownHosts", h.KnownHosts)
	for i, path := range h.KnownHostsFiles {
		content, err := readFile(path, maxKnownHosts)
		if err != nil {
			errs = append(errs, fmt.Errorf("HostKeys.KnownHostsFiles[%d]: %w", i, err))
			continue
		}
		v.add(path, content)
	}
	sources := len(h.Authorities) + len(h.KnownHosts) + len(h.KnownHostsFiles)
	if len(h.Pinned)+sources == 0 {
		errs = append(errs, errors.New("HostKeys: neither known hosts, nor pinned keys, nor a host CA; host keys are never taken on trust"))
	}
	if sources == 0 {
		v.known = nil
	}
	return v, errors.Join(errs...)
}

func (v *verifier) add(file string, content []byte) {
	lines, skipped := parseKnownHosts(file, content)
	v.known.lines = append(v.known.lines, lines...)
	v.known.skipped = append(v.known.skipped, skipped...)
}

// readFile reads a file that is no larger than limit.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the caller's path
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s: %w of %d bytes", path, transport.ErrTooLarge, limit)
	}
	return content, nil
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
		p.types = append(p.types, key.Type())
		p.fingerprints = append(p.fingerprints, ssh.FingerprintSHA256(key))
	}
	if len(p.fingerprints) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("no key"))
	}
	return p, errors.Join(errs...)
}

// prefer returns the algorithms to ask the host for, those of the keys that are
// known for it first, so that it shows one of them rather than another it has.
func (v *verifier) prefer(h hop) []string {
	var types []string
	authority := false
	if p, pinned := v.pins[h.name]; pinned {
		types = p.types
	} else if v.known != nil {
		for _, l := range v.known.of(h.target) {
			if l.marker == markerCA {
				authority = true
				continue
			}
			types = append(types, l.key.Type())
		}
	}
	var first, last []string
	for _, algorithm := range v.algorithms {
		base, isCert := baseAlgorithm(algorithm)
		if isCert && authority || !isCert && slices.Contains(types, keyTypeOf(base)) {
			first = append(first, algorithm)
			continue
		}
		last = append(last, algorithm)
	}
	return append(first, last...)
}

// check returns a *transport.DialError that distinguishes an unknown key from a
// changed one.
func (v *verifier) check(h hop, key ssh.PublicKey) error {
	plain := key
	cert, isCert := key.(*ssh.Certificate)
	if isCert {
		plain = cert.Key
	}
	received := describe(plain)
	if bits, ok := rsaBits(plain); ok && bits < v.minRSA {
		return h.keyError(fmt.Errorf("the host showed %s of %d bits, fewer than the %d required", received, bits, v.minRSA),
			"make an ed25519 key on the host, or set Algorithms.MinRSABits")
	}
	if p, ok := v.pins[h.name]; ok {
		if slices.Contains(p.fingerprints, ssh.FingerprintSHA256(plain)) {
			return nil
		}
		return h.keyError(fmt.Errorf("the host showed %s, pinned is %s", received, strings.Join(p.fingerprints, " or ")), changedAdvice)
	}
	if v.known == nil {
		return h.keyError(fmt.Errorf("the host showed %s, no key is pinned for it", received), compareAdvice+"pin it")
	}
	judged := []ssh.PublicKey{plain}
	if isCert {
		judged = append(judged, cert.SignatureKey)
	}
	if l, revoked := v.known.revoked(h.target, judged...); revoked {
		if l.err != nil {
			return h.keyError(fmt.Errorf("%s revokes a key for it that cannot be read: %w", l.where, l.err), "mend the line")
		}
		return h.keyError(fmt.Errorf("the host showed %s, which %s marks as revoked", received, l.where), "make a new key on the host")
	}
	var want []string
	var certErr error
	for _, l := range v.known.of(h.target) {
		switch {
		case l.marker == markerCA && isCert && sameKey(l.key, cert.SignatureKey):
			if certErr = v.checkCertificate(h.target, cert); certErr == nil {
				return nil
			}
		case l.marker == "" && sameKey(l.key, plain):
			return nil
		case l.marker == "":
			want = append(want, describe(l.key)+" ("+l.where+")")
		}
	}
	advice, err := v.unknown(h.target, received, want, certErr)
	return h.keyError(err, advice)
}

// unknown says what was shown and what was looked for, and what to do about it.
func (v *verifier) unknown(t Target, received string, want []string, certErr error) (advice string, err error) {
	text, advice := "the host showed "+received, changedAdvice
	if len(want) > 0 {
		text += ", known is " + strings.Join(want, " or ")
	} else {
		text += ", no key is known for " + strings.Join(t.keyNames(), " or ")
		advice = compareAdvice + "add it to known_hosts or pin it"
	}
	if skipped := v.known.skipped; len(skipped) > 0 {
		text += fmt.Sprintf("; %d lines of known_hosts could not be read: %s", len(skipped), strings.Join(skipped[:min(3, len(skipped))], ", "))
		if len(skipped) > 3 {
			text += " ..."
		}
	}
	if certErr != nil {
		return advice, fmt.Errorf("%s, and its certificate is not accepted: %w", text, certErr)
	}
	return advice, errors.New(text)
}

// checkCertificate judges a certificate by an authority that is trusted for
// the host, as OpenSSH 10.3 and later do: it must name the host, and one
// without names is for no host.
func (v *verifier) checkCertificate(t Target, cert *ssh.Certificate) error {
	if cert.CertType != ssh.HostCert {
		return errors.New("it is not one of a host")
	}
	if cert.Signature == nil || !slices.Contains(v.signatures, cert.Signature.Format) {
		return errors.New("it is signed by an algorithm that is not accepted")
	}
	if bits, ok := rsaBits(cert.SignatureKey); ok && bits < v.minRSA {
		return fmt.Errorf("its authority's key has %d bits, fewer than the %d required", bits, v.minRSA)
	}
	if len(cert.ValidPrincipals) == 0 {
		return errors.New("it names no host: sign it with principals (ssh-keygen -h -n)")
	}
	name := t.certName()
	i := slices.IndexFunc(cert.ValidPrincipals, func(p string) bool { return matchPattern(p, name) })
	if i < 0 {
		return fmt.Errorf("it is for %q and not for %q", cert.ValidPrincipals[:min(8, len(cert.ValidPrincipals))], name)
	}
	checker := ssh.CertChecker{Clock: v.now}
	return checker.CheckCert(cert.ValidPrincipals[i], cert)
}

const (
	changedAdvice = "the key has changed: either the host was set up again, then replace the known key, or something else answers at its address"
	compareAdvice = "compare this fingerprint with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub at its console), then "
)

func describe(key ssh.PublicKey) string {
	return key.Type() + " " + ssh.FingerprintSHA256(key)
}

// rsaBits is the size of an RSA key.
func rsaBits(key ssh.PublicKey) (int, bool) {
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	c, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return 0, false
	}
	public, ok := c.CryptoPublicKey().(*rsa.PublicKey)
	if !ok {
		return 0, false
	}
	return public.N.BitLen(), true
}

func (h hop) keyError(err error, advice string) error {
	return h.dialError(transport.HostKey, err, advice)
}
