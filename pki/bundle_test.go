package pki_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
)

func TestHostFiles(t *testing.T) {
	b := newBundle(t, clusterOf(3), at(epoch))

	etcd, err := b.EtcdMember(context.Background(), "cp-2")
	require.NoError(t, err)
	assert.Equal(t, []string{
		"0644 /etc/etcd/pki/ca.crt",
		"0644 /etc/etcd/pki/peer.crt",
		"0600 /etc/etcd/pki/peer.key",
		"0644 /etc/etcd/pki/server.crt",
		"0600 /etc/etcd/pki/server.key",
	}, listing(etcd))

	plane, err := b.ControlPlane(context.Background(), "cp-2")
	require.NoError(t, err)
	assert.Equal(t, []string{
		"0644 /etc/kubernetes/pki/apiserver-etcd-client.crt",
		"0600 /etc/kubernetes/pki/apiserver-etcd-client.key",
		"0644 /etc/kubernetes/pki/ca.crt",
		"0600 /etc/kubernetes/pki/ca.key",
		"0644 /etc/kubernetes/pki/etcd/ca.crt",
		"0644 /etc/kubernetes/pki/front-proxy-ca.crt",
		"0600 /etc/kubernetes/pki/front-proxy-ca.key",
		"0600 /etc/kubernetes/pki/sa.key",
		"0644 /etc/kubernetes/pki/sa.pub",
	}, listing(plane))
}

// listing also checks that exactly what is 0600 is sensitive.
func listing(files []quorate.File) []string {
	var out []string
	for _, f := range files {
		line := fmt.Sprintf("%04o %s", f.Mode, f.Path)
		if f.Content.IsSensitive() != (f.Mode == fs.FileMode(0o600)) {
			line += " (mode and sensitivity differ)"
		}
		if f.Owner != "root" || f.Group != "root" {
			line += " (not root's)"
		}
		out = append(out, line)
	}
	return out
}

// No host gets the key of etcd's authority, the operator's key, or the leaf of
// another node.
func TestFilesPerHost(t *testing.T) {
	b := newBundle(t, clusterOf(3), at(epoch))
	store := b.Store()
	for _, node := range []string{"cp-1", "cp-2", "cp-3"} {
		etcd, err := b.EtcdMember(context.Background(), node)
		require.NoError(t, err)
		plane, err := b.ControlPlane(context.Background(), node)
		require.NoError(t, err)
		for _, file := range append(etcd, plane...) {
			host := string(file.Content.Bytes())
			assert.NotEqual(t, string(content(t, store, "etcd/ca.key")), host, file.Path)
			assert.NotEqual(t, string(content(t, store, "operator/etcd-client.key")), host, file.Path)
			for _, other := range []string{"cp-1", "cp-2", "cp-3"} {
				for _, kind := range []string{"etcd-server", "etcd-peer", "apiserver-etcd-client"} {
					if other != node {
						assert.NotEqual(t, string(content(t, store, "nodes/"+other+"/"+kind+".key")), host, file.Path)
						assert.NotEqual(t, string(content(t, store, "nodes/"+other+"/"+kind+".crt")), host, file.Path)
					}
				}
			}
		}
	}
}

func TestFilesOfWorkersAndUnknownNodes(t *testing.T) {
	b := newBundle(t, clusterOf(1), at(epoch))
	for _, node := range []string{"w-1", "stranger", ""} {
		_, err := b.EtcdMember(context.Background(), node)
		var unknown *pki.UnknownNodeError
		require.ErrorAs(t, err, &unknown)
		assert.Equal(t, &pki.UnknownNodeError{Node: node, Known: []string{"cp-1"}}, unknown)
		_, err = b.ControlPlane(context.Background(), node)
		require.ErrorAs(t, err, &unknown)
	}
}

// A server with the files of a host and clients with theirs, over real TLS with
// client certificates required, as etcd does it.
func TestMutualTLS(t *testing.T) {
	b := newBundle(t, clusterOf(3), pki.Config{})
	member1, err := b.EtcdMember(context.Background(), "cp-1")
	require.NoError(t, err)
	member2, err := b.EtcdMember(context.Background(), "cp-2")
	require.NoError(t, err)
	plane2, err := b.ControlPlane(context.Background(), "cp-2")
	require.NoError(t, err)
	operator, err := b.EtcdClient(context.Background())
	require.NoError(t, err)

	server := hostConfig(t, member1, "/etc/etcd/pki/server", "/etc/etcd/pki/ca.crt")
	peer := hostConfig(t, member1, "/etc/etcd/pki/peer", "/etc/etcd/pki/ca.crt")
	apiserver := hostConfig(t, plane2, "/etc/kubernetes/pki/apiserver-etcd-client", "/etc/kubernetes/pki/etcd/ca.crt")
	otherPeer := hostConfig(t, member2, "/etc/etcd/pki/peer", "/etc/etcd/pki/ca.crt")
	stranger, err := newBundle(t, clusterOf(1), pki.Config{}).EtcdClient(context.Background())
	require.NoError(t, err)
	stranger.RootCAs = operator.RootCAs

	for _, c := range []struct {
		name           string
		server, client *tls.Config
		serverName     string
		ok             bool
	}{
		{"operator by name", server, operator, "cp-1", true},
		{"operator by IPv4", server, operator, "192.0.2.1", true},
		{"operator by IPv6", server, operator, "2001:db8::1", true},
		{"operator through a tunnel", server, operator, "127.0.0.1", true},
		{"API server", server, apiserver, "192.0.2.1", true},
		{"member's own gateway", server, hostConfig(t, member1, "/etc/etcd/pki/server", "/etc/etcd/pki/ca.crt"), "::1", true},
		{"peer", peer, otherPeer, "192.0.2.1", true},
		{"another member's name", server, operator, "cp-2", false},
		{"another member's address", peer, otherPeer, "192.0.2.2", false},
		{"client of another authority", server, stranger, "cp-1", false},
		{"client without a certificate", server, &tls.Config{RootCAs: operator.RootCAs}, "cp-1", false},
		{"client's certificate as a server's", apiserver, operator, "cp-1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := handshake(t, c.server, c.client, c.serverName)
			if c.ok {
				assert.NoError(t, err)
			} else {
				assert.Error(t, err)
			}
		})
	}
}

