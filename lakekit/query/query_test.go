package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
)

var taxiSchema = delta.Schema{Fields: []delta.Field{
	{Name: "pickup_datetime", Type: delta.Timestamp, Nullable: true},
	{Name: "fare_amount", Type: delta.Double, Nullable: true},
	{Name: "passenger_count", Type: delta.Integer, Nullable: true},
}}

// trips are rows one hour apart from 2009-06-15 17:26:21 UTC on, with fares of
// 2.50 and up.
func trips(t testing.TB, n int) arrow.RecordBatch {
	t.Helper()
	schema, err := taxiSchema.Arrow()
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	start := time.Date(2009, 6, 15, 17, 26, 21, 0, time.UTC)
	for i := range n {
		b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(start.Add(time.Duration(i) * time.Hour).UnixMicro()))
		b.Field(1).(*array.Float64Builder).Append(2.5 + float64(i%100))
		b.Field(2).(*array.Int32Builder).Append(int32(1 + i%6))
	}
	return b.NewRecordBatch()
}

func create(t testing.TB, bucket blob.Bucket, schema delta.Schema, partitionBy ...string) *delta.Table {
	t.Helper()
	table, err := delta.Create(t.Context(), bucket, delta.Definition{Name: "taxi_record", Schema: schema, PartitionBy: partitionBy})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func appendTo(t testing.TB, table *delta.Table, batches ...arrow.RecordBatch) {
	t.Helper()
	adds, err := table.WriteFiles(t.Context(), batches...)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := table.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Commit(t.Context(), delta.Commit{Operation: "WRITE", Adds: adds, ReadVersion: snapshot.Version(), BlindAppend: true}); err != nil {
		t.Fatal(err)
	}
}

func tables(known map[string]*delta.Table) Request {
	r := Request{Tables: func(_ context.Context, name string) (*delta.Table, error) {
		for n, table := range known {
			if strings.EqualFold(n, name) {
				return table, nil
			}
		}
		return nil, fmt.Errorf("%s: %w", name, ErrUnknownTable)
	}}
	r.TableNames = func(context.Context) []string { return slices.Collect(maps.Keys(known)) }
	return r
}

func mustQuery(t testing.TB, e *Engine, statement string, r Request) *api.Result {
	t.Helper()
	result, err := e.Query(t.Context(), statement, r)
	if err != nil {
		t.Fatalf("%s\n%v", statement, err)
	}
	return result
}

// TestTables runs the same statements over a table of local files, over one
// below a symbolic link, and over one that has to be fetched.
func TestTables(t *testing.T) {
	dir := func(t *testing.T, root string) blob.Bucket {
		b, err := blob.OpenDir(root)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	buckets := map[string]func(t *testing.T) blob.Bucket{
		"local": func(t *testing.T) blob.Bucket {
			root := filepath.Join(t.TempDir(), "it's a lake")
			if err := os.Mkdir(root, 0o700); err != nil {
				t.Fatal(err)
			}
			return dir(t, root)
		},
		"remote": func(*testing.T) blob.Bucket { return blob.Prefix(blob.NewMemory("lake"), "delta/taxi_record/") },
		"symbolic link": func(t *testing.T) blob.Bucket {
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(t.TempDir(), link); err != nil {
				t.Fatal(err)
			}
			return dir(t, link)
		},
	}
	statements := []struct{ sql, want string }{
		{"SELECT count(*) AS x FROM taxi_record", "30"},
		{"SELECT count(*) AS x FROM Taxi_Record;", "30"},
		{"SELECT count(*) AS x FROM `taxi_record` -- all of them", "30"},
		{"SELECT count(taxi_record.fare_amount) AS x FROM taxi_record", "30"},
		{"FROM taxi_record SELECT sum(passenger_count) AS x", "93"},
		{"SELECT count(*) AS x FROM delta.`oss://lake/delta/taxi_record`", "30"},
		{"SELECT count(*) AS x FROM delta.`oss://lake/delta/taxi_record` AS t WHERE t.fare_amount > 3", "27"},
		{"SELECT count(*) AS x FROM taxi_record VERSION AS OF 1", "10"},
		{"SELECT count(taxi_record.fare_amount) AS x FROM taxi_record FOR VERSION AS OF '1'", "10"},
		{"SELECT count(*) AS x FROM taxi_record VERSION AS OF 0", "0"},
		{"SELECT sum(fare_amount) AS x FROM taxi_record version as of 0", "NULL"},
		{"SELECT count(*) AS x FROM taxi_record TIMESTAMP AS OF '2100-01-01'", "30"},
		{"SELECT (SELECT count(*) FROM taxi_record) - (SELECT count(*) FROM taxi_record VERSION AS OF 1) AS x", "20"},
		{"SELECT count(*) AS x FROM taxi_record a JOIN taxi_record VERSION AS OF 1 b ON a.pickup_datetime = b.pickup_datetime", "30"},
		{"WITH taxi_record AS (SELECT * FROM taxi_record WHERE fare_amount < 3) SELECT count(*) AS x FROM taxi_record", "3"},
		{"WITH a AS (SELECT 1 AS n), b AS (SELECT n + 1 AS n FROM a) SELECT n AS x FROM b", "2"},
		{"WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT max(n) AS x FROM r", "5"},
		{"SELECT x FROM (VALUES (7)) v(x)", "7"},
		{"SELECT hour(min(pickup_datetime)) AS x FROM taxi_record", "17"},
		{"SELECT count(*) AS x FROM taxi_record WHERE pickup_datetime < TIMESTAMP '2009-06-15 18:00:00'", "3"},
		{"SELECT `fare_amount` AS x FROM taxi_record ORDER BY `fare_amount` DESC LIMIT 1", "11.5"},
		{"SELECT column_type AS x FROM (DESCRIBE taxi_record) WHERE column_name = 'fare_amount'", "DOUBLE"},
		{"SELECT date_format(pickup_datetime, 'yyyy-MM') AS x FROM taxi_record GROUP BY ALL", "2009-06"},
	}
	for name, open := range buckets {
		t.Run(name, func(t *testing.T) {
			table := create(t, open(t), taxiSchema)
			appendTo(t, table, trips(t, 10))
			appendTo(t, table, trips(t, 10))
			appendTo(t, table, trips(t, 10))
			e := openEngine(t)
			request := tables(map[string]*delta.Table{"taxi_record": table, "oss://lake/delta/taxi_record": table})
			for _, s := range statements {
				r := mustQuery(t, e, s.sql, request)
				if got := r.Strings("x")[0]; got != s.want {
					t.Errorf("%s\nis %s, want %s", s.sql, got, s.want)
				}
			}
		})
	}
}

func TestResultSaysWhatWasRead(t *testing.T) {
	table := create(t, blob.NewMemory("lake"), taxiSchema)
	appendTo(t, table, trips(t, 5))
	appendTo(t, table, trips(t, 5))
	r := mustQuery(t, openEngine(t), "SELECT * FROM trips ORDER BY pickup_datetime",
		Request{TimeZone: "Asia/Shanghai", MaxRows: 4, Tables: tables(map[string]*delta.Table{"trips": table}).Tables})
	want := []api.TableRead{{Name: "trips", URI: table.URI(), Version: 2, Files: 2, Rows: 10}}
	if !reflect.DeepEqual(r.Tables, want) {
		t.Errorf("tables are %+v, want %+v", r.Tables, want)
	}
	if len(r.Rows) != 4 || !r.Truncated {
		t.Errorf("%d rows, truncated %t; want 4, true", len(r.Rows), r.Truncated)
	}
	columns := []api.Column{{Name: "pickup_datetime", Type: "timestamp"}, {Name: "fare_amount", Type: "double"}, {Name: "passenger_count", Type: "int"}}
	if !reflect.DeepEqual(r.Columns, columns) {
		t.Errorf("columns are %v, want %v", r.Columns, columns)
	}
	if got := r.Strings("pickup_datetime")[0]; got != "2009-06-16 01:26:21" {
		t.Errorf("the first pickup is %s in Shanghai, want 2009-06-16 01:26:21", got)
	}
	if r.Elapsed <= 0 {
		t.Error("elapsed is not set")
	}
}

func TestRowsInParts(t *testing.T) {
	e := openEngine(t)
	for rows, want := range map[int][]int{0: {0}, 1: {1}, partRows: {partRows}, 2*partRows + 5: {partRows, partRows, 5}} {
		var sizes, values []int
		r := mustQuery(t, e, fmt.Sprintf("SELECT n, sum(n) AS s FROM range(%d) AS t(n) GROUP BY n ORDER BY n", rows), Request{MaxRows: 3, Each: func(part *api.Result) error {
			sizes = append(sizes, len(part.Rows))
			for _, n := range part.Ints("n") {
				values = append(values, int(n))
			}
			return nil
		}})
		if !slices.Equal(sizes, want) || len(values) != rows || !slices.IsSorted(values) || len(r.Rows) > 0 || r.Truncated || len(r.Columns) != 2 {
			t.Errorf("%d rows in parts of %d, %d values, %d columns", rows, sizes, len(values), len(r.Columns))
		}
	}
	for _, rows := range []int{1, 2 * partRows} {
		full := errors.New("disk full")
		_, err := e.Query(t.Context(), fmt.Sprintf("SELECT * FROM range(%d)", rows), Request{Each: func(*api.Result) error { return full }})
		if !errors.Is(err, full) {
			t.Errorf("error %v", err)
		}
	}
}

func TestMaxRows(t *testing.T) {
	e := openEngine(t)
	for _, test := range []struct {
		rows, max, want int
		truncated       bool
	}{
		{5, 5, 5, false}, {6, 5, 5, true}, {DefaultMaxRows + 1, 0, DefaultMaxRows, true}, {DefaultMaxRows + 1, -1, DefaultMaxRows + 1, false},
	} {
		r := mustQuery(t, e, fmt.Sprintf("SELECT * FROM range(%d) ORDER BY 1 DESC", test.rows), Request{MaxRows: test.max})
		if len(r.Rows) != test.want || r.Truncated != test.truncated {
			t.Errorf("%d of %d rows, truncated %t; want %d, %t", len(r.Rows), test.rows, r.Truncated, test.want, test.truncated)
		}
		if first := r.Rows[0][0]; first != int64(test.rows-1) {
			t.Errorf("the first row is %v, want %d: the order is lost", first, test.rows-1)
		}
	}
}

func TestPartitions(t *testing.T) {
	schema := delta.Schema{Fields: []delta.Field{
		{Name: "day", Type: delta.Date, Nullable: true},
		{Name: "n", Type: delta.Long, Nullable: true},
		{Name: "city", Type: delta.String, Nullable: true},
		{Name: "at", Type: delta.Timestamp, Nullable: true},
	}}
	arrowSchema, err := schema.Arrow()
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrowSchema)
	at := time.Date(2009, 6, 15, 17, 26, 21, 500_000_000, time.UTC)
	for i, city := range []string{"New York", "it's / 100%", "", "New York"} {
		b.Field(0).(*array.Date32Builder).Append(arrow.Date32FromTime(at))
		b.Field(1).(*array.Int64Builder).Append(int64(i))
		if city == "" {
			b.Field(2).AppendNull()
		} else {
			b.Field(2).(*array.StringBuilder).Append(city)
		}
		b.Field(3).(*array.TimestampBuilder).Append(arrow.Timestamp(at.UnixMicro()))
	}
	table := create(t, blob.NewMemory("lake"), schema, "day", "city", "at")
	appendTo(t, table, b.NewRecordBatch())
	request := tables(map[string]*delta.Table{"t": table})
	request.TimeZone = "Asia/Shanghai"
	r := mustQuery(t, openEngine(t), "SELECT * FROM t ORDER BY n", request)
	var got strings.Builder
	if err := r.WriteCSV(&got); err != nil {
		t.Fatal(err)
	}
	want := "day,n,city,at\r\n" +
		"2009-06-15,0,New York,2009-06-16 01:26:21.5\r\n" +
		"2009-06-15,1,it's / 100%,2009-06-16 01:26:21.5\r\n" +
		"2009-06-15,2,,2009-06-16 01:26:21.5\r\n" +
		"2009-06-15,3,New York,2009-06-16 01:26:21.5\r\n"
	if got.String() != want {
		t.Errorf("rows are\n%swant\n%s", got.String(), want)
	}
}

// TestPartitionYears: Java writes a sign before years beyond 9999.
func TestPartitionYears(t *testing.T) {
	e := openEngine(t)
	for _, test := range []struct {
		text string
		as   delta.Primitive
		want string
	}{
		{"+10000-01-01", delta.Date, "10000-01-01"},
		{"+10000-01-01T05:44:59.999999Z", delta.Timestamp, "10000-01-01 05:44:59.999999"},
		{"+294247-01-01 00:00:00", delta.TimestampNTZ, "294247-01-01 00:00:00"},
		{"-0044-03-15", delta.Date, "-0044-03-15"},
		{"+1", delta.String, "+1"},
	} {
		r := mustQuery(t, e, "SELECT "+partitionValue(test.text, test.as, zone{location: time.UTC})+" AS x", Request{})
		if got := r.Strings("x")[0]; got != test.want {
			t.Errorf("%s is %s, want %s", test.text, got, test.want)
		}
	}
}

// TestPartitionTimes: a time of a partition without a zone is one of the
// session's, as Spark reads it; the files are skipped by the same one.
func TestPartitionTimes(t *testing.T) {
	const micros = "2006-01-02T15:04:05.999999Z"
	tests := []struct{ zone, text, want string }{
		{"", "2021-09-08 11:11:11", "2021-09-08T11:11:11Z"},
		{"UTC", "2021-09-08 11:11:11.000001", "2021-09-08T11:11:11.000001Z"},
		{"America/Los_Angeles", "2021-09-08 11:11:11", "2021-09-08T18:11:11Z"},
		{"America/Los_Angeles", "2021-12-08 11:11:11.5", "2021-12-08T19:11:11.5Z"},
		{"America/Los_Angeles", "2021-09-08T11:11:11Z", "2021-09-08T11:11:11Z"},
		{"America/Los_Angeles", "2021-09-08T11:11:11.123456Z", "2021-09-08T11:11:11.123456Z"},
		{"America/Los_Angeles", "2021-09-08T11:11:11", "2021-09-08T18:11:11Z"},
		{"America/Los_Angeles", "2021-09-08 11:11:11+02:00", "2021-09-08T09:11:11Z"},
		{"America/Los_Angeles", "2021-09-08", "2021-09-08T07:00:00Z"},
		// Clocks went from 02:00 to 03:00, and back from 02:00 to 01:00.
		{"America/Los_Angeles", "2021-03-14 01:59:59.999999", "2021-03-14T09:59:59.999999Z"},
		{"America/Los_Angeles", "2021-03-14 02:30:00", "2021-03-14T10:30:00Z"},
		{"America/Los_Angeles", "2021-03-14 03:00:00", "2021-03-14T10:00:00Z"},
		{"America/Los_Angeles", "2021-11-07 01:30:00", "2021-11-07T08:30:00Z"},
		{"America/Los_Angeles", "2021-11-07 02:00:00", "2021-11-07T10:00:00Z"},
		{"Australia/Lord_Howe", "2021-10-03 02:15:00", "2021-10-02T15:45:00Z"}, // half an hour is left out
		{"Pacific/Apia", "2011-12-30 12:00:00", "2011-12-30T22:00:00Z"},        // a whole day
		{"Asia/Kolkata", "2021-09-08 11:11:11", "2021-09-08T05:41:11Z"},
		{"+08:00", "2021-09-08 11:11:11", "2021-09-08T03:11:11Z"},
		{"Asia/Shanghai", "0002-01-01 00:00:00", "0001-12-31T15:54:17Z"}, // by the sun
	}
	schema := delta.Schema{Fields: []delta.Field{{Name: "id", Type: delta.Long, Nullable: true}, {Name: "began", Type: delta.Timestamp, Nullable: true}}}
	arrowSchema, err := schema.Arrow()
	if err != nil {
		t.Fatal(err)
	}
	table := create(t, blob.NewMemory("lake"), schema, "began")
	var adds []delta.Add
	for i, test := range tests {
		b := array.NewRecordBuilder(memory.DefaultAllocator, arrowSchema)
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).AppendNull()
		written, err := table.WriteFiles(t.Context(), b.NewRecordBatch())
		if err != nil {
			t.Fatal(err)
		}
		written[0].PartitionValues = delta.PartitionValues{"began": test.text}
		adds = append(adds, written...)
	}
	if _, err := table.Commit(t.Context(), delta.Commit{Operation: "WRITE", Adds: adds, BlindAppend: true}); err != nil {
		t.Fatal(err)
	}
	e := openEngine(t)
	request := tables(map[string]*delta.Table{"t": table})
	for i, test := range tests {
		t.Run(test.zone+" "+test.text, func(t *testing.T) {
			request := request
			request.TimeZone = test.zone
			got := mustQuery(t, e, fmt.Sprintf("SELECT began FROM t WHERE id = %d", i), request)
			if at := got.Rows[0][0].(time.Time).UTC().Format(micros); at != test.want {
				t.Errorf("it is %s, want %s", at, test.want)
			}
			for _, where := range []string{"began = TIMESTAMP '" + test.want + "'", "'" + test.want + "' = began", "began BETWEEN TIMESTAMP '" + test.want + "' AND TIMESTAMP '" + test.want + "'"} {
				got := mustQuery(t, e, "SELECT count(*) AS n FROM t WHERE "+where+fmt.Sprintf(" AND id = %d", i), request)
				if got.Ints("n")[0] != 1 {
					t.Errorf("%s: no row; %d files skipped", where, got.Tables[0].FilesSkipped)
				}
				if got.Tables[0].FilesSkipped < len(tests)/2 {
					t.Errorf("%s: %d files skipped", where, got.Tables[0].FilesSkipped)
				}
			}
		})
	}
}

