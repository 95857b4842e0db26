package kube

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
	"github.com/quorate-dev/quorate/plan/internal/poll"
	"github.com/quorate-dev/quorate/transport"
)

// Bootstrap runs kubeadm on a node: init on the first control plane, and join on
// every other node or, by the version, init on every control plane.
type Bootstrap struct {
	Config      []quorate.File
	Argv        []string
	CheckScript string // script that prints state=absent, marked, done, taken or partial
	Args        []string
	Needs       string // path without which nothing need be read ahead
	AfterScript string // script that waits for what kubeadm leaves to come by itself
	Endpoint    string

	// What it takes to begin anew after kubeadm was cut off: the node's name, the
	// argument vector of the reset, and the certificates that a reset takes away.
	Node      string
	ResetArgv []string
	Certs     []quorate.File

	// nodes asks the API server of this host for the nodes, where init is checked.
	Nodes []string
	// token is looked after by the node that others join; nil on all but the first.
	Token *Token
	// instead is done in place of init where the cluster is there already and runs
	// without this host: one that was reset, or is new. Nil on all other nodes.
	Instead *Bootstrap
}

// kubeadmMark tells how far kubeadm has come on a host: markBegun is written with
// its configuration, before it runs, and markDone once all that it is to leave
// is there; markReset, before a reset of the node that somebody asked for. So a
// node that was cut off half-way is told from a complete one whose API server does
// not answer, of which nothing may ever be reset.
const (
	kubeadmMark = plan.StateDir + "/kubeadm.state"
	markBegun   = "begun"
	markDone    = "done"
	markReset   = "reset"
)

func mark(text string) quorate.File {
	return quorate.File{Path: kubeadmMark, Mode: 0o600, Content: quorate.Public([]byte(text + "\n"))}
}

// InitState asks the API server of this host, not the endpoint: the question
// is whether this host was initialised. Where an earlier run has seen it complete, and
// unless $5 is given, the node with its label is answer enough, and whoever runs this
// asks for that: it lists the nodes. Elsewhere the last thing kubeadm init does is
// kube-proxy's role binding. If it is not all there, "final" says that no waiting helps:
// no kubeadm is at work, and either the API server has answered, or no kubelet runs that
// would start it. $1 is the local API server's URL, $2 where
// the endpoint tells its health, empty on a host where it may answer already: one that is
// initialised after another, as every control plane was before Kubernetes 1.12.
// There, and where the first one may have joined, the cluster's objects say nothing
// of this host, and its node, $3, must have the label $4 too, which is the last
// thing that kubeadm does to it.
const InitState = `# was this host initialised?
mark=$(cat /var/lib/quorate/kubeadm.state 2>/dev/null)
echo "mark=$mark"
if grep -qx kubeadm /proc/[0-9]*/comm 2>/dev/null; then echo running=yes; fi
if ! [ -e /etc/kubernetes/admin.conf ] && ! [ -e /etc/kubernetes/kubelet.conf ] && ! [ -e /etc/kubernetes/manifests/kube-apiserver.yaml ]; then
	if [ -n "$2" ] && curl --silent --insecure --connect-timeout 1 --max-time 2 "$2" 2>/dev/null | grep -q '^ok'; then
		echo state=taken
		if curl --silent --cacert /etc/kubernetes/pki/ca.crt --connect-timeout 1 --max-time 2 "$2" 2>/dev/null | grep -q '^ok'; then echo ours=yes; fi
	else
		echo state=absent
	fi
	exit 0
fi
if [ "$mark" = done ] && [ -z "$5" ]; then
	echo state=marked
	exit 0
fi
ask() { kubectl --kubeconfig /etc/kubernetes/admin.conf --server "$url" --request-timeout=10s "$@" 2>&1; }
url=$1
if why=$(ask -n kube-public get configmap/cluster-info clusterrolebinding/kubeadm:node-proxier -o name); then
	state=done
	if [ -z "$2" ] || [ "$mark" = begun ]; then
		why=$(ask get node "$3" --show-labels --no-headers)
		case "$why" in
		*"$4"*) ;;
		*) state=partial ;;
		esac
	fi
else
	state=partial
fi
echo "state=$state"
if [ "$state" = partial ]; then
	echo "why=$(printf '%s' "$why" | tail -n 1)"
	case "$why" in
	*"Error from server (NotFound)"* | "$3 "*) echo final=yes ;;
	*) systemctl is-active kubelet.service >/dev/null 2>&1 || echo final=yes ;;
	esac
fi
`

