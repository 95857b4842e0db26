package etcd

import (
	"fmt"
	"maps"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/quorate-dev/quorate"
)

var (
	namePattern  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`)
	tokenPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	flagPattern  = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	// A path that the unit, etcd's flags and a shell all take unquoted.
	pathPattern = regexp.MustCompile(`^[A-Za-z0-9/._@+:-]+$`)
)

// Validate returns nil or a *quorate.InvalidError with everything that is
// wrong with the member, by the names of its fields in lower camel case.
func (m Member) Validate() error {
	m = m.withDefaults()
	var p quorate.Problems
	if !namePattern.MatchString(m.Name) {
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
	if !path.IsAbs(m.PKIDir) || path.Clean(m.PKIDir) != m.PKIDir || !pathPattern.MatchString(m.PKIDir) {
		p.Refuse("pkiDir", "%q: want an absolute path without . or .., of letters, digits and / . _ @ + : -", m.PKIDir)
	}
	m.settings(&p)
	m.extraFlags(&p)
	return p.Err(fmt.Sprintf("etcd member %q", m.Name))
}

func addresses(p *quorate.Problems, all []netip.Addr) {
	if len(all) == 0 {
		p.Refuse("addresses", "is required: where clients and the other members reach it")
	}
	for i, a := range all {
		at := fmt.Sprintf("addresses[%d]", i)
		address(p, at, a)
		if slices.Contains(all[:i], a) {
			p.Refuse(at, "%s is given twice", a)
		}
	}
}

func address(p *quorate.Problems, at string, a netip.Addr) {
	switch {
	case !a.IsValid():
		p.Refuse(at, "is required")
	case a.Zone() != "":
		p.Refuse(at, "%q has a zone, which other hosts do not share", a)
	case a.IsUnspecified(), a.IsMulticast(), a.Is4In6():
		p.Refuse(at, "%s is no address of a host", a)
	}
}

func (m Member) peers(p *quorate.Problems) {
	names, taken := map[string]bool{}, map[netip.Addr]bool{}
	for i, peer := range m.Peers {
		at := fmt.Sprintf("peers[%d]", i)
		if !namePattern.MatchString(peer.Name) {
			p.Refuse(at+".name", "%q is no RFC 1123 subdomain", peer.Name)
		} else if names[peer.Name] {
			p.Refuse(at+".name", "%q is given twice", peer.Name)
		}
		address(p, at+".address", peer.Address)
		if peer.Address.IsValid() && taken[peer.Address] {
			p.Refuse(at+".address", "%s is given twice", peer.Address)
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
// made by hand is refused for what a cluster would be. Only that path's
// problems are of interest: there is no cluster here.
func (m Member) settings(p *quorate.Problems) {
	if m.Etcd.Stacked {
		p.Refuse("etcd.stacked", "kubeadm runs stacked members: there is nothing to render for them")
		return
	}
	for _, problem := range (quorate.Cluster{Version: m.Kubernetes, Etcd: m.Etcd}).Problems().Only(quorate.Refused) {
		if strings.HasPrefix(problem.Path, "etcd.") {
			*p = append(*p, problem)
		}
	}
	// ProtectSystem=full, which the unit asks for, makes these read-only.
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
		if !flagPattern.MatchString(name) {
			p.Refuse(at, "is no name of a flag: want lower-case letters, digits and hyphens, no leading dashes")
		} else if own[name] {
			p.Refuse(at, "is set by the fields of the member")
		}
		if v := m.ExtraFlags[name]; !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl) {
			p.Refuse(at, "%q has a control character, or is no UTF-8: a newline would end the directive", v)
		}
	}
}
