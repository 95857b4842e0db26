package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
)

// Manifest applies one manifest to the cluster, from a control plane.
type Manifest struct {
	Name string
	YAML quorate.Content
	// remember keeps on the host the hash of what was applied: before 1.18
	// kubectl diff has no exit status to go by, and before 1.13 there is none.
	Remember bool
}

// Check finds out from the API server, by a server-side dry run, what applying would
// change, or whether the objects are there and the manifest is the one applied.
func (a Manifest) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	todo := plan.Diff{{Verb: "run", Subject: "kubectl apply " + a.Name}}
	if a.Remember {
		if diff, err := h.DiffFiles(ctx, a.Stamp()); err != nil || len(diff) > 0 {
			return todo[:min(len(diff), 1)], err
		}
	}
	_, err := h.Ask(ctx, a.query())
	var exit *transport.ExitError
	if errors.As(err, &exit) && exit.Code == 1 {
		return todo, nil
	}
	return nil, err
}

func (a Manifest) query() transport.Query {
	argv := Kubectl("diff", "-f", "-")
	if a.Remember {
		argv = Kubectl("get", "-o", "name", "-f", "-")
	}
	return transport.Query{Argv: argv, Stdin: transport.Bytes(a.YAML.Bytes()), Needs: AdminConf}
}

// Stamp is the file that remembers which text was applied.
func (a Manifest) Stamp() quorate.File {
	sum := a.YAML.SHA256()
	return quorate.File{
		Path: path.Join(hostpath.State, "manifest-"+a.Name+".sha256"), Mode: 0o600,
		Content: quorate.Public(fmt.Appendf(nil, "%x\n", sum)),
	}
}

// Apply applies it.
func (a Manifest) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	if _, err := h.RunInput(ctx, bytes.NewReader(a.YAML.Bytes()), Kubectl("apply", "-f", "-")...); err != nil || !a.Remember {
		return err
	}
	return h.WriteFiles(ctx, a.Stamp())
}

// Describe returns the manifest.
func (a Manifest) Describe() plan.Description {
	return plan.Description{Kind: "quorate/manifest", Inputs: []quorate.Content{a.YAML}}
}

// Commands applies it.
func (a Manifest) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	return []plan.Command{{Argv: Kubectl("apply", "-f", "-"), Stdin: "manifest " + a.Name}}, nil
}

// Prefetch returns the stamp and the question to the API server.
func (a Manifest) Prefetch() plan.Prefetch {
	r := plan.Prefetch{Queries: []transport.Query{a.query()}}
	if a.Remember {
		r.Files = []string{a.Stamp().Path}
	}
	return r
}

// Backup sees whether the manifest's objects are there already.
func (a Manifest) Backup(ctx context.Context, h *plan.Host, _ plan.Diff, _ string) error {
	_, err := h.RunInput(ctx, bytes.NewReader(a.YAML.Bytes()), Kubectl("get", "-o", "name", "-f", "-")...)
	var exit *transport.ExitError
	switch {
	case err == nil:
		return &plan.IrreversibleError{Reason: "its objects were there before, and how they were is not kept"}
	case errors.As(err, &exit):
		return nil
	}
	return err
}

// Undo deletes the objects.
func (a Manifest) Undo(ctx context.Context, h *plan.Host, _ string) error {
	if _, err := h.RunInput(ctx, bytes.NewReader(a.YAML.Bytes()), Kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-")...); err != nil {
		return err
	}
	return h.Remove(ctx, a.Stamp().Path)
}
