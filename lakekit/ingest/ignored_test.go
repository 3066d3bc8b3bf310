package ingest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"unicode"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
)

// ignoringSchema has a column of each kind that fields can be in.
var ignoringSchema = delta.Schema{Fields: []delta.Field{
	{Name: "id", Type: delta.Long, Nullable: true},
	{Name: "Tip", Type: delta.Double, Nullable: true},
	{Name: "from", Type: delta.Schema{Fields: []delta.Field{{Name: "zone", Type: delta.String, Nullable: true}}}, Nullable: true},
	{Name: "path", Type: delta.Array{Element: delta.Schema{Fields: []delta.Field{{Name: "x", Type: delta.Double, Nullable: true}}}, ContainsNull: true}, Nullable: true},
	{Name: "fees", Type: delta.Map{Key: delta.String, Value: delta.Long, ValueContainsNull: true}, Nullable: true},
	headersField,
}}

func ignoringDecoder(t testing.TB, options decoderOptions) decoder {
	t.Helper()
	schema, err := ignoringSchema.Arrow()
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDecoder(schema, options)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What is in a record and will not be in its row is told, or refuses the record.
func TestIgnoredFields(t *testing.T) {
	const (
		noChars = "the name of a column has no space, tab or line break and none of ,;{}()="
		noField = "the struct has no field of that name, and mergeSchema adds whole columns only"
		again   = "it is more than once in one object, of which the last counts"
	)
	deep := strings.Repeat("[", maxNesting) + "1" + strings.Repeat("]", maxNesting)
	long := strings.Repeat("x", maxColumnName+1)
	for _, test := range []struct {
		name, record string
		merge        bool
		want         []string // "field: reason"
	}{
		{"all known", `{"id":1,"Tip":2,"from":{"zone":"JFK"},"path":[{"x":1},null],"fees":{"a":1}}`, true, nil},
		{"nothing in it", `{"extra":null,"from":{"extra":null},"Tip":null,"Tip":2}`, false, nil},
		{"no column", `{"extra":1}`, false, []string{"extra: the table has no column of that name; mergeSchema adds one"}},
		{"space", `{"a b":1}`, true, []string{"a b: " + noChars}},
		{"all that Parquet does not take", `{"a,b":1,"a;b":1,"a{b":1,"a}b":1,"a(b":1,"a)b":1,"a\nb":1,"a\tb":1,"a=b":1,"a\u0000b":1}`, true,
			[]string{"a\x00b: " + noChars, "a\tb: " + noChars, "a\nb: " + noChars, "a(b: " + noChars, "a)b: " + noChars, "a,b: " + noChars, "a;b: " + noChars, "a=b: " + noChars, "a{b: " + noChars, "a}b: " + noChars}},
		{"no name", `{"":1}`, true, []string{": it has no name, and a column needs one"}},
		{"long name", `{"` + long + `":1}`, true, []string{long[1:] + "...: its name has 256 bytes, that of a column has at most 255"}},
		{"another case", `{"TIP":1,"id":1,"ID":2}`, true, []string{
			`ID: its name differs from that of "id" only in the case of letters, which SQL does not tell apart`,
			`TIP: its name differs from that of "Tip" only in the case of letters, which SQL does not tell apart`}},
		{"the case of all letters", `{"\u0130d":1,"\u0131d":2,"i\u0307d":3}`, true, []string{
			"i\u0307d: its name differs from that of \"id\" only in the case of letters, which SQL does not tell apart",
			"\u0130d: its name differs from that of \"id\" only in the case of letters, which SQL does not tell apart",
			"\u0131d: its name differs from that of \"id\" only in the case of letters, which SQL does not tell apart"}},
		{"another case, without mergeSchema", `{"TIP":1}`, false, []string{`TIP: its name differs from that of "Tip" only in the case of letters, which SQL does not tell apart`}},
		{"the column of the headers", `{"headers":[],"Headers":1}`, true, []string{
			"Headers: includeHeaders fills the column headers with the headers of the record", "headers: includeHeaders fills the column headers with the headers of the record"}},
		{"empty", `{"e":{},"f":[],"g":[[],null]}`, true, []string{"e: it is empty, which tells no type for a column", "f: it is empty, which tells no type for a column", "g: it is empty, which tells no type for a column"}},
		{"of such fields only", `{"o":{"c d":1,"":2}}`, true, []string{"o: none of its own fields can be a column"}},
		{"deep", `{"v":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, true, []string{"v: it is empty, which tells no type for a column"}},
		{"deeper than a column", `{"v":` + deep + `}`, true, []string{"v: it is empty, which tells no type for a column"}},
		{"in a struct", `{"from":{"zone":"JFK","x":1,"ZONE":2,"a b":3}}`, true, []string{
			`from.ZONE: its name differs from that of "zone" only in the case of letters, which SQL does not tell apart`, "from.a b: " + noChars, "from.x: " + noField}},
		{"in a struct of an array", `{"path":[{"x":1,"y":2},{"y":3}]}`, false, []string{"path[].y: " + noField}},
		{"repeated", `{"id":1,"id":2,"from":{"zone":"a","zone":"b"},"path":[{"x":1,"x":null}],"fees":{"a":1,"a":2,"b":null,"b":1}}`, false,
			[]string{"fees{}: " + again, "from.zone: " + again, "id: " + again, "path[].x: " + again}},
		{"escaped", `{"\u0061 b":1}`, true, []string{"a b: " + noChars}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := ignoringDecoder(t, decoderOptions{mergeSchema: test.merge, includeHeaders: true})
			defer d.release()
			for range 2 {
				if err := d.decode([]byte(test.record), nil); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, field := range d.ignored().list() {
				got = append(got, field.Field+": "+field.Reason)
				if field.NumRows != 2 {
					t.Errorf("%s: %d rows, want 2", field.Field, field.NumRows)
				}
			}
			if !slices.Equal(got, test.want) || (d.ignored().rows == 2) != (len(test.want) > 0) {
				t.Errorf("%d rows\n%s\nwant\n%s", d.ignored().rows, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			if len(d.added().beyond(ignoringSchema)) > 0 {
				t.Errorf("columns %s, want none", describeFields(d.added().beyond(ignoringSchema)))
			}

			strict := ignoringDecoder(t, decoderOptions{mergeSchema: test.merge, includeHeaders: true, refuseUnknown: true})
			defer strict.release()
			err := strict.decode([]byte(test.record), nil)
			if len(test.want) == 0 && err != nil || len(test.want) > 0 && (err == nil || !strings.HasPrefix(err.Error(), refusedForFields+`field "`)) {
				t.Errorf("refused: %v", err)
			}
			if strict.ignored().rows != 0 || strict.rows() != d.rows()/2-min(1, len(test.want)) {
				t.Errorf("%d rows and %d of them with ignored fields", strict.rows(), strict.ignored().rows)
			}
		})
	}
}

