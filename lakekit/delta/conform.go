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
	safeCasts                    // casts that lose nothing: on read, engines differ in physical types
)

// conform gives an array the exact type of the table's column. Struct members
// are matched by name, a missing one is null; lists and maps differ between
// writers in the names of their parts, which do not matter.
func conform(ctx context.Context, given arrow.Array, want arrow.DataType, how conversion) (arrow.Array, error) {
	if arrow.TypeEqual(given.DataType(), want, arrow.CheckMetadata()) {
		given.Retain()
		return given, nil
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
		if how == safeCasts {
			return compute.CastArray(ctx, given, compute.SafeCastOptions(want))
		}
	}
	return nil, fmt.Errorf("expected %s, not %s", want, given.DataType())
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
