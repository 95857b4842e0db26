package pki

import (
	"cmp"
	"crypto/rand"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/quorate-dev/quorate"
)

// Config is how certificates are issued. The zero Config is ready to use.
type Config struct {
	// Profiles are the signing policies by name, laid over DefaultProfiles: an
	// entry replaces the default of its name whole. Leaves use ProfileServer,
	// ProfilePeer and ProfileClient; others are for Bundle.Issue and the export
	// of CFSSL.
	Profiles map[string]Profile
	// CAValidity of authorities that are made here. Default 87600h, ten years,
	// as kubeadm's.
	CAValidity time.Duration
	// Backdate puts the start of every validity before the moment of issue, for
	// hosts whose clocks are behind. Default 5m, as cfssl's.
	Backdate time.Duration
	// RenewBefore is how long before the end of its validity Load reissues a leaf. Default
	// 720h, or a third of the profile's expiry if that is less. It must be less
	// than the expiry of each profile that a leaf uses.
	RenewBefore time.Duration
	// Keys are the algorithms of the keys that are made here.
	Keys Keys
	// EtcdCA, KubernetesCA and FrontProxyCA are authorities of the user's own;
	// nil makes them here. The key of a brought authority is never part of
	// Bundle.Store: set the authority again at every Load.
	//
	// KubernetesCA and FrontProxyCA, and EtcdCA if the cluster's members are
	// stacked, need a key that can be exported, since kubeadm signs with it on
	// the hosts; any other is refused by an *AuthorityError with NotExportable.
	// Before Kubernetes 1.15 kubeadm reads RSA keys alone.
	EtcdCA       *Authority
	KubernetesCA *Authority
	FrontProxyCA *Authority
	// APIServerClientName is the common name, and so etcd's user, of the API
	// servers' client certificates. Default "kube-apiserver-etcd-client", as
	// kubeadm's.
	APIServerClientName string
	// MakeMissingAuthorities lets Load make an authority or the service
	// accounts' key pair that is missing from a store that holds other files.
	// By default that is an error, since whoever trusts the lost one would be
	// cut off.
	MakeMissingAuthorities bool
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Rand is the source of serial numbers. Default crypto/rand.Reader. Keys and signatures
	// come from Go's own generator, which takes no other source; tests replace
	// that by testing/cryptotest.SetGlobalRandom.
	Rand io.Reader
}

// KeyAlgorithm names a kind of key as kubeadm's encryptionAlgorithm does.
type KeyAlgorithm string

// The algorithms that every part of a cluster understands.
const (
	RSA2048   KeyAlgorithm = "RSA-2048"
	RSA3072   KeyAlgorithm = "RSA-3072"
	RSA4096   KeyAlgorithm = "RSA-4096"
	ECDSAP256 KeyAlgorithm = "ECDSA-P256"
	ECDSAP384 KeyAlgorithm = "ECDSA-P384"
)

// Keys are the algorithms of new keys. Authorities and leaves default to
// ECDSAP256: etcd's members and API servers open many short mutual TLS
// connections, where it costs a fraction of RSA at a higher strength than
// RSA2048. ServiceAccount defaults to RSA2048, as kubeadm's, because its tokens
// also go to relying parties outside the cluster, some of which verify RS256
// only. What kubeadm reads on the hosts is RSA2048 for the minors whose kubeadm
// reads nothing else: authorities before Kubernetes 1.15, ServiceAccount before
// 1.22.
type Keys struct {
	EtcdCA         KeyAlgorithm
	KubernetesCA   KeyAlgorithm
	FrontProxyCA   KeyAlgorithm
	ServiceAccount KeyAlgorithm
	Leaf           KeyAlgorithm
}

// The profiles that the bundle's own leaves are issued with.
const (
	ProfileServer = "server"
	ProfileClient = "client"
	ProfilePeer   = "peer"
)

// Profile is a signing policy.
type Profile struct {
	// Expiry is the length of the validity from the moment of issue. A leaf
	// whose authority ends earlier ends with it.
	Expiry time.Duration
	// Usages by cfssl's names: "signing", "key encipherment", "server auth",
	// "client auth" ...
	Usages []string
}

// DefaultExpiry of leaves: 43800h, five years.
const DefaultExpiry = 43800 * time.Hour

// DefaultProfiles returns a fresh map of the profiles server, peer (both for
// server and client authentication) and client (client only), each of
// DefaultExpiry. A server's leaf is a client's too because etcd's own gateway
// connects to its server with it.
func DefaultProfiles() map[string]Profile {
	both := []string{"signing", "key encipherment", "server auth", "client auth"}
	return map[string]Profile{
		ProfileServer: {Expiry: DefaultExpiry, Usages: slices.Clone(both)},
		ProfilePeer:   {Expiry: DefaultExpiry, Usages: slices.Clone(both)},
		ProfileClient: {Expiry: DefaultExpiry, Usages: []string{"signing", "key encipherment", "client auth"}},
	}
}

