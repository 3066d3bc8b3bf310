package delta

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// Stats are the statistics of a data file (PROTOCOL.md, section Per-file
// Statistics), their values nested as the columns are. Bounds of strings may
// be prefixes, and timestamps are of milliseconds: ours are rounded up in
// MaxValues, those of other writers are cut, so that who prunes adds one.
type Stats struct {
	NumRecords int64          `json:"numRecords"`
	MinValues  map[string]any `json:"minValues,omitempty"`
	MaxValues  map[string]any `json:"maxValues,omitempty"`
	NullCount  map[string]any `json:"nullCount,omitempty"`
}

// ParseStats reads the statistics of a file; numbers are json.Number. False
// when there are none or they cannot be read, which a reader must survive.
func (a Add) ParseStats() (Stats, bool) {
	var stats Stats
	if a.Stats == "" {
		return stats, false
	}
	in := json.NewDecoder(strings.NewReader(a.Stats))
	in.UseNumber()
	return stats, in.Decode(&stats) == nil
}

// NumRecords is how many rows the file has, deleted ones included, taken from
// the statistics; false when there are none.
func (a Add) NumRecords() (int64, bool) {
	var stats struct {
		NumRecords *int64 `json:"numRecords"`
	}
	if a.Stats == "" || json.Unmarshal([]byte(a.Stats), &stats) != nil || stats.NumRecords == nil || *stats.NumRecords < 0 {
		return 0, false
	}
	return *stats.NumRecords, true
}

// liveRecords is NumRecords without the rows that are deleted.
func (a Add) liveRecords() (int64, bool) {
	records, ok := a.NumRecords()
	if ok && a.DeletionVector != nil {
		records -= a.DeletionVector.Cardinality
	}
	return records, ok
}

// statsPrefixLength is how many characters of a string the bounds keep, as in
// Spark.
const statsPrefixLength = 32

// fileStats gathers the statistics of one data file.
type fileStats struct {
	records int64
	columns []*columnStats
}

// columnStats are of one column, or one member of a struct.
type columnStats struct {
	index   int // of the column in its parent
	name    string
	nulls   int64
	bounds  bounds         // nil: only nulls are counted
	members []*columnStats // of a struct
}

// bounds are the smallest and the largest value of a column. ok false leaves
// one out, which is always right.
type bounds interface {
	observe(column arrow.Array, valid func(int) bool)
	min() (value any, ok bool)
	max() (value any, ok bool)
}

// newFileStats keeps bounds of the columns that the table's properties choose.
func newFileStats(schema Schema, p properties) *fileStats {
	left := p.indexedColumns
	return &fileStats{columns: newColumnStats(schema, "", p.statsColumns, &left)}
}

func newColumnStats(schema Schema, parent string, chosen []string, left *int) []*columnStats {
	var out []*columnStats
	for i, f := range schema.Fields {
		column := &columnStats{index: i, name: f.Name}
		path := parent + f.Name
		if nested, ok := f.Type.(Schema); ok {
			column.members = newColumnStats(nested, path+".", chosen, left)
			if len(column.members) > 0 {
				out = append(out, column)
			}
			continue
		}
		if chosen != nil {
			if !slices.ContainsFunc(chosen, func(name string) bool {
				return strings.EqualFold(path, name) || hasPrefixFold(path, name+".")
			}) {
				continue
			}
		} else if *left == 0 {
			continue
		} else {
			*left--
		}
		column.bounds = newBounds(f.Type)
		out = append(out, column)
	}
	return out
}

func newBounds(t DataType) bounds {
	switch t := t.(type) {
	case Decimal:
		return &decimalBounds{scale: int32(t.Scale)}
	case Primitive:
		switch t {
		case Long, Integer, Short, Byte:
			return &intBounds{format: func(v int64) (any, bool) { return v, true }}
		case Date:
			return &intBounds{format: formatDays}
		case Timestamp:
			return newTimeBounds("2006-01-02T15:04:05.000Z")
		case TimestampNTZ:
			return newTimeBounds("2006-01-02T15:04:05.000")
		case Float, Double:
			return &floatBounds{}
		case String:
			return &stringBounds{}
		}
	}
	return nil // boolean, binary, array and map have no bounds
}

func (s *fileStats) observe(rows arrow.RecordBatch) {
	s.records += rows.NumRows()
	for _, c := range s.columns {
		c.observe(rows.Column(c.index), nil)
	}
}

