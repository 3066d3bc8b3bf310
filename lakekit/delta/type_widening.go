package delta

import (
	"encoding/json"
	"fmt"
	"slices"
)

const typeChangesKey = "delta.typeChanges"

// wholeDigits is how many decimal digits a whole number of the type can have.
var wholeDigits = map[Primitive]int{Byte: 3, Short: 5, Integer: 10, Long: 20}

// widens tells whether files written with one type can be read as the other
// (PROTOCOL.md, section Type Widening).
func widens(from, to DataType) bool {
	if from == to {
		return true
	}
	switch from := from.(type) {
	case Primitive:
		digits, whole := wholeDigits[from]
		switch to := to.(type) {
		case Primitive:
			wider, stillWhole := wholeDigits[to]
			return whole && stillWhole && wider > digits || whole && from != Long && to == Double ||
				from == Float && to == Double || from == Date && to == TimestampNTZ
		case Decimal:
			return whole && to.Precision-to.Scale >= digits
		}
	case Decimal:
		to, ok := to.(Decimal)
		return ok && to.Scale >= from.Scale && to.Precision-to.Scale >= from.Precision-from.Scale
	}
	return false
}

// Widened tells whether files may hold the column in a type it had before.
func (f Field) Widened() bool {
	_, changed := f.Metadata[typeChangesKey]
	return changed
}

// checkTypeChanges refuses a schema with a change of type that we cannot read
// across.
func checkTypeChanges(schema Schema) error {
	for _, f := range schema.Fields {
		if given, ok := f.Metadata[typeChangesKey]; ok {
			var changes []struct {
				FromType json.RawMessage `json:"fromType"`
				ToType   json.RawMessage `json:"toType"`
			}
			text, err := json.Marshal(given)
			if err == nil {
				err = json.Unmarshal(text, &changes)
			}
			for _, change := range changes {
				from, fromErr := unmarshalType(change.FromType, 0)
				to, toErr := unmarshalType(change.ToType, 0)
				if fromErr != nil || toErr != nil || !isScalar(from) || !isScalar(to) || !widens(from, to) {
					return fmt.Errorf("%w: feature \"typeWidening\" from %s to %s in column %q", ErrUnsupported, change.FromType, change.ToType, f.Name)
				}
			}
			if err != nil {
				return fmt.Errorf("%w: %s of column %q: %w", ErrCorruptLog, typeChangesKey, f.Name, err)
			}
		}
		for _, nested := range structsOf(f.Type) {
			if err := checkTypeChanges(nested); err != nil {
				return err
			}
		}
	}
	return nil
}

// isScalar: such types have no parts: the others cannot be compared with ==.
func isScalar(t DataType) bool {
	switch t.(type) {
	case Primitive, Decimal:
		return true
	}
	return false
}

// structsOf are the structs in a type that are not inside another one.
func structsOf(t DataType) []Schema {
	switch t := t.(type) {
	case Schema:
		return []Schema{t}
	case Array:
		return structsOf(t.Element)
	case Map:
		return slices.Concat(structsOf(t.Key), structsOf(t.Value))
	}
	return nil
}
