// Package progress shows a person how a run gets on: a line a host, redrawn
// in place, on a terminal; a line a step everywhere else.
package progress

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate/plan"
)

// View writes a run's events for a person. Its Observe belongs into
// plan.Runner.Observe.
type View struct {
	w      io.Writer
	live   bool
	colour bool
	begin  time.Time
	hosts  []string
	state  map[string]*hostState
	drawn  int
	total  map[string]int
}

type hostState struct {
	done    int
	changed int
	failed  bool
	title   string
	since   time.Time
}

// New makes a view of a plan. It draws in place if w is a terminal.
func New(w io.Writer, p *plan.Plan) *View {
	v := &View{w: w, hosts: p.Hosts(), state: map[string]*hostState{}, total: map[string]int{}}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		v.live = err == nil && info.Mode()&os.ModeCharDevice != 0
		v.colour = v.live
	}
	for _, h := range v.hosts {
		v.state[h] = &hostState{}
	}
	for _, s := range p.Steps() {
		v.total[s.Host]++
	}
	return v
}

// Observe takes one event.
func (v *View) Observe(e plan.Event) {
	if e.Kind == plan.RunStarted {
		v.begin = e.Time
	}
	v.update(e)
	if v.live {
		v.erase()
		v.line(e)
		v.draw(e.Time)
		if e.Kind == plan.RunEnded {
			v.drawn = 0
		}
	} else {
		v.line(e)
	}
	if e.Kind == plan.RunEnded {
		v.summary(e)
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
		if e.Outcome == plan.Changed || e.Outcome == plan.WouldChange {
			s.changed++
		}
	}
}

// line prints what stays on the screen: steps that changed or failed, and
// retries. Unchanged steps are counted, not told.
func (v *View) line(e plan.Event) {
	at := fmt.Sprintf("%6.1fs", e.Time.Sub(v.begin).Seconds())
	switch {
	case e.Kind == plan.StepRetrying:
		v.printf("%s %-10s %s %s: %v\n", at, e.Host, v.paint("33", "again "), e.Title, e.Err)
	case e.Kind != plan.StepEnded:
	case e.Outcome == plan.Changed:
		v.printf("%s %-10s %s %s (%.1fs)\n", at, e.Host, v.paint("32", "done  "), e.Title, e.Elapsed.Seconds())
	case e.Outcome == plan.WouldChange:
		v.printf("%s %-10s %s %s\n", at, e.Host, v.paint("36", "would "), e.Title)
		for _, c := range e.Diff {
			mark := ""
			if c.Disruptive {
				mark = v.paint("31", "  disruptive")
			}
			v.printf("%27s %s%s\n", "", c, mark)
		}
	case e.Outcome == plan.Unknown:
		v.printf("%s %-10s %s %s: cannot be known before the steps ahead of it are done\n", at, e.Host, "?     ", e.Title)
	case e.Outcome == plan.Failed:
		v.printf("%s %-10s %s %s\n", at, e.Host, v.paint("31", "FAILED"), e.Title)
	}
}

// draw shows the hosts at work, below the lines that stay.
func (v *View) draw(now time.Time) {
	v.drawn = 0
	for _, h := range v.hosts {
		s := v.state[h]
		what := s.title
		switch {
		case s.failed:
			what = v.paint("31", "failed")
		case what != "":
			what = fmt.Sprintf("%s %.0fs", what, now.Sub(s.since).Seconds())
		case s.done == v.total[h]:
			what = v.paint("32", "complete")
		default:
			what = "waiting"
		}
		v.printf("  %-10s %s %s\n", h, bar(s.done, v.total[h]), what)
		v.drawn++
	}
}

func bar(done, total int) string {
	const width = 20
	n := 0
	if total > 0 {
		n = done * width / total
	}
	return fmt.Sprintf("[%s%s] %2d/%-2d", strings.Repeat("=", n), strings.Repeat(" ", width-n), done, total)
}

func (v *View) erase() {
	if v.drawn > 0 {
		v.printf("\x1b[%dA\x1b[J", v.drawn)
	}
}

func (v *View) summary(e plan.Event) {
	s := e.Summary
	var trips []string
	for h, n := range s.RoundTrips {
		trips = append(trips, fmt.Sprintf("%s %d", h, n))
	}
	slices.Sort(trips)
	var counts []string
	for _, o := range []plan.Outcome{plan.Changed, plan.WouldChange, plan.Unchanged, plan.Unknown, plan.Failed, plan.NotReached} {
		if n := s.Outcomes[o]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, o))
		}
	}
	v.printf("\n%d steps in %.1fs: %s\n", s.Steps, s.Elapsed.Seconds(), strings.Join(counts, ", "))
	if len(trips) > 0 {
		v.printf("round trips: %s\n", strings.Join(trips, ", "))
	}
	if e.Err == nil && !s.Changed() {
		v.printf("changed nothing: every host is as described\n")
	}
}

func (v *View) paint(code, s string) string {
	if !v.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// printf ignores write errors: a view that cannot be shown is no reason to
// stop a run.
func (v *View) printf(format string, args ...any) { _, _ = fmt.Fprintf(v.w, format, args...) }
