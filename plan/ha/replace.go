package ha

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/kube"
	"github.com/quorate-dev/quorate/plan/ha/internal/members"
)

// ReplaceConfig says what PlanReplace takes out of the cluster, and what comes in its place.
type ReplaceConfig struct {
	// Nodes that are gone. At least one.
	Nodes []Replacement
	// Via is the control plane that acts for the cluster. It must run. Default: the first of the
	// description that comes in nobody's place.
	Via string
}

// Replacement is a node whose host is gone for good.
type Replacement struct {
	// Old is its name. The description no longer has it.
	Old string
	// New is the node of the description that comes in its place; empty if none does.
	New string
	// Fenced states that Old's host is powered off, or cut off from every other host, and stays so
	// until its disk has been wiped. Required: from outside a host that is gone looks like one that
	// cannot be reached, and goes on holding the VIP and serving clients.
	Fenced bool
}

// PlanReplace makes the plan that takes nodes out of a cluster whose hosts are gone for good, and
// brings the cluster to the description, in which others may be in their place, under other names.
// Hosts that still answer are left by PlanReset; one that comes back empty under its old name and
// address needs Plan alone. To Plan's steps it adds:
//
//	survivors          refuses, with a *QuorumError or a *plan.HostError, if any member of etcd but
//	                   those that are gone is not healthy, if one of those answers after all, or if the
//	                   API server and keepalived of Via are not well
//	gone               waits, for at most two minutes, until the cluster has noticed that the nodes
//	                   are gone: one that goes on being Ready is alive, and a *plan.HostError
//	etcd-remove        etcd removes their members, by ID, after every host has what it needs for
//	                   its own: from here to the vote of a new member etcd can spare one fewer
//	forget-endpoint/OLD the API server's address in kubeadm-config, before Kubernetes 1.22
//	forget/OLD         the node's object is deleted, and its pods with it
//
// Then the new members join as in Plan, and the other hosts' keepalived, haproxy and etcd have the
// new list. Nothing is done to any host, and nothing is removed, before survivors and gone have
// passed.
//
// If a host that was removed starts again all the same, etcd does not let its member in, so its API
// server serves nothing, and its keepalived holds nothing; docs/members.md has the exceptions. Reset
// it before it is used for anything.
//
// Like every plan it goes on from wherever an earlier run ended, and a second run changes nothing. It
// cannot be undone (plan.Plan.Irreversible): etcd lets no member in again that was removed. Describe
// the old host, empty, and it joins as a new one.
//
// The error names every problem of the ReplaceConfig.
func (c *Cluster) PlanReplace(o ReplaceConfig) (*plan.Plan, error) {
	r, err := c.rendered()
	if err != nil {
		return nil, err
	}
	if err := o.problems(r.c).Err("replace"); err != nil {
		return nil, err
	}
	via := o.via(r.c)
	steps := r.createSteps()
	var names []string
	for _, n := range o.Nodes {
		names = append(names, n.Old)
	}
	described := r.described()
	described.Gone = names
	for _, s := range r.driftOf(described) {
		steps[slices.IndexFunc(steps, func(o plan.Step) bool { return o.ID == s.ID })] = s
	}
	removal, last := r.removal(via, names)
	begins, prepared := map[plan.ID]bool{}, map[plan.ID]bool{}
	for _, n := range r.c.Nodes {
		for i, p := range r.preparations[n.Name] {
			id := StepPrerequisite(n.Name, p.Name)
			begins[id], prepared[id] = i == 0, true
		}
	}
	for i, s := range steps {
		switch {
		case begins[s.ID]: // nothing is prepared for a cluster that could not bear it
			steps[i].After = append(slices.Clone(s.After), StepSurvivors, StepGone)
		case prepared[s.ID]:
		case slices.ContainsFunc(s.After, func(id plan.ID) bool { return prepared[id] }):
			steps[i].After = append(slices.Clone(s.After), last)
		}
	}
	p, err := plan.New(append(steps, removal...)...)
	if err != nil {
		return nil, err
	}
	return p.WithSecrets(r.secrets()...), nil
}

