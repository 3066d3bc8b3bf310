package query

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"taxilake/lakekit/api"
)

// resultColumn is a column of a result.
type resultColumn struct {
	Label string
	Type  valueType
}

// valueType is a type of DuckDB's.
type valueType struct {
	Name     string // "BIGINT", "DECIMAL(10,2)", "LIST", "STRUCT", "MAP"
	Children []valueType
	Fields   []string // of a STRUCT, as many as children

	// For reading vectors, in the worker.
	kind     mapping.Type
	physical mapping.Type // of a DECIMAL and an ENUM
	scale    int          // of a DECIMAL
	size     uint64       // of an ARRAY
	names    []string     // of an ENUM
}

// maxTypeDepth is how deep api takes types to be nested.
const maxTypeDepth = 60

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

var sparkTypes = map[string]string{
	"BOOLEAN": "boolean", "TINYINT": "tinyint", "SMALLINT": "smallint", "INTEGER": "int", "BIGINT": "bigint",
	"UTINYINT": "smallint", "USMALLINT": "int", "UINTEGER": "bigint", "UBIGINT": "decimal(20,0)",
	"HUGEINT": "decimal(38,0)", "UHUGEINT": "decimal(38,0)", "BIGNUM": "decimal(38,0)",
	"FLOAT": "float", "DOUBLE": "double", "BLOB": "binary", "GEOMETRY": "binary", "DATE": "date", "INTERVAL": "interval",
	"TIMESTAMPTZ": "timestamp", "TIMESTAMP WITH TIME ZONE": "timestamp",
	"TIMESTAMP": "timestamp_ntz", "TIMESTAMP_S": "timestamp_ntz", "TIMESTAMP_MS": "timestamp_ntz", "TIMESTAMP_NS": "timestamp_ntz",
}

// spark is Spark's name of the type; what Spark does not have is a string.
func (t *valueType) spark() string {
	switch t.Name {
	case "LIST":
		return "array<" + t.Children[0].spark() + ">"
	case "MAP":
		return "map<" + t.Children[0].spark() + "," + t.Children[1].spark() + ">"
	case "STRUCT":
		var members []string
		for i := range t.Children {
			members = append(members, api.QuoteField(t.Fields[i])+":"+t.Children[i].spark())
		}
		return "struct<" + strings.Join(members, ",") + ">"
	}
	if strings.HasPrefix(t.Name, "DECIMAL(") {
		return strings.ToLower(t.Name)
	}
	if name, ok := sparkTypes[t.Name]; ok {
		return name
	}
	return "string"
}

// decimalText writes a whole number of 10^-scale, given by its digits.
func decimalText(digits string, scale int) string {
	if scale == 0 {
		return digits
	}
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale+1-len(digits)) + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}

// clockText writes a time of the day, with the fraction of a second it has.
func clockText(nanoseconds int64) string {
	seconds := nanoseconds / 1e9
	text := fmt.Sprintf("%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
	if fraction := nanoseconds % 1e9; fraction != 0 {
		text += strings.TrimRight(fmt.Sprintf(".%09d", fraction), "0")
	}
	return text
}

// interval is laid out as DuckDB's.
type interval struct {
	months, days int32
	micros       int64
}

// intervalText writes "1 month 2 days 03:04:05.5".
func intervalText(v interval) string {
	var parts []string
	count := func(n int32, unit string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+unit)
		case n != 0:
			parts = append(parts, fmt.Sprintf("%d %ss", n, unit))
		}
	}
	count(v.months/12, "year")
	count(v.months%12, "month")
	count(v.days, "day")
	if v.micros != 0 || len(parts) == 0 {
		sign, d := "", v.micros
		if d < 0 {
			sign, d = "-", -d
		}
		fraction := clockText(d % 1e6 * 1e3)[len("00:00:00"):]
		parts = append(parts, fmt.Sprintf("%s%02d:%02d:%02d%s", sign, d/3_600_000_000, d/60_000_000%60, d/1_000_000%60, fraction))
	}
	return strings.Join(parts, " ")
}

// weight of the description of a type, in bytes.
func (t *valueType) weight() int64 {
	size := int64(64 + len(t.Name))
	for _, name := range t.Fields {
		size += int64(len(name))
	}
	for i := range t.Children {
		size += t.Children[i].weight()
	}
	return size
}