func TestColumnsAddedAndDroppedLater(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := create(t, bucket, taxiSchema)
	appendTo(t, table, trips(t, 3))
	snapshot, err := table.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	metadata := snapshot.Metadata()
	changed := delta.Schema{Fields: append(slices.Clone(taxiSchema.Fields), delta.Field{Name: "tip", Type: delta.Double, Nullable: true})}
	data, err := json.Marshal(changed)
	if err != nil {
		t.Fatal(err)
	}
	metadata.SchemaString = string(data)
	if _, err := table.Commit(t.Context(), delta.Commit{Operation: "ADD COLUMNS", Metadata: &metadata, ReadVersion: snapshot.Version()}); err != nil {
		t.Fatal(err)
	}
	request := tables(map[string]*delta.Table{"t": table})
	e := openEngine(t)
	if got := mustQuery(t, e, "SELECT count(*) AS n, count(tip) AS tips FROM t", request); got.Ints("n")[0] != 3 || got.Ints("tips")[0] != 0 {
		t.Errorf("the new column is %v, want 3 rows of NULL", got)
	}
	if got := mustQuery(t, e, "SELECT * FROM t VERSION AS OF 1", request); len(got.Columns) != 3 {
		t.Errorf("the old version has %d columns, want 3", len(got.Columns))
	}
}

