package faketransport

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"github.com/quorate-dev/quorate/transport"
)

// Kind is what a call does.
type Kind string

// The kinds of calls. Exec is a scripted command run by a shell script; its
// Run is recorded before it.
const (
	Dial   Kind = "dial"
	Run    Kind = "run"
	Exec   Kind = "exec"
	Tunnel Kind = "tunnel"
	Stat   Kind = "stat"
	Read   Kind = "read"
	Write  Kind = "write"
	Upload Kind = "upload"
	Remove Kind = "remove"
	// Gather is a round trip for what is recorded after it: a Stat, and Runs.
	Gather Kind = "gather"
)

// Op is a call as hooks and the record see it. Contents are no part of it.
type Op struct {
	Kind Kind
	// Argv of a Run or Exec; network and address of a Tunnel.
	Argv []string
	// Files of a file operation. Stat, Read and Remove fill in paths only;
	// contents are left out.
	Files []transport.File
}

// String returns one line: kind, then words quoted as a shell would take them.
// Lines of a script after the first are left out; files show mode and owner.
func (o Op) String() string {
	words := []string{string(o.Kind)}
	for _, arg := range o.Argv {
		words = append(words, shellescape.Quote(firstLine(arg)))
	}
	for _, f := range o.Files {
		words = append(words, shellescape.Quote(firstLine(f.Path)))
		if o.Kind == Write || o.Kind == Upload {
			words = append(words, fmt.Sprintf("(%04o %s)", f.Mode, strings.Trim(f.Owner+":"+f.Group, ":")))
		}
	}
	return strings.ReplaceAll(strings.Join(words, " "), " )", ")")
}

func firstLine(s string) string {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return s[:i] + "..."
	}
	return s
}

// Call is one recorded call.
type Call struct {
	Host string
	Op   Op
	// Done says that it has ended, with Err.
	Done bool
	Err  error
}

// String is "HOST: OP", followed by "-> exit N", "-> error" or "-> pending"
// unless it succeeded.
func (c Call) String() string {
	s := c.Host + ": " + c.Op.String()
	var exit *transport.ExitError
	var dial *transport.DialError
	switch {
	case !c.Done:
		s += " -> pending"
	case errors.As(c.Err, &exit) && exit.Signal != "":
		s += " -> SIG" + exit.Signal
	case errors.As(c.Err, &exit):
		s += fmt.Sprintf(" -> exit %d", exit.Code)
	case errors.As(c.Err, &dial):
		s += " -> " + string(dial.Reason)
	case errors.Is(c.Err, context.Canceled), errors.Is(c.Err, context.DeadlineExceeded):
		s += " -> cancelled"
	case c.Err != nil:
		s += " -> error"
	}
	return s
}
