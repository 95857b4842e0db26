package drill_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate/plan/drill"
)

// hostText is what a host may send: text, and what a terminal or a page obeys.
func hostText() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.OneOf(
			rapid.SampledFrom([]string{
				"\x1b[2J", "\x1b]0;owned\a", "\u009b31m", "\x9b31m", "\x00", "\x7f", "\r", "\b", "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\U000e0041", "\xff",
				"<script>", "\"", "&", "\n", "\t", "日本", "cp-1",
			}),
			rapid.String(),
		), 0, 6).Draw(t, "parts")
		return strings.Join(parts, "")
	})
}

// fill puts host text into every string that a value holds, two elements into
// each list and map, and times and numbers that make it worth showing.
func fill(t *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(hostText().Draw(t, "text"))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(rapid.Int64Range(1700000000, 1700000100).Draw(t, "time"), 0).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, key)
			fill(t, value)
			v.SetMapIndex(key, value)
		}
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64Range(0, 1000).Draw(t, "number"))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64Range(0, 1000).Draw(t, "number"))
	case reflect.Float64:
		v.SetFloat(20)
	default:
		t.Fatalf("no %s is filled", v.Kind())
	}
}

func requireShowable(t require.TestingT, text string, besides string) {
	bad := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && !strings.ContainsRune(besides, r) })
	if bad >= 0 {
		require.Fail(t, "not to be shown", "%q", text[bad:min(len(text), bad+40)])
	}
}

// Nothing that a host can put into any field of what the package makes reaches a
// terminal or a browser as it is: text, page, dry run and errors.
func TestTextFormsEscapeControlCharacters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r drill.Report
		fill(t, reflect.ValueOf(&r).Elem())
		requireTerminal(t, r.Text())
		requireShowable(t, page(t, &r), "\n\u00a0\u202f") // figures have spaces that do not break
		for i := range r.Results {
			r.Results[i].Verdict = drill.Violated
		}
		requireTerminal(t, r.Text())

		var p drill.Plan
		fill(t, reflect.ValueOf(&p).Elem())
		requireShowable(t, p.String(), "\n\t")

		text := hostText().Draw(t, "text")
		for _, err := range []error{
			&drill.BreakError{Op: "break", Fault: drill.StopEtcd, Host: "cp-1", Err: errors.New(text)},
			&drill.NotRedundantError{Problems: []string{text}},
			&drill.ReportSchemaError{Got: text},
		} {
			requireShowable(t, err.Error(), "")
		}
		_, err := drill.DecodeReport(strings.NewReader(text))
		requireShowable(t, err.Error(), "")
		_, err = drill.DecodeReport(strings.NewReader(fmt.Sprintf(`{"schema":%q,%q:1}`, drill.Schema, text)))
		requireShowable(t, err.Error(), "")
	})
}

// A page takes time in proportion to its report. Each of these took a time that
// grew with the square of a length: of a name (squeezed from its middle by one
// character after the other), of the number of hosts, of the number of results.
// With the figures here that is longer than any test may run.
func TestPageOfALongReport(t *testing.T) {
	one := func(change func(*drill.Report)) *drill.Report {
		r := sample()
		change(r)
		return r
	}
	long := strings.Repeat("n", 1<<20)
	for name, r := range map[string]*drill.Report{
		"long names": one(func(r *drill.Report) {
			r.Hosts = []string{long + "1", long + "2", strings.Repeat("日", 1<<18) + ".example.org"}
			r.Results[0].Owners[0].Host, r.Endpoint, r.Results[0].Scenario = long+"3", long, long
		}),
		"many hosts": one(func(r *drill.Report) {
			for i := range 20_000 {
				r.Hosts = append(r.Hosts, fmt.Sprintf("node-%d", i))
			}
			r.Results = r.Results[:1]
			r.Results[0].ServerReads = map[string]drill.Series{}
			for _, host := range r.Hosts[:4_000] {
				r.Results[0].ServerReads[host] = drill.Series{}
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			require.NotEmpty(t, page(t, r))
			require.NotEmpty(t, r.Text())
		})
	}
	require.Less(t, len(page(t, one(func(r *drill.Report) { r.Hosts = []string{long} }))), 1<<20, "a name is shown in part")
}