func TestValues(t *testing.T) {
	tests := []struct{ expression, wantType, want string }{
		{"true", "boolean", "true"},
		{"1::TINYINT", "tinyint", "1"},
		{"1::SMALLINT", "smallint", "1"},
		{"1", "int", "1"},
		{"9223372036854775807", "bigint", "9223372036854775807"},
		{"sum(5)", "bigint", "5"},
		{"sum(9223372036854775807) + 1", "decimal(38,0)", "9223372036854775808"},
		{"18446744073709551615::UBIGINT", "decimal(20,0)", "18446744073709551615"},
		{"-0.05::DECIMAL(10,2)", "decimal(10,2)", "-0.05"},
		{"12.50::DECIMAL(10,2)", "decimal(10,2)", "12.50"},
		{"0.1::FLOAT", "float", "0.1"},
		{"0.1::DOUBLE", "double", "0.1"},
		{"'NaN'::DOUBLE", "double", "NaN"},
		{"'it''s'", "string", "it's"},
		{"'\\x01FF'::BLOB", "binary", "[01 46 46]"},
		{"DATE '1969-07-20'", "date", "1969-07-20"},
		{"TIMESTAMP '2009-06-15 17:26:21.000001'", "timestamp", "2009-06-15 17:26:21.000001"},
		{"TIMESTAMP_NTZ '2009-06-15 17:26:21'", "timestamp_ntz", "2009-06-15 17:26:21"},
		{"TIMESTAMP WITH TIME ZONE '2009-06-15 17:26:21+08'", "timestamp", "2009-06-15 09:26:21"},
		{"TIME '17:26:21.5'", "string", "17:26:21.5"},
		{"INTERVAL 14 MONTH + INTERVAL 3 DAY + INTERVAL 90 MINUTE", "interval", "1 year 2 months 3 days 01:30:00"},
		{"[1, NULL, 3]", "array<int>", "[1, NULL, 3]"},
		{"{'b': 1, 'a c': [DATE '2020-02-29']}", "struct<b:int,`a c`:array<date>>", "{1, [2020-02-29]}"},
		{"MAP {'b': 1.5::DOUBLE, 'a': NULL}", "map<string,double>", "{b -> 1.5, a -> NULL}"},
		{"MAP {'\\x01'::BLOB: 1, '\\xFF'::BLOB: NULL}", "map<binary,int>", "{[01] -> 1, [FF] -> NULL}"},
		{"MAP {[1, NULL]: 'a'}", "map<array<int>,string>", "{[1, NULL] -> a}"},
		{"{'s': [MAP {{'x': 1, 'y': 'b'}: MAP {[DATE '2020-02-29']: 1.5}}, NULL], 'n': 2}", "struct<s:array<map<struct<x:int,y:string>,map<array<date>,decimal(2,1)>>>,n:int>", "{[{{1, b} -> {[2020-02-29] -> 1.5}}, NULL], 2}"},
		{"CAST(NULL AS MAP(BLOB, INTEGER))", "map<binary,int>", "NULL"},
		{"MAP {'4d9a3352-06cb-534c-6cbb-3d183b23598d'::UUID: '1'::BIT}", "map<string,string>", "{4d9a3352-06cb-534c-6cbb-3d183b23598d -> 1}"},
		{"MAP {1.5::DECIMAL(3,1): 1, 2.5::DECIMAL(3,1): 2}", "map<decimal(3,1),int>", "{1.5 -> 1, 2.5 -> 2}"},
		{"'4d9a3352-06cb-534c-6cbb-3d183b23598d'::UUID", "string", "4d9a3352-06cb-534c-6cbb-3d183b23598d"},
		{"NULL", "int", "NULL"},
		{"'{\"a\": [1, 2]}'::JSON", "string", `{"a":[1,2]}`},
	}
	e := openEngine(t)
	for _, test := range tests {
		r := mustQuery(t, e, "SELECT "+test.expression+" AS x", Request{})
		if got := r.Columns[0].Type; got != test.wantType {
			t.Errorf("%s has type %s, want %s", test.expression, got, test.wantType)
		}
		if got := r.Strings("x")[0]; got != test.want {
			t.Errorf("%s is %s, want %s", test.expression, got, test.want)
		}
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%s: %v", test.expression, err)
		}
		var back api.Result
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatalf("%s: %v", test.expression, err)
		}
		if got := back.Strings("x")[0]; got != test.want {
			t.Errorf("%s came back from JSON as %s, want %s", test.expression, got, test.want)
		}
	}
}

