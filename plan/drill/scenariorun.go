package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// scenarioRun is one scenario under way.
type scenarioRun struct {
	*drill
	s   Scenario
	res *Result
	// background outlives the ctx of Run.
	background context.Context
	// found are violations that no record shows.
	found []string
}

// errViolated: a guarantee does not hold; the record, or found, says which.
var errViolated = errors.New("a guarantee is violated")

const (
	// judgePause is the time between two looks at the guarantees.
	judgePause = 250 * time.Millisecond
	// settledWithin is how long the hosts' word on the VIP may take to come.
	settledWithin = 10 * time.Second
	// verifyTries is how often an API server may fail to list what was written.
	verifyTries = 3
)

// run breaks, holds, heals and judges. The error says what kept it from that:
// ctx's, or a *BreakError. A violation is no error.
func (r *scenarioRun) run(ctx context.Context) error {
	r.res.Began = r.Now()
	err := r.rounds(ctx)
	whole := !r.res.Redundant.IsZero() && ctx.Err() == nil
	if whole {
		wait(r.background, r.Settle)
		r.verify(ctx)
	}
	r.res.Ended = r.Now()
	if whole {
		r.awaitWord()
	}
	r.judge(r.res.Ended, !whole)
	switch {
	case len(r.res.Violations) > 0:
		r.res.Verdict = Violated
		r.emit(Event{Kind: GuaranteeViolated, Scenario: r.s.Name, Message: strings.Join(r.res.Violations, "; ")})
	case err != nil:
		r.res.Verdict = Aborted
		r.res.Notes = append(r.res.Notes, "ended early: "+said(err))
	case len(r.res.Exceeded) > 0:
		r.res.Verdict = Exceeded
	default:
		r.res.Verdict = Passed
	}
	// What was judged needs not be judged again with the next scenario.
	r.record.note(func(rec *record) {
		r.res.Notes = append(r.res.Notes, rec.unprobed...)
		rec.seen, rec.unprobed = nil, nil
	})
	if errors.Is(err, errViolated) {
		return nil
	}
	return err
}

func (r *scenarioRun) rounds(ctx context.Context) error {
	if !wait(ctx, r.Settle) {
		return context.Cause(ctx)
	}
	// Also what came between two scenarios keeps the next from beginning.
	patient, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	problems := r.awaitRedundant(patient, func() {})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(problems) > 0:
		return &NotRedundantError{problems}
	}
	var holder, leader string
	r.record.note(func(rec *record) { holder, leader = rec.holder(r.Hosts), rec.leader() })
	if !r.VIP.IsValid() {
		holder = r.Hosts[0].Name
	}
	rounds, err := r.s.pick(r.Hosts, holder, leader)
	if err != nil {
		return err
	}
	var names []string
	for _, h := range slices.Concat(rounds...) {
		names = append(names, h.Name)
	}
	r.res.Broken = names
	turn, held := "", ""
	if r.s.Target == EachInTurn {
		turn = " in turn"
	}
	if r.VIP.IsValid() {
		held = holder + " held the VIP, "
	}
	r.res.Title = fmt.Sprintf("%s%s (%s%s led etcd)", r.s.title(strings.Join(names, ", ")), turn, held, leader)
	r.emit(Event{Kind: ScenarioStarted, Scenario: r.s.Name, Message: r.res.Title})
	for _, hosts := range rounds {
		if err := r.round(ctx, hosts); err != nil {
			return err
		}
	}
	return nil
}

// round breaks hosts at once, holds, heals, and waits for redundancy.
func (r *scenarioRun) round(ctx context.Context, hosts []Host) error {
	asked := r.Now()
	if r.res.BrokeAt.IsZero() {
		r.res.BrokeAt = asked
	}
	err := r.breakHosts(ctx, hosts)
	if err == nil {
		since := r.Now()
		if r.s.Fault == Reboot {
			since = asked // the break is over when the host is back
		}
		err = r.hold(ctx, hosts, since)
	}
	r.res.HealedAt, r.res.Redundant = r.Now(), time.Time{}
	healErr := r.healHosts(hosts)
	if healErr != nil || (err != nil && !errors.Is(err, errViolated)) {
		return errors.Join(err, healErr)
	}
	return errors.Join(err, r.await(ctx))
}

// all does something to hosts at once.
func all(hosts []Host, do func(Host) error) error {
	errs := make([]error, len(hosts))
	var work sync.WaitGroup
	for i, h := range hosts {
		work.Go(func() { errs[i] = do(h) })
	}
	work.Wait()
	return errors.Join(errs...)
}

