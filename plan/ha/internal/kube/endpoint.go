package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/boundedyaml"
	"github.com/quorate-dev/quorate/plan"
)

// ForgetEndpoint takes a node's API server out of the list that kubeadm keeps in kubeadm-config
// until Kubernetes 1.21: kubeadm reset does that on a host that is alive, and joins of stacked
// members ask every one of the list.
type ForgetEndpoint struct {
	Node string
	// URL of the API server that is asked.
	URL string
}

func (f ForgetEndpoint) read(ctx context.Context, h *plan.Host) (object, status map[string]any, err error) {
	out, err := h.Run(ctx, kubectlAt(f.URL, "-n", "kube-system", "get", "configmap", "kubeadm-config", "-o", "json")...)
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(out, &object); err != nil {
		return nil, nil, fmt.Errorf("ConfigMap kubeadm-config in kube-system: %w", err)
	}
	data, _ := object["data"].(map[string]any)
	text, _ := data["ClusterStatus"].(string)
	if err := boundedyaml.Unmarshal([]byte(text), &status); err != nil {
		return nil, nil, fmt.Errorf("ClusterStatus in the ConfigMap kubeadm-config: %w", err)
	}
	return object, status, nil
}

// Check reads the list.
func (f ForgetEndpoint) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	_, status, err := f.read(ctx, h)
	if err != nil {
		return nil, err
	}
	list, _ := status["apiEndpoints"].(map[string]any)
	if _, there := list[f.Node]; !there {
		return nil, nil
	}
	return plan.Diff{{Verb: "remove", Subject: f.Node + " from the API servers in kubeadm-config"}}, nil
}

// Apply writes it without the node. The API server refuses a list that somebody else has written
// meanwhile.
func (f ForgetEndpoint) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	object, status, err := f.read(ctx, h)
	if err != nil {
		return err
	}
	list, _ := status["apiEndpoints"].(map[string]any)
	if _, there := list[f.Node]; !there {
		return nil
	}
	delete(list, f.Node)
	text, err := yaml.Marshal(status)
	if err != nil {
		return err
	}
	object["data"].(map[string]any)["ClusterStatus"] = string(text)
	all, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = h.RunInput(ctx, bytes.NewReader(all), kubectlAt(f.URL, "replace", "-f", "-")...)
	return err
}

// Describe returns the node.
func (f ForgetEndpoint) Describe() plan.Description {
	return plan.Description{Kind: "quorate/forget-endpoint", Inputs: []quorate.Content{plan.InputText(f.Node, f.URL)}}
}

// Commands writes the list.
func (f ForgetEndpoint) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	return []plan.Command{{Argv: kubectlAt(f.URL, "replace", "-f", "-"), Stdin: "the ConfigMap without " + f.Node}}, nil
}
