package delta

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

const (
	// zSampleRows are drawn to learn how the columns' values are distributed.
	zSampleRows = 10_000
	// zBucketBytes of data files are made a bucket, whose rows take several times
	// as much.
	zBucketBytes = 32 << 20
	// zSortBytes of rows are sorted in memory at once, where they are there twice.
	// A column of texts that repeat can be a thousand times its file.
	zSortBytes = 256 << 20
	// zMaxBuckets bounds the temporary files that are open at once.
	zMaxBuckets = 256
)

// zOrderColumns checks the names and gives them their spelling in the schema.
func (s *Snapshot) zOrderColumns(names []string) ([]string, error) {
	var columns []string
	for _, name := range names {
		f, ok := s.schema.Field(name)
		if !ok {
			return nil, fmt.Errorf("%w: cannot order by %q: no such column", ErrInvalid, name)
		}
		if s.isPartitionColumn(f.Name) {
			return nil, fmt.Errorf("%w: cannot order by %q: in a partition it has one value", ErrInvalid, name)
		}
		switch f.Type.(type) {
		case Primitive, Decimal:
		default:
			return nil, fmt.Errorf("%w: cannot order by %q: a %s has no order", ErrInvalid, name, f.Type)
		}
		if slices.Contains(columns, f.Name) {
			return nil, fmt.Errorf("%w: cannot order by %q twice", ErrInvalid, name)
		}
		columns = append(columns, f.Name)
	}
	return columns, nil
}

// rewriteOrdered copies the rows of files, ordered along a Z curve, into files
// of the target size. Rows are distributed over buckets of the curve on the
// local disk, and sorted bucket by bucket, so that memory does not grow with
// the partition.
func (s *Snapshot) rewriteOrdered(ctx context.Context, files []*Add, columns []string, targetSize int64) ([]Add, error) {
	size := int64(0)
	for _, f := range files {
		size += f.Size
	}
	curve, err := s.sampleCurve(ctx, files, columns, int(min(zMaxBuckets, 1+size/zBucketBytes)))
	if err != nil {
		return nil, err
	}
	buckets, err := curve.distribute(ctx, s.scanToRewrite(ctx, files))
	defer buckets.close()
	if err != nil {
		return nil, err
	}
	return s.rewriteFiles(ctx, files, targetSize, curve.sorted(ctx, buckets))
}

// zCurve orders rows by the interleaved ranks of their values.
type zCurve struct {
	columns   []string
	bounds    [][][]byte // by column: the distinct keys of the sample, sorted
	splits    []uint64   // where the second and later buckets begin
	sortBytes int64      // of a larger bucket, buckets are made again
}

// sampleCurve draws rows by reservoir, the same ones each time.
func (s *Snapshot) sampleCurve(ctx context.Context, files []*Add, columns []string, buckets int) (*zCurve, error) {
	projected := s.reading(func(f Field) bool { return slices.Contains(columns, f.Name) })
	random := rand.New(rand.NewPCG(1, 2))
	var sample [][][]byte // rows of keys
	seen := 0
	for batch, err := range projected.scanFiles(ctx, files) {
		if err != nil {
			return nil, err
		}
		keys := zKeys(batch, columns)
		for i := range int(batch.NumRows()) {
			seen++
			slot := len(sample)
			if slot == zSampleRows {
				if slot = random.IntN(seen); slot >= zSampleRows {
					continue
				}
			} else {
				sample = append(sample, nil)
			}
			row := make([][]byte, len(columns))
			for c, key := range keys {
				row[c] = key(nil, i)
			}
			sample[slot] = row
		}
	}
	curve := &zCurve{columns: columns, sortBytes: zSortBytes}
	for c := range columns {
		keys := make([][]byte, len(sample))
		for i, row := range sample {
			keys[i] = row[c]
		}
		slices.SortFunc(keys, bytes.Compare)
		curve.bounds = append(curve.bounds, slices.CompactFunc(keys, bytes.Equal))
	}
	values := make([]uint64, len(sample))
	for i, row := range sample {
		values[i] = curve.value(func(c int) []byte { return row[c] })
	}
	slices.Sort(values)
	for b := 1; b < buckets && len(values) > 0; b++ {
		curve.splits = append(curve.splits, values[b*len(values)/buckets])
	}
	return curve, nil
}

// value interleaves the bits of the ranks, the first column's highest first.
func (z *zCurve) value(key func(column int) []byte) uint64 {
	width := min(16, 64/len(z.columns))
	ranks := make([]uint64, len(z.columns))
	for c, bounds := range z.bounds {
		rank, _ := slices.BinarySearchFunc(bounds, key(c), bytes.Compare)
		ranks[c] = uint64(rank) * (1<<width - 1) / uint64(max(1, len(bounds)))
	}
	var z64 uint64
	for bit := width - 1; bit >= 0; bit-- {
		for _, rank := range ranks {
			z64 = z64<<1 | rank>>bit&1
		}
	}
	return z64
}

