package ssh

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/quorate-dev/quorate/internal/tier"
)

const (
	keyA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
	keyB = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICeDEEgXKkZSRvBV9UdGhkgzXY7nOi2sWvYSmnlBAUxE"
)

// parsedA is keyA.
func parsedA(t testing.TB) ssh.PublicKey {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(keyA))
	require.NoError(t, err)
	return key
}

// Names are looked up as OpenSSH does it: in lower case, with a port that is not
// 22, and without it if nothing is known with it. TestRealKnownHosts asks ssh the same.
func TestKnownHostsNames(t *testing.T) {
	for _, c := range knownHostsCases(knownhosts.HashHostname) {
		t.Run(c.name, func(t *testing.T) {
			v, err := HostKeys{KnownHosts: []byte(c.text(keyA, keyB))}.verifier(Algorithms{}.withDefaults(), nil)
			require.NoError(t, err)
			err = v.check(hop{name: "h", target: Target{Addr: c.host, Port: c.port}}, parsedA(t))
			require.Equal(t, c.known, err == nil, "%v", err)
		})
	}
}

// knownHostsCase is a file with which a host that shows key A is known, or not.
type knownHostsCase struct {
	name  string
	host  string
	port  int
	line  string // KEY and OTHER are replaced by keys
	known bool
}

func (c knownHostsCase) text(key, other string) string {
	return strings.NewReplacer("KEY", key, "OTHER", other, "PORT", fmt.Sprint(c.port)).Replace(c.line) + "\n"
}

func knownHostsCases(hashed func(string) string) []knownHostsCase {
	const host, port = "localhost", 2222
	with := fmt.Sprintf("[%s]:%d", host, port)
	return []knownHostsCase{
		{"plain", host, 22, "localhost KEY", true},
		{"with its port", host, port, "[localhost]:PORT KEY", true},
		{"without its port", host, port, "localhost KEY", true},
		{"with another port", host, port, "[localhost]:1 KEY", false},
		{"another key with the port, the key without", host, port, "[localhost]:PORT OTHER\nlocalhost KEY", false},
		{"the key with the port, another without", host, port, "[localhost]:PORT KEY\nlocalhost OTHER", true},
		{"upper case in the file", host, port, "[LocalHost]:PORT KEY", true},
		{"upper case asked for", "LOCALHOST", port, "[localhost]:PORT KEY", true},
		{"a star", host, port, "* KEY", true},
		{"a star for all ports", host, port, "[local*]:* KEY", true},
		{"a star before the port", host, port, "local* KEY", true},
		{"question marks", host, port, "[l????host]:PORT KEY", true},
		{"negated", host, port, "*,![localhost]:PORT KEY", true}, // but not without the port
		{"negated both ways", host, port, "*,![localhost]:PORT,!localhost KEY", false},
		{"a list", host, port, "elsewhere,[localhost]:PORT,other KEY", true},
		{"hashed", host, port, hashed(with) + " KEY", true},
		{"hashed without the port", host, port, hashed(host) + " KEY", true},
		{"hashed, another", host, port, hashed("elsewhere") + " KEY", false},
		{"an unreadable line of another host", host, port, "elsewhere ssh-ed25519 !!!\n[localhost]:PORT KEY", true},
		{"an unreadable line of its own", host, port, "[localhost]:PORT ssh-ed25519 !!!\n[localhost]:PORT KEY", true},
		{"a line cut short", host, port, "elsewhere\n[localhost]:PORT KEY", true},
		{"an unknown marker", host, port, "@nonsense * KEY", false},
		{"a bad hash", host, port, "|1|x|y KEY\n[localhost]:PORT KEY", true},
		{"an unknown type of key", host, port, "[localhost]:PORT ssh-nonsense AAAA\n[localhost]:PORT KEY", true},
		{"comments and blanks", host, port, "# a comment\n\n  \t[localhost]:PORT  KEY a comment", true},
		{"two keys", host, port, "[localhost]:PORT OTHER\n[localhost]:PORT KEY", true},
		{"revoked", host, port, "[localhost]:PORT KEY\n@revoked * KEY", false},
		{"another revoked", host, port, "[localhost]:PORT KEY\n@revoked * OTHER", true},
		{"nothing", host, port, "", false},
	}
}

