package kubeadm

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
)

// valueCodec is how a value of the model is in a document: as the types that
// JSON knows, with numbers as int or json.Number.
type valueCodec[T any] struct {
	// set reports whether there is a value.
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

// partError is why a part of a value is not read: at is the part's place, ".name"
// of a field or "[0]" of an item.
type partError struct {
	at  string
	err error
}

func (e *partError) Error() string { return e.at + ": " + e.err.Error() }
func (e *partError) Unwrap() error { return e.err }

func part(at string, err error) error {
	if err == nil {
		return nil
	}
	return &partError{at: at, err: err}
}

// eachItem reads every item, and says of each that is not read where it is.
func eachItem[T any](items []any, dec func(any) (T, error)) ([]T, error) {
	out, errs := make([]T, len(items)), make([]error, len(items))
	for i, item := range items {
		var err error
		out[i], err = dec(item)
		errs[i] = part(fmt.Sprintf("[%d]", i), err)
	}
	return out, errors.Join(errs...)
}

// listOf reads a list of texts, of which null is the empty one.
func listOf(v any) ([]string, error) {
	items, ok := v.([]any)
	if !ok {
		return nil, misread("a list")
	}
	return eachItem(items, func(item any) (string, error) {
		if item == nil {
			return "", nil
		}
		return textOf(item)
	})
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
		if err != nil || s == "" {
			return quorate.Content{}, err
		}
		return quorate.Sensitive([]byte(s)), nil
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

// optionalBoolCodec keeps false and unset apart.
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

var optionalIntCodec = valueCodec[*int]{
	set: func(n *int) bool { return n != nil },
	enc: func(n *int) any { return *n },
	dec: func(v any) (*int, error) {
		n, err := intCodec.dec(v)
		return &n, err
	},
}

var addrCodec = valueCodec[netip.Addr]{
	set: netip.Addr.IsValid,
	enc: func(a netip.Addr) any { return a.String() },
	dec: func(v any) (netip.Addr, error) {
		s, err := textOf(v)
		if err != nil || s == "" {
			return netip.Addr{}, err
		}
		a, err := parseAddr(s)
		if err != nil {
			return a, misread("an IPv4 or IPv6 address")
		}
		return a, nil
	},
}

// parseAddr reads an address as Kubernetes does, which takes zeros in front of
// the parts of an IPv4 address for nothing.
func parseAddr(s string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(s); err == nil || strings.Contains(s, ":") {
		if err == nil && a.Zone() != "" {
			return a, errors.New("an address with a zone")
		}
		return a, err
	}
	parts := strings.Split(s, ".")
	for i, part := range parts {
		if part = strings.TrimLeft(part, "0"); part == "" && parts[i] != "" {
			part = "0"
		}
		parts[i] = part
	}
	return netip.ParseAddr(strings.Join(parts, "."))
}

// parsePrefix reads a range as Kubernetes does.
func parsePrefix(s string) (netip.Prefix, error) {
	addr, bits, found := strings.Cut(s, "/")
	a, err := parseAddr(addr)
	if err != nil || !found {
		return netip.Prefix{}, errors.New("no range")
	}
	p, err := netip.ParsePrefix(a.String() + "/" + bits)
	return p, err
}

// prefixesCodec is one text with commas.
var prefixesCodec = valueCodec[[]netip.Prefix]{
	set: func(p []netip.Prefix) bool { return len(p) > 0 },
	enc: func(p []netip.Prefix) any { return joinPrefixes(p) },
	dec: func(v any) ([]netip.Prefix, error) {
		s, err := textOf(v)
		if err != nil || s == "" {
			return nil, err
		}
		var out []netip.Prefix
		for part := range strings.SplitSeq(s, ",") {
			p, err := parsePrefix(part)
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
		parts[i] = p.String()
	}
	return strings.Join(parts, ",")
}

var listCodec = valueCodec[[]string]{
	set: func(l []string) bool { return len(l) > 0 },
	enc: func(l []string) any { return texts(l) },
	dec: listOf,
}

// durationCodec keeps zero and unset apart, as kubeadm does.
var durationCodec = valueCodec[*quorate.Duration]{
	set: func(d *quorate.Duration) bool { return d != nil },
	enc: func(d *quorate.Duration) any { return d.String() },
	dec: func(v any) (*quorate.Duration, error) {
		d, err := durationOf(v)
		return &d, err
	},
}

func durationOf(v any) (quorate.Duration, error) {
	s, ok := v.(string)
	d, err := time.ParseDuration(s)
	if !ok || err != nil {
		return 0, misread("a duration with its unit, as in 24h0m0s")
	}
	return quorate.Duration(d), nil
}

var versionCodec = valueCodec[quorate.Version]{
	set: func(v quorate.Version) bool { return !v.IsZero() },
	enc: func(v quorate.Version) any { return v.String() },
	dec: func(v any) (quorate.Version, error) {
		s, err := textOf(v)
		if err != nil {
			return quorate.Version{}, err
		}
		version, err := quorate.ParseVersion(s)
		if err != nil {
			return version, misread("a release, as in v1.37.2")
		}
		return version, nil
	},
}

// argsCodec is v1beta4's list of names and values, in their order; earlier
// versions have a map, see asArgMap.
var argsCodec = valueCodec[Args]{
	set: func(a Args) bool { return len(a) > 0 },
	enc: func(a Args) any {
		return anyList(a, func(arg Arg) any { return map[string]any{"name": arg.Name, "value": arg.Value} })
	},
	dec: func(v any) (Args, error) {
		if args, ok := v.(Args); ok { // of a map, see asArgMap
			return args, nil
		}
		items, ok := v.([]any)
		if !ok {
			return nil, misread("a list of names and values")
		}
		return eachItem(items, func(item any) (arg Arg, err error) {
			fields, ok := item.(map[string]any)
			if !ok && item != nil {
				return arg, misread("a name and a value")
			}
			if arg, err = objectOf[Arg](fields); err == nil && arg.Name == "" {
				err = misread("an argument with a name")
			}
			return arg, err
		})
	},
}

// envCodec is v1beta4's list of variables.
var envCodec = objectCodec(func(e []EnvVar) bool { return len(e) > 0 })

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
		out, errs := map[string]bool{}, []error(nil)
		for _, k := range slices.Sorted(maps.Keys(m)) {
			b, ok := m[k].(bool)
			if !ok && m[k] != nil { // null is false
				errs = append(errs, part("."+k, misread("true or false")))
			}
			out[k] = b
		}
		return out, errors.Join(errs...)
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
			items, ok := v.([]any)
			if !ok {
				return nil, misread("a list of objects")
			}
			return eachItem(items, func(item any) (T, error) {
				fields, ok := item.(map[string]any)
				if !ok && item != nil {
					var none T
					return none, misread("an object")
				}
				return objectOf[T](fields)
			})
		},
	}
}

