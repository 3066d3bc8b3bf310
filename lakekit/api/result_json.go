package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// resultJSON is the JSON form of a Result.
type resultJSON struct {
	Columns []Column            `json:"columns"`
	Rows    [][]json.RawMessage `json:"rows"`
	resultRestJSON
}

type resultRestJSON struct {
	TimeZone  string      `json:"timeZone,omitempty"`
	ElapsedNs int64       `json:"elapsedNs"`
	Truncated bool        `json:"truncated,omitempty"`
	Tables    []TableRead `json:"tables,omitempty"`
}

// Whole numbers beyond this lose digits where a reader takes JSON's numbers for
// doubles, as browsers do; they are written as text.
const maxExactInt = 1 << 53

// MarshalJSON writes cells so that UnmarshalJSON returns them unchanged: NaN,
// Infinity and -Infinity, whole numbers beyond 2^53 and decimals as text,
// binary as base64, timestamps in RFC 3339 with all their digits, maps as
// arrays of [key, value].
func (r Result) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	err := r.EncodeJSON(&b)
	return b.Bytes(), err
}

// EncodeJSON writes what MarshalJSON returns row by row, so that a large result is
// not in memory as JSON as well.
func (r *Result) EncodeJSON(w io.Writer) error {
	types, err := r.types()
	if err != nil {
		return err
	}
	columns, err := json.Marshal(append([]Column{}, r.Columns...))
	if err != nil {
		return err
	}
	line := append(append([]byte(`{"columns":`), columns...), `,"rows":[`...)
	for i, row := range r.Rows {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(line, '[')
		for j, cell := range row {
			if j > 0 {
				line = append(line, ',')
			}
			if line, err = wireForm.append(line, cell, types[j]); err != nil {
				return fmt.Errorf("row %d, column %s: %w", i+1, r.Columns[j].Name, err)
			}
		}
		if _, err := w.Write(append(line, ']')); err != nil {
			return err
		}
		line = line[:0]
	}
	rest, err := json.Marshal(resultRestJSON{r.TimeZone, int64(r.Elapsed), r.Truncated, r.Tables})
	if err != nil {
		return err
	}
	_, err = w.Write(append(append(line, "],"...), rest[1:]...))
	return err
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Result) UnmarshalJSON(data []byte) error {
	var in resultJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	out := Result{Columns: in.Columns, TimeZone: in.TimeZone, Elapsed: time.Duration(in.ElapsedNs), Truncated: in.Truncated, Tables: in.Tables}
	types, err := out.types()
	if err != nil {
		return err
	}
	zone, _ := LoadZone(in.TimeZone) // unknown here: the offset written with each time remains
	out.Rows = make([][]any, len(in.Rows))
	for i, row := range in.Rows {
		if len(row) != len(types) {
			return fmt.Errorf("row %d has %d cells, not %d", i+1, len(row), len(types))
		}
		out.Rows[i] = make([]any, len(row))
		for j, cell := range row {
			if out.Rows[i][j], err = decodeCell(cell, types[j], zone); err != nil {
				return fmt.Errorf("row %d, column %s: %w", i+1, in.Columns[j].Name, err)
			}
		}
	}
	*r = out
	return nil
}

// LoadZone returns a time zone by its IANA name or its offset (+08:00, Z).
func LoadZone(name string) (*time.Location, error) {
	if name == "" || name == "Z" {
		return time.UTC, nil
	}
	if name[0] != '+' && name[0] != '-' {
		if name == "Local" {
			return nil, fmt.Errorf("time zone %q: write an IANA name such as Asia/Shanghai, or an offset such as +08:00", name)
		}
		return time.LoadLocation(name)
	}
	t, err := time.Parse("-07:00", name)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: an offset is written as +08:00", name)
	}
	_, offset := t.Zone()
	return time.FixedZone(name, offset), nil
}

func (r *Result) types() ([]dataType, error) {
	types := make([]dataType, len(r.Columns))
	for i, c := range r.Columns {
		var err error
		if types[i], err = parseType(c.Type); err != nil {
			return nil, err
		}
	}
	return types, nil
}

