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

// Kubectl is the command line of kubectl with what kubeadm writes for its administrator.
func Kubectl(args ...string) []string {
	return append([]string{"kubectl", "--kubeconfig", AdminConf}, args...)
}

// kubectlAt asks one API server; the cluster's endpoint if the URL is empty.
func kubectlAt(url string, args ...string) []string {
	if url == "" {
		return Kubectl(args...)
	}
	return Kubectl(append([]string{"--server", url, "--request-timeout=30s"}, args...)...)
}

// Ready waits until every node of the description is Ready, at the
// description's version.
type Ready struct {
	plan.NothingToUndo
	Cluster quorate.Cluster
	List    []string // listNodes
}

// clusterLines has kubectl print a line a node, in parts between tabs: the name, the
// kubelet's version, whether it is Ready, "role" if it has the label LABEL, which is the
// last thing that kubeadm does to a control plane, and the keys of its taints; its
// labels; its taints; its addresses; "cordoned" if it is. What a node has not reported
// yet is empty. Then come, quoted, kubeadm's ConfigMaps: name, key, text.
const clusterLines = `{{range .items}}{{if eq .kind "Node"}}{{.metadata.name}} {{.status.nodeInfo.kubeletVersion}} ` +
	`{{range .status.conditions}}{{if eq .type "Ready"}}{{.status}}{{end}}{{end}} ` +
	`{{range $key, $value := .metadata.labels}}{{if eq $key "LABEL"}}role{{end}}{{end}}` +
	`{{range .spec.taints}} {{.key}}{{end}}{{"\t"}}` +
	`{{range $key, $value := .metadata.labels}}{{$key}}={{$value}} {{end}}{{"\t"}}` +
	`{{range .spec.taints}}{{.key}}={{if .value}}{{.value}}{{end}}:{{.effect}} {{end}}{{"\t"}}` +
	`{{range .status.addresses}}{{if eq .type "InternalIP"}}{{.address}} {{end}}{{end}}{{"\t"}}` +
	`{{if .spec.unschedulable}}cordoned{{end}}{{"\n"}}{{else}}` +
	`{{$name := .metadata.name}}{{range $key, $text := .data}}` +
	`{{if or (eq $key "ClusterConfiguration") (eq $key "MasterConfiguration") (eq $key "kubelet") (eq $key "config.conf")}}` +
	`configmap {{printf "%q %q %q" $name $key $text}}{{"\n"}}{{end}}{{end}}{{end}}{{end}}`

// ListNodes asks one API server for all that anybody here wants to know of nodes and of
// kubeadm's ConfigMaps, so that one answer serves them all.
func ListNodes(url string, v quorate.Version) []string {
	return Kubectl("--server", url, "--request-timeout=10s", "get", "nodes,configmaps", "-n", "kube-system", "-o",
		"go-template="+strings.ReplaceAll(clusterLines, "LABEL", quorate.ControlPlaneLabel(v)))
}

// nodeState is one node's line.
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
	for _, n := range ReadCluster(out).Nodes {
		s := nodeState{version: n.Kubelet, ready: n.Ready, labelled: n.ControlPlane}
		for _, t := range n.Taints {
			s.taints = append(s.taints, t.Key)
		}
		nodes[n.Name] = s
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
	return Kubectl(args...)
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
