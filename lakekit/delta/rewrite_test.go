package delta

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/blob"
)

// smuggle commits data files with the columns of another schema.
func smuggle(t *testing.T, table *Table, schema Schema, json string) []Add {
	t.Helper()
	elsewhere := blob.NewMemory("elsewhere")
	other := must[*Table](t)(Create(t.Context(), elsewhere, Definition{Schema: schema}))
	adds := must[[]Add](t)(other.WriteFiles(t.Context(), batchOf(t, schema, json)))
	for _, add := range adds {
		content := must[[]byte](t)(blob.ReadAll(t.Context(), elsewhere, add.Path))
		if err := table.bucket.Put(t.Context(), add.Path, strings.NewReader(string(content))); err != nil {
			t.Fatal(err)
		}
	}
	base := must[*Snapshot](t)(table.Snapshot(t.Context()))
	must[int64](t)(table.Commit(t.Context(), Commit{Operation: "WRITE", Adds: adds, ReadVersion: base.Version(), BlindAppend: true}))
	return adds
}

// Files whose rows cannot be kept: they are named, nothing is written, and auto
// compaction goes on without them.
func TestFilesThatCannotBeRewritten(t *testing.T) {
	schema := Schema{[]Field{column("id", Long), {Name: "fare", Type: Double}, column("note", String),
		column("trips", Array{Schema{[]Field{{Name: "km", Type: Double}}}, true})}}
	loose := schema.asNullable()
	with := func(name string, f Field) Schema {
		other := loose.asNullable()
		other.Fields[slices.IndexFunc(other.Fields, func(f Field) bool { return f.Name == name })] = f
		return other
	}
	tests := []struct {
		name, rows, says string
		schema           Schema
	}{
		{"a null", `[{"id":1000,"fare":1},{"id":1001,"fare":null}]`, `column "fare" has a null and cannot be null`, loose},
		{"a column that came later", `[{"id":1000,"note":"early"},{"id":1001}]`, `column "fare" has 2 nulls and cannot be null`, Schema{[]Field{schema.Fields[0], schema.Fields[2], column("plate", String), column("speed", Double)}}},
		{"a null deep inside", `[{"id":1000,"fare":1,"trips":[{"km":1},null,{"km":null}]},{"id":1001,"fare":1,"trips":null}]`,
			`column "trips.element.km" has a null and cannot be null`, loose},
		{"a member that came later", `[{"id":1000,"fare":1,"trips":[{"m":1},null]},{"id":1001,"fare":1}]`,
			`column "trips.element.km" has a null and cannot be null`, with("trips", column("trips", Array{Schema{[]Field{column("m", Long)}}, true}))},
		{"another type", `[{"id":1000,"fare":1,"note":1},{"id":1001,"fare":1,"note":2}]`, `column "note"`, with("note", column("note", Long))},
		{"digits that would be lost", `[{"id":"1000","fare":1},{"id":"1001","fare":1}]`, `column "id"`, with("id", column("id", Double))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bucket := blob.NewMemory("lake")
			table := quiet(must[*Table](t)(Create(t.Context(), bucket, Definition{Schema: schema, Properties: map[string]string{AutoCompactKey: "true"}})))
			bad := smuggle(t, table, test.schema, strings.ReplaceAll(test.rows, `"1000"`, "1000"))[0].Path
			for i := range autoCompactMinFiles {
				must[int64](t)(table.Append(t.Context(), AppendOptions{}, batchOf(t, schema, fmt.Sprintf(`[{"id":%d,"fare":0.5,"trips":[{"km":1}]}]`, i))))
			}
			files := dataFiles(t, bucket)
			before := must[*Snapshot](t)(table.Snapshot(t.Context()))
			refused := func(err error) bool {
				return errors.Is(err, ErrNotRewritable) && strings.Contains(err.Error(), test.says) && strings.Contains(err.Error(), bad) &&
					strings.Contains(err.Error(), table.URI())
			}
			for name, rewrite := range map[string]func() error{
				"optimize": func() error { _, err := table.Optimize(t.Context(), OptimizeOptions{}); return err },
				"zorder": func() error {
					_, err := table.Optimize(t.Context(), OptimizeOptions{ZOrderBy: []string{"fare"}})
					return err
				},
				"compact": func() error { _, err := table.Compact(t.Context(), CompactOptions{}); return err },
				"scan":    func() error { return lastError(before.ScanToRewrite(t.Context())) },
			} {
				if err := rewrite(); !refused(err) {
					t.Errorf("%s: error %v", name, err)
				}
			}
			now := must[*Snapshot](t)(table.Snapshot(t.Context()))
			if now.Version() != before.Version() || !slices.Equal(dataFiles(t, bucket), files) {
				t.Errorf("refused, but there is version %d with %q", now.Version(), dataFiles(t, bucket))
			}

			if !now.NeedsAutoCompaction() || len(now.LeftAlone()) != 0 {
				t.Fatalf("compaction is due: %v", now.LeftAlone())
			}
			result := must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{Auto: true}))
			if result.FilesRemoved != autoCompactMinFiles || result.FilesAdded != 1 {
				t.Errorf("%+v", result)
			}
			now = must[*Snapshot](t)(table.Snapshot(t.Context()))
			if _, live := now.file(bad); !live {
				t.Error("it is not there any more")
			}
			if left := now.LeftAlone(); len(left) != 1 || left[0].Path != bad || !refused(left[0].Reason) {
				t.Errorf("left alone: %v", left)
			}
			// Alone, such files call for nothing, and are not looked at again.
			if now.NeedsAutoCompaction() {
				t.Error("compaction is due again")
			}
			if result := must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{Auto: true, MinFiles: 2})); result.Version != -1 {
				t.Errorf("%+v", result)
			}
		})
	}
}

