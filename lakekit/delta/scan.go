package delta

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"taxilake/lakekit/blob"
)

const (
	scanBatchRows = 64 << 10
	// wholeObject bytes: a smaller data file is fetched at once, a larger one
	// column chunk by column chunk.
	wholeObject = 8 << 20
)

// ScanOptions choose what Scan reads; the zero value is everything.
type ScanOptions struct {
	// Columns of the table's schema, in this order; nil is all of them.
	Columns []string
	// Where chooses rows, such as "fare_amount > 10.5 AND city IN ('NY', 'LA')":
	// conditions on columns of plain types, joined by AND, with Spark's meaning
	// of NULL and NaN. Times without a zone are UTC. Files whose partition or
	// statistics rule it out are not opened. "" is all.
	Where string
	// Added chooses the rows of the files that the snapshot's own commit added.
	Added bool
}

// Scan reads the rows of the snapshot, file by file, with the columns of the
// table's schema: partition columns are filled in, columns that a file does
// not have are null. Arrow's schema of the batches allows nulls everywhere:
// files may hold some where the table's schema forbids them. A timestamp of a
// partition that is written without a zone, as old engines do, is taken as UTC.
// An error ends it, ErrInvalid for options that do not fit the table. A batch is
// released when the loop asks for the next one; Retain keeps it.
func (s *Snapshot) Scan(ctx context.Context, opts ScanOptions) iter.Seq2[arrow.RecordBatch, error] {
	if opts.Columns == nil && opts.Where == "" && !opts.Added {
		return s.scanFiles(ctx, s.adds)
	}
	return func(yield func(arrow.RecordBatch, error) bool) {
		selected, err := s.selection(ctx, opts)
		if err != nil {
			yield(nil, fmt.Errorf("scan %s: %w", s.table.URI(), err))
			return
		}
		for batch, err := range selected.rows(ctx) {
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

// ScanToRewrite is Scan for who writes the rows again. It ends with
// ErrNotRewritable at a file whose rows would not stay what they are: where the
// table's schema forbids nulls Spark reads them as 0, or as nothing at all.
func (s *Snapshot) ScanToRewrite(ctx context.Context) iter.Seq2[arrow.RecordBatch, error] {
	return s.scanToRewrite(ctx, s.adds)
}

func (s *Snapshot) scanToRewrite(ctx context.Context, adds []*Add) iter.Seq2[arrow.RecordBatch, error] {
	return s.scan(ctx, adds, safeCasts)
}

func (s *Snapshot) scanFiles(ctx context.Context, adds []*Add) iter.Seq2[arrow.RecordBatch, error] {
	return s.scan(ctx, adds, readCasts)
}

func (s *Snapshot) scan(ctx context.Context, adds []*Add, how conversion) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		schema, err := s.schema.asNullable().Arrow()
		if err != nil {
			yield(nil, err)
			return
		}
		for _, add := range adds {
			more := true
			var refused error
			err := s.scanFile(ctx, schema, add, how, func(batch arrow.RecordBatch) bool {
				if how == safeCasts {
					refused = s.checkRewritable(batch)
				}
				if refused == nil {
					more = yield(batch, nil)
				}
				return more && refused == nil
			})
			if err = cmp.Or(err, refused); err != nil {
				yield(nil, fmt.Errorf("read %s of version %d of %s: %w", add.Path, s.version, s.table.URI(), err))
				return
			}
			if !more {
				return
			}
		}
	}
}

func (s *Snapshot) scanFile(ctx context.Context, schema *arrow.Schema, add *Add, how conversion, yield func(arrow.RecordBatch) bool) error {
	key, err := add.Key()
	if err != nil {
		return err
	}
	object, err := openObject(ctx, s.table.bucket, key, add.Size)
	if err != nil {
		return err
	}
	defer object.Close()
	// What the decoder cannot do with the file, unless the store was at fault.
	inFile := func(err error) error {
		if err == nil || ctx.Err() != nil || object.failed() != nil {
			return cmp.Or(ctx.Err(), object.failed(), err)
		}
		return fileFault{err}
	}
	var plan *filePlan
	var source *file.Reader
	var batches pqarrow.RecordReader
	err = decode(func() (err error) {
		if source, err = file.NewParquetReader(object); err != nil {
			return err
		}
		if err = checkRows(source, add); err != nil {
			return err
		}
		if plan, err = s.planFile(schema, add, source); err != nil || len(plan.leaves) == 0 {
			return err
		}
		reader, err := pqarrow.NewFileReader(source, pqarrow.ArrowReadProperties{BatchSize: scanBatchRows}, memory.DefaultAllocator)
		if err != nil {
			return err
		}
		// By Parquet's types alone: what Arrow's writers add of theirs, such as
		// dictionaries and large lists, says nothing about the values.
		if reader.Manifest, err = pqarrow.NewSchemaManifest(source.MetaData().Schema, nil, &reader.Props); err != nil {
			return err
		}
		readInt96Raw(reader.Manifest.Fields, source.MetaData().Schema)
		batches, err = reader.GetRecordReader(ctx, plan.leaves, nil)
		return err
	})
	if err != nil {
		return inFile(err)
	}
	if batches != nil {
		defer batches.Release()
	}
	deleted, err := s.DeletedRows(ctx, *add, source.NumRows())
	if err != nil {
		return err
	}
	if batches == nil {
		return plan.yieldNulls(ctx, source.NumRows()-int64(len(deleted)), yield)
	}
	for left := source.NumRows(); left > 0; {
		first := source.NumRows() - left
		var rows arrow.RecordBatch
		err := decode(func() (err error) {
			if !batches.Next() {
				// The reader takes any end of input for the end of the rows.
				return cmp.Or(batches.Err(), fmt.Errorf("the file ends %d rows early", left))
			}
			left -= batches.RecordBatch().NumRows()
			if rows, err = plan.conform(ctx, batches.RecordBatch(), how); err == nil {
				rows, deleted, err = withoutRows(ctx, rows, first, deleted)
			}
			return err
		})
		if err != nil {
			return inFile(err)
		}
		more := rows.NumRows() == 0 || yield(rows)
		rows.Release()
		if !more {
			return nil
		}
	}
	return nil
}

// withoutRows takes the deleted rows out of a batch, and their indexes from the
// list; first is the index of the batch's first row in its file.
func withoutRows(ctx context.Context, rows arrow.RecordBatch, first int64, deleted []int64) (arrow.RecordBatch, []int64, error) {
	here, _ := slices.BinarySearch(deleted, first+rows.NumRows())
	if here == 0 {
		return rows, deleted, nil
	}
	defer rows.Release()
	keep := everyRow(rows)
	for _, index := range deleted[:here] {
		keep[index-first] = false
	}
	kept, err := keepRows(ctx, rows, keep)
	return kept, deleted[here:], err
}

func everyRow(rows arrow.RecordBatch) []bool { return slices.Repeat([]bool{true}, int(rows.NumRows())) }

// keepRows is the rows of a batch that keep says; the caller releases both.
func keepRows(ctx context.Context, rows arrow.RecordBatch, keep []bool) (arrow.RecordBatch, error) {
	mask := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer mask.Release()
	mask.AppendValues(keep, nil)
	chosen := mask.NewBooleanArray()
	defer chosen.Release()
	return compute.FilterRecordBatch(ctx, rows, chosen, compute.DefaultFilterOptions())
}

// reading is the snapshot with the columns alone that are wanted, and those of
// the partitions, which every file has.
func (s *Snapshot) reading(wanted func(Field) bool) *Snapshot {
	projected := *s
	projected.schema = Schema{}
	for _, f := range s.schema.Fields {
		if wanted(f) || s.isPartitionColumn(f.Name) {
			projected.schema.Fields = append(projected.schema.Fields, f)
		}
	}
	return &projected
}

// checkRows compares the counts there are of a file's rows.
func checkRows(source *file.Reader, add *Add) error {
	rows := int64(0)
	for i := range source.NumRowGroups() {
		rows += source.MetaData().RowGroup(i).NumRows()
	}
	if rows != source.NumRows() {
		return fmt.Errorf("broken Parquet file: %d rows, %d in its row groups", source.NumRows(), rows)
	}
	if recorded, ok := add.NumRecords(); ok && recorded != rows {
		return fmt.Errorf("the file has %d rows, the log says %d", rows, recorded)
	}
	return nil
}

// decode runs a step of the Parquet decoder, which panics on some broken
// files. Its parallel mode would do so on goroutines of its own, where nobody
// can catch it, and is not used for that.
func decode(step func() error) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("broken Parquet file: %v", caught)
		}
	}()
	return step()
}

