package settings

import (
	"context"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan"
)

// Proxy brings kube-proxy to the described fields: kubeadm writes its ConfigMap and its DaemonSet
// again, and its pods are replaced one after another, as the DaemonSet has it.
type Proxy struct {
	API
	Config quorate.Content
	// Phase is kubeadm's that writes both.
	Phase []string
}

// begunProxy is on the host from before the ConfigMap is written until the pods have read it.
const begunProxy = hostpath.Aside + "/kube-proxy"

// Check compares the ConfigMap, and looks for what an earlier run has begun.
func (p Proxy) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	infos, err := h.Stat(ctx, begunProxy)
	if err != nil {
		return nil, err
	}
	if infos[0].Exists {
		return plan.Diff{{Verb: "repair", Subject: "kube-proxy", Detail: unfinished, Disruptive: true}}, nil
	}
	paths, err := p.differences(ctx, h)
	if err != nil {
		return nil, err
	}
	if why := starting(paths, "kubeadm.kubeProxy["); why != "" {
		return plan.Diff{{Verb: "update", Subject: "kube-proxy", Detail: why, Disruptive: true}}, nil
	}
	return nil, nil
}

// Apply waits for the pods.
func (p Proxy) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	if err := h.Write(ctx, kept(begunProxy, []byte("begun\n"))); err != nil {
		return err
	}
	if err := runPhase(ctx, h, p.Phase, p.Config); err != nil {
		return err
	}
	if err := p.replacePods(ctx, h); err != nil {
		return err
	}
	return h.Remove(ctx, begunProxy)
}

func (p Proxy) rollout() [][]string {
	return [][]string{
		kubectl(p.URL, "-n", "kube-system", "rollout", "restart", "daemonset/kube-proxy"),
		kubectl(p.URL, "-n", "kube-system", "rollout", "status", "daemonset/kube-proxy", "--timeout=5m"),
	}
}

func (p Proxy) replacePods(ctx context.Context, h *plan.Host) error {
	for _, argv := range p.rollout() {
		if _, err := h.Run(ctx, argv...); err != nil {
			return err
		}
	}
	return nil
}

// Describe returns the configuration.
func (p Proxy) Describe() plan.Description {
	return plan.Description{Kind: "quorate/kube-proxy", Inputs: []quorate.Content{p.Config, plan.InputText(append([]string{p.URL}, p.Phase...)...)}}
}

// Commands are kubeadm's phase, and kubectl's.
func (p Proxy) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	out := []plan.Command{phase(p.Phase)}
	for _, argv := range p.rollout() {
		out = append(out, plan.Command{Argv: argv})
	}
	return out, nil
}

// Prefetch returns what Check asks.
func (p Proxy) Prefetch() plan.Prefetch {
	r := p.API.Prefetch()
	r.Files = []string{begunProxy}
	return r
}

// proxyConfigMap is the ConfigMap that its pods read.
const proxyConfigMap = "kube-proxy"

// Backup keeps the ConfigMap.
func (p Proxy) Backup(ctx context.Context, h *plan.Host, _ plan.Diff, dir string) error {
	return p.keepConfigMap(ctx, h, proxyConfigMap, dir)
}

// Undo puts it in place, and has the pods read it.
func (p Proxy) Undo(ctx context.Context, h *plan.Host, dir string) error {
	if err := p.restoreConfigMap(ctx, h, proxyConfigMap, dir); err != nil {
		return err
	}
	return p.replacePods(ctx, h)
}
