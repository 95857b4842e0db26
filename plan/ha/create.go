package ha

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/holder"
	"github.com/quorate-dev/quorate/plan/ha/internal/kube"
	"github.com/quorate-dev/quorate/plan/ha/internal/members"
)

func (r *recipe) othersOf(name string) members.Others {
	o := members.Others{TLS: r.etcdTLS}
	for _, p := range members.Peers(r.c) {
		if p.Name == name {
			o.Self = p
		} else {
			o.Peers = append(o.Peers, p)
		}
	}
	return o
}

// Plan makes the plan that turns hosts into the described cluster:
//
//	facts/NODE              reads every host before anything is done to any
//	facts                   every host has been read
//	probe/NODE              has hosts try paths, tunnels, VIP and VRID if one of them is new
//	preflight               judges all of it, see docs/preflight.md
//	running/NODE            reads by which settings programs run
//	settings/NODE           reads the cluster's settings from the API: the first control plane
//	                        that answers
//	drift                   refuses, with a *survey.DriftError, what differs from the
//	                        description and is not brought about here (survey.Fields)
//	prerequisites/NODE/...  programs, kernel settings, container runtime
//	etcd-join/NODE          a member that a running cluster does without, since its
//	                        host is new, was reset or lost its disk: added as a
//	                        learner (from etcd 3.4 on), caught up, made a voter
//	etcd/NODE               the member's certificates, unit and start
//	etcd-health             quorum, over a tunnel, with the operator's certificate
//	haproxy/NODE            haproxy, where the endpoint has it
//	vip/NODE                keepalived
//	certificates/NODE       kubeadm's authorities
//	token/NODE              the bootstrap token again if it has expired and the first
//	                        control plane is to join the others
//	init/NODE               kubeadm init on the first control plane, and on
//	                        every one before Kubernetes 1.12; kubeadm join on the
//	                        first too, where this cluster runs without it; the
//	                        bootstrap token again if it has expired and a node is to join
//	manifest/NAME           the pod network and the other manifests
//	join/NODE               kubeadm join; control planes one at a time, since a
//	                        new API server and its caches weigh on etcd, then
//	                        all workers at once
//	untaint                 on request
//	ready                   every node Ready at the described version
//	vip-look/NODE           reads what a control plane sees of the VIP
//	vip-holder              exactly one control plane holds it, and the others reach
//	                        it there; else a *VIPError
//
// Stacked members of etcd are kubeadm's: then there are no steps of etcd's own.
//
// No host is touched.
func (c *Cluster) Plan() (*plan.Plan, error) {
	r, err := c.rendered()
	if err != nil {
		return nil, err
	}
	p, err := plan.New(r.createSteps()...)
	if err != nil {
		return nil, err
	}
	return p.WithSecrets(r.secrets()...), nil
}

func (r *recipe) createSteps() []plan.Step {
	steps := slices.Concat(r.judge().Steps(r.c.Nodes), r.driftSteps())
	for _, n := range r.c.Nodes {
		steps = append(steps, r.prepare(n)...)
	}
	steps = append(steps, r.etcdSteps()...)
	steps = append(steps, r.haproxySteps()...)
	steps = append(steps, r.vipSteps()...)
	for _, n := range r.c.ControlPlanes() {
		steps = append(steps, plan.Step{
			ID: StepCertificates.On(n.Name), Title: "place the cluster's authorities", Host: n.Name,
			After: []plan.ID{r.prepared(n)}, Action: plan.Deploy{Name: "certificates", Files: r.controlPlaneCerts[n.Name]},
		})
	}
	steps = append(steps, r.readmissions()...)
	for _, n := range r.c.Nodes {
		steps = append(steps, r.bootstrap(n))
	}
	steps = append(steps, r.clusterSteps()...)
	return append(steps, r.holderSteps()...)
}

func (r *recipe) ids(what NodeStep, nodes []quorate.Node) []plan.ID {
	ids := make([]plan.ID, 0, len(nodes))
	for _, n := range nodes {
		ids = append(ids, what.On(n.Name))
	}
	return ids
}