func TestOnlyTablesAreRead(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(secret, []byte("a\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := []string{
		"SELECT * FROM read_csv(" + quote(secret) + ")",
		"SELECT * FROM " + quote(secret),
		"SELECT * FROM " + quoteName(secret),
		"SELECT * FROM read_text(" + quote(secret) + ")",
		"SELECT * FROM glob('/*')",
		"SELECT * FROM query('SELECT 1')",
		"SELECT * FROM query_table('t')",
		"SELECT * FROM duckdb_settings()",
		"SELECT * FROM parquet_metadata(" + quote(secret) + ")",
		"SELECT * FROM duckdb_settings",
		"SELECT * FROM information_schema.tables",
		"COPY (SELECT 1) TO " + quote(secret),
		"ATTACH " + quote(secret),
		"INSTALL httpfs",
		"LOAD httpfs",
		"PRAGMA database_list",
		"SET memory_limit = '100GB'",
		"CREATE TABLE t AS SELECT 1",
		"INSERT INTO t VALUES (1)",
		"DROP TABLE t",
		"EXPORT DATABASE '/tmp/x'",
		"CALL pragma_version()",
		"SHOW TABLES",
		"SELECT 1; SELECT 2",
		"SELECT (SELECT count(*) FROM read_csv(" + quote(secret) + "))",
		"WITH t AS (FROM read_csv(" + quote(secret) + ")) SELECT * FROM t",
		"SELECT * FROM t AT (VERSION => 1)",
		"",
		" -- nothing",
		";",
	}
	e := openEngine(t)
	table := create(t, blob.NewMemory("lake"), taxiSchema)
	for _, statement := range refused {
		_, err := e.Query(t.Context(), statement, tables(map[string]*delta.Table{"t": table}))
		var wrong *Error
		if !errors.As(err, &wrong) {
			t.Errorf("%s\nis answered with %v, want an *Error", statement, err)
		}
	}
}

// TestSandbox goes behind the parser: DuckDB itself must refuse.
func TestSandbox(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(secret, []byte("a\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := openEngine(t)
	box, err := e.openSandbox(t.Context(), zone{name: "UTC", duckdbName: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	defer box.close()
	if err := box.install(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := box.parse(t.Context(), "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := box.rows(t.Context(), &runRequest{Result: 1000}, nil); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"SELECT * FROM read_csv(" + quote(secret) + ")",
		"SELECT * FROM glob('/*')",
		"COPY (SELECT 1) TO " + quote(secret+"2"),
		"ATTACH " + quote(secret+".db"),
		"INSTALL httpfs",
		"SET enable_external_access = true",
		"SET allowed_paths = [" + quote(secret) + "]",
		"SET memory_limit = '100GB'",
		"SET TimeZone = 'UTC'",
	} {
		if err := box.exec(t.Context(), statement); err == nil {
			t.Errorf("%s was run", statement)
		}
	}
}

func TestErrors(t *testing.T) {
	table := create(t, blob.NewMemory("lake"), taxiSchema)
	appendTo(t, table, trips(t, 3))
	e := openEngine(t)
	request := tables(map[string]*delta.Table{"taxi_record": table, "zones": table})
	tests := []struct{ statement, want string }{
		{"SELECT fare_amont FROM taxi_record", `there is no column "fare_amont" (line 1, column 8)

  1 | SELECT fare_amont FROM taxi_record
    |        ^
did you mean fare_amount?`},
		{"SELECT hour(pickup_datetime) AS h,\n\tavg(fare)\nFROM taxi_record\nGROUP BY h", `there is no column "fare" (line 2, column 6)

  2 | 	avg(fare)
    | 	    ^
the columns are pickup_datetime, fare_amount, passenger_count`},
		{"SELECT count(*)\nFROM taxi_records", `there is no table taxi_records (line 2, column 6)

  2 | FROM taxi_records
    |      ^
did you mean taxi_record?
there are taxi_record, zones`},
		{"SELECT count(*) FRM taxi_record", `syntax error at or near "taxi_record" (line 1, column 21)

  1 | SELECT count(*) FRM taxi_record
    |                     ^`},
		{"SELECT 'Zürich 東京', `x` FROM taxi_record", `there is no column "x" (line 1, column 21)`},
		{"SELECT `pickup_datetime`, TIMESTAMP '2020-01-01', nothing FROM taxi_record VERSION AS OF 1", `there is no column "nothing" (line 1, column 51)`},
		{"SELECT * FROM taxi_record VERSION AS OF 99", "table taxi_record cannot be read as of 99: "},
		{"SELECT * FROM taxi_record TIMESTAMP AS OF 'yesterday'", "TIMESTAMP AS OF takes a date or a time"},
		{"SELECT * FROM taxi_record WHERE fare_amount = \"cheap\"", "a text is written 'cheap'; in double quotes it is a column"},
		{"SELECT date_format(pickup_datetime, 'YYYY') FROM taxi_record", "weekofyear(...) (line 1, column 37)"},
		{"DELETE FROM taxi_record", "only statements that read are run here: SELECT, WITH, VALUES, DESCRIBE, SUMMARIZE; not DELETE"},
		{"SELECT 1;\nSELECT 2", "one statement at a time: there are 2 (line 2, column 1)"},
		{"SELECT 'Infinity', 1.5e308,\n -1e+400 FROM taxi_record", "number out of range: the largest double is 1.8e308 (line 2, column 3)"},
		{"SELECT " + strings.Repeat("9", 400), "number out of range: the largest double is 1.8e308 (line 1, column 8)"},
		{"SELECT CAST('x' AS INT) FROM taxi_record", "Could not convert string 'x' to INT32"},
		{"SELECT CAST(pickup_datetime AS INT) FROM taxi_record", "Unimplemented type for cast (TIMESTAMP WITH TIME ZONE -> BIGINT) when casting from source column pickup_datetime"},

		// Time travel that would be lost is no answer about another version.
		{"SELECT count(*) FROM taxi_record t VERSION AS OF 1", "directly behind the name of a table, before its alias: taxi_record VERSION AS OF 3 AS t (line 1, column 36)"},
		{"SELECT count(*) FROM taxi_record AS t TIMESTAMP AS OF '2020-01-01'", "directly behind the name of a table"},
		{"SELECT count(*) FROM (SELECT * FROM taxi_record) VERSION AS OF 1", "directly behind the name of a table"},
		{"WITH t AS (SELECT * FROM taxi_record) SELECT count(*) FROM t VERSION AS OF 1", "directly behind the name of a table"},
		{"SELECT count(*) FROM taxi_record VERSION AS OF -1", "VERSION AS OF takes a whole number"},
		{"SELECT count(*) FROM taxi_record TIMESTAMP AS OF current_timestamp()", "TIMESTAMP AS OF takes a date or a time"},

		{"SELECT coutn(*) FROM taxi_record", `there is no function coutn (line 1, column 8)

  1 | SELECT coutn(*) FROM taxi_record
    |        ^
did you mean count?`},
		{"SELECT percentile_aprox(fare_amount, 0.5) FROM taxi_record", "did you mean percentile_approx?"},
		{"SELECT collect_list(fare_amount) FROM taxi_record", "there is no function collect_list (line 1, column 8)\n\n  1 | SELECT collect_list(fare_amount) FROM taxi_record\n    |        ^\nwrite list(x)"},
		{"SELECT size([1])", "write len(x)"},
		{"SELECT 1 \x00 SELECT 2", "a statement has no character NUL (line 1, column 10)"},
		{"SELECT " + strings.Repeat("(", 20_000), "the statement is nested too deeply (line 1, column 10004)"},
		{"SELECT '" + strings.Repeat("é", 500) + "', nothing, '" + strings.Repeat("x", 500) + "'", `there is no column "nothing" (line 1, column 512)

  1 | …` + strings.Repeat("é", 77) + "', nothing, '" + strings.Repeat("x", 70) + "…\n    | " + strings.Repeat(" ", 81) + "^"},
		{"SHOW TABLES", "`lakekit ls oss://lake/delta`"},
		{"DESCRIBE HISTORY taxi_record", "`lakekit table history`"},
		{"DESCRIBE HISTORY delta.`oss://lake/delta/taxi_record` LIMIT 1", "`lakekit table history`"},
		{"DESCRIBE DETAIL taxi_record", "`lakekit table describe`"},
		{"DESCRIBE TABLE EXTENDED taxi_record", "`lakekit table describe`"},
		{"OPTIMIZE taxi_record ZORDER BY (fare_amount)", "`lakekit table optimize`"},
		{"VACUUM taxi_record", "`lakekit table vacuum`"},
		{"VACUUM taxi_record RETAIN 0 HOURS", "`lakekit table vacuum`"},
		{"RESTORE TABLE taxi_record TO VERSION AS OF 1", "`lakekit table restore`"},
		{"SELECT percentile_approx(fare_amount, array(0.1, 0.9)) FROM taxi_record", "an array is written [1, 2]"},
		{"SELECT passenger_count div 2 FROM taxi_record", "7 // 2"},
		{"SELECT * FROM taxi_record a LEFT ANTI JOIN zones b ON a.fare_amount = b.fare_amount", "is written ANTI JOIN"},
		{"SELECT 'abc' RLIKE 'b'", "regexp_matches(x, 'a')"},
		{"SELECT * FROM taxi_record LATERAL VIEW explode([1]) AS n", "unnest(x)"},
		{"SELECT window(pickup_datetime, '1 hour') FROM taxi_record", "date_trunc('HOUR', x)"},
		{"SELECT int(fare_amount) FROM taxi_record", "CAST(x AS INT)"},
	}
	for _, test := range tests {
		_, err := e.Query(t.Context(), test.statement, request)
		var wrong *Error
		if !errors.As(err, &wrong) {
			t.Errorf("%s\nis answered with %v, want an *Error", test.statement, err)
			continue
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s\nis answered with\n%v\nwant\n%s", test.statement, err, test.want)
		}
	}
	if _, err := e.Query(t.Context(), "SELECT 1", Request{TimeZone: "Mars/Base"}); err == nil || !strings.Contains(err.Error(), "IANA") {
		t.Errorf("an unknown time zone is answered with %v", err)
	}
}

// TestFailingResolver: a failure to open a table is no fault of the statement.
func TestFailingResolver(t *testing.T) {
	down := errors.New("connection refused")
	_, err := openEngine(t).Query(t.Context(), "SELECT * FROM t", Request{
		Tables: func(context.Context, string) (*delta.Table, error) { return nil, down },
	})
	var wrong *Error
	if !errors.Is(err, down) || errors.As(err, &wrong) {
		t.Errorf("the error is %v, want the resolver's and no *Error", err)
	}
}

func TestNamesHaveNoCase(t *testing.T) {
	table := create(t, blob.NewMemory("lake"), taxiSchema)
	request := Request{
		Tables: func(_ context.Context, name string) (*delta.Table, error) {
			if name != "Taxi_record" {
				return nil, ErrUnknownTable
			}
			return table, nil
		},
		TableNames: func(context.Context) []string { return []string{"other", "Taxi_record"} },
	}
	e := openEngine(t)
	for _, name := range []string{"Taxi_record", "TAXI_RECORD", "taxi_record"} {
		if r := mustQuery(t, e, "SELECT count(*) AS n FROM "+name, request); r.Ints("n")[0] != 0 {
			t.Errorf("%s is answered with\n%s", name, r)
		}
	}
}

// TestNoColumns: Spark makes such tables, to give them columns later.
func TestNoColumns(t *testing.T) {
	bucket := blob.NewMemory("lake")
	log := `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}` + "\n" +
		`{"metaData":{"id":"x","format":{"provider":"parquet"},"schemaString":"{\"type\":\"struct\",\"fields\":[]}","partitionColumns":[],"configuration":{}}}`
	if err := bucket.Put(t.Context(), "_delta_log/00000000000000000000.json", strings.NewReader(log)); err != nil {
		t.Fatal(err)
	}
	_, err := openEngine(t).Query(t.Context(), "SELECT * FROM t", openTable(t, bucket))
	if err == nil || !strings.Contains(err.Error(), "version 0 has no columns") {
		t.Errorf("the error is %v", err)
	}
}

// TestNoDeltaTable: a name whose place holds no table is not suggested for itself.
func TestNoDeltaTable(t *testing.T) {
	request := Request{
		Tables: func(ctx context.Context, _ string) (*delta.Table, error) {
			return delta.Open(ctx, blob.NewMemory("empty"))
		},
		TableNames: func(context.Context) []string { return []string{"trips", "zones"} },
	}
	_, err := openEngine(t).Query(t.Context(), "SELECT * FROM trips", request)
	var wrong *Error
	if !errors.As(err, &wrong) || !errors.Is(err, delta.ErrNotTable) {
		t.Fatalf("the error is %v", err)
	}
	if wrong.Message != wrong.Err.Error() || wrong.Hint != "there are zones" || wrong.Column != 15 {
		t.Errorf("the error is %v", err)
	}
}

func TestCancel(t *testing.T) {
	e := openEngine(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("the student pressed stop")
	started := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		close(started)
		_, err := e.Query(ctx, "SELECT sum(hash(a.range, b.range)::DOUBLE) FROM range(10000000) a, range(1000000) b", Request{})
		done <- err
	}()
	<-started
	cancel(stopped)
	if err := <-done; !errors.Is(err, stopped) {
		t.Errorf("the error is %v, want the cause of the cancellation", err)
	}
	mustQuery(t, e, "SELECT 1", Request{})
}

func TestCancelWhileRunning(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := openEngine(t).Query(ctx, "SELECT sum(hash(a.range, b.range)::DOUBLE) FROM range(10000000) a, range(1000000) b", Request{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v, want the deadline's", err)
	}
}

func TestMoreThanMemory(t *testing.T) {
	e, err := Open(Options{CacheDir: t.TempDir(), Limits: Limits{Memory: 300_000_000}, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	r := mustQuery(t, e, "SELECT count(*) AS n FROM (SELECT range % 3000000 AS k, count(*) FROM range(4000000) GROUP BY k ORDER BY hash(k))", Request{})
	if n := r.Ints("n")[0]; n != 3_000_000 {
		t.Errorf("%d groups, want 3000000", n)
	}
}
