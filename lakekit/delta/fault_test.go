package delta

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
)

// TestFaultsAtEveryOperation of the store, before it and in place of its
// answer: after each, a reader sees the old version or the new one, every
// version kept can still be read, and an operation that says it was done was done.
func TestFaultsAtEveryOperation(t *testing.T) {
	extra := func(table *Table) error {
		_, err := table.Append(t.Context(), AppendOptions{MergeSchema: true}, withExtra(fares(40, 10), "extra"))
		return err
	}
	operations := []struct {
		name  string
		run   func(*Table) error
		after []int64 // ids; nil: as before
	}{
		{"append", func(table *Table) error {
			_, err := table.Append(t.Context(), AppendOptions{}, fares(40, 10))
			return err
		}, sequence(0, 50)},
		{"append with a new column", extra, sequence(0, 50)},
		{"optimize", func(table *Table) error {
			_, err := table.Optimize(t.Context(), OptimizeOptions{})
			return err
		}, nil},
		{"optimize by Z order", func(table *Table) error {
			_, err := table.Optimize(t.Context(), OptimizeOptions{ZOrderBy: []string{"fare_amount"}})
			return err
		}, nil},
		{"restore", func(table *Table) error {
			_, err := table.Restore(t.Context(), 2)
			return err
		}, sequence(0, 20)},
		{"vacuum", func(table *Table) error {
			_, err := table.Vacuum(t.Context(), VacuumOptions{})
			return err
		}, nil},
		{"checkpoint", func(table *Table) error { return table.Checkpoint(t.Context()) }, nil},
		{"checkpoint and log cleanup", func(table *Table) error {
			return errors.Join(table.Checkpoint(t.Context()), table.cleanUpLog(t.Context()))
		}, nil},
	}
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			for n := 0; ; n++ {
				if last := faultAt(t, n, op.run, op.after); last {
					if n < 2 {
						t.Fatal("the operation does not reach the store")
					}
					return
				}
			}
		})
	}
}

// faultAt lets the nth call of the hook fail, and reports that there were
// fewer.
func faultAt(t *testing.T, n int, run func(*Table) error, after []int64) (last bool) {
	t.Helper()
	bucket := clocked(blob.NewMemory("lake"), newClock())
	setUp := createFares(t, bucket, map[string]string{CheckpointIntervalKey: "5", LogRetentionDurationKey: "interval 1 day"})
	setUp.now = bucket.clock.now
	for i := range int64(4) {
		appendFares(t, setUp, i*10, 10)
		if i == 1 {
			if err := setUp.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	bucket.put(t, "abandoned-1.parquet", "abandoned-2.parquet")
	bucket.clock.advance(8 * day)
	before := sequence(0, 40)
	if after == nil {
		after = before
	}
	calls := -1
	failed := ""
	var mu sync.Mutex
	table := bucket.clock.openAt(t, bucket)
	table.bucket = blobtest.Faults(bucket, func(op, key string) error {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls == n {
			failed = op + " " + key
			return errStore
		}
		return nil
	})
	err := run(table)
	what := fmt.Sprintf("%q fails (error %v)", failed, err)
	reader := bucket.clock.openAt(t, bucket)
	s, readErr := reader.Snapshot(t.Context())
	if readErr != nil {
		t.Fatalf("%s: %v", what, readErr)
	}
	got, readErr := tryIDs(s)
	switch {
	case readErr != nil:
		t.Fatalf("%s: %v", what, readErr)
	case err == nil && !slices.Equal(got, after):
		t.Fatalf("%s: done, but %d rows are there and not %d", what, len(got), len(after))
	case !slices.Equal(got, before) && !slices.Equal(got, after):
		t.Fatalf("%s: %d rows", what, len(got))
	case err != nil && !errors.Is(err, ErrUnknownOutcome) && !slices.Equal(got, before):
		t.Fatalf("%s: failed, but %d rows are there", what, len(got))
	}
	live := map[string]bool{}
	for v := range s.Version() + 1 {
		past, err := reader.SnapshotAt(t.Context(), v)
		if v < 4 && errors.Is(err, ErrNoVersion) { // of before the log retention
			continue
		}
		if err != nil {
			t.Fatalf("%s: version %d: %v", what, v, err)
		}
		for _, add := range past.Files() {
			live[must[string](t)(add.Key())] = true
		}
		rows, err := tryIDs(past)
		if v == s.Version() {
			break
		}
		if err != nil || len(rows) != len(before) && len(rows) != 10*int(v) {
			t.Fatalf("%s: version %d has %d rows, error %v", what, v, len(rows), err)
		}
	}
	for _, key := range dataFiles(t, bucket) {
		if !live[key] && strings.HasPrefix(key, "part") {
			t.Fatalf("%s: %s is left over", what, key)
		}
	}
	return n > calls
}
