package plan

import (
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/internal/hostiletest"
)

// What "systemctl show" answers, or whatever is in its place: no unit is in a state
// that no line says.
func FuzzParseUnits(f *testing.F) {
	for _, s := range []string{
		"", "Id=motd.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n\nId=x\n", "=\n\n=", "Id", "Id=a\nId=b\n", strings.Repeat("\n", 99),
		"Id=" + hostiletest.Text + "\nActiveState=active\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		for id, s := range parseUnits(out) {
			if id != "" && !strings.Contains(string(out), "Id="+id) || !strings.Contains(string(out), s.active) {
				t.Errorf("%q of %q is %+v", id, out, s)
			}
		}
	})
}
