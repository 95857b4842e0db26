package pki_test

import (
	"context"
	"crypto/rsa"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/pki"
)

func stackedCluster() quorate.Cluster {
	c := clusterOf(3)
	c.Etcd.Stacked = true
	return c
}

// With stacked members the authority's key is where kubeadm looks for it, and
// no leaf is: kubeadm would take a stranger's for its own.
func TestStackedHostFiles(t *testing.T) {
	b := newBundle(t, stackedCluster(), at(epoch))
	store := b.Store()
	for _, node := range []string{"cp-1", "cp-2", "cp-3"} {
		etcd, err := b.EtcdMember(context.Background(), node)
		require.NoError(t, err)
		assert.Empty(t, etcd)
		plane, err := b.ControlPlane(context.Background(), node)
		require.NoError(t, err)
		assert.Equal(t, []string{
			"0644 /etc/kubernetes/pki/ca.crt",
			"0600 /etc/kubernetes/pki/ca.key",
			"0644 /etc/kubernetes/pki/etcd/ca.crt",
			"0600 /etc/kubernetes/pki/etcd/ca.key",
			"0644 /etc/kubernetes/pki/front-proxy-ca.crt",
			"0600 /etc/kubernetes/pki/front-proxy-ca.key",
			"0600 /etc/kubernetes/pki/sa.key",
			"0644 /etc/kubernetes/pki/sa.pub",
		}, listing(plane))
		assert.Equal(t, content(t, store, "etcd/ca.crt"), content(t, plane, "/etc/kubernetes/pki/etcd/ca.crt"))
		assert.Equal(t, content(t, store, "etcd/ca.key"), content(t, plane, "/etc/kubernetes/pki/etcd/ca.key"))
	}
	var unknown *pki.UnknownNodeError
	for _, node := range []string{"w-1", "stranger", ""} {
		_, err := b.EtcdMember(context.Background(), node)
		require.ErrorAs(t, err, &unknown)
		_, err = b.ControlPlane(context.Background(), node)
		require.ErrorAs(t, err, &unknown)
		assert.Equal(t, []string{"cp-1", "cp-2", "cp-3"}, unknown.Known)
	}
	_, err := b.Leaf("cp-1", pki.EtcdServer)
	var stacked *pki.StackedError
	require.ErrorAs(t, err, &stacked)
	assert.Equal(t, &pki.StackedError{Node: "cp-1", Kind: pki.EtcdServer}, stacked)
	_, err = b.Leaf("w-1", pki.EtcdServer)
	require.ErrorAs(t, err, &unknown)

	_, err = b.EtcdClient(context.Background())
	require.NoError(t, err, "the operator still reads etcd's health")
	again, changes, err := pki.Load(fsOf(store), stackedCluster(), at(epoch))
	require.NoError(t, err)
	assert.Empty(t, changes)
	assert.Equal(t, store, again.Store())
}

func TestStackedWithoutKey(t *testing.T) {
	store := fsOf(newBundle(t, stackedCluster(), at(epoch)).Store())
	delete(store, "etcd/ca.key")
	_, _, err := pki.Load(store, stackedCluster(), at(epoch))
	var authority *pki.AuthorityError
	require.ErrorAs(t, err, &authority)
	assert.Equal(t, pki.EtcdCA, authority.Authority)
	assert.Equal(t, pki.NoKey, authority.Reason)
}

func TestStackedCFSSL(t *testing.T) {
	files, err := pki.CFSSL(stackedCluster(), pki.Config{})
	require.NoError(t, err)
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	assert.Equal(t, []string{"ca-config.json", "ca-csr.json"}, paths)
}

func atVersion(minor int, stacked bool) quorate.Cluster {
	c := clusterOf(1)
	c.Version = quorate.Version{Major: 1, Minor: minor}
	c.Etcd.Stacked = stacked
	return c
}

// kubeadm before 1.15 stops at an authority whose key is not RSA, and before
// 1.22 at a service accounts' key that is not.
func TestKeysForKubeadm(t *testing.T) {
	for _, tt := range []struct {
		minor     int
		stacked   bool
		etcd, kub bool // whether the authority's key is RSA
	}{{10, false, false, true}, {14, true, true, true}, {15, true, false, false}, {37, false, false, false}} {
		b := newBundle(t, atVersion(tt.minor, tt.stacked), pki.Config{})
		for name, want := range map[pki.AuthorityName]bool{pki.EtcdCA: tt.etcd, pki.KubernetesCA: tt.kub, pki.FrontProxyCA: tt.kub} {
			_, isRSA := b.CA(name).PublicKey.(*rsa.PublicKey)
			assert.Equal(t, want, isRSA, "%s at 1.%d", name, tt.minor)
		}
	}
	for _, tt := range []struct {
		minor   int
		stacked bool
		want    []string
	}{
		{10, false, []string{"pki.keys.kubernetesCA", "pki.keys.frontProxyCA", "pki.keys.serviceAccount"}},
		{14, true, []string{"pki.keys.etcdCA", "pki.keys.kubernetesCA", "pki.keys.frontProxyCA", "pki.keys.serviceAccount"}},
		{21, true, []string{"pki.keys.serviceAccount"}},
		{22, true, nil},
	} {
		all := pki.ECDSAP256
		_, err := pki.CFSSL(atVersion(tt.minor, tt.stacked), pki.Config{Keys: pki.Keys{all, all, all, all, all}})
		var paths []string
		if err != nil {
			var invalid *quorate.InvalidError
			require.ErrorAs(t, err, &invalid)
			for _, p := range invalid.Problems {
				paths = append(paths, p.Path)
			}
		}
		assert.Equal(t, tt.want, paths, "1.%d", tt.minor)
	}
}

// What was made for a later version, or brought, is refused as well.
func TestStoredAndBroughtKeys(t *testing.T) {
	later := newBundle(t, atVersion(37, false), at(epoch))
	store := fsOf(later.Store())
	_, _, err := pki.Load(store, atVersion(10, false), pki.Config{Now: at(epoch).Now})
	var authority *pki.AuthorityError
	require.ErrorAs(t, err, &authority)
	assert.Equal(t, pki.BadAuthority, authority.Reason)
	var file *pki.FileError
	require.ErrorAs(t, err, &file)
	assert.Equal(t, "service-account/sa.key", file.File)

	own, err := pki.ParseAuthority(content(t, later.Store(), "kubernetes/ca.crt"), content(t, later.Store(), "kubernetes/ca.key"))
	require.NoError(t, err)
	_, _, err = pki.Load(fstest.MapFS{}, atVersion(10, false), pki.Config{Now: at(epoch).Now, KubernetesCA: own})
	require.ErrorAs(t, err, &authority)
	assert.Equal(t, pki.KubernetesCA, authority.Authority)
}
