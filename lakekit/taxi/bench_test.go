package taxi_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"taxilake/lakekit/taxi"
)

func generator(tb testing.TB, seed uint64) *taxi.Generator {
	tb.Helper()
	g, err := taxi.NewGenerator(seed)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// generatedCSV is a file of n rows of seed 1.
func generatedCSV(tb testing.TB, n int64) []byte {
	file := []byte(taxi.Header + "\n")
	g := generator(tb, 1)
	var r taxi.Record
	for row := range n {
		g.Record(row, &r)
		file = taxi.AppendCSV(file, &r)
	}
	return file
}

// reportRows reports the throughput of a benchmark of one row an operation.
func reportRows(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportAllocs()
}

func BenchmarkGenerator(b *testing.B) {
	g := generator(b, 1)
	var r taxi.Record
	row := int64(0)
	for b.Loop() {
		g.Record(row, &r)
		row++
	}
	reportRows(b)
}

func BenchmarkAppendJSON(b *testing.B) { benchmarkAppend(b, taxi.AppendJSON) }
func BenchmarkAppendCSV(b *testing.B)  { benchmarkAppend(b, taxi.AppendCSV) }

func benchmarkAppend(b *testing.B, appendTo func([]byte, *taxi.Record) []byte) {
	g := generator(b, 1)
	records := make([]taxi.Record, 1000)
	for i := range records {
		g.Record(int64(i), &records[i])
	}
	var line []byte
	i := 0
	for b.Loop() {
		line = appendTo(line[:0], &records[i%len(records)])
		i++
	}
	reportRows(b)
}

// BenchmarkCSVOnOneCore makes rows and writes them as CSV, one after the other
// on one core. Rows a CPU second is what it takes however busy the machine is.
func BenchmarkCSVOnOneCore(b *testing.B)  { benchmarkOnOneCore(b, taxi.AppendCSV) }
func BenchmarkJSONOnOneCore(b *testing.B) { benchmarkOnOneCore(b, taxi.AppendJSON) }

func benchmarkOnOneCore(b *testing.B, appendTo func([]byte, *taxi.Record) []byte) {
	g := generator(b, 1)
	var r taxi.Record
	var line []byte
	row := int64(0)
	before := cpuSeconds(b)
	for b.Loop() {
		g.Record(row, &r)
		line = appendTo(line[:0], &r)
		row++
	}
	b.ReportMetric(float64(b.N)/(cpuSeconds(b)-before), "rows/CPU-s")
	reportRows(b)
}

func cpuSeconds(b *testing.B) float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

const rowsOfFile = 1 << 20

// BenchmarkWriteJSON generates a file of a million messages and brings it to
// the disk; BenchmarkWriteJSONFromMemory writes the same bytes, made before.
func BenchmarkWriteJSON(b *testing.B) {
	g := generator(b, 1)
	benchmarkFile(b, func(w io.Writer) error { return g.Write(b.Context(), w, taxi.JSON, 0, rowsOfFile) })
}

func BenchmarkWriteJSONFromMemory(b *testing.B) {
	var whole bytes.Buffer
	if err := generator(b, 1).Write(b.Context(), &whole, taxi.JSON, 0, rowsOfFile); err != nil {
		b.Fatal(err)
	}
	benchmarkFile(b, func(w io.Writer) error {
		for chunk := range slices.Chunk(whole.Bytes(), 512<<10) {
			if _, err := w.Write(chunk); err != nil {
				return err
			}
		}
		return nil
	})
}

func benchmarkFile(b *testing.B, write func(io.Writer) error) {
	path := filepath.Join(b.TempDir(), "file")
	var size int64
	before := cpuSeconds(b)
	for b.Loop() {
		file, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		err = errors.Join(write(file), file.Sync())
		info, statErr := file.Stat()
		if err := errors.Join(err, statErr, file.Close()); err != nil {
			b.Fatal(err)
		}
		size = info.Size()
	}
	b.ReportMetric(float64(b.N)*rowsOfFile/(cpuSeconds(b)-before), "rows/CPU-s")
	b.SetBytes(size)
	b.ReportMetric(float64(b.N)*rowsOfFile/b.Elapsed().Seconds(), "rows/s")
	b.ReportAllocs()
}

func BenchmarkRows(b *testing.B) {
	rows := taxi.NewRows(generator(b, 1), 0, 1<<62)
	for b.Loop() {
		if _, _, err := rows.Next(); err != nil {
			b.Fatal(err)
		}
	}
	reportRows(b)
}

func BenchmarkReadCSV(b *testing.B) {
	file := generatedCSV(b, 100_000)
	var r taxi.Record
	reader, err := taxi.ReadCSV(bytes.NewReader(file))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err = reader.Read(&r); err == io.EOF {
			reader, err = taxi.ReadCSV(bytes.NewReader(file))
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	reportRows(b)
}

// BenchmarkReadCSVStandardLibrary is what BenchmarkReadCSV is to be compared
// with: the same rows and values by encoding/csv, strconv and time.
func BenchmarkReadCSVStandardLibrary(b *testing.B) {
	file := generatedCSV(b, 100_000)
	open := func() *csv.Reader {
		reader := csv.NewReader(bytes.NewReader(file))
		reader.ReuseRecord = true
		if _, err := reader.Read(); err != nil {
			b.Fatal(err)
		}
		return reader
	}
	reader := open()
	for b.Loop() {
		fields, err := reader.Read()
		if err == io.EOF {
			reader = open()
			fields, err = reader.Read()
		}
		if err != nil {
			b.Fatal(err)
		}
		if _, err := time.Parse("2006-01-02 15:04:05 UTC", fields[2]); err != nil {
			b.Fatal(err)
		}
		if _, err := strconv.Atoi(fields[7]); err != nil {
			b.Fatal(err)
		}
		for _, i := range []int{1, 3, 4, 5, 6} {
			if _, err := strconv.ParseFloat(fields[i], 64); err != nil && fields[i] != "" {
				b.Fatal(err)
			}
		}
	}
	reportRows(b)
}
