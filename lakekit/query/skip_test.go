package query

import (
	"fmt"
	"path/filepath"
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

// days is a table of ten files of a day each, with ids 0 to 9, 10 to 19 and so
// on, partitioned by parity of the day.
func days(t testing.TB) *delta.Table {
	t.Helper()
	schema := delta.Schema{Fields: []delta.Field{
		{Name: "id", Type: delta.Long, Nullable: true}, {Name: "pickup", Type: delta.Timestamp, Nullable: true},
		{Name: "name", Type: delta.String, Nullable: true}, {Name: "x", Type: delta.Double, Nullable: true},
		{Name: "n", Type: delta.Integer, Nullable: true}, {Name: "parity", Type: delta.String, Nullable: true},
	}}
	table := create(t, blob.NewMemory("lake"), schema, "parity")
	arrowSchema, err := schema.Arrow()
	if err != nil {
		t.Fatal(err)
	}
	for day := range 10 {
		b := array.NewRecordBuilder(memory.DefaultAllocator, arrowSchema)
		for i := range 10 {
			id := day*10 + i
			b.Field(0).(*array.Int64Builder).Append(int64(id))
			b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(time.Date(2026, 1, 1+day, i, 0, 0, 999_999_000, time.UTC).UnixMicro()))
			b.Field(2).(*array.StringBuilder).Append(fmt.Sprintf("name %03d", id))
			b.Field(3).(*array.Float64Builder).Append(float64(id) / 2)
			if day == 3 {
				b.Field(4).AppendNull()
			} else {
				b.Field(4).(*array.Int32Builder).Append(int32(id))
			}
			b.Field(5).(*array.StringBuilder).Append([]string{"even", "odd"}[day%2])
		}
		appendTo(t, table, b.NewRecordBatch())
	}
	return table
}

// TestSkipping names for each WHERE clause the files that are read of ten.
func TestSkipping(t *testing.T) {
	e := openEngine(t)
	request := tables(map[string]*delta.Table{"t": days(t), "u": days(t)})
	tests := []struct {
		from, where string
		files       int
		rows        string
	}{
		{"t", "id = 42", 1, "1"},
		{"t", "42 = id", 1, "1"},
		{"t", "ID = 42", 1, "1"},
		{"t", "t.id = 42", 1, "1"},
		{"t AS o", "o.id = 42", 1, "1"},
		{"t", "id = '42'", 1, "1"},
		{"t", "id = 42.0", 1, "1"},
		{"t", "id = 4.2e1", 1, "1"},
		{"t", "id > 79", 2, "20"},
		{"t", "id >= 79", 3, "21"},
		{"t", "79 < id", 2, "20"},
		{"t", "id < -5 + 15", 1, "10"},
		{"t", "id < 10", 1, "10"},
		{"t", "id <= 10", 2, "11"},
		{"t", "id BETWEEN 15 AND 25", 2, "11"},
		{"t", "id BETWEEN 25 AND 15", 0, "0"},
		{"t", "id IN (1, 2, 95)", 2, "3"},
		{"t", "id IN (1, 2.5)", 10, "1"}, // compared as decimals
		{"t", "id < 10 AND id > 20", 0, "0"},
		{"t", "id < 10 OR id >= 90", 2, "20"},
		{"t", "id < 10 OR id % 2 = 0", 10, "55"},
		{"t", "id < 10 AND id % 2 = 0", 1, "5"},
		{"t", "NOT (id < 10)", 9, "90"}, // DuckDB writes it id >= 10
		{"t", "NOT (id < 10 AND x < 90)", 10, "90"},
		{"t", "id <> 10", 10, "99"},
		{"t", "id + 0 = 42", 10, "1"},
		{"t", "id = NULL", 10, "0"},
		{"t", "name = 'name 042'", 1, "1"},
		{"t", "name >= 'name 09'", 1, "10"},
		{"t", "name > 'z'", 0, "0"},
		{"t", "name COLLATE nocase = 'NAME 042'", 10, "1"},
		{"t", "x = 21", 1, "1"},
		{"t", "x < 5", 1, "10"},
		{"t", "x > 40", 10, "19"}, // NaN is above every number, and in no statistics
		{"t", "x = 'nan'::double", 10, "0"},
		{"t", "n IS NULL", 1, "10"},
		{"t", "n IS NOT NULL", 9, "90"},
		{"t", "n >= 0", 9, "90"},
		{"t", "n = 35", 0, "0"},
		{"t", "parity = 'odd'", 5, "50"},
		{"t", "parity IN ('odd', 'none')", 5, "50"},
		{"t", "parity > 'even' AND id < 20", 1, "10"},
		{"t", "parity IS NULL", 0, "0"},
		{"t", "parity IS NOT NULL", 10, "100"},
		{"t", "pickup >= '2026-01-09'", 2, "20"},
		{"t", "pickup >= DATE '2026-01-09'", 2, "20"},
		{"t", "pickup >= TIMESTAMP '2026-01-09 00:00:00' + INTERVAL 1 DAY", 1, "10"},
		{"t", "pickup = TIMESTAMP '2026-01-09 09:00:00.999999'", 1, "1"}, // its maximum in the log ends in .999
		{"t", "pickup > now()", 10, ""},
		{"t", "id = (SELECT 42)", 10, "1"},
		{"(SELECT * FROM t) AS t", "id = 42", 10, "1"},
		{"(SELECT * FROM t WHERE id = 42) AS t", "true", 1, "1"},
		{"t JOIN range(3) r(i) ON r.i = t.id", "t.id = 2", 1, "1"},
		{"t JOIN range(3) r(i) ON r.i = t.id", "id = 2", 10, "1"},
		{"range(3) r(i) LEFT JOIN t ON r.i + 8 = t.id", "t.id IS NULL", 10, "0"},
		{"t TABLESAMPLE 100%", "id = 42", 10, "1"},
		{"t AS o(a, b)", "a = 42", 10, "1"},
	}
	for _, test := range tests {
		t.Run(test.from+" where "+test.where, func(t *testing.T) {
			result := mustQuery(t, e, "SELECT count(*) AS c FROM "+test.from+" WHERE "+test.where, request)
			read := result.Tables[0]
			if read.Files != test.files || read.Files+read.FilesSkipped != 10 {
				t.Errorf("%d files read, %d skipped, want %d read", read.Files, read.FilesSkipped, test.files)
			}
			if got := fmt.Sprint(result.Rows[0][0]); test.rows != "" && got != test.rows {
				t.Errorf("%s rows, want %s", got, test.rows)
			}
		})
	}
}