// A record that is refused whatever columns are added asks for none of them.
func TestRefusedRecordsAddNoColumns(t *testing.T) {
	d := ignoringDecoder(t, decoderOptions{mergeSchema: true, refuseUnknown: true})
	defer d.release()
	for _, record := range []string{`{"new":1,"a b":1}`, `{"new":1,"id":1,"id":2}`, `{"new":1,"from":{"x":1}}`} {
		if err := d.decode([]byte(record), nil); err == nil {
			t.Errorf("%s is a row", record)
		}
	}
	if fields := d.added().beyond(ignoringSchema); len(fields) > 0 {
		t.Errorf("columns %s", describeFields(fields))
	}
	if err := d.decode([]byte(`{"other":1}`), nil); err == nil || describeFields(d.added().beyond(ignoringSchema)) != "other bigint" {
		t.Errorf("%v, %s", err, describeFields(d.added().beyond(ignoringSchema)))
	}
}

// Producers may send endless names: what is told stays bounded.
func TestIgnoredFieldsAreBounded(t *testing.T) {
	d := ignoringDecoder(t, decoderOptions{})
	defer d.release()
	for i := range 10 * maxIgnored {
		if err := d.decode(fmt.Appendf(nil, `{"f%d":1,"g%d":1}`, i, i), nil); err != nil {
			t.Fatal(err)
		}
	}
	list := d.ignored().list()
	if len(list) != maxIgnored+1 || list[0].Field != otherFields || list[0].NumRows != 9*maxIgnored+maxIgnored/2 || d.ignored().rows != 10*maxIgnored {
		t.Errorf("%d fields, %d rows, first %+v", len(list), d.ignored().rows, list[0])
	}
	all := newIgnoredFields()
	for range 3 {
		all.merge(d.ignored())
	}
	if len(all.list()) != maxIgnored+1 || all.rows != 30*maxIgnored {
		t.Errorf("%d fields, %d rows", len(all.list()), all.rows)
	}
}

