package delta

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// OldCalendar tells which times of a data file are of the calendar that went
// over from Julian to Gregorian in 1582, as Spark 2 wrote them and later ones do
// in mode LEGACY. The footer says so (Spark's DataSourceUtils.datetimeRebaseSpec),
// and Spark then moves the days. A file that says nothing has the Gregorian
// calendar throughout, as those that we write.
type OldCalendar struct {
	Times bool // dates and timestamps, but for:
	INT96 bool // timestamps as INT96
}

// From these on both calendars have the same days since 1970, and in every time
// zone the same seconds (Spark's RebaseDateTime).
const (
	SameDays    = -141427        // 1582-10-15
	SameSeconds = -2_208_988_800 // 1900-01-01
)

// OldCalendarOf reads the footer of a data file.
func OldCalendarOf(footer metadata.KeyValueMetadata) OldCalendar {
	version := footer.FindValue("org.apache.spark.version")
	if version == nil {
		return OldCalendar{}
	}
	before := func(major, minor int) bool {
		parts := strings.SplitN(*version, ".", 3)
		if len(parts) < 2 {
			return false
		}
		x, _ := strconv.Atoi(parts[0])
		y, _ := strconv.Atoi(parts[1])
		return x < major || x == major && y < minor
	}
	return OldCalendar{
		Times: before(3, 0) || footer.FindValue("org.apache.spark.legacyDateTime") != nil,
		INT96: before(3, 1) || footer.FindValue("org.apache.spark.legacyINT96") != nil,
	}
}

// Refusal is the error for a column with an older time.
func (OldCalendar) Refusal() error {
	return fmt.Errorf("%w: a time by the calendar of Spark 2, in which the days before 1582-10-15 have other dates: "+
		"let Spark write the file again with spark.sql.parquet.datetimeRebaseModeInWrite and int96RebaseModeInWrite=CORRECTED", ErrUnsupported)
}

// check refuses an array of the file that has such a time.
func (c OldCalendar) check(column arrow.Array) error {
	if c == (OldCalendar{}) {
		return nil
	}
	old := func(int) bool { return false }
	switch column := column.(type) {
	case *array.Date32:
		if c.Times {
			old = func(i int) bool { return column.Value(i) < SameDays }
		}
	case *array.Timestamp:
		t := column.DataType().(*arrow.TimestampType)
		switch {
		case t == rawInt96:
			raw := column.Data().Buffers()[1].Bytes()[column.Data().Offset()*parquet.Int96SizeBytes:]
			if c.INT96 {
				old = func(i int) bool {
					day := binary.LittleEndian.Uint32(raw[i*parquet.Int96SizeBytes+8:])
					return int64(day)-julianEpoch < SameSeconds/(24*60*60)
				}
			}
		case c.Times:
			least := arrow.Timestamp(SameSeconds * int64(time.Second/t.Unit.Multiplier()))
			old = func(i int) bool { return column.Value(i) < least }
		}
	case *array.Struct:
		for i := range column.NumField() {
			if err := c.check(column.Field(i)); err != nil {
				return err
			}
		}
	case array.ListLike: // maps, too
		return c.check(column.ListValues())
	}
	for i := range column.Len() {
		if column.IsValid(i) && old(i) {
			return c.Refusal()
		}
	}
	return nil
}
