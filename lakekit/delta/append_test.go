package delta

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
)

func column(name string, t DataType) Field { return Field{Name: name, Type: t, Nullable: true} }

func TestAppendMergesSchemas(t *testing.T) {
	inner := func(fields ...Field) Field { return column("s", Schema{fields}) }
	base := Schema{[]Field{column("id", Long), inner(column("x", Long)), column("l", Array{Schema{[]Field{column("a", Long)}}, true})}}
	tests := []struct {
		name   string
		schema Schema
		rows   string
		want   string // the table's schema after it, or the error
		err    error
	}{
		{"the same", base, `[{"id":2,"s":null,"l":null}]`, "struct<id:bigint,s:struct<x:bigint>,l:array<struct<a:bigint>>>", nil},
		{"a new column", Schema{[]Field{column("id", Long), {Name: "day", Type: Date}}}, `[{"id":2,"day":"2009-06-15"}]`,
			"struct<id:bigint,s:struct<x:bigint>,l:array<struct<a:bigint>>,day:date>", nil},
		{"a column of another case", Schema{[]Field{column("ID", Long)}}, `[{"ID":2}]`, "struct<id:bigint,s:struct<x:bigint>,l:array<struct<a:bigint>>>", nil},
		{"a new member", Schema{[]Field{column("id", Long), inner(column("y", String))}}, `[{"id":2,"s":{"y":"b"}}]`,
			"struct<id:bigint,s:struct<x:bigint,y:string>,l:array<struct<a:bigint>>>", nil},
		{"a new member of elements", Schema{[]Field{column("l", Array{Schema{[]Field{column("b", Long)}}, true})}}, `[{"l":[{"b":1}]}]`,
			"struct<id:bigint,s:struct<x:bigint>,l:array<struct<a:bigint,b:bigint>>>", nil},
		{"another type", Schema{[]Field{column("id", String)}}, `[{"id":"2"}]`, `column "id" is bigint in the table and string in the rows`, ErrSchemaMismatch},
		{"another type of a member", Schema{[]Field{inner(column("x", Double))}}, `[{"s":{"x":2}}]`, `column "s.x" is bigint in the table and double in the rows`, ErrSchemaMismatch},
		{"a name that Parquet refuses", Schema{[]Field{column("a b", Long)}}, `[{"a b":2}]`, `column name "a b"`, ErrInvalid},
		{"a type that is a table feature", Schema{[]Field{column("at", TimestampNTZ)}}, `[{"at":"2009-06-15T00:00:00"}]`, "timestamp_ntz", ErrUnsupported},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bucket := blob.NewMemory("lake")
			table := quiet(must[*Table](t)(Create(t.Context(), bucket, Definition{Schema: base})))
			must[int64](t)(table.Append(t.Context(), AppendOptions{}, batchOf(t, base, `[{"id":1,"s":{"x":7},"l":[{"a":1}]}]`)))
			version, err := table.Append(t.Context(), AppendOptions{MergeSchema: true}, batchOf(t, test.schema, test.rows))
			s := must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))
			if test.err != nil {
				if !errors.Is(err, test.err) || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("error %v, want %q", err, test.want)
				}
				if s.Version() != 1 || len(dataFiles(t, bucket)) != 1 {
					t.Fatalf("left version %d and %q", s.Version(), dataFiles(t, bucket))
				}
				return
			}
			if err != nil || version != 2 || s.Schema().String() != test.want {
				t.Fatalf("version %d, error %v, schema %s, want %s", version, err, s.Schema(), test.want)
			}
			for _, f := range s.Schema().Fields {
				if !f.Nullable {
					t.Errorf("column %s cannot be null, but older rows do not have it", f.Name)
				}
			}
			if rows := rowsOf(t, s); len(rows) != 2 || !strings.Contains(strings.Join(rows, "\n"), `"x":7`) {
				t.Errorf("rows %q", rows)
			}
			if _, err := table.Append(t.Context(), AppendOptions{}, batchOf(t, base, `[{"id":3}]`)); err != nil {
				t.Errorf("rows of the old schema: %v", err)
			}
		})
	}
}