// JoinState asks for the node as the kubelet sees it. The last thing kubeadm
// join does on a control plane is to label the node, and no waiting helps if nobody is
// left to do it; a worker's kubelet registers it by itself. $1 is the node's name, $2
// "control-plane" or "worker", $3 the label.
const JoinState = `# has this host joined?
echo "mark=$(cat /var/lib/quorate/kubeadm.state 2>/dev/null)"
if grep -qx kubeadm /proc/[0-9]*/comm 2>/dev/null; then echo running=yes; fi
if ! [ -e /etc/kubernetes/kubelet.conf ] && ! [ -e /etc/kubernetes/bootstrap-kubelet.conf ]; then
	echo state=absent
	exit 0
fi
labels=$(kubectl --kubeconfig /etc/kubernetes/kubelet.conf --request-timeout=10s get node "$1" --show-labels --no-headers 2>&1)
code=$?
case "$code $2 $labels" in
"0 worker "*) echo state=done ;;
"0 control-plane "*"$3"*) echo state=done ;;
*)
	echo state=partial
	echo "why=$(printf '%s' "$labels" | tail -n 1)"
	case "$2 $labels" in
	"control-plane $1 "* | "control-plane "*"Error from server (NotFound)"*) echo final=yes ;;
	*) systemctl is-active kubelet.service >/dev/null 2>&1 || echo final=yes ;;
	esac
	;;
esac
`

// Registered waits for the kubelet to register the node: kubeadm join returns
// on a worker as soon as the kubelet has its certificate. $1 is the node's name.
const Registered = `# wait for the kubelet to register the node
tries=300
while [ "$tries" -gt 0 ]; do
	why=$(kubectl --kubeconfig /etc/kubernetes/kubelet.conf --request-timeout=10s get node "$1" -o name 2>&1) && exit 0
	tries=$((tries - 1))
	sleep 0.2
done
echo "the kubelet has not registered the node: $why" >&2
exit 1
`

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
	out, err := h.Script(ctx, b.CheckScript, b.Args...)
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
		out, err := h.Script(ctx, b.CheckScript, append(slices.Clone(b.Args), "anyway")...)
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

// Check tells a node that has its place in the cluster from one that has not,
// and from one where an earlier run was cut off. It refuses to touch one that is
// in between for another reason.
func (b Bootstrap) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	p, err := b.progress(ctx, h)
	if err != nil {
		return nil, err
	}
	switch {
	case p.running:
		return plan.Diff{{Verb: verbRepair, Subject: b.what(), Detail: "one that an earlier run began is still at work"}}, nil
	case p.state == stateDone && (p.mark == markBegun || p.mark == markReset):
		return plan.Diff{{Verb: plan.VerbRecord, Subject: b.what(), Detail: "an earlier run ended before it could"}}, nil
	case p.state == stateDone:
		return b.Token.check(ctx, h, b.Args[0], p.pending)
	case p.state == stateAbsent:
		return plan.Diff{{Verb: "run", Subject: b.what()}}, nil
	case p.state == stateTaken && p.ours && b.Instead != nil:
		return plan.Diff{{Verb: "run", Subject: b.Instead.what(), Detail: "the cluster runs without this host"}}, nil
	case p.state == stateTaken:
		return nil, b.taken(h)
	case p.mark == markBegun || p.mark == markReset:
		return plan.Diff{{Verb: verbRepair, Subject: b.what(), Detail: "cut off half-way: " + p.why, Disruptive: true}}, nil
	}
	return nil, &plan.HostError{Host: h.Name, Faults: []plan.HostFault{{
		Found: b.what() + " was not begun by an earlier run, or has been complete, and does not answer now (" + p.why + ")",
		Do: "if the API server is only starting, run again; otherwise look at `journalctl -u kubelet`, " +
			"and only if this node may be lost, `kubeadm reset --force` on this host, and run again",
	}}}
}

func (b Bootstrap) taken(h *plan.Host) error {
	return &plan.HostError{Host: h.Name, Faults: []plan.HostFault{{
		Found: "this host is not initialised, but the API already answers at " + b.Endpoint + ", with another authority than this host was given",
		Do:    "give the keys and certificates that this cluster was made with, or free the endpoint's address",
	}}}
}

// The verbs of changes that are neither files nor units.
const (
	verbRepair = "repair"
)

