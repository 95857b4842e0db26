package plan

import (
	"context"
	"errors"
	"time"

	"github.com/quorate-dev/quorate/plan/internal/truncate"
)

// journaling is the journal of one run. Workers use intend and conclude at the
// same time; what those read is not changed once the run has begun. A run
// without a journal has a nil *journaling.
type journaling struct {
	session  JournalSession
	operator Operator
	run      string
	plan     *Plan
	now      func() time.Time
	// begun says that the journal has the run's first record.
	begun bool
	// unfinished are the plan's steps that an earlier run left so.
	unfinished map[ID]bool
}

// journalTimeout bounds the records that are written although the run has
// been cancelled: what was done must be recorded.
const journalTimeout = 10 * time.Second

// openJournal takes the journal, reports what earlier runs left unfinished, and
// reports whether the run may begin.
func (s *scheduler) openJournal(ctx context.Context) bool {
	if s.Journal == nil || s.DryRun {
		return true
	}
	j := &journaling{operator: s.Operator, run: s.id, plan: s.plan, now: s.now, unfinished: map[ID]bool{}}
	var err error
	err = s.plan.guard(func() (err error) {
		j.session, err = s.Journal.Begin(ctx, Holder{Operator: j.operator, Run: j.run, Since: s.now()})
		if err == nil && j.session == nil {
			err = errors.New("the journal's Begin returned neither a session nor an error")
		}
		return err
	})
	if err != nil {
		s.unkept(&JournalError{Op: "begin", Err: err})
		return false
	}
	s.journal = j
	var left []Unfinished
	err = s.plan.guard(func() (err error) { left, err = UnfinishedOf(s.Journal.Records(ctx)); return err })
	if err != nil {
		s.unkept(&JournalError{Op: "read", Err: err})
		return false
	}
	if err := j.append(ctx, Record{Kind: RecordRun, Operator: &j.operator, Plan: s.plan.Fingerprint(), Steps: s.plan.Len()}); err != nil {
		s.unkept(err)
		return false
	}
	j.begun = true
	for _, u := range left {
		e := Event{Kind: StepUnfinished, Step: u.Step, Host: u.Host, Title: string(u.Step), Message: u.String()}
		if i, ok := s.plan.index[u.Step]; ok && s.plan.steps[i].Host == u.Host {
			j.unfinished[u.Step] = true
			e = s.stepEvent(i, StepUnfinished)
			e.Message = u.String()
		}
		s.observe(e)
	}
	s.unfinished = left
	return true
}

// closeJournal writes the last record and releases the journal.
func (s *scheduler) closeJournal(ctx context.Context, sum Summary) {
	j := s.journal
	if j == nil {
		return
	}
	s.journal = nil // once, whatever comes of it
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	if j.begun {
		if err := j.append(ctx, Record{Kind: RecordEnd, Outcomes: sum.Outcomes, Elapsed: sum.Elapsed}); err != nil {
			s.unkept(err)
		}
	}
	if err := s.plan.guard(func() error { return j.session.End(ctx) }); err != nil {
		s.unkept(&JournalError{Op: "end", Err: err})
	}
}

// unkept reports what the journal could not do.
func (s *scheduler) unkept(err *JournalError) {
	s.journalErrs = append(s.journalErrs, err)
	e := Event{Kind: JournalFailed, Err: err}
	if i, ok := s.plan.index[err.Step]; ok {
		e = s.stepEvent(i, JournalFailed)
		e.Err = err
	}
	s.observe(e)
}

// lost is closed at the end of the session's hold; it may be nil.
func (j *journaling) lost() <-chan error {
	if j == nil {
		return nil
	}
	var lost <-chan error
	_ = j.plan.guard(func() error { lost = j.session.Lost(); return nil }) // one that does not return has no channel
	return lost
}

func (j *journaling) append(ctx context.Context, r Record) *JournalError {
	r.Schema, r.Run, r.Time = RecordSchema, j.run, j.now().UTC().Round(0)
	if err := j.plan.guard(func() error { return j.session.Append(ctx, r) }); err != nil {
		return &JournalError{Op: "append", Record: r.Kind, Step: r.Step, Err: err}
	}
	return nil
}

// intend says what is about to be applied.
func (j *journaling) intend(ctx context.Context, s Step, attempt int, diff Diff) *JournalError {
	if j == nil {
		return nil
	}
	r := Record{Kind: RecordIntent, Step: s.ID, Host: s.Host, Inputs: j.inputs(s), Attempt: attempt}
	for i, c := range diff {
		if i == truncate.MaxChanges {
			r.Omitted = len(diff) - truncate.MaxChanges
			break
		}
		// Only what is for everyone to see, should a Change ever hold more.
		r.Changes = append(r.Changes, Change{
			Verb: j.cut(c.Verb, truncate.MaxText), Subject: j.cut(c.Subject, truncate.MaxText), Detail: j.cut(c.Detail, truncate.MaxText),
			Disruptive: c.Disruptive, Waits: c.Waits,
		})
	}
	return j.append(ctx, r)
}

// conclude says how a step ended. Of one that was found as it should be there
// is nothing to say unless an earlier run had left it unfinished, and of one
// whose intent could not be kept nothing was done.
func (j *journaling) conclude(ctx context.Context, s Step, res *result) *JournalError {
	if j == nil || res.outcome == Unchanged && !j.unfinished[s.ID] || res.err != nil && res.err.Phase == Recording {
		return nil
	}
	r := Record{
		Kind: RecordOutcome, Step: s.ID, Host: s.Host, Inputs: j.inputs(s),
		Attempt: res.attempt, Outcome: res.outcome, Elapsed: res.elapsed,
	}
	if res.err != nil {
		r.Phase, r.Error = res.err.Phase, j.cut(res.err.Err.Error(), truncate.MaxError)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	return j.append(ctx, r)
}

// inputs is the fingerprint of a step of the plan.
func (j *journaling) inputs(s Step) string { return j.plan.fingerprint(j.plan.index[s.ID]) }

// cut hides secrets in a text, as WithSecrets has it, and bounds it.
func (j *journaling) cut(s string, limit int) string { return truncate.Text(j.plan.redact(s), limit) }
