package pki

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// AuthorityName is one of the cluster's three authorities.
type AuthorityName string

const (
	// EtcdCA issues etcd's servers, peers and clients.
	EtcdCA AuthorityName = "etcd"
	// KubernetesCA is what kubeadm issues the cluster's own leaves with.
	KubernetesCA AuthorityName = "kubernetes"
	// FrontProxyCA is what kubeadm issues the aggregation layer's client with.
	FrontProxyCA AuthorityName = "front-proxy"
)

// Authority is a certificate authority of the user's own. It never shows its
// key in any formatted or marshalled form. It is immutable and, if its signer
// is, safe for concurrent use.
type Authority struct{ held *pair }

// NewAuthority takes an authority whose key is held by a signer, which may be
// hardware. The chain starts with the authority's certificate; when that is not
// self-signed, the certificates above it follow, each issued by the next, up to
// the self-signed root. An *AuthorityError with BadAuthority says what does not
// fit. Whether the authority may issue what this cluster needs, and is apart
// from the others, is checked by New and Load.
//
// With an intermediate, trust files hold it alone, not what is above it: else
// whatever else the root vouches for would be let into etcd, and Kubernetes'
// controller manager refuses a file of several certificates. Go's verifier,
// which etcd and all of Kubernetes use, is content with an intermediate as its
// anchor; OpenSSL wants -partial_chain. etcd's leaves bring the intermediates
// along for those who trust the root.
func NewAuthority(signer crypto.Signer, chain ...*x509.Certificate) (*Authority, error) {
	if signer == nil {
		return nil, badAuthority(errors.New("the signer is nil"))
	}
	if len(chain) == 0 || slices.Contains(chain, nil) {
		return nil, badAuthority(errors.New("want at least one certificate and none that is nil"))
	}
	keyPEM, err := encodeKey(signer)
	if err != nil {
		return nil, badAuthority(err)
	}
	p := &pair{cert: chain[0], chain: slices.Clone(chain[1:]), key: newPrivateKey(signer, keyPEM)}
	if err := p.checkAuthority(); err != nil {
		return nil, badAuthority(err)
	}
	return &Authority{p}, nil
}

// ParseAuthority reads an authority from PEM: one certificate or a chain of
// them as NewAuthority describes, and a private key in PKCS #8, PKCS #1 or SEC 1.
// Errors are those of NewAuthority and never quote the key.
func ParseAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	p, err := parsePair(certPEM, keyPEM)
	if err != nil {
		return nil, badAuthority(err)
	}
	if err := p.checkAuthority(); err != nil {
		return nil, badAuthority(err)
	}
	return &Authority{p}, nil
}

func badAuthority(err error) error { return &AuthorityError{Reason: BadAuthority, Err: err} }

// String names the authority by its subject.
func (a *Authority) String() string {
	if a == nil || a.held == nil {
		return "no certificate authority"
	}
	return "certificate authority " + a.held.cert.Subject.String()
}

// MarshalText returns the same as String: a key is never marshalled.
func (a *Authority) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// GoString returns the same as String.
func (a *Authority) GoString() string { return a.String() }

// checkAuthority checks what does not depend on the time.
func (p *pair) checkAuthority() error {
	if err := checkPublicKey(p.cert.PublicKey); err != nil {
		return err
	}
	if p.key != nil && !sameKey(p.cert.PublicKey, p.key.Public()) {
		return errors.New("the key does not belong to the certificate")
	}
	chain := p.all()
	for i, c := range chain {
		if !c.IsCA || !c.BasicConstraintsValid || c.KeyUsage&x509.KeyUsageCertSign == 0 {
			return fmt.Errorf("certificate %d, %s, may not sign certificates", i+1, c.Subject)
		}
		if i > 0 {
			if err := chain[i-1].CheckSignatureFrom(c); err != nil {
				return fmt.Errorf("certificate %d of the chain was not issued by certificate %d: %w", i, i+1, err)
			}
		}
	}
	// Only the whole chain shows whom else the authority's root vouches for.
	if last := chain[len(chain)-1]; !selfSigned(last) {
		return fmt.Errorf("the chain ends with %s, which %s issued: append that one's certificate, and so on up to the root", last.Subject, last.Issuer)
	}
	return nil
}

// checkPeriod refuses an authority whose chain does not hold at a moment.
func (p *pair) checkPeriod(now time.Time) error {
	for _, c := range p.all() {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return fmt.Errorf("%s is valid from %s to %s, now is %s", c.Subject,
				c.NotBefore.Format(time.RFC3339), c.NotAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
		}
	}
	return nil
}
