package query

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"taxilake/lakekit/delta"
)

// columnReader writes the SQL that turns the columns of data files of one shape
// into those of the table.
type columnReader struct {
	mapping delta.ColumnMapping
	shape   *shape
	refusal string // what is said of a value that cannot be read
	// utc says that days begin at midnight UTC. DuckDB casts the bounds of dates to
	// instants as if they always did, and takes rows for outside that are within.
	utc bool
}

// column reads a column of the table: NULL where the files do not have it.
func (r columnReader) column(f delta.Field) (string, error) {
	i := r.index(r.shape.columns, f)
	if i < 0 {
		return nullOf(f.Type), nil
	}
	given := r.shape.columns[i]
	r.refusal = fmt.Sprintf("%s: column %q: %v", r.refusal, f.Name, r.shape.calendar.Refusal())
	sql, err := r.value(withoutBounds(given), given.Type, f.Type, 0)
	if err != nil {
		return "", fmt.Errorf("column %q: %w", f.Name, err)
	}
	return sql, nil
}

// withoutBounds names a column of the files. DuckDB takes the bounds of a row
// group for those of all its values, but NaN, which is above all numbers, is in
// none of them, and a Bloom filter tells -0.0 from 0.0. The unary + changes
// nothing and costs nothing, is evaluated inside of the scan, and what comes out
// of it has neither.
func withoutBounds(column arrow.Field) string {
	switch column.Type.ID() {
	case arrow.FLOAT32, arrow.FLOAT64:
		return "(+" + quoteName(column.Name) + ")"
	}
	return quoteName(column.Name)
}

func nullOf(t delta.DataType) string { return "CAST(NULL AS " + duckdbType(t) + ")" }

func (r columnReader) index(given []arrow.Field, f delta.Field) int {
	return slices.IndexFunc(given, func(g arrow.Field) bool { return r.mapping.Finds(f, g.Name, fieldID(g)) })
}

func fieldID(f arrow.Field) int32 {
	text, ok := f.Metadata.GetValue("PARQUET:field_id")
	id, err := strconv.ParseInt(text, 10, 32)
	if !ok || err != nil {
		return -1
	}
	return int32(id)
}

// hasFieldIDs: without them column mapping by id finds no column.
func (s *shape) hasFieldIDs() bool {
	return slices.ContainsFunc(s.columns, func(f arrow.Field) bool { return fieldID(f) >= 0 })
}

// value reads x, which files have as given. What needs no change is x itself,
// so that DuckDB can filter in the file.
func (r columnReader) value(x string, given arrow.DataType, want delta.DataType, depth int) (string, error) {
	if r.same(given, want) {
		return x, nil
	}
	element := fmt.Sprintf("e%d", depth)
	switch want := want.(type) {
	case delta.Schema:
		if given, ok := given.(*arrow.StructType); ok {
			return r.members(x, given, want, depth)
		}
	case delta.Array:
		if given, ok := given.(*arrow.ListType); ok {
			inner, err := r.value(element, given.Elem(), want.Element, depth+1)
			return fmt.Sprintf("list_transform(%s, lambda %s: %s)", x, element, inner), err
		}
	case delta.Map:
		if given, ok := given.(*arrow.MapType); ok {
			key, err := r.value(element+".key", given.KeyType(), want.Key, depth+1)
			if err != nil {
				return "", err
			}
			value, err := r.value(element+".value", given.ItemType(), want.Value, depth+1)
			return fmt.Sprintf("CASE WHEN %s IS NOT NULL THEN map_from_entries(list_transform(map_entries(%s), lambda %s: {'key': %s, 'value': %s})) END", x, x, element, key, value), err
		}
	default:
		if least, as := r.leastTime(given); least != "" {
			// The cast: DuckDB infers from the type of error, which is that of NULL,
			// that no comparison with it is true, and drops the scan.
			x = fmt.Sprintf("CASE WHEN %s < %s THEN CAST(error(%s) AS %s) ELSE %s END", x, least, quote(r.refusal), as, x)
			if sameScalar(given, want) {
				return x, nil
			}
		}
		if given.ID() == arrow.DATE32 && !r.utc {
			if x = "(" + x + " + 0)"; want == delta.Date { // which has no bounds
				return x, nil
			}
		}
		if sql, ok := r.scalar(x, given, want); ok {
			return sql, nil
		}
	}
	return "", fmt.Errorf("%w: %s in a data file where the table has %s", delta.ErrUnsupported, given, want)
}

func (r columnReader) members(x string, given *arrow.StructType, want delta.Schema, depth int) (string, error) {
	members := make([]string, len(want.Fields))
	for i, f := range want.Fields {
		member := nullOf(f.Type)
		if j := r.index(given.Fields(), f); j >= 0 {
			from := given.Field(j)
			var err error
			if member, err = r.value(fmt.Sprintf("struct_extract(%s, %s)", x, quote(from.Name)), from.Type, f.Type, depth+1); err != nil {
				return "", fmt.Errorf("member %q: %w", f.Name, err)
			}
		}
		members[i] = quoteName(f.Name) + " := " + member
	}
	return fmt.Sprintf("CASE WHEN %s IS NOT NULL THEN struct_pack(%s) END", x, strings.Join(members, ", ")), nil
}

