package holder

import (
	"testing"

	"github.com/quorate-dev/quorate/internal/hostiletest"
)

// What a host says of the VIP is text, of a bounded number of lines.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "held=eth0\nmac=52:54:00:00:00:01\nanswer=yes\nneighbour=x\n", "held=\nheld=", "answer", "answer=" + hostiletest.Text} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		v := parse(out)
		for _, s := range append(append([]string{v.answer, v.neighbour}, v.held...), v.macs...) {
			if problem := hostiletest.Problem(s); problem != "" {
				t.Error(problem)
			}
		}
		if len(v.held)+len(v.macs) > maxLines {
			t.Errorf("%d lines", len(v.held)+len(v.macs))
		}
	})
}
