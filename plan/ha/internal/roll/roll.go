// Package roll takes control planes down for a moment one after another: those that do not
// hold the VIP first, its holder last, so that the VIP moves once at most, and none before the
// others are well.
package roll

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
	"github.com/quorate-dev/quorate/plan/internal/poll"
)

// Work is what is done to each host of a roll.
type Work interface {
	plan.Action
	plan.Describer
	plan.Commander
	plan.Prefetcher
	plan.Reverter
}

// Turn is one host's turn in a roll. Each control plane has two, in two passes: in the first the
// VIP's holder is left out, in the second only what is left to do is done. Who holds the VIP is
// read when there is something to do, so that the order is that of the moment.
type Turn struct {
	Work
	// VIP is what its holder has; the zero value where there is none to hold.
	VIP netip.Addr
	// Last says that it is the second pass.
	Last bool
	// Others are the URLs where the API servers of the other control planes say that they are
	// ready.
	Others []string
	// Etcd finds a difference while a member is not well; nil if nobody can ask.
	Etcd plan.Action
}

// Check finds nothing in the first pass on the VIP's holder.
func (t Turn) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	diff, err := t.Work.Check(ctx, h)
	if err != nil || len(diff) == 0 || t.Last || !t.VIP.IsValid() {
		return diff, err
	}
	if held, err := holds(ctx, h, t.VIP); held || err != nil {
		return nil, err
	}
	return diff, nil
}

// holds reports whether a host has the VIP.
func holds(ctx context.Context, h *plan.Host, vip netip.Addr) (bool, error) {
	out, err := h.Run(ctx, "ip", "-o", "addr", "show", "to", vip.String())
	if err != nil || strings.TrimSpace(string(out)) == "" {
		return false, err
	}
	h.Report("%s holds the VIP: it comes last", h.Name)
	return true, nil
}

// Unheld removes what it says from a host that does not hold the VIP: the holder's turn comes later.
type Unheld struct {
	plan.Remove
	VIP netip.Addr
}

// Check finds nothing on the holder.
func (u Unheld) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	diff, err := u.Remove.Check(ctx, h)
	if err != nil || len(diff) == 0 {
		return nil, err
	}
	if held, err := holds(ctx, h, u.VIP); held || err != nil {
		return nil, err
	}
	return diff, nil
}

// Describe returns what is removed, and the VIP.
func (u Unheld) Describe() plan.Description {
	d := u.Remove.Describe()
	d.Kind, d.Inputs = "quorate/remove-unheld", append(d.Inputs, plan.InputText(u.VIP.String()))
	return d
}

// Apply does the work once the others are well. Its error is a *plan.HostError if they are not
// within a minute: then nothing has been done to this host.
func (t Turn) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	if err := t.gate(ctx, h); err != nil {
		return err
	}
	return t.Work.Apply(ctx, h, d)
}

const (
	// patience is how long the others may take to be well: the one before has just come back.
	patience = time.Minute
	pause    = 2 * time.Second
)

//go:embed scripts/ready.sh
var readyScript string

// gate waits until every other API server is ready and every member of etcd answers a
// linearizable read.
func (t Turn) gate(ctx context.Context, h *plan.Host) error {
	for began, quiet := time.Now(), false; ; quiet = true {
		findings, err := t.unwell(ctx, h)
		if err != nil || len(findings) == 0 {
			return err
		}
		if !quiet {
			h.Report("waiting for the others: %s", termsafe.Line(findings[0].Found))
		}
		if time.Since(began) >= patience {
			return &plan.HostError{Host: h.Name, Findings: findings}
		}
		if !poll.Wait(ctx, pause) {
			return context.Cause(ctx)
		}
	}
}

func (t Turn) unwell(ctx context.Context, h *plan.Host) (findings []plan.Finding, err error) {
	if len(t.Others) > 0 {
		out, err := h.Script(ctx, readyScript, map[string]string{"CA": hostpath.KubernetesCA}, t.Others...)
		if err != nil {
			return nil, err
		}
		if away := keyval.Parse(out)["away"]; away != "" {
			findings = append(findings, plan.Finding{
				Found: "the API server at " + away + " is not ready, and another is not taken down meanwhile",
				Do:    "look at its log, and at etcd's on its host; once it is ready, run again",
			})
		}
	}
	if t.Etcd == nil {
		return findings, nil
	}
	left, err := t.Etcd.Check(ctx, h)
	if errors.Is(err, errors.ErrUnsupported) {
		h.Report("etcd is not asked before this host's turn: the transport has no tunnels")
		return findings, nil
	}
	for _, c := range left {
		findings = append(findings, plan.Finding{Found: fmt.Sprintf("%s: %s", c.Subject, c.Detail), Do: "look at etcd's log on its host; once it is well, run again"})
	}
	return findings, err
}

// Describe returns the work, and when it is done.
func (t Turn) Describe() plan.Description {
	d := t.Work.Describe()
	d.Kind += "-turn"
	d.Inputs = slices.Concat(d.Inputs, []quorate.Content{plan.InputText(t.VIP.String(), strconv.FormatBool(t.Last)), plan.InputText(t.Others...)})
	return d
}