// TestSkippingByEveryMention: a file stays if one of the places that name the
// table needs it.
func TestSkippingByEveryMention(t *testing.T) {
	e := openEngine(t)
	request := tables(map[string]*delta.Table{"t": days(t)})
	for statement, want := range map[string]int{
		"SELECT (SELECT count(*) FROM t WHERE id = 1) + (SELECT count(*) FROM t WHERE id = 95)": 2,
		"SELECT (SELECT count(*) FROM t WHERE id = 1) + (SELECT count(*) FROM t)":               10,
		"SELECT count(*) FROM t WHERE id = 1 UNION ALL SELECT count(*) FROM t WHERE id = 2":     1,
		"WITH t2 AS (SELECT * FROM t WHERE id < 20) SELECT * FROM t2 WHERE id = 95":             2,
		"SELECT id AS x, x AS id FROM t WHERE id = 42":                                          1, // columns come before aliases
		"SELECT count(*) FROM t a JOIN t b ON a.id = b.id WHERE a.id = 1 AND b.id < 30":         3,
	} {
		if read := mustQuery(t, e, statement, request).Tables[0]; read.Files != want {
			t.Errorf("%s\nread %d files, want %d", statement, read.Files, want)
		}
	}
}

// TestSkippingChangesNoAnswer compares with the same question asked in a way
// that skips nothing, over statistics and partitions of other engines.
func TestSkippingChangesNoAnswer(t *testing.T) {
	e := openEngine(t)
	constants := []string{
		"0", "-1", "3", "5", "127", "1.5", "0.1", "-0.0", "1e300", "9223372036854775807", "'a'", "'é'", "''", "'zz'", "'" + strings.Repeat("z", 40) + "a'", "'" + strings.Repeat("z", 32) + "'",
		"'nan'::double", "'inf'::double", "DATE '2020-01-01'", "DATE '1969-12-31'", "TIMESTAMP '2020-01-01 00:00:00.000999'", "TIMESTAMP '1960-01-01 00:00:00.000999'", "TIMESTAMP '1969-12-31 23:59:59.123456'",
		"TIMESTAMP_NTZ '1900-01-01 00:00:00.5'", "'2020-01-01'", "12345678901234567890.0000000001", "-123.456", "true", "NULL", "'1'",
	}
	operators := []string{"=", "<", "<=", ">", ">=", "<>"}
	skipped := 0
	for _, name := range []string{"spark_skipping", "spark_partition_types", "spark_type_widening", "deltars_partitioned", "spark_deletion_vectors"} {
		bucket, err := blob.OpenDir(filepath.Join(goldenFolder, name, "table"))
		if err != nil {
			t.Fatal(err)
		}
		table, err := delta.Open(t.Context(), bucket)
		if err != nil {
			t.Fatal(err)
		}
		snapshot, err := table.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		request := tables(map[string]*delta.Table{"t": table})
		request.TimeZone = "Asia/Shanghai"
		// A sample of all the pairs, another one for each column: a statement
		// costs milliseconds.
		var clauses []string
		for i, f := range snapshot.Schema().Fields {
			column := quoteName(f.Name)
			clauses = append(clauses, column+[]string{" IS NULL", " IS NOT NULL"}[i%2])
			for j := i % 5; j < len(constants); j += 5 {
				clauses = append(clauses, column+" "+operators[(i+j)%len(operators)]+" "+constants[j])
			}
			clauses = append(clauses, column+" BETWEEN "+constants[i]+" AND "+constants[i+2])
		}
		for _, clause := range clauses {
			const selected = "SELECT count(*) AS n FROM "
			all, allErr := e.Query(t.Context(), selected+"(SELECT * FROM t) AS t WHERE "+clause, request)
			some, err := e.Query(t.Context(), selected+"t WHERE "+clause, request)
			if err != nil || allErr != nil {
				if allErr == nil {
					t.Errorf("%s: %s: only with skipping: %v", name, clause, err)
				}
				continue
			}
			skipped += some.Tables[0].FilesSkipped
			if got, want := answer(some), answer(all); got != want {
				t.Errorf("%s: %s: %s, want %s (%d files skipped)", name, clause, got, want, some.Tables[0].FilesSkipped)
			}
		}
	}
	if skipped == 0 {
		t.Error("no file was skipped")
	}
}

