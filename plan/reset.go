package plan

import (
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/vip"
)

// ResetOptions say what Reset takes back. Exactly one of Nodes and WholeCluster
// is to be given: a list that has come out empty by mistake resets nothing.
type ResetOptions struct {
	// Nodes leave a cluster that goes on. Control planes go one after another in
	// this order, after the workers. At least one control plane must stay.
	Nodes []string
	// WholeCluster resets every node, and ends the cluster.
	WholeCluster bool
	// Data says what becomes of etcd's data and of keys and certificates on the
	// hosts. The zero value keeps them.
	Data Data
	// Via is the control plane that stays and acts for the cluster while Nodes
	// leave it. Default: the first that stays. Not used with WholeCluster.
	Via string
}

// Data says what a reset does with what cannot be made again.
type Data int

const (
	// KeepData puts aside, on each host, etcd's data as DATADIR/member.kept
	// (/var/lib/quorate/etcd/member.kept by default), and keys and certificates as
	// KeptDir/etcd-pki and KeptDir/kubernetes-pki, which only root may read. What an
	// earlier reset kept under these names is replaced. Nothing uses it again by
	// itself: etcd of the whole cluster is brought back with its data by moving
	// member.kept to member on every control plane before HA is run.
	KeepData Data = iota
	// RemoveData removes all of it, and what earlier resets have kept.
	RemoveData
)

// KeptDir holds what a reset keeps of keys and certificates.
const KeptDir = stampDir + "/kept"

// Reset makes the plan that takes nodes, or the whole cluster, back to hosts on
// which HA could begin anew. It is made from the HAConfig that the cluster was
// made from. For Nodes of a cluster that goes on:
//
//	preflight/NODE      reads the hosts before anything is done to any
//	preflight           refuses hosts that are not the ones described
//	survivors           refuses, with a *QuorumError or a *HostError, if etcd could
//	                    not act without the members that leave, or if the API server
//	                    and keepalived of Via are not well
//	vip-leave/NODE      keepalived stops first, so that the VIP moves while the API
//	                    server still serves, and is waited for elsewhere; then its
//	                    files go
//	cordon/NODE         no new pod goes there. Pods are not drained: kubectl drain
//	                    before, where that matters
//	kubeadm-reset/NODE  kubeadm reset: containers, kubelet, /etc/kubernetes
//	forget/NODE         the node's object is deleted
//	etcd-leave/NODE     etcd removes the member, if the others can do without it at
//	                    this moment: it votes until then, and no vote is missed.
//	                    If it leads, it hands over to another first
//	etcd-reset/NODE     etcd's unit and files go, its data is kept or removed
//	clean/NODE          haproxy, and what else the recipe placed
//
// The hosts of the nodes must answer. One that is lost for good needs no reset:
// HA, run with an empty host in its place, has the new member take the old one's.
//
// For the WholeCluster workers are reset first, all at once; then control planes
// one after another, the first of the description last, since it holds the VIP by
// default, and its VIP goes after its API server: kubeadm asks the cluster for
// its settings until the end. Members of etcd stop after that, all at once, and
// stay members: so they keep quorum for as long as anybody needs it, and their
// data, if kept, is that of one cluster.
//
// What stays on the hosts: programs, packages, images and the container runtime;
// kernel settings until the next boot, though their file goes; and what kubeadm
// reset leaves itself: the pod network's configuration in /etc/cni/net.d and its
// interfaces, and rules of iptables, nftables or IPVS, which a boot clears. What
// Certs made is not touched where it is kept.
//
// Like every plan it can be run again after any interruption, and a second run
// changes nothing. A node that was reset comes back by HA. A member of stacked
// etcd is kubeadm's, whose reset removes its data: KeepData is refused there.
//
// The error names every problem of the options, or is that of HA.
func Reset(cfg HAConfig, o ResetOptions) (*Plan, error) {
	r, err := newRecipe(cfg)
	if err != nil {
		return nil, err
	}
	if err := o.problems(r.c).Err("reset"); err != nil {
		return nil, err
	}
	if r.etcdTLS == nil {
		if r.etcdTLS, err = r.Certs.EtcdClient(); err != nil {
			return nil, err
		}
	}
	rs := &reset{recipe: r, ResetOptions: o}
	if o.WholeCluster {
		rs.whole()
	} else {
		rs.some()
	}
	p, err := New(rs.steps...)
	if err != nil {
		return nil, err
	}
	return p.WithSecrets(r.secrets()...), nil
}

