package query

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"taxilake/lakekit/delta"
)

// footer is what a data file says of itself.
type footer struct {
	size     int64
	modified time.Time
	rows     int64
	shape    *shape
}

// shape is the schema of a data file. Files of one writer share it.
type shape struct {
	columns []arrow.Field // with their field ids in the metadata
	// int96: the timestamps in nanoseconds are INT96, which has no time zone in
	// DuckDB and is UTC in Delta.
	int96 bool
	// calendar is that of the times, and of INT96.
	calendar delta.OldCalendar
}

// footers keeps the footers of local files: data files never change, and every
// statement on a table needs them all.
type footers struct {
	mu     sync.Mutex
	files  map[string]footer
	shapes map[string]*shape // by the text of the Parquet schema, and the calendar
}

// maxFooters bounds the memory; beyond it all are read again.
const maxFooters = 100_000

// of reads the footer of a file.
func (f *footers) of(path string) (footer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return footer{}, missing(err)
	}
	f.mu.Lock()
	known, ok := f.files[path]
	f.mu.Unlock()
	if ok && known.size == info.Size() && known.modified.Equal(info.ModTime()) {
		return known, nil
	}
	read, err := f.read(path)
	if err != nil {
		return footer{}, err
	}
	read.size, read.modified = info.Size(), info.ModTime()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.files == nil || len(f.files) >= maxFooters {
		f.files = map[string]footer{}
	}
	f.files[path] = read
	return read, nil
}

func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the data file is missing; it may have been vacuumed: %w", err)
	}
	return err
}

func (f *footers) read(path string) (read footer, err error) {
	source, err := os.Open(path)
	if err != nil {
		return footer{}, missing(err)
	}
	defer source.Close()
	defer func() {
		if caught := recover(); caught != nil { // the decoder's way with some broken files
			err = fmt.Errorf("broken Parquet file: %v", caught)
		}
	}()
	reader, err := file.NewParquetReader(source)
	if err != nil {
		return footer{}, err
	}
	read.rows = reader.NumRows()
	read.shape, err = f.shapeOf(reader.MetaData().Schema, delta.OldCalendarOf(reader.MetaData().KeyValueMetadata()))
	return read, err
}

func (f *footers) shapeOf(s *schema.Schema, calendar delta.OldCalendar) (*shape, error) {
	var text strings.Builder
	schema.PrintSchema(s.Root(), &text, 0)
	fmt.Fprint(&text, calendar)
	f.mu.Lock()
	known, ok := f.shapes[text.String()]
	f.mu.Unlock()
	if ok {
		return known, nil
	}
	columns, err := pqarrow.FromParquet(s, nil, nil)
	if err != nil {
		return nil, err
	}
	made := &shape{columns: columns.Fields(), calendar: calendar}
	nanoseconds := false
	for i := range s.NumColumns() {
		made.int96 = made.int96 || s.Column(i).PhysicalType() == parquet.Types.Int96
		logical, isTime := s.Column(i).LogicalType().(schema.TimestampLogicalType)
		nanoseconds = nanoseconds || isTime && logical.TimeUnit() == schema.TimeUnitNanos
	}
	if made.int96 && nanoseconds {
		return nil, errors.New("timestamps as INT96 and in nanoseconds in one file are not supported")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	// Another file of the shape was read meanwhile: the two are one group.
	if known, ok := f.shapes[text.String()]; ok {
		return known, nil
	}
	if f.shapes == nil || len(f.shapes) >= maxFooters {
		f.shapes = map[string]*shape{}
	}
	f.shapes[text.String()] = made
	return made, nil
}
