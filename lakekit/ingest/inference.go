package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"taxilake/lakekit/delta"
)

// columnTypes are columns that records have beyond the table's schema, with
// the types that their values so far call for. Types are inferred as Spark
// infers those of JSON: long, double, boolean, string, struct and array; of a
// long and a double becomes double, of any other two string. What differs: an
// integer beyond a long is a double at once, a field that was only null or an
// empty array or object makes no column yet, and the reader is strict, so that
// values that do not fit the string that two types became are dead letters.
type columnTypes map[string]delta.DataType

// What records may widen a table to is bounded: one producer of changing or
// endless names must not make it unusable.
const (
	maxColumns    = 1000 // with those in structs and arrays
	maxColumnName = 255  // bytes
	maxNesting    = 16   // deeper values make no column
)

func (t columnTypes) note(name string, value jsonValue) {
	before, seen := t[name]
	switch inferred := inferType(value, 1); {
	case seen:
		t[name] = commonType(before, inferred)
	case len(t) < maxColumns: // more cannot be added to any table
		t[name] = inferred
	}
}

func (t columnTypes) merge(others columnTypes) {
	for name, other := range others {
		if before, seen := t[name]; seen {
			other = commonType(before, other)
		}
		t[name] = other
	}
}

// beyond are the columns to add to a schema, by name: those of a type that is
// known, of a name that a column can have and that the schema does not use, be
// it in other letters' case.
func (t columnTypes) beyond(schema delta.Schema) (fields []delta.Field) {
	columns := leaves(schema)
	for _, field := range fieldsOf(t) {
		if _, taken := schema.Field(field.Name); taken {
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

// inferType is the type of a scanned value, nil when null says nothing of it.
func inferType(value jsonValue, depth int) delta.DataType {
	if depth > maxNesting {
		return nil
	}
	switch value.kind {
	case jsonBool:
		return delta.Boolean
	case jsonInteger:
		if _, err := strconv.ParseInt(string(value.text), 10, 64); err == nil {
			return delta.Long
		}
		return delta.Double
	case jsonDecimal:
		return delta.Double
	case jsonString:
		return delta.String
	case jsonArray:
		list := delta.Array{ContainsNull: true}
		_ = value.elements(func(element jsonValue) error { // it was scanned before
			list.Element = commonType(list.Element, inferType(element, depth+1))
			return nil
		})
		return list
	case jsonObject:
		members := columnTypes{}
		_ = value.members(func(m member) error {
			members[string(m.name.appendContent(nil))] = inferType(m.value, depth+1)
			return nil
		})
		return structOf(members)
	}
	return nil
}

func structOf(members columnTypes) delta.Schema {
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
			members := columnTypes{}
			for _, field := range slices.Concat(x.Fields, y.Fields) {
				members[field.Name] = commonType(members[field.Name], field.Type)
			}
			return structOf(members)
		}
	case delta.Primitive:
		y, ok := b.(delta.Primitive)
		if ok && x == y {
			return x
		}
		if ok && isNumber(x) && isNumber(y) {
			return delta.Double
		}
	}
	return delta.String
}

func isNumber(p delta.Primitive) bool { return p == delta.Long || p == delta.Double }

// fieldsOf are the columns of a type that a table can have, by name.
func fieldsOf(types columnTypes) (fields []delta.Field) {
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		known, ok := columnType(types[name])
		if lower := strings.ToLower(name); ok && isColumnName(name) && !seen[lower] {
			seen[lower] = true
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
		members := columnTypes{}
		for _, field := range t.Fields {
			members[field.Name] = field.Type
		}
		fields := fieldsOf(members)
		return delta.Schema{Fields: fields}, len(fields) > 0
	case delta.Primitive:
		return t, true
	}
	return nil, false
}

// isColumnName: Parquet takes no other names without column mapping
// (PROTOCOL.md, section Column Mapping), and SQL engines end a name at the
// character zero.
func isColumnName(name string) bool {
	return name != "" && len(name) <= maxColumnName && !strings.ContainsAny(name, " ,;{}()\n\t=\x00")
}

// addColumns appends columns to a table's schema, as ALTER TABLE ADD COLUMNS
// does.
func addColumns(ctx context.Context, snapshot *delta.Snapshot, fields []delta.Field) error {
	metadata := snapshot.Metadata()
	schema, err := json.Marshal(delta.Schema{Fields: slices.Concat(snapshot.Schema().Fields, fields)})
	if err != nil {
		return err
	}
	metadata.SchemaString = string(schema)
	_, err = snapshot.Table().Commit(ctx, delta.Commit{
		Operation:   "ADD COLUMNS",
		Parameters:  map[string]any{"columns": describeFields(fields)},
		Metadata:    &metadata,
		ReadVersion: snapshot.Version(),
	})
	return err
}

func describeFields(fields []delta.Field) string {
	var texts []string
	for _, field := range fields {
		texts = append(texts, fmt.Sprintf("%s %s", field.Name, field.Type))
	}
	return strings.Join(texts, ", ")
}
