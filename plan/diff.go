package plan

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// unifiedContext is how many lines that stay are shown around a difference.
	unifiedContext = 3
	// unifiedEffort bounds the lines that the search takes out and puts in. It
	// takes memory and time by the square of them; texts that differ in more
	// have so little in common that one is shown in place of the other.
	unifiedEffort = 500
)

// edit is a run of lines: kept (' '), only in the old text ('-') or only in the
// new one ('+').
type edit struct {
	kind  byte
	lines []string
}

// unified returns the difference of two texts as unified diffs do, hunks only,
// without a header that names files. It is empty if the texts are equal.
// Together with the new text it determines the old one.
func unified(before, after string) string {
	if before == after {
		return ""
	}
	var b strings.Builder
	for _, h := range hunks(lineEdits(splitLines(before), splitLines(after))) {
		h.write(&b)
	}
	return b.String()
}

// splitLines keeps the ends of lines, so that a last line without one differs
// from a line with it.
func splitLines(s string) []string { return slices.Collect(strings.Lines(s)) }

// lineEdits returns edits that make a of b: what both begin and end with is kept
// in any case, and between them the fewest lines change.
func lineEdits(a, b []string) []edit {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var out []edit
	add := func(kind byte, lines []string) {
		if len(lines) == 0 {
			return
		}
		if n := len(out); n > 0 && out[n-1].kind == kind {
			out[n-1].lines = append(slices.Clip(out[n-1].lines), lines...)
			return
		}
		out = append(out, edit{kind, lines})
	}
	add(' ', a[:head])
	for _, e := range shortest(a[head:len(a)-tail], b[head:len(b)-tail]) {
		add(e.kind, e.lines)
	}
	add(' ', a[len(a)-tail:])
	return out
}

// shortest is Myers' greedy search. A point (x, y) has x lines of a and y of b
// behind it and lies on the diagonal x-y; reach[k] is the furthest x on
// diagonal k after d changes. The reaches of every d are kept, to walk back.
func shortest(a, b []string) []edit {
	most := min(len(a)+len(b), unifiedEffort)
	reach := map[int]int{1: 0}
	var kept []map[int]int
	for d := 0; d <= most; d++ {
		now := make(map[int]int, d+1)
		for k := -d; k <= d; k += 2 {
			x := reach[k-1] + 1 // a line of a goes
			if k == -d || k != d && reach[k-1] < reach[k+1] {
				x = reach[k+1] // a line of b comes
			}
			for x < len(a) && x-k < len(b) && a[x] == b[x-k] {
				x++
			}
			now[k] = x
			if x >= len(a) && x-k >= len(b) {
				return walkBack(a, b, append(kept, now))
			}
		}
		kept = append(kept, now)
		reach = now
	}
	return []edit{{'-', a}, {'+', b}}
}

// walkBack goes from the ends of both texts to their beginnings, one change at
// a time.
func walkBack(a, b []string, reaches []map[int]int) []edit {
	var out []edit
	x, y := len(a), len(b)
	for d := len(reaches) - 1; d > 0; d-- {
		k, reach := x-y, reaches[d-1]
		from := k - 1
		if k == -d || k != d && reach[k-1] < reach[k+1] {
			from = k + 1
		}
		px := reach[from]
		py := px - from
		var change edit
		kept := a[px:x]
		if from > k {
			change = edit{'+', b[py : py+1]}
		} else {
			change, kept = edit{'-', kept[:1]}, kept[1:]
		}
		if len(kept) > 0 {
			out = append(out, edit{' ', kept})
		}
		out = append(out, change)
		x, y = px, py
	}
	if x > 0 {
		out = append(out, edit{' ', a[:x]})
	}
	slices.Reverse(out)
	return out
}

// hunk is what differs at one place, with what surrounds it. The numbers are
// of its first lines, from 1.
type hunk struct {
	before, after int
	edits         []edit
}

func hunks(edits []edit) []hunk {
	var out []hunk
	var h *hunk
	before, after := 1, 1
	for i, e := range edits {
		n := len(e.lines)
		if e.kind != ' ' {
			if h == nil {
				h = &hunk{before: before, after: after}
			}
			h.edits = append(h.edits, e)
		} else {
			h, out = keptLines(h, out, e, before, after, i == len(edits)-1)
		}
		if e.kind != '+' {
			before += n
		}
		if e.kind != '-' {
			after += n
		}
	}
	if h != nil {
		out = append(out, *h)
	}
	return out
}

// keptLines ends a hunk, continues it, or starts the next with what is kept.
func keptLines(h *hunk, done []hunk, e edit, before, after int, last bool) (*hunk, []hunk) {
	n := len(e.lines)
	if h != nil {
		if !last && n <= 2*unifiedContext {
			h.edits = append(h.edits, e)
			return h, done
		}
		h.edits = append(h.edits, edit{' ', e.lines[:min(n, unifiedContext)]})
		done = append(done, *h)
	}
	if last {
		return nil, done
	}
	from := max(0, n-unifiedContext)
	return &hunk{before: before + from, after: after + from, edits: []edit{{' ', e.lines[from:]}}}, done
}

func (h hunk) write(b *strings.Builder) {
	olds, news := 0, 0
	for _, e := range h.edits {
		if e.kind != '+' {
			olds += len(e.lines)
		}
		if e.kind != '-' {
			news += len(e.lines)
		}
	}
	fmt.Fprintf(b, "@@ -%s +%s @@\n", span(h.before, olds), span(h.after, news))
	for _, e := range h.edits {
		for _, line := range e.lines {
			b.WriteByte(e.kind)
			b.WriteString(line)
			if !strings.HasSuffix(line, "\n") {
				b.WriteString("\n\\ No newline at end of file\n")
			}
		}
	}
}

// span is the place of lines; of none, the line after which they would be.
func span(first, count int) string {
	switch count {
	case 0:
		return fmt.Sprintf("%d,0", first-1)
	case 1:
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d,%d", first, count)
}
