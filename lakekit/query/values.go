package query

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"taxilake/lakekit/api"
)

// resultColumn is a column of a result.
type resultColumn struct {
	valueType
	label string
}

func resultColumns(rows *sql.Rows) ([]resultColumn, error) {
	given, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	columns := make([]resultColumn, len(given))
	for i, c := range given {
		if columns[i].valueType, err = parseValueType(c.DatabaseTypeName()); err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name(), err)
		}
		columns[i].label = c.Name()
	}
	return columns, nil
}

// partRows is how many rows Request.Each gets at once.
const partRows = 10_000

// readRows reads a result with Spark's types. All parts but the last go to each,
// if it is given.
func readRows(rows *sql.Rows, columns []resultColumn, zone zone, each func(*api.Result) error) (*api.Result, error) {
	result := &api.Result{Columns: make([]api.Column, len(columns)), Rows: [][]any{}, TimeZone: zone.name}
	for i, c := range columns {
		result.Columns[i] = api.Column{Name: c.label, Type: c.spark()}
	}
	for rows.Next() {
		if each != nil && len(result.Rows) == partRows {
			if err := each(result); err != nil {
				return nil, err
			}
			result.Rows = result.Rows[:0]
		}
		row := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i := range row {
			row[i] = columns[i].convert(row[i], zone.location)
		}
		result.Rows = append(result.Rows, row)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i, c := range columns {
		if c.name == "HUGEINT" {
			narrow(result, i)
		}
	}
	return result, nil
}

// narrow makes a column of sums a bigint, as it is in Spark, if all of them fit.
func narrow(r *api.Result, column int) {
	values := make([]any, len(r.Rows))
	for i, row := range r.Rows {
		if d, ok := row[column].(api.Decimal); ok {
			n, ok := new(big.Int).SetString(string(d), 10)
			if !ok || !n.IsInt64() {
				return
			}
			values[i] = n.Int64()
		}
	}
	for i, row := range r.Rows {
		row[column] = values[i]
	}
	r.Columns[column].Type = "bigint"
}

// valueType is a type of DuckDB's.
type valueType struct {
	name     string // "BIGINT", "DECIMAL(10,2)", "LIST", "STRUCT", "MAP"
	children []valueType
	fields   []string // of a STRUCT, as many as children
}

// parseValueType reads a type's name as the driver writes it:
// STRUCT("a" INTEGER, "b" MAP(VARCHAR, DOUBLE)[]).
func parseValueType(name string) (valueType, error) {
	p := valueTypeParser{rest: name}
	t := p.parse()
	if p.failed || p.rest != "" {
		return valueType{}, fmt.Errorf("type %s is not understood", name)
	}
	return t, nil
}

type valueTypeParser struct {
	rest   string
	failed bool
}

func (p *valueTypeParser) take(s string) bool {
	rest, ok := strings.CutPrefix(p.rest, s)
	p.rest = rest
	return ok
}

func (p *valueTypeParser) parse() valueType {
	t := p.parseOne()
	for !p.failed && strings.HasPrefix(p.rest, "[") {
		_, p.rest, _ = strings.Cut(p.rest, "]") // [] or [3]
		t = valueType{name: "LIST", children: []valueType{t}}
	}
	return t
}

func (p *valueTypeParser) parseOne() valueType {
	switch {
	case p.take("STRUCT("), p.take("UNION("):
		t := valueType{name: "STRUCT"}
		for !p.failed && !p.take(")") {
			p.take(", ")
			t.fields = append(t.fields, p.fieldName())
			t.children = append(t.children, p.parse())
		}
		return t
	case p.take("MAP("):
		t := valueType{name: "MAP", children: []valueType{p.parse()}}
		p.failed = p.failed || !p.take(", ")
		t.children = append(t.children, p.parse())
		p.failed = p.failed || !p.take(")")
		return t
	}
	end := strings.IndexAny(p.rest, ",)[")
	if strings.HasPrefix(p.rest, "DECIMAL(") {
		end = strings.IndexByte(p.rest, ')') + 1
	}
	if end < 0 {
		end = len(p.rest)
	}
	t := valueType{name: p.rest[:end]}
	p.rest = p.rest[end:]
	switch t.name {
	case "", "LIST", "STRUCT", "MAP": // the latter stand for types with children
		p.failed = true
	}
	return t
}

func (p *valueTypeParser) fieldName() string {
	end := 0
	if strings.HasPrefix(p.rest, `"`) {
		end = quotedEnd(p.rest, 0, '"')
	}
	if end == 0 || end >= len(p.rest) || p.rest[end] != ' ' {
		p.failed = true
		return ""
	}
	name := unquoteWith(p.rest[:end])
	p.rest = p.rest[end+1:]
	return name
}

var sparkTypes = map[string]string{
	"BOOLEAN": "boolean", "TINYINT": "tinyint", "SMALLINT": "smallint", "INTEGER": "int", "BIGINT": "bigint",
	"UTINYINT": "smallint", "USMALLINT": "int", "UINTEGER": "bigint", "UBIGINT": "decimal(20,0)",
	"HUGEINT": "decimal(38,0)", "UHUGEINT": "decimal(38,0)", "BIGNUM": "decimal(38,0)",
	"FLOAT": "float", "DOUBLE": "double", "BLOB": "binary", "DATE": "date", "INTERVAL": "interval",
	"TIMESTAMPTZ": "timestamp", "TIMESTAMP WITH TIME ZONE": "timestamp",
	"TIMESTAMP": "timestamp_ntz", "TIMESTAMP_S": "timestamp_ntz", "TIMESTAMP_MS": "timestamp_ntz", "TIMESTAMP_NS": "timestamp_ntz",
}

// spark is Spark's name of the type; what Spark does not have is a string.
func (t valueType) spark() string {
	switch t.name {
	case "LIST":
		return "array<" + t.children[0].spark() + ">"
	case "MAP":
		return "map<" + t.children[0].spark() + "," + t.children[1].spark() + ">"
	case "STRUCT":
		var members []string
		for i, child := range t.children {
			members = append(members, api.QuoteField(t.fields[i])+":"+child.spark())
		}
		return "struct<" + strings.Join(members, ",") + ">"
	}
	if strings.HasPrefix(t.name, "DECIMAL(") {
		return strings.ToLower(t.name)
	}
	if name, ok := sparkTypes[t.name]; ok {
		return name
	}
	return "string"
}

// unreadableKeys are types of keys that the driver cannot hold in its maps, whose
// keys are to be compared by Go.
var unreadableKeys = []string{"BLOB", "LIST", "STRUCT", "MAP", "JSON", "UUID"}

func (t valueType) unreadable() bool {
	return t.name == "MAP" && slices.Contains(unreadableKeys, t.children[0].name) || slices.ContainsFunc(t.children, valueType.unreadable)
}

// readable is the SQL around a statement with columns of such maps that makes
// them lists of entries.
func readable(columns []resultColumn) (selected, from string) {
	values, names := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		names[i] = fmt.Sprintf("c%d", i)
		values[i] = c.readable(names[i], 0)
	}
	return "SELECT " + strings.Join(values, ", ") + " FROM (", "\n) AS r(" + strings.Join(names, ", ") + ")"
}

