// Package keyval reads lines of key=value, as systemctl show and scripts print them.
package keyval

import "strings"

// Parse splits "key=value" lines, as systemctl show and the recipe's own
// scripts print them.
func Parse(out []byte) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok {
			m[key] = value
		}
	}
	return m
}
