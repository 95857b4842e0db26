// Package progress shows a person how a run gets on: a line a host, redrawn
// in place, on a terminal; a line a step everywhere else.
package progress

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
)

// View writes a run's events for a person. Its Observe belongs into
// plan.Runner.Observe, and its Close after the run.
type View struct {
	mu   sync.Mutex
	w    io.Writer
	size func() (width, height int) // nil unless it draws in place
	// colour says that what is drawn has colours.
	colour bool
	begin  time.Time
	hosts  []string
	state  map[string]*hostState
	total  map[string]int

	// frame is what the next write holds: each is one write, so that nothing
	// else gets in between.
	frame bytes.Buffer
	// drawn is how many rows the hosts take above the cursor, and width that of
	// the terminal when they were drawn.
	drawn, width int
	quit, gone   chan struct{}
}

type hostState struct {
	done   int
	failed bool
	title  string
	since  time.Time
}

// New makes a view of a plan. It draws in place if w is a terminal, unless TERM
// is "dumb", and in colours, unless NO_COLOR is set.
//
// Anything else gets a line for each step that changed or failed, each attempt
// that is followed by another, and each message of a step.
//
// The cursor is never hidden and always at the beginning of a row below all
// that has been written, so that a program may end at any moment, also by a
// signal, and leave the terminal as it was.
func New(w io.Writer, p *plan.Plan) *View {
	v := newView(w, p, terminal(w, os.Getenv))
	v.colour = v.size != nil && os.Getenv("NO_COLOR") == ""
	if v.size != nil {
		v.quit, v.gone = make(chan struct{}), make(chan struct{})
		go v.tick()
	}
	return v
}

// terminal returns a function for the size of a terminal that can be drawn on, or nil.
func terminal(w io.Writer, getenv func(string) string) func() (width, height int) {
	f, ok := w.(*os.File)
	if !ok || getenv("TERM") == "dumb" || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func() (width, height int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width == 0 || height == 0 { // a serial line does not know
			return 80, 24
		}
		return width, height
	}
}

func newView(w io.Writer, p *plan.Plan, size func() (width, height int)) *View {
	v := &View{w: w, size: size, hosts: p.Hosts(), state: map[string]*hostState{}, total: map[string]int{}}
	for _, h := range v.hosts {
		v.state[h] = &hostState{}
	}
	for _, s := range p.Steps() {
		v.total[s.Host]++
	}
	return v
}

// tick shows how the time goes by while nothing happens.
func (v *View) tick() {
	defer close(v.gone)
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-v.quit:
			return
		case now := <-t.C:
			v.mu.Lock()
			if v.drawn > 0 {
				v.show(now, "")
			}
			v.mu.Unlock()
		}
	}
}

// Close leaves what is on the terminal. The View is not to be used any more;
// a second Close does nothing.
func (v *View) Close() {
	if v.quit != nil {
		close(v.quit)
		<-v.gone
		v.quit = nil
	}
}

// Observe takes one event.
func (v *View) Observe(e plan.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if e.Kind == plan.RunStarted {
		v.begin = e.Time
	}
	v.update(e)
	v.show(e.Time, v.line(e))
	if e.Kind == plan.RunEnded {
		v.drawn = 0 // the hosts stay as they are
		v.frame.WriteString(v.summary(e))
		v.flush()
	}
}

func (v *View) update(e plan.Event) {
	s := v.state[e.Host]
	if s == nil {
		return
	}
	switch e.Kind {
	case plan.StepStarted:
		s.title, s.since = e.Title, e.Time
	case plan.StepProgress:
		s.title = e.Title + ": " + e.Message
	case plan.StepEnded:
		s.title = ""
		if e.Outcome != plan.NotReached {
			s.done++
		}
		s.failed = s.failed || e.Outcome == plan.Failed
	}
}

// show writes lines that stay and, on a terminal, the hosts below them.
func (v *View) show(now time.Time, lasting string) {
	if v.size == nil {
		v.frame.WriteString(lasting)
		v.flush()
		return
	}
	width, height := v.size()
	// Rows that were drawn on a wider terminal may take several now: they are
	// left where they are, lest too much is erased.
	if v.drawn > 0 && width >= v.width {
		fmt.Fprintf(&v.frame, "\x1b[%dA", v.drawn)
	}
	v.frame.WriteString("\r\x1b[J" + lasting)
	rows := v.rows(now, height-1)
	for _, r := range rows {
		text, end := r.fit(width - 1)
		v.frame.WriteString(text + v.paint(r.colour, end) + "\n")
	}
	v.drawn, v.width = len(rows), width
	v.flush()
}

// flush ignores write errors: a view that cannot be shown is no reason to stop a
// run.
func (v *View) flush() {
	if v.frame.Len() > 0 {
		_, _ = v.w.Write(v.frame.Bytes())
		v.frame.Reset()
	}
}