func lastError(rows func(func(arrow.RecordBatch, error) bool)) (last error) {
	for _, err := range rows {
		last = err
	}
	return last
}

// A store that fails is no fault of a file.
func TestStoreFailsWhileCompacting(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := createFares(t, bucket, map[string]string{AutoCompactKey: "true"})
	for i := range int64(3) {
		appendFares(t, table, i, 1)
	}
	file := dataFiles(t, bucket)[0]
	if err := bucket.Delete(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	_, err := table.Compact(t.Context(), CompactOptions{Auto: true, MinFiles: 2})
	if !errors.Is(err, blob.ErrNotExist) || errors.Is(err, ErrNotRewritable) {
		t.Errorf("error %v", err)
	}
	if left := must[*Snapshot](t)(table.Snapshot(t.Context())).LeftAlone(); len(left) > 0 {
		t.Errorf("left alone: %v", left)
	}
}

// When the column may be null the file is like any other.
func TestLeftAloneUntilTheSchemaChanges(t *testing.T) {
	bucket := blob.NewMemory("lake")
	schema := Schema{[]Field{column("id", Long), {Name: "fare", Type: Double}}}
	table := quiet(must[*Table](t)(Create(t.Context(), bucket, Definition{Schema: schema})))
	for i := range 2 {
		smuggle(t, table, schema.asNullable(), fmt.Sprintf(`[{"id":%d,"fare":null}]`, i))
	}
	auto := CompactOptions{Auto: true, MinFiles: 2}
	if result := must[CompactResult](t)(table.Compact(t.Context(), auto)); result.Version != -1 {
		t.Fatalf("%+v", result)
	}
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	if len(s.LeftAlone()) != 2 {
		t.Fatalf("left alone: %v", s.LeftAlone())
	}
	metadata := s.Metadata()
	metadata.SchemaString = jsonText(t, schema.asNullable())
	must[int64](t)(table.Commit(t.Context(), Commit{Operation: "CHANGE COLUMN", Metadata: &metadata, ReadVersion: s.Version()}))
	if s = must[*Snapshot](t)(table.Snapshot(t.Context())); len(s.LeftAlone()) != 0 {
		t.Errorf("left alone: %v", s.LeftAlone())
	}
	if result := must[CompactResult](t)(table.Compact(t.Context(), auto)); result.FilesRemoved != 2 {
		t.Errorf("%+v", result)
	}
	equalIDs(t, ids(t, must[*Snapshot](t)(table.Snapshot(t.Context()))), sequence(0, 2))
}

// Zeros keep their sign and NaNs their payload: to the bit.
func TestRewritingKeepsBits(t *testing.T) {
	schema := Schema{[]Field{column("d", Double), column("f", Float)}}
	doubles := []uint64{0, 1 << 63, 0x7ff8000000000000, 0x7ff8000000000001, 0xfff8000000000000, 0xffffffffffffffff, 0x7ff0000000000001,
		math.Float64bits(math.Inf(1)), math.Float64bits(math.Inf(-1)), 1, math.Float64bits(math.MaxFloat64)}
	floats := []uint32{0, 1 << 31, 0x7fc00000, 0x7fc00001, 0xffc00000, 0xffffffff, 0x7f800001, 0x7f800000, 0xff800000, 1, 0x7f7fffff}
	for _, again := range []int{1, 100} { // without and with a dictionary
		table := must[*Table](t)(Create(t.Context(), blob.NewMemory("lake"), Definition{Schema: schema}))
		want := map[[2]uint64]int{}
		for range 2 {
			b := array.NewRecordBuilder(memory.DefaultAllocator, must[*arrow.Schema](t)(schema.Arrow()))
			for range again {
				for i := range doubles {
					b.Field(0).(*array.Float64Builder).Append(math.Float64frombits(doubles[i]))
					b.Field(1).(*array.Float32Builder).Append(math.Float32frombits(floats[i]))
					want[[2]uint64{doubles[i], uint64(floats[i])}]++
				}
			}
			must[int64](t)(table.Append(t.Context(), AppendOptions{}, b.NewRecordBatch()))
		}
		check := func(what string) {
			t.Helper()
			got := map[[2]uint64]int{}
			for rows, err := range must[*Snapshot](t)(table.Snapshot(t.Context())).Scan(t.Context(), ScanOptions{}) {
				if err != nil {
					t.Fatal(err)
				}
				for i := range int(rows.NumRows()) {
					got[[2]uint64{math.Float64bits(rows.Column(0).(*array.Float64).Value(i)), uint64(math.Float32bits(rows.Column(1).(*array.Float32).Value(i)))}]++
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s:\n got %x\nwant %x", what, got, want)
			}
		}
		check("append")
		must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{}))
		check("compact")
		must[CompactResult](t)(table.Optimize(t.Context(), OptimizeOptions{ZOrderBy: []string{"d", "f"}}))
		check("zorder")
	}
}
