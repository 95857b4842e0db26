package drill

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// What text and page say of the same figures is made here, once.

// unknown is printed where something was not measured or did not happen.
const unknown = "-"

// inMS returns a span in whole milliseconds, rounded up: a span without service is
// never shown too short. Beyond 27 hours, which is no failover any more, hours.
func inMS(d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond != 0 {
		ms++
	}
	if ms > 99_999_999 {
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	}
	return strconv.FormatInt(ms, 10)
}

// rough rounds a span to a tenth of a second, a second or a minute: 34.2 s,
// 12 min 34 s, 2 h 03 min.
func rough(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Minute:
		tenths := (d + 50*time.Millisecond) / (100 * time.Millisecond)
		return fmt.Sprintf("%s s", strings.TrimSuffix(fmt.Sprintf("%d.%d", tenths/10, tenths%10), ".0"))
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%d min %02d s", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d h %02d min", d/time.Hour, d%time.Hour/time.Minute)
}

// compact is rough without its blanks, for columns.
func compact(d time.Duration) string {
	return strings.NewReplacer(" min", "m", " h", "h", " s", "s", " ", "").Replace(rough(d))
}

// elapsed returns how far into a scenario something happened: 0:05.2, 1:02:03.4.
func elapsed(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	d = d.Round(100 * time.Millisecond)
	h, m := d/time.Hour, d%time.Hour/time.Minute
	s := fmt.Sprintf("%02d.%d", d%time.Minute/time.Second, d%time.Second/(100*time.Millisecond))
	if h > 0 {
		return fmt.Sprintf("%s%d:%02d:%s", sign, h, m, s)
	}
	return fmt.Sprintf("%s%d:%s", sign, m, s)
}

// limit words a threshold.
func limit(threshold time.Duration) string {
	if threshold < 0 {
		return "no limit"
	}
	if threshold < time.Second || threshold%time.Second != 0 && threshold < time.Minute {
		return inMS(threshold) + " ms"
	}
	return strings.TrimSuffix(strings.TrimSuffix(rough(threshold), " 00 s"), " 00 min")
}

// named is a figure with its name.
type named struct{ Name, Value string }

// limits words all thresholds.
func (t Thresholds) limits() []named {
	t = t.withDefaults()
	elections := "no limit"
	if t.Elections >= 0 {
		elections = strconv.Itoa(t.Elections)
	}
	return []named{
		{"no writes", limit(t.WriteGap)}, {"no reads", limit(t.ReadGap)}, {"outage", limit(t.Outage)},
		{"no quorum", limit(t.Quorum)}, {"redundancy", limit(t.Redundancy)}, {"elections", elections},
	}
}

// elections is by how much the raft term rose, and whether both terms are known.
func (e EtcdRecord) elections() (int, bool) {
	return e.Elections(), e.TermBefore > 0 && e.TermAfter >= e.TermBefore
}

// redundancy is TimeToRedundancy, and whether it happened.
func (r *Result) redundancy() (time.Duration, bool) {
	return r.TimeToRedundancy(), !r.HealedAt.IsZero() && !r.Redundant.Before(r.HealedAt)
}

// count returns "1 gap", "2 gaps"; other plurals are said.
func count(n int, one string, many ...string) string {
	if n == 1 {
		return "1 " + one
	}
	if len(many) > 0 {
		return strconv.Itoa(n) + " " + many[0]
	}
	return strconv.Itoa(n) + " " + one + "s"
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// outcome counts the scenarios: "8 of 9 scenarios passed".
func (r *Report) outcome() string {
	all, passed := len(r.Results)+len(r.NotRun), 0
	for i := range r.Results {
		if r.Results[i].Verdict == Passed {
			passed++
		}
	}
	if all == 0 {
		return "no scenario was run"
	}
	return fmt.Sprintf("%d of %s passed", passed, count(all, "scenario"))
}

// ascii is visible, for a terminal: every character takes one column.
func ascii(s string) string { return termsafe.ASCII(oneLine(s)) }

// visible shows what hosts and errors may have put into a string and a reader
// would not see or a terminal obey: see termsafe. Line breaks and tabs become
// blanks.
func visible(s string) string { return termsafe.Line(oneLine(s)) }

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return ' '
		}
		return r
	}, strings.TrimSpace(s))
}

// said is what an error says, with what a host put into it: one line, bounded.
func said(err error) string {
	if err == nil {
		return "no reason"
	}
	return cut(visible(err.Error()), maxMessage, "...")
}

// maxHostText bounds a name or a version that a host or a server sent, in
// characters.
const maxHostText = 200

// cut shortens to a number of characters, the last of which then says so.
func cut(s string, n int, mark string) string { return termsafe.Cut(s, n, mark) }

// namedMoments are the scenario's moments after its beginning, in words.
func (r *Result) namedMoments() []named {
	word := func(name string, t time.Time) named {
		if t.IsZero() {
			return named{name, "not recorded"}
		}
		return named{name, "at " + r.at(t)}
	}
	return []named{word("broken", r.BrokeAt), word("healed", r.HealedAt), word("redundant", r.Redundant), word("ended", r.Ended)}
}