// The stream tells what it ignores in its status and progress, over its batches.
func TestStreamTellsIgnoredFields(t *testing.T) {
	w := newWorld(t, 1)
	w.send(`{"id":0,"a b":1}`, `{"id":1,"ID":1,"tip":1}`, `{"id":2,"a b":1}`, `poison`)
	var log strings.Builder
	o := w.options()
	o.MergeSchema, o.MaxOffsetsPerTrigger = true, 2
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	q := w.mustEnd(o)
	status := q.Status()
	data, err := json.Marshal(status.IgnoredFields)
	const want = `[{"field":"ID","reason":"its name differs from that of \"id\" only in the case of letters, which SQL does not tell apart","numRows":1},` +
		`{"field":"a b","reason":"the name of a column has no space, tab or line break and none of ,;{}()=","numRows":2}]`
	if err != nil || string(data) != want || status.NumRowsWithIgnoredFields != 3 || status.NumDeadLetters != 1 {
		t.Errorf("%d rows, %s\nwant %s", status.NumRowsWithIgnoredFields, data, want)
	}
	var told []string
	for _, p := range q.RecentProgress() {
		told = append(told, p.Sink.Metrics["numRowsWithIgnoredFields"])
	}
	if !slices.Contains(told, "2") || !slices.Contains(told, "1") {
		t.Errorf("progress %v", told)
	}
	if n := strings.Count(log.String(), "a field of records is not written"); n != 2 {
		t.Errorf("told %d times, want once for each of two fields:\n%s", n, log.String())
	}
	w.next = 3
	w.checkExactlyOnce()
}

// With ignoreUnknownFields=false nothing of a record is lost: it is a dead
// letter, which a replay leaves where it is until the table has the columns.
func TestRefuseUnknownFields(t *testing.T) {
	w := newWorld(t, 1)
	no := false
	o := w.options()
	o.IgnoreUnknownFields = &no
	w.send(`{"id":0}`, `{"id":1,"tip":1}`, `{"id":"x","tip":1}`)
	q := w.mustEnd(o)
	if letters := w.letters(); len(letters) != 2 || !strings.HasSuffix(letters[0], `: ignoreUnknownFields is false: field "tip": the table has no column of that name; mergeSchema adds one`) {
		t.Errorf("letters %q", letters)
	}
	if status := q.Status(); status.NumRowsWithIgnoredFields != 0 || status.NumDeadLetters != 2 {
		t.Errorf("status %+v", status)
	}
	if result := w.mustReplay(); result.NumReplayed != 0 || result.NumRemaining != 2 {
		t.Errorf("before there is a column: %+v", result)
	}
	o.MergeSchema = true
	w.send(`{"id":2,"tip":2}`, `{"id":3,"tip":3,"a b":1}`, `{"id":4,"other":1,"a b":1}`)
	w.mustRun(o)
	if got, want := w.snapshot().Schema().String(), strings.TrimSuffix(recordSchema.String(), ">")+",tip:bigint>"; got != want {
		t.Errorf("the table became %s", got)
	}
	if result := w.mustReplay(); result.NumReplayed != 1 || result.NumRemaining != 3 {
		t.Errorf("with a column: %+v", result)
	}
	options := w.replayOptions(w.store)
	options.IgnoreUnknownFields = true
	if result, err := Replay(t.Context(), options); err != nil || result.NumReplayed != 2 || result.NumRemaining != 1 {
		t.Errorf("told to ignore: %+v, %v", result, err)
	}
	w.next = 5
	w.checkExactlyOnce()
	w.checkNoOrphans(deadPrefix)
	if _, err := delta.Open(t.Context(), blob.Prefix(w.store, deadPrefix)); err != nil {
		t.Error(err)
	}
}

// mustEnd is mustRun, and returns the query that has ended.
func (w *world) mustEnd(o Options) *Query {
	w.t.Helper()
	q, err := Start(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := q.AwaitTermination(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return q
}

// No case of letters that Go, Unicode or Java folds is told apart.
func TestFoldName(t *testing.T) {
	for r := rune(1); r <= unicode.MaxRune; r++ {
		name := string(r)
		for _, same := range []string{strings.ToLower(name), strings.ToUpper(name), string(unicode.SimpleFold(r)), string(unicode.ToTitle(r))} {
			if foldName(same) != foldName(name) {
				t.Errorf("%q and %q are two", name, same)
			}
		}
	}
	for _, different := range [][2]string{{"e\u0301", "\u00e9"}, {"a", "b"}, {"ss", "ß"}} { // as in Spark
		if foldName(different[0]) == foldName(different[1]) {
			t.Errorf("%q and %q are one", different[0], different[1])
		}
	}
}
