package hatest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// Pod is one that somebody runs, beside those of kubeadm.
type Pod struct {
	Namespace, Name string
	// Controller is the kind of what makes it again: ReplicaSet, DaemonSet. Empty if nothing does.
	Controller string
	// Budget says that its PodDisruptionBudget lets no eviction of it.
	Budget bool
}

type workload struct {
	Pod
	node string
}

// Run has a pod run on a node; again with the same name it is another.
func (c *Cluster) Run(nodeName string, p Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.workloads[p.Namespace+"/"+p.Name] = &workload{p, nodeName}
}

// Pods returns the pods of a node that Run has begun, as NAMESPACE/NAME, sorted. What is evicted goes to
// a worker that takes pods or, without one, has no node.
func (c *Cluster) Pods(nodeName string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.podsOf(nodeName)
}

func (c *Cluster) podsOf(nodeName string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.workloads)) {
		if c.workloads[name].node == nodeName {
			names = append(names, name)
		}
	}
	return names
}

// listPods executes kubectl's template over the pods of one node, its static ones among them.
func (h *host) listPods(in faketransport.Invocation, args []string) error {
	i := slices.Index(args, "--field-selector")
	if i < 0 || !strings.HasPrefix(args[len(args)-1], "go-template=") {
		return fail(in, "kubectl: %q is not simulated", args)
	}
	c := h.cluster
	t, err := template.New("").Parse(strings.TrimPrefix(args[len(args)-1], "go-template="))
	if err != nil {
		return fail(in, "error: error parsing template: %v", err)
	}
	name := strings.TrimPrefix(args[i+1], "spec.nodeName=")
	var items []any
	for _, pod := range c.podsOf(name) {
		w := c.workloads[pod]
		metadata := map[string]any{"namespace": w.Namespace, "name": w.Name}
		if w.Controller != "" {
			metadata["ownerReferences"] = []any{map[string]any{"kind": w.Controller, "controller": true}}
		}
		items = append(items, map[string]any{"metadata": metadata, "status": map[string]any{"phase": "Running"}})
	}
	if other := c.hosts[name]; other != nil {
		for static := range other.pods {
			items = append(items, map[string]any{
				"metadata": map[string]any{
					"namespace": "kube-system", "name": static + "-" + name, "annotations": map[string]any{"kubernetes.io/config.mirror": "1"},
					"ownerReferences": []any{map[string]any{"kind": "Node", "controller": true}},
				},
				"status": map[string]any{"phase": "Running"},
			})
		}
	}
	var out bytes.Buffer
	if err := t.Execute(&out, map[string]any{"items": items}); err != nil {
		return fail(in, "error: error executing template: %v", err)
	}
	return say(in, "%s", out.String())
}

// drain answers "kubectl drain NODE ...", without taking the time that a budget makes it wait.
func (h *host) drain(in faketransport.Invocation, args []string) error {
	c := h.cluster
	n := c.nodes[args[1]]
	if n == nil {
		return fail(in, "Error from server (NotFound): nodes %q not found", args[1])
	}
	local := "--delete-emptydir-data"
	if !c.c.Version.Has(quorate.DrainEmptyDirs) {
		local = "--delete-local-data"
	}
	for _, a := range args[2:] {
		if a != "--ignore-daemonsets" && a != local && a != "--force" && !strings.HasPrefix(a, "--timeout=") {
			return fail(in, "error: unknown flag: %s", a)
		}
	}
	n.cordoned = true
	var held []string
	for _, name := range c.podsOf(args[1]) {
		switch w := c.workloads[name]; {
		case w.Controller == "DaemonSet":
		case w.Controller == "" && !slices.Contains(args, "--force"):
			return fail(in, "error: cannot delete Pods declare no controller (use --force to override): %s", name)
		case w.Budget || n.silent: // a kubelet that does not answer ends no pod
			held = append(held, name)
		case w.Controller == "":
			delete(c.workloads, name)
		default:
			w.node = c.free()
		}
	}
	if len(held) > 0 {
		return fail(in, "%s", fmt.Sprintf("error when evicting pods %q: global timeout reached", held))
	}
	return nil
}

// free is a worker that takes pods, empty without one.
func (c *Cluster) free() string {
	for _, n := range c.c.Nodes {
		if at := c.nodes[n.Name]; at != nil && n.Role == quorate.Worker && !at.cordoned && !at.silent {
			return n.Name
		}
	}
	return ""
}
