package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/quorate-dev/quorate/internal/secret"
)

const (
	certBlock      = "CERTIFICATE"
	publicKeyBlock = "PUBLIC KEY"
	minRSABits     = 2048
)

// pair is a certificate, the certificates above it, and its key. It is never
// changed once made.
type pair struct {
	cert *x509.Certificate
	// chain holds the issuer of cert, the issuer's issuer and so on.
	chain []*x509.Certificate
	key   *privateKey // nil when it is not at hand
}

// privateKey is a key that no output shows, however deep it is in what is
// printed.
type privateKey struct {
	signer secret.Value[crypto.Signer]
	pem    secret.Bytes // empty when the key cannot be exported
}

func newPrivateKey(signer crypto.Signer, pem []byte) *privateKey {
	return &privateKey{secret.Hide(signer), secret.New(pem)}
}

// Public is the public half.
func (k *privateKey) Public() crypto.PublicKey { return k.signer.Reveal().Public() }

// all is the certificate and everything above it.
func (p *pair) all() []*x509.Certificate {
	return append([]*x509.Certificate{p.cert}, p.chain...)
}

// presented is what a leaf of this authority must present besides itself: the
// intermediates, without the self-signed root that a verifier trusts already.
func (p *pair) presented() []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range p.all() {
		if !selfSigned(c) {
			out = append(out, c)
		}
	}
	return out
}

// selfSigned reports whether a certificate is a root, rather than one that a root issued
// under its own name to a new key.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) &&
		(len(c.AuthorityKeyId) == 0 || bytes.Equal(c.AuthorityKeyId, c.SubjectKeyId))
}

func parsePair(certPEM, keyPEM []byte) (*pair, error) {
	certs, err := parseCerts(certPEM)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, err
	}
	return &pair{cert: certs[0], chain: certs[1:], key: key}, nil
}

func parseCerts(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != certBlock {
			return nil, errors.New("holds a PEM block that is no certificate")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("holds no PEM certificate")
	}
	return certs, nil
}

// parseKey reads the PEM forms that kubeadm and etcd read: PKCS #8, PKCS #1 and
// SEC 1. Other blocks, such as openssl's EC PARAMETERS, are passed over.
func parseKey(data []byte) (*privateKey, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		key, err := parseKeyBlock(block)
		if err != nil {
			return nil, err
		}
		if err := checkPublicKey(key.Public()); err != nil {
			return nil, err
		}
		return newPrivateKey(key, data), nil
	}
	return nil, errors.New("holds no PEM private key")
}

func parseKeyBlock(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch {
	case strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "":
		return nil, errors.New("the private key is encrypted; decrypt it first")
	case block.Type == "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case block.Type == "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, errors.New("the private key cannot be parsed") // the cause may quote the key
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the private key, a %T, cannot sign", key)
	}
	return signer, nil
}

// checkPublicKey refuses what kubeadm (RSA and ECDSA only) or today's practice
// (RSA below 2048 bits, small curves) refuses.
func checkPublicKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits {
			return fmt.Errorf("an RSA key of %d bits is too weak; want at least %d", bits, minRSABits)
		}
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() && k.Curve != elliptic.P521() {
			return fmt.Errorf("curve %s is not one of P-256, P-384, P-521", k.Curve.Params().Name)
		}
	default:
		return fmt.Errorf("a key of type %T is neither RSA nor ECDSA, which is all that kubeadm takes", key)
	}
	return nil
}

func sameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

func encodeCerts(certs []*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: c.Raw})...)
	}
	return out
}

// encodeKey writes PKCS #1 and SEC 1, as kubeadm and cfssl do. It returns nil for a
// key that is held elsewhere.
func encodeKey(key crypto.PrivateKey) ([]byte, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}), nil
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(k)
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
	}
	return nil, nil
}

func encodePublicKey(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicKeyBlock, Bytes: der}), nil
}

func samePublicKey(a, b []byte) bool {
	blockA, _ := pem.Decode(a)
	blockB, _ := pem.Decode(b)
	return blockA != nil && blockB != nil && blockA.Type == blockB.Type && bytes.Equal(blockA.Bytes, blockB.Bytes)
}
