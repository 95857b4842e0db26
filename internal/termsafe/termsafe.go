// Package termsafe makes text of others safe to show. What a host, a server or a
// file sent may hold characters that a terminal obeys (ESC, C1), that end a line
// (NUL, CR, U+2028), that a reader does not see (zero width, tags) or that turn
// the direction of what follows (bidi controls). They are shown as Go escapes
// them, \x1b or \u202e, so that nothing is obeyed and nothing is lost.
//
// A page, a graph or a format with syntax of its own quotes the result once more.
//
// It is done where text is made, in one kind of place: the methods that return text
// for people (Error, String, Text, Mermaid, DOT, HTML, JSON) escape all that they
// return, so that nobody who shows it needs to know where it came from. Fields, such as
// an ExitError's Stderr, hold what the host sent, byte by byte. A message that has
// no fields, such as an Event's, is escaped when it is made. Programs pass what they
// print of errors that are not this module's through Text once more.
package termsafe

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line returns s as one line: every character that is not printable, as
// unicode.IsPrint has it, or that takes no place, such as a Hangul filler, is
// escaped, line breaks and tabs too, and so is every byte that is not UTF-8.
// Printable text is returned as it is, without a copy.
func Line(s string) string { return clean(s, printable) }

// printable is for what can be seen. A variation selector belongs to the character before it.
func printable(r rune) bool {
	return r < utf8.RuneSelf && ' ' <= r && r < 0x7f ||
		r >= utf8.RuneSelf && unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// Text is Line for text of several lines: line breaks and tabs stay. A carriage
// return does not, since it would let a line be written over.
func Text(s string) string {
	return clean(s, func(r rune) bool { return r == '\n' || r == '\t' || printable(r) })
}

// Indented is Text for one message: lines after the first that begin at the margin are
// moved in by two blanks, so that none can be taken for one of what the message
// is shown in. Twice is the same as once.
func Indented(s string) string {
	s = Text(s)
	if !strings.Contains(s, "\n") {
		return s
	}
	var b strings.Builder
	for i, line := range strings.SplitAfter(s, "\n") {
		if i > 0 && line != "" && line != "\n" && line[0] != ' ' {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// ASCII is Line where every character must take one column: whatever is not
// printable ASCII is escaped.
func ASCII(s string) string { return clean(s, func(r rune) bool { return ' ' <= r && r < 0x7f }) }

// JSON is Text for what a JSON encoder has written: characters that are not
// printable become its own escapes, so that a reader gets the same values.
func JSON(text []byte) []byte {
	keep := func(r rune) bool { return r == '\n' || r == '\t' || printable(r) }
	if unsafe(string(text), keep) == len(text) {
		return text
	}
	var b bytes.Buffer
	b.Grow(len(text) + 64)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case keep(r): // also U+FFFD, which encoders write for what is not UTF-8
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		text = text[size:]
	}
	return b.Bytes()
}

// Cut returns s if it has at most limit characters, else its beginning and the mark,
// limit characters in all. It reads no more of s than it returns. A limit that
// is shorter than the mark returns the beginning of the mark.
func Cut(s string, limit int, mark string) string {
	limit = max(limit, 0)
	marked := utf8.RuneCountInString(mark)
	if marked > limit {
		mark, marked = mark[:offset(mark, limit)], limit
	}
	keep := offset(s, limit-marked)
	if offset(s[keep:], marked) == len(s)-keep {
		return s
	}
	return s[:keep] + mark
}

// offset is where the n-th character of s starts, or its length.
func offset(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

func clean(s string, keep func(rune) bool) string {
	first := unsafe(s, keep)
	if first == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for first < len(s) {
		b.WriteString(s[:first])
		s = s[first:]
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[0]), 16)) // 0x80 or more: two digits
		} else {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
		first = unsafe(s, keep)
	}
	b.WriteString(s)
	return b.String()
}

// unsafe is where the first character to escape is, or the length.
func unsafe(s string, keep func(rune) bool) int {
	for i, r := range s {
		if !keep(r) {
			return i
		}
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return i
			}
		}
	}
	return len(s)
}
