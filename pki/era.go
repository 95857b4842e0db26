package pki

import (
	"crypto"
	"crypto/rsa"
	"fmt"

	"github.com/quorate-dev/quorate"
)

func isRSA(key crypto.PublicKey) bool {
	_, ok := key.(*rsa.PublicKey)
	return ok
}

// onHosts reports whether kubeadm signs with an authority's key on the control
// planes of c.
func onHosts(c quorate.Cluster, name AuthorityName) bool {
	return name != EtcdCA || c.Etcd.Stacked
}

// eraProblems refuses keys that the target's kubeadm cannot read.
func (k Keys) eraProblems(c quorate.Cluster) quorate.Problems {
	var p quorate.Problems
	for _, f := range []struct {
		path    string
		alg     KeyAlgorithm
		rsaOnly bool
	}{
		{"keys.etcdCA", k.EtcdCA, onHosts(c, EtcdCA) && c.Version.Has(quorate.RSAAuthoritiesOnly)},
		{"keys.kubernetesCA", k.KubernetesCA, c.Version.Has(quorate.RSAAuthoritiesOnly)},
		{"keys.frontProxyCA", k.FrontProxyCA, c.Version.Has(quorate.RSAAuthoritiesOnly)},
		{"keys.serviceAccount", k.ServiceAccount, c.Version.Has(quorate.RSAServiceAccountOnly)},
	} {
		if f.rsaOnly && keyRequests[f.alg].A == "ecdsa" {
			p.Refuse(f.path, "%s: kubeadm %s reads no other keys than RSA here", f.alg, c.Version)
		}
	}
	return p
}

// checkEra refuses a brought or stored key for the same reason.
func (l *loader) checkEra(name AuthorityName, ca *pair) error {
	if !onHosts(l.cluster, name) || !l.cluster.Version.Has(quorate.RSAAuthoritiesOnly) || isRSA(ca.cert.PublicKey) {
		return nil
	}
	return &AuthorityError{name, BadAuthority, fmt.Errorf("kubeadm %s reads no other keys than RSA, and signs with this one on the control planes", l.cluster.Version)}
}
