package kubeadm

import (
	"encoding/json"
	"strings"
	"time"
)

//go:generate go run ./internal/tablegen

// field is one entry of the tables that internal/tablegen makes. Their keys are
// paths: .name for a field, [] for a list's items, {} for a map's values.
type field struct {
	kind kind
	lifetime
}

// kind of value that a field takes.
type kind int

const (
	kindAny kind = iota
	kindString
	kindBool
	kindInt
	kindFloat
	kindDuration
	kindObject
	kindList
	kindMap
)

// String says what to write.
func (k kind) String() string {
	return [...]string{
		"any value", "a string (in quotes, if it looks like something else)", "true or false", "a whole number", "a number",
		"a duration with its unit, as in 1m30s", "fields", "a list", "names with values",
	}[k]
}

// takes reports whether a value as plainFields returns it is of the kind.
func (k kind) takes(value any) bool {
	switch v := value.(type) {
	case string:
		return k == kindAny || k == kindString || k == kindDuration && isDuration(v)
	case bool:
		return k == kindAny || k == kindBool
	case json.Number:
		return k == kindAny || k == kindFloat || k == kindInt && !strings.ContainsAny(v.String(), ".eE")
	case []any:
		return k == kindAny || k == kindList
	case map[string]any:
		return k == kindAny || k == kindObject || k == kindMap
	}
	return false
}

func isDuration(s string) bool {
	_, err := time.ParseDuration(s)
	return err == nil
}