// defaultRenewBefore is long enough for a monthly run to renew in time.
const defaultRenewBefore = 30 * 24 * time.Hour

func (c Config) withDefaults(cluster quorate.Cluster) Config {
	profiles := DefaultProfiles()
	maps.Copy(profiles, c.Profiles)
	c.Profiles = profiles
	c.CAValidity = cmp.Or(c.CAValidity, 10*365*24*time.Hour)
	c.Backdate = cmp.Or(c.Backdate, 5*time.Minute)
	c.APIServerClientName = cmp.Or(c.APIServerClientName, "kube-apiserver-etcd-client")
	c.Keys = c.Keys.withDefaults(cluster)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return c
}

func (k Keys) withDefaults(cluster quorate.Cluster) Keys {
	if cluster.Version.Has(quorate.RSAAuthoritiesOnly) {
		k.KubernetesCA = cmp.Or(k.KubernetesCA, RSA2048)
		k.FrontProxyCA = cmp.Or(k.FrontProxyCA, RSA2048)
		if onHosts(cluster, EtcdCA) {
			k.EtcdCA = cmp.Or(k.EtcdCA, RSA2048)
		}
	}
	k.EtcdCA = cmp.Or(k.EtcdCA, ECDSAP256)
	k.KubernetesCA = cmp.Or(k.KubernetesCA, ECDSAP256)
	k.FrontProxyCA = cmp.Or(k.FrontProxyCA, ECDSAP256)
	k.ServiceAccount = cmp.Or(k.ServiceAccount, RSA2048)
	k.Leaf = cmp.Or(k.Leaf, ECDSAP256)
	return k
}

// renewBefore of a leaf with a profile.
func (c Config) renewBefore(profile string) time.Duration {
	return cmp.Or(c.RenewBefore, min(defaultRenewBefore, c.Profiles[profile].Expiry/3))
}

func (c Config) problems() quorate.Problems {
	var p quorate.Problems
	for _, name := range slices.Sorted(maps.Keys(c.Profiles)) {
		c.Profiles[name].problems(&p, "profiles."+name, requiredUsages(name))
	}
	for _, name := range []string{ProfileClient, ProfilePeer, ProfileServer} {
		if expiry := c.Profiles[name].Expiry; c.RenewBefore >= expiry && expiry > 0 {
			p.Refuse("renewBefore", "%s is not less than the expiry %s of profile %q: every run would reissue it", c.RenewBefore, expiry, name)
		}
	}
	for _, d := range []struct {
		path string
		len  time.Duration
	}{{"caValidity", c.CAValidity}, {"backdate", c.Backdate}, {"renewBefore", c.RenewBefore}} {
		if d.len < 0 {
			p.Refuse(d.path, "%s is negative", d.len)
		}
	}
	c.Keys.problems(&p)
	return p
}

func (k Keys) problems(p *quorate.Problems) {
	for _, f := range []struct {
		path string
		alg  KeyAlgorithm
	}{
		{"keys.etcdCA", k.EtcdCA}, {"keys.kubernetesCA", k.KubernetesCA}, {"keys.frontProxyCA", k.FrontProxyCA},
		{"keys.serviceAccount", k.ServiceAccount}, {"keys.leaf", k.Leaf},
	} {
		if _, known := keyRequests[f.alg]; !known {
			p.Refuse(f.path, "%q is no key algorithm; want one of %v", f.alg, slices.Sorted(maps.Keys(keyRequests)))
		}
	}
}

func (profile Profile) problems(p *quorate.Problems, path string, required []string) {
	if profile.Expiry <= 0 {
		p.Refuse(path+".expiry", "%s: want a positive duration", profile.Expiry)
	}
	if len(profile.Usages) == 0 {
		p.Refuse(path+".usages", "a certificate needs at least one usage")
		return
	}
	for i, usage := range profile.Usages {
		if !knownUsage(usage) {
			p.Refuse(indexed(path+".usages", i), "%q is no usage that cfssl knows", usage)
		}
	}
	for _, usage := range required {
		if !slices.Contains(profile.Usages, usage) {
			p.Refuse(path+".usages", "%q is missing; etcd needs it", usage)
		}
	}
}

// anyProfile requires no usages.
const anyProfile = ""

// requiredUsages are those without which etcd refuses the leaves of a profile.
func requiredUsages(profile string) []string {
	switch profile {
	case ProfileServer, ProfilePeer:
		return []string{"server auth", "client auth"}
	case ProfileClient:
		return []string{"client auth"}
	}
	return nil
}