// prepare chains a node's preparations, all after every host has been judged.
func (r *recipe) prepare(n quorate.Node) []plan.Step {
	after := []plan.ID{StepPreflight, StepDrift}
	if n.Role == quorate.Worker {
		after = append(after, StepFacts.On(n.Name)) // one that does not answer is not tried again
	}
	var steps []plan.Step
	for _, p := range r.preparations[n.Name] {
		id := StepPrerequisite(n.Name, p.Name)
		steps = append(steps, plan.Step{
			ID: id, Title: cmp.Or(p.Title, p.Name), Host: n.Name, After: after, Timeout: p.Timeout, Action: p.Action,
		})
		after = []plan.ID{id}
	}
	return steps
}

// prepared is a node's last preparation.
func (r *recipe) prepared(n quorate.Node) plan.ID {
	all := r.preparations[n.Name]
	return StepPrerequisite(n.Name, all[len(all)-1].Name)
}

// etcdSteps start the members once every control plane has what it needs: the
// cluster could not come into being without all of them anyway. They start
// without waiting, since a member is up only when enough others are; a restart
// of one that runs holds the quorum's lock until it serves again. Who joins a
// cluster that runs goes first, and waits.
func (r *recipe) etcdSteps() []plan.Step {
	if r.c.Etcd.Stacked {
		return nil
	}
	var steps []plan.Step
	var prepared []plan.ID
	for _, n := range r.c.ControlPlanes() {
		prepared = append(prepared, r.prepared(n))
	}
	for i, n := range r.c.ControlPlanes() {
		steps = append(steps, plan.Step{
			ID: StepEtcdJoin.On(n.Name), Title: "join etcd, if it runs without this member", Host: n.Name,
			After: prepared, Locks: []string{etcdQuorum},
			Action: members.Join{Others: r.othersOf(n.Name), Member: r.members[i], Deploy: r.etcdDeploy(n)},
		})
	}
	before := r.ids(StepEtcdJoin, r.c.ControlPlanes())
	for _, n := range r.c.ControlPlanes() {
		after := before
		before = []plan.ID{StepEtcd.On(n.Name)} // one that fails is the last that is touched
		steps = append(steps, plan.Step{
			ID: StepEtcd.On(n.Name), Title: "run the etcd member", Host: n.Name,
			After: after, Locks: []string{etcdQuorum},
			Action: members.Run{Deploy: r.etcdDeploy(n), Others: r.othersOf(n.Name)},
		})
	}
	return append(steps, plan.Step{
		ID: StepEtcdHealth, Title: "wait for etcd's quorum", Host: r.first.Name, Timeout: 2 * time.Minute,
		After:  r.ids(StepEtcd, r.c.ControlPlanes()),
		Action: members.Healthy{TLS: r.etcdTLS, Members: r.members},
	})
}

// haproxySteps restart one at a time: what the VIP's holder has passed on is
// connected again.
func (r *recipe) haproxySteps() []plan.Step {
	if r.c.Endpoint.LoadBalancer != quorate.HAProxy {
		return nil
	}
	var steps []plan.Step
	for _, n := range r.c.ControlPlanes() {
		steps = append(steps, plan.Step{
			ID: StepHAProxy.On(n.Name), Title: "run haproxy", Host: n.Name, After: []plan.ID{r.prepared(n)}, Locks: []string{"haproxy"},
			Action: r.haproxyDeploy(n),
		})
	}
	return steps
}

func (r *recipe) haproxyDeploy(n quorate.Node) plan.Deploy {
	return plan.Deploy{Name: "haproxy", Files: r.haproxyFiles[n.Name], Units: []plan.Unit{{Name: "haproxy.service"}}, Reloads: haproxyReloads}
}

// etcdQuorum is held by whatever changes who votes in etcd or stops one who does.
const etcdQuorum = "etcd-quorum"

func (r *recipe) etcdDeploy(n quorate.Node) plan.Deploy {
	return plan.Deploy{
		Name: "etcd", Files: r.etcdFiles[n.Name], Units: []plan.Unit{{Name: etcd.UnitName, NoBlock: true}},
		Creates: []string{r.c.Etcd.DataDir + "/member"}, Ignores: etcdIgnores,
	}
}

