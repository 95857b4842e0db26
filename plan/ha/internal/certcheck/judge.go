package certcheck

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/kubeadm"
)

const (
	etcdPKI       = hostpath.EtcdPKI + "/"
	kubernetesPKI = hostpath.KubernetesPKI + "/"

	memberCA     = hostpath.EtcdCA
	caCert       = hostpath.KubernetesCA
	frontProxyCA = kubernetesPKI + "front-proxy-ca.crt"
	etcdCA       = hostpath.EtcdCAOfAPIServer
	etcdCAKey    = kubernetesPKI + "etcd/ca.key"
	saKey        = kubernetesPKI + "sa.key"
	saPub        = kubernetesPKI + "sa.pub"
	clientCert   = hostpath.APIServerEtcdClientCert
)

// everywhere are the files that every control plane has alike: which of them it
// requires is the same for all.
var everywhere = []string{caCert, kubernetesPKI + "ca.key", frontProxyCA, kubernetesPKI + "front-proxy-ca.key", saKey, saPub, etcdCA}

type judge struct {
	stacked  bool
	problems quorate.Problems
	// shared holds what the first node has of the files that are everywhere.
	shared map[string][]byte
	owner  string
}

func (j *judge) refuse(what, format string, args ...any) {
	j.problems.Refuse("certs."+what, format, args...)
}

