package drill

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The picture is laid out without knowing how wide it will be shown: lengths
// along the time are percentages, heights pixels, and text keeps its size. What
// text fits is reckoned for the narrowest plot of each layout; style.css says
// where one changes into the other.
const (
	narrowPlot = 280 // px; names are above their rows
	widePlot   = 440 // px; names are beside them
	glyph      = 6.8 // px, of a character in the picture

	markPitch  = 15 // between the labels of the moments
	barHeight  = 14
	laneGap    = 2
	labelRoom  = 20 // above each bar
	groupRoom  = 8  // between clients, servers and cluster
	axisRoom   = 26
	maxLanes   = 8
	labelLimit = 18 // columns of a row's name
)

// axis is the time that a picture shows.
type axis struct{ from, to time.Time }

// spanOf is from a beginning to an end, or as far as any of the moments goes
// where one of them is not known.
func spanOf(from, to time.Time, moments []time.Time) axis {
	a := axis{from, to}
	for _, m := range moments {
		switch {
		case m.IsZero():
		case from.IsZero() && (a.from.IsZero() || m.Before(a.from)):
			a.from = m
		}
		if !m.IsZero() && to.IsZero() && m.After(a.to) {
			a.to = m
		}
	}
	return a
}

// known reports whether there is any time to show.
func (a axis) known() bool { return !a.from.IsZero() && a.to.After(a.from) }

func (a axis) length() time.Duration { return a.to.Sub(a.from) }

// percent returns where on the axis a moment is, its ends for what is outside.
func (a axis) percent(t time.Time) float64 {
	return min(100, max(0, 100*float64(t.Sub(a.from))/float64(a.length())))
}

// clip returns a span's part on the axis; an end that is not known is the axis'.
func (a axis) clip(from, to time.Time) (start, end float64, ok bool) {
	if from.IsZero() {
		from = a.from
	}
	if to.IsZero() {
		to = a.to
	}
	if to.Before(a.from) || from.After(a.to) || to.Before(from) {
		return 0, 0, false
	}
	return a.percent(from), a.percent(to), true
}

// percentage is a length as SVG takes it.
func percentage(p float64) string {
	return strconv.FormatFloat(math.Round(p*1000)/1000, 'f', -1, 64) + "%"
}

// picture is a timeline, ready for the template.
type picture struct {
	ID          string
	Title, Desc string
	Height      int
	Top, Bottom int
	Bands       []bar
	Ticks       []label
	Marks       []mark
	Rows        []row
	// Kinds are the classes of bars that are in it, for its legend.
	Kinds map[string]bool
}

type row struct {
	Name, FullName string
	Y, Height      int
	// Hue is the class of the host's colour, empty for rows of no host.
	Hue         string
	Bars        []bar
	Labels      []label
	Dots        []bar
	Number, Sum string
	Bad         bool
}

// bar is a rectangle, or for Dots a point.
type bar struct {
	X, Width  string
	Y, Height int
	Class     string
	Tip       string
}

// label is text at a place along the time.
type label struct {
	X     string
	Y     int
	Class string
	Text  string
}

// mark is a moment: a line, and its name.
type mark struct {
	label
	Line, Dx int
}

