package pki_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/pki"
)

// secretsOf are traces of every private key of a store: its PEM text, and the
// forms that %x, %v and JSON would print that text or the number that the key is.
// What a certificate shows as well, the public half, is none.
func secretsOf(t *testing.T, files map[string][]byte) []string {
	t.Helper()
	var public strings.Builder
	for path, content := range files {
		if !strings.HasSuffix(path, ".key") {
			public.Write(content)
		}
	}
	secrets := []string{"PRIVATE KEY"}
	for path, content := range files {
		if !strings.HasSuffix(path, ".key") {
			continue
		}
		for line := range strings.Lines(string(content)) {
			line = strings.TrimSpace(line)
			if len(line) < 48 || strings.HasPrefix(line, "--") || strings.Contains(public.String(), line[16:32]) {
				continue
			}
			decimal := strings.Trim(fmt.Sprintf("%d", []byte(line[:16])), "[]")
			secrets = append(secrets, line[16:32], fmt.Sprintf("%x", line[:16]), fmt.Sprintf("%X", line[:16]), decimal, strings.ReplaceAll(decimal, " ", ","))
		}
		secrets = append(secrets, numbers(t, path, content)...)
	}
	return secrets
}

// numbers returns a private key's secret number in decimal and hexadecimal.
func numbers(t *testing.T, path string, content []byte) []string {
	t.Helper()
	block, _ := pem.Decode(content)
	require.NotNil(t, block, path)
	var d *big.Int
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		require.NoError(t, err)
		d = key.D
	case "EC PRIVATE KEY":
		key, err := x509.ParseECPrivateKey(block.Bytes)
		require.NoError(t, err)
		secret, err := key.Bytes()
		require.NoError(t, err)
		d = new(big.Int).SetBytes(secret)
	default:
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		require.NoError(t, err)
		secret, err := key.(*ecdsa.PrivateKey).Bytes()
		require.NoError(t, err)
		d = new(big.Int).SetBytes(secret)
	}
	return []string{d.String(), d.Text(16), strings.ToUpper(d.Text(16))}
}

func TestKeysAreHidden(t *testing.T) {
	cfg := at(epoch)
	brought := newRoot(t, "brought", epoch)
	authority, err := pki.ParseAuthority(brought.certPEM, brought.keyPEM)
	require.NoError(t, err)
	cfg.EtcdCA = authority
	b := newBundle(t, clusterOf(1), cfg)
	store := map[string][]byte{"brought.key": brought.keyPEM}
	for _, f := range b.Store() {
		store[f.Path] = f.Content.Bytes()
	}
	member, err := b.EtcdMember(context.Background(), "cp-1")
	require.NoError(t, err)
	plane, err := b.ControlPlane(context.Background(), "cp-1")
	require.NoError(t, err)
	client, err := b.EtcdClient(context.Background())
	require.NoError(t, err)
	leaf, err := b.Issue(pki.Request{CommonName: "x", Profile: pki.ProfileClient})
	require.NoError(t, err)
	store["issued.key"] = leaf.Key.Bytes()

	secrets := secretsOf(t, store)
	for name, value := range map[string]any{
		"bundle": b, "bundle value": *b, "nested bundle": struct{ b *pki.Bundle }{b}, "exported bundle": struct{ B *pki.Bundle }{b},
		"config": cfg, "config pointer": &cfg, "authority": authority, "authority value": *authority,
		"nested authority": struct{ a pki.Authority }{*authority}, "store": b.Store(), "member": member, "plane": plane,
		"client": client, "leaf": leaf, "expiry": b.Expiry(),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			assertNoSecret(t, name+" "+verb, fmt.Sprintf(verb, value), secrets)
		}
		if text, err := json.Marshal(value); err == nil {
			assertNoSecret(t, name+" as JSON", string(text), secrets)
		} else {
			assertNoSecret(t, name+"'s JSON error", err.Error(), secrets)
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		assertNoSecret(t, name+" in slog", log.String(), secrets)
	}
}

// Whichever file of a store holds a key by mistake, or a damaged one, no error
// quotes it.
func TestErrorsHideKeys(t *testing.T) {
	c := clusterOf(1)
	whole := newBundle(t, c, at(epoch)).Store()
	files := map[string][]byte{}
	for _, f := range whole {
		files[f.Path] = f.Content.Bytes()
	}
	secrets := secretsOf(t, files)
	key := files["etcd/ca.key"]
	refused := 0
	for path := range files {
		for _, damaged := range [][]byte{
			key, key[:len(key)/2], bytes.Replace(key, []byte("EC "), []byte("RSA "), 2),
			bytes.ReplaceAll(key, []byte("EC PRIVATE KEY"), []byte("CERTIFICATE")),
			bytes.ReplaceAll(key, []byte("EC PRIVATE KEY"), bytes.TrimSpace(bytes.Split(key, []byte("\n"))[1])),
			bytes.ReplaceAll(key, []byte("EC PRIVATE KEY"), []byte("PRIVATE KEY")),
		} {
			store := fsOf(whole)
			store[path].Data = damaged
			if _, _, err := pki.Load(store, c, at(epoch)); err != nil {
				refused++
				for _, verb := range []string{"%v", "%+v", "%#v", "%q"} {
					text := fmt.Sprintf(verb, err)
					for _, secret := range secrets[1:] {
						assert.NotContains(t, text, secret, path)
					}
				}
			}
		}
	}
	assert.Greater(t, refused, len(files))
}

func assertNoSecret(t *testing.T, name, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows a key: %q", name, secret)
			return
		}
	}
}
