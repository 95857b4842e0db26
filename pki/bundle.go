package pki

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/kubeadm"
)

// Bundle is one cluster's certificates. It shows no key in any formatted or
// marshalled form; only the files and the TLS configuration that its methods
// return hold keys. It is immutable and safe for concurrent use. A nil or zero Bundle
// has nothing: its methods return an error or nothing. It is a source of
// certificates as plan/ha.Certs wants one; it has all at hand, and needs no context.
type Bundle struct{ held *bundle }

var errNoBundle = errors.New("the bundle of certificates is nil or empty: make it with New or Load")

// get returns what a bundle holds; a nil or zero one is an error.
func (b *Bundle) get() (*bundle, error) {
	if b == nil || b.held == nil {
		return nil, errNoBundle
	}
	return b.held, nil
}

type bundle struct {
	cluster        string
	stacked        bool // kubeadm runs etcd
	controlPlanes  []string
	cfg            Config
	ca             map[AuthorityName]*pair
	brought        map[AuthorityName]bool
	serviceAccount *serviceAccount
	trials         map[AuthorityName][]trial
	specs          []leafSpec
	leaves         map[string]*pair // by leafSpec.name
}

// serviceAccount is the key pair that signs service accounts' tokens.
type serviceAccount struct {
	key       *privateKey
	publicPEM []byte
}

// authorities in the order in which they are made.
var authorities = []struct {
	name       AuthorityName
	commonName string
	key        func(Keys) KeyAlgorithm
	brought    func(Config) *Authority
}{
	// "etcd" is the guide's name; the others are kubeadm's.
	{EtcdCA, "etcd", func(k Keys) KeyAlgorithm { return k.EtcdCA }, func(c Config) *Authority { return c.EtcdCA }},
	{KubernetesCA, "kubernetes", func(k Keys) KeyAlgorithm { return k.KubernetesCA }, func(c Config) *Authority { return c.KubernetesCA }},
	{FrontProxyCA, "front-proxy-ca", func(k Keys) KeyAlgorithm { return k.FrontProxyCA }, func(c Config) *Authority { return c.FrontProxyCA }},
}

// Where the certificates are on hosts. etcd's are outside /etc/kubernetes/pki
// because kubeadm reset empties that.
const (
	etcdDir       = hostpath.EtcdPKI + "/"
	kubernetesDir = hostpath.KubernetesPKI + "/"
)

// EtcdMember returns the files of a control plane's etcd member, ordered by path,
// in /etc/etcd/pki: ca.crt, peer.crt, peer.key, server.crt and server.key; none
// with Etcd.Stacked, whose members find all in ControlPlane's. Any other node is
// an *UnknownNodeError.
func (b *Bundle) EtcdMember(_ context.Context, node string) ([]quorate.File, error) {
	h, err := b.get()
	if err != nil {
		return nil, err
	}
	if h.stacked {
		return nil, h.known(node)
	}
	server, err := h.leaf(node, EtcdServer)
	if err != nil {
		return nil, err
	}
	peer, err := h.leaf(node, EtcdPeer)
	if err != nil {
		return nil, err
	}
	return byPath(
		publicFile(etcdDir+"ca.crt", encodeCerts(h.ca[EtcdCA].anchor())),
		publicFile(etcdDir+"server.crt", encodeCerts(server.all())),
		secretFile(etcdDir+"server.key", server.key.pem.Reveal()),
		publicFile(etcdDir+"peer.crt", encodeCerts(peer.all())),
		secretFile(etcdDir+"peer.key", peer.key.pem.Reveal()),
	), nil
}

// ControlPlane returns the files that kubeadm expects on a control plane with
// etcd outside its care, ordered by path, in /etc/kubernetes/pki: the two
// Kubernetes authorities with their keys, the service accounts' key pair, and
// the API server's client pair for etcd with etcd's trust file. Any other node
// is an *UnknownNodeError.
//
// With Etcd.Stacked the key of etcd's authority takes the client pair's place.
// That is the one case in which it leaves the program that made it: kubeadm
// itself issues the members' certificates, and the clients', on each host, when
// it runs there and whenever it renews them. Whoever breaks into one control
// plane can then issue certificates for all of etcd; members of one's own, the
// default, keep that from them.
func (b *Bundle) ControlPlane(_ context.Context, node string) ([]quorate.File, error) {
	h, err := b.get()
	if err != nil {
		return nil, err
	}
	if err := h.known(node); err != nil {
		return nil, err
	}
	kubernetes, frontProxy := h.ca[KubernetesCA], h.ca[FrontProxyCA]
	var forEtcd []quorate.File
	if h.stacked {
		forEtcd = append(forEtcd, secretFile(kubernetesDir+"etcd/ca.key", h.ca[EtcdCA].key.pem.Reveal()))
	} else {
		client, err := h.leaf(node, APIServerEtcdClient)
		if err != nil {
			return nil, err
		}
		forEtcd = append(forEtcd,
			publicFile(kubernetesDir+"apiserver-etcd-client.crt", encodeCerts(client.all())),
			secretFile(kubernetesDir+"apiserver-etcd-client.key", client.key.pem.Reveal()),
		)
	}
	return byPath(append(forEtcd,
		publicFile(kubernetesDir+"ca.crt", encodeCerts(kubernetes.anchor())),
		secretFile(kubernetesDir+"ca.key", kubernetes.key.pem.Reveal()),
		publicFile(kubernetesDir+"front-proxy-ca.crt", encodeCerts(frontProxy.anchor())),
		secretFile(kubernetesDir+"front-proxy-ca.key", frontProxy.key.pem.Reveal()),
		secretFile(kubernetesDir+"sa.key", h.serviceAccount.key.pem.Reveal()),
		publicFile(kubernetesDir+"sa.pub", h.serviceAccount.publicPEM),
		publicFile(kubernetesDir+"etcd/ca.crt", encodeCerts(h.ca[EtcdCA].anchor())),
	)...), nil
}

