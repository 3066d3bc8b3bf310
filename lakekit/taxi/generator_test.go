package taxi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"taxilake/lakekit/taxi"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew instead of comparing with them")

// Everything downstream (expected aggregates, recorded lessons, other
// machines) counts on a row never changing. A change of the generator or the
// profile shows here and is written down with -rewrite.
func TestRowsNeverChange(t *testing.T) {
	var got strings.Builder
	for _, c := range []struct {
		seed    uint64
		fromRow int64
		rows    int64
	}{
		{1, 0, 10_000},
		{1, 1_000_000_000, 10_000},
		{math.MaxUint64, taxi.RowsOfRealFile - 5_000, 10_000},
	} {
		hash := sha256.New()
		generator := generator(t, c.seed)
		var r taxi.Record
		var line []byte
		for row := c.fromRow; row < c.fromRow+c.rows; row++ {
			generator.Record(row, &r)
			line = append(taxi.AppendJSON(line[:0], &r), '\n')
			hash.Write(line)
		}
		fmt.Fprintf(&got, "seed %d, rows %d to %d: sha256 %s\n", c.seed, c.fromRow, c.fromRow+c.rows-1, hex.EncodeToString(hash.Sum(nil)))
	}
	compareGolden(t, filepath.Join("testdata", "rows.golden"), got.String())
}

// The files that ship with the project are made by it: the sample, and the
// checksums with which a teacher sees that files are whole.
func TestShippedFiles(t *testing.T) {
	folder := filepath.Join("..", "..", "datasets")
	compareGolden(t, filepath.Join(folder, "sample.csv"), string(generatedCSV(t, 10_000)))
	var sums strings.Builder
	for _, name := range []string{"profile.json", "published.json", "sample.csv"} {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), name)
		if name == "profile.json" && len(content) > 400_000 {
			t.Errorf("the profile has %d bytes, want less than 400 kB", len(content))
		}
	}
	compareGolden(t, filepath.Join(folder, "SHA256SUMS"), sums.String())
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; if the generator was changed on purpose, run the test with -rewrite\ngot  %.300s\nwant %.300s", path, got, want)
	}
}

func TestAnyRowByItself(t *testing.T) {
	const rows = 2000
	inOrder := generator(t, 7)
	want := make([]string, rows)
	var r taxi.Record
	for row := range want {
		inOrder.Record(int64(row), &r)
		want[row] = string(taxi.AppendJSON(nil, &r))
	}
	for row := rows - 1; row >= 0; row-- {
		var fresh taxi.Record
		generator(t, 7).Record(int64(row), &fresh)
		if got := string(taxi.AppendJSON(nil, &fresh)); got != want[row] {
			t.Fatalf("row %d by itself is\n%s, in order it is\n%s", row, got, want[row])
		}
	}
}

func TestSeedsDiffer(t *testing.T) {
	a, b := generator(t, 1), generator(t, 2)
	same := 0
	var r taxi.Record
	for row := range int64(1000) {
		a.Record(row, &r)
		first := string(taxi.AppendJSON(nil, &r))
		b.Record(row, &r)
		if first == string(taxi.AppendJSON(nil, &r)) {
			same++
		}
	}
	if same > 0 {
		t.Errorf("%d of 1000 rows are the same with both seeds", same)
	}
}

func TestKeysAreUnique(t *testing.T) {
	const rows = 150_000
	g := generator(t, 3)
	seen := make(map[string]struct{}, 2*rows)
	var r taxi.Record
	// Across the end of the first data set, where counters begin to go on.
	for row := int64(taxi.RowsOfRealFile - rows); row < taxi.RowsOfRealFile+rows; row++ {
		g.Record(row, &r)
		seen[string(r.Key)] = struct{}{}
	}
	if len(seen) != 2*rows {
		t.Errorf("%d keys of %d rows are repeated", 2*rows-len(seen), 2*rows)
	}
}

func TestGeneratorAllocatesNothing(t *testing.T) {
	rows := taxi.NewRows(generator(t, 1), 0, math.MaxInt64)
	if _, _, err := rows.Next(); err != nil {
		t.Fatal(err)
	}
	var failed error
	if n := testing.AllocsPerRun(5000, func() {
		if _, _, err := rows.Next(); err != nil {
			failed = err
		}
	}); n != 0 || failed != nil {
		t.Errorf("a row takes %v allocations, error %v", n, failed)
	}
}
