package etcd

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/syntax"
)

var tokenPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// Validate returns nil or a *quorate.InvalidError with every error that Problems
// finds.
func (m Member) Validate() error { return m.Problems().Err(fmt.Sprintf("etcd member %q", m.Name)) }

// Problems is everything that is wrong with the member, warnings included, by
// the names of its fields in lower camel case.
func (m Member) Problems() quorate.Problems {
	m = m.withDefaults()
	var p quorate.Problems
	if !syntax.IsSubdomain(m.Name) {
		p.Refuse("name", "%q is no RFC 1123 subdomain", m.Name)
	}
	addresses(&p, m.Addresses)
	m.peers(&p)
	if !tokenPattern.MatchString(m.Token) {
		p.Refuse("token", "%q: want 1 to 128 letters, digits and . _ -, the first no sign", m.Token)
	}
	if m.State != New && m.State != Existing {
		p.Refuse("state", "%q: want %q or %q", m.State, New, Existing)
	}
	if !syntax.IsPath(m.PKIDir) {
		p.Refuse("pkiDir", "%q: %s", m.PKIDir, syntax.WantPath)
	}
	m.settings(&p)
	m.extraFlags(&p)
	return p
}

func addresses(p *quorate.Problems, all []netip.Addr) {
	if len(all) == 0 {
		p.Refuse("addresses", "is required: where clients and the other members reach it")
	}
	for i, a := range all {
		at := fmt.Sprintf("addresses[%d]", i)
		address(p, at, a)
		if slices.Contains(all[:i], a) {
			p.Refuse(at, "%s is listed twice", a)
		}
	}
}

func address(p *quorate.Problems, at string, a netip.Addr) {
	if !a.IsValid() {
		p.Refuse(at, "is required")
	} else if why := syntax.Unusable(a); why != "" {
		p.Refuse(at, "%s %s", a, why)
	}
}

func (m Member) peers(p *quorate.Problems) {
	names, taken := map[string]bool{}, map[netip.Addr]bool{}
	for i, peer := range m.Peers {
		at := fmt.Sprintf("peers[%d]", i)
		if !syntax.IsSubdomain(peer.Name) {
			p.Refuse(at+".name", "%q is no RFC 1123 subdomain", peer.Name)
		} else if names[peer.Name] {
			p.Refuse(at+".name", "%q is listed twice", peer.Name)
		}
		address(p, at+".address", peer.Address)
		if peer.Address.IsValid() && taken[peer.Address] {
			p.Refuse(at+".address", "%s is listed twice", peer.Address)
		}
		if peer.Name == m.Name && len(m.Addresses) > 0 && peer.Address != m.Addresses[0] {
			p.Refuse(at+".address", "%s is not addresses[0], %s: etcd refuses to start unless they agree", peer.Address, m.Addresses[0])
		}
		names[peer.Name], taken[peer.Address] = true, true
	}
	if !names[m.Name] {
		p.Refuse("peers", "%q is not among them: the member itself is one", m.Name)
	}
}

// settings holds quorate's own rules against the settings, so that a member
// made by hand is refused for what a cluster would be.
func (m Member) settings(p *quorate.Problems) {
	if m.Etcd.Stacked {
		p.Refuse("etcd.stacked", "kubeadm runs stacked members: there is nothing to render for them")
		return
	}
	p.Include("etcd", m.Etcd.Problems(m.Kubernetes))
	// ProtectSystem=full in the unit makes these read-only.
	for _, readOnly := range []string{"/usr", "/boot", "/efi", "/etc"} {
		if m.Etcd.DataDir == readOnly || strings.HasPrefix(m.Etcd.DataDir, readOnly+"/") {
			p.Refuse("etcd.dataDir", "%q is below %s, where the unit may not write", m.Etcd.DataDir, readOnly)
		}
	}
}

func (m Member) extraFlags(p *quorate.Problems) {
	own := map[string]bool{}
	for _, name := range []string{"config-file", "initial-cluster-state"} {
		own[name] = true
	}
	if len(m.Addresses) > 0 {
		for _, f := range m.flags() {
			own[f.name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.ExtraFlags)) {
		at := fmt.Sprintf("extraFlags[%q]", name)
		if !syntax.IsFlag(name) {
			p.Refuse(at, "is no name of a flag: %s", syntax.WantFlag)
		} else if own[name] {
			p.Refuse(at, "is set by the fields of the member")
		}
		if v := m.ExtraFlags[name]; !utf8.ValidString(v) || syntax.HasControl(v) {
			p.Refuse(at, "%q has a control character, or is no UTF-8: a newline would end the directive", v)
		}
	}
}
