package hafixture

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/pki"
)

// Bundle is a cluster's new certificates. Only the service accounts' key is the same
// for all of a process's bundles: an RSA key costs a hundred times what all the
// others do.
func Bundle(t testing.TB, c quorate.Cluster, cfg pki.Config) *pki.Bundle {
	t.Helper()
	key, err := serviceAccount()
	require.NoError(t, err)
	cfg.MakeMissingAuthorities = true // the store has that key already
	b, _, err := pki.Load(key, c, cfg)
	require.NoError(t, err)
	return b
}

var serviceAccount = sync.OnceValues(func() (fstest.MapFS, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	encoded := func(kind string, der []byte) *fstest.MapFile {
		return &fstest.MapFile{Data: pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})}
	}
	return fstest.MapFS{
		"service-account/sa.key": encoded("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)),
		"service-account/sa.pub": encoded("PUBLIC KEY", public),
	}, nil
})
