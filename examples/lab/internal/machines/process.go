package machines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a process by its id and its start, so that an id which the kernel
// has assigned to another process meanwhile is never signalled.
type process struct {
	PID int `json:"pid"`
	// Start in clock ticks since the machine booted.
	Start uint64 `json:"start"`
}

// findProcess returns the process that has an id now.
func findProcess(pid int) (process, error) {
	_, start, err := readStat(pid)
	return process{PID: pid, Start: start}, err
}

// alive reports whether the very process still runs. A zombie does not.
func (p process) alive() bool {
	if p.PID == 0 {
		return false
	}
	state, start, err := readStat(p.PID)
	return err == nil && start == p.Start && state != "Z"
}

// kill ends the process at once; one that is gone is no error.
func (p process) kill() error {
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill %d: %w", p.PID, err)
	}
	return nil
}

func (p process) waitGone(ctx context.Context) error {
	return poll(ctx, 5*time.Millisecond, func() (bool, error) { return !p.alive(), nil })
}

func readStat(pid int) (state string, start uint64, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", 0, err
	}
	return parseStat(string(b))
}

// parseStat reads fields 3 and 22 of /proc/PID/stat, see proc(5). The second
// field is a name in parentheses that may hold anything.
func parseStat(s string) (state string, start uint64, err error) {
	fields := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(fields) < 20 {
		return "", 0, fmt.Errorf("process status %q: too short", s)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return fields[0], start, err
}

// poll calls done until it returns true or an error, or ctx ends.
func poll(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
