package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

const (
	etcdPKI       = "etc/etcd/pki/"
	kubernetesPKI = "etc/kubernetes/pki/"
)

var renderedAuthorities = []string{
	etcdPKI + "ca.crt", kubernetesPKI + "etcd/ca.crt", kubernetesPKI + "ca.crt", kubernetesPKI + "front-proxy-ca.crt",
}

// renderedKeys are the private keys of a control plane. Each is beside what
// it is the key of, see publicHalf.
var renderedKeys = []string{
	etcdPKI + "server.key", etcdPKI + "peer.key",
	kubernetesPKI + "apiserver-etcd-client.key", kubernetesPKI + "ca.key", kubernetesPKI + "front-proxy-ca.key",
	kubernetesPKI + "sa.key",
}

// publicHalf is the certificate of a private key, or for the service accounts'
// the bare public key.
func publicHalf(key string) string {
	if key == kubernetesPKI+"sa.key" {
		return kubernetesPKI + "sa.pub"
	}
	return strings.TrimSuffix(key, ".key") + ".crt"
}

// leafUse is what a certificate is for.
type leafUse struct {
	authority string
	purposes  []string
	// never are purposes that the certificate must not serve.
	never []string
	// named certificates are valid for the host's names and addresses.
	named bool
}

// A server's certificate of etcd is a client's too: etcd's gateway and etcdctl
// on the host use it so, and peers are both to each other.
var leafUses = map[string]leafUse{
	etcdPKI + "server.crt": {etcdPKI + "ca.crt", []string{"sslserver", "sslclient"}, nil, true},
	etcdPKI + "peer.crt":   {etcdPKI + "ca.crt", []string{"sslserver", "sslclient"}, nil, true},
	kubernetesPKI + "apiserver-etcd-client.crt": {
		kubernetesPKI + "etcd/ca.crt", []string{"sslclient"}, []string{"sslserver"}, false,
	},
}

func renderedLeaves() []string { return slices.Collect(maps.Keys(leafUses)) }

// openssl runs openssl in the host's directory.
func (h renderedHost) openssl(ctx context.Context, args ...string) ([]byte, error) {
	command := renderedCommand(ctx, "openssl", args...)
	command.Dir = h.dir
	return command.CombinedOutput()
}

// verify trusts one authority and nothing of the machine's own.
func (h renderedHost) verify(ctx context.Context, authority, path string, options ...string) ([]byte, error) {
	args := append([]string{"verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", authority}, options...)
	return h.openssl(ctx, append(args, path)...)
}

func checkAuthority(ctx context.Context, _ *rendered, h renderedHost, path string) error {
	out, err := h.verify(ctx, path, path, "-check_ss_sig")
	return accepted(path, "openssl verify", out, err)
}

func checkLeaf(ctx context.Context, _ *rendered, h renderedHost, path string) error {
	use := leafUses[path]
	for _, purpose := range use.purposes {
		out, err := h.verify(ctx, use.authority, path, "-purpose", purpose)
		if err := accepted(path, "openssl verify -purpose "+purpose, out, err); err != nil {
			return err
		}
	}
	for _, purpose := range use.never {
		if out, err := h.verify(ctx, use.authority, path, "-purpose", purpose); err == nil {
			return fmt.Errorf("/%s: openssl verify -purpose %s accepts it: %s", path, purpose, out)
		}
	}
	if !use.named {
		return nil
	}
	names := [][]string{{"-checkhost", h.Name}, {"-checkhost", "localhost"}, {"-checkip", "127.0.0.1"}, {"-checkip", "::1"}}
	for _, a := range h.Addresses {
		names = append(names, []string{"-checkip", a.String()})
	}
	for _, name := range names {
		// Its exit status is 0 either way.
		out, err := h.openssl(ctx, append([]string{"x509", "-noout", "-in", path}, name...)...)
		if err != nil || !strings.Contains(string(out), "does match certificate") {
			return fmt.Errorf("/%s: openssl x509 %s: %w: %s", path, name, orSpoke(err), out)
		}
	}
	return nil
}

// publicOf is the public key of a certificate, a public or a private key.
func (h renderedHost) publicOf(ctx context.Context, path string) (string, error) {
	args := map[string][]string{
		".crt": {"x509", "-noout", "-pubkey"},
		".pub": {"pkey", "-pubin"},
		".key": {"pkey", "-pubout"},
	}[filepath.Ext(path)]
	out, err := h.openssl(ctx, append(args, "-in", path)...)
	return string(out), accepted(path, "openssl "+args[0], out, err)
}

func checkKeyPair(ctx context.Context, _ *rendered, h renderedHost, path string) error {
	return h.samePublic(ctx, path, publicHalf(path))
}

func checkPublicKey(ctx context.Context, _ *rendered, h renderedHost, path string) error {
	return h.samePublic(ctx, path, strings.TrimSuffix(path, ".pub")+".key")
}

func (h renderedHost) samePublic(ctx context.Context, one, other string) error {
	mine, err := h.publicOf(ctx, one)
	if err != nil {
		return err
	}
	theirs, err := h.publicOf(ctx, other)
	if err == nil && mine != theirs {
		err = fmt.Errorf("/%s and /%s do not belong together", one, other)
	}
	return err
}

// noEtcdAuthority wants that none of the keys is etcd's authority's.
func (h renderedHost) noEtcdAuthority(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	authority, err := h.publicOf(ctx, etcdPKI+"ca.crt")
	if err != nil {
		return err
	}
	for _, key := range keys {
		public, err := h.publicOf(ctx, key)
		if err != nil {
			return err
		}
		if public == authority {
			return fmt.Errorf("/%s is the key of etcd's authority, which no host may have", key)
		}
	}
	return nil
}
