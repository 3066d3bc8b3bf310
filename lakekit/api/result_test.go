package api

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func newYork(t testing.TB) *time.Location {
	t.Helper()
	zone, err := LoadZone("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// everyType has a column of each type, with its values at the edges and NULL.
func everyType(t testing.TB) *Result {
	zone := newYork(t)
	columns := []struct {
		typeName string
		values   [3]any
	}{
		{"boolean", [3]any{true, false, nil}},
		{"int", [3]any{int64(-1), int64(7), nil}},
		{"bigint", [3]any{int64(math.MaxInt64), int64(math.MinInt64), int64(maxExactInt + 1)}},
		{"double", [3]any{math.Inf(-1), 1e-300, nil}},
		{"float", [3]any{float64(float32(0.1)), math.Inf(1), nil}},
		{"decimal(38,2)", [3]any{Decimal("-123456789012345678901234567890123456.78"), Decimal("0.00"), nil}},
		{"string", [3]any{"it's \"<b>\"\n,", "", nil}},
		{"binary", [3]any{[]byte{0, 255}, []byte{}, nil}},
		{"date", [3]any{time.Date(1969, 7, 20, 0, 0, 0, 0, time.UTC), nil, nil}},
		{"timestamp", [3]any{time.Date(2009, 11, 1, 6, 30, 0, 123456000, time.UTC).In(zone), time.Date(2009, 11, 1, 5, 30, 0, 0, time.UTC).In(zone), nil}},
		{"timestamp_ntz", [3]any{time.Date(2009, 6, 15, 17, 26, 21, 1000, time.UTC), nil, nil}},
		{"array<double>", [3]any{[]any{1.5, nil, math.Inf(1)}, []any{}, nil}},
		{"map<bigint,array<string>>", [3]any{[]MapEntry{{int64(math.MaxInt64), []any{"x"}}, {int64(1), nil}}, []MapEntry{}, nil}},
		{"struct<a:int,`b ``:c`:struct<d:date>>", [3]any{map[string]any{"a": int64(1), "b `:c": map[string]any{"d": nil}}, nil, nil}},
	}
	r := &Result{
		Rows: make([][]any, 3), TimeZone: "America/New_York", Elapsed: 12*time.Millisecond + 345, Truncated: true,
		Tables: []TableRead{{Name: "t", URI: "oss://lake/t", Version: 3, Files: 2, FilesSkipped: 1, Rows: 10}},
	}
	for _, c := range columns {
		r.Columns = append(r.Columns, Column{Name: c.typeName, Type: c.typeName})
		for i, v := range c.values {
			r.Rows[i] = append(r.Rows[i], v)
		}
	}
	return r
}

func TestJSONKeepsEveryValue(t *testing.T) {
	want := everyType(t)
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Result
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	for i := range want.Rows {
		for j, c := range want.Columns {
			if w, g := want.Rows[i][j], got.Rows[i][j]; !reflect.DeepEqual(w, g) {
				wt, isTime := w.(time.Time)
				gt, _ := g.(time.Time)
				if !isTime || !wt.Equal(gt) || wt.String() != gt.String() {
					t.Errorf("row %d of %s: %#v came back as %#v", i, c.Type, w, g)
				}
			}
		}
	}
	got.Rows, want.Rows = nil, nil
	if !reflect.DeepEqual(&got, want) {
		t.Errorf("%+v came back as %+v", want, got)
	}
}

func TestJSONOfNaN(t *testing.T) {
	data, err := json.Marshal(Result{Columns: []Column{{"x", "double"}}, Rows: [][]any{{math.NaN()}, {math.Copysign(0, -1)}}})
	if err != nil {
		t.Fatal(err)
	}
	var r Result
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	if x := r.Floats("x"); !math.IsNaN(x[0]) || !math.Signbit(x[1]) {
		t.Errorf("NaN and -0 came back as %v", x)
	}
}

func TestJSONRefuses(t *testing.T) {
	for _, data := range []string{
		`{"columns":[{"name":"x","type":"bigint"}],"rows":[[1,2]]}`,
		`{"columns":[{"name":"x","type":"bigint"}],"rows":[[1.5]]}`,
		`{"columns":[{"name":"x","type":"bigint"}],"rows":[["9223372036854775808"]]}`,
		`{"columns":[{"name":"x","type":"timestamp"}],"rows":[["yesterday"]]}`,
		`{"columns":[{"name":"x","type":"array<"}],"rows":[]}`,
		`{"columns":[{"name":"x","type":"boolean"}],"rows":[[1]]}`,
	} {
		var r Result
		if err := json.Unmarshal([]byte(data), &r); err == nil {
			t.Errorf("%s was taken as %+v", data, r)
		}
	}
	if _, err := json.Marshal(Result{Columns: []Column{{"x", "bigint"}}, Rows: [][]any{{[]any{1}}}}); err == nil {
		t.Error("an array was written into a column of bigint")
	}
}

func TestText(t *testing.T) {
	r := &Result{
		Elapsed: time.Millisecond,
		Columns: []Column{{"month", "string"}, {"trips", "bigint"}, {"fare", "double"}, {"at", "timestamp"}},
		Rows: [][]any{
			{"January", int64(1234567), 11.0, time.Date(2009, 6, 15, 17, 26, 21, 500000, time.UTC)},
			{"二月\x1b[31m", int64(-5), math.NaN(), nil},
			{strings.Repeat("long ", 20), nil, 1e20, nil},
		},
	}
	want := strings.Join([]string{
		" month                                                        │ trips   │ fare │ at",
		"──────────────────────────────────────────────────────────────┼─────────┼────────┼────────────────────────────",
		" January                                                      │ 1234567 │   11.0 │ 2009-06-15 17:26:21.0005",
		" 二月\\x1b[31m                                                 │      -5 │    NaN │ NULL",
		" long long long long long long long long long long long long… │    NULL │ 1E20 │ NULL",
		"(3 rows)",
		"",
	}, "\n")
	got := r.String()
	if normal(got) != normal(want) {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
	for _, line := range strings.Split(strings.TrimSpace(got), "\n")[2:5] {
		if at := textWidth(line[:strings.Index(line, "│")]); at != 62 {
			t.Errorf("the first column of %q is %d cells wide, want 62", line, at)
		}
	}
	if got := (&Result{Elapsed: 1}).String(); got != "(0 rows)\n" {
		t.Errorf("an empty result is %q", got)
	}
	if got := (&Result{Columns: []Column{{"n", "int"}}}).String(); strings.Contains(got, "rows") {
		t.Errorf("a grid that no statement gave counts its rows: %q", got)
	}
	one := &Result{Columns: []Column{{"n", "int"}}, Rows: [][]any{{int64(1)}}, Truncated: true}
	if got := one.String(); got != " n\n───\n 1\n(first 1 rows, there are more)\n" {
		t.Errorf("a truncated result is %q", got)
	}
}

func TestTextOfAGridIsWhole(t *testing.T) {
	path := "/" + strings.Repeat("folder/", 14) + "file"
	r := &Result{
		Columns: []Column{{"service", "string"}, {"message", "string"}, {"rows", "bigint"}},
		Rows: [][]any{
			{"broker", strings.Repeat("word ", 20) + "end", int64(7)},
			{"store", path, nil},
			{"server", strings.Repeat("東", 50), int64(1)},
		},
	}
	want := strings.Join([]string{
		" service │ message │ rows",
		" broker │ " + strings.TrimSpace(strings.Repeat("word ", 15)) + " │ 7",
		" │ " + strings.Repeat("word ", 5) + "end │",
		" store │ /" + strings.Repeat("folder/", 10) + " │ NULL",
		" │ " + strings.Repeat("folder/", 4) + "file │",
		" server │ " + strings.Repeat("東", 38) + " │ 1",
		" │ " + strings.Repeat("東", 12) + " │",
		"",
	}, "\n")
	got := r.String()
	if normal(got) != normal(want) {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
	for line := range strings.Lines(got) {
		if at := textWidth(line[:max(0, strings.LastIndex(line, "│"))]); at > 1+7+1+1+1+maxLineWidth+1 {
			t.Errorf("%q is %d cells wide before the last column", line, at)
		}
	}
	if strings.Contains(r.HTML(), `"lakekit-table"`) {
		t.Error("HTML cuts the cells")
	}
}

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string
	}{
		{"", []string{""}},
		{"tenletters", []string{"tenletters"}},
		{"tenletters more ", []string{"tenletters", "more"}},
		{"elevenchars", []string{"elevenchar", "s"}},
		{"see /a/b/c/d", []string{"see", "/a/b/c/d"}},
		{"/aaaa/bbbb/cccc", []string{"/aaaa/", "bbbb/cccc"}},
		{" 0123456789", []string{"", "0123456789"}},
	} {
		if got := wrap(test.text, 10); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q is broken into %q, want %q", test.text, got, test.want)
		}
	}
}

// normal leaves alignment to the test of the column's width.
func normal(s string) string {
	var lines []string
	for _, line := range strings.Split(s, "\n") {
		if !strings.HasPrefix(line, "─") {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(lines, "\n")
}

func TestCSV(t *testing.T) {
	r := &Result{Columns: []Column{{"a, b", "string"}, {"n", "int"}}, Rows: [][]any{{"say \"x\"\nand y", int64(1)}, {nil, nil}}}
	var b bytes.Buffer
	if err := r.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	if want := "\"a, b\",n\r\n\"say \"\"x\"\"\r\nand y\",1\r\n,\r\n"; b.String() != want {
		t.Errorf("the CSV is %q, want %q", b.String(), want)
	}
	records, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(records) != 3 {
		t.Errorf("it is read as %v, %v", records, err)
	}
}

func TestWriteJSON(t *testing.T) {
	r := &Result{
		Columns: []Column{{"n", "bigint"}, {"n", "double"}, {"s", "string"}, {"m", "map<string,int>"}, {"d", "decimal(3,1)"}, {"x", "struct<b:int,a:array<date>>"}},
		Rows: [][]any{{int64(math.MaxInt64), math.NaN(), "<&>", []MapEntry{{"k", int64(1)}}, Decimal("-0.5"),
			map[string]any{"b": int64(1), "a": []any{time.Date(2020, 2, 29, 0, 0, 0, 0, time.UTC)}}}},
	}
	var b strings.Builder
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	want := `{"n":9223372036854775807,"n_2":"NaN","s":"<&>","m":{"k":1},"d":-0.5,"x":{"b":1,"a":["2020-02-29"]}}` + "\n"
	if b.String() != want {
		t.Errorf("the line is\n%swant\n%s", b.String(), want)
	}
}

func TestEveryTypeIsWritten(t *testing.T) {
	r := everyType(t)
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(b.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	if err := r.WriteCSV(&b); err != nil {
		t.Error(err)
	}
	if s := r.String(); !strings.Contains(s, "2009-11-01 01:30:00.123456") || !strings.Contains(s, "[00 FF]") {
		t.Errorf("the table lacks a value:\n%s", s)
	}
}

func TestHTML(t *testing.T) {
	r := &Result{
		Columns: []Column{{"<script>", "string"}, {"n", "bigint"}},
		Rows:    [][]any{{"<img src=x onerror=alert(1)>", int64(5)}, {nil, nil}},
		Elapsed: 12 * time.Millisecond,
		Tables:  []TableRead{{Name: "t", Version: 7}},
	}
	got := r.HTML()
	for _, want := range []string{
		`<th title="string">&lt;script&gt;</th>`, `<td>&lt;img src=x onerror=alert(1)&gt;</td><td class="n">5</td>`,
		`<span class="null">NULL</span>`, ">2 rows · version 7 · 12 ms<",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the HTML lacks %s:\n%s", want, got)
		}
	}
	if strings.Contains(got, "<img") || strings.Contains(got, "<script") {
		t.Errorf("the HTML is not escaped:\n%s", got)
	}
	long := &Result{Elapsed: time.Millisecond, Columns: r.Columns, Rows: make([][]any, 1500)}
	for i := range long.Rows {
		long.Rows[i] = []any{"x", int64(i)}
	}
	if got := long.HTML(); strings.Count(got, "<tr>") != maxHTMLRows+1 || !strings.Contains(got, "1,500 rows · first 1,000 shown") {
		t.Errorf("1,500 rows are shown as %d", strings.Count(got, "<tr>")-1)
	}
}

func TestColumns(t *testing.T) {
	r := &Result{
		Columns: []Column{{"Month", "int"}, {"fare", "double"}, {"total", "decimal(9,2)"}, {"at", "date"}},
		Rows:    [][]any{{int64(1), 2.5, Decimal("10.25"), time.Unix(0, 0).UTC()}, {int64(2), nil, nil, nil}},
	}
	if got := r.Ints("month"); !reflect.DeepEqual(got, []int64{1, 2}) {
		t.Errorf("months are %v", got)
	}
	if got := r.Strings("month"); !reflect.DeepEqual(got, []string{"1", "2"}) {
		t.Errorf("labels are %v", got)
	}
	if got := r.Floats("fare"); got[0] != 2.5 || !math.IsNaN(got[1]) {
		t.Errorf("fares are %v", got)
	}
	if got := r.Floats("total"); got[0] != 10.25 {
		t.Errorf("totals are %v", got)
	}
	if got := r.Values("fare"); !reflect.DeepEqual(got, []any{2.5, nil}) {
		t.Errorf("values are %v", got)
	}
	for _, test := range []struct {
		want string
		call func()
	}{
		{"its columns are: Month, fare, total, at", func() { r.Ints("trips") }},
		{`column "fare" of type double cannot be read as []int64`, func() { r.Ints("fare") }},
		{`column "at" is NULL in row 2`, func() { r.Times("at") }},
		{`column "at" of type date cannot be read as []float64`, func() { r.Floats("at") }},
	} {
		t.Run(test.want, func(t *testing.T) {
			defer func() {
				if said, _ := recover().(string); !strings.Contains(said, test.want) {
					t.Errorf("the panic says %q, want %q", said, test.want)
				}
			}()
			test.call()
		})
	}
}

func TestLoadZone(t *testing.T) {
	for name, offset := range map[string]int{"": 0, "Z": 0, "UTC": 0, "+08:00": 8 * 3600, "-03:30": -12600, "Asia/Shanghai": 8 * 3600} {
		zone, err := LoadZone(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, got := time.Date(2020, 1, 1, 0, 0, 0, 0, zone).Zone(); got != offset {
			t.Errorf("%s is %d s off UTC, want %d", name, got, offset)
		}
	}
	for _, name := range []string{"Local", "+8", "Mars/Base", "../etc/passwd"} {
		if _, err := LoadZone(name); err == nil {
			t.Errorf("%s was taken as a time zone", name)
		}
	}
}

func FuzzType(f *testing.F) {
	for _, seed := range []string{"bigint", "decimal(10,2)", "map<string,array<int>>", "struct<a:int,`b ``c`:double>", "struct<>", "array<", "map<int>", strings.Repeat("array<", 70)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parsed, err := parseType(s)
		if err == nil && parsed.name == "" {
			t.Fatalf("%q is a type without name", s)
		}
	})
}

func FuzzResult(f *testing.F) {
	data, err := json.Marshal(everyType(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"columns":[{"name":"x","type":"struct<a:int>"}],"rows":[[{"a":1}],[null]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Result
		if json.Unmarshal(data, &r) != nil {
			return
		}
		_ = r.String()
		_ = r.HTML()
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		var back Result
		if err := json.Unmarshal(again, &back); err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, again)
		}
	})
}

// TestTimesBeyondRFC3339 come back as the same instants: Shanghai was 8:05:43
// ahead until 1901, and is in the year 10000 when UTC is not.
func TestTimesBeyondRFC3339(t *testing.T) {
	zone, err := LoadZone("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	for _, instant := range []time.Time{time.Date(1900, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
		data, err := json.Marshal(Result{Columns: []Column{{"at", "timestamp"}}, Rows: [][]any{{instant.In(zone)}}, TimeZone: "Asia/Shanghai"})
		if err != nil {
			t.Fatal(err)
		}
		var back Result
		if err := json.Unmarshal(data, &back); err != nil || !back.Rows[0][0].(time.Time).Equal(instant) {
			t.Errorf("%s came back as %v, %v", instant, back.Rows, err)
		}
	}
}

// FuzzJSONString: a text is written as encoding/json writes it.
func FuzzJSONString(f *testing.F) {
	for _, seed := range []string{"", "a\"b\\c/<&>", "\x00\x1f\b\f\n\r\t\x7f", "é東😀\u2028\u2029\ufffd", "a\xff\xc3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(s); err != nil {
			t.Fatal(err)
		}
		if got := string(appendJSONString([]byte("x"), s)) + "\n"; got != "x"+want.String() {
			t.Errorf("%q is written as %s, want %s", s, got, want.String())
		}
	})
}
