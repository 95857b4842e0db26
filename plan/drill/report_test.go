package drill_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/drill"
	"github.com/quorate-dev/quorate/plan/drill/drilltest"
)

var updateReport = flag.Bool("update-report", false, "write what the golden files should hold")

func reports() map[string]*drill.Report {
	return map[string]*drill.Report{"sample": sample(), "clean": clean(), "hostile": hostile(), "aborted": aborted(), "empty": {}}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *updateReport {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(string(want), string(got)))
}

// The text of a drill with every verdict, and of one that hardly began, is
// reviewed by eye when it changes.
func TestTextGolden(t *testing.T) {
	golden(t, "sample.txt", []byte(sample().Text()))
	golden(t, "aborted.txt", []byte(aborted().Text()))
}

// The JSON is a contract: programs read it.
func TestJSONGolden(t *testing.T) {
	b, err := sample().JSON()
	require.NoError(t, err)
	golden(t, "sample.json", b)
}

func requireTerminal(t require.TestingT, text string) {
	require.True(t, strings.HasSuffix(text, "\n"))
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		require.LessOrEqual(t, len(line), 100, "%q", line)
		require.Equal(t, -1, strings.IndexFunc(line, func(r rune) bool { return r < ' ' || r > '~' }), "%q", line)
	}
}

func TestTextEscapesControls(t *testing.T) {
	for name, r := range reports() {
		t.Run(name, func(t *testing.T) { requireTerminal(t, r.Text()) })
	}
}

// Whatever a report holds, possible or not, it can be shown.
func TestRenderAnyReport(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := reportGen(false).Draw(t, "report")
		requireTerminal(t, r.Text())
	})
}

func TestReportJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := reportGen(true).Draw(t, "report")
		b, err := r.JSON()
		require.NoError(t, err)
		read, err := drill.DecodeReport(bytes.NewReader(b))
		require.NoError(t, err, "%s", b)
		require.Empty(t, cmp.Diff(r, read, cmpopts.EquateEmpty()))
		again, err := read.JSON()
		require.NoError(t, err)
		require.Equal(t, string(b), string(again))
	})
}

// drilled is what a drill of a fake cluster reports.
func drilled(t *testing.T, flaws ...drilltest.Flaw) *drill.Report {
	t.Helper()
	var r *drill.Report
	inBubble(t, 3, flaws, func(t *testing.T, c *drilltest.Cluster) {
		cfg := c.Config()
		cfg.Scenarios = drill.Scenarios(drill.NetworkPartition, drill.EtcdLeaderPowerCut)
		r, _ = drill.Run(t.Context(), cfg) // a flaw is an error too
	})
	return r
}

// What the engine reports, of a cluster that holds and of one that does not, is
// what DecodeReport takes, and can be shown.
func TestDrillReport(t *testing.T) {
	for name, flaws := range map[string][]drilltest.Flaw{"sound": nil, "two owners": {drilltest.TwoOwners}} {
		t.Run(name, func(t *testing.T) {
			r := drilled(t, flaws...)
			b, err := r.JSON()
			require.NoError(t, err)
			read, err := drill.DecodeReport(bytes.NewReader(b))
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(r, read, cmpopts.EquateEmpty()))
			requireTerminal(t, r.Text())
			require.Equal(t, page(t, r), page(t, read))
		})
	}
}

