package interop_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/delta"
)

// ours are tables that our code writes, with what it can do to them.
var ours = []struct {
	name string
	from int64 // the oldest version that can be read
	make func(t *testing.T, dir string)
}{
	{"empty", 0, func(t *testing.T, dir string) {
		create(t, dir, delta.Definition{Schema: everything, PartitionBy: []string{"str"}})
	}},
	{"all types", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: everything, Name: "all types", Description: "a row of nulls, too"})
		add(t, table, everyRow)
	}},
	{"all types as snappy, gzip and plain", 0, func(t *testing.T, dir string) {
		for _, codec := range []string{"snappy", "gzip", "uncompressed"} {
			table := create(t, filepath.Join(dir, codec), delta.Definition{Schema: everything, Properties: map[string]string{delta.CompressionCodecKey: codec}})
			add(t, table, everyRow)
		}
	}},
	{"floats", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "d", delta.Double, "f", delta.Float)})
		b := array.NewRecordBuilder(memory.DefaultAllocator, must[*arrow.Schema](t)(schema("id", delta.Long, "d", delta.Double, "f", delta.Float).Arrow()))
		for i, x := range []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, 0.1, -1.0 / 3} {
			b.Field(0).(*array.Int64Builder).Append(int64(i))
			b.Field(1).(*array.Float64Builder).Append(x)
			b.Field(2).(*array.Float32Builder).Append(float32(x))
		}
		must[int64](t)(table.Append(t.Context(), delta.AppendOptions{}, b.NewRecordBatch()))
	}},
	{"timestamps without a zone", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "at", delta.TimestampNTZ, "day", delta.TimestampNTZ), PartitionBy: []string{"day"}})
		add(t, table, `[{"id":1,"at":"1900-01-01 00:00:00.000001","day":"1969-12-31 23:59:59.5"},{"id":2,"at":"2024-03-10 02:30:00","day":null},{"id":3}]`)
	}},
	{"old times", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "at", delta.Timestamp, "day", delta.Date)})
		add(t, table, `[{"id":1,"at":"0002-01-01 00:00:00Z","day":"0002-01-01"},{"id":2,"at":"1582-10-04 23:59:59.999999Z","day":"1582-10-04"},
			{"id":3,"at":"1582-10-15 00:00:00Z","day":"1582-10-15"},{"id":4,"at":"1969-12-31 23:59:59.999999Z","day":"1969-12-31"},{"id":5,"at":"9999-12-31 23:59:59.999999Z","day":"9999-12-31"}]`)
	}},
	{"nested", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: nested})
		add(t, table, nestedRows)
	}},
	{"partition values", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: everything, PartitionBy: []string{"b", "sh", "i", "l", "f", "d", "dec", "flag", "str", "day", "at"}})
		add(t, table, everyRow)
	}},
	{"special partition texts", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "p", delta.String), PartitionBy: []string{"p"}})
		add(t, table, `[{"id":1,"p":"a/b c=%25ü\"\\'{}?#&+:*"},{"id":2,"p":null},{"id":3,"p":" "},{"id":4,"p":"数据/"},{"id":5,"p":".."},{"id":6,"p":"__HIVE_DEFAULT_PARTITION__x"},{"id":7,"p":"line\nbreak\ttab"}]`)
	}},
	{"column names", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "a.b", delta.String, "naïve", delta.String, "CamelCase", delta.Long, "select", delta.Date, "列", delta.String), PartitionBy: []string{"列"}})
		add(t, table, `[{"id":1,"a.b":"x","naïve":"y","CamelCase":7,"select":"2020-02-29","列":"值"},{"id":2}]`)
	}},
	{"required columns", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: delta.Schema{Fields: []delta.Field{
			{Name: "id", Type: delta.Long}, {Name: "s", Type: delta.Schema{Fields: []delta.Field{{Name: "x", Type: delta.Integer}}}, Nullable: true}, {Name: "l", Type: delta.Array{Element: delta.String}},
		}}})
		add(t, table, `[{"id":1,"s":{"x":1},"l":["a"]},{"id":2,"s":{"x":2},"l":[]}]`)
	}},
	{"merged schema", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "s", schema("a", delta.Integer))})
		add(t, table, `[{"id":1,"s":{"a":1}}]`)
		wider := schema("id", delta.Long, "s", schema("a", delta.Integer, "b", delta.Array{Element: delta.String, ContainsNull: true}), "note", delta.String, "dec", delta.Decimal{Precision: 20, Scale: 3})
		must[int64](t)(table.Append(t.Context(), delta.AppendOptions{MergeSchema: true, UserMetadata: "two columns more"},
			records(t, wider, `[{"id":2,"s":{"a":2,"b":["x",null]},"note":"new","dec":"-1.5"},{"id":3}]`)))
		add(t, table, `[{"id":4,"note":"after"}]`)
	}},
	{"long texts and wide bounds", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "text", delta.String, "at", delta.Timestamp), Properties: map[string]string{delta.DataSkippingNumIndexedColsKey: "2"}})
		for i, text := range []string{strings.Repeat("z", 100), strings.Repeat("\U0010ffff", 40), "", "a"} {
			add(t, table, fmt.Sprintf(`[{"id":%d,"text":%s,"at":"2020-01-01 00:00:00.000%03dZ"}]`, i, jsonText(t, text), i*300))
		}
	}},
	{"many files in a commit", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "text", delta.String), Properties: map[string]string{delta.TargetFileSizeKey: "100000"}})
		must[int64](t)(table.Append(t.Context(), delta.AppendOptions{}, sequence(t, 0, 100_000), sequence(t, 100_000, 100_000), sequence(t, 200_000, 10_000)))
		if s := snapshot(t, table); s.NumFiles() < 3 {
			t.Errorf("%d files, want several", s.NumFiles())
		}
	}},
	{"compacted", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "text", delta.String), Properties: map[string]string{delta.AppendOnlyKey: "true"}})
		for i := range int64(5) {
			must[int64](t)(table.Append(t.Context(), delta.AppendOptions{}, sequence(t, i*10, 10)))
		}
		must[delta.CompactResult](t)(table.Compact(t.Context(), delta.CompactOptions{}))
		must[int64](t)(table.Append(t.Context(), delta.AppendOptions{}, sequence(t, 1000, 10)))
	}},
	{"z-ordered", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "text", delta.String, "p", delta.Integer), PartitionBy: []string{"p"}})
		for i := range 4 {
			add(t, table, fmt.Sprintf(`[{"id":%d,"text":"b","p":1},{"id":%d,"text":"a","p":null}]`, i, 10-i))
		}
		must[delta.CompactResult](t)(table.Optimize(t.Context(), delta.OptimizeOptions{ZOrderBy: []string{"text", "id"}}))
	}},
	{"rows deleted with their files", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "text", delta.String)})
		for i := range int64(3) {
			must[int64](t)(table.Append(t.Context(), delta.AppendOptions{}, sequence(t, i*10, 10)))
		}
		s := snapshot(t, table)
		gone := s.Files()[1]
		must[int64](t)(table.Commit(t.Context(), delta.Commit{Operation: "DELETE", Parameters: map[string]any{"predicate": "[]"}, ReadVersion: s.Version(), Removes: []delta.Remove{{
			Path: gone.Path, DeletionTimestamp: time.Now().UnixMilli(), DataChange: true, ExtendedFileMetadata: true, PartitionValues: gone.PartitionValues, Size: gone.Size,
		}}}))
	}},
	{"restored", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "text", delta.String)})
		for i := range int64(3) {
			must[int64](t)(table.Append(t.Context(), delta.AppendOptions{Txn: &delta.Txn{AppID: "stream", Version: i}}, sequence(t, i*10, 10)))
		}
		must[delta.CompactResult](t)(table.Compact(t.Context(), delta.CompactOptions{}))
		must[delta.RestoreResult](t)(table.Restore(t.Context(), 2))
	}},
	{"checkpointed, older commits gone", 4, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: everything, PartitionBy: []string{"str", "day"}, Properties: map[string]string{delta.CheckpointIntervalKey: "4"}})
		for i := range int64(5) {
			must[int64](t)(table.Append(t.Context(), delta.AppendOptions{Txn: &delta.Txn{AppID: fmt.Sprintf("app %d", i%2), Version: 100 + i}}, records(t, everything, everyRow)))
		}
		dropCommits(t, dir, 4)
	}},
	{"checkpointed, nested", 2, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: nested})
		add(t, table, nestedRows)
		must[delta.CompactResult](t)(table.Compact(t.Context(), delta.CompactOptions{MinFiles: 1}))
		add(t, table, nestedRows)
		if err := table.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		dropCommits(t, dir, 2)
	}},
	{"hundred commits", 0, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "text", delta.String)})
		for i := range int64(105) {
			must[int64](t)(table.Append(t.Context(), delta.AppendOptions{Txn: &delta.Txn{AppID: "stream", Version: i}}, sequence(t, i, 1)))
		}
	}},
	{"log cleaned up", 10, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "text", delta.String)})
		for i := range int64(19) {
			must[int64](t)(table.Append(t.Context(), delta.AppendOptions{}, sequence(t, i, 1)))
		}
		for i := range int64(18) {
			setCommitTime(t, dir, i, time.Now().Add(-60*24*time.Hour+time.Duration(i)*time.Minute))
		}
		must[int64](t)(table.Append(t.Context(), delta.AppendOptions{}, sequence(t, 100, 1)))
		if _, err := os.Stat(commitFile(dir, 9)); !os.IsNotExist(err) {
			t.Errorf("commit 9 should be gone: %v", err)
		}
	}},
	{"vacuumed", 5, func(t *testing.T, dir string) {
		table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "text", delta.String)})
		for i := range int64(4) {
			must[int64](t)(table.Append(t.Context(), delta.AppendOptions{}, sequence(t, i*10, 10)))
		}
		must[delta.CompactResult](t)(table.Compact(t.Context(), delta.CompactOptions{}))
		var now time.Duration
		gone := must[delta.VacuumResult](t)(table.Vacuum(t.Context(), delta.VacuumOptions{Retention: &now, DisableRetentionCheck: true}))
		if len(gone.Files) != 4 {
			t.Errorf("vacuumed %v, want the four files before the compaction", gone.Files)
		}
	}},
}