// pictureOf draws a scenario; nil if nothing is known of its time.
func (r *Result) pictureOf(id string, hosts roster) *picture {
	a := spanOf(r.Began, r.Ended, r.allMoments())
	if !a.known() {
		return nil
	}
	p := &picture{ID: id, Title: "Timeline of " + cut(visible(r.Scenario), 60, "…"), Kinds: map[string]bool{}}
	p.Top = 4 + p.mark(a, r)
	y := p.Top
	add := func(w row) {
		w.Y = y + labelRoom
		if w.Height == 0 {
			w.Height = barHeight
		}
		for _, bars := range [][]bar{w.Bars, w.Dots} {
			for i := range bars {
				bars[i].Y += w.Y
				p.Kinds[bars[i].Class] = true
			}
		}
		for i := range w.Labels {
			w.Labels[i].Y += w.Y
		}
		y = w.Y + w.Height
		p.Rows = append(p.Rows, w)
	}

	writes := seriesRow(a, r, "writes", r.Writes, nil)
	for _, l := range r.Lost {
		if start, _, ok := a.clip(l.At, l.At); ok && !l.At.IsZero() {
			writes.Dots = append(writes.Dots, bar{X: percentage(start), Y: barHeight / 2, Class: "lost",
				Tip: fmt.Sprintf("lost: %s, acknowledged at %s", cut(visible(l.Object), 80, "…"), r.at(l.At))})
		}
	}
	add(writes)
	add(seriesRow(a, r, "reads", r.Reads, nil))
	y += groupRoom
	for _, host := range hosts.of(sortedKeys(r.ServerReads)) {
		w := seriesRow(a, r, "answer from the API server of "+host, r.ServerReads[host], r.expected(host))
		w.Name, w.FullName, w.Hue = hosts.short[host]+" API", "API server of "+cut(visible(host), 120, "…"), hosts.hue[host]
		w.down(a, r, host)
		add(w)
	}
	y += groupRoom
	add(r.vipRow(a, hosts))
	add(r.leaderRow(a, hosts))
	if len(r.Etcd.NoQuorum) > 0 {
		w := row{Name: "etcd quorum", Bad: true, Bars: []bar{whole("answered")}}
		w.Number, w.Sum = gapsSum(r.Etcd.NoQuorum, longest(r.Etcd.NoQuorum))
		w.gaps(a, r, "no quorum", r.Etcd.NoQuorum, nil)
		add(w)
	}
	p.Bottom = y + 6
	p.Height = p.Bottom + axisRoom
	p.Ticks = a.ticks(p.Bottom + 16)
	for i := range p.Marks {
		p.Marks[i].Line = p.Bottom
	}
	var desc strings.Builder
	desc.WriteString(sentence(r.moments()))
	for _, w := range p.Rows {
		desc.WriteString(" " + orElse(w.FullName, w.Name) + ": " + w.Number + w.Sum + ".")
	}
	p.Desc = desc.String()
	return p
}

// mark adds the moments, and returns the height that their names take: each has
// a line of its own, and above those whose lines it would reach over.
func (p *picture) mark(a axis, r *Result) int {
	y := 0
	var rightwards, leftwards []mark
	for _, m := range []struct {
		name string
		at   time.Time
	}{{"broken", r.BrokeAt}, {"healed", r.HealedAt}, {"redundant", r.Redundant}} {
		if m.at.IsZero() {
			continue
		}
		at := a.percent(m.at)
		l := mark{label: label{X: percentage(at), Class: m.name, Text: m.name + " " + r.at(m.at)}, Dx: 5}
		if at > 50 {
			l.Class, l.Dx = l.Class+" end", -5
			leftwards = slices.Insert(leftwards, 0, l)
			continue
		}
		l.Class += " start"
		rightwards = append(rightwards, l)
	}
	p.Marks = slices.Concat(rightwards, leftwards)
	for i := range p.Marks {
		y += markPitch
		p.Marks[i].Y = y - 4
	}
	band := func(class string, from, to time.Time) {
		if from.IsZero() {
			return
		}
		if start, end, ok := a.clip(from, to); ok && end > start {
			p.Bands = append(p.Bands, bar{X: percentage(start), Width: percentage(end - start), Class: class})
			p.Kinds[class] = true
		}
	}
	band("while-broken", r.BrokeAt, r.HealedAt)
	band("while-healing", r.HealedAt, r.Redundant)
	return y
}

// whole is a bar all along the axis.
func whole(class string) bar {
	return bar{X: "0%", Width: "100%", Height: barHeight, Class: class}
}

// allMoments are those of anything in the result.
func (r *Result) allMoments() []time.Time {
	out := []time.Time{r.Began, r.BrokeAt, r.HealedAt, r.Redundant, r.Ended}
	all := [][]Gap{r.Writes.Gaps, r.Reads.Gaps, r.Etcd.NoQuorum}
	for _, host := range sortedKeys(r.ServerReads) {
		all = append(all, r.ServerReads[host].Gaps)
	}
	for _, gaps := range all {
		for _, g := range gaps {
			out = append(out, g.From, g.To)
		}
	}
	for _, spans := range [][]HostSpan{r.Owners, r.Etcd.Leaders, r.Down} {
		for _, s := range spans {
			out = append(out, s.From, s.To)
		}
	}
	for _, d := range r.DoubleOwners {
		out = append(out, d.From, d.To)
	}
	return out
}

