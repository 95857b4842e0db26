package ha

import (
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/survey"
	"github.com/quorate-dev/quorate/vip"
)

// driftSteps read how a cluster that is there runs, and hold the description against it.
// The API is read on one control plane after another, until one answers.
func (r *recipe) driftSteps() []plan.Step { return r.driftOf(r.described()) }

func (r *recipe) driftOf(described survey.Described) []plan.Step {
	var steps []plan.Step
	last := plan.ID("")
	for _, n := range r.c.Nodes {
		steps = append(steps, plan.Step{
			ID: StepRunning.On(n.Name), Title: "read how programs run", Host: n.Name, Alone: n.Role == quorate.Worker, Timeout: time.Minute, After: []plan.ID{StepFacts.On(n.Name)},
			Action: described.Running(n.Name),
		})
	}
	for _, n := range r.c.ControlPlanes() {
		after := []plan.ID{StepRunning.On(n.Name)}
		if last != "" {
			after = append(after, last)
		}
		last = StepSettings.On(n.Name)
		steps = append(steps, plan.Step{
			ID: last, Title: "ask how the cluster is set", Host: n.Name, Timeout: time.Minute, After: after,
			Action: described.Settings(n.Name),
		})
	}
	return append(steps, plan.Step{
		ID: StepDrift, Title: "compare the cluster with the description", Host: r.first.Name,
		After: append(r.ids(StepRunning, r.c.Nodes), last), Action: described.Verdict(""),
	})
}

// described is what a running cluster is compared with.
func (r *recipe) described() survey.Described {
	d := survey.Described{
		Cluster: r.c, Init: *r.kubeadm[r.first.Name].Config.Init, EtcdUnits: map[string]string{}, Authorities: map[string]string{}, APIServers: map[string]string{},
		VIPConfigs: map[string]quorate.Content{}, EtcdTLS: r.etcdTLS,
	}
	for name, files := range r.etcdFiles {
		for _, f := range files {
			if f.Path == etcd.UnitPath {
				d.EtcdUnits[name] = string(f.Content.Bytes())
			}
		}
	}
	for name, files := range r.vipFiles {
		for _, f := range files {
			if f.Path == vip.ConfigPath {
				d.VIPConfigs[name] = f.Content
			}
		}
	}
	for _, f := range r.controlPlaneCerts[r.first.Name] {
		switch f.Path {
		case hostpath.KubernetesCA, hostpath.KubernetesPKI + "/front-proxy-ca.crt", hostpath.KubernetesPKI + "/sa.pub", hostpath.EtcdCAOfAPIServer:
			d.Authorities[f.Path] = string(f.Content.Bytes())
		}
	}
	for _, n := range r.c.ControlPlanes() {
		d.APIServers[n.Name] = r.localURL(n)
	}
	return d
}
