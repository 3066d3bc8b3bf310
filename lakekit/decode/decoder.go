package decode

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Decoder turns the records of one format into rows of a schema. It is used by
// one goroutine.
type Decoder interface {
	// Decode appends the row of a record, whole or not at all: an error is the
	// reason for the dead letter, and names the field and the problem.
	Decode(record []byte, headers []Header) error
	// Rows is the number of rows since the last flush, and Size about what they
	// take in memory, in bytes.
	Rows() int
	Size() int64
	// Flush returns the rows since the last flush as a batch, which the caller
	// releases.
	Flush() arrow.RecordBatch
	// Added are the columns that records decoded until now have beyond the schema;
	// empty unless MergeSchema asks for them.
	Added() Columns
	// Ignored are the fields of the rows decoded until now that are not in them.
	Ignored() *IgnoredFields
	// Ignore says whether there may be such fields; else Decode refuses the record.
	Ignore(bool)
	Release()
}

// Options say how records become rows; they are those of a streaming query.
type Options struct {
	Required       []string // columns that must be there and not null, besides those the schema says are
	IncludeHeaders bool     // in the column HeadersColumn
	MergeSchema    bool     // columns are inferred for fields that the schema does not have
	RefuseUnknown  bool     // records with fields that would not be in their row are refused
}

// Header is a header of a record; a nil Value is null.
type Header struct {
	Key   string
	Value []byte
}

// jsonDecoder decodes JSON objects, one member a column by its exact name.
// Members the schema does not have are ignored, of a repeated member the last
// counts, and an absent one is null: as in Spark, but what is ignored is
// counted. No integer is rounded: in a double or float that cannot hold it, it
// is refused, and so is a fraction in a decimal without digits for one.
type jsonDecoder struct {
	columns []column
	byName  map[string]int
	builder *array.RecordBuilder
	headers *HeadersBuilder // nil when headers are not included
	scan    jsonScanner
	name    []byte // of a member, unquoted
	bytes   int64

	merge   bool
	refuse  bool     // records with fields that would be ignored
	unknown []member // of the present record, which the schema does not have
	found   Columns
	losses  *IgnoredFields
	names   []string // of all columns
}

// member is a member of an object as it is written.
type member struct{ name, value jsonValue }

