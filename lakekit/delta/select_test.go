package delta

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
)

// A table of three files, one for each city, and a fourth of nulls.
var selectSchema = Schema{[]Field{
	column("city", String), column("id", Long), column("n", Integer), column("x", Double), column("f", Float),
	column("price", Decimal{10, 2}), column("at", Timestamp), column("day", Date), column("ok", Boolean), column("name", String),
	column("tags", Array{Long, true}),
}}

var selectRows = []string{
	`[{"city":"NY","id":1,"n":5,"x":1.5,"f":0.1,"price":"2.50","at":"2009-06-15 12:00:00.000500Z","day":"2009-06-15","ok":true,"name":"b","tags":[1]},
	  {"city":"NY","id":2,"n":10,"x":-0.0,"f":0.5,"price":"2.51","at":"2009-06-15 12:00:00.000501Z","day":"2009-06-16","ok":false,"name":"a"}]`,
	`[{"city":"LA","id":3,"n":-20,"x":7,"f":2,"price":"-0.01","at":"1969-12-31 23:59:59.999999Z","day":"1969-12-31","ok":true,"name":"é"},
	  {"city":"LA","id":4,"n":2147483647,"x":8,"f":3,"price":"99999999.99","at":"2262-04-11 00:00:00.000000Z","day":"2262-04-11","ok":true,"name":"it's"}]`,
	`[{"city":"SF","id":9007199254740993,"n":null,"x":9,"f":4,"price":"3.00","at":null,"day":null,"ok":null,"name":null}]`,
	`[{"city":null,"id":null,"n":null,"x":null,"f":null,"price":null,"at":null,"day":null,"ok":null,"name":null}]`,
}

func selectTable(t *testing.T) (*Snapshot, *blobtest.FaultBucket) {
	t.Helper()
	bucket := blobtest.Faults(blob.NewMemory("lake"), nil)
	table := quiet(must[*Table](t)(Create(t.Context(), bucket, Definition{Schema: selectSchema, PartitionBy: []string{"city"}})))
	rows := must[*arrow.Schema](t)(selectSchema.Arrow())
	for i, text := range selectRows {
		batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, rows, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 { // JSON has no NaN
			x := array.NewFloat64Builder(memory.DefaultAllocator)
			x.AppendValues([]float64{math.NaN(), 8}, nil)
			batch = must[arrow.RecordBatch](t)(batch.SetColumn(3, x.NewArray()))
		}
		must[int64](t)(table.Append(t.Context(), AppendOptions{}, batch))
	}
	return must[*Snapshot](t)(table.Snapshot(t.Context())), bucket
}

