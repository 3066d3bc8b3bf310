package delta

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// INT96 is how Spark and Impala write timestamps unless told otherwise: eight
// bytes of nanoseconds in the day, four of the Julian day. Arrow's decoder makes
// int64 nanoseconds of them, which end in the years 1677 and 2262, while 0001
// and 9999 are what many systems write for "never".

// rawInt96 marks timestamps whose buffer holds INT96, 12 bytes a value.
var rawInt96 = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "INT96"}

// readInt96Raw has INT96 columns read as rawInt96: of a timestamp in
// microseconds the decoder takes the values as they lie in the file.
func readInt96Raw(fields []pqarrow.SchemaField, columns *schema.Schema) {
	for _, f := range fields {
		if f.IsLeaf() && columns.Column(f.ColIndex).PhysicalType() == parquet.Types.Int96 {
			f.Field.Type = rawInt96
		}
		readInt96Raw(f.Children, columns)
	}
}

const (
	julianEpoch  = 2440588 // the Julian day of 1970-01-01
	microsPerDay = 24 * 60 * 60 * 1_000_000
)

// int96Micros gives rawInt96 timestamps another type of microseconds. What is
// below a microsecond is cut off, as in Spark.
func int96Micros(given arrow.ArrayData, want arrow.DataType) (arrow.Array, error) {
	to, ok := want.(*arrow.TimestampType)
	if !ok || to.Unit != arrow.Microsecond {
		return nil, fmt.Errorf("expected %s, not INT96 timestamps", want)
	}
	raw := given.Buffers()[1].Bytes()
	if len(raw) < (given.Offset()+given.Len())*parquet.Int96SizeBytes {
		return nil, errors.New("INT96 timestamps did not come as such from the Parquet decoder")
	}
	column := array.MakeFromData(given)
	defer column.Release()
	b := array.NewTimestampBuilder(memory.DefaultAllocator, to)
	defer b.Release()
	b.Reserve(given.Len())
	for i := range given.Len() {
		if column.IsNull(i) {
			b.UnsafeAppendBoolToBitmap(false)
			continue
		}
		value := raw[(given.Offset()+i)*parquet.Int96SizeBytes:]
		nanos, day := binary.LittleEndian.Uint64(value), int64(binary.LittleEndian.Uint32(value[8:]))
		days := day - julianEpoch
		if nanos >= microsPerDay*1000 || days > math.MaxInt64/microsPerDay-1 || days < math.MinInt64/microsPerDay+1 {
			return nil, fmt.Errorf("INT96 timestamp of Julian day %d and %d nanoseconds is beyond microseconds since 1970", day, nanos)
		}
		b.UnsafeAppend(arrow.Timestamp(days*microsPerDay + int64(nanos/1000)))
	}
	return b.NewArray(), nil
}
