package drill

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// textWidth is the longest line of Text.
const textWidth = 100

// textItems is how many of a kind Text lists of a scenario before it only
// counts; JSON and HTML have more.
const textItems = 10

// Text shows the report to people at a terminal: how the drill ended, a line
// for each scenario, and of each that did not pass what failed and when. Spans
// are in milliseconds, rounded up. Lines are of at most 100 characters, all of
// them ASCII: others, and control characters, which hosts may have put there,
// are escaped. The text ends with a newline.
func (r *Report) Text() string {
	if r == nil {
		return "no drill was run\n"
	}
	var b strings.Builder
	line := func(indent, hanging int, format string, args ...any) {
		wrapped(&b, indent, hanging, fmt.Sprintf(format, args...))
	}
	line(0, 2, "%s: %s", strings.ToUpper(ascii(string(r.Verdict))), r.outcome())
	line(0, 2, "%s", ascii(r.subject()))
	if !r.Began.IsZero() {
		line(0, 2, "%s", r.period())
	}
	limits := make([]string, 0, len(r.Thresholds.limits()))
	for _, l := range r.Thresholds.limits() {
		limits = append(limits, l.Name+" "+l.Value)
	}
	line(0, 2, "limits: %s", strings.Join(limits, ", "))
	if len(r.Results) > 0 {
		b.WriteString("\n")
		r.table(&b)
	}
	for i := range r.Results {
		r.Results[i].text(line)
	}
	if len(r.NotRun) > 0 {
		line(0, 0, "")
		line(0, 2, "not run: %s", ascii(strings.Join(r.NotRun, ", ")))
	}
	return b.String()
}

// subject says what was drilled.
func (r *Report) subject() string {
	s := "endpoint " + orElse(r.Endpoint, "unknown")
	if r.Kubernetes != "" {
		s += ", Kubernetes " + r.Kubernetes
	}
	if len(r.Hosts) > 0 {
		s += ", " + count(len(r.Hosts), "control plane") + ": " + strings.Join(r.Hosts, ", ")
	}
	return s
}

// period says when that was.
func (r *Report) period() string {
	s := r.Began.UTC().Format("2006-01-02 15:04:05 UTC")
	if r.Ended.After(r.Began) {
		s += ", for " + rough(r.Ended.Sub(r.Began))
	}
	return s
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

const (
	tableGroups = "%-22s%18s%18s%7s%7s%6s%11s\n"
	tableRow    = "%-22s%9s%9s%9s%9s%7s%7s%6s%11s  %s\n"
)

func (r *Report) table(b *strings.Builder) {
	fmt.Fprintf(b, tableGroups, "", "no writes, ms", "no reads, ms", "lost", "two", "term", "time to")
	fmt.Fprintf(b, tableRow, "scenario", "longest", "total", "longest", "total", "writes", "owners", "rose", "redundancy", "verdict")
	for i := range r.Results {
		s := &r.Results[i]
		redundancy, term := unknown, unknown
		if d, ok := s.redundancy(); ok {
			redundancy = compact(d)
		}
		if n, ok := s.Etcd.elections(); ok {
			term = few(n)
		}
		writes, reads := s.Writes.spans(), s.Reads.spans()
		fmt.Fprintf(b, tableRow, cut(ascii(s.Scenario), 21, "~"), writes[0], writes[1], reads[0], reads[1],
			few(len(s.Lost)), few(len(s.DoubleOwners)), term, redundancy, cut(ascii(string(s.Verdict)), 8, "~"))
	}
}

// few returns a number that fits a narrow column.
func few(n int) string {
	if n < 0 || n > 9999 {
		return ">9999"
	}
	return strconv.Itoa(n)
}

// spans are the longest and the total span without service.
func (s Series) spans() [2]string {
	if s.Requests == 0 {
		return [2]string{unknown, unknown}
	}
	return [2]string{inMS(s.Longest), inMS(s.Total)}
}

// text reports what a scenario's line in the table does not.
func (r *Result) text(line func(indent, hanging int, format string, args ...any)) {
	if r.Verdict == Passed && len(r.Notes) == 0 {
		return
	}
	line(0, 0, "")
	line(0, 2, "%s %s: %s", ascii(r.Scenario), strings.ToUpper(ascii(string(r.Verdict))), ascii(r.Title))
	for _, v := range r.Violations {
		line(2, 4, "violated: %s", ascii(v))
	}
	for _, v := range r.Exceeded {
		line(2, 4, "exceeded: %s", ascii(v))
	}
	if r.Verdict != Passed {
		for i, l := range r.Lost {
			if i == textItems {
				line(2, 4, "lost: %d more", len(r.Lost)-i)
				break
			}
			line(2, 4, "lost: %s acknowledged at %s with %q, %s", ascii(l.Object), r.at(l.At), ascii(l.Want), l.found())
		}
		for i, d := range r.DoubleOwners {
			if i == textItems {
				line(2, 4, "two owners: %d times more", len(r.DoubleOwners)-i)
				break
			}
			line(2, 4, "two owners: %s at %s for %s ms", ascii(strings.Join(d.Hosts, ", ")), r.at(d.From), inMS(d.To.Sub(d.From)))
		}
		line(2, 4, "moments: %s", r.moments())
		gapsText(line, r, "writes", r.Writes.Gaps)
		gapsText(line, r, "reads", r.Reads.Gaps)
		gapsText(line, r, "etcd quorum", r.Etcd.NoQuorum)
	}
	for _, n := range r.Notes {
		line(2, 4, "note: %s", ascii(n))
	}
}

// moments says what happened when, as far as it did.
func (r *Result) moments() string {
	var out []string
	for _, m := range r.namedMoments() {
		out = append(out, m.Name+" "+m.Value)
	}
	return strings.Join(out, ", ")
}

// at returns a moment as seen from the scenario's beginning.
func (r *Result) at(t time.Time) string {
	if t.IsZero() || r.Began.IsZero() {
		return "an unknown time"
	}
	return elapsed(t.Sub(r.Began))
}

func (l LostWrite) found() string {
	if l.Got == "" {
		return "then not there"
	}
	return fmt.Sprintf("then %q", ascii(l.Got))
}

func gapsText(line func(indent, hanging int, format string, args ...any), r *Result, what string, all []Gap) {
	for i, g := range all {
		if i == textItems {
			line(2, 4, "no %s: %s more", what, count(len(all)-i, "gap"))
			return
		}
		why := ""
		if g.Error != "" {
			why = ": " + cut(ascii(g.Error), 400, "...")
		}
		line(2, 4, "no %s: %s ms from %s, %s failed%s", what, inMS(g.Length()), r.at(g.From), count(g.Failed, "request"), why)
	}
}

// wrapped writes a paragraph, its further lines at the hanging indent. A word
// that is longer than a line is broken.
func wrapped(b *strings.Builder, indent, hanging int, s string) {
	at := indent
	b.WriteString(strings.Repeat(" ", indent))
	newline := func() {
		b.WriteString("\n" + strings.Repeat(" ", hanging))
		at = hanging
	}
	for i, word := range strings.Fields(s) {
		switch {
		case i == 0:
		case at+1+len(word) > textWidth:
			newline()
		default:
			b.WriteByte(' ')
			at++
		}
		for at+len(word) > textWidth {
			room := textWidth - at
			b.WriteString(word[:room])
			word = word[room:]
			newline()
		}
		b.WriteString(word)
		at += len(word)
	}
	b.WriteString("\n")
}
