package journal

import (
	"fmt"

	"github.com/quorate-dev/quorate/internal/strictjson"
	"github.com/quorate-dev/quorate/plan"
)

// MaxRecord bounds the JSON of one record in bytes. A Runner's are smaller: it
// cuts long errors and long lists of changes.
const MaxRecord = 1 << 20

// ParseRecord reads a record's JSON. A record by a later version is a
// *SchemaError; fields that this version does not know are passed over, but for those
// that differ from one it knows only in case, or are there twice.
func ParseRecord(b []byte) (plan.Record, error) {
	var r plan.Record
	// The version first: in a later one fields may have other types.
	var v struct {
		Schema int `json:"schema"`
	}
	lenient := strictjson.Options{MaxSize: MaxRecord + len("\n"), AllowUnknown: true}
	if err := strictjson.Decode(b, &v, lenient); err != nil {
		return r, fmt.Errorf("read a record of a journal: %w", err)
	}
	if v.Schema > plan.RecordSchema {
		return r, &SchemaError{Schema: v.Schema}
	}
	if err := strictjson.Decode(b, &r, lenient); err != nil {
		return r, fmt.Errorf("read a record of a journal: %w", err)
	}
	if r.Schema < 1 || r.Run == "" || r.Kind == "" {
		return r, fmt.Errorf("read a record of a journal: it has no schema, run or kind")
	}
	return r, nil
}

// SchemaError refuses a journal that a later version of this package has
// written to.
type SchemaError struct{ Schema int }

func (e *SchemaError) Error() string {
	return fmt.Sprintf("the journal has records of schema %d, and this program knows up to %d: use a later version", e.Schema, plan.RecordSchema)
}

// EventFields returns what plan/events shows of it beside its text.
func (e *SchemaError) EventFields() map[string]string {
	return map[string]string{"kind": "schema", "want": fmt.Sprint(plan.RecordSchema), "got": fmt.Sprint(e.Schema), "do": "use a later version"}
}
