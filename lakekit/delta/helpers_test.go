package delta

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/blob"
)

// fare is a small table like the course's.
var fare = Schema{Fields: []Field{
	{Name: "id", Type: Long, Nullable: true},
	{Name: "fare_amount", Type: Double, Nullable: true},
	{Name: "pickup", Type: Timestamp, Nullable: true},
	{Name: "note", Type: String, Nullable: true},
}}

// fares are rows with ids first to first+n-1.
func fares(first, n int64) arrow.RecordBatch {
	schema, err := fare.Arrow()
	if err != nil {
		panic(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for id := first; id < first+n; id++ {
		b.Field(0).(*array.Int64Builder).Append(id)
		b.Field(1).(*array.Float64Builder).Append(float64(id%400) / 4)
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(1245172041000000 + id*1000))
		if id%10 == 0 {
			b.Field(3).AppendNull()
		} else {
			b.Field(3).(*array.StringBuilder).Append(fmt.Sprintf("fare %d", id))
		}
	}
	return b.NewRecordBatch()
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func must2[T, U any](t testing.TB) func(T, U, error) (T, U) {
	return func(v T, w U, err error) (T, U) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v, w
	}
}

func createFares(t testing.TB, bucket blob.Bucket, properties map[string]string) *Table {
	t.Helper()
	table := must[*Table](t)(Create(t.Context(), bucket, Definition{Name: "fares", Schema: fare, Properties: properties}))
	return quiet(table)
}

func openFares(t testing.TB, bucket blob.Bucket) *Table {
	t.Helper()
	table := must[*Table](t)(Open(t.Context(), bucket))
	return quiet(table)
}

// quiet keeps a table from waiting and from logging.
func quiet(table *Table) *Table {
	table.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	table.log = slog.New(slog.DiscardHandler)
	return table
}

// appendFares writes and commits rows as one blind append.
func appendFares(t testing.TB, table *Table, first, n int64) int64 {
	t.Helper()
	base := must[*Snapshot](t)(table.Snapshot(t.Context()))
	adds := must[[]Add](t)(table.WriteFiles(t.Context(), fares(first, n)))
	return must[int64](t)(table.Commit(t.Context(), Commit{Operation: "WRITE", Adds: adds, ReadVersion: base.Version(), BlindAppend: true}))
}

// ids are those of all rows, sorted.
func ids(t testing.TB, s *Snapshot) []int64 {
	t.Helper()
	return must[[]int64](t)(tryIDs(s))
}

func tryIDs(s *Snapshot) ([]int64, error) {
	out := []int64{}
	for batch, err := range s.Scan(context.Background(), ScanOptions{}) {
		if err != nil {
			return nil, err
		}
		column := batch.Column(batch.Schema().FieldIndices("id")[0]).(*array.Int64)
		out = append(out, column.Int64Values()...)
	}
	slices.Sort(out)
	return out, nil
}

func sequence(first, n int64) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = first + int64(i)
	}
	return out
}

func equalIDs(t testing.TB, got, want []int64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("rows: got %d ids %v, want %d ids %v", len(got), head(got), len(want), head(want))
	}
}

func head(values []int64) []int64 { return values[:min(20, len(values))] }
