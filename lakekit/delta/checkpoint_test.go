package delta

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"taxilake/lakekit/blob"
)

// deleteCommits removes the JSON up to a version, as log cleanup would.
func deleteCommits(t testing.TB, bucket blob.Bucket, to int64) {
	t.Helper()
	for v := range to + 1 {
		if err := bucket.Delete(t.Context(), commitKey(v)); err != nil {
			t.Fatal(err)
		}
	}
}

func stateOf(s *Snapshot) map[string]any {
	adds := s.Files()
	for i := range adds {
		adds[i].DataChange = false // a checkpoint says that files are there, not that they are news
	}
	var tombstones []Remove
	for _, r := range s.tombstones {
		tombstones = append(tombstones, *r)
	}
	return map[string]any{"protocol": s.Protocol(), "metadata": s.Metadata(), "files": adds, "txns": s.txns, "tombstones": tombstones, "records": s.NumRecords()}
}

// TestCheckpointHoldsTheState: read from the checkpoint alone, a table is what
// it was by its JSON.
func TestCheckpointHoldsTheState(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := quiet(must[*Table](t)(Create(t.Context(), bucket, Definition{
		Name: "fares", Description: "d", Schema: fare, PartitionBy: []string{"note"}, Properties: map[string]string{CheckpointIntervalKey: "1000", "owner": "alice"},
	})))
	for i := range int64(4) {
		s := must[*Snapshot](t)(table.Snapshot(t.Context()))
		adds := must[[]Add](t)(table.WriteFiles(t.Context(), fares(i*10, 10)))
		adds[0].Tags = map[string]string{"INSERTION_TIME": "1"}
		c := Commit{Operation: "STREAMING UPDATE", Adds: adds, ReadVersion: s.Version(), BlindAppend: true, Txn: &Txn{AppID: fmt.Sprint("app", i%2), Version: i}}
		must[int64](t)(table.Commit(t.Context(), c))
	}
	must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{}))
	want := stateOf(must[*Snapshot](t)(table.Snapshot(t.Context())))
	if err := table.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	deleteCommits(t, bucket, 5)
	s := must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))
	got := stateOf(s)
	for part := range want {
		if !reflect.DeepEqual(got[part], want[part]) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", part, got[part], want[part])
		}
	}
	equalIDs(t, ids(t, s), sequence(0, 40))
	// The table goes on behind the checkpoint.
	after := openFares(t, bucket)
	if version := appendFares(t, after, 40, 10); version != 6 {
		t.Fatalf("version %d", version)
	}
	equalIDs(t, ids(t, must[*Snapshot](t)(after.Snapshot(t.Context()))), sequence(0, 50))
}

// TestCheckpointWithoutForeignChecksums: those that Spark leaves on a local file
// system are of the files it wrote.
func TestCheckpointWithoutForeignChecksums(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := createFares(t, bucket, nil)
	sums := []string{"_delta_log/._last_checkpoint.crc", "_delta_log/.00000000000000000000.checkpoint.parquet.crc"}
	for _, key := range sums {
		putText(t, bucket, key, "crc")
	}
	if err := table.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range sums {
		if _, err := bucket.Head(t.Context(), key); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestCheckpointOfTableFeatures(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := must[*Table](t)(Create(t.Context(), bucket, Definition{Schema: Schema{[]Field{{Name: "at", Type: TimestampNTZ, Nullable: true}}}}))
	want := must[*Snapshot](t)(table.Snapshot(t.Context())).Protocol()
	if err := table.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	deleteCommits(t, bucket, 0)
	if got := must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context())).Protocol(); !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, want %+v", got, want)
	}
}

// TestTombstonesExpire from checkpoints after deletedFileRetentionDuration.
func TestTombstonesExpire(t *testing.T) {
	for _, test := range []struct {
		later time.Duration
		want  int
	}{{6 * 24 * time.Hour, 3}, {8 * 24 * time.Hour, 0}} {
		bucket := blob.NewMemory("lake")
		table := createFares(t, bucket, nil)
		for i := range int64(3) {
			appendFares(t, table, i*10, 10)
		}
		must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{}))
		table.now = func() time.Time { return time.Now().Add(test.later) }
		if err := table.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		deleteCommits(t, bucket, 4)
		if got := len(must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context())).tombstones); got != test.want {
			t.Errorf("after %s: %d tombstones, want %d", test.later, got, test.want)
		}
	}
}

