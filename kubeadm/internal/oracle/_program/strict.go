package main

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// document is one of the YAML documents of a file.
type document struct {
	apiVersion, kind string
	root             *yaml.Node
}

// split cuts a file into documents, each of another kind.
func split(data string) (docs []document, problems []string) {
	seen := map[string]bool{}
	for dec := yaml.NewDecoder(bytes.NewBufferString(data)); ; {
		var n yaml.Node
		err := dec.Decode(&n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return docs, append(problems, err.Error())
		}
		if len(n.Content) == 0 || n.Content[0].Tag == "!!null" {
			continue // a file may begin or end with a separator
		}
		d := document{root: n.Content[0]}
		d.apiVersion, d.kind = d.value("apiVersion"), d.value("kind")
		switch {
		case d.root.Kind != yaml.MappingNode:
			problems = append(problems, "a document is no mapping")
		case d.apiVersion == "" || d.kind == "":
			problems = append(problems, "a document has no apiVersion or no kind")
		case seen[d.kind]:
			problems = append(problems, d.kind+": two documents of a kind")
		default:
			docs = append(docs, d)
		}
		seen[d.kind] = true
	}
	if len(docs) == 0 && len(problems) == 0 {
		problems = append(problems, "the file holds no document")
	}
	return docs, problems
}

// at follows a path of keys, nil where it ends.
func (d document) at(path string) *yaml.Node {
	n := d.root
	for _, key := range strings.Split(path, ".") {
		if n = child(n, key); n == nil {
			return nil
		}
	}
	return n
}

func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// value returns the scalar at a path, "" where there is none.
func (d document) value(path string) string {
	n := d.at(path)
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// decode reads a document into an object whose fields have JSON names.
func (d document) decode(object interface{}) error {
	var content map[string]interface{}
	if err := d.root.Decode(&content); err != nil {
		return err
	}
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, object)
}

// unknownFields compares a document's keys with the fields of the release's own
// type. The releases' decoders do that late (from 1.13), only warn, and until
// 1.22 take a key of another case for the field.
func (d document) unknownFields() []string {
	object, err := newObject(d.apiVersion, d.kind)
	if err != nil {
		return []string{d.kind + ".apiVersion: " + err.Error()}
	}
	return unknownIn(d, object)
}

func unknownIn(d document, object interface{}) []string {
	return unknown(d.kind, d.root, reflect.TypeOf(object))
}

var (
	jsonUnmarshaler = reflect.TypeOf((*json.Unmarshaler)(nil)).Elem()
	textUnmarshaler = reflect.TypeOf((*encoding.TextUnmarshaler)(nil)).Elem()
)

// unknown names the keys that a type has no field for, and those written twice.
// The type is nil where any value is allowed.
func unknown(path string, n *yaml.Node, t reflect.Type) (problems []string) {
	for t != nil && t.Kind() == reflect.Ptr {
		t = t.Elem()
	}
	if t != nil && (reflect.PtrTo(t).Implements(jsonUnmarshaler) || reflect.PtrTo(t).Implements(textUnmarshaler)) {
		t = nil // it reads itself
	}
	switch n.Kind {
	case yaml.AliasNode:
		return []string{path + ": an alias"}
	case yaml.SequenceNode:
		for i, each := range n.Content {
			problems = append(problems, unknown(path+"["+strconv.Itoa(i)+"]", each, element(t, reflect.Slice))...)
		}
	case yaml.MappingNode:
		seen := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			here := path + "." + key
			if seen[key] {
				problems = append(problems, here+": duplicate field")
				continue
			}
			seen[key] = true
			of := element(t, reflect.Map)
			if t != nil && t.Kind() == reflect.Struct {
				field, ok := fields(t)[key]
				if !ok {
					problems = append(problems, here+": unknown field")
					continue
				}
				of = field
			}
			problems = append(problems, unknown(here, n.Content[i+1], of)...)
		}
	}
	return problems
}

func element(t reflect.Type, kind reflect.Kind) reflect.Type {
	if t == nil || t.Kind() != kind {
		return nil
	}
	return t.Elem()
}

// fields returns the types of a struct's fields by the names they have in a file.
func fields(t reflect.Type) map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		name := strings.Split(f.Tag.Get("json"), ",")[0]
		switch {
		case name == "-" || f.PkgPath != "" && !f.Anonymous:
		case f.Anonymous && name == "":
			inline := f.Type
			if inline.Kind() == reflect.Ptr {
				inline = inline.Elem()
			}
			for inlined, of := range fields(inline) {
				all[inlined] = of
			}
		case name == "":
			all[f.Name] = f.Type
		default:
			all[name] = f.Type
		}
	}
	return all
}

// asWritten returns an object as JSON would, and also the empty lists that JSON
// leaves out of some types. To kubeadm no taints are not the default ones.
func asWritten(object interface{}) (map[string]interface{}, error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	content := map[string]interface{}{}
	if err := json.Unmarshal(data, &content); err != nil {
		return nil, err
	}
	addEmptyLists(content, reflect.ValueOf(object))
	return content, nil
}

func addEmptyLists(content map[string]interface{}, v reflect.Value) {
	for v.Kind() == reflect.Ptr && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return
	}
	for i := 0; i < v.NumField(); i++ {
		f, of := v.Type().Field(i), v.Field(i)
		name := strings.Split(f.Tag.Get("json"), ",")[0]
		below, isObject := content[name].(map[string]interface{})
		switch {
		case name == "-" || f.PkgPath != "" && !f.Anonymous:
		case f.Anonymous && name == "":
			addEmptyLists(content, of)
		case isObject:
			addEmptyLists(below, of)
		case of.Kind() == reflect.Slice && !of.IsNil() && of.Len() == 0:
			content[name] = []interface{}{}
		}
	}
}

// secretKeys are the fields whose values must stay out of messages.
var secretKeys = map[string]bool{
	"token": true, "tlsBootstrapToken": true, "discoveryToken": true, "certificateKey": true,
}

func secretsOf(docs []document) (secrets []string) {
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for i, each := range n.Content {
			secret := n.Kind == yaml.MappingNode && i%2 == 1 && secretKeys[n.Content[i-1].Value]
			// A secret that is shorter would take half the message with it.
			if secret && each.Kind == yaml.ScalarNode && len(each.Value) >= 4 {
				secrets = append(secrets, each.Value)
			}
			walk(each)
		}
	}
	for _, d := range docs {
		walk(d.root)
	}
	return secrets
}

func redacted(messages, secrets []string) []string {
	for i := range messages {
		for _, secret := range secrets {
			messages[i] = strings.Replace(messages[i], secret, "(hidden)", -1)
		}
	}
	return messages
}

// apiOnly is the error for a document of an API version that is not the one
// this oracle is for: newer or older ones that the release reads too are never
// to be rendered for it.
func apiOnly(apiVersion, kind, want string) error {
	return fmt.Errorf("this oracle of %s judges %s, not %s %s", release, want, apiVersion, kind)
}
