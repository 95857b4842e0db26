package software

import (
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/internal/hostiletest"
)

// What a host says of its packages: a version is one that a line says, and no pattern of
// what is held back makes matching fail.
func FuzzParseInstalled(f *testing.F) {
	for _, s := range []string{
		"", "manager apt\npackage kubelet installed 1.37.2-1.1 hold\n", "exclude=kube* [\n", "excludepkgs = a,b\n", "package x installed\n", "package " + hostiletest.Text + " installed 1",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		found := parseInstalled(out)
		for name, version := range found.versions {
			if !strings.Contains(string(out), name) || !strings.Contains(string(out), version) {
				t.Errorf("%q has no %q %q", out, name, version)
			}
			_ = found.holds(name)
		}
	})
}
