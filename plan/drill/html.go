package drill

import (
	"embed"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/quorate-dev/quorate/internal/htmlpage"
)

//go:embed page.html style.css
var pageFiles embed.FS

// tableItems is how many rows a table of the page has at most.
const tableItems = 200

// HTML writes the report as one page: how the drill ended, a picture of the
// whole run and one of each scenario, and every figure as text too. The page
// needs nothing else, neither scripts nor anything from a network, and its
// Content-Security-Policy lets it load none. It follows the reader's light or
// dark scheme, fits telephones, and can be printed. The same report is always the
// same bytes; times are in UTC. Whatever strings the report holds are shown as
// text. The error is of w, or a *quorate.InvalidError of a nil Report.
func (r *Report) HTML(w io.Writer) error {
	if err := r.missing(); err != nil {
		return err
	}
	err := htmlpage.Write(w, pageFiles, func(sheet htmlpage.Sheet) any {
		view := r.view()
		view.Sheet = sheet
		return view
	})
	if err != nil {
		return fmt.Errorf("drill report: %w", err)
	}
	return nil
}

// pageView is what the page shows, in its order.
type pageView struct {
	htmlpage.Sheet

	Title, Headline, Lead string
	Verdict               string
	Facts                 []named
	Tiles                 []tile
	Overview              *picture
	Scenarios             []scenarioView
	NotRun                []string
	Limits                []named
}

// tile is one of the large figures.
type tile struct {
	Name, Value, Unit, Note string
	Bad                     bool
}

type scenarioView struct {
	ID, Number  string
	Name, Title string
	Verdict     string
	Figures     []figure
	Violations  []string
	Exceeded    []string
	Notes       []string
	Lost        []lostView
	MoreLost    int
	Picture     *picture
	Moments     []named
	Series      []seriesView
	Gaps        []gapView
	MoreGaps    int
	Holders     []holderView
	MoreHolders int
	Open        bool
}

// figure is a cell of the table of scenarios.
type figure struct {
	Name, Value string
	Bad         bool
}

type lostView struct{ Object, At, Want, Got string }

type seriesView struct {
	Name                                              string
	Requests, Answered, Gaps, Longest, Total, Slowest string
}

type gapView struct{ What, From, Length, Failed, Error string }

type holderView struct{ What, Host, From, To string }

// verdictClass is the verdict if it is one.
func verdictClass(v Verdict) string {
	switch v {
	case Passed, Exceeded, Violated, Aborted:
		return string(v)
	}
	return "unknown"
}

func (r *Report) view() *pageView {
	v := &pageView{
		Verdict: verdictClass(r.Verdict), Lead: sentence(r.outcome()), Limits: r.Thresholds.limits(), Overview: r.overview(), Tiles: r.tiles(),
		Title: "Drill of " + cut(visible(orElse(r.Endpoint, "a control plane")), 120, "…"),
	}
	v.Headline = map[string]string{
		"passed":   "Everything held.",
		"exceeded": "Every guarantee held. A limit did not.",
		"violated": "A guarantee was broken.",
		"aborted":  "The drill was cut short.",
		"unknown":  "Nothing is known of this drill.",
	}[v.Verdict]
	fact := func(name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, named{name, cut(visible(value), 300, "…")})
		}
	}
	fact("Endpoint", r.Endpoint)
	fact("Kubernetes", r.Kubernetes)
	fact("Control planes", strings.Join(r.Hosts, ", "))
	if !r.Began.IsZero() {
		v.Facts = append(v.Facts, named{"Began", r.Began.UTC().Format("2006-01-02 15:04:05 UTC")})
		if r.Ended.After(r.Began) {
			v.Facts = append(v.Facts, named{"Took", unbroken(rough(r.Ended.Sub(r.Began)))})
		}
	}
	for _, name := range r.NotRun {
		v.NotRun = append(v.NotRun, cut(visible(name), 120, "…"))
	}
	hosts := r.roster()
	for i := range r.Results {
		v.Scenarios = append(v.Scenarios, r.Results[i].view(i, hosts))
	}
	return v
}

// unbroken keeps a figure on one line.
func unbroken(s string) string { return strings.ReplaceAll(s, " ", "\u00a0") }

// inSeconds returns a span and its unit, for a tile.
func inSeconds(d time.Duration) (value, unit string) {
	if d >= 1000*time.Second {
		return strconv.FormatInt(int64(d/time.Minute), 10), "min"
	}
	return strings.TrimSuffix(strconv.FormatFloat(d.Seconds(), 'f', 1, 64), ".0"), "s"
}

