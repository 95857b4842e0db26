package kube

import (
	"context"
	"fmt"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/poll"
)

// Gone waits until the cluster has noticed that nodes are gone whose hosts do not come back. A
// node that goes on being Ready is alive.
type Gone struct {
	plan.NothingToUndo
	Nodes []string
	// List is ListNodes of the control plane that is asked.
	List []string
}

// gonePatience is how long the controller manager may take to find a node silent
// (--node-monitor-grace-period, 50 s; 40 s before 1.32).
const gonePatience = 2 * time.Minute

// Check lists those that are Ready.
func (g Gone) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	found, err := askNodes(ctx, h, g.List)
	if err != nil {
		return nil, err
	}
	var diff plan.Diff
	for _, name := range g.Nodes {
		if found[name].ready == "True" {
			diff = append(diff, plan.Change{Verb: "wait", Subject: "node " + name, Detail: "its host is to be gone, and the cluster takes it for Ready", Waits: true, Data: waiting(name)})
		}
	}
	return diff, nil
}

// Apply waits. Its error is a *plan.HostError if a node is Ready for longer than a dead one
// could be.
func (g Gone) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	for began := time.Now(); len(d) > 0; {
		if time.Since(began) >= gonePatience {
			var findings []plan.Finding
			for _, name := range plan.DataOf[waiting](d) {
				findings = append(findings, plan.Finding{
					Found: fmt.Sprintf("node %s is Ready, and its host is to be gone for good", string(name)),
					Do:    "reset it by the description that has it (PlanReset), or take the power from its host, and run again",
				})
			}
			return &plan.HostError{Host: h.Name, Findings: findings}
		}
		if !poll.Wait(ctx, bootstrapPoll) {
			return ctx.Err()
		}
		var err error
		if d, err = g.Check(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// Describe returns the nodes.
func (g Gone) Describe() plan.Description {
	return plan.Description{Kind: "quorate/nodes-gone", Inputs: []quorate.Content{plan.InputText(g.Nodes...), plan.InputText(g.List...)}}
}

// Prefetch returns the question to the API server.
func (g Gone) Prefetch() plan.Prefetch { return readingAPI(g.List) }
