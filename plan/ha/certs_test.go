package ha_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan/ha"
)

var certsEpoch = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// faultyCerts is a source of certificates with faults that the test sets.
type faultyCerts struct {
	ha.Certs
	member func(node string, files []quorate.File) []quorate.File
	plane  func(node string, files []quorate.File) []quorate.File
	hashes func([]string) []string
	client func(*tls.Config) *tls.Config
	err    error
}

func (s *faultyCerts) EtcdMember(ctx context.Context, node string) ([]quorate.File, error) {
	files, err := s.Certs.EtcdMember(ctx, node)
	if s.member != nil {
		files = s.member(node, files)
	}
	return files, errors.Join(err, s.err)
}

func (s *faultyCerts) ControlPlane(ctx context.Context, node string) ([]quorate.File, error) {
	files, err := s.Certs.ControlPlane(ctx, node)
	if s.plane != nil {
		files = s.plane(node, files)
	}
	return files, errors.Join(err, s.err)
}

func (s *faultyCerts) CAHashes(ctx context.Context) ([]string, error) {
	hashes, err := s.Certs.CAHashes(ctx)
	if s.hashes != nil {
		hashes = s.hashes(hashes)
	}
	return hashes, err
}

func (s *faultyCerts) EtcdClient(ctx context.Context) (*tls.Config, error) {
	c, err := s.Certs.EtcdClient(ctx)
	if s.client != nil {
		c = s.client(c)
	}
	return c, err
}

func certsCluster(stacked bool) quorate.Cluster {
	c := quorate.Cluster{
		Version:  quorate.Version{Major: 1, Minor: 37},
		Endpoint: quorate.Endpoint{Host: "api.example.com", External: true},
		Etcd:     quorate.Etcd{Stacked: stacked},
	}
	for i := range 3 {
		c.Nodes = append(c.Nodes, quorate.Node{
			Name: fmt.Sprintf("cp-%d", i+1), Role: quorate.ControlPlane,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})},
		})
	}
	return c
}

func certsOf(t *testing.T, c quorate.Cluster) *pki.Bundle {
	t.Helper()
	var cfg pki.Config
	cfg.Now = func() time.Time { return certsEpoch }
	cfg.Keys.ServiceAccount = pki.ECDSAP256
	b, err := pki.New(c, cfg)
	require.NoError(t, err)
	return b
}

func newWith(t *testing.T, c quorate.Cluster, certs ha.Certs) error {
	t.Helper()
	token, err := kubeadm.ParseToken("abcdef.0123456789abcdef")
	require.NoError(t, err)
	_, err = ha.New(t.Context(), ha.Config{Cluster: c, Certs: certs, Kubeadm: kubeadm.Secrets{Token: token}})
	return err
}

// swapped changes a file of one node.
func swapped(node, path string, change func(*quorate.File)) func(string, []quorate.File) []quorate.File {
	return func(at string, files []quorate.File) []quorate.File {
		for i := range files {
			if (node == "" || at == node) && files[i].Path == path {
				change(&files[i])
			}
		}
		return files
	}
}

func publicly(b []byte) func(*quorate.File) {
	return func(f *quorate.File) { f.Content = quorate.Public(b) }
}

func secretly(b []byte) func(*quorate.File) {
	return func(f *quorate.File) { f.Content = quorate.Sensitive(b) }
}

func certFile(t *testing.T, files []quorate.File, path string) []byte {
	t.Helper()
	i := slices.IndexFunc(files, func(f quorate.File) bool { return f.Path == path })
	require.GreaterOrEqual(t, i, 0, path)
	return files[i].Content.Bytes()
}

