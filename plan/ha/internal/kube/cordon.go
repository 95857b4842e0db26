package kube

import (
	"context"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
)

// cordonState reads a node: "", or its name and whether it is cordoned.
func cordonState(ctx context.Context, h *plan.Host, url, name string) ([]string, error) {
	out, err := h.Run(ctx, kubectlAt(url, "get", "node", name, "--ignore-not-found", "-o", `jsonpath={.metadata.name}{" "}{.spec.unschedulable}`)...)
	return strings.Fields(string(out)), err
}

// Cordon keeps new pods from a node, if there is one.
type Cordon struct{ Node string }

// Check reads the node from the API server.
func (c Cordon) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	state, err := cordonState(ctx, h, "", c.Node)
	if err != nil || len(state) == 0 || len(state) == 2 && state[1] == "true" {
		return nil, err
	}
	return plan.Diff{{Verb: "cordon", Subject: "node " + c.Node}}, nil
}

func (c Cordon) argv() []string { return Kubectl("cordon", c.Node) }

// Apply cordons it.
func (c Cordon) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	_, err := h.Run(ctx, c.argv()...)
	return err
}

// Describe returns the node.
func (c Cordon) Describe() plan.Description {
	return plan.Description{Kind: "quorate/cordon", Inputs: []quorate.Content{plan.InputText(c.Node)}}
}

// Commands cordons it.
func (c Cordon) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	return []plan.Command{{Argv: c.argv()}}, nil
}
