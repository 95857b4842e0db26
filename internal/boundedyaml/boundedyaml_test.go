package boundedyaml_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate/internal/boundedyaml"
)

func nested(of string, levels int) string {
	text := "a: &a " + of + "\n"
	for c := 'b'; c < 'b'+rune(levels); c++ {
		text += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1)
	}
	return text
}

func TestAliases(t *testing.T) {
	long := strings.Repeat("s", 20<<10)
	for name, c := range map[string]struct {
		text, says string
	}{
		"none":           {"a: 1\nb: \"&*\"\n", ""},
		"few":            {"a: &a {x: y}\nb: *a\nc: {<<: *a}\n", ""},
		"as many as may": {"a: &a " + long + "\nb:\n" + strings.Repeat("- *a\n", 50), ""},
		"of a string":    {"a: &a " + long + "\nb:\n" + strings.Repeat("- *a\n- 1\n", 4000), "over 1 MiB"},
		"of each other":  {nested("x", 24), "over 1 MiB"},
		"of long text":   {nested(long, 5), "over 1 MiB"},
		"of itself":      {"a: &a [*a]\n", "over 1 MiB"},
		"of keys":        {"a: &a {" + long[:1000] + ": 1}\nb:\n" + strings.Repeat("- {<<: *a}\n", 4000), "over 1 MiB"},
		"unknown":        {"a: &a x\nb: *b\n", "cannot be followed"},
		"no YAML":        {"a: &a [\nb: *a", "cannot be followed"},
		"later document": {"a: 1\n---\n" + nested(long, 5), "over 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			var got, want any
			err := boundedyaml.Unmarshal([]byte(c.text), &got)
			if c.says != "" {
				require.ErrorContains(t, err, c.says)
				require.Nil(t, got)
				return
			}
			require.NoError(t, err)
			require.NoError(t, yaml.Unmarshal([]byte(c.text), &want))
			require.Equal(t, want, got)
		})
	}
}

// What is taken is never much more than what was written, whatever it is.
func FuzzUnmarshal(f *testing.F) {
	for _, text := range []string{"a: 1", "a: &a x\nb: *a", nested("x", 3), nested("[y, z]", 9), "&a [*a]", "a: &a {b: 1}\nc: {<<: *a}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var v any
		if boundedyaml.Unmarshal(text, &v) != nil {
			return
		}
		out, err := yaml.Marshal(v)
		// An indentation for each level, and escapes of four bytes.
		if err == nil && len(out) > 64*(len(text)+2*boundedyaml.MaxAliased) {
			t.Errorf("%d bytes of %d", len(out), len(text))
		}
	})
}
