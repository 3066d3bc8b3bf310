package delta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
)

// batchOf reads rows from JSON.
func batchOf(t testing.TB, schema Schema, rows string) arrow.RecordBatch {
	t.Helper()
	arrowSchema, err := schema.Arrow()
	if err != nil {
		t.Fatal(err)
	}
	batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, arrowSchema, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// rowsOf shows a snapshot's rows as JSON, sorted.
func rowsOf(t testing.TB, s *Snapshot) []string {
	t.Helper()
	var out []string
	for batch, err := range s.Scan(t.Context(), ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := array.RecordToJSON(batch, &text); err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.Split(strings.TrimSpace(text.String()), "\n")...)
	}
	slices.Sort(out)
	return out
}

func parquetOf(t testing.TB, bucket blob.Bucket, add Add) *file.Reader {
	t.Helper()
	content := must[[]byte](t)(blob.ReadAll(t.Context(), bucket, must[string](t)(add.Key())))
	return must[*file.Reader](t)(file.NewParquetReader(bytes.NewReader(content)))
}

var everyType = Schema{[]Field{
	{Name: "id", Type: Long, Nullable: false},
	{Name: "i", Type: Integer, Nullable: true}, {Name: "sh", Type: Short, Nullable: true}, {Name: "by", Type: Byte, Nullable: true},
	{Name: "fl", Type: Float, Nullable: true}, {Name: "bo", Type: Boolean, Nullable: true}, {Name: "bin", Type: Binary, Nullable: true},
	{Name: "d", Type: Date, Nullable: true}, {Name: "ts", Type: Timestamp, Nullable: true}, {Name: "dec", Type: Decimal{10, 2}, Nullable: true},
	{Name: "s", Type: Schema{[]Field{{Name: "a", Type: Integer, Nullable: true}, {Name: "b", Type: String, Nullable: true}}}, Nullable: true},
	{Name: "l", Type: Array{Double, true}, Nullable: true},
	{Name: "m", Type: Map{String, Long, true}, Nullable: true},
}}

const everyTypeRows = `[
 {"id":1,"i":-1,"sh":300,"by":-128,"fl":0.5,"bo":true,"bin":"AAE=","d":"1969-12-31","ts":"1960-01-01T01:02:03.000004Z","dec":"-12.34","s":{"a":1,"b":"x"},"l":[1.5,null],"m":[{"key":"k","value":null}]},
 {"id":2,"i":null,"sh":null,"by":null,"fl":null,"bo":null,"bin":null,"d":null,"ts":null,"dec":null,"s":null,"l":null,"m":null},
 {"id":3,"i":0,"sh":0,"by":0,"fl":0,"bo":false,"bin":"","d":"2024-02-29","ts":"2024-02-29T00:00:00Z","dec":"0.00","s":{"a":null,"b":null},"l":[],"m":[]}]`

func TestEveryTypeThereAndBack(t *testing.T) {
	for codec := range codecs {
		t.Run(codec, func(t *testing.T) {
			table := must[*Table](t)(Create(t.Context(), blob.NewMemory("lake"), Definition{Schema: everyType, Properties: map[string]string{CompressionCodecKey: codec}}))
			given := batchOf(t, everyType, everyTypeRows)
			adds := must[[]Add](t)(table.WriteFiles(t.Context(), given, given.NewSlice(1, 3)))
			must[int64](t)(table.Commit(t.Context(), Commit{Operation: "WRITE", Adds: adds, BlindAppend: true}))
			var want bytes.Buffer
			if err := array.RecordToJSON(given, &want); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(want.String()), "\n")
			lines = append(lines, lines[1:]...)
			slices.Sort(lines)
			if got := rowsOf(t, must[*Snapshot](t)(table.Snapshot(t.Context()))); !slices.Equal(got, lines) {
				t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
			}
		})
	}
}

