package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// checkLeaf checks everything that makes a leaf what its spec says, at a moment.
func (b *bundle) checkLeaf(s leafSpec, p *pair, now time.Time) error {
	if err := checkIssued(b.ca[EtcdCA], p, s.profile, now); err != nil {
		return err
	}
	if p.cert.Subject.CommonName != s.commonName {
		return fmt.Errorf("the common name is %q, want %q", p.cert.Subject.CommonName, s.commonName)
	}
	if got := certHosts(p.cert); !sameHosts(got, s.hosts) {
		return fmt.Errorf("the SANs are %s, want %s", list(got), list(s.hosts))
	}
	return nil
}

func list(hosts []string) string {
	if len(hosts) == 0 {
		return "none"
	}
	return strings.Join(canonicalHosts(hosts), ", ")
}

// checkIssued checks key, lifetime, issuer and usages of a leaf as a host would,
// from its trust file.
func checkIssued(ca, p *pair, profile string, now time.Time) error {
	if !sameKey(p.cert.PublicKey, p.key.Public()) {
		return errors.New("the key does not belong to the certificate")
	}
	if p.cert.IsCA {
		return errors.New("the certificate is an authority's, not a leaf")
	}
	if p.cert.NotAfter.After(ca.cert.NotAfter) {
		return fmt.Errorf("it outlives its authority, which ends at %s", ca.cert.NotAfter.Format(time.RFC3339))
	}
	chains, err := p.cert.Verify(x509.VerifyOptions{
		Roots: poolOf(ca.anchor()...), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("not issued by %s, or not valid: %w", ca.cert.Subject, err)
	}
	return checkUsages(chains[0], profile)
}

func poolOf(certs ...*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool
}

// checkUsages wants every usage that etcd needs of a profile in the leaf, and
// none of the authorities above to rule it out.
func checkUsages(chain []*x509.Certificate, profile string) error {
	for _, usage := range requiredUsages(profile) {
		want := extKeyUsage(usage)
		if !slices.Contains(chain[0].ExtKeyUsage, want) {
			return fmt.Errorf("usage %q is missing", usage)
		}
		for _, ca := range chain[1:] {
			limited := len(ca.ExtKeyUsage)+len(ca.UnknownExtKeyUsage) > 0
			if limited && !slices.Contains(ca.ExtKeyUsage, want) && !slices.Contains(ca.ExtKeyUsage, x509.ExtKeyUsageAny) {
				return fmt.Errorf("%s is limited to other usages than %q", ca.Subject, usage)
			}
		}
	}
	return nil
}

// Verify checks the whole bundle at the moment that the Config's clock gives:
// every authority's chain and period, and for every leaf its chain as a host
// would follow it, key, lifetime, usages, common name and exact set of SANs.
// Every failure is a *VerifyError or *AuthorityError in the joined error.
// New and Load have done it already; later it tells what has lapsed since.
func (b *Bundle) Verify() error { return b.held.verify(b.held.cfg.Now()) }

func (b *bundle) verify(now time.Time) error {
	errs := []error{b.checkApart()}
	for _, a := range authorities {
		ca := b.ca[a.name]
		if err := ca.checkAuthority(); err != nil {
			errs = append(errs, &AuthorityError{a.name, BadAuthority, err})
		}
		if err := ca.checkPeriod(now); err != nil {
			errs = append(errs, &AuthorityError{a.name, Lapsed, err})
		}
	}
	for _, s := range b.specs {
		if err := b.checkLeaf(s, b.leaves[s.name()], now); err != nil {
			errs = append(errs, &VerifyError{s.name() + ".crt", err})
		}
	}
	return errors.Join(errs...)
}

// checkApart refuses one authority in two places: etcd would let in every
// client of the cluster, or the API server believe any of them to be its own
// front proxy.
func (b *bundle) checkApart() error {
	var errs []error
	for i, a := range authorities {
		for _, other := range authorities[:i] {
			if sameKey(b.ca[a.name].cert.PublicKey, b.ca[other.name].cert.PublicKey) {
				errs = append(errs, &AuthorityError{a.name, Shared, fmt.Errorf(
					"it has the key of the %s authority, whose clients would be accepted in its place; bring another", other.name)})
			}
		}
	}
	return errors.Join(errs...)
}
