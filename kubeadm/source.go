package kubeadm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	yamlnode "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/boundedyaml"
)

// maxFile and maxDocuments are far beyond any file that kubeadm reads, in bytes
// and documents.
const (
	maxFile      = 1 << 20
	maxDocuments = 100
)

// sourceDoc is a document of a file, with the lines where its fields are.
type sourceDoc struct {
	// name in problems of a document without a kind.
	name             string
	apiVersion, kind string
	api              api
	fields           map[string]any
	// line where the document starts, and lines of its fields by their paths.
	line  int
	lines map[string]int
}

// lineOf is the line of the field at a path, or of the nearest one above it.
func (d *sourceDoc) lineOf(path string) int {
	for path != "" {
		if line, found := d.lines[path]; found {
			return line
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return d.line
}

// rawDoc is the text of a document before it is read, and where it is in its file.
type rawDoc struct {
	text []byte
	// name in problems: "document 2".
	name string
	// line of the text's first one. fixed says that the whole text is on it, as a
	// quoted string of another document is.
	line  int
	fixed bool
}

// splitDocuments cuts at YAML's document markers.
func splitDocuments(data []byte) (docs []rawDoc) {
	begin, beginLine, line := 0, 1, 1
	add := func(end int) {
		docs = append(docs, rawDoc{text: data[begin:end], name: fmt.Sprintf("document %d", len(docs)+1), line: beginLine})
	}
	for at := 0; at < len(data); line++ {
		end := len(data)
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		if text := data[at:end]; bytes.HasPrefix(text, []byte("---")) && (len(bytes.TrimSpace(text)) == 3 || text[3] == ' ' || text[3] == '\t') {
			// What a file starts with is no document if it is empty.
			if len(docs) > 0 || !blank(data[begin:at]) {
				add(at)
			}
			begin, beginLine = at+3, line
		}
		at = end
	}
	add(len(data))
	return docs
}

// blank reports whether there are but comments and empty lines.
func blank(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// readFile takes a file apart into its documents, without those that are empty. A
// ConfigMap, as a cluster keeps its configuration in, is the documents in it.
func readFile(data []byte, p *quorate.Problems) []*sourceDoc {
	if len(data) > maxFile {
		p.Refuse("", "more than %d bytes: no kubeadm reads such a file", maxFile)
		return nil
	}
	if line := invalidUTF8(data); line > 0 {
		*p = append(*p, quorate.Problem{Line: line, Message: "not UTF-8", Severity: quorate.Refused})
		return nil
	}
	var docs []*sourceDoc
	all := splitDocuments(bytes.TrimPrefix(data, []byte("\ufeff")))
	if len(all) > maxDocuments {
		p.Refuse("", "more than %d documents: no kubeadm reads such a file", maxDocuments)
		return nil
	}
	for _, raw := range all {
		docs = append(docs, raw.read(p, true)...)
	}
	return docs
}

// invalidUTF8 is the first line that is not UTF-8, zero if all are.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return 0
	}
	line := 1
	for text := range bytes.Lines(data) {
		if !utf8.Valid(text) {
			return line
		}
		line++
	}
	return line
}

// maxTwice is how many keys of a document are reported to be there twice.
const maxTwice = 100

// read reads a document, and what is in it if it is a ConfigMap.
func (r rawDoc) read(p *quorate.Problems, outer bool) []*sourceDoc {
	refuse := func(line int, format string, args ...any) {
		*p = append(*p, quorate.Problem{Path: r.name, Line: line, Message: fmt.Sprintf(format, args...), Severity: quorate.Refused})
	}
	fields, err := r.fields()
	if err != nil {
		refuse(r.errorLine(err), "cannot be read as YAML: %s", r.reasonOf(err))
		return nil
	}
	if fields == nil {
		return nil
	}
	object, ok := fields.(map[string]any)
	if !ok {
		refuse(r.line, "want fields with values")
		return nil
	}
	root := r.nodes()
	doc := &sourceDoc{name: r.name, line: r.line, lines: map[string]int{}}
	doc.apiVersion, _ = object["apiVersion"].(string)
	doc.kind, _ = object["kind"].(string)
	twice := 0
	if root != nil {
		doc.line = r.lineOf(root)
		walkNodes(root, "", func(path string, key *yamlnode.Node, first *yamlnode.Node) {
			if first != nil {
				if twice++; twice <= maxTwice {
					refuse(r.lineOf(key), "%s is there twice, first in line %d", describeKey(key.Value), r.lineOf(first))
				}
				return
			}
			doc.lines[path] = r.lineOf(key)
			if name := childNode(key, "name"); name != nil {
				// An argument of a list is found by its name too.
				doc.lines[path[:strings.LastIndex(path, "[")]+"."+name.Value] = r.lineOf(key)
			}
		})
	}
	if twice > maxTwice {
		refuse(r.line, "and %d more keys are there twice", twice-maxTwice)
	}
	if twice == 0 {
		if _, err := yaml.YAMLToJSONStrict(r.parsed()); err != nil {
			refuse(r.errorLine(err), "a key is there twice")
			return nil
		}
	}
	if twice > 0 {
		return nil
	}
	if path := replaced(object, ""); path != "" && bytes.Contains(r.text, []byte("binary")) {
		refuse(doc.lineOf(path), "a value that is not UTF-8")
		return nil
	}
	if outer && doc.apiVersion == "v1" {
		if inner, found := r.wrapped(doc.kind, object, root, p); found {
			return inner
		}
	}
	readNulls(object, "", kindsOf(doc.apiVersion, doc.kind))
	delete(object, "apiVersion")
	delete(object, "kind")
	doc.fields = object
	return []*sourceDoc{doc}
}

// wrapped reads the documents in a ConfigMap, or in a list of them as "kubectl get"
// writes it; found reports whether there is any. What else is in the list is a
// document too, and as strange as outside of it.
func (r rawDoc) wrapped(kind string, object map[string]any, root *yamlnode.Node, p *quorate.Problems) (docs []*sourceDoc, found bool) {
	switch kind {
	case "ConfigMap":
		return r.configMap(object, root, p)
	case "List", "ConfigMapList":
	default:
		return nil, false
	}
	items, _ := object["items"].([]any)
	nodes := childNode(root, "items")
	for i, item := range items {
		fields, _ := item.(map[string]any)
		of := r
		of.name = fmt.Sprintf("%s, items[%d]", r.name, i)
		var node *yamlnode.Node
		if nodes != nil && i < len(nodes.Content) {
			node = nodes.Content[i]
			of.line = r.lineOf(node)
		}
		strange := &sourceDoc{name: of.name, line: of.line, fields: fields}
		strange.apiVersion, _ = fields["apiVersion"].(string)
		strange.kind, _ = fields["kind"].(string)
		if strange.apiVersion == "" && strange.kind == "" && kind == "ConfigMapList" {
			strange.apiVersion, strange.kind = "v1", "ConfigMap" // a typed list says it once
		}
		if strange.apiVersion == "v1" && strange.kind == "ConfigMap" {
			if inner, has := of.within(r).configMap(fields, node, p); has {
				docs, found = append(docs, inner...), true
				continue
			}
		}
		docs = append(docs, strange)
	}
	return docs, found
}

// within is an item of a document, which counts lines as that does.
func (r rawDoc) within(outer rawDoc) rawDoc {
	outer.name = r.name
	return outer
}

// configMap reads the documents that are values of a ConfigMap's data; found
// reports whether there is any.
func (r rawDoc) configMap(object map[string]any, root *yamlnode.Node, p *quorate.Problems) (docs []*sourceDoc, found bool) {
	data, _ := object["data"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(data)) {
		text, _ := data[name].(string)
		if !configuration.MatchString(text) {
			continue
		}
		found = true
		inner := rawDoc{text: []byte(text), name: r.name + ", data." + name, line: r.line, fixed: true}
		if !harmless(name) {
			inner.name = r.name + ", data"
		}
		if node := childNode(childNode(root, "data"), name); node != nil && !r.fixed {
			inner.line = r.lineOf(node)
			if node.Style&yamlnode.LiteralStyle != 0 {
				inner.line, inner.fixed = inner.line+1, false
			}
		}
		docs = append(docs, inner.read(p, false)...)
	}
	return docs, found
}

// configuration is text that has a document of kubeadm, the kubelet or kube-proxy.
var configuration = regexp.MustCompile(`(?m)^"?apiVersion"?:\s*"?(kubeadm\.k8s\.io|kubelet\.config\.k8s\.io|kubeproxy\.config\.k8s\.io)/`)

// parsed is the text for the parsers: they leave out of an error a line that is
// the first.
func (r rawDoc) parsed() []byte { return append([]byte("\n"), r.text...) }

// fileLine is the file's line of one that a parser has counted.
func (r rawDoc) fileLine(line int) int {
	if r.fixed {
		return r.line
	}
	return max(line+r.line-2, r.line)
}

// fields are the values as kubeadm's own parser reads them.
func (r rawDoc) fields() (any, error) {
	if err := boundedyaml.Check(r.parsed()); err != nil {
		return nil, err
	}
	asJSON, err := yaml.YAMLToJSON(r.parsed())
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.UseNumber()
	var v any
	err = decoder.Decode(&v)
	return v, err
}

// nodes are the same with their lines; nil if this parser, which is stricter in
// places, does not read them.
func (r rawDoc) nodes() *yamlnode.Node {
	var doc yamlnode.Node
	if yamlnode.Unmarshal(r.parsed(), &doc) != nil || len(doc.Content) == 0 {
		return nil
	}
	return doc.Content[0]
}

func (r rawDoc) lineOf(n *yamlnode.Node) int { return r.fileLine(n.Line) }

// walkNodes calls f for every key and every item, with its path, and with the first
// one for a key that is there twice. What an alias refers to is not walked again.
func walkNodes(n *yamlnode.Node, path string, f func(path string, key, first *yamlnode.Node)) {
	switch n.Kind {
	case yamlnode.MappingNode:
		seen := map[string]*yamlnode.Node{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			here := strings.TrimPrefix(path+"."+key.Value, ".")
			f(here, key, seen[key.Value])
			if seen[key.Value] == nil {
				seen[key.Value] = key
				walkNodes(n.Content[i+1], here, f)
			}
		}
	case yamlnode.SequenceNode:
		for i, item := range n.Content {
			here := fmt.Sprintf("%s[%d]", path, i)
			f(here, item, nil)
			walkNodes(item, here, f)
		}
	}
}

func childNode(n *yamlnode.Node, name string) *yamlnode.Node {
	if n == nil || n.Kind != yamlnode.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// replaced finds a string with the sign for unreadable bytes, which the parser has
// put there for those of a binary value; "" if there is none.
func replaced(v any, path string) string {
	switch v := v.(type) {
	case string:
		if strings.ContainsRune(v, utf8.RuneError) {
			return path
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if found := replaced(v[name], strings.TrimPrefix(path+"."+name, ".")); found != "" {
				return found
			}
		}
	case []any:
		for i, item := range v {
			if found := replaced(item, fmt.Sprintf("%s[%d]", path, i)); found != "" {
				return found
			}
		}
	}
	return ""
}

var (
	lineInError   = regexp.MustCompile(`line (\d+): `)
	anchorInError = regexp.MustCompile(`unknown anchor '([^']+)'`)
	// noticedAfter are the reasons that the parser has a line too early for, since
	// it counts those before the token that it did not expect.
	noticedAfter = []string{
		"did not find expected node content", "did not find expected '-' indicator", "did not find expected key",
		"did not find expected ',' or ']'", "did not find expected ',' or '}'", "did not find expected <document start>",
		"found undefined tag handle", "found duplicate %YAML directive", "found incompatible YAML document",
	}
)

// errorLine is the file's line of a parser's error.
func (r rawDoc) errorLine(err error) int {
	found := lineInError.FindStringSubmatch(err.Error())
	if line := r.unsaidLine(err); found == nil && line > 0 {
		return line
	}
	if found == nil || r.fixed {
		if i := bytes.IndexFunc(r.text, isControl); i >= 0 && !r.fixed {
			return r.line + bytes.Count(r.text[:i], []byte("\n"))
		}
		return r.line
	}
	counted, _ := strconv.Atoi(found[1]) // the pattern has digits alone
	line := r.fileLine(counted)
	if slices.ContainsFunc(noticedAfter, func(reason string) bool { return strings.Contains(err.Error(), reason) }) {
		line++
	}
	last := r.line + bytes.Count(bytes.TrimRight(r.text, " \t\r\n"), []byte("\n"))
	return max(min(line, last), r.line)
}

// unsaidLine is the file's line of an error that comes without one, of a key that is
// no text, a value that does not fit its tag, or an alias; zero if it is not found.
func (r rawDoc) unsaidLine(err error) int {
	if anchor := anchorInError.FindStringSubmatch(err.Error()); anchor != nil {
		if i := bytes.Index(r.text, []byte("*"+anchor[1])); i >= 0 && !r.fixed {
			return r.line + bytes.Count(r.text[:i], []byte("\n"))
		}
		return 0
	}
	root := r.nodes()
	if root == nil {
		return 0
	}
	if bad := unreadNode(root, 0); bad != nil {
		return r.lineOf(bad)
	}
	return 0
}

// unreadNode is the first key that is no text, or value that does not fit its tag.
func unreadNode(n *yamlnode.Node, depth int) *yamlnode.Node {
	if depth > deepest {
		return nil
	}
	for i, below := range n.Content {
		if n.Kind == yamlnode.MappingNode && i%2 == 0 && (below.Kind != yamlnode.ScalarNode || below.Tag == "!!null") {
			return below
		}
		if bad := unreadNode(below, depth+1); bad != nil {
			return bad
		}
	}
	var v any
	if n.Kind == yamlnode.ScalarNode && n.Style&yamlnode.TaggedStyle != 0 && n.Decode(&v) != nil {
		return n
	}
	return nil
}

func isControl(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\r' && c != '\t' }

// reasonOf is the parser's own reason, but for what would quote the text.
func (r rawDoc) reasonOf(err error) string {
	reason := strings.TrimPrefix(err.Error(), "yaml: ")
	if at := lineInError.FindStringIndex(reason); at != nil {
		reason = reason[at[1]:]
	}
	switch {
	case strings.Contains(reason, "unknown anchor"):
		return "an alias of an anchor that is not there"
	case strings.Contains(reason, "map key") && bytes.Contains(r.text, []byte("{{")):
		return "a mapping's key is no text, as in a template that nobody has rendered"
	case strings.Contains(reason, "map key"):
		return "a mapping's key is no text"
	case strings.ContainsAny(reason, "\"`\n") || len(reason) > 80:
		return "a value does not fit its tag"
	}
	return reason
}

// describeKey names a key if that can be no secret.
func describeKey(name string) string {
	if harmless(name) {
		return fmt.Sprintf("key %q", name)
	}
	return "a key"
}

var (
	// plainName is a name of words, as fields and arguments have, with few digits.
	plainName = regexp.MustCompile(`\A[A-Za-z]+([-._/]?[A-Za-z]+|[0-9]{1,3})*\z`)
	// Forms of secrets, whole or in part: tokens, keys and their encodings.
	tokenAnywhere = regexp.MustCompile(`[a-z0-9]{6}\.[a-z0-9]{16}`)
	longSecret    = regexp.MustCompile(`[0-9A-Za-z]{32,}`)
	hashBefore    = regexp.MustCompile(`(?i)sha256:[0-9a-f]*\z`)
)

// harmless reports whether a text that a file has in the place of a name may be
// shown: anything may be a secret that has come there by mistake.
func harmless(name string) bool {
	return len(name) <= 63 && plainName.MatchString(name) && !tokenAnywhere.MatchString(name)
}

const hidden = "(hidden)"

// secretNames are the fields whose values no message has.
var secretNames = []string{"token", "tlsBootstrapToken", "discoveryToken", "certificateKey"}

// secretsOf are the values of secret fields of all documents.
func secretsOf(docs []*sourceDoc) (secrets []string) {
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, value := range v {
				if text, ok := value.(string); ok && len(text) >= 6 && slices.ContainsFunc(secretNames, func(s string) bool { return strings.EqualFold(s, name) }) {
					secrets = append(secrets, text)
				}
				walk(value)
			}
		case []any:
			for _, item := range v {
				walk(item)
			}
		}
	}
	for _, d := range docs {
		walk(d.fields)
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(secrets)
}

// redact takes out of problems whatever is a secret of the file or looks like one.
func redact(problems quorate.Problems, secrets []string) quorate.Problems {
	pairs := make([]string, 0, 2*len(secrets))
	for _, secret := range secrets {
		pairs = append(pairs, secret, hidden)
	}
	known := strings.NewReplacer(pairs...)
	for i := range problems {
		problems[i].Path = redactText(known.Replace(problems[i].Path))
		problems[i].Message = redactText(known.Replace(problems[i].Message))
	}
	return problems
}

func redactText(text string) string {
	text = tokenAnywhere.ReplaceAllString(text, hidden)
	for _, at := range slices.Backward(longSecret.FindAllStringIndex(text, -1)) {
		if !hashBefore.MatchString(text[:at[0]]) && strings.ContainsAny(text[at[0]:at[1]], "0123456789") {
			text = text[:at[0]] + hidden + text[at[1]:]
		}
	}
	return text
}