// Whatever a source of certificates has wrong is said when the plan is made, by
// where it is, and with no secret.
func TestCertsProblems(t *testing.T) {
	const etc, kube = "/etc/etcd/pki/", "/etc/kubernetes/pki/"
	c := certsCluster(false)
	good := certsOf(t, c)
	require.NoError(t, newWith(t, c, good))
	other := certsOf(t, c)
	plane, err := good.ControlPlane(t.Context(), "cp-1")
	require.NoError(t, err)
	otherPlane, err := other.ControlPlane(t.Context(), "cp-1")
	require.NoError(t, err)
	otherMember, err := other.EtcdMember(t.Context(), "cp-1")
	require.NoError(t, err)
	secondMember, err := good.EtcdMember(t.Context(), "cp-2")
	require.NoError(t, err)
	var etcdKey []byte
	for _, f := range good.Store() {
		if f.Path == "etcd/ca.key" {
			etcdKey = f.Content.Bytes()
		}
	}
	block, _ := pem.Decode(etcdKey)
	parsed, err := x509.ParseECPrivateKey(block.Bytes)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(parsed)
	require.NoError(t, err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	edwardsDER, err := x509.MarshalPKCS8PrivateKey(edwards)
	require.NoError(t, err)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	otherClient, err := other.EtcdClient(t.Context())
	require.NoError(t, err)
	calls := 0

	for name, tt := range map[string]struct {
		faultyCerts
		at   string // the problem's path
		says string
	}{
		"a file outside":      {faultyCerts{member: swapped("cp-1", etc+"ca.crt", func(f *quorate.File) { f.Path = "/etc/passwd" })}, "certs.etcdMember[cp-1]", "/etc/passwd"},
		"a way out":           {faultyCerts{plane: swapped("cp-2", kube+"ca.crt", func(f *quorate.File) { f.Path = kube + "../x" })}, "certs.controlPlane[cp-2]", "no clean path"},
		"kubeadm's directory": {faultyCerts{member: swapped("cp-1", etc+"ca.crt", func(f *quorate.File) { f.Path = kube + "x.crt" })}, "certs.etcdMember[cp-1]", "no clean path"},
		"twice": {faultyCerts{plane: func(_ string, files []quorate.File) []quorate.File { return append(files, files[0]) }},
			"certs.controlPlane[cp-1]", "is there twice"},
		"none": {faultyCerts{plane: func(string, []quorate.File) []quorate.File { return nil }}, "certs.controlPlane[cp-1]", "sa.key is missing"},
		"a missing leaf": {faultyCerts{member: func(_ string, files []quorate.File) []quorate.File { return files[:3] }},
			"certs.etcdMember[cp-1]", "server.crt is missing"},
		"a key for all":           {faultyCerts{member: swapped("cp-3", etc+"peer.key", func(f *quorate.File) { f.Mode = 0o644 })}, "certs.etcdMember[cp-3]", "peer.key has mode 0644"},
		"a file for all to write": {faultyCerts{member: swapped("cp-3", etc+"peer.crt", func(f *quorate.File) { f.Mode = 0o666 })}, "certs.etcdMember[cp-3]", "mode 0666"},
		"no mode":                 {faultyCerts{member: swapped("cp-3", etc+"peer.crt", func(f *quorate.File) { f.Mode = 0 })}, "certs.etcdMember[cp-3]", "mode 0000"},
		"a key that is shown": {faultyCerts{plane: swapped("cp-1", kube+"sa.key", func(f *quorate.File) { f.Content = quorate.Public(f.Content.Bytes()) })},
			"certs.controlPlane[cp-1]", "quorate.Sensitive"},
		"a key in a certificate's file": {faultyCerts{member: swapped("cp-1", etc+"peer.crt", func(f *quorate.File) {
			f.Content = quorate.Sensitive(append(f.Content.Bytes(), certFile(t, secondMember, etc+"peer.key")...))
		})}, "certs.etcdMember[cp-1]", "file of its own"},
		"another's key": {faultyCerts{member: swapped("cp-1", etc+"peer.key", secretly(certFile(t, secondMember, etc+"peer.key")))},
			"certs.etcdMember[cp-1]", "peer.key does not belong"},
		"another authority's key": {faultyCerts{plane: swapped("", kube+"ca.key", secretly(certFile(t, otherPlane, kube+"ca.key")))},
			"certs.controlPlane[cp-1]", "ca.key does not belong"},
		"no certificate": {faultyCerts{plane: swapped("", kube+"ca.crt", publicly([]byte("ca.crt")))}, "certs.controlPlane[cp-1]", "no PEM certificate"},
		"no key":         {faultyCerts{plane: swapped("", kube+"ca.key", secretly([]byte("hunter2")))}, "certs.controlPlane[cp-1]", "want one private key"},
		"an Edwards key": {faultyCerts{plane: swapped("", kube+"sa.key", secretly(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: edwardsDER})))}, "certs.controlPlane[cp-1]", "neither RSA nor ECDSA"},
		"another sa.pub": {faultyCerts{plane: swapped("", kube+"sa.pub", publicly(certFile(t, otherPlane, kube+"sa.pub")))}, "certs.controlPlane[cp-1]", "sa.pub is not the public key"},
		"two sa.key": {faultyCerts{plane: func(node string, files []quorate.File) []quorate.File {
			if node != "cp-2" {
				return files
			}
			files = swapped("", kube+"sa.key", secretly(certFile(t, otherPlane, kube+"sa.key")))(node, files)
			return swapped("", kube+"sa.pub", publicly(certFile(t, otherPlane, kube+"sa.pub")))(node, files)
		}}, "certs.controlPlane[cp-2]", "sa.key is another than cp-1's"},
		"two authorities": {faultyCerts{plane: func(node string, files []quorate.File) []quorate.File {
			if node != "cp-3" {
				return files
			}
			files = swapped("", kube+"ca.key", secretly(certFile(t, otherPlane, kube+"ca.key")))(node, files)
			return swapped("", kube+"ca.crt", publicly(certFile(t, otherPlane, kube+"ca.crt")))(node, files)
		}}, "certs.controlPlane[cp-3]", "ca.crt is another than cp-1's"},
		"etcd's authority is another": {faultyCerts{member: swapped("cp-1", etc+"ca.crt", publicly(certFile(t, otherMember, etc+"ca.crt")))},
			"certs.etcdMember[cp-1]", "is another than"},
		"a leaf of another authority": {faultyCerts{member: func(node string, files []quorate.File) []quorate.File {
			files = swapped("cp-1", etc+"server.crt", publicly(certFile(t, otherMember, etc+"server.crt")))(node, files)
			return swapped("cp-1", etc+"server.key", secretly(certFile(t, otherMember, etc+"server.key")))(node, files)
		}}, "certs.etcdMember[cp-1]", "server.crt does not hold"},
		"a client's leaf as a server's": {faultyCerts{member: func(node string, files []quorate.File) []quorate.File {
			files = swapped("cp-1", etc+"server.crt", publicly(certFile(t, plane, kube+"apiserver-etcd-client.crt")))(node, files)
			return swapped("cp-1", etc+"server.key", secretly(certFile(t, plane, kube+"apiserver-etcd-client.key")))(node, files)
		}}, "certs.etcdMember[cp-1]", "as a server's"},
		"another node's leaf": {faultyCerts{member: func(node string, files []quorate.File) []quorate.File {
			files = swapped("cp-1", etc+"server.crt", publicly(certFile(t, secondMember, etc+"server.crt")))(node, files)
			return swapped("cp-1", etc+"server.key", secretly(certFile(t, secondMember, etc+"server.key")))(node, files)
		}}, "certs.etcdMember[cp-1]", "192.0.2.1"},
		"one authority for two": {faultyCerts{plane: func(node string, files []quorate.File) []quorate.File {
			files = swapped("", kube+"front-proxy-ca.crt", publicly(certFile(t, plane, kube+"ca.crt")))(node, files)
			return swapped("", kube+"front-proxy-ca.key", secretly(certFile(t, plane, kube+"ca.key")))(node, files)
		}}, "certs.controlPlane", "have one key"},
		"etcd's key": {faultyCerts{plane: func(_ string, files []quorate.File) []quorate.File {
			return append(files, quorate.File{Path: kube + "etcd/ca.key", Mode: 0o600, Content: quorate.Sensitive(etcdKey)})
		}}, "certs.controlPlane[cp-1]", "never travels"},
		"etcd's key in another form": {faultyCerts{member: func(_ string, files []quorate.File) []quorate.File {
			return append(files, quorate.File{Path: etc + "x.key", Mode: 0o600, Content: quorate.Sensitive(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))})
		}}, "certs.etcdMember[cp-1]", "never travels"},
		"no hash":       {faultyCerts{hashes: func([]string) []string { return nil }}, "certs.caHashes", "are not those of"},
		"another hash":  {faultyCerts{hashes: func(h []string) []string { return []string{strings.ToUpper(h[0])} }}, "certs.caHashes", "are not those of"},
		"one hash more": {faultyCerts{hashes: func(h []string) []string { return append(h, "sha256:00") }}, "certs.caHashes", "are not those of"},
		"other files the second time": {faultyCerts{member: func(node string, files []quorate.File) []quorate.File {
			if calls++; calls%2 == 0 || node != "cp-1" {
				return files
			}
			return swapped("", etc+"peer.crt", func(f *quorate.File) { f.Mode = 0o640 })(node, files)
		}}, "certs.etcdMember[cp-1]", "at the second call"},
		"no client":        {faultyCerts{client: func(*tls.Config) *tls.Config { return nil }}, "certs.etcdClient", "missing"},
		"an empty client":  {faultyCerts{client: func(*tls.Config) *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12} }}, "certs.etcdClient", "no RootCAs"},
		"a blind client":   {faultyCerts{client: func(c *tls.Config) *tls.Config { c.InsecureSkipVerify = true; return c }}, "certs.etcdClient", "InsecureSkipVerify"},
		"another's client": {faultyCerts{client: func(*tls.Config) *tls.Config { return otherClient }}, "certs.etcdClient", "does not hold"},
		"a client with another key": {faultyCerts{client: func(c *tls.Config) *tls.Config {
			cert, err := c.GetClientCertificate(nil)
			require.NoError(t, err)
			return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs, Certificates: []tls.Certificate{{Certificate: cert.Certificate, PrivateKey: stranger}}}
		}}, "certs.etcdClient", "does not belong"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.faultyCerts.Certs = good
			err := newWith(t, c, &tt.faultyCerts)
			var invalid *quorate.InvalidError
			require.ErrorAs(t, err, &invalid)
			var at []string
			for _, p := range invalid.Problems {
				at = append(at, p.Path)
			}
			require.Contains(t, at, tt.at)
			require.ErrorContains(t, err, tt.says)
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), "PRIVATE KEY")
		})
	}
}

