package kube

import (
	"context"
	_ "embed"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
	"github.com/quorate-dev/quorate/plan/internal/poll"
	"github.com/quorate-dev/quorate/transport"
)

// Bootstrap runs kubeadm on a node: init on the first control plane, and join on
// every other node or, by the version, init on every control plane.
type Bootstrap struct {
	// Init says that it is init, and how that is checked.
	Init   bool
	Config []quorate.File
	Argv   []string
	// Node is this host's name, Role what it is to become, and Label what a control
	// plane's node has once kubeadm is done.
	Node  string
	Role  quorate.Role
	Label string

	// APIURL is this host's API server, where init is checked and the token is kept.
	// Endpoint is HOST:PORT of the cluster's, and EndpointHealth where that reports its
	// health: empty on a host that is initialised after another, so that the endpoint
	// may answer already.
	APIURL, Endpoint, EndpointHealth string

	// What it takes to run kubeadm again after it was cut off: the argument vector
	// of the reset, and the certificates that a reset takes away.
	ResetArgv []string
	Certs     []quorate.File

	// Nodes reads the nodes from the API server of this host, where init is checked.
	Nodes []string
	// Token is looked after by the node that others join; nil on all but the first.
	Token *Token
	// Instead is done in place of init where the cluster is there already and runs
	// without this host: one that was reset, or is new. Nil on all other nodes.
	Instead *Bootstrap
}

// state reads how far kubeadm has come. With anyway an init that an earlier run has
// seen complete is looked at again.
func (b Bootstrap) state(anyway bool) transport.Query {
	if !b.Init {
		q := plan.Script(joinState, map[string]string{"NODE": b.Node, "ROLE": string(b.Role), "LABEL": b.Label})
		q.Needs = kubeletConf
		return q
	}
	vars := map[string]string{"API_URL": b.APIURL, "ENDPOINT_HEALTH": b.EndpointHealth, "NODE": b.Node, "LABEL": b.Label, "ANYWAY": ""}
	if anyway {
		vars["ANYWAY"] = "yes"
	}
	q := plan.Script(initState, vars)
	q.Needs = AdminConf
	return q
}

// kubeletConf is the kubelet's own kubeconfig, which kubeadm writes on every node.
const kubeletConf = "/etc/kubernetes/kubelet.conf"

// kubeadmMark records how far kubeadm has come on a host: markBegun is written with
// its configuration, before it runs, and markDone once all that it is to leave
// is there; markReset, before a requested reset of the node. So a
// node that was cut off half-way is distinguished from a complete one whose API server does
// not answer, of which nothing may ever be reset.
const (
	kubeadmMark = hostpath.State + "/kubeadm.state"
	markBegun   = "begun"
	markDone    = "done"
	markReset   = "reset"
)

func mark(text string) quorate.File {
	return quorate.File{Path: kubeadmMark, Mode: 0o600, Content: quorate.Public([]byte(text + "\n"))}
}

// initState reads the API server of this host, not the endpoint: the question
// is whether this host was initialised. Where an earlier run has seen it complete, and
// unless ANYWAY is set, the node with its label is answer enough, and whoever runs this
// requires that: it lists the nodes. Elsewhere the last thing kubeadm init does is
// kube-proxy's role binding. If it is not all there, "final" says that no waiting helps:
// no kubeadm is at work, and either the API server has answered, or no kubelet runs that
// would start it. On a host that is initialised after another, as every control plane was
// before Kubernetes 1.12, and where the first one may have joined, the cluster's objects say nothing
// of this host, and its node must have the label too, which is the last
// thing that kubeadm does to it.
//
//go:embed scripts/initstate.sh
var initState string

// joinState reads the node as the kubelet sees it. The last thing kubeadm
// join does on a control plane is to label the node, and no waiting helps if nobody is
// left to do it; a worker's kubelet registers it by itself.
//
//go:embed scripts/joinstate.sh
var joinState string