// TestParquetFiles: what older Spark versions and every other engine can read.
func TestParquetFiles(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := createFares(t, bucket, nil)
	adds := must[[]Add](t)(table.WriteFiles(t.Context(), fares(0, 20000)))
	if len(adds) != 1 {
		t.Fatalf("%d files", len(adds))
	}
	name := regexp.MustCompile(`^part-00000-[0-9a-f-]{36}-c000\.zstd\.parquet$`)
	if !name.MatchString(adds[0].Path) {
		t.Errorf("path %s", adds[0].Path)
	}
	if info := must[blob.ObjectInfo](t)(bucket.Head(t.Context(), adds[0].Path)); info.Size != adds[0].Size {
		t.Errorf("size %d, object %d", adds[0].Size, info.Size)
	}
	data := parquetOf(t, bucket, adds[0])
	schema := data.MetaData().Schema
	if got := schema.Column(2).LogicalType().String(); got != "Timestamp(isAdjustedToUTC=true, timeUnit=microseconds, is_from_converted_type=false, force_set_converted_type=false)" {
		t.Errorf("timestamp is %s", got)
	}
	if got := schema.Column(2).PhysicalType().String(); got != "INT64" {
		t.Errorf("timestamp is %s", got)
	}
	// fare_amount has 400 values, the others hardly repeat.
	for i, want := range []bool{false, true, false, false} {
		chunk := must[*metadata.ColumnChunkMetaData](t)(data.MetaData().RowGroup(0).ColumnChunk(i))
		if got := chunk.HasDictionaryPage(); got != want {
			t.Errorf("column %s has a dictionary: %v", schema.Column(i).Name(), got)
		}
		for _, encoding := range chunk.Encodings() {
			if encoding.String() == "BYTE_STREAM_SPLIT" {
				t.Errorf("column %d is %s", i, encoding)
			}
		}
	}
}

func TestTargetFileSize(t *testing.T) {
	table := createFares(t, blob.NewMemory("lake"), map[string]string{TargetFileSizeKey: "1mb"})
	const rows = 400_000
	adds := must[[]Add](t)(table.WriteFiles(t.Context(), fares(0, rows/2), fares(rows/2, rows/2)))
	if len(adds) < 2 {
		t.Fatalf("%d files", len(adds))
	}
	for _, add := range adds {
		if add.Size > 2<<20 {
			t.Errorf("a file of %d bytes", add.Size)
		}
	}
	must[int64](t)(table.Commit(t.Context(), Commit{Operation: "WRITE", Adds: adds, BlindAppend: true}))
	equalIDs(t, ids(t, must[*Snapshot](t)(table.Snapshot(t.Context()))), sequence(0, rows))
}

func TestPartitions(t *testing.T) {
	schema := Schema{[]Field{
		{Name: "city", Type: String, Nullable: true}, {Name: "id", Type: Long, Nullable: true}, {Name: "day", Type: Date, Nullable: true},
		{Name: "at", Type: Timestamp, Nullable: true}, {Name: "n", Type: Short, Nullable: true}, {Name: "price", Type: Decimal{6, 2}, Nullable: true},
		{Name: "ratio", Type: Double, Nullable: true}, {Name: "ok", Type: Boolean, Nullable: true},
	}}
	rows := `[
	 {"city":"New York","id":1,"day":"2024-02-29","at":"1960-01-01T01:02:03.000004Z","n":-5,"price":"-0.10","ratio":-1e-7,"ok":true},
	 {"city":null,"id":2,"day":null,"at":null,"n":null,"price":null,"ratio":null,"ok":null},
	 {"city":"a/b=c%:é?#","id":3,"day":"1969-12-31","at":"2024-01-01T00:00:00Z","n":7,"price":"12.00","ratio":2.5,"ok":false},
	 {"city":"New York","id":4,"day":"2024-02-29","at":"1960-01-01T01:02:03.000004Z","n":-5,"price":"-0.10","ratio":-1e-7,"ok":true},
	 {"city":"` + strings.Repeat("x", 300) + `","id":5,"day":"2024-02-29","at":"1960-01-01T01:02:03Z","n":-5,"price":"-0.10","ratio":0,"ok":true}]`
	for name, bucket := range map[string]blob.Bucket{"memory": blob.NewMemory("lake"), "folder": must[*blob.Dir](t)(blob.OpenDir(t.TempDir()))} {
		t.Run(name, func(t *testing.T) {
			table := quiet(must[*Table](t)(Create(t.Context(), bucket, Definition{Schema: schema, PartitionBy: []string{"city", "day", "at", "n", "price", "ratio", "ok"}})))
			given := batchOf(t, schema, rows)
			var want bytes.Buffer
			if err := array.RecordToJSON(given, &want); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(want.String()), "\n")
			slices.Sort(lines)
			for i := range int64(2) {
				adds := must[[]Add](t)(table.WriteFiles(t.Context(), given))
				if len(adds) != 4 {
					t.Fatalf("%d files for 4 partitions", len(adds))
				}
				must[int64](t)(table.Commit(t.Context(), Commit{Operation: "WRITE", Adds: adds, BlindAppend: true, ReadVersion: i}))
			}
			must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{}))
			s := must[*Snapshot](t)(table.Snapshot(t.Context()))
			if s.NumFiles() != 4 {
				t.Fatalf("%d files after compaction of 4 partitions", s.NumFiles())
			}
			if got := rowsOf(t, s); !slices.Equal(slices.Compact(got), lines) {
				t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
			}
			for _, add := range s.Files() {
				for _, column := range []string{"city", "day"} {
					if strings.Contains(add.Stats, column) {
						t.Errorf("statistics of partition column %s: %s", column, add.Stats)
					}
				}
			}
		})
	}
}

