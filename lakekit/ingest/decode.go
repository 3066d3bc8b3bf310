package ingest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// decoder turns JSON objects into rows of an arrow record batch, one member a
// column by its exact name. Members the schema does not have are ignored, of
// a repeated member the last counts, and an absent one is null.
//
// A row is appended whole or not at all: an error is the reason for the dead
// letter, and names the field and the problem.
type decoder struct {
	columns []column
	byName  map[string]int
	builder *array.RecordBuilder
	scan    jsonScanner
	name    []byte // of a member, unquoted
	size    int64
}

// column is one column and the value found for it in the present record.
type column struct {
	name     string
	member   string // the name as a member begins: in quotes, with the colon
	required bool
	want     string // the type, for people
	value    jsonValue
	// convert reads value into the fields below; it is not called for null.
	convert func(*column) error
	append  func(*column)
	null    func()
	width   int64 // bytes of a value, without the content of strings

	integer int64
	float   float64
	bytes   []byte // for strings: the record's own bytes, or scratch
	scratch []byte
}

var (
	errWrongType  = errors.New("wrong type")
	errOutOfRange = errors.New("out of range")
)

// newDecoder makes a decoder for a schema of primitive columns. Required are
// the columns that must be there and not null, besides those the schema says
// are.
func newDecoder(schema *arrow.Schema, required []string) (*decoder, error) {
	d := &decoder{
		columns: make([]column, schema.NumFields()),
		byName:  make(map[string]int, schema.NumFields()),
		builder: array.NewRecordBuilder(memory.DefaultAllocator, schema),
	}
	for i, field := range schema.Fields() {
		c := &d.columns[i]
		c.name, c.required = field.Name, !field.Nullable || slices.Contains(required, field.Name)
		c.member = `"` + field.Name + `":`
		d.byName[field.Name] = i
		c.null = d.builder.Field(i).AppendNull
		if err := c.bind(field.Type, d.builder.Field(i)); err != nil {
			return nil, fmt.Errorf("column %q: %w", field.Name, err)
		}
	}
	for _, name := range required {
		if _, ok := d.byName[name]; !ok {
			return nil, fmt.Errorf("required column %q is not in the table's schema", name)
		}
	}
	return d, nil
}

// bind chooses how values of a type are read and appended.
func (c *column) bind(dataType arrow.DataType, builder array.Builder) error {
	c.width = 8
	switch b := builder.(type) {
	case *array.Float64Builder:
		c.want, c.convert = "double", convertFloat(64)
		c.append = func(c *column) { b.Append(c.float) }
	case *array.Float32Builder:
		c.want, c.convert, c.width = "float", convertFloat(32), 4
		c.append = func(c *column) { b.Append(float32(c.float)) }
	case *array.Int64Builder:
		c.want, c.convert = "long", convertInteger(64)
		c.append = func(c *column) { b.Append(c.integer) }
	case *array.Int32Builder:
		c.want, c.convert, c.width = "integer", convertInteger(32), 4
		c.append = func(c *column) { b.Append(int32(c.integer)) }
	case *array.Int16Builder:
		c.want, c.convert, c.width = "short", convertInteger(16), 2
		c.append = func(c *column) { b.Append(int16(c.integer)) }
	case *array.Int8Builder:
		c.want, c.convert, c.width = "byte", convertInteger(8), 1
		c.append = func(c *column) { b.Append(int8(c.integer)) }
	case *array.TimestampBuilder:
		if unit := dataType.(*arrow.TimestampType).Unit; unit != arrow.Microsecond {
			return fmt.Errorf("timestamps in %v are not supported", unit)
		}
		c.want, c.convert = "timestamp", convertTimestamp
		c.append = func(c *column) { b.Append(arrow.Timestamp(c.integer)) }
	case *array.Date32Builder:
		c.want, c.convert, c.width = "date", convertDate, 4
		c.append = func(c *column) { b.Append(arrow.Date32(c.integer)) }
	case *array.BooleanBuilder:
		c.want, c.convert, c.width = "boolean", convertBoolean, 1
		c.append = func(c *column) { b.Append(c.integer == 1) }
	case *array.StringBuilder:
		c.want, c.convert = "string", convertString
		c.append = func(c *column) { b.BinaryBuilder.Append(c.bytes) }
	case *array.BinaryBuilder:
		c.want, c.convert = "base64 of binary", convertBinary
		c.append = func(c *column) { b.Append(c.bytes) }
	default:
		return fmt.Errorf("type %s cannot be streamed from JSON", dataType)
	}
	return nil
}