// registered waits for the kubelet to register the node: kubeadm join returns
// on a worker as soon as the kubelet has its certificate.
//
//go:embed scripts/registered.sh
var registered string

func (b Bootstrap) what() string { return strings.Join(b.Argv[:2], " ") }

// progress is what a host says of its kubeadm.
type progress struct {
	state, why, mark string
	// ours says that the cluster at the endpoint has the authority that was placed
	// on this host.
	ours bool
	// running says that a kubeadm of an earlier run is still at work: it outlives
	// the connection that began it.
	running bool
	// final says of a partial one that it will not come to be complete by itself.
	final bool
	// pending are the nodes that have not joined yet.
	pending []string
}

func (b Bootstrap) progress(ctx context.Context, h *plan.Host) (progress, error) {
	out, err := h.Ask(ctx, b.state(false))
	if err != nil {
		return progress{}, err
	}
	f := keyval.Parse(out)
	p := progress{
		state: f["state"], why: f["why"], mark: f["mark"], ours: f["ours"] == "yes",
		running: f["running"] == "yes", final: f["final"] == "yes",
	}
	if p.state != stateMarked && (p.state != stateDone || b.Token == nil) {
		return p, nil
	}
	nodes, err := askNodes(ctx, h, b.Nodes)
	var exit *transport.ExitError
	switch {
	case err == nil && p.state == stateMarked && !nodes[b.Node].labelled:
		// Somebody has taken the label away, or etcd has lost what it knew.
		out, err := h.Ask(ctx, b.state(true))
		if err != nil {
			return progress{}, err
		}
		f := keyval.Parse(out)
		p.state, p.why, p.pending = f["state"], f["why"], b.Token.pending(nodes)
	case err == nil:
		p.state, p.pending = stateDone, b.Token.pending(nodes)
	case p.state == stateMarked && errors.As(err, &exit):
		p.state, p.why = statePartial, lastLine(exit.Stderr)
	default:
		return progress{}, err
	}
	return p, nil
}

func lastLine(s string) string {
	s = strings.TrimRight(s, "\n")
	return s[strings.LastIndexByte(s, '\n')+1:]
}

const (
	stateDone   = "done"
	stateAbsent = "absent"
	stateTaken  = "taken"
	// stateMarked is stateDone if the API server answers and nothing is amiss with the
	// node's label, statePartial otherwise.
	stateMarked  = "marked"
	statePartial = "partial"
)

// Check distinguishes a node that has its place in the cluster from one that has not,
// and from one where an earlier run was cut off. It refuses to touch one that is
// in between for another reason.
func (b Bootstrap) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	p, err := b.progress(ctx, h)
	if err != nil {
		return nil, err
	}
	switch {
	case p.running:
		return plan.Diff{{Verb: "repair", Subject: b.what(), Detail: "one that an earlier run began is still at work", Data: await}}, nil
	case p.state == stateDone && (p.mark == markBegun || p.mark == markReset):
		return plan.Diff{{Verb: "record", Subject: b.what(), Detail: "an earlier run ended before it could", Data: record}}, nil
	case p.state == stateDone:
		return b.Token.check(ctx, h, b.APIURL, p.pending)
	case p.state == stateAbsent:
		return plan.Diff{{Verb: "run", Subject: b.what(), Data: begin}}, nil
	case p.state == stateTaken && p.ours && b.Instead != nil:
		return plan.Diff{{Verb: "run", Subject: b.Instead.what(), Detail: "the cluster runs without this host", Data: beginInstead}}, nil
	case p.state == stateTaken:
		return nil, b.taken(h)
	case p.mark == markBegun || p.mark == markReset:
		return plan.Diff{{Verb: "repair", Subject: b.what(), Detail: "cut off half-way: " + p.why, Disruptive: true, Data: repair}}, nil
	}
	return nil, &plan.HostError{Host: h.Name, Findings: []plan.Finding{{
		Found: b.what() + " was not begun by an earlier run, or has been complete, and does not answer now (" + p.why + ")",
		Do: "if the API server is only starting, run again; otherwise look at `journalctl -u kubelet`, " +
			"and only if this node may be lost, `kubeadm reset --force` on this host, and run again",
	}}}
}

