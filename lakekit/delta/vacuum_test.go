package delta

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
)

const day = 24 * time.Hour

// clockedFares is a table on a bucket whose time the test moves.
func clockedFares(t *testing.T, properties map[string]string) (*Table, *clockedBucket) {
	t.Helper()
	bucket := clocked(blob.NewMemory("lake"), newClock())
	createFares(t, bucket, properties)
	return bucket.clock.openAt(t, bucket), bucket
}

func (b *clockedBucket) put(t *testing.T, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if err := b.Put(t.Context(), key, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestVacuum(t *testing.T) {
	table, bucket := clockedFares(t, nil)
	for i := range int64(3) {
		appendFares(t, table, i*10, 10) // versions 1 to 3
	}
	old := dataFiles(t, bucket)
	bucket.clock.advance(day)
	must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{})) // version 4
	kept := []string{"_delta_log/notes.txt", "_checkpoints/commits/0", ".hidden/x", "a/_staging/x", "a/.tmp", "_file", "note=x/_part"}
	bucket.put(t, kept...)
	bucket.put(t, "abandoned-old.parquet", "sub/abandoned.parquet", "_change_data/cdc-1.parquet", "readme.txt")
	vacuum := func(opts VacuumOptions) []string { return must[VacuumResult](t)(table.Vacuum(t.Context(), opts)).Files }

	bucket.clock.advance(6*day + 12*time.Hour)
	if files := vacuum(VacuumOptions{DryRun: true}); len(files) > 0 {
		t.Fatalf("within the retention: %q", files)
	}
	bucket.clock.advance(13 * time.Hour)
	bucket.put(t, "abandoned-new.parquet")
	dry := must[VacuumResult](t)(table.Vacuum(t.Context(), VacuumOptions{DryRun: true}))
	want := append(slices.Clone(old), "_change_data/cdc-1.parquet", "abandoned-old.parquet", "readme.txt", "sub/abandoned.parquet")
	slices.Sort(want)
	if !slices.Equal(dry.Files, want) || dry.Version != -1 || dry.Bytes < 4 {
		t.Fatalf("dry run: %+v\nwant %q", dry, want)
	}
	equalIDs(t, ids(t, must[*Snapshot](t)(table.SnapshotAt(t.Context(), 3))), sequence(0, 30))

	done := must[VacuumResult](t)(table.Vacuum(t.Context(), VacuumOptions{}))
	if !slices.Equal(done.Files, want) || done.Bytes != dry.Bytes || done.Version != 6 {
		t.Fatalf("%+v", done)
	}
	equalIDs(t, ids(t, must[*Snapshot](t)(table.Snapshot(t.Context()))), sequence(0, 30))
	if _, err := tryIDs(must[*Snapshot](t)(table.SnapshotAt(t.Context(), 3))); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("version 3, whose files are gone: error %v", err)
	}
	for _, key := range append(kept, "abandoned-new.parquet") {
		if _, err := bucket.Head(t.Context(), key); err != nil {
			t.Errorf("%s is gone", key)
		}
	}
	history := must[[]HistoryEntry](t)(table.History(t.Context(), 2))
	end, start := history[0], history[1]
	if start.Operation != "VACUUM START" || start.OperationMetrics["numFilesToDelete"] != "7" || start.OperationParameters["retentionCheckEnabled"] != "true" ||
		start.OperationParameters["defaultRetentionMillis"] != fmt.Sprint((7*day).Milliseconds()) {
		t.Errorf("%+v", start)
	}
	if end.Operation != "VACUUM END" || end.OperationParameters["status"] != "COMPLETED" || end.OperationMetrics["numDeletedFiles"] != "7" || end.OperationMetrics["numVacuumedDirectories"] != "3" {
		t.Errorf("%+v", end)
	}
	if again := must[VacuumResult](t)(table.Vacuum(t.Context(), VacuumOptions{})); again.Version != -1 || len(again.Files) > 0 {
		t.Errorf("nothing was left to do: %+v", again)
	}
}