// Apply runs kubeadm, having waited for what an earlier run has left, or undone it.
func (b Bootstrap) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	switch d[0].Verb {
	case verbRenew:
		return b.Token.renew(ctx, h, b.Args[0])
	case plan.VerbRecord:
		return b.record(ctx, h)
	case verbRepair:
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
	if err != nil || len(left) == 0 || left[0].Verb != verbRenew {
		return err
	}
	return b.Token.renew(ctx, h, b.Args[0])
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

// again takes back what was begun, and begins anew until the cluster has noticed.
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
			return err // a later run begins there
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
	h.Report("taking back what kubeadm has begun")
	if forget {
		if _, err := h.Script(ctx, forgetNode, b.Node); err != nil {
			return err
		}
	}
	if _, err := h.Run(ctx, b.ResetArgv...); err != nil || len(b.Certs) == 0 {
		return err
	}
	return h.WriteFiles(ctx, b.Certs...) // the reset has taken them away
}

// forgetNode is best effort: without an administrator's file, or an API that
// answers, the cluster finds out by itself. $1 is the node's name.
const forgetNode = `# forget the node
[ -e /etc/kubernetes/admin.conf ] || exit 0
kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=10s delete node "$1" --ignore-not-found >/dev/null 2>&1
exit 0
`

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
	if b.AfterScript != "" {
		if _, err := h.Script(ctx, b.AfterScript, b.Args...); err != nil {
			return err
		}
	}
	return h.WriteFiles(ctx, mark(markDone))
}

// ResetCommand takes back what kubeadm did on a host. kubeadm 1.10 does not ask,
// and so has no argument that tells it not to. Where etcd is not kubeadm's own it
// must not look for a stacked member, which it does for a minute in vain, nor empty
// /var/lib/etcd: the phase has a name from 1.15 on.
func ResetCommand(c quorate.Cluster) []string {
	socket := c.Kubeadm.CRISocket
	if !c.Version.AtLeast(1, 24) { // a path then
		socket = strings.TrimPrefix(socket, "unix://")
	}
	argv := []string{"kubeadm", "reset", "--cri-socket", socket}
	if c.Version.AtLeast(1, 11) {
		argv = append(argv, "--force")
	}
	if !c.Etcd.Stacked && c.Version.AtLeast(1, 15) {
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

// Reads gives the script on a host on which kubeadm has been: elsewhere it may
// wait for an endpoint that does not answer.
func (b Bootstrap) Reads() plan.Reads {
	r := plan.Reads{Queries: []transport.Query{{Argv: plan.Script(b.CheckScript, b.Args...), Needs: b.Needs}}}
	if len(b.Nodes) > 0 {
		r.Queries = append(r.Queries, readingAPI(b.Nodes).Queries...)
	}
	return r
}

// renewedMark says that only a token was renewed, which goes by itself.
const renewedMark = "/renewed"

// Keep sees whether this run begins: what an earlier one began is not its to undo.
func (b Bootstrap) Keep(ctx context.Context, h *plan.Host, d plan.Diff, dir string) error {
	if d[0].Verb == verbRenew {
		return h.Write(ctx, transport.File{Path: dir + renewedMark, Mode: 0o600, Data: transport.Bytes(nil)})
	}
	if d[0].Verb != "run" {
		return &plan.IrreversibleError{Reason: "an earlier run began kubeadm here; Reset takes the node back"}
	}
	return nil
}

// Undo resets what kubeadm did, and has the cluster forget the node where this host
// can still say so.
func (b Bootstrap) Undo(ctx context.Context, h *plan.Host, dir string) error {
	if found, err := h.Stat(ctx, dir+renewedMark); err != nil || found[0].Exists {
		return err
	}
	if _, err := h.Script(ctx, forgetNode, b.Node); err != nil {
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

// Describe gives kubeadm's configuration, which nothing compares once kubeadm
// has read it, and how kubeadm is called.
func (b Bootstrap) Describe() plan.Description {
	d := plan.Description{Unchecked: b.Config, Inputs: []quorate.Content{
		plan.InputText(b.Argv...), plan.InputText(b.Args...), plan.InputText(b.ResetArgv...), plan.InputText(b.CheckScript, b.AfterScript), b.Token.input(),
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
	switch c := d[0]; {
	case c.Verb == verbRenew:
		return b.Token.commands(), nil
	case c.Verb == verbRepair && c.Disruptive:
		out = append(out, plan.Command{Argv: b.ResetArgv})
	case c.Verb != "run":
		return nil, nil // recorded only, or still at work: how that ends decides
	}
	if slices.ContainsFunc(b.Config, func(f quorate.File) bool { return f.Path == kubeadm.KubeletDropInPath }) {
		out = append(out, plan.NewCommand("systemctl", "daemon-reload"))
	}
	if b.Instead != nil && d[0].Subject == b.Instead.what() {
		return append(out, plan.Command{Argv: b.Instead.Argv}), nil
	}
	return append(out, plan.Command{Argv: b.Argv}), nil
}
