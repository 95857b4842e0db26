package vip

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/syntax"
)

var (
	userPattern = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	authPattern = regexp.MustCompile(`^[A-Za-z0-9]{8}$`)
)

// Validate returns nil or a *quorate.InvalidError with every error that Problems
// finds.
func (i Instance) Validate() error { return i.Problems().Err(fmt.Sprintf("VIP on %q", i.Node)) }

// Problems is everything that is wrong with the instance, warnings included, by
// the names of its fields in lower camel case. They never show the auth.
func (i Instance) Problems() quorate.Problems {
	i = i.withDefaults()
	var p quorate.Problems
	if !syntax.IsSubdomain(i.Node) {
		p.Refuse("node", "%q is no RFC 1123 subdomain", i.Node)
	}
	i.endpoint(&p)
	if !syntax.IsInterface(i.Interface) {
		p.Refuse("interface", "%q is no interface name: %s", i.Interface, syntax.WantInterface)
	}
	i.addresses(&p)
	if i.Priority < 1 || i.Priority > 254 {
		p.Refuse("priority", "%d: want 1 to 254; 255 belongs to the owner of the address, and a VIP has none", i.Priority)
	}
	if !syntax.IsPath(i.CAFile) {
		p.Refuse("caFile", "%q: %s", i.CAFile, syntax.WantPath)
	}
	if !userPattern.MatchString(i.ScriptUser) {
		p.Refuse("scriptUser", "%q is no user name", i.ScriptUser)
	}
	i.auth(&p)
	return p
}

// endpoint holds quorate's own rules against the endpoint, so that an instance
// made by hand is refused for what a cluster would be.
func (i Instance) endpoint(p *quorate.Problems) { checkEndpoint(p, i.Endpoint) }

func checkEndpoint(p *quorate.Problems, e quorate.Endpoint) {
	if e.External {
		p.Refuse("endpoint.external", "is set: the user's own load balancer has no VIP")
		return
	}
	p.Include("endpoint", e.Problems())
}

func (i Instance) addresses(p *quorate.Problems) {
	i.own(p, "source", i.Source)
	if i.APIServer != i.Source {
		usable(p, "apiServer", i.APIServer)
	}
	for j, peer := range i.Peers {
		at := fmt.Sprintf("peers[%d]", j)
		i.own(p, at, peer)
		switch {
		case !peer.IsValid():
		case peer == i.Source:
			p.Refuse(at, "%s is source: peers are the other nodes", peer)
		case slices.Contains(i.Peers[:j], peer):
			p.Refuse(at, "%s is listed twice", peer)
		}
	}
}

// own checks a node's address that VRRP uses.
func (i Instance) own(p *quorate.Problems, at string, a netip.Addr) {
	vip := i.Endpoint.Address()
	if !usable(p, at, a) || !vip.IsValid() {
		return
	}
	if a.Is4() != vip.Is4() {
		p.Refuse(at, "%s is not of the family of the VIP %s", a, vip)
	} else if a == vip {
		p.Refuse(at, "%s is the VIP: a VIP is nobody's own address", a)
	}
}

func usable(p *quorate.Problems, at string, a netip.Addr) bool {
	if !a.IsValid() {
		p.Refuse(at, "is required")
		return false
	}
	why := syntax.Unusable(a)
	if why != "" {
		p.Refuse(at, "%s %s", a, why)
	}
	return why == ""
}

func (i Instance) auth(p *quorate.Problems) {
	switch {
	case i.vrrpVersion() == 3:
	case i.Auth.Len() == 0:
		p.Refuse("auth", "is required with an IPv4 VIP and an advertInterval of whole seconds: NewAuth makes one")
	case !i.Auth.IsSensitive():
		p.Refuse("auth", "is a secret: make it with quorate.Sensitive")
	case !authPattern.Match(i.Auth.Bytes()):
		p.Refuse("auth", "want exactly %d letters and digits: keepalived cuts a longer one silently", authLength)
	}
}
