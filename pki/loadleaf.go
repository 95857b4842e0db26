package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

func (l *loader) leaves() error {
	var errs []error
	for _, s := range l.bundle.specs {
		leaf, err := l.leaf(s)
		errs = append(errs, err)
		l.bundle.leaves[s.name()] = leaf
	}
	return errors.Join(errs...)
}

func (l *loader) leaf(s leafSpec) (*pair, error) {
	kept, reason, detail, err := l.storedLeaf(s)
	if err != nil || reason == "" {
		return kept, err
	}
	ca := l.bundle.ca[EtcdCA]
	if ca.key == nil {
		return nil, &AuthorityError{EtcdCA, NoKey, fmt.Errorf("%s.crt must be issued (%s); restore %s, or set the authority in the configuration if it was brought", s.name(), reason, caKeyPath(EtcdCA))}
	}
	made, err := l.issuer.newLeaf(ca, s)
	if err != nil {
		return nil, fmt.Errorf("issuing %s.crt: %w", s.name(), err)
	}
	l.issued(s.name()+".crt", reason, detail)
	return made, nil
}

// storedLeaf returns the stored leaf, and the reason to reissue it if there is
// one.
func (l *loader) storedLeaf(s leafSpec) (kept *pair, reason Reason, detail string, err error) {
	certPath, keyPath := s.name()+".crt", s.name()+".key"
	if !l.stored.has(certPath) || !l.stored.has(keyPath) {
		return nil, Missing, "", nil
	}
	p, err := l.stored.pair(certPath, keyPath)
	if err != nil {
		return nil, "", "", err
	}
	ca := l.bundle.ca[EtcdCA]
	if reason, detail = l.lapsing(p, s.profile); reason == "" {
		reason, detail = mismatch(p, s)
	}
	// A leaf that is to be replaced for its dates is checked as of its own time.
	at := l.now
	if reason == Expiring {
		at = p.cert.NotBefore
		if at.Before(ca.cert.NotBefore) {
			at = ca.cert.NotBefore
		}
	}
	if err := checkIssued(ca, p, anyProfile, at); err != nil {
		return nil, "", "", &FileError{certPath, fmt.Errorf("%w; delete it to have it reissued", err)}
	}
	return p, reason, detail, nil
}

// lapsing reports whether a leaf's time is over or nearly so, and a new one would
// last longer: at the end of its authority's life it would not.
func (l *loader) lapsing(p *pair, profile string) (Reason, string) {
	end := p.cert.NotAfter
	if !l.now.Add(l.cfg.renewBefore(profile)).After(end) || !l.issuer.leafEnd(l.bundle.ca[EtcdCA].cert, profile).After(end) {
		return "", ""
	}
	return Expiring, "valid until " + end.Format(time.RFC3339)
}

func mismatch(p *pair, s leafSpec) (Reason, string) {
	if got := certHosts(p.cert); !sameHosts(got, s.hosts) {
		return Mismatch, fmt.Sprintf("SANs %s, want %s", list(got), list(s.hosts))
	}
	if got := p.cert.Subject.CommonName; got != s.commonName {
		return Mismatch, fmt.Sprintf("common name %q, want %q", got, s.commonName)
	}
	if err := checkUsages([]*x509.Certificate{p.cert}, requiredUsages(s.profile)); err != nil {
		return Mismatch, err.Error()
	}
	return "", ""
}