// vipSteps restart one at a time, where one has to: somebody always has the VIP.
func (r *recipe) vipSteps() []plan.Step {
	if r.c.Endpoint.External {
		return nil
	}
	var steps []plan.Step
	for _, n := range r.c.ControlPlanes() {
		steps = append(steps, plan.Step{
			ID: StepVIP.On(n.Name), Title: "run keepalived", Host: n.Name, After: []plan.ID{r.prepared(n)}, Locks: []string{"keepalived"},
			Action: r.vipDeploy(n),
		})
	}
	return steps
}

func (r *recipe) vipDeploy(n quorate.Node) plan.Deploy {
	return plan.Deploy{Name: "keepalived", Files: r.vipFiles[n.Name], Units: []plan.Unit{{Name: "keepalived.service"}}, Reloads: keepalivedReloads}
}

// holderSteps see how the run leaves the VIP.
func (r *recipe) holderSteps() []plan.Step {
	if r.c.Endpoint.External {
		return nil
	}
	vip, url := r.c.Endpoint.Address(), "https://"+r.c.Endpoint.HostPort()+quorate.ReadyPath(r.c.Version)
	var steps []plan.Step
	for _, n := range r.c.ControlPlanes() {
		steps = append(steps, plan.Step{
			ID: StepVIPLook.On(n.Name), Title: "see who holds the VIP", Host: n.Name, Timeout: time.Minute, After: []plan.ID{StepReady},
			Action: holder.Look{VIP: vip, URL: url},
		})
	}
	return append(steps, plan.Step{
		ID: StepVIPHolder, Title: "see that one host holds the VIP", Host: r.first.Name,
		After: r.ids(StepVIPLook, r.c.ControlPlanes()), Action: holder.Verdict{VIP: vip, Nodes: r.c.ControlPlanes()},
	})
}

// initialises reports whether a node runs kubeadm init, and not join.
func (r *recipe) initialises(n quorate.Node) bool { return r.kubeadm[n.Name].Config.Init != nil }

func (r *recipe) bootstrapID(n quorate.Node) plan.ID {
	if r.initialises(n) {
		return StepInit.On(n.Name)
	}
	return StepJoin.On(n.Name)
}

// bootstrap is kubeadm init or join. The first control plane comes before all
// others, and the others, one after another, before the workers.
func (r *recipe) bootstrap(n quorate.Node) plan.Step {
	b := kube.Bootstrap{
		Init: r.initialises(n), Config: r.kubeadmFiles[n.Name], Argv: r.kubeadm[n.Name].Command(),
		Node: n.Name, Role: n.Role, Label: quorate.ControlPlaneLabel(r.c.Version), Endpoint: r.c.Endpoint.HostPort(),
		ResetArgv: kube.ResetCommand(r.c), Certs: r.controlPlaneCerts[n.Name],
	}
	s := plan.Step{ID: r.bootstrapID(n), Host: n.Name, Timeout: 10 * time.Minute, After: []plan.ID{r.prepared(n)}}
	if n.Role == quorate.ControlPlane {
		s.After = append(s.After, StepCertificates.On(n.Name))
		if !r.c.Etcd.Stacked {
			s.After = append(s.After, StepEtcdHealth)
		}
		if !r.c.Endpoint.External {
			s.After = append(s.After, StepVIP.On(n.Name))
		}
		if r.c.Endpoint.LoadBalancer == quorate.HAProxy {
			s.After = append(s.After, StepHAProxy.On(n.Name))
		}
	}
	if n.Name != r.first.Name {
		s.After = append(s.After, r.bootstrapID(r.first))
		if n.Role == quorate.ControlPlane {
			s.Locks = []string{"join"}
		} else {
			for _, cp := range r.c.ControlPlanes()[1:] {
				s.After = append(s.After, r.bootstrapID(cp))
			}
		}
	}
	switch {
	case n.Name == r.first.Name:
		s.Title, b.Instead = "initialise the cluster", r.instead(b)
		b.APIURL, b.EndpointHealth = r.localURL(n), "https://"+r.c.Endpoint.HostPort()+quorate.ReadyPath(r.c.Version)
		var joining []quorate.Node
		for _, other := range r.c.Nodes {
			if !r.initialises(other) {
				joining = append(joining, other)
			}
		}
		b.Nodes, b.Token = r.listNodes(n), r.bootstrapToken(joining...)
		s.After = append(s.After, r.ids(StepToken, r.readmitters())...)
	case b.Init:
		s.Title, b.APIURL, b.Nodes = "initialise another control plane", r.localURL(n), r.listNodes(n)
	default:
		s.Title = "join the cluster"
	}
	s.Action = b
	return s
}