// TestSkippingOfWidenedFloats: the statistics of a file of floats say 1.1, which
// in a column of doubles is another number.
func TestSkippingOfWidenedFloats(t *testing.T) {
	e := openEngine(t)
	request := openTable(t, copyGolden(t, "spark_type_widening", ""))
	for where, want := range map[string]string{
		"f = 1.100000023841858::DOUBLE":  "[[1]]",
		"f >= 1.100000023841858::DOUBLE": "[[1]]",
		"f = 1.1::DOUBLE":                "[[3]]",
	} {
		if got := answer(mustQuery(t, e, "SELECT id FROM t WHERE "+where, request)); got != want {
			t.Errorf("%s: %s, want %s", where, got, want)
		}
	}
}

func answer(r *api.Result) string { return fmt.Sprint(r.Rows) }

// TestExplain ends with what was skipped.
func TestExplain(t *testing.T) {
	e := openEngine(t)
	request := tables(map[string]*delta.Table{"t": days(t)})
	for _, keyword := range []string{"EXPLAIN", "explain analyze"} {
		result := mustQuery(t, e, keyword+" SELECT * FROM t VERSION AS OF 9 WHERE id < 10;", request)
		last := result.Rows[len(result.Rows)-1]
		if len(result.Rows) < 2 || last[0] != "files" || last[1] != "t, version 9: 1 files read, 8 skipped" {
			t.Errorf("%s: %v", keyword, last)
		}
	}
	if _, err := e.Query(t.Context(), "EXPLAIN", request); err == nil {
		t.Error("EXPLAIN of nothing")
	}
}

