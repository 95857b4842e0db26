package plan

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/internal/termsafe"
)

// Reverter is the ability of an Action to undo what its Apply did in one run.
// Deploy has it, and most of the recipe's Actions.
type Reverter interface {
	// Backup puts into dir on the host, before Apply changes anything for d, what
	// Undo will need. The directory is there, empty, and root's alone. It is called
	// once for a step and a run, however often Apply is tried. An
	// *IrreversibleError says that this time there will be no way back; any other
	// fails the step.
	Backup(ctx context.Context, h *Host, d Diff, dir string) error
	// Undo undoes it. It is safe to repeat after a failure at any point.
	Undo(ctx context.Context, h *Host, dir string) error
}

// IrreversibleError names a step that changed something and cannot be undone.
type IrreversibleError struct {
	Step ID
	// Reason why, in words.
	Reason string
}

func (e *IrreversibleError) Error() string {
	return termsafe.Indented(fmt.Sprintf("step %s cannot be undone: %s", e.Step, e.Reason))
}

// Irreversible returns the steps that a Rollback leaves as they are, whatever a run
// of the plan does by them, since their Actions are no Reverters. It is known before
// any run; that a Reverter finds no way back is known only once it has looked.
func (p *Plan) Irreversible() []ID {
	var ids []ID
	for _, s := range p.orEmpty().steps {
		if _, able := s.Action.(Reverter); !able {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// Rollback makes the plan that undoes what one run of p did, in reverse order: the
// run, or all the runs, of a Runner whose BackupAs was this name. It goes by what that
// Runner has kept on the hosts, so it can be made by another program and after
// another run, and needs no journal. The names of its steps are those of p after
// "undo/".
//
// A step that was not applied in that run changes nothing. One that was is undone
// if its Action is a Reverter: Deploy puts back the bytes, modes and owners that
// was there and removes what was not, and has units run, or not, as they did.
//
// One that cannot be undone fails with an *IrreversibleError, so that nothing is
// passed over in silence. Where its Action is no Reverter (Plan.Irreversible), the
// steps before it are undone all the same: nothing says that it needs them, and
// one step of one's own at the end does not make all of a rollback undo nothing.
// Where a Reverter found that there is no way back, the steps that it came after are
// left as they are, and the *RunError names them as not reached.
//
// Steps of one's own take part when their Actions are Reverters. An Action that only
// reads or waits embeds NothingToUndo.
//
// What has been undone is no longer kept, so a second run changes nothing, and an
// interrupted one goes on where it was. Undo an older run only after those that came
// later: what it kept may be older than what they changed.
//
// The error says that the name is none that Runner.BackupAs takes, or is a
// *quorate.InvalidError where there is no plan.
func Rollback(p *Plan, run string) (*Plan, error) {
	if p == nil {
		var problems quorate.Problems
		problems.Refuse("plan", "missing")
		return nil, problems.Err("rollback")
	}
	if !runName.MatchString(run) {
		return nil, runNameError(run)
	}
	var steps []Step
	waits := p.undoneAfter()
	for i, s := range slices.Backward(p.steps) {
		u := Step{
			ID: "undo/" + s.ID, Title: "undo: " + s.Title, Host: s.Host, Locks: s.Locks, Timeout: s.Timeout, Retry: s.Retry,
			Action:  revert{step: s.ID, action: s.Action, dir: undoDir(run, s.ID), of: p.described[i].Description},
			secrets: s.secrets,
		}
		for _, j := range waits[i] {
			u.After = append(u.After, "undo/"+p.steps[j].ID)
		}
		steps = append(steps, u)
	}
	return New(steps...)
}

// undoneAfter returns, for each step, those that are undone before it: the ones that
// came after it, and past one that cannot be undone, those after that.
func (p *Plan) undoneAfter() [][]int {
	able := make([]bool, len(p.steps))
	for i, s := range p.steps {
		_, able[i] = s.Action.(Reverter)
	}
	memo := make([][]int, len(p.steps))
	done := make([]bool, len(p.steps))
	var of func(int) []int
	of = func(i int) []int {
		if done[i] {
			return memo[i]
		}
		done[i] = true
		seen := map[int]bool{}
		add := func(j int) {
			if !seen[j] {
				seen[j] = true
				memo[i] = append(memo[i], j)
			}
		}
		for _, j := range p.before[i] {
			if able[j] {
				add(j)
				continue
			}
			for _, k := range of(j) {
				add(k)
			}
		}
		return memo[i]
	}
	for i := range p.steps {
		of(i)
	}
	return memo
}

var runName = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z`)

func runNameError(run string) error {
	return fmt.Errorf("run %q: want up to 64 letters, digits, dots, dashes and underscores", run)
}

func undoDir(run string, step ID) string {
	sum := sha256.Sum256([]byte(step))
	return path.Join(hostpath.Undo, run, fmt.Sprintf("%x", sum[:8]))
}

// revert undoes one step.
type revert struct {
	step   ID
	action Action
	dir    string
	of     Description
}

const (
	keptMark         = "/complete"
	irreversibleMark = "/irreversible"
)

// Check looks for what the run has kept.
func (u revert) Check(ctx context.Context, h *Host) (Diff, error) {
	found, err := h.Stat(ctx, u.dir+keptMark, u.dir+irreversibleMark)
	switch {
	case err != nil:
		return nil, err
	case found[1].Exists:
		reason, err := h.Read(ctx, u.dir+irreversibleMark)
		if err != nil {
			return nil, err
		}
		return nil, &IrreversibleError{Step: u.step, Reason: strings.TrimSpace(string(reason))}
	case !found[0].Exists:
		return nil, nil
	}
	return Diff{{Verb: "undo", Subject: string(u.step), Disruptive: true}}, nil
}

// Apply undoes it, and then forgets what was kept.
func (u revert) Apply(ctx context.Context, h *Host, _ Diff) error {
	undoer, ok := u.action.(Reverter)
	if !ok {
		return &IrreversibleError{Step: u.step, Reason: fmt.Sprintf("%T is no Reverter", u.action)}
	}
	if err := undoer.Undo(ctx, h, u.dir); err != nil {
		return err
	}
	_, err := h.Script(ctx, forgetKept, map[string]string{"DIR": u.dir})
	return err
}

// Describe returns what the step is made of.
func (u revert) Describe() Description {
	d := Description{Inputs: slices.Concat(u.of.Inputs, []quorate.Content{InputText(u.of.Kind, string(u.step), u.dir)})}
	if u.of.Kind != "" { // or nobody knows what undoing it does
		d.Kind = "quorate/undo"
	}
	return d
}

// forgetKept removes the mark first: what is left without it counts for nothing.
// It is for directories below hostpath.Undo alone.
//
//go:embed scripts/forget.sh
var forgetKept string

// keepDir makes DIR, empty, unless all is kept there.
//
//go:embed scripts/keepdir.sh
var keepDir string

// keepFiles keeps files as DIR/1, DIR/2 ... and says of units how they are. Its
// further arguments are pairs of a kind and a name.
//
//go:embed scripts/keep.sh
var keepFiles string

// putBack is what keepFiles was, backwards. Units that did not run are stopped
// before their files go, and others restarted once their files are back. A "made"
// is moved away if the unit before it did not run: what the unit made by itself.
//
//go:embed scripts/putback.sh
var putBack string

// NothingToUndo is for Actions that only wait, and for one whose work, a token, goes by
// itself.
type NothingToUndo struct{}

// Backup notes nothing.
func (NothingToUndo) Backup(context.Context, *Host, Diff, string) error { return nil }

// Undo has nothing to do.
func (NothingToUndo) Undo(context.Context, *Host, string) error { return nil }
