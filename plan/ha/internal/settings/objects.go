package settings

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/kube"
	"github.com/quorate-dev/quorate/plan/ha/survey"
	"github.com/quorate-dev/quorate/transport"
)

// API is the API server of one control plane, which it is asked on.
type API struct {
	Described survey.Described
	// URL of the API server, and List how it is read (kube.ListNodes).
	URL  string
	List []string
}

// Prefetch returns the question.
func (a API) Prefetch() plan.Prefetch {
	return plan.Prefetch{Queries: []transport.Query{{Argv: a.List, Needs: hostpath.AdminConf}}}
}

// differences are the paths of what the API has otherwise.
func (a API) differences(ctx context.Context, h *plan.Host) ([]string, error) {
	out, err := h.Run(ctx, a.List...)
	if err != nil {
		return nil, err
	}
	all, err := a.Described.APIDifferences(out)
	if err != nil {
		return nil, err
	}
	return pathsOf(all), nil
}

// starting returns those that begin with one of the prefixes, in one text.
func starting(paths []string, prefixes ...string) string {
	var found []string
	for _, path := range paths {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(path, p) }) {
			found = append(found, path)
		}
	}
	slices.Sort(found)
	return strings.Join(slices.Compact(found), ", ")
}

// NodeObjects sets labels and taints of nodes. A label that is no longer described stays.
type NodeObjects struct{ API }

// nodeChange is words of kubectl label or taint that change a node, and those that undo it.
type nodeChange struct {
	Sets, Node  string // Sets is label or taint
	Words, Undo []string
}

func (n NodeObjects) argv(verb, node string, words []string) []string {
	return kubectl(n.URL, append([]string{verb, "node", node, "--overwrite"}, words...)...)
}

// Check compares the nodes that the API has.
func (n NodeObjects) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	out, err := h.Run(ctx, n.List...)
	if err != nil {
		return nil, err
	}
	var diff plan.Diff
	for _, found := range kube.ReadCluster(out).Nodes {
		if want, described := n.Described.Cluster.Node(found.Name); described {
			diff = append(diff, n.labels(want, found)...)
			diff = append(diff, n.taints(want, found)...)
		}
	}
	return diff, nil
}

func (n NodeObjects) labels(want quorate.Node, found kube.Node) plan.Diff {
	var words, undo []string
	for _, key := range slices.Sorted(maps.Keys(want.Labels)) {
		value, set := found.Labels[key]
		if set && value == want.Labels[key] {
			continue
		}
		words = append(words, key+"="+want.Labels[key])
		if set {
			undo = append(undo, key+"="+value)
		} else {
			undo = append(undo, key+"-")
		}
	}
	if len(words) == 0 {
		return nil
	}
	return plan.Diff{{Verb: "label", Subject: "node " + want.Name, Detail: strings.Join(words, " "), Data: nodeChange{"label", want.Name, words, undo}}}
}

func (n NodeObjects) taints(want quorate.Node, found kube.Node) plan.Diff {
	if want.Taints == nil {
		return nil
	}
	text := func(t quorate.Taint) string {
		if t.Value == "" {
			return t.Key + ":" + t.Effect
		}
		return t.Key + "=" + t.Value + ":" + t.Effect
	}
	of := func(all []quorate.Taint, t quorate.Taint) bool {
		return slices.ContainsFunc(all, func(o quorate.Taint) bool { return o.Key == t.Key && o.Effect == t.Effect })
	}
	var words, undo []string
	for _, t := range want.Taints {
		if !slices.Contains(found.Taints, t) {
			words = append(words, text(t))
			if !of(found.Taints, t) {
				undo = append(undo, t.Key+":"+t.Effect+"-")
			}
		}
	}
	for _, t := range found.Taints {
		switch {
		case survey.OwnTaint(t) || slices.Contains(want.Taints, t):
		case of(want.Taints, t):
			undo = append(undo, text(t))
		default:
			words, undo = append(words, t.Key+":"+t.Effect+"-"), append(undo, text(t))
		}
	}
	if len(words) == 0 {
		return nil
	}
	return plan.Diff{{Verb: "taint", Subject: "node " + want.Name, Detail: strings.Join(words, " "), Data: nodeChange{"taint", want.Name, words, undo}}}
}

// Apply sets them.
func (n NodeObjects) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	for _, c := range plan.DataOf[nodeChange](d) {
		if _, err := h.Run(ctx, n.argv(c.Sets, c.Node, c.Words)...); err != nil {
			return err
		}
	}
	return nil
}

// Backup notes what there was.
func (n NodeObjects) Backup(ctx context.Context, h *plan.Host, d plan.Diff, dir string) error {
	text, err := json.Marshal(plan.DataOf[nodeChange](d))
	if err != nil {
		return err
	}
	return h.Write(ctx, kept(dir+"/nodes.json", text))
}

