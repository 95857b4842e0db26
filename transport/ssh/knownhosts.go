package ssh

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what OpenSSH hashes host names with; it hides them and proves nothing
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// knownLine is one line of a known_hosts file that could be read.
type knownLine struct {
	where   string // file and line number
	marker  string // "", "cert-authority" or "revoked"
	matches func(name string) bool
	key     ssh.PublicKey // nil in a @revoked line whose key cannot be read
	err     error
}

// parseKnownHosts reads a known_hosts file as OpenSSH does: a line that it
// cannot read is skipped, whoever's it is. The lines skipped are returned, for the error
// of a host that is not known. A @revoked line whose key cannot be read is kept
// and refuses the hosts that it names.
func parseKnownHosts(file string, content []byte) (lines []knownLine, skipped []string) {
	number := 0
	for raw := range bytes.Lines(content) {
		number++
		text := strings.Trim(strings.TrimRight(string(raw), "\r\n"), " \t")
		if text == "" || text[0] == '#' {
			continue
		}
		l := knownLine{where: fmt.Sprintf("%s:%d", file, number)}
		if err := l.parse(text); err != nil {
			if l.marker != markerRevoked || l.matches == nil {
				skipped = append(skipped, fmt.Sprintf("%s (%v)", l.where, err))
				continue
			}
			l.err = err
		}
		lines = append(lines, l)
	}
	return lines, skipped
}

const (
	markerCA      = "cert-authority"
	markerRevoked = "revoked"
)

func (l *knownLine) parse(text string) error {
	if text[0] == '@' {
		marker, rest := cutField(text)
		if marker != "@"+markerCA && marker != "@"+markerRevoked {
			return errors.New("an unknown marker")
		}
		if marker == "@"+markerCA && strings.HasPrefix(text, marker+"\t") && strings.Contains(text, " ") {
			return errors.New("a tab after its marker, where OpenSSH wants a space") // it trusts no authority then
		}
		l.marker, text = marker[1:], rest
	}
	hosts, rest := cutField(text)
	if hosts == "" || rest == "" {
		return errors.New("cut short")
	}
	matches, err := hostMatcher(hosts)
	if err != nil {
		return err
	}
	l.matches = matches
	keyType, rest := cutField(rest)
	blob, _ := cutField(rest)
	wire, err := base64.StdEncoding.DecodeString(blob)
	if err != nil || len(wire) == 0 {
		return errors.New("no key in base64")
	}
	key, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return errors.New("a key that cannot be read")
	}
	if key.Type() != keyType {
		return errors.New("a key of another type than the line says")
	}
	l.key = key
	return nil
}

// cutField splits off the first word.
func cutField(s string) (word, rest string) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

// hostMatcher reads the hosts of a line: patterns, or one hashed name.
func hostMatcher(hosts string) (func(name string) bool, error) {
	if hosts[0] != '|' {
		patterns := strings.Split(strings.ToLower(hosts), ",")
		return func(name string) bool { return matchList(name, patterns) }, nil
	}
	parts := strings.Split(hosts, "|")
	if len(parts) != 4 || parts[1] != "1" {
		return nil, errors.New("a hash that is not |1|salt|hash")
	}
	salt, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, errors.New("a salt that is not base64")
	}
	want, err := base64.StdEncoding.DecodeString(parts[3])
	if err != nil || len(want) != sha1.Size {
		return nil, errors.New("a hash that is not one of SHA-1 in base64")
	}
	return func(name string) bool {
		mac := hmac.New(sha1.New, salt)
		mac.Write([]byte(name))
		return hmac.Equal(mac.Sum(nil), want)
	}, nil
}

// matchList reports whether a name matches one of the patterns and none that
// starts with "!".
func matchList(name string, patterns []string) bool {
	matched := false
	for _, p := range patterns {
		p, negated := strings.CutPrefix(p, "!")
		if !matchPattern(p, name) {
			continue
		}
		if negated {
			return false
		}
		matched = true
	}
	return matched
}

// matchPattern matches "*" and "?", which know no separators: "*" covers a port
// too. It takes time of the order of len(pattern)*len(name) at most.
func matchPattern(pattern, name string) bool {
	p, n := 0, 0
	star, from := -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// knownHosts is what is known of all hosts.
type knownHosts struct {
	lines   []knownLine
	skipped []string
}

// of returns the lines of a host, by its name with the port, or if that has
// none, as OpenSSH does it, without.
func (k knownHosts) of(t Target) []knownLine {
	for _, name := range t.keyNames() {
		var found []knownLine
		for _, l := range k.lines {
			if l.marker != markerRevoked && l.matches(name) {
				found = append(found, l)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// revoked returns the line that revokes a key. A key that is revoked for one
// host is taken from none.
func (k knownHosts) revoked(t Target, keys ...ssh.PublicKey) (knownLine, bool) {
	names := t.keyNames()
	for _, l := range k.lines {
		if l.marker != markerRevoked {
			continue
		}
		if l.key == nil && slices.ContainsFunc(names, l.matches) {
			return l, true
		}
		for _, key := range keys {
			if l.key != nil && sameKey(l.key, key) {
				return l, true
			}
		}
	}
	return knownLine{}, false
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
