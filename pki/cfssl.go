package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/cloudflare/cfssl/config"
	"github.com/cloudflare/cfssl/csr"
	"github.com/cloudflare/cfssl/initca"
	"github.com/cloudflare/cfssl/signer"
	"github.com/cloudflare/cfssl/signer/local"
)

var keyRequests = map[KeyAlgorithm]csr.KeyRequest{
	RSA2048:   {A: "rsa", S: 2048},
	RSA3072:   {A: "rsa", S: 3072},
	RSA4096:   {A: "rsa", S: 4096},
	ECDSAP256: {A: "ecdsa", S: 256},
	ECDSAP384: {A: "ecdsa", S: 384},
}

func knownUsage(usage string) bool {
	_, key := config.KeyUsage[usage]
	_, extended := config.ExtKeyUsage[usage]
	return key || extended
}

func extKeyUsage(usage string) x509.ExtKeyUsage { return config.ExtKeyUsage[usage] }

// issuer signs with one policy at one moment.
type issuer struct {
	policy   *config.Signing
	profiles map[string]Profile
	now      time.Time
	backdate time.Duration
	caLength time.Duration
	rand     io.Reader
	leafKey  KeyAlgorithm
}

func newIssuer(c Config, now time.Time) *issuer {
	policy := &config.Signing{
		Default:  &config.SigningProfile{Expiry: DefaultExpiry},
		Profiles: map[string]*config.SigningProfile{},
	}
	for name, p := range c.Profiles {
		policy.Profiles[name] = &config.SigningProfile{Expiry: p.Expiry, Usage: p.Usages}
	}
	return &issuer{
		policy: policy, profiles: c.Profiles, now: now, backdate: c.Backdate,
		caLength: c.CAValidity, rand: c.Rand, leafKey: c.Keys.Leaf,
	}
}

// newAuthority makes a self-signed authority.
func (i *issuer) newAuthority(commonName string, alg KeyAlgorithm) (*pair, error) {
	key, err := newKey(alg)
	if err != nil {
		return nil, err
	}
	request, err := csr.GenerateDER(key, &csr.CertificateRequest{CN: commonName, CA: &csr.CAConfig{}})
	if err != nil {
		return nil, err
	}
	policy := initca.CAPolicy()
	policy.Default.Usage = append(policy.Default.Usage, "digital signature")
	cert, err := i.sign(nil, key, policy, "", request, i.now.Add(i.caLength))
	if err != nil {
		return nil, err
	}
	return newPair(key, cert)
}

// newLeaf issues a leaf and its key from an authority.
func (i *issuer) newLeaf(ca *pair, spec leafSpec) (*pair, error) {
	key, err := newKey(i.leafKey)
	if err != nil {
		return nil, err
	}
	request, err := csr.GenerateDER(key, &csr.CertificateRequest{CN: spec.commonName, Hosts: spec.hosts})
	if err != nil {
		return nil, err
	}
	cert, err := i.sign(ca.cert, ca.key.signer.Reveal(), i.policy, spec.profile, request, i.leafEnd(ca.cert, spec.profile))
	if err != nil {
		return nil, err
	}
	return newPair(key, append([]*x509.Certificate{cert}, ca.presented()...)...)
}

func newPair(key crypto.Signer, certs ...*x509.Certificate) (*pair, error) {
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return parsePair(encodeCerts(certs), keyPEM)
}

// leafEnd is the end of a leaf that is issued now: a leaf never outlives its
// authority, since no one could verify it afterwards.
func (i *issuer) leafEnd(ca *x509.Certificate, profile string) time.Time {
	end := i.now.Add(i.profiles[profile].Expiry)
	if ca.NotAfter.Before(end) {
		end = ca.NotAfter
	}
	return end
}

// sign has cfssl's policy make the certificate of a request, and signs it. cfssl's
// own Sign does the same and writes a line for each to standard error, through a
// global logger that is not for a library to turn off.
func (i *issuer) sign(ca *x509.Certificate, key crypto.Signer, policy *config.Signing, profile string, request []byte, end time.Time) (*x509.Certificate, error) {
	s, err := local.NewSigner(key, ca, signer.DefaultSigAlgo(key), policy)
	if err != nil {
		return nil, err
	}
	rules, err := signer.Profile(s, profile)
	if err != nil {
		return nil, err
	}
	template, err := signer.ParseCertificateRequest(s, rules, request)
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = newSerial(i.rand); err != nil {
		return nil, err
	}
	start := i.now.Add(-i.backdate)
	if ca != nil && start.Before(ca.NotBefore) {
		start = ca.NotBefore
	}
	if err := signer.FillTemplate(template, policy.Default, rules, start, end); err != nil {
		return nil, err
	}
	if ca == nil {
		ca = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, template.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// newKey makes a private key.
func newKey(alg KeyAlgorithm) (crypto.Signer, error) {
	request := keyRequests[alg]
	made, err := request.Generate()
	if err != nil {
		return nil, err
	}
	key, ok := made.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", made)
	}
	return key, nil
}

// newSerial returns 159 random bits below a leading 0 bit, the most that RFC 5280
// (4.1.2.2) admits, with the next bit set so that it is neither zero nor short.
func newSerial(rand io.Reader) (*big.Int, error) {
	b := make([]byte, 20)
	if _, err := io.ReadFull(rand, b); err != nil {
		return nil, fmt.Errorf("randomness for a serial number: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b), nil
}
