package plan

import (
	"context"
	"time"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// ID names a step within its plan: "board/web-1".
type ID string

// Step is one unit of work on one host. A Step is data: nothing happens before
// a Runner runs the plan that holds it.
type Step struct {
	// ID is required and unique within the plan.
	ID ID
	// Title says in a few words what the step is for. Default: the ID.
	Title string
	// Host the step works on, as the transport knows it. Required. Steps of
	// one host never overlap.
	Host string
	// After are the steps that must have succeeded before this one starts.
	After []ID
	// Locks are names held while the step runs; steps that share one never
	// overlap, wherever they run.
	Locks []string
	// Alone says that the host's failure is the host's alone: if the step fails, or is not
	// reached since one like it failed on the same host, those after it on other hosts are
	// run all the same. The run fails by it at its end, as by any.
	Alone bool
	// Timeout bounds the whole step, retries included. Default 5 minutes.
	Timeout time.Duration
	// Retry says what to do when the step fails.
	Retry Retry
	// Action is the work. Required. Actions are called by one goroutine at a
	// time, so they need no locks of their own. One that panics fails its step
	// with a *PanicError.
	Action Action

	// secrets are those of the plan that the step was in.
	secrets *secretTexts
}

// defaultTimeout bounds a step that sets no Timeout.
const defaultTimeout = 5 * time.Minute

// Retry says how often and when a failed step is tried again. The zero Retry
// tries twice more when the connection was lost or could not be made, and never
// after a command's own failure.
type Retry struct {
	// Attempts in all. Default 3; 1 never retries.
	Attempts int
	// Wait before the next attempt. Default 1s.
	Wait time.Duration
	// If reports which failures are worth another attempt. Default: Transient.
	If func(error) bool
}

// Action brings one thing on a host to its desired state. Run = Check, Apply if
// it differs, Check again. Both must be safe to repeat after a failure at any
// point.
type Action interface {
	// Check reads only, and says what Apply would change. An empty Diff means
	// that nothing is left to do. The plan's secrets are taken out of its words.
	Check(ctx context.Context, h *Host) (Diff, error)
	// Apply changes what Check found to differ.
	Apply(ctx context.Context, h *Host, d Diff) error
}

// Diff is what differs between a host and its desired state.
type Diff []Change

// Change is one difference. It never holds secret content: of a secret file it
// says only that it differs.
type Change struct {
	// Verb is what would be done: create, update, remove, start, restart,
	// enable, run, wait.
	Verb string `json:"verb"`
	// Subject is what it would be done to: a path, "unit web.service".
	Subject string `json:"subject"`
	// Detail says how it differs, empty if the verb says it all.
	Detail string `json:"detail,omitempty"`
	// Disruptive changes interrupt something that works: a restart.
	Disruptive bool `json:"disruptive,omitempty"`
	// Waits says that nothing is changed: Apply only waits for it. Then Detail may be
	// another each time that it is looked at.
	Waits bool `json:"waits,omitempty"`
	// Data is what the Action's Check found, for its Apply and Commands: what they
	// do rests on it and on no word above. It holds no secrets, is not kept, and is
	// for nobody else; see DataOf.
	Data any `json:"-"`
	// Text is the unified diff from what is on the host to what would be
	// written. Only Runner.Preview fills it in, and only for public text.
	Text string `json:"text,omitempty"`
	// Hidden says why a content that would be written has no Text: it is
	// secret, binary, too large. Only Runner.Preview fills it in.
	Hidden string `json:"hidden,omitempty"`
}

// String returns "update /etc/motd (content)", with what is not printable escaped.
func (c Change) String() string {
	s := c.Verb + " " + c.Subject
	if c.Detail != "" {
		s += " (" + c.Detail + ")"
	}
	return termsafe.Indented(s)
}

// DataOf returns the Data of the changes that have such, in their order.
func DataOf[T any](d Diff) []T {
	var out []T
	for _, c := range d {
		if data, ok := c.Data.(T); ok {
			out = append(out, data)
		}
	}
	return out
}
