package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/uuid"
)

const (
	// maxRowGroupRows keeps the writer's and every reader's memory bounded.
	maxRowGroupRows = 1 << 20
	// writeChunkRows is how often the size of a file is looked at.
	writeChunkRows = 1 << 16
	// zstdLevel 1 compresses nearly as well as 3 on these pages, at twice the speed.
	zstdLevel = 1
	// maxOpenFiles bounds the temporary files and encoders of a write to many
	// partitions; beyond it, files are closed before they are large.
	maxOpenFiles = 256
	// maxPartitionFolder bytes, and maxPartitionFolders of all of them: a longer
	// value stays out of the path, which readers do not interpret. A key of OSS
	// has 1,023, of which the table's own folder takes some.
	maxPartitionFolder  = 200
	maxPartitionFolders = 500
)

// WriteFiles uploads the rows as Parquet data files with statistics: one per
// partition, more beyond delta.targetFileSize. [Table.Commit] makes them
// visible; without it they are rubbish for a later vacuum. After an error none
// of them stays, unless deleting them fails, too.
//
// The columns of a batch are matched with the table's by name. A nullable
// column may be missing; a column too many, one of another type, or a null
// where the schema forbids it is ErrSchemaMismatch, which names it.
func (t *Table) WriteFiles(ctx context.Context, batches ...arrow.RecordBatch) ([]Add, error) {
	snapshot, err := t.known(ctx, 0)
	if err != nil {
		return nil, err
	}
	adds, err := snapshot.writeFiles(ctx, snapshot.properties.targetFileSize, nil, all(batches))
	if err != nil {
		return nil, fmt.Errorf("write to %s: %w", t.URI(), err)
	}
	return adds, nil
}

func all(batches []arrow.RecordBatch) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for _, batch := range batches {
			if !yield(batch, nil) {
				return
			}
		}
	}
}

// writeFiles uploads all rows or, after an error, leaves no file behind. When it
// rewrites rows of one partition, that keeps its values to the letter: engines
// take some, such as a time without a zone, each in its own way.
func (s *Snapshot) writeFiles(ctx context.Context, targetSize int64, partition PartitionValues, rows iter.Seq2[arrow.RecordBatch, error]) ([]Add, error) {
	w, err := newTableWriter(ctx, s, targetSize)
	if err != nil {
		return nil, err
	}
	w.partition = partition
	defer w.abort()
	for batch, err := range rows {
		if err == nil {
			err = w.write(batch)
		}
		if err != nil {
			return nil, errors.Join(err, s.table.deleteFiles(ctx, w.tried))
		}
	}
	if err := w.finish(); err != nil {
		return nil, errors.Join(err, s.table.deleteFiles(ctx, w.tried))
	}
	return w.adds, nil
}

// deleteTimeout bounds a cleanup, which goes on when what it cleans up after
// was cancelled.
const deleteTimeout = 5 * time.Second

// deleteFiles deletes data files that no commit refers to.
func (t *Table) deleteFiles(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
	defer cancel()
	if err := t.bucket.Delete(ctx, keys...); err != nil {
		return fmt.Errorf("delete files that were not committed (the next vacuum will): %w", err)
	}
	return nil
}

// tableWriter spreads rows over data files.
type tableWriter struct {
	ctx        context.Context
	snapshot   *Snapshot
	schema     *arrow.Schema // of the table; what cannot be null is checked, and never left to the encoder
	dataSchema Schema
	dataArrow  *arrow.Schema
	targetSize int64
	partition  PartitionValues // of all rows; nil: see the rows
	jobID      string

	open  map[string]*fileWriter // by partition folder
	tried []string               // keys of all uploads: one that failed may have left its file
	adds  []Add
}

func newTableWriter(ctx context.Context, s *Snapshot, targetSize int64) (*tableWriter, error) {
	if err := checkWritable(s.protocol, s.metadata, s.schema); err != nil {
		return nil, err
	}
	schema, err := s.schema.asNullable().Arrow()
	if err != nil {
		return nil, err
	}
	dataSchema := s.dataSchema()
	dataArrow, err := dataSchema.asNullable().Arrow()
	if err != nil {
		return nil, err
	}
	return &tableWriter{
		ctx: ctx, snapshot: s, schema: schema, dataSchema: dataSchema, dataArrow: dataArrow,
		targetSize: targetSize, jobID: uuid.NewString(), open: map[string]*fileWriter{},
	}, nil
}

