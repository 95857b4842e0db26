package syntax_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/internal/syntax"
)

func TestForms(t *testing.T) {
	long := strings.Repeat("a", 64)
	for name, tt := range map[string]struct {
		is      func(string) bool
		yes, no []string
	}{
		"label":      {syntax.IsLabel, []string{"a", "cp-1", "0a", long[1:]}, []string{"", "-a", "a-", "A", "a.b", "a_b", "a\n", long, "ä"}},
		"subdomain":  {syntax.IsSubdomain, []string{"a", "a.b-c.d0", long[1:] + ".b"}, []string{"", "a.", ".a", "a..b", "A.b", "a b", "a.b\n", long + ".b", strings.Repeat("a.", 127) + "a"}},
		"qualified":  {syntax.IsQualified, []string{"a", "A_b.c-D", long[1:]}, []string{"", "_a", "a_", "a/b", long, "a\n"}},
		"key":        {syntax.IsQualifiedKey, []string{"a", "example.com/a_B", "node-role.kubernetes.io/master"}, []string{"", "/", "a/", "/a", "A.com/a", "a/b/c", "a b"}},
		"path":       {syntax.IsPath, []string{"/a", "/etc/etcd/pki", "/a.b/c_d@e+f:g-h"}, []string{"", "/", "a", "/a/", "/a//b", "/a/../b", "/a/.", "/a b", "/a\n", "/ä", "/a$b", "/a'"}},
		"interface":  {syntax.IsInterface, []string{"eth0", "b.100", "c_1", "0x", strings.Repeat("a", 15)}, []string{"", ".", "..", "-a", ".a", "a b", "eth0:1", "a/b", strings.Repeat("a", 16)}},
		"flag":       {syntax.IsFlag, []string{"v", "bind-address", "http2-max"}, []string{"", "-v", "--v", "v=1", "a--b", "a-", "A", "a_b", "a\n"}},
		"variable":   {syntax.IsVariable, []string{"A", "HTTP_PROXY", "_x", "a.b-c"}, []string{"", "0a", "A=B", "A B", "A\n"}},
		"address":    {syntax.IsAddress, []string{"192.0.2.1", "2001:db8::1"}, []string{"", "192.0.2", "[::1]", "a"}},
		"no control": {func(s string) bool { return !syntax.HasControl(s) }, []string{"", "a b", "ä"}, []string{"a\n", "\x00", "\x1b[", "\u0085"}},
	} {
		for _, s := range tt.yes {
			if !tt.is(s) {
				t.Errorf("%s: %q is refused", name, s)
			}
		}
		for _, s := range tt.no {
			if tt.is(s) {
				t.Errorf("%s: %q is taken", name, s)
			}
		}
	}
	for n, want := range map[int]bool{-1: false, 0: false, 1: true, 65535: true, 65536: false} {
		if syntax.IsPort(n) != want {
			t.Errorf("port %d", n)
		}
	}
}

func TestUnusable(t *testing.T) {
	for s, want := range map[string]string{
		"192.0.2.1": "", "2001:db8::1": "", "127.0.0.1": "", "::1": "", "fe80::1%eth0": "zone", "fe80::1": "link-local", "169.254.1.1": "link-local",
		"::ffff:192.0.2.1": "192.0.2.1", "0.0.0.0": "unspecified", "::": "unspecified", "224.0.0.1": "multicast", "ff02::1": "multicast", "255.255.255.255": "broadcast",
	} {
		got := syntax.Unusable(netip.MustParseAddr(s))
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s %q, want %q", s, got, want)
		}
	}
	if syntax.Unusable(netip.Addr{}) == "" {
		t.Error("no address at all is taken")
	}
}