// WriteJSON writes one object a line, keyed by the columns' names, nested
// values included. Numbers stay numbers (NaN and the infinities are text, as
// JSON has none), timestamps are RFC 3339, binary is base64, maps with keys of
// text are objects.
func (r *Result) WriteJSON(w io.Writer) error {
	types, err := r.types()
	if err != nil {
		return err
	}
	names := uniqueNames(r.Columns)
	var line []byte
	for i, row := range r.Rows {
		line = append(line[:0], '{')
		for j, cell := range row {
			if j > 0 {
				line = append(line, ',')
			}
			line = append(appendJSONString(line, names[j]), ':')
			if line, err = readerForm.append(line, cell, types[j]); err != nil {
				return fmt.Errorf("row %d, column %s: %w", i+1, r.Columns[j].Name, err)
			}
		}
		if _, err := w.Write(append(line, '}', '\n')); err != nil {
			return err
		}
	}
	return nil
}

// uniqueNames returns the columns' names, repeated ones with _2, _3, ...
func uniqueNames(columns []Column) []string {
	taken := make(map[string]bool, len(columns))
	names := make([]string, len(columns))
	for i, c := range columns {
		name := c.Name
		for n := 2; taken[name]; n++ {
			name = fmt.Sprintf("%s_%d", c.Name, n)
		}
		taken[name] = true
		names[i] = name
	}
	return names
}

// jsonForm is how cells are written as JSON.
type jsonForm struct{ exact bool }

var (
	wireForm   = jsonForm{exact: true}  // read back by UnmarshalJSON
	readerForm = jsonForm{exact: false} // for other programs
)

func (f jsonForm) append(dst []byte, cell any, t dataType) ([]byte, error) {
	switch v := cell.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int64:
		if f.exact && (v > maxExactInt || v < -maxExactInt) {
			return append(strconv.AppendInt(append(dst, '"'), v, 10), '"'), nil
		}
		return strconv.AppendInt(dst, v, 10), nil
	case float64:
		return appendJSONFloat(dst, v, t), nil
	case Decimal:
		if f.exact {
			return appendJSONString(dst, string(v)), nil
		}
		return append(dst, v...), nil
	case string:
		return appendJSONString(dst, v), nil
	case []byte:
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v), '"'), nil
	case time.Time:
		return append(writable(v).AppendFormat(append(dst, '"'), timeLayout(t.name)), '"'), nil
	case []any:
		if t.name != "array" {
			break
		}
		dst = append(dst, '[')
		var err error
		for i, element := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = f.append(dst, element, t.fields[0].dataType); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case map[string]any:
		if t.name != "struct" {
			break
		}
		dst = append(dst, '{')
		var err error
		for i, field := range t.fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendJSONString(dst, field.name), ':')
			if dst, err = f.append(dst, v[field.name], field.dataType); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	case []MapEntry:
		if t.name != "map" {
			break
		}
		return f.appendMap(dst, v, t)
	}
	return nil, fmt.Errorf("a %T is no value of type %s", cell, t.name)
}

// writable is a time as RFC 3339 can write it, in UTC if it must: offsets are
// whole minutes there, those of old local times are not, and years have four
// digits.
func writable(v time.Time) time.Time {
	if _, offset := v.Zone(); offset%60 != 0 || v.Year() < 0 || v.Year() > 9999 {
		return v.UTC()
	}
	return v
}

func (f jsonForm) appendMap(dst []byte, entries []MapEntry, t dataType) ([]byte, error) {
	key, value := t.fields[0].dataType, t.fields[1].dataType
	asObject := !f.exact && key.name == "string"
	brackets, between := "[]", byte(',')
	if asObject {
		brackets, between = "{}", ':'
	}
	dst = append(dst, brackets[0])
	var err error
	for i, e := range entries {
		if i > 0 {
			dst = append(dst, ',')
		}
		if !asObject {
			dst = append(dst, '[')
		}
		if dst, err = f.append(dst, e.Key, key); err != nil {
			return nil, err
		}
		if dst, err = f.append(append(dst, between), e.Value, value); err != nil {
			return nil, err
		}
		if !asObject {
			dst = append(dst, ']')
		}
	}
	return append(dst, brackets[1]), nil
}

