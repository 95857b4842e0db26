package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
)

// checkApart refuses an authority that can issue what another one is trusted
// for, since it is the other one, or because the other one, or its key, is above
// it: with Kubernetes' authority below etcd's, every kubelet's certificate would
// open etcd; with the front proxy's below Kubernetes', every client of the
// aggregation layer the API. It judges by keys and signatures, whatever names
// the certificates have.
func (b *bundle) checkApart() error {
	var errs []error
	for i, a := range authorities {
		for j, other := range authorities {
			issuing, trusted := b.ca[a.name], b.ca[other.name].cert
			if i == j {
				continue
			}
			if sameKey(issuing.cert.PublicKey, trusted.PublicKey) {
				if j < i { // once for the two
					errs = append(errs, &AuthorityError{a.name, Shared, fmt.Errorf(
						"it has the key of the %s authority, whose clients would be accepted in its place; bring another", other.name)})
				}
			} else if c := issuing.below(trusted); c != nil {
				errs = append(errs, &AuthorityError{a.name, Shared, fmt.Errorf(
					"%s, in its chain, comes from the %s authority: whatever it issues would be accepted where only that one's clients and servers may be; "+
						"bring one that is not below it (two intermediates of one root are well apart)", c.Subject, other.name)})
			}
		}
	}
	return errors.Join(errs...)
}

// below returns the certificate by which an authority can issue for who trusts
// another one: the first of its chain that has the other's key, or was signed
// with it. Nil if there is none.
func (p *pair) below(trusted *x509.Certificate) *x509.Certificate {
	for _, c := range p.all() {
		if sameKey(c.PublicKey, trusted.PublicKey) || trusted.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
			return c
		}
	}
	return nil
}
