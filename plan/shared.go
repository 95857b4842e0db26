package plan

import (
	"reflect"
	"sync"
)

// Shared holds what the steps of one run hand to each other, one value of each
// type. A plan is complete before any host is touched, and no Apply may rest on
// what is here: it is for checks that judge together what each has read of its
// own host in this run. The zero Shared is empty and ready.
type Shared struct {
	mu     sync.Mutex
	values map[reflect.Type]any
}

// SharedValue returns the run's value of a type, the same at every call, made
// zero by the first. It is up to the type to be safe for concurrent use.
func SharedValue[T any](s *Shared) *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := reflect.TypeFor[T]()
	if v, ok := s.values[key].(*T); ok {
		return v
	}
	if s.values == nil {
		s.values = map[reflect.Type]any{}
	}
	v := new(T)
	s.values[key] = v
	return v
}

// Unreached is the ability of an Action, whose step was not reached since others
// failed, to find fault all the same with what the run had seen by then.
type Unreached interface {
	// JudgeUnreached does no I/O. Its error becomes that of the step.
	JudgeUnreached(seen *Shared) error
}
