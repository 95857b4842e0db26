package kubeadm

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate"
)

const (
	// defaultTokenTTL is kubeadm's, from k8s.io/kubernetes
	// cmd/kubeadm/app/constants.DefaultTokenDuration.
	defaultTokenTTL = quorate.Duration(24 * time.Hour)
	// tokenDescription is what `kubeadm token list` shows.
	tokenDescription = "nodes of the cluster, added by Quorate"
)

// The documents of the node components are the same for every version of
// kubeadm's own API.
const (
	kubeletAPI   = "kubelet.config.k8s.io/v1beta1"
	kubeProxyAPI = "kubeproxy.config.k8s.io/v1alpha1"
)

type typeMeta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

// encoder writes a Config that was checked in one version of kubeadm's API.
type encoder func(Config) []any

// encoderFor finds the version of the API for a version of Kubernetes, nil if
// there is none.
func encoderFor(v quorate.Version) encoder {
	switch {
	case v.Major != 1 || v.Minor < quorate.MinMinor || v.Minor > quorate.MaxMinor:
		return nil
	default:
		return encodeV1beta4
	}
}

// YAML writes the documents that kubeadm of the Config's version reads, each
// with its keys in alphabetical order. The content is sensitive: the token is
// in it. The error is a *quorate.InvalidError with every problem of c.
func (c Config) YAML() (quorate.Content, error) {
	if err := c.check().Err("kubeadm configuration of node " + c.Registration.Name); err != nil {
		return quorate.Content{}, err
	}
	var out bytes.Buffer
	for i, doc := range encoderFor(c.Version)(c) {
		text, err := yaml.Marshal(doc)
		if err != nil {
			return quorate.Content{}, fmt.Errorf("kubeadm configuration of node %s, document %d: %w", c.Registration.Name, i+1, err)
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	return quorate.Sensitive(out.Bytes()), nil
}

// componentDocuments are those of kubelet and kube-proxy that hold anything.
func componentDocuments(i Init) []any {
	var docs []any
	for _, d := range []struct {
		typeMeta
		fields map[string]any
	}{
		{typeMeta{kubeletAPI, "KubeletConfiguration"}, i.Kubelet},
		{typeMeta{kubeProxyAPI, "KubeProxyConfiguration"}, i.KubeProxy},
	} {
		if len(d.fields) == 0 {
			continue
		}
		doc := maps.Clone(d.fields)
		doc["apiVersion"], doc["kind"] = d.APIVersion, d.Kind
		docs = append(docs, doc)
	}
	return docs
}

// overlay lays over upon base: maps merge to any depth, everything else
// replaces, and null takes a field back so that its own default counts. Neither
// input changes.
func overlay(base, over map[string]any) map[string]any {
	out := make(map[string]any, len(base)+len(over))
	maps.Copy(out, base)
	for k, v := range over {
		below, isMap := v.(map[string]any)
		switch under, _ := out[k].(map[string]any); {
		case v == nil:
			delete(out, k)
		case isMap:
			out[k] = overlay(under, below)
		default:
			out[k] = v
		}
	}
	return out
}

// kubeletArgs are the flags a registration needs: node-ip and node-labels have
// no field in KubeletConfiguration.
func (r Registration) kubeletArgs() map[string]string {
	args := map[string]string{}
	maps.Copy(args, r.KubeletArgs)
	if len(r.NodeIPs) > 0 {
		args["node-ip"] = joinAddrs(r.NodeIPs)
	}
	if len(r.Labels) > 0 {
		args["node-labels"] = joinLabels(r.Labels)
	}
	return args
}

func joinAddrs(addrs []netip.Addr) string {
	parts := make([]string, len(addrs))
	for i, a := range addrs {
		parts[i] = a.String()
	}
	return strings.Join(parts, ",")
}

func joinLabels(labels map[string]string) string {
	parts := make([]string, 0, len(labels))
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, k+"="+labels[k])
	}
	return strings.Join(parts, ",")
}
