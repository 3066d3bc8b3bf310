package delta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"taxilake/lakekit/blob"
)

// RetentionDurationCheckKey is Spark's name of the check that Vacuum makes
// unless VacuumOptions switch it off.
const RetentionDurationCheckKey = "spark.databricks.delta.retentionDurationCheck.enabled"

// VacuumOptions of Vacuum. The zero value keeps what the table's properties
// say.
type VacuumOptions struct {
	// Retention is how long files that the newest version does not need are
	// kept; nil: delta.deletedFileRetentionDuration.
	Retention *time.Duration
	// DisableRetentionCheck lets Retention be shorter than
	// delta.deletedFileRetentionDuration, which is Spark's
	// retentionDurationCheck.enabled=false. Versions that readers still use then
	// lose files, and so do writers that are about to commit some.
	DisableRetentionCheck bool
	DryRun                bool // deletes nothing
}

// VacuumResult is what Vacuum deleted, or would delete.
type VacuumResult struct {
	Files   []string // keys relative to the table's root, sorted
	Bytes   int64
	Version int64 // of the commit VACUUM END; -1 when nothing was deleted
}

const (
	// vacuumBatch files are deleted between two looks at the clock.
	vacuumBatch = 1000
	// vacuumLease is how long after VACUUM START Restore waits for VACUUM END: a
	// vacuum that was killed does not block it for ever. Vacuum stops after half
	// of it, which leaves the other half to clocks that differ.
	vacuumLease = time.Hour
)

// Vacuum deletes files that neither the newest version needs, nor one that was
// the newest within the retention, nor a writer that may still commit them:
// what is older than the retention and in no add and no unexpired tombstone of
// the log. Names that begin with "_" or "." are left alone, as in Spark, except
// folders of partition columns, of change data and of the Delta index. So are
// folders within that are another table's or a checkpoint's, whoever made them.
// ErrInvalid says that the retention is too short, ErrOccupied that the table
// itself lies in such a folder: its files cannot be told from the other's.
//
// A version that lost its files cannot be read or restored any more.
func (t *Table) Vacuum(ctx context.Context, opts VacuumOptions) (VacuumResult, error) {
	result := VacuumResult{Version: -1}
	s, err := t.Snapshot(ctx)
	if err != nil {
		return result, fmt.Errorf("vacuum: %w", err)
	}
	retention := s.properties.deletedFileRetention
	if opts.Retention != nil {
		retention = *opts.Retention
	}
	if err := s.checkRetention(retention, !opts.DisableRetentionCheck); err != nil {
		return result, fmt.Errorf("vacuum %s: %w", t.URI(), err)
	}
	if err := checkEnclosing(ctx, t.bucket, TableOwner); err != nil {
		return result, fmt.Errorf("vacuum %s: %w", t.URI(), err)
	}
	expired, err := s.expiredFiles(ctx, t.now().Add(-retention))
	if err != nil {
		return result, fmt.Errorf("vacuum %s: %w", t.URI(), err)
	}
	for _, file := range expired {
		result.Files = append(result.Files, file.Key)
		result.Bytes += file.Size
	}
	if opts.DryRun || len(expired) == 0 {
		return result, nil
	}
	if result.Version, err = t.deleteExpired(ctx, s, result, retention, opts); err != nil {
		return result, fmt.Errorf("vacuum %s: %w", t.URI(), err)
	}
	return result, nil
}

func (s *Snapshot) checkRetention(retention time.Duration, check bool) error {
	// A table with features that we do not know may need files that we do not
	// see (PROTOCOL.md, section Vacuum Protocol Check).
	if err := checkWritable(s.protocol, s.metadata, s.schema); err != nil {
		return err
	}
	switch least := s.properties.deletedFileRetention; {
	case retention < 0:
		return fmt.Errorf("%w: a retention of %s is negative", ErrInvalid, retention)
	case check && retention < least:
		return fmt.Errorf("%w: a retention of %s is shorter than the table's %s (%s): readers and running streams could lose files; if there are none, set %s=false",
			ErrInvalid, hours(retention), hours(least), DeletedFileRetentionDurationKey, RetentionDurationCheckKey)
	}
	return nil
}

func hours(d time.Duration) string {
	return strconv.FormatFloat(d.Hours(), 'f', -1, 64) + " hours"
}

// expiredFiles are those last modified before cutOff that no version since then
// needs, sorted by key. The log is read after the store is listed: what was
// committed meanwhile is seen.
func (s *Snapshot) expiredFiles(ctx context.Context, cutOff time.Time) ([]blob.ObjectInfo, error) {
	old, _, err := OwnObjects(ctx, s.table.bucket, func(object blob.ObjectInfo) bool {
		return object.LastModified.Before(cutOff) && !s.hidden(object.Key)
	})
	if err != nil {
		return nil, fmt.Errorf("list the table's files: %w", err)
	}
	needed, err := s.table.neededFiles(ctx, cutOff)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(old, func(object blob.ObjectInfo) bool { return needed[object.Key] }), nil
}

