package taxi

import (
	"context"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// parquetSchema keeps the key as text, so that its counter is not lost.
var parquetSchema = arrow.NewSchema([]arrow.Field{
	{Name: "key", Type: arrow.BinaryTypes.String},
	{Name: "fare_amount", Type: arrow.PrimitiveTypes.Float64},
	{Name: "pickup_datetime", Type: arrow.FixedWidthTypes.Timestamp_us},
	{Name: "pickup_longitude", Type: arrow.PrimitiveTypes.Float64},
	{Name: "pickup_latitude", Type: arrow.PrimitiveTypes.Float64},
	{Name: "dropoff_longitude", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "dropoff_latitude", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "passenger_count", Type: arrow.PrimitiveTypes.Int32},
}, nil)

const (
	// rowsPerRowGroup bounds what writer and reader hold in memory.
	rowsPerRowGroup = 128 << 10
	rowsPerBatch    = 8 << 10
)

func (g *Generator) writeParquet(ctx context.Context, w io.Writer, fromRow, n int64) (err error) {
	file, err := pqarrow.NewFileWriter(parquetSchema, onlyWriter{w}, parquet.NewWriterProperties(
		parquet.WithCreatedBy("taxilake"),
		// Snappy's output depends on the machine, zstd's does not.
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1),
		parquet.WithMaxRowGroupLength(rowsPerRowGroup),
		// Only passengers and fares repeat themselves.
		parquet.WithDictionaryDefault(false), parquet.WithDictionaryFor("passenger_count", true), parquet.WithDictionaryFor("fare_amount", true),
	), pqarrow.DefaultWriterProps())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	batch := newParquetBatch()
	defer batch.builder.Release()
	var r Record
	for row := int64(0); row < n; row++ {
		g.Record(fromRow+row, &r)
		batch.append(&r)
		if batch.rows < rowsPerBatch && row < n-1 {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		rows := batch.take()
		err := file.WriteBuffered(rows)
		rows.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// onlyWriter hides that a file can be closed: the Parquet library would.
type onlyWriter struct{ io.Writer }

// parquetBatch collects records by column.
type parquetBatch struct {
	builder    *array.RecordBuilder
	rows       int
	key        *array.StringBuilder
	pickup     *array.TimestampBuilder
	floats     [5]*array.Float64Builder
	passengers *array.Int32Builder
}

func newParquetBatch() *parquetBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, parquetSchema)
	float := func(column int) *array.Float64Builder { return b.Field(column).(*array.Float64Builder) }
	return &parquetBatch{
		builder:    b,
		key:        b.Field(columnKey).(*array.StringBuilder),
		pickup:     b.Field(columnPickupDatetime).(*array.TimestampBuilder),
		floats:     [5]*array.Float64Builder{float(columnFareAmount), float(columnPickupLongitude), float(columnPickupLatitude), float(columnDropoffLongitude), float(columnDropoffLatitude)},
		passengers: b.Field(columnPassengerCount).(*array.Int32Builder),
	}
}

func (b *parquetBatch) append(r *Record) {
	b.key.BinaryBuilder.Append(r.Key)
	b.pickup.Append(arrow.Timestamp(r.PickupDatetime * 1e6))
	for i, v := range [...]NullFloat64{{r.FareAmount, true}, {r.PickupLongitude, true}, {r.PickupLatitude, true}, r.DropoffLongitude, r.DropoffLatitude} {
		if v.Valid {
			b.floats[i].Append(v.Float64)
		} else {
			b.floats[i].AppendNull()
		}
	}
	b.passengers.Append(r.PassengerCount)
	b.rows++
}

func (b *parquetBatch) take() arrow.RecordBatch {
	b.rows = 0
	return b.builder.NewRecordBatch()
}
