package frame

import (
	"fmt"
	"strings"
)

// MaxLine is the longest line that sshd can hand to a login shell: Linux takes
// 128 KiB for one argument of a program (MAX_ARG_STRLEN), its NUL among them.
const MaxLine = 128<<10 - 1

// wordSize bounds each word of a Line: old csh take no words over 1 KiB.
const wordSize = 1000

// Line is a command line by which any login shell runs a POSIX shell script:
// sh and its kin, csh, tcsh, fish, and others that know exec and single quotes.
//
// Shells agree on little, so that the line has only what they agree on: words in single
// quotes without quotes, backslashes before quotes, exclamation marks, line ends
// or bytes beyond ASCII. The script travels in the words, with everything else
// in it as \0ooo, which sh's printf decodes.
func Line(script string) (string, error) {
	var b strings.Builder
	b.WriteString(`exec sh -c 'IFS=;eval "$(printf %b "$*")"' sh`)
	size := wordSize
	for i := range len(script) {
		code := encoded(script[i])
		if size+len(code) > wordSize {
			if i > 0 {
				b.WriteByte('\'')
			}
			b.WriteString(" '")
			size = 0
		}
		b.WriteString(code)
		size += len(code)
	}
	b.WriteByte('\'')
	if b.Len() > MaxLine {
		return "", fmt.Errorf("a command line of %d bytes, of which a host's shell takes %d: pass them by standard input", b.Len(), MaxLine)
	}
	return b.String(), nil
}

func encoded(c byte) string {
	if c < ' ' || c > '~' || c == '\'' || c == '\\' || c == '!' {
		return fmt.Sprintf(`\0%03o`, c)
	}
	return string(rune(c))
}

// plain are the bytes that mean nothing to a POSIX shell anywhere in a word.
const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-"

// Quote is a word as POSIX shell text.
func Quote(word string) string {
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Words are quoted, each with a space before it.
func Words(argv []string) string {
	var b strings.Builder
	for _, word := range argv {
		b.WriteString(" " + Quote(word))
	}
	return b.String()
}