// expected says of a broken host's API server when it may well be silent: from
// the break until all is redundant again.
func (r *Result) expected(host string) func(Gap) bool {
	if !slices.Contains(r.Broken, host) || r.BrokeAt.IsZero() {
		return nil
	}
	return func(g Gap) bool {
		// The gap starts with the last answer before the break.
		return !g.To.Before(r.BrokeAt) && (r.Redundant.IsZero() || !g.From.After(r.Redundant))
	}
}

func seriesRow(a axis, r *Result, what string, s Series, expected func(Gap) bool) row {
	w := row{Name: what}
	switch {
	case s.Requests == 0 && len(s.Gaps) == 0:
		w.Sum, w.Bars = "not watched", []bar{whole("nothing")}
		return w
	case len(s.Gaps) == 0:
		w.Sum = "no gap"
	default:
		w.Number, w.Sum = gapsSum(s.Gaps, s.Longest)
		w.Bad = expected == nil || slices.ContainsFunc(s.Gaps, func(g Gap) bool { return !expected(g) })
	}
	w.Bars = []bar{whole("answered")}
	w.gaps(a, r, "no "+what, s.Gaps, expected)
	return w
}

// gapsSum says a row's gaps at its end: their number too, if there is room for it.
func gapsSum(gaps []Gap, longest time.Duration) (number, sum string) {
	if len(gaps) == 1 {
		return "", millis(longest)
	}
	return count(len(gaps), "gap") + ", ", "longest " + millis(longest)
}

func longest(gaps []Gap) time.Duration {
	var d time.Duration
	for _, g := range gaps {
		d = max(d, g.Length())
	}
	return d
}

// gaps draws them, and writes beside the longest how long they are, as far as
// that is legible.
func (w *row) gaps(a axis, r *Result, what string, gaps []Gap, expected func(Gap) bool) {
	byLength := slices.Clone(gaps)
	slices.SortStableFunc(byLength, func(x, y Gap) int { return cmp.Compare(y.Length(), x.Length()) })
	var taken []axisRange
	for _, g := range byLength {
		start, end, ok := a.clip(g.From, g.To)
		if !ok {
			continue
		}
		class := "gap"
		if expected != nil && expected(g) {
			class = "gap-expected"
		}
		tip := fmt.Sprintf("%s for %s from %s, %s failed", cut(visible(what), 80, "…"), millis(g.Length()), r.at(g.From), count(g.Failed, "request"))
		if g.Error != "" {
			tip += ": " + cut(visible(g.Error), 200, "…")
		}
		w.Bars = append(w.Bars, bar{X: percentage(start), Width: percentage(end - start), Height: barHeight, Class: class, Tip: tip})
		l, place := centred(millis(g.Length()), (start+end)/2, widePlot)
		if class == "gap" && !slices.ContainsFunc(taken, place.overlaps) {
			taken = append(taken, place)
			l.Y, l.Class = -5, l.Class+" wide ms"
			w.Labels = append(w.Labels, l)
		}
	}
}

// down underlines when a host was off or cut off.
func (w *row) down(a axis, r *Result, host string) {
	for _, d := range r.Down {
		if start, end, ok := a.clip(d.From, d.To); ok && d.Host == host {
			w.Bars = append(w.Bars, bar{X: percentage(start), Width: percentage(end - start), Y: barHeight + 1, Height: 3, Class: "down",
				Tip: fmt.Sprintf("%s off or cut off from %s to %s", cut(visible(host), 120, "…"), r.at(d.From), r.at(d.To))})
		}
	}
}

// axisRange is a stretch in percent.
type axisRange struct{ from, to float64 }

func (r axisRange) overlaps(o axisRange) bool { return r.from < o.to && o.from < r.to }

// centred puts text at a place, or as near as the plot's ends let it.
func centred(text string, at float64, plot int) (label, axisRange) {
	width := 100 * (float64(columns(text))*glyph + 8) / float64(plot)
	switch {
	case at < width/2:
		return label{X: "0%", Class: "start", Text: text}, axisRange{0, width}
	case at > 100-width/2:
		return label{X: "100%", Class: "end", Text: text}, axisRange{100 - width, 100}
	}
	return label{X: percentage(at), Class: "middle", Text: text}, axisRange{at - width/2, at + width/2}
}

