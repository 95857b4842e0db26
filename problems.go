package quorate

import (
	"fmt"
	"strings"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// Severity is what a Problem of an input, or a finding about hosts, means for a run.
type Severity string

const (
	// Refused means that nothing can be made from the input as it is.
	Refused Severity = "error"
	// Warned means that it works but is unlikely to be what one wants.
	Warned Severity = "warning"
	// Unchecked is of what could not be checked, on a host: it is never a pass.
	Unchecked Severity = "info"
)

// Problem is one thing wrong with an input.
type Problem struct {
	// Path names the field as the YAML form writes it: nodes[2].addresses[0].
	Path string `json:"path"`
	// Message says what is wrong and what to do about it.
	Message  string   `json:"message"`
	Severity Severity `json:"severity"`
	// Line of the text that the input was read from, 0 if there is none.
	Line int `json:"line,omitempty"`
}

// String returns "line: path: message", marked when it is only a warning.
func (p Problem) String() string {
	s := p.Message
	if p.Path != "" {
		s = p.Path + ": " + s
	}
	if p.Line != 0 {
		s = fmt.Sprintf("line %d: %s", p.Line, s)
	}
	if p.Severity == Warned {
		s = "warning: " + s
	}
	return termsafe.Indented(s)
}

// Problems is every problem found in one input, in the order of its fields.
type Problems []Problem

// Refuse adds an error at a path.
func (p *Problems) Refuse(path, format string, args ...any) {
	*p = append(*p, Problem{Path: path, Message: fmt.Sprintf(format, args...), Severity: Refused})
}

// Warn adds a warning at a path.
func (p *Problems) Warn(path, format string, args ...any) {
	*p = append(*p, Problem{Path: path, Message: fmt.Sprintf(format, args...), Severity: Warned})
}

// Include adds the problems of a part that is at a path: its "port" becomes
// "endpoint.port".
func (p *Problems) Include(at string, part Problems) {
	for _, problem := range part {
		switch {
		case problem.Path == "":
			problem.Path = at
		case strings.HasPrefix(problem.Path, "["):
			problem.Path = at + problem.Path
		default:
			problem.Path = at + "." + problem.Path
		}
		*p = append(*p, problem)
	}
}

// Only returns the problems of one severity.
func (p Problems) Only(s Severity) Problems {
	var out Problems
	for _, problem := range p {
		if problem.Severity == s {
			out = append(out, problem)
		}
	}
	return out
}

// Err returns an *InvalidError with the errors among the problems, nil if there
// are none: warnings alone refuse nothing.
func (p Problems) Err(what string) error {
	refused := p.Only(Refused)
	if len(refused) == 0 {
		return nil
	}
	return &InvalidError{What: what, Problems: refused}
}

// InvalidError refuses an input, with every reason at once. It is returned
// before any host is touched.
type InvalidError struct {
	// What was refused: "cluster", "etcd member cp-1".
	What     string
	Problems Problems
}

// Error lists one problem a line, after a line that counts them.
func (e *InvalidError) Error() string {
	var b strings.Builder
	plural := "s"
	if len(e.Problems) == 1 {
		plural = ""
	}
	fmt.Fprintf(&b, "%s: %d problem%s", e.What, len(e.Problems), plural)
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return termsafe.Indented(b.String())
}
