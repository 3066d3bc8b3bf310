package taxi_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"taxilake/lakekit/taxi"
)

func written(t *testing.T, format taxi.Format, fromRow, n int64) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := generator(t, 1).Write(t.Context(), &b, format, fromRow, n); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A range of rows holds the same lines as the whole, wherever it is cut: at
// the chunks the cores take turns with, and beside them.
func TestWriteAnyRange(t *testing.T) {
	const rows = 9_000
	for _, c := range []struct {
		format taxi.Format
		header int
	}{{taxi.CSV, 1}, {taxi.JSON, 0}} {
		whole := strings.SplitAfter(string(written(t, c.format, 0, rows)), "\n")
		if len(whole) != rows+c.header+1 || whole[len(whole)-1] != "" {
			t.Fatalf("%s: %d rows are %d lines", c.format, rows, len(whole)-1)
		}
		for _, r := range [][2]int64{{0, 0}, {0, 1}, {2047, 2}, {2048, 2048}, {1, 2049}, {4095, 4099}, {8_999, 1}, {0, 8_999}} {
			want := strings.Join(whole[:c.header], "") + strings.Join(whole[int64(c.header)+r[0]:int64(c.header)+r[0]+r[1]], "")
			if got := string(written(t, c.format, r[0], r[1])); got != want {
				t.Errorf("%s: %d rows from %d on by themselves are not those of the whole", c.format, r[1], r[0])
			}
		}
	}
}

// A file's bytes never change, on no machine; see TestRowsNeverChange.
func TestFilesNeverChange(t *testing.T) {
	var got strings.Builder
	for _, format := range taxi.Formats {
		fmt.Fprintf(&got, "%s, rows 1000 to 20999 of seed 1: sha256 %x\n", format, sha256.Sum256(written(t, format, 1000, 20_000)))
	}
	compareGolden(t, filepath.Join("testdata", "files.golden"), got.String())
}

func TestParquetHoldsTheRecords(t *testing.T) {
	const fromRow, rows = 500_000, 140_000 // more than a row group, with dropoffs missing
	reader, err := file.NewParquetReader(bytes.NewReader(written(t, taxi.Parquet, fromRow, rows)))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if reader.NumRowGroups() != 2 {
		t.Errorf("%d row groups, want 2", reader.NumRowGroups())
	}
	arrowReader, err := pqarrow.NewFileReader(reader, pqarrow.ArrowReadProperties{BatchSize: 1 << 14}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	batches, err := arrowReader.GetRecordReader(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer batches.Release()
	g := generator(t, 1)
	var want taxi.Record
	row, missing := int64(fromRow), 0
	for batches.Next() {
		b := batches.RecordBatch()
		float := func(column, i int) taxi.NullFloat64 {
			c := b.Column(column).(*array.Float64)
			if c.IsNull(i) {
				return taxi.NullFloat64{}
			}
			return taxi.NullFloat64{Float64: c.Value(i), Valid: true}
		}
		for i := range int(b.NumRows()) {
			g.Record(row, &want)
			got := taxi.Record{
				Key: []byte(b.Column(0).(*array.String).Value(i)), FareAmount: float(1, i).Float64,
				PickupDatetime:  int64(b.Column(2).(*array.Timestamp).Value(i).ToTime(arrow.Microsecond).Unix()),
				PickupLongitude: float(3, i).Float64, PickupLatitude: float(4, i).Float64,
				DropoffLongitude: float(5, i), DropoffLatitude: float(6, i), PassengerCount: b.Column(7).(*array.Int32).Value(i),
			}
			if string(taxi.AppendCSV(nil, &got)) != string(taxi.AppendCSV(nil, &want)) {
				t.Fatalf("row %d is %+v, want %+v", row, got, want)
			}
			if !got.DropoffLatitude.Valid {
				missing++
			}
			row++
		}
	}
	if err := batches.Err(); err != nil || row != fromRow+rows || missing == 0 {
		t.Errorf("%d rows, %d without dropoff, error %v", row-fromRow, missing, err)
	}
}

func TestWriteEndsWithItsErrors(t *testing.T) {
	g := generator(t, 1)
	if err := g.Write(t.Context(), io.Discard, "xml", 0, 1); !errors.Is(err, taxi.ErrFormat) {
		t.Errorf("unknown format: %v", err)
	}
	full := errors.New("disk full")
	for _, format := range taxi.Formats {
		if err := g.Write(t.Context(), &limitedWriter{left: 100_000, err: full}, format, 0, 1_000_000); !errors.Is(err, full) {
			t.Errorf("%s on a full disk: %v", format, err)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.Write(cancelled, io.Discard, format, 0, 1<<60); !errors.Is(err, context.Canceled) {
			t.Errorf("%s cancelled: %v", format, err)
		}
	}
}

type limitedWriter struct {
	left int
	err  error
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, w.err
	}
	return len(p), nil
}

func TestWrittenJSONIsOneObjectALine(t *testing.T) {
	for line := range strings.Lines(string(written(t, taxi.JSON, 0, 100))) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil || len(fields) != 8 {
			t.Fatalf("%v in %s", err, line)
		}
	}
}
