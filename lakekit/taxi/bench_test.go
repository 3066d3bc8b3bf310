package taxi_test

import (
	"bytes"
	"encoding/csv"
	"io"
	"strconv"
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
