package marginals_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"taxilake/lakekit/taxi"
	"taxilake/lakekit/taxi/marginals"
)

const bigRows = 60_000

// bigFile is a generated file with a byte order mark and odd lines in it, and
// the problems they are.
func bigFile(t *testing.T, lineEnd string) (file []byte, problems []marginals.Problem) {
	t.Helper()
	g := generator(t, 4)
	odd := map[int64]string{
		1_000:  "half a line,4.5",
		20_000: ",,,,,,,",
		20_001: `2009-06-15 17:26:21.0000001,"4.5,2009-06-15 17:26:21 UTC,0,0,0,0,1`,
		30_000: "2009-06-15 17:26:21.0000001,free,2009-06-15 17:26:21 UTC,0,0,0,0,1",
		40_000: "2009-06-15 17:26:21.0000001,gift,2009-06-15 17:26:21 UTC,0,0,0,0,1",
		50_000: strings.Repeat("x", 100_000),
		55_000: "", // no row at all
	}
	out := bytes.NewBufferString("\ufeff" + taxi.Header + lineEnd)
	var r taxi.Record
	for row := range int64(bigRows) {
		if line, ok := odd[row]; ok {
			out.WriteString(line + lineEnd)
			continue
		}
		g.Record(row, &r)
		line := strings.TrimSuffix(string(taxi.AppendCSV(nil, &r)), "\n")
		if row%1000 == 7 {
			line = `"` + strings.ReplaceAll(line, ",", `","`) + `"`
		}
		out.WriteString(line + lineEnd)
	}
	return out.Bytes(), []marginals.Problem{
		{Reason: "fare_amount is not a number", Rows: 2, Lines: []int64{30_002, 40_002}, First: `csv, line 30002: fare_amount "free" is not a number`},
		{Reason: "2 fields where the header has 8", Rows: 1, Lines: []int64{1_002}, First: "csv, line 1002: 2 fields where the header has 8"},
		{Reason: "a quoted field does not end on its line", Rows: 1, Lines: []int64{20_003}, First: "csv, line 20003: a quoted field does not end on its line"},
		{Reason: "key is empty", Rows: 1, Lines: []int64{20_002}, First: "csv, line 20002: key is empty"},
		{Reason: "longer than 65536 bytes, which no record is", Rows: 1, Lines: []int64{50_002}, First: "csv, line 50002: longer than 65536 bytes, which no record is"},
	}
}

func TestCheckOfOddFiles(t *testing.T) {
	for _, lineEnd := range []string{"\n", "\r\n"} {
		file, problems := bigFile(t, lineEnd)
		report, err := check(t, file, 0, math.MaxInt64)
		if err != nil {
			t.Fatal(err)
		}
		if report.Rows != bigRows-7 || report.BadRows != 6 || report.NextRow != bigRows-1 || !report.Complete || report.Counts.Rows != report.Rows {
			t.Errorf("%d good rows, %d bad, next is %d, complete %v", report.Rows, report.BadRows, report.NextRow, report.Complete)
		}
		if !reflect.DeepEqual(report.Problems, problems) {
			t.Errorf("problems:\n%+v\nwant\n%+v", report.Problems, problems)
		}
		var text strings.Builder
		if err := report.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"rows 0 to 59998: 59993 good, 6 bad\n", "  2 rows: fare_amount is not a number, at lines 30002, 40002\n",
			"trips by hour (share)", "mistakes (share)",
		} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("no %q in\n%s", want, text.String())
			}
		}
	}
}

