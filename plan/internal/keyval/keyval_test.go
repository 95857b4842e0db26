package keyval_test

import (
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/internal/hostiletest"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
)

// What is read is in the text as it is, one line each, the last of its key.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "a=b\n", "a=b\na=c", "=", "a==\r\n", "no\nx=1", hostiletest.Text + "=" + hostiletest.Text} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		for key, value := range keyval.Parse(out) {
			if strings.ContainsAny(key, "=\n") || strings.Contains(value, "\n") || !strings.Contains("\n"+string(out)+"\n", "\n"+key+"="+value+"\n") {
				t.Errorf("%q holds no %q=%q", out, key, value)
			}
		}
	})
}
