// Package clusterfile reads and writes a quorate.Cluster as YAML. The keys are
// those of the json tags of quorate.Cluster; docs/cluster.md describes them.
//
// Reading is strict, since a setting that is silently not applied is worse
// than one that is refused: unknown and duplicate keys, values of a wrong
// type, nulls, aliases, explicit zeros where zero would mean the default, and
// further documents are all errors. All of them come at once, each with path,
// line and, for a misspelled key, the key that was probably meant.
//
// The package opens no files: it reads and returns bytes.
package clusterfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate"
	"go.yaml.in/yaml/v3"
)

// MaxSize is the largest input in bytes that is read.
const MaxSize = 1 << 20

// Load reads a cluster and validates it. The error is nil or a
// *quorate.InvalidError with every problem of form and meaning, in the order of
// the file; of more than a thousand, the first and how many more there are.
// Warnings are no error; Cluster.Problems returns them.
func Load(data []byte) (quorate.Cluster, error) {
	r := read(data)
	if r.cluster == nil {
		return quorate.Cluster{}, r.Err(what)
	}
	form := r.refused()
	for _, p := range r.cluster.Problems() {
		if !covered(p.Path, form) {
			p.Line = r.line(p.Path)
			r.Problems = append(r.Problems, p)
		}
	}
	return r.result()
}

// Parse reads a cluster without judging its meaning: the result may still be
// one that Validate refuses. The error is nil or a *quorate.InvalidError with
// every problem of form, as Load's.
func Parse(data []byte) (quorate.Cluster, error) {
	r := read(data)
	if r.cluster == nil {
		return quorate.Cluster{}, r.Err(what)
	}
	return r.result()
}

const what = "cluster file"

// maxProblems are reported at once; a file with more is no cluster file.
const maxProblems = 1000

func (r *reader) result() (quorate.Cluster, error) {
	slices.SortStableFunc(r.Problems, func(a, b quorate.Problem) int { return cmp.Compare(a.Line, b.Line) })
	if all := r.Only(quorate.Refused); len(all) > maxProblems {
		r.Problems = all[:maxProblems]
		r.Refuse("", "and %d more", len(all)-maxProblems)
	}
	if err := r.Err(what); err != nil {
		return quorate.Cluster{}, err
	}
	return *r.cluster, nil
}

// read returns a reader without cluster if the text is not one YAML mapping.
func read(data []byte) *reader {
	r := &reader{lines: map[string]int{}}
	if len(data) > MaxSize {
		r.Refuse("", "%d bytes: a cluster file has at most %d", len(data), MaxSize)
		return r
	}
	root, err := document(data)
	if err != nil {
		r.Problems = append(r.Problems, syntaxProblem(err))
		return r
	}
	if root.Kind != yaml.MappingNode {
		r.refuse(root, "", "want a mapping with the keys of a cluster, got %s", describe(root))
		return r
	}
	r.cluster = &quorate.Cluster{}
	r.root(root)
	return r
}

// document returns the root node of the only document.
func document(data []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("the file is empty")
	case err != nil:
		return nil, err
	}
	switch err := d.Decode(&next); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, err
	default:
		return nil, fmt.Errorf("line %d: a second document starts: want one", next.Line)
	}
	root := doc.Content[0]
	if root.Tag == "!!null" && root.Value == "" {
		return nil, errors.New("the file is empty")
	}
	return root, nil
}

var linePattern = regexp.MustCompile(`^line (\d+): `)

// syntaxProblem takes the line out of the YAML library's message.
func syntaxProblem(err error) quorate.Problem {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	p := quorate.Problem{Message: message, Severity: quorate.Refused}
	if m := linePattern.FindStringSubmatch(message); m != nil {
		p.Line, _ = strconv.Atoi(m[1]) // 0, no line, if it is out of range
		p.Message = strings.TrimPrefix(message, m[0])
	}
	return p
}