// filePlan is how the columns of the table come from one file.
type filePlan struct {
	schema     *arrow.Schema
	fields     []Field
	mapping    ColumnMapping
	partitions map[string]string // by column; the others are in the file or null
	leaves     []int             // Parquet columns to read
	calendar   OldCalendar
}

func (s *Snapshot) planFile(columns *arrow.Schema, add *Add, source *file.Reader) (*filePlan, error) {
	mapping := s.ColumnMapping()
	plan := &filePlan{schema: columns, fields: s.schema.Fields, mapping: mapping, partitions: map[string]string{},
		calendar: OldCalendarOf(source.MetaData().KeyValueMetadata())}
	for _, column := range s.metadata.PartitionColumns {
		f, _ := s.schema.Field(column)
		value, ok := add.PartitionValues[mapping.PhysicalName(f)]
		if !ok {
			return nil, fmt.Errorf("%w: no value for partition column %q", ErrCorruptLog, column)
		}
		plan.partitions[strings.ToLower(column)] = value
	}
	inFile := source.MetaData().Schema
	if mapping == MappingID && !hasFieldIDs(inFile) {
		return nil, fmt.Errorf("%w: column mapping by id of a file without field ids", ErrUnsupported)
	}
	dataColumns := s.dataSchema().Fields
	for i := range inFile.NumColumns() {
		top := inFile.ColumnRoot(i)
		if slices.ContainsFunc(dataColumns, func(f Field) bool { return mapping.Finds(f, top.Name(), top.FieldID()) }) {
			plan.leaves = append(plan.leaves, i)
		}
	}
	return plan, nil
}

