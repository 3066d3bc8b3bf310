package delta

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// DataType is a Delta column type: a [Primitive], a [Decimal], a nested
// [Schema] (struct), an [Array] or a [Map].
type DataType interface {
	// String is the type as SQL writes it, such as "array<double>".
	String() string
	arrow() (arrow.DataType, error)
}

// Primitive is a type without parameters, named as in the schema JSON
// (PROTOCOL.md, section Primitive Types).
type Primitive string

// The primitive types.
const (
	String       Primitive = "string"
	Long         Primitive = "long"
	Integer      Primitive = "integer"
	Short        Primitive = "short"
	Byte         Primitive = "byte"
	Float        Primitive = "float"
	Double       Primitive = "double"
	Boolean      Primitive = "boolean"
	Binary       Primitive = "binary"
	Date         Primitive = "date"
	Timestamp    Primitive = "timestamp"     // an instant, microseconds
	TimestampNTZ Primitive = "timestamp_ntz" // a wall clock without zone, a table feature
)

// Decimal is a fixed-point number; Precision is at most 38.
type Decimal struct{ Precision, Scale int }

// Array is a list of elements of one type.
type Array struct {
	Element      DataType
	ContainsNull bool
}

// Map is a collection of key-value pairs; keys are never null.
type Map struct {
	Key, Value        DataType
	ValueContainsNull bool
}

// Schema is the columns of a table, and as a [DataType] a struct.
type Schema struct{ Fields []Field }

// Field is one column of a table or one member of a struct.
type Field struct {
	Name     string
	Type     DataType
	Nullable bool
	Metadata map[string]any
}

// Field returns the top-level column of that name; Delta's names are
// case-insensitive.
func (s Schema) Field(name string) (Field, bool) {
	for _, f := range s.Fields {
		if strings.EqualFold(f.Name, name) {
			return f, true
		}
	}
	return Field{}, false
}

// Arrow is the schema as Arrow names it: timestamps in microseconds and UTC.
func (s Schema) Arrow() (*arrow.Schema, error) {
	fields, err := s.arrowFields()
	if err != nil {
		return nil, err
	}
	return arrow.NewSchema(fields, nil), nil
}

func (s Schema) arrowFields() ([]arrow.Field, error) {
	fields := make([]arrow.Field, len(s.Fields))
	for i, f := range s.Fields {
		t, err := f.Type.arrow()
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		fields[i] = arrow.Field{Name: f.Name, Type: t, Nullable: f.Nullable}
	}
	return fields, nil
}

func (s Schema) arrow() (arrow.DataType, error) {
	fields, err := s.arrowFields()
	if err != nil {
		return nil, err
	}
	return arrow.StructOf(fields...), nil
}

// asNullable is the schema with nulls allowed everywhere but in the keys of
// maps. Rows in data files may break the schema of the table: in Arrow's eyes a
// column that cannot be null has a value everywhere, be it one made up.
func (s Schema) asNullable() Schema { return nullableType(s).(Schema) }

func nullableType(t DataType) DataType {
	switch t := t.(type) {
	case Schema:
		out := Schema{slices.Clone(t.Fields)}
		for i, f := range out.Fields {
			out.Fields[i].Type, out.Fields[i].Nullable = nullableType(f.Type), true
		}
		return out
	case Array:
		return Array{nullableType(t.Element), true}
	case Map:
		return Map{nullableType(t.Key), nullableType(t.Value), true}
	}
	return t
}

var arrowPrimitives = map[Primitive]arrow.DataType{
	String:       arrow.BinaryTypes.String,
	Long:         arrow.PrimitiveTypes.Int64,
	Integer:      arrow.PrimitiveTypes.Int32,
	Short:        arrow.PrimitiveTypes.Int16,
	Byte:         arrow.PrimitiveTypes.Int8,
	Float:        arrow.PrimitiveTypes.Float32,
	Double:       arrow.PrimitiveTypes.Float64,
	Boolean:      arrow.FixedWidthTypes.Boolean,
	Binary:       arrow.BinaryTypes.Binary,
	Date:         arrow.FixedWidthTypes.Date32,
	Timestamp:    &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"},
	TimestampNTZ: &arrow.TimestampType{Unit: arrow.Microsecond},
}

func (p Primitive) arrow() (arrow.DataType, error) {
	if t, ok := arrowPrimitives[p]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("%w: column type %q", ErrUnsupported, string(p))
}

func (d Decimal) arrow() (arrow.DataType, error) {
	return &arrow.Decimal128Type{Precision: int32(d.Precision), Scale: int32(d.Scale)}, nil
}

func (a Array) arrow() (arrow.DataType, error) {
	element, err := a.Element.arrow()
	if err != nil {
		return nil, err
	}
	return arrow.ListOfField(arrow.Field{Name: "element", Type: element, Nullable: a.ContainsNull}), nil
}

func (m Map) arrow() (arrow.DataType, error) {
	key, err := m.Key.arrow()
	if err != nil {
		return nil, err
	}
	value, err := m.Value.arrow()
	if err != nil {
		return nil, err
	}
	t := arrow.MapOf(key, value)
	t.SetItemNullable(m.ValueContainsNull)
	return t, nil
}

var sqlNames = map[Primitive]string{Long: "bigint", Integer: "int", Short: "smallint", Byte: "tinyint"}

func (p Primitive) String() string {
	if name, ok := sqlNames[p]; ok {
		return name
	}
	return string(p)
}