// columns is how many characters wide a text is, those of wide scripts twice.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += width(r)
	}
	return n
}

func width(r rune) int {
	if r >= 0x1100 && r != '…' {
		return 2
	}
	return 1
}

// holders draws who held something: a lane for each that held it meanwhile.
func (w *row) holders(a axis, r *Result, what string, spans []HostSpan, hosts roster) {
	spans = slices.Clone(spans)
	slices.SortStableFunc(spans, func(x, y HostSpan) int { return x.From.Compare(y.From) })
	w.Bars = append(w.Bars, whole("nothing"))
	var lanes []float64 // where each is free again
	for _, s := range spans {
		start, end, ok := a.clip(s.From, s.To)
		if !ok {
			continue
		}
		lane := slices.IndexFunc(lanes, func(free float64) bool { return free <= start })
		full := lane < 0 && len(lanes) == maxLanes
		switch {
		case full:
			lane = maxLanes - 1
		case lane < 0:
			lane = len(lanes)
			lanes = append(lanes, end)
		}
		lanes[lane] = max(lanes[lane], end)
		y := lane * (barHeight + laneGap)
		w.Bars = append(w.Bars, bar{
			X: percentage(start), Width: percentage(end - start), Y: y, Height: barHeight, Class: "held " + hosts.hue[s.Host],
			Tip: fmt.Sprintf("%s %s from %s to %s", cut(visible(s.Host), 120, "…"), what, r.at(s.From), r.at(s.To)),
		})
		if full {
			continue
		}
		at := label{X: percentage((start + end) / 2), Y: y + barHeight - 3}
		w.Labels = append(w.Labels, at.inside((end-start)/100, hosts.short[s.Host], hosts.tag[s.Host])...)
	}
	w.Height = max(1, len(lanes))*(barHeight+laneGap) - laneGap
	w.Bars[0].Height = w.Height
}

func (r *Result) vipRow(a axis, hosts roster) row {
	w := row{Name: "VIP owner"}
	w.holders(a, r, "held the VIP", r.Owners, hosts)
	var double time.Duration
	for _, d := range r.DoubleOwners {
		double += d.To.Sub(d.From)
		start, end, ok := a.clip(d.From, d.To)
		if !ok {
			continue
		}
		w.Bars = append(w.Bars, bar{X: percentage(start), Width: percentage(end - start), Y: -2, Height: w.Height + 4, Class: "double",
			Tip: fmt.Sprintf("two owners, %s, from %s for %s", cut(visible(strings.Join(d.Hosts, ", ")), 120, "…"), r.at(d.From), millis(d.To.Sub(d.From)))})
	}
	switch n := changes(r.Owners); {
	case len(r.DoubleOwners) > 0:
		w.Sum, w.Bad = "two owners, "+millis(double), true
	case len(r.Owners) == 0:
		w.Sum = "not watched"
	default:
		w.Sum = times(n, "did not move", "moved")
	}
	return w
}

func (r *Result) leaderRow(a axis, hosts roster) row {
	w := row{Name: "etcd leader"}
	w.holders(a, r, "led etcd", r.Etcd.Leaders, hosts)
	switch n, ok := r.Etcd.elections(); {
	case ok && n == 0:
		w.Sum = "no election"
	case ok:
		w.Sum = count(n, "election")
	case len(r.Etcd.Leaders) == 0:
		w.Sum = "not watched"
	default:
		w.Sum = times(changes(r.Etcd.Leaders), "did not change", "changed")
	}
	return w
}

// changes counts how often another host follows.
func changes(spans []HostSpan) int {
	n := 0
	for i := range spans {
		if i > 0 && spans[i].Host != spans[i-1].Host {
			n++
		}
	}
	return n
}

func times(n int, never, verb string) string {
	switch n {
	case 0:
		return never
	case 1:
		return verb + " once"
	}
	return fmt.Sprintf("%s %d times", verb, n)
}

// ticks are at most six round times.
func (a axis) ticks(y int) []label {
	length := a.length()
	step := tickStep(length)
	var out []label
	for t := time.Duration(0); t <= length; t += step {
		at := 100 * float64(t) / float64(length)
		class := "middle"
		switch {
		case t == 0:
			class = "start"
		case at > 94:
			class = "end"
		}
		out = append(out, label{X: percentage(at), Y: y, Class: class, Text: tickText(t, step)})
		if t > math.MaxInt64-step {
			break
		}
	}
	return out
}

