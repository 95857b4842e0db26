package clusterfile

import (
	"encoding"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/termsafe"
)

// reader fills a cluster from YAML nodes and gathers what is wrong with them.
type reader struct {
	quorate.Problems
	cluster *quorate.Cluster
	// lines has the line of each path in the file.
	lines map[string]int
}

func (r *reader) refuse(n *yaml.Node, path, format string, args ...any) {
	r.Refuse(path, format, args...)
	r.Problems[len(r.Problems)-1].Line = n.Line
}

// root reads the whole file.
func (r *reader) root(n *yaml.Node) {
	r.lines[""] = n.Line
	r.object(n, "", reflect.ValueOf(r.cluster).Elem())
}

// refused are the paths that have a problem of form.
func (r *reader) refused() map[string]bool {
	out := map[string]bool{}
	for _, p := range r.Problems {
		out[p.Path] = true
	}
	delete(out, "") // that the file has a problem covers no field
	return out
}

// covered reports whether a path, or what holds it, has a problem of form:
// what it means is then of no interest.
func covered(path string, refused map[string]bool) bool {
	for at := range holders(path) {
		if refused[at] {
			return true
		}
	}
	return false
}

// line returns the line of a path, or of the nearest thing that holds it.
func (r *reader) line(path string) int {
	for at := range holders(path) {
		if line, known := r.lines[at]; known {
			return line
		}
	}
	return r.lines[""]
}

// holders are a path and everything that holds it, the nearest first.
func holders(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for end := len(path); end > 0; end = strings.LastIndexAny(path[:end], ".[") {
			if !yield(path[:end]) {
				return
			}
		}
	}
}

// maxPath in bytes keeps what is noted of a file in proportion to it: each value
// has a path, and a path all the keys above it.
const maxPath = 1 << 10

// value reads any node into any type that quorate.Cluster is made of.
func (r *reader) value(n *yaml.Node, path string, into reflect.Value) {
	r.lines[path] = n.Line
	if why := unread(n); why != "" {
		r.refuse(n, path, "%s", why)
		return
	}
	if text, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
		r.text(n, path, into, text)
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		r.object(n, path, into)
	case reflect.Slice:
		r.list(n, path, into)
	case reflect.Map:
		r.dict(n, path, into)
	case reflect.Interface:
		if v := r.free(n, path, 0); v != nil {
			into.Set(reflect.ValueOf(v))
		}
	default:
		r.scalar(n, path, into)
	}
}

// unread says why a node is not read at all.
func unread(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.AliasNode:
		return "is an alias: write the value out"
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		return "has no value: set one or remove the key"
	}
	return ""
}

// object reads a mapping into a struct by its json tags.
func (r *reader) object(n *yaml.Node, path string, into reflect.Value) {
	fields := map[string]reflect.Value{}
	var keys []string
	for i := range into.NumField() {
		name, _, _ := strings.Cut(into.Type().Field(i).Tag.Get("json"), ",")
		fields[name] = into.Field(i)
		keys = append(keys, name)
	}
	r.pairs(n, path, join, func(at, key string, k, v *yaml.Node) {
		field, known := fields[key]
		if !known {
			r.refuse(k, at, "unknown key%s", suggestion(key, keys))
			return
		}
		r.value(v, at, field)
	})
}

// dict reads a mapping whose keys are the user's own.
func (r *reader) dict(n *yaml.Node, path string, into reflect.Value) {
	into.Set(reflect.MakeMap(into.Type()))
	r.pairs(n, path, entry, func(at, key string, _, v *yaml.Node) {
		if into.Type().Elem().Kind() == reflect.Interface {
			r.lines[at] = v.Line
			into.SetMapIndex(reflect.ValueOf(key), nullable(r.free(v, at, 0), into.Type().Elem()))
			return
		}
		item := reflect.New(into.Type().Elem()).Elem()
		r.value(v, at, item)
		into.SetMapIndex(reflect.ValueOf(key), item)
	})
}

func nullable(v any, t reflect.Type) reflect.Value {
	if v == nil {
		return reflect.Zero(t)
	}
	return reflect.ValueOf(v)
}