// breakHosts breaks and records from when on the hosts are off or cut off.
func (r *scenarioRun) breakHosts(ctx context.Context, hosts []Host) error {
	// An end of ctx in the middle of a break would leave it unknown what is
	// broken; healing follows at once.
	ctx, cancel := context.WithTimeout(ctx, r.Heal)
	defer cancel()
	return all(hosts, func(h Host) error {
		words, _ := r.s.Fault.words()
		r.emit(Event{Kind: Breaking, Scenario: r.s.Name, Host: h.Name, Message: fmt.Sprintf(words, h.Name)})
		asked := r.Now()
		var err error
		switch r.s.Fault {
		case PowerOff:
			r.record.note(func(rec *record) { rec.off[h.Name] = append(rec.off[h.Name], outage{asked: asked}) })
			err = r.Power.PowerOff(ctx, h)
			if err == nil {
				r.record.note(func(rec *record) { lastOf(rec.off[h.Name]).done = r.Now() })
			}
		case Reboot:
			r.record.note(func(rec *record) { rec.off[h.Name] = append(rec.off[h.Name], outage{asked: asked}) })
			err = r.Breaker.Break(ctx, r.breakOf(h))
			r.record.note(func(rec *record) {
				for i := range rec.off[h.Name] {
					if o := &rec.off[h.Name][i]; o.until.IsZero() {
						o.until = r.Now()
					}
				}
			})
		default:
			err = r.Breaker.Break(ctx, r.breakOf(h))
			if err == nil && r.s.Fault == Partition {
				r.record.note(func(rec *record) { rec.cut[h.Name] = append(rec.cut[h.Name], span{from: r.Now()}) })
			}
		}
		if err != nil {
			return &BreakError{"break", r.s.Fault, h.Name, err}
		}
		r.emit(Event{Kind: Broken, Scenario: r.s.Name, Host: h.Name})
		return nil
	})
}

func (r *scenarioRun) breakOf(h Host) Break {
	return Break{Fault: r.s.Fault, Host: h, Limit: r.s.limit()}
}

func lastOf[T any](all []T) *T { return &all[len(all)-1] }

// hold waits while the hosts are broken, as long as the guarantees hold.
func (r *scenarioRun) hold(ctx context.Context, hosts []Host, since time.Time) error {
	if r.s.Fault == Partition {
		probing, stop := context.WithCancel(ctx)
		var probes sync.WaitGroup
		defer probes.Wait()
		defer stop()
		for _, h := range hosts {
			probes.Go(func() {
				if err := r.load.probe(probing, h.Name, r.addresses[h.Name], r.tunnel(h)); err != nil {
					r.record.note(func(rec *record) {
						rec.unprobed = append(rec.unprobed, fmt.Sprintf("whether %s refused writes while it was cut off is not known, its API server could not be read from inside: %v", h.Name, err))
					})
				}
			})
		}
	}
	until := r.Now().Add(r.s.Down)
	for {
		r.judge(r.Now(), true)
		if len(r.res.Violations) > 0 {
			return errViolated
		}
		left := until.Sub(r.Now())
		if left <= 0 {
			break
		}
		if !wait(ctx, min(judgePause, left)) {
			return context.Cause(ctx)
		}
	}
	if r.s.leavesMajority() && !r.served(since) {
		r.found = append(r.found, fmt.Sprintf("no write through %s was acknowledged in the %s before healing", r.API.Endpoint, r.Now().Sub(since).Round(time.Millisecond)))
		return errViolated
	}
	return nil
}

// served reports whether a write that began since a moment was acknowledged.
func (r *scenarioRun) served(since time.Time) bool {
	r.record.mu.Lock()
	defer r.record.mu.Unlock()
	return slices.ContainsFunc(r.record.writes, func(w write) bool { return w.err == "" && !w.began.Before(since) })
}

// healHosts heals, as long as it takes and as Heal allows, also when the drill's
// ctx has ended.
func (r *scenarioRun) healHosts(hosts []Host) error {
	ctx, cancel := context.WithTimeout(r.background, r.Heal)
	defer cancel()
	return all(hosts, func(h Host) error {
		_, words := r.s.Fault.words()
		r.emit(Event{Kind: Healing, Scenario: r.s.Name, Host: h.Name, Message: fmt.Sprintf(words, h.Name)})
		r.record.note(func(rec *record) {
			for i := range rec.off[h.Name] {
				if o := &rec.off[h.Name][i]; o.until.IsZero() {
					o.until = r.Now()
				}
			}
			for i := range rec.cut[h.Name] {
				if c := &rec.cut[h.Name][i]; c.to.IsZero() {
					c.to = r.Now()
				}
			}
		})
		for {
			err := r.healOne(ctx, h)
			if err == nil {
				return nil
			}
			err = &BreakError{"heal", r.s.Fault, h.Name, err}
			r.emit(Event{Kind: HealFailed, Scenario: r.s.Name, Host: h.Name, Err: err})
			if !wait(ctx, time.Second) {
				return err
			}
		}
	})
}

