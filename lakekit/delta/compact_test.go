package delta

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// snapshotOf has files of the given sizes, in that order of age.
func snapshotOf(sizes []int64, properties map[string]string, partition func(i int) string) *Snapshot {
	s := &Snapshot{table: &Table{}, properties: parseProperties(properties)}
	for i, size := range sizes {
		s.adds = append(s.adds, &Add{Path: fmt.Sprintf("%06d", i), Size: size, ModificationTime: int64(i), PartitionValues: map[string]string{"p": partition(i)}})
	}
	return s
}

func onePartition(int) string { return "" }

func TestPlanCompaction(t *testing.T) {
	repeat := func(size int64, n int) []int64 { return slices.Repeat([]int64{size}, n) }
	tests := []struct {
		name      string
		sizes     []int64
		partition func(int) string
		opts      CompactOptions
		want      []int // files in each bin
	}{
		{"nothing", nil, onePartition, CompactOptions{}, nil},
		{"one file", repeat(kib, 1), onePartition, CompactOptions{}, nil},
		{"two files", repeat(kib, 2), onePartition, CompactOptions{}, []int{2}},
		{"large files are left alone", []int64{65 * mib, 100 * mib, 200 * mib, kib}, onePartition, CompactOptions{}, nil},
		{"bins up to the target", repeat(60*mib, 5), onePartition, CompactOptions{}, []int{2, 2}},
		{"other target", repeat(kib, 10), onePartition, CompactOptions{TargetSize: 4 * kib}, []int{4, 4, 2}},
		{"by partition", repeat(kib, 6), func(i int) string { return fmt.Sprint(i % 4) }, CompactOptions{}, []int{2, 2}},
		{"at most so many bytes", repeat(kib, 100), onePartition, CompactOptions{MaxBytes: 10 * kib}, []int{10}},
		{"too few for auto", repeat(kib, 49), onePartition, CompactOptions{Auto: true}, nil},
		{"enough for auto", repeat(kib, 50), onePartition, CompactOptions{Auto: true}, []int{50}},
		{"auto counts each partition", repeat(kib, 98), func(i int) string { return fmt.Sprint(i % 2) }, CompactOptions{Auto: true}, nil},
		{"auto leaves what was merged", append(repeat(kib, 50), 50*mib), onePartition, CompactOptions{Auto: true}, []int{50}},
		{"empty files", repeat(0, 3), onePartition, CompactOptions{}, []int{3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []int
			for _, bin := range snapshotOf(test.sizes, nil, test.partition).planCompaction(test.opts) {
				got = append(got, len(bin))
			}
			if !slices.Equal(got, test.want) {
				t.Fatalf("bins of %v files, want %v", got, test.want)
			}
		})
	}
}

// TestAutoCompactionRewritesAByteAboutTwice: a long stream of equal files is
// merged whenever it is due. The bytes rewritten, and the files there are at
// any time, stay bounded.
func TestAutoCompactionRewritesAByteAboutTwice(t *testing.T) {
	on := map[string]string{AutoCompactKey: "true"}
	for _, size := range []int64{30 * kib, 100 * kib, 700 * kib, 3 * mib, 20 * mib} {
		t.Run(fmt.Sprintf("%d KiB", size/kib), func(t *testing.T) {
			var sizes []int64
			var written, rewritten int64
			for range 6000 {
				sizes = append(sizes, size)
				written += size
				s := snapshotOf(sizes, on, onePartition)
				if !s.NeedsAutoCompaction() {
					continue
				}
				gone := map[string]bool{}
				var merged []int64
				for _, bin := range s.planCompaction(CompactOptions{Auto: true}) {
					sum := int64(0)
					for _, f := range bin {
						gone[f.Path] = true
						sum += f.Size
					}
					merged = append(merged, sum)
					rewritten += sum
				}
				sizes = merged
				for _, f := range s.adds {
					if !gone[f.Path] {
						sizes = append(sizes, f.Size)
					}
				}
				small := 0
				for _, size := range sizes {
					if size <= 64*mib {
						small++
					}
				}
				if small > 2*autoCompactMinFiles {
					t.Fatalf("%d small files", small)
				}
			}
			if ratio := float64(rewritten) / float64(written); ratio > 2.1 {
				t.Fatalf("each byte was rewritten %.2f times", ratio)
			}
		})
	}
}

func TestNeedsAutoCompaction(t *testing.T) {
	sizes := slices.Repeat([]int64{kib}, 50)
	for value, want := range map[string]bool{"true": true, "auto": true, "false": false, "": false} {
		if got := snapshotOf(sizes, map[string]string{AutoCompactKey: value}, onePartition).NeedsAutoCompaction(); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

func TestCompactCommit(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := createFares(t, bucket, map[string]string{AppendOnlyKey: "true"}) // no row goes: allowed
	for i := range int64(4) {
		appendFares(t, table, i*10, 10)
	}
	before := must[*Snapshot](t)(table.Snapshot(t.Context()))
	result := must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{Auto: true, MinFiles: 4}))
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	equalIDs(t, ids(t, s), sequence(0, 40))
	if result.Version != 5 || result.FilesRemoved != 4 || result.FilesAdded != 1 || result.BytesRemoved != before.SizeInBytes() || result.BytesAdded != s.SizeInBytes() {
		t.Errorf("%+v", result)
	}
	if s.Files()[0].DataChange {
		t.Error("dataChange is true: streams that read the table would see the rows again")
	}
	entry := must[[]HistoryEntry](t)(table.History(t.Context(), 1))[0]
	wantMetrics := map[string]string{
		"numRemovedFiles": "4", "numAddedFiles": "1",
		"numRemovedBytes": fmt.Sprint(result.BytesRemoved), "numAddedBytes": fmt.Sprint(result.BytesAdded),
	}
	if entry.Operation != "OPTIMIZE" || entry.OperationParameters["auto"] != "true" || *entry.IsBlindAppend || *entry.ReadVersion != 4 ||
		!maps.Equal(entry.OperationMetrics, wantMetrics) || entry.IsolationLevel != "SnapshotIsolation" {
		t.Errorf("%+v", entry)
	}
	if again := must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{})); again.Version != -1 {
		t.Errorf("one file was compacted: %+v", again)
	}
	log := string(must[[]byte](t)(blob.ReadAll(t.Context(), bucket, commitKey(5))))
	if n := strings.Count(log, `"dataChange":false`); n != 5 {
		t.Errorf("%d of 5 files without data change:\n%s", n, log)
	}
}