// TestManyPartitionColumns: the values that fit into a key name folders.
func TestManyPartitionColumns(t *testing.T) {
	schema, row, by := Schema{[]Field{column("id", Long)}}, `[{"id":1`, []string{}
	for i := range 8 {
		name := fmt.Sprintf("p%d", i)
		schema.Fields, by = append(schema.Fields, column(name, String)), append(by, name)
		row += fmt.Sprintf(`,%q:%q`, name, strings.Repeat("x", 150))
	}
	table := must[*Table](t)(Create(t.Context(), must[*blob.Dir](t)(blob.OpenDir(t.TempDir())), Definition{Schema: schema, PartitionBy: by}))
	given := batchOf(t, schema, row+"}]")
	must[int64](t)(table.Append(t.Context(), AppendOptions{}, given))
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	if got := rowsOf(t, s); len(got) != 1 || strings.Count(got[0], strings.Repeat("x", 150)) != 8 {
		t.Errorf("got %s", got)
	}
	if path := s.Files()[0].Path; strings.Count(path, "/") != 3 {
		t.Errorf("path %s", path)
	}
}

func TestWriteFilesChecksTheSchema(t *testing.T) {
	schema := Schema{[]Field{{Name: "id", Type: Long, Nullable: false}, {Name: "x", Type: Double, Nullable: true}}}
	tests := []struct {
		name   string
		schema Schema
		rows   string
		says   string // "" is fine
	}{
		{"as the table", schema, `[{"id":1,"x":2}]`, ""},
		{"other order and case", Schema{[]Field{{Name: "X", Type: Double, Nullable: true}, {Name: "ID", Type: Long, Nullable: true}}}, `[{"ID":1,"X":2}]`, ""},
		{"missing nullable column", Schema{[]Field{{Name: "id", Type: Long}}}, `[{"id":1}]`, ""},
		{"missing column", Schema{[]Field{{Name: "x", Type: Double}}}, `[{"x":1}]`, `column "id" is missing`},
		{"column too many", Schema{[]Field{{Name: "id", Type: Long}, {Name: "y", Type: Long}}}, `[{"id":1,"y":1}]`, `no column "y" of type bigint (it has id, x)`},
		{"other type", Schema{[]Field{{Name: "id", Type: Integer}}}, `[{"id":1}]`, `column "id" is bigint in the table and int in the rows`},
		{"column twice", Schema{[]Field{{Name: "id", Type: Long}, {Name: "ID", Type: Long}}}, `[{"id":1,"ID":1}]`, `column "ID" is in the rows twice`},
		{"null", Schema{[]Field{{Name: "id", Type: Long, Nullable: true}}}, `[{"id":null}]`, `column "id" has a null`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := must[*Table](t)(Create(t.Context(), blob.NewMemory("lake"), Definition{Schema: schema}))
			_, err := table.WriteFiles(t.Context(), batchOf(t, test.schema, test.rows))
			if (err == nil) != (test.says == "") || err != nil && !(errors.Is(err, ErrSchemaMismatch) && strings.Contains(err.Error(), test.says)) {
				t.Fatalf("error %v, want %q", err, test.says)
			}
		})
	}
}

// TestNoTemporaryFiles are to be seen, even while they are uploaded: a process
// that is killed then leaves none.
func TestNoTemporaryFiles(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	puts := 0
	bucket := blobtest.Faults(blob.NewMemory("lake"), func(op, key string) error {
		if op == blobtest.Put && strings.HasSuffix(key, ".parquet") {
			puts++
		}
		if left := must[[]os.DirEntry](t)(os.ReadDir(temp)); len(left) > 0 {
			return fmt.Errorf("%s %s beside %s", op, key, left[0].Name())
		}
		return nil
	})
	table := createFares(t, bucket, map[string]string{CheckpointIntervalKey: "1"})
	appendFares(t, table, 0, 10)
	must[CompactResult](t)(table.Optimize(t.Context(), OptimizeOptions{ZOrderBy: []string{"id"}}))
	if puts != 4 {
		t.Errorf("%d files of data and checkpoints", puts)
	}
}