// write takes rows with the columns of the table, in any order.
func (w *tableWriter) write(batch arrow.RecordBatch) error {
	columns, err := w.columns(batch)
	if err != nil {
		return err
	}
	rows := array.NewRecordBatch(w.schema, columns, batch.NumRows())
	switch {
	case w.partition != nil:
		return w.writePartition(rows, w.partition)
	case len(w.snapshot.metadata.PartitionColumns) == 0:
		return w.writePartition(rows, PartitionValues{})
	}
	return w.split(rows)
}

// columns are those of the batch in the table's order and types.
func (w *tableWriter) columns(batch arrow.RecordBatch) ([]arrow.Array, error) {
	seen := map[string]bool{}
	for _, f := range batch.Schema().Fields() {
		if !slices.ContainsFunc(w.schema.Fields(), func(own arrow.Field) bool { return strings.EqualFold(own.Name, f.Name) }) {
			return nil, fmt.Errorf("%w: the table has no column %q of type %s (it has %s); mergeSchema would add it",
				ErrSchemaMismatch, f.Name, typeName(f.Type), strings.Join(fieldNames(w.schema), ", "))
		}
		if name := strings.ToLower(f.Name); seen[name] {
			return nil, fmt.Errorf("%w: column %q is in the rows twice (names do not differ by case)", ErrSchemaMismatch, f.Name)
		} else {
			seen[name] = true
		}
	}
	columns := make([]arrow.Array, w.schema.NumFields())
	for i, f := range w.schema.Fields() {
		index := slices.IndexFunc(batch.Schema().Fields(), func(given arrow.Field) bool { return strings.EqualFold(given.Name, f.Name) })
		if index < 0 {
			if !w.snapshot.schema.Fields[i].Nullable {
				return nil, fmt.Errorf("%w: column %q is missing and cannot be null", ErrSchemaMismatch, f.Name)
			}
			columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, int(batch.NumRows()))
			continue
		}
		column, err := conform(w.ctx, batch.Column(index), f.Type, exactTypes)
		if err != nil {
			return nil, fmt.Errorf("%w: column %q is %s in the table and %s in the rows",
				ErrSchemaMismatch, f.Name, typeName(f.Type), typeName(batch.Column(index).DataType()))
		}
		if w.partition == nil { // else the table has these rows already
			own := w.snapshot.schema.Fields[i]
			if err := checkValues(column, own.Type, own.Nullable, f.Name); err != nil {
				return nil, err
			}
		}
		columns[i] = column
	}
	return columns, nil
}

func fieldNames(schema *arrow.Schema) []string {
	names := make([]string, schema.NumFields())
	for i, f := range schema.Fields() {
		names[i] = f.Name
	}
	return names
}