// TestRealReadsOurs: other engines read what we write as we read it.
func TestRealReadsOurs(t *testing.T) {
	for _, e := range []*engine{deltaRS, spark} {
		t.Run(e.name, func(t *testing.T) {
			e.need(t)
			for _, table := range ours {
				t.Run(table.name, func(t *testing.T) {
					dir := t.TempDir()
					table.make(t, dir)
					for _, folder := range tables(t, dir) {
						compare(t, e, folder, table.from)
					}
				})
			}
		})
	}
	t.Run(duckDB.name, func(t *testing.T) {
		duckDB.need(t)
		var problem string
		if duckDB.ask(t, request{"op": "probe"}, &problem); problem != "" {
			t.Skip("DuckDB's delta extension cannot be had here: " + problem)
		}
		for _, table := range ours {
			t.Run(table.name, func(t *testing.T) {
				dir := t.TempDir()
				table.make(t, dir)
				for _, folder := range tables(t, dir) {
					equalRows(t, duckDB.read(t, folder, nil), scanned(t, snapshot(t, open(t, folder))))
				}
			})
		}
	})
}

// tables are the tables below a folder.
func tables(t testing.TB, dir string) (folders []string) {
	t.Helper()
	for _, pattern := range []string{"_delta_log", "*/_delta_log"} {
		for _, log := range must[[]string](t)(filepath.Glob(filepath.Join(dir, pattern))) {
			folders = append(folders, filepath.Dir(log))
		}
	}
	if len(folders) == 0 {
		t.Fatal("no table was made")
	}
	return folders
}