// values are those of all rows of a batch.
func (z *zCurve) values(batch arrow.RecordBatch) []uint64 {
	keys := zKeys(batch, z.columns)
	scratch := make([][]byte, len(keys))
	out := make([]uint64, batch.NumRows())
	for i := range out {
		out[i] = z.value(func(c int) []byte {
			scratch[c] = keys[c](scratch[c][:0], i)
			return scratch[c]
		})
	}
	return out
}

func (z *zCurve) bucket(value uint64) int {
	return sort.Search(len(z.splits), func(i int) bool { return z.splits[i] > value })
}

// zKeys append, for each column, the key of a value to a slice: bytes whose
// order is the order of the values, null first.
func zKeys(batch arrow.RecordBatch, columns []string) []func([]byte, int) []byte {
	keys := make([]func([]byte, int) []byte, len(columns))
	for c, name := range columns {
		column := batch.Column(batch.Schema().FieldIndices(name)[0])
		value := zKey(column)
		keys[c] = func(dst []byte, i int) []byte {
			if column.IsNull(i) {
				return dst
			}
			return value(append(dst, 1), i)
		}
	}
	return keys
}

func zKey(column arrow.Array) func([]byte, int) []byte {
	signed := func(dst []byte, v int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(v)^1<<63) }
	switch column := column.(type) {
	case *array.Int64:
		return func(dst []byte, i int) []byte { return signed(dst, column.Value(i)) }
	case *array.Int32:
		return func(dst []byte, i int) []byte { return signed(dst, int64(column.Value(i))) }
	case *array.Int16:
		return func(dst []byte, i int) []byte { return signed(dst, int64(column.Value(i))) }
	case *array.Int8:
		return func(dst []byte, i int) []byte { return signed(dst, int64(column.Value(i))) }
	case *array.Date32:
		return func(dst []byte, i int) []byte { return signed(dst, int64(column.Value(i))) }
	case *array.Timestamp:
		return func(dst []byte, i int) []byte { return signed(dst, int64(column.Value(i))) }
	case *array.Float64:
		return func(dst []byte, i int) []byte { return appendFloatKey(dst, column.Value(i)) }
	case *array.Float32:
		return func(dst []byte, i int) []byte { return appendFloatKey(dst, float64(column.Value(i))) }
	case *array.Decimal128:
		return func(dst []byte, i int) []byte {
			v := column.Value(i)
			return binary.BigEndian.AppendUint64(signed(dst, v.HighBits()), v.LowBits())
		}
	case *array.Boolean:
		return func(dst []byte, i int) []byte {
			if column.Value(i) {
				return append(dst, 1)
			}
			return append(dst, 0)
		}
	case *array.Binary:
		return func(dst []byte, i int) []byte { return append(dst, column.Value(i)...) }
	case *array.String:
		return func(dst []byte, i int) []byte { return append(dst, column.Value(i)...) }
	}
	panic(fmt.Sprintf("no order for %s", column.DataType())) // zOrderColumns lets none through
}

// appendFloatKey: NaN above all numbers.
func appendFloatKey(dst []byte, v float64) []byte {
	bits := math.Float64bits(v)
	switch {
	case v != v:
		bits = math.MaxUint64
	case bits>>63 == 1:
		bits = ^bits
	default:
		bits |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(dst, bits)
}

// zBuckets are the rows of each bucket, in temporary files.
type zBuckets []*zBucket

type zBucket struct {
	spool  *os.File
	writer *ipc.Writer
	size   int64 // bytes, when all rows are there
}

// distribute writes each row to the file of its bucket.
func (z *zCurve) distribute(ctx context.Context, rows iter.Seq2[arrow.RecordBatch, error]) (zBuckets, error) {
	buckets := make(zBuckets, len(z.splits)+1)
	for batch, err := range rows {
		if err != nil {
			return buckets, err
		}
		members := make([][]int64, len(buckets))
		for i, value := range z.values(batch) {
			b := z.bucket(value)
			members[b] = append(members[b], int64(i))
		}
		for b, indices := range members {
			if len(indices) == 0 {
				continue
			}
			taken, err := takeRows(ctx, batch, indices)
			if err != nil {
				return buckets, err
			}
			if buckets[b] == nil {
				if buckets[b], err = newZBucket(batch.Schema()); err != nil {
					return buckets, err
				}
			}
			err = buckets[b].writer.Write(taken)
			taken.Release()
			if err != nil {
				return buckets, fmt.Errorf("spill rows to order: %w", err)
			}
		}
	}
	for _, b := range buckets {
		if b != nil {
			err := b.writer.Close()
			if err == nil {
				b.size, err = b.spool.Seek(0, io.SeekCurrent)
			}
			if err != nil {
				return buckets, fmt.Errorf("spill rows to order: %w", err)
			}
		}
	}
	return buckets, nil
}

func newZBucket(schema *arrow.Schema) (*zBucket, error) {
	spool, err := newSpool()
	if err != nil {
		return nil, fmt.Errorf("make a temporary file for rows to order: %w", err)
	}
	return &zBucket{spool: spool, writer: ipc.NewWriter(spool, ipc.WithSchema(schema))}, nil
}

func (buckets zBuckets) close() {
	for _, b := range buckets {
		if b != nil {
			b.spool.Close()
		}
	}
}

// sorted are all rows in the order of the curve.
func (z *zCurve) sorted(ctx context.Context, buckets zBuckets) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for _, b := range buckets {
			if b == nil {
				continue
			}
			for rows, err := range z.sortedBucket(ctx, b) {
				if !yield(rows, err) || err != nil {
					return
				}
			}
		}
	}
}

