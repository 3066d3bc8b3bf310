package delta

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"taxilake/lakekit/blob"
)

func TestRestore(t *testing.T) {
	table, bucket := clockedFares(t, map[string]string{CheckpointIntervalKey: "3"})
	appendFares(t, table, 0, 10)
	appendFares(t, table, 10, 10)
	bucket.clock.advance(time.Hour)
	must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{}))
	txn := Txn{AppID: "q", Version: 3, LastUpdated: 1}
	must[int64](t)(table.Append(t.Context(), AppendOptions{MergeSchema: true, Txn: &txn}, withExtra(fares(20, 10), "extra")))
	before := must[*Snapshot](t)(table.Snapshot(t.Context()))

	back := must[RestoreResult](t)(table.Restore(t.Context(), 1))
	s := must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))
	equalIDs(t, ids(t, s), sequence(0, 10))
	if back.Version != 5 || back.RestoredVersion != 1 || back.FilesRestored != 1 || back.FilesRemoved != 2 || back.BytesRemoved != before.SizeInBytes() || back.BytesRestored != s.SizeInBytes() {
		t.Errorf("%+v", back)
	}
	if _, extra := s.Schema().Field("extra"); extra {
		t.Errorf("schema %s", s.Schema())
	}
	if !maps.Equal(s.Txns(), map[string]Txn{"q": txn}) {
		t.Errorf("the stream would write its batches again: %v", s.Txns())
	}
	if files := s.Files(); !files[0].DataChange {
		t.Error("dataChange is false: streams that read the table would not see the rows")
	}
	entry := must[[]HistoryEntry](t)(table.History(t.Context(), 1))[0]
	if entry.Operation != "RESTORE" || entry.OperationParameters["version"] != "1" || entry.OperationMetrics["numOfFilesAfterRestore"] != "1" || *entry.IsBlindAppend {
		t.Errorf("%+v", entry)
	}

	// What restoring undid can be restored; by time too.
	must[RestoreResult](t)(table.Restore(t.Context(), 4))
	s = must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))
	equalIDs(t, ids(t, s), sequence(0, 30))
	if _, extra := s.Schema().Field("extra"); !extra {
		t.Errorf("schema %s", s.Schema())
	}
	asOf := must[RestoreResult](t)(table.RestoreAsOf(t.Context(), bucket.clock.now().Add(-time.Minute)))
	if asOf.RestoredVersion != 2 {
		t.Errorf("%+v", asOf)
	}
	equalIDs(t, ids(t, must[*Snapshot](t)(table.Snapshot(t.Context()))), sequence(0, 20))
	if again := must[RestoreResult](t)(table.Restore(t.Context(), asOf.Version)); again.Version != -1 {
		t.Errorf("nothing was to be restored: %+v", again)
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Run("missing files", func(t *testing.T) {
		bucket := blob.NewMemory("lake")
		table := createFares(t, bucket, nil)
		for i := range int64(7) {
			appendFares(t, table, i*10, 10)
		}
		files := dataFiles(t, bucket)
		must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{}))
		if err := bucket.Delete(t.Context(), files[:6]...); err != nil {
			t.Fatal(err)
		}
		_, err := table.Restore(t.Context(), 7)
		if !errors.Is(err, ErrFilesMissing) || !strings.Contains(err.Error(), files[0]) || !strings.Contains(err.Error(), "6 of 7") || !strings.Contains(err.Error(), "and 1 more") {
			t.Fatalf("error %v", err)
		}
		equalIDs(t, ids(t, must[*Snapshot](t)(table.Snapshot(t.Context()))), sequence(0, 70))
	})
	t.Run("append-only", func(t *testing.T) {
		table := createFares(t, blob.NewMemory("lake"), map[string]string{AppendOnlyKey: "true"})
		appendFares(t, table, 0, 10)
		if _, err := table.Restore(t.Context(), 0); err == nil || !strings.Contains(err.Error(), AppendOnlyKey) {
			t.Fatalf("error %v", err)
		}
	})
	t.Run("no such version", func(t *testing.T) {
		table := createFares(t, blob.NewMemory("lake"), nil)
		if _, err := table.Restore(t.Context(), 7); !errors.Is(err, ErrNoVersion) {
			t.Fatalf("error %v", err)
		}
	})
}
