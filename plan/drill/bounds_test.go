package drill

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
)

// A host that sends no line end costs a line's memory, and its next line is read.
func TestLinesOfAHostAreBounded(t *testing.T) {
	var got []string
	w := &lineWriter{line: func(line string) { got = append(got, line) }}
	flood := []byte(strings.Repeat("x", 64<<10))
	for range 100 {
		n, err := w.Write(flood)
		require.NoError(t, err)
		require.Equal(t, len(flood), n)
		require.LessOrEqual(t, cap(w.rest), 2*maxLine)
	}
	for _, part := range []string{"\n", "a", "", "b\n\nc", "\nd"} {
		_, err := w.Write([]byte(part))
		require.NoError(t, err)
	}
	require.Equal(t, []string{"ab", "", "c"}, got)
	got = nil
	whole := strings.Repeat("y", maxLine-1)
	_, err := w.Write([]byte(whole + "\n" + whole + "zz\nlast\n"))
	require.NoError(t, err)
	require.Equal(t, []string{"d" + whole, "last"}, got)
}

func TestNotesOfAHostAreBounded(t *testing.T) {
	r := newRecord()
	w := &ownerWatch{host: "a", vip: "10.0.0.100", record: r, now: time.Now}
	for range maxNotes + 10 {
		w.line("1772366400000000000 1", 0)
	}
	require.Len(t, r.holdings["a"], maxNotes)
}

// An API server that always says that more follows is left.
func TestListsAreBounded(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		fmt.Fprint(w, `{"metadata":{"continue":"more"},"items":[{"metadata":{"name":"same"}}]}`)
	}))
	defer server.Close()
	c := &client{base: server.URL, timeout: time.Minute}
	defer c.close()
	_, err := c.list(t.Context(), "drill")
	require.ErrorContains(t, err, "namespace drill has more than 1000000 objects")
	require.Equal(t, maxPages, asked)
}

// What a server says of its refusal is a line, and of bounded length.
func TestMessagesOfAServerAreBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"message":"\u001b[2J\u202e%s"}`, strings.Repeat("x", 1<<20))
	}))
	defer server.Close()
	c := &client{base: server.URL, timeout: time.Minute}
	defer c.close()
	err := c.do(t.Context(), http.MethodGet, "/", nil, nil)
	require.True(t, isStatus(err, http.StatusForbidden))
	require.True(t, strings.HasPrefix(err.Error(), `403 Forbidden: \x1b[2J\u202exxx`), err)
	require.Less(t, len(err.Error()), 1100)
}

// What goes into the report of an error is a line, and of bounded length.
func TestReportedErrorsAreBounded(t *testing.T) {
	l := &load{now: time.Now}
	r, ok := l.timed(t.Context(), func() error { return errors.New("\x1b[2J\n\u202e" + strings.Repeat("x", 1<<20)) })
	require.True(t, ok)
	require.True(t, strings.HasPrefix(r.err, `\x1b[2J \u202exxx`), r.err[:40])
	require.Len(t, r.err, maxMessage)
}

func TestKubeconfigIsBounded(t *testing.T) {
	_, err := FromKubeconfig(quorate.Sensitive(make([]byte, maxKubeconfig+1)))
	require.ErrorContains(t, err, "1048577 bytes, more than 1048576")
}

// A hundred thousand results take a time in proportion to them: names were copied
// once for each result, and the description for each block.
func TestManyResults(t *testing.T) {
	r := &Report{Began: at(0), Ended: at(100_000)}
	for i := range 100_000 {
		r.Results = append(r.Results, Result{
			Scenario: "s", Verdict: Passed, Began: at(i), Ended: at(i + 1),
			Owners: []HostSpan{{Host: fmt.Sprint(i)}, {Host: "a"}, {Host: "b"}},
		})
	}
	require.Len(t, r.roster().order, 100_002)
	require.Len(t, r.overview().Rows[0].Bars, 100_001)
}