// description is what the scripts' describe answers.
type description struct {
	Version          int64
	Schema           string
	PartitionColumns []string
	Properties       map[string]string
	History          []struct {
		Version      int64
		Operation    string
		UserMetadata string
	}
	Txns map[string]int64
}

// compare holds all that an engine says of a table against what we say: the
// state of the newest version, the history, and the rows of the versions from
// one on.
func compare(t *testing.T, e *engine, dir string, from int64) {
	t.Helper()
	table := open(t, dir)
	s := snapshot(t, table)
	txns := map[string]int64{}
	apps := []string{"nobody", "batch job", "loader", "theirs"} // those of their tables, and ours
	for app, txn := range s.Txns() {
		txns[app], apps = txn.Version, append(apps, app)
	}
	var theirs description
	e.ask(t, request{"op": "describe", "path": dir, "apps": apps}, &theirs)

	same(t, "version", theirs.Version, s.Version())
	same(t, "schema", jsonOf(t, theirs.Schema), jsonOf(t, s.Metadata().SchemaString))
	same(t, "partition columns", theirs.PartitionColumns, s.Metadata().PartitionColumns)
	same(t, "properties", theirs.Properties, s.Properties())
	same(t, "transaction identifiers", theirs.Txns, txns)
	history := must[[]string](t)(historyOf(t, table))
	var theirHistory []string
	for _, entry := range theirs.History {
		theirHistory = append(theirHistory, fmt.Sprintf("%d %s %q", entry.Version, entry.Operation, entry.UserMetadata))
	}
	same(t, "history", theirHistory, history)

	for _, version := range someVersions(from, s.Version()) {
		equalRows(t, e.read(t, dir, request{"version": version}), scanned(t, must[*delta.Snapshot](t)(table.SnapshotAt(t.Context(), version))))
		if t.Failed() {
			t.Fatalf("version %d", version)
		}
	}
}

