package delta

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

const firstCommit = "_delta_log/00000000000000000001.json"

var errStore = errors.New("connection reset by peer")

// always fails every call of an operation on keys with the suffix.
func always(op, suffix string, err error) blobtest.Hook {
	return func(o, key string) error {
		if o == op && strings.HasSuffix(key, suffix) {
			return err
		}
		return nil
	}
}

func TestCommitWhenTheStoreFails(t *testing.T) {
	put, get := blobtest.PutIfAbsent, blobtest.Get
	tests := []struct {
		name string
		hook blobtest.Hook
		want error
		rows int64 // that a reader then sees
	}{
		{"answer lost after the commit", blobtest.FailNth(blobtest.After+put, firstCommit, 1, errStore), nil, 10},
		{"client repeats and is told of its own object", blobtest.FailNth(blobtest.After+put, firstCommit, 1, blob.ErrExist), nil, 10},
		{"time-out after the commit", blobtest.FailNth(blobtest.After+put, firstCommit, 1, context.DeadlineExceeded), nil, 10},
		{"failed before the commit", blobtest.FailNth(put, firstCommit, 1, errStore), nil, 10},
		{"failed before, then answer lost", blobtest.Hooks(blobtest.FailNth(put, firstCommit, 1, errStore), blobtest.FailNth(blobtest.After+put, firstCommit, 1, errStore)), nil, 10},
		{"answer lost, first look fails", blobtest.Hooks(blobtest.FailNth(blobtest.After+put, firstCommit, 1, errStore), blobtest.FailNth(get, firstCommit, 1, errStore)), nil, 10},
		{"store refuses for good", always(put, firstCommit, errStore), ErrUnknownOutcome, 0},
		{"answers lost for good", blobtest.Hooks(always(blobtest.After+put, firstCommit, errStore), always(get, firstCommit, errStore)), ErrUnknownOutcome, 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bucket := blob.NewMemory("lake")
			createFares(t, bucket, nil)
			table := openFares(t, blobtest.Faults(bucket, test.hook))
			adds := must[[]Add](t)(table.WriteFiles(t.Context(), fares(0, 10)))
			version, err := table.Commit(t.Context(), Commit{Operation: "WRITE", Adds: adds, BlindAppend: true})
			if !errors.Is(err, test.want) || err == nil && version != 1 {
				t.Fatalf("version %d, error %v", version, err)
			}
			s := must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))
			equalIDs(t, ids(t, s), sequence(0, test.rows))
			if s.Version() > 1 {
				t.Fatalf("committed twice: version %d", s.Version())
			}
		})
	}
}

func TestCommitCancelledWhileTheAnswerIsOnItsWay(t *testing.T) {
	bucket := blob.NewMemory("lake")
	createFares(t, bucket, nil)
	ctx, cancel := context.WithCancel(t.Context())
	table := openFares(t, blobtest.Faults(bucket, func(op, key string) error {
		if op == blobtest.After+blobtest.PutIfAbsent {
			cancel()
			return ctx.Err()
		}
		return nil
	}))
	adds := must[[]Add](t)(table.WriteFiles(t.Context(), fares(0, 10)))
	if version, err := table.Commit(ctx, Commit{Operation: "WRITE", Adds: adds, BlindAppend: true}); err != nil || version != 1 {
		t.Fatalf("version %d, error %v: the commit is there", version, err)
	}
}

// troubles a store may have while ours commits: the outcome is the same with
// each of them. Version 3 is the winner's, version 4 ours.
func troubles() map[string]blobtest.Hook {
	const third, fourth = "_delta_log/00000000000000000003.json", "_delta_log/00000000000000000004.json"
	put, get, nth := blobtest.PutIfAbsent, blobtest.Get, blobtest.FailNth
	return map[string]blobtest.Hook{
		"no trouble":                   nil,
		"puts fail":                    blobtest.Hooks(nth(put, third, 1, errStore), nth(put, fourth, 1, errStore), nth(put, fourth, 1, errStore)),
		"answer lost":                  nth(blobtest.After+put, fourth, 1, errStore),
		"told of its own object":       nth(blobtest.After+put, fourth, 1, blob.ErrExist),
		"the winner cannot be read":    nth(get, third, 1, errStore),
		"answer lost, first look, too": blobtest.Hooks(nth(blobtest.After+put, fourth, 1, errStore), nth(get, fourth, 1, errStore)),
	}
}

