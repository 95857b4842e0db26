package plan

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quorate-dev/quorate/internal/guard"
	"github.com/quorate-dev/quorate/transport"
)

// Prefetcher is the ability of an Action to say, before its Check runs, what
// that will read, so that a Runner can ask a host for what many checks read in
// one round trip: see Runner.ReadAhead.
//
// It is a hint. The same Check runs with it and without: Host.Stat, Run, Script
// and Ask return what was read ahead if it is exactly what they would read, each
// once, and ask the host otherwise.
type Prefetcher interface {
	// Prefetch does no I/O and returns the same at every call. What it names may be
	// read at any moment of a run, also where the step is never reached.
	Prefetch() Prefetch
}

// Prefetch is what a Check will read.
type Prefetch struct {
	// Files are the paths that are passed to Host.Stat.
	Files []string
	// Queries are what is passed to Host.Ask, or as arguments alone to Host.Run
	// and Script. They only read, and end soon. One that is answered only after
	// something has been set up Needs a path that is there by then, so that it
	// costs a new host nothing.
	Queries []transport.Query
	// units of systemd whose states are read, those of all steps at once.
	units []string
}

// roundTrips are the round trips of a check that nobody has read ahead for.
func (r Prefetch) roundTrips() int {
	return min(len(r.Files), 1) + len(r.Queries) + min(len(r.units), 1)
}

func prefetchOf(a Action) Prefetch {
	if f, ok := a.(Prefetcher); ok {
		return f.Prefetch()
	}
	return Prefetch{}
}

// Script returns the query that runs a POSIX shell script on a host. The
// variables are set before the second line of the text; args are its "$@". The
// first line represents the script in errors: make that a comment.
//
// Neither may be secret: they are arguments of a command.
func Script(text string, vars map[string]string, args ...string) transport.Query {
	argv := []string{"sh", "-c", text, "sh"}
	if len(vars) > 0 {
		var set strings.Builder
		names := slices.Sorted(maps.Keys(vars))
		for some := range slices.Chunk(names, 9) { // not every shell has ${10}
			for i, name := range some {
				fmt.Fprintf(&set, "%s=${%d} ", name, i+1)
				argv = append(argv, vars[name])
			}
			fmt.Fprintf(&set, "&& shift %d\n", len(some))
		}
		first, rest, _ := strings.Cut(text, "\n")
		argv[2] = first + "\n" + set.String() + rest
	}
	return transport.Query{Argv: append(argv, args...)}
}

const (
	// defaultReadAhead is the age up to which what was read ahead counts.
	defaultReadAhead = time.Minute
	// gatherTimeout bounds what reading ahead takes; a command that hangs is
	// then the trouble of the step that it belongs to. It is also no more than a
	// quarter of the time that the step has left, for which it is done.
	gatherTimeout = 20 * time.Second
)

// prefetched is what a host said to everything that some checks will ask.
type prefetched struct {
	files   map[string]transport.FileInfo
	outputs map[string][]byte
	units   map[string]unitState
	// at is when they were read, and applied the number of steps that had
	// been applied by then, see scheduler.
	at      time.Time
	applied int
}

// gather reads all of it at once. What it does not get, for whatever reason,
// the checks ask for themselves.
func (h *Host) gather(ctx context.Context, all ...Prefetch) *prefetched {
	found := &prefetched{files: map[string]transport.FileInfo{}, outputs: map[string][]byte{}, at: time.Now()}
	paths, queries, units := union(all)
	states := len(queries) // where the states of the units are
	if len(units) > 0 {
		queries = append(queries, transport.Query{Argv: showUnits(units)})
	}
	if h.silent || len(paths)+len(queries) == 0 {
		return found
	}
	patience := gatherTimeout
	if end, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(end)/4)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got, err := transport.GathererOf(h.conn).Gather(ctx, paths, queries)
	h.trips.Add(int64(got.RoundTrips))
	if len(got.Files) == len(paths) {
		for _, info := range got.Files {
			found.files[info.Path] = info
		}
	}
	for i, a := range got.Answers {
		switch {
		case !a.OK:
		case i == states:
			found.units = parseUnits(a.Stdout)
		default:
			found.outputs[queryKey(queries[i])] = []byte(h.secrets.redact(string(a.Stdout)))
		}
	}
	// Once it did not work it is not tried again over this connection.
	h.silent = err != nil && ctx.Err() == nil
	return found
}

// union has everything once, in the order in which it is first named.
func union(all []Prefetch) (paths []string, queries []transport.Query, units []string) {
	seen := map[string]bool{}
	for _, r := range all {
		for _, p := range r.Files {
			if !seen["file "+p] {
				seen["file "+p] = true
				paths = append(paths, p)
			}
		}
		for _, q := range r.Queries {
			if key := queryKey(q); !seen["query "+key] {
				seen["query "+key] = true
				queries = append(queries, q)
			}
		}
		for _, u := range r.units {
			if !seen["unit "+u] {
				seen["unit "+u] = true
				units = append(units, u)
			}
		}
	}
	return paths, queries, units
}

