package pki_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/pki"
)

func reproducible(t *testing.T) pki.Config {
	cryptotest.SetGlobalRandom(t, 1)
	cfg := at(epoch)
	cfg.Keys = pki.Keys{}
	cfg.Rand = rand.NewChaCha8([32]byte{1})
	return cfg
}

// With clock and randomness held, every byte is the same. The golden file shows
// what each certificate says rather than its bytes, which Go may sign otherwise
// in another release.
func TestBundleIsReproducible(t *testing.T) {
	first := newBundle(t, clusterOf(3), reproducible(t)).Store()
	second := newBundle(t, clusterOf(3), reproducible(t)).Store()
	assert.Equal(t, first, second)

	var text strings.Builder
	for _, f := range first {
		if !strings.HasSuffix(f.Path, ".crt") {
			fmt.Fprintf(&text, "%s %04o %s\n", f.Path, f.Mode, blockTypes(f.Content.Bytes()))
			continue
		}
		fmt.Fprintf(&text, "%s %04o\n%s", f.Path, f.Mode, describe(t, f.Content.Bytes()))
	}
	golden(t, "bundle.txt", []byte(text.String()))
}

func blockTypes(data []byte) string {
	var types []string
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		types = append(types, block.Type)
	}
	return strings.Join(types, ", ")
}

func describe(t *testing.T, data []byte) string {
	t.Helper()
	var out strings.Builder
	for _, c := range parse(t, data) {
		fmt.Fprintf(&out, "  serial %x\n  subject %s\n  issuer %s\n", c.SerialNumber, c.Subject, c.Issuer)
		fmt.Fprintf(&out, "  %s to %s\n", c.NotBefore.Format(time.RFC3339), c.NotAfter.Format(time.RFC3339))
		fmt.Fprintf(&out, "  CA %t, key usage %b, extended %v, %s\n", c.IsCA, c.KeyUsage, c.ExtKeyUsage, c.SignatureAlgorithm)
		fmt.Fprintf(&out, "  SANs %v %v\n", c.DNSNames, c.IPAddresses)
	}
	return out.String()
}

func parse(t testing.TB, data []byte) []*x509.Certificate {
	t.Helper()
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		certs = append(certs, c)
	}
	require.NotEmpty(t, certs)
	return certs
}

// A store always has the same host files, at any run and any time.
func TestHostFilesAreReproducible(t *testing.T) {
	c := clusterOf(3)
	store := fsOf(newBundle(t, c, at(epoch)).Store())
	hash := func(now time.Time) [32]byte {
		b, changes, err := pki.Load(store, c, at(now))
		require.NoError(t, err)
		require.Empty(t, changes.Issued)
		var all bytes.Buffer
		for _, n := range c.ControlPlanes() {
			etcd, err := b.EtcdMember(context.Background(), n.Name)
			require.NoError(t, err)
			plane, err := b.ControlPlane(context.Background(), n.Name)
			require.NoError(t, err)
			for _, f := range slices.Concat(etcd, plane) {
				fmt.Fprintf(&all, "%s %o\n%s", f.Path, f.Mode, f.Content.Bytes())
			}
		}
		return sha256.Sum256(all.Bytes())
	}
	assert.Equal(t, hash(epoch), hash(epoch.AddDate(4, 0, 0)))
}
