package delta

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"taxilake/lakekit/blob"
)

func TestPredicates(t *testing.T) {
	columns := []Field{column("city", String), column("day", Date), column("n", Integer), column("price", Decimal{10, 2}), column("ok", Boolean), column("at", Timestamp), column("x", Double), column("a b", String)}
	values := PartitionValues{"city": "it's", "day": "2009-06-15", "n": "10", "price": "2.50", "ok": "true", "at": "2009-06-15T12:00:00.000001Z", "x": "-1e-07", "a b": ""}
	tests := []struct {
		where string
		want  bool
	}{
		{"city = 'it''s'", true}, {"CITY <> 'it''s'", false}, {"city != 'x'", true},
		{"day >= '2009-06-15' AND day < '2009-06-16'", true}, {"day > '2009-06-15'", false},
		{"n = 10", true}, {"n > 9", true}, {"n <= 9", false}, {"n = '10'", true}, {"n in (1, 10)", true}, {"n IN (1)", false},
		{"price = 2.5", true}, {"price < 2.49", false}, {"ok = true", true}, {"ok = 'false'", false}, {"ok > false", true},
		{"at > '2009-06-15 12:00:00'", true}, {"at = '2009-06-15T12:00:00.000001Z'", true}, {"at < '2009-06-15'", false},
		{"x < 0", true}, {"x = -1e-7", true}, {"x > -1E-8", false},
		{"`a b` is null", true}, {"`a b` IS NOT NULL", false}, {"`a b` = ''", false}, {"`a b` != 'z'", false}, {"city is not null and n = 11", false},
	}
	for _, test := range tests {
		p, err := parsePredicate(test.where, columns, "partition column")
		if err != nil {
			t.Errorf("%s: %v", test.where, err)
			continue
		}
		if got, err := matches(p, values); err != nil || got != test.want {
			t.Errorf("%s is %v, error %v", test.where, got, err)
		}
	}
	floats := []Field{column("x", Double), column("f", Float)}
	for _, test := range []struct {
		where, x, f string
		want        bool
	}{
		{"x > 5", "NaN", "", true}, {"x = 'NaN'", "NaN", "", true}, {"x >= 'NaN'", "NaN", "", true}, {"x > 'Infinity'", "NaN", "", true},
		{"x < 0", "NaN", "", false}, {"x != 1", "NaN", "", true}, {"x IN (1, 'NaN')", "NaN", "", true}, {"x < 'NaN'", "Infinity", "", true},
		{"x <= 'NaN'", "NaN", "", true}, {"x < 'NaN'", "NaN", "", false}, {"x = 0", "-0.0", "", true}, {"x < 0", "-0.0", "", false},
		{"f > 5", "", "NaN", true}, {"f = 0.1", "", "0.1", false}, {"f > 0.1", "", "0.1", true}, {"f = 0.5", "", "0.5", true}, {"f < '-Infinity'", "", "-Infinity", false},
	} {
		p := must[predicate](t)(parsePredicate(test.where, floats, "partition column"))
		if got, err := matches(p, PartitionValues{"x": test.x, "f": test.f}); err != nil || got != test.want {
			t.Errorf("%s of %q, %q is %v, error %v", test.where, test.x, test.f, got, err)
		}
	}
	for where, says := range map[string]string{
		"":                  "ends too early",
		"fare = 3":          "no partition column (they are: city, day, n, price, ok, at, x, a b)",
		"n":                 "ends too early",
		"n ~ 3":             "cannot read",
		"n = 3 or n = 4":    "expected AND",
		"n = x":             "no int",
		"n = 1e999999999":   "expected a number",
		"city = 3":          "write the value as '3'",
		"day = '15.6.2009'": "no date",
		"n in 3":            "expected (",
		"n in (3 4)":        "expected , or )",
		"n is 3":            "expected NULL",
		"n and 3":           "expected a comparison",
	} {
		if _, err := parsePredicate(where, columns, "partition column"); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v, want %q", where, err, says)
		}
	}
}

func matches(p predicate, values PartitionValues) (bool, error) {
	for _, c := range p {
		if holds, err := c.matches(values[c.column.Name]); err != nil || !holds {
			return false, err
		}
	}
	return true, nil
}