// A failed WriteFiles leaves no file, whether its put failed, its answer was
// lost, the caller gave up, or a later row was wrong.
func TestFailedWriteFilesLeavesNoFiles(t *testing.T) {
	schema := Schema{[]Field{{Name: "id", Type: Long, Nullable: false}, {Name: "day", Type: String, Nullable: true}}}
	good := batchOf(t, schema, `[{"id":1,"day":"mon"},{"id":2,"day":"tue"},{"id":3,"day":"wed"},{"id":4,"day":"thu"}]`)
	second := func(op string, do func() error) blobtest.Hook {
		n := 0
		return func(o, _ string) error {
			if o != op {
				return nil
			}
			if n++; n != 2 {
				return nil
			}
			return do()
		}
	}
	fail := func() error { return errStore }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, test := range []struct {
		name string
		ctx  context.Context
		hook blobtest.Hook
	}{
		{"put fails", t.Context(), second(blobtest.Put, fail)},
		{"answer lost", t.Context(), second(blobtest.After+blobtest.Put, fail)},
		{"every answer lost", t.Context(), always(blobtest.After+blobtest.Put, "", errStore)},
		{"cancelled", ctx, second(blobtest.After+blobtest.Put, func() error { cancel(); return nil })},
	} {
		t.Run(test.name, func(t *testing.T) {
			memory := blob.NewMemory("lake")
			must[*Table](t)(Create(t.Context(), memory, Definition{Schema: schema, PartitionBy: []string{"day"}}))
			checkWritesNothing(t, test.ctx, blobtest.Faults(memory, test.hook), good)
		})
	}
	t.Run("wrong rows after a file was full", func(t *testing.T) {
		memory := blob.NewMemory("lake")
		createFares(t, memory, map[string]string{TargetFileSizeKey: "1mb"})
		checkWritesNothing(t, t.Context(), blobtest.Faults(memory, nil), fares(0, 400_000), good)
	})
}

// checkWritesNothing sees files come and go while WriteFiles fails.
func checkWritesNothing(t *testing.T, ctx context.Context, bucket *blobtest.FaultBucket, batches ...arrow.RecordBatch) {
	t.Helper()
	if adds, err := openFares(t, bucket).WriteFiles(ctx, batches...); err == nil {
		t.Fatalf("no error, files %v", adds)
	}
	if !slices.ContainsFunc(bucket.Log(), func(line string) bool { return strings.HasPrefix(line, "put ") }) {
		t.Fatalf("nothing was uploaded: %q", bucket.Log())
	}
	if left := dataFiles(t, bucket.Unwrap()); len(left) > 0 {
		t.Errorf("left %q after %q", left, bucket.Log())
	}
}

// The cleanup after a cancelled WriteFiles ends, too.
func TestCleanupIsBounded(t *testing.T) {
	bucket := blob.NewMemory("lake")
	createFares(t, bucket, nil)
	ctx, cancel := context.WithCancel(t.Context())
	deleting := &deleteContext{Bucket: blobtest.Faults(bucket, func(op, _ string) error {
		if op == blobtest.Put {
			cancel()
		}
		return nil
	})}
	if _, err := openFares(t, deleting).WriteFiles(ctx, fares(0, 10)); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if !deleting.called || !deleting.bounded || deleting.cancelled {
		t.Errorf("delete: %+v", deleting)
	}
}

// deleteContext looks at the context that Delete is called with.
type deleteContext struct {
	blob.Bucket
	called, bounded, cancelled bool
}

func (d *deleteContext) Delete(ctx context.Context, keys ...string) error {
	_, d.bounded = ctx.Deadline()
	d.called, d.cancelled = true, ctx.Err() != nil
	return d.Bucket.Delete(ctx, keys...)
}

// dataFiles are the keys of the data files, whether a version names them or
// not.
func dataFiles(t testing.TB, bucket blob.Bucket) []string {
	t.Helper()
	var keys []string
	for object, err := range bucket.List(context.Background(), blob.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(object.Key, ".parquet") && !strings.HasPrefix(object.Key, "_delta_log/") {
			keys = append(keys, object.Key)
		}
	}
	return keys
}