// TestRemovesWithoutExtendedMetadata, as other writers leave them.
func TestRemovesWithoutExtendedMetadata(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := createFares(t, bucket, nil)
	appendFares(t, table, 0, 10)
	path := must[*Snapshot](t)(table.Snapshot(t.Context())).Files()[0].Path
	putText(t, bucket, commitKey(2), fmt.Sprintf(`{"remove":{"path":%q,"dataChange":true,"deletionTimestamp":%d}}`, path, time.Now().UnixMilli()))
	if err := table.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	deleteCommits(t, bucket, 2)
	tombstones := must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context())).tombstones
	if len(tombstones) != 1 || tombstones[0].Path != path || tombstones[0].ExtendedFileMetadata {
		t.Fatalf("%+v", tombstones)
	}
}

func TestMultiPartCheckpoint(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := createFares(t, bucket, map[string]string{CheckpointIntervalKey: "1000"})
	for i := range int64(6) {
		appendFares(t, table, i*10, 10)
	}
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	put := func(part int, adds []*Add) {
		half := *s
		half.adds = adds
		var content bytes.Buffer
		must[int64](t)(encodeCheckpoint(&content, &half, time.Now()))
		key := fmt.Sprintf("_delta_log/%020d.checkpoint.%010d.%010d.parquet", s.Version(), part, 2)
		if err := bucket.Put(t.Context(), key, bytes.NewReader(content.Bytes())); err != nil {
			t.Fatal(err)
		}
	}
	put(2, s.adds[3:])
	equalIDs(t, ids(t, must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))), sequence(0, 60)) // incomplete: by the JSON
	put(1, s.adds[:3])
	appendFares(t, table, 60, 10)
	deleteCommits(t, bucket, 6)
	equalIDs(t, ids(t, must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))), sequence(0, 70))
	if err := bucket.Delete(t.Context(), "_delta_log/00000000000000000006.checkpoint.0000000002.0000000002.parquet"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), bucket); !errors.Is(err, ErrNoVersion) {
		t.Fatalf("a checkpoint without its second part: error %v", err)
	}
}

func TestHistory(t *testing.T) {
	table := createFares(t, blob.NewMemory("lake"), map[string]string{CheckpointIntervalKey: "2"})
	for i := range int64(3) {
		appendFares(t, table, i*10, 10)
	}
	c := Commit{
		Operation: "STREAMING UPDATE", Parameters: map[string]any{"outputMode": "Append", "queryId": "q", "epochId": "0"},
		Metrics: map[string]string{"numOutputRows": "0"}, ReadVersion: 3, BlindAppend: true, UserMetadata: "note",
	}
	must[int64](t)(table.Commit(t.Context(), c))
	all := must[[]HistoryEntry](t)(table.History(t.Context(), 0))
	var operations []string
	for i, entry := range all {
		operations = append(operations, entry.Operation)
		if entry.Version != int64(4-i) || entry.EngineInfo != "taxilake" {
			t.Errorf("%+v", entry)
		}
	}
	if want := []string{"STREAMING UPDATE", "WRITE", "WRITE", "WRITE", "CREATE TABLE"}; !slices.Equal(operations, want) {
		t.Errorf("operations %v", operations)
	}
	top := must[[]HistoryEntry](t)(table.History(t.Context(), 1))
	if len(top) != 1 || !reflect.DeepEqual(top[0], all[0]) {
		t.Errorf("newest of one: %+v", top)
	}
	if newest := top[0]; newest.UserMetadata != "note" || newest.OperationParameters["epochId"] != "0" || newest.OperationMetrics["numOutputRows"] != "0" || !*newest.IsBlindAppend || *newest.ReadVersion != 3 {
		t.Errorf("%+v", newest)
	}
}

