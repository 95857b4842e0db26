package settings

import (
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/internal/hostiletest"
)

// Whatever a host says of a component, what is kept of it is bounded and can be shown.
func FuzzParsePod(f *testing.F) {
	for _, s := range []string{
		"", "well=yes\nprocess=7.1001\ncmdline=kube-scheduler\x00--v=4\x00\n", "kept=7.1001 8.1002\nfault=connection refused\n", "cmdline=a\n", "process=" + hostiletest.Text,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		s := parsePod(out)
		if len(s.processes) > maxProcesses || len(s.processes) > strings.Count(string(out), "cmdline=") {
			t.Errorf("%q holds %d processes", out, len(s.processes))
		}
		if bad := hostiletest.Problem(s.fault); bad != "" {
			t.Errorf("%q: %s", s.fault, bad)
		}
	})
}