func tickStep(length time.Duration) time.Duration {
	for _, unit := range []time.Duration{time.Microsecond, time.Millisecond, time.Second} {
		for _, n := range []time.Duration{1, 2, 5, 10, 20, 50, 100, 200, 500} {
			if unit == time.Second && n > 20 {
				break // minutes go by 60
			}
			if length/(n*unit) < 6 {
				return n * unit
			}
		}
	}
	for _, n := range []time.Duration{30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 6 * 3600, 12 * 3600} {
		if length/(n*time.Second) < 6 {
			return n * time.Second
		}
	}
	day := 24 * time.Hour
	return (length/(5*day) + 1) * day
}

func tickText(t, step time.Duration) string {
	switch {
	case step%(24*time.Hour) == 0:
		return fmt.Sprintf("%d d", t/(24*time.Hour))
	case step%time.Hour == 0:
		return fmt.Sprintf("%d h", t/time.Hour)
	case step%time.Second == 0:
		return strings.TrimSuffix(elapsed(t), ".0")
	case step%time.Millisecond == 0:
		return fmt.Sprintf("%d ms", t/time.Millisecond)
	}
	return fmt.Sprintf("%d µs", t/time.Microsecond)
}

// millis is inMS for the page, digits in groups of three.
func millis(d time.Duration) string {
	s := inMS(d)
	if strings.HasSuffix(s, "h") {
		return s
	}
	const narrow = "\u202f" // no line breaks there
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + narrow + s[i:]
	}
	return s + "\u00a0ms"
}

// roster is how hosts are shown: in the report's order, each with a colour and
// a name that fits a row.
type roster struct {
	order []string
	place map[string]int // in order
	hue   map[string]string
	short map[string]string
	// tag distinguishes a host from the others where there is room for no more.
	tag map[string]string
}

func (r *Report) roster() roster {
	all := slices.Clone(r.Hosts)
	for i := range r.Results {
		s := &r.Results[i]
		all = append(append(all, sortedKeys(s.ServerReads)...), sortedKeys(s.Refused)...)
		for _, spans := range [][]HostSpan{s.Owners, s.Etcd.Leaders, s.Down} {
			for _, o := range spans {
				all = append(all, o.Host)
			}
		}
	}
	out := roster{place: map[string]int{}, hue: map[string]string{}, short: map[string]string{}, tag: map[string]string{}}
	for _, host := range all {
		if _, seen := out.hue[host]; !seen {
			out.hue[host] = fmt.Sprintf("hue-%d", len(out.order)%7)
			out.place[host] = len(out.order)
			out.order = append(out.order, host)
		}
	}
	domain := commonDomain(out.order)
	prefix := commonPrefix(out.order)
	for _, host := range out.order {
		out.short[host] = squeezed(visible(strings.TrimSuffix(host, domain)), labelLimit-len(" API"))
		out.tag[host] = squeezed(visible(strings.TrimSuffix(strings.TrimPrefix(host, prefix), domain)), 4)
	}
	return out
}

// of returns hosts in the report's order.
func (r roster) of(hosts []string) []string {
	out := slices.Clone(hosts)
	slices.SortStableFunc(out, func(x, y string) int {
		return cmp.Compare(r.place[x], r.place[y])
	})
	return out
}

// commonDomain is what every name has after its first dot, with the dot; empty
// if they differ.
func commonDomain(hosts []string) string {
	var domain string
	for i, host := range hosts {
		_, rest, _ := strings.Cut(host, ".")
		if rest == "" || i > 0 && rest != domain {
			return ""
		}
		domain = rest
	}
	return "." + domain
}

// squeezed takes from the middle of a name until it fits: names of hosts differ
// at either end. It looks at no more of a name than it returns.
func squeezed(s string, limit int) string {
	head := fitting(s, limit)
	if head == len(s) {
		return s
	}
	head = fitting(s[:head], (limit-1)/2)
	room := limit - 1 - columns(s[:head])
	tail := len(s)
	for tail > head {
		_, size := utf8.DecodeLastRuneInString(s[:tail])
		width := columns(s[tail-size : tail])
		if width > room {
			break
		}
		room -= width
		tail -= size
	}
	return s[:head] + "…" + s[tail:]
}

