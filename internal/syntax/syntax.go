// Package syntax has the forms of names, paths and addresses that several
// packages check: one answer for all of them, and the words that say what was
// wanted.
package syntax

import (
	"net/netip"
	"path"
	"regexp"
	"strings"
	"unicode"
)

// What each check wants, to be put into the message of a problem.
const (
	WantLabel     = "want at most 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit"
	WantSubdomain = "want lower-case letters, digits, hyphens and dots, each label at most 63 characters and beginning and ending with a letter or digit"
	WantPath      = "want an absolute path without . or .. or a slash at its end, of letters, digits and / . _ @ + : -"
	WantInterface = "want at most 15 letters, digits and . _ -, not starting with . or -"
	WantFlag      = "want its name in lower case, without leading dashes"
	WantQualified = "want at most 63 letters, digits and - _ ., beginning and ending with a letter or digit"
)

var (
	label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	// Units, scripts and configuration files all take it unquoted.
	plainPath = regexp.MustCompile(`^[A-Za-z0-9/._@+:-]+$`)
	// The kernel takes more, but not the files that the name is written to.
	networkInterface = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$`)
	flag             = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	qualified        = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	variable         = regexp.MustCompile(`^[-._A-Za-z][-._A-Za-z0-9]*$`)
)

// IsLabel reports whether s is an RFC 1123 label.
func IsLabel(s string) bool { return label.MatchString(s) }

// IsSubdomain reports whether s is an RFC 1123 subdomain, as nodes and DNS
// names have it: labels with dots between them, at most 253 characters.
func IsSubdomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for l := range strings.SplitSeq(s, ".") {
		if !IsLabel(l) {
			return false
		}
	}
	return true
}

// IsQualified reports whether s is the name part of a label or taint, or the
// value of one that is not empty.
func IsQualified(s string) bool { return qualified.MatchString(s) }

// IsQualifiedKey reports whether s is the key of a label or taint: an optional
// DNS subdomain and a slash before a qualified name.
func IsQualifiedKey(s string) bool {
	prefix, name, prefixed := strings.Cut(s, "/")
	if !prefixed {
		return IsQualified(s)
	}
	return IsSubdomain(prefix) && IsQualified(name)
}

// IsPath reports whether s is an absolute, clean path below the root, of
// characters that no file and no shell needs quoted.
func IsPath(s string) bool {
	return path.IsAbs(s) && path.Clean(s) == s && s != "/" && plainPath.MatchString(s)
}

// IsInterface reports whether s can be the name of a network interface.
func IsInterface(s string) bool { return networkInterface.MatchString(s) && s != "." && s != ".." }

// IsFlag reports whether s is the name of a command line's argument, without
// dashes.
func IsFlag(s string) bool { return flag.MatchString(s) }

// IsVariable reports whether s can be the name of an environment variable of a
// pod.
func IsVariable(s string) bool { return variable.MatchString(s) }

// IsAddress reports whether s is an IP address.
func IsAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// IsPort reports whether n is a port to listen on.
func IsPort(n int) bool { return n >= 1 && n <= 65535 }

// HasControl reports whether s holds a control character.
func HasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// Unusable says why an address can be no host's on a network, in words that
// follow the address; "" if it can. Loopback addresses pass: tests and
// single-host clusters use them.
func Unusable(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "is no address"
	case a.Zone() != "":
		return "has a zone, which only one host understands"
	case a.Is4In6():
		return "is an IPv4 address in IPv6 form: write it as " + a.Unmap().String()
	case a.IsUnspecified():
		return "is the unspecified address"
	case a.IsMulticast():
		return "is a multicast address"
	case a.IsLinkLocalUnicast():
		return "is a link-local address, which other networks cannot reach"
	case a == broadcast:
		return "is the broadcast address"
	}
	return ""
}
