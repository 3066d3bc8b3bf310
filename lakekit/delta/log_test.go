package delta

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"taxilake/lakekit/blob"
)

func putText(t testing.TB, bucket blob.Bucket, key, text string) {
	t.Helper()
	if err := bucket.Put(t.Context(), key, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}

const (
	protocolLine = `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}`
	metadataLine = `{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}]}","partitionColumns":[],"configuration":{}}}`
	addLine      = `{"add":{"path":"a.parquet","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}`
)

func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

func TestBrokenLogs(t *testing.T) {
	version := func(v int) string { return commitKey(int64(v)) }
	tests := []struct {
		name string
		log  map[string]string
		want error
		says string // what the message must name
	}{
		{"no log", nil, ErrNotTable, "create the table first"},
		{"only a data file", map[string]string{"a.parquet": "PAR1"}, ErrNotTable, ""},
		{"a version is missing", map[string]string{version(0): lines(protocolLine, metadataLine), version(2): lines(addLine)}, ErrCorruptLog, "version 1 is missing (oss://lake/" + version(1)},
		{"the beginning is missing", map[string]string{version(3): lines(addLine)}, ErrNoVersion, version(0)},
		{"no protocol", map[string]string{version(0): lines(metadataLine)}, ErrCorruptLog, "version 0 of oss://lake has no protocol"},
		{"no metadata", map[string]string{version(0): lines(protocolLine)}, ErrCorruptLog, "version 0 of oss://lake has no metaData"},
		{"truncated line", map[string]string{version(0): lines(protocolLine, metadataLine), version(1): addLine[:40]}, ErrCorruptLog, version(1) + " line 1"},
		{"empty commit", map[string]string{version(0): lines(protocolLine, metadataLine), version(1): "\n"}, ErrCorruptLog, version(1) + " is empty"},
		{"add without path", map[string]string{version(0): lines(protocolLine, metadataLine, `{"add":{"size":1}}`)}, ErrCorruptLog, version(0) + " line 3: add without a path"},
		{"action of the wrong type", map[string]string{version(0): lines(protocolLine, metadataLine, `{"add":7}`)}, ErrCorruptLog, version(0) + " line 3"},
		{"schema is no JSON", map[string]string{version(0): lines(protocolLine, strings.Replace(metadataLine, `{\"type`, `{type`, 1))}, ErrCorruptLog, "schema of version 0"},
		{"partitioned by no column", map[string]string{version(0): lines(protocolLine, strings.Replace(metadataLine, `Columns":[]`, `Columns":["p"]`, 1))}, ErrCorruptLog, `"p"`},
		{"unknown column type", map[string]string{version(0): lines(protocolLine, strings.Replace(metadataLine, `long`, `variant`, 1))}, ErrUnsupported, "variant"},
		{"unknown reader version", map[string]string{version(0): lines(`{"protocol":{"minReaderVersion":4,"minWriterVersion":8}}`, metadataLine)}, ErrUnsupported, "reader version 4"},
		{"unknown reader feature", map[string]string{version(0): lines(`{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["timestampNtz","variantType"],"writerFeatures":["variantType"]}}`, metadataLine)}, ErrUnsupported, `"variantType"`},
		{"unknown mode of column mapping", map[string]string{version(0): lines(`{"protocol":{"minReaderVersion":2,"minWriterVersion":5}}`, strings.Replace(metadataLine, `"configuration":{}`, `"configuration":{"delta.columnMapping.mode":"x"}`, 1))}, ErrUnsupported, `"columnMapping" in mode "x"`},
		{"column without mapping", map[string]string{version(0): lines(`{"protocol":{"minReaderVersion":2,"minWriterVersion":5}}`, strings.Replace(metadataLine, `"configuration":{}`, `"configuration":{"delta.columnMapping.mode":"name"}`, 1))}, ErrCorruptLog, `column "id" has no column mapping`},
		{"type change we do not know", map[string]string{version(0): lines(protocolLine, strings.Replace(metadataLine, `\"metadata\":{}`, `\"metadata\":{\"delta.typeChanges\":[{\"fromType\":\"string\",\"toType\":\"long\"}]}`, 1))}, ErrUnsupported, `"typeWidening" from "string" to "long" in column "id"`},
		{"a file twice", map[string]string{version(0): lines(protocolLine, metadataLine, addLine, strings.Replace(addLine, `}}`, `,"deletionVector":{"storageType":"i","pathOrInlineDv":"x","sizeInBytes":1,"cardinality":1}}}`, 1))}, ErrCorruptLog, "a.parquet twice"},
		{"broken checkpoint, no JSON", map[string]string{"_delta_log/00000000000000000000.checkpoint.parquet": "PAR1 no parquet PAR1"}, ErrCorruptLog, "00000000000000000000.checkpoint.parquet"},
		{"empty V2 checkpoint", map[string]string{"_delta_log/00000000000000000007.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json": "{}"}, ErrCorruptLog, "no protocol"},
		{"V2 checkpoint without its sidecar", map[string]string{"_delta_log/00000000000000000007.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json": lines(protocolLine, metadataLine, `{"sidecar":{"path":"gone.parquet","sizeInBytes":1}}`)}, blob.ErrNotExist, "checkpoint 7"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bucket := blob.NewMemory("lake")
			for key, text := range test.log {
				putText(t, bucket, key, text)
			}
			_, err := Open(t.Context(), bucket)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("error %v, want %v saying %q", err, test.want, test.says)
			}
		})
	}
}