// same: DuckDB reads the file's type as the table's.
func (r columnReader) same(given arrow.DataType, want delta.DataType) bool {
	switch want := want.(type) {
	case delta.Schema:
		given, ok := given.(*arrow.StructType)
		if !ok || given.NumFields() != len(want.Fields) {
			return false
		}
		for i, f := range want.Fields {
			from := given.Field(i)
			if from.Name != f.Name || r.index(given.Fields(), f) != i || !r.same(from.Type, f.Type) {
				return false
			}
		}
		return true
	case delta.Array:
		given, ok := given.(*arrow.ListType)
		return ok && r.same(given.Elem(), want.Element)
	case delta.Map:
		given, ok := given.(*arrow.MapType)
		return ok && r.same(given.KeyType(), want.Key) && r.same(given.ItemType(), want.Value)
	case delta.Decimal:
		given, ok := given.(*arrow.Decimal128Type)
		return ok && int(given.Precision) == want.Precision && int(given.Scale) == want.Scale
	}
	least, _ := r.leastTime(given)
	return least == "" && (r.utc || given.ID() != arrow.DATE32) && sameScalar(given, want)
}

// leastTime is the first one of a type that is the same in the calendar of the
// file, and the type's name in DuckDB; empty where all are.
func (r columnReader) leastTime(given arrow.DataType) (least, as string) {
	switch given := given.(type) {
	case *arrow.Date32Type:
		if r.shape.calendar.Times {
			return fmt.Sprintf("DATE '1970-01-01' + (%d)", delta.SameDays), "DATE"
		}
	case *arrow.TimestampType:
		int96 := r.shape.int96 && given.Unit == arrow.Nanosecond
		switch {
		case int96 && !r.shape.calendar.INT96 || !int96 && !r.shape.calendar.Times:
		case given.TimeZone != "" && !int96:
			return fmt.Sprintf("to_timestamp(%d)", delta.SameSeconds), "TIMESTAMPTZ"
		default:
			return fmt.Sprintf("make_timestamp(%d000000)", delta.SameSeconds), "TIMESTAMP"
		}
	}
	return "", ""
}

func sameScalar(given arrow.DataType, want delta.DataType) bool {
	switch given.ID() {
	case arrow.TIMESTAMP:
		given := given.(*arrow.TimestampType)
		if given.Unit == arrow.Nanosecond {
			return false
		}
		return want == delta.Timestamp && given.TimeZone != "" || want == delta.TimestampNTZ && given.TimeZone == "" && given.Unit == arrow.Microsecond
	}
	return slices.Contains(sameTypes[given.ID()], want)
}

var sameTypes = map[arrow.Type][]delta.DataType{
	arrow.BOOL: {delta.Boolean}, arrow.STRING: {delta.String}, arrow.BINARY: {delta.Binary}, arrow.DATE32: {delta.Date},
	arrow.INT8: {delta.Byte}, arrow.INT16: {delta.Short}, arrow.INT32: {delta.Integer}, arrow.INT64: {delta.Long},
	arrow.FLOAT32: {delta.Float}, arrow.FLOAT64: {delta.Double},
}

// scalar converts what loses nothing, or fails where it would; false for all
// else.
func (r columnReader) scalar(x string, given arrow.DataType, want delta.DataType) (sql string, ok bool) {
	cast := fmt.Sprintf("CAST(%s AS %s)", x, duckdbType(want))
	_, decimal := want.(delta.Decimal)
	whole := want == delta.Long || want == delta.Integer || want == delta.Short || want == delta.Byte
	switch given := given.(type) {
	case *arrow.TimestampType:
		// DuckDB's cast between the two would go by the session's time zone.
		instant := given.TimeZone != "" && !(r.shape.int96 && given.Unit == arrow.Nanosecond)
		switch {
		case want == delta.Timestamp && instant, want == delta.TimestampNTZ && !instant:
			return cast, true
		case want == delta.Timestamp:
			return fmt.Sprintf("CAST(%s AS TIMESTAMP) AT TIME ZONE 'UTC'", x), true
		case want == delta.TimestampNTZ:
			return fmt.Sprintf("CAST(%s AS TIMESTAMPTZ) AT TIME ZONE 'UTC'", x), true
		}
	case *arrow.Decimal128Type:
		want, ok := want.(delta.Decimal)
		return cast, ok && want.Scale >= int(given.Scale)
	case *arrow.StringType:
		return fmt.Sprintf("encode(%s)", x), want == delta.Binary
	case *arrow.BinaryType:
		return fmt.Sprintf("decode(%s)", x), want == delta.String
	case *arrow.FixedSizeBinaryType:
		return cast, want == delta.Binary
	case *arrow.Date32Type:
		return cast, want == delta.TimestampNTZ
	case *arrow.NullType:
		return nullOf(want), true
	case *arrow.Float32Type:
		return cast, want == delta.Double
	}
	switch given.ID() {
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.UINT8, arrow.UINT16, arrow.UINT32:
		return cast, whole || decimal || want == delta.Double
	case arrow.INT64, arrow.UINT64:
		return cast, whole || decimal
	}
	return "", false
}