func FuzzPredicate(f *testing.F) {
	for _, seed := range []string{"day = '2009-06-15' and n in (1,2)", "`a b` is not null", "n = 1e999999999", "'", "n=-0.5", "at<'2009'"} {
		f.Add(seed, "2009-06-15")
	}
	columns := []Field{column("day", Date), column("n", Decimal{10, 2}), column("at", Timestamp), column("s", String), column("x", Double)}
	f.Fuzz(func(t *testing.T, where, value string) {
		p, err := parsePredicate(where, columns, "partition column")
		if err != nil {
			return
		}
		values := PartitionValues{}
		for _, c := range columns {
			values[c.Name] = value
		}
		if _, err := matches(p, values); err != nil && !errors.Is(err, ErrCorruptLog) {
			t.Fatal(err)
		}
	})
}

var trips = Schema{[]Field{column("id", Long), column("x", Integer), column("y", Double), column("name", String), column("day", Date), column("tags", Array{Map{String, Long, true}, true})}}

// tripTable has days of 8 files each, whose rows lie on a grid in no order.
func tripTable(t *testing.T, bucket blob.Bucket) (*Table, []string) {
	t.Helper()
	table := quiet(must[*Table](t)(Create(t.Context(), bucket, Definition{Schema: trips, PartitionBy: []string{"day"}})))
	for file := range 8 {
		var rows []string
		for i := range 128 {
			id := i*8 + file
			cell := id * 619 % 1024
			y := fmt.Sprintf("%d.5", cell/32)
			if id%100 == 7 {
				y = "null"
			}
			rows = append(rows, fmt.Sprintf(`{"id":%d,"x":%d,"y":%s,"name":"n%d","day":"2009-06-%02d","tags":[[{"key":"a","value":%d}],null]}`, id, cell%32, y, id, 15+id%2, id))
		}
		must[int64](t)(table.Append(t.Context(), AppendOptions{}, batchOf(t, trips, "["+strings.Join(rows, ",")+"]")))
	}
	return table, rowsOf(t, must[*Snapshot](t)(table.Snapshot(t.Context())))
}

func TestOptimizeWhere(t *testing.T) {
	table, before := tripTable(t, blob.NewMemory("lake"))
	dry := must[CompactResult](t)(table.Optimize(t.Context(), OptimizeOptions{Where: "day = '2009-06-15'", DryRun: true}))
	if s := must[*Snapshot](t)(table.Snapshot(t.Context())); s.Version() != 8 || dry.Version != -1 || dry.FilesRemoved != 4 || dry.FilesAdded != 1 || dry.BytesRemoved == 0 {
		t.Fatalf("dry run: %+v, version %d", dry, s.Version())
	}
	result := must[CompactResult](t)(table.Optimize(t.Context(), OptimizeOptions{Where: "day = '2009-06-15'"}))
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	if result.FilesRemoved != 4 || result.FilesAdded != 1 || result.BytesRemoved != dry.BytesRemoved || s.NumFiles() != 5 {
		t.Fatalf("%+v, %d files", result, s.NumFiles())
	}
	if !slices.Equal(rowsOf(t, s), before) {
		t.Fatal("rows changed")
	}
	if again := must[CompactResult](t)(table.Optimize(t.Context(), OptimizeOptions{Where: "day = '2009-06-15'"})); again.Version != -1 {
		t.Errorf("one file was rewritten: %+v", again)
	}
	entry := must[[]HistoryEntry](t)(table.History(t.Context(), 1))[0]
	if entry.OperationParameters["predicate"] != `["day = '2009-06-15'"]` || entry.OperationParameters["auto"] != "false" {
		t.Errorf("%+v", entry)
	}
}

// TestOptimizeZOrder: the same rows, in files that hold narrow ranges of both
// columns. A file of a partition of 512 rows in 16 files of 32, ordered by one
// column alone, would hold all values of the other.
func TestOptimizeZOrder(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	table, before := tripTable(t, blob.NewMemory("lake"))
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	columns := must[[]string](t)(s.zOrderColumns([]string{"X", "y"}))
	for _, bin := range byPartition(s.adds) {
		curve := must[*zCurve](t)(s.sampleCurve(t.Context(), bin, columns, 16))
		buckets := must[zBuckets](t)(curve.distribute(t.Context(), s.scanFiles(t.Context(), bin)))
		previous, largest := uint64(0), 0.0
		for rows, err := range curve.sorted(t.Context(), buckets) {
			if err != nil {
				t.Fatal(err)
			}
			values := curve.values(rows)
			if !slices.IsSorted(values) || values[0] < previous {
				t.Fatal("rows are not in the order of the curve")
			}
			previous = values[len(values)-1]
			stats := newFileStats(trips, parseProperties(nil))
			stats.observe(rows)
			parsed, _ := Add{Stats: stats.json()}.ParseStats()
			width := func(name string) float64 {
				low, high := must[float64](t)(number(parsed.MinValues[name])), must[float64](t)(number(parsed.MaxValues[name]))
				return high - low + 1
			}
			largest = max(largest, width("x")*width("y"))
		}
		if largest > 32*32/4 {
			t.Errorf("a bucket spans %v of 1024 cells", largest)
		}
		buckets.close()
	}
	result := must[CompactResult](t)(table.Optimize(t.Context(), OptimizeOptions{ZOrderBy: []string{"X", "y"}}))
	after := must[*Snapshot](t)(table.Snapshot(t.Context()))
	if result.FilesRemoved != 8 || result.FilesAdded != 2 || after.NumFiles() != 2 {
		t.Fatalf("%+v", result)
	}
	if !slices.Equal(rowsOf(t, after), before) {
		t.Fatal("rows changed")
	}
	if entry := must[[]HistoryEntry](t)(table.History(t.Context(), 1))[0]; entry.OperationParameters["zOrderBy"] != `["x","y"]` {
		t.Errorf("%+v", entry)
	}
	if left := must[[]os.DirEntry](t)(os.ReadDir(temp)); len(left) > 0 {
		t.Errorf("left %s", left[0].Name())
	}
}