func historyOf(t testing.TB, table *delta.Table) (lines []string, err error) {
	entries, err := table.History(t.Context(), 0)
	for _, entry := range entries {
		lines = append(lines, fmt.Sprintf("%d %s %q", entry.Version, entry.Operation, entry.UserMetadata))
	}
	return lines, err
}

// someVersions are all of them, or of many the ends and some between.
func someVersions(from, to int64) (versions []int64) {
	const most = 4
	step := max(1, (to-from+most-1)/most)
	for v := to; v > from; v -= step {
		versions = append(versions, v)
	}
	return append(versions, from)
}

// TestRealTimeTravel: the version at a time is the same for all.
func TestRealTimeTravel(t *testing.T) {
	dir := t.TempDir()
	table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "text", delta.String)})
	begin := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	setCommitTime(t, dir, 0, begin)
	// Version 3 was written when the clock was an hour behind.
	for i, after := range []time.Duration{time.Minute, time.Hour, -time.Hour, 2 * time.Hour} {
		version := must[int64](t)(table.Append(t.Context(), delta.AppendOptions{}, sequence(t, int64(i), 1)))
		setCommitTime(t, dir, version, begin.Add(after))
	}
	for _, e := range []*engine{deltaRS, spark} {
		t.Run(e.name, func(t *testing.T) {
			e.need(t)
			for _, after := range []time.Duration{0, time.Second, time.Minute, 59 * time.Minute, time.Hour, time.Hour + time.Second, 2 * time.Hour} {
				at := begin.Add(after)
				s, err := open(t, dir).SnapshotAsOf(t.Context(), at)
				if err != nil {
					t.Fatal(err)
				}
				t.Run(fmt.Sprintf("%v is version %d", after, s.Version()), func(t *testing.T) {
					equalRows(t, e.read(t, dir, request{"timestamp": at.Format(time.RFC3339)}), scanned(t, s))
				})
			}
		})
	}
}

