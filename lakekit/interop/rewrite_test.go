package interop_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"taxilake/lakekit/delta"
	"taxilake/lakekit/delta/deltatest"
)

// brokenTables are random tables whose files break their schema, by seed.
const brokenTables = 10

// TestRealRewrites: Spark and delta-rs read the same rows of a table before and
// after we have rewritten its files, whoever wrote them. A table that an engine
// refuses is not made one that it reads.
func TestRealRewrites(t *testing.T) {
	spark.need(t)
	deltaRS.need(t)
	sources := map[string]func(t *testing.T, dir string){}
	golden, err := filepath.Glob("../delta/testdata/golden/*/table")
	if err != nil || len(golden) == 0 {
		t.Fatal("no golden tables", err)
	}
	for _, from := range golden {
		sources[filepath.Base(filepath.Dir(from))] = func(t *testing.T, dir string) {
			if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for seed := range uint64(brokenTables) {
		sources[fmt.Sprintf("random %d", seed)] = func(t *testing.T, dir string) {
			if _, err := deltatest.Write(t.Context(), bucket(t, dir), seed); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, make := range sources {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			make(t, dir)
			type reading struct {
				rows []string
				err  error
			}
			before := map[*engine]reading{}
			for _, e := range []*engine{spark, deltaRS} {
				rows, err := e.tryRead(t, dir, nil)
				before[e] = reading{rows, err}
			}
			table := open(t, dir)
			ours := scanned(t, snapshot(t, table))
			// delta-rs takes INT96 beyond nanoseconds for other years, until they are
			// rewritten as microseconds.
			if was := before[deltaRS]; was.err == nil && !slices.Equal(was.rows, ours) {
				t.Logf("delta-rs reads other rows than we do before anything was rewritten")
				before[deltaRS] = reading{rows: ours}
			}
			version := snapshot(t, table).Version()
			column := ""
			for _, f := range snapshot(t, table).Schema().Fields {
				if _, ok := f.Type.(delta.Primitive); ok && column == "" && !partitions(snapshot(t, table), f.Name) {
					column = f.Name
				}
			}
			for what, options := range map[string]delta.OptimizeOptions{"optimize": {}, "zorder": {ZOrderBy: []string{column}}} {
				if len(options.ZOrderBy) > 0 && column == "" {
					continue
				}
				_, err := table.Optimize(t.Context(), options)
				if err != nil && !errors.Is(err, delta.ErrUnsupported) && !errors.Is(err, delta.ErrNotRewritable) {
					t.Fatalf("%s: %v", what, err)
				}
				now := snapshot(t, table).Version()
				if err != nil && now != version {
					t.Errorf("%s: version %d after %v", what, now, err)
				}
				if now == version {
					continue
				}
				version = now
				for e, was := range before {
					rows, err := e.tryRead(t, dir, nil)
					if was.err != nil || err != nil {
						if (was.err == nil) != (err == nil) {
							t.Errorf("%s reads it after %s: %v; before: %v", e.name, what, err, was.err)
						}
						continue
					}
					equalRows(t, rows, was.rows)
				}
			}
		})
	}
}

func partitions(s *delta.Snapshot, column string) bool {
	for _, name := range s.Metadata().PartitionColumns {
		if name == column {
			return true
		}
	}
	return false
}

// TestRealOldCalendar: Spark says in a file that its old times are by another
// calendar, which is lost when we write them again. We refuse to.
func TestRealOldCalendar(t *testing.T) {
	spark.need(t)
	for _, table := range []struct{ columns, values, output, mode string }{
		{"id INT, day DATE", "(1, DATE '1500-01-01'), (2, null)", "TIMESTAMP_MICROS", "spark.sql.parquet.datetimeRebaseModeInWrite"},
		{"id INT, times ARRAY<TIMESTAMP>", "(1, array(TIMESTAMP '1500-01-01 00:00:00'))", "TIMESTAMP_MICROS", "spark.sql.parquet.datetimeRebaseModeInWrite"},
		{"id INT, began TIMESTAMP", "(1, TIMESTAMP '1500-01-01 00:00:00')", "INT96", "spark.sql.parquet.int96RebaseModeInWrite"},
	} {
		t.Run(table.columns+" "+table.output, func(t *testing.T) {
			dir := t.TempDir()
			insert := "INSERT INTO T VALUES " + table.values
			statements(t, dir, map[string]string{table.mode: "LEGACY", "spark.sql.parquet.outputTimestampType": table.output},
				"CREATE TABLE T ("+table.columns+") USING delta", insert, insert)
			before := spark.read(t, dir, nil)
			for _, options := range []delta.OptimizeOptions{{}, {ZOrderBy: []string{"id"}}} {
				if _, err := open(t, dir).Optimize(t.Context(), options); !errors.Is(err, delta.ErrNotRewritable) || !errors.Is(err, delta.ErrUnsupported) {
					t.Errorf("%+v: %v", options, err)
				}
			}
			equalRows(t, spark.read(t, dir, nil), before)
		})
	}
}