// decode appends the row of one JSON object.
func (d *decoder) decode(record []byte) error {
	if err := d.read(record); err != nil {
		return err
	}
	for i := range d.columns {
		if err := d.columns[i].check(); err != nil {
			return err
		}
	}
	for i := range d.columns {
		c := &d.columns[i]
		d.size += c.width
		if c.value.kind <= jsonNull {
			c.null()
			continue
		}
		d.size += int64(len(c.bytes))
		c.append(c)
	}
	return nil
}

// read scans the whole record and leaves each column's value in it.
func (d *decoder) read(record []byte) error {
	for i := range d.columns {
		d.columns[i].value.kind = jsonAbsent
	}
	s := &d.scan
	s.data, s.pos = record, 0
	if !s.accept('{') {
		return s.errorAt("an object")
	}
	if !s.accept('}') {
		if err := d.readMembers(); err != nil {
			return err
		}
	}
	s.skipSpace()
	if s.pos < len(s.data) {
		return s.errorAt("nothing after the object")
	}
	return nil
}

func (d *decoder) readMembers() error {
	s := &d.scan
	for next := 0; ; {
		i, known, err := d.readName(next)
		if err != nil {
			return err
		}
		value, err := s.value(1)
		if err != nil {
			return err
		}
		if known {
			d.columns[i].value = value
			next = i + 1
		}
		if s.accept(',') {
			continue
		}
		if s.accept('}') {
			return nil
		}
		return s.errorAt("',' or '}'")
	}
}

// readName scans a member's name and looks its column up. Records mostly come
// in the schema's order and without spaces, so the next column's name is
// compared first.
func (d *decoder) readName(next int) (column int, known bool, err error) {
	s := &d.scan
	s.skipSpace()
	if next < len(d.columns) {
		member := d.columns[next].member
		if rest := s.data[s.pos:]; len(rest) >= len(member) && string(rest[:len(member)]) == member {
			s.pos += len(member)
			return next, true, nil
		}
	}
	name, err := s.key()
	if err != nil {
		return 0, false, err
	}
	text := name.text
	if !name.plain {
		d.name = appendUnquoted(d.name[:0], text)
		text = d.name
	}
	column, known = d.byName[string(text)]
	return column, known, nil
}

// check converts the column's value, and finds what is wrong with it.
func (c *column) check() error {
	switch c.value.kind {
	case jsonAbsent:
		if c.required {
			return fmt.Errorf("field %q: missing", c.name)
		}
		return nil
	case jsonNull:
		if c.required {
			return fmt.Errorf("field %q: null in a required field", c.name)
		}
		return nil
	}
	switch err := c.convert(c); {
	case err == nil:
		return nil
	case errors.Is(err, errWrongType):
		return fmt.Errorf("field %q: %w: %s, want %s", c.name, err, c.value.kind, c.want)
	case errors.Is(err, errOutOfRange):
		return fmt.Errorf("field %q: %.40s is %w of %s", c.name, c.value.text, err, c.want)
	default:
		return fmt.Errorf("field %q: %w: %.40q", c.name, err, c.value.text)
	}
}

// rows is the number of rows since the last flush.
func (d *decoder) rows() int { return d.builder.Field(0).Len() }

