package kubeadm

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
)

// form is how a value of the model stands in a document: as the types that
// JSON knows, with numbers as int or json.Number.
type valueCodec[T any] struct {
	// set tells a value from none.
	set func(T) bool
	enc func(T) any
	dec func(any) (T, error)
}

// misread is why a document's value is not read: its form, never the value,
// which may be a secret.
func misread(want string) error { return fmt.Errorf("want %s", want) }

func textOf(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	return "", misread("text")
}

func listOf(v any) ([]string, error) {
	items, ok := v.([]any)
	if !ok {
		return nil, misread("a list")
	}
	out := make([]string, len(items))
	for i, item := range items {
		s, err := textOf(item)
		if err != nil {
			return nil, misread("a list of texts")
		}
		out[i] = s
	}
	return out, nil
}

func anyList[T any](in []T, enc func(T) any) []any {
	out := make([]any, len(in))
	for i, v := range in {
		out[i] = enc(v)
	}
	return out
}

func texts(in []string) []any { return anyList(in, func(s string) any { return s }) }

var textCodec = valueCodec[string]{
	set: func(s string) bool { return s != "" },
	enc: func(s string) any { return s },
	dec: textOf,
}

var contentCodec = valueCodec[quorate.Content]{
	set: func(c quorate.Content) bool { return c.Len() > 0 },
	enc: func(c quorate.Content) any { return string(c.Bytes()) },
	dec: func(v any) (quorate.Content, error) {
		s, err := textOf(v)
		return quorate.Sensitive([]byte(s)), err
	},
}

var boolCodec = valueCodec[bool]{
	set: func(b bool) bool { return b },
	enc: func(b bool) any { return b },
	dec: func(v any) (bool, error) {
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return false, misread("true or false")
	},
}

// optionalBoolCodec tells false from unset.
var optionalBoolCodec = valueCodec[*bool]{
	set: func(b *bool) bool { return b != nil },
	enc: func(b *bool) any { return *b },
	dec: func(v any) (*bool, error) {
		b, err := boolCodec.dec(v)
		return &b, err
	},
}

var intCodec = valueCodec[int]{
	set: func(n int) bool { return n != 0 },
	enc: func(n int) any { return n },
	dec: func(v any) (int, error) {
		n, ok := v.(json.Number)
		if !ok {
			return 0, misread("a whole number")
		}
		i, err := n.Int64()
		if err != nil {
			return 0, misread("a whole number")
		}
		return int(i), nil
	},
}

var addrCodec = valueCodec[netip.Addr]{
	set: netip.Addr.IsValid,
	enc: func(a netip.Addr) any { return a.String() },
	dec: func(v any) (netip.Addr, error) {
		s, err := textOf(v)
		if err != nil {
			return netip.Addr{}, err
		}
		a, err := netip.ParseAddr(s)
		if err != nil {
			return a, misread("an IPv4 or IPv6 address")
		}
		return a, nil
	},
}

// prefixesCodec is one text with commas.
var prefixesCodec = valueCodec[[]netip.Prefix]{
	set: func(p []netip.Prefix) bool { return len(p) > 0 },
	enc: func(p []netip.Prefix) any { return joinPrefixes(p) },
	dec: func(v any) ([]netip.Prefix, error) {
		s, err := textOf(v)
		if err != nil {
			return nil, err
		}
		var out []netip.Prefix
		for part := range strings.SplitSeq(s, ",") {
			p, err := netip.ParsePrefix(part)
			if err != nil {
				return nil, misread("ranges, as in 10.244.0.0/16")
			}
			out = append(out, p)
		}
		return out, nil
	},
}

func joinPrefixes(prefixes []netip.Prefix) string {
	parts := make([]string, len(prefixes))
	for i, p := range prefixes {
		parts[i] = p.Masked().String()
	}
	return strings.Join(parts, ",")
}

