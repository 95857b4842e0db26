//go:build unix && !linux

package local

import (
	"errors"
	"syscall"
)

// runs reports whether a process of a group is there, ended or not.
func runs(group int) bool { return !errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) }