func TestVacuumRetention(t *testing.T) {
	table, bucket := clockedFares(t, map[string]string{DeletedFileRetentionDurationKey: "interval 2 days"})
	appendFares(t, table, 0, 10)
	appendFares(t, table, 10, 10)
	bucket.clock.advance(day)
	must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{}))
	bucket.clock.advance(3 * day)
	hours := func(n int) *time.Duration { d := time.Duration(n) * time.Hour; return &d }
	tests := []struct {
		name  string
		opts  VacuumOptions
		files int
		err   error
	}{
		{"the table's", VacuumOptions{}, 2, nil},
		{"as the table's", VacuumOptions{Retention: hours(48)}, 2, nil},
		// The snapshot has forgotten these tombstones by the table's 2 days.
		{"longer than since the files were removed", VacuumOptions{Retention: hours(80)}, 0, nil},
		{"shorter than the table's", VacuumOptions{Retention: hours(47)}, 0, ErrInvalid},
		{"shorter, with the check off", VacuumOptions{Retention: hours(47), DisableRetentionCheck: true}, 2, nil},
		{"none, with the check off", VacuumOptions{Retention: hours(0), DisableRetentionCheck: true}, 2, nil},
		{"negative", VacuumOptions{Retention: hours(-1), DisableRetentionCheck: true}, 0, ErrInvalid},
	}
	for _, test := range tests {
		test.opts.DryRun = true
		result, err := table.Vacuum(t.Context(), test.opts)
		if !errors.Is(err, test.err) || len(result.Files) != test.files {
			t.Errorf("%s: %q, error %v", test.name, result.Files, err)
		}
		if test.name == "shorter than the table's" && !strings.Contains(err.Error(), RetentionDurationCheckKey) {
			t.Errorf("the error does not say what to do: %v", err)
		}
	}
}

// TestVacuumHiddenPartitionColumn: a folder whose column has a hidden name is
// no hidden folder.
func TestVacuumHiddenPartitionColumn(t *testing.T) {
	bucket := clocked(blob.NewMemory("lake"), newClock())
	schema := Schema{[]Field{column("_day", String), column("id", Long)}}
	table := quiet(must[*Table](t)(Create(t.Context(), bucket, Definition{Schema: schema, PartitionBy: []string{"_day"}})))
	table.now = bucket.clock.now
	must[int64](t)(table.Append(t.Context(), AppendOptions{}, batchOf(t, schema, `[{"_day":"mon tue","id":1}]`)))
	bucket.put(t, "_day=mon tue/abandoned.parquet", "_days=mon/other.parquet")
	bucket.clock.advance(8 * day)
	if got := must[VacuumResult](t)(table.Vacuum(t.Context(), VacuumOptions{})).Files; !slices.Equal(got, []string{"_day=mon tue/abandoned.parquet"}) {
		t.Fatalf("deleted %q", got)
	}
	if rows := rowsOf(t, must[*Snapshot](t)(table.Snapshot(t.Context()))); len(rows) != 1 {
		t.Fatalf("rows %q", rows)
	}
}

func TestVacuumRefusesTablesItDoesNotUnderstand(t *testing.T) {
	bucket := blob.NewMemory("lake")
	createFares(t, bucket, nil)
	const unknown = `{"protocol":{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["filesBesideTheLog"]}}`
	if err := bucket.PutIfAbsent(t.Context(), commitKey(1), strings.NewReader(unknown)); err != nil {
		t.Fatal(err)
	}
	table := openFares(t, bucket)
	_, err := table.Vacuum(t.Context(), VacuumOptions{})
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), `"filesBesideTheLog"`) {
		t.Fatalf("vacuum: error %v", err)
	}
	if _, err := table.Append(t.Context(), AppendOptions{}, fares(0, 1)); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), `"filesBesideTheLog"`) {
		t.Fatalf("append: error %v", err)
	}
}

