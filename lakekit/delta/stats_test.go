package delta

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func statsOf(t *testing.T, schema Schema, properties map[string]string, batches ...string) string {
	t.Helper()
	arrowSchema, err := schema.Arrow()
	if err != nil {
		t.Fatal(err)
	}
	stats := newFileStats(schema, parseProperties(properties))
	for _, rows := range batches {
		batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, arrowSchema, strings.NewReader(rows))
		if err != nil {
			t.Fatal(err)
		}
		stats.observe(batch)
	}
	return stats.json()
}

func TestStats(t *testing.T) {
	one := func(typ DataType) Schema { return Schema{[]Field{{Name: "c", Type: typ, Nullable: true}}} }
	long := strings.Repeat("é", 40)
	nested := Schema{[]Field{
		{Name: "s", Type: Schema{[]Field{{Name: "x", Type: Long, Nullable: true}, {Name: "y", Type: String, Nullable: true}}}, Nullable: true},
		{Name: "l", Type: Array{Long, true}, Nullable: true},
	}}
	two := Schema{[]Field{{Name: "a", Type: Long, Nullable: true}, {Name: "b", Type: Long, Nullable: true}}}
	tests := []struct {
		name       string
		schema     Schema
		properties map[string]string
		rows       []string
		want       string
	}{
		{"no rows", one(Long), nil, []string{`[]`}, `{"numRecords":0,"nullCount":{"c":0}}`},
		{"integers over batches", one(Long), nil, []string{`[{"c":5},{"c":null}]`, `[{"c":-7}]`}, `{"numRecords":3,"minValues":{"c":-7},"maxValues":{"c":5},"nullCount":{"c":1}}`},
		{"bytes", one(Byte), nil, []string{`[{"c":-128},{"c":127}]`}, `{"numRecords":2,"minValues":{"c":-128},"maxValues":{"c":127},"nullCount":{"c":0}}`},
		{"all null", one(Double), nil, []string{`[{"c":null},{"c":null}]`}, `{"numRecords":2,"nullCount":{"c":2}}`},
		{"largest long", one(Long), nil, []string{`[{"c":9223372036854775807}]`}, `{"numRecords":1,"minValues":{"c":9223372036854775807},"maxValues":{"c":9223372036854775807},"nullCount":{"c":0}}`},
		{"doubles", one(Double), nil, []string{`[{"c":1e-7},{"c":-73.844311}]`}, `{"numRecords":2,"minValues":{"c":-73.844311},"maxValues":{"c":1e-07},"nullCount":{"c":0}}`},
		{"timestamps of whole milliseconds", one(Timestamp), nil, []string{`[{"c":"1969-12-31T23:59:59.998Z"}]`}, `{"numRecords":1,"minValues":{"c":"1969-12-31T23:59:59.998Z"},"maxValues":{"c":"1969-12-31T23:59:59.998Z"},"nullCount":{"c":0}}`},
		{"last millisecond of four digits", one(Timestamp), nil, []string{`[{"c":"9999-12-31T23:59:59.999999Z"}]`}, `{"numRecords":1,"minValues":{"c":"9999-12-31T23:59:59.999Z"},"nullCount":{"c":0}}`},
		{"floats with all digits of a double", one(Float), nil, []string{`[{"c":0.1}]`}, `{"numRecords":1,"minValues":{"c":0.10000000149011612},"maxValues":{"c":0.10000000149011612},"nullCount":{"c":0}}`},
		{"timestamps are rounded outwards", one(Timestamp), nil, []string{`[{"c":"2009-06-15T17:26:21.000999Z"},{"c":"1969-12-31T23:59:59.999999Z"}]`}, `{"numRecords":2,"minValues":{"c":"1969-12-31T23:59:59.999Z"},"maxValues":{"c":"2009-06-15T17:26:21.001Z"},"nullCount":{"c":0}}`},
		{"timestamps without zone", one(TimestampNTZ), nil, []string{`[{"c":"2009-06-15T17:26:21.000999"}]`}, `{"numRecords":1,"minValues":{"c":"2009-06-15T17:26:21.000"},"maxValues":{"c":"2009-06-15T17:26:21.001"},"nullCount":{"c":0}}`},
		{"dates before 1970", one(Date), nil, []string{`[{"c":"1969-12-31"},{"c":"2024-02-29"}]`}, `{"numRecords":2,"minValues":{"c":"1969-12-31"},"maxValues":{"c":"2024-02-29"},"nullCount":{"c":0}}`},
		{"decimals", one(Decimal{10, 2}), nil, []string{`[{"c":"-0.01"},{"c":"12.30"}]`}, `{"numRecords":2,"minValues":{"c":-0.01},"maxValues":{"c":12.30},"nullCount":{"c":0}}`},
		{"booleans have no bounds", one(Boolean), nil, []string{`[{"c":true},{"c":null}]`}, `{"numRecords":2,"nullCount":{"c":1}}`},
		{"strings", one(String), nil, []string{`[{"c":"b"},{"c":""},{"c":"a\"<"}]`}, `{"numRecords":3,"minValues":{"c":""},"maxValues":{"c":"b"},"nullCount":{"c":0}}`},
		{"long strings", one(String), nil, []string{`[{"c":"` + long + `"}]`}, `{"numRecords":1,"minValues":{"c":"` + long[:64] + `"},"maxValues":{"c":"` + long[:64] + "\U0010ffff" + `"},"nullCount":{"c":0}}`},
		{"members of null structs are null", nested, nil, []string{`[{"s":{"x":1,"y":"a"},"l":[1]},{"s":null,"l":null},{"s":{"x":null,"y":"b"},"l":[]}]`},
			`{"numRecords":3,"minValues":{"s":{"x":1,"y":"a"}},"maxValues":{"s":{"x":1,"y":"b"}},"nullCount":{"l":1,"s":{"x":2,"y":1}}}`},
		{"first columns only", two, map[string]string{DataSkippingNumIndexedColsKey: "1"}, []string{`[{"a":1,"b":2}]`}, `{"numRecords":1,"minValues":{"a":1},"maxValues":{"a":1},"nullCount":{"a":0}}`},
		{"no columns", two, map[string]string{DataSkippingNumIndexedColsKey: "0"}, []string{`[{"a":1,"b":2}]`}, `{"numRecords":1}`},
		{"named columns", two, map[string]string{DataSkippingStatsColumnsKey: " `b` "}, []string{`[{"a":1,"b":2}]`}, `{"numRecords":1,"minValues":{"b":2},"maxValues":{"b":2},"nullCount":{"b":0}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := statsOf(t, test.schema, test.properties, test.rows...)
			var gotTree, wantTree any
			if err := json.Unmarshal([]byte(got), &gotTree); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(test.want), &wantTree); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(gotTree, wantTree) {
				t.Fatalf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestStatsOfNaNAndInfinity(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	tests := []struct {
		name     string
		values   []float64
		min, max string // "" is left out
	}{
		{"numbers", []float64{2, 1}, "1", "2"},
		{"NaN is above all numbers", []float64{1, nan, 2}, "1", ""},
		{"only NaN", []float64{nan}, "", ""},
		{"infinity", []float64{1, inf}, "1", ""},
		{"minus infinity", []float64{-inf, 1}, "", "1"},
		{"zeros of both signs", []float64{0, math.Copysign(0, -1), 0}, "-0.0", "0"},
		{"only infinity", []float64{inf}, "", ""},
	}
	for _, test := range tests {
		b := array.NewFloat64Builder(memory.DefaultAllocator)
		b.AppendValues(test.values, nil)
		bounds := &floatBounds{}
		bounds.observe(b.NewArray(), nil)
		low, _ := bounds.min()
		high, _ := bounds.max()
		if text(low) != test.min || text(high) != test.max {
			t.Errorf("%s: %v to %v, want %q to %q", test.name, low, high, test.min, test.max)
		}
	}
}

func text(v any) string {
	if n, ok := v.(json.Number); ok {
		return n.String()
	}
	return ""
}

// FuzzStats: bounds hold for every value, and are JSON.
func FuzzStats(f *testing.F) {
	f.Add("a", "b", 1.5, int64(1))
	f.Add(strings.Repeat("x", 40), strings.Repeat("\U0010ffff", 40), math.NaN(), int64(-1))
	f.Add("\xff", "", math.Inf(-1), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, a, b string, number float64, micros int64) {
		builder := array.NewStringBuilder(memory.DefaultAllocator)
		builder.AppendValues([]string{a, b}, nil)
		bounds := &stringBounds{}
		bounds.observe(builder.NewArray(), nil)
		if low, ok := bounds.min(); ok && (low.(string) > a || low.(string) > b || !utf8.ValidString(low.(string))) {
			t.Fatalf("min %q of %q and %q", low, a, b)
		}
		if high, ok := bounds.max(); ok && (high.(string) < a || high.(string) < b || !utf8.ValidString(high.(string))) {
			t.Fatalf("max %q of %q and %q", high, a, b)
		}
		floats := &floatBounds{}
		extendFloats(floats, []float64{number, 0}, nil)
		for _, bound := range []func() (any, bool){floats.min, floats.max} {
			if v, ok := bound(); ok {
				if _, err := json.Marshal(v); err != nil {
					t.Fatal(err)
				}
			}
		}
		if v, ok := formatMicros(time.RFC3339Nano)(micros); ok {
			at, err := time.Parse(time.RFC3339Nano, v.(string))
			if gap := micros - at.UnixMicro(); err != nil || gap < 0 || gap > 999 {
				t.Fatalf("%d became %s: %v", micros, v, err)
			}
		}
		_, _ = Add{Stats: a}.NumRecords()
		_, _ = Add{Stats: a}.ParseStats()
	})
}
