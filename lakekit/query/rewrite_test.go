package query

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"taxilake/lakekit/delta"
	"taxilake/lakekit/delta/deltatest"
	"taxilake/lakekit/oss"
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

func mustOpen(t testing.TB, bucket oss.Bucket) *delta.Table {
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

func listed(t testing.TB, bucket oss.Bucket) []string {
	t.Helper()
	var keys []string
	for object, err := range bucket.List(t.Context(), oss.ListOptions{}) {
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
		for _, rewrite := range rewrites {
			t.Run(fmt.Sprintf("%d/%s", seed, rewrite.name), func(t *testing.T) {
				bucket, err := oss.OpenDir(t.TempDir())
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
				switch {
				case errors.Is(err, delta.ErrNotRewritable):
					refused++
					named := func(path string) bool {
						return made.Breaking[path] && strings.Contains(err.Error(), path+" of version 0")
					}
					if !slices.ContainsFunc(objects, named) || !strings.Contains(err.Error(), `column "`) || !strings.Contains(err.Error(), "cannot be null") {
						t.Errorf("refused: %v", err)
					}
					if now := listed(t, bucket); !slices.Equal(now, objects) {
						t.Errorf("refused, but there is %q, was %q", now, objects)
					}
				case err != nil:
					t.Fatal(err)
				case !slices.Equal(listed(t, bucket), objects):
					rewritten++
				}
				sameRows(t, sqlRows(t, e, mustOpen(t, bucket)), want)

				if rewrite.name != "auto compaction" {
					return
				}
				// It leaves alone only what it has to.
				for _, left := range mustSnapshot(t, table).LeftAlone() {
					if !made.Breaking[left.Path] || !errors.Is(left.Reason, delta.ErrNotRewritable) {
						t.Errorf("%s was left alone: %v", left.Path, left.Reason)
					}
				}
			})
		}
	}
	if refused < tables/10 || rewritten < tables/2 {
		t.Errorf("%d rewrites were refused, %d were made: there is nothing to see", refused, rewritten)
	}
}
