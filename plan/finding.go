package plan

import (
	"fmt"
	"strings"
)

// Check names the check that a Finding is from: plan/ha/preflight has some.
type Check string

// Severity of a Finding.
type Severity string

const (
	// SeverityError stops a run.
	SeverityError Severity = "error"
	// SeverityWarning is likely to be trouble later.
	SeverityWarning Severity = "warning"
	// SeverityInfo says what could not be checked: it is never a pass.
	SeverityInfo Severity = "info"
)

// Finding is one thing about hosts that a check has to say.
type Finding struct {
	Check    Check    `json:"check"`
	Severity Severity `json:"severity"`
	// Hosts that it is about, by their names in the description.
	Hosts []string `json:"hosts"`
	// Found is what was found, Do what to do about it.
	Found string `json:"found"`
	Do    string `json:"do"`
}

// String gives "cp-1 (swap): swap is on: swapoff -a ...".
func (f Finding) String() string {
	return fmt.Sprintf("%s (%s): %s: %s", strings.Join(f.Hosts, ", "), f.Check, f.Found, f.Do)
}
