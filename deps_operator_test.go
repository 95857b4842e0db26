package quorate_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// What keeps an operator's files, and what leads SSH to a cluster's nodes, is
// linked by who imports it and by nobody else: it brings cfssl and x/crypto/ssh.
func TestOperatorPackagesAreApart(t *testing.T) {
	all := loadPackages(t)
	rules := map[string][]string{
		"plan/ha/statedir": {
			"", "/pki", "/kubeadm", "/vip", "/plan/filejournal", "/plan/internal/filelock", "/internal/termsafe",
		},
		"plan/ha/sshtargets": {"", "/transport/ssh"},
	}
	for name, may := range rules {
		p, ok := all[module+"/"+name]
		require.True(t, ok, "no package %s", name)
		for _, imp := range p.Imports {
			ours := within(imp, module)
			require.False(t, ours && !slices.Contains(may, imp[len(module):]), "%s imports %s", name, imp)
			require.True(t, ours || all[imp].Standard || imp == "golang.org/x/sys/unix", "%s imports %s", name, imp)
		}
		for path, other := range all {
			if within(path, module) && other.Name != "main" && !within(path, module+"/examples") {
				require.NotContains(t, other.Deps, module+"/"+name, "%s links %s", path, name)
			}
		}
	}
	for _, imp := range all[module+"/pki"].Imports {
		require.True(t, !within(imp, module) || slices.Contains([]string{"", "/kubeadm", "/internal/secret", "/internal/hostpath", "/internal/syntax", "/internal/termsafe"}, imp[len(module):]), "pki imports %s", imp)
	}
}