// TestRealSkips: no engine leaves out a file, by our statistics, that has rows
// of the answer.
func TestRealSkips(t *testing.T) {
	dir := t.TempDir()
	table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "text", delta.String, "at", delta.Timestamp, "day", delta.Date, "dec", delta.Decimal{Precision: 12, Scale: 4}, "b", delta.Byte, "p", delta.String), PartitionBy: []string{"p"}})
	long := strings.Repeat("z", 50)
	for _, row := range []string{
		`{"id":1,"text":"` + long + `a","at":"2020-01-01 00:00:00.000999Z","day":"1969-12-31","dec":"-0.0001","b":-128,"p":"a/b"}`,
		`{"id":2,"text":"` + long + `b","at":"1960-01-01 00:00:00.000001Z","day":"0002-01-01","dec":"99999999.9999","b":127,"p":null}`,
		`{"id":3,"text":"` + strings.Repeat("\U0010ffff", 40) + `","at":"9999-12-31 23:59:59.999999Z","day":"9999-12-31","dec":"0","b":0,"p":"a/b"}`,
		`{"id":4}`,
	} {
		add(t, table, "["+row+"]")
	}
	for where, want := range map[string][]string{
		"text > '" + long + "a'":                        {"2", "3"},
		"text = '" + long + "b'":                        {"2"},
		"text IS NULL":                                  {"4"},
		"text IS NOT NULL":                              {"1", "2", "3"},
		"at > TIMESTAMP '2020-01-01 00:00:00.000998Z'":  {"1", "3"},
		"at <= TIMESTAMP '1960-01-01 00:00:00.000001Z'": {"2"},
		"day = DATE '1969-12-31'":                       {"1"},
		"day < DATE '1970-01-01'":                       {"1", "2"},
		"dec < 0":                                       {"1"},
		"dec > 99999999.9998":                           {"2"},
		"b < 0":                                         {"1"},
		"p = 'a/b'":                                     {"1", "3"},
		"p IS NULL":                                     {"2", "4"},
	} {
		for _, e := range []*engine{deltaRS, spark} {
			t.Run(e.name+"/"+where, func(t *testing.T) {
				e.need(t)
				var got []string
				for _, row := range e.read(t, dir, request{"where": where}) {
					_, rest, _ := strings.Cut(row, `"id":"int64 `)
					got = append(got, rest[:1])
				}
				slices.Sort(got)
				same(t, "rows", got, want)
			})
		}
	}
}

// schema is a table's, of names and types in turn, all nullable.
func schema(namesAndTypes ...any) (s delta.Schema) {
	for pair := range slices.Chunk(namesAndTypes, 2) {
		s.Fields = append(s.Fields, delta.Field{Name: pair[0].(string), Type: pair[1].(delta.DataType), Nullable: true})
	}
	return s
}

var everything = schema("id", delta.Long, "b", delta.Byte, "sh", delta.Short, "i", delta.Integer, "l", delta.Long, "f", delta.Float, "d", delta.Double,
	"dec", delta.Decimal{Precision: 20, Scale: 5}, "big", delta.Decimal{Precision: 38, Scale: 10}, "flag", delta.Boolean, "str", delta.String, "bin", delta.Binary,
	"day", delta.Date, "at", delta.Timestamp)

