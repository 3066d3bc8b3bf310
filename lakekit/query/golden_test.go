package query

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

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
)

const goldenFolder = "../delta/testdata/golden"

// TestGolden reads the tables that other engines wrote, see make.py there, and
// compares with the rows that these read, whatever the session's time zone.
func TestGolden(t *testing.T) {
	e := openEngine(t)
	expected, err := filepath.Glob(filepath.Join(goldenFolder, "*", "rows*.json"))
	if err != nil || len(expected) == 0 {
		t.Fatal("no golden tables", err)
	}
	for _, file := range expected {
		dir := filepath.Dir(file)
		name := filepath.Base(dir)
		version := strings.TrimPrefix(strings.TrimSuffix(filepath.Base(file), ".json"), "rows")
		for _, zone := range []string{"", "Asia/Shanghai"} {
			t.Run(name+"/version"+version+"/"+zone, func(t *testing.T) {
				bucket, err := blob.OpenDir(filepath.Join(dir, "table"))
				if err != nil {
					t.Fatal(err)
				}
				table, err := delta.Open(t.Context(), bucket)
				if err != nil {
					t.Fatal(err)
				}
				request := tables(map[string]*delta.Table{"t": table})
				request.TimeZone = zone
				statement := "SELECT * FROM t"
				snapshot, err := table.Snapshot(t.Context())
				if version != "" {
					statement += " VERSION AS OF " + version[1:]
					v, _ := strconv.ParseInt(version[1:], 10, 64)
					snapshot, err = table.SnapshotAt(t.Context(), v)
				}
				if err != nil {
					t.Fatal(err)
				}
				result := mustQuery(t, e, statement, request)
				var got []string
				for _, row := range result.Rows {
					object := map[string]any{}
					for i, f := range snapshot.Schema().Fields {
						if result.Columns[i].Name != f.Name {
							t.Fatalf("column %d is %q, want %q", i, result.Columns[i].Name, f.Name)
						}
						if want := f.Type.String(); strings.ReplaceAll(result.Columns[i].Type, "`", "") != want {
							t.Errorf("column %q is %s, want %s", f.Name, result.Columns[i].Type, want)
						}
						object[f.Name] = goldenCell(t, row[i], f.Type)
					}
					got = append(got, jsonText(t, object))
				}
				slices.Sort(got)
				want := goldenRows(t, file, snapshot.Schema())
				if !slices.Equal(got, want) {
					t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
				var lines strings.Builder
				if err := result.WriteJSON(&lines); err != nil || strings.Count(lines.String(), "\n") != len(want) {
					t.Errorf("as JSON: %v\n%s", err, lines.String())
				}
				for line := range strings.Lines(lines.String()) {
					if !json.Valid([]byte(line)) {
						t.Errorf("no JSON: %s", line)
					}
				}
				wire := jsonText(t, result)
				var back api.Result
				if err := json.Unmarshal([]byte(wire), &back); err != nil || jsonText(t, &back) != wire {
					t.Errorf("not the same on the way back: %v", err)
				}
			})
		}
	}
}

func jsonText(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func goldenRows(t testing.TB, file string, schema delta.Schema) []string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(content)) {
		var row any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		rows = append(rows, jsonText(t, goldenCell(t, row, schema)))
	}
	slices.Sort(rows)
	return rows
}

// goldenCell gives a value, of a result or of rows.json, one form.
func goldenCell(t testing.TB, value any, as delta.DataType) any {
	t.Helper()
	if value == nil {
		return nil
	}
	switch as := as.(type) {
	case delta.Schema:
		out := map[string]any{}
		for _, f := range as.Fields {
			member, ok := value.(map[string]any)[f.Name]
			if !ok {
				t.Fatalf("no %q in %v", f.Name, value)
			}
			out[f.Name] = goldenCell(t, member, f.Type)
		}
		return out
	case delta.Array:
		out := []any{}
		for _, element := range value.([]any) {
			out = append(out, goldenCell(t, element, as.Element))
		}
		return out
	case delta.Map:
		pairs := []string{}
		if entries, ok := value.([]api.MapEntry); ok {
			for _, e := range entries {
				pairs = append(pairs, jsonText(t, []any{goldenCell(t, e.Key, as.Key), goldenCell(t, e.Value, as.Value)}))
			}
		} else {
			for _, pair := range value.([]any) {
				pairs = append(pairs, jsonText(t, []any{goldenCell(t, pair.([]any)[0], as.Key), goldenCell(t, pair.([]any)[1], as.Value)}))
			}
		}
		slices.Sort(pairs)
		return pairs
	case delta.Decimal:
		text := fmt.Sprint(value)
		whole, fraction, _ := strings.Cut(text, ".")
		if fraction = strings.TrimRight(fraction, "0"); fraction == "" {
			return whole
		}
		return whole + "." + fraction
	}
	switch v := value.(type) {
	case time.Time:
		if as == delta.Date {
			return v.Format(time.DateOnly)
		}
		return v.UTC().Format("2006-01-02T15:04:05.000000")
	case []byte:
		return hex.EncodeToString(v)
	case string:
		if as == delta.Double || as == delta.Float {
			bits := map[delta.DataType]int{delta.Double: 64, delta.Float: 32}[as]
			f, err := strconv.ParseFloat(v, bits)
			if err != nil {
				t.Fatal(err)
			}
			return goldenCell(t, f, as)
		}
		return v
	case float64:
		if v == 0 && math.Signbit(v) {
			return "-0"
		}
		return strconv.FormatFloat(v, 'g', -1, map[delta.DataType]int{delta.Double: 64, delta.Float: 32}[as])
	}
	return fmt.Sprint(value)
}
