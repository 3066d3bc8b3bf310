package query

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/delta/deltatest"
)

// Rewriting changes no row. What it did is read by DuckDB, which shares no code
// with it.

// rewrites are all ways in which data files are made of other data files.
var rewrites = []struct {
	name string
	run  func(testing.TB, *delta.Table) error
}{
	{"optimize", func(t testing.TB, table *delta.Table) error {
		_, err := table.Optimize(t.Context(), delta.OptimizeOptions{})
		return err
	}},
	{"zorder", func(t testing.TB, table *delta.Table) error {
		snapshot := mustSnapshot(t, table)
		for _, f := range snapshot.Schema().Fields {
			switch f.Type.(type) {
			case delta.Primitive, delta.Decimal:
				if !isPartitionColumn(snapshot.Metadata().PartitionColumns, f.Name) {
					_, err := table.Optimize(t.Context(), delta.OptimizeOptions{ZOrderBy: []string{f.Name}})
					return err
				}
			}
		}
		return nil
	}},
	{"auto compaction", func(t testing.TB, table *delta.Table) error {
		_, err := table.Compact(t.Context(), delta.CompactOptions{Auto: true, MinFiles: 2, TargetSize: 1 << 40})
		return err
	}},
}

func mustSnapshot(t testing.TB, table *delta.Table) *delta.Snapshot {
	t.Helper()
	snapshot, err := table.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func mustOpen(t testing.TB, bucket blob.Bucket) *delta.Table {
	t.Helper()
	table, err := delta.Open(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// sqlRows are the rows as DuckDB reads them, sorted.
func sqlRows(t testing.TB, e *Engine, table *delta.Table) []string {
	t.Helper()
	result := mustQuery(t, e, "SELECT * FROM t", tables(map[string]*delta.Table{"t": table}))
	var rows []string
	for _, row := range result.Rows {
		object := map[string]any{}
		for i, f := range mustSnapshot(t, table).Schema().Fields {
			object[f.Name] = goldenCell(t, row[i], f.Type)
		}
		rows = append(rows, jsonText(t, object))
	}
	slices.Sort(rows)
	return rows
}

func sameRows(t testing.TB, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%d rows, want %d; row %d\n got %.1000s\nwant %.1000s", len(got), len(want), i, at(got, i), at(want, i))
		}
	}
}

func at(rows []string, i int) string {
	if i < len(rows) {
		return rows[i]
	}
	return "(none)"
}

func listed(t testing.TB, bucket blob.Bucket) []string {
	t.Helper()
	var keys []string
	for object, err := range bucket.List(t.Context(), blob.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, object.Key)
	}
	return keys
}

func TestRewritingKeepsRowsOfGoldenTables(t *testing.T) {
	e := openEngine(t)
	folders, err := filepath.Glob(filepath.Join(goldenFolder, "*", "table"))
	if err != nil || len(folders) == 0 {
		t.Fatal("no golden tables", err)
	}
	done := 0
	for _, folder := range folders {
		name := filepath.Base(filepath.Dir(folder))
		for _, rewrite := range rewrites {
			t.Run(name+"/"+rewrite.name, func(t *testing.T) {
				bucket := copyGolden(t, name, t.TempDir())
				before, objects := sqlRows(t, e, mustOpen(t, bucket)), listed(t, bucket)
				err := rewrite.run(t, mustOpen(t, bucket))
				if err != nil {
					// Features that we do not write under are refused by name.
					if !errors.Is(err, delta.ErrUnsupported) || !slices.Equal(listed(t, bucket), objects) {
						t.Fatalf("%v\n%q, were %q", err, listed(t, bucket), objects)
					}
				} else if !slices.Equal(listed(t, bucket), objects) {
					done++
				}
				sameRows(t, sqlRows(t, e, mustOpen(t, bucket)), before)
			})
		}
	}
	if done < 10 {
		t.Errorf("only %d rewrites were made", done)
	}
}

// TestRewritingKeepsRowsThatBreakTheSchema: of random tables whose files have
// nulls where the table's schema forbids them, at any depth.
func TestRewritingKeepsRowsThatBreakTheSchema(t *testing.T) {
	e := openEngine(t)
	const tables = 40
	refused, rewritten := 0, 0
	for seed := range uint64(tables) {
		for i, rewrite := range rewrites {
			t.Run(fmt.Sprintf("%d/%s", seed, rewrite.name), func(t *testing.T) {
				r, w := rewriteRandom(t, e, seed, i)
				if r {
					refused++
				}
				if w {
					rewritten++
				}
			})
		}
	}
	if refused < tables/10 || rewritten < tables/2 {
		t.Errorf("%d rewrites were refused, %d were made: there is nothing to see", refused, rewritten)
	}
}

func FuzzRewriting(f *testing.F) {
	e := openEngine(f)
	for i := range rewrites {
		f.Add(uint64(1000+i), i)
	}
	f.Fuzz(func(t *testing.T, seed uint64, rewrite int) {
		if rewrite < 0 || rewrite >= len(rewrites) {
			t.Skip()
		}
		rewriteRandom(t, e, seed, rewrite)
	})
}