func (b Bootstrap) taken(h *plan.Host) error {
	return &plan.HostError{Host: h.Name, Findings: []plan.Finding{{
		Found: "this host is not initialised, but the API already answers at " + b.Endpoint + ", with another authority than this host has",
		Do:    "use the keys and certificates that this cluster was made with, or free the endpoint's address",
	}}}
}

// todo is what there is to do about a node.
type todo int

const (
	// begin runs kubeadm, beginInstead what is done in place of it.
	begin todo = iota + 1
	beginInstead
	// await lets a kubeadm of an earlier run end, and then sees.
	await
	// repair undoes what an interrupted one left, and starts.
	repair
	// record notes that an earlier run's is done.
	record
	// renew makes the bootstrap token valid again.
	renew
)

// todoOf returns what Check has found.
func todoOf(d plan.Diff) todo {
	for _, t := range plan.DataOf[todo](d) {
		return t
	}
	return 0
}

// Apply runs kubeadm, having waited for what an earlier run has left, or undone it.
func (b Bootstrap) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	switch todoOf(d) {
	case renew:
		return b.Token.renew(ctx, h, b.APIURL)
	case record:
		return b.record(ctx, h)
	case await, repair:
		p, err := b.settle(ctx, h)
		if err != nil {
			return err
		}
		if p.state == stateDone {
			return b.record(ctx, h)
		}
		if p.state == statePartial && p.mark != markBegun && p.mark != markReset {
			return &plan.NotConvergedError{Left: d}
		}
		if p.state == statePartial {
			return b.again(ctx, h, true)
		}
	}
	err := b.begin(ctx, h)
	if nameTaken(err) {
		h.Report("the cluster still takes %s for Ready: waiting until it has noticed that it is not", b.Node)
		return b.again(ctx, h, false)
	}
	return err
}

// nameTaken reports whether kubeadm, from 1.16 on, refuses to join a node because the
// cluster has one of its name that is Ready: this host, as it was before it was reset
// or replaced a moment ago, or another that is alive.
func nameTaken(err error) bool {
	var exit *transport.ExitError
	return errors.As(err, &exit) && strings.Contains(exit.Stderr, `and status "Ready" already exists in the cluster`)
}

// begin runs kubeadm on a host where it has not run: init or, where the cluster is
// there, what has this host join it.
func (b Bootstrap) begin(ctx context.Context, h *plan.Host) error {
	if b.Instead == nil {
		return b.run(ctx, h)
	}
	p, err := b.progress(ctx, h)
	switch {
	case err != nil:
		return err
	case p.state == stateTaken && !p.ours:
		return b.taken(h)
	case p.state == stateTaken:
		h.Report("the cluster runs without this host: joining it")
		return b.Instead.run(ctx, h)
	}
	return b.run(ctx, h)
}

// record says that kubeadm is done where an earlier run could not, long ago
// perhaps.
func (b Bootstrap) record(ctx context.Context, h *plan.Host) error {
	if err := h.WriteFiles(ctx, mark(markDone)); err != nil || b.Token == nil {
		return err
	}
	left, err := b.Check(ctx, h)
	if err != nil || todoOf(left) != renew {
		return err
	}
	return b.Token.renew(ctx, h, b.APIURL)
}

const (
	// settlePatience is how long what kubeadm began may take to be complete by
	// itself: an API server that only starts is there within a minute.
	settlePatience = time.Minute
	// joinPatience is how long the cluster may take to see that a node which
	// joined before its reset is gone: until the controller manager finds the
	// node silent (--node-monitor-grace-period, 50 s; 40 s before 1.32) kubeadm
	// refuses to join another of its name.
	joinPatience  = 2 * time.Minute
	bootstrapPoll = 2 * time.Second
)

