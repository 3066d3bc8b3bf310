package query

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"taxilake/lakekit/api"
)

// Engine and worker exchange these structs as one stream of gob each way: a
// request, then its replies, of which only the rows of a result take several.

// request is one of its fields.
type request struct {
	Open   *openRequest
	Parse  *parseRequest
	Exec   []string // statements without a result
	Append *appendRequest
	Values *valuesRequest
	Run    *runRequest
	Reset  bool // ready DuckDB for another statement
}

// openRequest readies a worker for statements.
type openRequest struct {
	TempDir string
	Memory  int64 // of the process
	Temp    int64
	Threads int
}

type parseRequest struct{ Statement, TimeZone string }

// appendRequest appends rows of text and whole numbers to a table.
type appendRequest struct {
	Table string
	Rows  part
}

// valuesRequest asks for the rows of a statement of the engine's.
type valuesRequest struct {
	SQL       string
	Arguments []string
}

// runRequest runs what was parsed.
type runRequest struct {
	Columns []string    // of the tables, for suggestions
	Schemas []string    // of the tables, as JSON, if one has floats
	Tables  map[int]int // indexes of their schemas, by their byte of the statement
	MaxRows int         // negative for no bound
	Result  int64       // bytes of the result, without a bound of rows those of a row
}

// reply ends an exchange, unless it has a part of the rows.
type reply struct {
	Error   *wireError
	Parsed  *parsedReply
	Columns []resultColumn // before the rows
	Part    *part
	Beyond  bool // the result is larger than asked for
	Spent   bool // after Reset: the process has grown, another one is to take its place
}

type parsedReply struct {
	Explain string
	Tables  []tableRef
	Wheres  []string // WHERE clauses in DuckDB's syntax tree, as JSON
	Filters []wireFilter
}

// wireFilter is the filter of a table.
type wireFilter struct {
	Table, Where int // indexes
	Alias        string
	Alone        bool
}

// wireError is an error with what the engine asks errors for.
type wireError struct {
	Text    string
	Mistake *Error
	Failure *failure
}

func toWire(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Text: err.Error()}
	if mistake, ok := errors.AsType[*Error](err); ok {
		bare := *mistake
		bare.Err = nil // the failure, or nothing that the engine asks for
		w.Mistake = &bare
	}
	if f, ok := readFailure(err); ok {
		w.Failure = &f
	}
	return w
}

func (w *wireError) err() error {
	switch {
	case w == nil:
		return nil
	case w.Mistake != nil && w.Failure != nil:
		w.Mistake.Err = *w.Failure
		return w.Mistake
	case w.Mistake != nil:
		return w.Mistake
	case w.Failure != nil:
		return *w.Failure
	}
	return errors.New(w.Text)
}

// part is rows of cells, one after the other: a tag, then the value.
type part struct {
	Rows  int
	Cells string
}

const (
	tagNull byte = iota
	tagFalse
	tagTrue
	tagInt     // varint
	tagDouble  // 8 bytes
	tagDecimal // text
	tagText    // length, bytes
	tagBinary
	tagUTC     // seconds since 1970, nanoseconds
	tagInstant // the same, shown in the session time zone
	tagList    // number of elements, elements
	tagMap     // number of entries, keys and values in turn
	tagStruct  // the members in the order of their type
)

// encoder writes cells.
type encoder struct {
	cells   []byte
	values  int
	escapes int
}

// size of what is written, as Go holds it, and longer if it will be as JSON.
func (e *encoder) size() int64 { return int64(len(e.cells)+e.escapes) + 16*int64(e.values) }

func (e *encoder) reset() { e.cells, e.values, e.escapes = e.cells[:0], 0, 0 }

func (e *encoder) tag(tag byte) {
	e.values++
	e.cells = append(e.cells, tag)
}

func (e *encoder) int(n int64) {
	e.tag(tagInt)
	e.cells = binary.AppendVarint(e.cells, n)
}

func (e *encoder) double(x float64) {
	e.tag(tagDouble)
	e.cells = binary.LittleEndian.AppendUint64(e.cells, math.Float64bits(x))
}

func (e *encoder) text(tag byte, s string) {
	e.tag(tag)
	e.cells = binary.AppendUvarint(e.cells, uint64(len(s)))
	e.cells = append(e.cells, s...)
	if tag == tagText {
		e.escapes += escapes(s)
	}
}

