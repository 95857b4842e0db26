package transport

import (
	"fmt"
	"strings"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// ExitError reports that a command ran and did not succeed.
type ExitError struct {
	Host string
	Argv []string
	// Code is the exit status, or -1 when a signal ended the command and Signal is known. Over
	// SSH and sudo it is what the host's shell reports: 128 and the signal's number.
	Code int
	// Signal is its name without SIG ("KILL"), empty when it exited or only Code is known.
	Signal string
	// Stderr is the end of the standard error, at most StderrLimit bytes.
	Stderr string
	// Advice says what to do about it, empty if nothing general can be said.
	Advice string
}

// StderrLimit is how much of a command's standard error an ExitError keeps.
const StderrLimit = 8 << 10

func (e *ExitError) Error() string {
	how := fmt.Sprintf("exit status %d", e.Code)
	if e.Signal != "" {
		how = "ended by SIG" + e.Signal
	}
	s := fmt.Sprintf("%s: %s: %s", e.Host, shortArgv(e.Argv), how)
	if text := strings.TrimSpace(e.Stderr); text != "" {
		s += ": " + text
	}
	if e.Advice != "" {
		s += "; " + e.Advice
	}
	return termsafe.Indented(s)
}

// shortArgv keeps a script passed to sh -c from filling the message.
func shortArgv(argv []string) string {
	const limit = 120
	s := strings.Join(argv, " ")
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		s = s[:i] + " ..."
	}
	if len(s) > limit {
		s = s[:limit] + " ..."
	}
	return s
}

// DialReason is the kind of a DialError.
type DialReason string

const (
	// Unreachable: no connection to the address came about.
	Unreachable DialReason = "unreachable"
	// HostKey: the host did not prove to be who it should be. Not retried.
	HostKey DialReason = "host key"
	// Auth: the host did not accept the user's credentials. Not retried.
	Auth DialReason = "authentication"
	// Incompatible: what answers speaks no SSH, or none of the kind that is
	// accepted. Not retried.
	Incompatible DialReason = "incompatible"
	// Refused: there is a connection, but the host allows no session over it.
	Refused DialReason = "session refused"
	// Lost: an established connection broke.
	Lost DialReason = "connection lost"
)

// DialError reports that a host could not be reached, or no longer.
type DialError struct {
	Host string
	// Addr that was dialled, empty if the transport has no addresses.
	Addr   string
	Reason DialReason
	// Advice says what to do about it, empty if nothing general can be said.
	Advice string
	Err    error
}

func (e *DialError) Error() string {
	s := e.Host
	if e.Addr != "" && e.Addr != e.Host {
		s += " (" + e.Addr + ")"
	}
	s += ": " + string(e.Reason)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Advice != "" {
		s += "; " + e.Advice
	}
	return termsafe.Indented(s)
}

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }
