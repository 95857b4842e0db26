package pki

import (
	"crypto"
	"crypto/rsa"
	"fmt"

	"github.com/quorate-dev/quorate"
)

// The last minors whose kubeadm reads RSA keys alone, of authorities and of the
// service accounts: TryLoadKeyFromDisk and TryLoadPrivatePublicKeyFromDisk in
// cmd/kubeadm/app/util/pkiutil/pki_helpers.go.
const (
	rsaAuthoritiesUntil    = 14
	rsaServiceAccountUntil = 21
)

// rsaAuthorities reports whether the kubeadm of a version signs with RSA keys
// alone. A version that is not given counts as the newest.
func rsaAuthorities(k quorate.Version) bool {
	return k != quorate.Version{} && !k.AtLeast(1, rsaAuthoritiesUntil+1)
}

func rsaServiceAccount(k quorate.Version) bool {
	return k != quorate.Version{} && !k.AtLeast(1, rsaServiceAccountUntil+1)
}

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
		{"keys.etcdCA", k.EtcdCA, onHosts(c, EtcdCA) && rsaAuthorities(c.Version)},
		{"keys.kubernetesCA", k.KubernetesCA, rsaAuthorities(c.Version)},
		{"keys.frontProxyCA", k.FrontProxyCA, rsaAuthorities(c.Version)},
		{"keys.serviceAccount", k.ServiceAccount, rsaServiceAccount(c.Version)},
	} {
		if f.rsaOnly && keyRequests[f.alg].A == "ecdsa" {
			p.Refuse(f.path, "%s: kubeadm %s reads no other keys than RSA here", f.alg, c.Version)
		}
	}
	return p
}

// checkEra refuses a brought or stored key for the same reason.
func (l *loader) checkEra(name AuthorityName, ca *pair) error {
	if !onHosts(l.cluster, name) || !rsaAuthorities(l.cluster.Version) || isRSA(ca.cert.PublicKey) {
		return nil
	}
	return &AuthorityError{name, BadAuthority, fmt.Errorf("kubeadm %s reads no other keys than RSA, and signs with this one on the control planes", l.cluster.Version)}
}
