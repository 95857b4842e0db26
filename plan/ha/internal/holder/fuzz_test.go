package holder

import (
	"net/netip"
	"testing"

	"github.com/quorate-dev/quorate/internal/hostiletest"
)

// What a host says of the VIP is text, of a bounded number of lines.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "address=eth0 192.0.2.10/32\nmac=52:54:00:00:00:01\nanswer=yes\nneighbour=x\n", "address=\naddress= 192.0.2.10", "answer", "answer=" + hostiletest.Text} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		v := parse(netip.MustParseAddr("192.0.2.10"), out)
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
