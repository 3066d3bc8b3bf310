package decode

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"taxilake/lakekit/delta"
)

// Columns are columns that records have beyond the table's schema, with
// the types that their values so far call for. Types are inferred as Spark
// infers those of JSON: long, double, boolean, string, struct and array, and for
// integers beyond a long decimal, up to 38 digits; of a number and a double
// becomes double, of any other two string. What differs: a field that was only
// null or an empty array or object makes no column yet, and the reader is
// strict, so that values that do not fit the string or the double that two types
// became are dead letters.
type Columns map[string]delta.DataType

// What records may widen a table to is bounded: one producer of changing or
// endless names must not make it unusable.
const (
	maxColumns    = 1000 // with those in structs and arrays
	maxColumnName = 255  // bytes
	maxNesting    = 16   // deeper values make no column
)

// Merge adds columns; more than maxColumns cannot be added to any table.
func (t Columns) Merge(others Columns) {
	for name, other := range others {
		if before, seen := t[name]; seen {
			t[name] = commonType(before, other)
		} else if len(t) < maxColumns {
			t[name] = other
		}
	}
}

// Beyond are the columns to add to a schema, by name: those of a type that is
// known, of a name that a column can have and that the schema does not use, be
// it in other letters' case.
func (t Columns) Beyond(schema delta.Schema) (fields []delta.Field) {
	columns := leaves(schema)
	taken := map[string]bool{}
	for _, field := range schema.Fields {
		taken[foldName(field.Name)] = true
	}
	for _, field := range fieldsOf(t) {
		if taken[foldName(field.Name)] {
			continue
		}
		if n := leaves(field.Type); columns+n <= maxColumns {
			columns += n
			fields = append(fields, field)
		}
	}
	return fields
}

// leaves are the columns that a type takes in a Parquet file.
func leaves(t delta.DataType) int {
	switch t := t.(type) {
	case delta.Array:
		return leaves(t.Element)
	case delta.Map:
		return leaves(t.Key) + leaves(t.Value)
	case delta.Schema:
		n := 0
		for _, field := range t.Fields {
			n += leaves(field.Type)
		}
		return n
	}
	return 1
}

// inferType is the type of a scanned value, nil when null says nothing of it. A
// value has an error that no type holds.
func inferType(value jsonValue, depth int) (delta.DataType, error) {
	if depth > maxNesting {
		return nil, nil
	}
	switch value.kind {
	case jsonBool:
		return delta.Boolean, nil
	case jsonInteger:
		return inferInteger(value.text)
	case jsonDecimal:
		return delta.Double, nil
	case jsonString:
		return delta.String, nil
	case jsonArray:
		list := delta.Array{ContainsNull: true}
		err := value.elements(func(element jsonValue) error {
			inferred, err := inferType(element, depth+1)
			list.Element = commonType(list.Element, inferred)
			return err
		})
		return list, err
	case jsonObject:
		members := Columns{}
		err := value.members(func(m member) (err error) {
			name := string(m.name.appendContent(nil))
			members[name], err = inferType(m.value, depth+1)
			return err
		})
		return structOf(members), err
	}
	return nil, nil
}

// maxDigits are those of a decimal.
const maxDigits = 38

// inferInteger follows Spark's JsonInferSchema: a long, else a decimal of its
// digits, else a double. But it takes that for no integer that a double rounds.
func inferInteger(text []byte) (delta.DataType, error) {
	if _, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return delta.Long, nil
	}
	digits := len(text)
	if text[0] == '-' {
		digits--
	}
	if digits <= maxDigits {
		return delta.Decimal{Precision: digits}, nil
	}
	if f, err := strconv.ParseFloat(string(text), 64); err != nil || !isExactly(f, text) {
		return nil, fmt.Errorf("an integer of %d digits, which no column holds: a decimal has at most %d", digits, maxDigits)
	}
	return delta.Double, nil
}

func structOf(members Columns) delta.Schema {
	var schema delta.Schema
	for _, name := range slices.Sorted(maps.Keys(members)) {
		schema.Fields = append(schema.Fields, delta.Field{Name: name, Type: members[name], Nullable: true})
	}
	return schema
}

// commonType is the type that holds the values of two.
func commonType(a, b delta.DataType) delta.DataType {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	switch x := a.(type) {
	case delta.Array:
		if y, ok := b.(delta.Array); ok {
			return delta.Array{Element: commonType(x.Element, y.Element), ContainsNull: true}
		}
	case delta.Schema:
		if len(x.Fields) > maxColumns {
			return x // too wide already, whatever comes
		}
		if y, ok := b.(delta.Schema); ok {
			members := Columns{}
			for _, field := range slices.Concat(x.Fields, y.Fields) {
				members[field.Name] = commonType(members[field.Name], field.Type)
			}
			return structOf(members)
		}
	case delta.Primitive:
		if y, ok := b.(delta.Primitive); ok && x == y {
			return x
		}
	}
	if x, y := integerDigits(a), integerDigits(b); x > 0 && y > 0 {
		return delta.Decimal{Precision: max(x, y)} // not two longs
	} else if (x > 0 || a == delta.Double) && (y > 0 || b == delta.Double) {
		return delta.Double
	}
	return delta.String
}

// integerDigits are those of the decimal that holds a type of integers, as Spark
// counts them; 0 for other types.
func integerDigits(t delta.DataType) int {
	switch t := t.(type) {
	case delta.Decimal:
		return t.Precision
	case delta.Primitive:
		if t == delta.Long {
			return 20
		}
	}
	return 0
}

// fieldsOf are the columns of a type that a table can have, by name.
func fieldsOf(types Columns) (fields []delta.Field) {
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		known, ok := columnType(types[name])
		if folded := foldName(name); ok && whyNoColumn(name, nil) == "" && !seen[folded] {
			seen[folded] = true
			fields = append(fields, delta.Field{Name: name, Type: known, Nullable: true})
		}
	}
	return fields
}

// columnType leaves out what is not known of a type; ok says that something
// is.
func columnType(t delta.DataType) (known delta.DataType, ok bool) {
	switch t := t.(type) {
	case delta.Array:
		element, ok := columnType(t.Element)
		return delta.Array{Element: element, ContainsNull: true}, ok
	case delta.Schema:
		members := Columns{}
		for _, field := range t.Fields {
			members[field.Name] = field.Type
		}
		fields := fieldsOf(members)
		return delta.Schema{Fields: fields}, len(fields) > 0
	case delta.Primitive, delta.Decimal:
		return t, true
	}
	return nil, false
}

// Describe lists columns with their types: "tip double, flags array<boolean>".
func Describe(fields []delta.Field) string {
	var texts []string
	for _, field := range fields {
		texts = append(texts, field.Name+" "+field.Type.String())
	}
	return strings.Join(texts, ", ")
}