// pairs visits the pairs of a mapping with distinct string keys; name makes
// their paths.
func (r *reader) pairs(n *yaml.Node, path string, name func(path, key string) string, visit func(at, key string, k, v *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.refuse(n, path, "want a mapping, got %s", describe(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.ShortTag() != "!!str" {
			r.refuse(k, path, "a key is %s: want a string", describe(k))
			continue
		}
		if first, again := seen[k.Value]; again {
			r.refuse(k, termsafe.Cut(name(path, k.Value), maxPath, "..."), "duplicate key: it is in line %d already", first)
			continue
		}
		seen[k.Value] = k.Line
		at := name(path, k.Value)
		if len(at) > maxPath {
			r.refuse(k, path, "a key of %d bytes under keys of %d: want at most %d in all", len(k.Value), len(path), maxPath)
			continue
		}
		visit(at, k.Value, k, v)
	}
}

func (r *reader) list(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		r.refuse(n, path, "want a list, got %s", describe(n))
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		r.value(item, fmt.Sprintf("%s[%d]", path, i), into.Index(i))
	}
}

// text reads versions, durations, addresses and prefixes.
func (r *reader) text(n *yaml.Node, path string, into reflect.Value, u encoding.TextUnmarshaler) {
	if n.Kind != yaml.ScalarNode {
		r.refuse(n, path, "want text, got %s", describe(n))
		return
	}
	if err := u.UnmarshalText([]byte(n.Value)); err != nil || n.Value == "" {
		r.refuse(n, path, "%s", wanted(into.Interface(), n.Value))
		return
	}
	if _, duration := into.Interface().(quorate.Duration); duration {
		r.notZero(n, path, into)
	}
}

// wanted says what the text of a type looks like.
func wanted(v any, got string) string {
	var form string
	switch v.(type) {
	case netip.Addr:
		form = "an IPv4 or IPv6 address"
	case netip.Prefix:
		form = "an address and a prefix length, as in 10.244.0.0/16"
	case quorate.Version:
		form = "a version with all three numbers, as in v1.37.2"
	case quorate.Duration:
		form = "a duration with its unit, as in 1s or 100ms"
	}
	return fmt.Sprintf("%q: want %s", termsafe.Cut(got, 43, "..."), form)
}

// Not yaml's own reading of integers: 051 would be 41.
var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

func (r *reader) scalar(n *yaml.Node, path string, into reflect.Value) {
	tag := n.ShortTag()
	if n.Kind != yaml.ScalarNode {
		tag = ""
	}
	switch into.Kind() {
	case reflect.String:
		if tag != "!!str" {
			r.refuse(n, path, "want a string, got %s%s", describe(n), quoteHint(n))
			return
		}
		if n.Value == "" {
			r.refuse(n, path, "is empty: set a value or remove the key")
			return
		}
		into.SetString(n.Value)
	case reflect.Bool:
		if tag != "!!bool" {
			r.refuse(n, path, "want true or false, got %s", describe(n))
			return
		}
		into.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Int, reflect.Int64:
		v, err := strconv.ParseInt(n.Value, 10, into.Type().Bits())
		if tag != "!!int" || !decimal.MatchString(n.Value) || err != nil {
			r.refuse(n, path, "want a whole decimal number, got %s", describe(n))
			return
		}
		into.SetInt(v)
		r.notZero(n, path, into)
	default:
		r.refuse(n, path, "a %s cannot be read from YAML", into.Type()) // no field has such a type
	}
}

// notZero refuses a zero that the description would take for "not set".
func (r *reader) notZero(n *yaml.Node, path string, v reflect.Value) {
	if v.IsZero() {
		r.refuse(n, path, "%s is not a value here: leave the key out for the default", n.Value)
	}
}

// maxDepth of the free form of a component's configuration.
const maxDepth = 32

// free reads what has no type of ours: strings, bool, int64, float64, lists
// and mappings.
func (r *reader) free(n *yaml.Node, path string, depth int) any {
	if depth > maxDepth {
		r.refuse(n, path, "is nested deeper than %d levels", maxDepth)
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		r.pairs(n, path, entry, func(at, key string, _, v *yaml.Node) {
			r.lines[at] = v.Line
			out[key] = r.free(v, at, depth+1)
		})
		return out
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, item := range n.Content {
			out[i] = r.free(item, fmt.Sprintf("%s[%d]", path, i), depth+1)
		}
		return out
	case yaml.ScalarNode:
		return r.freeScalar(n, path)
	}
	r.refuse(n, path, "%s", unread(n))
	return nil
}

func (r *reader) freeScalar(n *yaml.Node, path string) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		if v, err := strconv.ParseInt(n.Value, 10, 64); err == nil && decimal.MatchString(n.Value) {
			return v
		}
	case "!!float":
		if v, err := strconv.ParseFloat(n.Value, 64); err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) {
			return v
		}
	case "!!str", "!!timestamp":
		return n.Value
	}
	r.refuse(n, path, "want a string, number, true or false, got %s%s", describe(n), quoteHint(n))
	return nil
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// join names a field of an object.
func join(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return entry(path, key)
	case path == "":
		return key
	}
	return path + "." + key
}

// entry names a value under a key of the user's own.
func entry(path, key string) string { return fmt.Sprintf("%s[%q]", path, key) }

// describe names what a node is, for a person.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	value := termsafe.Cut(n.Value, 43, "...")
	switch n.ShortTag() {
	case "!!str":
		return fmt.Sprintf("the string %q", value)
	case "!!null":
		return "nothing"
	}
	return termsafe.Line(value)
}

func quoteHint(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
		return ": put it in quotes"
	}
	return ""
}
