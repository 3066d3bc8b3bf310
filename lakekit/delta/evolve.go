package delta

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// typeOf is the Delta type whose values Arrow holds as t, the inverse of
// DataType.arrow. ErrUnsupported where there is none.
func typeOf(t arrow.DataType) (DataType, error) {
	for name, primitive := range arrowPrimitives {
		if arrow.TypeEqual(t, primitive) {
			return name, nil
		}
	}
	switch t := t.(type) {
	case *arrow.Decimal128Type:
		return Decimal{int(t.Precision), int(t.Scale)}, nil
	case *arrow.StructType:
		return schemaOf(t.Fields())
	case *arrow.ListType:
		element, err := typeOf(t.Elem())
		return Array{element, t.ElemField().Nullable}, err
	case *arrow.MapType:
		key, err := typeOf(t.KeyType())
		if err != nil {
			return nil, err
		}
		value, err := typeOf(t.ItemType())
		return Map{key, value, t.ItemField().Nullable}, err
	}
	return nil, fmt.Errorf("%w: no column type for Arrow's %s", ErrUnsupported, t)
}

func schemaOf(fields []arrow.Field) (Schema, error) {
	var schema Schema
	for _, f := range fields {
		t, err := typeOf(f.Type)
		if err != nil {
			return Schema{}, fmt.Errorf("column %q: %w", f.Name, err)
		}
		schema.Fields = append(schema.Fields, Field{Name: f.Name, Type: t, Nullable: f.Nullable})
	}
	return schema, nil
}

// typeName is the SQL name of an Arrow type, for messages.
func typeName(t arrow.DataType) string {
	if known, err := typeOf(t); err == nil {
		return known.String()
	}
	return t.String()
}

// merged is the schema with what others have beyond it, at any depth: new
// columns come last and are nullable, since older files do not have them. A
// column of another type is ErrSchemaMismatch.
func (s Schema) merged(others []Field, path string) (Schema, error) {
	out := Schema{slices.Clone(s.Fields)}
	for _, other := range others {
		i := slices.IndexFunc(out.Fields, func(f Field) bool { return strings.EqualFold(f.Name, other.Name) })
		if i < 0 {
			other.Nullable = true
			out.Fields = append(out.Fields, other)
			continue
		}
		t, err := mergedType(out.Fields[i].Type, other.Type, path+other.Name)
		if err != nil {
			return Schema{}, err
		}
		out.Fields[i].Type = t
	}
	return out, nil
}

func mergedType(own, other DataType, path string) (DataType, error) {
	switch own := own.(type) {
	case Schema:
		if other, ok := other.(Schema); ok {
			return own.merged(other.Fields, path+".")
		}
	case Array:
		if other, ok := other.(Array); ok {
			element, err := mergedType(own.Element, other.Element, path+".element")
			return Array{element, own.ContainsNull}, err
		}
	case Map:
		if other, ok := other.(Map); ok {
			key, err := mergedType(own.Key, other.Key, path+".key")
			if err != nil {
				return nil, err
			}
			value, err := mergedType(own.Value, other.Value, path+".value")
			return Map{key, value, own.ValueContainsNull}, err
		}
	default:
		if own == other {
			return own, nil
		}
	}
	return nil, fmt.Errorf("%w: column %q is %s in the table and %s in the rows", ErrSchemaMismatch, path, own, other)
}

// evolved is the snapshot with the columns of the batches merged in, and the
// new metadata to commit; nil when there is nothing new.
func (s *Snapshot) evolved(batches []arrow.RecordBatch) (*Snapshot, *Metadata, error) {
	schema := s.schema
	for _, batch := range batches {
		given, err := schemaOf(batch.Schema().Fields())
		if err != nil {
			return nil, nil, err
		}
		if schema, err = schema.merged(given.Fields, ""); err != nil {
			return nil, nil, err
		}
	}
	schemaString, err := json.Marshal(schema)
	if err != nil {
		return nil, nil, err
	}
	before, err := json.Marshal(s.schema)
	if err != nil || string(schemaString) == string(before) {
		return s, nil, err
	}
	if err := checkSchema(schema, s.metadata.PartitionColumns); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	evolved := *s
	evolved.schema = schema
	evolved.metadata.SchemaString = string(schemaString)
	return &evolved, &evolved.metadata, nil
}