func (o ReplaceConfig) problems(c quorate.Cluster) quorate.Problems {
	var problems quorate.Problems
	if len(o.Nodes) == 0 {
		problems.Refuse("nodes", "name the nodes that are gone")
	}
	for i, r := range o.Nodes {
		at := fmt.Sprintf("nodes[%d]", i)
		switch _, described := c.Node(r.Old); {
		case r.Old == "":
			problems.Refuse(at+".old", "missing: the name of the node that is gone")
		case described:
			problems.Refuse(at+".old", "%q is described: take it out of the description; or put an empty host in its place, under its name and addresses, and run the plan that creates the cluster", r.Old)
		case slices.ContainsFunc(o.Nodes[:i], func(b Replacement) bool { return b.Old == r.Old }):
			problems.Refuse(at+".old", "%q is listed twice", r.Old)
		}
		if r.New != "" {
			switch _, described := c.Node(r.New); {
			case !described:
				problems.Refuse(at+".new", "%q is no node of this description", r.New)
			case slices.ContainsFunc(o.Nodes[:i], func(b Replacement) bool { return b.New == r.New }):
				problems.Refuse(at+".new", "%q is listed twice", r.New)
			}
		}
		if !r.Fenced {
			problems.Refuse(at+".fenced", "state that the host of %q is powered off, or cut off from every other host: one that only cannot be reached from here may hold the VIP and serve clients", r.Old)
		}
	}
	via, _ := c.Node(o.Via)
	switch {
	case o.Via != "" && (via.Role != quorate.ControlPlane || o.comes(o.Via)):
		problems.Refuse("via", "%q: want a described control plane that is in the cluster", o.Via)
	case o.Via == "" && o.via(c).Name == "":
		problems.Refuse("nodes", "no control plane is left that is in the cluster: bring one back, or restore the cluster from a backup")
	}
	return problems
}

// comes reports whether a node comes in another's place.
func (o ReplaceConfig) comes(name string) bool {
	return slices.ContainsFunc(o.Nodes, func(r Replacement) bool { return r.New == name })
}

// via acts for the cluster; the zero value if nobody can.
func (o ReplaceConfig) via(c quorate.Cluster) quorate.Node {
	for _, n := range c.ControlPlanes() {
		if o.Via == n.Name || o.Via == "" && !o.comes(n.Name) {
			return n
		}
	}
	return quorate.Node{}
}

// removal takes the nodes out of the cluster, and returns the last of its steps.
func (r *recipe) removal(via quorate.Node, names []string) ([]plan.Step, plan.ID) {
	url := r.localURL(via)
	dead := members.Dead{Others: r.othersOf(via.Name), Names: names}
	steps := []plan.Step{{
		ID: StepSurvivors, Title: "see that the cluster can do without them", Host: via.Name, Timeout: time.Minute, After: []plan.ID{StepPreflight, StepDrift},
		Action: members.Bearable{Dead: dead, API: url + quorate.ReadyPath(r.c.Version), VIP: !r.c.Endpoint.External},
	}, {
		ID: StepGone, Title: "see that they are gone", Host: via.Name, After: []plan.ID{StepSurvivors},
		Action: kube.Gone{Nodes: names, List: r.listNodes(via)},
	}}
	after := []plan.ID{StepGone}
	for _, n := range r.c.ControlPlanes() {
		after = append(after, r.prepared(n))
	}
	last := StepGone
	add := func(s plan.Step) {
		s.Host, s.After, last = via.Name, append(slices.Clone(after), last), s.ID
		steps, after = append(steps, s), nil
	}
	add(plan.Step{ID: StepEtcdRemove, Title: "remove their members of etcd", Locks: []string{etcdQuorum}, Action: members.RemoveDead{Dead: dead}})
	for _, name := range names {
		if r.c.Version.Has(quorate.ClusterStatusKept) {
			add(plan.Step{ID: StepForgetEndpoint.On(name), Title: "forget the API server of " + name, Action: kube.ForgetEndpoint{Node: name, URL: url}})
		}
		add(plan.Step{ID: StepForget.On(name), Title: "delete the node " + name, Action: kube.Forget{Node: name, URL: url}})
	}
	return steps, last
}