var listCodec = valueCodec[[]string]{
	set: func(l []string) bool { return len(l) > 0 },
	enc: func(l []string) any { return texts(l) },
	dec: listOf,
}

var durationCodec = valueCodec[quorate.Duration]{
	set: func(d quorate.Duration) bool { return d != 0 },
	enc: func(d quorate.Duration) any { return d.String() },
	dec: func(v any) (d quorate.Duration, err error) {
		s, err := textOf(v)
		if err != nil {
			return 0, err
		}
		return d, d.UnmarshalText([]byte(s))
	},
}

var versionCodec = valueCodec[quorate.Version]{
	set: func(v quorate.Version) bool { return !v.IsZero() },
	enc: func(v quorate.Version) any { return v.String() },
	dec: func(v any) (quorate.Version, error) {
		s, err := textOf(v)
		if err != nil {
			return quorate.Version{}, err
		}
		return quorate.ParseVersion(s)
	},
}

// argsCodec is a map; v1beta4 has a list instead, see asArgList.
var argsCodec = valueCodec[map[string]string]{
	set: func(m map[string]string) bool { return len(m) > 0 },
	enc: func(m map[string]string) any {
		out := map[string]any{}
		for k, v := range m {
			out[k] = v
		}
		return out
	},
	dec: func(v any) (map[string]string, error) {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, misread("names with values")
		}
		out := map[string]string{}
		for k, v := range m {
			s, err := textOf(v)
			if err != nil {
				return nil, misread("names with values that are texts")
			}
			out[k] = s
		}
		return out, nil
	},
}

var gatesCodec = valueCodec[map[string]bool]{
	set: func(m map[string]bool) bool { return len(m) > 0 },
	enc: func(m map[string]bool) any {
		out := map[string]any{}
		for k, v := range m {
			out[k] = v
		}
		return out
	},
	dec: func(v any) (map[string]bool, error) {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, misread("names with true or false")
		}
		out := map[string]bool{}
		for k, v := range m {
			b, ok := v.(bool)
			if !ok {
				return nil, misread("names with true or false")
			}
			out[k] = b
		}
		return out, nil
	},
}

// fieldsCodec is a component's own configuration.
var fieldsCodec = valueCodec[map[string]any]{
	set: func(m map[string]any) bool { return len(m) > 0 },
	enc: func(m map[string]any) any { return m },
	dec: func(v any) (map[string]any, error) {
		if m, ok := v.(map[string]any); ok {
			return m, nil
		}
		return nil, misread("fields")
	},
}

