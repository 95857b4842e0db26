package quorate

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate/internal/syntax"
)

var (
	sshUserPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.\\@$-]*$`)
	sshHostPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	gatePattern    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)
	checkPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_./-]*$`)
	// The reference grammar of github.com/distribution/reference, without tag
	// and digest.
	repositoryPattern = regexp.MustCompile(`^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$`)
)

func isVersion(v Version) bool {
	parsed, err := ParseVersion(v.String())
	return err == nil && parsed == v
}

// sshTarget splits [user@]host[:port]; port is "22" if there is none.
func sshTarget(s string) (host, port string, ok bool) {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		if !sshUserPattern.MatchString(s[:i]) {
			return "", "", false
		}
		s = s[i+1:]
	}
	if syntax.IsAddress(s) {
		return s, "22", true
	}
	port = "22"
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		s, port = s[:i], s[i+1:]
	}
	if n, err := strconv.Atoi(port); err != nil || !syntax.IsPort(n) || strconv.Itoa(n) != port {
		return "", "", false
	}
	if inner, bracketed := strings.CutPrefix(s, "["); bracketed {
		inner, closed := strings.CutSuffix(inner, "]")
		return inner, port, closed && syntax.IsAddress(inner)
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