func (z *zCurve) sortedBucket(ctx context.Context, b *zBucket) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		if b.size > z.sortBytes {
			finer, err := z.split(b)
			if err != nil {
				yield(nil, fmt.Errorf("order rows: %w", err))
				return
			}
			rows := b.batches()
			if len(finer.splits) > 0 { // else they have one value, and are in order
				buckets, err := finer.distribute(ctx, rows)
				defer buckets.close()
				if err != nil {
					yield(nil, err)
					return
				}
				rows = finer.sorted(ctx, buckets)
			}
			rows(yield)
			return
		}
		rows, err := b.load()
		if err == nil {
			rows, err = z.sort(ctx, rows)
		}
		if err != nil {
			yield(nil, fmt.Errorf("order rows: %w", err))
			return
		}
		yield(rows, nil)
		rows.Release()
	}
}

// split is the curve with buckets inside of one that is too large.
func (z *zCurve) split(b *zBucket) (*zCurve, error) {
	var values []uint64
	for batch, err := range b.batches() {
		if err != nil {
			return nil, err
		}
		values = append(values, z.values(batch)...)
	}
	slices.Sort(values)
	finer := *z
	finer.splits = nil
	parts := int(min(zMaxBuckets, 1+b.size/z.sortBytes))
	for part := 1; part < parts; part++ {
		finer.splits = append(finer.splits, values[part*len(values)/parts])
	}
	finer.splits = append(finer.splits, values[len(values)-1]) // smaller for certain, if there are two values
	finer.splits = slices.DeleteFunc(slices.Compact(finer.splits), func(v uint64) bool { return v == values[0] })
	return &finer, nil
}

// batches are the rows as they came.
func (b *zBucket) batches() iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		_, err := b.spool.Seek(0, io.SeekStart)
		if err != nil {
			yield(nil, err)
			return
		}
		reader, err := ipc.NewReader(b.spool)
		if err != nil {
			yield(nil, err)
			return
		}
		defer reader.Release()
		for reader.Next() {
			if !yield(reader.RecordBatch(), nil) {
				return
			}
		}
		if reader.Err() != nil {
			yield(nil, reader.Err())
		}
	}
}

// load reads a bucket as one batch.
func (b *zBucket) load() (arrow.RecordBatch, error) {
	var batches []arrow.RecordBatch
	defer func() {
		for _, batch := range batches {
			batch.Release()
		}
	}()
	rows := int64(0)
	for batch, err := range b.batches() {
		if err != nil {
			return nil, err
		}
		batch.Retain()
		batches = append(batches, batch)
		rows += batch.NumRows()
	}
	if len(batches) == 0 {
		return nil, errors.New("a bucket has no rows")
	}
	var err error
	columns := make([]arrow.Array, batches[0].NumCols())
	for c := range columns {
		parts := make([]arrow.Array, len(batches))
		for i, batch := range batches {
			parts[i] = batch.Column(c)
		}
		if columns[c], err = array.Concatenate(parts, memory.DefaultAllocator); err != nil {
			return nil, err
		}
		defer columns[c].Release()
	}
	return array.NewRecordBatch(batches[0].Schema(), columns, rows), nil
}

// sort takes over the rows.
func (z *zCurve) sort(ctx context.Context, rows arrow.RecordBatch) (arrow.RecordBatch, error) {
	defer rows.Release()
	values := z.values(rows)
	order := make([]int64, len(values))
	for i := range order {
		order[i] = int64(i)
	}
	slices.SortFunc(order, func(a, b int64) int { return cmp.Or(cmp.Compare(values[a], values[b]), cmp.Compare(a, b)) })
	return takeRows(ctx, rows, order)
}

// takeRows are the rows with these indices, in this order.
func takeRows(ctx context.Context, rows arrow.RecordBatch, indices []int64) (arrow.RecordBatch, error) {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	b.AppendValues(indices, nil)
	column := b.NewArray()
	defer column.Release()
	taken, err := compute.Take(ctx, *compute.DefaultTakeOptions(), compute.NewDatumWithoutOwning(rows), compute.NewDatumWithoutOwning(column))
	if err != nil {
		return nil, err
	}
	return taken.(*compute.RecordDatum).Value, nil
}