// Undo sets that.
func (n NodeObjects) Undo(ctx context.Context, h *plan.Host, dir string) error {
	text, err := h.Read(ctx, dir+"/nodes.json")
	if err != nil {
		return err
	}
	var changes []nodeChange
	if err := json.Unmarshal(text, &changes); err != nil {
		return fmt.Errorf("%s/nodes.json: %w", dir, err)
	}
	for _, c := range changes {
		if c.Sets != "label" && c.Sets != "taint" {
			return fmt.Errorf("%s/nodes.json: %q is neither label nor taint", dir, c.Sets)
		}
		if _, err := h.Run(ctx, n.argv(c.Sets, c.Node, c.Undo)...); err != nil {
			return err
		}
	}
	return nil
}

// kept is a file that a run keeps.
func kept(path string, text []byte) transport.File {
	return transport.File{Path: path, Mode: 0o600, Owner: "root", Group: "root", Data: transport.Bytes(text)}
}

// keepConfigMap keeps one of kubeadm's on the host.
func (a API) keepConfigMap(ctx context.Context, h *plan.Host, name, dir string) error {
	out, err := h.Run(ctx, kubectl(a.URL, "-n", "kube-system", "get", "configmap", name, "-o", "json")...)
	if err != nil {
		return err
	}
	var found struct {
		Data map[string]string `json:"data"`
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return fmt.Errorf("ConfigMap %s in kube-system: %w", name, err)
	}
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]string{"name": name, "namespace": "kube-system"}, "data": found.Data,
	})
	if err != nil {
		return err
	}
	return h.Write(ctx, kept(dir+"/"+name+".json", text))
}

// restoreConfigMap puts one in place that was kept, if it was.
func (a API) restoreConfigMap(ctx context.Context, h *plan.Host, name, dir string) error {
	info, err := h.Stat(ctx, dir+"/"+name+".json")
	if err != nil || !info[0].Exists {
		return err
	}
	text, err := h.Read(ctx, dir+"/"+name+".json")
	if err != nil {
		return err
	}
	_, err = h.RunInput(ctx, bytes.NewReader(text), kubectl(a.URL, "replace", "-f", "-")...)
	return err
}

// Describe returns the labels and taints.
func (n NodeObjects) Describe() plan.Description {
	texts := []string{n.URL}
	for _, node := range n.Described.Cluster.Nodes {
		texts = append(texts, fmt.Sprint(node.Name, node.Labels, node.Taints))
	}
	return plan.Description{Kind: "quorate/node-objects", Inputs: []quorate.Content{plan.InputText(texts...)}}
}

// Commands are kubectl's.
func (n NodeObjects) Commands(_ context.Context, _ *plan.Host, d plan.Diff) ([]plan.Command, error) {
	var out []plan.Command
	for _, c := range plan.DataOf[nodeChange](d) {
		out = append(out, plan.Command{Argv: n.argv(c.Sets, c.Node, c.Words)})
	}
	return out, nil
}

// Upload has kubeadm keep its configuration and the kubelets' in the cluster, where the next join
// and the next upgrade read it.
type Upload struct {
	API
	Config quorate.Content
	Phases []Phase
}

// Phase is one of kubeadm's.
type Phase struct {
	// ConfigMap that it writes, Fields what the paths of its fields begin with.
	ConfigMap string
	Fields    []string
	Argv      []string
}

// Check compares what the cluster keeps.
func (u Upload) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	paths, err := u.differences(ctx, h)
	if err != nil {
		return nil, err
	}
	var diff plan.Diff
	for _, p := range u.Phases {
		if why := starting(paths, p.Fields...); why != "" {
			diff = append(diff, plan.Change{Verb: "update", Subject: "ConfigMap " + p.ConfigMap, Detail: why, Data: p})
		}
	}
	return diff, nil
}

// Apply runs the phases.
func (u Upload) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	for _, p := range plan.DataOf[Phase](d) {
		if err := runPhase(ctx, h, p.Argv, u.Config); err != nil {
			return err
		}
	}
	return nil
}

// Describe returns the configuration and the phases.
func (u Upload) Describe() plan.Description {
	d := plan.Description{Kind: "quorate/upload-config", Inputs: []quorate.Content{u.Config}}
	for _, p := range u.Phases {
		d.Inputs = append(d.Inputs, plan.InputText(p.Argv...))
	}
	return d
}

// Commands are kubeadm's phases.
func (u Upload) Commands(_ context.Context, _ *plan.Host, d plan.Diff) ([]plan.Command, error) {
	var out []plan.Command
	for _, p := range plan.DataOf[Phase](d) {
		out = append(out, phase(p.Argv))
	}
	return out, nil
}

// Backup keeps the ConfigMaps that are about to change.
func (u Upload) Backup(ctx context.Context, h *plan.Host, d plan.Diff, dir string) error {
	for _, p := range plan.DataOf[Phase](d) {
		if err := u.keepConfigMap(ctx, h, p.ConfigMap, dir); err != nil {
			return err
		}
	}
	return nil
}

// Undo puts them in place.
func (u Upload) Undo(ctx context.Context, h *plan.Host, dir string) error {
	for _, p := range u.Phases {
		if err := u.restoreConfigMap(ctx, h, p.ConfigMap, dir); err != nil {
			return err
		}
	}
	return nil
}