// settle waits for a kubeadm that still runs, and then for what it leaves to be
// complete, if it can be.
func (b Bootstrap) settle(ctx context.Context, h *plan.Host) (progress, error) {
	for quiet := time.Duration(0); ; quiet += bootstrapPoll {
		p, err := b.progress(ctx, h)
		switch {
		case err != nil:
			return p, err
		case p.running:
			h.Report("waiting for the kubeadm that an earlier run began")
			quiet = 0
		case p.state != statePartial || p.final || quiet >= settlePatience:
			return p, nil
		}
		if !poll.Wait(ctx, bootstrapPoll) {
			return p, ctx.Err()
		}
	}
}

// again undoes what was started, and starts again until the cluster has noticed.
// With forget the node's object goes too where this host may take it away, as a
// control plane that came far enough may; without, it may be another host's.
func (b Bootstrap) again(ctx context.Context, h *plan.Host, forget bool) error {
	if err := b.takeBack(ctx, h, forget); err != nil {
		return err
	}
	for waited := time.Duration(0); ; waited += joinPatience / 8 {
		err := b.begin(ctx, h)
		var exit *transport.ExitError
		if err == nil || !errors.As(err, &exit) || waited >= joinPatience {
			return err
		}
		h.Report("kubeadm refuses, trying again: %v", err)
		p, stateErr := b.progress(ctx, h)
		left := stateErr != nil || p.state != stateAbsent && p.state != stateTaken
		if left && !nameTaken(err) {
			return err // a later run starts there
		}
		if !poll.Wait(ctx, joinPatience/8) {
			return err
		}
		if left {
			if err := b.takeBack(ctx, h, false); err != nil {
				return err
			}
		}
	}
}

func (b Bootstrap) takeBack(ctx context.Context, h *plan.Host, forget bool) error {
	h.Report("undoing what kubeadm has started")
	if forget {
		if _, err := h.Script(ctx, forgetNode, map[string]string{"NODE": b.Node}); err != nil {
			return err
		}
	}
	if _, err := h.Run(ctx, b.ResetArgv...); err != nil || len(b.Certs) == 0 {
		return err
	}
	return h.WriteFiles(ctx, b.Certs...) // the reset has taken them away
}

// forgetNode is best effort: without an administrator's file, or an API that
// answers, the cluster finds out by itself.
//
//go:embed scripts/forgetnode.sh
var forgetNode string

// run writes kubeadm's configuration, says that it is begun, runs it, and says
// that it is done.
func (b Bootstrap) run(ctx context.Context, h *plan.Host) error {
	if err := h.WriteFiles(ctx, append(slices.Clone(b.Config), mark(markBegun))...); err != nil {
		return err
	}
	if slices.ContainsFunc(b.Config, func(f quorate.File) bool { return f.Path == kubeadm.KubeletDropInPath }) {
		if _, err := h.Run(ctx, "systemctl", "daemon-reload"); err != nil {
			return err
		}
	}
	if _, err := h.Run(ctx, b.Argv...); err != nil {
		return err
	}
	if !b.Init {
		if _, err := h.Script(ctx, registered, map[string]string{"NODE": b.Node}); err != nil {
			return err
		}
	}
	return h.WriteFiles(ctx, mark(markDone))
}

// ResetCommand undoes what kubeadm did on a host. kubeadm 1.10 asks for no
// confirmation, and so has no argument against that. Where etcd is not kubeadm's own it
// must not look for a stacked member, which it does for a minute in vain, nor empty
// /var/lib/etcd: the phase has a name from 1.15 on.
func ResetCommand(c quorate.Cluster) []string {
	argv := []string{"kubeadm", "reset", "--cri-socket", quorate.CRISocketName(c.Kubeadm.CRISocket, c.Version)}
	if c.Version.Has(quorate.ResetAsks) {
		argv = append(argv, "--force")
	}
	if !c.Etcd.Stacked && c.Version.Has(quorate.ResetPhases) {
		argv = append(argv, "--skip-phases", "remove-etcd-member")
	}
	return argv
}