// TestConflicts is the matrix of checkConflicts: winner commits just before
// ours reaches the store.
func TestConflicts(t *testing.T) {
	type plan func(t *testing.T, table *Table, s *Snapshot) Commit
	removeAll := func(s *Snapshot, dataChange bool) (removes []Remove) {
		for _, f := range s.Files() {
			removes = append(removes, Remove{Path: f.Path, DataChange: dataChange, ExtendedFileMetadata: true, Size: f.Size})
		}
		return removes
	}
	appendRows := func(blind bool) plan {
		return func(t *testing.T, table *Table, s *Snapshot) Commit {
			adds := must[[]Add](t)(table.WriteFiles(t.Context(), fares(1000, 5)))
			return Commit{Operation: "WRITE", Adds: adds, BlindAppend: blind, ReadVersion: s.Version()}
		}
	}
	compaction := func(t *testing.T, table *Table, s *Snapshot) Commit {
		adds := must[[]Add](t)(table.WriteFiles(t.Context(), fares(0, 20)))
		adds[0].DataChange = false
		return Commit{Operation: "OPTIMIZE", Adds: adds, Removes: removeAll(s, false), ReadVersion: s.Version()}
	}
	deletion := func(_ *testing.T, _ *Table, s *Snapshot) Commit {
		return Commit{Operation: "DELETE", Removes: removeAll(s, true), ReadVersion: s.Version()}
	}
	settings := func(_ *testing.T, _ *Table, s *Snapshot) Commit {
		m := s.Metadata()
		m.Description = "changed"
		return Commit{Operation: "SET TBLPROPERTIES", Metadata: &m, ReadVersion: s.Version()}
	}
	stream := func(app string, version int64) plan {
		return func(t *testing.T, table *Table, s *Snapshot) Commit {
			c := appendRows(true)(t, table, s)
			c.Txn = &Txn{AppID: app, Version: version}
			return c
		}
	}
	evolving := func(t *testing.T, table *Table, s *Snapshot) Commit {
		evolved, metadata := must2[*Snapshot, *Metadata](t)(s.evolved([]arrow.RecordBatch{withExtra(fares(0, 1), "extra")}))
		adds := must[[]Add](t)(evolved.writeFiles(t.Context(), 1<<20, nil, all([]arrow.RecordBatch{withExtra(fares(1000, 5), "extra")})))
		return Commit{Operation: "WRITE", Adds: adds, Metadata: metadata, BlindAppend: true, ReadVersion: s.Version()}
	}
	restore := func(t *testing.T, _ *Table, s *Snapshot) Commit {
		return Commit{Operation: "RESTORE", Removes: []Remove{s.adds[0].remove(true)}, ReadVersion: s.Version()}
	}
	vacuum := func(_ *testing.T, _ *Table, s *Snapshot) Commit {
		return Commit{Operation: "VACUUM START", ReadVersion: s.Version()}
	}
	upgrade := func(_ *testing.T, _ *Table, s *Snapshot) Commit {
		return Commit{Operation: "UPGRADE PROTOCOL", protocol: &Protocol{MinReaderVersion: 1, MinWriterVersion: 2}, ReadVersion: s.Version()}
	}
	tests := []struct {
		name         string
		ours, winner plan
		want         error
	}{
		{"blind append, restore", appendRows(true), restore, nil},
		{"blind append, new column", appendRows(true), evolving, ErrConflict},
		{"blind append, vacuum", appendRows(true), vacuum, nil},
		{"blind append, protocol", appendRows(true), upgrade, ErrConflict},
		{"new column, append", evolving, appendRows(true), nil},
		{"new column, compaction", evolving, compaction, nil},
		{"new column, new column", evolving, evolving, ErrConflict},
		{"compaction, restore", compaction, restore, ErrConflict},
		{"compaction, protocol", compaction, upgrade, ErrConflict},
		{"compaction, vacuum", compaction, vacuum, nil},
		{"restore, append", restore, appendRows(true), ErrConflict},
		{"restore, compaction", restore, compaction, ErrConflict},
		{"restore, restore", restore, restore, ErrConflict},
		{"restore, vacuum", restore, vacuum, ErrConflict},
		{"vacuum, restore", vacuum, restore, nil},
		{"vacuum, vacuum", vacuum, vacuum, nil},
		{"vacuum, settings", vacuum, settings, ErrConflict},
		{"delete, compaction", deletion, compaction, ErrConflict},
		{"blind append, append", appendRows(true), appendRows(true), nil},
		{"blind append, compaction", appendRows(true), compaction, nil},
		{"blind append, delete", appendRows(true), deletion, nil},
		{"blind append, settings", appendRows(true), settings, ErrConflict},
		{"append that read, append", appendRows(false), appendRows(true), ErrConflict},
		{"append that read, compaction", appendRows(false), compaction, nil},
		{"append that read, delete", appendRows(false), deletion, ErrConflict},
		{"compaction, append", compaction, appendRows(true), nil},
		{"compaction, compaction", compaction, compaction, ErrConflict},
		{"compaction, delete", compaction, deletion, ErrConflict},
		{"compaction, settings", compaction, settings, ErrConflict},
		{"delete, append", deletion, appendRows(true), ErrConflict},
		{"delete, delete", deletion, deletion, ErrConflict},
		{"settings, append", settings, appendRows(true), nil},
		{"settings, settings", settings, settings, ErrConflict},
		{"stream, the same stream", stream("q1", 7), stream("q1", 7), ErrTxnConflict},
		{"stream, another stream", stream("q1", 7), stream("q2", 7), nil},
	}
	for _, test := range tests {
		for name, trouble := range troubles() {
			t.Run(test.name+"/"+name, func(t *testing.T) {
				bucket := blob.NewMemory("lake")
				appendFares(t, createFares(t, bucket, nil), 0, 10)
				appendFares(t, openFares(t, bucket), 10, 10)

				rival := openFares(t, bucket)
				rivalBase := must[*Snapshot](t)(rival.Snapshot(t.Context()))
				winner := test.winner(t, rival, rivalBase)
				var once sync.Once
				table := openFares(t, blobtest.Faults(bucket, func(op, key string) error {
					if op == blobtest.PutIfAbsent {
						once.Do(func() { must[int64](t)(rival.Commit(context.Background(), winner)) })
					}
					if trouble == nil {
						return nil
					}
					return trouble(op, key)
				}))
				base := must[*Snapshot](t)(table.Snapshot(t.Context()))
				version, err := table.Commit(t.Context(), test.ours(t, table, base))
				if !errors.Is(err, test.want) {
					t.Fatalf("error %v, want %v", err, test.want)
				}
				newest := must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context())).Version()
				if test.want == nil && (version != 4 || newest != 4) || test.want != nil && newest != 3 {
					t.Fatalf("version %d, newest %d", version, newest)
				}
			})
		}
	}
}

