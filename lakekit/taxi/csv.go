package taxi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// CSVReader reads the real file and the files this package writes. The columns
// may stand in any order and further ones are passed over.
type CSVReader struct {
	name   string
	until  *until
	lines  *bufio.Reader
	done   *progress
	close  func() error
	line   int64
	row    int64
	width  int               // columns of the file
	column [len(columns)]int // where in a line each field stands
	quoted []byte            // quoted fields of a line, without the quotes
	fields [][]byte          // of a line
	failed error             // what every further Read returns
}

// columns are the fields of a record in the order of Header.
var columns = [...]string{"key", "fare_amount", "pickup_datetime", "pickup_longitude", "pickup_latitude", "dropoff_longitude", "dropoff_latitude", "passenger_count"}

const (
	columnKey = iota
	columnFareAmount
	columnPickupDatetime
	columnPickupLongitude
	columnPickupLatitude
	columnDropoffLongitude
	columnDropoffLatitude
	columnPassengerCount
)

// RowError says which value of a CSV file cannot be read. The reader itself
// goes on with the next row.
type RowError struct {
	File    string // as given to OpenCSV, or "csv"
	Line    int64  // from 1, the header
	Column  string // empty where the whole line is bad
	Value   string // cut after 40 bytes
	Problem string
}

func (e *RowError) Error() string {
	switch {
	case e.Column == "":
		return fmt.Sprintf("%s, line %d: %s", e.File, e.Line, e.Problem)
	case e.Value == "":
		return fmt.Sprintf("%s, line %d: %s is empty", e.File, e.Line, e.Column)
	}
	return fmt.Sprintf("%s, line %d: %s %q is not %s", e.File, e.Line, e.Column, e.Value, e.Problem)
}

// Reason is what is wrong, without the value, so that rows with the same
// mistake have the same reason.
func (e *RowError) Reason() string {
	switch {
	case e.Column == "":
		return e.Problem
	case e.Value == "":
		return e.Column + " is empty"
	}
	return e.Column + " is not " + e.Problem
}

const (
	maximumLine = 64 << 10
	// maximumJunk ends the reading of what is no text of lines: a line that does
	// not end, as a packed file of some megabytes can be unpacked to, or lines
	// without anything in them.
	maximumJunk = 16 << 20
)

// until is a reader that ends with a context.
type until struct {
	ctx    context.Context
	reader io.Reader
}

func (u *until) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.reader.Read(b)
}

// Until has all that the reader does from now on fail when ctx ends.
func (c *CSVReader) Until(ctx context.Context) { c.until.ctx = ctx }

// ReadCSV reads the header and returns a reader of the rows. The error says
// which column the header lacks.
func ReadCSV(r io.Reader) (*CSVReader, error) {
	return newCSVReader("csv", r, &progress{}, func() error { return nil })
}

func newCSVReader(name string, r io.Reader, done *progress, close func() error) (*CSVReader, error) {
	until := &until{context.Background(), r}
	c := &CSVReader{name: name, until: until, lines: bufio.NewReaderSize(until, maximumLine), done: done, close: close}
	line, err := c.readLine()
	if err == io.EOF {
		return nil, fmt.Errorf("%s is empty; its first line must be %s", name, Header)
	}
	if err != nil {
		return nil, err
	}
	if err := c.readHeader(bytes.TrimPrefix(line, []byte("\ufeff"))); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *CSVReader) readHeader(line []byte) error {
	if err := c.split(line); err != nil {
		return err
	}
	names := make([]string, len(c.fields))
	for i, field := range c.fields {
		names[i] = strings.TrimSpace(string(field))
	}
	c.width = len(names)
	for i, column := range columns {
		c.column[i] = slices.Index(names, column)
		if c.column[i] < 0 && column == columns[columnFareAmount] && slices.Contains(names, columns[columnKey]) {
			return fmt.Errorf("%s has no column fare_amount: it is the competition's test.csv, whose fares are kept secret; use train.csv of the same download", c.name)
		}
		if c.column[i] < 0 {
			return fmt.Errorf("%s has no column %s, its header is %q; the file to read is train.csv of Kaggle's New York City Taxi Fare Prediction, which begins with %s",
				c.name, column, shorten(line), Header)
		}
		if slices.Contains(names[c.column[i]+1:], column) {
			return fmt.Errorf("%s has the column %s twice", c.name, column)
		}
	}
	return nil
}

// Read fills r with the next row and returns io.EOF after the last. A
// *RowError leaves r undefined and the reader at the row after the bad one;
// every other error is final.
func (c *CSVReader) Read(r *Record) error {
	line, err := c.nextRow()
	if err != nil {
		return err
	}
	if err := c.split(line); err != nil {
		return err
	}
	if len(c.fields) != c.width {
		return c.rowError(-1, nil, fmt.Sprintf("%d fields where the header has %d", len(c.fields), c.width))
	}
	return c.parse(r)
}

// Row is how many rows have been read or skipped, bad ones included.
func (c *CSVReader) Row() int64 { return c.row }

// Done is the share of the file that has been read, from 0 to 1, and 0 where
// that is unknown. Any goroutine may ask.
func (c *CSVReader) Done() float64 { return c.done.share() }

// Skip passes over n rows without looking at their values. It returns io.EOF
// where the file has fewer.
func (c *CSVReader) Skip(n int64) error {
	for range n {
		var bad *RowError
		if _, err := c.nextRow(); err != nil && !errors.As(err, &bad) {
			return err
		}
	}
	return nil
}

// Close closes the file of OpenCSV.
func (c *CSVReader) Close() error { return c.close() }

