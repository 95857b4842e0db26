package faketransport

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/quorate-dev/quorate/transport"
)

// Fault is something that goes wrong, injected with Host.Inject.
type Fault struct {
	// On picks the calls that count; nil picks all, dials too. Exec calls
	// never count.
	On func(Op) bool
	// Nth of the picked calls since Inject is hit, from 1; 0 hits all.
	Nth int
	// Before runs instead of the call if it returns an error, which is then the
	// call's; nil does nothing.
	Before func(ctx context.Context, op Op) error
	// After runs when the call has been done, and its error replaces the
	// call's own: what was done stays done. nil does nothing.
	After func(ctx context.Context, op Op, err error) error
	// Files, if positive, lets that many files of a Write be put in place
	// before its Before is called.
	Files int
}

// OnKind picks calls of a kind.
func OnKind(k Kind) func(Op) bool { return func(op Op) bool { return op.Kind == k } }

// OnRun picks commands that match.
func OnRun(m Match) func(Op) bool {
	return func(op Op) bool { return op.Kind == Run && m.matches(op.Argv) }
}

// Hang is a Before that waits until ctx ends.
func Hang(ctx context.Context, _ Op) error {
	<-ctx.Done()
	return ctx.Err()
}

// Fails is a Before that returns err.
func Fails(err error) func(context.Context, Op) error {
	return func(context.Context, Op) error { return err }
}

// ErrReset is the cause in the errors of Reset and ResetAfter.
var ErrReset = errors.New("connection reset by the fake host")

// Reset is a Before that loses the connection: the call is not carried out.
func Reset(context.Context, Op) error { return lostError() }

// ResetAfter is an After that loses the connection: the call is carried out,
// but its result is lost.
func ResetAfter(context.Context, Op, error) error { return lostError() }

// ErrRefused is the cause in the errors of Refuse.
var ErrRefused = errors.New("connection refused by the fake host")

// Refuse is a Before for dials: nothing listens, as when sshd is stopped.
func Refuse(context.Context, Op) error {
	return &transport.DialError{Reason: transport.Unreachable, Err: ErrRefused}
}

// Slow is a Before that lets the call wait, and then go on.
func Slow(by time.Duration) func(context.Context, Op) error {
	return func(ctx context.Context, _ Op) error {
		timer := time.NewTimer(by)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Lossy is a Before that loses the connection in that share of the calls, from 0
// to 1: a line that loses packets without end. The same seed loses the same calls.
func Lossy(share float64, seed uint64) func(context.Context, Op) error {
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test wants the same again
	return func(ctx context.Context, op Op) error {
		mu.Lock()
		lost := dice.Float64() < share
		mu.Unlock()
		if lost {
			return Reset(ctx, op)
		}
		return nil
	}
}

// Dies is an After that is the operator's death, as far as a process can show its
// own: the call is carried out, stop ends the operator's ctx, and its result is lost.
func Dies(stop context.CancelFunc) func(context.Context, Op, error) error {
	return func(context.Context, Op, error) error {
		stop()
		return context.Canceled
	}
}

// DiskFull is a Before for writes: no file of it is put in place. See Host.Limit
// for a disk that takes some.
func DiskFull(_ context.Context, op Op) error {
	path := "/"
	if len(op.Files) > 0 {
		path = op.Files[0].Path
	}
	return &transport.FileError{Op: "write", Path: path, Err: syscall.ENOSPC}
}

func lostError() error { return &transport.DialError{Reason: transport.Lost, Err: ErrReset} }

// armed is an injected fault with its count.
type armed struct {
	Fault
	seen int
}

// Inject adds a fault. Where several hit one call, all run, in the order they
// were injected, until one returns an error.
func (h *Host) Inject(f Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, &armed{Fault: f})
}

// Heal removes all faults.
func (h *Host) Heal() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = nil
}

// hits counts the call and returns the faults that hit it.
func (h *Host) hits(op Op) []Fault {
	h.mu.Lock()
	defer h.mu.Unlock()
	var hit []Fault
	for _, f := range h.faults {
		if f.On != nil && !f.On(op) {
			continue
		}
		f.seen++
		if f.Nth == 0 || f.Nth == f.seen {
			hit = append(hit, f.Fault)
		}
	}
	return hit
}

// call records a call and carries it out between its faults.
func (h *Host) call(ctx context.Context, op Op, do func(context.Context, Op) error) error {
	i := h.owner.begin(h.name, op)
	err := h.carryOut(ctx, op, do)
	h.owner.end(i, err)
	return err
}

func (h *Host) carryOut(ctx context.Context, op Op, do func(context.Context, Op) error) error {
	faults := h.hits(op)
	for _, f := range faults {
		if f.Files > 0 && op.Kind == Write {
			some := op
			some.Files = op.Files[:min(f.Files, len(op.Files))]
			if err := do(ctx, some); err != nil {
				return err
			}
		}
		if f.Before == nil {
			continue
		}
		if err := f.Before(ctx, op); err != nil {
			return h.named(op, err)
		}
	}
	err := do(ctx, op)
	for _, f := range faults {
		if f.After != nil {
			if after := f.After(ctx, op, err); after != nil {
				return h.named(op, after)
			}
		}
	}
	return err
}

// named fills in the host, and the command, where a hook could not know them.
func (h *Host) named(op Op, err error) error {
	var dial *transport.DialError
	var exit *transport.ExitError
	var file *transport.FileError
	switch {
	case errors.As(err, &file) && file == err && file.Host == "": //nolint:errorlint // likewise
		named := *file
		named.Host = h.name
		return &named
	case errors.As(err, &dial) && dial == err && dial.Host == "": //nolint:errorlint // only if it is the error itself
		named := *dial
		named.Host = h.name
		return &named
	case errors.As(err, &exit) && exit == err && exit.Host == "": //nolint:errorlint // likewise
		named := *exit
		named.Host, named.Argv = h.name, op.Argv
		return &named
	}
	return err
}
