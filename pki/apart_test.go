package pki_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/pki"
)

// issued is a certificate of a tree of authorities, and what is above it.
type issued struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	parent *issued
}

// issue makes a certificate below a parent, or a root; shape changes it before it
// is signed. A nil key makes one.
func issue(t require.TestingT, name string, parent *issued, key *ecdsa.PrivateKey, shape func(*x509.Certificate)) *issued {
	if key == nil {
		var err error
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(8, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if shape != nil {
		shape(template)
	}
	above, signer := template, key
	if parent != nil {
		above, signer = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, above, key.Public(), signer)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &issued{cert, key, parent}
}

func (i *issued) chain() []*x509.Certificate {
	var out []*x509.Certificate
	for ; i != nil; i = i.parent {
		out = append(out, i.cert)
	}
	return out
}

func (i *issued) bring(t require.TestingT) *pki.Authority {
	a, err := pki.NewAuthority(i.key, i.chain()...)
	require.NoError(t, err)
	return a
}

func leafShape(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = false, false, x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
}

// opens reports whether a leaf is accepted by who has a trust file, however many
// intermediates are presented with it.
func opens(leaf *x509.Certificate, trust []byte, presented ...*issued) bool {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(trust)
	for _, p := range presented {
		between.AddCert(p.cert)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: epoch, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

// Whatever three authorities of whatever trees are brought: either no leaf of one
// opens what trusts another, or they are refused; and they are refused only if one
// does.
func TestAuthoritiesDiffer(t *testing.T) {
	names := []pki.AuthorityName{pki.EtcdCA, pki.KubernetesCA, pki.FrontProxyCA}
	rapid.Check(t, func(t *rapid.T) {
		var tree []*issued
		keysTwice := false
		for i := range rapid.IntRange(3, 6).Draw(t, "certificates") {
			var parent *issued
			if at := rapid.IntRange(-1, i-1).Draw(t, "parent"); at >= 0 {
				parent = tree[at]
			}
			var key *ecdsa.PrivateKey
			if i > 0 && rapid.IntRange(0, 5).Draw(t, "key") == 0 {
				key, keysTwice = tree[rapid.IntRange(0, i-1).Draw(t, "whose key")].key, true
			}
			tree = append(tree, issue(t, fmt.Sprintf("ca-%d", i), parent, key, nil))
		}
		chosen := map[pki.AuthorityName]*issued{}
		for _, name := range names {
			chosen[name] = rapid.SampledFrom(tree).Draw(t, string(name))
		}
		cfg := at(epoch)
		cfg.EtcdCA, cfg.KubernetesCA, cfg.FrontProxyCA = chosen[pki.EtcdCA].bring(t), chosen[pki.KubernetesCA].bring(t), chosen[pki.FrontProxyCA].bring(t)
		b, err := pki.New(clusterOf(1), cfg)
		if err != nil {
			var authority *pki.AuthorityError
			require.ErrorAs(t, err, &authority)
			require.Equal(t, pki.Shared, authority.Reason)
		}

		crossed := false
		for _, issuing := range names {
			leaves := []*x509.Certificate{issue(t, "leaf", chosen[issuing], nil, leafShape).cert}
			if b != nil && issuing == pki.EtcdCA {
				for _, kind := range []pki.LeafKind{pki.EtcdServer, pki.EtcdPeer, pki.APIServerEtcdClient} {
					leaf, err := b.Leaf("cp-1", kind)
					require.NoError(t, err)
					leaves = append(leaves, leaf)
				}
			}
			for _, trusted := range names {
				for _, leaf := range leaves {
					open := opens(leaf, trustFile(t, b, trusted, chosen), tree...)
					if issuing == trusted {
						require.True(t, open, "%s's own leaf", issuing)
						continue
					}
					require.False(t, open && err == nil, "a leaf of %s opens what trusts %s", issuing, trusted)
					crossed = crossed || open
				}
			}
		}
		require.True(t, err == nil || crossed || keysTwice, "refused for nothing: %v", err)
	})
}

// trustFile is what hosts get, or would get from a bundle that was refused.
func trustFile(t require.TestingT, b *pki.Bundle, name pki.AuthorityName, chosen map[pki.AuthorityName]*issued) []byte {
	if b == nil {
		return pemOf(chosen[name].cert)
	}
	files, err := b.ControlPlane(context.Background(), "cp-1")
	require.NoError(t, err)
	path := map[pki.AuthorityName]string{pki.EtcdCA: "etcd/ca.crt", pki.KubernetesCA: "ca.crt", pki.FrontProxyCA: "front-proxy-ca.crt"}[name]
	for _, f := range files {
		if f.Path == "/etc/kubernetes/pki/"+path {
			return f.Content.Bytes()
		}
	}
	return nil
}

// The cases that were found, by name.
func TestAuthorityThatSignedAnother(t *testing.T) {
	root := issue(t, "root", nil, nil, nil)
	middle := issue(t, "middle", root, nil, nil)
	below := issue(t, "below", middle, nil, nil)
	aside := issue(t, "aside", nil, nil, nil)
	for _, c := range []struct {
		etcd, kubernetes, frontProxy *issued
		refused                      pki.AuthorityName
	}{
		{root, middle, aside, pki.KubernetesCA},
		{root, below, aside, pki.KubernetesCA},
		{middle, root, aside, pki.EtcdCA},
		{root, aside, middle, pki.FrontProxyCA},
		{middle, aside, root, pki.EtcdCA},
		{aside, root, middle, pki.FrontProxyCA},
		{aside, middle, root, pki.KubernetesCA},
		{issue(t, "one", root, nil, nil), middle, issue(t, "two", root, nil, nil), ""},
	} {
		cfg := at(epoch)
		cfg.EtcdCA, cfg.KubernetesCA, cfg.FrontProxyCA = c.etcd.bring(t), c.kubernetes.bring(t), c.frontProxy.bring(t)
		b, err := pki.New(clusterOf(1), cfg)
		if c.refused == "" {
			require.NoError(t, err)
			continue
		}
		assertAuthorityError(t, err, c.refused, pki.Shared)
		assert.Nil(t, b)
	}
	_, err := pki.NewAuthority(below.key, below.cert)
	assertAuthorityError(t, err, "", pki.BadAuthority)
	assert.ErrorContains(t, err, "append that one's certificate", "a chain without its root hides who is above")
}

// What an authority is limited to, or what is above it, is seen before any host
// has it, for each of the three.
func TestAuthoritiesThatCouldNotIssue(t *testing.T) {
	unknown := func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 55555, 1}, Critical: true, Value: []byte{5, 0}}}
	}
	signsCode := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }
	elsewhere := func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"example.org"}
	}
	noneBelow := func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true }
	for name, made := range map[string]func() *issued{
		"code signing":              func() *issued { return issue(t, "x", nil, nil, signsCode) },
		"code signing above":        func() *issued { return issue(t, "x", issue(t, "r", nil, nil, signsCode), nil, nil) },
		"other names":               func() *issued { return issue(t, "x", nil, nil, elsewhere) },
		"other names above":         func() *issued { return issue(t, "x", issue(t, "r", nil, nil, elsewhere), nil, nil) },
		"unknown extension":         func() *issued { return issue(t, "x", nil, nil, unknown) },
		"unknown extension above":   func() *issued { return issue(t, "x", issue(t, "r", nil, nil, unknown), nil, nil) },
		"a root with path length 0": func() *issued { return issue(t, "x", issue(t, "r", nil, nil, noneBelow), nil, nil) },
	} {
		for _, authority := range []pki.AuthorityName{pki.EtcdCA, pki.KubernetesCA, pki.FrontProxyCA} {
			for _, stacked := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/stacked=%t", name, authority, stacked), func(t *testing.T) {
					c := clusterOf(1)
					c.Etcd.Stacked = stacked
					_, err := pki.New(c, bringing(at(epoch), authority, made().bring(t)))
					var bad *pki.AuthorityError
					var leaf *pki.VerifyError
					switch {
					case errors.As(err, &bad):
						assert.Equal(t, authority, bad.Authority)
						assert.Equal(t, pki.BadAuthority, bad.Reason)
					case errors.As(err, &leaf):
						assert.Equal(t, pki.EtcdCA, authority)
					default:
						t.Errorf("accepted: %v", err)
					}
				})
			}
		}
	}
}

