package api

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Result is the answer to a SQL statement.
//
// A cell of Rows is nil (NULL) or what its column's type says:
//
//	boolean                            bool
//	tinyint, smallint, int, bigint     int64
//	float, double                      float64
//	decimal(p,s)                       Decimal
//	string, interval                   string
//	binary                             []byte
//	date                               time.Time, midnight UTC
//	timestamp                          time.Time in the session time zone
//	timestamp_ntz                      time.Time in UTC, its wall clock is the value
//	array<t>                           []any
//	map<k,v>                           []MapEntry
//	struct<a:t,...>                    map[string]any
//
// Its JSON form keeps every value exactly, see MarshalJSON.
type Result struct {
	Columns []Column
	Rows    [][]any
	// TimeZone is the session time zone the statement ran in, an IANA name or
	// an offset such as +08:00.
	TimeZone string
	Elapsed  time.Duration
	// Truncated says that the statement has more rows than were asked for.
	Truncated bool
	// Tables are the tables that were read, each at one version.
	Tables []TableRead
}

// Column is a column of a Result. Type is Spark's name of it (bigint, double,
// timestamp, array<string>, ...).
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// TableRead says what of a table a statement read.
type TableRead struct {
	Name    string `json:"name"`
	URI     string `json:"uri"`
	Version int64  `json:"version"`
	// Files were read, FilesSkipped were not because the log shows that they
	// hold no row the statement asks for.
	Files        int   `json:"files"`
	FilesSkipped int   `json:"filesSkipped"`
	Rows         int64 `json:"rows"` // of the table at this version, -1 if unknown
}

// Decimal is an exact decimal number in its text form, such as "-12.50".
type Decimal string

// MapEntry is an entry of a map value.
type MapEntry struct{ Key, Value any }

// Strings returns a column as text, whatever its type, for the labels of a
// chart; NULL becomes "NULL". Like all column accessors it panics, naming the
// columns there are, if the result has no such column.
func (r *Result) Strings(column string) []string {
	c := r.column(column)
	return collect(r, c, func(v any) (string, bool) { return formatCell(v, r.Columns[c].Type), true })
}

// Ints returns a column of whole numbers. It panics if the column holds
// anything else; NULL included, as there is no int64 for it.
func (r *Result) Ints(column string) []int64 {
	return collect(r, r.column(column), func(v any) (int64, bool) { n, ok := v.(int64); return n, ok })
}

// Floats returns a column of numbers of any type; NULL becomes NaN. It panics
// if the column holds anything else.
func (r *Result) Floats(column string) []float64 {
	return collect(r, r.column(column), func(v any) (float64, bool) {
		switch v := v.(type) {
		case nil:
			return math.NaN(), true
		case int64:
			return float64(v), true
		case float64:
			return v, true
		case Decimal:
			return v.Float64(), true
		}
		return 0, false
	})
}

// Times returns a column of dates or timestamps. It panics if the column holds
// anything else; NULL included.
func (r *Result) Times(column string) []time.Time {
	return collect(r, r.column(column), func(v any) (time.Time, bool) { t, ok := v.(time.Time); return t, ok })
}

// Values returns the cells of a column as they are, nil for NULL.
func (r *Result) Values(column string) []any {
	return collect(r, r.column(column), func(v any) (any, bool) { return v, true })
}

func (r *Result) column(name string) int {
	for i, c := range r.Columns {
		if c.Name == name {
			return i
		}
	}
	names := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		if strings.EqualFold(c.Name, name) {
			return i
		}
		names[i] = c.Name
	}
	panic(fmt.Sprintf("the result has no column %q, its columns are: %s", name, strings.Join(names, ", ")))
}

func collect[T any](r *Result, column int, convert func(any) (T, bool)) []T {
	values := make([]T, len(r.Rows))
	for i, row := range r.Rows {
		v, ok := convert(row[column])
		if !ok {
			c := r.Columns[column]
			if row[column] == nil {
				panic(fmt.Sprintf("column %q is NULL in row %d: write coalesce(%s, ...) in the SQL, or use Values", c.Name, i+1, c.Name))
			}
			panic(fmt.Sprintf("column %q of type %s cannot be read as %T: use Values or Strings, or cast it in the SQL", c.Name, c.Type, values))
		}
		values[i] = v
	}
	return values
}