// fitting is how many bytes of a text take at most so many columns.
func fitting(s string, limit int) int {
	for i, r := range s {
		if limit -= width(r); limit < 0 {
			return i
		}
	}
	return len(s)
}

// overview draws the whole run: a block for each scenario, and where writes
// failed.
func (r *Report) overview() *picture {
	type block struct {
		n    int
		axis axis
	}
	var blocks []block
	var ends []time.Time
	for i := range r.Results {
		s := &r.Results[i]
		if a := spanOf(s.Began, s.Ended, s.allMoments()); a.known() {
			blocks = append(blocks, block{i, a})
			ends = append(ends, a.from, a.to)
		}
	}
	a := spanOf(r.Began, r.Ended, ends)
	if len(blocks) == 0 || !a.known() {
		return nil
	}
	p := &picture{ID: "run", Title: "The whole run", Top: 0, Kinds: map[string]bool{}}
	const height = 26
	w := row{Y: 2, Height: height, Bars: []bar{{X: "0%", Width: "100%", Y: 2, Height: height, Class: "nothing"}}}
	desc := strings.Builder{}
	desc.WriteString("One block for each scenario, in the order of the run.")
	for _, b := range blocks {
		s := &r.Results[b.n]
		start, end, ok := a.clip(b.axis.from, b.axis.to)
		if !ok {
			continue
		}
		number, verdict := strconv.Itoa(b.n+1), verdictClass(s.Verdict)
		w.Bars = append(w.Bars, bar{X: percentage(start), Width: percentage(end - start), Y: 2, Height: height, Class: "block " + verdict,
			Tip: fmt.Sprintf("%s. %s: %s", number, cut(visible(s.Scenario), 80, "…"), verdict)})
		fmt.Fprintf(&desc, " %s, %s, %s.", number, cut(visible(s.Scenario), 40, "…"), verdict)
		for _, g := range s.Writes.Gaps {
			if from, to, ok := a.clip(g.From, g.To); ok {
				w.Bars = append(w.Bars, bar{X: percentage(from), Width: percentage(to - from), Y: 2 + height - 6, Height: 6, Class: "gap",
					Tip: fmt.Sprintf("no writes for %s in %s", millis(g.Length()), cut(visible(s.Scenario), 80, "…"))})
				p.Kinds["gap"] = true
			}
		}
		at := label{X: percentage((start + end) / 2), Y: 18}
		w.Labels = append(w.Labels, at.inside((end-start)/100, number)...)
	}
	p.Desc = desc.String()
	p.Rows = []row{w}
	p.Bottom = height + 6
	p.Height = p.Bottom + axisRoom - 6
	p.Ticks = a.ticks(p.Bottom + 12)
	return p
}

// PlotHeight is that of what lies behind the rows.
func (p *picture) PlotHeight() int { return p.Bottom - p.Top }

// inside writes the first of some texts that fits a bar, of each layout. The
// bar is so much of the plot's width.
func (l label) inside(part float64, texts ...string) []label {
	fitting := func(plot int) string {
		for _, text := range texts {
			if text != "" && float64(columns(text))*glyph+8 <= part*float64(plot) {
				return text
			}
		}
		return ""
	}
	wide, narrow := fitting(widePlot), fitting(narrowPlot)
	out := func(text, class string) label {
		return label{X: l.X, Y: l.Y, Class: "middle inside" + class, Text: text}
	}
	switch {
	case wide == "" && narrow == "":
		return nil
	case wide == narrow:
		return []label{out(wide, "")}
	case narrow == "":
		return []label{out(wide, " wide")}
	}
	return []label{out(wide, " wide"), out(narrow, " narrow")}
}

// commonPrefix is what every name starts with; empty if there is but one.
func commonPrefix(hosts []string) string {
	if len(hosts) < 2 {
		return ""
	}
	prefix := hosts[0]
	for _, host := range hosts[1:] {
		n := 0
		for n < min(len(prefix), len(host)) && prefix[n] == host[n] {
			n++
		}
		prefix = prefix[:n]
	}
	return strings.ToValidUTF8(prefix, "")
}