// node judges what one control plane gets.
func (j *judge) node(n quorate.Node, s *Set) {
	member := j.files("etcdMember["+n.Name+"]", s.EtcdMember[n.Name], etcdPKI)
	plane := j.files("controlPlane["+n.Name+"]", s.ControlPlane[n.Name], kubernetesPKI)
	required := slices.Clone(everywhere)
	if j.stacked {
		required = append(required, etcdCAKey)
		if len(member) > 0 {
			j.refuse("etcdMember["+n.Name+"]", "want no files: kubeadm issues the certificates of stacked members")
		}
	} else {
		required = append(required, clientCert, kubernetesPKI+"apiserver-etcd-client.key")
		for _, name := range []string{"ca.crt", "server.crt", "server.key", "peer.crt", "peer.key"} {
			j.present("etcdMember["+n.Name+"]", member, etcdPKI+name)
		}
	}
	for _, p := range required {
		j.present("controlPlane["+n.Name+"]", plane, p)
	}
	j.alike(n.Name, plane, member)
	j.pairs("etcdMember["+n.Name+"]", member)
	j.pairs("controlPlane["+n.Name+"]", plane)
	j.noEtcdKey(n.Name, plane, member)
	if !j.stacked {
		for _, leaf := range []string{"server", "peer"} {
			j.leaf("etcdMember["+n.Name+"]", member, etcdPKI+leaf+".crt", member[memberCA], n.Address().String(),
				x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
		}
		j.leaf("controlPlane["+n.Name+"]", plane, clientCert, plane[etcdCA], "", x509.ExtKeyUsageClientAuth)
	}
}

// files judges paths, modes and contents by themselves, and returns the contents.
func (j *judge) files(what string, files []quorate.File, dir string) map[string][]byte {
	out := map[string][]byte{}
	for _, f := range files {
		if path.Clean(f.Path) != f.Path || !strings.HasPrefix(f.Path, dir) {
			j.refuse(what, "%q is no clean path below %s", f.Path, dir)
			continue
		}
		if _, twice := out[f.Path]; twice {
			j.refuse(what, "%s is there twice", f.Path)
		}
		content := f.Content.Bytes()
		secret := bytes.Contains(content, []byte("PRIVATE KEY-----"))
		switch {
		case f.Mode&^0o777 != 0 || f.Mode&0o400 == 0 || f.Mode&0o022 != 0:
			j.refuse(what, "%s has mode %04o: want 0644, or 0600 for a key", f.Path, f.Mode)
		case secret && f.Mode&0o077 != 0:
			j.refuse(what, "%s has mode %04o and holds a private key: want 0600", f.Path, f.Mode)
		}
		if secret && !f.Content.IsSensitive() {
			j.refuse(what, "%s holds a private key: make its content with quorate.Sensitive", f.Path)
		}
		if secret && path.Ext(f.Path) != ".key" {
			j.refuse(what, "%s holds a private key, which belongs into a file of its own that ends in .key", f.Path)
		}
		out[f.Path] = content
	}
	return out
}

func (j *judge) present(what string, files map[string][]byte, p string) {
	if _, found := files[p]; !found {
		j.refuse(what, "%s is missing", p)
	}
}

// alike wants what is the same on every control plane to be so.
func (j *judge) alike(node string, plane, member map[string][]byte) {
	if j.shared == nil {
		j.shared, j.owner = plane, node
	}
	for _, p := range everywhere {
		mine, found := plane[p]
		if theirs, both := j.shared[p]; found && both && !bytes.Equal(mine, theirs) {
			j.refuse("controlPlane["+node+"]", "%s is another than %s's: every control plane has the same", p, j.owner)
		}
	}
	if ca, found := member[memberCA]; found && plane[etcdCA] != nil && !bytes.Equal(ca, plane[etcdCA]) {
		j.refuse("etcdMember["+node+"]", "%s is another than %s of the control plane", memberCA, etcdCA)
	}
}

// pairs wants a key to fit the certificate, or the public key, beside it.
func (j *judge) pairs(what string, files map[string][]byte) {
	for _, p := range sorted(files) {
		switch path.Ext(p) {
		case ".crt":
			if _, err := certificates(files[p]); err != nil {
				j.refuse(what, "%s: %v", p, err)
			}
		case ".key":
			key, err := privateKey(files[p])
			if err != nil {
				j.refuse(what, "%s: %v", p, err)
				continue
			}
			j.fits(what, files, strings.TrimSuffix(p, ".key"), key)
		}
	}
}

func (j *judge) fits(what string, files map[string][]byte, base string, key crypto.Signer) {
	if certs, err := certificates(files[base+".crt"]); err == nil && !same(key.Public(), certs[0].PublicKey) {
		j.refuse(what, "%s.key does not belong to the certificate %s.crt", base, base)
	}
	if text, found := files[base+".pub"]; found {
		public, err := publicKey(text)
		if err != nil {
			j.refuse(what, "%s.pub: %v", base, err)
		} else if !same(key.Public(), public) {
			j.refuse(what, "%s.pub is not the public key of %s.key", base, base)
		}
	}
}

// noEtcdKey refuses the key of etcd's authority, under whatever name: only kubeadm
// of stacked members may have it.
func (j *judge) noEtcdKey(node string, plane, member map[string][]byte) {
	authority, err := certificates(plane[etcdCA])
	if err != nil {
		return // said already
	}
	for i, files := range []map[string][]byte{plane, member} {
		what := []string{"controlPlane", "etcdMember"}[i]
		for _, p := range sorted(files) {
			if j.stacked && p == etcdCAKey {
				continue
			}
			for _, key := range keysIn(files[p]) {
				if slices.ContainsFunc(authority, func(c *x509.Certificate) bool { return same(key.Public(), c.PublicKey) }) {
					j.refuse(what+"["+node+"]", "%s is the key of etcd's authority, which never travels: who breaks into one host could issue members of etcd", p)
				}
			}
		}
	}
}

// leaf judges a certificate as the other side would from its trust file, at the
// moment from which all of the chain is valid: how long it lasts is not judged.
func (j *judge) leaf(what string, files map[string][]byte, p string, trust []byte, host string, usages ...x509.ExtKeyUsage) {
	chain, err := certificates(files[p])
	if err != nil {
		return
	}
	roots, err := certificates(trust)
	if err != nil {
		return
	}
	at := chain[0].NotBefore
	trusted, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range roots {
		trusted.AddCert(c)
		if c.NotBefore.After(at) {
			at = c.NotBefore
		}
	}
	for _, c := range chain[1:] {
		between.AddCert(c)
		if c.NotBefore.After(at) {
			at = c.NotBefore
		}
	}
	for _, usage := range usages {
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: trusted, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
		if err != nil {
			j.refuse(what, "%s does not hold for %s: %v", p, usageName(usage), err)
		}
	}
	if host != "" {
		if err := chain[0].VerifyHostname(host); err != nil {
			j.refuse(what, "%s: members are reached by their address: %v", p, err)
		}
	}
}

func usageName(u x509.ExtKeyUsage) string {
	if u == x509.ExtKeyUsageClientAuth {
		return "who has etcd's trust file, as a client's"
	}
	return "who has etcd's trust file, as a server's"
}

// apart wants the three authorities, and the service accounts' key, to be different
// ones, none of which another one has issued.
func (j *judge) apart() {
	all := []string{etcdCA, caCert, frontProxyCA}
	for i, a := range all {
		for k, b := range all {
			one, err := certificates(j.shared[a])
			other, err2 := certificates(j.shared[b])
			if i == k || err != nil || err2 != nil {
				continue
			}
			for _, c := range one {
				for _, trusted := range other {
					switch {
					case same(c.PublicKey, trusted.PublicKey):
						if i < k {
							j.refuse("controlPlane", "%s and %s have one key: whoever is a client of the one would be of the other too", a, b)
						}
					case trusted.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil:
						j.refuse("controlPlane", "%s was issued by %s: whatever comes from it would be accepted where only the other's clients may be", a, b)
					}
				}
			}
		}
	}
}

// hashes wants one for each certificate of the Kubernetes authority's file.
func (j *judge) hashes(got []string) {
	want, err := kubeadm.CAHashes(j.shared[caCert])
	if err != nil {
		return // said already
	}
	if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		j.refuse("caHashes", "%v are not those of %s, which are %v (kubeadm.CAHashes)", got, caCert, want)
	}
}

