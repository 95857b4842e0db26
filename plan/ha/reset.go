package ha

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/kube"
	"github.com/quorate-dev/quorate/plan/ha/internal/members"
	"github.com/quorate-dev/quorate/plan/ha/internal/readonly"
	"github.com/quorate-dev/quorate/plan/ha/internal/roll"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/vip"
)

// ResetConfig says what PlanReset resets. Exactly one of Nodes and WholeCluster
// is to be set: a list that has come out empty by mistake resets nothing.
type ResetConfig struct {
	// Nodes leave a cluster that goes on. Workers go side by side; control planes one after
	// another, in this order. At least one control plane must stay.
	Nodes []string
	// WholeCluster resets every node, and ends the cluster.
	WholeCluster bool
	// Data says what becomes of etcd's data and of keys and certificates on the
	// hosts. The zero value keeps them.
	Data Data
	// Via is the control plane that stays and acts for the cluster while Nodes
	// leave it. Default: the first that stays. Not used with WholeCluster.
	Via string
	// Drain says how pods leave Nodes before. Not used with WholeCluster.
	Drain Drain
}

// Drain says how pods leave a node that is reset. The zero Drain has them evicted, and stops at a node
// of which they do not go.
type Drain struct {
	// Timeout is how long the pods of one node may take. Default 10 minutes.
	Timeout time.Duration
	// Skip resets nodes with what runs there.
	Skip bool
	// Unmanaged also deletes pods that no controller makes again elsewhere. Without, a node that has such
	// is refused.
	Unmanaged bool
}

const defaultDrainTimeout = 10 * time.Minute

// Data says what a reset does with what cannot be made again.
type Data int

const (
	// KeepData puts aside, on each host, etcd's data as DATADIR/member.kept
	// (/var/lib/quorate/etcd/member.kept by default), and keys and certificates as
	// KeptDir/etcd-pki and KeptDir/kubernetes-pki, which only root may read. What an
	// earlier reset kept under these names is replaced. Nothing uses it again by
	// itself: etcd of the whole cluster is brought back with its data by moving
	// member.kept to member on every control plane before Plan is run.
	KeepData Data = iota
	// RemoveData removes all of it, and what earlier resets have kept.
	RemoveData
)

// KeptDir holds what a reset keeps of keys and certificates.
const KeptDir = hostpath.State + "/kept"

// PlanReset makes the plan that takes nodes, or the whole cluster, back to hosts
// on which Plan could start from nothing. For Nodes of a cluster that goes on:
//
//	preflight/NODE      reads the hosts before anything is done to any
//	preflight           refuses hosts that are not the ones described
//	survivors           refuses, with a *QuorumError or a *HostError, if etcd could
//	                    not act without the members that leave, or if the API server
//	                    and keepalived of Via are not well
//	cordon/NODE         no new pod goes to any of them
//	answers/NODE        a worker that has not been read is not drained either
//	drain/NODE          pods are evicted, as far as their budgets (PodDisruptionBudgets) let
//	                    them, with the data of their emptyDirs; those of DaemonSets stay. In
//	                    time they have left, or it is a *DrainError that names them, and the
//	                    node stays as it is, cordoned
//	vip-leave/NODE      keepalived stops first, so that the VIP moves while the API
//	                    server still serves, and is waited for elsewhere; then its
//	                    files go. Of several control planes the VIP's holder is the last,
//	                    before any is reset: it moves once
//	vip-leave-last/NODE
//	kubeadm-reset/NODE  kubeadm reset: containers, kubelet, /etc/kubernetes
//	forget/NODE         the node's object is deleted
//	etcd-leave/NODE     etcd removes the member, if the others can do without it at
//	                    this moment: it votes until then, and no vote is missed.
//	                    If it leads, it hands over to another first
//	etcd-reset/NODE     etcd's unit and files go, its data is kept or removed
//	clean/NODE          haproxy, and what else the recipe placed
//
// The hosts of the nodes must answer. A worker that does not, or that cannot be drained, stops its own
// steps alone: the others are reset, and the run fails by it at its end. A host that is lost for good
// needs no reset: Plan, run with an empty one in its place, has the new member take the old one's, and
// PlanReplace takes it out.
//
// For the WholeCluster workers are reset first, all at once; then control planes
// one after another, the first of the description last, since it holds the VIP by
// default, and its VIP goes after its API server: kubeadm reads its settings from
// the cluster until the end. Members of etcd stop after that, all at once, and
// stay members: so they keep quorum for as long as anybody needs it, and their
// data, if kept, is that of one cluster.
//
// What stays on the hosts: programs, packages, images and the container runtime;
// kernel settings until the next boot, though their file goes; and what kubeadm
// reset leaves itself: the pod network's configuration in /etc/cni/net.d and its
// interfaces, and rules of iptables, nftables or IPVS, which a boot clears. What
// Certs made is not touched where it is kept.
//
// Steps of your own that were composed into Plan are no part of this one, and what they
// put on hosts stays: compose what undoes them, as Deploy.Removal for a Deploy, before
// StepKubeadmReset or StepClean of their node. Rollback is the other way: it undoes what
// one run did, own steps with the others.
//
// Like every plan it can be run again after any interruption, and a second run
// changes nothing. A node that was reset comes back by Plan. A member of stacked
// etcd is kubeadm's, whose reset removes its data: KeepData is refused there.
//
// The error names every problem of the ResetConfig.
func (c *Cluster) PlanReset(o ResetConfig) (*plan.Plan, error) {
	made, err := c.rendered()
	if err != nil {
		return nil, err
	}
	copied := *made
	r := &copied
	if err := o.problems(r.c).Err("reset"); err != nil {
		return nil, err
	}
	rs := &reset{recipe: r, ResetConfig: o}
	if o.WholeCluster {
		rs.whole()
	} else {
		rs.some()
	}
	p, err := plan.New(rs.steps...)
	if err != nil {
		return nil, err
	}
	return p.WithSecrets(r.secrets()...), nil
}

