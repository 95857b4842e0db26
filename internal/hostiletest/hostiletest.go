// Package hostiletest has what a host may send to whoever shows it, for tests that
// nothing of it comes through.
package hostiletest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"

	"pgregory.net/rapid"
)

// Marker is in each of the texts.
const Marker = "evil"

// Text is all of it at once: what a terminal obeys (a clipboard, a cursor that goes
// up, C1), ends of lines, directions, what no reader sees, bytes that are no
// UTF-8, and what pages and graphs obey.
const Text = Marker + terminals + pages

const (
	terminals = "\x1b]52;c;cm0gLXJm\a\x1b[1A\x1b[2K\r\x00\x7f\b\u009b31m\x9b\xe2\x80\u202egpj.exe\u2066\u200b\ufeff\u2028\u2029\U000e0041\u00ad"
	pages     = "`%%{init: {\"themeCSS\": \"\"}}%%\"><script>evil()</script><a href=\"javascript:evil()\">&lt;\n" + Marker + " line\n  click s0 href \"javascript:evil()\"\n];} \\"
)

// Pieces returns texts with the marker and a few of these, in any order.
func Pieces() *rapid.Generator[string] {
	pieces := rapid.SampledFrom([]string{
		Text, "\x1b[2J", "\x1b]0;evil\a", "\x9b2J", "\u009b2J", "\u202e", "\u2066", "\ufeff", "\U000e0041", "\r", "\x00", "\x7f", "\n", "\nevil line",
		"\n  evil line", "\t", "\\", `"`, "'", "`", "<", "&#27;", "%%{init: {}}%%", "]", "}", ";", "=", "|", ",", "\u2028", "\xff", "\xed\xa0\x80", "{{.}}", "$(evil)",
		"-1", "999999999999999999999999", strings.Repeat("\u202e", 200),
	})
	return rapid.Custom(func(t *rapid.T) string {
		return Marker + strings.Join(rapid.SliceOfN(rapid.OneOf(pieces, rapid.String()), 1, 4).Draw(t, "pieces"), "")
	})
}

// Problem says what a terminal would obey in a text, or that a line of it is the
// host's alone; empty if it may be shown.
func Problem(text string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, Marker+" line") {
			return fmt.Sprintf("a line of the host's own: %q", line)
		}
	}
	for _, r := range text {
		if !unicode.IsPrint(r) && r != '\n' && r != '\t' {
			return fmt.Sprintf("%U in %q", r, text)
		}
	}
	return ""
}

// Fill sets every exported text within a value, at any depth, and one element of each
// list and map. The value is a pointer.
func Fill(value any, text string) { fill(reflect.ValueOf(value), text, 0) }

func fill(v reflect.Value, text string, depth int) {
	if depth > 8 || !v.CanSet() && v.Kind() != reflect.Pointer {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		fill(v.Elem(), text, depth+1)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 0)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), text, depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text, depth+1)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, text, depth+1)
		fill(value, text, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Interface:
		if v.Type() == reflect.TypeFor[error]() {
			v.Set(reflect.ValueOf(errors.New(text)))
		}
	}
}
