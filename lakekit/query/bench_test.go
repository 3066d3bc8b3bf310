package query

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"taxilake/lakekit/delta"
	"taxilake/lakekit/oss"
)

// BenchmarkMeanFareByHour compares time zones with each other, and the engine
// with DuckDB on the same files: plain, and by its own functions of TIMESTAMPTZ.
func BenchmarkMeanFareByHour(b *testing.B) {
	const rows, batch = 5_000_000, 500_000
	bucket, err := oss.OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	table := create(b, bucket, taxiSchema)
	var batches []arrow.RecordBatch
	for range rows / batch {
		batches = append(batches, trips(b, batch))
	}
	appendTo(b, table, batches...)
	e := openEngine(b)
	request := tables(map[string]*delta.Table{"taxi_record": table})
	for _, zone := range []string{"UTC", "Asia/Shanghai", "America/New_York"} {
		b.Run("engine "+zone, func(b *testing.B) {
			request.TimeZone = zone
			for b.Loop() {
				r := mustQuery(b, e, "SELECT hour(pickup_datetime) AS hour, avg(fare_amount) AS fare FROM taxi_record GROUP BY hour ORDER BY hour", request)
				if len(r.Rows) != 24 {
					b.Fatalf("%d hours, want 24", len(r.Rows))
				}
			}
		})
	}
	snapshot, err := table.Snapshot(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var paths []string
	for _, add := range snapshot.Files() {
		key, err := add.Key()
		if err != nil {
			b.Fatal(err)
		}
		path, _ := oss.LocalPath(bucket, key)
		paths = append(paths, quote(path))
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for name, hour := range map[string]string{"plain": "hour(make_timestamp(epoch_us(pickup_datetime)))", "TIMESTAMPTZ": "hour(pickup_datetime)"} {
		b.Run("DuckDB "+name, func(b *testing.B) {
			statement := fmt.Sprintf("SELECT count(*) FROM (SELECT %s AS hour, avg(fare_amount) FROM read_parquet([%s]) GROUP BY hour)", hour, strings.Join(paths, ", "))
			for b.Loop() {
				var n int
				if err := db.QueryRowContext(context.Background(), statement).Scan(&n); err != nil || n != 24 {
					b.Fatalf("%d hours, %v", n, err)
				}
			}
		})
	}
}

// BenchmarkSmallest is what every statement costs: a DuckDB of its own.
func BenchmarkSmallest(b *testing.B) {
	e := openEngine(b)
	for b.Loop() {
		mustQuery(b, e, "SELECT 1", Request{})
	}
}

// BenchmarkManyFiles is what a statement costs by the number of a table's files:
// all of them read, and all but one skipped.
func BenchmarkManyFiles(b *testing.B) {
	const files = 1000
	bucket, err := oss.OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	table := create(b, bucket, taxiSchema)
	var adds []delta.Add
	for i := range files {
		written, err := table.WriteFiles(b.Context(), trips(b, i+1).NewSlice(int64(i), int64(i+1)))
		if err != nil {
			b.Fatal(err)
		}
		adds = append(adds, written...)
	}
	if _, err := table.Commit(b.Context(), delta.Commit{Operation: "WRITE", Adds: adds, BlindAppend: true}); err != nil {
		b.Fatal(err)
	}
	request := tables(map[string]*delta.Table{"t": table})
	for name, statement := range map[string]string{
		"all": "SELECT sum(fare_amount) FROM t", "one": "SELECT sum(fare_amount) FROM t WHERE pickup_datetime = '2009-06-15 17:26:21'",
	} {
		b.Run(name, func(b *testing.B) {
			e := openEngine(b)
			for b.Loop() {
				mustQuery(b, e, statement, request)
			}
		})
	}
}
