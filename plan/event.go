package plan

import "time"

// EventKind is the kind of an Event.
type EventKind string

const (
	// RunStarted is the first event of a run, with Steps and DryRun.
	RunStarted EventKind = "run-started"
	// StepUnfinished: an earlier run left the step unfinished, as Message says.
	// It comes before any step starts, also for a step that the plan does not
	// have, and only with a Journal.
	StepUnfinished EventKind = "step-unfinished"
	// JournalFailed: the journal could not keep something, a step's outcome if
	// Step is set. Err is a *JournalError.
	JournalFailed EventKind = "journal-failed"
	// StepStarted: the step's locks are held and its first check starts.
	StepStarted EventKind = "step-started"
	// StepApplying: the check found the Diff, and it is being applied.
	StepApplying EventKind = "step-applying"
	// StepProgress: the step has something to say in Message.
	StepProgress EventKind = "step-progress"
	// StepRetrying: the attempt failed with Err and another will follow.
	StepRetrying EventKind = "step-retrying"
	// StepEnded: the step has its Outcome, and Err if it failed.
	StepEnded EventKind = "step-ended"
	// RunEnded is the last event, with the Summary.
	RunEnded EventKind = "run-ended"
)

// Outcome is how a step ended.
type Outcome string

const (
	// Unchanged: nothing differed.
	Unchanged Outcome = "unchanged"
	// Changed: the difference was applied and verified.
	Changed Outcome = "changed"
	// WouldChange: a dry run found a difference.
	WouldChange Outcome = "would-change"
	// Unknown: a dry run could not know, because a step before it would change
	// what its check looks at.
	Unknown Outcome = "unknown"
	// Failed: see the error.
	Failed Outcome = "failed"
	// NotReached: a step before it failed, or the run was stopped.
	NotReached Outcome = "not-reached"
)

// Event is something that happened in a run. Events hold no secrets.
type Event struct {
	Time time.Time
	// Run is the random ID of the run, the same in all its events and in the
	// records of its Journal.
	Run     string
	Kind    EventKind
	Step    ID     // of step events
	Host    string // of step events
	Title   string // of step events
	Attempt int    // of step events, from 1
	Diff    Diff   // of StepApplying and StepEnded
	Message string // of StepProgress and StepUnfinished
	Outcome Outcome
	Err     error
	Elapsed time.Duration // of StepEnded and RunEnded
	Summary *Summary      // of RunEnded
	Steps   int           // of RunStarted: how many the plan has
	DryRun  bool          // of RunStarted
	// Irreversible, of RunStarted with Runner.BackupAs, are the steps that a Rollback of
	// the run would leave as they are: see Plan.Irreversible.
	Irreversible []ID
}

// Summary counts what a run did.
type Summary struct {
	Steps    int             `json:"steps"`
	Outcomes map[Outcome]int `json:"outcomes"`
	// RoundTrips by host: commands run, file operations and tunnels; what was
	// read ahead together counts as one. Connecting is not among them.
	RoundTrips map[string]int `json:"roundTrips"`
	Elapsed    time.Duration  `json:"elapsed"`
	// Unfinished is what earlier runs had left so, by the Journal, when this
	// one began.
	Unfinished []Unfinished `json:"unfinished,omitempty"`
}

// Changed reports whether the run changed anything, or would have.
func (s Summary) Changed() bool {
	return s.Outcomes[Changed] > 0 || s.Outcomes[WouldChange] > 0
}
