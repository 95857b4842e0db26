package clusterfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/quorate-dev/quorate"
	"go.yaml.in/yaml/v3"
)

// Marshal writes a cluster in its canonical form: keys in the order of the
// fields, what is not set left out, user's own keys sorted. Parse reads a valid
// cluster back as it was. The error names a value that a component's
// configuration cannot hold.
func Marshal(c quorate.Cluster) ([]byte, error) {
	// JSON is YAML, and encoding/json keeps the order of the fields.
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(c); err != nil {
		return nil, fmt.Errorf("cluster %s to YAML: %w", c.Name, err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text.Bytes(), &doc); err != nil {
		return nil, fmt.Errorf("cluster %s to YAML: %w", c.Name, err)
	}
	block(&doc)
	var out bytes.Buffer
	y := yaml.NewEncoder(&out)
	y.SetIndent(2)
	if err := y.Encode(&doc); err != nil {
		return nil, fmt.Errorf("cluster %s to YAML: %w", c.Name, err)
	}
	return out.Bytes(), nil
}

// block takes JSON's braces and quotes off; the encoder quotes again what would
// be read as something else. Text with line breaks or tabs stays quoted: the
// encoder's block form of it does not always read back.
func block(n *yaml.Node) {
	if !strings.ContainsAny(n.Value, "\n\t") {
		n.Style = 0
	}
	for _, child := range n.Content {
		block(child)
	}
}
