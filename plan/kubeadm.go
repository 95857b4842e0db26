package plan

import (
	"context"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

// bootstrap runs kubeadm on a node: init on the first control plane, and join on
// every other node or, by the version, init on every control plane.
type bootstrap struct {
	config   []quorate.File
	argv     []string
	check    string // script that prints state=absent, done, taken or partial
	args     []string
	after    string // script that waits for what kubeadm leaves to come by itself
	endpoint string
}

// initState asks the API server of this host, not the endpoint: the question
// is whether this host was initialised. The last thing kubeadm init does is
// kube-proxy's role binding. $1 is the local API server's URL, $2 the
// endpoint's, empty on a host where it may answer already: one that is
// initialised after another, as every control plane was before Kubernetes 1.12.
// There the first one's objects say nothing of this host, and its node, $3, must
// have the label $4 too, which is the last thing that kubeadm does to it.
const initState = `# was this host initialised?
if ! [ -e /etc/kubernetes/admin.conf ] && ! [ -e /etc/kubernetes/kubelet.conf ] && ! [ -e /etc/kubernetes/manifests/kube-apiserver.yaml ]; then
	if [ -n "$2" ] && curl --silent --insecure --connect-timeout 1 --max-time 2 "$2/readyz" 2>/dev/null | grep -q '^ok'; then echo state=taken; else echo state=absent; fi
	exit 0
fi
ask() { kubectl --kubeconfig /etc/kubernetes/admin.conf --server "$url" --request-timeout=10s "$@" 2>&1; }
url=$1
if why=$(ask -n kube-public get configmap/cluster-info clusterrolebinding/kubeadm:node-proxier -o name); then
	state=done
	if [ -z "$2" ]; then
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
[ "$state" = done ] || echo "why=$(printf '%s' "$why" | tail -n 1)"
`

// joinState asks for the node as the kubelet sees it. The last thing kubeadm
// join does on a control plane is to label the node. $1 is the node's name, $2
// "control-plane" or "worker", $3 the label.
const joinState = `# has this host joined?
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
	;;
esac
`

// registered waits for the kubelet to register the node: kubeadm join returns
// on a worker as soon as the kubelet has its certificate. $1 is the node's name.
const registered = `# wait for the kubelet to register the node
tries=300
while [ "$tries" -gt 0 ]; do
	why=$(kubectl --kubeconfig /etc/kubernetes/kubelet.conf --request-timeout=10s get node "$1" -o name 2>&1) && exit 0
	tries=$((tries - 1))
	sleep 0.2
done
echo "the kubelet has not registered the node: $why" >&2
exit 1
`

func (b bootstrap) what() string { return strings.Join(b.argv[:2], " ") }

// Check tells a node that has its place in the cluster from one that has not,
// and refuses to touch one that is in between.
func (b bootstrap) Check(ctx context.Context, h *Host) (Diff, error) {
	out, err := h.Script(ctx, b.check, b.args...)
	if err != nil {
		return nil, err
	}
	f := fields(out)
	switch f["state"] {
	case "done":
		return nil, nil
	case "absent":
		return Diff{{Verb: "run", Subject: b.what()}}, nil
	case "taken":
		return nil, &HostError{Host: h.Name, Faults: []HostFault{{
			Found: "this host is not initialised, but the API already answers at " + b.endpoint,
			Do:    "a cluster exists there: list one of its control planes first, so that this host joins it, or free the endpoint's address",
		}}}
	}
	return nil, &HostError{Host: h.Name, Faults: []HostFault{{
		Found: b.what() + " has been begun here and is not complete (" + f["why"] + ")",
		Do: "if the API server is only starting, run again; otherwise look at `journalctl -u kubelet`, " +
			"then `kubeadm reset --force` on this host, and run again",
	}}}
}

// Apply writes kubeadm's configuration and runs it.
func (b bootstrap) Apply(ctx context.Context, h *Host, _ Diff) error {
	if err := h.Write(ctx, asTransport(b.config)...); err != nil {
		return err
	}
	if slices.ContainsFunc(b.config, func(f quorate.File) bool { return f.Path == kubeadm.KubeletDropInPath }) {
		if _, err := h.Run(ctx, "systemctl", "daemon-reload"); err != nil {
			return err
		}
	}
	if _, err := h.Run(ctx, b.argv...); err != nil || b.after == "" {
		return err
	}
	_, err := h.Script(ctx, b.after, b.args...)
	return err
}