// reportGen draws reports; plausible ones are those that DecodeReport takes.
func reportGen(plausible bool) *rapid.Generator[*drill.Report] {
	text := rapid.String()
	hosts := rapid.SliceOfN(text, 1, 3)
	return rapid.Custom(func(t *rapid.T) *drill.Report {
		now := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
		moment := func(name string) time.Time {
			if rapid.Bool().Draw(t, name+" unknown") {
				return time.Time{}
			}
			if plausible {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, name)))
				return now
			}
			return time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, name), rapid.Int64().Draw(t, name+" ns"))
		}
		number := func(name string) int {
			if plausible {
				return rapid.IntRange(0, math.MaxInt32).Draw(t, name)
			}
			return rapid.Int().Draw(t, name)
		}
		span := func(name string) time.Duration { return time.Duration(number(name)) }
		gaps := func() []drill.Gap {
			var out []drill.Gap
			for range rapid.IntRange(0, 3).Draw(t, "gaps") {
				out = append(out, drill.Gap{From: moment("from"), To: moment("to"), Failed: number("failed"), Error: text.Draw(t, "error")})
			}
			return out
		}
		oneSeries := func() drill.Series {
			s := drill.Series{Requests: number("requests"), Gaps: gaps(), Longest: span("longest"), Total: span("total"), SlowestAcknowledged: span("slowest")}
			s.Acknowledged = rapid.IntRange(0, max(0, s.Requests)).Draw(t, "acknowledged")
			return s
		}
		owners := func() []drill.HostSpan {
			var out []drill.HostSpan
			for range rapid.IntRange(0, 3).Draw(t, "spans") {
				out = append(out, drill.HostSpan{Host: text.Draw(t, "host"), From: moment("from"), To: moment("to")})
			}
			return out
		}
		r := &drill.Report{
			Schema: drill.Schema, Endpoint: text.Draw(t, "endpoint"), Hosts: hosts.Draw(t, "hosts"), Kubernetes: text.Draw(t, "version"), Began: moment("began"),
			Thresholds: drill.Thresholds{WriteGap: time.Duration(rapid.Int64().Draw(t, "limit")), Elections: rapid.Int().Draw(t, "elections")},
			Verdict:    drill.Violated, NotRun: rapid.SliceOfN(text, 1, 3).Draw(t, "not run"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "results") {
			s := drill.Result{
				Scenario: "s" + text.Draw(t, "scenario"), Title: text.Draw(t, "title"), Broken: hosts.Draw(t, "broken"),
				Began: moment("began"), BrokeAt: moment("broke"), HealedAt: moment("healed"), Redundant: moment("redundant"), Ended: moment("ended"),
				Writes: oneSeries(), Reads: oneSeries(), Owners: owners(),
				Etcd: drill.EtcdRecord{
					TermBefore: rapid.Uint64().Draw(t, "term"), TermAfter: rapid.Uint64().Draw(t, "term after"),
					IndexBefore: rapid.Uint64().Draw(t, "index"), Leaders: owners(), NoQuorum: gaps(), Members: number("members"),
				},
				Notes:   rapid.SliceOfN(text, 1, 2).Draw(t, "notes"),
				Verdict: rapid.SampledFrom([]drill.Verdict{drill.Passed, drill.Exceeded, drill.Violated, drill.Aborted}).Draw(t, "verdict"),
			}
			if rapid.Bool().Draw(t, "servers watched") {
				s.ServerReads = map[string]drill.Series{text.Draw(t, "server"): oneSeries(), text.Draw(t, "server"): oneSeries()}
			}
			if rapid.Bool().Draw(t, "cut off") {
				s.Refused, s.Down = map[string]drill.Series{text.Draw(t, "cut off"): oneSeries()}, owners()
			}
			if s.Verdict == drill.Violated {
				s.Lost = []drill.LostWrite{{Object: text.Draw(t, "object"), At: moment("lost"), Want: text.Draw(t, "want"), Got: text.Draw(t, "got")}}
				s.DoubleOwners = []drill.DoubleOwner{{Hosts: hosts.Draw(t, "owners"), From: moment("from"), To: moment("to")}}
				s.Violations = hosts.Draw(t, "violations")
			}
			r.Results = append(r.Results, s)
		}
		r.Ended = moment("ended")
		return r
	})
}

func TestDecodeReportRefuses(t *testing.T) {
	b, err := sample().JSON()
	require.NoError(t, err)
	good := string(b)
	_, err = drill.DecodeReport(strings.NewReader(good))
	require.NoError(t, err)
	for _, tt := range []struct{ name, old, with, says string }{
		{"another form", `drill/v1"`, `drill/v2"`, `its schema is "quorate.dev/drill/v2", this release reads "quorate.dev/drill/v1"`},
		{"no schema", `"schema"`, `"form"`, `its schema is ""`},
		{"an unknown field", `"endpoint"`, `"startpoint"`, "startpoint: is no field"},
		{"a field twice", `"endpoint":`, `"endpoint": "x", "Endpoint":`, "Endpoint: is no field: did you mean endpoint?"},
		{"a nested field twice", `"requests": 590,`, `"requests": 590, "requests": 591,`, "requests: is there twice"},
		{"a host twice", `"cp-2": {`, `"cp-1": {`, "results[0].serverReads.cp-1: is there twice"},
		{"text after it", "\n}\n", "\n}\n{}", "something follows the value"},
		{"a type", `"lost": [`, `"lost": 3, "x": [`, "x: is no field"},
		{"a type alone", `"requests": 590,`, `"requests": "590",`, "requests: is of the wrong type: string, want int"},
		{"a field in other case", `"lost": [`, `"LOST": [`, "LOST: is no field: did you mean lost?"},
		{"a field in letters that fold onto it", `"lost": [`, `"lo\u017ft": [], "lost": [`, `["lo\u017ft"]: is no field: did you mean lost?`},
		{"the schema twice", `"schema":`, `"schema": "x", "schema":`, "schema: is there twice"},
		{"not UTF-8", `"endpoint": "`, "\"endpoint\": \"\xff", "is not UTF-8"},
		{"no JSON", "{", "", "invalid character"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Contains(t, good, tt.old)
			_, err := drill.DecodeReport(strings.NewReader(strings.Replace(good, tt.old, tt.with, 1)))
			var refused *drill.ReportSchemaError
			require.ErrorAs(t, err, &refused)
			require.ErrorContains(t, err, tt.says)
		})
	}
	_, err = drill.DecodeReport(io.MultiReader(strings.NewReader(good), endless{}))
	require.ErrorContains(t, err, "more than 67108864")
	_, err = drill.DecodeReport(iotest.ErrReader(os.ErrDeadlineExceeded))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

