package kube

import (
	"context"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
)

// Forget deletes a node's object. Its kubelet, which would make it again, has to
// be stopped before.
type Forget struct {
	Node string
	// URL of the API server that is asked; the cluster's endpoint if it is empty.
	URL string
}

// Check reads the node from the API server.
func (f Forget) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	state, err := cordonState(ctx, h, f.URL, f.Node)
	if err != nil || len(state) == 0 {
		return nil, err
	}
	return plan.Diff{{Verb: "remove", Subject: "node " + f.Node, Disruptive: true}}, nil
}

func (f Forget) argv() []string {
	return kubectlAt(f.URL, "delete", "node", f.Node, "--ignore-not-found")
}

// Apply deletes it.
func (f Forget) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	_, err := h.Run(ctx, f.argv()...)
	return err
}

// Describe returns the node.
func (f Forget) Describe() plan.Description {
	return plan.Description{Kind: "quorate/forget-node", Inputs: []quorate.Content{plan.InputText(f.Node, f.URL)}}
}

// Commands deletes it.
func (f Forget) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	return []plan.Command{{Argv: f.argv()}}, nil
}
