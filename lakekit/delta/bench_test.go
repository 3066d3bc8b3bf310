package delta

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"taxilake/lakekit/blob"
)

// ride is the course's record.
var ride = Schema{[]Field{
	{Name: "key", Type: Timestamp, Nullable: true}, {Name: "fare_amount", Type: Double, Nullable: true}, {Name: "pickup_datetime", Type: Timestamp, Nullable: true},
	{Name: "pickup_longitude", Type: Double, Nullable: true}, {Name: "pickup_latitude", Type: Double, Nullable: true},
	{Name: "dropoff_longitude", Type: Double, Nullable: true}, {Name: "dropoff_latitude", Type: Double, Nullable: true}, {Name: "passenger_count", Type: Integer, Nullable: true},
}}

func rides(n int) arrow.RecordBatch {
	schema, _ := ride.Arrow()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	state := uint64(1)
	next := func(bound uint64) uint64 {
		state = state*6364136223846793005 + 1442695040888963407
		return state >> 33 % bound
	}
	for range n {
		at := arrow.Timestamp(1245172041000000 + int64(next(1<<31))*1000000)
		b.Field(0).(*array.TimestampBuilder).Append(at + arrow.Timestamp(next(1000000)))
		b.Field(1).(*array.Float64Builder).Append(float64(next(500)) / 10)
		b.Field(2).(*array.TimestampBuilder).Append(at)
		for i, base := range []float64{-73.9, 40.7, -73.9, 40.7} {
			b.Field(3 + i).(*array.Float64Builder).Append(base + float64(next(1000000))/1e7)
		}
		b.Field(7).(*array.Int32Builder).Append(int32(next(6)))
	}
	return b.NewRecordBatch()
}

func rows(b *testing.B, n int) {
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

const benchRows = 100_000

// BenchmarkWriteFiles against the bare encoder with its default settings.
func BenchmarkWriteFiles(b *testing.B) {
	batch := rides(benchRows)
	b.Run("arrow-go", func(b *testing.B) {
		for b.Loop() {
			var out bytes.Buffer
			properties := must[*parquet.WriterProperties](b)(writerProperties("test", "snappy", batch.Schema(), nil))
			w := must[*pqarrow.FileWriter](b)(pqarrow.NewFileWriter(batch.Schema(), &out, properties, arrowWriterProperties))
			if err := w.WriteBuffered(batch); err != nil {
				b.Fatal(err)
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
		}
		rows(b, benchRows)
	})
	for _, codec := range []string{"snappy", "zstd"} {
		b.Run(codec, func(b *testing.B) {
			table := must[*Table](b)(Create(b.Context(), blob.NewMemory("lake"), Definition{Schema: ride, Properties: map[string]string{CompressionCodecKey: codec}}))
			var size int64
			for b.Loop() {
				size = must[[]Add](b)(table.WriteFiles(b.Context(), batch))[0].Size
			}
			rows(b, benchRows)
			b.ReportMetric(float64(size)/benchRows, "B/row")
		})
	}
}

// BenchmarkScan against reading the same file with arrow-go alone.
func BenchmarkScan(b *testing.B) {
	for _, codec := range []string{"snappy", "zstd"} {
		bucket := blob.NewMemory("lake")
		table := must[*Table](b)(Create(b.Context(), bucket, Definition{Schema: ride, Properties: map[string]string{CompressionCodecKey: codec}}))
		adds := must[[]Add](b)(table.WriteFiles(b.Context(), rides(benchRows)))
		must[int64](b)(table.Commit(b.Context(), Commit{Operation: "WRITE", Adds: adds, BlindAppend: true}))
		s := must[*Snapshot](b)(table.Snapshot(b.Context()))
		content := must[[]byte](b)(blob.ReadAll(b.Context(), bucket, adds[0].Path))
		b.Run(codec+"/arrow-go", func(b *testing.B) {
			for b.Loop() {
				must[arrow.Table](b)(pqarrow.ReadTable(b.Context(), bytes.NewReader(content), nil, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)).Release()
			}
			rows(b, benchRows)
		})
		b.Run(codec+"/scan", func(b *testing.B) {
			for b.Loop() {
				for _, err := range s.Scan(b.Context(), ScanOptions{}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			rows(b, benchRows)
		})
	}
}

// BenchmarkOptimize rewrites 20 files of 50,000 rows, in MB of Parquet a
// second.
func BenchmarkOptimize(b *testing.B) {
	for _, zOrderBy := range [][]string{nil, {"pickup_longitude", "pickup_latitude"}} {
		b.Run(strings.Join(append([]string{"zorder"}, zOrderBy...), "-"), func(b *testing.B) {
			var bytes int64
			for b.Loop() {
				b.StopTimer()
				table := must[*Table](b)(Create(b.Context(), blob.NewMemory("lake"), Definition{Schema: ride}))
				for range 20 {
					must[int64](b)(table.Append(b.Context(), AppendOptions{}, rides(50_000)))
				}
				b.StartTimer()
				bytes += must[CompactResult](b)(table.Optimize(b.Context(), OptimizeOptions{ZOrderBy: zOrderBy})).BytesRemoved
			}
			rows(b, 1_000_000)
			b.ReportMetric(float64(bytes)/b.Elapsed().Seconds()/1e6, "MB/s")
		})
	}
}

// BenchmarkSnapshot loads a table of that many commits: by JSON alone, from a
// checkpoint, and by one commit more than is known.
func BenchmarkSnapshot(b *testing.B) {
	const stats = `{"numRecords":10000,"minValues":{"key":"2009-01-01T00:00:00.000Z","fare_amount":2.5},"maxValues":{"key":"2015-06-30T00:00:00.000Z","fare_amount":250},"nullCount":{"key":0,"fare_amount":0}}`
	for _, commits := range []int64{10, 1000} {
		bucket := blob.NewMemory("lake")
		table := quiet(must[*Table](b)(Create(b.Context(), bucket, Definition{Schema: ride, Properties: map[string]string{CheckpointIntervalKey: "1000000"}})))
		for i := range commits {
			add := Add{Path: fmt.Sprintf("part-%d.parquet", i), Size: 1 << 20, ModificationTime: time.Now().UnixMilli(), DataChange: true, Stats: stats}
			must[int64](b)(table.Commit(b.Context(), Commit{Operation: "WRITE", Adds: []Add{add}, ReadVersion: i, BlindAppend: true}))
		}
		load := func(b *testing.B) {
			for b.Loop() {
				must[*Table](b)(Open(b.Context(), bucket))
			}
		}
		b.Run(fmt.Sprintf("%d/json", commits), load)
		known := must[*Snapshot](b)(table.SnapshotAt(b.Context(), commits-1))
		b.Run(fmt.Sprintf("%d/update", commits), func(b *testing.B) {
			for b.Loop() {
				must[*Snapshot](b)(table.update(b.Context(), known))
			}
		})
		if err := table.Checkpoint(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("%d/checkpoint", commits), load)
	}
}
