package drill

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// record is everything that is seen while a drill runs.
type record struct {
	mu          sync.Mutex
	writes      []write
	reads       []request
	serverReads map[string][]request
	refused     map[string][]request
	seen        []observation
	// unprobed says which cut-off hosts could not be tried for refusals.
	unprobed  []string
	answers   []answer
	holdings  map[string][]holding
	uncertain map[string]time.Duration
	off       map[string][]outage
	cut       map[string][]span
}

// outage is a time in which a host was off.
type outage struct {
	// asked is when that was requested, or last seen otherwise; done is when it
	// was so for certain, zero if that is not known.
	asked, done time.Time
	// until is when it may have been on again, zero if it was not.
	until time.Time
}

func newRecord() *record {
	return &record{
		serverReads: map[string][]request{}, refused: map[string][]request{}, holdings: map[string][]holding{},
		uncertain: map[string]time.Duration{}, off: map[string][]outage{}, cut: map[string][]span{},
	}
}

// note changes the record.
func (r *record) note(change func(*record)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

// silent is how long a host may say nothing and be on all the same.
const silent = 3 * watchBeat

// rebooted notes that a host was off between its last word and now.
func (r *record) rebooted(host string, now time.Time) {
	said := r.holdings[host]
	if len(said) == 0 {
		return
	}
	r.off[host] = append(r.off[host], outage{asked: said[len(said)-1].at, until: now})
}

// lastWord is when a host last reported its state before a moment.
func (r *record) lastWord(host string, before time.Time) time.Time {
	var last time.Time
	for _, h := range r.holdings[host] {
		if h.at.Before(before) {
			last = later(last, h.at)
		}
	}
	return last
}

// offSpans are a host's outages until a moment. One starts with the beat that the
// host no longer sends, at the earliest when it was requested and at the latest
// when it was certain, and ends when the host speaks again.
func (r *record) offSpans(host string, end time.Time) []span {
	words := make([]time.Time, 0, len(r.holdings[host]))
	for _, h := range r.holdings[host] {
		words = append(words, h.at)
	}
	slices.SortFunc(words, time.Time.Compare)
	var out []span
	for _, o := range r.off[host] {
		s := span{to: o.until}
		if s.to.IsZero() {
			s.to = later(end, o.asked)
		}
		var last time.Time
		for _, w := range words {
			if w.After(o.asked) && w.Sub(later(last, o.asked)) > silent {
				s.to = earlier(s.to, w)
				break
			}
			if w.Before(s.to) {
				last = w
			}
		}
		s.from = later(o.asked, last.Add(watchBeat))
		if !o.done.IsZero() {
			s.from = later(o.asked, earlier(s.from, o.done))
		}
		if s.from.Before(s.to) {
			out = append(out, s)
		}
	}
	return out
}

// cutSpans are the times in which hosts were cut off, until a moment.
func (r *record) cutSpans(end time.Time) []HostSpan {
	var out []HostSpan
	for host, spans := range r.cut {
		for _, s := range spans {
			if s.to.IsZero() {
				s.to = later(end, s.from)
			}
			out = append(out, HostSpan{host, s.from, s.to})
		}
	}
	return out
}

// horizon is until when it is known who held the VIP: the last word of the host
// that has been silent longest, leaving out those that are off and those that are
// cut off from the clients.
func (r *record) horizon(hosts []Host, now time.Time) time.Time {
	end := now
	for _, h := range hosts {
		out := false
		for _, o := range r.off[h.Name] {
			out = out || o.until.IsZero()
		}
		for _, c := range r.cut[h.Name] {
			out = out || c.to.IsZero()
		}
		if !out {
			end = earlier(end, r.lastWord(h.Name, now))
		}
	}
	return end
}

// owners returns who held the VIP until a moment.
func (r *record) owners(hosts []Host, end time.Time) []HostSpan {
	var out []HostSpan
	for _, h := range hosts {
		out = append(out, ownerSpans(h.Name, r.holdings[h.Name], r.offSpans(h.Name, end), end)...)
	}
	return out
}

// missingMembers says which members of etcd are not known to be healthy.
func (r *record) missingMembers(hosts []Host, now time.Time) []string {
	last := map[string]answer{}
	for _, a := range slices.Backward(r.answers) {
		if _, seen := last[a.host]; !seen {
			last[a.host] = a
		}
		if len(last) == len(hosts) {
			break
		}
	}
	var problems []string
	for _, h := range hosts {
		switch a := last[h.Name]; {
		case a.err != "":
			problems = append(problems, fmt.Sprintf("the etcd member of %s is not healthy: %s", h.Name, a.err))
		case now.Sub(a.ended) > fresh:
			problems = append(problems, "the etcd member of "+h.Name+" does not answer")
		case a.members != len(hosts):
			problems = append(problems, fmt.Sprintf("etcd has %d members by the word of %s, want %d", a.members, h.Name, len(hosts)))
		}
	}
	return problems
}

// missingHolder says what is wrong with who holds the VIP.
func (r *record) missingHolder(hosts []Host, now time.Time) []string {
	var problems, holders []string
	for _, h := range hosts {
		switch last := r.latest(h.Name); {
		case now.Sub(last.at) > fresh:
			problems = append(problems, h.Name+" does not say whether it holds the VIP")
		case last.has:
			holders = append(holders, h.Name)
		}
	}
	if len(problems) == 0 && len(holders) != 1 {
		problems = append(problems, fmt.Sprintf("the VIP is held by %d hosts, want 1: %s", len(holders), strings.Join(holders, ", ")))
	}
	return problems
}

// latest is what a host said last.
func (r *record) latest(host string) holding {
	var last holding
	for _, h := range r.holdings[host] {
		if !h.at.Before(last.at) {
			last = h
		}
	}
	return last
}

// holder and leader are who holds the VIP and leads etcd now, as far as that is
// known.
func (r *record) holder(hosts []Host) string {
	for _, h := range hosts {
		if r.latest(h.Name).has {
			return h.Name
		}
	}
	return ""
}

func (r *record) leader() string {
	for _, a := range slices.Backward(r.answers) {
		if a.leader != "" {
			return a.leader
		}
	}
	return ""
}
