package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
)

// Untaint lets ordinary pods run on the control planes.
type Untaint struct {
	Nodes, Taints []string
	List          []string // listNodes
}

// taint is one that a node has.
type taint struct{ node, key string }

// Check lists the taints of the control planes.
func (u Untaint) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	nodes, err := askNodes(ctx, h, u.List)
	if err != nil {
		return nil, err
	}
	var diff plan.Diff
	for _, name := range u.Nodes {
		for _, key := range nodes[name].taints {
			if slices.Contains(u.Taints, key) {
				diff = append(diff, plan.Change{Verb: "untaint", Subject: name, Detail: key, Data: taint{name, key}})
			}
		}
	}
	return diff, nil
}

// Apply removes them.
func (u Untaint) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	for _, argv := range u.argvs(d) {
		if _, err := h.Run(ctx, argv...); err != nil {
			return err
		}
	}
	return nil
}

// argvs remove each taint from the nodes that have it: kubectl refuses to take
// one from a node without it.
func (u Untaint) argvs(d plan.Diff) [][]string {
	var out [][]string
	found := plan.DataOf[taint](d)
	for _, key := range u.Taints {
		args := []string{"taint", "nodes"}
		for _, t := range found {
			if t.key == key {
				args = append(args, t.node)
			}
		}
		if len(args) > 2 {
			out = append(out, Kubectl(append(args, key+"-")...))
		}
	}
	return out
}

// Describe returns the nodes and the taints.
func (u Untaint) Describe() plan.Description {
	return plan.Description{Kind: "quorate/untaint", Inputs: []quorate.Content{plan.InputText(u.Nodes...), plan.InputText(u.Taints...)}}
}

// Commands removes the taints.
func (u Untaint) Commands(_ context.Context, _ *plan.Host, d plan.Diff) ([]plan.Command, error) {
	var out []plan.Command
	for _, argv := range u.argvs(d) {
		out = append(out, plan.Command{Argv: argv})
	}
	return out, nil
}

// Prefetch returns the question to the API server.
func (u Untaint) Prefetch() plan.Prefetch { return readingAPI(u.List) }

// Backup notes which taints are taken away.
func (u Untaint) Backup(ctx context.Context, h *plan.Host, d plan.Diff, dir string) error {
	var b strings.Builder
	for _, t := range plan.DataOf[taint](d) {
		fmt.Fprintf(&b, "%s %s\n", t.node, t.key)
	}
	return h.Write(ctx, transport.File{Path: dir + "/taints", Mode: 0o600, Owner: "root", Group: "root", Data: transport.Bytes([]byte(b.String()))})
}

// Undo returns them back.
func (u Untaint) Undo(ctx context.Context, h *plan.Host, dir string) error {
	kept, err := h.Read(ctx, dir+"/taints")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(kept)) {
		name, key, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, err := h.Run(ctx, Kubectl("taint", "nodes", "--overwrite", name, key+"=:NoSchedule")...); err != nil {
			return err
		}
	}
	return nil
}