func bringing(cfg pki.Config, name pki.AuthorityName, a *pki.Authority) pki.Config {
	switch name {
	case pki.EtcdCA:
		cfg.EtcdCA = a
	case pki.KubernetesCA:
		cfg.KubernetesCA = a
	default:
		cfg.FrontProxyCA = a
	}
	return cfg
}

// Limits that leave room for the cluster are no reason to refuse.
func TestAuthoritiesWithLimitsThatFit(t *testing.T) {
	_, everything, err := net.ParseCIDR("0.0.0.0/0")
	require.NoError(t, err)
	_, other, err := net.ParseCIDR("203.0.113.0/24")
	require.NoError(t, err)
	fits := func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		c.PermittedDNSDomainsCritical = true
		c.ExcludedDNSDomains = []string{"example.org"}
		c.ExcludedIPRanges = []*net.IPNet{other}
		c.MaxPathLen, c.MaxPathLenZero = 0, true
	}
	for _, name := range []pki.AuthorityName{pki.EtcdCA, pki.KubernetesCA, pki.FrontProxyCA} {
		c := clusterOf(1)
		_, err := pki.New(c, bringing(at(epoch), name, issue(t, "x", issue(t, "root", nil, nil, nil), nil, fits).bring(t)))
		require.NoError(t, err, name)
	}
	// The endpoint, and what is described beyond it, is among what is issued.
	excluded := func(c *x509.Certificate) { fits(c); c.ExcludedIPRanges = []*net.IPNet{everything} }
	_, err = pki.New(clusterOf(1), bringing(at(epoch), pki.KubernetesCA, issue(t, "x", nil, nil, excluded).bring(t)))
	assertAuthorityError(t, err, pki.KubernetesCA, pki.BadAuthority)
	for _, describe := range []func(*quorate.Cluster){
		func(c *quorate.Cluster) { c.Endpoint.Host = "api.example.org" },
		func(c *quorate.Cluster) { c.Kubeadm.CertSANs = []string{"203.0.113.9"} },
		func(c *quorate.Cluster) { c.DNSDomain = "example.org" },
	} {
		c := clusterOf(1)
		describe(&c)
		_, err = pki.New(c, bringing(at(epoch), pki.KubernetesCA, issue(t, "x", nil, nil, fits).bring(t)))
		assertAuthorityError(t, err, pki.KubernetesCA, pki.BadAuthority)
	}
}