// nextRow returns the next line that is not blank.
func (c *CSVReader) nextRow() ([]byte, error) {
	for blank := 0; ; blank++ {
		line, err := c.readLine()
		if err == nil && len(line) == 0 {
			if blank == maximumJunk {
				c.failed = fmt.Errorf("%s is no csv file: from line %d on there are %d blank lines", c.name, c.line-maximumJunk, maximumJunk)
				return nil, c.failed
			}
			continue
		}
		if c.failed == nil {
			c.row++
		}
		return line, err
	}
}

// readLine returns the next line without its end, which may be missing in the
// last line.
func (c *CSVReader) readLine() ([]byte, error) {
	if c.failed != nil {
		return nil, c.failed
	}
	line, err := c.lines.ReadSlice('\n')
	if err == nil || err == io.EOF && len(line) > 0 {
		c.line++
		return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), nil
	}
	if err == bufio.ErrBufferFull {
		c.line++
		return nil, c.skipLongLine()
	}
	if err != io.EOF {
		err = fmt.Errorf("reading %s after line %d: %w", c.name, c.line, err)
	}
	c.failed = err
	return nil, err
}

func (c *CSVReader) skipLongLine() error {
	if c.line == 1 {
		c.failed = fmt.Errorf("%s is no csv file: its first line is longer than %d bytes, and must be %s", c.name, maximumLine, Header)
		return c.failed
	}
	for skipped := maximumLine; ; skipped += maximumLine {
		if _, err := c.lines.ReadSlice('\n'); err != bufio.ErrBufferFull {
			return c.rowError(-1, nil, fmt.Sprintf("longer than %d bytes, which no record is", maximumLine))
		}
		if skipped >= maximumJunk {
			c.failed = fmt.Errorf("%s is no csv file: line %d is longer than %d bytes", c.name, c.line, maximumJunk)
			return c.failed
		}
	}
}

// split cuts a line into c.fields.
func (c *CSVReader) split(line []byte) error {
	c.fields = c.fields[:0]
	if bytes.IndexByte(line, '"') >= 0 {
		return c.splitQuoted(line)
	}
	for {
		end := bytes.IndexByte(line, ',')
		if end < 0 {
			c.fields = append(c.fields, line)
			return nil
		}
		c.fields = append(c.fields, line[:end])
		line = line[end+1:]
	}
}

// splitQuoted knows quoted fields (RFC 4180), except those with line breaks.
func (c *CSVReader) splitQuoted(line []byte) error {
	// A field's bytes are never more than the line's, so that c.quoted does
	// not move while fields point into it.
	c.quoted = slices.Grow(c.quoted[:0], len(line))
	for {
		start := len(c.quoted)
		if len(line) > 0 && line[0] == '"' {
			closed := false
			for line = line[1:]; len(line) > 0 && !closed; {
				switch {
				case line[0] != '"':
					c.quoted = append(c.quoted, line[0])
					line = line[1:]
				case len(line) > 1 && line[1] == '"':
					c.quoted = append(c.quoted, '"')
					line = line[2:]
				default:
					closed = true
					line = line[1:]
				}
			}
			if !closed {
				return c.rowError(-1, nil, "a quoted field does not end on its line")
			}
			if len(line) > 0 && line[0] != ',' {
				return c.rowError(-1, nil, "a quoted field goes on after its closing quote")
			}
		} else {
			end := bytes.IndexByte(line, ',')
			if end < 0 {
				end = len(line)
			}
			c.quoted = append(c.quoted, line[:end]...)
			line = line[end:]
		}
		c.fields = append(c.fields, c.quoted[start:])
		if len(line) == 0 {
			return nil
		}
		line = line[1:]
	}
}

// parse fills r from c.fields.
func (c *CSVReader) parse(r *Record) error {
	key := c.field(columnKey)
	if len(key) == 0 {
		return c.rowError(columnKey, nil, "")
	}
	r.Key = append(r.Key[:0], key...)
	var ok bool
	if r.PickupDatetime, ok = parseTimestamp(c.field(columnPickupDatetime)); !ok {
		return c.rowError(columnPickupDatetime, c.field(columnPickupDatetime), "a time like 2009-06-15 17:26:21 UTC")
	}
	if r.PassengerCount, ok = parseCount(c.field(columnPassengerCount)); !ok {
		return c.rowError(columnPassengerCount, c.field(columnPassengerCount), "a whole number of 32 bits")
	}
	for _, f := range [...]struct {
		column int
		value  *float64
	}{
		{columnFareAmount, &r.FareAmount},
		{columnPickupLongitude, &r.PickupLongitude},
		{columnPickupLatitude, &r.PickupLatitude},
	} {
		if *f.value, ok = parseFloat(c.field(f.column)); !ok {
			return c.rowError(f.column, c.field(f.column), "a number")
		}
	}
	for _, f := range [...]struct {
		column int
		value  *NullFloat64
	}{
		{columnDropoffLongitude, &r.DropoffLongitude},
		{columnDropoffLatitude, &r.DropoffLatitude},
	} {
		*f.value = NullFloat64{}
		if field := c.field(f.column); len(field) > 0 {
			if f.value.Float64, ok = parseFloat(field); !ok {
				return c.rowError(f.column, field, "a number")
			}
			f.value.Valid = true
		}
	}
	return nil
}

func (c *CSVReader) field(column int) []byte { return c.fields[c.column[column]] }

func (c *CSVReader) rowError(column int, value []byte, problem string) *RowError {
	e := &RowError{File: c.name, Line: c.line, Value: shorten(value), Problem: problem}
	if column >= 0 {
		e.Column = columns[column]
	}
	return e
}

func shorten(value []byte) string {
	const limit = 40
	if len(value) > limit {
		return string(value[:limit]) + "..."
	}
	return string(value)
}
