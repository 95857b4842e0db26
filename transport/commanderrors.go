package transport

import (
	"fmt"
	"strings"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// NotStartedError reports that the host took a command and did not run it: a
// login shell such as nologin, a forced command, a password that must be
// changed first, or a server that runs no commands answered in its place.
// Nothing of the answer is believed, whatever its status.
type NotStartedError struct {
	// Host is empty when only the caller knows it.
	Host string
	Argv []string
	// Code and Signal are how the host said that it ended, as in ExitError; Code is
	// -1 if it said nothing.
	Code   int
	Signal string
	// Said is the end of what the host printed instead, at most StderrLimit bytes of
	// each stream.
	Said string
	// Err is what went wrong beyond that, nil if nothing is known.
	Err error
}

func (e *NotStartedError) Error() string {
	s := shortArgv(e.Argv) + ": the host did not run it"
	if e.Host != "" {
		s = e.Host + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	} else if e.Code >= 0 {
		s += fmt.Sprintf(", and answered with exit status %d", e.Code)
	}
	if text := strings.TrimSpace(e.Said); text != "" {
		s += ": " + text
	}
	return termsafe.Indented(s + "; " + e.Advice())
}

// Advice says what to do about it.
func (e *NotStartedError) Advice() string {
	if strings.Contains(strings.ToLower(e.Said), "password change required") {
		return "the user's password has expired: change it on the host, or lift its age there (chage)"
	}
	return "the user needs a login shell that runs commands, sh in its PATH, and no forced command in sshd_config or authorized_keys"
}

// Unwrap returns the cause.
func (e *NotStartedError) Unwrap() error { return e.Err }

// StillRunningError reports that a command which was to end may still run on
// the host, or may start there yet: ctx ended, or the Conn was closed, and the host has
// not said that the command ended.
type StillRunningError struct {
	Host string
	Argv []string
	// Group is the process group on the host, 0 if the host has not said.
	Group int
	// Err is why the command was to end: ctx's error, or net.ErrClosed in a
	// *DialError. errors.Is finds it.
	Err error
	// Why is what is known about why it may still run.
	Why error
}

func (e *StillRunningError) Error() string {
	which := "it"
	if e.Group > 0 {
		which = fmt.Sprintf("process group %d", e.Group)
	}
	return termsafe.Indented(fmt.Sprintf("%s: %s: %v; %s may still run on the host: %v", e.Host, shortArgv(e.Argv), e.Err, which, e.Why))
}

// Advice says what to do about it.
func (e *StillRunningError) Advice() string {
	if e.Group > 0 {
		return fmt.Sprintf("before you run again, wait until it has ended, or end it on the host: kill -KILL -%d", e.Group)
	}
	return "before you run again, look on the host whether it runs"
}

// Unwrap returns both causes.
func (e *StillRunningError) Unwrap() []error { return []error{e.Err, e.Why} }

// UnknownExitError reports that a command started, and that its session ended
// without a status that can be read: whether it did its work is not known.
type UnknownExitError struct {
	Host string
	Argv []string
	// Stderr is the end of the standard error, at most StderrLimit bytes.
	Stderr string
	Err    error
}

func (e *UnknownExitError) Error() string {
	s := fmt.Sprintf("%s: %s: how it ended is not known: %v", e.Host, shortArgv(e.Argv), e.Err)
	if text := strings.TrimSpace(e.Stderr); text != "" {
		s += ": " + text
	}
	return termsafe.Indented(s)
}

// Unwrap returns the cause.
func (e *UnknownExitError) Unwrap() error { return e.Err }
