package expect

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"taxilake/lakekit/taxi"
)

// writeCSV writes a file of records with the given times and fares.
func writeCSV(t *testing.T, rows ...string) string {
	t.Helper()
	var file strings.Builder
	file.WriteString(taxi.Header + "\n")
	for _, row := range rows {
		at, fare, _ := strings.Cut(row, " USD ")
		file.WriteString(at + ".0000001," + fare + "," + at + " UTC,-73.9,40.7,,,1\n")
	}
	path := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(path, []byte(file.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func compute(t *testing.T, options Options, ranges ...Range) *Result {
	t.Helper()
	result, err := Compute(t.Context(), ranges, options)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// Counted by hand. 2012-02-29 was a Wednesday, 2015-06-30 a Tuesday.
func TestSevenAggregates(t *testing.T) {
	path := writeCSV(t,
		"2012-02-29 00:00:00 USD 2.5",
		"2012-02-29 23:59:59 USD 12.10",
		"2015-06-30 16:30:00 USD -2.50",
		"2015-06-30 16:30:00 USD 93963.36",
		"2009-01-01 05:00:00 USD 0",
		"2009-01-01 05:00:00 USD 4.35",
		"2009-01-01 05:00:00 USD broken",
	)
	got := compute(t, Options{}, Range{CSV: path, Rows: 100})
	want := &Result{
		All:    Fares{6, 250 + 1210 - 250 + 9396336 + 0 + 435},
		ByYear: map[int]Fares{2009: {2, 435}, 2012: {2, 1460}, 2015: {2, 9396086}},
		ByFare: map[int64]int64{-3: 1, 0: 1, 2: 1, 4: 1, 12: 1, 93963: 1},

		BadRows: 1,
	}
	want.ByMonth[0], want.ByMonth[1], want.ByMonth[5] = Fares{2, 435}, Fares{2, 1460}, Fares{2, 9396086}
	want.ByWeekday[2], want.ByWeekday[3], want.ByWeekday[4] = Fares{2, 9396086}, Fares{2, 1460}, Fares{2, 435}
	want.ByHour[0], want.ByHour[5], want.ByHour[16], want.ByHour[23] = Fares{1, 250}, Fares{2, 435}, Fares{2, 9396086}, Fares{1, 1210}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if mean := got.ByYear[2012].Mean(); mean != 7.3 {
		t.Errorf("mean fare of 2012 is %v, want 7.3", mean)
	}

	shifted := compute(t, Options{SessionOffset: 8 * time.Hour}, Range{CSV: path, FromRow: 1, Rows: 2})
	want = &Result{
		All:    Fares{2, 960},
		ByYear: map[int]Fares{2012: {1, 1210}, 2015: {1, -250}},
		ByFare: map[int64]int64{-3: 1, 12: 1},
	}
	// 2012-03-01 07:59:59, a Thursday, and 2015-07-01 00:30:00, a Wednesday.
	want.ByMonth[2], want.ByMonth[6] = Fares{1, 1210}, Fares{1, -250}
	want.ByWeekday[4], want.ByWeekday[3] = Fares{1, 1210}, Fares{1, -250}
	want.ByHour[7], want.ByHour[0] = Fares{1, 1210}, Fares{1, -250}
	if !reflect.DeepEqual(shifted, want) {
		t.Errorf("eight hours on: got  %+v\nwant %+v", shifted, want)
	}
}

// The calendar here is counted, the one of package time calculated.
func TestCalendarAgreesWithPackageTime(t *testing.T) {
	for at := time.Date(1890, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2110; at = at.Add(11*time.Hour + 59*time.Minute + 59*time.Second) {
		want := when{at.Year(), int(at.Month()), int(at.Weekday()), at.Hour()}
		if got := moment(at.Unix()); got != want {
			t.Fatalf("%v is %+v, want %+v", at, got, want)
		}
	}
}

func TestRangesAddUp(t *testing.T) {
	const rows = 3*chunkRows + 17
	whole := compute(t, Options{}, Range{Seed: 1, FromRow: 5, Rows: rows})
	if whole.All.Trips != rows {
		t.Errorf("counted %d rows of %d", whole.All.Trips, rows)
	}
	for name, parts := range map[string]*Result{
		"one worker":   compute(t, Options{Workers: 1}, Range{Seed: 1, FromRow: 5, Rows: rows}),
		"many workers": compute(t, Options{Workers: 7}, Range{Seed: 1, FromRow: 5, Rows: rows}),
		"in pieces":    compute(t, Options{}, Range{Seed: 1, FromRow: 1005, Rows: rows - 1000}, Range{Seed: 1, FromRow: 5, Rows: 1000}, Range{Seed: 2}),
	} {
		if diff := whole.Diff(parts); len(diff) > 0 || !reflect.DeepEqual(whole, parts) {
			t.Errorf("%s: %q", name, diff)
		}
	}
	if diff := whole.Diff(compute(t, Options{}, Range{Seed: 2, FromRow: 5, Rows: rows})); len(diff) < 50 {
		t.Errorf("another seed differs in %q only", diff)
	}
	if twice := compute(t, Options{}, Range{Seed: 1, Rows: 9}, Range{Seed: 1, Rows: 9}); twice.All.Trips != 18 {
		t.Errorf("a range given twice counts %d rows, want 18", twice.All.Trips)
	}
}

func TestFileAndGeneratorAgree(t *testing.T) {
	const rows = 3000
	generator, err := taxi.NewGenerator(4)
	if err != nil {
		t.Fatal(err)
	}
	file := bytes.NewBufferString(taxi.Header + "\n")
	var r taxi.Record
	for row := range int64(rows) {
		generator.Record(row, &r)
		file.Write(taxi.AppendCSV(nil, &r))
	}
	path := filepath.Join(t.TempDir(), "train.csv")
	if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	want := compute(t, Options{}, Range{Seed: 4, FromRow: 10, Rows: rows - 10})
	got := compute(t, Options{}, Range{CSV: path, FromRow: 10, Rows: 20}, Range{CSV: path, FromRow: 30, Rows: rows}, Range{CSV: path, FromRow: rows + 1, Rows: 5})
	if diff := want.Diff(got); len(diff) > 0 {
		t.Error(diff)
	}
}

func TestDiff(t *testing.T) {
	want := compute(t, Options{}, Range{CSV: writeCSV(t, "2012-02-29 00:00:00 USD 2.5", "2012-02-29 07:00:00 USD 8"), Rows: 2})
	got := compute(t, Options{}, Range{CSV: writeCSV(t, "2012-02-29 00:00:00 USD 2.5", "2013-02-28 07:00:00 USD 9.25"), Rows: 2})
	wantDiff := []string{
		"all rows: 1175 cents, expected 1050 (+125)",
		"month 2: 1175 cents, expected 1050 (+125)",
		"dayofweek 4: 1 trips, expected 2 (-1)",
		"dayofweek 4: 250 cents, expected 1050 (-800)",
		"dayofweek 5: 1 trips, expected 0 (+1)",
		"dayofweek 5: 925 cents, expected 0 (+925)",
		"hour 7: 925 cents, expected 800 (+125)",
		"year 2012: 1 trips, expected 2 (-1)",
		"year 2012: 250 cents, expected 1050 (-800)",
		"year 2013: 1 trips, expected 0 (+1)",
		"year 2013: 925 cents, expected 0 (+925)",
		"fares from 8 to under 9 USD: 0 trips, expected 1 (-1)",
		"fares from 9 to under 10 USD: 1 trips, expected 0 (+1)",
	}
	if diff := want.Diff(got); !reflect.DeepEqual(diff, wantDiff) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(diff, "\n"), strings.Join(wantDiff, "\n"))
	}
}

func TestComputeFails(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "train.csv")
	// Ranges enough that dealing them must stop as well.
	ranges := []Range{{CSV: missing, Rows: 1}, {Seed: 1, Rows: 1 << 62}}
	if _, err := Compute(t.Context(), ranges, Options{Workers: 2}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the file the error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Compute(ctx, []Range{{Seed: 1, Rows: 1 << 62}}, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancelling the error is %v", err)
	}
}

func BenchmarkCompute(b *testing.B) {
	const rows = 40 * chunkRows
	for b.Loop() {
		if _, err := Compute(b.Context(), []Range{{Seed: 1, Rows: rows}}, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
}
