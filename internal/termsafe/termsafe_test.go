package termsafe_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

func TestForms(t *testing.T) {
	for name, c := range map[string]struct{ in, line, text, ascii string }{
		"empty":          {},
		"plain":          {in: "plain", line: "plain", text: "plain", ascii: "plain"},
		"other scripts":  {in: "naïve 日本", line: "naïve 日本", text: "naïve 日本", ascii: `na\u00efve \u65e5\u672c`},
		"lines":          {in: "a\n\tb", line: `a\n\tb`, text: "a\n\tb", ascii: `a\n\tb`},
		"overwritten":    {in: "bad\rgood", line: `bad\rgood`, text: `bad\rgood`, ascii: `bad\rgood`},
		"colour":         {in: "\x1b[31mred", line: `\x1b[31mred`, text: `\x1b[31mred`, ascii: `\x1b[31mred`},
		"title":          {in: "\x1b]0;x\a", line: `\x1b]0;x\a`, text: `\x1b]0;x\a`, ascii: `\x1b]0;x\a`},
		"C1 as a rune":   {in: "\u009b2J", line: `\u009b2J`, text: `\u009b2J`, ascii: `\u009b2J`},
		"C1 as a byte":   {in: "\x9b2J", line: `\x9b2J`, text: `\x9b2J`, ascii: `\x9b2J`},
		"NUL and DEL":    {in: "\x00\x7f", line: `\x00\x7f`, text: `\x00\x7f`, ascii: `\x00\x7f`},
		"bidi":           {in: "a\u202eb\u2066c", line: `a\u202eb\u2066c`, text: `a\u202eb\u2066c`, ascii: `a\u202eb\u2066c`},
		"zero width":     {in: "a\u200bb\ufeff", line: `a\u200bb\ufeff`, text: `a\u200bb\ufeff`, ascii: `a\u200bb\ufeff`},
		"tags":           {in: "a\U000e0041", line: `a\U000e0041`, text: `a\U000e0041`, ascii: `a\U000e0041`},
		"line separator": {in: "a\u2028b", line: `a\u2028b`, text: `a\u2028b`, ascii: `a\u2028b`},
		"replacement":    {in: "a\ufffdb", line: "a\ufffdb", text: "a\ufffdb", ascii: `a\ufffdb`},
		"cut in a rune":  {in: "é"[:1], line: `\xc3`, text: `\xc3`, ascii: `\xc3`},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.line, termsafe.Line(c.in))
			require.Equal(t, c.text, termsafe.Text(c.in))
			require.Equal(t, c.ascii, termsafe.ASCII(c.in))
		})
	}
}

func TestIndented(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "a\nb": "a\n  b", "a\n b\n\n\tc\n": "a\n b\n\n  \tc\n", "a\r\n\x1b": "a\\r\n  \\x1b",
	} {
		require.Equal(t, want, termsafe.Indented(in))
		require.Equal(t, want, termsafe.Indented(want))
	}
}

// Every character there is, between two that are kept.
func TestEveryCharacter(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		s := "<" + string(r) + ">" // U+FFFD for half of a surrogate pair
		requireSafe(t, s)
		if unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && termsafe.Line(s) != s {
			t.Fatalf("%U is printable and was escaped", r)
		}
	}
	for b := range 256 {
		requireSafe(t, string([]byte{'<', byte(b), '>'}))
	}
}

// A JSON text keeps its values, and holds nothing that a terminal obeys.
func TestJSON(t *testing.T) {
	all := make([]rune, 0, unicode.MaxRune)
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if utf8.ValidRune(r) {
			all = append(all, r)
		}
	}
	for _, want := range []string{"", "plain 日本", "\x1b[2J\u009b\u202e\u2028\x7f\x00\U000e0041\ufeff", string(all)} {
		text, err := json.Marshal([]string{want})
		require.NoError(t, err)
		safe := termsafe.JSON(text)
		require.Equal(t, string(safe), termsafe.Line(string(safe)))
		var got []string
		require.NoError(t, json.Unmarshal(safe, &got))
		require.True(t, got[0] == want)
	}
	require.Equal(t, `"\u202e\udb40\udc41"`, string(termsafe.JSON([]byte("\"\u202e\U000e0041\""))))
}

func TestSafeDoesNotCopyPrintableText(t *testing.T) {
	s := strings.Repeat("naïve 日本 ", 100)
	require.Zero(t, testing.AllocsPerRun(10, func() { _, _ = termsafe.Line(s), termsafe.Text(s) }))
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		mark  string
		want  string
	}{
		{"", 0, "...", ""},
		{"abc", 3, "...", "abc"},
		{"abcd", 3, "...", "..."},
		{"abcdef", 5, "...", "ab..."},
		{"日本語です", 5, "…", "日本語です"},
		{"日本語です", 4, "…", "日本語…"},
		{"abc", 2, "...", ".."},
		{"abc", -1, "…", ""},
		{"\xff\xfe\xfd", 2, "…", "\xff…"},
	} {
		require.Equal(t, c.want, termsafe.Cut(c.in, c.limit, c.mark), "%q %d", c.in, c.limit)
	}
}

func FuzzSafe(f *testing.F) {
	for _, s := range []string{"", "a\nb", "\x1b[2J", "\xc2", "\xed\xa0\x80", "\u202e", "\\x1b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { requireSafe(t, s) })
}

func requireSafe(t *testing.T, s string) {
	t.Helper()
	line, text, ascii := termsafe.Line(s), termsafe.Text(s), termsafe.ASCII(s)
	for _, got := range []string{line, text, ascii} {
		if !utf8.ValidString(got) {
			t.Fatalf("%q became %q, which is not UTF-8", s, got)
		}
	}
	if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) ||
		strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }) ||
		strings.ContainsFunc(ascii, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Fatalf("%q became %q, %q, %q", s, line, text, ascii)
	}
	if termsafe.Line(line) != line || termsafe.Text(text) != text || termsafe.ASCII(ascii) != ascii {
		t.Fatalf("%q is not the same when cleaned twice", s)
	}
	if n := len([]rune(termsafe.Cut(s, 7, "…"))); n > 7 {
		t.Fatalf("%q was cut to %d characters", s, n)
	}
}

// What cannot be seen makes no two texts that look alike.
func TestInvisibleLetters(t *testing.T) {
	for _, r := range "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u00ad\u200b\u2060\ufeff" {
		if got := termsafe.Line("a" + string(r) + "b"); strings.ContainsRune(got, r) {
			t.Errorf("%U is shown as it is", r)
		}
	}
	if heart := "\u2764\ufe0f"; termsafe.Line(heart) != heart {
		t.Error("a variation selector is escaped")
	}
}
