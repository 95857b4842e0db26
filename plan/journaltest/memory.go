package journaltest

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/journal"
)

// Memory is a journal that lives as long as the program, for tests of programs
// that embed Quorate. It locks, and keeps records as JSON, as a real one does.
// The zero Memory is ready; it is safe for concurrent use.
type Memory struct {
	// Fail, if set, is called before a record is kept, by several goroutines at
	// once; an error of its is Append's, and the record is not kept.
	Fail func(plan.Record) error
	// KeepRuns is how many runs Begin keeps whole: see journal.NewTrim.
	KeepRuns int

	mu      sync.Mutex
	records [][]byte
	session *memorySession
}

type memorySession struct {
	memory *Memory
	holder plan.Holder
	lost   chan error
}

// errEnded is what a session says that has ended.
var errEnded = errors.New("the session has ended")

// Begin takes the journal, or returns a *plan.LockedError.
func (m *Memory) Begin(ctx context.Context, h plan.Holder) (plan.JournalSession, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session != nil {
		return nil, &plan.LockedError{Holder: m.session.holder}
	}
	if err := m.trim(); err != nil {
		return nil, err
	}
	m.session = &memorySession{memory: m, holder: h, lost: make(chan error, 1)}
	return m.session, nil
}

func (m *Memory) trim() error {
	t, err := journal.NewTrim(parsed(context.Background(), m.records), m.KeepRuns)
	if err != nil {
		return err
	}
	var kept [][]byte
	n := 0
	for r, err := range parsed(context.Background(), m.records) {
		if err != nil {
			return err
		}
		if t.Keeps(n, r) {
			kept = append(kept, m.records[n])
		}
		n++
	}
	m.records = kept
	return nil
}

// Records returns what has been kept.
func (m *Memory) Records(ctx context.Context) iter.Seq2[plan.Record, error] {
	return func(yield func(plan.Record, error) bool) {
		m.mu.Lock()
		records := slices.Clone(m.records)
		m.mu.Unlock()
		parsed(ctx, records)(yield)
	}
}

func parsed(ctx context.Context, records [][]byte) iter.Seq2[plan.Record, error] {
	return func(yield func(plan.Record, error) bool) {
		for _, b := range records {
			r, err := journal.ParseRecord(b)
			if err == nil {
				err = context.Cause(ctx)
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// Lose takes the journal from the session that has it, as if its lease had run
// out; without one it does nothing.
func (m *Memory) Lose(how error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.session; s != nil {
		m.session = nil
		s.lost <- &plan.LockLostError{Holder: s.holder, Err: how}
	}
}

// Append keeps a record.
func (s *memorySession) Append(ctx context.Context, r plan.Record) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if s.memory.Fail != nil {
		if err := s.memory.Fail(r); err != nil {
			return err
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	if s.memory.session != s {
		return errEnded
	}
	s.memory.records = append(s.memory.records, b)
	return nil
}

// Lost returns the error that Lose was called with.
func (s *memorySession) Lost() <-chan error { return s.lost }

// End returns the journal back.
func (s *memorySession) End(context.Context) error {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	if s.memory.session == s {
		s.memory.session = nil
	}
	return nil
}
