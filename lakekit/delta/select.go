package delta

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// selection is a scan of some columns and rows.
type selection struct {
	snapshot  *Snapshot // with the columns to read alone
	files     []*Add
	columns   []Field
	predicate predicate
}

func (s *Snapshot) selection(ctx context.Context, opts ScanOptions) (*selection, error) {
	out := &selection{columns: s.schema.Fields}
	if opts.Columns != nil {
		out.columns = nil
		for _, name := range opts.Columns {
			f, ok := s.schema.Field(name)
			if !ok {
				return nil, fmt.Errorf("%w: there is no column %q (they are: %s)", ErrInvalid, name, fieldList(s.schema.Fields))
			}
			out.columns = append(out.columns, f)
		}
	}
	if strings.TrimSpace(opts.Where) != "" {
		var err error
		if out.predicate, err = parsePredicate(opts.Where, s.schema.Fields, "column"); err != nil {
			return nil, fmt.Errorf("%w: condition %q: %w", ErrInvalid, opts.Where, err)
		}
	}
	out.snapshot = s.reading(func(f Field) bool {
		return slices.ContainsFunc(out.columns, func(g Field) bool { return g.Name == f.Name }) ||
			slices.ContainsFunc(out.predicate, func(c condition) bool { return c.column.Name == f.Name })
	})
	files := s.adds
	if opts.Added {
		var err error
		if files, err = s.added(ctx); err != nil {
			return nil, err
		}
	}
	for _, add := range files {
		holds, err := s.canHold(add, out.predicate)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, add.Path, err)
		}
		if holds {
			out.files = append(out.files, add)
		}
	}
	return out, nil
}

// added are the files that the snapshot's commit added.
func (s *Snapshot) added(ctx context.Context) ([]*Add, error) {
	commit, err := s.table.readBack(ctx, s.version)
	if err != nil {
		return nil, fmt.Errorf("version %d: %w", s.version, err)
	}
	paths := map[string]bool{}
	for _, add := range commit.adds {
		paths[add.Path] = true
	}
	return slices.DeleteFunc(slices.Clone(s.adds), func(add *Add) bool { return !paths[add.Path] }), nil
}

// canHold is whether a file may have rows for which the predicate is true, by its
// partition and its statistics.
func (s *Snapshot) canHold(add *Add, p predicate) (bool, error) {
	mapping := s.ColumnMapping()
	var ofData predicate
	for _, c := range p {
		if !s.isPartitionColumn(c.column.Name) {
			ofData = append(ofData, c)
		} else if holds, err := c.matches(add.PartitionValues[mapping.PhysicalName(c.column)]); err != nil || !holds {
			return false, err
		}
	}
	if len(ofData) == 0 {
		return true, nil // the statistics, which are long, are not read
	}
	stats, known := add.ParseStats()
	return !known || !slices.ContainsFunc(ofData, func(c condition) bool {
		return c.ruledOut(stats, mapping.PhysicalName(c.column))
	}), nil
}

// ruledOut is whether the statistics show that no row meets the condition. Of
// floats they do not: writers leave NaN, which is above all, out of the bounds.
func (c condition) ruledOut(stats Stats, name string) bool {
	nulls, counted := jsonInt(stats.NullCount[name])
	if c.operator == "IS NULL" {
		return counted && nulls == 0
	}
	if counted && nulls == stats.NumRecords {
		return true
	}
	if c.column.Type == Float || c.column.Type == Double || c.column.Type == Binary {
		return false
	}
	low, hasLow := boundKey(stats.MinValues[name], c.column.Type)
	high, hasHigh := boundKey(stats.MaxValues[name], c.column.Type)
	if at, is := high.(time.Time); is && c.column.Type != Date {
		high = at.Add(time.Millisecond) // bounds are of milliseconds, and cut
	}
	if c.column.Type == String {
		hasHigh = false // some writers cut it
	}
	beyond := func(v any) bool {
		return hasLow && compareKeys(v, low) < 0 || hasHigh && compareKeys(v, high) > 0
	}
	switch c.operator {
	case "=", "IN":
		return !slices.ContainsFunc(c.values, func(v any) bool { return !beyond(v) })
	case "<":
		return hasLow && compareKeys(low, c.values[0]) >= 0
	case "<=":
		return hasLow && compareKeys(low, c.values[0]) > 0
	case ">":
		return hasHigh && compareKeys(high, c.values[0]) <= 0
	case ">=":
		return hasHigh && compareKeys(high, c.values[0]) < 0
	}
	return false
}