func (t valueType) readable(x string, depth int) string {
	if !t.unreadable() {
		return x
	}
	element := fmt.Sprintf("e%d", depth)
	switch t.name {
	case "LIST":
		return fmt.Sprintf("list_transform(%s, lambda %s: %s)", x, element, t.children[0].readable(element, depth+1))
	case "MAP":
		return fmt.Sprintf("list_transform(map_entries(%s), lambda %s: {'key': %s, 'value': %s})", x, element,
			t.children[0].readable(element+".key", depth+1), t.children[1].readable(element+".value", depth+1))
	}
	members := make([]string, len(t.children))
	for i, child := range t.children {
		members[i] = quoteName(t.fields[i]) + " := " + child.readable(fmt.Sprintf("struct_extract(%s, %s)", x, quote(t.fields[i])), depth+1)
	}
	return fmt.Sprintf("CASE WHEN %s IS NOT NULL THEN struct_pack(%s) END", x, strings.Join(members, ", "))
}

// convert turns the driver's value into the result's.
func (t valueType) convert(value any, location *time.Location) any {
	switch v := value.(type) {
	case nil, bool, int64, float64:
		return v
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case uint8:
		return int64(v)
	case uint16:
		return int64(v)
	case uint32:
		return int64(v)
	case uint64:
		return api.Decimal(fmt.Sprint(v))
	case float32:
		return float64(v)
	case *big.Int:
		return api.Decimal(v.String())
	case duckdb.Decimal:
		return api.Decimal(decimalText(v.Value, int(v.Scale)))
	case []byte:
		return t.convertBytes(v)
	case time.Time:
		return t.convertTime(v, location)
	case duckdb.Interval:
		return intervalText(v)
	case []any:
		if t.name == "LIST" {
			list := make([]any, len(v))
			for i := range v {
				list[i] = t.children[0].convert(v[i], location)
			}
			return list
		}
		if t.name == "MAP" { // see readable
			entries := make([]api.MapEntry, len(v))
			for i := range v {
				entry, _ := v[i].(map[string]any)
				entries[i] = api.MapEntry{Key: t.children[0].convert(entry["key"], location), Value: t.children[1].convert(entry["value"], location)}
			}
			return entries
		}
	case map[string]any:
		if t.name == "STRUCT" {
			object := make(map[string]any, len(t.fields))
			for i, f := range t.fields {
				object[f] = t.children[i].convert(v[f], location)
			}
			return object
		}
	case duckdb.OrderedMap:
		keys, values := v.Keys(), v.Values()
		entries := make([]api.MapEntry, len(keys))
		for i := range keys {
			entries[i] = api.MapEntry{Key: t.children[0].convert(keys[i], location), Value: t.children[1].convert(values[i], location)}
		}
		return entries
	case string:
		return v
	}
	return otherText(value)
}