// checkValues refuses rows that are new to the table with nulls where the schema
// forbids them, at any depth, decimals longer than their type, whose first digits
// Parquet drops, and texts that are no UTF-8, for which delta-rs reads no row of
// the file.
func checkValues(column arrow.Array, t DataType, nullable bool, path string) error {
	return valueCheck{texts: true}.check(column, t, nullable, path, nil)
}

// checkStorable is checkValues for rows that the table has already: its texts
// are what they are.
func checkStorable(column arrow.Array, t DataType, nullable bool, path string) error {
	return valueCheck{}.check(column, t, nullable, path, nil)
}

type valueCheck struct{ texts bool }

// check: present says where the parent is not null, nil is everywhere.
func (c valueCheck) check(column arrow.Array, t DataType, nullable bool, path string, present func(int) bool) error {
	if !nullable && column.NullN() > 0 {
		nulls := 0
		for i := range column.Len() {
			if column.IsNull(i) && (present == nil || present(i)) {
				nulls++
			}
		}
		if nulls > 0 {
			return forbiddenNulls{path, nulls}
		}
	}
	switch t := t.(type) {
	case Primitive:
		if texts, ok := column.(*array.String); ok && c.texts {
			for i := range texts.Len() {
				if texts.IsValid(i) && (present == nil || present(i)) && !utf8.ValidString(texts.Value(i)) {
					return fmt.Errorf("%w: column %q has the text %.100q, which is no UTF-8", ErrSchemaMismatch, path, texts.Value(i))
				}
			}
		}
	case Decimal:
		decimals := column.(*array.Decimal128)
		for i := range decimals.Len() {
			if v := decimals.Value(i); decimals.IsValid(i) && (present == nil || present(i)) && !v.FitsInPrecision(int32(t.Precision)) {
				return fmt.Errorf("%w: column %q is %s and cannot hold %s", ErrSchemaMismatch, path, t, v.ToString(int32(t.Scale)))
			}
		}
	case Schema:
		group := column.(*array.Struct)
		valid := func(i int) bool { return group.IsValid(i) && (present == nil || present(i)) }
		for i, f := range t.Fields {
			if err := c.check(group.Field(i), f.Type, f.Nullable, path+"."+f.Name, valid); err != nil {
				return err
			}
		}
	case Array:
		list := column.(*array.List)
		return c.check(list.ListValues(), t.Element, t.ContainsNull, path+".element", elements(list, present))
	case Map:
		dict := column.(*array.Map)
		valid := elements(dict, present)
		if err := c.check(dict.Keys(), t.Key, false, path+".key", valid); err != nil {
			return err
		}
		return c.check(dict.Items(), t.Value, t.ValueContainsNull, path+".value", valid)
	}
	return nil
}

// forbiddenNulls are nulls where the schema has none.
type forbiddenNulls struct {
	column string
	count  int
}

func (n forbiddenNulls) Error() string {
	nulls := fmt.Sprintf("%d nulls", n.count)
	if n.count == 1 {
		nulls = "a null"
	}
	return fmt.Sprintf("%s: column %q has %s and cannot be null", ErrSchemaMismatch, n.column, nulls)
}

func (forbiddenNulls) Unwrap() error { return ErrSchemaMismatch }

// elements says which elements belong to a list that is there.
func elements(list array.ListLike, present func(int) bool) func(int) bool {
	belongs := make([]bool, list.ListValues().Len())
	for i := range list.Len() {
		if list.IsNull(i) || present != nil && !present(i) {
			continue
		}
		from, to := list.ValueOffsets(i)
		for j := from; j < to; j++ {
			belongs[j] = true
		}
	}
	return func(i int) bool { return belongs[i] }
}