// TestTolerated: what is unknown and harms nobody is passed over.
func TestTolerated(t *testing.T) {
	bucket := blob.NewMemory("lake")
	putText(t, bucket, commitKey(0), lines(
		`{"commitInfo":{"timestamp":"yesterday","operation":7,"operationMetrics":[1]}}`,
		`{"commitInfo":"free text"}`, protocolLine, metadataLine, ``, `{"cdc":{"path":"c"}}`, `{"somethingNew":{"a":[1]}}`, `{}`,
		`{"add":{"path":"a.parquet","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true,"stats":"not json","newField":{"x":1}}}`,
		`{"add":{"path":"b.parquet","partitionValues":{},"size":2,"modificationTime":1,"dataChange":true,"stats":"{\"numRecords\":5}"}}`))
	putText(t, bucket, commitKey(1), `{"remove":{"path":"b.parquet","dataChange":true}}`) // no newline at the end
	putText(t, bucket, "_delta_log/notes.txt", "hello")
	putText(t, bucket, "_delta_log/123.json", "too short a name")
	putText(t, bucket, "_delta_log/00000000000000000000.crc", "{}")
	putText(t, bucket, "_delta_log/_commits/00000000000000000009.json", "{}")
	putText(t, bucket, "_delta_log/99999999999999999999.json", "beyond int64")
	s := must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))
	if s.Version() != 1 || s.NumFiles() != 1 || s.Files()[0].Path != "a.parquet" || s.NumRecords() != -1 {
		t.Fatalf("version %d, files %+v, records %d", s.Version(), s.Files(), s.NumRecords())
	}
}

// TestLastCheckpointIsAHint: a table reads the same whatever _last_checkpoint
// says.
func TestLastCheckpointIsAHint(t *testing.T) {
	for _, hint := range []string{"", "{", "null", `{"version":-3}`, `{"version":7}`, `{"version":10}`, `{"version":4711}`, `{"version":1e400}`, "\x00"} {
		t.Run(fmt.Sprintf("%q", hint), func(t *testing.T) {
			bucket := blob.NewMemory("lake")
			table := createFares(t, bucket, nil)
			for i := range int64(13) {
				appendFares(t, table, i*10, 10)
			}
			if hint == "" {
				if err := bucket.Delete(t.Context(), lastCheckpointKey); err != nil {
					t.Fatal(err)
				}
			} else {
				putText(t, bucket, lastCheckpointKey, hint)
			}
			equalIDs(t, ids(t, must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))), sequence(0, 130))
		})
	}
}

// TestBrokenCheckpointIsPassedOver while the JSON before it is still there.
func TestBrokenCheckpointIsPassedOver(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := createFares(t, bucket, map[string]string{CheckpointIntervalKey: "3"})
	for i := range int64(7) {
		appendFares(t, table, i*10, 10)
	}
	for _, content := range []string{"", "PAR1", strings.Repeat("PAR1", 100)} {
		putText(t, bucket, "_delta_log/00000000000000000006.checkpoint.parquet", content)
		equalIDs(t, ids(t, must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))), sequence(0, 70))
	}
	putText(t, bucket, "_delta_log/00000000000000000007.checkpoint.0000000001.0000000002.parquet", "half a checkpoint")
	equalIDs(t, ids(t, must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))), sequence(0, 70))
}

