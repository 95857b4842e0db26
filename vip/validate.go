package vip

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
)

var (
	namePattern      = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`)
	interfacePattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$`)
	userPattern      = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	// A path that keepalived's configuration and a shell take unquoted.
	pathPattern = regexp.MustCompile(`^[A-Za-z0-9/._@+:-]+$`)
	authPattern = regexp.MustCompile(`^[A-Za-z0-9]{8}$`)
)

// Validate returns nil or a *quorate.InvalidError with everything that is wrong
// with the instance, by the names of its fields in lower camel case. The
// problems never show the auth.
func (i Instance) Validate() error {
	i = i.withDefaults()
	var p quorate.Problems
	if !namePattern.MatchString(i.Node) {
		p.Refuse("node", "%q is no RFC 1123 subdomain", i.Node)
	}
	i.endpoint(&p)
	if !interfacePattern.MatchString(i.Interface) {
		p.Refuse("interface", "%q is no interface name: want at most 15 letters, digits and . _ -, not beginning with . or -", i.Interface)
	}
	i.addresses(&p)
	if i.Priority < 1 || i.Priority > 254 {
		p.Refuse("priority", "%d: want 1 to 254; 255 belongs to the owner of the address, and a VIP has none", i.Priority)
	}
	if !path.IsAbs(i.CAFile) || path.Clean(i.CAFile) != i.CAFile || !pathPattern.MatchString(i.CAFile) {
		p.Refuse("caFile", "%q: want an absolute path without . or .., of letters, digits and / . _ @ + : -", i.CAFile)
	}
	if !userPattern.MatchString(i.ScriptUser) {
		p.Refuse("scriptUser", "%q is no user name", i.ScriptUser)
	}
	i.auth(&p)
	return p.Err(fmt.Sprintf("VIP on %q", i.Node))
}

// endpoint holds quorate's own rules against the endpoint, so that an instance
// made by hand is refused for what a cluster would be.
func (i Instance) endpoint(p *quorate.Problems) { checkEndpoint(p, i.Endpoint) }

func checkEndpoint(p *quorate.Problems, e quorate.Endpoint) {
	if e.External {
		p.Refuse("endpoint.external", "is set: the user's own load balancer has no VIP")
		return
	}
	// The ranges are of the family that the VIP is not of: there is no cluster
	// here whose ranges it could lie in.
	around := quorate.Cluster{Endpoint: e, Pods: ranges("fd00::/64"), Services: ranges("fd00:1::/108")}
	if !e.Address().Is4() {
		around.Pods, around.Services = ranges("10.0.0.0/16"), ranges("10.1.0.0/16")
	}
	for _, problem := range around.Problems().Only(quorate.Refused) {
		if strings.HasPrefix(problem.Path, "endpoint.") {
			*p = append(*p, problem)
		}
	}
}

func ranges(r string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(r)} }

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
			p.Refuse(at, "%s is given twice", peer)
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
	switch {
	case !a.IsValid():
		p.Refuse(at, "is required")
	case a.Zone() != "":
		p.Refuse(at, "%q has a zone, which other hosts do not share", a)
	case a.IsUnspecified(), a.IsMulticast(), a.Is4In6():
		p.Refuse(at, "%s is no address of a host", a)
	default:
		return true
	}
	return false
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
