package kubeadm

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// CAHash is the hash by which kubeadm join recognises an authority
// (caCertHashes): "sha256:" and the hexadecimal SHA-256 of the certificate's
// SubjectPublicKeyInfo (RFC 7469, section 2.4).
func CAHash(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// CAHashes returns the CAHash of every certificate of a PEM file such as
// /etc/kubernetes/pki/ca.crt, in its order, for Secrets.CAHashes. Anything in the
// file that is no certificate, and a file without one, is an error.
func CAHashes(caPEM []byte) ([]string, error) {
	var hashes []string
	block, rest := pem.Decode(caPEM)
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, errors.New("CA file: a PEM block is no certificate")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("CA file: certificate %d: %w", len(hashes)+1, err)
		}
		hashes = append(hashes, CAHash(c))
	}
	if len(hashes) == 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("CA file: want PEM certificates and nothing else")
	}
	return hashes, nil
}
