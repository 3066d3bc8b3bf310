package deltatest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/parquet"
	pq "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"taxilake/lakekit/delta"
)

// file is a data file in the making.
type file struct {
	schema delta.Schema
	root   *node
	rows   []map[string]any
	breaks bool
}

type kind int

const (
	leafKind kind = iota
	structKind
	listKind
	mapKind
)

// node is a node of a file's Parquet schema, with the levels and values of the
// rows below it.
type node struct {
	name     string
	kind     kind
	optional bool
	nulls    bool // it has some
	maxRep   int16
	fields   []delta.Field // of a struct: the table's, of which the file may lack some
	children []*node       // of a list the element, of a map key and value
	leaf     *leaf
}

func (n *node) child(name string) *node {
	for _, child := range n.children {
		if child.name == name {
			return child
		}
	}
	return nil
}

// leaf is a column of Parquet.
type leaf struct {
	dataType delta.DataType
	physical parquet.Type
	logical  schema.LogicalType
	length   int
	def, rep []int16
	values   []string
	ends     []int // of def and rep, by row
	valueEnd []int // of values, by row
}

// newLeaf chooses among the forms in which writers store a type.
func newLeaf(t delta.DataType, other bool) *leaf {
	l := &leaf{dataType: t, logical: schema.NoLogicalType{}, length: -1}
	switch t {
	case delta.Long:
		l.physical = parquet.Types.Int64
	case delta.Integer:
		l.physical = parquet.Types.Int32
	case delta.Double:
		l.physical = parquet.Types.Double
	case delta.Boolean:
		l.physical = parquet.Types.Boolean
	case delta.String:
		l.physical, l.logical = parquet.Types.ByteArray, schema.StringLogicalType{}
	case delta.Binary:
		l.physical = parquet.Types.ByteArray
	case delta.Date:
		l.physical, l.logical = parquet.Types.Int32, schema.DateLogicalType{}
	case delta.Timestamp:
		l.physical, l.logical = parquet.Types.Int64, schema.NewTimestampLogicalType(true, schema.TimeUnitMicros)
		if other {
			l.physical, l.logical = parquet.Types.Int96, schema.NoLogicalType{}
		}
	}
	if d, ok := t.(delta.Decimal); ok {
		l.logical = schema.NewDecimalLogicalType(int32(d.Precision), int32(d.Scale))
		switch {
		case other || d.Precision > 18:
			l.physical, l.length = parquet.Types.FixedLenByteArray, 16
		case d.Precision > 9:
			l.physical = parquet.Types.Int64
		default:
			l.physical = parquet.Types.Int32
		}
	}
	return l
}

// parquet is the node as Parquet's schema has it.
func (n *node) parquet() schema.Node {
	repetition := parquet.Repetitions.Required
	if n.optional {
		repetition = parquet.Repetitions.Optional
	}
	var children schema.FieldList
	for _, child := range n.children {
		children = append(children, child.parquet())
	}
	repeated := func(name string) schema.FieldList {
		return schema.FieldList{schema.MustGroup(schema.NewGroupNode(name, parquet.Repetitions.Repeated, children, -1))}
	}
	switch n.kind {
	case structKind:
		return schema.MustGroup(schema.NewGroupNode(n.name, repetition, children, -1))
	case listKind:
		return schema.MustGroup(schema.NewGroupNodeLogical(n.name, repetition, repeated("list"), schema.ListLogicalType{}, -1))
	case mapKind:
		return schema.MustGroup(schema.NewGroupNodeLogical(n.name, repetition, repeated("key_value"), schema.MapLogicalType{}, -1))
	}
	return schema.MustPrimitive(schema.NewPrimitiveNodeLogical(n.name, repetition, n.leaf.logical, n.leaf.physical, n.leaf.length, -1))
}

