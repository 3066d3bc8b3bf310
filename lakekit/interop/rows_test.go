package interop_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/delta"
)

// scanned are the rows that we read, each as JSON, sorted.
func scanned(t testing.TB, s *delta.Snapshot) []string {
	t.Helper()
	rows := []string{}
	for batch, err := range s.Scan(t.Context(), delta.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		rows = appendRows(t, rows, batch)
	}
	slices.Sort(rows)
	return rows
}

// read are the rows that the engine reads, in the form of scanned; the options
// are those of the scripts' read.
func (e *engine) read(t testing.TB, path string, options request) []string {
	t.Helper()
	return must[[]string](t)(e.tryRead(t, path, options))
}

// tryRead is read of a table that the engine may refuse.
func (e *engine) tryRead(t testing.TB, path string, options request) ([]string, error) {
	t.Helper()
	file, err := os.CreateTemp(scratch, "rows-*.arrow")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		file.Close()
		os.Remove(file.Name())
	}()
	r := request{"op": "read", "path": path, "into": file.Name()}
	for option, value := range options {
		r[option] = value
	}
	if err := e.try(r, nil); err != nil {
		return nil, err
	}
	rows := []string{}
	reader := must[*ipc.FileReader](t)(ipc.NewFileReader(file))
	for i := range reader.NumRecords() {
		rows = appendRows(t, rows, must[arrow.RecordBatch](t)(reader.RecordBatchAt(i)))
	}
	slices.Sort(rows)
	return rows, nil
}

// write leaves rows where the engine's append reads them.
func write(t testing.TB, batch arrow.RecordBatch) (path string) {
	t.Helper()
	file := must[*os.File](t)(os.Create(filepath.Join(t.TempDir(), "rows.arrow")))
	defer file.Close()
	writer := must[*ipc.FileWriter](t)(ipc.NewFileWriter(file, ipc.WithSchema(batch.Schema())))
	if err := writer.Write(batch); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

// records makes rows of a table's schema from a JSON array.
func records(t testing.TB, schema delta.Schema, rows string) arrow.RecordBatch {
	t.Helper()
	batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, must[*arrow.Schema](t)(schema.Arrow()), strings.NewReader(rows))
	if err != nil {
		t.Fatalf("%v\n%s", err, rows)
	}
	return batch
}

func appendRows(t testing.TB, rows []string, batch arrow.RecordBatch) []string {
	t.Helper()
	group := array.RecordToStructArray(batch)
	for i := range group.Len() {
		rows = append(rows, string(must[[]byte](t)(json.Marshal(cell(group, i)))))
	}
	return rows
}

// cell is a value in one form, whichever of Arrow's types for it an engine uses.
func cell(column arrow.Array, i int) any {
	if column.IsNull(i) {
		return nil
	}
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
		slices.SortFunc(pairs, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		return pairs
	case array.ListLike:
		out := []any{}
		from, to := column.ValueOffsets(i)
		for e := int(from); e < int(to); e++ {
			out = append(out, cell(column.ListValues(), e))
		}
		return out
	case array.StringLike:
		return column.Value(i)
	case *array.Dictionary:
		return cell(column.Dictionary(), column.GetValueIndex(i))
	case *array.Timestamp:
		kind := column.DataType().(*arrow.TimestampType)
		text := column.Value(i).ToTime(kind.Unit).Format("2006-01-02T15:04:05.000000")
		if kind.TimeZone != "" {
			text += "Z"
		}
		return text
	case *array.Date32:
		return column.Value(i).ToTime().Format(time.DateOnly)
	case *array.Binary:
		return hex.EncodeToString(column.Value(i))
	case *array.LargeBinary:
		return hex.EncodeToString(column.Value(i))
	case *array.BinaryView:
		return hex.EncodeToString(column.Value(i))
	case *array.Float64:
		return strconv.FormatFloat(column.Value(i), 'g', -1, 64)
	case *array.Float32:
		return strconv.FormatFloat(float64(column.Value(i)), 'g', -1, 32)
	}
	return column.DataType().Name() + " " + column.ValueStr(i)
}

func equalRows(t testing.TB, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	at := func(rows []string, i int) string {
		if i < len(rows) {
			return rows[i]
		}
		return "(none)"
	}
	for i := range max(len(got), len(want)) {
		if at(got, i) != at(want, i) {
			t.Errorf("%d rows, want %d; row %d\n got %s\nwant %s", len(got), len(want), i, at(got, i), at(want, i))
			return
		}
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// same compares by JSON: nil and empty are one.
func same[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	g, w := jsonText(t, got), jsonText(t, want)
	if g != w && (g != "null" && g != "{}" && g != "[]" || w != "null" && w != "{}" && w != "[]") {
		t.Errorf("%s\n got %s\nwant %s", what, g, w)
	}
}

func jsonText(t testing.TB, value any) string {
	t.Helper()
	return string(must[[]byte](t)(json.Marshal(value)))
}

func jsonOf(t testing.TB, text string) (value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return value
}
