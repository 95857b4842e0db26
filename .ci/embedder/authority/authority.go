// Package authority is a program's own source of certificates: three authorities and
// what they sign, made with crypto/x509 alone and kept in memory. A real one would
// ask Vault or an HSM.
package authority

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

const (
	etcdPKI       = "/etc/etcd/pki/"
	kubernetesPKI = "/etc/kubernetes/pki/"
)

// pair is a certificate, or a public key, and its private key.
type pair struct{ cert, key []byte }

type issuer struct {
	pair
	x509 *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Authority is a ha.Certs for one cluster. What it returns never changes, so that it may
// be asked by many at once.
type Authority struct {
	kubernetes, frontProxy, etcd *issuer
	serviceAccounts              pair
	members                      map[string][2]pair // server and peer
	apiServers, operator         pair
}

// New issues everything that a cluster needs, once.
func New(c quorate.Cluster) (*Authority, error) {
	a := &Authority{members: map[string][2]pair{}}
	var err error
	for name, at := range map[string]**issuer{"kubernetes": &a.kubernetes, "front-proxy": &a.frontProxy, "etcd": &a.etcd} {
		if *at, err = newIssuer(name); err != nil {
			return nil, err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	private, err := keyPEM(key)
	if err != nil {
		return nil, err
	}
	a.serviceAccounts = pair{pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), private}
	for _, n := range c.ControlPlanes() {
		var both [2]pair
		for i := range both {
			if both[i], err = a.etcd.leaf(n.Name, n, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth); err != nil {
				return nil, err
			}
		}
		a.members[n.Name] = both
	}
	if a.apiServers, err = a.etcd.leaf("kube-apiserver", quorate.Node{}, x509.ExtKeyUsageClientAuth); err != nil {
		return nil, err
	}
	a.operator, err = a.etcd.leaf("operator", quorate.Node{}, x509.ExtKeyUsageClientAuth)
	return a, err
}

// Keys returns every private key that this authority has made.
func (a *Authority) Keys() [][]byte {
	keys := [][]byte{a.kubernetes.pair.key, a.frontProxy.pair.key, a.etcd.pair.key, a.serviceAccounts.key, a.apiServers.key, a.operator.key}
	for _, both := range a.members {
		keys = append(keys, both[0].key, both[1].key)
	}
	return keys
}

// EtcdMember implements ha.Certs.
func (a *Authority) EtcdMember(_ context.Context, node string) ([]quorate.File, error) {
	m, ok := a.members[node]
	if !ok {
		return nil, fmt.Errorf("authority: no control plane %q", node)
	}
	return files(etcdPKI,
		"ca.crt", a.etcd.cert, "server.crt", m[0].cert, "server.key", m[0].key, "peer.crt", m[1].cert, "peer.key", m[1].key), nil
}

// ControlPlane implements ha.Certs.
func (a *Authority) ControlPlane(_ context.Context, node string) ([]quorate.File, error) {
	if _, ok := a.members[node]; !ok {
		return nil, fmt.Errorf("authority: no control plane %q", node)
	}
	return files(kubernetesPKI,
		"ca.crt", a.kubernetes.cert, "ca.key", a.kubernetes.pair.key,
		"front-proxy-ca.crt", a.frontProxy.cert, "front-proxy-ca.key", a.frontProxy.pair.key,
		"sa.pub", a.serviceAccounts.cert, "sa.key", a.serviceAccounts.key,
		"etcd/ca.crt", a.etcd.cert, "apiserver-etcd-client.crt", a.apiServers.cert, "apiserver-etcd-client.key", a.apiServers.key), nil
}

// CAHashes implements ha.Certs.
func (a *Authority) CAHashes(context.Context) ([]string, error) {
	return kubeadm.CAHashes(a.kubernetes.cert)
}

// EtcdClient implements ha.Certs.
func (a *Authority) EtcdClient(context.Context) (*tls.Config, error) {
	cert, err := tls.X509KeyPair(a.operator.cert, a.operator.key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.etcd.x509)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, RootCAs: roots}, nil
}

// files are pairs of a name and a content; those that end in .key are secret.
func files(dir string, pairs ...any) []quorate.File {
	var out []quorate.File
	for i := 0; i < len(pairs); i += 2 {
		name, content := pairs[i].(string), pairs[i+1].([]byte)
		f := quorate.File{Path: dir + name, Mode: 0o644, Content: quorate.Public(content)}
		if len(name) > 4 && name[len(name)-4:] == ".key" {
			f.Mode, f.Content = 0o600, quorate.Sensitive(content)
		}
		out = append(out, f)
	}
	return out
}

func newIssuer(name string) (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	i := &issuer{key: key}
	if i.pair, i.x509, err = sign(template, key, template, key); err != nil {
		return nil, err
	}
	return i, nil
}

func (i *issuer) leaf(name string, n quorate.Node, usages ...x509.ExtKeyUsage) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: usages,
	}
	if n.Name != "" {
		template.DNSNames, template.IPAddresses = []string{n.Name, "localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	for _, addr := range n.Addresses {
		template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
	}
	p, _, err := sign(template, key, i.x509, i.key)
	return p, err
}

func sign(template *x509.Certificate, key *ecdsa.PrivateKey, parent *x509.Certificate, by *ecdsa.PrivateKey) (pair, *x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return pair{}, nil, err
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		return pair{}, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, nil, err
	}
	private, err := keyPEM(key)
	return pair{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), private}, cert, err
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), err
}