// add appends a value: how it is taken apart is Dremel's, see Parquet's
// documentation of nested encoding.
func (n *node) add(value any, def, rep int16) {
	if n.optional {
		if value == nil {
			n.absent(def, rep)
			return
		}
		def++
	}
	each := func(values []any, add func(value any, rep int16)) {
		if len(values) == 0 {
			for _, child := range n.children {
				child.absent(def, rep)
			}
		}
		for i, value := range values {
			if i == 0 {
				add(value, rep)
			} else {
				add(value, n.maxRep)
			}
		}
	}
	switch n.kind {
	case structKind:
		for _, child := range n.children {
			child.add(value.(map[string]any)[child.name], def, rep)
		}
	case listKind:
		each(value.([]any), func(element any, rep int16) { n.children[0].add(element, def+1, rep) })
	case mapKind:
		each(value.([]any), func(pair any, rep int16) {
			n.children[0].add(pair.([]any)[0], def+1, rep)
			n.children[1].add(pair.([]any)[1], def+1, rep)
		})
	case leafKind:
		n.leaf.def, n.leaf.rep = append(n.leaf.def, def), append(n.leaf.rep, rep)
		n.leaf.values = append(n.leaf.values, value.(string))
	}
}

// absent appends nothing to each column below: all that is known is how deep it
// went.
func (n *node) absent(def, rep int16) {
	if n.kind == leafKind {
		n.leaf.def, n.leaf.rep = append(n.leaf.def, def), append(n.leaf.rep, rep)
	}
	for _, child := range n.children {
		child.absent(def, rep)
	}
}

func (n *node) leaves() []*leaf {
	if n.kind == leafKind {
		return []*leaf{n.leaf}
	}
	var leaves []*leaf
	for _, child := range n.children {
		leaves = append(leaves, child.leaves()...)
	}
	return leaves
}

func (f *file) append(row map[string]any) {
	for _, child := range f.root.children {
		child.add(row[child.name], 0, 0)
	}
	delete(row, "not_in_the_table")
	f.rows = append(f.rows, row)
	for _, l := range f.root.leaves() {
		l.ends, l.valueEnd = append(l.ends, len(l.def)), append(l.valueEnd, len(l.values))
	}
}

