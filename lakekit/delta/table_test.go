package delta

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet/file"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
)

func TestAppendCompactReopen(t *testing.T) {
	buckets := map[string]func() blob.Bucket{
		"memory": func() blob.Bucket { return blob.NewMemory("lake") },
		"folder": func() blob.Bucket { return must[*blob.Dir](t)(blob.OpenDir(t.TempDir())) },
	}
	for name, open := range buckets {
		t.Run(name, func(t *testing.T) {
			bucket := open()
			table := createFares(t, bucket, nil)
			for i := range int64(25) {
				if version := appendFares(t, table, i*100, 100); version != i+1 {
					t.Fatalf("append %d became version %d", i, version)
				}
			}
			s := must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))
			equalIDs(t, ids(t, s), sequence(0, 2500))
			if s.NumRecords() != 2500 || s.NumFiles() != 25 {
				t.Fatalf("%d records in %d files", s.NumRecords(), s.NumFiles())
			}
			result := must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{}))
			if result.FilesRemoved != 25 || result.FilesAdded != 1 || result.Version != 26 {
				t.Fatalf("%+v", result)
			}
			after := must[*Snapshot](t)(table.Snapshot(t.Context()))
			equalIDs(t, ids(t, after), sequence(0, 2500))
			old := must[*Snapshot](t)(table.SnapshotAt(t.Context(), 7))
			equalIDs(t, ids(t, old), sequence(0, 700))
		})
	}
}

// TestOptions: the engine's name is in the history and in the files, and the
// logger is told of maintenance that failed beside a commit that stands.
func TestOptions(t *testing.T) {
	var logged strings.Builder
	options := []Option{WithEngine("acme 1.2"), WithLogger(slog.New(slog.NewTextHandler(&logged, nil)))}
	bucket := blobtest.Faults(blob.NewMemory("lake"), blobtest.FailNth("put", "_delta_log/*.checkpoint.parquet", 1, errors.New("no room")))
	definition := Definition{Schema: fare, Properties: map[string]string{"delta.checkpointInterval": "1"}}
	must[*Table](t)(Create(t.Context(), bucket, definition, options...))
	table := must[*Table](t)(Open(t.Context(), bucket, options...))
	must[int64](t)(table.Append(t.Context(), AppendOptions{}, fares(0, 3)))
	for _, entry := range must[[]HistoryEntry](t)(table.History(t.Context(), 0)) {
		if entry.EngineInfo != "acme 1.2" {
			t.Errorf("version %d is by %q", entry.Version, entry.EngineInfo)
		}
	}
	for _, add := range must[*Snapshot](t)(table.Snapshot(t.Context())).Files() {
		content := must[[]byte](t)(blob.ReadAll(t.Context(), bucket, must[string](t)(add.Key())))
		reader := must[*file.Reader](t)(file.NewParquetReader(bytes.NewReader(content)))
		if by := reader.MetaData().GetCreatedBy(); by != "acme 1.2" {
			t.Errorf("a file is created by %q", by)
		}
	}
	if !strings.Contains(logged.String(), "checkpoint failed, the commit stands") || !strings.Contains(logged.String(), "no room") {
		t.Errorf("the logger was told %q", logged.String())
	}
}
