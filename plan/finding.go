package plan

import (
	"fmt"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/termsafe"
)

// Check names the check that a Finding is from: plan/ha/preflight has some.
type Check string

// Finding is one thing about hosts that a check has to say.
type Finding struct {
	// Check is empty for what a step itself has found.
	Check Check `json:"check,omitempty"`
	// Severity is Refused if it stops a run, Warned if it is likely to be trouble
	// later, and Unchecked if it says what could not be checked.
	Severity quorate.Severity `json:"severity"`
	// Hosts that it is about, by their names in the description.
	Hosts []string `json:"hosts"`
	// Found is what was found, Do what to do about it.
	Found string `json:"found"`
	Do    string `json:"do"`
}

// String returns "cp-1 (swap): swap is on: swapoff -a ...".
func (f Finding) String() string {
	who := strings.Join(f.Hosts, ", ")
	if f.Check != "" {
		who += fmt.Sprintf(" (%s)", f.Check)
	}
	return termsafe.Indented(who + ": " + f.Found + ": " + f.Do)
}
