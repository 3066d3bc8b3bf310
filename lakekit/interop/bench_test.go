package interop_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/delta"
)

// rounds is how often delta-rs does what a benchmark times; the median counts.
const rounds = 5

// against reports, beside our time, that of delta-rs for the same and how many
// times as long it took.
func against(b *testing.B, r request) {
	b.Helper()
	ours := b.Elapsed().Seconds() / float64(b.N)
	b.StopTimer()
	r["times"] = rounds
	var took []float64
	deltaRS.ask(b, r, &took)
	slices.Sort(took)
	theirs := took[len(took)/2]
	b.ReportMetric(theirs*float64(time.Second), "delta-rs-ns/op")
	b.ReportMetric(theirs/ours, "delta-rs/ours")
}

// BenchmarkSnapshot opens a table and lists its files: of that many commits
// with a file each, and of that many files in a checkpoint.
func BenchmarkSnapshot(b *testing.B) {
	for _, table := range []struct {
		name           string
		commits, files int // files of each commit
		checkpoint     bool
	}{
		{"10 commits", 10, 1, false},
		{"1,000 commits", 1000, 1, false},
		{"1,000 files in a checkpoint", 10, 100, true},
		{"100,000 files in a checkpoint", 100, 1000, true},
	} {
		b.Run(table.name, func(b *testing.B) {
			deltaRS.need(b)
			dir := b.TempDir()
			made := create(b, dir, delta.Definition{Schema: rideSchema, Properties: map[string]string{delta.CheckpointIntervalKey: "1000000"}})
			const stats = `{"numRecords":10000,"minValues":{"id":%d,"pickup_datetime":"2009-01-01T00:00:00.000Z","fare_amount":2.5},"maxValues":{"id":%d,"pickup_datetime":"2015-06-30T00:00:00.000Z","fare_amount":250},"nullCount":{"id":0,"pickup_datetime":0,"fare_amount":0}}`
			for i := range table.commits {
				adds := make([]delta.Add, table.files)
				for f := range adds {
					n := i*table.files + f
					adds[f] = delta.Add{Path: fmt.Sprintf("part-%05d-2d0e9f0c-3c86-4f3e-bb0b-7c6f2f9f9d4a.snappy.parquet", n), Size: 1 << 20, ModificationTime: 1245172041000, DataChange: true, Stats: fmt.Sprintf(stats, n*10000, n*10000+9999)}
				}
				must[int64](b)(made.Commit(b.Context(), delta.Commit{Operation: "WRITE", Adds: adds, ReadVersion: int64(i), BlindAppend: true}))
			}
			if table.checkpoint {
				if err := made.Checkpoint(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if files := snapshot(b, open(b, dir)).Files(); len(files) != table.commits*table.files {
					b.Fatalf("%d files", len(files))
				}
			}
			against(b, request{"op": "load_snapshot", "path": dir})
		})
	}
}

const benchRows = 1_000_000

// BenchmarkAppend writes a million rides to a new table in a local folder.
func BenchmarkAppend(b *testing.B) {
	deltaRS.need(b)
	batch := rides(b, benchRows)
	rows := write(b, batch)
	var number int
	for b.Loop() {
		number++
		table := create(b, filepath.Join(b.TempDir(), fmt.Sprint(number)), delta.Definition{Schema: rideSchema, Properties: map[string]string{delta.CompressionCodecKey: "snappy"}})
		must[int64](b)(table.Append(b.Context(), delta.AppendOptions{}, batch))
	}
	against(b, request{"op": "time_append", "path": filepath.Join(b.TempDir(), "theirs"), "rows": rows})
}

// BenchmarkScan reads all columns of a million rides, in 20 files.
func BenchmarkScan(b *testing.B) {
	deltaRS.need(b)
	dir := b.TempDir()
	table := create(b, dir, delta.Definition{Schema: rideSchema, Properties: map[string]string{delta.CompressionCodecKey: "snappy"}})
	const files = 20
	for range files {
		must[int64](b)(table.Append(b.Context(), delta.AppendOptions{}, rides(b, benchRows/files)))
	}
	for b.Loop() {
		var n int64
		for batch, err := range snapshot(b, open(b, dir)).Scan(b.Context(), delta.ScanOptions{}) {
			if err != nil {
				b.Fatal(err)
			}
			n += batch.NumRows()
		}
		if n != benchRows {
			b.Fatalf("%d rows", n)
		}
	}
	against(b, request{"op": "time_read", "path": dir, "want": benchRows})
}

var rideSchema = schema("id", delta.Long, "fare_amount", delta.Double, "pickup_datetime", delta.Timestamp,
	"pickup_longitude", delta.Double, "pickup_latitude", delta.Double, "dropoff_longitude", delta.Double, "dropoff_latitude", delta.Double, "passenger_count", delta.Integer)

// rides are rows like the course's, always the same ones.
func rides(b *testing.B, n int) arrow.RecordBatch {
	b.Helper()
	builder := array.NewRecordBuilder(memory.DefaultAllocator, must[*arrow.Schema](b)(rideSchema.Arrow()))
	state := uint64(1)
	next := func(bound uint64) uint64 {
		state = state*6364136223846793005 + 1442695040888963407
		return state >> 33 % bound
	}
	for i := range n {
		builder.Field(0).(*array.Int64Builder).Append(int64(i))
		builder.Field(1).(*array.Float64Builder).Append(float64(next(500)) / 10)
		builder.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(1245172041000000 + int64(next(1<<31))*1000000))
		for f, base := range []float64{-73.9, 40.7, -73.9, 40.7} {
			builder.Field(3 + f).(*array.Float64Builder).Append(base + float64(next(1000000))/1e7)
		}
		builder.Field(7).(*array.Int32Builder).Append(int32(next(6)))
	}
	return builder.NewRecordBatch()
}