func (r *scenarioRun) healOne(ctx context.Context, h Host) error {
	if r.s.Fault == PowerOff {
		return r.Power.PowerOn(ctx, h)
	}
	return r.Breaker.Heal(ctx, r.breakOf(h))
}

// redundancyMost is how long to wait where no threshold says so.
const redundancyMost = 15 * time.Minute

// await waits for redundancy, twice as long as is allowed: then a cluster that
// is only slow is distinguished from one that does not come back.
func (r *scenarioRun) await(ctx context.Context) error {
	limit := 2 * r.Thresholds.Redundancy
	if limit < 0 {
		limit = redundancyMost
	}
	patient, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// Also of a cluster that has violated a guarantee, to leave it well.
	problems := r.awaitRedundant(patient, func() { r.judge(r.Now(), true) })
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(problems) > 0:
		r.found = append(r.found, fmt.Sprintf("not redundant again %s after healing: %s", limit, strings.Join(problems, "; ")))
		return errViolated
	}
	r.res.Redundant = r.Now()
	r.emit(Event{Kind: Redundant, Scenario: r.s.Name, Message: r.res.TimeToRedundancy().Round(time.Millisecond).String()})
	if r.judge(r.Now(), true); len(r.res.Violations) > 0 {
		return errViolated
	}
	return nil
}

// verify reads what was written from every API server.
func (r *scenarioRun) verify(ctx context.Context) {
	for _, h := range r.Hosts {
		var err error
		for range verifyTries {
			if err = r.load.verify(ctx, r.addresses[h.Name]); err == nil || !wait(ctx, time.Second) {
				break
			}
		}
		if err != nil && ctx.Err() == nil {
			r.found = append(r.found, fmt.Sprintf("the API server of %s does not list what was written: %v", h.Name, err))
		}
	}
}

// awaitWord waits until all hosts have said who held the VIP to the end.
func (r *scenarioRun) awaitWord() {
	if !r.VIP.IsValid() {
		return
	}
	ctx, cancel := context.WithTimeout(r.background, settledWithin)
	defer cancel()
	for {
		var known time.Time
		r.record.note(func(rec *record) { known = rec.horizon(r.Hosts, r.Now()) })
		if !known.Before(r.res.Ended) {
			return
		}
		if !wait(ctx, judgePause) {
			r.res.Notes = append(r.res.Notes, "who held the VIP is known only until "+known.Format(time.RFC3339Nano))
			return
		}
	}
}

// judge fills in the result from the record of the time until a moment. Of a
// scenario that is under way (live), or was ended early, only what can no longer
// change is judged.
func (r *scenarioRun) judge(end time.Time, live bool) {
	r.record.mu.Lock()
	defer r.record.mu.Unlock()
	rec, res, from := r.record, r.res, r.res.Began
	res.Violations, res.Exceeded = slices.Clone(r.found), nil

	var writes []request
	for _, w := range rec.writes {
		if w.err != errEnded.Error() {
			writes = append(writes, w.request)
		}
	}
	res.Writes, res.Reads = series(writes, from, end), series(rec.reads, from, end)
	res.ServerReads, res.Refused = seriesByHost(rec.serverReads, from, end), seriesByHost(rec.refused, from, end)
	for _, h := range r.Hosts {
		if n := res.Refused[h.Name].Acknowledged; n > 0 {
			r.violated("%s acknowledged %d writes while it was cut off", h.Name, n)
		}
	}
	if res.Lost = lost(rec.writes, rec.seen); len(res.Lost) > 0 {
		first := res.Lost[0]
		r.violated("%d acknowledged writes are lost, the first of %s: want %q, found %q", len(res.Lost), first.At.Format(time.RFC3339Nano), first.Want, first.Got)
	}
	res.Down = nil
	for _, h := range r.Hosts {
		for _, s := range rec.offSpans(h.Name, end) {
			res.Down = append(res.Down, HostSpan{h.Name, s.from, s.to})
		}
	}
	res.Down = clip(append(res.Down, rec.cutSpans(end)...), from, end)
	if r.VIP.IsValid() {
		r.judgeOwners(end, live)
	}
	r.judgeEtcd(end, live)
	if !live {
		r.judgeFigures()
	}
}

