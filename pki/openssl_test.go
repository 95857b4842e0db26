package pki_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/pki"
)

// opensslVerify lets openssl, which shares no code with Go, verify the leaves of
// a host from its files alone, with options of its verify command.
func opensslVerify(t *testing.T, b *pki.Bundle, node string, now time.Time, options ...string) {
	t.Helper()
	openssl := tier.Program(t, "openssl")
	member, err := b.EtcdMember(context.Background(), node)
	require.NoError(t, err)
	plane, err := b.ControlPlane(context.Background(), node)
	require.NoError(t, err)
	root := t.TempDir()
	for _, f := range append(member, plane...) {
		path := filepath.Join(root, filepath.FromSlash(f.Path))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, f.Content.Bytes(), f.Mode))
	}
	for _, c := range []struct{ leaf, ca, purpose, host string }{
		{"etc/etcd/pki/server.crt", "etc/etcd/pki/ca.crt", "sslserver", node},
		{"etc/etcd/pki/server.crt", "etc/etcd/pki/ca.crt", "sslclient", "localhost"},
		{"etc/etcd/pki/peer.crt", "etc/etcd/pki/ca.crt", "sslserver", node},
		{"etc/etcd/pki/peer.crt", "etc/etcd/pki/ca.crt", "sslclient", node},
		{"etc/kubernetes/pki/apiserver-etcd-client.crt", "etc/kubernetes/pki/etcd/ca.crt", "sslclient", ""},
	} {
		args := append([]string{
			"verify", "-x509_strict", "-attime", strconv.FormatInt(now.Unix(), 10),
			"-purpose", c.purpose, "-CAfile", filepath.Join(root, c.ca), "-untrusted", filepath.Join(root, c.leaf),
		}, options...)
		if c.host != "" {
			args = append(args, "-verify_hostname", c.host)
		}
		out, err := exec.CommandContext(t.Context(), openssl, append(args, filepath.Join(root, c.leaf))...).CombinedOutput()
		assert.NoError(t, err, "%s as %s: %s", c.leaf, c.purpose, out)
	}
	for _, name := range []string{"ca", "front-proxy-ca"} {
		path := filepath.Join(root, "etc/kubernetes/pki", name+".crt")
		out, err := exec.CommandContext(t.Context(), openssl, "verify", "-partial_chain",
			"-attime", strconv.FormatInt(now.Unix(), 10), "-CAfile", path, path).CombinedOutput()
		assert.NoError(t, err, "%s: %s", name, out)
	}
	public, err := exec.CommandContext(t.Context(), openssl, "pkey", "-in", filepath.Join(root, "etc/kubernetes/pki/sa.key"), "-pubout").Output()
	require.NoError(t, err)
	assert.Equal(t, strings.TrimSpace(string(content(t, plane, "/etc/kubernetes/pki/sa.pub"))), strings.TrimSpace(string(public)))
}

func TestOpenSSLVerifies(t *testing.T) {
	for _, alg := range []pki.KeyAlgorithm{pki.RSA2048, pki.RSA3072, pki.RSA4096, pki.ECDSAP256, pki.ECDSAP384} {
		t.Run(string(alg), func(t *testing.T) {
			cfg := at(epoch)
			cfg.Keys = pki.Keys{EtcdCA: alg, KubernetesCA: alg, ServiceAccount: pki.RSA2048}
			if alg != pki.RSA3072 && alg != pki.RSA4096 { // slow to make
				cfg.Keys = pki.Keys{EtcdCA: alg, KubernetesCA: alg, FrontProxyCA: alg, ServiceAccount: alg, Leaf: alg}
			}
			opensslVerify(t, newBundle(t, clusterOf(1), cfg), "cp-1", epoch)
		})
	}
}

// The hash is the one of kubeadm's documentation, by its own recipe.
func TestCAHashByOpenSSL(t *testing.T) {
	tier.Program(t, "openssl")
	b := newBundle(t, clusterOf(1), at(epoch))
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -hex")
	cmd.Stdin = strings.NewReader(string(content(t, b.Store(), "kubernetes/ca.crt")))
	out, err := cmd.Output()
	require.NoError(t, err)
	fields := strings.Fields(string(out))
	assert.Equal(t, []string{"sha256:" + fields[len(fields)-1]}, caHashes(t, b))
}
