package kube

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/poll"
	"github.com/quorate-dev/quorate/transport"
)

// AdminConf is the kubeconfig that kubeadm writes on every control plane.
const AdminConf = hostpath.AdminConf

func kubectl(args ...string) []string {
	return append([]string{"kubectl", "--kubeconfig", AdminConf}, args...)
}

// Ready waits until every node of the description is Ready, at the
// description's version.
type Ready struct {
	plan.NothingToUndo
	Cluster quorate.Cluster
	List    []string // listNodes
}

// nodeLines has kubectl get nodes print a line a node: the name, the kubelet's
// version, whether it is Ready, "role" if it has the label LABEL, which is the last
// thing that kubeadm does to a control plane, and the keys of its taints. What a
// node has not told yet is empty.
const nodeLines = `{{range .items}}{{.metadata.name}} {{.status.nodeInfo.kubeletVersion}} ` +
	`{{range .status.conditions}}{{if eq .type "Ready"}}{{.status}}{{end}}{{end}} ` +
	`{{range $key, $value := .metadata.labels}}{{if eq $key "LABEL"}}role{{end}}{{end}}` +
	`{{range .spec.taints}} {{.key}}{{end}}{{"\n"}}{{end}}`

// ListNodes asks one API server for all that anybody here wants to know of nodes,
// so that one answer serves them all.
func ListNodes(url string, v quorate.Version) []string {
	return kubectl("--server", url, "--request-timeout=10s", "get", "nodes", "-o",
		"go-template="+strings.ReplaceAll(nodeLines, "LABEL", quorate.ControlPlaneLabel(v)))
}

// nodeState is one line of listNodes.
type nodeState struct {
	version, ready string
	labelled       bool
	taints         []string
}

// askNodes returns the nodes by their names.
func askNodes(ctx context.Context, h *plan.Host, list []string) (map[string]nodeState, error) {
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
func (r Ready) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	found, err := askNodes(ctx, h, r.List)
	if err != nil {
		return nil, err
	}
	var diff plan.Diff
	var faults []plan.Finding
	for _, n := range r.Cluster.Nodes {
		s := found[n.Name]
		switch {
		case s.version == "" || s.ready == "":
			diff = append(diff, plan.Change{Verb: "wait", Subject: n.Name, Detail: "not registered", Waits: true, Data: waiting(n.Name)})
		case s.version != r.Cluster.Version.String():
			faults = append(faults, plan.Finding{
				Found: fmt.Sprintf("node %s runs kubelet %s", n.Name, s.version),
				Do:    fmt.Sprintf("install %s there, or describe the cluster with the version it has", r.Cluster.Version),
			})
		case s.ready != "True":
			diff = append(diff, plan.Change{Verb: "wait", Subject: n.Name, Detail: "not Ready", Waits: true, Data: waiting(n.Name)})
		}
	}
	if len(faults) > 0 {
		return nil, &plan.HostError{Host: h.Name, Findings: faults}
	}
	return diff, nil
}

// readyPoll is the time between two looks where kubectl cannot wait by itself.
const readyPoll = time.Second

// Apply waits.
func (r Ready) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	if !kubectlWaits(r.Cluster.Version) {
		for len(d) > 0 && poll.Wait(ctx, readyPoll) {
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
func kubectlWaits(v quorate.Version) bool { return v.Has(quorate.KubectlWait) }

// waiting is a node that is not Ready.
type waiting string

// waitReady waits for the nodes of a Diff.
func waitReady(d plan.Diff) []string {
	args := []string{"wait", "--for=condition=Ready", "--timeout=5m"}
	for _, name := range plan.DataOf[waiting](d) {
		args = append(args, "node/"+string(name))
	}
	return kubectl(args...)
}

// Describe returns the nodes and their version.
func (r Ready) Describe() plan.Description {
	names := []string{r.Cluster.Version.String()}
	for _, n := range r.Cluster.Nodes {
		names = append(names, n.Name)
	}
	return plan.Description{Kind: "quorate/nodes-ready", Inputs: []quorate.Content{plan.InputText(names...)}}
}

// Commands waits, where kubectl can.
func (r Ready) Commands(_ context.Context, _ *plan.Host, d plan.Diff) ([]plan.Command, error) {
	if !kubectlWaits(r.Cluster.Version) {
		return nil, nil
	}
	return []plan.Command{{Argv: waitReady(d)}}, nil
}

// Prefetch returns the question to the API server.
func (r Ready) Prefetch() plan.Prefetch { return readingAPI(r.List) }

// readingAPI is for kubectl, which a host without an administrator's file need
// not start.
func readingAPI(argv []string) plan.Prefetch {
	return plan.Prefetch{Queries: []transport.Query{{Argv: argv, Needs: AdminConf}}}
}