// line returns what stays on the screen: steps that changed or failed, what they
// said meanwhile, retries, and what earlier runs have left. Unchanged steps are
// counted, not shown.
func (v *View) line(e plan.Event) string {
	var b strings.Builder
	tell := func(colour, word, format string, args ...any) {
		fmt.Fprintf(&b, "%6.1fs %-10s %s %s\n", e.Time.Sub(v.begin).Seconds(), oneLine(e.Host), v.paint(colour, fmt.Sprintf("%-6s", word)), lines(fmt.Sprintf(format, args...)))
	}
	switch {
	case e.Kind == plan.StepUnfinished:
		tell("33", "left", "%s: %s", e.Title, e.Message)
	case e.Kind == plan.JournalFailed:
		tell("31", "FAILED", "%v", e.Err)
	case e.Kind == plan.StepProgress:
		tell("", "...", "%s: %s", e.Title, e.Message)
	case e.Kind == plan.StepRetrying:
		tell("33", "again", "%s: %v", e.Title, e.Err)
	case e.Kind != plan.StepEnded:
	case e.Outcome == plan.Changed:
		tell("32", "done", "%s (%.1fs)", e.Title, e.Elapsed.Seconds())
	case e.Outcome == plan.WouldChange:
		tell("36", "would", "%s", e.Title)
		for _, c := range e.Diff {
			mark := ""
			if c.Disruptive {
				mark = v.paint("31", "  disruptive")
			}
			fmt.Fprintf(&b, "%27s %s%s\n", "", oneLine(c.String()), mark)
		}
	case e.Outcome == plan.Unknown:
		tell("", "?", "%s: cannot be known before the steps ahead of it are done", e.Title)
	case e.Outcome == plan.Failed:
		tell("31", "FAILED", "%s", e.Title)
	}
	return b.String()
}

// row is one of the terminal's; its end may have a colour.
type row struct{ text, colour, end string }

// rows returns the hosts as they are, at most so many rows: those at work first.
func (v *View) rows(now time.Time, most int) []row {
	rank := func(h string) int {
		switch s := v.state[h]; {
		case s.title != "":
			return 0
		case s.failed:
			return 1
		case s.done < v.total[h]:
			return 2
		}
		return 3
	}
	shown := slices.Clone(v.hosts)
	left := 0
	if most = max(most, 1); len(shown) > most {
		slices.SortStableFunc(shown, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
		left = len(shown) - (most - 1)
		shown = shown[:most-1]
	}
	rows := make([]row, 0, len(shown)+1)
	for _, h := range shown {
		s := v.state[h]
		r := row{text: fmt.Sprintf("  %-10s %s ", oneLine(h), bar(s.done, v.total[h])), end: "waiting"}
		switch {
		case s.failed:
			r.colour, r.end = "31", "failed"
		case s.title != "":
			r.end = fmt.Sprintf("%s %.0fs", oneLine(s.title), max(0, now.Sub(s.since).Seconds()))
		case s.done == v.total[h]:
			r.colour, r.end = "32", "complete"
		}
		rows = append(rows, r)
	}
	if left > 0 {
		complete := 0
		for _, h := range v.hosts {
			if rank(h) == 3 {
				complete++
			}
		}
		rows = append(rows, row{text: fmt.Sprintf("  and %d hosts more; of all %d, %d complete", left, len(v.hosts), complete)})
	}
	return rows
}

// fit returns a row's two parts within a width. What is not ASCII may be two
// columns wide.
func (r row) fit(width int) (text, end string) {
	text, room := cut(r.text, max(width, 0))
	end, _ = cut(r.end, room)
	return text, end
}

func cut(s string, width int) (string, int) {
	for i, c := range s {
		w := 1
		if c > unicode.MaxASCII {
			w = 2
		}
		if width < w {
			return s[:i], 0
		}
		width -= w
	}
	return s, width
}

// lines makes a text such that can be printed, and none of its lines such that it
// can be taken for one of this view's: it may come from a host.
func lines(s string) string { return strings.ReplaceAll(termsafe.Indented(s), "\t", " ") }

// oneLine makes a text one row.
func oneLine(s string) string {
	return strings.NewReplacer("\t", " ", "\n", " ").Replace(termsafe.Text(s))
}

func bar(done, total int) string {
	const width = 20
	n := 0
	if total > 0 {
		n = min(done*width/total, width)
	}
	return fmt.Sprintf("[%s%s] %2d/%-2d", strings.Repeat("=", n), strings.Repeat(" ", width-n), done, total)
}

func (v *View) summary(e plan.Event) string {
	s := e.Summary
	if s == nil {
		return ""
	}
	var trips []string
	for h, n := range s.RoundTrips {
		trips = append(trips, fmt.Sprintf("%s %d", oneLine(h), n))
	}
	slices.Sort(trips)
	var counts []string
	for _, o := range []plan.Outcome{plan.Changed, plan.WouldChange, plan.Unchanged, plan.Unknown, plan.Failed, plan.NotReached} {
		if n := s.Outcomes[o]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, o))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d steps in %.1fs: %s\n", s.Steps, s.Elapsed.Seconds(), strings.Join(counts, ", "))
	if len(trips) > 0 {
		fmt.Fprintf(&b, "round trips: %s\n", strings.Join(trips, ", "))
	}
	if e.Err == nil && !s.Changed() {
		b.WriteString("changed nothing: every host is as described\n")
	}
	return b.String()
}

func (v *View) paint(code, s string) string {
	if !v.colour || code == "" || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