func TestTableMadeAnewIsNoticed(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := createFares(t, bucket, nil)
	appendFares(t, table, 0, 10)
	old := must[*Snapshot](t)(table.Snapshot(t.Context()))
	var keys []string
	for object := range bucket.List(t.Context(), blob.ListOptions{}) {
		keys = append(keys, object.Key)
	}
	if err := bucket.Delete(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Snapshot(t.Context()); !errors.Is(err, ErrNotTable) {
		t.Fatalf("error %v after the table was deleted", err)
	}
	again := createFares(t, bucket, nil)
	appendFares(t, again, 100, 10)
	appendFares(t, again, 110, 10)
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	equalIDs(t, ids(t, s), sequence(100, 20))
	if s.Metadata().ID == old.Metadata().ID {
		t.Fatal("the old table's metadata")
	}
}

func TestTimeTravel(t *testing.T) {
	table := createFares(t, blob.NewMemory("lake"), map[string]string{CheckpointIntervalKey: "2"})
	times := []time.Time{must[*Snapshot](t)(table.Snapshot(t.Context())).Timestamp()}
	for i := range int64(5) {
		appendFares(t, table, i*10, 10)
		times = append(times, must[*Snapshot](t)(table.Snapshot(t.Context())).Timestamp())
	}
	for v := range int64(6) {
		equalIDs(t, ids(t, must[*Snapshot](t)(table.SnapshotAt(t.Context(), v))), sequence(0, v*10))
		asOf := must[*Snapshot](t)(table.SnapshotAsOf(t.Context(), times[v]))
		if asOf.Version() != v {
			t.Fatalf("as of %s: version %d, want %d", times[v], asOf.Version(), v)
		}
		if v > 0 && !times[v].After(times[v-1]) {
			t.Fatalf("version %d is of %s, version %d of %s", v-1, times[v-1], v, times[v])
		}
	}
	if s := must[*Snapshot](t)(table.SnapshotAsOf(t.Context(), time.Now().Add(time.Hour))); s.Version() != 5 {
		t.Fatalf("the future is version %d", s.Version())
	}
	for name, err := range map[string]error{
		"before the table": func() error { _, err := table.SnapshotAsOf(t.Context(), times[0].Add(-time.Hour)); return err }(),
		"version 6":        func() error { _, err := table.SnapshotAt(t.Context(), 6); return err }(),
		"version -1":       func() error { _, err := table.SnapshotAt(t.Context(), -1); return err }(),
	} {
		if !errors.Is(err, ErrNoVersion) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestCommitTimesGrow(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	var files []logFile
	for _, ms := range []int64{100, 100, 90, 500, 400} {
		files = append(files, logFile{modified: at(ms)})
	}
	if got, want := commitTimes(files, time.Time{}), []time.Time{at(100), at(101), at(102), at(500), at(501)}; !slices.EqualFunc(got, want, time.Time.Equal) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// TestExpiredLog: days are those of the modification times; the cut-off is day
// 10. What is kept must hold every version since.
func TestExpiredLog(t *testing.T) {
	day := func(d int) time.Time { return time.Unix(0, 0).UTC().AddDate(0, 0, d) }
	commits := func(days ...int) (files []logFile) {
		for v, d := range days {
			files = append(files, logFile{version: int64(v), key: fmt.Sprint(v), modified: day(d)})
		}
		return files
	}
	checkpoints := func(versions ...int64) (out []checkpoint) {
		for _, v := range versions {
			out = append(out, checkpoint{v, []logFile{{version: v, key: fmt.Sprint(v, "c")}}})
		}
		return out
	}
	tests := []struct {
		name    string
		listing logListing
		want    []string
	}{
		{"no checkpoint", logListing{commits: commits(1, 2, 3, 20)}, nil},
		{"all is young", logListing{commits: commits(11, 12, 13), checkpoints: checkpoints(2)}, nil},
		{"checkpoint at the newest old commit", logListing{commits: commits(1, 2, 10, 20), checkpoints: checkpoints(2)}, []string{"0", "1"}},
		{"checkpoint before it", logListing{commits: commits(1, 2, 3, 4, 20), checkpoints: checkpoints(1)}, []string{"0"}},
		{"only a younger checkpoint", logListing{commits: commits(1, 2, 20, 21), checkpoints: checkpoints(3)}, nil},
		{"the newest of several", logListing{commits: commits(1, 2, 3, 4, 20, 21), checkpoints: checkpoints(1, 3, 5)}, []string{"1c", "0", "1", "2"}},
		{"others", logListing{commits: commits(1, 2, 3), checkpoints: checkpoints(2), others: []logFile{
			{version: 1, key: "1.crc"}, {version: 2, key: "2.crc"}, {version: 2, key: "2.4.compacted.json"}}}, []string{"0", "1", "1.crc", "2.4.compacted.json"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := expiredLog(test.listing, day(10)); !slices.Equal(got, test.want) {
				t.Fatalf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestLogCleanup: with the clock 40 days on, a checkpoint lets the log before
// the previous one go, and every reader still sees all rows and all txns.
func TestLogCleanup(t *testing.T) {
	for _, cleanup := range []string{"true", "false"} {
		t.Run(cleanup, func(t *testing.T) {
			bucket := blob.NewMemory("lake")
			table := createFares(t, bucket, map[string]string{CheckpointIntervalKey: "5", EnableExpiredLogCleanupKey: cleanup})
			reader := openFares(t, bucket)
			for i := range int64(9) {
				appendFares(t, table, i*10, 10)
			}
			must[*Snapshot](t)(reader.Snapshot(t.Context()))
			table.now = func() time.Time { return time.Now().AddDate(0, 0, 40) }
			appendFares(t, table, 90, 10)
			listing, err := listLog(t.Context(), bucket, 0)
			if err != nil {
				t.Fatal(err)
			}
			want := int64(0)
			if cleanup == "true" {
				want = 10
			}
			if listing.commits[0].version != want {
				t.Fatalf("the log begins at version %d, want %d", listing.commits[0].version, want)
			}
			for _, handle := range []*Table{table, reader, openFares(t, bucket)} {
				equalIDs(t, ids(t, must[*Snapshot](t)(handle.Snapshot(t.Context()))), sequence(0, 100))
			}
			if _, err := reader.SnapshotAt(t.Context(), 3); (err != nil) != (cleanup == "true") {
				t.Fatalf("version 3: error %v", err)
			}
		})
	}
}

func FuzzLogLines(f *testing.F) {
	for _, seed := range []string{protocolLine, metadataLine, addLine, "{}", "", "null", `{"add":{"path":"x","partitionValues":{"p":null}}}`,
		`{"txn":{"appId":"a","version":1}}`, `{"commitInfo":{"operationMetrics":{"a":1}}}`, addLine[:30], `{"remove":{"path":"a"}}`,
		`{"add":{"path":"a","size":1,"stats":"{\"numRecords\":9}","deletionVector":{"storageType":"u","pathOrInlineDv":"ab^-aqEH.-t@S}K{vb[*k^","offset":1,"sizeInBytes":40,"cardinality":6}}}`,
		`{"sidecar":{"path":"016ae953-37a9-438e-8683-9a9a4a79a395.parquet","sizeInBytes":2304522}}`, `{"add":{"path":"a\u0000b"}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		commit, err := parseCommit("1.json", strings.NewReader(lines(protocolLine, metadataLine, line)))
		if err != nil {
			if !errors.Is(err, ErrCorruptLog) {
				t.Fatalf("%v is not ErrCorruptLog", err)
			}
			return
		}
		r := newReplay(nil)
		r.apply(commit)
		s, err := r.snapshot(newTable(blob.NewMemory("lake")), 0, logFile{})
		if err != nil {
			return
		}
		for _, add := range s.Files() {
			if _, live := s.file(add.Path); !live {
				t.Fatalf("%q is listed and not found", add.Path)
			}
			_, _ = add.Key()
			_, _ = add.ParseStats()
		}
		s.NumRecords()
		s.Detail()
		s.planCompaction(CompactOptions{})
	})
}

// unlisted leaves a key out of listings, as they may when it comes while they run.
type unlisted struct {
	blob.Bucket
	key string
}

func (u unlisted) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.ObjectInfo, error] {
	return func(yield func(blob.ObjectInfo, error) bool) {
		for object, err := range u.Bucket.List(ctx, opts) {
			if (err != nil || object.Key != u.key) && !yield(object, err) {
				return
			}
		}
	}
}

// TestCommitsDuringAListing: readers and writers do not take a commit that came
// too late for the listing, beside one that did not, for a missing one.
func TestCommitsDuringAListing(t *testing.T) {
	bucket := blob.NewMemory("lake")
	writer := createFares(t, bucket, nil)
	appendFares(t, writer, 0, 10)
	busy := unlisted{bucket, commitKey(3)}
	reader, late := openFares(t, busy), openFares(t, busy)
	for i := range int64(4) {
		appendFares(t, writer, 10+i*10, 10)
	}
	for name, table := range map[string]*Table{"reader": reader, "opened": openFares(t, busy)} {
		s := must[*Snapshot](t)(table.Snapshot(t.Context()))
		if s.Version() != 5 {
			t.Errorf("%s: version %d", name, s.Version())
		}
		equalIDs(t, ids(t, s), sequence(0, 50))
	}
	adds := must[[]Add](t)(late.WriteFiles(t.Context(), fares(50, 10)))
	if version := must[int64](t)(late.Commit(t.Context(), Commit{Operation: "WRITE", Adds: adds, BlindAppend: true, ReadVersion: 1})); version != 6 {
		t.Errorf("written as version %d", version)
	}
	equalIDs(t, ids(t, must[*Snapshot](t)(reader.Snapshot(t.Context()))), sequence(0, 60))
}
