package settings

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/boundedyaml"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/survey"
	"github.com/quorate-dev/quorate/transport"
)

// Kubelet brings the kubelet of one node to the described fields. Of its file those alone change
// that differ, so that the first node can try what the cluster does not keep yet: kubeadm writes
// the file from the cluster's ConfigMap. Pods go on while it starts again.
type Kubelet struct {
	Described survey.Described
	Node      quorate.Node
	// Patience is how long the kubelet may take to be well.
	Patience time.Duration
}

const (
	keptKubelet    = hostpath.Aside + "/kubelet.yaml"
	kubeletProcess = hostpath.Aside + "/kubelet.process"
	kubeletProgram = "kubelet"
)

// field is one that differs; nil is none.
type field struct {
	name  string
	value any
}

// restart says that an earlier run has not come to its end.
type restart struct{}

// Check compares the kubelet's file, and looks for what an earlier run has begun.
func (k Kubelet) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	out, err := h.Ask(ctx, survey.RunningQuery())
	if err != nil {
		return nil, err
	}
	report := k.Described.HostDifferences(h, k.Node, out)
	var diff plan.Diff
	for _, d := range report.Differences {
		if name, ok := strings.CutPrefix(d.Path, "kubeadm.kubelet["); ok {
			name = strings.TrimSuffix(name, "]")
			diff = append(diff, plan.Change{
				Verb: "update", Subject: hostpath.KubeletConfig, Detail: name, Disruptive: true, Data: field{name, k.Described.Init.Kubelet[name]},
			})
		}
	}
	if len(diff) == 0 && slices.Contains(report.Unfinished, keptKubelet) {
		diff = plan.Diff{{Verb: "repair", Subject: hostpath.KubeletConfig, Detail: unfinished, Disruptive: true, Data: restart{}}}
	}
	return diff, nil
}

// kubeletLogScript prints the end of the kubelet's log.
//
//go:embed scripts/kubeletlog.sh
var kubeletLogScript string

// Apply returns a *ComponentError if the kubelet does not come back.
func (k Kubelet) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	text, err := h.Read(ctx, hostpath.KubeletConfig)
	if err != nil {
		return err
	}
	edited, health, err := edit(text, plan.DataOf[field](d))
	if err != nil {
		return fmt.Errorf("%s: %w", hostpath.KubeletConfig, err)
	}
	before, err := look(ctx, h, kubeletProgram, keptKubelet, kubeletProcess, health)
	if err != nil {
		return err
	}
	vars := map[string]string{"MANIFEST": hostpath.KubeletConfig, "ASIDE": keptKubelet, "PROCESS": kubeletProcess, "PROCESSES": before.ids()}
	if !before.kept {
		if _, err := h.Script(ctx, keepScript, vars); err != nil {
			return err
		}
	}
	err = k.restart(ctx, h, edited, before.ids(), health)
	if err == nil {
		return h.Remove(ctx, kubeletProcess, keptKubelet)
	}
	if ctx.Err() != nil || plan.Transient(err) {
		return err
	}
	e := &ComponentError{Component: kubeletProgram, Host: h.Name, Err: err}
	if out, err := h.Script(ctx, kubeletLogScript, nil); err == nil {
		e.Log = logLines(out)
	}
	h.Report("the kubelet does not come back: putting its old configuration in place")
	e.Back = k.back(ctx, h)
	return e
}

// back puts in place what was kept.
func (k Kubelet) back(ctx context.Context, h *plan.Host) error {
	old, err := h.Read(ctx, keptKubelet)
	if err != nil {
		return err
	}
	_, health, err := edit(old, nil)
	if err != nil {
		return err
	}
	bad, err := look(ctx, h, kubeletProgram, keptKubelet, kubeletProcess, health)
	if err != nil {
		return err
	}
	if err := k.restart(ctx, h, old, bad.ids(), health); err != nil {
		return err
	}
	return h.Remove(ctx, kubeletProcess, keptKubelet)
}

// restart writes the file, starts the kubelet again, and waits for it.
func (k Kubelet) restart(ctx context.Context, h *plan.Host, text []byte, before, health string) error {
	info, err := h.Stat(ctx, hostpath.KubeletConfig)
	if err != nil {
		return err
	}
	file := transport.File{Path: hostpath.KubeletConfig, Mode: info[0].Mode.Perm(), Owner: "root", Group: "root", Data: transport.Bytes(text)}
	if !info[0].Exists {
		file.Mode = 0o644 // as kubeadm has it
	}
	if err := h.Write(ctx, file); err != nil {
		return err
	}
	if _, err := h.Run(ctx, "systemctl", "restart", "kubelet.service"); err != nil {
		return err
	}
	was := strings.Fields(before)
	return settle(ctx, k.Patience, func() (podState, error) { return look(ctx, h, kubeletProgram, keptKubelet, kubeletProcess, health) },
		func(p podProcess) bool { return !slices.Contains(was, p.id) })
}

// edit returns a KubeletConfiguration with other fields, and the URL where the kubelet then says
// that it is well; empty if it has none.
func edit(text []byte, fields []field) (edited []byte, health string, err error) {
	var doc map[string]any
	if err := boundedyaml.Unmarshal(text, &doc); err != nil {
		return nil, "", err
	}
	if doc["kind"] != "KubeletConfiguration" {
		return nil, "", errors.New("it is no KubeletConfiguration")
	}
	for _, f := range fields {
		if f.value == nil {
			delete(doc, f.name)
		} else {
			doc[f.name] = f.value
		}
	}
	port := 10248 // the kubelet's default
	if set, ok := doc["healthzPort"].(float64); ok {
		port = int(set)
	}
	if edited = text; len(fields) > 0 {
		if edited, err = yaml.Marshal(doc); err != nil {
			return nil, "", err
		}
	}
	if port == 0 {
		return edited, "", nil
	}
	return edited, "http://127.0.0.1:" + strconv.Itoa(port) + "/healthz", nil
}

// Describe returns the fields.
func (k Kubelet) Describe() plan.Description {
	texts := []string{k.Node.Name}
	for _, name := range slices.Sorted(maps.Keys(k.Described.Init.Kubelet)) {
		texts = append(texts, fmt.Sprintf("%s=%v", name, k.Described.Init.Kubelet[name]))
	}
	return plan.Description{Kind: "quorate/kubelet-fields", Inputs: []quorate.Content{plan.InputText(texts...)}}
}

// Commands starts the kubelet again.
func (Kubelet) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	return []plan.Command{{Argv: []string{"systemctl", "restart", "kubelet.service"}}}, nil
}

// Prefetch returns what Check asks.
func (Kubelet) Prefetch() plan.Prefetch {
	return plan.Prefetch{Queries: []transport.Query{survey.RunningQuery()}}
}

// Backup keeps the file, of a run that has been begun that which it has kept.
func (k Kubelet) Backup(ctx context.Context, h *plan.Host, _ plan.Diff, dir string) error {
	from := hostpath.KubeletConfig
	info, err := h.Stat(ctx, keptKubelet)
	if err != nil {
		return err
	}
	if info[0].Exists {
		from = keptKubelet
	}
	text, err := h.Read(ctx, from)
	if err != nil {
		return err
	}
	return h.Write(ctx, kept(dir+"/kubelet.yaml", text))
}

// Undo puts it back, and waits for the kubelet.
func (k Kubelet) Undo(ctx context.Context, h *plan.Host, dir string) error {
	text, err := h.Read(ctx, dir+"/kubelet.yaml")
	if err != nil {
		return err
	}
	if err := h.Write(ctx, kept(keptKubelet, text)); err != nil {
		return err
	}
	return k.back(ctx, h)
}