func (o ResetConfig) problems(c quorate.Cluster) quorate.Problems {
	var problems quorate.Problems
	if o.WholeCluster == (len(o.Nodes) > 0) {
		problems.Refuse("nodes", "name the nodes to reset, or set WholeCluster, and not both")
	}
	left := len(c.ControlPlanes())
	for i, name := range o.Nodes {
		n, ok := c.Node(name)
		switch at := fmt.Sprintf("nodes[%d]", i); {
		case !ok:
			problems.Refuse(at, "%q is no node of this description: if the cluster has it, describe it again as it is there, reset it, then remove it from the description", name)
		case slices.Contains(o.Nodes[:i], name):
			problems.Refuse(at, "%q is listed twice", name)
		case n.Role == quorate.ControlPlane:
			left--
		}
	}
	if left < 1 {
		problems.Refuse("nodes", "no control plane would be left: reset the whole cluster, or keep one")
	}
	if o.Via != "" {
		n, ok := c.Node(o.Via)
		if !ok || n.Role != quorate.ControlPlane || slices.Contains(o.Nodes, o.Via) || o.WholeCluster {
			problems.Refuse("via", "%q: want a control plane that stays", o.Via)
		}
	}
	if o.Data != KeepData && o.Data != RemoveData {
		problems.Refuse("data", "%d: want KeepData or RemoveData", o.Data)
	}
	if o.Drain.Timeout < 0 {
		problems.Refuse("drain.timeout", "%v: want a time, or 0 for %v", o.Drain.Timeout, defaultDrainTimeout)
	}
	if c.Etcd.Stacked && o.Data == KeepData {
		problems.Refuse("data", "kubeadm reset removes the data of a stacked member: take a snapshot, and set RemoveData")
	}
	return problems
}

// reset is a recipe backwards.
type reset struct {
	*recipe
	ResetConfig
	steps []plan.Step
	via   quorate.Node
}

// step adds one and returns its ID.
func (rs *reset) step(what NodeStep, title string, n quorate.Node, host string, a plan.Action, after ...plan.ID) plan.ID {
	s := plan.Step{ID: what.On(n.Name), Title: title, Host: host, After: after, Action: a}
	if what == StepEtcdLeave || what == StepEtcdReset {
		s.Locks = []string{etcdQuorum}
	}
	if what == StepKubeadmReset {
		s.Timeout = 10 * time.Minute
	}
	rs.steps = append(rs.steps, s)
	return s.ID
}

// preflights look whether the hosts are the ones described and can be worked on;
// what else the recipe's own preflight requires does not concern a host that leaves.
func (rs *reset) preflights(nodes []quorate.Node) []plan.ID {
	j := rs.judge()
	j.Ignore = slices.DeleteFunc(preflight.Names(), func(c plan.Check) bool {
		return slices.Contains([]plan.Check{preflight.Reachable, preflight.Root, preflight.Init, preflight.Commands, preflight.Address}, c)
	})
	rs.steps = append(rs.steps, j.FactsSteps(nodes)...)
	return []plan.ID{StepPreflight}
}

