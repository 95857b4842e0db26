package clusterfile

import (
	"fmt"
	"strings"
)

// suggestion names the known key that was probably meant, or all of them.
func suggestion(key string, known []string) string {
	best, least := "", len(key)+1
	for _, k := range known {
		d := distance(strings.ToLower(key), strings.ToLower(k))
		if d <= 1+len(k)/4 && d < least { // with more edits it is another word
			best, least = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %s?", best)
	}
	return "; known here: " + strings.Join(known, ", ")
}

// distance is the number of insertions, deletions and replacements of bytes
// between two words (Levenshtein's).
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a) // no key is as long
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
