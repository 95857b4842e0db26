package pki_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"net/netip"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/pki"
)

var update = flag.Bool("update", false, "write golden files instead of comparing")

var epoch = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// at is a configuration whose clock is stopped, without the slow RSA key.
func at(now time.Time) pki.Config {
	return pki.Config{Now: func() time.Time { return now }, Keys: pki.Keys{ServiceAccount: pki.ECDSAP256}}
}

// clusterOf has n dual-stack control planes, cp-1 to cp-n, and a worker.
func clusterOf(n int) quorate.Cluster {
	c := quorate.Cluster{Name: "test", Version: quorate.Version{Major: 1, Minor: 37, Patch: 2}}
	for i := 1; i <= n; i++ {
		c.Nodes = append(c.Nodes, quorate.Node{
			Name: fmt.Sprintf("cp-%d", i), Role: quorate.ControlPlane,
			Addresses: []netip.Addr{
				netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i)),
				netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i)),
			},
		})
	}
	c.Nodes = append(c.Nodes, quorate.Node{Name: "w-1", Role: quorate.Worker, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.100")}})
	return c
}

func newBundle(t testing.TB, c quorate.Cluster, cfg pki.Config) *pki.Bundle {
	t.Helper()
	b, err := pki.New(c, cfg)
	require.NoError(t, err)
	return b
}

// fsOf is a store as files, to read or to damage.
func fsOf(files []quorate.File) fstest.MapFS {
	m := fstest.MapFS{}
	for _, f := range files {
		m[f.Path] = &fstest.MapFile{Data: f.Content.Bytes(), Mode: f.Mode}
	}
	return m
}

// content finds a file by path.
func content(t testing.TB, files []quorate.File, path string) []byte {
	t.Helper()
	for _, f := range files {
		if f.Path == path {
			return f.Content.Bytes()
		}
	}
	require.Failf(t, "no such file", "%s", path)
	return nil
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func caHashes(t testing.TB, b *pki.Bundle) []string {
	t.Helper()
	hashes, err := b.CAHashes(context.Background())
	require.NoError(t, err)
	return hashes
}
