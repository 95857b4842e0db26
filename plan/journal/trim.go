package journal

import (
	"iter"

	"github.com/quorate-dev/quorate/plan"
)

// DefaultKeepRuns is how many runs a journal keeps whole by
// default. A run that changes nothing is two records of two hundred bytes each,
// the first one of a cluster two for every step.
const DefaultKeepRuns = 1000

// Trim says which records have to stay of a journal that has grown long: all of
// the last runs, and of each earlier one what it left unfinished and nothing has
// settled since, with its RecordRun and RecordEnd. UnfinishedOf returns the same
// before and after. It does so at every moment between the two as well, if
// records are removed one by one, oldest first: a journal that cannot replace
// its records all at once may be cut off anywhere and goes on the next time.
type Trim struct {
	// recent are the runs that stay whole, framed the earlier ones that left
	// something, and left its records, by their place.
	recent, framed map[string]bool
	left           map[int]bool
	drops          int
}

// NewTrim reads a journal's records, all but those of a run that is about to
// begin. Zero keepRuns means DefaultKeepRuns, a negative one keeps everything.
// Nothing goes before there is something to remove of more than a quarter as many
// runs: a journal is not to be rewritten by each run. The error is one of
// records.
func NewTrim(records iter.Seq2[plan.Record, error], keepRuns int) (*Trim, error) {
	if keepRuns < 0 {
		return &Trim{}, nil
	}
	if keepRuns == 0 {
		keepRuns = DefaultKeepRuns
	}
	type key struct {
		step plan.ID
		host string
	}
	type place struct {
		n   int
		run string
	}
	type count struct{ records, frame int }
	left := map[key]place{}
	runs := map[string]*count{}
	var order []string
	n := 0
	for r, err := range records {
		if err != nil {
			return nil, err
		}
		c := runs[r.Run]
		if c == nil {
			c = &count{}
			runs[r.Run], order = c, append(order, r.Run)
		}
		c.records++
		switch k := (key{r.Step, r.Host}); {
		case frames(r):
			c.frame++
		case unfinished(r):
			left[k] = place{n, r.Run}
		case r.Kind == plan.RecordOutcome:
			delete(left, k)
		}
		n++
	}
	t := &Trim{recent: map[string]bool{}, framed: map[string]bool{}, left: map[int]bool{}}
	old := order[:max(0, len(order)-keepRuns)]
	for _, run := range order[len(old):] {
		t.recent[run] = true
	}
	stay := map[string]int{}
	for _, p := range left {
		t.framed[p.run], t.left[p.n] = true, true
		stay[p.run]++
	}
	shorter := 0
	for _, run := range old {
		kept := stay[run]
		if t.framed[run] {
			kept += runs[run].frame
		}
		if kept < runs[run].records {
			shorter++
			t.drops += runs[run].records - kept
		}
	}
	if shorter <= keepRuns/4 {
		return &Trim{}, nil
	}
	return t, nil
}

// frames reports whether a record is the first or the last of a run.
func frames(r plan.Record) bool { return r.Kind == plan.RecordRun || r.Kind == plan.RecordEnd }

// unfinished reports whether a record leaves its step so.
func unfinished(r plan.Record) bool {
	return r.Kind == plan.RecordIntent || r.Kind == plan.RecordOutcome && r.Outcome == plan.Failed
}

// Drops is how many records may go; 0 if all are to stay.
func (t *Trim) Drops() int { return t.drops }

// Keeps reports whether a record stays, the n-th of those that NewTrim read,
// from 0.
func (t *Trim) Keeps(n int, r plan.Record) bool {
	return t.drops == 0 || t.recent[r.Run] || t.left[n] || t.framed[r.Run] && frames(r)
}