// flush returns the rows since the last flush as a batch, which the caller
// releases.
func (d *decoder) flush() arrow.RecordBatch {
	d.size = 0
	return d.builder.NewRecordBatch()
}

func (d *decoder) release() { d.builder.Release() }

// content is the value of a string, valid until the next record.
func (c *column) content() ([]byte, error) {
	if c.value.kind != jsonString {
		return nil, errWrongType
	}
	if c.value.plain {
		return c.value.text, nil
	}
	c.scratch = appendUnquoted(c.scratch[:0], c.value.text)
	return c.scratch, nil
}

func convertString(c *column) (err error) {
	c.bytes, err = c.content()
	return err
}

func convertBinary(c *column) error {
	text, err := c.content()
	if err != nil {
		return err
	}
	if c.bytes, err = base64.StdEncoding.AppendDecode(nil, text); err != nil {
		return errors.New("not base64")
	}
	return nil
}

func convertBoolean(c *column) error {
	if c.value.kind != jsonBool {
		return errWrongType
	}
	c.integer = 0
	if c.value.text[0] == 't' {
		c.integer = 1
	}
	return nil
}

func convertTimestamp(c *column) error {
	text, err := c.content()
	if err != nil {
		return err
	}
	micros, ok := parseTimestamp(text)
	if !ok {
		return errors.New("not a timestamp")
	}
	c.integer = micros
	return nil
}

func convertDate(c *column) error {
	text, err := c.content()
	if err != nil {
		return err
	}
	days, ok := parseDate(text)
	if !ok {
		return errors.New("not a date")
	}
	c.integer = int64(days)
	return nil
}

func convertInteger(bits int) func(*column) error {
	low, high := int64(-1)<<(bits-1), int64(1)<<(bits-1)-1
	return func(c *column) error {
		if c.value.kind != jsonInteger {
			return errWrongType
		}
		text := c.value.text
		if len(text) > 18 {
			n, err := strconv.ParseInt(unsafeString(text), 10, bits)
			if err != nil {
				return errOutOfRange
			}
			c.integer = n
			return nil
		}
		negative := text[0] == '-'
		if negative {
			text = text[1:]
		}
		var n int64
		for _, digit := range text {
			n = n*10 + int64(digit-'0')
		}
		if negative {
			n = -n
		}
		if n < low || n > high {
			return errOutOfRange
		}
		c.integer = n
		return nil
	}
}

func convertFloat(bits int) func(*column) error {
	return func(c *column) error {
		if c.value.kind != jsonInteger && c.value.kind != jsonDecimal {
			return errWrongType
		}
		if bits == 64 {
			if f, ok := exactFloat(c.value.text); ok {
				c.float = f
				return nil
			}
		}
		f, err := strconv.ParseFloat(unsafeString(c.value.text), bits)
		if err != nil {
			return errOutOfRange
		}
		c.float = f
		return nil
	}
}

// powersOfTen are those a float64 holds exactly.
var powersOfTen = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// exactFloat reads a number of at most 15 digits without exponent: digits and
// power of ten are then exact, and the one division rounds correctly
// (Clinger, How to Read Floating Point Numbers Accurately).
func exactFloat(text []byte) (float64, bool) {
	digits, negative := text, false
	if digits[0] == '-' {
		digits, negative = digits[1:], true
	}
	if len(digits) > 16 {
		return 0, false
	}
	var mantissa uint64
	point := len(digits)
	for i, c := range digits {
		switch {
		case c-'0' <= 9:
			mantissa = mantissa*10 + uint64(c-'0')
		case c == '.':
			point = i + 1
		default:
			return 0, false
		}
	}
	if mantissa >= 1<<53 {
		return 0, false
	}
	f := float64(mantissa) / powersOfTen[len(digits)-point]
	if negative {
		f = -f
	}
	return f, true
}

// unsafeString is b as a string that lives no longer than b does.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