// rewriteRandom rewrites the random table of a seed in one of the ways.
func rewriteRandom(t *testing.T, e *Engine, seed uint64, which int) (refused, rewritten bool) {
	t.Helper()
	rewrite := rewrites[which]
	bucket, err := blob.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	made, err := deltatest.Write(t.Context(), bucket, seed)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, row := range made.Rows {
		want = append(want, jsonText(t, goldenCell(t, row, made.Schema)))
	}
	slices.Sort(want)
	table := mustOpen(t, bucket)
	sameRows(t, sqlRows(t, e, table), want)
	objects := listed(t, bucket)

	err = rewrite.run(t, table)
	if refused = errors.Is(err, delta.ErrNotRewritable); err != nil && !refused {
		t.Fatal(err)
	}
	rewritten = !slices.Equal(listed(t, bucket), objects)
	if refused {
		named := func(path string) bool {
			return made.Breaking[path] && strings.Contains(err.Error(), path+" of version 0")
		}
		if !slices.ContainsFunc(objects, named) || !strings.Contains(err.Error(), `column "`) || !strings.Contains(err.Error(), "cannot be null") {
			t.Errorf("refused: %v", err)
		}
		if rewritten {
			t.Errorf("refused, but there is %q, was %q", listed(t, bucket), objects)
		}
	}
	sameRows(t, sqlRows(t, e, mustOpen(t, bucket)), want)

	breaks := slices.Contains(slices.Collect(maps.Values(made.Breaking)), true)
	switch rewrite.name {
	case "zorder": // of all files
		if refused != breaks {
			t.Errorf("files that break the schema: %t, refused: %t", breaks, refused)
		}
	case "auto compaction": // leaves alone only what it has to
		if refused {
			t.Errorf("error %v", err)
		}
		for _, left := range mustSnapshot(t, table).LeftAlone() {
			if !made.Breaking[left.Path] || !errors.Is(left.Reason, delta.ErrNotRewritable) {
				t.Errorf("%s was left alone: %v", left.Path, left.Reason)
			}
		}
	}
	return refused, rewritten
}

// TestNanoseconds: of types that Delta does not have, Scan and SQL read the
// same; where digits would be lost, nothing is rewritten.
func TestNanoseconds(t *testing.T) {
	e := openEngine(t)
	zoned := &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}
	for name, values := range map[string][]arrow.Timestamp{
		"whole":    {0, 1000, -1000, 1_700_000_000_123_456_000, math.MinInt64/1000*1000 + 1000, math.MaxInt64 / 1000 * 1000},
		"fraction": {1, 999, 1001, -1, -999, -1001, 1_700_000_000_123_456_789, math.MinInt64 + 2, math.MaxInt64 - 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
				{Name: "at", Type: zoned, Nullable: true}, {Name: "ats", Type: arrow.ListOf(zoned), Nullable: true},
			}, nil))
			for _, v := range values {
				b.Field(0).(*array.TimestampBuilder).Append(v)
				list := b.Field(1).(*array.ListBuilder)
				list.Append(true)
				list.ValueBuilder().(*array.TimestampBuilder).Append(v)
				list.ValueBuilder().AppendNull()
			}
			rows := b.NewRecordBatch()
			var content bytes.Buffer
			w, err := pqarrow.NewFileWriter(rows.Schema(), &content, parquet.NewWriterProperties(), pqarrow.NewArrowWriterProperties())
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(w.Write(rows), w.Close()); err != nil {
				t.Fatal(err)
			}
			bucket := blob.NewMemory("lake-" + name)
			schema := delta.Schema{Fields: []delta.Field{
				{Name: "at", Type: delta.Timestamp, Nullable: true}, {Name: "ats", Type: delta.Array{Element: delta.Timestamp, ContainsNull: true}, Nullable: true},
			}}
			table := create(t, bucket, schema)
			var adds []delta.Add
			for _, path := range []string{"a.parquet", "b.parquet"} {
				if err := bucket.Put(t.Context(), path, bytes.NewReader(content.Bytes())); err != nil {
					t.Fatal(err)
				}
				adds = append(adds, delta.Add{Path: path, PartitionValues: delta.PartitionValues{}, Size: int64(content.Len()), DataChange: true})
			}
			if _, err := table.Commit(t.Context(), delta.Commit{Operation: "WRITE", Adds: adds, BlindAppend: true}); err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, v := range append(values, values...) {
				text := time.UnixMicro(int64(v) / 1000).UTC().Format("2006-01-02T15:04:05.000000")
				want = append(want, jsonText(t, map[string]any{"at": text, "ats": []any{text, nil}}))
			}
			slices.Sort(want)
			sameRows(t, sqlRows(t, e, table), want)
			sameRows(t, scannedRows(t, table), want)
			_, err = table.Optimize(t.Context(), delta.OptimizeOptions{})
			if name == "whole" && err != nil ||
				name == "fraction" && (!errors.Is(err, delta.ErrNotRewritable) || !strings.Contains(err.Error(), `a.parquet of version 1`) || !strings.Contains(err.Error(), `column "at"`)) {
				t.Errorf("error %v", err)
			}
			sameRows(t, sqlRows(t, e, table), want)
		})
	}
}

// scannedRows are the rows as Scan reads them, in the form of sqlRows.
func scannedRows(t testing.TB, table *delta.Table) []string {
	t.Helper()
	var rows []string
	for batch, err := range mustSnapshot(t, table).Scan(t.Context(), delta.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		at, ats := batch.Column(0).(*array.Timestamp), batch.Column(1).(*array.List)
		text := func(column *array.Timestamp, i int) any {
			if column.IsNull(i) {
				return nil
			}
			return column.Value(i).ToTime(arrow.Microsecond).Format("2006-01-02T15:04:05.000000")
		}
		for i := range int(batch.NumRows()) {
			list := []any{}
			from, to := ats.ValueOffsets(i)
			for j := from; j < to; j++ {
				list = append(list, text(ats.ListValues().(*array.Timestamp), int(j)))
			}
			rows = append(rows, jsonText(t, map[string]any{"at": text(at, i), "ats": list}))
		}
	}
	slices.Sort(rows)
	return rows
}
