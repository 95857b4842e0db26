package plan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/transport"
)

// adminConf is the kubeconfig that kubeadm writes on every control plane.
const adminConf = "/etc/kubernetes/admin.conf"

func kubectl(args ...string) []string {
	return append([]string{"kubectl", "--kubeconfig", adminConf}, args...)
}

// applyManifest applies one manifest to the cluster, from a control plane.
type applyManifest struct {
	name string
	yaml quorate.Content
}

// Check asks the API server, by a server-side dry run, what applying would
// change.
func (a applyManifest) Check(ctx context.Context, h *Host) (Diff, error) {
	_, err := h.RunInput(ctx, bytes.NewReader(a.yaml.Bytes()), kubectl("diff", "-f", "-")...)
	var exit *transport.ExitError
	if errors.As(err, &exit) && exit.Code == 1 {
		return Diff{{Verb: "run", Subject: "kubectl apply " + a.name}}, nil
	}
	return nil, err
}

// Apply applies it.
func (a applyManifest) Apply(ctx context.Context, h *Host, _ Diff) error {
	_, err := h.RunInput(ctx, bytes.NewReader(a.yaml.Bytes()), kubectl("apply", "-f", "-")...)
	return err
}

// untaint lets ordinary pods run on the control planes.
type untaint struct{ nodes []string }

const controlPlaneTaint = "node-role.kubernetes.io/control-plane"

// Check lists the taints of the control planes.
func (u untaint) Check(ctx context.Context, h *Host) (Diff, error) {
	out, err := h.Run(ctx, kubectl("get", "nodes", "-o",
		`jsonpath={range .items[*]}{.metadata.name}{" "}{.spec.taints[*].key}{"\n"}{end}`)...)
	if err != nil {
		return nil, err
	}
	var diff Diff
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if len(words) > 1 && slices.Contains(u.nodes, words[0]) && slices.Contains(words[1:], controlPlaneTaint) {
			diff = append(diff, Change{Verb: "untaint", Subject: words[0]})
		}
	}
	return diff, nil
}

// Apply removes the taint from the nodes that have it.
func (u untaint) Apply(ctx context.Context, h *Host, d Diff) error {
	args := []string{"taint", "nodes"}
	for _, c := range d {
		args = append(args, c.Subject)
	}
	_, err := h.Run(ctx, kubectl(append(args, controlPlaneTaint+"-")...)...)
	return err
}

// nodesReady waits until every node of the description is Ready, at the
// description's version.
type nodesReady struct{ cluster quorate.Cluster }

// Check lists the nodes that are not Ready. A node at another version than the
// description's is a *HostError.
func (r nodesReady) Check(ctx context.Context, h *Host) (Diff, error) {
	out, err := h.Run(ctx, kubectl("get", "nodes", "-o",
		`jsonpath={range .items[*]}{.metadata.name}{" "}{.status.nodeInfo.kubeletVersion}{" "}`+
			`{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)...)
	if err != nil {
		return nil, err
	}
	type state struct{ version, ready string }
	found := map[string]state{}
	for line := range strings.Lines(string(out)) {
		if words := strings.Fields(line); len(words) == 3 {
			found[words[0]] = state{words[1], words[2]}
		}
	}
	var diff Diff
	var faults []HostFault
	for _, n := range r.cluster.Nodes {
		s, ok := found[n.Name]
		switch {
		case !ok:
			diff = append(diff, Change{Verb: "wait", Subject: n.Name, Detail: "not registered"})
		case s.version != r.cluster.Version.String():
			faults = append(faults, HostFault{
				Found: fmt.Sprintf("node %s runs kubelet %s", n.Name, s.version),
				Do:    fmt.Sprintf("install %s there, or describe the cluster with the version it has", r.cluster.Version),
			})
		case s.ready != "True":
			diff = append(diff, Change{Verb: "wait", Subject: n.Name, Detail: "not Ready"})
		}
	}
	if len(faults) > 0 {
		return nil, &HostError{Host: h.Name, Faults: faults}
	}
	return diff, nil
}

// Apply waits.
func (r nodesReady) Apply(ctx context.Context, h *Host, d Diff) error {
	args := []string{"wait", "--for=condition=Ready", "--timeout=5m"}
	for _, c := range d {
		args = append(args, "node/"+c.Subject)
	}
	_, err := h.Run(ctx, kubectl(args...)...)
	return err
}
