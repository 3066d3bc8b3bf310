package delta

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"taxilake/lakekit/blob"
)

// inMemory copies a golden table, so that a test can break it.
func inMemory(t testing.TB, name string) blob.Bucket {
	t.Helper()
	bucket := blob.NewMemory("lake")
	root := filepath.Join("testdata/golden", name, "table")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		key, err := filepath.Rel(root, path)
		putText(t, bucket, filepath.ToSlash(key), string(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

// logKeys are the objects of the log whose name contains a text.
func logKeys(t testing.TB, bucket blob.Bucket, containing string) []string {
	t.Helper()
	var keys []string
	for object, err := range bucket.List(t.Context(), blob.ListOptions{Prefix: logPrefix}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(object.Key, containing) {
			keys = append(keys, object.Key)
		}
	}
	return keys
}

func goldenNewest(t testing.TB, name string) *Snapshot {
	t.Helper()
	table := must[*Table](t)(Open(t.Context(), goldenBucket(t, "testdata/golden/"+name)))
	return must[*Snapshot](t)(table.Snapshot(t.Context()))
}

// TestHintOfOtherEngines: tables whose early commits are gone read the same
// without _last_checkpoint, with a broken one and with one of another version.
func TestHintOfOtherEngines(t *testing.T) {
	for _, name := range []string{"spark_v2_checkpoint_json", "spark_v2_checkpoint_parquet", "spark_multipart_checkpoint", "spark_deletion_vectors_checkpoint", "spark_stats_struct_only", "deltars_checkpoint"} {
		want := scannedRows(t, goldenNewest(t, name))
		for _, hint := range []string{"{", `{"version":1}`, `{"version":4711}`, ""} {
			t.Run(fmt.Sprintf("%s %q", name, hint), func(t *testing.T) {
				bucket := inMemory(t, name)
				if hint == "" {
					if err := bucket.Delete(t.Context(), lastCheckpointKey); err != nil {
						t.Fatal(err)
					}
				} else {
					putText(t, bucket, lastCheckpointKey, hint)
				}
				equalRows(t, scannedRows(t, must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))), want)
			})
		}
	}
}

// TestPartsGone: a checkpoint that is not whole, before which no commit is kept,
// is an error that names it or what is missing of it.
func TestPartsGone(t *testing.T) {
	for name, part := range map[string]string{
		"spark_v2_checkpoint_json": "_sidecars/", "spark_v2_checkpoint_parquet": "_sidecars/", "spark_multipart_checkpoint": "0000000002.0000000002.parquet",
	} {
		for _, broken := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s broken=%v", name, broken), func(t *testing.T) {
				bucket := inMemory(t, name)
				key := logKeys(t, bucket, part)[0]
				if broken {
					putText(t, bucket, key, "PAR1 no parquet PAR1")
				} else if err := bucket.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
				_, err := Open(t.Context(), bucket)
				if err == nil || !errors.Is(err, blob.ErrNotExist) && !errors.Is(err, ErrCorruptLog) && !errors.Is(err, ErrNoVersion) {
					t.Fatalf("error %v", err)
				}
				if !strings.Contains(err.Error(), filepath.Base(key)) && !strings.Contains(err.Error(), commitKey(0)) {
					t.Errorf("error names neither %s nor the commit that would do instead: %v", key, err)
				}
			})
		}
	}
}

func TestLogCompactions(t *testing.T) {
	const name = "spark_log_compaction"
	file := func(version, end int64) logCompaction { return logCompaction{logFile{version: version}, end} }
	commits := make([]logFile, 9)
	for i := range commits {
		commits[i].version = int64(i + 1)
	}
	for _, test := range []struct {
		compactions []logCompaction
		want        []int64
	}{
		{nil, sequence(1, 9)},
		{[]logCompaction{file(2, 5)}, []int64{1, 2, 6, 7, 8, 9}},
		{[]logCompaction{file(2, 5), file(2, 7), file(4, 6)}, []int64{1, 2, 8, 9}},
		{[]logCompaction{file(2, 9), file(7, 12)}, sequence(1, 9)}, // the last commit is read itself
		{[]logCompaction{file(0, 5)}, sequence(1, 9)},              // begins before
		{[]logCompaction{file(1, 4), file(5, 8)}, []int64{1, 5, 9}},
	} {
		var got []int64
		for _, f := range withCompactions(commits, test.compactions) {
			got = append(got, f.version)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%v: read %v, want %v", test.compactions, got, test.want)
		}
	}

	want := scannedRows(t, goldenNewest(t, name))
	bucket := inMemory(t, name)
	compacted := logKeys(t, bucket, ".compacted.json")
	if len(compacted) == 0 {
		t.Fatal("no log compaction")
	}
	listing := must[logListing](t)(listLog(t.Context(), bucket, 0))
	if n := len(withCompactions(listing.commits, listing.compactions)); n >= len(listing.commits) {
		t.Errorf("%d files to read for %d commits", n, len(listing.commits))
	}
	for _, key := range compacted {
		putText(t, bucket, key, `{"add":`)
	}
	equalRows(t, scannedRows(t, must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))), want)
}