// objectCodec is a list of objects with exactly the fields of a struct's json
// tags. An empty list that is set counts.
func objectCodec[T any](set func([]T) bool) valueCodec[[]T] {
	return valueCodec[[]T]{
		set: set,
		enc: func(in []T) any {
			return anyList(in, func(v T) any {
				var fields map[string]any
				mustRoundTrip(v, &fields)
				return fields
			})
		},
		dec: func(v any) ([]T, error) {
			text, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			decoder := json.NewDecoder(strings.NewReader(string(text)))
			decoder.DisallowUnknownFields()
			out := []T{}
			if err := decoder.Decode(&out); err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

// mustRoundTrip turns a struct of plain fields into a map.
func mustRoundTrip(from, to any) {
	text, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		panic(err) // only for types that JSON does not know
	}
}

var (
	volumesCodec = objectCodec(func(v []Volume) bool { return len(v) > 0 })
	taintsCodec  = objectCodec(func(t []Taint) bool { return t != nil })
)

// conversion changes a value's form for one version of the API, and back. why tells
// that the version cannot express the value.
type conversion struct {
	to   func(v any, minor int) (out any, why string)
	from func(v any) (any, error)
}

// omitted is what a conversion gives for a value that the version has by itself.
var omitted = new(struct{})

// asArgList is v1beta4's list of names and values, ordered by name.
var asArgList = conversion{
	to: func(v any, _ int) (any, string) {
		m := v.(map[string]any)
		out := make([]any, 0, len(m))
		for _, name := range slices.Sorted(maps.Keys(m)) {
			out = append(out, map[string]any{"name": name, "value": m[name]})
		}
		return out, ""
	},
	from: func(v any) (any, error) {
		items, ok := v.([]any)
		if !ok {
			return nil, misread("a list of names and values")
		}
		out := map[string]any{}
		for _, item := range items {
			entry, ok := item.(map[string]any)
			name, named := entry["name"].(string)
			value, valued := entry["value"].(string)
			if _, again := out[name]; !ok || !named || !valued || len(entry) != 2 || again {
				return nil, misread("a list of names and values, each name once")
			}
			out[name] = value
		}
		return out, nil
	},
}

// asSocketPath is a path without a scheme, which kubeadm before 1.24 wrote and
// before 1.12 insisted on.
var asSocketPath = conversion{
	to: func(v any, minor int) (any, string) {
		return quorate.CRISocketName(v.(string), quorate.Version{Major: 1, Minor: minor}), ""
	},
	from: func(v any) (any, error) {
		s, err := textOf(v)
		if strings.HasPrefix(s, "/") {
			s = socketScheme + s
		}
		return s, err
	},
}

const socketScheme = "unix://"

// asWritable is the opposite of readOnly.
var asWritable = conversion{
	to: func(v any, _ int) (any, string) {
		return eachVolume(v, func(volume map[string]any) {
			if volume["readOnly"] != true {
				volume["writable"] = true
			}
			delete(volume, "readOnly")
		}), ""
	},
	from: func(v any) (any, error) {
		return eachVolume(v, func(volume map[string]any) {
			if volume["writable"] != true {
				volume["readOnly"] = true
			}
			delete(volume, "writable")
		}), nil
	},
}

// asReadOnly is v1alpha1, which mounts read-only and says so nowhere.
var asReadOnly = conversion{
	to: func(v any, _ int) (any, string) {
		why := ""
		out := eachVolume(v, func(volume map[string]any) {
			if _, typed := volume["pathType"]; volume["readOnly"] != true || typed {
				why = "its volumes are mounted read-only and have no path type: set readOnly, and leave pathType out"
			}
			delete(volume, "readOnly")
		})
		return out, why
	},
	from: func(v any) (any, error) {
		return eachVolume(v, func(volume map[string]any) { volume["readOnly"] = true }), nil
	},
}

// eachVolume changes copies of the objects in a list; what is none passes as it
// is, and is refused by the form.
func eachVolume(v any, change func(map[string]any)) any {
	items, ok := v.([]any)
	if !ok {
		return v
	}
	out := make([]any, len(items))
	for i, item := range items {
		out[i] = item
		if volume, ok := item.(map[string]any); ok {
			volume = maps.Clone(volume)
			change(volume)
			out[i] = volume
		}
	}
	return out
}

// asNoTaint is v1alpha1's switch for control planes without a taint.
var asNoTaint = conversion{
	to: func(v any, _ int) (any, string) {
		if len(v.([]any)) > 0 {
			return nil, "it knows only a control plane's own taint or none: leave taints nil, or empty for none"
		}
		return true, ""
	},
	from: func(v any) (any, error) {
		if v == true {
			return []any{}, nil
		}
		return nil, misread("true")
	},
}

// asSoleItem is a list with the one value.
var asSoleItem = conversion{
	to: func(v any, _ int) (any, string) { return []any{v}, "" },
	from: func(v any) (any, error) {
		if items, ok := v.([]any); ok && len(items) == 1 {
			return items[0], nil
		}
		return nil, misread("a list of one item")
	},
}

// asDefault is a value that the version cannot be told and has by itself.
func asDefault(only string) conversion {
	return conversion{
		to: func(v any, _ int) (any, string) {
			if v != only {
				return nil, fmt.Sprintf("its own is always %q", only)
			}
			return omitted, ""
		},
		from: func(v any) (any, error) { return v, nil },
	}
}