// instead is how the first control plane comes into a cluster that is there: as
// the others do. Nil without others.
func (r *recipe) instead(b kube.Bootstrap) *kube.Bootstrap {
	switch {
	case r.rejoin == nil && len(r.c.ControlPlanes()) == 1:
		return nil
	case r.rejoin == nil: // every control plane is initialised
		return &b
	}
	b.Init, b.Config, b.Argv = false, r.rejoinFiles, r.rejoin.Command()
	return &b
}

// localURL is the API server of a control plane itself, whatever the endpoint
// leads to.
func (r *recipe) localURL(n quorate.Node) string {
	server := r.kubeadm[n.Name].Config.APIServer
	return "https://" + netip.AddrPortFrom(server.Address, uint16(server.Port)).String()
}

// listNodes reads the nodes from the API server of a control plane itself.
func (r *recipe) listNodes(n quorate.Node) []string {
	return kube.ListNodes(r.localURL(n), r.c.Version)
}

// clusterSteps are what the API server does for the recipe, called from the
// first control plane.
func (r *recipe) clusterSteps() []plan.Step {
	host, initialised := r.first.Name, r.bootstrapID(r.first)
	list := r.listNodes(r.first)
	var all []plan.ID
	for _, n := range r.c.Nodes {
		all = append(all, r.bootstrapID(n))
	}
	var steps []plan.Step
	after := []plan.ID{initialised}
	for _, m := range r.Manifests {
		id := StepManifest(m.Name)
		steps = append(steps, plan.Step{
			ID: id, Title: "apply " + m.Name, Host: host, After: after, Action: kube.Manifest{Name: m.Name, YAML: m.Content, Remember: !r.c.Version.Has(quorate.KubectlDiff)},
		})
		after = []plan.ID{id}
	}
	if r.Untaint {
		var names []string
		for _, n := range r.c.ControlPlanes() {
			names = append(names, n.Name)
		}
		steps = append(steps, plan.Step{
			ID: StepUntaint, Title: "let pods run on control planes", Host: host, After: all, Action: kube.Untaint{Nodes: names, Taints: quorate.ControlPlaneTaints(r.c.Version), List: list},
		})
	}
	return append(steps, r.readyStep(slices.Concat(after, all)))
}

func (r *recipe) readyStep(after []plan.ID) plan.Step {
	return plan.Step{
		ID: StepReady, Title: "wait until every node is Ready", Host: r.first.Name, Timeout: 6 * time.Minute,
		After: after, Action: kube.Ready{Cluster: r.c, List: r.listNodes(r.first)},
	}
}

// bootstrapToken is nil if nobody joins.
func (r *recipe) bootstrapToken(joining ...quorate.Node) *kube.Token {
	if len(joining) == 0 {
		return nil
	}
	return &kube.Token{
		Secret: r.Kubeadm.Token, TTL: cmp.Or(time.Duration(r.Kubeadm.TokenTTL), kube.DefaultTokenTTL), Joining: joining,
	}
}

// readmitters are the control planes that look after the token where the first one
// may have to join.
func (r *recipe) readmitters() []quorate.Node {
	if r.rejoin == nil {
		return nil
	}
	return r.c.ControlPlanes()[1:]
}

func (r *recipe) readmissions() []plan.Step {
	var steps []plan.Step
	for _, n := range r.readmitters() {
		after := []plan.ID{r.prepared(n)}
		if !r.c.Etcd.Stacked {
			after = append(after, StepEtcdHealth)
		}
		steps = append(steps, plan.Step{
			ID: StepToken.On(n.Name), Title: "see that " + r.first.Name + " could join again", Host: n.Name, After: after, Locks: []string{"token"},
			Action: kube.Readmission{
				Token: r.bootstrapToken(r.first), First: r.localURL(r.first) + quorate.ReadyPath(r.c.Version), URL: r.localURL(n), Nodes: r.listNodes(n),
			},
		})
	}
	return steps
}
