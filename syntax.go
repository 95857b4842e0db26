package quorate

import (
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

var (
	labelPattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	// A path that units, scripts and configuration files all take unquoted.
	pathPattern = regexp.MustCompile(`^[A-Za-z0-9/._@+:-]+$`)
	// The kernel takes more, but not the files that the name is written to.
	interfacePattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$`)
	sshUserPattern   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.\\@$-]*$`)
	sshHostPattern   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	qualifiedPattern = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	flagPattern      = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	gatePattern      = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)
	checkPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_./-]*$`)
	// The reference grammar of github.com/distribution/reference, without tag
	// and digest.
	repositoryPattern = regexp.MustCompile(`^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$`)
)

// isLabel reports whether s is an RFC 1123 label.
func isLabel(s string) bool { return labelPattern.MatchString(s) }

// isSubdomain reports whether s is an RFC 1123 subdomain: labels with dots.
func isSubdomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

func isPath(s string) bool {
	return path.IsAbs(s) && path.Clean(s) == s && s != "/" && pathPattern.MatchString(s)
}

func isInterface(s string) bool { return interfacePattern.MatchString(s) && s != "." && s != ".." }

func isPort(n int) bool { return n >= 1 && n <= 65535 }

func isVersion(v Version) bool {
	parsed, err := ParseVersion(v.String())
	return err == nil && parsed == v
}

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

// sshTarget splits [user@]host[:port]; port is "22" if there is none.
func sshTarget(s string) (host, port string, ok bool) {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		if !sshUserPattern.MatchString(s[:i]) {
			return "", "", false
		}
		s = s[i+1:]
	}
	if isAddress(s) {
		return s, "22", true
	}
	port = "22"
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		s, port = s[:i], s[i+1:]
	}
	if n, err := strconv.Atoi(port); err != nil || !isPort(n) || strconv.Itoa(n) != port {
		return "", "", false
	}
	if inner, bracketed := strings.CutPrefix(s, "["); bracketed {
		inner, closed := strings.CutSuffix(inner, "]")
		return inner, port, closed && isAddress(inner)
	}
	return s, port, sshHostPattern.MatchString(s)
}

// familyName names the family of an address.
func familyName(v4 bool) string {
	if v4 {
		return "IPv4"
	}
	return "IPv6"
}