func TestCheckOfNoRows(t *testing.T) {
	report, err := check(t, []byte(taxi.Header+"\n"), 0, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := report.WriteText(&text); err != nil || text.String() != "no rows from row 0 on\n" {
		t.Errorf("the report says %q, error %v", text.String(), err)
	}
}

// Two halves make the whole, bad rows and lines included.
func TestCheckGoesOnAtARow(t *testing.T) {
	file, _ := bigFile(t, "\n")
	whole, err := check(t, file, 0, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	first, err := check(t, file, 0, 25_000)
	if err != nil || first.Complete || first.NextRow != 25_000 {
		t.Fatalf("the first part ends before row %d, complete %v, error %v", first.NextRow, first.Complete, err)
	}
	second, err := check(t, file, first.NextRow, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	sum := first.Counts
	sum.Merge(&second.Counts)
	if !reflect.DeepEqual(sum, whole.Counts) || first.BadRows+second.BadRows != whole.BadRows {
		t.Errorf("the parts have %d and %d rows, the whole %d, or their counts differ", first.Rows, second.Rows, whole.Rows)
	}
	if second.Problems[0].Lines[0] != 30_002 {
		t.Errorf("lines begin anew: %+v", second.Problems[0])
	}
}

func TestCheckOfAFileThatBreaksOff(t *testing.T) {
	plain, _ := bigFile(t, "\n")
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for _, name := range []string{"sample_submission.csv", "train.csv", "test.csv"} {
		entry, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		content := plain
		if name != "train.csv" {
			content = []byte("key,fare_amount\n")
		}
		if _, err := entry.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		content []byte
		rows    [2]int64 // least and most
		want    string   // of the error
	}{
		{"whole.csv.gz", packed.Bytes(), [2]int64{bigRows - 7, bigRows - 7}, ""},
		{"several.zip", archive.Bytes(), [2]int64{bigRows - 7, bigRows - 7}, ""},
		{"cut.csv.gz", packed.Bytes()[:packed.Len()/2], [2]int64{20_000, 40_000}, "reading cut.csv.gz after line "},
		{"cut.csv", plain[:len(plain)/2], [2]int64{20_000, 40_000}, ""}, // its last line is bad
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), c.name)
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			reader, err := taxi.OpenCSV(path)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			last := 0.0
			report, err := marginals.Check(t.Context(), reader, math.MaxInt64, func(int64) {
				if done := reader.Done(); done < last || done > 1 {
					t.Errorf("%v done after %v", done, last)
				} else {
					last = done
				}
			})
			if (err == nil) != (c.want == "") || err != nil && !(strings.HasPrefix(err.Error(), c.want) && errors.Is(err, io.ErrUnexpectedEOF)) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
			if report.Rows < c.rows[0] || report.Rows > c.rows[1] || report.Complete != (err == nil) {
				t.Errorf("%d rows, complete %v", report.Rows, report.Complete)
			}
			if err == nil && reader.Done() != 1 {
				t.Errorf("at the end %v of the file is done", reader.Done())
			}
		})
	}
}

func TestCheckIsBoundedInReasons(t *testing.T) {
	var file strings.Builder
	file.WriteString(taxi.Header + "\n")
	for i := range 1000 {
		file.WriteString(strings.Repeat(",", 8+i) + "\n")
	}
	report, err := check(t, []byte(file.String()), 0, math.MaxInt64)
	if err != nil || len(report.Problems) != 51 || report.Problems[0].Rows != 950 || report.BadRows != 1000 {
		t.Errorf("%d problems, the first of %d rows, error %v", len(report.Problems), report.Problems[0].Rows, err)
	}
}

func TestCheckStops(t *testing.T) {
	file, _ := bigFile(t, "\n")
	reader, err := taxi.ReadCSV(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	report, err := marginals.Check(ctx, reader, math.MaxInt64, func(int64) { cancel() })
	if !errors.Is(err, context.Canceled) || report.Complete || report.NextRow != report.Rows+report.BadRows {
		t.Errorf("stopped before row %d after %d good and %d bad rows: %v", report.NextRow, report.Rows, report.BadRows, err)
	}
}

// Memory does not grow with the file: what is counted of the tenth part of a
// file takes as much as what is counted of the whole.
func TestCountsAreConstantInMemory(t *testing.T) {
	g := generator(t, 1)
	var c marginals.Counts
	var r taxi.Record
	row := int64(0)
	add := func() {
		g.Record(row, &r)
		c.Add(&r)
		row++
	}
	for range 20_000 {
		add()
	}
	if n := testing.AllocsPerRun(20_000, add); n > 0 {
		t.Errorf("%v allocations a record", n)
	}
}

func TestNothingCounted(t *testing.T) {
	comparison, err := (&marginals.Counts{}).Compare()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := errors.Join(comparison.WriteText(&b), comparison.WriteMarkdown(&b)); err != nil || !strings.Contains(b.String(), "none") {
		t.Errorf("error %v in\n%s", err, b.String())
	}
}

func check(t *testing.T, file []byte, fromRow, n int64) (*marginals.Report, error) {
	t.Helper()
	reader, err := taxi.ReadCSV(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Skip(fromRow); err != nil {
		t.Fatal(fmt.Errorf("skipping to row %d: %w", fromRow, err))
	}
	return marginals.Check(t.Context(), reader, n, nil)
}
