package plan

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/guard"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
	"github.com/quorate-dev/quorate/plan/internal/poll"
	"github.com/quorate-dev/quorate/transport"
)

// Runner runs plans. The zero Runner with a Transport is ready. A Runner is
// not changed by running and may run several plans at once.
type Runner struct {
	// Transport reaches the hosts. Required.
	Transport transport.Transport
	// Parallel bounds the steps that run at the same moment. Default 64.
	// Steps of one host never overlap, whatever it is.
	Parallel int
	// DryRun checks every step and applies none.
	DryRun bool
	// Observe, if set, is called with every event in order, one at a time, by the
	// goroutine that called Run; the run waits while it works.
	Observe func(Event)
	// Now is the clock of events and records. Default time.Now.
	Now func() time.Time
	// Journal, if set, receives the run's start, every step's intent before it
	// is applied and its outcome after, and the run's end; a dry run leaves it
	// alone. It decides nothing: what it says of earlier runs is reported as events
	// and in the Summary, and every step is checked all the same. What cannot
	// be written is a *JournalError: an intent fails its step, which is then
	// not applied; an outcome fails the run and undoes nothing.
	Journal Journal
	// BackupAs, if not empty, names this run, and has it keep on each host, below /var/lib/quorate/undo,
	// what it takes to undo each step that it applies: see Rollback. Runs with the
	// same name count as one, and what they keep stays until it is rolled back or
	// the node is reset. Up to 64 letters, digits, dots, dashes and underscores. It
	// costs two or three round trips for each step that is applied.
	BackupAs string
	// Operator is who runs, for the journal.
	Operator Operator
	// ReadAhead is how old the answers may be from which a check finds that
	// nothing differs. Default one minute; negative reads nothing ahead.
	//
	// When the first step of a host starts, the host is read, in one round
	// trip, for everything that the checks of all its steps will read, as far as
	// their Actions are Prefetchers. A check that finds nothing different in
	// these answers is done. One that does find something, or fails, reads again,
	// and so does every check once a step on the same host, one that comes
	// before it or one that shares a lock with it has been applied: whatever is
	// applied, verified or reported as an error rests on what the host says at
	// that moment. A host that somebody else changes meanwhile may be found
	// unchanged for as long as ReadAhead, as one is that changes just after its
	// check.
	ReadAhead time.Duration
}

const defaultParallel = 64

// Run runs the plan to its end: every step whose predecessors succeeded is
// checked, applied if it differs, and checked again. A failed step stops what
// comes after it and nothing else. The error is a *RunError with every root
// cause, nil if all steps succeeded. When ctx ends, no further step starts and
// Run returns as soon as those that run have let go. The Summary is valid in
// every case.
//
// With a Journal the error also holds what the journal could not keep. Nothing
// runs while somebody else has the journal (*LockedError), and when it is lost
// to somebody else on the way the run is stopped as by ctx (*LockLostError).
//
// A Runner without a Transport, a missing plan, and steps on hosts that a
// transport.Inventory does not have are refused with a *quorate.InvalidError before any
// host is reached. So they are by Preview and Apply.
func (r *Runner) Run(ctx context.Context, p *Plan) (Summary, error) {
	if err := r.problems(p); err != nil {
		return Summary{}, err
	}
	return r.scheduler(p).run(ctx)
}

// problems refuses what no run can be made of.
func (r *Runner) problems(p *Plan) error {
	var problems quorate.Problems
	if r == nil || r.Transport == nil {
		problems.Refuse("transport", "missing: the one that reaches the hosts")
	}
	if p == nil {
		problems.Refuse("plan", "missing")
	}
	if err := problems.Err("runner"); err != nil {
		return err
	}
	if err := r.unknownHosts(p); err != nil {
		return err
	}
	return p.describable()
}