// TestScanWhere: the rows of a condition are those of SQL, and files that the log
// rules out are not opened.
func TestScanWhere(t *testing.T) {
	s, bucket := selectTable(t)
	const large = "9007199254740993"
	for _, test := range []struct {
		where string
		ids   string
		files int // opened
	}{
		{"", "1 2 3 4 " + large + " null", 4},
		{"city = 'NY'", "1 2", 1}, {"city != 'NY'", "3 4 " + large, 2}, {"CITY IN ('LA', 'XX')", "3 4", 1}, {"city IS NULL", "null", 1},
		{"city IS NOT NULL AND id > 1", "2 3 4 " + large, 3}, {"city > 'zz'", "", 0},
		{"id = " + large, large, 1}, {"id > 9007199254740992", large, 1}, {"id IN (1, 4)", "1 4", 2}, {"id = 2.5", "", 0}, {"id < 2.5", "1 2", 1}, {"id >= 99999999999999999999", "", 0},
		{"n >= 10", "2 4", 2}, {"n < 0", "3", 1}, {"n IS NULL", large + " null", 2}, {"n IS NOT NULL", "1 2 3 4", 2}, {"n <= 2147483647", "1 2 3 4", 2},
		{"x > 8", "3 " + large, 3}, {"x = 'NaN'", "3", 3}, {"x < 1", "2", 3}, {"x = 0", "2", 3}, {"x != 8", "1 2 3 " + large, 3},
		{"f = 0.1", "", 3}, {"f > 0.1 AND f < 0.11", "1", 3}, {"f = 0.5", "2", 3},
		{"price = 2.5", "1", 2}, {"price > 2.505 AND price < 2.52", "2", 2}, {"price < 0", "3", 1}, {"price >= 99999999.99", "4", 1},
		{"at > '2009-06-15 12:00:00.0005'", "2 4", 2}, {"at < '1970-01-01'", "3", 1}, {"at = '2009-06-15T12:00:00.000501Z'", "2", 2}, {"at > '2262-04-11'", "", 1},
		{"day = '2009-06-16'", "2", 2}, {"day <= '1969-12-31'", "3", 1}, {"ok = true", "1 3 4", 2}, {"ok != true", "2", 2},
		{"name >= 'it''s'", "3 4", 2}, {"name < 'b'", "2", 1}, {"name = 'é'", "3", 2}, {"tags IS NOT NULL", "1", 1}, {"tags IS NULL AND id = 1", "", 1},
	} {
		bucket.ResetLog()
		var ids []string
		for batch, err := range s.Scan(t.Context(), ScanOptions{Columns: []string{"id"}, Where: test.where}) {
			if err != nil {
				t.Fatalf("%s: %v", test.where, err)
			}
			for i := range int(batch.NumRows()) {
				ids = append(ids, strings.ReplaceAll(batch.Column(0).ValueStr(i), array.NullValueStr, "null"))
			}
		}
		slices.Sort(ids) // files are in no order
		want := slices.Sorted(slices.Values(strings.Fields(test.ids)))
		if !slices.Equal(ids, want) {
			t.Errorf("%s: rows %v, want %v", test.where, ids, want)
		}
		opened := 0
		for _, line := range bucket.Log() {
			if strings.Contains(line, ".parquet") {
				opened++
			}
		}
		if opened != test.files {
			t.Errorf("%s: %d files opened, want %d\n%s", test.where, opened, test.files, strings.Join(bucket.Log(), "\n"))
		}
	}
}

func TestScanColumns(t *testing.T) {
	s, _ := selectTable(t)
	for _, test := range []struct {
		columns []string
		where   string
		want    string
	}{
		{[]string{"name", "city", "ID"}, "n = 10", `[{"city":"NY","id":2,"name":"a"}]`},
		{[]string{"city"}, "city = 'NY'", `[{"city":"NY"},{"city":"NY"}]`},
		{[]string{"city"}, "id = 3", `[{"city":"LA"}]`},
	} {
		for batch, err := range s.Scan(t.Context(), ScanOptions{Columns: test.columns, Where: test.where}) {
			if err != nil {
				t.Fatal(err)
			}
			for i, name := range test.columns {
				if !strings.EqualFold(batch.ColumnName(i), name) {
					t.Errorf("column %d is %s, want %s", i, batch.ColumnName(i), name)
				}
			}
			if got := strings.ReplaceAll(string(must[[]byte](t)(batch.MarshalJSON())), "\n", ""); got != test.want {
				t.Errorf("%v where %s is %s, want %s", test.columns, test.where, got, test.want)
			}
		}
	}
	for _, test := range []struct {
		snapshot *Snapshot
		added    bool
		want     int64
	}{{s, false, 6}, {s, true, 1}, {must[*Snapshot](t)(s.Table().SnapshotAt(t.Context(), 2)), true, 2}, {must[*Snapshot](t)(s.Table().SnapshotAt(t.Context(), 0)), true, 0}} {
		rows := int64(0)
		for batch, err := range test.snapshot.Scan(t.Context(), ScanOptions{Columns: []string{}, Added: test.added}) {
			if err != nil || batch.NumCols() != 0 {
				t.Fatal(batch, err)
			}
			rows += batch.NumRows()
		}
		if rows != test.want {
			t.Errorf("version %d, added %v: %d rows without columns, want %d", test.snapshot.Version(), test.added, rows, test.want)
		}
	}
	for says, opts := range map[string]ScanOptions{
		`no column "fare"`:             {Columns: []string{"fare"}},
		"fare is no column (they are:": {Where: "fare = 1"},
		"only IS NULL":                 {Where: "tags = 1"},
		"no int":                       {Where: "n = 'x'"},
	} {
		for _, err := range s.Scan(t.Context(), opts) {
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), says) {
				t.Errorf("%+v: %v, want %q", opts, err, says)
			}
		}
	}
}