// some takes nodes out of a cluster that goes on.
func (rs *reset) some() {
	var workers, planes, staying []quorate.Node
	for _, name := range rs.Nodes {
		if n, _ := rs.c.Node(name); n.Role == quorate.ControlPlane {
			planes = append(planes, n)
		} else {
			workers = append(workers, n)
		}
	}
	for _, n := range rs.c.ControlPlanes() {
		if !slices.Contains(rs.Nodes, n.Name) {
			staying = append(staying, n)
		}
	}
	rs.via = staying[0]
	if rs.Via != "" {
		rs.via, _ = rs.c.Node(rs.Via)
	}
	var going []string
	for _, n := range planes {
		going = append(going, n.Name)
	}
	guard := members.Survivors{Others: rs.othersOf(rs.via.Name), Going: going, VIP: !rs.c.Endpoint.External, API: rs.localURL(rs.via) + quorate.ReadyPath(rs.c.Version)}
	after := rs.preflights(slices.Concat([]quorate.Node{rs.via}, workers, planes))
	for i, s := range rs.steps {
		n, _ := rs.c.Node(s.Host)
		rs.steps[i].Alone = n.Role == quorate.Worker // see StepAnswers
	}
	rs.steps = append(rs.steps, plan.Step{
		ID: StepSurvivors, Title: "see that the cluster can do without them", Host: rs.via.Name, Timeout: time.Minute, After: after, Action: guard,
	})
	var cordoned []plan.ID
	for _, n := range slices.Concat(workers, planes) {
		id := rs.step(StepCordon, "keep new pods away from "+n.Name, n, rs.via.Name, kube.Cordon{Node: n.Name}, StepSurvivors)
		cordoned = append(cordoned, id)
	}
	for _, n := range workers {
		// What is done on other hosts does not wait for facts that could not be read, but for this.
		answers := rs.step(StepAnswers, "it answers, and can be reset", n, n.Name, readonly.Action{Kind: "quorate/milestone"}, append(slices.Clone(cordoned), StepFacts.On(n.Name))...)
		rs.leave(n, answers)
	}
	after = cordoned
	for _, n := range planes {
		after = rs.drain(n, after)
	}
	if !rs.c.Endpoint.External {
		after = rs.withoutVIPs(planes, after)
	}
	for _, n := range planes {
		after = []plan.ID{rs.leave(n, after...)}
	}
}

// drain has a node's pods leave it.
func (rs *reset) drain(n quorate.Node, after []plan.ID) []plan.ID {
	if rs.Drain.Skip {
		return after
	}
	timeout := cmp.Or(rs.Drain.Timeout, defaultDrainTimeout)
	id := rs.step(StepDrain, "have its pods leave "+n.Name, n, rs.via.Name, kube.Drain{
		Node: n.Name, Timeout: timeout, Unmanaged: rs.Drain.Unmanaged, Version: rs.c.Version,
	}, after...)
	rs.steps[len(rs.steps)-1].Timeout = timeout + time.Minute
	return []plan.ID{id}
}

// withoutVIPs stops keepalived on control planes that leave, on the VIP's holder last.
func (rs *reset) withoutVIPs(planes []quorate.Node, after []plan.ID) []plan.ID {
	const title = "hand over the VIP and remove keepalived"
	if len(planes) > 1 {
		for _, n := range planes {
			after = []plan.ID{rs.step(StepVIPLeave, title+", unless it holds the VIP", n, n.Name, roll.Unheld{Remove: rs.withoutVIP(n, true), VIP: rs.c.Endpoint.Address()}, after...)}
		}
	}
	last := StepVIPLeaveLast
	if len(planes) == 1 {
		last = StepVIPLeave
	}
	for _, n := range planes {
		after = []plan.ID{rs.step(last, title, n, n.Name, rs.withoutVIP(n, true), after...)}
	}
	return after
}

// leave is a node's way out of a cluster that goes on.
func (rs *reset) leave(n quorate.Node, after ...plan.ID) plan.ID {
	plane := n.Role == quorate.ControlPlane
	if !plane {
		after = rs.drain(n, after)
	}
	last := rs.step(StepKubeadmReset, "undo what kubeadm did", n, n.Name, rs.unbootstrap(n), after...)
	last = rs.step(StepForget, "delete the node "+n.Name, n, rs.via.Name, kube.Forget{Node: n.Name}, last)
	if plane {
		last = rs.step(StepEtcdLeave, "remove "+n.Name+" from etcd", n, rs.via.Name, members.Remove{Others: rs.othersOf(n.Name)}, last)
		if !rs.c.Etcd.Stacked {
			last = rs.step(StepEtcdReset, "remove the etcd member", n, n.Name, rs.withoutEtcd(n), last)
		}
	}
	return rs.step(StepClean, "remove what else was placed", n, n.Name, rs.clean(n), last)
}