// TestScanFillsMissingColumns: files written before a column was added, and
// struct members likewise, are null there.
func TestScanFillsMissingColumns(t *testing.T) {
	old := Schema{[]Field{{Name: "id", Type: Long, Nullable: true}, {Name: "s", Type: Schema{[]Field{{Name: "a", Type: Long, Nullable: true}}}, Nullable: true}}}
	table := must[*Table](t)(Create(t.Context(), blob.NewMemory("lake"), Definition{Schema: old}))
	adds := must[[]Add](t)(table.WriteFiles(t.Context(), batchOf(t, old, `[{"id":1,"s":{"a":5}},{"id":2,"s":null}]`)))
	must[int64](t)(table.Commit(t.Context(), Commit{Operation: "WRITE", Adds: adds, BlindAppend: true}))
	newer := Schema{[]Field{
		{Name: "extra", Type: Array{String, true}, Nullable: true}, old.Fields[0],
		{Name: "s", Type: Schema{[]Field{{Name: "b", Type: Timestamp, Nullable: true}, {Name: "a", Type: Long, Nullable: true}}}, Nullable: true},
	}}
	m := must[*Snapshot](t)(table.Snapshot(t.Context())).Metadata()
	m.SchemaString = string(must[[]byte](t)(newer.MarshalJSON()))
	must[int64](t)(table.Commit(t.Context(), Commit{Operation: "ADD COLUMNS", Metadata: &m, ReadVersion: 1}))
	got := rowsOf(t, must[*Snapshot](t)(table.Snapshot(t.Context())))
	want := []string{`{"extra":null,"id":1,"s":{"a":5,"b":null}}`, `{"extra":null,"id":2,"s":null}`}
	if !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestScanOfMissingOrBrokenFile(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := createFares(t, bucket, nil)
	appendFares(t, table, 0, 10)
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	path := s.Files()[0].Path
	scan := func() (err error) {
		for _, err = range s.Scan(t.Context(), ScanOptions{}) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	for name, spoil := range map[string]func() error{
		"truncated": func() error { return bucket.Put(t.Context(), path, strings.NewReader("PAR1")) },
		"missing":   func() error { return bucket.Delete(t.Context(), path) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if err := scan(); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "version 1") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestScanOfSpoiledBytes: wherever a data file is cut or changed, a scan gives
// all its rows or an error, and never fewer rows.
func TestScanOfSpoiledBytes(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := createFares(t, bucket, nil)
	appendFares(t, table, 0, 100)
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	path := s.Files()[0].Path
	whole := must[[]byte](t)(blob.ReadAll(t.Context(), bucket, path))
	spoil := func(what string, content []byte) {
		if err := bucket.Put(t.Context(), path, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		rows := int64(0)
		for batch, err := range s.Scan(t.Context(), ScanOptions{}) {
			if err != nil {
				return
			}
			rows += batch.NumRows()
		}
		if rows != 100 {
			t.Errorf("%s: %d of 100 rows and no error", what, rows)
		}
	}
	for i := range whole {
		spoil(fmt.Sprintf("cut at %d", i), whole[:i])
		// Bytes that make the decoder ask for gigabytes are left out: lengths
		// in the footer and in page headers are not bounded by it.
		changed := bytes.Clone(whole)
		changed[i] ^= 0x01
		spoil(fmt.Sprintf("byte %d changed", i), changed)
	}
}

func TestScanStopsWhenTheLoopDoes(t *testing.T) {
	table := createFares(t, blob.NewMemory("lake"), nil)
	for i := range int64(3) {
		appendFares(t, table, i*10, 10)
	}
	batches := 0
	for _, err := range must[*Snapshot](t)(table.Snapshot(t.Context())).Scan(t.Context(), ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		batches++
		break
	}
	if batches != 1 {
		t.Fatal(fmt.Sprint(batches, " batches"))
	}
}

// TestLargeFileIsReadInRanges rather than as a whole.
func TestLargeFileIsReadInRanges(t *testing.T) {
	memory := blob.NewMemory("lake")
	table := createFares(t, memory, map[string]string{CompressionCodecKey: "none"})
	appendFares(t, table, 0, 400_000)
	bucket := blobtest.Faults(memory, nil)
	s := must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))
	if s.SizeInBytes() <= wholeObject {
		t.Fatalf("only %d bytes", s.SizeInBytes())
	}
	bucket.ResetLog()
	equalIDs(t, ids(t, s), sequence(0, 400_000))
	for _, line := range bucket.Log() {
		if strings.HasPrefix(line, "get ") {
			t.Fatal(line)
		}
	}
}