// TestConflictsWithKnownCommits: the winners may be in a snapshot already
// loaded, later than the one the commit was planned from.
func TestConflictsWithKnownCommits(t *testing.T) {
	table := createFares(t, blob.NewMemory("lake"), nil)
	appendFares(t, table, 0, 10)
	planned := must[*Snapshot](t)(table.Snapshot(t.Context()))
	must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{}))
	appendFares(t, table, 10, 10)
	must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{}))
	must[*Snapshot](t)(table.Snapshot(t.Context()))
	file := planned.Files()[0]
	c := Commit{Operation: "OPTIMIZE", Removes: []Remove{{Path: file.Path}}, ReadVersion: planned.Version()}
	if _, err := table.Commit(t.Context(), c); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), file.Path) {
		t.Fatalf("error %v, want ErrConflict naming %s", err, file.Path)
	}
}

func TestCommitRefuses(t *testing.T) {
	file := Add{Path: "a.parquet", Size: 1, DataChange: true}
	tests := []struct {
		name       string
		properties map[string]string
		commit     Commit
		want       string
	}{
		{"no operation", nil, Commit{}, "names no operation"},
		{"a file twice", nil, Commit{Operation: "WRITE", Adds: []Add{file, file}}, "adds each file once"},
		{"a file added and removed", nil, Commit{Operation: "WRITE", Adds: []Add{file}, Removes: []Remove{{Path: file.Path}}}, "adds or removes each file once"},
		{"blind append that removes", nil, Commit{Operation: "WRITE", BlindAppend: true, Removes: []Remove{{Path: "x"}}}, "only adds"},
		{"removing what is not there", nil, Commit{Operation: "DELETE", Removes: []Remove{{Path: "x", DataChange: true}}}, "x is no file of version 0"},
		{"removing rows of an append-only table", map[string]string{AppendOnlyKey: "true"}, Commit{Operation: "DELETE", Removes: []Remove{{Path: "x", DataChange: true}}}, "append-only"},
		{"a version that is not there", nil, Commit{Operation: "WRITE", ReadVersion: 7}, "no version 7"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := createFares(t, blob.NewMemory("lake"), test.properties)
			if _, err := table.Commit(t.Context(), test.commit); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestTxnsOfEveryApplication(t *testing.T) {
	bucket := blob.NewMemory("lake")
	table := createFares(t, bucket, map[string]string{CheckpointIntervalKey: "2"})
	want := map[string]Txn{}
	for i, app := range []string{"a", "b", "a", "c", "b"} {
		txn := Txn{AppID: app, Version: int64(i), LastUpdated: 1000 + int64(i)}
		want[app] = txn
		must[int64](t)(table.Commit(t.Context(), Commit{Operation: "STREAMING UPDATE", BlindAppend: true, ReadVersion: int64(i), Txn: &txn}))
	}
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	clear(s.Txns()) // the caller's own
	for _, s := range []*Snapshot{s, must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))} {
		if got := s.Txns(); !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestRepeatedBatchIsATxnConflict(t *testing.T) {
	table := createFares(t, blob.NewMemory("lake"), nil)
	for batch := range int64(12) { // over a checkpoint
		s := must[*Snapshot](t)(table.Snapshot(t.Context()))
		must[int64](t)(table.Commit(t.Context(), Commit{Operation: "STREAMING UPDATE", BlindAppend: true, ReadVersion: s.Version(), Txn: &Txn{AppID: "q", Version: batch}}))
	}
	s := must[*Snapshot](t)(openFares(t, table.Bucket()).Snapshot(t.Context()))
	if txn, ok := s.Txn("q"); !ok || txn.Version != 11 || txn.LastUpdated == 0 {
		t.Fatalf("%+v %v", txn, ok)
	}
	_, err := table.Commit(t.Context(), Commit{Operation: "STREAMING UPDATE", BlindAppend: true, ReadVersion: s.Version(), Txn: &Txn{AppID: "q", Version: 11}})
	if !errors.Is(err, ErrTxnConflict) {
		t.Fatalf("error %v", err)
	}
}

func TestRacingWritersAllCommitOnce(t *testing.T) {
	bucket := blob.NewMemory("lake")
	createFares(t, bucket, nil)
	const writers, commits = 4, 8
	var group sync.WaitGroup
	for w := range int64(writers) {
		table := openFares(t, bucket)
		group.Go(func() {
			for i := range int64(commits) {
				appendFares(t, table, (w*commits+i)*10, 10)
			}
		})
	}
	group.Wait()
	s := must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))
	equalIDs(t, ids(t, s), sequence(0, writers*commits*10))
	if s.Version() != writers*commits {
		t.Fatalf("version %d", s.Version())
	}
}

var uuids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// TestStoreOperations pins what a table costs at the store: the exact sequence
// of operations.
func TestStoreOperations(t *testing.T) {
	bucket := blobtest.Faults(blob.NewMemory("lake"), nil)
	var out strings.Builder
	step := func(name string, do func()) {
		bucket.ResetLog()
		do()
		fmt.Fprintf(&out, "# %s\n", name)
		lines := bucket.Log()
		for from := range lines { // commits are read at the same time, in any order
			to := from
			for to < len(lines) && strings.HasPrefix(lines[to], "get ") {
				to++
			}
			slices.Sort(lines[from:to])
		}
		for _, line := range lines {
			fmt.Fprintln(&out, uuids.ReplaceAllString(line, "UUID"))
		}
	}
	var table *Table
	step("create", func() { table = createFares(t, bucket, map[string]string{CheckpointIntervalKey: "3"}) })
	var adds []Add
	step("write files", func() { adds = must[[]Add](t)(table.WriteFiles(t.Context(), fares(0, 10))) })
	step("commit 1", func() {
		must[int64](t)(table.Commit(t.Context(), Commit{Operation: "WRITE", Adds: adds, BlindAppend: true}))
	})
	step("snapshot 1", func() { must[*Snapshot](t)(table.Snapshot(t.Context())) })
	step("snapshot again", func() { must[*Snapshot](t)(table.Snapshot(t.Context())) })
	step("append 2", func() { appendFares(t, table, 10, 10) })
	rival := openFares(t, bucket)
	appendFares(t, rival, 20, 10) // version 3, with a checkpoint
	adds = must[[]Add](t)(table.WriteFiles(t.Context(), fares(30, 10)))
	step("commit 4 by a table that knows only version 1", func() {
		must[int64](t)(table.Commit(t.Context(), Commit{Operation: "WRITE", Adds: adds, BlindAppend: true, ReadVersion: 1}))
	})
	step("compact", func() { must[CompactResult](t)(table.Compact(t.Context(), CompactOptions{})) })
	step("commit 6 with a checkpoint", func() {
		must[int64](t)(table.Commit(t.Context(), Commit{Operation: "WRITE", BlindAppend: true, ReadVersion: 5}))
	})
	step("open", func() { openFares(t, bucket) })
	step("append 7 with a new column", func() {
		must[int64](t)(table.Append(t.Context(), AppendOptions{MergeSchema: true}, withExtra(fares(40, 10), "extra")))
	})
	step("restore", func() { must[RestoreResult](t)(table.Restore(t.Context(), 4)) })
	zero := time.Duration(0)
	step("vacuum 9 to 10", func() {
		must[VacuumResult](t)(table.Vacuum(t.Context(), VacuumOptions{Retention: &zero, DisableRetentionCheck: true}))
	})
	golden(t, "store_operations.txt", out.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Fatalf("%s differs; look at it, then -rewrite\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}