// TestSkippingByOddStatistics: what they do not say for sure keeps the file.
func TestSkippingByOddStatistics(t *testing.T) {
	e := openEngine(t)
	table := days(t)
	snapshot, err := table.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		where, stats string
		kept         bool
	}{
		{"id = 5", `{"numRecords":2,"minValues":{"id":6},"maxValues":{"id":7}}`, false},
		{"id = 5", `{"numRecords":2,"minValues":{"id":1},"maxValues":{"id":4},"tightBounds":false}`, false},
		{"id = 5", `{"numRecords":2,"minValues":{"id":4},"maxValues":{"id":6}}`, true},
		{"id = 5", `{"numRecords":2,"minValues":{"id":6}}`, false},
		{"id = 5", `{"numRecords":2,"maxValues":{"id":6}}`, true},
		{"id = 5", `{"numRecords":2,"minValues":{"id":"six"}}`, true},
		{"id = 5", `{"numRecords":2,"minValues":{"id":null}}`, true},
		{"id = 5", `{"numRecords":2,"minValues":{"id":{"a":6}}}`, true},
		{"id = 5", `{"numRecords":2,"minValues":[6]}`, true},
		{"id = 5", `{"numRecords":2,"minValues":{"id":6}`, true},
		{"id = 5", `not json`, true},
		{"id = 5", ``, true},
		{"id = 5", `null`, true},
		{"id = 5", `{"minValues":{"id":6}}`, false},
		{"id = 5", `{"numRecords":2,"nullCount":{"id":2}}`, false},
		{"id = 5", `{"numRecords":2,"nullCount":{"id":1}}`, true},
		{"id IS NULL", `{"numRecords":2,"nullCount":{"id":0}}`, false},
		{"id IS NULL", `{"numRecords":2,"nullCount":{"id":1},"tightBounds":false}`, true},
		{"id IS NULL", `{"numRecords":2}`, true},
		{"id IS NOT NULL", `{"numRecords":2,"nullCount":{"id":2}}`, false},
		{"id IS NOT NULL", `{"nullCount":{"id":2}}`, true},
		{"id > 9223372036854775806", `{"numRecords":2,"maxValues":{"id":9223372036854775807}}`, true},
		{"id > 9223372036854775806", `{"numRecords":2,"maxValues":{"id":9223372036854775806}}`, false},
		{"x < 1", `{"numRecords":2,"minValues":{"x":"NaN"}}`, true},
		{"x > 9", `{"numRecords":2,"maxValues":{"x":1}}`, true}, // there may be a NaN
		{"x = 9", `{"numRecords":2,"maxValues":{"x":1}}`, false},
		{"x = 0", `{"numRecords":2,"minValues":{"x":-0.0},"maxValues":{"x":-0.0}}`, true},
		{"name > 'b'", `{"numRecords":2,"maxValues":{"name":"a"}}`, false},
		{"name > '" + strings.Repeat("a", 32) + "b'", `{"numRecords":2,"maxValues":{"name":"` + strings.Repeat("a", 32) + `"}}`, true}, // cut off
		{"name > 'é'", `{"numRecords":2,"maxValues":{"name":"z"}}`, false},
		{"pickup > TIMESTAMP '2026-01-01 00:00:00.000500'", `{"numRecords":2,"maxValues":{"pickup":"2026-01-01T00:00:00.000Z"}}`, true},
		{"pickup > TIMESTAMP '2026-01-01 00:00:00.001'", `{"numRecords":2,"maxValues":{"pickup":"2026-01-01T00:00:00.000Z"}}`, false},
		{"pickup > TIMESTAMP '2026-01-01 08:00:00'", `{"numRecords":2,"maxValues":{"pickup":"2026-01-01T00:00:00.000-08:00"}}`, true},
		{"pickup > TIMESTAMP '2026-01-01 09:00:00'", `{"numRecords":2,"maxValues":{"pickup":"2026-01-01T00:00:00.000-08:00"}}`, false},
		{"pickup > TIMESTAMP '2027-01-01 00:00:00'", `{"numRecords":2,"maxValues":{"pickup":"2026-01-01T00:00:00.000"}}`, true}, // of no zone
	}
	for _, test := range tests {
		box, err := e.openSandbox(t.Context(), zone{location: time.UTC, name: "UTC", duckdbName: "UTC"})
		if err != nil {
			t.Fatal(err)
		}
		s, err := box.parse(t.Context(), "SELECT * FROM t WHERE "+test.where)
		if err != nil {
			t.Fatal(err)
		}
		files := []delta.Add{{Stats: test.stats}, {}}
		kept, err := box.keptFiles(t.Context(), snapshot, files, []filter{s.tables[0].filter})
		if err != nil || slices.Contains(kept, 0) != test.kept || !slices.Contains(kept, 1) {
			t.Errorf("%s by %s: kept %v, %v; want the first kept: %v", test.where, test.stats, kept, err, test.kept)
		}
		box.close()
	}
}
