package preflight

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
)

// Report is what a preflight found. It is data, holds no secrets and nothing that a
// terminal obeys, and may be shown and kept.
type Report struct {
	// Hosts that were to be read, in the description's order.
	Hosts []string `json:"hosts"`
	// Findings in the order of Checks.
	Findings []plan.Finding `json:"findings"`
	// Ignored are the findings of checks that the user ignores.
	Ignored []plan.Finding `json:"ignored,omitempty"`
}

func (r *Report) add(j Judge, found ...plan.Finding) {
	for _, f := range found {
		if j.ignored(f.Check) {
			r.Ignored = append(r.Ignored, f)
		} else {
			r.Findings = append(r.Findings, f)
		}
	}
}

// Of returns the findings of a severity.
func (r *Report) Of(s quorate.Severity) []plan.Finding {
	if r == nil {
		return nil
	}
	var found []plan.Finding
	for _, f := range r.Findings {
		if f.Severity == s {
			found = append(found, f)
		}
	}
	return found
}

// Err returns an *Error with all errors of all hosts, nil if there are none, and a
// *quorate.InvalidError of a nil Report: nothing was looked at.
func (r *Report) Err() error {
	if r == nil {
		var problems quorate.Problems
		problems.Refuse("report", "missing: no host was looked at")
		return problems.Err("preflight")
	}
	if errs := r.Of(quorate.Refused); len(errs) > 0 {
		return &Error{Findings: errs}
	}
	return nil
}

// Error reports that hosts are not fit for what they are to become. Nothing
// has been done to any.
type Error struct{ Findings []plan.Finding }

func (e *Error) Error() string {
	s := fmt.Sprintf("preflight: %d errors", len(e.Findings))
	if len(e.Findings) == 1 {
		s = "preflight: 1 error"
	}
	for _, f := range e.Findings {
		s += "\n  " + safe(f).String()
	}
	return termsafe.Indented(s)
}

// DescribeEvent returns the findings.
func (e *Error) DescribeEvent() events.Error {
	return events.Error{Kind: events.KindPreflight, Findings: e.Findings}
}

// Text returns the report for people, errors first.
func (r *Report) Text() string {
	if r == nil {
		return "no host was looked at\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "looked at %s\n", termsafe.Line(strings.Join(r.Hosts, ", ")))
	for _, s := range []quorate.Severity{quorate.Refused, quorate.Warned, quorate.Unchecked} {
		for _, f := range r.Of(s) {
			f = safe(f)
			fmt.Fprintf(&b, "%-8s%s (%s)\n        %s\n        -> %s\n", s, strings.Join(f.Hosts, ", "), f.Check, f.Found, f.Do)
		}
	}
	for _, f := range r.Ignored {
		f = safe(f)
		fmt.Fprintf(&b, "ignored %s (%s)\n        %s\n", strings.Join(f.Hosts, ", "), f.Check, f.Found)
	}
	fmt.Fprintf(&b, "errors: %d, warnings: %d, not checked: %d, ignored: %d\n",
		len(r.Of(quorate.Refused)), len(r.Of(quorate.Warned)), len(r.Of(quorate.Unchecked)), len(r.Ignored))
	return termsafe.Text(b.String())
}

// Schema names the form of a Report's JSON. A change that readers must know
// of gets another name; new fields do not.
const Schema = "quorate.dev/preflight/v1"

// JSON returns the report for programs: "schema", "hosts", "findings" and, if there
// are any, "ignored".
func (r *Report) JSON() []byte {
	if r == nil {
		r = &Report{}
	}
	findings := r.Findings
	if findings == nil {
		findings = []plan.Finding{}
	}
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	_ = out.Encode(struct { // strings into memory: nothing fails
		Schema   string         `json:"schema"`
		Hosts    []string       `json:"hosts"`
		Findings []plan.Finding `json:"findings"`
		Ignored  []plan.Finding `json:"ignored,omitempty"`
	}{Schema, r.Hosts, findings, r.Ignored})
	return termsafe.JSON(b.Bytes())
}
