package drill

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quorate-dev/quorate/transport"
)

var (
	//go:embed scripts/watch.sh
	watchScript string
	//go:embed scripts/follow.sh
	followScript string
	//go:embed scripts/unwatch.sh
	unwatchScript string
)

const (
	// watchBeat is how often a host's watch reports its state.
	watchBeat = 500 * time.Millisecond
	// watchLimit ends a host's watch that nobody ended.
	watchLimit = 2 * time.Hour
	// watchSilence is how long a watch may say nothing.
	watchSilence = 5 * time.Second
	// watchRetry is the pause before a host is tried again.
	watchRetry = 300 * time.Millisecond
	// clockTries is how often a host's clock is read; the quickest answer counts.
	clockTries = 5
	// lookTimeout of one command that only looks.
	lookTimeout = 5 * time.Second
	// maxLine is the longest line of a host's watch that is read; its own are of
	// less than two hundred bytes.
	maxLine = 4 << 10
	// maxNotes is how many notes of one host are kept: beats of 36 hours, in 10 MiB.
	maxNotes = 1 << 18
)

// ownerWatch follows what one host says of the VIP. The notes are a file on the
// host, so that what it noted while it could not be reached is read afterwards;
// what it said until its power was cut has been read by then.
type ownerWatch struct {
	host   string
	vip    string
	dial   func(ctx context.Context) (transport.Conn, error)
	now    func() time.Time
	record *record

	boot  string
	lines int
}

// run follows until ctx ends. Each failure is tried again.
func (w *ownerWatch) run(ctx context.Context) {
	for {
		_ = w.follow(ctx) // silence shows in the record
		if !wait(ctx, watchRetry) {
			return
		}
	}
}

func (w *ownerWatch) follow(ctx context.Context) error {
	conn, err := w.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the command has ended
	ahead, uncertain, err := clock(ctx, conn, w.now)
	if err != nil {
		return err
	}
	w.record.note(func(r *record) { r.uncertain[w.host] = max(uncertain, r.uncertain[w.host]) })
	// A host, or its watch, that falls silent is started again.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(watchSilence, cancel)
	defer silence.Stop()
	lines := &lineWriter{line: func(line string) {
		silence.Reset(watchSilence)
		w.line(line, ahead)
	}}
	return conn.Run(ctx, transport.Cmd{
		Argv: []string{
			"sh", "-c", followScript, "sh", w.vip, w.boot, strconv.Itoa(w.lines),
			strconv.Itoa(int(watchLimit.Seconds())), watchScript,
		},
		Stdout: lines,
	})
}

// line takes one line of the notes. The host's clock is ahead by so much.
func (w *ownerWatch) line(line string, ahead time.Duration) {
	if rest, ok := strings.CutPrefix(line, "boot "); ok {
		boot, known, _ := strings.Cut(rest, " ")
		lines, err := strconv.Atoi(known)
		if err != nil {
			return
		}
		if w.boot != "" && boot != w.boot {
			w.record.note(func(r *record) { r.rebooted(w.host, w.now()) })
		}
		w.boot, w.lines = boot, lines
		return
	}
	w.lines++
	h, ok := parseNote(line, w.vip)
	if !ok {
		return
	}
	h.at = h.at.Add(-ahead)
	w.record.note(func(r *record) {
		if len(r.holdings[w.host]) < maxNotes {
			r.holdings[w.host] = append(r.holdings[w.host], h)
		}
	})
}

// parseNote reads "NANOSECONDS 0|1", which the watch writes, or a line of
// "ip -ts -o monitor address" in UTC that is about the VIP:
//
//	[2026-03-01T12:00:00.123456] Deleted 2: eth0    inet 10.0.0.100/32 scope ...
func parseNote(line, vip string) (holding, bool) {
	stamp, rest, ok := strings.Cut(line, " ")
	if !ok {
		return holding{}, false
	}
	if !strings.HasPrefix(stamp, "[") {
		ns, err := strconv.ParseInt(stamp, 10, 64)
		if err != nil || (rest != "0" && rest != "1") {
			return holding{}, false
		}
		return holding{at: time.Unix(0, ns).UTC(), has: rest == "1"}, true
	}
	when, err := time.Parse("[2006-01-02T15:04:05.999999]", stamp)
	if err != nil {
		return holding{}, false
	}
	words := strings.Fields(rest)
	has := true
	if len(words) > 0 && words[0] == "Deleted" {
		has, words = false, words[1:]
	}
	// "2:", "eth0", "inet", "ADDRESS/BITS"
	if len(words) < 4 || (words[2] != "inet" && words[2] != "inet6") {
		return holding{}, false
	}
	address, _, _ := strings.Cut(words[3], "/")
	return holding{at: when, has: has}, address == vip
}

// clock measures by how much a host's clock is ahead, and how exactly that is
// known: half of what the quickest answer took.
func clock(ctx context.Context, conn transport.Conn, now func() time.Time) (ahead, uncertain time.Duration, err error) {
	uncertain = lookTimeout
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for range clockTries {
		asked := now()
		out, err := transport.Output(ctx, conn, "date", "+%s%N")
		if err != nil {
			return 0, 0, err
		}
		took := now().Sub(asked)
		ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("date +%%s%%N: %q is no time in nanoseconds", cut(string(out), 40, "..."))
		}
		if took/2 < uncertain {
			uncertain = took / 2
			ahead = time.Unix(0, ns).Sub(asked.Add(took / 2))
		}
	}
	return ahead, uncertain, nil
}

// lineWriter passes on whole lines, without their ends. One that is longer than
// maxLine is left out.
type lineWriter struct {
	mu   sync.Mutex
	rest []byte
	long bool // the line that rest starts with is too long, and nothing of it kept
	line func(string)
}

// Write never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	for {
		part, after, ended := bytes.Cut(p, []byte("\n"))
		if w.long = w.long || len(w.rest)+len(part) > maxLine; w.long {
			w.rest = w.rest[:0]
		} else {
			w.rest = append(w.rest, part...)
		}
		if !ended {
			return n, nil
		}
		if !w.long {
			w.line(string(w.rest))
		}
		w.rest, w.long, p = w.rest[:0], false, after
	}
}