func pathsOf(files []quorate.File) []string {
	out := make([]string, 0, len(files))
	for _, f := range files {
		out = append(out, f.Path)
	}
	return out
}

// Prefetch returns the script on a host on which kubeadm has been: elsewhere it may
// wait for an endpoint that does not answer.
func (b Bootstrap) Prefetch() plan.Prefetch {
	r := plan.Prefetch{Queries: []transport.Query{b.state(false)}}
	if len(b.Nodes) > 0 {
		r.Queries = append(r.Queries, readingAPI(b.Nodes).Queries...)
	}
	return r
}

// renewedMark says that only a token was renewed, which goes by itself.
const renewedMark = "/renewed"

// Backup notes whether this run starts kubeadm: it does not undo what an earlier one started.
func (b Bootstrap) Backup(ctx context.Context, h *plan.Host, d plan.Diff, dir string) error {
	switch todoOf(d) {
	case renew:
		return h.Write(ctx, transport.File{Path: dir + renewedMark, Mode: 0o600, Data: transport.Bytes(nil)})
	case await, repair, record:
		return &plan.IrreversibleError{Reason: "an earlier run began kubeadm here; a reset returns the node to what it was"}
	}
	return nil
}

// Undo resets what kubeadm did, and has the cluster forget the node where this host has the
// administrator's kubeconfig and an API server answers. The node object of a worker stays: a
// kubelet may not delete its own.
func (b Bootstrap) Undo(ctx context.Context, h *plan.Host, dir string) error {
	if found, err := h.Stat(ctx, dir+renewedMark); err != nil || found[0].Exists {
		return err
	}
	if _, err := h.Script(ctx, forgetNode, map[string]string{"NODE": b.Node}); err != nil {
		return err
	}
	u := Reset{Argv: b.ResetArgv, Files: pathsOf(b.Config)}
	if b.Instead != nil {
		u.Files = append(u.Files, pathsOf(b.Instead.Config)...)
	}
	diff, err := u.Check(ctx, h)
	if err != nil || len(diff) == 0 {
		return err
	}
	return u.Apply(ctx, h, diff)
}

// Describe returns kubeadm's configuration, which nothing compares once kubeadm
// has read it, and how kubeadm is called.
func (b Bootstrap) Describe() plan.Description {
	d := plan.Description{Kind: "quorate/kubeadm", Unchecked: b.Config, Inputs: []quorate.Content{
		plan.InputText(b.Argv...), plan.InputText(b.ResetArgv...), plan.InputText(b.state(false).Argv...), b.Token.input(),
	}}
	if b.Instead != nil {
		d.Inputs = append(d.Inputs, plan.InputText(b.Instead.Argv...))
		for _, f := range b.Instead.Config {
			d.Inputs = append(d.Inputs, f.Content)
		}
	}
	return d
}

// Commands is kubeadm, where it is to run.
func (b Bootstrap) Commands(_ context.Context, _ *plan.Host, d plan.Diff) ([]plan.Command, error) {
	var out []plan.Command
	found := todoOf(d)
	switch found {
	case renew:
		return b.Token.commands(), nil
	case repair:
		out = append(out, plan.Command{Argv: b.ResetArgv})
	case await, record:
		return nil, nil // recorded only, or still at work: how that ends decides
	}
	if slices.ContainsFunc(b.Config, func(f quorate.File) bool { return f.Path == kubeadm.KubeletDropInPath }) {
		out = append(out, plan.Command{Argv: []string{"systemctl", "daemon-reload"}})
	}
	if found == beginInstead {
		return append(out, plan.Command{Argv: b.Instead.Argv}), nil
	}
	return append(out, plan.Command{Argv: b.Argv}), nil
}