// client judges the operator's configuration for etcd.
func (j *judge) client(c *tls.Config) {
	switch {
	case c == nil:
		j.refuse("etcdClient", "missing")
		return
	case c.InsecureSkipVerify:
		j.refuse("etcdClient", "does not verify the members: leave InsecureSkipVerify out and set RootCAs")
	case c.RootCAs == nil:
		j.refuse("etcdClient", "has no RootCAs: every authority of this machine could vouch for a member")
	}
	var cert *tls.Certificate
	var err error
	switch {
	case c.GetClientCertificate != nil:
		cert, err = c.GetClientCertificate(&tls.CertificateRequestInfo{Version: tls.VersionTLS13})
	case len(c.Certificates) > 0:
		cert = &c.Certificates[0]
	}
	if err != nil || cert == nil || len(cert.Certificate) == 0 {
		j.refuse("etcdClient", "has no client certificate (%v): etcd refuses who shows none", err)
		return
	}
	var text []byte
	for _, der := range cert.Certificate {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	leaf, err := certificates(text)
	if err != nil {
		j.refuse("etcdClient", "%v", err)
		return
	}
	if key, ok := cert.PrivateKey.(crypto.Signer); !ok || !same(key.Public(), leaf[0].PublicKey) {
		j.refuse("etcdClient", "the key does not belong to the certificate")
	}
	j.leaf("etcdClient", map[string][]byte{"certificate": text}, "certificate", j.shared[etcdCA], "", x509.ExtKeyUsageClientAuth)
}

// same wants a second answer to be the first.
func (j *judge) same(what, node string, a, b []quorate.File) {
	equal := slices.EqualFunc(a, b, func(a, b quorate.File) bool {
		return a.Path == b.Path && a.Mode == b.Mode && a.Owner == b.Owner && a.Group == b.Group && a.Content.Equal(b.Content)
	})
	if !equal {
		j.refuse(what+"["+node+"]", "other files at the second call: every run would write them and restart what reads them; issue once and keep them")
	}
}

func sorted(files map[string][]byte) []string {
	var paths []string
	for p := range files {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

func same(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// certificates reads a file of PEM certificates.
func certificates(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, errors.New("holds a PEM block that is no certificate")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(out)+1, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("holds no PEM certificate")
	}
	return out, nil
}

// keysIn returns every private key in a text that can be read.
func keysIn(text []byte) []crypto.Signer {
	var keys []crypto.Signer
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		default:
			continue
		}
		if signer, ok := key.(crypto.Signer); err == nil && ok {
			keys = append(keys, signer)
		}
	}
	return keys
}

// privateKey reads the one key of a file, of a kind that kubeadm and etcd read. The
// error never quotes it.
func privateKey(text []byte) (crypto.Signer, error) {
	keys := keysIn(text)
	if len(keys) != 1 {
		return nil, errors.New("want one private key, not encrypted, in PEM: PKCS #8, PKCS #1 or SEC 1")
	}
	switch keys[0].(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
		return keys[0], nil
	}
	return nil, fmt.Errorf("a key of type %T is neither RSA nor ECDSA, which is all that kubeadm reads", keys[0])
}

func publicKey(text []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("holds no PEM public key")
	}
	if block.Type == "RSA PUBLIC KEY" {
		return x509.ParsePKCS1PublicKey(block.Bytes)
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}