// anchor is what a trust file holds, see NewAuthority.
func (p *pair) anchor() []*x509.Certificate { return []*x509.Certificate{p.cert} }

// CAHashes returns kubeadm.CAHash of every certificate in the Kubernetes
// authority's trust file, for kubeadm join to recognise the cluster by.
func (b *Bundle) CAHashes(context.Context) ([]string, error) {
	h, err := b.get()
	if err != nil {
		return nil, err
	}
	var hashes []string
	for _, c := range h.ca[KubernetesCA].anchor() {
		hashes = append(hashes, kubeadm.CAHash(c))
	}
	return hashes, nil
}

// EtcdClient returns a TLS configuration with the operator's client certificate,
// for a program that reads etcd's health or changes its membership. Each call
// returns a fresh one, which the caller may change.
//
// ServerName is empty: crypto/tls and etcd's client then take it from the
// endpoint. Every member's certificate holds its node's name and addresses and
// loopback's, so that an endpoint written with any of them verifies, also when
// a tunnel carries the connection. Setting ServerName to a node's name makes
// sure that it is that member and no other which answers.
func (b *Bundle) EtcdClient(context.Context) (*tls.Config, error) {
	h, err := b.get()
	if err != nil {
		return nil, err
	}
	operator, err := h.leaf("", OperatorEtcdClient)
	if err != nil {
		return nil, err
	}
	cert := &tls.Certificate{PrivateKey: operator.key.signer.Reveal(), Leaf: operator.cert}
	for _, c := range operator.all() {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		RootCAs:    poolOf(h.ca[EtcdCA].anchor()...),
		// A function, so that formatting the configuration cannot show the key.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil },
	}, nil
}

// CA returns a copy of an authority's certificate, nil for a name that is none of
// the three.
func (b *Bundle) CA(name AuthorityName) *x509.Certificate {
	h, err := b.get()
	if err != nil {
		return nil
	}
	if p, ok := h.ca[name]; ok {
		return copyCert(p.cert)
	}
	return nil
}

// Leaf returns a copy of a leaf's certificate. The node is empty for
// OperatorEtcdClient. A node without it is an *UnknownNodeError, and a control
// plane whose leaves kubeadm issues a *StackedError.
func (b *Bundle) Leaf(node string, kind LeafKind) (*x509.Certificate, error) {
	h, err := b.get()
	if err != nil {
		return nil, err
	}
	p, err := h.leaf(node, kind)
	if err != nil {
		return nil, err
	}
	return copyCert(p.cert), nil
}

func copyCert(c *x509.Certificate) *x509.Certificate {
	again, err := x509.ParseCertificate(c.Raw)
	if err != nil {
		return c // it was parsed from the same bytes before
	}
	return again
}

func (b *bundle) leaf(node string, kind LeafKind) (*pair, error) {
	if p, ok := b.leaves[leafSpec{kind: kind, node: node}.name()]; ok {
		return p, nil
	}
	if b.stacked && b.known(node) == nil {
		return nil, &StackedError{node, kind}
	}
	return nil, &UnknownNodeError{node, slices.Clone(b.controlPlanes)}
}

// known is nil for a control plane, and an *UnknownNodeError for any other node.
func (b *bundle) known(node string) error {
	if slices.Contains(b.controlPlanes, node) {
		return nil
	}
	return &UnknownNodeError{node, slices.Clone(b.controlPlanes)}
}

// String names the cluster: it shows no key.
func (b *Bundle) String() string {
	h, err := b.get()
	if err != nil {
		return "no certificates"
	}
	return "certificates of cluster " + h.cluster
}

// GoString returns the same as String.
func (b *Bundle) GoString() string { return b.String() }

// MarshalText returns the same as String. Store returns what there is to keep.
func (b *Bundle) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

func publicFile(path string, content []byte) quorate.File {
	return quorate.File{Path: path, Mode: 0o644, Owner: "root", Group: "root", Content: quorate.Public(content)}
}

func secretFile(path string, content []byte) quorate.File {
	return quorate.File{Path: path, Mode: 0o600, Owner: "root", Group: "root", Content: quorate.Sensitive(content)}
}

func byPath(files ...quorate.File) []quorate.File {
	slices.SortFunc(files, func(a, b quorate.File) int { return cmp.Compare(a.Path, b.Path) })
	return files
}