func (o ResetOptions) problems(c quorate.Cluster) quorate.Problems {
	var problems quorate.Problems
	if o.WholeCluster == (len(o.Nodes) > 0) {
		problems.Refuse("nodes", "give the nodes to reset, or WholeCluster, and not both")
	}
	left := len(c.ControlPlanes())
	for i, name := range o.Nodes {
		n, ok := c.Node(name)
		switch at := fmt.Sprintf("nodes[%d]", i); {
		case !ok:
			problems.Refuse(at, "%q is no node of this cluster", name)
		case slices.Contains(o.Nodes[:i], name):
			problems.Refuse(at, "%q is given twice", name)
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
	if c.Etcd.Stacked && o.Data == KeepData {
		problems.Refuse("data", "kubeadm reset removes the data of a stacked member: take a snapshot, and give RemoveData")
	}
	return problems
}

// reset is a recipe backwards.
type reset struct {
	*recipe
	ResetOptions
	steps []Step
	via   quorate.Node
}

// step adds one and gives its ID.
func (rs *reset) step(what, title string, n quorate.Node, host string, a Action, after ...ID) ID {
	s := Step{ID: nodeID(what, n), Title: title, Host: host, After: after, Action: a}
	if what == "etcd-leave" || what == "etcd-reset" {
		s.Locks = []string{etcdQuorum}
	}
	if what == "kubeadm-reset" {
		s.Timeout = 10 * time.Minute
	}
	rs.steps = append(rs.steps, s)
	return s.ID
}

// preflights look whether the hosts are the ones described and can be worked on;
// what else the recipe's own preflight asks for is no matter to a host that leaves.
func (rs *reset) preflights(nodes []quorate.Node) []ID {
	j := rs.judge()
	j.ignore = slices.DeleteFunc(Checks(), func(c Check) bool {
		return slices.Contains([]Check{CheckReachable, CheckRoot, CheckInit, CheckCommands, CheckAddress}, c)
	})
	for _, n := range nodes {
		rs.steps = append(rs.steps, j.look(n))
	}
	rs.steps = append(rs.steps, Step{
		ID: preflightStep, Title: "judge what was found", Host: nodes[0].Name, After: rs.ids("preflight", nodes), Action: verdict{judge: &j, nodes: nodes},
	})
	return []ID{preflightStep}
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
	guard := survivors{others: rs.othersOf(rs.via.Name), going: going, vip: !rs.c.Endpoint.External, api: rs.localURL(rs.via) + rs.healthPath()}
	after := rs.preflights(slices.Concat([]quorate.Node{rs.via}, workers, planes))
	rs.steps = append(rs.steps, Step{
		ID: "survivors", Title: "see that the cluster can do without them", Host: rs.via.Name, Timeout: time.Minute, After: after, Action: guard,
	})
	after = []ID{"survivors"}
	var ended []ID
	for _, n := range workers {
		ended = append(ended, rs.leave(n, after...))
	}
	if len(ended) > 0 {
		after = ended
	}
	for _, n := range planes {
		after = []ID{rs.leave(n, after...)}
	}
}

// leave is a node's way out of a cluster that goes on.
func (rs *reset) leave(n quorate.Node, after ...ID) ID {
	plane := n.Role == quorate.ControlPlane
	if plane && !rs.c.Endpoint.External {
		after = []ID{rs.step("vip-leave", "hand over the VIP and remove keepalived", n, n.Name, rs.withoutVIP(n, true), after...)}
	}
	last := rs.step("cordon", "keep new pods away from "+n.Name, n, rs.via.Name, cordon{n.Name}, after...)
	last = rs.step("kubeadm-reset", "take back what kubeadm did", n, n.Name, rs.unbootstrap(n), last)
	last = rs.step("forget", "delete the node "+n.Name, n, rs.via.Name, forget{n.Name}, last)
	if plane {
		last = rs.step("etcd-leave", "remove "+n.Name+" from etcd", n, rs.via.Name, removeMember{rs.othersOf(n.Name)}, last)
		if !rs.c.Etcd.Stacked {
			last = rs.step("etcd-reset", "remove the etcd member", n, n.Name, rs.withoutEtcd(n), last)
		}
	}
	return rs.step("clean", "remove what else was placed", n, n.Name, rs.clean(n), last)
}

// whole ends the cluster.
func (rs *reset) whole() {
	after := rs.preflights(rs.c.Nodes)
	var workers []ID
	for _, n := range rs.c.Nodes {
		if n.Role == quorate.Worker {
			workers = append(workers, rs.step("kubeadm-reset", "take back what kubeadm did", n, n.Name, rs.unbootstrap(n), after...))
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
				after = []ID{rs.step("vip-leave", "remove keepalived", n, n.Name, rs.withoutVIP(n, false), after...)}
			}
		}
		last := i == len(planes)-1
		if !last {
			vipLeaves()
		}
		after = []ID{rs.step("kubeadm-reset", "take back what kubeadm did", n, n.Name, rs.unbootstrap(n), after...)}
		if last {
			vipLeaves()
		}
	}
	for _, n := range rs.c.Nodes {
		last := after
		if n.Role == quorate.ControlPlane && !rs.c.Etcd.Stacked {
			last = []ID{rs.step("etcd-reset", "remove the etcd member", n, n.Name, rs.withoutEtcd(n), after...)}
			rs.steps[len(rs.steps)-1].Locks = nil // they stop together
		}
		rs.step("clean", "remove what else was placed", n, n.Name, rs.clean(n), last...)
	}
}

// removal stops the units and takes away the files and their stamp.
func (d Deploy) removal() removal {
	r := removal{units: unitNames(d.Units), paths: paths(d.Files)}
	if stamp, ok := d.stamp(); ok {
		r.paths = append(r.paths, stamp.Path)
	}
	return r
}

func paths(files []quorate.File) []string {
	out := make([]string, 0, len(files))
	for _, f := range files {
		out = append(out, f.Path)
	}
	return out
}

func (rs *reset) withoutVIP(n quorate.Node, moves bool) removal {
	d := rs.vipDeploy(n).removal()
	if moves {
		d.wait = "https://" + rs.c.Endpoint.HostPort() + rs.healthPath()
	}
	return d
}

func (rs *reset) withoutEtcd(n quorate.Node) removal {
	data := rs.c.Etcd.DataDir
	d := rs.etcdDeploy(n).removal()
	d.paths = append(d.paths, etcd.JoinPath)
	d.dirs = []string{path.Dir(etcd.JoinPath), etcd.PKIDir, path.Dir(etcd.PKIDir), data}
	aside := []aside{{data + "/member", data + "/member" + keptSuffix}, {etcd.PKIDir, KeptDir + "/etcd-pki"}}
	if rs.Data == KeepData {
		d.keep = aside
		return d
	}
	for _, a := range aside {
		d.paths = append(d.paths, a.from, a.to)
	}
	return d
}

func (rs *reset) unbootstrap(n quorate.Node) unbootstrap {
	files := append(paths(rs.kubeadmFiles[n.Name]), kubeadm.InitPath, kubeadm.JoinPath)
	slices.Sort(files)
	return unbootstrap{argv: resetCommand(rs.c), files: slices.Compact(files), keep: rs.Data == KeepData}
}

// clean takes haproxy away as well: until here kubeadm's way to the API may have
// led through it.
func (rs *reset) clean(n quorate.Node) removal {
	var d removal
	if len(rs.haproxyFiles[n.Name]) > 0 {
		d = rs.haproxyDeploy(n).removal()
		d.dirs = []string{path.Dir(vip.HAProxyDropInPath)}
	}
	d.paths, d.dirs = append(d.paths, sysctlFile, UndoDir, versionsPath(binaries), versionsPath(binariesOfEtcd)), append(d.dirs, stampDir)
	for _, m := range rs.Manifests {
		d.paths = append(d.paths, applyManifest{name: m.Name}.stamp().Path)
	}
	if rs.Data == RemoveData {
		d.paths = append(d.paths, KeptDir)
	}
	return d
}
