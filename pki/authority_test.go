package pki_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
)

// authority is one that a user might bring, made with crypto/x509 alone.
type authority struct {
	cert            *x509.Certificate
	key             *ecdsa.PrivateKey
	certPEM, keyPEM []byte
}

func newRoot(t testing.TB, name string, now time.Time) authority { return newCA(t, name, now, nil) }

func newCA(t testing.TB, name string, now time.Time, parent *authority) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(3, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	issuer, signer := template, key
	if parent != nil {
		issuer, signer = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return authority{
		cert, key,
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	}
}

// hardware signs and never shows its key.
type hardware struct {
	key   crypto.Signer
	signs *int
}

func (h hardware) Public() crypto.PublicKey { return h.key.Public() }

func (h hardware) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	*h.signs++
	return h.key.Sign(rand, digest, opts)
}

func TestEtcdAuthorityInHardware(t *testing.T) {
	root := newRoot(t, "module", epoch)
	var signs int
	brought, err := pki.NewAuthority(hardware{root.key, &signs}, root.cert)
	require.NoError(t, err)
	cfg := at(epoch)
	cfg.EtcdCA = brought

	c := clusterOf(3)
	b := newBundle(t, c, cfg)
	assert.Equal(t, 10, signs, "one signature for each of 3x3 leaves and the operator's")
	assert.True(t, b.CA(pki.EtcdCA).Equal(root.cert))
	for _, e := range b.Expiry() {
		if e.File == "operator/etcd-client.crt" {
			assert.Equal(t, root.cert.NotAfter, e.NotAfter, "no leaf outlives its authority")
		}
	}

	store := fsOf(b.Store())
	assert.NotContains(t, store, "etcd/ca.key")
	assert.Contains(t, store, "etcd/ca.crt")

	// Without the hardware a complete store still loads, an incomplete one says so.
	again, changes, err := pki.Load(store, c, at(epoch))
	require.NoError(t, err)
	assert.Empty(t, changes)
	assert.Equal(t, b.Store(), again.Store())
	_, err = again.Issue(pki.Request{CommonName: "x", Profile: pki.ProfileClient})
	assertAuthorityError(t, err, pki.EtcdCA, pki.NoKey)
	delete(store, "nodes/cp-2/etcd-peer.key")
	_, _, err = pki.Load(store, c, at(epoch))
	assertAuthorityError(t, err, pki.EtcdCA, pki.NoKey)
	_, changes, err = pki.Load(store, c, cfg)
	require.NoError(t, err)
	assert.Equal(t, []pki.Change{{File: "nodes/cp-2/etcd-peer.crt", Reason: pki.Missing}}, changes.Issued)
}

func TestKubeadmAuthoritiesWithoutKeys(t *testing.T) {
	root := newRoot(t, "module", epoch)
	locked, err := pki.NewAuthority(hardware{root.key, new(int)}, root.cert)
	require.NoError(t, err)
	cfg := at(epoch)
	cfg.KubernetesCA, cfg.FrontProxyCA = locked, locked
	_, err = pki.New(clusterOf(1), cfg)
	assertAuthorityError(t, err, pki.KubernetesCA, pki.NotExportable)
	assert.ErrorContains(t, err, "front-proxy", "both are named at once")
	assert.ErrorContains(t, err, "kubeadm signs with this key on every control plane")

	open, err := pki.NewAuthority(root.key, root.cert)
	require.NoError(t, err)
	proxyRoot := newRoot(t, "proxy", epoch)
	proxy, err := pki.NewAuthority(proxyRoot.key, proxyRoot.cert)
	require.NoError(t, err)
	cfg.KubernetesCA, cfg.FrontProxyCA = open, proxy
	b := newBundle(t, clusterOf(1), cfg)
	plane, err := b.ControlPlane(context.Background(), "cp-1")
	require.NoError(t, err)
	assert.Equal(t, string(root.certPEM), string(content(t, plane, "/etc/kubernetes/pki/ca.crt")))
	block, _ := pem.Decode(content(t, plane, "/etc/kubernetes/pki/ca.key"))
	key, err := x509.ParseECPrivateKey(block.Bytes)
	require.NoError(t, err)
	assert.True(t, key.Equal(root.key))

	// A brought key is not kept, so a later Load without it cannot serve kubeadm.
	_, _, err = pki.Load(fsOf(b.Store()), clusterOf(1), at(epoch))
	assertAuthorityError(t, err, pki.KubernetesCA, pki.NoKey)
	_, changes, err := pki.Load(fsOf(b.Store()), clusterOf(1), cfg)
	require.NoError(t, err)
	assert.Empty(t, changes)
}