// TestInCommitTimestamps: the times in the commits decide from the version on
// that enables them, whatever those of the files.
func TestInCommitTimestamps(t *testing.T) {
	bucket := blob.NewMemory("lake")
	commit := func(version, millis int64, actions ...string) {
		info := fmt.Sprintf(`{"commitInfo":{"inCommitTimestamp":%d,"operation":"WRITE"}}`, millis)
		putText(t, bucket, commitKey(version), lines(append([]string{info}, actions...)...))
	}
	enabled := func(since string) string { // TRUE as a user wrote it, which Spark keeps
		return strings.Replace(metadataLine, `"configuration":{}`, `"configuration":{"delta.enableInCommitTimestamps":"TRUE"`+since+`}`, 1)
	}
	second := func(n int64) time.Time { return time.Unix(n, 0) }
	versionAt := func(at time.Time) any {
		s, err := openFares(t, bucket).SnapshotAsOf(t.Context(), at)
		if errors.Is(err, ErrNoVersion) {
			return "none"
		}
		if err != nil {
			t.Fatal(err)
		}
		return s.Version()
	}

	t.Run("since the beginning", func(t *testing.T) {
		commit(0, 1000_000, protocolLine, enabled(""))
		commit(1, 2000_000)
		commit(2, 3000_000)
		for seconds, want := range map[int64]any{999: "none", 1000: int64(0), 1999: int64(0), 2000: int64(1), 2999: int64(1), 3000: int64(2), 9999: int64(2)} {
			if got := versionAt(second(seconds)); got != want {
				t.Errorf("at %d: %v, want %v", seconds, got, want)
			}
		}
		table := openFares(t, bucket)
		if at := must[*Snapshot](t)(table.SnapshotAt(t.Context(), 1)).Timestamp(); !at.Equal(second(2000)) {
			t.Errorf("version 1 is of %s", at)
		}
		for _, entry := range must[[]HistoryEntry](t)(table.History(t.Context(), 0)) {
			if !entry.Timestamp.Equal(second(1000 * (entry.Version + 1))) {
				t.Errorf("history: version %d is of %s", entry.Version, entry.Timestamp)
			}
		}
	})
	t.Run("enabled later", func(t *testing.T) {
		now := time.Now().Truncate(time.Second)
		later := now.Add(time.Hour)
		putText(t, bucket, commitKey(0), lines(protocolLine, metadataLine))
		putText(t, bucket, commitKey(1), "{}")
		commit(2, later.UnixMilli(), enabled(fmt.Sprintf(`,"delta.inCommitTimestampEnablementVersion":"2","delta.inCommitTimestampEnablementTimestamp":"%d"`, later.UnixMilli())))
		commit(3, later.Add(time.Hour).UnixMilli())
		for at, want := range map[time.Time]any{
			now.Add(-time.Hour): "none", now.Add(30 * time.Minute): int64(1), later: int64(2),
			later.Add(59 * time.Minute): int64(2), later.Add(2 * time.Hour): int64(3),
		} {
			if got := versionAt(at); got != want {
				t.Errorf("at %s: %v, want %v", at.Sub(now), got, want)
			}
		}
	})
	t.Run("missing where they are enabled", func(t *testing.T) {
		putText(t, bucket, commitKey(3), "{}")
		_, err := openFares(t, bucket).SnapshotAsOf(t.Context(), time.Now().Add(100*time.Hour))
		if !errors.Is(err, ErrCorruptLog) || !strings.Contains(err.Error(), commitKey(3)) {
			t.Errorf("error %v", err)
		}
	})
}

// TestMissingDataFile names the version and the file.
func TestMissingDataFile(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := createFares(t, bucket, nil)
	appendFares(t, table, 0, 10)
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	path := s.Files()[0].Path
	if err := bucket.Delete(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Scan(t.Context(), ScanOptions{}) {
		if !errors.Is(err, blob.ErrNotExist) || !strings.Contains(err.Error(), path+" of version 1 of oss://lake") {
			t.Errorf("error %v", err)
		}
	}
}

// TestColumnMappingByID needs field ids, and goes by nothing else.
func TestColumnMappingByID(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := createFares(t, bucket, nil)
	appendFares(t, table, 0, 10)
	mapped := `{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{\"delta.columnMapping.id\":1,\"delta.columnMapping.physicalName\":\"id\"}}]}","partitionColumns":[],"configuration":{"delta.columnMapping.mode":"ID"}}}`
	putText(t, bucket, commitKey(2), lines(`{"protocol":{"minReaderVersion":2,"minWriterVersion":5}}`, mapped))
	for batch, err := range must[*Snapshot](t)(table.Snapshot(t.Context())).Scan(t.Context(), ScanOptions{}) {
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "without field ids") {
			t.Errorf("%v, error %v", batch, err)
		}
	}
}

func TestWidens(t *testing.T) {
	for _, test := range []struct {
		from, to DataType
		want     bool
	}{
		{Byte, Short, true}, {Short, Long, true}, {Integer, Long, true}, {Long, Integer, false}, {Integer, Double, true}, {Long, Double, false},
		{Float, Double, true}, {Double, Float, false}, {Date, TimestampNTZ, true}, {Date, Timestamp, false}, {String, Long, false},
		{Integer, Decimal{12, 2}, true}, {Integer, Decimal{11, 2}, false}, {Long, Decimal{20, 0}, true},
		{Decimal{5, 2}, Decimal{7, 4}, true}, {Decimal{5, 2}, Decimal{6, 4}, false}, {Decimal{5, 2}, Decimal{9, 1}, false}, {Decimal{5, 2}, Double, false},
	} {
		if widens(test.from, test.to) != test.want {
			t.Errorf("%s to %s: want %v", test.from, test.to, test.want)
		}
	}
}