func FuzzCheckpoint(f *testing.F) {
	bucket := blob.NewMemory("lake")
	table := createFares(f, bucket, nil)
	appendFares(f, table, 0, 10)
	var content bytes.Buffer
	must[int64](f)(encodeCheckpoint(&content, must[*Snapshot](f)(table.Snapshot(f.Context())), time.Now()))
	f.Add(content.Bytes())
	f.Add([]byte("PAR1PAR1"))
	for _, file := range must[[]string](f)(filepath.Glob("testdata/golden/*/table/_delta_log/*.parquet")) {
		f.Add(must[[]byte](f)(os.ReadFile(file)))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 1<<20 {
			return
		}
		bucket := blob.NewMemory("lake")
		if err := bucket.Put(t.Context(), "c", bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		if _, err := readCheckpointPart(t.Context(), bucket, logFile{key: "c"}); err != nil && !errors.Is(err, ErrCorruptLog) {
			t.Fatalf("%v is not ErrCorruptLog", err)
		}
	})
}

// manyFiles is a table of that many live files, and of a history of rewrites:
// each file was removed and added again under another name generations times.
func manyFiles(t testing.TB, files, generations int) *Table {
	t.Helper()
	const perCommit = 1000
	bucket := blob.NewMemory("lake")
	clock := newClock()
	table := createFares(t, clocked(bucket, clock), map[string]string{CheckpointIntervalKey: "1000000"})
	table.now = clock.now
	const stats = `{"numRecords":10000,"minValues":{"key":"2009-01-01T00:00:00.000Z","fare_amount":2.5},"maxValues":{"key":"2015-06-30T00:00:00.000Z","fare_amount":250},"nullCount":{"key":0,"fare_amount":0}}`
	path := func(generation, i int) string {
		return fmt.Sprintf("part-%05d-%08d-8d46-4b5e-a4a0-5c1d6a4d0f6e-c000.zstd.parquet", generation, i)
	}
	version := int64(0)
	for generation := range generations {
		for start := 0; start < files; start += perCommit {
			c := Commit{Operation: "WRITE", ReadVersion: version}
			for i := start; i < min(start+perCommit, files); i++ {
				c.Adds = append(c.Adds, Add{Path: path(generation, i), Size: 1 << 20, DataChange: true, Stats: stats})
				if generation > 0 {
					c.Removes = append(c.Removes, Remove{Path: path(generation-1, i), DataChange: true, ExtendedFileMetadata: true, Size: 1 << 20})
				}
			}
			version = must[int64](t)(table.Commit(t.Context(), c))
			if version%20 == 0 {
				must[*Snapshot](t)(table.Snapshot(t.Context()))
			}
		}
		clock.advance(8 * 24 * time.Hour) // tombstones expire
	}
	must[*Snapshot](t)(table.Snapshot(t.Context()))
	return table
}

// BenchmarkCheckpoint reports the memory that a checkpoint takes beyond the
// snapshot, at its peak.
func BenchmarkCheckpoint(b *testing.B) {
	for _, size := range []struct{ files, generations int }{{10_000, 1}, {100_000, 1}, {100_000, 3}} {
		b.Run(fmt.Sprintf("files=%d/generations=%d", size.files, size.generations), func(b *testing.B) {
			table := manyFiles(b, size.files, size.generations)
			defer debug.SetGCPercent(debug.SetGCPercent(5)) // what is live, not what waits to be collected
			runtime.GC()
			var before, during runtime.MemStats
			runtime.ReadMemStats(&before)
			peak := before.HeapAlloc
			stop, done := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				for {
					select {
					case <-stop:
						return
					case <-time.After(2 * time.Millisecond):
						runtime.ReadMemStats(&during)
						peak = max(peak, during.HeapAlloc)
					}
				}
			}()
			for b.Loop() {
				if err := table.Checkpoint(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			close(stop)
			<-done
			b.ReportMetric(float64(before.HeapAlloc)/mib, "MiB-before")
			b.ReportMetric(float64(peak-before.HeapAlloc)/mib, "MiB-more")
		})
	}
}