// split sends each row to its partition.
func (w *tableWriter) split(rows arrow.RecordBatch) error {
	type group struct {
		values map[string]string
		rows   []int64
	}
	groups := map[string]*group{}
	var order []string
	for i := range int(rows.NumRows()) {
		values := map[string]string{}
		var id strings.Builder
		for _, name := range w.snapshot.metadata.PartitionColumns {
			column := rows.Column(w.schema.FieldIndices(name)[0])
			value, err := partitionValue(column, i)
			if err != nil {
				return fmt.Errorf("partition column %q: %w", name, err)
			}
			values[name] = value
			fmt.Fprintf(&id, "%d:%s", len(value), value)
		}
		if groups[id.String()] == nil {
			groups[id.String()] = &group{values: values}
			order = append(order, id.String())
		}
		g := groups[id.String()]
		g.rows = append(g.rows, int64(i))
	}
	for _, id := range order {
		g := groups[id]
		taken, err := takeRows(w.ctx, rows, g.rows)
		if err != nil {
			return fmt.Errorf("split rows by partition: %w", err)
		}
		err = w.writePartition(taken, g.values)
		taken.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// writePartition appends rows of one partition to its file, and begins a new
// file at the target size.
func (w *tableWriter) writePartition(rows arrow.RecordBatch, values map[string]string) error {
	folder := w.folder(values)
	columns := make([]arrow.Array, 0, len(w.dataSchema.Fields))
	for _, f := range w.dataSchema.Fields {
		columns = append(columns, rows.Column(w.schema.FieldIndices(f.Name)[0]))
	}
	data := array.NewRecordBatch(w.dataArrow, columns, rows.NumRows())
	id := partitionID(values)
	for start := int64(0); start < data.NumRows(); start += writeChunkRows {
		chunk := data.NewSlice(start, min(start+writeChunkRows, data.NumRows()))
		file := w.open[id]
		if file != nil && file.mixesNaNs(chunk) {
			if err := w.close(id); err != nil {
				return err
			}
			file = nil
		}
		if file == nil {
			if len(w.open) == maxOpenFiles {
				if err := w.finish(); err != nil {
					return err
				}
			}
			var err error
			if file, err = newFileWriter(w, folder, values, chunk); err != nil {
				return err
			}
			w.open[id] = file
		}
		if err := file.write(chunk); err != nil {
			return err
		}
		if file.size() >= w.targetSize {
			if err := w.close(id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *tableWriter) folder(values map[string]string) string {
	var folder strings.Builder
	for _, name := range w.snapshot.metadata.PartitionColumns {
		segment := hivePartition(name, values[name])
		if len(segment) <= maxPartitionFolder && folder.Len()+len(segment) <= maxPartitionFolders {
			folder.WriteString(segment + "/")
		}
	}
	return folder.String()
}

func (w *tableWriter) close(id string) error {
	file := w.open[id]
	delete(w.open, id)
	defer file.abort()
	w.tried = append(w.tried, file.key)
	add, err := file.upload()
	if err != nil {
		return err
	}
	w.adds = append(w.adds, add)
	return nil
}

// finish uploads the open files.
func (w *tableWriter) finish() error {
	for _, id := range sortedKeys(w.open) {
		if err := w.close(id); err != nil {
			return err
		}
	}
	return nil
}

// abort gives back what finish has not; calling it after finish is harmless.
func (w *tableWriter) abort() {
	for _, file := range w.open {
		file.abort()
	}
}

// fileWriter encodes one data file on the local disk: as many bytes as the
// target file size need not fit into memory.
type fileWriter struct {
	w       *tableWriter
	key     string
	values  map[string]string
	spool   *os.File
	parquet *pqarrow.FileWriter
	stats   *fileStats
	// dictionary says which columns are written with one.
	dictionary []bool
}

func newFileWriter(w *tableWriter, folder string, values map[string]string, sample arrow.RecordBatch) (*fileWriter, error) {
	spool, err := newSpool()
	if err != nil {
		return nil, fmt.Errorf("make a temporary file for a data file: %w", err)
	}
	codec := w.snapshot.properties.codec
	extension := codec + ".parquet"
	if codecs[codec] == compress.Codecs.Uncompressed {
		extension = "parquet"
	}
	part := len(w.adds) + len(w.open)
	f := &fileWriter{
		w: w, values: values, spool: spool,
		key:   fmt.Sprintf("%spart-%05d-%s-c000.%s", folder, part, w.jobID, extension),
		stats: newFileStats(w.dataSchema, w.snapshot.properties),
	}
	for _, column := range sample.Columns() {
		f.dictionary = append(f.dictionary, worthDictionary(column))
	}
	properties, err := writerProperties(w.snapshot.table.engine, codec, w.dataArrow, f.dictionary)
	if err == nil {
		// The encoder closes what it writes to; the spool is still to be read.
		f.parquet, err = pqarrow.NewFileWriter(w.dataArrow, onlyWriter{spool}, properties, arrowWriterProperties)
	}
	if err != nil {
		f.abort()
		return nil, fmt.Errorf("begin a data file: %w", err)
	}
	return f, nil
}

type onlyWriter struct{ io.Writer }

// newSpool is a temporary file for what need not fit into memory. It has no name
// any more, so that its space is free when the process ends, be it by a kill.
func newSpool() (*os.File, error) {
	spool, err := os.CreateTemp("", "delta-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(spool.Name()); err != nil {
		return nil, errors.Join(err, spool.Close())
	}
	return spool, nil
}

// Timestamps are INT64 MICROS whatever the batch holds: other units are no
// Delta timestamp.
var arrowWriterProperties = pqarrow.NewArrowWriterProperties(pqarrow.WithCoerceTimestamps(arrow.Microsecond))

// writerProperties: data page V1 and plain or dictionary encoding, which every
// reader has. A dictionary is for the columns that it is chosen for, and for
// nested ones, where the encoder falls back when it grows too large; but not for
// nested floats: Arrow's dictionaries keep one NaN in place of all.
func writerProperties(engine, codec string, schema *arrow.Schema, dictionary []bool) (*parquet.WriterProperties, error) {
	options := []parquet.WriterProperty{
		parquet.WithCompression(codecs[codec]),
		parquet.WithDataPageVersion(parquet.DataPageV1),
		parquet.WithMaxRowGroupLength(maxRowGroupRows),
		parquet.WithCreatedBy(engine),
	}
	if codec == "zstd" {
		options = append(options, parquet.WithCompressionLevel(zstdLevel))
	}
	for i, chosen := range dictionary {
		if !chosen {
			options = append(options, parquet.WithDictionaryFor(schema.Field(i).Name, false))
		}
	}
	columns, err := pqarrow.ToParquet(schema, nil, arrowWriterProperties)
	if err != nil {
		return nil, err
	}
	for i := range columns.NumColumns() {
		column := columns.Column(i)
		float := column.PhysicalType() == parquet.Types.Double || column.PhysicalType() == parquet.Types.Float
		if nested := len(column.ColumnPath()) > 1; nested && float {
			options = append(options, parquet.WithDictionaryPath(column.ColumnPath(), false))
		}
	}
	return parquet.NewWriterProperties(options...), nil
}

// mixesNaNs tells whether rows have a NaN for a column with a dictionary.
func (f *fileWriter) mixesNaNs(rows arrow.RecordBatch) bool {
	for i, column := range rows.Columns() {
		if f.dictionary[i] && hasNaN(column) {
			return true
		}
	}
	return false
}

func hasNaN(column arrow.Array) bool {
	switch column := column.(type) {
	case *array.Float64:
		return slices.ContainsFunc(column.Float64Values(), func(v float64) bool { return v != v })
	case *array.Float32:
		return slices.ContainsFunc(column.Float32Values(), func(v float32) bool { return v != v })
	}
	return false
}

// worthDictionary looks at a sample spread over the column: a dictionary pays
// when values come back at least once on average. Building one for nothing
// takes a third of the time of writing.
func worthDictionary(column arrow.Array) bool {
	const sampleSize = 2048
	if column.Len() == 0 {
		return true
	}
	if hasNaN(column) {
		return false
	}
	value := sampler(column)
	if value == nil {
		return true // nested, see writerProperties
	}
	step := max(1, column.Len()/sampleSize)
	distinct := map[any]struct{}{}
	sampled := 0
	for i := 0; i < column.Len(); i += step {
		if column.IsValid(i) {
			distinct[value(i)] = struct{}{}
			sampled++
		}
	}
	return 2*len(distinct) <= sampled
}

func sampler(column arrow.Array) func(int) any {
	switch column := column.(type) {
	case *array.Float64:
		return func(i int) any { return column.Value(i) }
	case *array.Float32:
		return func(i int) any { return column.Value(i) }
	case *array.Int64:
		return func(i int) any { return column.Value(i) }
	case *array.Int32:
		return func(i int) any { return column.Value(i) }
	case *array.Timestamp:
		return func(i int) any { return column.Value(i) }
	case *array.String:
		return func(i int) any { return column.Value(i) }
	case *array.Binary:
		return func(i int) any { return column.ValueString(i) }
	}
	return nil
}

func (f *fileWriter) write(rows arrow.RecordBatch) error {
	if err := f.parquet.WriteBuffered(rows); err != nil {
		return fmt.Errorf("encode %s: %w", f.key, err)
	}
	f.stats.observe(rows)
	return nil
}

// size is of the encoded pages so far, bytes.
func (f *fileWriter) size() int64 { return f.parquet.TotalCompressedBytes() }

func (f *fileWriter) upload() (Add, error) {
	if err := f.parquet.Close(); err != nil {
		return Add{}, fmt.Errorf("encode %s: %w", f.key, err)
	}
	size, err := f.spool.Seek(0, io.SeekEnd)
	if err != nil {
		return Add{}, err
	}
	if _, err := f.spool.Seek(0, io.SeekStart); err != nil {
		return Add{}, err
	}
	t := f.w.snapshot.table
	if err := t.bucket.Put(f.w.ctx, f.key, f.spool); err != nil {
		return Add{}, fmt.Errorf("upload %s: %w", t.bucket.URI(f.key), err)
	}
	return Add{
		Path: encodePath(f.key), PartitionValues: f.values, Size: size,
		ModificationTime: t.now().UnixMilli(), DataChange: true, Stats: f.stats.json(),
	}, nil
}

func (f *fileWriter) abort() {
	if err := f.spool.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		f.w.snapshot.table.log.Warn("close a temporary file", "path", f.spool.Name(), "error", err)
	}
}
