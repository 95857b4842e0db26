package byhand

import (
	"strings"
	"testing"
	"time"
)

func TestReadPhases(t *testing.T) {
	at := time.Unix(0, 0)
	clock := func() time.Time { at = at.Add(time.Second); return at }
	phases, current := readPhases(strings.NewReader("phase a\nnoise\nphase nodes ready\nphase coredns ready\nphase done\n"), clock)
	if current != "" || len(phases) != 3 {
		t.Fatalf("phases %v, current %q", phases, current)
	}
	if got := Total(phases); got != 2*time.Second {
		t.Errorf("total is %s: CoreDNS does not count", got)
	}
	if _, current := readPhases(strings.NewReader("phase a\nphase b\n"), clock); current != "b" {
		t.Errorf("the phase that did not end is %q", current)
	}
}