// TestRestoreBesideVacuum: whatever the moment at which files of an old version
// are restored, none of them is deleted afterwards.
func TestRestoreBesideVacuum(t *testing.T) {
	for _, moment := range []struct {
		op, suffix string
		want       error // of the restore
	}{
		{blobtest.List, "", nil},                       // before the vacuum looks at the log
		{blobtest.PutIfAbsent, "06.json", nil},         // just before VACUUM START, which then is version 7
		{blobtest.Delete, "zstd.parquet", ErrConflict}, // while it deletes
		{blobtest.PutIfAbsent, "07.json", ErrConflict}, // just before VACUUM END
	} {
		t.Run(moment.op+moment.suffix, func(t *testing.T) {
			table, bucket := clockedFares(t, nil)
			for i := range int64(3) {
				appendFares(t, table, i*10, 10)
			}
			must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{}))
			must[int64](t)(table.Commit(t.Context(), Commit{Operation: "WRITE", BlindAppend: true, ReadVersion: 4}))
			bucket.clock.advance(8 * day)
			rival := bucket.clock.openAt(t, bucket)
			var restoreErr error
			ran := false
			vacuuming := bucket.clock.openAt(t, bucket)
			vacuuming.bucket = blobtest.Faults(bucket, func(op, key string) error {
				if op == moment.op && strings.HasSuffix(key, moment.suffix) && !ran {
					ran = true
					_, restoreErr = rival.Restore(t.Context(), 2)
				}
				return nil
			})
			if _, err := vacuuming.Vacuum(t.Context(), VacuumOptions{}); err != nil {
				t.Fatal(err)
			}
			if !ran || !errors.Is(restoreErr, moment.want) {
				t.Fatalf("ran: %v, restore: %v", ran, restoreErr)
			}
			want := sequence(0, 30)
			if restoreErr == nil {
				want = sequence(0, 20)
			}
			equalIDs(t, ids(t, must[*Snapshot](t)(rival.Snapshot(t.Context()))), want)
		})
	}
}

// TestRestoreAfterAVacuumThatWasKilled waits no longer than the lease.
func TestRestoreAfterAVacuumThatWasKilled(t *testing.T) {
	table, bucket := clockedFares(t, nil)
	appendFares(t, table, 0, 10)
	must[int64](t)(table.Commit(t.Context(), Commit{Operation: "DELETE", Removes: []Remove{{Path: must[*Snapshot](t)(table.Snapshot(t.Context())).adds[0].Path, DataChange: true}}, ReadVersion: 1}))
	must[int64](t)(table.Commit(t.Context(), Commit{Operation: "VACUUM START", ReadVersion: 2}))
	if _, err := table.Restore(t.Context(), 1); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "vacuum again first") {
		t.Fatalf("error %v", err)
	}
	bucket.clock.advance(vacuumLease + time.Second)
	must[RestoreResult](t)(table.Restore(t.Context(), 1))
	equalIDs(t, ids(t, must[*Snapshot](t)(table.Snapshot(t.Context()))), sequence(0, 10))
}

func TestVacuumStopsBeforeItsLeaseEnds(t *testing.T) {
	table, bucket := clockedFares(t, nil)
	var files []string
	for i := range vacuumBatch + 1 {
		files = append(files, fmt.Sprintf("x-%04d", i))
	}
	bucket.put(t, files...)
	bucket.clock.advance(8 * day)
	deleted := 0
	table.bucket = blobtest.Faults(bucket, func(op, key string) error {
		if op == blobtest.Delete {
			if deleted++; deleted == vacuumBatch {
				bucket.clock.advance(vacuumLease/2 + time.Second)
			}
		}
		return nil
	})
	if _, err := table.Vacuum(t.Context(), VacuumOptions{}); err == nil || !strings.Contains(err.Error(), "1000 of 1001 are gone; vacuum again") {
		t.Fatalf("error %v", err)
	}
	if end := must[[]HistoryEntry](t)(table.History(t.Context(), 1))[0]; end.Operation != "VACUUM END" || end.OperationParameters["status"] != "FAILED" {
		t.Errorf("%+v", end)
	}
	if rest := must[VacuumResult](t)(table.Vacuum(t.Context(), VacuumOptions{})); !slices.Equal(rest.Files, files[vacuumBatch:]) {
		t.Errorf("%+v", rest)
	}
}