// TestCompactionsCollide: of two that merge the same files one wins; the other
// leaves nothing behind.
// TestRewritesKeepPartitionValues as other writers have put them: only those know
// in which zone a time without one is.
func TestRewritesKeepPartitionValues(t *testing.T) {
	schema := Schema{[]Field{column("at", Timestamp), column("x", Double), column("id", Long)}}
	values := PartitionValues{"at": "2024-01-01 12:00:00", "x": "1.0"}
	for name, rewrite := range map[string]func(context.Context, *Table) (CompactResult, error){
		"compact":  func(ctx context.Context, t *Table) (CompactResult, error) { return t.Compact(ctx, CompactOptions{}) },
		"optimize": func(ctx context.Context, t *Table) (CompactResult, error) { return t.Optimize(ctx, OptimizeOptions{}) },
		"zorder": func(ctx context.Context, t *Table) (CompactResult, error) {
			return t.Optimize(ctx, OptimizeOptions{ZOrderBy: []string{"id"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			table := must[*Table](t)(Create(t.Context(), blob.NewMemory("lake"), Definition{Schema: schema, PartitionBy: []string{"at", "x"}}))
			for version := range int64(2) {
				adds := must[[]Add](t)(table.WriteFiles(t.Context(), batchOf(t, schema, `[{"at":"2024-01-01T12:00:00Z","x":1,"id":7}]`)))
				adds[0].PartitionValues = values
				must[int64](t)(table.Commit(t.Context(), Commit{Operation: "WRITE", Adds: adds, BlindAppend: true, ReadVersion: version}))
			}
			before := rowsOf(t, must[*Snapshot](t)(table.Snapshot(t.Context())))
			must[CompactResult](t)(rewrite(t.Context(), table))
			s := must[*Snapshot](t)(table.Snapshot(t.Context()))
			if files := s.Files(); len(files) != 1 || !maps.Equal(files[0].PartitionValues, values) {
				t.Errorf("files %+v", files)
			}
			if after := rowsOf(t, s); !slices.Equal(after, before) {
				t.Errorf("rows %s, want %s", after, before)
			}
		})
	}
}

func TestCompactionsCollide(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := createFares(t, bucket, nil)
	for i := range int64(4) {
		appendFares(t, table, i*10, 10)
	}
	rival := openFares(t, bucket)
	var once sync.Once
	slow := openFares(t, blobtest.Faults(bucket, func(op, _ string) error {
		if op == blobtest.PutIfAbsent {
			once.Do(func() { must[CompactResult](t)(rival.Compact(t.Context(), CompactOptions{})) })
		}
		return nil
	}))
	if _, err := slow.Compact(t.Context(), CompactOptions{}); !errors.Is(err, ErrConflict) {
		t.Fatalf("error %v", err)
	}
	equalIDs(t, ids(t, must[*Snapshot](t)(table.Snapshot(t.Context()))), sequence(0, 40))
	if files := dataFiles(t, bucket); len(files) != 5 {
		t.Fatalf("data files %q, want 4 and the winner's", files)
	}
}

// TestCompactFailsAtEveryOperation of the store: a reader sees the old version
// or the new one, with the same rows.
func TestCompactFailsAtEveryOperation(t *testing.T) {
	for n := 0; ; n++ {
		bucket := blob.NewMemory("lake")
		table := createFares(t, bucket, map[string]string{CheckpointIntervalKey: "5"})
		for i := range int64(4) {
			appendFares(t, table, i*10, 10)
		}
		calls := -1
		var mu sync.Mutex
		faulty := openFares(t, bucket)
		faulty.bucket = blobtest.Faults(bucket, func(string, string) error {
			mu.Lock()
			defer mu.Unlock()
			if calls++; calls == n {
				return errStore
			}
			return nil
		})
		_, err := faulty.Compact(t.Context(), CompactOptions{})
		s := must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))
		equalIDs(t, ids(t, s), sequence(0, 40))
		if err == nil && s.NumFiles() != 1 || err != nil && s.NumFiles() != 4 {
			t.Fatalf("failure at call %d: error %v and %d files", n, err, s.NumFiles())
		}
		if left := dataFiles(t, bucket); err == nil && len(left) != 5 || err != nil && len(left) != 4 {
			t.Fatalf("failure at call %d: error %v and data files %q", n, err, left)
		}
		if n > calls {
			return // past the last operation
		}
	}
}
