package pki

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/quorate-dev/quorate"
)

// Request is for a leaf beyond those of the bundle, such as a client
// certificate for what scrapes etcd's metrics.
type Request struct {
	// CommonName is required; for a client it is etcd's user.
	CommonName string
	// Hosts are the SANs: DNS names and addresses. A client needs none.
	Hosts []string
	// Profile of Config.Profiles to issue it with. Required.
	Profile string
}

// Leaf is a certificate and its key, both PEM.
type Leaf struct {
	// Certificate, and below it the intermediates that a verifier needs.
	Certificate quorate.Content
	// Key is sensitive.
	Key quorate.Content
}

// Issue issues a leaf from etcd's authority. It is no part of the bundle: the
// caller keeps it. The certificate is verified before it is returned. Errors
// are a *quorate.InvalidError for the request, an *AuthorityError with NoKey if
// the authority's key is not at hand, and a *VerifyError. Issue may be called
// concurrently if Config.Rand may.
func (b *Bundle) Issue(r Request) (Leaf, error) {
	h, err := b.get()
	if err != nil {
		return Leaf{}, err
	}
	if err := r.problems(h.cfg).Err("certificate request"); err != nil {
		return Leaf{}, err
	}
	ca := h.ca[EtcdCA]
	if ca.key == nil {
		return Leaf{}, &AuthorityError{EtcdCA, NoKey, errors.New("load the bundle with the authority's key")}
	}
	now := h.cfg.Now().UTC().Truncate(time.Second)
	s := leafSpec{commonName: r.CommonName, hosts: r.Hosts, profile: r.Profile}
	made, err := newIssuer(h.cfg, now).newLeaf(ca, s)
	if err != nil {
		return Leaf{}, fmt.Errorf("issuing a certificate for %q: %w", r.CommonName, err)
	}
	if err := h.checkLeaf(s, made, now); err != nil {
		return Leaf{}, &VerifyError{r.CommonName, err}
	}
	return Leaf{quorate.Public(encodeCerts(made.all())), quorate.Sensitive(made.key.pem.Reveal())}, nil
}

func (r Request) problems(cfg Config) quorate.Problems {
	var p quorate.Problems
	if r.CommonName == "" || len(r.CommonName) > maxCommonName {
		p.Refuse("commonName", "%q: want 1 to %d characters", r.CommonName, maxCommonName)
	}
	for i, h := range r.Hosts {
		if h == "" {
			p.Refuse(indexed("hosts", i), "is empty")
		}
	}
	if _, ok := cfg.Profiles[r.Profile]; !ok {
		p.Refuse("profile", "%q is none of %q", r.Profile, slices.Sorted(maps.Keys(cfg.Profiles)))
	}
	return p
}