// column is one column and the value found for it in the present record.
type column struct {
	name     string
	member   string // the name as a member begins: in quotes, with the colon
	required bool
	want     string // the type, for people
	value    jsonValue
	// nested is set for structs, lists and maps: their parts are converted when
	// they are appended.
	nested bool
	losses *IgnoredFields
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

// manyRows in a batch are no last one of a few.
const manyRows = 32 << 10

var (
	errWrongType  = errors.New("wrong type")
	errOutOfRange = errors.New("out of range")
	errRounded    = errors.New("would be rounded")
)

// New makes a decoder of JSON for a schema.
func New(schema *arrow.Schema, options Options) (Decoder, error) {
	return newJSONDecoder(schema, options)
}

func newJSONDecoder(schema *arrow.Schema, options Options) (*jsonDecoder, error) {
	d := &jsonDecoder{
		columns: make([]column, 0, schema.NumFields()),
		byName:  make(map[string]int, schema.NumFields()),
		builder: array.NewRecordBuilder(memory.DefaultAllocator, schema),
		merge:   options.MergeSchema,
		refuse:  options.RefuseUnknown,
		found:   Columns{},
		losses:  NewIgnoredFields(),
	}
	if err := d.bind(schema, options); err != nil {
		d.Release()
		return nil, err
	}
	return d, nil
}

func (d *jsonDecoder) bind(schema *arrow.Schema, options Options) error {
	for i, field := range schema.Fields() {
		d.names = append(d.names, field.Name)
		if options.IncludeHeaders && field.Name == HeadersColumn {
			if !arrow.TypeEqual(field.Type, headersArrow) {
				return fmt.Errorf("column %q: includeHeaders fills it with %s, its type is another", HeadersColumn, HeadersType)
			}
			d.headers = NewHeadersBuilder(d.builder.Field(i))
			continue
		}
		c := column{losses: d.losses}
		if err := c.bind(field.Name, field, d.builder.Field(i)); err != nil {
			return fmt.Errorf("column %q: %w", field.Name, err)
		}
		c.required = c.required || slices.Contains(options.Required, field.Name)
		name, err := json.Marshal(field.Name)
		if err != nil {
			return err
		}
		c.member = string(name) + ":"
		d.byName[field.Name] = len(d.columns)
		d.columns = append(d.columns, c)
	}
	if options.IncludeHeaders && d.headers == nil {
		return fmt.Errorf("includeHeaders needs a column %q of type %s: let mergeSchema add it, or leave includeHeaders out", HeadersColumn, HeadersType)
	}
	for _, name := range options.Required {
		if _, ok := d.byName[name]; !ok {
			return fmt.Errorf("required column %q is not in the table's schema", name)
		}
	}
	return nil
}

// bind chooses how values of a type are read and appended.
func (c *column) bind(name string, field arrow.Field, builder array.Builder) error {
	c.name, c.required, c.width, c.null = name, !field.Nullable, 8, builder.AppendNull
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
		if unit := field.Type.(*arrow.TimestampType).Unit; unit != arrow.Microsecond {
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
	case *array.Decimal128Builder:
		c.bindDecimal(field.Type.(*arrow.Decimal128Type), b)
	case *array.StructBuilder:
		return c.bindStruct(field.Type.(*arrow.StructType), b)
	case *array.MapBuilder:
		return c.bindMap(field.Type.(*arrow.MapType), b)
	case *array.ListBuilder:
		return c.bindList(field.Type.(*arrow.ListType), b)
	default:
		return fmt.Errorf("type %s cannot be streamed from JSON", field.Type)
	}
	return nil
}

// decode appends the row of one JSON object.
func (d *jsonDecoder) Decode(record []byte, headers []Header) error {
	d.losses.begin()
	if err := d.read(record); err != nil {
		return err
	}
	for i := range d.columns {
		if err := d.columns[i].check(); err != nil {
			return err
		}
	}
	if err := d.noteUnknown(); err != nil {
		return err
	}
	if d.refuse {
		if err := d.losses.err(); err != nil {
			return err
		}
	}
	for i := range d.columns {
		c := &d.columns[i]
		d.bytes += c.width
		if c.value.kind <= jsonNull {
			c.null()
			continue
		}
		d.bytes += int64(len(c.bytes))
		c.append(c)
	}
	if d.headers != nil {
		d.bytes += d.headers.Append(headers)
	}
	d.losses.accept()
	return nil
}

// noteUnknown takes note of the members that the schema does not have: what
// columns they ask for, and that they are ignored until there is one. A record
// that is refused whatever columns are added asks for none.
func (d *jsonDecoder) noteUnknown() error {
	if len(d.unknown) == 0 {
		return nil
	}
	for _, m := range d.unknown {
		if m.value.kind > jsonNull { // else nothing is lost
			d.name = appendPath(d.name[:0], "", m.name)
			d.losses.note(d.name, func() (string, bool) { return d.whyUnknown(m) })
		}
	}
	if !d.merge || d.refuse && d.losses.lasting() {
		return nil
	}
	inferred := Columns{}
	for _, m := range d.unknown {
		name := string(m.name.appendContent(nil))
		t, err := inferType(m.value, 1)
		if err != nil && whyNoColumn(name, d.names) == "" {
			return fmt.Errorf("field %q: %w", appendPath(nil, "", m.name), err)
		}
		inferred[name] = t // of a repeated member the last
	}
	d.found.Merge(inferred)
	return nil
}

// whyUnknown says why there is no column for a member; lasting, that none can
// be added.
func (d *jsonDecoder) whyUnknown(m member) (reason string, lasting bool) {
	name := string(m.name.appendContent(nil))
	if d.headers != nil && strings.EqualFold(name, HeadersColumn) {
		return "includeHeaders fills the column " + HeadersColumn + " with the headers of the record", true
	}
	if reason := whyNoColumn(name, d.names); reason != "" {
		return reason, true
	}
	if !d.merge {
		return "the table has no column of that name; mergeSchema adds one", true
	}
	inferred, _ := inferType(m.value, 1)
	if _, known := columnType(inferred); !known {
		return whyNoType(inferred), false
	}
	return fmt.Sprintf("with it the table would have more than %d columns, those in structs included", maxColumns), false
}

// appendPath appends the path of a member, cut to a length that can be shown.
func appendPath(dst []byte, parent string, name jsonValue) []byte {
	if parent != "" {
		dst = append(append(dst, parent...), '.')
	}
	if len(name.text) <= maxColumnName {
		return name.appendContent(dst)
	}
	whole := name.appendContent(nil)
	if len(whole) <= maxColumnName {
		return append(dst, whole...)
	}
	return append(append(dst, strings.ToValidUTF8(string(whole[:maxColumnName]), "")...), "..."...)
}

// read scans the whole record and leaves each column's value in it.
func (d *jsonDecoder) read(record []byte) error {
	for i := range d.columns {
		d.columns[i].value.kind = jsonAbsent
	}
	d.unknown = d.unknown[:0]
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

func (d *jsonDecoder) readMembers() error {
	s := &d.scan
	for next := 0; ; {
		i, name, err := d.readName(next)
		if err != nil {
			return err
		}
		value, err := s.value(1)
		if err != nil {
			return err
		}
		if i >= 0 {
			if d.columns[i].value.kind > jsonNull {
				d.losses.note([]byte(d.columns[i].name), whyRepeated)
			}
			d.columns[i].value = value
			next = i + 1
		} else {
			d.unknown = append(d.unknown, member{name, value})
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

// readName scans a member's name and looks its column up, -1 for none. Records
// mostly come in the schema's order and without spaces, so the next column's
// name is compared first.
func (d *jsonDecoder) readName(next int) (column int, name jsonValue, err error) {
	s := &d.scan
	s.skipSpace()
	if next < len(d.columns) {
		member := d.columns[next].member
		if rest := s.data[s.pos:]; len(rest) >= len(member) && string(rest[:len(member)]) == member {
			s.pos += len(member)
			return next, name, nil
		}
	}
	if name, err = s.key(); err != nil {
		return -1, name, err
	}
	text := name.text
	if !name.plain {
		d.name = name.appendContent(d.name[:0])
		text = d.name
	}
	if column, known := d.byName[string(text)]; known {
		return column, name, nil
	}
	return -1, name, nil
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
	err := c.convert(c)
	if inner, ok := err.(partError); ok {
		return inner.error
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errWrongType):
		return fmt.Errorf("field %q: %w: %s, want %s", c.name, err, c.value.kind, c.want)
	case errors.Is(err, errOutOfRange):
		return fmt.Errorf("field %q: %.40s is %w of %s", c.name, c.value.text, err, c.want)
	case errors.Is(err, errRounded):
		return fmt.Errorf("field %q: %.40s %w as %s", c.name, c.value.text, err, c.want)
	default:
		return fmt.Errorf("field %q: %w: %.40q", c.name, err, c.value.text)
	}
}

func (d *jsonDecoder) Rows() int               { return d.builder.Field(0).Len() }
func (d *jsonDecoder) Size() int64             { return d.bytes }
func (d *jsonDecoder) Added() Columns          { return d.found }
func (d *jsonDecoder) Ignored() *IgnoredFields { return d.losses }
func (d *jsonDecoder) Ignore(unknown bool)     { d.refuse = !unknown }

func (d *jsonDecoder) Flush() arrow.RecordBatch {
	rows := d.builder.NewRecordBatch()
	d.bytes = 0
	if n := int(rows.NumRows()); n >= manyRows { // the next one will be as long
		d.builder.Reserve(n + n/16)
	}
	return rows
}

func (d *jsonDecoder) Release() { d.builder.Release() }

// content is the value of a string, valid until the next record.
func (c *column) content() ([]byte, error) {
	if c.value.kind != jsonString {
		return nil, errWrongType
	}
	if c.value.plain {
		return c.value.text, nil
	}
	c.scratch = c.value.appendContent(c.scratch[:0])
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
		if c.value.kind == jsonInteger && !isExactly(f, c.value.text) {
			return errRounded
		}
		c.float = f
		return nil
	}
}

// isExactly: a float is the integer of a text, which is none of -0 and 0.
func isExactly(f float64, integer []byte) bool {
	var digits [400]byte // a double has at most 309 and a sign
	return string(strconv.AppendFloat(digits[:0], f, 'f', 0, 64)) == string(integer)
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
