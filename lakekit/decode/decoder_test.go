package decode

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

var (
	timestampType = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

	taxiSchema = arrow.NewSchema([]arrow.Field{
		{Name: "key", Type: timestampType, Nullable: true},
		{Name: "fare_amount", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "pickup_datetime", Type: timestampType, Nullable: true},
		{Name: "pickup_longitude", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "pickup_latitude", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "dropoff_longitude", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "dropoff_latitude", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "passenger_count", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	}, nil)

	everyTypeSchema = arrow.NewSchema([]arrow.Field{
		{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "l", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "i", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "h", Type: arrow.PrimitiveTypes.Int16, Nullable: true},
		{Name: "b", Type: arrow.PrimitiveTypes.Int8, Nullable: true},
		{Name: "d", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "f", Type: arrow.PrimitiveTypes.Float32, Nullable: true},
		{Name: "y", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "x", Type: arrow.BinaryTypes.Binary, Nullable: true},
		{Name: "t", Type: timestampType, Nullable: true},
		{Name: "a", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
		{Name: "é", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: `a"`, Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: `\u006c`, Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "o", Type: arrow.StructOf(
			arrow.Field{Name: "l", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
			arrow.Field{Name: "v", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
		), Nullable: true},
		{Name: "v", Type: arrow.ListOf(arrow.ListOf(arrow.PrimitiveTypes.Int64)), Nullable: true},
		{Name: "m", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Float64), Nullable: true},
	}, nil)
)

const taxiJSON = `{"key":"2009-06-15 17:26:21.0000001","fare_amount":4.5,"pickup_datetime":"2009-06-15 17:26:21 UTC","pickup_longitude":-73.844311,"pickup_latitude":40.721319,"dropoff_longitude":-73.84161,"dropoff_latitude":40.712278,"passenger_count":1}`

// decodeRow is the row of one record as text, columns joined by "|".
func decodeRow(t testing.TB, schema *arrow.Schema, required []string, record string) (string, error) {
	t.Helper()
	d, err := New(schema, Options{Required: required})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Release()
	if err := d.Decode([]byte(record), nil); err != nil {
		if d.Rows() != 0 {
			t.Fatalf("a refused record left %d rows", d.Rows())
		}
		return "", err
	}
	rows := d.Flush()
	defer rows.Release()
	if rows.NumRows() != 1 {
		t.Fatalf("%d rows, want 1", rows.NumRows())
	}
	columns := make([]string, rows.NumCols())
	for i, column := range rows.Columns() {
		columns[i] = nestedCell(column, 0)
	}
	return strings.Join(columns, "|"), nil
}

// nestedCell is cell for nested columns, too, a map by its keys.
func nestedCell(column arrow.Array, row int) string {
	if column.IsNull(row) {
		return "null"
	}
	var parts []string
	switch c := column.(type) {
	case *array.Struct:
		for i := range c.NumField() {
			parts = append(parts, nestedCell(c.Field(i), row))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case *array.Map:
		from, to := c.ValueOffsets(row)
		for i := from; i < to; i++ {
			parts = append(parts, nestedCell(c.Keys(), int(i))+":"+nestedCell(c.Items(), int(i)))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ",") + "}"
	case *array.List:
		from, to := c.ValueOffsets(row)
		for i := from; i < to; i++ {
			parts = append(parts, nestedCell(c.ListValues(), int(i)))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return cell(column, row)
}

func cell(column arrow.Array, row int) string {
	if column.IsNull(row) {
		return "null"
	}
	switch c := column.(type) {
	case *array.Timestamp:
		return time.UnixMicro(int64(c.Value(row))).UTC().Format("2006-01-02T15:04:05.999999Z")
	case *array.Float64:
		return strconv.FormatFloat(c.Value(row), 'g', -1, 64)
	case *array.Float32:
		return strconv.FormatFloat(float64(c.Value(row)), 'g', -1, 32)
	case *array.String:
		return strconv.Quote(c.Value(row))
	case *array.Date32:
		return c.Value(row).FormattedString()
	}
	return column.ValueStr(row)
}

func TestDecodeTaxiRecord(t *testing.T) {
	got, err := decodeRow(t, taxiSchema, []string{"key", "fare_amount"}, taxiJSON)
	const want = "2009-06-15T17:26:21Z|4.5|2009-06-15T17:26:21Z|-73.844311|40.721319|-73.84161|40.712278|1"
	if err != nil || got != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

func TestDecodeValues(t *testing.T) {
	for _, test := range []struct{ name, schema, record, want string }{
		{"absent is null", "l", `{}`, "null"},
		{"null", "l", `{"l":null}`, "null"},
		{"white space", "l", " \t\r\n{ \"l\" :\n7 } ", "7"},
		{"unknown members of any kind", "l", `{"q":{"l":[1,{"l":2}],"m":"}"},"l":7,"r":[[],{}],"w":"\u00e9\n"}`, "7"},
		{"the last of a repeated member", "l", `{"l":1,"l":2}`, "2"},
		{"a repeated member that was wrong before", "l", `{"l":"one","l":2}`, "2"},
		{"a repeated member that is null at last", "l", `{"l":1,"l":null}`, "null"},
		{"names are case-sensitive", "l", `{"L":1}`, "null"},
		{"escaped name", "l", `{"\u006c":5}`, "5"},
		{"name in UTF-8", "é", `{"é":"1"}`, `"1"`},
		{"escaped name in UTF-8", "é", `{"\u00e9":"1"}`, `"1"`},
		{"quote in a name", `a"`, `{"a\"":"1"}`, `"1"`},
		{"name that looks escaped", `\u006c`, `{"\u006c":"1"}`, "null"},
		{"long, largest", "l", `{"l":9223372036854775807}`, "9223372036854775807"},
		{"long, smallest", "l", `{"l":-9223372036854775808}`, "-9223372036854775808"},
		{"minus zero", "l", `{"l":-0}`, "0"},
		{"byte, smallest", "b", `{"b":-128}`, "-128"},
		{"double from an integer", "d", `{"d":3}`, "3"},
		{"double, more digits than it holds", "d", `{"d":-73.12345678901234567890}`, "-73.12345678901235"},
		{"double, halfway case", "d", `{"d":9007199254740993.0}`, "9.007199254740992e+15"},
		{"double, largest of all integers before it", "d", `{"d":-9007199254740992}`, "-9.007199254740992e+15"},
		{"double, a large integer that it holds", "d", `{"d":18446744073709551616}`, "1.8446744073709552e+19"},
		{"double, exponent", "d", `{"d":1.5E-3}`, "0.0015"},
		{"double, smallest", "d", `{"d":5e-324}`, "5e-324"},
		{"double, underflow", "d", `{"d":1e-400}`, "0"},
		{"double, minus zero", "d", `{"d":-0.0}`, "-0"},
		{"double, largest", "d", `{"d":1.7976931348623157e308}`, "1.7976931348623157e+308"},
		{"float rounds once", "f", `{"f":16777217.0}`, "1.6777216e+07"},
		{"float, an integer that it holds", "f", `{"f":16777216}`, "1.6777216e+07"},
		{"boolean", "y", `{"y":true}`, "true"},
		{"string", "s", `{"s":""}`, `""`},
		{"escapes", "s", `{"s":"\"\\\/\b\f\n\r\t\u0041\ud83d\ude00"}`, `"\"\\/\b\f\n\r\tA😀"`},
		{"all there is to UTF-8", "s", "{\"s\":\"\u0080\u07ff\u0800\ufffd\U00010000\U0010ffff\"}", strconv.Quote("\u0080\u07ff\u0800\ufffd\U00010000\U0010ffff")},
		{"surrogates", "s", `{"s":"\ud83d\ude00\uD83D\uDE00\uFFFD"}`, `"😀😀�"`},
		{"binary", "x", `{"x":"AQID"}`, "AQID"},
		{"date", "a", `{"a":"2012-02-29"}`, "2012-02-29"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := decodeRow(t, oneColumn(t, test.schema, true), nil, test.record)
			if err != nil || got != test.want {
				t.Errorf("%s: got %s, %v, want %s", test.record, got, err, test.want)
			}
		})
	}
}

func oneColumn(t testing.TB, name string, nullable bool) *arrow.Schema {
	t.Helper()
	fields, ok := everyTypeSchema.FieldsByName(name)
	if !ok {
		t.Fatalf("no column %q", name)
	}
	fields[0].Nullable = nullable
	return arrow.NewSchema(fields, nil)
}

// Each reason names the field, if it is a field's, and the problem.
func TestDecodeRefuses(t *testing.T) {
	deep := func(n int) string { return `{"q":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	for _, test := range []struct{ name, schema, record, reason string }{
		{"empty", "l", ``, `malformed JSON: unexpected end at byte 0`},
		{"not an object", "l", `[1]`, `malformed JSON: '[' at byte 0: want an object`},
		{"cut off", "l", `{"l":1`, `malformed JSON: unexpected end at byte 6`},
		{"cut off in a string", "s", `{"s":"abc`, `malformed JSON: unexpected end at byte 9`},
		{"cut off in an escape", "s", `{"s":"abc\`, `malformed JSON: unexpected end at byte 10`},
		{"something after it", "l", `{"l":1} x`, `malformed JSON: 'x' at byte 8: want nothing after the object`},
		{"two objects", "l", `{}{}`, `malformed JSON: '{' at byte 2: want nothing after the object`},
		{"comma before the end", "l", `{"l":1,}`, `malformed JSON: '}' at byte 7: want a field name in quotes`},
		{"quote in a name that is not escaped", `a"`, `{"a"":"1"}`, `malformed JSON: '"' at byte 4: want ':'`},
		{"leading zero", "l", `{"l":01}`, `malformed JSON: '1' at byte 6: want ',' or '}'`},
		{"plus sign", "l", `{"l":+1}`, `malformed JSON: '+' at byte 5: want a value`},
		{"no digit after the point", "d", `{"d":1.}`, `malformed JSON: '}' at byte 7: want a digit`},
		{"NaN", "d", `{"d":NaN}`, `malformed JSON: 'N' at byte 5: want a value`},
		{"single quotes", "s", `{'s':1}`, `malformed JSON: '\'' at byte 1: want a field name in quotes`},
		{"control character", "s", "{\"s\":\"a\nb\"}", `malformed JSON: '\n' at byte 7: want no control character in a string`},
		{"bad escape in an unknown member", "l", `{"q":"\x","l":1}`, `malformed JSON: 'x' at byte 7: want an escape`},
		{"bad \\u escape", "s", `{"s":"\u00g0"}`, `malformed JSON: 'g' at byte 10: want a hexadecimal digit`},
		{"no UTF-8", "s", "{\"s\":\"a\xffb\"}", `malformed JSON: byte 0xff at byte 7 is no UTF-8`},
		{"cut off in a character", "s", "{\"s\":\"a\xc3\"}", `malformed JSON: byte 0xc3 at byte 7 is no UTF-8`},
		{"a surrogate in UTF-8", "s", "{\"s\":\"\xed\xa0\x80\"}", `malformed JSON: byte 0xed at byte 6 is no UTF-8`},
		{"no UTF-8 in a name", "s", "{\"\xfe\":1}", `malformed JSON: byte 0xfe at byte 2 is no UTF-8`},
		{"no UTF-8 in an unknown member", "l", "{\"q\":[{\"\xff\":1}]}", `malformed JSON: byte 0xff at byte 8 is no UTF-8`},
		{"the first half of a pair", "s", `{"s":"\ud83d-\ude00"}`, `malformed JSON: \ud83d at byte 6 is half a character`},
		{"the second half of a pair", "s", `{"s":"\ude00"}`, `malformed JSON: \ude00 at byte 6 is half a character`},
		{"two first halves", "s", `{"s":"\ud83d\ud83d"}`, `malformed JSON: \ud83d at byte 6 is half a character`},
		{"half a pair at the end", "s", `{"s":"\ud83d`, `malformed JSON: \ud83d at byte 6 is half a character`},
		{"half a pair in a name", "s", `{"\udfff":1}`, `malformed JSON: \udfff at byte 2 is half a character`},
		{"nested too deep", "l", deep(10_000), `malformed JSON: nested deeper than 10000 at byte 10004`},
		{"string for a long", "l", `{"l":"7"}`, `field "l": wrong type: a string, want long`},
		{"fraction for a long", "l", `{"l":7.0}`, `field "l": wrong type: a decimal number, want long`},
		{"object for a double", "d", `{"d":{}}`, `field "d": wrong type: an object, want double`},
		{"array for a string", "s", `{"s":[]}`, `field "s": wrong type: an array, want string`},
		{"number for a timestamp", "t", `{"t":1245086781}`, `field "t": wrong type: an integer, want timestamp`},
		{"number for a boolean", "y", `{"y":1}`, `field "y": wrong type: an integer, want boolean`},
		{"too large for a long", "l", `{"l":9223372036854775808}`, `field "l": 9223372036854775808 is out of range of long`},
		{"too large for an integer", "i", `{"i":2147483648}`, `field "i": 2147483648 is out of range of integer`},
		{"too small for a byte", "b", `{"b":-129}`, `field "b": -129 is out of range of byte`},
		{"too large for a double", "d", `{"d":1e309}`, `field "d": 1e309 is out of range of double`},
		{"an integer that a double rounds", "d", `{"d":9007199254740993}`, `field "d": 9007199254740993 would be rounded as double`},
		{"a large one", "d", `{"d":-18446744073709551615}`, `field "d": -18446744073709551615 would be rounded as double`},
		{"an integer that a float rounds", "f", `{"f":16777217}`, `field "f": 16777217 would be rounded as float`},
		{"an integer too large for a double", "d", `{"d":1` + strings.Repeat("0", 400) + `}`, `field "d": 1` + strings.Repeat("0", 39) + ` is out of range of double`},
		{"NaN in quotes", "d", `{"d":"NaN"}`, `field "d": wrong type: a string, want double`},
		{"too large for a float", "f", `{"f":1e39}`, `field "f": 1e39 is out of range of float`},
		{"no timestamp", "t", `{"t":"yesterday"}`, `field "t": not a timestamp: "yesterday"`},
		{"no date", "a", `{"a":"2011-02-29"}`, `field "a": not a date: "2011-02-29"`},
		{"no base64", "x", `{"x":"A"}`, `field "x": not base64: "A"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := decodeRow(t, oneColumn(t, test.schema, true), nil, test.record)
			if err == nil || err.Error() != test.reason {
				t.Errorf("%.80s: got %s, %v\nwant %s", test.record, got, err, test.reason)
			}
		})
	}
	if _, err := decodeRow(t, taxiSchema, nil, deep(9_999)); err != nil {
		t.Errorf("nested as deep as encoding/json takes it: %v", err)
	}
}

func TestDecodeRequired(t *testing.T) {
	for _, test := range []struct {
		name     string
		nullable bool
		required []string
		record   string
		reason   string
	}{
		{"missing", true, []string{"l"}, `{}`, `field "l": missing`},
		{"null", true, []string{"l"}, `{"l":null}`, `field "l": null in a required field`},
		{"missing by the schema", false, nil, `{}`, `field "l": missing`},
		{"null by the schema", false, nil, `{"l":null}`, `field "l": null in a required field`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := decodeRow(t, oneColumn(t, "l", test.nullable), test.required, test.record); err == nil || err.Error() != test.reason {
				t.Errorf("got %v, want %s", err, test.reason)
			}
		})
	}
	if _, err := New(taxiSchema, Options{Required: []string{"tip"}}); err == nil || !strings.Contains(err.Error(), `"tip"`) {
		t.Errorf("a required column that is not there: %v", err)
	}
	wide := arrow.NewSchema([]arrow.Field{{Name: "list", Type: arrow.ListOf(arrow.MapOf(arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String))}}, nil)
	if _, err := New(wide, Options{}); err == nil || !strings.Contains(err.Error(), `"list"`) {
		t.Errorf("a column that cannot be streamed: %v", err)
	}
}

func TestParseTimestamp(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"2009-06-15 17:26:21", "2009-06-15T17:26:21Z"},
		{"2009-06-15 17:26:21 UTC", "2009-06-15T17:26:21Z"},
		{"2009-06-15 17:26:21.0000001", "2009-06-15T17:26:21Z"},
		{"2009-06-15 17:26:21.1234569", "2009-06-15T17:26:21.123456Z"},
		{"2009-06-15T17:26:21Z", "2009-06-15T17:26:21Z"},
		{"2009-06-15T17:26:21.5Z", "2009-06-15T17:26:21.5Z"},
		{"2009-06-15T17:26:21.123456789012345678901234567890Z", "2009-06-15T17:26:21.123456Z"},
		{"2009-06-15T17:26:21+08:00", "2009-06-15T09:26:21Z"},
		{"2009-06-15T17:26:21-0430", "2009-06-15T21:56:21Z"},
		{"2009-06-15T17:26:21.25+08", "2009-06-15T09:26:21.25Z"},
		{"1969-12-31 23:59:59.999999", "1969-12-31T23:59:59.999999Z"},
		{"0000-01-01 00:00:00", "0000-01-01T00:00:00Z"},
		{"9999-12-31 23:59:59", "9999-12-31T23:59:59Z"},
		{"2000-02-29 00:00:00", "2000-02-29T00:00:00Z"},
		{"1900-02-29 00:00:00", ""},
		{"2009-13-01 00:00:00", ""},
		{"2009-00-01 00:00:00", ""},
		{"2009-06-00 00:00:00", ""},
		{"2009-06-31 00:00:00", ""},
		{"2009-06-15 24:00:00", ""},
		{"2009-06-15 23:60:00", ""},
		{"2009-06-15 23:59:60", ""},
		{"2009-06-15 17:26:21.", ""},
		{"2009-06-15 17:26:21.Z", ""},
		{"2009-06-15 17:26:21 CET", ""},
		{"2009-06-15 17:26:21 ", ""},
		{"2009-06-15 17:26:21+19:00", ""},
		{"2009-06-15 17:26:21+0", ""},
		{"2009-06-15 17:26:21+08:0", ""},
		{"2009-06-15 17:26", ""},
		{"2009-06-15", ""},
		{"2009/06/15 17:26:21", ""},
		{"", ""},
	} {
		micros, ok := parseTimestamp([]byte(test.text))
		got := ""
		if ok {
			got = time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.999999Z")
		}
		if got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

func TestDaysSince1970AgreesWithTime(t *testing.T) {
	day := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	for ; day.Year() < 10000; day = day.AddDate(0, 0, 1) {
		days, ok := parseDate(day.AppendFormat(nil, "2006-01-02"))
		if want := day.Unix() / 86400; !ok || int64(days) != floorDays(day) {
			t.Fatalf("%s: got %d, %v, want %d", day, days, ok, want)
		}
	}
}

func floorDays(day time.Time) int64 {
	return int64(math.Floor(float64(day.Unix()) / 86400))
}

// FuzzDecode compares with a decoder made of encoding/json, strconv and time:
// for every input both refuse, or both give the same row.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		taxiJSON, `{}`, `{"l":1,"l":2}`, `{"s":"\ud83d\ude00\ud83d\u0041"}`, "{\"s\":\"a\xff\"}", `{"\u00e9":"x"}`,
		`{"l":-9223372036854775808,"i":2147483648,"h":1,"b":-128}`, `{"d":1e309}`, `{"d":-0.0,"f":16777217}`, `{"d":0.1e-5}`,
		`{"d":123456789012345678901234567890}`, `{"d":9007199254740993.0}`, `{"y":true,"x":"AQID","a":"2012-02-29"}`,
		`{"t":"2009-06-15T17:26:21.123456789+08:00"}`, `{"q":[{"l":[[]]},1e5,null],"l":7}`, `{"x":"A\nQ=="}`, ` { } `, `{"l":01}`, `[]`, `null`,
		`{"o":{"l":1,"v":["a","\u00e9",null],"l":2},"v":[[1],[],null,[2,3]],"m":{"a":1,"b":null,"a":1e2}}`, `{"o":{"v":[1]}}`, `{"o":{},"v":[],"m":{}}`,
		` {"m" : { "\ud800" : -0 , "\ufffd":1e400 } , "o":[],"v":{} } `, "{\"l\"\t:\r\n 1e0}", `{"d":0e-400,"f":1e-50,"\u006c":3}`,
		`{"d":9007199254740993,"L":1,"l":9223372036854775808}`, `{"d":18446744073709551616,"f":16777218}`, `{"":1,"a b":2,"o":{"L":3,"l":4}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		got, gotErr := decodeRow(t, everyTypeSchema, nil, string(record))
		want, wantErr := referenceRow(everyTypeSchema, record)
		if (gotErr == nil) != (wantErr == nil) || got != want {
			t.Errorf("%q\ngot  %s, %v\nwant %s, %v", record, got, gotErr, want, wantErr)
		}
	})
}

// referenceRow is the row by the standard library's means.
func referenceRow(schema *arrow.Schema, record []byte) (string, error) {
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(record))
	decoder.UseNumber()
	if !json.Valid(record) || !utf8.Valid(record) || hasHalfPairs(record) {
		return "", fmt.Errorf("not valid")
	}
	if err := decoder.Decode(&members); err != nil {
		return "", err
	}
	if members == nil {
		return "", fmt.Errorf("null is no object")
	}
	columns := make([]string, schema.NumFields())
	for i, field := range schema.Fields() {
		columns[i] = "null"
		text, err := referenceCell(field.Type, members[field.Name])
		if err != nil {
			return "", fmt.Errorf("%s: %w", field.Name, err)
		}
		columns[i] = text
	}
	return strings.Join(columns, "|"), nil
}

var escapes = regexp.MustCompile(`(?s)\\u[0-9a-fA-F]{4}|\\.`)

// hasHalfPairs finds surrogates of valid JSON that are not one after the other.
func hasHalfPairs(record []byte) bool {
	first := -1 // where the second half of a pair must be
	for _, at := range escapes.FindAllIndex(record, -1) {
		code, _ := strconv.ParseUint(string(record[min(at[0]+2, at[1]):at[1]]), 16, 16)
		switch second := code>>10 == 0xdc00>>10; {
		case second != (at[0] == first), first >= 0 && !second:
			return true
		case code>>10 == 0xd800>>10:
			first = at[1]
		default:
			first = -1
		}
	}
	return first >= 0
}

func referenceNested(dataType arrow.DataType, value any) (string, error) {
	var parts []string
	var failed error
	add := func(prefix string, dataType arrow.DataType, value any) {
		text, err := referenceCell(dataType, value)
		parts, failed = append(parts, prefix+text), errors.Join(failed, err)
	}
	object, isObject := value.(map[string]any)
	list, isList := value.([]any)
	switch t := dataType.(type) {
	case *arrow.StructType:
		for _, field := range t.Fields() {
			add("", field.Type, object[field.Name])
		}
	case *arrow.MapType:
		for key, value := range object {
			add(strconv.Quote(key)+":", t.ItemType(), value)
		}
		slices.Sort(parts)
	case *arrow.ListType:
		for _, value := range list {
			add("", t.Elem(), value)
		}
		if !isList {
			return "", fmt.Errorf("wrong type %T", value)
		}
		return "[" + strings.Join(parts, ",") + "]", failed
	}
	if !isObject {
		return "", fmt.Errorf("wrong type %T", value)
	}
	return "{" + strings.Join(parts, ",") + "}", failed
}

func referenceCell(dataType arrow.DataType, value any) (string, error) {
	if value == nil {
		return "null", nil
	}
	if arrow.IsNested(dataType.ID()) {
		return referenceNested(dataType, value)
	}
	number, isNumber := value.(json.Number)
	text, isString := value.(string)
	boolean, isBool := value.(bool)
	bits := map[arrow.Type]int{arrow.INT8: 8, arrow.INT16: 16, arrow.INT32: 32, arrow.INT64: 64, arrow.FLOAT32: 32, arrow.FLOAT64: 64}[dataType.ID()]
	switch id := dataType.ID(); {
	case arrow.IsInteger(id) && isNumber:
		n, err := strconv.ParseInt(number.String(), 10, bits)
		return strconv.FormatInt(n, 10), err
	case arrow.IsFloating(id) && isNumber:
		f, err := strconv.ParseFloat(number.String(), bits)
		if n, whole := new(big.Int).SetString(number.String(), 10); err == nil && whole {
			if exact, _ := new(big.Float).SetFloat64(f).Int(nil); exact.Cmp(n) != 0 {
				err = fmt.Errorf("%s is rounded", number)
			}
		}
		return strconv.FormatFloat(f, 'g', -1, bits), err
	case id == arrow.BOOL && isBool:
		return strconv.FormatBool(boolean), nil
	case id == arrow.STRING && isString:
		return strconv.Quote(text), nil
	case id == arrow.BINARY && isString:
		b, err := base64.StdEncoding.DecodeString(text)
		return base64.StdEncoding.EncodeToString(b), err
	case id == arrow.DATE32 && isString:
		day, err := time.Parse("2006-01-02", text)
		return day.Format("2006-01-02"), err
	case id == arrow.TIMESTAMP && isString:
		return referenceTimestamp(text)
	}
	return "", fmt.Errorf("wrong type %T", value)
}

func referenceTimestamp(text string) (string, error) {
	if len(text) < 19 || text[13] != ':' {
		return "", fmt.Errorf("time.Parse takes an hour of one digit")
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05"} {
		for _, zone := range []string{"", "Z", " UTC", "-07", "-0700", "-07:00"} {
			at, err := time.Parse(layout+strings.TrimSuffix(zone, "Z"), strings.TrimSuffix(text, suffixIf(zone == "Z", "Z")))
			if zone == "Z" && !strings.HasSuffix(text, "Z") {
				continue
			}
			if zone == " UTC" && !strings.HasSuffix(text, " UTC") {
				continue
			}
			// time.Parse takes a comma before the fraction, and offsets to 24 h.
			_, offset := at.Zone()
			if err == nil && !strings.Contains(text, ",") && offset >= -18*3600 && offset <= 18*3600 {
				return at.UTC().Truncate(time.Microsecond).Format("2006-01-02T15:04:05.999999Z"), nil
			}
		}
	}
	return "", fmt.Errorf("no timestamp")
}

func suffixIf(yes bool, suffix string) string {
	if yes {
		return suffix
	}
	return ""
}

func TestDecodeAllocatesNothingPerRecord(t *testing.T) {
	d, err := newJSONDecoder(taxiSchema, Options{Required: []string{"key"}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Release()
	d.builder.Reserve(4096)
	record := []byte(taxiJSON)
	if n := testing.AllocsPerRun(1000, func() {
		if err := d.Decode(record, nil); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%.1f allocations a record, want none", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	record := []byte(taxiJSON)
	b.Run("scanner", func(b *testing.B) {
		d, err := New(taxiSchema, Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer d.Release()
		b.SetBytes(int64(len(record)))
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := d.Decode(record, nil); err != nil {
				b.Fatal(err)
			}
			if i%64<<10 == 0 {
				d.Flush().Release()
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		var row struct {
			Key, Pickup_datetime                           string
			Fare_amount, Pickup_longitude, Pickup_latitude *float64
			Dropoff_longitude, Dropoff_latitude            *float64
			Passenger_count                                *int32
		}
		b.SetBytes(int64(len(record)))
		b.ReportAllocs()
		for b.Loop() {
			if err := json.Unmarshal(record, &row); err != nil {
				b.Fatal(err)
			}
		}
	})
}
