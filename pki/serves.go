package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"

	"github.com/quorate-dev/quorate"
)

// trial is what kubeadm will issue from an authority on the hosts.
type trial struct {
	what   string
	hosts  []string
	usages []string
}

// trials are those of every authority that kubeadm issues from, with all the
// names that it will put into one certificate or another.
func trials(c quorate.Cluster) map[AuthorityName][]trial {
	c = c.WithDefaults()
	client := []string{"client auth"}
	both := []string{"server auth", "client auth"}
	out := map[AuthorityName][]trial{
		KubernetesCA: {{"a client's", nil, client}, {"the API servers'", apiServerHosts(c), []string{"server auth"}}},
		// Verifiers such as OpenSSL judge a common name by name constraints where
		// there is no SAN.
		FrontProxyCA: {{"the front proxy's client's", []string{"front-proxy-client"}, client}},
	}
	if c.Etcd.Stacked {
		for _, n := range c.ControlPlanes() {
			out[EtcdCA] = append(out[EtcdCA], trial{n.Name + "'s etcd member's", nodeHosts(n), both})
		}
	}
	return out
}

// apiServerHosts are the SANs of API servers: GetAPIServerAltNames in kubeadm's
// cmd/kubeadm/app/util/pkiutil, and what package kubeadm adds in certSANs.
func apiServerHosts(c quorate.Cluster) []string {
	hosts := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + c.DNSDomain}
	for _, services := range c.Services {
		if services.IsValid() {
			hosts = append(hosts, services.Masked().Addr().Next().String())
		}
	}
	for _, n := range c.ControlPlanes() {
		hosts = append(hosts, nodeHosts(n)...)
	}
	if c.Endpoint.Host != "" {
		hosts = append(hosts, c.Endpoint.Host)
	}
	return append(hosts, c.Kubeadm.CertSANs...)
}

// checkServes issues, for trial, what kubeadm will issue from an authority, and
// throws it away. Name constraints, usages, path lengths and extensions that no
// verifier knows show in no other way. etcd's own leaves are checked themselves.
func (b *bundle) checkServes(name AuthorityName, now time.Time) error {
	ca := b.ca[name]
	if ca.key == nil {
		return nil // nothing can be issued from it
	}
	for _, t := range b.trials[name] {
		leaf, err := ca.issueTrial(t, now)
		if err == nil {
			err = ca.checkVouches(leaf, t.usages, now)
		}
		if err != nil {
			return fmt.Errorf("%s certificate, issued from it, would not hold: %w", t.what, err)
		}
	}
	return nil
}

func (p *pair) issueTrial(t trial, now time.Time) (*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "trial"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	for _, usage := range t.usages {
		template.ExtKeyUsage = append(template.ExtKeyUsage, extKeyUsage(usage))
	}
	for _, host := range slices.Compact(slices.Sorted(slices.Values(t.hosts))) {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.cert, key.Public(), p.key.signer.Reveal())
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