const everyRow = `[
	{"id":1,"b":-128,"sh":-32768,"i":-2147483648,"l":-9223372036854775808,"f":1.5,"d":-1e300,"dec":"-123.45600","big":"1234567890123456789012345678.0123456789","flag":true,"str":"a/b c=%20ü'\"","bin":"AP8=","day":"1969-12-31","at":"1969-12-31 23:59:59.123456Z"},
	{"id":2},
	{"id":3,"b":127,"sh":32767,"i":2147483647,"l":9223372036854775807,"f":-0.1,"d":0.1,"dec":"999999999999999.99999","big":"-0.0000000001","flag":false,"str":"数据","bin":"","day":"2020-02-29","at":"2024-03-10 02:30:00Z"}]`

var nested = schema("id", delta.Long,
	"s", schema("a", delta.Integer, "b", schema("c", delta.String, "d", delta.Array{Element: delta.Decimal{Precision: 10, Scale: 2}, ContainsNull: true})),
	"l", delta.Array{Element: schema("x", delta.Integer, "y", delta.Timestamp), ContainsNull: true},
	"m", delta.Map{Key: delta.String, Value: schema("v", delta.Double), ValueContainsNull: true},
	"ll", delta.Array{Element: delta.Array{Element: delta.Date, ContainsNull: true}, ContainsNull: true},
	"mm", delta.Map{Key: delta.Integer, Value: delta.Map{Key: delta.String, Value: delta.Long, ValueContainsNull: true}, ValueContainsNull: true})

const nestedRows = `[
	{"id":1,"s":{"a":1,"b":{"c":"c","d":["1.25",null]}},"l":[{"x":1,"y":"1960-01-01 00:00:00.000001Z"},null],"m":[{"key":"k","value":{"v":1.5}},{"key":"n","value":null}],"ll":[["1969-12-31"],null,[]],"mm":[{"key":1,"value":[{"key":"a","value":1}]}]},
	{"id":2,"s":{"a":null,"b":{"c":null,"d":null}},"l":[],"m":[],"ll":[],"mm":[]},
	{"id":3},
	{"id":4,"s":{"a":4,"b":null},"l":[{"x":null,"y":null}],"m":[{"key":"z","value":{"v":null}}],"ll":null,"mm":[{"key":2,"value":null}]}]`

// sequence are n rows of id and text.
func sequence(t testing.TB, first, n int64) arrow.RecordBatch {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, must[*arrow.Schema](t)(schema("id", delta.Long, "text", delta.String).Arrow()))
	for id := first; id < first+n; id++ {
		b.Field(0).(*array.Int64Builder).Append(id)
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("row %d", id*7919))
	}
	return b.NewRecordBatch()
}

func create(t testing.TB, dir string, definition delta.Definition) *delta.Table {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return must[*delta.Table](t)(delta.Create(t.Context(), bucket(t, dir), definition))
}

func open(t testing.TB, dir string) *delta.Table {
	t.Helper()
	return must[*delta.Table](t)(delta.Open(t.Context(), bucket(t, dir)))
}

func snapshot(t testing.TB, table *delta.Table) *delta.Snapshot {
	t.Helper()
	return must[*delta.Snapshot](t)(table.Snapshot(t.Context()))
}

// add appends rows, given as a JSON array, of the table's schema.
func add(t testing.TB, table *delta.Table, rows string) {
	t.Helper()
	must[int64](t)(table.Append(t.Context(), delta.AppendOptions{}, records(t, snapshot(t, table).Schema(), rows)))
}

func commitFile(dir string, version int64) string {
	return filepath.Join(dir, "_delta_log", fmt.Sprintf("%020d.json", version))
}

// dropCommits deletes the commits before a version, as log cleanup does.
func dropCommits(t testing.TB, dir string, before int64) {
	t.Helper()
	for version := range before {
		if err := os.Remove(commitFile(dir, version)); err != nil {
			t.Fatal(err)
		}
	}
}

func setCommitTime(t testing.TB, dir string, version int64, at time.Time) {
	t.Helper()
	if err := os.Chtimes(commitFile(dir, version), at, at); err != nil {
		t.Fatal(err)
	}
}
