package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Report is what a preflight found. It is data, holds no secrets, and may be shown
// and kept.
type Report struct {
	// Hosts that were looked at, in the description's order.
	Hosts []string `json:"hosts"`
	// Findings by host, and then what takes several to see.
	Findings []Finding `json:"findings"`
	// Ignored are the findings of checks that the user ignores.
	Ignored []Finding `json:"ignored,omitempty"`
}

func (r *Report) add(j judge, found ...Finding) {
	for _, f := range found {
		if j.ignored(f.Check) {
			r.Ignored = append(r.Ignored, f)
		} else {
			r.Findings = append(r.Findings, f)
		}
	}
}

// Of gives the findings of a severity.
func (r *Report) Of(s Severity) []Finding {
	var found []Finding
	for _, f := range r.Findings {
		if f.Severity == s {
			found = append(found, f)
		}
	}
	return found
}

// Err is a *PreflightError with all errors of all hosts, nil if there are none.
func (r *Report) Err() error {
	if errs := r.Of(SeverityError); len(errs) > 0 {
		return &PreflightError{Findings: errs}
	}
	return nil
}

// PreflightError tells that hosts are not fit for what they are to become. Nothing
// has been done to any.
type PreflightError struct{ Findings []Finding }

func (e *PreflightError) Error() string {
	s := fmt.Sprintf("preflight: %d errors", len(e.Findings))
	if len(e.Findings) == 1 {
		s = "preflight: 1 error"
	}
	for _, f := range e.Findings {
		s += "\n  " + f.String()
	}
	return s
}

// Text gives the report for people, errors first.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "looked at %s\n", strings.Join(r.Hosts, ", "))
	for _, s := range []Severity{SeverityError, SeverityWarning, SeverityInfo} {
		for _, f := range r.Of(s) {
			fmt.Fprintf(&b, "%-8s%s (%s)\n        %s\n        -> %s\n", s, strings.Join(f.Hosts, ", "), f.Check, f.Found, f.Do)
		}
	}
	for _, f := range r.Ignored {
		fmt.Fprintf(&b, "ignored %s (%s)\n        %s\n", strings.Join(f.Hosts, ", "), f.Check, f.Found)
	}
	fmt.Fprintf(&b, "errors: %d, warnings: %d, not checked: %d, ignored: %d\n",
		len(r.Of(SeverityError)), len(r.Of(SeverityWarning)), len(r.Of(SeverityInfo)), len(r.Ignored))
	return b.String()
}

// ReportSchema names the form of a Report's JSON. A change that readers must know
// of gets another name; new fields do not.
const ReportSchema = "quorate.dev/preflight/v1"

// JSON gives the report for programs: "schema", "hosts", "findings" and, if there
// are any, "ignored".
func (r *Report) JSON() []byte {
	findings := r.Findings
	if findings == nil {
		findings = []Finding{}
	}
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	_ = out.Encode(struct { // strings into memory: nothing fails
		Schema   string    `json:"schema"`
		Hosts    []string  `json:"hosts"`
		Findings []Finding `json:"findings"`
		Ignored  []Finding `json:"ignored,omitempty"`
	}{ReportSchema, r.Hosts, findings, r.Ignored})
	return b.Bytes()
}
