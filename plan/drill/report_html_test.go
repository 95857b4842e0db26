package drill_test

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate/plan/drill"
)

func page(t require.TestingT, r *drill.Report) string {
	var b bytes.Buffer
	require.NoError(t, r.HTML(&b))
	return b.String()
}

// The page is reviewed by eye, in a browser, when it changes.
func TestHTMLGolden(t *testing.T) {
	golden(t, "sample.html", []byte(page(t, sample())))
}

// markup returns every kind of tag in a page, with the names of its attributes.
func markup(t require.TestingT, page string) []string {
	page = regexp.MustCompile(`(?s)<style>.*?</style>`).ReplaceAllString(page, "<style></style>")
	var out []string
	for _, tag := range regexp.MustCompile(`<[^>]*>`).FindAllString(page, -1) {
		bare := regexp.MustCompile(`="[^"]*"`).ReplaceAllString(tag, "=")
		require.NotContains(t, bare, `"`, tag)
		out = append(out, bare)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// No string of a report becomes markup: a page has no tag and no attribute that
// the pages of harmless reports have not. The page of any report is whole, the
// same each time, and refers to nothing but itself.
func TestHTMLEscapesReports(t *testing.T) {
	var harmless []string
	for _, r := range []*drill.Report{sample(), clean(), aborted(), {}, {NotRun: []string{"a"}}} {
		harmless = append(harmless, markup(t, page(t, r))...)
	}
	for _, loads := range []string{" src", "srcset", " style=", " on", "<script", "<link", "<base", "<iframe", "<object", "<image", "<form"} {
		require.NotContains(t, strings.Join(harmless, "\n"), loads)
	}
	style, err := os.ReadFile("style.css")
	require.NoError(t, err)
	require.NotContains(t, string(style), "url(")
	require.NotContains(t, string(style), "@import")
	untouched := func(t require.TestingT, r *drill.Report) {
		got := page(t, r)
		require.Equal(t, got, page(t, r))
		require.True(t, strings.HasPrefix(got, "<!doctype html>\n"))
		require.True(t, strings.HasSuffix(got, "</html>\n"))
		for _, tag := range markup(t, got) {
			require.Contains(t, harmless, tag)
		}
		for _, href := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(got, -1) {
			require.True(t, strings.HasPrefix(href[1], "#"), href[1])
		}
	}
	untouched(t, hostile())
	rapid.Check(t, func(t *rapid.T) { untouched(t, reportGen(false).Draw(t, "report")) })
}

// Spans that are none of this time, ends before beginnings and an eternity have
// a picture whose every length is on the axis.
func TestPicturesInRange(t *testing.T) {
	length := regexp.MustCompile(` (?:x|x1|x2|cx|width)="(-?[0-9.eE+NaInf]+)%"`)
	rapid.Check(t, func(t *rapid.T) {
		for _, at := range length.FindAllStringSubmatch(page(t, reportGen(false).Draw(t, "report")), -1) {
			require.Regexp(t, `^([0-9]{1,2}(\.[0-9]{1,3})?|100)$`, at[1])
		}
	})
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestHTMLWriteError(t *testing.T) {
	require.ErrorContains(t, sample().HTML(full{}), "no space left")
}