// observe takes a column's values; parent says where its struct is not null,
// nil is everywhere.
func (c *columnStats) observe(column arrow.Array, parent func(int) bool) {
	valid := parent
	if column.NullN() > 0 {
		valid = column.IsValid
		if parent != nil {
			valid = func(i int) bool { return parent(i) && column.IsValid(i) }
		}
	}
	if group, ok := column.(*array.Struct); ok {
		for _, m := range c.members {
			m.observe(group.Field(m.index), valid)
		}
		return
	}
	if valid != nil {
		for i := range column.Len() {
			if !valid(i) {
				c.nulls++
			}
		}
	}
	if c.bounds != nil {
		c.bounds.observe(column, valid)
	}
}

func (s *fileStats) json() string {
	stats := Stats{NumRecords: s.records, MinValues: map[string]any{}, MaxValues: map[string]any{}, NullCount: map[string]any{}}
	for _, c := range s.columns {
		c.collect(stats.MinValues, stats.MaxValues, stats.NullCount)
	}
	text, err := json.Marshal(stats)
	if err != nil {
		return `{"numRecords":` + strconv.FormatInt(s.records, 10) + `}`
	}
	return string(text)
}

func (c *columnStats) collect(low, high, nulls map[string]any) {
	if c.members != nil {
		l, h, n := map[string]any{}, map[string]any{}, map[string]any{}
		for _, m := range c.members {
			m.collect(l, h, n)
		}
		nulls[c.name] = n
		if len(l) > 0 {
			low[c.name] = l
		}
		if len(h) > 0 {
			high[c.name] = h
		}
		return
	}
	nulls[c.name] = c.nulls
	if c.bounds == nil {
		return
	}
	if value, ok := c.bounds.min(); ok {
		low[c.name] = value
	}
	if value, ok := c.bounds.max(); ok {
		high[c.name] = value
	}
}

// extend folds values into lo and hi.
func extend[T cmp.Ordered](values []T, valid func(int) bool, lo, hi *T, seen *bool) {
	for i, v := range values {
		if valid != nil && !valid(i) {
			continue
		}
		if !*seen {
			*lo, *hi, *seen = v, v, true
			continue
		}
		if v < *lo {
			*lo = v
		}
		if v > *hi {
			*hi = v
		}
	}
}

type intBounds struct {
	lo, hi int64
	seen   bool
	format func(int64) (any, bool)
	unit   int64 // bounds are multiples of it, outwards; 0: every value is one
}

// newTimeBounds: microseconds as milliseconds.
func newTimeBounds(layout string) *intBounds {
	return &intBounds{format: formatMicros(layout), unit: 1000}
}

func (b *intBounds) observe(column arrow.Array, valid func(int) bool) {
	switch column := column.(type) {
	case *array.Int64:
		extend(column.Int64Values(), valid, &b.lo, &b.hi, &b.seen)
	case *array.Int32:
		extendInts(b, column.Int32Values(), valid)
	case *array.Int16:
		extendInts(b, column.Int16Values(), valid)
	case *array.Int8:
		extendInts(b, column.Int8Values(), valid)
	case *array.Date32:
		extendInts(b, column.Date32Values(), valid)
	case *array.Timestamp:
		extendInts(b, column.TimestampValues(), valid)
	}
}

func extendInts[T ~int8 | ~int16 | ~int32 | ~int64](b *intBounds, values []T, valid func(int) bool) {
	var lo, hi T
	seen := false
	extend(values, valid, &lo, &hi, &seen)
	if seen {
		extend([]int64{int64(lo), int64(hi)}, nil, &b.lo, &b.hi, &b.seen)
	}
}

func (b *intBounds) min() (any, bool) { return b.formatted(b.lo) }

func (b *intBounds) max() (any, bool) {
	if b.unit == 0 || b.hi%b.unit == 0 {
		return b.formatted(b.hi)
	}
	if b.hi > math.MaxInt64-b.unit {
		return nil, false
	}
	return b.formatted(b.hi + b.unit)
}

func (b *intBounds) formatted(v int64) (any, bool) {
	if !b.seen {
		return nil, false
	}
	return b.format(v)
}

func formatDays(days int64) (any, bool) {
	day := time.Unix(days*86400, 0).UTC()
	return day.Format(time.DateOnly), fourDigits(day)
}

// formatMicros cuts down to milliseconds, before 1970 too.
func formatMicros(layout string) func(int64) (any, bool) {
	return func(micros int64) (any, bool) {
		millis := micros / 1000
		if micros%1000 < 0 {
			millis--
		}
		at := time.UnixMilli(millis).UTC()
		return at.Format(layout), fourDigits(at)
	}
}

