package progress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate/plan"
)

// screen is a terminal with what has scrolled off it: it takes what View sends
// and refuses all else.
type screen struct {
	t             require.TestingT
	width, height int
	lines         [][]rune
	row, col      int
	writes        int
}

func newScreen(t require.TestingT, width, height int) *screen {
	return &screen{t: t, width: width, height: height, lines: make([][]rune, 1)}
}

func (s *screen) size() (width, height int) { return s.width, s.height }

// top is the first row that is on the screen.
func (s *screen) top() int { return max(0, len(s.lines)-s.height) }

func (s *screen) down() {
	if s.row++; s.row == len(s.lines) {
		s.lines = append(s.lines, nil)
	}
}

func (s *screen) Write(p []byte) (int, error) {
	s.writes++
	require.True(s.t, utf8.Valid(p))
	for rest := string(p); rest != ""; {
		if esc, ok := strings.CutPrefix(rest, "\x1b["); ok {
			end := strings.IndexAny(esc, "AJm")
			require.GreaterOrEqual(s.t, end, 0, "%q", rest)
			s.control(esc[end], esc[:end])
			rest = esc[end+1:]
			continue
		}
		c, n := utf8.DecodeRuneInString(rest)
		rest = rest[n:]
		switch {
		case c == '\n':
			s.col = 0
			s.down()
		case c == '\r':
			s.col = 0
		default:
			require.GreaterOrEqual(s.t, c, ' ', "a control character")
			s.put(c)
		}
	}
	return len(p), nil
}

func (s *screen) control(what byte, n string) {
	switch what {
	case 'A':
		up, err := strconv.Atoi(n)
		require.NoError(s.t, err)
		require.Positive(s.t, up, "zero means one")
		s.row = max(s.top(), s.row-up)
	case 'J':
		require.Empty(s.t, n)
		require.Zero(s.t, s.col)
		s.lines = s.lines[:s.row+1]
		s.lines[s.row] = nil
	}
}

func (s *screen) put(c rune) {
	if s.col == s.width {
		s.col = 0
		s.down()
	}
	for len(s.lines[s.row]) <= s.col {
		s.lines[s.row] = append(s.lines[s.row], ' ')
	}
	s.lines[s.row][s.col] = c
	s.col++
}

// text returns all rows, those that scrolled off too.
func (s *screen) text() []string {
	var out []string
	for _, l := range s.lines {
		out = append(out, strings.TrimRight(string(l), " "))
	}
	return out
}

type nothing struct{}

func (nothing) Check(context.Context, *plan.Host) (plan.Diff, error) { return nil, nil }
func (nothing) Apply(context.Context, *plan.Host, plan.Diff) error   { return nil }