// TestAppendFollowsANewSchema: what another writer changed meanwhile is no
// reason to fail.
func TestAppendFollowsANewSchema(t *testing.T) {
	bucket := blob.NewMemory("lake")
	createFares(t, bucket, nil)
	rival := openFares(t, bucket)
	var once sync.Once
	table := openFares(t, blobtest.Faults(bucket, func(op, _ string) error {
		if op == blobtest.PutIfAbsent {
			once.Do(func() {
				must[int64](t)(rival.Append(t.Context(), AppendOptions{MergeSchema: true}, withExtra(fares(0, 10), "theirs")))
			})
		}
		return nil
	}))
	if v := must[int64](t)(table.Append(t.Context(), AppendOptions{MergeSchema: true}, withExtra(fares(10, 10), "ours"))); v != 2 {
		t.Fatalf("version %d", v)
	}
	s := must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))
	equalIDs(t, ids(t, s), sequence(0, 20))
	if _, theirs := s.Schema().Field("theirs"); !theirs || len(s.Schema().Fields) != 6 {
		t.Fatalf("schema %s", s.Schema())
	}
	if files := dataFiles(t, bucket); len(files) != 2 {
		t.Fatalf("data files %q: those of the lost attempt stayed", files)
	}
}

func TestAppendRefusesNullsAtAnyDepth(t *testing.T) {
	strict := Schema{[]Field{
		column("s", Schema{[]Field{{Name: "x", Type: Long}}}),
		column("l", Array{Long, false}),
		column("m", Map{String, Long, false}),
	}}
	loose := Schema{[]Field{
		column("s", Schema{[]Field{column("x", Long)}}),
		column("l", Array{Long, true}),
		column("m", Map{String, Long, true}),
	}}
	tests := []struct{ rows, says string }{
		{`[{"s":{"x":1},"l":[1],"m":[{"key":"k","value":1}]},{"s":null,"l":null,"m":null},{"s":{"x":2},"l":[],"m":[]}]`, ""},
		{`[{"s":{"x":1}},{"s":{"x":null}}]`, `column "s.x" has a null`},
		{`[{"l":[1,null,null]}]`, `column "l.element" has 2 nulls`},
		{`[{"m":[{"key":"k","value":null}]}]`, `column "m.value" has a null`},
	}
	for _, test := range tests {
		table := must[*Table](t)(Create(t.Context(), blob.NewMemory("lake"), Definition{Schema: strict}))
		_, err := table.Append(t.Context(), AppendOptions{}, batchOf(t, loose, test.rows))
		if (err == nil) != (test.says == "") || err != nil && !(errors.Is(err, ErrSchemaMismatch) && strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: error %v, want %q", test.rows, err, test.says)
		}
	}
}

func TestAppendRefusesValuesOfNoUse(t *testing.T) {
	schema := Schema{[]Field{column("l", Array{String, true}), column("d", Decimal{5, 2})}}
	for says, fill := range map[string]func(texts *array.StringBuilder, decimals *array.Decimal128Builder){
		`column "l.element" has the text "ab\xff"`: func(texts *array.StringBuilder, decimals *array.Decimal128Builder) {
			texts.AppendValues([]string{"ü", "ab\xff"}, nil)
			decimals.AppendNull()
		},
		`column "d" is decimal(5,2) and cannot hold -1000.00`: func(texts *array.StringBuilder, decimals *array.Decimal128Builder) {
			texts.AppendValues([]string{"ü", "😀"}, nil)
			decimals.Append(decimal128.FromI64(-100000))
		},
		"": func(texts *array.StringBuilder, decimals *array.Decimal128Builder) {
			texts.AppendValues([]string{"ü", "😀"}, nil)
			decimals.Append(decimal128.FromI64(-99999))
		},
	} {
		table := must[*Table](t)(Create(t.Context(), blob.NewMemory("lake"), Definition{Schema: schema}))
		b := array.NewRecordBuilder(memory.DefaultAllocator, must[*arrow.Schema](t)(schema.Arrow()))
		list := b.Field(0).(*array.ListBuilder)
		list.Append(true)
		fill(list.ValueBuilder().(*array.StringBuilder), b.Field(1).(*array.Decimal128Builder))
		_, err := table.Append(t.Context(), AppendOptions{}, b.NewRecordBatch())
		if (err == nil) != (says == "") || err != nil && !(errors.Is(err, ErrSchemaMismatch) && strings.Contains(err.Error(), says)) {
			t.Errorf("error %v, want %q", err, says)
		}
	}
}