func appendJSONFloat(dst []byte, v float64, t dataType) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, floatBits(t.name))
}

// appendJSONString writes a string as encoding/json does without HTML in mind. It
// needs no buffer besides, which for a long value would be as large again.
func appendJSONString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(slices.Grow(dst, len(s)+2), '"')
	written := 0
	for i := 0; i < len(s); {
		c, size := rune(s[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRuneInString(s[i:])
		}
		plain := c >= ' ' && c != '"' && c != '\\' && c != '\u2028' && c != '\u2029' && (c != utf8.RuneError || size > 1)
		if !plain {
			dst = append(dst, s[written:i]...)
			written = i + size
			if short := strings.IndexRune("\"\\\b\f\n\r\t", c); short >= 0 {
				dst = append(dst, '\\', `"\bfnrt`[short])
			} else {
				dst = append(dst, '\\', 'u', hex[c>>12&15], hex[c>>8&15], hex[c>>4&15], hex[c&15])
			}
		}
		i += size
	}
	return append(append(dst, s[written:]...), '"')
}

func decodeCell(data json.RawMessage, t dataType, zone *time.Location) (any, error) {
	if string(data) == "null" {
		return nil, nil
	}
	switch base, _, _ := strings.Cut(t.name, "("); base {
	case "boolean":
		return decodeAs[bool](data)
	case "tinyint", "smallint", "int", "bigint":
		return strconv.ParseInt(unquote(data), 10, 64)
	case "float", "double":
		v, err := strconv.ParseFloat(unquote(data), floatBits(t.name))
		return v, err
	case "decimal":
		return decodeAs[Decimal](data)
	case "binary":
		return decodeAs[[]byte](data)
	case "date", "timestamp", "timestamp_ntz":
		v, err := time.Parse(timeLayout(t.name), unquote(data))
		if err == nil && base == "timestamp" && zone != nil {
			v = v.In(zone)
		}
		return v, err
	case "array":
		return decodeArray(data, t, zone)
	case "map":
		return decodeMap(data, t, zone)
	case "struct":
		return decodeStruct(data, t, zone)
	}
	return decodeAs[string](data)
}

func decodeAs[T any](data json.RawMessage) (any, error) {
	var v T
	err := json.Unmarshal(data, &v)
	return v, err
}

func decodeArray(data json.RawMessage, t dataType, zone *time.Location) (any, error) {
	var in []json.RawMessage
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, err
	}
	out := make([]any, len(in))
	for i := range in {
		var err error
		if out[i], err = decodeCell(in[i], t.fields[0].dataType, zone); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func decodeMap(data json.RawMessage, t dataType, zone *time.Location) (any, error) {
	var in [][2]json.RawMessage
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, err
	}
	out := make([]MapEntry, len(in))
	for i := range in {
		var err error
		if out[i].Key, err = decodeCell(in[i][0], t.fields[0].dataType, zone); err != nil {
			return nil, err
		}
		if out[i].Value, err = decodeCell(in[i][1], t.fields[1].dataType, zone); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func decodeStruct(data json.RawMessage, t dataType, zone *time.Location) (any, error) {
	var in map[string]json.RawMessage
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, err
	}
	out := make(map[string]any, len(t.fields))
	for _, f := range t.fields {
		value, ok := in[f.name]
		if !ok {
			value = json.RawMessage("null")
		}
		var err error
		if out[f.name], err = decodeCell(value, f.dataType, zone); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// unquote returns a JSON number or a JSON string that needs no escapes.
func unquote(data json.RawMessage) string { return strings.Trim(string(data), `"`) }

func timeLayout(typeName string) string {
	switch typeName {
	case "date":
		return time.DateOnly
	case "timestamp_ntz":
		return "2006-01-02T15:04:05.999999999"
	}
	return time.RFC3339Nano
}

func floatBits(typeName string) int {
	if typeName == "float" {
		return 32
	}
	return 64
}

// Float64 returns the double nearest to d.
func (d Decimal) Float64() float64 {
	v, err := strconv.ParseFloat(string(d), 64)
	if err != nil {
		return math.NaN()
	}
	return v
}
