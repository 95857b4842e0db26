package ha

import (
	"context"
	"slices"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/hostsetup"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/plan/ha/software"
)

// preflightSteps are the recipe's first: every host is read, and hosts that are
// not this cluster's yet look around; then one step judges all of it, so that
// everything that is wrong anywhere is told at once. On a cluster that is as
// described that is one command for each host.
func (r *recipe) preflightSteps() []plan.Step {
	j := r.judge()
	var steps []plan.Step
	for _, n := range r.c.Nodes {
		steps = append(steps, j.Look(n))
	}
	steps = append(steps, plan.Step{
		ID: stepLooked, Title: "every host has been read", Host: r.first.Name, After: r.ids(StepRead, r.c.Nodes), Action: milestone{},
	})
	for _, n := range r.c.Nodes {
		steps = append(steps, plan.Step{
			ID: stepSurroundings.On(n.Name), Title: "look around the host", Host: n.Name, Timeout: time.Minute,
			After: []plan.ID{stepLooked}, Action: preflight.LookAround{Judge: &j, Node: n},
		})
	}
	return append(steps, plan.Step{
		ID: StepPreflight, Title: "judge what was found", Host: r.first.Name,
		After: r.ids(stepSurroundings, r.c.Nodes), Action: preflight.Verdict{Judge: &j, Nodes: r.c.Nodes},
	})
}

// milestone is for a step that only comes after others.
type milestone struct{ plan.NothingToUndo }

// Check finds nothing.
func (milestone) Check(context.Context, *plan.Host) (plan.Diff, error) { return nil, nil }

// Describe returns that it is one.
func (milestone) Describe() plan.Description { return plan.Description{Kind: "quorate/milestone"} }

// Apply is never called.
func (milestone) Apply(context.Context, *plan.Host, plan.Diff) error { return nil }

func (r *recipe) judge() preflight.Judge {
	j := preflight.Judge{
		Cluster: r.c, Ignore: slices.Clone(r.IgnorePreflight), Authorities: map[string]map[string][]string{},
		Units: map[string]string{}, APIPorts: map[string]uint16{},
	}
	for _, n := range r.c.Nodes {
		own := n.Name
		if n.Role != quorate.ControlPlane {
			own = r.first.Name // kubeadm join brings the same CA
		} else {
			j.APIPorts[n.Name] = uint16(r.kubeadm[n.Name].Config.APIServer.Port)
		}
		j.Authorities[n.Name] = map[string][]string{}
		for _, f := range slices.Concat(r.controlPlaneCerts[own], r.etcdFiles[n.Name]) {
			switch {
			case f.Content.IsSensitive():
			case f.Path == preflight.KubernetesCA || f.Path == preflight.EtcdCA:
				j.Authorities[n.Name][f.Path] = preflight.CertificatesIn(string(f.Content.Bytes()))
			case f.Path == etcd.UnitPath:
				j.Units[n.Name] = string(f.Content.Bytes())
			}
		}
	}
	runtime := hostsetup.RuntimeOf(r.c).Program()
	switch r.Prerequisites.(type) {
	case software.Present:
		j.Runtime, j.Driver = runtime, runtime
	case software.Pushed:
		j.Driver = runtime
	}
	return j
}

// Preflight looks at every host, side by side, and at what takes several to see:
// clocks, identities that are not unique, firewalls between hosts, a VIP that
// somebody else has. It takes one command on each host and, unless each is this
// cluster's own already, one or two more, which last up to 2 seconds for paths that
// are blocked and a second and three of keepalived's intervals where there is a
// tcpdump. It changes nothing, but see preflight.Config.Disk.
//
// Plan's own first steps look at the same, but for the disk. Here hosts that
// cannot be reached are findings like all others. What is there of this very
// cluster is told from what is there of another by its authorities; findings of
// Config.IgnorePreflight are left out here too.
//
// The Report holds every finding of every host. The error is that of a
// configuration that has no Transport, or ctx's. Report.Err makes an error of what must stop a run.
func (c *Cluster) Preflight(ctx context.Context, cfg preflight.Config) (*preflight.Report, error) {
	return preflight.Run(ctx, cfg, c.recipe.judge(), c.recipe.c.Nodes)
}
