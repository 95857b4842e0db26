// Package installer is a program's own installer: Quorate's recipe with steps of its own
// in it.
package installer

import (
	"bytes"
	"context"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
)

// Secrets are this program's own, beside those of the recipe.
type Secrets struct {
	// RegistryPassword is written to every node.
	RegistryPassword quorate.Content
	// InventoryToken admits to the inventory that finished clusters are announced to.
	InventoryToken quorate.Content
}

// Create returns the recipe's plan with two kinds of steps of our own: every node gets the
// credentials of a registry before kubeadm runs on it, and the cluster is announced once
// it is ready.
func Create(c *ha.Cluster, description quorate.Cluster, s Secrets) (*plan.Plan, error) {
	p, err := c.Plan()
	if err != nil {
		return nil, err
	}
	for _, n := range description.Nodes {
		p, err = p.Before(c.StepBootstrap(n.Name), plan.Step{
			ID: registryStep(n.Name), Title: "place the registry's credentials", Host: n.Name, Action: registry(s.RegistryPassword),
		})
		if err != nil {
			return nil, err
		}
	}
	p, err = p.After(ha.StepReady, plan.Step{
		ID: "announce", Title: "announce the cluster", Host: description.ControlPlanes()[0].Name,
		Action: Announce{Cluster: description.Name, Token: s.InventoryToken},
	})
	if err != nil {
		return nil, err
	}
	return p.WithSecrets(s.RegistryPassword, s.InventoryToken), nil
}

// Reset returns the recipe's plan that ends the cluster, with what removes our own files.
func Reset(c *ha.Cluster, description quorate.Cluster) (*plan.Plan, error) {
	p, err := c.PlanReset(ha.ResetConfig{WholeCluster: true})
	if err != nil {
		return nil, err
	}
	for _, n := range description.Nodes {
		p, err = p.Before(ha.StepClean.On(n.Name), plan.Step{
			ID: registryStep(n.Name), Title: "remove the registry's credentials", Host: n.Name, Action: registry(quorate.Content{}).Removal(),
		})
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

func registryStep(node string) plan.ID { return plan.ID("registry/" + node) }

// RegistryPath is where the credentials are.
const RegistryPath = "/etc/example/registry.json"

func registry(password quorate.Content) plan.Deploy {
	return plan.Deploy{Name: "registry", Files: []quorate.File{{Path: RegistryPath, Content: password}}}
}

// Announce is an Action of this program's own: a command of the host announces the cluster
// to an inventory. There is no way back, so it is no plan.Reverter: Plan.Irreversible
// names its step.
type Announce struct {
	Cluster string
	// Token is what the command reads from its standard input.
	Token quorate.Content
}

// AnnouncedPath is what the command leaves.
const AnnouncedPath = "/var/lib/example/announced"

// Check finds whether this cluster has been announced.
func (a Announce) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	found, err := h.Stat(ctx, AnnouncedPath)
	if err != nil {
		return nil, err
	}
	if found[0].Exists {
		name, err := h.Read(ctx, AnnouncedPath)
		if err != nil || strings.TrimSpace(string(name)) == a.Cluster {
			return nil, err
		}
	}
	return plan.Diff{{Verb: "announce", Subject: a.Cluster}}, nil
}

// Apply announces it.
func (a Announce) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	h.Report("announcing %s", a.Cluster)
	if _, err := h.RunInput(ctx, bytes.NewReader(a.Token.Bytes()), "announce", a.Cluster); err != nil {
		return err
	}
	return h.WriteFiles(ctx, quorate.File{Path: AnnouncedPath, Mode: 0o644, Content: quorate.Public([]byte(a.Cluster + "\n"))})
}

// Commands shows in a preview what Apply would run.
func (a Announce) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	return []plan.Command{{Argv: []string{"announce", a.Cluster}, Stdin: "the inventory's token"}}, nil
}

// Describe lets a saved preview be compared and applied.
func (a Announce) Describe() plan.Description {
	return plan.Description{Kind: "example.com/announce", Inputs: []quorate.Content{plan.InputText(a.Cluster), a.Token}}
}