func sentence(s string) string {
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

func (r *Report) tiles() []tile {
	var writes, reads, redundancy struct {
		d    time.Duration
		in   string
		seen bool
	}
	lost, acknowledged, double, elections, rose := 0, 0, 0, 0, 0
	for i := range r.Results {
		s := &r.Results[i]
		name := cut(visible(s.Scenario), 40, "…")
		if s.Writes.Requests > 0 {
			if writes.seen = true; s.Writes.Longest > writes.d {
				writes.d, writes.in = s.Writes.Longest, name
			}
		}
		if s.Reads.Requests > 0 {
			if reads.seen = true; s.Reads.Longest > reads.d {
				reads.d, reads.in = s.Reads.Longest, name
			}
		}
		if d, ok := s.redundancy(); ok {
			if redundancy.seen = true; d > redundancy.d {
				redundancy.d, redundancy.in = d, name
			}
		}
		if n, ok := s.Etcd.elections(); ok {
			elections += n
			rose++
		}
		lost += len(s.Lost)
		acknowledged += s.Writes.Acknowledged
		double += len(s.DoubleOwners)
	}
	longest := func(name string, d time.Duration, in string, seen bool) tile {
		if !seen {
			return tile{Name: name, Value: "–", Note: "not watched"}
		}
		value, unit, _ := strings.Cut(millis(d), "\u00a0")
		return tile{Name: name, Value: value, Unit: unit, Note: in}
	}
	t := []tile{
		longest("Longest without writes", writes.d, writes.in, writes.seen),
		longest("Longest without reads", reads.d, reads.in, reads.seen),
		{Name: "Acknowledged writes lost", Value: fmt.Sprint(lost), Note: fmt.Sprintf("of %d", acknowledged), Bad: lost > 0},
		{Name: "Two owners of the VIP", Value: fmt.Sprint(double), Unit: "times", Bad: double > 0},
		{Name: "Elections in etcd", Value: fmt.Sprint(elections), Note: "in " + count(rose, "scenario")},
		{Name: "Longest to redundancy", Value: "–", Note: "never seen"},
	}
	if double == 1 {
		t[3].Unit = "time"
	}
	if redundancy.seen {
		t[5].Value, t[5].Unit = inSeconds(redundancy.d)
		t[5].Note = redundancy.in
	}
	return t
}

func (r *Result) view(i int, hosts roster) scenarioView {
	id := fmt.Sprintf("scenario-%d", i+1)
	v := scenarioView{
		ID: id, Number: fmt.Sprint(i + 1), Name: cut(visible(orElse(r.Scenario, "unnamed")), 80, "…"), Title: cut(visible(r.Title), 300, "…"),
		Verdict: verdictClass(r.Verdict), Picture: r.pictureOf(id, hosts), Open: r.Verdict == Violated,
		Violations: shownAll(r.Violations), Exceeded: shownAll(r.Exceeded), Notes: shownAll(r.Notes), Figures: r.figures(),
	}
	v.Moments = r.namedMoments()
	for i, l := range r.Lost {
		if i == tableItems {
			v.MoreLost = len(r.Lost) - i
			break
		}
		v.Lost = append(v.Lost, lostView{cut(visible(l.Object), 120, "…"), r.at(l.At), cut(visible(l.Want), 120, "…"), cut(visible(orElse(l.Got, "not there")), 120, "…")})
	}
	add := func(name string, s Series) {
		v.Series = append(v.Series, seriesView{
			Name: name, Requests: fmt.Sprint(s.Requests), Answered: fmt.Sprint(s.Acknowledged), Gaps: fmt.Sprint(len(s.Gaps)),
			Longest: millis(s.Longest), Total: millis(s.Total), Slowest: millis(s.SlowestAcknowledged),
		})
		v.gaps(r, name, s.Gaps)
	}
	add("writes", r.Writes)
	add("reads", r.Reads)
	for _, host := range hosts.of(sortedKeys(r.ServerReads)) {
		add("API of "+cut(visible(host), 80, "…"), r.ServerReads[host])
	}
	for _, host := range hosts.of(sortedKeys(r.Refused)) {
		add("writes of "+cut(visible(host), 80, "…")+" to itself, cut off", r.Refused[host])
	}
	v.gaps(r, "etcd quorum", r.Etcd.NoQuorum)
	hold := func(what string, spans []HostSpan) {
		for _, s := range spans {
			if len(v.Holders) == tableItems {
				v.MoreHolders++
				continue
			}
			v.Holders = append(v.Holders, holderView{what, cut(visible(s.Host), 120, "…"), r.at(s.From), r.at(s.To)})
		}
	}
	hold("VIP", r.Owners)
	double := make([]HostSpan, 0, len(r.DoubleOwners))
	for _, d := range r.DoubleOwners {
		double = append(double, HostSpan{strings.Join(d.Hosts, " and "), d.From, d.To})
	}
	hold("VIP, two owners", double)
	hold("etcd leader", r.Etcd.Leaders)
	hold("off or cut off", r.Down)
	return v
}

func (v *scenarioView) gaps(r *Result, what string, gaps []Gap) {
	for _, g := range gaps {
		if len(v.Gaps) == tableItems {
			v.MoreGaps++
			continue
		}
		v.Gaps = append(v.Gaps, gapView{what, r.at(g.From), millis(g.Length()), fmt.Sprint(g.Failed), cut(visible(g.Error), 300, "…")})
	}
}

func shownAll(all []string) []string {
	out := make([]string, 0, len(all))
	for i, s := range all {
		if i == tableItems {
			return append(out, fmt.Sprintf("and %d more", len(all)-i))
		}
		out = append(out, cut(visible(s), 500, "…"))
	}
	return out
}

// figures are a scenario's cells in the table, after its name.
func (r *Result) figures() []figure {
	span := func(s Series, d time.Duration) string {
		if s.Requests == 0 {
			return "–"
		}
		return millis(d)
	}
	elections, redundancy := "–", "–"
	if n, ok := r.Etcd.elections(); ok {
		elections = fmt.Sprint(n)
	}
	if d, ok := r.redundancy(); ok {
		redundancy = unbroken(rough(d))
	}
	return []figure{
		{Name: "No writes, longest", Value: span(r.Writes, r.Writes.Longest)},
		{Name: "No writes, total", Value: span(r.Writes, r.Writes.Total)},
		{Name: "No reads, longest", Value: span(r.Reads, r.Reads.Longest)},
		{Name: "No reads, total", Value: span(r.Reads, r.Reads.Total)},
		{Name: "Writes lost", Value: fmt.Sprint(len(r.Lost)), Bad: len(r.Lost) > 0},
		{Name: "Two owners", Value: fmt.Sprint(len(r.DoubleOwners)), Bad: len(r.DoubleOwners) > 0},
		{Name: "Elections", Value: elections},
		{Name: "Redundant after", Value: redundancy},
	}
}