// otherText writes a value of a type that Spark does not have; that of JSON
// comes decoded.
func otherText(value any) string {
	switch value.(type) {
	case map[string]any, []any:
		if data, err := json.Marshal(value); err == nil {
			return string(data)
		}
	}
	return fmt.Sprint(value)
}

func (t valueType) convertBytes(v []byte) any {
	if t.name == "UUID" && len(v) == 16 {
		return fmt.Sprintf("%x-%x-%x-%x-%x", v[:4], v[4:6], v[6:8], v[8:10], v[10:])
	}
	return v
}

func (t valueType) convertTime(v time.Time, location *time.Location) any {
	switch t.spark() {
	case "timestamp":
		return v.In(location)
	case "string": // TIME
		return v.Format("15:04:05.999999999")
	}
	return v.UTC()
}

func decimalText(unscaled *big.Int, scale int) string {
	digits := new(big.Int).Abs(unscaled).String()
	if scale > 0 {
		digits = strings.Repeat("0", max(0, scale+1-len(digits))) + digits
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if unscaled.Sign() < 0 {
		return "-" + digits
	}
	return digits
}

// intervalText writes "1 month 2 days 03:04:05.5".
func intervalText(v duckdb.Interval) string {
	var parts []string
	count := func(n int32, unit string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+unit)
		case n != 0:
			parts = append(parts, fmt.Sprintf("%d %ss", n, unit))
		}
	}
	count(v.Months/12, "year")
	count(v.Months%12, "month")
	count(v.Days, "day")
	if v.Micros != 0 || len(parts) == 0 {
		sign, d := "", v.Micros
		if d < 0 {
			sign, d = "-", -d
		}
		clock := fmt.Sprintf("%s%02d:%02d:%02d", sign, d/3_600_000_000, d/60_000_000%60, d/1_000_000%60)
		if fraction := math.Mod(float64(d), 1_000_000); fraction != 0 {
			clock += strings.TrimRight(fmt.Sprintf(".%06d", int64(fraction)), "0")
		}
		parts = append(parts, clock)
	}
	return strings.Join(parts, " ")
}
