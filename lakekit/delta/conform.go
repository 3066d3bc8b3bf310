package delta

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// conversion is what conform may do to a primitive of another type.
type conversion int

const (
	exactTypes conversion = iota // nothing: on write, a wrong type is a bug of the caller
	safeCasts                    // casts that lose nothing: of files that are rewritten
	readCasts                    // these, and what is below a microsecond is cut off, as query does
)

// conform gives an array the exact type of the table's column. Struct members
// are matched by name, a missing one is null; lists and maps differ between
// writers in the names of their parts, which do not matter.
func conform(ctx context.Context, given arrow.Array, want arrow.DataType, how conversion) (arrow.Array, error) {
	if arrow.TypeEqual(given.DataType(), want, arrow.CheckMetadata()) {
		given.Retain()
		return given, nil
	}
	if given.DataType() == arrow.DataType(rawInt96) {
		return int96Micros(given.Data(), want)
	}
	switch want := want.(type) {
	case *arrow.StructType:
		if given, ok := given.(*array.Struct); ok {
			return conformStruct(ctx, given, want, how)
		}
	case *arrow.ListType:
		if given, ok := given.(*array.List); ok {
			return conformChildren(ctx, given, want, how, want.Elem())
		}
	case *arrow.MapType:
		if given, ok := given.(*array.Map); ok {
			return conformChildren(ctx, given, want, how, want.Elem())
		}
	default:
		if how != exactTypes && losesNothing(given.DataType(), want) {
			options := compute.SafeCastOptions(want)
			options.AllowTimeTruncate = how == readCasts
			return compute.CastArray(ctx, given, options)
		}
	}
	return nil, fmt.Errorf("expected %s, not %s", want, given.DataType())
}

// losesNothing tells whether values of a type in a file are those of the
// table's, or fail to be cast; package query reads the same ones.
func losesNothing(from, to arrow.DataType) bool {
	whole := arrow.IsSignedInteger(to.ID())
	switch from.ID() {
	case arrow.NULL:
		return true
	case arrow.TIMESTAMP:
		return to.ID() == arrow.TIMESTAMP
	case arrow.DATE32:
		to, ok := to.(*arrow.TimestampType)
		return ok && to.TimeZone == ""
	case arrow.DECIMAL128:
		to, ok := to.(*arrow.Decimal128Type)
		return ok && to.Scale >= from.(*arrow.Decimal128Type).Scale
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.UINT8, arrow.UINT16, arrow.UINT32:
		return whole || to.ID() == arrow.DECIMAL128 || to.ID() == arrow.FLOAT64
	case arrow.INT64, arrow.UINT64:
		return whole || to.ID() == arrow.DECIMAL128
	case arrow.FLOAT32:
		return to.ID() == arrow.FLOAT64
	case arrow.STRING, arrow.FIXED_SIZE_BINARY:
		return to.ID() == arrow.BINARY
	case arrow.BINARY:
		return to.ID() == arrow.STRING
	}
	return false
}

func conformStruct(ctx context.Context, given *array.Struct, want *arrow.StructType, how conversion) (arrow.Array, error) {
	data, from := given.Data(), given.DataType().(*arrow.StructType)
	members := make([]arrow.ArrayData, want.NumFields())
	matched := 0
	for i, f := range want.Fields() {
		index := -1
		for j, g := range from.Fields() {
			if strings.EqualFold(g.Name, f.Name) {
				index = j
			}
		}
		if index < 0 {
			members[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, data.Offset()+data.Len()).Data()
			continue
		}
		matched++
		member, err := conform(ctx, array.MakeFromData(data.Children()[index]), f.Type, how)
		if err != nil {
			return nil, fmt.Errorf("member %q: %w", f.Name, err)
		}
		members[i] = member.Data()
	}
	if how == exactTypes && matched != from.NumFields() {
		return nil, fmt.Errorf("expected %s, not %s", want, from)
	}
	return array.MakeFromData(array.NewData(want, data.Len(), data.Buffers(), members, data.NullN(), data.Offset())), nil
}

// conformChildren conforms the only child of a list or map, which for a map is
// the struct of key and value.
func conformChildren(ctx context.Context, given arrow.Array, want arrow.DataType, how conversion, childType arrow.DataType) (arrow.Array, error) {
	data := given.Data()
	child := array.MakeFromData(data.Children()[0])
	if entries, ok := child.(*array.Struct); ok && want.ID() == arrow.MAP {
		// By position: "key_value", "entries" and "map" all have key and value.
		renamed := arrow.StructOf(
			arrow.Field{Name: "key", Type: entries.Field(0).DataType()},
			arrow.Field{Name: "value", Type: entries.Field(1).DataType(), Nullable: true})
		d := entries.Data()
		child = array.MakeFromData(array.NewData(renamed, d.Len(), d.Buffers(), d.Children(), d.NullN(), d.Offset()))
	}
	conformed, err := conform(ctx, child, childType, how)
	if err != nil {
		return nil, err
	}
	return array.MakeFromData(array.NewData(want, data.Len(), data.Buffers(), []arrow.ArrayData{conformed.Data()}, data.NullN(), data.Offset())), nil
}
