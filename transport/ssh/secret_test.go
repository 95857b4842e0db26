package ssh_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"testing"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/internal/secret/secrettest"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/ssh/sshtest"
)

// No form of a configuration or of a transport shows a private key, whether it
// came as a signer or as PEM: neither its text nor the number that it is.
func TestConfigAndTransportHideKeys(t *testing.T) {
	seeded, _ := newKey(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	number, err := ec.Bytes()
	require.NoError(t, err)
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	block, err := xssh.MarshalPrivateKey(seeded, "")
	require.NoError(t, err)
	text := pem.EncodeToMemory(block)
	seed := string(seeded.Seed())
	secrets := []string{
		seed, string(number), ec.D.String(), big.D.String(), big.D.Text(16), big.Primes[0].String(), //nolint:staticcheck // D is what the printer would find
		string(bytes.Split(text, []byte("\n"))[3]),
	}

	s := start(t, sshtest.Config{})
	auth := ssh.Auth{Signers: []ssh.Signer{ssh.NewSigner(seeded), ssh.NewSigner(ec), ssh.NewSigner(big)}, Keys: []transport.Data{transport.Bytes(text)}}
	cfg := ssh.Config{Auth: auth, HostKeys: ssh.HostKeys{KnownHosts: s.KnownHosts()}}
	tr, err := ssh.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	for name, value := range map[string]any{"signer": auth.Signers[1], "auth": auth, "config": cfg, "transport": tr} {
		secrettest.AssertHides(t, name, value, secrets...)
	}
}