func hostConfig(t *testing.T, files []quorate.File, pair, ca string) *tls.Config {
	t.Helper()
	cert, err := tls.X509KeyPair(content(t, files, pair+".crt"), content(t, files, pair+".key"))
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(content(t, files, ca)))
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		RootCAs:      pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

// handshake joins what either side says. The server writes one byte after it
// has accepted the client, since a TLS 1.3 client finishes before that.
func handshake(t *testing.T, server, client *tls.Config, name string) error {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			served <- err
			return
		}
		defer func() { _ = conn.Close() }()
		_, err = tls.Server(conn, server).Write([]byte{1})
		served <- err
	}()
	client = client.Clone()
	client.ServerName = name
	conn, err := (&tls.Dialer{Config: client}).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err == nil {
		defer func() { _ = conn.Close() }()
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	return errors.Join(err, <-served)
}

func TestLeafNames(t *testing.T) {
	b := newBundle(t, clusterOf(3), at(epoch))
	for _, kind := range []pki.LeafKind{pki.EtcdServer, pki.EtcdPeer} {
		c, err := b.Leaf("cp-3", kind)
		require.NoError(t, err)
		assert.Equal(t, "cp-3", c.Subject.CommonName)
		assert.Equal(t, []string{"cp-3", "localhost"}, c.DNSNames)
		assert.Equal(t, "[192.0.2.3 2001:db8::3 127.0.0.1 ::1]", fmt.Sprint(c.IPAddresses))
		assert.ElementsMatch(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, c.ExtKeyUsage)
		assert.Equal(t, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment, c.KeyUsage)
		assert.False(t, c.IsCA)
	}
	for node, name := range map[string]string{"cp-3": "kube-apiserver-etcd-client", "": "quorate-operator"} {
		kind := pki.APIServerEtcdClient
		if node == "" {
			kind = pki.OperatorEtcdClient
		}
		c, err := b.Leaf(node, kind)
		require.NoError(t, err)
		assert.Equal(t, name, c.Subject.CommonName)
		assert.Empty(t, c.DNSNames)
		assert.Empty(t, c.IPAddresses)
		assert.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, c.ExtKeyUsage)
	}
}

func TestAuthoritiesByName(t *testing.T) {
	b := newBundle(t, clusterOf(1), at(epoch))
	for name, subject := range map[pki.AuthorityName]string{
		pki.EtcdCA: "CN=etcd", pki.KubernetesCA: "CN=kubernetes", pki.FrontProxyCA: "CN=front-proxy-ca",
	} {
		c := b.CA(name)
		assert.Equal(t, subject, c.Subject.String())
		assert.Equal(t, epoch.Add(87600*time.Hour), c.NotAfter)
		assert.Equal(t, epoch.Add(-5*time.Minute), c.NotBefore)
		assert.Equal(t, x509.KeyUsageCertSign|x509.KeyUsageCRLSign|x509.KeyUsageDigitalSignature, c.KeyUsage)
	}
	assert.Equal(t, []string{kubeadm.CAHash(b.CA(pki.KubernetesCA))}, caHashes(t, b))
	assert.Nil(t, b.CA("other"))
}

// cfssl logs every request unless it is silenced.
func TestNoOutput(t *testing.T) {
	var logged bytes.Buffer
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	read, write, err := os.Pipe()
	require.NoError(t, err)
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = write, write
	_, newErr := pki.New(clusterOf(1), at(epoch))
	_, badErr := pki.New(clusterOf(1), pki.Config{Keys: pki.Keys{Leaf: "none"}})
	os.Stdout, os.Stderr = stdout, stderr
	require.NoError(t, write.Close())
	printed, err := io.ReadAll(read)
	require.NoError(t, err)
	require.NoError(t, newErr)
	require.Error(t, badErr)
	assert.Empty(t, string(printed))
	assert.Empty(t, logged.String())
}

// A nil or zero bundle is a mistake that is reported, not one that panics.
func TestNoBundle(t *testing.T) {
	for _, b := range []*pki.Bundle{nil, {}} {
		_, err := b.EtcdMember(t.Context(), "cp-1")
		require.ErrorContains(t, err, "make it with New or Load")
		_, err = b.ControlPlane(t.Context(), "cp-1")
		require.Error(t, err)
		_, err = b.CAHashes(t.Context())
		require.Error(t, err)
		_, err = b.EtcdClient(t.Context())
		require.Error(t, err)
		_, err = b.Leaf("cp-1", pki.EtcdPeer)
		require.Error(t, err)
		_, err = b.Issue(pki.Request{})
		require.Error(t, err)
		require.Error(t, b.Verify())
		require.Nil(t, b.CA(pki.EtcdCA))
		require.Empty(t, b.Store())
		require.Empty(t, b.Expiry())
		require.Equal(t, "no certificates", b.String())
		_, err = b.MarshalText()
		require.NoError(t, err)
	}
}