// TestPartitionValuesInTheLog are as PROTOCOL.md, section Partition Value
// Serialization, has them, in commits and in checkpoints.
func TestPartitionValuesInTheLog(t *testing.T) {
	tests := []struct {
		typ         DataType
		value, want string // JSON
	}{
		{String, `"a/b=c d%ü"`, `"a/b=c d%ü"`},
		{String, `""`, `null`},
		{String, `null`, `null`},
		{Long, `-9223372036854775808`, `"-9223372036854775808"`},
		{Integer, `7`, `"7"`},
		{Short, `-300`, `"-300"`},
		{Byte, `-128`, `"-128"`},
		{Float, `0.1`, `"0.1"`},
		{Double, `-1e-7`, `"-1e-07"`},
		{Boolean, `true`, `"true"`},
		{Date, `"1969-12-31"`, `"1969-12-31"`},
		{Timestamp, `"1969-12-31T23:59:59.999999Z"`, `"1969-12-31T23:59:59.999999Z"`},
		{TimestampNTZ, `"2009-06-15T17:26:21"`, `"2009-06-15 17:26:21.000000"`},
		{Decimal{10, 2}, `"-0.10"`, `"-0.10"`},
		{Binary, `"AQI="`, `"\u0001\u0002"`},
	}
	for _, test := range tests {
		bucket := blob.NewMemory("lake")
		schema := Schema{[]Field{column("p", test.typ), column("x", Long)}}
		table := quiet(must[*Table](t)(Create(t.Context(), bucket, Definition{Schema: schema, PartitionBy: []string{"p"}})))
		must[int64](t)(table.Append(t.Context(), AppendOptions{}, batchOf(t, schema, `[{"p":`+test.value+`,"x":1}]`)))
		var written struct {
			Add struct {
				PartitionValues map[string]json.RawMessage `json:"partitionValues"`
			} `json:"add"`
		}
		lines := strings.Split(strings.TrimSpace(string(must[[]byte](t)(blob.ReadAll(t.Context(), bucket, commitKey(1))))), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &written); err != nil {
			t.Fatal(err)
		}
		if got := string(written.Add.PartitionValues["p"]); got != test.want {
			t.Errorf("%s %s is written %s, want %s", test.typ, test.value, got, test.want)
		}
		before := rowsOf(t, must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context())))
		if err := table.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := bucket.Delete(t.Context(), commitKey(0)); err != nil {
			t.Fatal(err)
		}
		if after := rowsOf(t, must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))); !slices.Equal(after, before) {
			t.Errorf("%s %s: %q from the checkpoint, %q from the commits", test.typ, test.value, after, before)
		}
	}
}

func TestPartitionsThatTheLogCannotHold(t *testing.T) {
	for _, test := range []struct {
		typ   DataType
		value string // JSON
	}{
		{Binary, `"/w=="`},
		{Date, `-719529`}, {Date, `2932897`},
		{Timestamp, `-62135596800000001`}, {Timestamp, `253402300800000000`}, {TimestampNTZ, `9223372036854775807`},
	} {
		schema := Schema{[]Field{column("p", test.typ), column("x", Long)}}
		table := must[*Table](t)(Create(t.Context(), blob.NewMemory("lake"), Definition{Schema: schema, PartitionBy: []string{"p"}}))
		_, err := table.Append(t.Context(), AppendOptions{}, batchOf(t, schema, `[{"p":`+test.value+`,"x":1}]`))
		if !errors.Is(err, ErrSchemaMismatch) || !strings.Contains(err.Error(), `"p"`) {
			t.Errorf("%s %s: error %v", test.typ, test.value, err)
		}
	}
}

// TestManyPartitions: more than there may be open files.
func TestManyPartitions(t *testing.T) {
	const partitions = 2*maxOpenFiles + 7
	schema := Schema{[]Field{column("p", Integer), column("x", Long)}}
	table := quiet(must[*Table](t)(Create(t.Context(), blob.NewMemory("lake"), Definition{Schema: schema, PartitionBy: []string{"p"}})))
	var rows []string
	for i := range 2 * partitions {
		rows = append(rows, fmt.Sprintf(`{"p":%d,"x":%d}`, i%partitions, i))
	}
	must[int64](t)(table.Append(t.Context(), AppendOptions{}, batchOf(t, schema, "["+strings.Join(rows, ",")+"]")))
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	if got := rowsOf(t, s); len(got) != 2*partitions || s.NumFiles() != partitions {
		t.Fatalf("%d rows in %d files", len(got), s.NumFiles())
	}
}

func TestInvalidDefinitions(t *testing.T) {
	id := Schema{[]Field{column("id", Long)}}
	for name, def := range map[string]Definition{
		"no column":                 {},
		"unknown property":          {Schema: id, Properties: map[string]string{"delta.apendOnly": "true"}},
		"property's value":          {Schema: id, Properties: map[string]string{CheckpointIntervalKey: "0"}},
		"feature":                   {Schema: id, Properties: map[string]string{"delta.enableDeletionVectors": "true"}},
		"partition column":          {Schema: id, PartitionBy: []string{"day"}},
		"nothing to store":          {Schema: id, PartitionBy: []string{"id"}},
		"names that differ by case": {Schema: Schema{[]Field{column("id", Long), column("ID", Long)}}},
	} {
		bucket := blob.NewMemory("lake")
		if _, err := Create(t.Context(), bucket, def); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
		for object := range bucket.List(t.Context(), blob.ListOptions{}) {
			t.Errorf("%s: left %s", name, object.Key)
		}
	}
}