func jsonInt(value any) (int64, bool) {
	number, ok := value.(json.Number)
	n, err := number.Int64()
	return n, ok && err == nil
}

// boundKey is a bound of the statistics as partitionKey makes it.
func boundKey(value any, t DataType) (any, bool) {
	if value == nil {
		return nil, false
	}
	key, err := partitionKey(fmt.Sprint(value), t)
	return key, err == nil
}

func (s *selection) rows(ctx context.Context) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for batch, err := range s.snapshot.scanFiles(ctx, s.files) {
			if err != nil {
				yield(nil, err)
				return
			}
			chosen, err := s.choose(ctx, batch)
			if err != nil {
				yield(nil, err)
				return
			}
			more := chosen.NumRows() == 0 || yield(chosen, nil)
			chosen.Release()
			if !more {
				return
			}
		}
	}
}

// choose takes the rows and columns out of a batch; the caller releases it.
func (s *selection) choose(ctx context.Context, batch arrow.RecordBatch) (arrow.RecordBatch, error) {
	index := func(f Field) int { return batch.Schema().FieldIndices(f.Name)[0] }
	columns := make([]arrow.Array, len(s.columns))
	fields := make([]arrow.Field, len(s.columns))
	for i, f := range s.columns {
		columns[i], fields[i] = batch.Column(index(f)), batch.Schema().Field(index(f))
	}
	chosen := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, batch.NumRows())
	if len(s.predicate) == 0 {
		return chosen, nil
	}
	defer chosen.Release()
	rows := everyRow(batch)
	for _, c := range s.predicate {
		c.keep(rows, batch.Column(index(c.column)))
	}
	return keepRows(ctx, chosen, rows)
}

// keep takes out the rows for which the condition is not true.
func (c condition) keep(rows []bool, column arrow.Array) {
	switch c.operator {
	case "IS NULL", "IS NOT NULL":
		for i := range rows {
			rows[i] = rows[i] && column.IsNull(i) == (c.operator == "IS NULL")
		}
		return
	}
	order := orderOf(column, c.column.Type)
	for i := range rows {
		rows[i] = rows[i] && column.IsValid(i) && c.holds(func(value any) int { return order(i, value) })
	}
}

// orderOf compares rows of a column with values that partitionKey made of its type.
func orderOf(column arrow.Array, t DataType) func(row int, value any) int {
	switch column := column.(type) {
	case *array.Int8:
		return orderOfInts(column)
	case *array.Int16:
		return orderOfInts(column)
	case *array.Int32:
		return orderOfInts(column)
	case *array.Int64:
		return orderOfInts(column)
	case *array.Float32:
		return func(i int, value any) int { return compareKeys(float64(column.Value(i)), value) }
	case *array.Float64:
		return func(i int, value any) int { return compareKeys(column.Value(i), value) }
	case *array.Decimal128:
		unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.(Decimal).Scale)), nil)
		return func(i int, value any) int {
			return new(big.Rat).SetFrac(column.Value(i).BigInt(), unit).Cmp(value.(*big.Rat))
		}
	case *array.Boolean:
		return func(i int, value any) int { return compareKeys(column.Value(i), value) }
	case *array.Date32:
		return func(i int, value any) int { return column.Value(i).ToTime().Compare(value.(time.Time)) }
	case *array.Timestamp:
		return func(i int, value any) int { return time.UnixMicro(int64(column.Value(i))).Compare(value.(time.Time)) }
	case *array.Binary:
		return func(i int, value any) int { return cmp.Compare(string(column.Value(i)), value.(string)) }
	case *array.String:
		return func(i int, value any) int { return cmp.Compare(column.Value(i), value.(string)) }
	}
	panic(fmt.Sprintf("no order of %s", column.DataType())) // parsePredicate lets no other type through
}

func orderOfInts[T ~int8 | ~int16 | ~int32 | ~int64](column interface{ Value(int) T }) func(int, any) int {
	return func(i int, value any) int {
		number := value.(*big.Rat)
		if number.IsInt() && number.Num().IsInt64() {
			return cmp.Compare(int64(column.Value(i)), number.Num().Int64())
		}
		return new(big.Rat).SetInt64(int64(column.Value(i))).Cmp(number)
	}
}
