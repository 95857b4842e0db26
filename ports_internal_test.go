package quorate

import (
	"fmt"
	"testing"
)

// Ranges as the API server reads them.
func TestParsePortRange(t *testing.T) {
	for text, want := range map[string]string{
		"30000-32767": "30000 32767 true", "30000+2767": "30000 32767 true", "8080": "8080 8080 true",
		" 80 - 90 ": "80 90 true", //nolint:gocritic // as a user may write it
		"":          "", "0": "", "90-80": "", "1-70000": "", "a-b": "", "-": "", "1-2-3": "", "65535+1": "",
	} {
		first, last, ok := parsePortRange(text)
		if got := fmt.Sprint(first, last, ok); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func FuzzParsePortRange(f *testing.F) {
	for _, s := range []string{"30000-32767", "1+2", "9223372036854775807+9223372036854775807", "-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, ok := parsePortRange(s)
		if ok && (first < 1 || last > 65535 || first > last) {
			t.Errorf("%q: %d to %d", s, first, last)
		}
	})
}
