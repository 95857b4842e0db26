package drill

import (
	"cmp"
	"slices"
	"time"
)

// What follows judges records and does nothing else: no clock, no network.

// request is one request as its sender saw it.
type request struct {
	began, ended time.Time
	// err is why it was not acknowledged, empty if it was.
	err string
}

// during keeps what began in a span of time.
func during[T any](all []T, began func(T) time.Time, from, to time.Time) []T {
	var out []T
	for _, r := range all {
		if at := began(r); !at.Before(from) && at.Before(to) {
			out = append(out, r)
		}
	}
	return out
}

// series sums up the requests that began from a moment on and before another.
// A gap lies between two acknowledgements next to each other if a failed
// request began between them. That counts a request by when it asked for
// service, not by when its sender gave up waiting.
func series(all []request, from, to time.Time) Series {
	rs := during(all, func(r request) time.Time { return r.began }, from, to)
	s := Series{Requests: len(rs)}
	acks := []time.Time{from}
	var failed []request
	for _, r := range rs {
		if r.err != "" {
			failed = append(failed, r)
			continue
		}
		s.Acknowledged++
		acks = append(acks, r.ended)
		s.SlowestAcknowledged = max(s.SlowestAcknowledged, r.ended.Sub(r.began))
	}
	slices.SortFunc(acks, time.Time.Compare)
	slices.SortFunc(failed, func(a, b request) int { return a.began.Compare(b.began) })
	for _, f := range failed {
		// The first acknowledgement after the request began ends the gap.
		after, _ := slices.BinarySearchFunc(acks, f.began, func(ack, began time.Time) int {
			if ack.After(began) {
				return 1
			}
			return -1
		})
		gap := Gap{From: acks[after-1], To: later(to, f.began), Failed: 1, Error: f.err}
		if after < len(acks) {
			gap.To = acks[after]
		}
		if last := len(s.Gaps) - 1; last >= 0 && s.Gaps[last].From.Equal(gap.From) {
			s.Gaps[last].Failed++
			continue
		}
		s.Gaps = append(s.Gaps, gap)
	}
	for _, g := range s.Gaps {
		s.Longest = max(s.Longest, g.Length())
		s.Total += g.Length()
	}
	return s
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// write is one attempt to set an object's value. Those to one object follow
// each other, none starts before the one before has ended for its sender, and
// each one's sequence number is higher; but one that was not acknowledged may
// still come about later, as long as no later one has.
type write struct {
	request
	object string
	seq    int
	value  string
}

// observation is what a linearizable read found.
type observation struct {
	object string
	// value is empty if the object was not there.
	value string
	// began is when the read did: it must show what was acknowledged by then.
	began time.Time
}

// lost returns the acknowledged writes that observations contradict: the object
// is not there, holds an older write's value, or one that was never written.
// Each is returned once, with what the first read to miss it found.
func lost(writes []write, seen []observation) []LostWrite {
	byObject := map[string][]write{}
	for _, w := range writes {
		byObject[w.object] = append(byObject[w.object], w)
	}
	var out []LostWrite
	listed := map[string]bool{}
	for _, o := range seen {
		found := 0
		for _, w := range byObject[o.object] {
			if w.value == o.value {
				found = w.seq
			}
		}
		for _, w := range byObject[o.object] {
			if w.err == "" && w.seq > found && w.ended.Before(o.began) && !listed[w.value] {
				listed[w.value] = true
				out = append(out, LostWrite{Object: w.object, At: w.ended, Want: w.value, Got: o.value})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b LostWrite) int { return a.At.Compare(b.At) })
	return out
}

// holding is what a host said of itself: whether it has the VIP.
type holding struct {
	at  time.Time
	has bool
}

// span is a time.
type span struct{ from, to time.Time }

// ownerSpans returns when a host held the VIP until a moment. What a host said
// holds until it says something else, or until it was off: a host without power
// has no address.
func ownerSpans(host string, said []holding, off []span, end time.Time) []HostSpan {
	events := slices.Clone(said)
	for _, o := range off {
		// Whatever it said while it was off was said before, or is no longer so.
		events = slices.DeleteFunc(events, func(h holding) bool { return !h.at.Before(o.from) && h.at.Before(o.to) })
		events = append(events, holding{at: o.from})
	}
	slices.SortStableFunc(events, func(a, b holding) int { return a.at.Compare(b.at) })
	var out []HostSpan
	var since time.Time
	has := false
	for _, e := range events {
		if e.at.After(end) {
			break
		}
		if e.has && !has {
			since = e.at
		}
		if !e.has && has {
			out = append(out, HostSpan{Host: host, From: since, To: e.at})
		}
		has = e.has
	}
	if has {
		out = append(out, HostSpan{Host: host, From: since, To: end})
	}
	return out
}

// doubleOwners returns the times in which two hosts held the VIP and neither was
// cut off from the clients. Two clocks cannot be compared more exactly than the
// sum of what each is uncertain by: a shorter overlap is none.
func doubleOwners(owners, cut []HostSpan, uncertain map[string]time.Duration) []DoubleOwner {
	reachable := slices.Clone(owners)
	for _, c := range cut {
		var rest []HostSpan
		for _, o := range reachable {
			rest = append(rest, without(o, c)...)
		}
		reachable = rest
	}
	var out []DoubleOwner
	for i, a := range reachable {
		for _, b := range reachable[i+1:] {
			from, to := later(a.From, b.From), earlier(a.To, b.To)
			if a.Host == b.Host || to.Sub(from) <= uncertain[a.Host]+uncertain[b.Host] {
				continue
			}
			hosts := []string{a.Host, b.Host}
			slices.Sort(hosts)
			out = append(out, DoubleOwner{Hosts: hosts, From: from, To: to})
		}
	}
	slices.SortFunc(out, func(a, b DoubleOwner) int {
		return cmp.Or(a.From.Compare(b.From), slices.Compare(a.Hosts, b.Hosts))
	})
	return out
}

// without is what is left of a span.
func without(o, c HostSpan) []HostSpan {
	if o.Host != c.Host || !c.From.Before(o.To) || !o.From.Before(c.To) {
		return []HostSpan{o}
	}
	var out []HostSpan
	if o.From.Before(c.From) {
		out = append(out, HostSpan{o.Host, o.From, c.From})
	}
	if c.To.Before(o.To) {
		out = append(out, HostSpan{o.Host, c.To, o.To})
	}
	return out
}

// clip returns the parts of spans that lie in a time, in the order of their
// beginnings.
func clip(all []HostSpan, from, to time.Time) []HostSpan {
	var out []HostSpan
	for _, s := range all {
		s.From, s.To = later(s.From, from), earlier(s.To, to)
		if s.From.Before(s.To) {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b HostSpan) int { return a.From.Compare(b.From) })
	return out
}

// answer is what one etcd member said, or did not.
type answer struct {
	request
	host string
	// leader is the host of the member that leads by its word, empty if it
	// knows none or did not answer healthily.
	leader      string
	term, index uint64
	members     int
}

// noQuorumLeast is the shortest time without a healthy answer that counts.
const noQuorumLeast = time.Second

// etcdRecord sums up what the members said of a time.
func etcdRecord(all []answer, from, broke, to time.Time) EtcdRecord {
	as := during(all, func(a answer) time.Time { return a.began }, from, to)
	slices.SortStableFunc(as, func(a, b answer) int { return a.ended.Compare(b.ended) })
	var r EtcdRecord
	rs := make([]request, 0, len(as))
	last := map[string]answer{} // of each member that spoke
	for _, a := range as {
		rs = append(rs, a.request)
		if a.term > 0 {
			last[a.host] = a
		}
		if a.ended.Before(broke) {
			r.TermBefore, r.IndexBefore = max(r.TermBefore, a.term), max(r.IndexBefore, a.index)
		}
		if a.err != "" || a.leader == "" {
			continue
		}
		r.Members = a.members
		if n := len(r.Leaders) - 1; n >= 0 {
			r.Leaders[n].To = a.ended
			if r.Leaders[n].Host == a.leader {
				continue
			}
		}
		r.Leaders = append(r.Leaders, HostSpan{Host: a.leader, From: a.ended, To: a.ended})
	}
	for _, a := range last {
		r.TermAfter, r.IndexAfter = max(r.TermAfter, a.term), max(r.IndexAfter, a.index)
	}
	for _, g := range series(rs, from, to).Gaps {
		if g.Length() >= noQuorumLeast {
			r.NoQuorum = append(r.NoQuorum, g)
		}
	}
	return r
}