// fourDigits: years beyond are written differently by every engine.
func fourDigits(at time.Time) bool { return 0 < at.Year() && at.Year() < 10000 }

// floatBounds orders NaN above all numbers, as Spark and DuckDB do: where
// there is one, no number is the upper bound. -0.0 is below 0.0, which is right
// for engines that tell them apart and for those that do not.
type floatBounds struct {
	lo, hi    float64
	seen, nan bool
}

func (b *floatBounds) observe(column arrow.Array, valid func(int) bool) {
	switch column := column.(type) {
	case *array.Float64:
		extendFloats(b, column.Float64Values(), valid)
	case *array.Float32:
		extendFloats(b, column.Float32Values(), valid)
	}
}

func extendFloats[T float32 | float64](b *floatBounds, values []T, valid func(int) bool) {
	for i, v := range values {
		if valid != nil && !valid(i) {
			continue
		}
		if v != v {
			b.nan = true
			continue
		}
		f := float64(v)
		if !b.seen {
			b.lo, b.hi, b.seen = f, f, true
			continue
		}
		if f < b.lo || f == 0 && b.lo == 0 && math.Signbit(f) {
			b.lo = f
		}
		if f > b.hi || f == 0 && b.hi == 0 && !math.Signbit(f) {
			b.hi = f
		}
	}
}

func (b *floatBounds) min() (any, bool) { return b.formatted(b.lo, b.seen) }
func (b *floatBounds) max() (any, bool) { return b.formatted(b.hi, b.seen && !b.nan) }

func (b *floatBounds) formatted(v float64, known bool) (any, bool) {
	if !known || math.IsInf(v, 0) {
		return nil, false
	}
	if v == 0 && math.Signbit(v) {
		return json.Number("-0.0"), true // "-0" would be read as the integer
	}
	// All digits of the double also for a float: engines read either from it.
	return json.Number(strconv.FormatFloat(v, 'g', -1, 64)), true
}

type decimalBounds struct {
	lo, hi decimal128.Num
	seen   bool
	scale  int32
}

func (b *decimalBounds) observe(column arrow.Array, valid func(int) bool) {
	decimals, ok := column.(*array.Decimal128)
	if !ok {
		return
	}
	for i := range decimals.Len() {
		if valid != nil && !valid(i) {
			continue
		}
		v := decimals.Value(i)
		if !b.seen {
			b.lo, b.hi, b.seen = v, v, true
		}
		if v.Less(b.lo) {
			b.lo = v
		}
		if b.hi.Less(v) {
			b.hi = v
		}
	}
}

func (b *decimalBounds) min() (any, bool) { return json.Number(b.lo.ToString(b.scale)), b.seen }
func (b *decimalBounds) max() (any, bool) { return json.Number(b.hi.ToString(b.scale)), b.seen }

type stringBounds struct {
	lo, hi string
	seen   bool
}

func (b *stringBounds) observe(column arrow.Array, valid func(int) bool) {
	values, ok := column.(array.StringLike)
	if !ok {
		return
	}
	for i := range values.Len() {
		if valid != nil && !valid(i) {
			continue
		}
		v := values.Value(i)
		switch {
		case !b.seen:
			b.lo, b.hi, b.seen = strings.Clone(v), strings.Clone(v), true
		case v < b.lo:
			b.lo = strings.Clone(v)
		case v > b.hi:
			b.hi = strings.Clone(v)
		}
	}
}

func (b *stringBounds) min() (any, bool) {
	return b.lo[:prefixLength(b.lo)], b.seen && utf8.ValidString(b.lo)
}

// max is a prefix followed by the largest character there is, so that it
// stays above what was cut off; the prefix grows over characters that are
// themselves the largest.
func (b *stringBounds) max() (any, bool) {
	if !b.seen || !utf8.ValidString(b.hi) {
		return nil, false
	}
	n := prefixLength(b.hi)
	for strings.HasPrefix(b.hi[n:], string(utf8.MaxRune)) {
		n += utf8.RuneLen(utf8.MaxRune)
	}
	if n == len(b.hi) {
		return b.hi, true
	}
	return b.hi[:n] + string(utf8.MaxRune), true
}

// prefixLength is the length in bytes of the first statsPrefixLength
// characters.
func prefixLength(s string) int {
	characters := 0
	for i := range s {
		if characters == statsPrefixLength {
			return i
		}
		characters++
	}
	return len(s)
}
