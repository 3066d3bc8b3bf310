package decode

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"taxilake/lakekit/delta"
)

// ignoringSchema has a column of each kind that fields can be in.
var ignoringSchema = delta.Schema{Fields: []delta.Field{
	{Name: "id", Type: delta.Long, Nullable: true},
	{Name: "Tip", Type: delta.Double, Nullable: true},
	{Name: "from", Type: delta.Schema{Fields: []delta.Field{{Name: "zone", Type: delta.String, Nullable: true}}}, Nullable: true},
	{Name: "path", Type: delta.Array{Element: delta.Schema{Fields: []delta.Field{{Name: "x", Type: delta.Double, Nullable: true}}}, ContainsNull: true}, Nullable: true},
	{Name: "fees", Type: delta.Map{Key: delta.String, Value: delta.Long, ValueContainsNull: true}, Nullable: true},
	HeadersField,
}}

func ignoringDecoder(t testing.TB, options Options) Decoder {
	t.Helper()
	schema, err := ignoringSchema.Arrow()
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(schema, options)
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
			d := ignoringDecoder(t, Options{MergeSchema: test.merge, IncludeHeaders: true})
			defer d.Release()
			for range 2 {
				if err := d.Decode([]byte(test.record), nil); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, field := range d.Ignored().List() {
				got = append(got, field.Field+": "+field.Reason)
				if field.NumRows != 2 {
					t.Errorf("%s: %d rows, want 2", field.Field, field.NumRows)
				}
			}
			if !slices.Equal(got, test.want) || (d.Ignored().rows == 2) != (len(test.want) > 0) {
				t.Errorf("%d rows\n%s\nwant\n%s", d.Ignored().rows, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			if len(d.Added().Beyond(ignoringSchema)) > 0 {
				t.Errorf("columns %s, want none", Describe(d.Added().Beyond(ignoringSchema)))
			}

			strict := ignoringDecoder(t, Options{MergeSchema: test.merge, IncludeHeaders: true, RefuseUnknown: true})
			defer strict.Release()
			err := strict.Decode([]byte(test.record), nil)
			if len(test.want) == 0 && err != nil || len(test.want) > 0 && (err == nil || !strings.HasPrefix(err.Error(), RefusedForFields+`field "`)) {
				t.Errorf("refused: %v", err)
			}
			if strict.Ignored().rows != 0 || strict.Rows() != d.Rows()/2-min(1, len(test.want)) {
				t.Errorf("%d rows and %d of them with ignored fields", strict.Rows(), strict.Ignored().rows)
			}
		})
	}
}

// A record that is refused whatever columns are added asks for none of them.
func TestRefusedRecordsAddNoColumns(t *testing.T) {
	d := ignoringDecoder(t, Options{MergeSchema: true, RefuseUnknown: true})
	defer d.Release()
	for _, record := range []string{`{"new":1,"a b":1}`, `{"new":1,"id":1,"id":2}`, `{"new":1,"from":{"x":1}}`} {
		if err := d.Decode([]byte(record), nil); err == nil {
			t.Errorf("%s is a row", record)
		}
	}
	if fields := d.Added().Beyond(ignoringSchema); len(fields) > 0 {
		t.Errorf("columns %s", Describe(fields))
	}
	if err := d.Decode([]byte(`{"other":1}`), nil); err == nil || Describe(d.Added().Beyond(ignoringSchema)) != "other bigint" {
		t.Errorf("%v, %s", err, Describe(d.Added().Beyond(ignoringSchema)))
	}
}

// Producers may send endless names: what is told stays bounded.
func TestIgnoredFieldsAreBounded(t *testing.T) {
	d := ignoringDecoder(t, Options{})
	defer d.Release()
	for i := range 10 * maxIgnored {
		if err := d.Decode(fmt.Appendf(nil, `{"f%d":1,"g%d":1}`, i, i), nil); err != nil {
			t.Fatal(err)
		}
	}
	list := d.Ignored().List()
	if len(list) != maxIgnored+1 || list[0].Field != otherFields || list[0].NumRows != 9*maxIgnored+maxIgnored/2 || d.Ignored().rows != 10*maxIgnored {
		t.Errorf("%d fields, %d rows, first %+v", len(list), d.Ignored().rows, list[0])
	}
	all := NewIgnoredFields()
	for range 3 {
		all.Merge(d.Ignored())
	}
	if len(all.List()) != maxIgnored+1 || all.rows != 30*maxIgnored {
		t.Errorf("%d fields, %d rows", len(all.List()), all.rows)
	}
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
