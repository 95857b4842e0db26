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
	return ca.checkVouches(p.cert, requiredUsages(profile), now)
}

// checkVouches checks that a leaf of this authority holds for who has its trust
// file, and for who trusts the root above it instead: whatever an authority of
// the chain is limited to applies.
func (p *pair) checkVouches(leaf *x509.Certificate, usages []string, now time.Time) error {
	chain := p.all()
	for _, trusted := range slices.Compact([]int{0, len(chain) - 1}) {
		chains, err := leaf.Verify(x509.VerifyOptions{
			Roots: poolOf(chain[trusted]), Intermediates: poolOf(chain[:trusted]...), CurrentTime: now,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		if err != nil {
			return fmt.Errorf("not issued by %s, or not valid: %w", chain[trusted].Subject, err)
		}
		if err := checkUsages(chains[0], usages); err != nil {
			return err
		}
	}
	return nil
}

func poolOf(certs ...*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool
}

// checkUsages wants every usage in the leaf, and no authority above it that rules
// one out.
func checkUsages(chain []*x509.Certificate, usages []string) error {
	for _, usage := range usages {
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

// Verify checks the whole bundle at the moment that the Config's clock returns:
// every authority's chain and period, that none of them can issue what another
// is trusted for, that what kubeadm issues from them will hold on this cluster's
// hosts, and of every leaf its chain as a host would follow it, key, lifetime,
// usages, common name and exact set of SANs. Every failure is a *VerifyError or
// *AuthorityError in the joined error. New and Load have done it already; later
// it reports what has lapsed since.
func (b *Bundle) Verify() error {
	h, err := b.get()
	if err != nil {
		return err
	}
	return h.verify(h.cfg.Now())
}

func (b *bundle) verify(now time.Time) error {
	errs := []error{b.checkApart()}
	for _, a := range authorities {
		ca := b.ca[a.name]
		if err := ca.checkAuthority(); err != nil {
			errs = append(errs, &AuthorityError{a.name, BadAuthority, err})
			continue
		}
		if err := ca.checkPeriod(now); err != nil {
			errs = append(errs, &AuthorityError{a.name, Lapsed, err})
			continue
		}
		if err := b.checkServes(a.name, now); err != nil {
			errs = append(errs, &AuthorityError{a.name, BadAuthority, err})
		}
	}
	for _, s := range b.specs {
		if err := b.checkLeaf(s, b.leaves[s.name()], now); err != nil {
			errs = append(errs, &VerifyError{s.name() + ".crt", err})
		}
	}
	return errors.Join(errs...)
}
