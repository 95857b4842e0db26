package drill

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

func genRequests(t *rapid.T) []request {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) request {
		began := rapid.IntRange(0, 900).Draw(t, "began")
		r := request{began: at(began), ended: at(began + rapid.IntRange(1, 100).Draw(t, "took"))}
		if rapid.Bool().Draw(t, "failed") {
			r.err = "refused"
		}
		return r
	}), 0, 40).Draw(t, "requests")
}

// Every failed request lies in exactly one gap, no gap has an acknowledgement
// inside it, and gaps follow each other: so none is shorter than the time
// without service that the requests show.
func TestSeriesGaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := genRequests(t)
		from, to := at(0), at(1000)
		s := series(rs, from, to)
		failed, acknowledged := 0, 0
		for _, r := range rs {
			if r.err == "" {
				acknowledged++
				continue
			}
			failed++
			in := 0
			for _, g := range s.Gaps {
				if !r.began.Before(g.From) && r.began.Before(g.To) {
					in++
				}
			}
			require.Equal(t, 1, in, "a failed request in no gap or two")
		}
		counted, total, longest := 0, time.Duration(0), time.Duration(0)
		for i, g := range s.Gaps {
			counted += g.Failed
			total += g.Length()
			longest = max(longest, g.Length())
			for _, r := range rs {
				require.False(t, r.err == "" && r.ended.After(g.From) && r.ended.Before(g.To), "acknowledged in a gap")
			}
			require.True(t, i == 0 || !g.From.Before(s.Gaps[i-1].To))
		}
		require.Equal(t, failed, counted)
		require.Equal(t, len(rs), s.Requests)
		require.Equal(t, acknowledged, s.Acknowledged)
		require.Equal(t, total, s.Total)
		require.Equal(t, longest, s.Longest)
	})
}

// The order in which requests were recorded does not matter.
func TestSeriesOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := genRequests(t)
		for i := range rs {
			rs[i].began = rs[i].began.Add(time.Duration(i)) // no two begin at once
		}
		shuffled := rapid.Permutation(rs).Draw(t, "shuffled")
		require.Equal(t, series(rs, at(0), at(1000)), series(shuffled, at(0), at(1000)))
	})
}

func TestSeriesOpenGap(t *testing.T) {
	s := series([]request{
		{began: at(10), ended: at(12)},
		{began: at(20), ended: at(1020), err: "timed out"},
	}, at(0), at(500))
	require.Equal(t, []Gap{{From: at(12), To: at(500), Failed: 1, Error: "timed out"}}, s.Gaps)
}

// A server that applies or drops what was not acknowledged, in any way, loses
// nothing; one that goes back behind an acknowledged write is caught, with
// every write that it lost.
func TestLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var writes []write
		stored := 0 // sequence number of what the server holds
		type state struct {
			seq  int
			when time.Time
		}
		var history []state
		n := rapid.IntRange(1, 12).Draw(t, "writes")
		for seq := 1; seq <= n; seq++ {
			w := write{object: "o", seq: seq, value: fmt.Sprint("v", seq)}
			w.began, w.ended = at(seq*10), at(seq*10+5)
			switch rapid.IntRange(0, 2).Draw(t, "outcome") {
			case 0:
				stored = seq
			case 1:
				stored, w.err = seq, "timed out"
			default:
				w.err = "timed out"
			}
			writes = append(writes, w)
			history = append(history, state{stored, at(seq*10 + 6)})
		}
		value := func(seq int) string {
			if seq == 0 {
				return ""
			}
			return fmt.Sprint("v", seq)
		}
		var seen []observation
		for _, h := range history {
			seen = append(seen, observation{object: "o", value: value(h.seq), began: h.when})
		}
		require.Empty(t, lost(writes, seen))

		back := rapid.IntRange(0, stored).Draw(t, "back")
		var want []string
		for _, w := range writes {
			if w.err == "" && w.seq > back {
				want = append(want, w.value)
			}
		}
		var got []string
		for _, l := range lost(writes, append(seen, observation{object: "o", value: value(back), began: at(1000)})) {
			require.Equal(t, value(back), l.Got)
			got = append(got, l.Want)
		}
		require.Equal(t, want, got)
	})
}