func planOn(t require.TestingT, hosts, steps int) *plan.Plan {
	var all []plan.Step
	for h := range hosts {
		for i := range steps {
			all = append(all, plan.Step{ID: plan.ID(fmt.Sprintf("s%d/h%d", i, h)), Host: fmt.Sprintf("h%d", h), Action: nothing{}})
		}
	}
	p, err := plan.New(all...)
	require.NoError(t, err)
	return p
}

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestTerminal(t *testing.T) {
	s := newScreen(t, 60, 10)
	v := newView(s, planOn(t, 2, 2), s.size)
	at := func(seconds int, e plan.Event) {
		e.Time = begin.Add(time.Duration(seconds) * time.Second)
		v.Observe(e)
	}
	at(0, plan.Event{Kind: plan.RunStarted})
	at(0, plan.Event{Kind: plan.StepUnfinished, Host: "h1", Title: "join", Message: "run X was interrupted"})
	at(0, plan.Event{Kind: plan.StepStarted, Host: "h0", Title: "install"})
	at(1, plan.Event{Kind: plan.StepProgress, Host: "h0", Title: "install", Message: "evil \x1b[2J\nmessage, and a very long one indeed it is"})
	require.Equal(t, []string{
		"   0.0s h1         left   join: run X was interrupted",
		"   1.0s h0         ...    install: evil \\x1b[2J",
		"  message, and a very long one indeed it is",
		"  h0         [                    ]  0/2  install: evil \\x1",
		"  h1         [                    ]  0/2  waiting",
		"",
	}, s.text())
	at(2, plan.Event{Kind: plan.StepRetrying, Host: "h0", Title: "install", Err: errors.New("no\n  way")})
	at(3, plan.Event{Kind: plan.StepStarted, Host: "h0", Title: "install"})
	at(4, plan.Event{Kind: plan.StepEnded, Host: "h0", Title: "install", Outcome: plan.Changed, Elapsed: 4 * time.Second})
	at(4, plan.Event{Kind: plan.StepEnded, Host: "h1", Title: "join", Outcome: plan.Failed})
	v.show(begin.Add(5*time.Second), "")
	require.Equal(t, []string{
		"   0.0s h1         left   join: run X was interrupted",
		"   1.0s h0         ...    install: evil \\x1b[2J",
		"  message, and a very long one indeed it is",
		"   2.0s h0         again  install: no",
		"  way",
		"   4.0s h0         done   install (4.0s)",
		"   4.0s h1         FAILED join",
		"  h0         [==========          ]  1/2  waiting",
		"  h1         [==========          ]  1/2  failed",
		"",
	}, s.text())
	at(6, plan.Event{Kind: plan.RunEnded, Err: errors.New("x"), Summary: &plan.Summary{Steps: 4, Elapsed: 6 * time.Second,
		Outcomes: map[plan.Outcome]int{plan.Changed: 1, plan.Failed: 1}, RoundTrips: map[string]int{"h1": 1, "h0": 3}}})
	require.Equal(t, []string{
		"  h1         [==========          ]  1/2  failed", "",
		"4 steps in 6.0s: 1 changed, 1 failed",
		"round trips: h0 3, h1 1", "",
	}, s.text()[8:])
	before := s.writes
	v.show(begin, "")
	require.Equal(t, before+1, s.writes, "a frame is one write")
}

// What is printed once stays, in order, and the hosts are once below it, however
// many hosts there are and whatever they say; a terminal that changes its size
// meanwhile loses nothing of what was printed.
func TestEveryMessageIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts := rapid.IntRange(1, 40).Draw(t, "hosts")
		resizes := rapid.Bool().Draw(t, "resizes")
		s := newScreen(t, rapid.IntRange(40, 120).Draw(t, "width"), rapid.IntRange(1, 30).Draw(t, "height"))
		v := newView(s, planOn(t, hosts, 3), s.size)
		var printed []string
		events := rapid.IntRange(1, 60).Draw(t, "events")
		for i := range events {
			e := plan.Event{Time: begin, Kind: plan.RunStarted}
			if i > 0 {
				e = plan.Event{
					Time: begin, Host: fmt.Sprintf("h%d", rapid.IntRange(0, hosts-1).Draw(t, "host")), Title: "t",
					Kind:    rapid.SampledFrom([]plan.EventKind{plan.StepStarted, plan.StepProgress, plan.StepEnded}).Draw(t, "kind"),
					Outcome: rapid.SampledFrom([]plan.Outcome{plan.Changed, plan.Unchanged, plan.Failed}).Draw(t, "outcome"),
					Message: rapid.OneOf(rapid.String(), rapid.Just(strings.Repeat("ö", 200))).Draw(t, "message"),
				}
			}
			if resizes && rapid.Bool().Draw(t, "resize") {
				s.width, s.height = rapid.IntRange(40, 120).Draw(t, "width"), rapid.IntRange(1, 30).Draw(t, "height")
			}
			v.Observe(e)
			if line := v.line(e); line != "" {
				printed = append(printed, strings.Split(strings.TrimSuffix(line, "\n"), "\n")...)
			}
			require.Zero(t, s.col, "the cursor is at the beginning of a row")
			require.Equal(t, len(s.lines)-1, s.row, "below all that was written")
		}
		// Long lines go on in the next row: without spaces and ends of rows each is
		// whole again.
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		rest, wrapped := squeeze(strings.Join(s.text(), "")), 0
		for _, line := range printed {
			_, after, found := strings.Cut(rest, squeeze(line))
			require.True(t, found, "%q lacks %q", s.text(), line)
			rest = after
			wrapped += max(1, (utf8.RuneCountInString(line)+s.width-1)/s.width)
		}
		if !resizes && s.height > 1 {
			require.Equal(t, wrapped+min(hosts, s.height-1)+1, len(s.text()), "%q", s.text())
		}
	})
}

