package plan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
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
	// remember keeps on the host the hash of what was applied: before 1.18
	// kubectl diff has no exit status to go by, and before 1.13 there is none.
	remember bool
}

// Check asks the API server, by a server-side dry run, what applying would
// change, or whether the objects are there and the manifest is the one applied.
func (a applyManifest) Check(ctx context.Context, h *Host) (Diff, error) {
	todo := Diff{{Verb: "run", Subject: "kubectl apply " + a.name}}
	if a.remember {
		if diff, err := fileDiff(ctx, h, []quorate.File{a.stamp()}); err != nil || len(diff) > 0 {
			return todo[:min(len(diff), 1)], err
		}
	}
	_, err := h.Ask(ctx, a.query())
	var exit *transport.ExitError
	if errors.As(err, &exit) && exit.Code == 1 {
		return todo, nil
	}
	return nil, err
}

func (a applyManifest) query() transport.Query {
	argv := kubectl("diff", "-f", "-")
	if a.remember {
		argv = kubectl("get", "-o", "name", "-f", "-")
	}
	return transport.Query{Argv: argv, Stdin: transport.Bytes(a.yaml.Bytes()), Needs: adminConf}
}

func (a applyManifest) stamp() quorate.File {
	sum := a.yaml.SHA256()
	return quorate.File{
		Path: path.Join(stampDir, "manifest-"+a.name+".sha256"), Mode: 0o600,
		Content: quorate.Public(fmt.Appendf(nil, "%x\n", sum)),
	}
}

// Apply applies it.
func (a applyManifest) Apply(ctx context.Context, h *Host, _ Diff) error {
	if _, err := h.RunInput(ctx, bytes.NewReader(a.yaml.Bytes()), kubectl("apply", "-f", "-")...); err != nil || !a.remember {
		return err
	}
	return h.Write(ctx, asTransport([]quorate.File{a.stamp()})...)
}

// untaint lets ordinary pods run on the control planes.
type untaint struct {
	nodes, taints []string
	list          []string // listNodes
}

// Check lists the taints of the control planes.
func (u untaint) Check(ctx context.Context, h *Host) (Diff, error) {
	nodes, err := askNodes(ctx, h, u.list)
	if err != nil {
		return nil, err
	}
	var diff Diff
	for _, name := range u.nodes {
		for _, key := range nodes[name].taints {
			if slices.Contains(u.taints, key) {
				diff = append(diff, Change{Verb: "untaint", Subject: name, Detail: key})
			}
		}
	}
	return diff, nil
}

// Apply removes them.
func (u untaint) Apply(ctx context.Context, h *Host, d Diff) error {
	for _, argv := range u.argvs(d) {
		if _, err := h.Run(ctx, argv...); err != nil {
			return err
		}
	}
	return nil
}

// argvs remove each taint from the nodes that have it: kubectl refuses to take
// one from a node without it.
func (u untaint) argvs(d Diff) [][]string {
	var out [][]string
	for _, key := range u.taints {
		args := []string{"taint", "nodes"}
		for _, c := range d {
			if c.Detail == key {
				args = append(args, c.Subject)
			}
		}
		if len(args) > 2 {
			out = append(out, kubectl(append(args, key+"-")...))
		}
	}
	return out
}

// nodesReady waits until every node of the description is Ready, at the
// description's version.
type nodesReady struct {
	nothingToUndo
	cluster quorate.Cluster
	list    []string // listNodes
}

// nodeLines has kubectl get nodes print a line a node: the name, the kubelet's
// version, whether it is Ready, "role" if it has the label LABEL, which is the last
// thing that kubeadm does to a control plane, and the keys of its taints. What a
// node has not told yet is empty.
const nodeLines = `{{range .items}}{{.metadata.name}} {{.status.nodeInfo.kubeletVersion}} ` +
	`{{range .status.conditions}}{{if eq .type "Ready"}}{{.status}}{{end}}{{end}} ` +
	`{{range $key, $value := .metadata.labels}}{{if eq $key "LABEL"}}role{{end}}{{end}}` +
	`{{range .spec.taints}} {{.key}}{{end}}{{"\n"}}{{end}}`

// listNodes asks one API server for all that anybody here wants to know of nodes,
// so that one answer serves them all.
func listNodes(url string, v quorate.Version) []string {
	return kubectl("--server", url, "--request-timeout=10s", "get", "nodes", "-o",
		"go-template="+strings.ReplaceAll(nodeLines, "LABEL", kubeadm.ControlPlaneLabel(v)))
}

// nodeState is one line of listNodes.
type nodeState struct {
	version, ready string
	labelled       bool
	taints         []string
}

// askNodes gives the nodes by their names.
func askNodes(ctx context.Context, h *Host, list []string) (map[string]nodeState, error) {
	out, err := h.Run(ctx, list...)
	if err != nil {
		return nil, err
	}
	return readNodes(out), nil
}

func readNodes(out []byte) map[string]nodeState {
	nodes := map[string]nodeState{}
	for line := range strings.Lines(string(out)) {
		const before = 4 // the taints
		if words := strings.Split(strings.TrimSuffix(line, "\n"), " "); len(words) >= before {
			nodes[words[0]] = nodeState{words[1], words[2], words[3] == "role", words[before:]}
		}
	}
	return nodes
}

// Check lists the nodes that are not Ready. A node at another version than the
// description's is a *HostError.
func (r nodesReady) Check(ctx context.Context, h *Host) (Diff, error) {
	found, err := askNodes(ctx, h, r.list)
	if err != nil {
		return nil, err
	}
	var diff Diff
	var faults []HostFault
	for _, n := range r.cluster.Nodes {
		s := found[n.Name]
		switch {
		case s.version == "" || s.ready == "":
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

// readyPoll is the time between two looks where kubectl cannot wait by itself.
const readyPoll = time.Second

// Apply waits.
func (r nodesReady) Apply(ctx context.Context, h *Host, d Diff) error {
	if !kubectlWaits(r.cluster.Version) {
		for len(d) > 0 && wait(ctx, readyPoll) {
			var err error
			if d, err = r.Check(ctx, h); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
	_, err := h.Run(ctx, waitReady(d)...)
	return err
}

// kubectlWaits reports whether kubectl has the command wait.
func kubectlWaits(v quorate.Version) bool { return v.AtLeast(1, 11) }

// waitReady waits for the nodes of a Diff.
func waitReady(d Diff) []string {
	args := []string{"wait", "--for=condition=Ready", "--timeout=5m"}
	for _, c := range d {
		args = append(args, "node/"+c.Subject)
	}
	return kubectl(args...)
}