func hasFieldIDs(columns *schema.Schema) bool {
	for i := range columns.NumColumns() {
		if columns.ColumnRoot(i).FieldID() >= 0 {
			return true
		}
	}
	return false
}

func (p *filePlan) conform(ctx context.Context, given arrow.RecordBatch, how conversion) (arrow.RecordBatch, error) {
	n := int(given.NumRows())
	columns := make([]arrow.Array, len(p.fields))
	defer func() {
		for _, column := range columns {
			if column != nil {
				column.Release()
			}
		}
	}()
	for i, f := range p.fields {
		want := p.schema.Field(i).Type
		index := slices.IndexFunc(given.Schema().Fields(), func(g arrow.Field) bool { return p.mapping.Finds(f, g.Name, arrowFieldID(g)) })
		value, partition := p.partitions[strings.ToLower(f.Name)]
		var err error
		switch {
		case partition:
			columns[i], err = partitionColumn(value, f.Type, n)
		case index >= 0:
			column := given.Column(index)
			if err := p.calendar.check(column); err != nil {
				return nil, fmt.Errorf("column %q: %w", f.Name, err)
			}
			if p.mapping != MappingNone {
				column = array.MakeFromData(p.mapping.logical(column.Data(), f.Type))
			}
			columns[i], err = conform(ctx, column, want, how)
		default:
			columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, want, n)
		}
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
	}
	return array.NewRecordBatch(p.schema, columns, int64(n)), nil
}

// yieldNulls is for a file that has none of the table's columns.
func (p *filePlan) yieldNulls(ctx context.Context, rows int64, yield func(arrow.RecordBatch) bool) error {
	for rows > 0 {
		n := min(rows, scanBatchRows)
		batch, err := p.conform(ctx, array.NewRecordBatch(arrow.NewSchema(nil, nil), nil, n), exactTypes)
		if err != nil {
			return err
		}
		if !yield(batch) {
			return nil
		}
		rows -= n
	}
	return nil
}

type parquetSource interface {
	parquet.ReaderAtSeeker
	io.Closer
	failed() error // of the store, since it was opened
}

// openObject opens a data file for reading anywhere in it: in place where the
// bucket is a local folder, in memory where it is small.
func openObject(ctx context.Context, bucket blob.Bucket, key string, size int64) (parquetSource, error) {
	if path, ok := blob.LocalPath(bucket, key); ok {
		local, err := os.Open(path)
		return localFile{local}, err
	}
	if size > wholeObject {
		r := &objectReader{ctx: ctx, bucket: bucket, key: key}
		r.SectionReader = io.NewSectionReader(ranges{r}, 0, size)
		return r, nil
	}
	content, err := blob.ReadAll(ctx, bucket, key)
	if err != nil {
		return nil, err
	}
	return closable{bytes.NewReader(content)}, nil
}

type localFile struct{ *os.File }

func (localFile) failed() error { return nil }

type closable struct{ *bytes.Reader }

func (closable) Close() error  { return nil }
func (closable) failed() error { return nil }

// objectReader reads ranges of an object.
type objectReader struct {
	*io.SectionReader
	ctx    context.Context
	bucket blob.Bucket
	key    string
	err    error
}

func (*objectReader) Close() error    { return nil }
func (r *objectReader) failed() error { return r.err }

type ranges struct{ *objectReader }

func (r ranges) ReadAt(p []byte, offset int64) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	body, err := r.bucket.GetRange(r.ctx, r.key, offset, int64(len(p)))
	if err == nil {
		defer body.Close()
		n, err = io.ReadFull(body, p)
	}
	r.err = err
	return n, err
}
