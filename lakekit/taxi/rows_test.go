package taxi_test

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"taxilake/lakekit/taxi"
)

func TestRowsOfAGenerator(t *testing.T) {
	g := generator(t, 9)
	rows := taxi.NewRows(g, 40, 3)
	for row := int64(40); row < 43; row++ {
		if got := rows.Position(); got != row {
			t.Errorf("position is %d, want %d", got, row)
		}
		key, value, err := rows.Next()
		if err != nil {
			t.Fatal(err)
		}
		var r taxi.Record
		g.Record(row, &r)
		if want := string(taxi.AppendJSON(nil, &r)); string(value) != want || string(key) != string(r.Key) {
			t.Errorf("row %d is %s: %s, want %s", row, key, value, want)
		}
	}
	for range 2 {
		if _, _, err := rows.Next(); err != io.EOF {
			t.Errorf("after the last row comes %v", err)
		}
	}
	if got := rows.Position(); got != 43 {
		t.Errorf("position at the end is %d, want 43", got)
	}
}

func TestRowsOfACSVFile(t *testing.T) {
	reader, err := taxi.ReadCSV(strings.NewReader(taxi.Header + "\n" + strings.Repeat(courseLine+"\n", 3) + "bad\n" + courseLine + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Skip(1); err != nil {
		t.Fatal(err)
	}
	rows := taxi.NewCSVRows(reader, math.MaxInt64)
	var got []string
	for {
		key, _, err := rows.Next()
		var bad *taxi.RowError
		if err == io.EOF {
			break
		}
		if errors.As(err, &bad) {
			key = []byte(err.Error())
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(key))
	}
	key := string(courseRecord().Key)
	want := []string{key, key, "csv, line 5: 1 fields where the header has 8", key}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
	if rows.Position() != 5 {
		t.Errorf("position is %d, want 5", rows.Position())
	}
}
