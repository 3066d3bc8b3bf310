package query

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
)

// sparkFile is a data file with a null and a time in column "began", and with what
// Spark adds to a footer.
func sparkFile(t *testing.T, time string, column arrow.DataType, int96 bool, footer []string) []byte {
	t.Helper()
	values := array.NewBuilder(memory.DefaultAllocator, column)
	values.AppendNull()
	to := values
	if list, ok := values.(*array.ListBuilder); ok {
		list.Append(true)
		to = list.ValueBuilder()
	}
	if err := to.AppendValueFromString(time); err != nil {
		t.Fatal(err)
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "began", Type: column, Nullable: true}}, nil)
	var content bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &content, parquet.NewWriterProperties(), pqarrow.NewArrowWriterProperties(pqarrow.WithDeprecatedInt96Timestamps(int96)))
	if err != nil {
		t.Fatal(err)
	}
	errs := []error{w.Write(array.NewRecordBatch(schema, []arrow.Array{values.NewArray()}, 2))}
	for i := 0; i < len(footer); i += 2 {
		errs = append(errs, w.AppendKeyValueMetadata(footer[i], footer[i+1]))
	}
	if err := errors.Join(append(errs, w.Close())...); err != nil {
		t.Fatal(err)
	}
	return content.Bytes()
}

// TestOldCalendar: Spark moves the old times of such files when it reads them,
// and would not in a file that we wrote of them. Who reads them as they are has
// other days.
func TestOldCalendar(t *testing.T) {
	const version, times, int96s = "org.apache.spark.version", "org.apache.spark.legacyDateTime", "org.apache.spark.legacyINT96"
	footer := func(pairs ...string) []string { return pairs }
	legacy := footer(version, "4.0.1", times, "", int96s, "")
	instant := func(unit arrow.TimeUnit) arrow.DataType { return &arrow.TimestampType{Unit: unit, TimeZone: "UTC"} }
	day := arrow.FixedWidthTypes.Date32
	e := openEngine(t)
	for i, test := range []struct {
		time    string
		column  arrow.DataType
		int96   bool
		footer  []string
		refused bool
	}{
		{"1582-10-14", day, false, legacy, true},
		{"1582-10-15", day, false, legacy, false},
		{"0001-01-01", day, false, footer(version, "2.4.8"), true},
		{"0001-01-01", day, false, footer(version, "3.0.0"), false},
		{"0001-01-01", day, false, footer(version, "10.0", int96s, ""), false},
		{"0001-01-01", day, false, footer(times, ""), false}, // Spark looks for its version first
		{"0001-01-01", day, false, nil, false},
		{"0001-01-01", arrow.ListOf(day), false, legacy, true},
		{"1600-01-01", arrow.ListOf(day), false, legacy, false},
		{"1899-12-31 23:59:59.999999Z", instant(arrow.Microsecond), false, legacy, true},
		{"1900-01-01 00:00:00Z", instant(arrow.Microsecond), false, legacy, false},
		{"1899-12-31 23:59:59.999Z", instant(arrow.Millisecond), false, legacy, true},
		{"1900-01-01 00:00:00Z", instant(arrow.Millisecond), false, legacy, false},
		{"1899-12-31 23:59:59Z", instant(arrow.Microsecond), false, footer(version, "3.0.3"), false},
		{"1899-12-31 23:59:59Z", instant(arrow.Nanosecond), true, legacy, true},
		{"1900-01-01 00:00:00Z", instant(arrow.Nanosecond), true, legacy, false},
		{"1899-12-31 23:59:59Z", instant(arrow.Nanosecond), true, footer(version, "3.0.3"), true},
		{"1899-12-31 23:59:59Z", instant(arrow.Nanosecond), true, footer(version, "3.5.0", times, ""), false},
		{"1899-12-31 23:59:59Z", arrow.ListOf(instant(arrow.Nanosecond)), true, legacy, true},
	} {
		t.Run(fmt.Sprintf("%s %s %t %s", test.time, test.column, test.int96, strings.Join(test.footer, " ")), func(t *testing.T) {
			var column delta.DataType = delta.Timestamp
			if strings.Contains(test.column.String(), "date") {
				column = delta.Date
			}
			if test.column.ID() == arrow.LIST {
				column = delta.Array{Element: column, ContainsNull: true}
			}
			bucket := blob.NewMemory(fmt.Sprintf("lake-%d", i))
			table := create(t, bucket, delta.Schema{Fields: []delta.Field{{Name: "began", Type: column, Nullable: true}}})
			content := sparkFile(t, test.time, test.column, test.int96, test.footer)
			var adds []delta.Add
			for _, path := range []string{"a.parquet", "b.parquet"} {
				if err := bucket.Put(t.Context(), path, bytes.NewReader(content)); err != nil {
					t.Fatal(err)
				}
				adds = append(adds, delta.Add{Path: path, PartitionValues: delta.PartitionValues{}, Size: int64(len(content)), DataChange: true})
			}
			if _, err := table.Commit(t.Context(), delta.Commit{Operation: "WRITE", Adds: adds, BlindAppend: true}); err != nil {
				t.Fatal(err)
			}
			if !test.refused {
				before := sqlRows(t, e, table)
				for _, err := range mustSnapshot(t, table).Scan(t.Context(), delta.ScanOptions{}) {
					if err != nil {
						t.Error(err)
					}
				}
				if result, err := table.Optimize(t.Context(), delta.OptimizeOptions{}); err != nil || result.FilesRemoved != 2 {
					t.Error(result, err)
				}
				sameRows(t, sqlRows(t, e, table), before)
				return
			}
			snapshot := mustSnapshot(t, table)
			for _, err := range snapshot.Scan(t.Context(), delta.ScanOptions{}) {
				refusedForCalendar(t, "scan", err)
			}
			_, err := table.Optimize(t.Context(), delta.OptimizeOptions{})
			if !errors.Is(err, delta.ErrNotRewritable) {
				t.Errorf("optimize: %v", err)
			}
			refusedForCalendar(t, "optimize", err)
			for _, statement := range []string{"SELECT * FROM t", "SELECT max(began) FROM t", "SELECT hash(began) FROM t"} {
				_, err = e.Query(t.Context(), statement, tables(map[string]*delta.Table{"t": table}))
				refusedForCalendar(t, statement, err)
			}
			if result, err := e.Query(t.Context(), "SELECT count(*) FROM t", tables(map[string]*delta.Table{"t": table})); err != nil || fmt.Sprint(result.Rows) != "[[4]]" {
				t.Error(result, err)
			}
			if now := mustSnapshot(t, table).Version(); now != snapshot.Version() {
				t.Errorf("version %d", now)
			}
		})
	}
}

func refusedForCalendar(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	for _, part := range []string{"a.parquet", `column "began"`, "by the calendar of Spark 2", "CORRECTED"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v says nothing of %s", what, err, part)
		}
	}
}
