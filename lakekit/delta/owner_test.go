package delta

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
)

// A lake with tables and checkpoints of several makers.
var lake = []string{
	"tables/trips/_delta_log/00000000000000000000.json", "tables/trips/part-0.parquet",
	"spark/out/day=1/part-0.parquet", "spark/out/_delta_log/00000000000000000010.checkpoint.parquet", // its commits were cleaned up
	"checkpoints/trips/metadata", "checkpoints/trips/offsets/0", "checkpoints/trips/commits/0",
	"begun/metadata", "begun/sources/0/0",
	"aaa/zzz/deep/er/_delta_log/00000000000000000000.json",
	// These are nobody's: half of what a checkpoint has, or such a name elsewhere.
	"notes/metadata", "notes/readme", "logs/offsets/0", "logs/commits/0", "plain/metadata/v1.json", "plain/offsets", "plain/_delta_log",
}

func filled(t *testing.T, bucket blob.Bucket) blob.Bucket {
	t.Helper()
	for _, key := range lake {
		if err := bucket.Put(t.Context(), key, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	return bucket
}

func TestFoldersHaveOneOwner(t *testing.T) {
	tests := []struct {
		folder string
		owners []Owner
		says   string // "" if the folder is free
	}{
		{"tables/new", []Owner{TableOwner, CheckpointOwner}, ""},
		{"tables/trips_2", []Owner{TableOwner, CheckpointOwner}, ""}, // beside, though it begins alike
		{"tables/trip", []Owner{TableOwner, CheckpointOwner}, ""},
		{"checkpoints/new/one", []Owner{TableOwner, CheckpointOwner}, ""},
		{"notes", []Owner{TableOwner, CheckpointOwner}, ""},
		{"notes/new", []Owner{TableOwner, CheckpointOwner}, ""},
		{"logs", []Owner{TableOwner, CheckpointOwner}, ""},
		{"plain", []Owner{TableOwner, CheckpointOwner}, ""},

		{"tables/trips", []Owner{TableOwner}, ""}, // its own
		{"checkpoints/trips", []Owner{CheckpointOwner}, ""},
		{"tables/trips", []Owner{CheckpointOwner}, "/tables/trips is a table already"},
		{"checkpoints/trips", []Owner{TableOwner}, "/checkpoints/trips is a checkpoint already"},
		{"begun", []Owner{TableOwner}, "/begun is a checkpoint already"},

		{"tables/trips/sub", []Owner{TableOwner, CheckpointOwner}, "lies in the table "},
		{"tables/trips/day=1/_hidden/sub", []Owner{TableOwner, CheckpointOwner}, "/tables/trips, and"},
		{"tables/trips/_delta_log/sub", []Owner{TableOwner, CheckpointOwner}, "/tables/trips, and"},
		{"spark/out/day=2", []Owner{TableOwner, CheckpointOwner}, "/spark/out, and"},
		{"checkpoints/trips/state", []Owner{TableOwner, CheckpointOwner}, "lies in the checkpoint "},
		{"begun/x", []Owner{TableOwner, CheckpointOwner}, "/begun, and"},

		{"tables", []Owner{TableOwner, CheckpointOwner}, "holds the table "},
		{"checkpoints", []Owner{TableOwner, CheckpointOwner}, "/checkpoints/trips, and"},
		{"spark", []Owner{TableOwner, CheckpointOwner}, "/spark/out, and"},
		{"aaa", []Owner{TableOwner, CheckpointOwner}, "/aaa/zzz/deep/er, and"},
	}
	for name, bucket := range map[string]blob.Bucket{"memory": blob.NewMemory("lake"), "folder": must[*blob.Dir](t)(blob.OpenDir(t.TempDir()))} {
		filled(t, bucket)
		places := map[string]func(string) blob.Bucket{
			name:               func(folder string) blob.Bucket { return blob.Prefix(bucket, folder) },
			name + "/in parts": func(folder string) blob.Bucket { return partByPart(bucket, folder) },
		}
		if dir, ok := bucket.(*blob.Dir); ok {
			places["folder/opened alone"] = func(folder string) blob.Bucket {
				if alone, err := blob.OpenDir(dir.LocalPath(folder)); err == nil {
					return alone
				}
				return blob.Prefix(bucket, folder) // it is not there yet
			}
		}
		for name, at := range places {
			for _, test := range tests {
				for _, owner := range test.owners {
					err := CheckFolder(t.Context(), at(test.folder), owner)
					if test.says == "" && err != nil || test.says != "" && (!errors.Is(err, ErrOccupied) || !strings.Contains(err.Error(), test.says)) {
						t.Errorf("%s: %s as a %s: error %v, want %q", name, test.folder, owner, err, test.says)
					}
				}
			}
		}
	}
}

func partByPart(bucket blob.Bucket, folder string) blob.Bucket {
	for part := range strings.SplitSeq(folder, "/") {
		bucket = blob.Prefix(bucket, part)
	}
	return bucket
}

func TestCreateBesideOthersOnly(t *testing.T) {
	bucket := filled(t, blob.NewMemory("lake"))
	for folder, free := range map[string]bool{
		"tables": false, "tables/trips/x": false, "checkpoints": false, "checkpoints/trips": false, "spark/out/day=1": false, "aaa/zzz": false,
		"tables/more": true, "logs": true, "notes": true,
	} {
		place := blob.Prefix(bucket, folder)
		before := objects(t, place)
		_, err := Create(t.Context(), place, Definition{Schema: fare})
		if free != (err == nil) || !free && (!errors.Is(err, ErrOccupied) || !strings.Contains(err.Error(), "oss://lake/")) {
			t.Errorf("%s: error %v", folder, err)
		}
		if after := objects(t, place); !free && !slices.Equal(after, before) {
			t.Errorf("%s: %q, was %q", folder, after, before)
		}
	}
}

func objects(t *testing.T, bucket blob.Bucket) []string {
	t.Helper()
	var keys []string
	for object, err := range bucket.List(t.Context(), blob.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, object.Key)
	}
	return keys
}

// Credentials that open nothing but a folder do not see what lies above it.
func TestFoldersAboveThatAreClosed(t *testing.T) {
	bucket := blobtest.Faults(blob.NewMemory("lake"), func(op, key string) error {
		if !strings.HasPrefix(key, "alice/") {
			return blob.ErrDenied
		}
		return nil
	})
	must[*Table](t)(Create(t.Context(), blob.Prefix(bucket, "alice/delta/trips"), Definition{Schema: fare}))
	_, err := Create(t.Context(), blob.Prefix(bucket, "alice/delta/trips/x"), Definition{Schema: fare})
	if !errors.Is(err, ErrOccupied) {
		t.Errorf("error %v", err)
	}
}

// Looking above costs a few calls, and looking below ends at the first owner.
func TestOwnersAreFoundByFewCalls(t *testing.T) {
	calls := 0
	bucket := blobtest.Faults(filled(t, blob.NewMemory("lake")), func(string, string) error { calls++; return nil })
	for folder, most := range map[string]int{"a/b/c/d": 14, "tables/trips": 8, "tables": 6, "tables/trips/a/b/c": 10} {
		calls = 0
		_ = CheckFolder(t.Context(), blob.Prefix(bucket, folder), TableOwner)
		if calls > most {
			t.Errorf("%s: %d calls, want at most %d", folder, calls, most)
		}
	}
}

// Vacuum deletes nothing of the tables and checkpoints that others have put into
// the table's folder, at whatever place in the listing they show.
func TestVacuumStaysOutOfOtherFolders(t *testing.T) {
	table, bucket := clockedFares(t, nil)
	appendFares(t, table, 0, 10)
	kept := []string{
		"trips/!first.parquet", "trips/_delta_log/00000000000000000000.json", "trips/day=1/part-0.parquet", "trips/zone/part-0.parquet",
		"a/b/c/_delta_log/00000000000000000003.checkpoint.parquet", "a/b/c/part-0.parquet", "a/b/c/d/part-0.parquet",
		"stream/metadata", "stream/offsets/0", "stream/commits/0", "stream/sources/0/0", "stream/lakekit.json", "stream/state/0/0/1.delta",
		"begun/metadata", "begun/sources/0/0", "begun/.metadata.crc",
		"outer/metadata", "outer/commits/7", "outer/inner/_delta_log/00000000000000000000.json", "outer/x/y",
	}
	gone := []string{"a/b/abandoned.parquet", "a/b/c2/abandoned.parquet", "abandoned.parquet", "trips2/abandoned.parquet", "notes/offsets/0"}
	bucket.put(t, append(slices.Clone(kept), gone...)...)
	bucket.clock.advance(30 * day)
	done := must[VacuumResult](t)(table.Vacuum(t.Context(), VacuumOptions{}))
	slices.Sort(gone)
	if !slices.Equal(done.Files, gone) {
		t.Errorf("deleted %q\nwant    %q", done.Files, gone)
	}
	for _, key := range kept {
		if _, err := bucket.Head(t.Context(), key); err != nil {
			t.Errorf("%s is gone", key)
		}
	}
	equalIDs(t, ids(t, must[*Snapshot](t)(table.Snapshot(t.Context()))), sequence(0, 10))
}

// A table whose folder is part of another one's cannot tell its files from the
// other's: made by others, it is not vacuumed.
func TestVacuumWithinAnotherTable(t *testing.T) {
	for _, outside := range [][]string{
		{"outer/_delta_log/00000000000000000000.json"},
		{"outer/metadata", "outer/offsets/0"},
		{"outer/day=1/metadata", "outer/day=1/sources/0/0"},
	} {
		bucket := clocked(blob.NewMemory("lake"), newClock())
		inner := blob.Prefix(bucket, "outer/day=1")
		createFares(t, inner, nil)
		for _, key := range append([]string{"outer/day=1/part-0.parquet"}, outside...) {
			bucket.put(t, key)
		}
		bucket.clock.advance(30 * day)
		table := bucket.clock.openAt(t, inner)
		before := objects(t, bucket)
		zero := time.Duration(0)
		for _, opts := range []VacuumOptions{{}, {DryRun: true}, {Retention: &zero, DisableRetentionCheck: true}} {
			if _, err := table.Vacuum(t.Context(), opts); !errors.Is(err, ErrOccupied) || !strings.Contains(err.Error(), "oss://lake/outer") {
				t.Errorf("error %v", err)
			}
		}
		if after := objects(t, bucket); !slices.Equal(after, before) {
			t.Errorf("%q, was %q", after, before)
		}
	}
}

// What is hidden is Spark's rule (DeltaTableUtils.isHiddenDirectory).
func TestVacuumHiddenNames(t *testing.T) {
	schema := fare.asNullable()
	schema.Fields = append(schema.Fields, column("_k", String), column("_k2", Long), column(".dot", String), column("plain", String))
	bucket := clocked(blob.NewMemory("lake"), newClock())
	must[*Table](t)(Create(t.Context(), bucket, Definition{Schema: schema, PartitionBy: []string{"_k", "_k2", ".dot", "plain"}}))
	kept := []string{
		"_k/keep.txt", "_k2/x", "_kk=1/x", "_K=1/x", "_other=1/x", ".dot/x", "plain=1/_k/x", "_k=1/_hidden/x", "_k=1/.x", "x/_y=1/z",
		"metadata/v1.metadata.json", "a/metadata/x", "__change_data/x", "plain=1/_change_datum/x",
	}
	gone := []string{"_k=1/x", "_k=/x", "_k2=5/x", ".dot=a/x", "plain=1/x", "plain/x", "_k=a/_k2=1/.dot=b/plain=c/x", "_change_data/x", "_delta_index/x", "_change_data_2/x", "y/metadata.json"}
	bucket.put(t, append(slices.Clone(kept), gone...)...)
	bucket.clock.advance(30 * day)
	done := must[VacuumResult](t)(bucket.clock.openAt(t, bucket).Vacuum(t.Context(), VacuumOptions{DryRun: true}))
	slices.Sort(gone)
	if !slices.Equal(done.Files, gone) {
		t.Errorf("would delete %q\nwant         %q", done.Files, gone)
	}
}