// A value that nobody wrote counts as the loss of every acknowledged one.
func TestLostToAStranger(t *testing.T) {
	w := write{object: "o", seq: 1, value: "v1", request: request{began: at(0), ended: at(1)}}
	require.Len(t, lost([]write{w}, []observation{{object: "o", value: "x", began: at(2)}}), 1)
	require.Empty(t, lost([]write{w}, []observation{{object: "o", value: "", began: at(1)}}), "the read began before the acknowledgement came")
}

// Owner spans and double owners are those that looking at every millisecond
// finds.
func TestOwners(t *testing.T) {
	hosts := []string{"a", "b", "c"}
	rapid.Check(t, func(t *rapid.T) {
		const end = 60
		interval := func(label string) span {
			from := rapid.IntRange(0, end).Draw(t, label)
			return span{at(from), at(from + rapid.IntRange(1, 30).Draw(t, label+" length"))}
		}
		said, off := map[string][]holding{}, map[string][]span{}
		var cut, owners []HostSpan
		for _, h := range hosts {
			for ms := range end {
				if rapid.IntRange(0, 9).Draw(t, "says") == 0 {
					said[h] = append(said[h], holding{at(ms), rapid.Bool().Draw(t, "has")})
				}
			}
			if rapid.Bool().Draw(t, "off") {
				off[h] = []span{interval("off")}
			}
			if rapid.Bool().Draw(t, "cut") {
				s := interval("cut")
				cut = append(cut, HostSpan{h, s.from, s.to})
			}
			owners = append(owners, ownerSpans(h, said[h], off[h], at(end))...)
		}
		covers := func(spans []HostSpan, host string, now time.Time) bool {
			for _, s := range spans {
				if s.Host == host && !now.Before(s.From) && now.Before(s.To) {
					return true
				}
			}
			return false
		}
		doubles := doubleOwners(owners, cut, nil)
		has := map[string]bool{}
		for ms := range end {
			now := at(ms)
			var reachable []string
			for _, h := range hosts {
				isOff := false
				for _, o := range off[h] {
					isOff = isOff || !now.Before(o.from) && now.Before(o.to)
				}
				for _, s := range said[h] {
					if s.at.Equal(now) && !isOff {
						has[h] = s.has
					}
				}
				if isOff {
					has[h] = false
				}
				require.Equal(t, has[h], covers(owners, h, now), "%s at %d", h, ms)
				if has[h] && !covers(cut, h, now) {
					reachable = append(reachable, h)
				}
			}
			pairs := 0
			for _, d := range doubles {
				if !now.Before(d.From) && now.Before(d.To) {
					pairs++
					require.Subset(t, reachable, d.Hosts)
				}
			}
			require.Equal(t, len(reachable)*(len(reachable)-1)/2, pairs, "at %d", ms)
		}
	})
}

// An overlap within the clocks' uncertainty is none.
func TestDoubleOwnersUncertainty(t *testing.T) {
	owners := []HostSpan{{"a", at(0), at(105)}, {"b", at(100), at(200)}}
	require.Len(t, doubleOwners(owners, nil, map[string]time.Duration{"a": time.Millisecond}), 1)
	require.Empty(t, doubleOwners(owners, nil, map[string]time.Duration{"a": 2 * time.Millisecond, "b": 3 * time.Millisecond}))
}

func TestEtcdRecord(t *testing.T) {
	say := func(ms int, host, leader string, term, index uint64, err string) answer {
		return answer{request: request{at(ms), at(ms + 1), err}, host: host, leader: leader, term: term, index: index, members: 3}
	}
	r := etcdRecord([]answer{
		say(0, "a", "a", 2, 10, ""),
		say(100, "b", "a", 2, 11, ""),
		say(300, "b", "", 3, 11, "no leader"),
		say(400, "a", "", 0, 0, "refused"),
		say(1500, "b", "b", 4, 12, ""),
		say(1600, "c", "b", 4, 13, ""),
		say(1700, "a", "", 0, 0, "refused"),
		say(1800, "b", "b", 4, 14, ""),
	}, at(0), at(200), at(2000))
	require.Equal(t, EtcdRecord{
		TermBefore: 2, TermAfter: 4, IndexBefore: 11, IndexAfter: 14, Members: 3,
		Leaders:  []HostSpan{{"a", at(1), at(1501)}, {"b", at(1501), at(1801)}},
		NoQuorum: []Gap{{From: at(101), To: at(1501), Failed: 2, Error: "no leader"}},
	}, r)
	require.Equal(t, 2, r.Elections())
}