// queryKey is the same for queries that must have the same answer.
func queryKey(q transport.Query) string {
	return fmt.Sprintf("%q %x", q.Argv, sha256.Sum256(q.Stdin.Bytes()))
}

// answers are for one check, each answer once: a check that reads
// again wants to know whether something has changed. A nil one answers nothing.
type answers struct {
	mu      sync.Mutex
	files   map[string]transport.FileInfo
	outputs map[string][]byte
	units   map[string]unitState
	used    bool
	// at is when the host was read.
	at time.Time
}

// of returns what is for a check.
func (r *prefetched) of(reads Prefetch) *answers {
	f := &answers{files: map[string]transport.FileInfo{}, outputs: map[string][]byte{}, at: r.at}
	for _, p := range reads.Files {
		if info, ok := r.files[p]; ok {
			f.files[p] = info
		}
	}
	for _, q := range reads.Queries {
		if out, ok := r.outputs[queryKey(q)]; ok {
			f.outputs[queryKey(q)] = out
		}
	}
	if len(reads.units) > 0 {
		f.units = r.units
	}
	return f
}

func (f *answers) stat(paths []string) ([]transport.FileInfo, bool) {
	if f == nil {
		return nil, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	infos := make([]transport.FileInfo, 0, len(paths))
	for _, p := range paths {
		info, ok := f.files[p]
		if !ok {
			return nil, false
		}
		infos = append(infos, info)
	}
	maps.DeleteFunc(f.files, func(p string, _ transport.FileInfo) bool { return slices.Contains(paths, p) })
	f.used = true
	return infos, true
}

func (f *answers) ask(q transport.Query) ([]byte, bool) {
	if f == nil {
		return nil, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := queryKey(q)
	out, ok := f.outputs[key]
	delete(f.outputs, key)
	f.used = f.used || ok
	return out, ok
}

// states returns those of units, which may be none of systemd's.
func (f *answers) states() (map[string]unitState, bool) {
	if f == nil {
		return nil, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	states := f.units
	f.units = nil
	f.used = f.used || states != nil
	return states, states != nil
}

func (f *answers) wasUsed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used
}

// check runs the step's check, answered from f as far as that goes.
func (w *worker) check(ctx context.Context, h *Host, f *answers) (Diff, error) {
	w.preview.begin(w.i, h)
	h.answers.Store(f)
	defer h.answers.Store(nil)
	diff, err := w.step.Action.Check(ctx, h)
	return w.plan.secrets.redactDiff(diff), err
}

// firstCheck is the check before anything is applied. What was read ahead can
// only show that nothing differs: whatever seems to differ, or to be wrong, is
// read again first.
func (w *worker) firstCheck(ctx context.Context, h *Host) (Diff, error) {
	reads := prefetchOf(w.step.Action)
	if r, now := w.ahead(ctx, h); r != nil && reads.roundTrips() > 0 {
		f := r.of(reads)
		diff, err := w.check(ctx, h, f)
		if now || err == nil && len(diff) == 0 || !f.wasUsed() {
			return diff, err
		}
	}
	return w.freshCheck(ctx, h)
}

// freshCheck reads now, in one round trip.
func (w *worker) freshCheck(ctx context.Context, h *Host) (Diff, error) {
	var f *answers
	if reads := prefetchOf(w.step.Action); w.ReadAhead >= 0 && reads.roundTrips() > 1 {
		f = h.gather(ctx, reads).of(reads)
	}
	return w.check(ctx, h, f)
}

// ahead returns what was read ahead on the step's host, reading it now if there is
// none that counts for the step, and whether it did; nil where nothing is read
// ahead: on a host on which something has been applied, or if the rest of it is
// not worth it.
func (w *worker) ahead(ctx context.Context, h *Host) (r *prefetched, now bool) {
	if w.ReadAhead < 0 || w.touched || w.applied {
		return nil, false
	}
	limit := w.ReadAhead
	if limit == 0 {
		limit = defaultReadAhead
	}
	if r := h.prefetched; r != nil && r.applied >= w.latest && time.Since(r.at) <= limit {
		return r, false
	}
	var all []Prefetch
	trips := 0
	for _, i := range w.rest {
		var reads Prefetch
		// One of another step that does not return fails that step, once it is run.
		_ = guard.Call(func() { reads = prefetchOf(w.plan.steps[i].Action) })
		all, trips = append(all, reads), trips+reads.roundTrips()
	}
	if trips < 2 {
		return nil, false
	}
	h.prefetched = h.gather(ctx, all...)
	h.prefetched.applied = w.appliedSteps
	return h.prefetched, true
}