// unknownHosts refuses steps on hosts that the transport does not have, as far as it says.
func (r *Runner) unknownHosts(p *Plan) error {
	inventory, ok := r.Transport.(transport.Inventory)
	if !ok {
		return nil
	}
	var problems quorate.Problems
	asked := map[string]bool{}
	for _, s := range p.steps {
		if asked[s.Host] {
			continue
		}
		asked[s.Host] = true
		if err := p.guard(func() error { return inventory.Has(s.Host) }); err != nil {
			problems.Refuse(fmt.Sprintf("steps[%s].host", s.ID), "%q is no host of the transport: %v", s.Host, err)
		}
	}
	return problems.Err("runner")
}

func (r *Runner) scheduler(p *Plan) *scheduler {
	s := &scheduler{
		Runner:    r,
		plan:      p,
		now:       r.Now,
		id:        rand.Text(),
		waits:     make([]int, p.Len()),
		ended:     make([]Outcome, p.Len()),
		rest:      map[string][]int{},
		latest:    make([]int, p.Len()),
		locks:     map[string]bool{},
		passed:    map[int]bool{},
		touchedBy: map[string]int{},
		inbox:     make(chan message),
		hosts:     hosts{transport: r.Transport, secrets: p.secrets, byName: map[string]*Host{}},
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// keep has an Action keep what it takes to undo it.
func (r *Runner) keep(ctx context.Context, s Step, h *Host, d Diff) error {
	if r.BackupAs == "" {
		return nil
	}
	if !runName.MatchString(r.BackupAs) {
		return runNameError(r.BackupAs)
	}
	dir := undoDir(r.BackupAs, s.ID)
	out, err := h.Script(ctx, keepDir, map[string]string{"DIR": dir})
	if err != nil || keyval.Parse(out)["kept"] == "yes" {
		return err
	}
	err = &IrreversibleError{Step: s.ID, Reason: "its Action is no Reverter"}
	if undoer, ok := s.Action.(Reverter); ok {
		err = undoer.Backup(ctx, h, d, dir)
	}
	marked, text := keptMark, string(s.ID)
	var never *IrreversibleError
	if errors.As(err, &never) {
		marked, text = irreversibleMark, h.secrets.redact(never.Reason)
	} else if err != nil {
		return err
	}
	return h.Write(ctx, transport.File{Path: dir + marked, Mode: 0o600, Owner: "root", Group: "root", Data: transport.Bytes([]byte(text + "\n"))})
}

// scheduler is one run. All of its state but the hosts belongs to the
// goroutine that called Run; workers speak to it through the inbox.
type scheduler struct {
	*Runner
	plan *Plan
	now  func() time.Time
	// id is the run's.
	id string
	// waits counts, for each step, the predecessors that have not succeeded
	// yet; ready holds the steps that wait only for a lock or a place, in the
	// plan's order; ended is empty for a step that has not.
	waits []int
	ready []int
	ended []Outcome
	// passed are the steps that will not be reached, since one failed on their host, and
	// that others do not wait for.
	passed  map[int]bool
	locks   map[string]bool
	running int
	// rest are the steps of each host that have not ended; a list is replaced
	// and never changed, since workers hold it.
	rest map[string][]int
	// applied counts the steps that were applied. latest is, for each step, the
	// count when the last of those before it was applied, or itself; touchedBy
	// the same for each lock. They show which of what was read ahead is outdated.
	applied   int
	latest    []int
	touchedBy map[string]int
	inbox     chan message
	hosts     hosts
	failed    []*StepError
	// journal is nil without one; unfinished is what it reported.
	journal     *journaling
	journalErrs []*JournalError
	unfinished  []Unfinished
	// preview collects what a dry run finds; nil outside of Preview.
	preview *previewer
	// shown is what a preview of the same plan has just found, by step; nil outside of
	// Apply.
	shown []StepPreview
}

// message is what a worker says: an event or, last of all, its result.
type message struct {
	event  Event
	result *result
}

type result struct {
	step    int
	outcome Outcome
	diff    Diff
	err     *StepError
	attempt int
	elapsed time.Duration
	// applied: it was begun, whatever came of it.
	applied bool
	// unkept is why the journal does not have the outcome.
	unkept *JournalError
}

func (s *scheduler) run(ctx context.Context) (Summary, error) {
	begin := s.now()
	started := Event{Kind: RunStarted, Steps: s.plan.Len(), DryRun: s.DryRun}
	if s.BackupAs != "" {
		started.Irreversible = s.plan.Irreversible()
	}
	for i := range s.waits {
		host := s.plan.steps[i].Host
		s.rest[host] = append(s.rest[host], i)
		if s.waits[i] = len(s.plan.after[i]); s.waits[i] == 0 {
			s.ready = append(s.ready, i)
		}
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	returned := false
	defer func() {
		if !returned {
			s.abandon(ctx, stop)
		}
	}()
	s.observe(started)
	if s.openJournal(ctx) {
		s.start(ctx)
	}
	lost := s.journal.lost()
	for s.running > 0 {
		select {
		case err := <-lost:
			stop(err)
			lost = nil
		case m := <-s.inbox:
			if m.result == nil {
				s.observe(m.event)
				continue
			}
			s.finish(m.result)
			s.start(ctx)
		}
	}
	s.hosts.close()
	summary, err := s.conclude(ctx, s.now().Sub(begin))
	s.observe(Event{Kind: RunEnded, Elapsed: summary.Elapsed, Summary: &summary, Err: err})
	returned = true
	return summary, err
}

var errObserver = errors.New("the run's observer did not return")

// abandon ends a run whose observer has panicked or ended this goroutine, as a test's FailNow
// does: that goes on to the caller of Run once nothing of the run is left.
func (s *scheduler) abandon(ctx context.Context, stop context.CancelCauseFunc) {
	stop(errObserver)
	for s.running > 0 {
		if m := <-s.inbox; m.result != nil {
			s.running--
			s.ended[m.result.step] = m.result.outcome
		}
	}
	s.hosts.close()
	sum := Summary{Steps: s.plan.Len(), Outcomes: map[Outcome]int{}}
	for i := range s.ended {
		sum.Outcomes[cmp.Or(s.ended[i], NotReached)]++
	}
	quiet := *s.Runner
	quiet.Observe, s.Runner = nil, &quiet
	s.closeJournal(ctx, sum)
}

// start starts every ready step that finds a place and its locks free.
func (s *scheduler) start(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	var waiting []int
	for at, i := range s.ready {
		if s.running >= cmp.Or(s.Parallel, defaultParallel) {
			waiting = append(waiting, s.ready[at:]...)
			break
		}
		if !s.lock(i) {
			waiting = append(waiting, i)
			continue
		}
		s.running++
		w := s.worker(i)
		go func() {
			res := &result{}
			w.work(ctx, res)
			s.inbox <- message{result: res}
		}()
	}
	s.ready = waiting
}

// worker gets what it may know of the run at this moment.
func (s *scheduler) worker(i int) *worker {
	step := s.plan.steps[i]
	for _, j := range s.plan.after[i] {
		s.latest[i] = max(s.latest[i], s.latest[j])
	}
	for _, name := range s.lockNames(i) {
		s.latest[i] = max(s.latest[i], s.touchedBy[name])
	}
	return &worker{
		scheduler: s, i: i, step: step, uncertain: s.uncertain(i),
		rest: s.rest[step.Host], touched: s.touchedBy[hostLock(step.Host)] > 0, latest: s.latest[i], appliedSteps: s.applied,
	}
}

// uncertain reports whether something before step i would have changed what
// its check looks at; only a dry run has such steps.
func (s *scheduler) uncertain(i int) bool {
	return slices.ContainsFunc(s.plan.after[i], func(j int) bool {
		return s.ended[j] == WouldChange || s.ended[j] == Unknown
	})
}

func (s *scheduler) lockNames(i int) []string {
	step := s.plan.steps[i]
	return append([]string{hostLock(step.Host)}, step.Locks...)
}

func hostLock(host string) string { return "host/" + host }

func (s *scheduler) lock(i int) bool {
	names := s.lockNames(i)
	for _, name := range names {
		if s.locks[name] {
			return false
		}
	}
	for _, name := range names {
		s.locks[name] = true
	}
	return true
}

func (s *scheduler) finish(r *result) {
	s.running--
	for _, name := range s.lockNames(r.step) {
		delete(s.locks, name)
	}
	s.ended[r.step] = r.outcome
	host := s.plan.steps[r.step].Host
	s.rest[host] = slices.DeleteFunc(slices.Clone(s.rest[host]), func(i int) bool { return i == r.step })
	if r.applied {
		s.applied++
		s.latest[r.step] = s.applied
		for _, name := range s.lockNames(r.step) {
			s.touchedBy[name] = s.applied
		}
	}
	switch {
	case r.err == nil:
		s.release(r.step)
	case s.plan.steps[r.step].Alone:
		s.failed = append(s.failed, r.err)
		s.passBy(r.step)
	default:
		s.failed = append(s.failed, r.err)
	}
	e := s.stepEvent(r.step, StepEnded)
	e.Attempt, e.Outcome, e.Diff, e.Elapsed = r.attempt, r.outcome, r.diff, r.elapsed
	if r.err != nil {
		e.Err = r.err
	}
	s.observe(e)
	if r.unkept != nil {
		s.unkept(r.unkept)
	}
}

// release makes ready what waited for step i alone.
func (s *scheduler) release(i int) {
	for _, j := range s.plan.before[i] {
		s.released(j)
	}
}

func (s *scheduler) released(j int) {
	if s.waits[j]--; s.waits[j] == 0 {
		at, _ := slices.BinarySearch(s.ready, j)
		s.ready = slices.Insert(s.ready, at, j)
	}
}

// passBy has other hosts go on without step i, which has failed or will not be reached, and
// without those after it on its host that are as it is.
func (s *scheduler) passBy(i int) {
	host := s.plan.steps[i].Host
	for _, j := range s.plan.before[i] {
		next := s.plan.steps[j]
		switch {
		case next.Host != host:
			s.released(j)
		case next.Alone && !s.passed[j]:
			s.passed[j] = true
			s.passBy(j)
		}
	}
}

func (s *scheduler) conclude(ctx context.Context, elapsed time.Duration) (Summary, error) {
	sum := Summary{
		Steps:      s.plan.Len(),
		Outcomes:   map[Outcome]int{},
		RoundTrips: s.hosts.roundTrips(),
		Elapsed:    elapsed,
		Unfinished: s.unfinished,
	}
	s.judgeUnreached(ctx)
	var notReached []ID
	for i := range s.ended {
		if s.ended[i] == "" {
			s.ended[i] = NotReached
			notReached = append(notReached, s.plan.steps[i].ID)
			e := s.stepEvent(i, StepEnded)
			e.Outcome = NotReached
			s.observe(e)
		}
		sum.Outcomes[s.ended[i]]++
	}
	s.closeJournal(ctx, sum)
	if len(s.failed) == 0 && len(notReached) == 0 && len(s.journalErrs) == 0 {
		return sum, nil
	}
	return sum, &RunError{Failed: s.failed, NotReached: notReached, Canceled: context.Cause(ctx), Journal: s.journalErrs}
}

// judgeUnreached adds such faults to what failed: a host that does not answer is no
// reason to be silent about the others.
func (s *scheduler) judgeUnreached(ctx context.Context) {
	if ctx.Err() != nil || len(s.failed) == 0 {
		return
	}
	for i, outcome := range s.ended {
		step := s.plan.steps[i]
		a, able := step.Action.(Unreached)
		if outcome != "" || !able {
			continue
		}
		err := s.plan.secrets.redactError(s.plan.guard(func() error { return a.JudgeUnreached(&s.hosts.shared) }))
		if err == nil {
			continue
		}
		fault := &StepError{Step: step.ID, Host: step.Host, Phase: Checking, Attempt: 1, Err: err}
		s.ended[i], s.failed = Failed, append(s.failed, fault)
		e := s.stepEvent(i, StepStarted)
		e.Attempt = 1
		s.observe(e)
		e.Kind, e.Outcome, e.Err = StepEnded, Failed, fault
		s.observe(e)
	}
}

func (s *scheduler) observe(e Event) {
	if s.Observe == nil {
		return
	}
	e.Time, e.Run = s.now(), s.id
	s.Observe(e)
}

func (s *scheduler) stepEvent(i int, k EventKind) Event {
	step := s.plan.steps[i]
	return Event{Kind: k, Step: step.ID, Host: step.Host, Title: cmp.Or(step.Title, string(step.ID))}
}

// worker is what one step's goroutine works with.
type worker struct {
	*scheduler
	i         int
	step      Step
	uncertain bool
	attempt   int
	// phase is where the attempt is.
	phase Phase
	// applied: this step has begun to apply something.
	applied bool
	// rest, touched, latest and appliedSteps are the scheduler's when the step
	// began: the steps of its host that have not ended, whether anything was
	// applied on the host, when something was that the step depends on, and how
	// many steps had been applied.
	rest                 []int
	touched              bool
	latest, appliedSteps int
}

// work does the step and fills in what came of it, whatever the Action does.
func (w *worker) work(ctx context.Context, res *result) {
	begin := w.now()
	timeout := cmp.Or(w.step.Timeout, defaultTimeout)
	stepCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := w.plan.guard(func() error { *res = *w.attempts(stepCtx); return nil }); err != nil {
		res.outcome, res.diff, res.err = w.fault(w.phase, nil, err)
	}
	if res.err != nil && ctx.Err() == nil && errors.Is(stepCtx.Err(), context.DeadlineExceeded) {
		res.err.Err = fmt.Errorf("not done within %v: %w", timeout, res.err.Err)
	}
	res.diff = res.diff.withoutData()
	res.step, res.attempt, res.elapsed, res.applied = w.i, w.attempt, w.now().Sub(begin), w.applied
	res.unkept = w.journal.conclude(ctx, w.step, res)
}

func (w *worker) attempts(ctx context.Context) *result {
	retry := w.step.Retry
	if retry.If == nil {
		retry.If = Transient
	}
	for {
		w.attempt++
		w.emit(StepStarted, func(*Event) {})
		outcome, diff, err := w.once(ctx)
		if err == nil {
			return &result{outcome: outcome, diff: diff}
		}
		again := ctx.Err() == nil && w.attempt < cmp.Or(retry.Attempts, 3) && retry.If(err.Err)
		err.Err = w.plan.secrets.redactError(err.Err)
		if !again {
			return &result{outcome: Failed, diff: diff, err: err}
		}
		w.emit(StepRetrying, func(e *Event) { e.Err = err })
		if !poll.Wait(ctx, cmp.Or(retry.Wait, time.Second)) {
			return &result{outcome: Failed, diff: diff, err: err}
		}
	}
}

// once is one attempt: connect, check, apply, verify.
func (w *worker) once(ctx context.Context) (Outcome, Diff, *StepError) {
	w.phase = Connecting
	h, err := w.hosts.get(ctx, w.step.Host)
	if err != nil {
		return w.fault(Connecting, nil, err)
	}
	w.phase = Checking
	h.report = func(msg string) { w.emit(StepProgress, func(e *Event) { e.Message = msg }) }
	diff, err := w.firstCheck(ctx, h)
	switch {
	case err != nil && w.DryRun && w.uncertain && ctx.Err() == nil && !Transient(err) && !irreversible(err):
		w.preview.unknown(w.i, err)
		return Unknown, nil, nil
	case err != nil:
		return w.fault(Checking, diff, err)
	case len(diff) == 0:
		return Unchanged, nil, nil
	case w.DryRun:
		if diff, err = w.preview.look(ctx, w.i, h, diff); err != nil {
			return w.fault(Checking, diff, err)
		}
		return WouldChange, diff, nil
	}
	if err := w.asShown(diff); err != nil {
		return w.fault(Checking, diff, err)
	}
	w.phase = Recording
	if err := w.keep(ctx, w.step, h, diff); err != nil {
		return w.fault(Recording, diff, err)
	}
	if err := w.journal.intend(ctx, w.step, w.attempt, diff); err != nil {
		return w.fault(Recording, diff, err)
	}
	w.emit(StepApplying, func(e *Event) { e.Diff = diff.withoutData() })
	w.phase, w.applied = Applying, true
	if err := w.step.Action.Apply(ctx, h, diff); err != nil {
		return w.fault(Applying, diff, err)
	}
	w.phase = Verifying
	left, err := w.freshCheck(ctx, h)
	if err != nil {
		return w.fault(Verifying, diff, err)
	}
	if len(left) > 0 {
		return w.fault(Verifying, diff, &NotConvergedError{Left: left.withoutData()})
	}
	return Changed, diff, nil
}

func (w *worker) fault(p Phase, diff Diff, err error) (Outcome, Diff, *StepError) {
	var dial *transport.DialError
	if errors.As(err, &dial) && dial.Reason == transport.Lost {
		w.hosts.drop(w.step.Host)
	}
	return Failed, diff, &StepError{Step: w.step.ID, Host: w.step.Host, Phase: p, Attempt: w.attempt, Err: err}
}

func (w *worker) emit(k EventKind, fill func(*Event)) {
	e := w.stepEvent(w.i, k)
	e.Attempt = w.attempt
	fill(&e)
	w.inbox <- message{event: e}
}

// hosts keeps one connection a host for the length of a run.
type hosts struct {
	transport transport.Transport
	secrets   *secretTexts
	mu        sync.Mutex
	byName    map[string]*Host
	dropped   map[string]int64 // round trips over connections that were lost
	shared    Shared
	closed    bool
}

// get connects on first use. Steps of one host never overlap, so two calls for
// one host do not either.
func (hs *hosts) get(ctx context.Context, name string) (*Host, error) {
	hs.mu.Lock()
	h := hs.byName[name]
	hs.mu.Unlock()
	if h != nil {
		return h, nil
	}
	conn, err := hs.transport.Dial(ctx, name)
	if err != nil {
		return nil, err
	}
	if conn == nil {
		return nil, fmt.Errorf("host %s: the transport's Dial returned neither a connection nor an error", name)
	}
	h = NewHost(name, conn)
	h.secrets, h.shared = hs.secrets, &hs.shared
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.byName[name] = h
	return h, nil
}

// drop forgets a lost connection, so that the next attempt dials again.
func (hs *hosts) drop(name string) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h := hs.byName[name]
	if h == nil {
		return
	}
	closeConn(h.conn)
	delete(hs.byName, name)
	if hs.dropped == nil {
		hs.dropped = map[string]int64{}
	}
	hs.dropped[name] += h.trips.Load()
}

// close ends the connections. Nothing runs over them any more, so how the
// closing went says nothing about the run.
func (hs *hosts) close() {
	if hs.closed {
		return
	}
	hs.closed = true
	for _, h := range hs.byName {
		closeConn(h.conn)
	}
}

// closeConn closes a connection that nobody needs any more. How that goes says nothing
// about what was done over it, not even where it panics.
func closeConn(c transport.Conn) { _ = guard.Call(func() { _ = c.Close() }) }

func (hs *hosts) roundTrips() map[string]int {
	trips := map[string]int{}
	for name, n := range hs.dropped {
		trips[name] += int(n)
	}
	for name, h := range hs.byName {
		trips[name] += int(h.trips.Load())
	}
	return trips
}