// objectOf reads an object with the fields of a struct's json tags.
func objectOf[T any](fields map[string]any) (out T, err error) {
	object := reflect.ValueOf(&out).Elem()
	byName := map[string]reflect.Value{}
	for i := range object.NumField() {
		name, _, _ := strings.Cut(object.Type().Field(i).Tag.Get("json"), ",")
		byName[name] = object.Field(i)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		field, known := byName[name]
		switch {
		case !known && harmless(name):
			errs = append(errs, fmt.Errorf("unknown field %q", name))
		case !known:
			errs = append(errs, errors.New("unknown field in it"))
		default:
			text, err := json.Marshal(fields[name])
			if err == nil && json.Unmarshal(text, field.Addr().Interface()) != nil {
				err = misread(wanted(field.Interface())) // the decoder's own reason may quote what it found
			}
			errs = append(errs, part("."+name, err))
		}
	}
	return out, errors.Join(errs...)
}

// wanted is what a file has for a value of the model.
func wanted(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case bool:
		return "true or false"
	case time.Time:
		return "a moment, as in 2026-01-02T15:04:05Z"
	}
	return "an object"
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
	volumesCodec = objectCodec(func(v []quorate.Volume) bool { return len(v) > 0 })
	taintsCodec  = objectCodec(func(t []Taint) bool { return t != nil })
)