func (d Decimal) String() string { return fmt.Sprintf("decimal(%d,%d)", d.Precision, d.Scale) }
func (a Array) String() string   { return fmt.Sprintf("array<%s>", a.Element) }
func (m Map) String() string     { return fmt.Sprintf("map<%s,%s>", m.Key, m.Value) }

func (s Schema) String() string {
	members := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		members[i] = f.Name + ":" + f.Type.String()
	}
	return "struct<" + strings.Join(members, ",") + ">"
}

// schemaJSON, fieldJSON, arrayJSON and mapJSON are the forms of PROTOCOL.md,
// section Schema Serialization Format.
type schemaJSON struct {
	Type   string      `json:"type"`
	Fields []fieldJSON `json:"fields"`
}

type fieldJSON struct {
	Name     string          `json:"name"`
	Type     json.RawMessage `json:"type"`
	Nullable bool            `json:"nullable"`
	Metadata map[string]any  `json:"metadata"`
}

type arrayJSON struct {
	Type         string          `json:"type"`
	ElementType  json.RawMessage `json:"elementType"`
	ContainsNull bool            `json:"containsNull"`
}

type mapJSON struct {
	Type              string          `json:"type"`
	KeyType           json.RawMessage `json:"keyType"`
	ValueType         json.RawMessage `json:"valueType"`
	ValueContainsNull bool            `json:"valueContainsNull"`
}

// MarshalJSON writes the form of the schemaString.
func (s Schema) MarshalJSON() ([]byte, error) {
	out := schemaJSON{Type: "struct", Fields: make([]fieldJSON, len(s.Fields))}
	for i, f := range s.Fields {
		t, err := marshalType(f.Type)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		metadata := f.Metadata
		if metadata == nil {
			metadata = map[string]any{}
		}
		out.Fields[i] = fieldJSON{f.Name, t, f.Nullable, metadata}
	}
	return json.Marshal(out)
}

func marshalType(t DataType) (json.RawMessage, error) {
	switch t := t.(type) {
	case Primitive:
		return json.Marshal(string(t))
	case Decimal:
		return json.Marshal(t.String())
	case Schema:
		return t.MarshalJSON()
	case Array:
		element, err := marshalType(t.Element)
		if err != nil {
			return nil, err
		}
		return json.Marshal(arrayJSON{"array", element, t.ContainsNull})
	case Map:
		key, err := marshalType(t.Key)
		if err != nil {
			return nil, err
		}
		value, err := marshalType(t.Value)
		if err != nil {
			return nil, err
		}
		return json.Marshal(mapJSON{"map", key, value, t.ValueContainsNull})
	}
	return nil, fmt.Errorf("no column type given (%T)", t)
}

// UnmarshalJSON reads a schemaString.
func (s *Schema) UnmarshalJSON(data []byte) error {
	t, err := unmarshalType(data, 0)
	if err != nil {
		return err
	}
	read, ok := t.(Schema)
	if !ok {
		return fmt.Errorf("schema is a %s, not a struct", t)
	}
	*s = read
	return nil
}

// maxSchemaDepth keeps a hostile schema from exhausting the stack.
const maxSchemaDepth = 100

func unmarshalType(data json.RawMessage, depth int) (DataType, error) {
	if depth > maxSchemaDepth {
		return nil, fmt.Errorf("schema is nested deeper than %d levels", maxSchemaDepth)
	}
	var name string
	if json.Unmarshal(data, &name) == nil {
		return primitiveOrDecimal(name)
	}
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	switch kind.Type {
	case "struct":
		return unmarshalStruct(data, depth)
	case "array":
		var in arrayJSON
		if err := json.Unmarshal(data, &in); err != nil {
			return nil, fmt.Errorf("read array type: %w", err)
		}
		element, err := unmarshalType(in.ElementType, depth+1)
		return Array{element, in.ContainsNull}, err
	case "map":
		var in mapJSON
		if err := json.Unmarshal(data, &in); err != nil {
			return nil, fmt.Errorf("read map type: %w", err)
		}
		key, err := unmarshalType(in.KeyType, depth+1)
		if err != nil {
			return nil, err
		}
		value, err := unmarshalType(in.ValueType, depth+1)
		return Map{key, value, in.ValueContainsNull}, err
	}
	return nil, fmt.Errorf("%w: column type %q", ErrUnsupported, kind.Type)
}

func unmarshalStruct(data json.RawMessage, depth int) (DataType, error) {
	var in schemaJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("read struct type: %w", err)
	}
	out := Schema{Fields: make([]Field, len(in.Fields))}
	for i, f := range in.Fields {
		t, err := unmarshalType(f.Type, depth+1)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		out.Fields[i] = Field{f.Name, t, f.Nullable, maps.Clone(f.Metadata)}
	}
	return out, nil
}

func primitiveOrDecimal(name string) (DataType, error) {
	if _, ok := arrowPrimitives[Primitive(name)]; ok {
		return Primitive(name), nil
	}
	if name == "decimal" {
		return Decimal{10, 0}, nil
	}
	inner, isDecimal := strings.CutPrefix(name, "decimal(")
	inner, closed := strings.CutSuffix(inner, ")")
	precision, scale, both := strings.Cut(inner, ",")
	if !isDecimal || !closed || !both {
		return nil, fmt.Errorf("%w: column type %q", ErrUnsupported, name)
	}
	p, perr := strconv.Atoi(strings.TrimSpace(precision))
	s, serr := strconv.Atoi(strings.TrimSpace(scale))
	if perr != nil || serr != nil || p < 1 || p > 38 || s < 0 || s > p {
		return nil, fmt.Errorf("decimal type %q: precision is 1 to 38, scale 0 to precision", name)
	}
	return Decimal{p, s}, nil
}
