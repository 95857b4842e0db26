// Package boundedyaml reads YAML that a host or somebody else has written. The parser bounds
// how often aliases are followed, and not how much text they stand for: of 60 KB it makes a
// gigabyte.
package boundedyaml

import (
	"bytes"
	"errors"
	"fmt"

	yamlnode "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// MaxAliased is how much text the aliases of a document may stand for.
const MaxAliased = 1 << 20

// errAliases reports aliases that stand for too much.
var errAliases = fmt.Errorf("its aliases stand for over %d MiB of text", MaxAliased>>20)

// Unmarshal is sigs.k8s.io/yaml's, after Check.
func Unmarshal(text []byte, v any) error {
	if err := Check(text); err != nil {
		return err
	}
	return yaml.Unmarshal(text, v)
}

// Check refuses a document whose aliases stand for more than MaxAliased, or cannot be
// followed. It says nothing of other faults.
func Check(text []byte) error {
	if !bytes.ContainsRune(text, '&') || !bytes.ContainsRune(text, '*') {
		return nil // no alias without an anchor
	}
	decoder := yamlnode.NewDecoder(bytes.NewReader(text))
	for first := true; ; first = false {
		var doc yamlnode.Node
		if err := decoder.Decode(&doc); err != nil {
			if first {
				return errors.New("its aliases cannot be followed")
			}
			return nil // the first document alone is read
		}
		c := counter{known: map[*yamlnode.Node]int{}}
		if c.size(&doc); c.aliased > MaxAliased {
			return errAliases
		}
	}
}

// counter adds up what aliases stand for.
type counter struct {
	known   map[*yamlnode.Node]int // of what has an anchor; -1 while it is counted
	aliased int
}

// size is how much text a node stands for, up to little over MaxAliased.
func (c *counter) size(n *yamlnode.Node) int {
	if n.Kind == yamlnode.AliasNode {
		size, ok := c.known[n.Alias]
		if !ok || size < 0 { // it holds itself
			size = MaxAliased + 1
		}
		c.aliased = min(c.aliased+size, MaxAliased+1)
		return size
	}
	if n.Anchor != "" {
		c.known[n] = -1
	}
	size := len(n.Value) + 1
	for _, child := range n.Content {
		size = min(size+c.size(child), MaxAliased+1)
	}
	if n.Anchor != "" {
		c.known[n] = size
	}
	return size
}
