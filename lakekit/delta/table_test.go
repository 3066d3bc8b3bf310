package delta

import (
	"testing"

	"taxilake/lakekit/blob"
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