func seriesByHost(all map[string][]request, from, to time.Time) map[string]Series {
	out := map[string]Series{}
	for host, rs := range all {
		if s := series(rs, from, to); s.Requests > 0 {
			out[host] = s
		}
	}
	return out
}

func (r *scenarioRun) violated(format string, args ...any) {
	r.res.Violations = append(r.res.Violations, fmt.Sprintf(format, args...))
}

func (r *scenarioRun) judgeOwners(end time.Time, live bool) {
	rec, res := r.record, r.res
	known := earlier(end, rec.horizon(r.Hosts, r.Now()))
	cut := rec.cutSpans(end)
	res.Owners = clip(rec.owners(r.Hosts, known), res.Began, end)
	res.DoubleOwners = doubleOwners(res.Owners, cut, rec.uncertain)
	for _, two := range res.DoubleOwners {
		r.violated("%s held the VIP at once for %s, and a client could reach both", strings.Join(two.Hosts, " and "), two.To.Sub(two.From))
	}
	for _, c := range cut {
		if c.To.Before(res.Began) || !c.To.Before(known) {
			continue // of an earlier scenario, or not over
		}
		for _, o := range res.Owners {
			switch {
			case o.Host != c.Host || !o.From.Before(c.To) || !c.From.Before(o.To):
			case !o.To.Before(c.To):
				r.violated("%s still held the VIP when it was let back, cut off for %s", c.Host, c.To.Sub(c.From).Round(time.Millisecond))
			case !live:
				res.Notes = append(res.Notes, fmt.Sprintf("%s released the VIP %s after it was cut off", c.Host, o.To.Sub(c.From).Round(time.Millisecond)))
			}
		}
	}
}

func (r *scenarioRun) judgeEtcd(end time.Time, live bool) {
	broke := r.res.BrokeAt
	if broke.IsZero() {
		broke = end
	}
	e := etcdRecord(r.record.answers, r.res.Began, broke, end)
	r.res.Etcd = e
	if limit := r.Thresholds.Quorum; r.s.leavesMajority() && limit > 0 {
		for _, g := range e.NoQuorum {
			if g.Length() > limit {
				r.violated("etcd had no quorum for %s although a majority was there, more than %s: %s", g.Length().Round(time.Millisecond), limit, g.Error)
			}
		}
	}
	if live {
		return
	}
	if e.Members != len(r.Hosts) {
		r.violated("etcd has %d members afterwards, %d before", e.Members, len(r.Hosts))
	}
	if e.TermAfter < e.TermBefore || e.IndexAfter < e.IndexBefore {
		r.violated("etcd went back: from term %d and index %d to term %d and index %d", e.TermBefore, e.IndexBefore, e.TermAfter, e.IndexAfter)
	}
}

// judgeFigures holds the figures against the thresholds.
func (r *scenarioRun) judgeFigures() {
	res, t := r.res, r.Thresholds
	exceeded := func(what string, figure, limit time.Duration) {
		if limit > 0 && figure > limit {
			res.Exceeded = append(res.Exceeded, fmt.Sprintf("%s: %s, more than %s", what, figure.Round(time.Millisecond), limit))
		}
	}
	if r.s.leavesMajority() {
		exceeded("the longest time without an acknowledged write", res.Writes.Longest, t.WriteGap)
		exceeded("the longest time without a read through the endpoint", res.Reads.Longest, t.ReadGap)
	} else {
		exceeded("writes, from the power's return on", outageAfter(res.Writes.Gaps, res.HealedAt), t.Outage)
		exceeded("reads through the endpoint, from the power's return on", outageAfter(res.Reads.Gaps, res.HealedAt), t.Outage)
	}
	exceeded("the time to redundancy", res.TimeToRedundancy(), t.Redundancy)
	if n := res.Etcd.Elections(); t.Elections > 0 && n > t.Elections {
		res.Exceeded = append(res.Exceeded, fmt.Sprintf("elections: %d, more than %d", n, t.Elections))
	}
}

// outageAfter is how long gaps last beyond a moment.
func outageAfter(gaps []Gap, moment time.Time) (longest time.Duration) {
	for _, g := range gaps {
		if g.To.After(moment) {
			longest = max(longest, g.To.Sub(later(g.From, moment)))
		}
	}
	return longest
}