// endless is a reader of blanks without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// A host may be named like another in capitals: names of hosts are no fields.
func TestDecodeReportDuplicateHosts(t *testing.T) {
	r := sample()
	r.Results[0].ServerReads["CP-1"] = drill.Series{Requests: 7}
	b, err := r.JSON()
	require.NoError(t, err)
	read, err := drill.DecodeReport(bytes.NewReader(b))
	require.NoError(t, err)
	require.Equal(t, r.Results[0].ServerReads, read.Results[0].ServerReads)
}

// Everything that cannot be is reported at once.
func TestDecodeReportProblems(t *testing.T) {
	r := sample()
	r.Verdict, r.Ended = drill.Passed, r.Began.Add(-time.Second)
	s := &r.Results[0]
	s.Verdict, s.Scenario = "fine", ""
	s.HealedAt = s.BrokeAt.Add(-time.Second)
	s.Writes.Requests, s.Writes.Gaps[0].To = 3, s.Writes.Gaps[0].From.Add(-1)
	s.Reads.Longest, s.Reads.Total, s.Reads.SlowestAcknowledged, s.Reads.Gaps[0].Failed = -1, -2, -3, -4
	s.Owners[1].To = s.Began
	s.Etcd.Members, s.Etcd.Leaders[0].To = -1, s.Began.Add(-1)
	s.ServerReads["cp-1"] = drill.Series{Requests: -1, Acknowledged: -2}
	r.Results[2].Refused["cp-2"], r.Results[2].Down[0].To = drill.Series{Acknowledged: 1}, r.Began
	r.Results[1].Verdict, r.Results[1].Exceeded = drill.Passed, []string{"x"}
	r.Results[1].Etcd.NoQuorum[0].To = r.Began
	r.Results[3].Verdict = drill.Exceeded
	r.Results[3].DoubleOwners[0].To = r.Began
	b, err := r.JSON()
	require.NoError(t, err)
	_, err = drill.DecodeReport(bytes.NewReader(b))
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	golden(t, "problems.txt", []byte(invalid.Error()+"\n"))
}

func TestJSONYearOutOfRange(t *testing.T) {
	r := sample()
	r.Ended = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err := r.JSON()
	require.Error(t, err)
}

// What is read can be written, and is then the same to a reader.
func FuzzDecodeReport(f *testing.F) {
	for _, r := range []*drill.Report{aborted(), {}} { // the larger ones are slow to mutate
		b, err := r.JSON()
		require.NoError(f, err)
		f.Add(b)
	}
	f.Add([]byte(`{"schema":"quorate.dev/drill/v1","results":[{"scenario":"x","verdict":"passed","lost":[{"want":"a"}],"lo\u017ft":[]}],"verdict":"passed"}`))
	f.Add([]byte(`{"schema":"quorate.dev/drill/v1","hosts":null,"results":[{"scenario":"x","verdict":"passed","serverReads":{"a":{},"A":{}}}],"verdict":"passed"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := drill.DecodeReport(bytes.NewReader(b))
		if err != nil {
			var schema *drill.ReportSchemaError
			var invalid *quorate.InvalidError
			require.True(t, errors.As(err, &schema) || errors.As(err, &invalid), "%T: %v", err, err)
			return
		}
		once, err := r.JSON()
		require.NoError(t, err)
		read, err := drill.DecodeReport(bytes.NewReader(once))
		require.NoError(t, err)
		twice, err := read.JSON()
		require.NoError(t, err)
		require.Equal(t, string(once), string(twice))
		requireTerminal(t, r.Text())
	})
}
