package pki_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/pki"
)

// BenchmarkSevenControlPlanes issues a bundle (3 authorities, a key pair, 22
// leaves) and, in turns, what crypto/x509 alone needs for as many. The metric
// "x" is how many times as long the bundle takes; it verifies all it makes.
func BenchmarkSevenControlPlanes(b *testing.B) {
	c := clusterOf(7)
	var ours, alone time.Duration
	for b.Loop() {
		start := time.Now()
		newBundle(b, c, at(epoch))
		ours += time.Since(start)

		start = time.Now()
		plainX509(b, 22)
		alone += time.Since(start)
	}
	b.ReportMetric(float64(ours)/float64(alone), "x")
	b.ReportMetric(float64(ours.Microseconds())/float64(b.N), "bundle-µs/op")
	b.ReportMetric(float64(alone.Microseconds())/float64(b.N), "x509-µs/op")
}

func plainX509(b *testing.B, leaves int) {
	b.Helper()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "etcd"}, NotBefore: epoch, NotAfter: epoch.Add(87600 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var caKey crypto.Signer
	for range 3 {
		caKey = plainIssue(b, ca, ca, nil)
	}
	plainKey(b)
	for range leaves {
		plainIssue(b, &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "cp-1"}, NotBefore: epoch, NotAfter: epoch.Add(pki.DefaultExpiry),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
			DNSNames: []string{"cp-1", "localhost"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1), net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		}, ca, caKey)
	}
}

func plainKey(b *testing.B) *ecdsa.PrivateKey {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(b, err)
	der, err := x509.MarshalECPrivateKey(key)
	require.NoError(b, err)
	pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return key
}

func plainIssue(b *testing.B, template, parent *x509.Certificate, signer crypto.Signer) crypto.Signer {
	b.Helper()
	key := plainKey(b)
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(b, err)
	pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return key
}
