package local

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"
)

// runs reports whether a process of a group runs. One that has ended and that nobody
// has waited for (a zombie, in a container without an init for long) does not.
func runs(group int) bool {
	if errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) {
		return false
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return true
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err == nil && runsIn(stat, group) {
			return true
		}
	}
	return false
}

// runsIn reads /proc/PID/stat. The name of the program, which may hold anything, is in
// the outermost parentheses.
func runsIn(stat []byte, group int) bool {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return false
	}
	fields := bytes.Fields(stat[end+1:]) // state, parent, group
	if len(fields) < 3 || string(fields[2]) != strconv.Itoa(group) {
		return false
	}
	return string(fields[0]) != "Z" && string(fields[0]) != "X"
}
