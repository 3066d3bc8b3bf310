package delta

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"taxilake/lakekit/blob"
)

// TestGolden reads the tables that other engines wrote (testdata/golden/make.py)
// and compares with the rows that these read.
func TestGolden(t *testing.T) {
	for _, dir := range goldenTables(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			table := must[*Table](t)(Open(t.Context(), goldenBucket(t, dir)))
			expected := must[[]string](t)(filepath.Glob(filepath.Join(dir, "rows*.json")))
			for _, file := range expected {
				version := strings.TrimPrefix(strings.TrimSuffix(filepath.Base(file), ".json"), "rows")
				t.Run("version"+version, func(t *testing.T) {
					s := must[*Snapshot](t)(table.Snapshot(t.Context()))
					if version != "" {
						v := must[int64](t)(strconv.ParseInt(version[1:], 10, 64))
						s = must[*Snapshot](t)(table.SnapshotAt(t.Context(), v))
					}
					equalRows(t, scannedRows(t, s), goldenRows(t, file, s.Schema()))
					if records := s.NumRecords(); records >= 0 && records != int64(len(scannedRows(t, s))) {
						t.Errorf("NumRecords is %d", records)
					}
				})
			}
		})
	}
}

func goldenTables(t testing.TB) []string {
	t.Helper()
	dirs := must[[]string](t)(filepath.Glob("testdata/golden/*/table"))
	if len(dirs) == 0 {
		t.Fatal("no golden tables")
	}
	for i := range dirs {
		dirs[i] = filepath.Dir(dirs[i])
	}
	return dirs
}

func goldenBucket(t testing.TB, dir string) blob.Bucket {
	t.Helper()
	bucket, err := blob.OpenDir(filepath.Join(dir, "table"))
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

func equalRows(t *testing.T, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%d rows, want %d; row %d\n got %s\nwant %s", len(got), len(want), i, at(got, i), at(want, i))
		}
	}
}

func at(rows []string, i int) string {
	if i < len(rows) {
		return rows[i]
	}
	return "(none)"
}

// goldenRows are the expected rows in the form of scannedRows.
func goldenRows(t *testing.T, file string, schema Schema) []string {
	t.Helper()
	var rows []string
	for line := range strings.Lines(string(must[[]byte](t)(os.ReadFile(file)))) {
		var row any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		rows = append(rows, jsonText(t, normalised(t, row, schema)))
	}
	slices.Sort(rows)
	return rows
}

// normalised gives the numbers of an expected value the form that cell writes.
func normalised(t *testing.T, value any, as DataType) any {
	if value == nil {
		return nil
	}
	switch as := as.(type) {
	case Schema:
		out := map[string]any{}
		for _, f := range as.Fields {
			member, ok := value.(map[string]any)[f.Name]
			if !ok {
				t.Fatalf("expected row has no %q: %v", f.Name, value)
			}
			out[f.Name] = normalised(t, member, f.Type)
		}
		return out
	case Array:
		out := []any{}
		for _, element := range value.([]any) {
			out = append(out, normalised(t, element, as.Element))
		}
		return out
	case Map:
		out := []any{}
		for _, pair := range value.([]any) {
			out = append(out, []any{normalised(t, pair.([]any)[0], as.Key), normalised(t, pair.([]any)[1], as.Value)})
		}
		return out
	}
	if as == Double || as == Float {
		bits := map[DataType]int{Double: 64, Float: 32}[as]
		return floatCell(must[float64](t)(strconv.ParseFloat(value.(string), bits)), bits)
	}
	if as, ok := as.(Decimal); ok { // Spark's may have more zeros
		return must[decimal128.Num](t)(decimal128.FromString(value.(string), int32(as.Precision), int32(as.Scale))).ToString(int32(as.Scale))
	}
	return value
}

func floatCell(v float64, bits int) string {
	if v == 0 && math.Signbit(v) {
		return "-0"
	}
	return strconv.FormatFloat(v, 'g', -1, bits)
}

func scannedRows(t testing.TB, s *Snapshot) []string {
	t.Helper()
	rows := []string{}
	for batch, err := range s.Scan(t.Context(), ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		group := array.RecordToStructArray(batch)
		for i := range group.Len() {
			rows = append(rows, jsonText(t, cell(group, i)))
		}
	}
	slices.Sort(rows)
	return rows
}

func jsonText(t testing.TB, value any) string {
	t.Helper()
	return string(must[[]byte](t)(json.Marshal(value)))
}

// cell is a value in the form of rows.json, see make.py.
func cell(column arrow.Array, i int) any {
	if column.IsNull(i) {
		return nil
	}
	const micros = "2006-01-02T15:04:05.000000"
	switch column := column.(type) {
	case *array.Struct:
		out := map[string]any{}
		for f, field := range column.DataType().(*arrow.StructType).Fields() {
			out[field.Name] = cell(column.Field(f), i)
		}
		return out
	case *array.Map:
		pairs := []any{}
		from, to := column.ValueOffsets(i)
		for e := int(from); e < int(to); e++ {
			pairs = append(pairs, []any{cell(column.Keys(), e), cell(column.Items(), e)})
		}
		slices.SortFunc(pairs, func(a, b any) int {
			return strings.Compare(fmt.Sprintf("%q", a.([]any)[0]), fmt.Sprintf("%q", b.([]any)[0]))
		})
		return pairs
	case *array.List:
		out := []any{}
		from, to := column.ValueOffsets(i)
		for e := int(from); e < int(to); e++ {
			out = append(out, cell(column.ListValues(), e))
		}
		return out
	case *array.Timestamp:
		return column.Value(i).ToTime(arrow.Microsecond).Format(micros)
	case *array.Date32:
		return column.Value(i).ToTime().Format(time.DateOnly)
	case *array.Decimal128:
		return column.Value(i).ToString(column.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Binary:
		return hex.EncodeToString(column.Value(i))
	case *array.Float64:
		return floatCell(column.Value(i), 64)
	case *array.Float32:
		return floatCell(float64(column.Value(i)), 32)
	}
	return column.ValueStr(i)
}
