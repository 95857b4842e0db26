package kubeadm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
)

const (
	cgroupDriverSystemd  = "systemd"
	cgroupDriverCgroupfs = "cgroupfs"
)

// componentSchema is what Quorate knows of a component's own configuration.
type componentSchema struct {
	kind   string
	fields map[string]field
	// owned fields follow from elsewhere.
	owned map[string]string
	// values that a field may have where its kind says too little.
	values map[string][]string
}

var (
	kubeletSchema = componentSchema{
		kind:   "KubeletConfiguration",
		fields: kubeletFields,
		owned: map[string]string{
			"apiVersion":               "Quorate writes it: leave it out",
			"kind":                     "Quorate writes it: leave it out",
			"staticPodPath":            "kubeadm puts the control plane's pods into /etc/kubernetes/manifests",
			"containerRuntimeEndpoint": "set criSocket instead",
			"clusterDomain":            "set dnsDomain instead",
		},
		values: map[string][]string{
			"cgroupDriver":             {cgroupDriverSystemd, cgroupDriverCgroupfs},
			"memorySwap.swapBehavior":  {"NoSwap", "LimitedSwap"},
			"authorization.mode":       {"Webhook", "AlwaysAllow"},
			"cpuManagerPolicy":         {"none", "static"},
			"memoryManagerPolicy":      {"None", "Static"},
			"topologyManagerPolicy":    {"none", "best-effort", "restricted", "single-numa-node"},
			"topologyManagerScope":     {"container", "pod"},
			"tlsMinVersion":            {"VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"},
			"hairpinMode":              {"promiscuous-bridge", "hairpin-veth", "none"},
			"enforceNodeAllocatable[]": {"none", "pods", "system-reserved", "system-reserved-compressible", "kube-reserved", "kube-reserved-compressible"},
		},
	}
	kubeProxySchema = componentSchema{
		kind:   "KubeProxyConfiguration",
		fields: kubeProxyFields,
		owned: map[string]string{
			"apiVersion":                  "Quorate writes it: leave it out",
			"kind":                        "Quorate writes it: leave it out",
			"clusterCIDR":                 "set pods instead",
			"clientConnection.kubeconfig": "kubeadm mounts kube-proxy's credentials at a path of its own",
			"hostnameOverride":            "this one document serves every node, and each gets its own name from kubeadm",
		},
		values: map[string][]string{
			"mode":            {"iptables", "nftables", "ipvs"},
			"detectLocalMode": {"ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"},
		},
	}
)

// checkComponentConfig checks fields that are laid over, or make up, a component's
// configuration: to any depth, each must be one that this version has, of the
// right kind. kubeadm and the components only warn of others and ignore them.
func checkComponentConfig(p *quorate.Problems, at string, fields map[string]any, s componentSchema, v quorate.Version) {
	plain, err := plainFields(fields)
	if err != nil {
		p.Refuse(at, "cannot be written as YAML: %v", err)
		return
	}
	w := componentWalk{Problems: p, componentSchema: s, version: v}
	w.object(at, "", plain)
}

// plainFields turns whatever a program put into the fields into the types that
// JSON has, numbers keeping their digits.
func plainFields(fields map[string]any) (map[string]any, error) {
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var out map[string]any
	if err := decoder.Decode(&out); err != nil {
		return nil, err
	}
	return out, nil
}

// componentWalk goes down a document, with the place in the input for messages
// and the path in the table beside each other.
type componentWalk struct {
	*quorate.Problems
	componentSchema
	version quorate.Version
}

func (w componentWalk) object(at, path string, fields map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		w.value(key(at, name), strings.TrimPrefix(path+"."+name, "."), fields[name])
	}
}

func (w componentWalk) value(at, path string, value any) {
	f, known := w.fields[path]
	switch reason, owned := w.owned[path]; {
	case owned:
		w.Refuse(at, "%s", reason)
	case !known:
		w.Refuse(at, "%s has no such field%s", w.kind, w.didYouMean(path))
	case !f.holds(w.version):
		w.Refuse(at, "%s of Kubernetes %s does not have this field, %s: leave it out", w.kind, w.version, f.lifetime)
	case value == nil:
	case !f.kind.takes(value):
		w.Refuse(at, "%s: want %s", compact(value), f.kind)
	case w.values[path] != nil && !slices.Contains(w.values[path], fmt.Sprint(value)):
		w.Refuse(at, "%q: want %s", value, strings.Join(w.values[path], ", "))
	default:
		w.below(at, path, f.kind, value)
	}
}

func (w componentWalk) below(at, path string, k kind, value any) {
	switch k {
	case kindObject:
		w.object(at, path, value.(map[string]any))
	case kindList:
		for i, item := range value.([]any) {
			w.value(fmt.Sprintf("%s[%d]", at, i), path+"[]", item)
		}
	case kindMap:
		entries := value.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			w.value(key(at, name), path+"{}", entries[name])
			w.mergeKey(key(at, name), name)
		}
	}
}

// mergeKey refuses the one name that the YAML library writes without the quotes
// it needs.
func (w componentWalk) mergeKey(at, name string) {
	if name == "<<" {
		w.Refuse(at, "YAML reads this name as an instruction to merge")
	}
}

// didYouMean finds a field that differs only in the case of its letters.
func (w componentWalk) didYouMean(path string) string {
	for _, name := range slices.Sorted(maps.Keys(w.fields)) {
		if strings.EqualFold(name, path) {
			return ": did you mean " + name + "?"
		}
	}
	return ""
}

func compact(value any) string {
	const limit = 60
	text, _ := json.Marshal(value) // it came from JSON
	if len(text) > limit {
		return string(text[:limit]) + "..."
	}
	return string(text)
}