// neededFiles are the live ones and those removed after cutOff, whose versions
// were the newest within the retention. The log is looked through because a
// snapshot forgets tombstones by the table's own retention.
func (t *Table) neededFiles(ctx context.Context, cutOff time.Time) (map[string]bool, error) {
	s, err := t.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	needed := map[string]bool{}
	need := func(path string) error {
		key, err := decodePath(path)
		needed[key] = true
		return err
	}
	for _, add := range s.adds {
		if err := need(add.Path); err != nil {
			return nil, err
		}
	}
	for removed := range unexpired(s.tombstones, cutOff) {
		if err := need(removed.Path); err != nil {
			return nil, err
		}
	}
	listing, err := listLog(ctx, t.bucket, 0)
	if err != nil {
		return nil, err
	}
	var recent []logFile
	for _, commit := range listing.commits {
		if commit.modified.After(cutOff) && commit.version <= s.version {
			recent = append(recent, commit)
		}
	}
	commits, err := readCommits(ctx, t.bucket, recent)
	if err != nil {
		return nil, err
	}
	for _, commit := range commits {
		for _, removed := range commit.removes {
			if err := need(removed.Path); err != nil {
				return nil, err
			}
		}
	}
	return needed, nil
}

// hidden names are no business of Vacuum: the log, checkpoints of streams, what
// other tools put aside. They are Spark's, DeltaTableUtils.isHiddenDirectory: a
// folder or file is a partition's only if its name begins with "column=", and
// "metadata" is Iceberg's.
func (s *Snapshot) hidden(key string) bool {
	for name := range strings.SplitSeq(key, "/") {
		if name == "metadata" {
			return true
		}
		if !strings.HasPrefix(name, "_") && !strings.HasPrefix(name, ".") {
			continue
		}
		begins := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
		if !begins("_change_data") && !begins("_delta_index") &&
			!slices.ContainsFunc(s.metadata.PartitionColumns, func(c string) bool { return begins(escapeHive(c) + "=") }) {
			return true
		}
	}
	return false
}

// deleteExpired deletes the files between two commits that tell of it.
func (t *Table) deleteExpired(ctx context.Context, s *Snapshot, plan VacuumResult, retention time.Duration, opts VacuumOptions) (int64, error) {
	parameters := map[string]any{
		"retentionCheckEnabled":  !opts.DisableRetentionCheck,
		"defaultRetentionMillis": s.properties.deletedFileRetention.Milliseconds(),
	}
	if opts.Retention != nil {
		parameters["specifiedRetentionMillis"] = retention.Milliseconds()
	}
	start := Commit{Operation: "VACUUM START", Parameters: parameters, Metrics: map[string]string{
		"numFilesToDelete": strconv.Itoa(len(plan.Files)), "sizeOfDataToDelete": strconv.FormatInt(plan.Bytes, 10),
	}}
	if _, err := t.record(ctx, start); err != nil {
		return -1, err
	}
	// What was restored until this commit is needed again; a Restore that has not
	// committed yet is in conflict with it.
	needed, deleteErr := t.neededFiles(ctx, t.now().Add(-retention))
	files := slices.DeleteFunc(slices.Clone(plan.Files), func(key string) bool { return needed[key] })
	if deleteErr != nil {
		files = nil
	}
	deleted := 0
	stop := t.now().Add(vacuumLease / 2)
	for batch := range slices.Chunk(files, vacuumBatch) {
		if t.now().After(stop) {
			deleteErr = errors.New("it took too long")
			break
		}
		if deleteErr = t.bucket.Delete(ctx, batch...); deleteErr != nil {
			break
		}
		deleted += len(batch)
	}
	end := Commit{Operation: "VACUUM END", Parameters: map[string]any{"status": "COMPLETED"}, Metrics: map[string]string{
		"numDeletedFiles": strconv.Itoa(deleted), "numVacuumedDirectories": strconv.Itoa(countFolders(files)),
	}}
	if deleteErr != nil {
		end.Parameters["status"] = "FAILED"
		deleteErr = fmt.Errorf("delete expired files (%d of %d are gone; vacuum again to go on): %w", deleted, len(plan.Files), deleteErr)
	}
	version, err := t.record(ctx, end)
	return version, errors.Join(deleteErr, err)
}

// record commits what tells of something and changes nothing.
func (t *Table) record(ctx context.Context, c Commit) (int64, error) {
	version := int64(-1)
	err := t.replanning(ctx, func() error {
		s, err := t.Snapshot(ctx)
		if err != nil {
			return err
		}
		c.ReadVersion = s.version
		version, err = t.Commit(ctx, c)
		return err
	})
	if err != nil {
		return -1, err
	}
	return version, nil
}

// countFolders: the table's root is one.
func countFolders(keys []string) int {
	folders := map[string]bool{}
	for _, key := range keys {
		folders[key[:strings.LastIndexByte(key, '/')+1]] = true
	}
	return len(folders)
}
