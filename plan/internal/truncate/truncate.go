// Package truncate bounds texts that are kept or shown.
package truncate

import (
	"strings"
	"unicode/utf8"
)

// These keep a record below MaxRecord also when JSON has to escape every byte
// of it, which takes six.
const (
	MaxChanges = 100
	MaxText    = 512
	MaxError   = 8 << 10
)

// cutMark is where a text has been cut.
const cutMark = "..."

// Text bounds a text, valid or made valid as UTF-8, by its beginning.
func Text(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	end := limit - len(cutMark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + cutMark
}

// Head bounds a text by its end.
func Head(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	s = s[len(s)-limit+len(cutMark):]
	for len(s) > 0 && !utf8.RuneStart(s[0]) {
		s = s[1:]
	}
	return cutMark + s
}