// encode makes the file, in row groups of so many rows.
func (f *file) encode(groupRows int) (content []byte, err error) {
	var columns schema.FieldList
	for _, child := range f.root.children {
		columns = append(columns, child.parquet())
	}
	root, err := schema.NewGroupNode("spark_schema", parquet.Repetitions.Required, columns, -1)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := pq.NewParquetWriter(&out, root)
	for first := 0; first < len(f.rows); first += groupRows {
		group, err := w.AppendRowGroupChecked()
		if err != nil {
			return nil, err
		}
		for _, l := range f.root.leaves() {
			column, err := group.NextColumn()
			if err != nil {
				return nil, err
			}
			if err := l.write(column, first, min(first+groupRows, len(f.rows))); err != nil {
				return nil, err
			}
			if err := column.Close(); err != nil {
				return nil, err
			}
		}
		if err := group.Close(); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// write writes the rows from one to before another.
func (l *leaf) write(column pq.ColumnChunkWriter, first, end int) error {
	from, valueFrom := 0, 0
	if first > 0 {
		from, valueFrom = l.ends[first-1], l.valueEnd[first-1]
	}
	def, rep, texts := l.def[from:l.ends[end-1]], l.rep[from:l.ends[end-1]], l.values[valueFrom:l.valueEnd[end-1]]
	var err error
	switch column := column.(type) {
	case *pq.Int64ColumnChunkWriter:
		_, err = column.WriteBatch(physical(texts, l.int64), def, rep)
	case *pq.Int32ColumnChunkWriter:
		_, err = column.WriteBatch(physical(texts, func(text string) int32 { return int32(l.int64(text)) }), def, rep)
	case *pq.Float64ColumnChunkWriter:
		_, err = column.WriteBatch(physical(texts, float), def, rep)
	case *pq.BooleanColumnChunkWriter:
		_, err = column.WriteBatch(physical(texts, func(text string) bool { return text == "true" }), def, rep)
	case *pq.ByteArrayColumnChunkWriter:
		_, err = column.WriteBatch(physical(texts, l.bytes), def, rep)
	case *pq.FixedLenByteArrayColumnChunkWriter:
		_, err = column.WriteBatch(physical(texts, fixed), def, rep)
	case *pq.Int96ColumnChunkWriter:
		_, err = column.WriteBatch(physical(texts, int96), def, rep)
	default:
		err = fmt.Errorf("no values for %T", column)
	}
	return err
}

func physical[T any](texts []string, value func(string) T) []T {
	values := make([]T, len(texts))
	for i, text := range texts {
		values[i] = value(text)
	}
	return values
}

const microsLayout = "2006-01-02T15:04:05.000000"

func (l *leaf) int64(text string) int64 {
	switch l.dataType {
	case delta.Date:
		return parseTime(time.DateOnly, text).Unix() / 86400
	case delta.Timestamp:
		return parseTime(microsLayout, text).UnixMicro()
	}
	return unscaled(text).Int64()
}

func (l *leaf) bytes(text string) parquet.ByteArray {
	if l.dataType != delta.Binary {
		return parquet.ByteArray(text)
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return raw
}

func parseTime(layout, text string) time.Time {
	at, err := time.Parse(layout, text)
	if err != nil {
		panic(err)
	}
	return at
}

func float(text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err)
	}
	return v
}

// unscaled is a whole number, or a decimal without its point.
func unscaled(text string) *big.Int {
	n, ok := new(big.Int).SetString(strings.Replace(text, ".", "", 1), 10)
	if !ok {
		panic(text)
	}
	return n
}

// fixed is an unscaled decimal, big-endian in two's complement.
func fixed(text string) parquet.FixedLenByteArray {
	n := unscaled(text)
	if n.Sign() < 0 {
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	return n.FillBytes(make([]byte, 16))
}

func int96(text string) (value parquet.Int96) {
	const julianEpoch = 2440588
	at := parseTime(microsLayout, text)
	day := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
	binary.LittleEndian.PutUint64(value[:], uint64(at.Sub(day)))
	binary.LittleEndian.PutUint32(value[8:], uint32(day.Unix()/86400+julianEpoch))
	return value
}

// scalar draws a value: the extremes of a type, and few enough of the others
// that they come again.
func (g generator) scalar(t delta.DataType) string {
	choose := func(texts ...string) string { return texts[g.IntN(len(texts))] }
	switch t {
	case delta.Long:
		return choose("0", "1", "-1", "9223372036854775807", "-9223372036854775808", strconv.Itoa(g.IntN(1000)))
	case delta.Integer:
		return choose("0", "1", "-1", "2147483647", "-2147483648", strconv.Itoa(g.IntN(1000)))
	case delta.Double:
		return choose("0", "-0", "1.5", "-1.7976931348623157e+308", "5e-324", "Inf", "-Inf", "NaN", strconv.Itoa(g.IntN(1000)))
	case delta.Boolean:
		return choose("true", "false")
	case delta.String:
		return choose("", " ", "a", "NULL", "üñí\x00", "\U0010FFFF", strings.Repeat("long ", 5000), strconv.Itoa(g.IntN(1000)))
	case delta.Binary:
		return choose("", "00", "ff00fe", strings.Repeat("0a", 300), fmt.Sprintf("%04x", g.IntN(1000)))
	case delta.Date:
		return choose("0001-01-01", "1582-10-04", "1582-10-15", "1969-12-31", "1970-01-01", "9999-12-31", fmt.Sprintf("20%02d-02-03", g.IntN(100)))
	case delta.Timestamp:
		return choose("0001-01-01T00:00:00.000000", "1582-10-04T23:59:59.999999", "1677-09-21T00:12:43.145224", "1969-12-31T23:59:59.999999",
			"1970-01-01T00:00:00.000000", "2262-04-11T23:47:16.854776", "9999-12-31T23:59:59.999999", fmt.Sprintf("20%02d-02-03T04:05:06.007008", g.IntN(100)))
	}
	d := t.(delta.Decimal)
	digits := strings.Repeat("9", d.Precision)
	most := strings.TrimSuffix(digits[:d.Precision-d.Scale]+"."+digits[:d.Scale], ".")
	one := strings.TrimSuffix("1."+strings.Repeat("0", d.Scale), ".")
	zero := strings.TrimSuffix("0."+strings.Repeat("0", d.Scale), ".")
	return choose(most, "-"+most, one, "-"+one, zero)
}