// conversion changes a value's form for one version of the API, and back. why is
// what the version cannot express of it.
type conversion struct {
	to func(v any, minor int) (out any, why string)
	// from returns nil for a value that is as if it were not there.
	from func(v any) (any, error)
	// partial says that out is good for what the version can express.
	partial bool
}

// omitted is what a conversion returns for a value that the version has by itself.
var omitted = new(struct{})

// asArgMap is the map of names and values of the versions before v1beta4, which
// has a place for one argument of each name. Not every version refuses one without
// a name, see argNames.
var asArgMap = conversion{
	partial: true,
	to: func(v any, _ int) (any, string) {
		out, why := map[string]any{}, ""
		for _, item := range v.([]any) {
			arg := item.(map[string]any)
			name := arg["name"].(string)
			if _, again := out[name]; again {
				why = "it has a place for one argument of each name: set each once, or target Kubernetes v1.31 or later"
			}
			out[name] = arg["value"]
		}
		return out, why
	},
	from: func(v any) (any, error) {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, misread("names with values")
		}
		out, errs := make(Args, 0, len(m)), []error(nil)
		for _, name := range slices.Sorted(maps.Keys(m)) {
			value, ok := m[name].(string)
			if !ok && m[name] != nil {
				errs = append(errs, part("."+name, misread("text")))
			}
			out = append(out, Arg{Name: name, Value: value})
		}
		return out, errors.Join(errs...)
	},
}

// asSocketPath is a path without a scheme, which kubeadm before 1.24 wrote and
// before 1.12 insisted on.
var asSocketPath = conversion{
	to: func(v any, minor int) (any, string) {
		return socketOf(v.(string), quorate.Version{Major: 1, Minor: minor}), ""
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

// socketOf is a socket as kubeadm of a version has it. What has no path of the host
// after its scheme stays as it is.
func socketOf(socket string, v quorate.Version) string {
	if !strings.HasPrefix(socket, socketScheme+"/") {
		return socket
	}
	return quorate.CRISocketName(socket, v)
}

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
		var errs []error
		i := -1
		out := eachVolume(v, func(volume map[string]any) {
			i++
			if on := volume["writable"]; on != nil {
				_, err := boolCodec.dec(on)
				errs = append(errs, part(fmt.Sprintf("[%d].writable", i), err))
			}
			if volume["writable"] != true {
				volume["readOnly"] = true
			}
			delete(volume, "writable")
		})
		return out, errors.Join(errs...)
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

// eachVolume changes copies of the objects in a list, null being an empty one; a
// list with anything else in it passes as it is, and is refused by the codec.
func eachVolume(v any, change func(map[string]any)) any {
	items, _ := v.([]any)
	out := make([]any, len(items))
	for i, item := range items {
		volume, ok := item.(map[string]any)
		if !ok && item != nil {
			return v
		}
		if volume = maps.Clone(volume); volume == nil {
			volume = map[string]any{}
		}
		change(volume)
		out[i] = volume
	}
	if items == nil {
		return v
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
		switch v {
		case true:
			return []any{}, nil
		case false:
			return nil, nil // the default ones
		}
		return nil, misread("true or false")
	},
}

// asFirstItem is a list of one, and read as the list that it is.
var asFirstItem = conversion{
	to:   func(v any, _ int) (any, string) { return []any{v}, "" },
	from: func(v any) (any, error) { return v, nil },
}

// asOnlyItem is what is read as a list of one.
var asOnlyItem = conversion{
	from: func(v any) (any, error) {
		s, err := textOf(v)
		if err != nil || s == "" {
			return []any{}, err
		}
		return []any{s}, nil
	},
}

// asDefault is a value that the version has by itself and has no field for.
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
