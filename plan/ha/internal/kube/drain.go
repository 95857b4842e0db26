package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
)

// Drain has a node's pods leave it by the API's evictions, which budgets (PodDisruptionBudgets) bound.
// What DaemonSets run and static pods stay.
type Drain struct {
	Node string
	// Timeout is how long they may take.
	Timeout time.Duration
	// Unmanaged pods, which no controller makes again, go too.
	Unmanaged bool
	Version   quorate.Version
}

// podLines has kubectl print a line a pod, in parts between tabs: namespace, name, phase, the kind of
// its controller, and "mirror" if it stands for a static pod.
const podLines = `{{range .items}}{{.metadata.namespace}}{{"\t"}}{{.metadata.name}}{{"\t"}}{{.status.phase}}{{"\t"}}` +
	`{{range .metadata.ownerReferences}}{{if .controller}}{{.kind}}{{end}}{{end}}{{"\t"}}` +
	`{{range $key, $value := .metadata.annotations}}{{if eq $key "kubernetes.io/config.mirror"}}mirror{{end}}{{end}}{{"\n"}}{{end}}`

// pod is one that has to leave a node.
type pod struct {
	name    string // NAMESPACE/NAME
	managed bool
}

func (d Drain) list() []string {
	return Kubectl("--request-timeout=30s", "get", "pods", "--all-namespaces", "--field-selector", "spec.nodeName="+d.Node, "-o", "go-template="+podLines)
}

// maxPods bounds what is kept of an answer: a kubelet runs 110 by default.
const maxPods = 4096

// readPods reads an answer to list, and leaves out what stays and what has ended.
func readPods(out []byte) []pod {
	var pods []pod
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		const all = 5
		if len(f) != all || len(pods) == maxPods {
			continue
		}
		name, phase, kind, mirror := f[0]+"/"+f[1], f[2], f[3], f[4] == "mirror"
		if mirror || kind == "DaemonSet" || phase == "Succeeded" || phase == "Failed" {
			continue
		}
		pods = append(pods, pod{termsafe.Line(name), kind != ""})
	}
	return pods
}

func (d Drain) pods(ctx context.Context, h *plan.Host) ([]pod, error) {
	out, err := h.Run(ctx, d.list()...)
	return readPods(out), err
}

// Check lists the pods that are to leave; none if there is no such node.
func (d Drain) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	state, err := cordonState(ctx, h, "", d.Node)
	if err != nil || len(state) == 0 {
		return nil, err
	}
	pods, err := d.pods(ctx, h)
	if err != nil || len(pods) == 0 {
		return nil, err
	}
	var alone []string
	for _, p := range pods {
		if !p.managed {
			alone = append(alone, p.name)
		}
	}
	if len(alone) > 0 && !d.Unmanaged {
		return nil, &plan.HostError{Host: h.Name, Findings: []plan.Finding{{
			Found: fmt.Sprintf("node %s runs pods that nothing makes again elsewhere: %s", d.Node, strings.Join(alone, ", ")),
			Do:    "delete them, or have them deleted (Drain.Unmanaged)",
		}}}
	}
	return plan.Diff{{Verb: "drain", Subject: "node " + d.Node, Detail: fmt.Sprintf("pods: %d", len(pods)), Disruptive: true}}, nil
}

func (d Drain) argv() []string {
	local := "--delete-emptydir-data"
	if !d.Version.Has(quorate.DrainEmptyDirs) {
		local = "--delete-local-data"
	}
	argv := Kubectl("drain", d.Node, "--ignore-daemonsets", local, "--timeout="+d.Timeout.String())
	if d.Unmanaged {
		argv = append(argv, "--force")
	}
	return argv
}

// Apply waits until they have left. Its error is a *DrainError with the pods that have not.
func (d Drain) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	_, err := h.Run(ctx, d.argv()...)
	if err == nil || ctx.Err() != nil {
		return err
	}
	left, leftErr := d.pods(ctx, h)
	if leftErr != nil || len(left) == 0 {
		return err
	}
	failed := &DrainError{Node: d.Node, Timeout: d.Timeout, Err: err}
	for _, p := range left {
		failed.Pods = append(failed.Pods, p.name)
	}
	slices.Sort(failed.Pods)
	return failed
}

// DrainError reports pods that have not left a node in time: a budget does not let them, or they do not
// end. The node is cordoned, and nothing else has been done to it.
type DrainError struct {
	Node string
	// Pods are NAMESPACE/NAME, sorted.
	Pods    []string
	Timeout time.Duration
	// Err is kubectl's.
	Err error
}

const drainAdvice = "see what holds them (kubectl get poddisruptionbudgets --all-namespaces, kubectl describe pod), then run again; or kubectl uncordon the node"

func (e *DrainError) Error() string {
	return termsafe.Indented(fmt.Sprintf("node %s is not drained: after %v there are still %s: %s\n%v", e.Node, e.Timeout, strings.Join(e.Pods, ", "), drainAdvice, e.Err))
}

// Unwrap returns kubectl's error.
func (e *DrainError) Unwrap() error { return e.Err }

// DescribeEvent returns what was tried, and what to do.
func (e *DrainError) DescribeEvent() events.Error {
	return events.Error{Kind: events.KindDrain, Tried: "drain node " + e.Node + " of " + strings.Join(e.Pods, ", "), Do: drainAdvice}
}

// Describe returns the node and how it is drained.
func (d Drain) Describe() plan.Description {
	return plan.Description{Kind: "quorate/drain", Inputs: []quorate.Content{plan.InputText(d.argv()...), plan.InputText(d.list()...)}}
}

// Commands drains it.
func (d Drain) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	return []plan.Command{{Argv: d.argv()}}, nil
}