// Two intermediates of one root: etcd must not let in the clients of the other.
func TestIntermediateAuthorities(t *testing.T) {
	root := newRoot(t, "root", epoch)
	bring := func(name string) (*pki.Authority, authority) {
		middle := newCA(t, name, epoch, &root)
		a, err := pki.ParseAuthority(append(slices.Clone(middle.certPEM), root.certPEM...), middle.keyPEM)
		require.NoError(t, err)
		return a, middle
	}
	cfg := at(epoch)
	var etcd, kubernetes authority
	cfg.EtcdCA, etcd = bring("etcd")
	cfg.KubernetesCA, kubernetes = bring("kubernetes")
	cfg.FrontProxyCA, _ = bring("front-proxy")
	b := newBundle(t, clusterOf(1), cfg)

	member, err := b.EtcdMember(context.Background(), "cp-1")
	require.NoError(t, err)
	assert.Equal(t, string(etcd.certPEM), string(content(t, member, "/etc/etcd/pki/ca.crt")))
	trusted := x509.NewCertPool()
	require.True(t, trusted.AppendCertsFromPEM(content(t, member, "/etc/etcd/pki/ca.crt")))
	stranger := newCA(t, "a kubelet", epoch, &kubernetes)
	between := x509.NewCertPool()
	between.AddCert(kubernetes.cert)
	between.AddCert(root.cert)
	_, err = stranger.cert.Verify(x509.VerifyOptions{Roots: trusted, Intermediates: between, CurrentTime: epoch, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	require.Error(t, err)

	presented := parse(t, content(t, member, "/etc/etcd/pki/server.crt"))
	require.Len(t, presented, 2, "the leaf and the intermediate, not the root")
	assert.True(t, presented[1].Equal(etcd.cert))
	onlyRoot := x509.NewCertPool()
	onlyRoot.AddCert(root.cert)
	between = x509.NewCertPool()
	between.AddCert(presented[1])
	_, err = presented[0].Verify(x509.VerifyOptions{Roots: onlyRoot, Intermediates: between, CurrentTime: epoch, DNSName: "cp-1"})
	require.NoError(t, err)

	plane, err := b.ControlPlane(context.Background(), "cp-1")
	require.NoError(t, err)
	assert.Equal(t, string(kubernetes.certPEM), string(content(t, plane, "/etc/kubernetes/pki/ca.crt")))
	assert.Equal(t, []string{kubeadm.CAHash(kubernetes.cert)}, caHashes(t, b))

	again, changes, err := pki.Load(fsOf(b.Store()), clusterOf(1), cfg)
	require.NoError(t, err)
	assert.Empty(t, changes)
	assert.Equal(t, b.Store(), again.Store())
	assert.Len(t, b.Expiry(), 10, "the root is listed with each of its three intermediates")
	opensslVerify(t, b, "cp-1", epoch, "-partial_chain")
}

func TestAuthorityUsedTwice(t *testing.T) {
	root := newRoot(t, "root", epoch)
	brought, err := pki.ParseAuthority(root.certPEM, root.keyPEM)
	require.NoError(t, err)
	cfg := at(epoch)
	cfg.EtcdCA, cfg.FrontProxyCA = brought, brought
	_, err = pki.New(clusterOf(1), cfg)
	assertAuthorityError(t, err, pki.FrontProxyCA, pki.Shared)
}

// An authority that may vouch for clients only cannot vouch for members.
func TestAuthorityLimitedToOtherUsages(t *testing.T) {
	root := newRoot(t, "root", epoch)
	template := *root.cert
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, root.key.Public(), root.key)
	require.NoError(t, err)
	limited, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	cfg := at(epoch)
	cfg.EtcdCA, err = pki.NewAuthority(root.key, limited)
	require.NoError(t, err)
	_, err = pki.New(clusterOf(1), cfg)
	var verify *pki.VerifyError
	require.ErrorAs(t, err, &verify)
	assert.Equal(t, "nodes/cp-1/etcd-server.crt", verify.File)
	assert.ErrorContains(t, err, `limited to other usages than "server auth"`)
}

func TestAuthoritiesThatCannotServe(t *testing.T) {
	root, other := newRoot(t, "root", epoch), newRoot(t, "other", epoch)
	leaf := *root.cert
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	leaf.IsCA = false
	for name, c := range map[string]struct {
		signer crypto.Signer
		chain  []*x509.Certificate
		want   string
	}{
		"no signer":        {nil, []*x509.Certificate{root.cert}, "signer is nil"},
		"no certificate":   {root.key, nil, "at least one certificate"},
		"nil certificate":  {root.key, []*x509.Certificate{nil}, "none that is nil"},
		"another's key":    {other.key, []*x509.Certificate{root.cert}, "does not belong"},
		"a key of no use":  {weak, []*x509.Certificate{root.cert}, "does not belong"},
		"an Edwards key":   {edwards, []*x509.Certificate{root.cert}, "does not belong"},
		"no authority":     {root.key, []*x509.Certificate{&leaf}, "may not sign certificates"},
		"unrelated issuer": {root.key, []*x509.Certificate{root.cert, other.cert}, "was not issued by"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pki.NewAuthority(c.signer, c.chain...)
			assertAuthorityError(t, err, "", pki.BadAuthority)
			assert.ErrorContains(t, err, c.want)
		})
	}
	_, err = pki.ParseAuthority(root.certPEM, other.keyPEM)
	assertAuthorityError(t, err, "", pki.BadAuthority)
	_, err = pki.ParseAuthority(root.keyPEM, root.keyPEM)
	assertAuthorityError(t, err, "", pki.BadAuthority)

	cfg := at(epoch)
	cfg.EtcdCA = new(pki.Authority)
	_, err = pki.New(clusterOf(1), cfg)
	assertAuthorityError(t, err, pki.EtcdCA, pki.BadAuthority)

	cfg.EtcdCA, err = pki.ParseAuthority(root.certPEM, root.keyPEM)
	require.NoError(t, err)
	cfg.Now = func() time.Time { return epoch.AddDate(5, 0, 0) }
	_, err = pki.New(clusterOf(1), cfg)
	assertAuthorityError(t, err, pki.EtcdCA, pki.Lapsed)
}

func TestAuthorityUnlikeTheStores(t *testing.T) {
	c := clusterOf(1)
	store := fsOf(newBundle(t, c, at(epoch)).Store())
	root := newRoot(t, "root", epoch)
	cfg := at(epoch)
	var err error
	cfg.EtcdCA, err = pki.ParseAuthority(root.certPEM, root.keyPEM)
	require.NoError(t, err)
	_, _, err = pki.Load(store, c, cfg)
	assertAuthorityError(t, err, pki.EtcdCA, pki.Changed)
}

func assertAuthorityError(t *testing.T, err error, name pki.AuthorityName, reason pki.AuthorityReason) {
	t.Helper()
	var a *pki.AuthorityError
	if assert.True(t, errors.As(err, &a), "%v", err) {
		assert.Equal(t, name, a.Authority)
		assert.Equal(t, reason, a.Reason)
	}
}
