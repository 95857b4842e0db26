package kubeadm

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// kindsOf returns what the fields of a document take, by their paths as the tables
// of fields have them.
func kindsOf(apiVersion, kind string) func(path string) kind {
	switch {
	case kind == inKubelet.kind(0) && apiVersion == kubeletAPI:
		return kindsIn(kubeletFields)
	case kind == inKubeProxy.kind(0) && apiVersion == kubeProxyAPI:
		return kindsIn(kubeProxyFields)
	}
	return ownKind
}

func kindsIn(fields map[string]field) func(path string) kind {
	return func(path string) kind { return fields[path].kind }
}

// ownKind is for kubeadm's own documents, where only maps matter. Up to v1alpha2
// those of the components are in them.
func ownKind(path string) kind {
	if below, found := strings.CutPrefix(path, "kubeletConfiguration.baseConfig."); found {
		return kubeletFields[below].kind
	}
	if below, found := strings.CutPrefix(path, "kubeProxy.config."); found {
		return kubeProxyFields[below].kind
	}
	name, entry := strings.CutSuffix(path[strings.LastIndex(path, ".")+1:], "{}")
	switch {
	case path == "featureGates":
		return kindMap
	case path == "featureGates{}":
		return kindBool
	case name != "extraArgs" && !strings.HasSuffix(name, "ExtraArgs"):
		return kindAny
	case entry:
		return kindString
	}
	return kindMap
}

// readNulls reads nulls as kubeadm's decoder does: a field is not there, and an
// entry of a map or an item of a list is the zero value of its kind. Of a list that
// is in a map there is none, and null stays.
func readNulls(v any, path string, kindAt func(path string) kind) {
	switch v := v.(type) {
	case map[string]any:
		entries := kindAt(path) == kindMap
		for _, name := range slices.Sorted(maps.Keys(v)) {
			at := strings.TrimPrefix(path+"."+name, ".")
			if entries {
				at = path + "{}"
			}
			switch {
			case v[name] != nil:
				readNulls(v[name], at, kindAt)
			case entries:
				v[name] = zeroOf(kindAt(at))
			default:
				delete(v, name)
			}
		}
	case []any:
		for i, item := range v {
			if item == nil {
				v[i] = zeroOf(kindAt(path + "[]"))
				continue
			}
			readNulls(item, path+"[]", kindAt)
		}
	}
}

// zeroOf is nil for kinds whose zero value JSON has as null.
func zeroOf(k kind) any {
	switch k {
	case kindString, kindDuration:
		return ""
	case kindBool:
		return false
	case kindInt, kindFloat:
		return json.Number("0")
	case kindObject:
		return map[string]any{}
	}
	return nil
}
