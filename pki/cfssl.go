package pki

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/cloudflare/cfssl/config"
	"github.com/cloudflare/cfssl/csr"
	"github.com/cloudflare/cfssl/initca"
	"github.com/cloudflare/cfssl/log"
	"github.com/cloudflare/cfssl/signer"
	"github.com/cloudflare/cfssl/signer/local"
)

// cfssl logs every request at INFO to standard error through a global without
// a lock. It is turned off while the program initialises, when no goroutine can
// race for it.
func init() { log.Level = log.LevelFatal + 1 }

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
		Default:  &config.SigningProfile{Expiry: DefaultExpiry, ClientProvidesSerialNumbers: true},
		Profiles: map[string]*config.SigningProfile{},
	}
	for name, p := range c.Profiles {
		policy.Profiles[name] = &config.SigningProfile{Expiry: p.Expiry, Usage: p.Usages, ClientProvidesSerialNumbers: true}
	}
	return &issuer{
		policy: policy, profiles: c.Profiles, now: now, backdate: c.Backdate,
		caLength: c.CAValidity, rand: c.Rand, leafKey: c.Keys.Leaf,
	}
}

// newAuthority makes a self-signed authority.
func (i *issuer) newAuthority(commonName string, alg KeyAlgorithm) (*pair, error) {
	request, keyPEM, err := newRequest(alg, &csr.CertificateRequest{CN: commonName, CA: &csr.CAConfig{}})
	if err != nil {
		return nil, err
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, err
	}
	policy := initca.CAPolicy()
	policy.Default.Usage = append(policy.Default.Usage, "digital signature")
	policy.Default.ClientProvidesSerialNumbers = true
	certPEM, err := i.sign(nil, key.Signer, policy, signer.SignRequest{
		Request: string(request), NotAfter: i.now.Add(i.caLength),
	})
	if err != nil {
		return nil, err
	}
	return parsePair(certPEM, keyPEM)
}

// newLeaf issues a leaf and its key from an authority.
func (i *issuer) newLeaf(ca *pair, spec leafSpec) (*pair, error) {
	request, keyPEM, err := newRequest(i.leafKey, &csr.CertificateRequest{CN: spec.commonName, Hosts: spec.hosts})
	if err != nil {
		return nil, err
	}
	certPEM, err := i.sign(ca.cert, ca.key.Signer, i.policy, signer.SignRequest{
		Request: string(request), Profile: spec.profile, NotAfter: i.leafEnd(ca.cert, spec.profile),
	})
	if err != nil {
		return nil, err
	}
	return parsePair(append(certPEM, encodeCerts(ca.presented())...), keyPEM)
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

func (i *issuer) sign(ca *x509.Certificate, key crypto.Signer, policy *config.Signing, r signer.SignRequest) ([]byte, error) {
	serial, err := newSerial(i.rand)
	if err != nil {
		return nil, err
	}
	r.Serial = serial
	r.NotBefore = i.now.Add(-i.backdate)
	if ca != nil && r.NotBefore.Before(ca.NotBefore) {
		r.NotBefore = ca.NotBefore
	}
	s, err := local.NewSigner(key, ca, signer.DefaultSigAlgo(key), policy)
	if err != nil {
		return nil, err
	}
	return s.Sign(r)
}

func newRequest(alg KeyAlgorithm, r *csr.CertificateRequest) (request, keyPEM []byte, err error) {
	key := keyRequests[alg]
	r.KeyRequest = &key
	return csr.ParseRequest(r)
}

// newKey makes a key without a certificate.
func newKey(alg KeyAlgorithm) ([]byte, error) {
	key := keyRequests[alg]
	made, err := key.Generate()
	if err != nil {
		return nil, err
	}
	return encodeKey(made)
}

// newSerial gives 159 random bits below a leading 0 bit, the most that RFC 5280
// (4.1.2.2) admits, with the next bit set so that it is neither zero nor short.
func newSerial(rand io.Reader) (*big.Int, error) {
	b := make([]byte, 20)
	if _, err := io.ReadFull(rand, b); err != nil {
		return nil, fmt.Errorf("randomness for a serial number: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b), nil
}