// What OpenSSH would skip and we do not: a @revoked line that cannot be read
// refuses the hosts that it names, and no others.
func TestUnreadableRevocation(t *testing.T) {
	v, err := HostKeys{KnownHosts: []byte("* " + keyA + "\n@revoked bad* ssh-ed25519 !!!\n")}.verifier(Algorithms{}.withDefaults(), nil)
	require.NoError(t, err)
	require.NoError(t, v.check(hop{name: "h", target: Target{Addr: "good"}}, parsedA(t)))
	require.ErrorContains(t, v.check(hop{name: "h", target: Target{Addr: "bad-1"}}, parsedA(t)), "KnownHosts:2")
}

// The error of a host that is not known says which lines could not be read.
func TestSkippedLinesAreReported(t *testing.T) {
	v, err := HostKeys{KnownHosts: []byte("a\nb\nc\nd\nelsewhere " + keyA + "\n")}.verifier(Algorithms{}.withDefaults(), nil)
	require.NoError(t, err)
	err = v.check(hop{name: "h", target: Target{Addr: "x"}}, parsedA(t))
	require.ErrorContains(t, err, "4 lines of known_hosts could not be read: KnownHosts:1 (cut short), KnownHosts:2 (cut short), KnownHosts:3 (cut short) ...")
}

// Patterns take time of the order of their length times the name's.
func TestPatternsAreNotQuadratic(t *testing.T) {
	pattern := strings.Repeat("a*", 2000) + "b"
	require.False(t, matchPattern(pattern, strings.Repeat("a", 4000)))
	for pattern, names := range map[string][2]string{
		"*": {"anything", ""}, "a?c": {"abc", "abcd"}, "a*c": {"abbbc", "abb"}, "*.x": {"a.x", "ax"}, "**": {"", ""}, "": {"", "a"},
	} {
		require.True(t, matchPattern(pattern, names[0]), pattern)
		if names[1] != "" {
			require.Equal(t, pattern == "*", matchPattern(pattern, names[1]), pattern)
		}
	}
}

// No file of known hosts does harm, and a line appended to it is found.
func FuzzKnownHosts(f *testing.F) {
	hashed := func(string) string { return "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=" }
	for _, c := range knownHostsCases(hashed) {
		f.Add(c.text(keyA, keyB))
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines, skipped := parseKnownHosts("file", []byte(text+"\nthe-host "+keyA+"\n"))
		k := knownHosts{lines, skipped}
		found := k.of(Target{Addr: "the-host"})
		if len(found) == 0 {
			t.Fatal("the last line is not found")
		}
		_, _ = k.revoked(Target{Addr: "the-host"}, parsedA(t))
	})
}

// Lines name the hosts that they name to OpenSSH, whatever patterns, ports and markers they have.
func TestRealKnownHostNames(t *testing.T) {
	tier.Host(t, "ssh-keygen")
	atoms := []string{
		"host", "HOST", "*", "?ost", "!host", "ho*", "!*", "[host]:22", "[host]:2222", "host:2222", "", " ", "!", "[h*]:*", "*:*", "[host]", "::1", "[::1]:22",
		"10.0.0.1", "host.", "*host", "**", "!ho?t",
	}
	forms := []string{"%s %s", "%s\t%s a comment", "  %s   %s", "@revoked %s %s", "@cert-authority %s %s", "@cert-authority\t%s\t%s", "@unknown %s %s", "\"%s\" %s", "#%s %s"}
	var text strings.Builder
	random := rand.New(rand.NewPCG(7, 7))
	for range 2000 {
		hosts := make([]string, 1+random.IntN(3))
		for i := range hosts {
			hosts[i] = atoms[random.IntN(len(atoms))]
		}
		fmt.Fprintf(&text, forms[random.IntN(len(forms))]+"\n", strings.Join(hosts, ","), keyA)
	}
	file := t.TempDir() + "/known_hosts"
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	lines, _ := parseKnownHosts("f", []byte(text.String()))
	for _, name := range []string{"host", "[host]:2222", "10.0.0.1", "::1", "ghost"} {
		out, _ := exec.Command("ssh-keygen", "-F", name, "-f", file).Output() // fails where nothing is found
		var theirs, ours []string
		for _, m := range regexp.MustCompile(`found: line (\d+)`).FindAllStringSubmatch(string(out), -1) {
			theirs = append(theirs, "f:"+m[1])
		}
		for _, l := range lines {
			if l.err == nil && l.matches(name) { // OpenSSH passes over a @revoked line that it cannot read
				ours = append(ours, l.where)
			}
		}
		require.Equal(t, theirs, ours, name)
		require.True(t, len(ours) > 100 || name == "ghost", name)
	}
}
