package taxi

import (
	"io"
	"math"
	"sync/atomic"
)

// Rows turns records into Kafka messages: the key is the record's key, the
// value its JSON. It is read by one goroutine; Position may be asked by any.
type Rows struct {
	read     func(row int64, r *Record) error
	position atomic.Int64
	end      int64
	record   Record
	value    []byte
}

// NewRows yields n rows of a generator from row fromRow on; with an n of
// math.MaxInt64 it never ends.
func NewRows(generator *Generator, fromRow, n int64) *Rows {
	return newRows(fromRow, n, func(row int64, r *Record) error {
		generator.Record(row, r)
		return nil
	})
}

// NewCSVRows yields at most n rows of a file, beginning with the row the
// reader stands at.
func NewCSVRows(reader *CSVReader, n int64) *Rows {
	return newRows(reader.Row(), n, func(_ int64, r *Record) error {
		return reader.Read(r)
	})
}

func newRows(fromRow, n int64, read func(int64, *Record) error) *Rows {
	end := fromRow + n
	if end < fromRow {
		end = math.MaxInt64
	}
	rows := &Rows{read: read, end: end}
	rows.position.Store(fromRow)
	return rows
}

// Next returns the next message, whose slices are valid until the next call,
// and io.EOF after the last. After a *RowError it may be called again and goes
// on with the row after the bad one.
func (rows *Rows) Next() (key, value []byte, err error) {
	row := rows.position.Load()
	if row >= rows.end {
		return nil, nil, io.EOF
	}
	err = rows.read(row, &rows.record)
	if err == io.EOF {
		return nil, nil, io.EOF
	}
	rows.position.Store(row + 1)
	if err != nil {
		return nil, nil, err
	}
	rows.value = AppendJSON(rows.value[:0], &rows.record)
	return rows.record.Key, rows.value, nil
}

// Position is the number of the row that Next returns next.
func (rows *Rows) Position() int64 { return rows.position.Load() }
