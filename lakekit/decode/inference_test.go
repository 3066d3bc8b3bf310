package decode

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
)

// inferred are the columns that records add to a table, decoded in turn.
func inferred(t testing.TB, schema delta.Schema, records ...string) []delta.Field {
	t.Helper()
	arrowSchema, err := schema.Arrow()
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(arrowSchema, Options{MergeSchema: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Release()
	for _, record := range records {
		_ = d.Decode([]byte(record), nil)
	}
	return d.Added().Beyond(schema)
}

var idSchema = delta.Schema{Fields: []delta.Field{{Name: "id", Type: delta.Long, Nullable: true}}}

func TestInference(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + "1" + strings.Repeat("]", n) }
	var wide []string
	for i := range maxColumns + 10 {
		wide = append(wide, fmt.Sprintf(`"c%d":1`, i))
	}
	for _, test := range []struct {
		name    string
		records []string
		want    string
	}{
		{"nothing new", []string{`{"id":1}`, `{}`}, ""},
		{"the primitive types", []string{`{"d":1.5,"b":true,"s":"x","l":-1}`}, "b boolean, d double, l bigint, s string"},
		{"an exponent makes a double", []string{`{"d":1e2}`}, "d double"},
		{"too large for a long", []string{`{"d":9223372036854775808}`}, "d decimal(19,0)"},
		{"too small for a long", []string{`{"d":-9223372036854775809}`}, "d decimal(19,0)"},
		{"decimal and long", []string{`{"d":9223372036854775808}`, `{"d":1}`}, "d decimal(20,0)"},
		{"long and decimal", []string{`{"d":[1,123456789012345678901234567890]}`}, "d array<decimal(30,0)>"},
		{"decimal and double", []string{`{"d":9223372036854775808}`, `{"d":1.5}`}, "d double"},
		{"decimal and string", []string{`{"d":9223372036854775808}`, `{"d":"1"}`}, "d string"},
		{"the largest decimal", []string{`{"d":-` + strings.Repeat("9", 38) + `}`}, "d decimal(38,0)"},
		{"too large for a decimal", []string{`{"d":` + strings.Repeat("9", 39) + `,"e":1}`, `{"d":{"x":[` + strings.Repeat("9", 39) + `]}}`}, ""},
		{"a power of two too large for a decimal", []string{`{"d":1267650600228229401496703205376,"e":170141183460469231731687303715884105728,"f":340282366920938463463374607431768211456}`}, "d decimal(31,0), e double, f double"},
		{"long and double", []string{`{"d":1}`, `{"d":1.5}`, `{"d":2}`}, "d double"},
		{"long and string", []string{`{"s":1}`, `{"s":"1"}`}, "s string"},
		{"boolean and long", []string{`{"s":1}`, `{"s":true}`}, "s string"},
		{"object and long", []string{`{"s":{"a":1}}`, `{"s":1}`}, "s string"},
		{"null says nothing", []string{`{"n":null}`, `{"n":[]}`, `{"m":null}`, `{"m":1}`, `{"e":{}}`, `{"a":[null,[]]}`}, "m bigint"},
		{"objects are merged", []string{`{"o":{"b":1}}`, `{"o":{"a":"x","b":1.5,"c":null}}`}, "o struct<a:string,b:double>"},
		{"arrays are merged", []string{`{"v":[]}`, `{"v":[1,null,2.5]}`, `{"v":[[]]}`}, "v array<string>"},
		{"arrays of objects", []string{`{"v":[{"a":1},{"b":"x"}]}`}, "v array<struct<a:bigint,b:string>>"},
		{"records that are refused", []string{`{"id":"x","n":1}`, `{"n":1`}, ""},
		{"names that no column has", []string{`{"a b":1,"a,b":1,"":1,"a=b":1,"a\u0000b":1,"` + strings.Repeat("x", maxColumnName+1) + `":1,"o":{"c d":1}}`}, ""},
		{"names that differ by case", []string{`{"ID":1,"Tip":1,"tip":"x"}`}, "Tip bigint"},
		{"escaped name", []string{`{"\u0074ip":1}`}, "tip bigint"},
		{"of a repeated field the last", []string{`{"a":"x","a":1}`}, "a bigint"},
		{"of a repeated member the last", []string{`{"o":{"a":"x","a":1}}`}, "o struct<a:bigint>"},
		{"nested deep", []string{`{"v":` + nested(maxNesting-1) + `}`}, "v " + strings.Repeat("array<", maxNesting-1) + "bigint" + strings.Repeat(">", maxNesting-1)},
		{"nested too deep", []string{`{"v":` + nested(maxNesting) + `}`, `{"w":` + nested(9_000) + `}`}, ""},
		{"a struct too wide", []string{`{"o":{` + strings.Join(wide, ",") + `},"p":1}`, `{"o":{"x":1}}`}, "p bigint"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Describe(inferred(t, idSchema, test.records...)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	if n := len(inferred(t, idSchema, "{"+strings.Join(wide, ",")+"}")); n != maxColumns-1 {
		t.Errorf("%d columns added, want %d", n, maxColumns-1)
	}
}

// equalsIgnoreCase is the same for texts that are equal by Java's method.
func equalsIgnoreCase(text string) string {
	return strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, text)
}

// FuzzMergeSchema: what a record adds to a schema is a table that can be made,
// and the record fits it, unless two of its own values made a string of a type.
func FuzzMergeSchema(f *testing.F) {
	for _, seed := range []string{
		taxiJSON, `{"a":[{"b":1},{"b":"x"}]}`, `{"o":{"A":1,"a":2,"":3}}`, `{"\ud800":1,"\ufffd":2}`, `{"v":[[[]]],"n":null,"d":-0e5}`, `{"x.y":{"z z":{"t":true}}}`,
		`{"n":123456789012345678901234567890,"n":1.5}`, `{"n":[9223372036854775808,1]}`, `{"a":1,"A":2,"a b":{"c":3},"\u0000":4}`, `{"ID":1,"id":1,"id":2}`,
		`{"\u0130d":1,"\u0131D":2}`, `{"I":1,"\u0130":2,"\u0131":3,"i\u0307":4}`, `{"s":1,"\u017f":2,"K":1,"\u212a":2,"\u03c2":1,"\u03a3":2}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, record string) {
		fields := inferred(t, idSchema, record)
		schema := delta.Schema{Fields: append(idSchema.Fields[:1:1], fields...)}
		folded := map[string]string{}
		for _, field := range schema.Fields {
			if before, again := folded[equalsIgnoreCase(field.Name)]; again {
				t.Errorf("%q adds %q beside %q, which Spark does not tell apart", record, field.Name, before)
			}
			folded[equalsIgnoreCase(field.Name)] = field.Name
		}
		if _, err := delta.Create(t.Context(), blob.NewMemory("lake"), delta.Definition{Schema: schema}); err != nil {
			t.Fatalf("%q adds %s: %v", record, Describe(fields), err)
		}
		if len(fields) == 0 {
			return
		}
		arrowSchema, err := schema.Arrow()
		if err != nil {
			t.Fatal(err)
		}
		d, err := New(arrowSchema, Options{})
		if err != nil {
			t.Fatalf("%q adds %s: %v", record, Describe(fields), err)
		}
		defer d.Release()
		if err := d.Decode([]byte(record), nil); err != nil && !strings.Contains(err.Error(), "want string") && !strings.Contains(err.Error(), "would be rounded as double") && !strings.Contains(err.Error(), "out of range of double") {
			t.Errorf("%q adds %s and is refused: %v", record, Describe(fields), err)
		}
		d.Flush().Release()
	})
}