// whole ends the cluster.
func (rs *reset) whole() {
	after := rs.preflights(rs.c.Nodes)
	var workers []plan.ID
	for _, n := range rs.c.Nodes {
		if n.Role == quorate.Worker {
			workers = append(workers, rs.step(StepKubeadmReset, "undo what kubeadm did", n, n.Name, rs.unbootstrap(n), after...))
		}
	}
	if len(workers) > 0 {
		after = workers
	}
	planes := rs.c.ControlPlanes()
	slices.Reverse(planes)
	for i, n := range planes {
		vipLeaves := func() {
			if !rs.c.Endpoint.External {
				after = []plan.ID{rs.step(StepVIPLeave, "remove keepalived", n, n.Name, rs.withoutVIP(n, false), after...)}
			}
		}
		last := i == len(planes)-1
		if !last {
			vipLeaves()
		}
		after = []plan.ID{rs.step(StepKubeadmReset, "undo what kubeadm did", n, n.Name, rs.unbootstrap(n), after...)}
		if last {
			vipLeaves()
		}
	}
	for _, n := range rs.c.Nodes {
		last := after
		if n.Role == quorate.ControlPlane && !rs.c.Etcd.Stacked {
			last = []plan.ID{rs.step(StepEtcdReset, "remove the etcd member", n, n.Name, rs.withoutEtcd(n), after...)}
			rs.steps[len(rs.steps)-1].Locks = nil // they stop together
		}
		rs.step(StepClean, "remove what else was placed", n, n.Name, rs.clean(n), last...)
	}
}

func paths(files []quorate.File) []string {
	out := make([]string, 0, len(files))
	for _, f := range files {
		out = append(out, f.Path)
	}
	return out
}

func (rs *reset) withoutVIP(n quorate.Node, moves bool) plan.Remove {
	d := rs.vipDeploy(n).Removal()
	if moves {
		d.Wait = "https://" + rs.c.Endpoint.HostPort() + quorate.ReadyPath(rs.c.Version)
	}
	return d
}

func (rs *reset) withoutEtcd(n quorate.Node) plan.Remove {
	data := rs.c.Etcd.DataDir
	d := rs.etcdDeploy(n).Removal()
	d.Paths = append(d.Paths, etcd.JoinPath)
	d.Dirs = []string{path.Dir(etcd.JoinPath), etcd.PKIDir, path.Dir(etcd.PKIDir), data}
	aside := map[string]string{data + "/member": data + "/member" + members.KeptSuffix, etcd.PKIDir: KeptDir + "/etcd-pki"}
	if rs.Data == KeepData {
		d.Aside = aside
		return d
	}
	for _, from := range slices.Sorted(maps.Keys(aside)) {
		d.Paths = append(d.Paths, from, aside[from])
	}
	return d
}

func (rs *reset) unbootstrap(n quorate.Node) kube.Reset {
	files := append(paths(rs.kubeadmFiles[n.Name]), kubeadm.InitPath, kubeadm.JoinPath)
	slices.Sort(files)
	u := kube.Reset{Argv: kube.ResetCommand(rs.c), Files: slices.Compact(files)}
	if rs.Data == KeepData {
		u.KeepAt = KeptDir + "/kubernetes-pki"
	}
	return u
}

// clean takes haproxy away as well: until here kubeadm's way to the API may have
// led through it.
func (rs *reset) clean(n quorate.Node) plan.Remove {
	var d plan.Remove
	if len(rs.haproxyFiles[n.Name]) > 0 {
		d = rs.haproxyDeploy(n).Removal()
		d.Dirs = []string{path.Dir(vip.HAProxyDropInPath)}
	}
	d.Paths, d.Dirs = append(d.Paths, hostpath.Sysctl, hostpath.Undo, hostpath.ProgramVersions, hostpath.EtcdVersion), append(d.Dirs, hostpath.State)
	for _, m := range rs.Manifests {
		d.Paths = append(d.Paths, kube.Manifest{Name: m.Name}.Stamp().Path)
	}
	if rs.Data == RemoveData {
		d.Paths = append(d.Paths, KeptDir)
	}
	return d
}