// escapes counts how many bytes a text is longer in JSON.
func escapes(s string) (n int) {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ':
			n += len(`\u0000`) - 1
		case c == '"' || c == '\\':
			n++
		}
	}
	return n
}

func (e *encoder) time(tag byte, seconds, nanoseconds int64) {
	e.tag(tag)
	e.cells = binary.AppendVarint(e.cells, seconds)
	e.cells = binary.AppendUvarint(e.cells, uint64(nanoseconds))
}

func (e *encoder) count(tag byte, n uint64) {
	e.tag(tag)
	e.cells = binary.AppendUvarint(e.cells, n)
}

var errBrokenPart = errors.New("the rows of the result are broken")

// decodeRows reads the rows of a part.
func decodeRows(p part, columns []resultColumn, location *time.Location) (rows [][]any, err error) {
	d := decoder{rest: p.Cells, location: location}
	width := len(columns)
	if width == 0 || p.Rows < 0 || p.Rows > len(p.Cells)/width { // a cell takes a byte
		if p.Rows == 0 {
			return nil, nil
		}
		return nil, errBrokenPart
	}
	cells := make([]any, p.Rows*width)
	rows = make([][]any, p.Rows)
	for i := range rows {
		row := cells[i*width : (i+1)*width : (i+1)*width]
		for j := range row {
			row[j] = d.cell(&columns[j].Type)
		}
		rows[i] = row
	}
	if d.broken || d.rest != "" {
		return nil, errBrokenPart
	}
	return rows, nil
}

type decoder struct {
	rest     string
	location *time.Location
	broken   bool
}

func (d *decoder) cell(t *valueType) any {
	if d.rest == "" {
		d.broken = true
	}
	if d.broken {
		return nil
	}
	tag := d.rest[0]
	d.rest = d.rest[1:]
	switch tag {
	case tagNull:
		return nil
	case tagFalse, tagTrue:
		return tag == tagTrue
	case tagInt:
		return d.varint()
	case tagDouble:
		if len(d.rest) < 8 {
			break
		}
		bits := binary.LittleEndian.Uint64([]byte(d.rest[:8]))
		d.rest = d.rest[8:]
		return math.Float64frombits(bits)
	case tagDecimal:
		return api.Decimal(d.text())
	case tagText:
		return d.text()
	case tagBinary:
		return []byte(d.text())
	case tagUTC:
		return time.Unix(d.varint(), int64(d.uvarint())).UTC()
	case tagInstant:
		return time.Unix(d.varint(), int64(d.uvarint())).In(d.location)
	case tagList:
		return d.list(t)
	case tagMap:
		return d.entries(t)
	case tagStruct:
		return d.members(t)
	}
	d.broken = true
	return nil
}

func (d *decoder) list(t *valueType) any {
	n := d.length()
	if len(t.Children) != 1 {
		d.broken = true
		return nil
	}
	list := make([]any, n)
	for i := range list {
		list[i] = d.cell(&t.Children[0])
	}
	return list
}

func (d *decoder) entries(t *valueType) any {
	n := d.length()
	if len(t.Children) != 2 {
		d.broken = true
		return nil
	}
	entries := make([]api.MapEntry, n)
	for i := range entries {
		entries[i].Key = d.cell(&t.Children[0])
		entries[i].Value = d.cell(&t.Children[1])
	}
	return entries
}

func (d *decoder) members(t *valueType) any {
	if len(t.Children) != len(t.Fields) {
		d.broken = true
		return nil
	}
	members := make(map[string]any, len(t.Fields))
	for i, name := range t.Fields {
		members[name] = d.cell(&t.Children[i])
	}
	return members
}

// length is a number of things of which each takes at least a byte.
func (d *decoder) length() int {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.broken = true
		return 0
	}
	return int(n)
}

func (d *decoder) text() string {
	n := d.length()
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) uvarint() uint64 {
	var n uint64
	for i := range min(len(d.rest), binary.MaxVarintLen64) {
		b := d.rest[i]
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			d.rest = d.rest[i+1:]
			return n
		}
	}
	d.broken = true
	return 0
}

func (d *decoder) varint() int64 {
	n := d.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}