// Stacked members are kubeadm's, who needs the key of etcd's authority, and no leaf.
func TestCertsOfStackedMembers(t *testing.T) {
	c := certsCluster(true)
	good := certsOf(t, c)
	require.NoError(t, newWith(t, c, good))
	err := newWith(t, c, &faultyCerts{Certs: good, plane: func(_ string, files []quorate.File) []quorate.File {
		return slices.DeleteFunc(files, func(f quorate.File) bool { return strings.HasSuffix(f.Path, "etcd/ca.key") })
	}})
	require.ErrorContains(t, err, "/etc/kubernetes/pki/etcd/ca.key is missing")
	external := certsOf(t, certsCluster(false))
	err = newWith(t, c, external)
	require.ErrorContains(t, err, "certs.etcdMember[cp-1]: want no files")
}

// An authority that issued another is seen in the files too.
func TestCertsOfAuthoritiesAboveEachOther(t *testing.T) {
	c := certsCluster(false)
	good := certsOf(t, c)
	plane, err := good.ControlPlane(t.Context(), "cp-1")
	require.NoError(t, err)
	block, _ := pem.Decode(certFile(t, plane, "/etc/kubernetes/pki/ca.crt"))
	root, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	block, _ = pem.Decode(certFile(t, plane, "/etc/kubernetes/pki/ca.key"))
	rootKey, err := x509.ParseECPrivateKey(block.Bytes)
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := *root
	template.Subject.CommonName, template.SubjectKeyId = "below", []byte{1}
	der, err := x509.CreateCertificate(rand.Reader, &template, root, key.Public(), rootKey)
	require.NoError(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	err = newWith(t, c, &faultyCerts{Certs: good, plane: func(node string, files []quorate.File) []quorate.File {
		files = swapped("", "/etc/kubernetes/pki/front-proxy-ca.crt", publicly(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))(node, files)
		return swapped("", "/etc/kubernetes/pki/front-proxy-ca.key", secretly(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})))(node, files)
	}})
	require.ErrorContains(t, err, "front-proxy-ca.crt was issued by /etc/kubernetes/pki/ca.crt")
}

// A source that fails is not judged, reports the node for which it failed, and learns when
// to stop; a bundle that is none is no panic.
func TestCertsThatFail(t *testing.T) {
	c := certsCluster(false)
	why := errors.New("sealed")
	err := newWith(t, c, &faultyCerts{Certs: certsOf(t, c), err: why})
	require.ErrorIs(t, err, why)
	require.ErrorContains(t, err, "cp-2's etcd member")
	require.Equal(t, 6, bytes.Count([]byte(err.Error()), []byte("sealed")))

	var none *pki.Bundle
	require.ErrorContains(t, newWith(t, c, none), "make it with New or Load")
	require.ErrorContains(t, newWith(t, c, new(pki.Bundle)), "make it with New or Load")
	require.ErrorContains(t, newWith(t, c, nil), "certs: missing")
}
