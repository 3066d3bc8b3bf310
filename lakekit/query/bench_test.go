package query

import (
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	_ "github.com/duckdb/duckdb-go/v2" // the bare engine

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/taxi"
)

// charts are the statements of the course's charts.
var charts = []string{
	"SELECT month(pickup_datetime) AS month, count(*) AS trips FROM taxi_record GROUP BY month ORDER BY month",
	"SELECT dayofweek(pickup_datetime) AS day, count(*) AS trips FROM taxi_record GROUP BY day ORDER BY day",
	"SELECT hour(pickup_datetime) AS hour, count(*) AS trips FROM taxi_record GROUP BY hour ORDER BY hour",
	"SELECT hour(pickup_datetime) AS hour, avg(fare_amount) AS fare FROM taxi_record GROUP BY hour ORDER BY hour",
	"SELECT year(pickup_datetime) AS year, avg(fare_amount) AS fare FROM taxi_record GROUP BY year ORDER BY year",
	"SELECT year(pickup_datetime) AS year, count(*) AS trips, avg(fare_amount) AS fare FROM taxi_record GROUP BY year ORDER BY year",
	"SELECT CAST(floor(fare_amount) AS bigint) AS fare, count(*) AS trips FROM taxi_record WHERE fare_amount >= 0 AND fare_amount < 60 GROUP BY fare ORDER BY fare",
}

// BenchmarkCharts asks all charts of a table of 10 M rows, in turn with DuckDB on
// the bare Parquet files. DuckDB takes pickup_datetime as a timestamp without a
// zone there: its functions of TIMESTAMPTZ are several times slower than ours.
// "of-duckdb" is our time over that of a DuckDB that stays open and so keeps what
// it has read, "of-new-duckdb" over one opened for the statement, as ours is.
func BenchmarkCharts(b *testing.B) {
	const rows, batch = 10_000_000, 500_000
	bucket, err := blob.OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	table := create(b, bucket, taxiSchema)
	for first := int64(0); first < rows; first += batch {
		appendTo(b, table, generated(b, first, batch))
	}
	bare, err := sql.Open("duckdb", "")
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	files := localFiles(b, bucket, table)
	for _, zone := range []string{"UTC", "Asia/Shanghai", "America/New_York"} {
		b.Run(zone, func(b *testing.B) {
			e := openEngine(b)
			request := tables(map[string]*delta.Table{"taxi_record": table})
			request.TimeZone = zone
			var ours, theirs, anew time.Duration
			for b.Loop() {
				for _, chart := range charts {
					began := time.Now()
					if r := mustQuery(b, e, chart, request); len(r.Rows) < 7 {
						b.Fatalf("%d rows: %s", len(r.Rows), chart)
					}
					ours += time.Since(began)
					chart = strings.NewReplacer("pickup_datetime", "make_timestamp(epoch_us(pickup_datetime))", "taxi_record", files).Replace(chart)
					began = time.Now()
					drain(b, bare, chart)
					theirs += time.Since(began)
					began = time.Now()
					drainAnew(b, chart)
					anew += time.Since(began)
				}
			}
			b.ReportMetric(ours.Seconds()/theirs.Seconds(), "of-duckdb")
			b.ReportMetric(ours.Seconds()/anew.Seconds(), "of-new-duckdb")
			b.ReportMetric(1e3*ours.Seconds()/float64(b.N*len(charts)), "ms/chart")
		})
	}
}

// generated are rows of the taxi generator.
func generated(t testing.TB, first, n int64) arrow.RecordBatch {
	t.Helper()
	schema, err := taxiSchema.Arrow()
	if err != nil {
		t.Fatal(err)
	}
	generator, err := taxi.NewGenerator(1)
	if err != nil {
		t.Fatal(err)
	}
	rows := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer rows.Release()
	var record taxi.Record
	for row := first; row < first+n; row++ {
		generator.Record(row, &record)
		rows.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(record.PickupDatetime * 1e6))
		rows.Field(1).(*array.Float64Builder).Append(record.FareAmount)
		rows.Field(2).(*array.Int32Builder).Append(record.PassengerCount)
	}
	return rows.NewRecordBatch()
}

// localFiles is the table's Parquet files as a table function of DuckDB.
func localFiles(t testing.TB, bucket blob.Bucket, table *delta.Table) string {
	t.Helper()
	snapshot, err := table.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, add := range snapshot.Files() {
		key, err := add.Key()
		if err != nil {
			t.Fatal(err)
		}
		path, _ := blob.LocalPath(bucket, key)
		paths = append(paths, quote(path))
	}
	return "read_parquet([" + strings.Join(paths, ", ") + "])"
}

func drainAnew(t testing.TB, statement string) {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	drain(t, db, statement)
}

func drain(t testing.TB, db *sql.DB, statement string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkSmallest is what every statement costs: a DuckDB of its own in a
// process of its own, in turn with a DuckDB opened in this process.
func BenchmarkSmallest(b *testing.B) {
	e := openEngine(b)
	var ours, anew []time.Duration
	for b.Loop() {
		began := time.Now()
		mustQuery(b, e, "SELECT 1", Request{})
		ours = append(ours, time.Since(began))
		began = time.Now()
		drainAnew(b, "SELECT 1")
		anew = append(anew, time.Since(began))
	}
	slices.Sort(ours)
	slices.Sort(anew)
	b.ReportMetric(ours[len(ours)/2].Seconds()/anew[len(anew)/2].Seconds(), "of-new-duckdb")
	b.ReportMetric(1e3*ours[len(ours)/2].Seconds(), "ms/statement")
}

// BenchmarkRows is what a row costs on its way from the process of the statement:
// 3 M of them as for a CSV file, in turn with DuckDB's rows in this process.
func BenchmarkRows(b *testing.B) {
	const statement = "SELECT range AS id, range / 7 AS fare, 'trip ' || range AS name, make_timestamp(range * 1000000) AS at FROM range(3000000)"
	bare, err := sql.Open("duckdb", "")
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	e := openEngine(b)
	var ours, theirs time.Duration
	for b.Loop() {
		began, n := time.Now(), 0
		mustQuery(b, e, statement, Request{Each: func(part *api.Result) error { n += len(part.Rows); return nil }})
		if ours += time.Since(began); n != 3_000_000 {
			b.Fatalf("%d rows", n)
		}
		began = time.Now()
		drain(b, bare, statement)
		theirs += time.Since(began)
	}
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "of-duckdb")
}

// BenchmarkManyFiles is what a statement costs by the number of a table's files:
// all of them read, and all but one skipped.
func BenchmarkManyFiles(b *testing.B) {
	const files = 1000
	bucket, err := blob.OpenDir(b.TempDir())
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
