package kube

import (
	"context"
	_ "embed"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
	"github.com/quorate-dev/quorate/plan/internal/poll"
	"github.com/quorate-dev/quorate/transport"
)

// Reset is kubeadm reset, and removes what it leaves of the recipe's files.
type Reset struct {
	Argv  []string
	Files []string
	// keep is where keys and certificates are kept, empty if they are not.
	KeepAt string
}

// resetState prints what there is for kubeadm reset to do.
//
//go:embed scripts/resetstate.sh
var resetState string

func (u Reset) state(ctx context.Context, h *plan.Host) (map[string]string, error) {
	out, err := h.Script(ctx, resetState, nil, u.Files...)
	return keyval.Parse(out), err
}

// Check looks for files of kubeadm's and for the mark of a reset that was begun.
func (u Reset) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	f, err := u.state(ctx, h)
	if err != nil {
		return nil, err
	}
	c := plan.Change{Verb: "run", Subject: strings.Join(u.Argv[:2], " "), Disruptive: true}
	switch {
	case f["mark"] == markReset:
		c.Detail = "an earlier run ended before it was complete"
	case f["left"] != "":
		c.Detail = "there is " + f["left"]
	case f["mark"] != "":
		c.Detail = "kubeadm was run here"
	default:
		return nil, nil
	}
	return plan.Diff{c}, nil
}

// keepScript copies FROM to TO as a whole, or leaves what is there.
//
//go:embed scripts/keeppki.sh
var keepScript string

// afterReset removes what kubeadm reset leaves of its input, and
// last of all the mark.
//
//go:embed scripts/afterreset.sh
var afterReset string

// Apply waits for a kubeadm of an earlier run, keeps what is to be kept, says that
// it starts, and resets. What has been begun has kept everything already: now
// part of it may be gone.
func (u Reset) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	f, err := u.state(ctx, h)
	for err == nil && f["running"] == "yes" {
		h.Report("waiting for the kubeadm that an earlier run began")
		if !poll.Wait(ctx, bootstrapPoll) {
			return ctx.Err()
		}
		f, err = u.state(ctx, h)
	}
	if err != nil {
		return err
	}
	if f["mark"] != markReset {
		if u.KeepAt != "" {
			if _, err := h.Script(ctx, keepScript, map[string]string{"FROM": hostpath.KubernetesPKI, "TO": u.KeepAt}); err != nil {
				return err
			}
		}
		if err := h.WriteFiles(ctx, mark(markReset)); err != nil {
			return err
		}
	}
	if _, err := h.Run(ctx, u.Argv...); err != nil {
		return err
	}
	_, err = h.Script(ctx, afterReset, nil, u.Files...)
	return err
}

// Describe returns the command and the files.
func (u Reset) Describe() plan.Description {
	return plan.Description{Kind: "quorate/kubeadm-reset", Inputs: []quorate.Content{plan.InputText(u.Argv...), plan.InputText(u.Files...), plan.InputText(u.KeepAt)}}
}

// Commands is kubeadm reset.
func (u Reset) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	return []plan.Command{{Argv: u.Argv}}, nil
}

// Prefetch returns the script.
func (u Reset) Prefetch() plan.Prefetch {
	return plan.Prefetch{Queries: []transport.Query{plan.Script(resetState, nil, u.Files...)}}
}
