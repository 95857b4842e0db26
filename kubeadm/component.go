package kubeadm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
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
	// taken are those that kubeadm takes while it checks them, see
	// quorate.ComponentValuesChecked: the ones of a list alone.
	taken map[string][]string
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
		taken: map[string][]string{
			"enforceNodeAllocatable[]": {"none", "pods", "system-reserved", "kube-reserved"},
			"hairpinMode":              {"", "promiscuous-bridge", "hairpin-veth", "none"},
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
		taken: map[string][]string{
			"mode":           {"", "userspace", "iptables", "ipvs"},
			"ipvs.scheduler": {"", "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq"},
		},
	}
)

// strictness is what a check of a component's configuration refuses.
type strictness int

const (
	// faults are fields that the version does not have, or of the wrong kind.
	faults strictness = 1 << iota
	// policy is what Quorate wants beyond that.
	policy
)

// checkComponentConfig checks fields that are laid over, or make up, a component's
// configuration: to any depth, each must be one that this version has, of the
// right kind. kubeadm and the components only warn of others and ignore them.
func checkComponentConfig(p *quorate.Problems, at string, fields map[string]any, s componentSchema, v quorate.Version, of strictness) {
	plain, err := plainFields(fields)
	if err != nil {
		if of&faults != 0 {
			p.Refuse(at, "cannot be written as YAML: %v", err)
		}
		return
	}
	if of&policy != 0 {
		notText(p, at, reflect.ValueOf(fields)) // the others are judged with the whole Config
	}
	w := componentWalk{Problems: p, componentSchema: s, version: v, of: of}
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
	of      strictness
}

func (w componentWalk) object(at, path string, fields map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		w.value(key(at, name), strings.TrimPrefix(path+"."+name, "."), fields[name])
	}
}

func (w componentWalk) value(at, path string, value any) {
	f, known := w.fields[path]
	reason, owned := w.owned[path]
	refuse := func(of strictness, format string, args ...any) {
		if w.of&of != 0 {
			w.Refuse(at, format, args...)
		}
	}
	switch {
	case owned && w.of&policy != 0:
		refuse(policy, "%s", reason)
	case !known:
		refuse(faults, "%s has no such field%s", w.kind, w.didYouMean(path))
	case !f.holds(w.version):
		refuse(faults, "%s of Kubernetes %s does not have this field, %s: leave it out", w.kind, w.version, f.lifetime)
	case value == nil:
	case !f.kind.takes(value):
		refuse(faults, "%s: want %s", compact(value), f.kind)
	case w.version.Has(quorate.ComponentValuesChecked) && w.taken[path] != nil && !slices.Contains(w.taken[path], fmt.Sprint(value)):
		refuse(faults, "%q: kubeadm takes %s, %s", value, strings.Join(slices.DeleteFunc(slices.Clone(w.taken[path]), func(v string) bool { return v == "" }), ", "), quorate.ComponentValuesChecked.When())
	case w.values[path] != nil && !slices.Contains(w.values[path], fmt.Sprint(value)):
		refuse(policy, "%q: want %s", value, strings.Join(w.values[path], ", "))
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
	if name == "<<" && w.of&faults != 0 {
		w.Refuse(at, "YAML reads this name as an instruction to merge")
	}
}

// didYouMean finds a field that differs only in the case of its letters.
func (s componentSchema) didYouMean(path string) string {
	for _, name := range slices.Sorted(maps.Keys(s.fields)) {
		if strings.EqualFold(name, path) {
			return ": did you mean " + name + "?"
		}
	}
	return ""
}

// oldDefaults are what kubeadm itself wrote into fields that components have lost
// since, by their paths.
var oldDefaults = map[string][]string{
	"resourceContainer": {"/kube-proxy"},
	"udpIdleTimeout":    {"250ms", "0s"},
	"conntrack.max":     {"0"},
}

// dropLost takes out of a component's configuration the fields that a version does
// not have, and calls f for each that is no old default. Neither input changes.
func (s componentSchema) dropLost(fields map[string]any, v quorate.Version, f func(path, why string)) map[string]any {
	var object func(path, at string, fields map[string]any) map[string]any
	var value func(path, at string, v any) (any, bool)
	object = func(path, at string, fields map[string]any) map[string]any {
		out := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			if kept, ok := value(strings.TrimPrefix(path+"."+name, "."), strings.TrimPrefix(at+"."+name, "."), fields[name]); ok {
				out[name] = kept
			}
		}
		return out
	}
	value = func(path, at string, val any) (any, bool) {
		field, known := s.fields[path]
		switch {
		case !known:
			if !saysNothing(val) {
				f(at, "no version has such a field"+s.didYouMean(path))
			}
			return nil, false
		case !field.holds(v):
			if !saysNothing(val) && !slices.Contains(oldDefaults[path], fmt.Sprint(val)) {
				f(at, s.kind+" of Kubernetes "+v.String()+" does not have it, "+field.lifetime.String())
			}
			return nil, false
		}
		switch below := val.(type) {
		case map[string]any:
			if field.kind == kindObject {
				return object(path, at, below), true
			}
		case []any:
			out := make([]any, 0, len(below))
			for i, item := range below {
				if kept, ok := value(path+"[]", fmt.Sprintf("%s[%d]", at, i), item); ok {
					out = append(out, kept)
				}
			}
			if field.kind == kindList {
				return out, true
			}
		}
		return val, true
	}
	return object("", "", fields)
}

func compact(value any) string {
	const limit = 60
	text, _ := json.Marshal(value) // it came from JSON
	if len(text) > limit {
		return string(text[:limit]) + "..."
	}
	return string(text)
}