// TestZOrderOfLargeBuckets: they are made smaller until they can be sorted, or hold
// one value alone.
func TestZOrderOfLargeBuckets(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	table, _ := tripTable(t, blob.NewMemory("lake"))
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	bin := byPartition(s.adds)[0]
	want := 0
	for rows, err := range s.scanFiles(t.Context(), bin) {
		if err != nil {
			t.Fatal(err)
		}
		want += int(rows.NumRows())
	}
	for _, bytes := range []int64{1, 2000, 1 << 30} {
		curve := must[*zCurve](t)(s.sampleCurve(t.Context(), bin, []string{"x", "y"}, 2))
		curve.sortBytes = bytes
		buckets := must[zBuckets](t)(curve.distribute(t.Context(), s.scanFiles(t.Context(), bin)))
		var values []uint64
		for rows, err := range curve.sorted(t.Context(), buckets) {
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, curve.values(rows)...)
		}
		buckets.close()
		if len(values) != want || !slices.IsSorted(values) {
			t.Errorf("%d bytes at once: %d rows, want %d in the order of the curve", bytes, len(values), want)
		}
	}
}

func number(v any) (float64, error) {
	n, ok := v.(interface{ Float64() (float64, error) })
	if !ok {
		return 0, fmt.Errorf("%v is no number", v)
	}
	return n.Float64()
}

// TestZKeys: the order of the keys is the order of the values.
func TestZKeys(t *testing.T) {
	for _, test := range []struct {
		typ    DataType
		values string
	}{
		{Long, `null, -9223372036854775808, -1, 0, 9223372036854775807`},
		{Integer, `null, -2, 3`}, {Short, `-2, 3`}, {Byte, `-128, 127`},
		{Double, `null, -1e300, -1e-300, 0, 1e-300, 5`}, {Float, `-2.5, 0, 1`},
		{String, `null, "", "A", "a", "aa", "b", "é"`}, {Boolean, `false, true`}, {Date, `"1969-12-31", "2009-06-15"`},
		{Timestamp, `"1969-12-31T00:00:00Z", "2009-06-15T00:00:00Z"`}, {Decimal{30, 2}, `"-12345678901234567890.12", "-0.01", "0.00", "99999999999999999999.99"`},
	} {
		schema := Schema{[]Field{column("c", test.typ)}}
		var rows []string
		for value := range strings.SplitSeq(test.values, ", ") {
			rows = append(rows, `{"c":`+value+`}`)
		}
		batch := batchOf(t, schema, "["+strings.Join(rows, ",")+"]")
		key := zKeys(batch, []string{"c"})[0]
		for i := 1; i < len(rows); i++ {
			if a, b := string(key(nil, i-1)), string(key(nil, i)); a >= b {
				t.Errorf("%s: the key of %s is not below that of %s", test.typ, rows[i-1], rows[i])
			}
		}
	}
}

func TestOptimizeRefuses(t *testing.T) {
	table, _ := tripTable(t, blob.NewMemory("lake"))
	for name, opts := range map[string]OptimizeOptions{
		"condition on a data column": {Where: "x = 1"},
		"column that is not there":   {ZOrderBy: []string{"z"}},
		"partition column":           {ZOrderBy: []string{"day"}},
		"column without order":       {ZOrderBy: []string{"tags"}},
		"column twice":               {ZOrderBy: []string{"x", "X"}},
	} {
		if _, err := table.Optimize(t.Context(), opts); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