// What is no terminal gets lines, without any control character, from a host or
// of the view's own.
func TestLinesElsewhere(t *testing.T) {
	var b bytes.Buffer
	v := New(&b, planOn(t, 2, 1))
	defer v.Close()
	for _, e := range []plan.Event{
		{Kind: plan.RunStarted, Time: begin},
		{Kind: plan.StepStarted, Host: "h0", Title: "quiet", Time: begin},
		{Kind: plan.StepProgress, Host: "h0", Title: "initialise the cluster", Message: "undoing what kubeadm has started", Time: begin},
		{Kind: plan.JournalFailed, Err: errors.New("full"), Time: begin},
		{Kind: plan.StepEnded, Host: "h0", Title: "look", Outcome: plan.WouldChange, Time: begin, Diff: plan.Diff{{Verb: "restart", Subject: "unit x", Disruptive: true}}},
		{Kind: plan.StepEnded, Host: "h1", Title: "look", Outcome: plan.Unknown, Time: begin},
		{Kind: plan.StepRetrying, Host: "h1", Title: "x", Err: errors.New("\x1b]0;owned\a\nmore"), Time: begin},
		{Kind: plan.RunEnded, Time: begin, Summary: &plan.Summary{Steps: 2}},
	} {
		v.Observe(e)
	}
	require.Equal(t, strings.Join([]string{
		"   0.0s h0         ...    initialise the cluster: undoing what kubeadm has started",
		"   0.0s            FAILED full",
		"   0.0s h0         would  look",
		"                            restart unit x  disruptive",
		"   0.0s h1         ?      look: cannot be known before the steps ahead of it are done",
		"   0.0s h1         again  x: \\x1b]0;owned\\a",
		"  more",
		"",
		"2 steps in 0.0s: ",
		"changed nothing: every host is as described",
		"",
	}, "\n"), b.String())
}

func TestIsTerminal(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, and no terminal
	require.NoError(t, err)
	defer func() { require.NoError(t, null.Close()) }()
	none := func(string) string { return "" }
	require.Nil(t, terminal(null, none))
	require.Nil(t, terminal(&bytes.Buffer{}, none))
}

// On a real terminal, a pseudo one, it draws in place, unless it is a dumb one, and
// in colours unless the environment says no.
func TestPseudoTerminal(t *testing.T) {
	tty := openTerminal(t)
	env := map[string]string{"TERM": "xterm"}
	getenv := func(name string) string { return env[name] }
	size := terminal(tty, getenv)
	require.NotNil(t, size)
	width, height := size()
	require.Equal(t, []int{80, 24}, []int{width, height})
	env["TERM"] = "dumb"
	require.Nil(t, terminal(tty, getenv))
	for colour, want := range map[string]string{"": "\x1b[31mfailed\x1b[0m", "1": "failed"} {
		t.Setenv("TERM", "xterm")
		t.Setenv("NO_COLOR", colour)
		v := New(tty, planOn(t, 1, 1))
		require.NotNil(t, v.size)
		require.Equal(t, want, v.paint("31", "failed"))
		v.Observe(plan.Event{Kind: plan.RunStarted, Time: time.Now()})
		v.Close()
		v.Close()
	}
}
