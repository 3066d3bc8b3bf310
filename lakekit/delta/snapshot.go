package delta

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"taxilake/lakekit/blob"
)

// Snapshot is a table at one version. It never changes and may be used from
// many goroutines.
type Snapshot struct {
	table     *Table
	version   int64
	timestamp time.Time
	commit    logFile // of this version; zero when only a checkpoint is left

	protocol   Protocol
	metadata   Metadata
	schema     Schema
	properties properties

	adds       []*Add    // sorted by path; one of each
	tombstones []*Remove // sorted by logical file
	txns       map[string]Txn

	totals func() totals
}

type totals struct{ size, records int64 }

// Version of the table.
func (s *Snapshot) Version() int64 { return s.version }

// Timestamp is when the version was committed, by the store's clock.
func (s *Snapshot) Timestamp() time.Time { return s.timestamp }

// Protocol that readers and writers of the table must follow.
func (s *Snapshot) Protocol() Protocol { return s.protocol }

// Metadata of the table; its maps are shared and must not be changed.
func (s *Snapshot) Metadata() Metadata { return s.metadata }

// Schema of the table, partition columns included.
func (s *Snapshot) Schema() Schema { return s.schema }

// Properties set on the table; those not set have their defaults.
func (s *Snapshot) Properties() map[string]string { return maps.Clone(s.metadata.Configuration) }

// Table the snapshot is of.
func (s *Snapshot) Table() *Table { return s.table }

// Files are the live data files, sorted by path.
func (s *Snapshot) Files() []Add {
	files := make([]Add, len(s.adds))
	for i, a := range s.adds {
		files[i] = *a
	}
	return files
}

// NumFiles is the number of live data files.
func (s *Snapshot) NumFiles() int { return len(s.adds) }

// SizeInBytes is the sum over the live data files.
func (s *Snapshot) SizeInBytes() int64 { return s.totals().size }

// NumRecords is the sum over the live data files, or -1 when one of them has
// no statistics.
func (s *Snapshot) NumRecords() int64 { return s.totals().records }

// Txn is how far an application has written the table, if it ever has.
func (s *Snapshot) Txn(appID string) (Txn, bool) {
	txn, ok := s.txns[appID]
	return txn, ok
}

// Txns is how far each application has written the table, by application id.
func (s *Snapshot) Txns() map[string]Txn { return maps.Clone(s.txns) }

func sumFiles(adds []*Add) totals {
	var sum totals
	for _, a := range adds {
		sum.size += a.Size
		if records, ok := a.liveRecords(); ok && sum.records >= 0 {
			sum.records += records
		} else {
			sum.records = -1
		}
	}
	return sum
}

// file returns the live file of that path.
func (s *Snapshot) file(path string) (*Add, bool) {
	i, found := slices.BinarySearchFunc(s.adds, path, func(a *Add, path string) int { return cmp.Compare(a.Path, path) })
	if !found {
		return nil, false
	}
	return s.adds[i], true
}

// replay gathers what commits change on top of a snapshot (PROTOCOL.md,
// section Action Reconciliation).
type replay struct {
	base     *Snapshot // nil: from the beginning
	protocol *Protocol
	metadata *Metadata
	txns     map[string]Txn
	adds     map[string]*Add    // by logicalFile
	removes  map[string]*Remove // by logicalFile
}

// logicalFile is the primary key of adds and removes (PROTOCOL.md, section
// Action Reconciliation): a data file with the rows that are deleted from it.
// The separator sorts before all characters of an encoded path.
func logicalFile(path string, v *DeletionVector) string {
	if v == nil {
		return path
	}
	return path + "\x00" + v.uniqueID()
}

func (a *Add) logicalFile() string    { return logicalFile(a.Path, a.DeletionVector) }
func (r *Remove) logicalFile() string { return logicalFile(r.Path, r.DeletionVector) }

func newReplay(base *Snapshot) *replay {
	return &replay{base: base, txns: map[string]Txn{}, adds: map[string]*Add{}, removes: map[string]*Remove{}}
}

func (r *replay) apply(c *commitFile) {
	if c.protocol != nil {
		r.protocol = c.protocol
	}
	if c.metadata != nil {
		r.metadata = c.metadata
	}
	for _, txn := range c.txns {
		r.txns[txn.AppID] = txn
	}
	for _, remove := range c.removes {
		file := remove.logicalFile()
		delete(r.adds, file)
		r.removes[file] = remove
	}
	for _, add := range c.adds {
		file := add.logicalFile()
		delete(r.removes, file)
		r.adds[file] = add
	}
}

// snapshot is the state after everything applied; version and commit name the
// last commit.
func (r *replay) snapshot(t *Table, version int64, commit logFile) (*Snapshot, error) {
	s := &Snapshot{table: t, version: version, commit: commit, timestamp: commit.modified}
	var baseAdds []*Add
	var baseTombstones []*Remove
	if r.base != nil {
		s.protocol, s.metadata, s.schema, s.properties = r.base.protocol, r.base.metadata, r.base.schema, r.base.properties
		s.txns, baseAdds, baseTombstones = r.base.txns, r.base.adds, r.base.tombstones
	}
	if r.protocol != nil {
		s.protocol = *r.protocol
	}
	if r.metadata != nil {
		s.metadata = *r.metadata
		s.properties = parseProperties(s.metadata.Configuration)
	}
	if err := s.checkState(r); err != nil {
		return nil, err
	}
	if len(r.txns) > 0 {
		s.txns = maps.Clone(s.txns)
		if s.txns == nil {
			s.txns = map[string]Txn{}
		}
		maps.Copy(s.txns, r.txns)
	}
	s.adds = mergeByPath(baseAdds, r.adds, (*Add).logicalFile, r.touched)
	for i := range s.adds {
		if i > 0 && s.adds[i].Path == s.adds[i-1].Path {
			return nil, fmt.Errorf("%w: version %d of %s has %s twice, with different deletion vectors", ErrCorruptLog, version, t.URI(), s.adds[i].Path)
		}
	}
	tombstones := mergeByPath(baseTombstones, r.removes, (*Remove).logicalFile, r.touched)
	s.tombstones = slices.Collect(unexpired(tombstones, t.now().Add(-s.properties.deletedFileRetention)))
	s.totals = sync.OnceValue(func() totals { return sumFiles(s.adds) })
	return s, nil
}

func (r *replay) touched(file string) bool {
	if _, ok := r.adds[file]; ok {
		return true
	}
	_, ok := r.removes[file]
	return ok
}

// checkState refuses a state without protocol or metadata, and one we cannot
// read.
func (s *Snapshot) checkState(r *replay) error {
	where := fmt.Sprintf("version %d of %s", s.version, s.table.URI())
	if s.protocol.MinReaderVersion == 0 {
		return fmt.Errorf("%w: %s has no protocol action", ErrCorruptLog, where)
	}
	if s.metadata.SchemaString == "" {
		return fmt.Errorf("%w: %s has no metaData action", ErrCorruptLog, where)
	}
	if r.protocol == nil && r.metadata == nil {
		return nil
	}
	if err := checkReadable(s.protocol, s.metadata); err != nil {
		return fmt.Errorf("read %s: %w", where, err)
	}
	s.schema = Schema{}
	if err := json.Unmarshal([]byte(s.metadata.SchemaString), &s.schema); err != nil {
		if errors.Is(err, ErrUnsupported) {
			return fmt.Errorf("read %s: %w", where, err)
		}
		return fmt.Errorf("%w: schema of %s: %w", ErrCorruptLog, where, err)
	}
	if err := s.ColumnMapping().check(s.schema.Fields); err != nil {
		return fmt.Errorf("%w: schema of %s: %w", ErrCorruptLog, where, err)
	}
	if err := checkTypeChanges(s.schema); err != nil {
		return fmt.Errorf("read %s: %w", where, err)
	}
	for _, column := range s.metadata.PartitionColumns {
		if _, ok := s.schema.Field(column); !ok {
			return fmt.Errorf("%w: %s is partitioned by %q, which is no column", ErrCorruptLog, where, column)
		}
	}
	return nil
}

// mergeByPath is the sorted union of base without what was touched, and of
// the changes. It shares the elements, so that a new version costs a pointer
// a file.
func mergeByPath[T any](base []T, changes map[string]T, path func(T) string, touched func(string) bool) []T {
	changed := slices.SortedFunc(maps.Values(changes), func(a, b T) int { return cmp.Compare(path(a), path(b)) })
	merged := make([]T, 0, len(base)+len(changed))
	for _, element := range base {
		if touched(path(element)) {
			continue
		}
		for len(changed) > 0 && path(changed[0]) < path(element) {
			merged = append(merged, changed[0])
			changed = changed[1:]
		}
		merged = append(merged, element)
	}
	return append(merged, changed...)
}

// unexpired are the tombstones that checkpoints still have to keep.
func unexpired(tombstones []*Remove, cutOff time.Time) iter.Seq[*Remove] {
	return func(yield func(*Remove) bool) {
		for _, r := range tombstones {
			if r.DeletionTimestamp > cutOff.UnixMilli() && !yield(r) {
				return
			}
		}
	}
}

// newestVersion asks for no particular version.
const newestVersion = -1

// loadAttempts bounds how often a load starts over because log cleanup took
// files from under it.
const loadAttempts = 3

// load reads a version of the table from its log.
func (t *Table) load(ctx context.Context, version int64) (*Snapshot, error) {
	var snapshot *Snapshot
	var err error
	for range loadAttempts {
		snapshot, err = t.loadOnce(ctx, version)
		if !errors.Is(err, blob.ErrNotExist) {
			break
		}
	}
	return snapshot, err
}

func (t *Table) loadOnce(ctx context.Context, version int64) (*Snapshot, error) {
	if hint := lastCheckpointHint(ctx, t.bucket); hint > 0 && (version == newestVersion || hint <= version) {
		listing, err := listLog(ctx, t.bucket, hint)
		if err != nil {
			return nil, err
		}
		if snapshot, err := t.replayFrom(ctx, listing, version); err == nil || ctx.Err() != nil {
			return snapshot, err
		}
		// The hint led nowhere, perhaps to a broken checkpoint: the whole log decides.
	}
	listing, err := listLog(ctx, t.bucket, 0)
	if err != nil {
		return nil, err
	}
	return t.replayFrom(ctx, listing, version)
}

// replayFrom builds a version from the newest checkpoint that can be read and
// the commits after it, or from version 0 on.
func (t *Table) replayFrom(ctx context.Context, listing logListing, version int64) (*Snapshot, error) {
	if len(listing.commits) == 0 && len(listing.checkpoints) == 0 {
		return nil, fmt.Errorf("%w: %s has no _delta_log; create the table first", ErrNotTable, t.URI())
	}
	last := newestOf(listing)
	if version == newestVersion {
		version = last
	}
	if version > last {
		return nil, fmt.Errorf("%w: %s has no version %d, the newest is %d", ErrNoVersion, t.URI(), version, last)
	}
	var failures []error
	for _, from := range slices.Backward(listing.checkpoints) {
		if from.version > version {
			continue
		}
		snapshot, err := t.replayCheckpoint(ctx, from, listing, version)
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrUnsupported) {
			return snapshot, err
		}
		failures = append(failures, err)
	}
	snapshot, err := t.replayCommits(ctx, newReplay(nil), -1, listing, version)
	if err == nil {
		return snapshot, nil
	}
	return nil, cmp.Or(errors.Join(failures...), err)
}

func newestOf(listing logListing) int64 {
	newest := int64(-1)
	if n := len(listing.commits); n > 0 {
		newest = listing.commits[n-1].version
	}
	if n := len(listing.checkpoints); n > 0 {
		newest = max(newest, listing.checkpoints[n-1].version)
	}
	return newest
}

func (t *Table) replayCheckpoint(ctx context.Context, from checkpoint, listing logListing, version int64) (*Snapshot, error) {
	r := newReplay(nil)
	if err := readCheckpoint(ctx, t.bucket, from, r.apply); err != nil {
		return nil, err
	}
	if version > from.version {
		return t.replayCommits(ctx, r, from.version, listing, version)
	}
	last := logFile{version: version, modified: from.parts[0].modified}
	if i, kept := slices.BinarySearchFunc(listing.commits, version, compareVersion); kept {
		last = listing.commits[i]
	}
	snapshot, err := r.snapshot(t, version, last)
	if err == nil && last.key != "" && snapshot.hasInCommitTimestamps() {
		snapshot.timestamp, err = t.inCommitTimestamp(ctx, last)
	}
	return snapshot, err
}

// replayCommits applies the versions after base up to version.
func (t *Table) replayCommits(ctx context.Context, r *replay, base int64, listing logListing, version int64) (*Snapshot, error) {
	needed, err := t.contiguous(ctx, listing.commits, base+1, version)
	if err != nil {
		return nil, err
	}
	fewer := withCompactions(needed, listing.compactions)
	read, err := readCommits(ctx, t.bucket, fewer)
	if err != nil && len(fewer) < len(needed) && ctx.Err() == nil {
		read, err = readCommits(ctx, t.bucket, needed) // log compactions are a matter of speed
	}
	if err != nil {
		return nil, err
	}
	for _, commit := range read {
		r.apply(commit)
	}
	snapshot, err := r.snapshot(t, version, needed[len(needed)-1])
	if err != nil {
		return nil, err
	}
	before := time.Time{}
	if r.base != nil {
		before = r.base.timestamp
	}
	times := commitTimes(needed, before)
	snapshot.timestamp = times[len(times)-1]
	if at := read[len(read)-1].info.InCommitTimestamp; at != nil && snapshot.hasInCommitTimestamps() {
		snapshot.timestamp = time.UnixMilli(*at)
	}
	return snapshot, nil
}

// withCompactions replaces commits by the log compactions that hold all of
// them. The last commit stays: it alone has its commitInfo.
func withCompactions(commits []logFile, compactions []logCompaction) []logFile {
	if len(compactions) == 0 {
		return commits
	}
	longest := map[int64]logCompaction{} // by first version
	last := commits[len(commits)-1].version
	for _, c := range compactions {
		if c.end < last && c.end > longest[c.version].end {
			longest[c.version] = c
		}
	}
	var out []logFile
	for i := 0; i < len(commits); {
		if c, ok := longest[commits[i].version]; ok {
			out = append(out, c.logFile)
			i += int(c.end-c.version) + 1
			continue
		}
		out = append(out, commits[i])
		i++
	}
	return out
}

func compareVersion(f logFile, version int64) int { return cmp.Compare(f.version, version) }

// contiguous picks the commits first to last, and names the one that is
// missing.
func (t *Table) contiguous(ctx context.Context, commits []logFile, first, last int64) ([]logFile, error) {
	from, _ := slices.BinarySearchFunc(commits, first, compareVersion)
	var picked []logFile
	for version, listed := first, commits[from:]; version <= last; version++ {
		if len(listed) > 0 && listed[0].version == version {
			picked, listed = append(picked, listed[0]), listed[1:]
			continue
		}
		// Of two commits made during a listing it may show the later one alone.
		object, err := t.bucket.Head(ctx, commitKey(version))
		switch {
		case err == nil:
			picked = append(picked, logFile{version, object.Key, object.Size, object.ETag, object.LastModified})
		case !errors.Is(err, blob.ErrNotExist):
			return nil, fmt.Errorf("look for version %d of %s: %w", version, t.URI(), err)
		case version == 0 && len(commits) > 0:
			return nil, fmt.Errorf("%w: %s cannot be read at version %d: %s is gone and no readable checkpoint is at or before it",
				ErrNoVersion, t.URI(), last, t.bucket.URI(commitKey(version)))
		default:
			return nil, fmt.Errorf("%w: %s: version %d is missing (%s)", ErrCorruptLog, t.URI(), version, t.bucket.URI(commitKey(version)))
		}
	}
	return picked, nil
}

// commitTimes are the times of commits, made to grow by at least a
// millisecond each: clocks may go back, versions do not.
func commitTimes(commits []logFile, before time.Time) []time.Time {
	times := make([]time.Time, len(commits))
	for i, commit := range commits {
		at := commit.modified.Truncate(time.Millisecond)
		if !before.IsZero() && !at.After(before) {
			at = before.Add(time.Millisecond)
		}
		times[i], before = at, at
	}
	return times
}

// update brings a snapshot to the newest version by the commits after it. It
// returns nil when it cannot: those commits were cleaned up, or the table was
// deleted and made again.
func (t *Table) update(ctx context.Context, base *Snapshot) (*Snapshot, error) {
	listing, err := listLog(ctx, t.bucket, base.version)
	if err != nil {
		return nil, err
	}
	if len(listing.commits) == 0 || !sameFile(listing.commits[0], base.commit) {
		return nil, nil
	}
	newest := listing.commits[len(listing.commits)-1].version
	if newest == base.version {
		return base, nil
	}
	snapshot, err := t.replayCommits(ctx, newReplay(base), base.version, listing, newest)
	if errors.Is(err, blob.ErrNotExist) {
		return nil, nil
	}
	return snapshot, err
}

func sameFile(a, b logFile) bool {
	return a.key == b.key && a.size == b.size && a.etag == b.etag && a.modified.Equal(b.modified)
}

// dataSchema is the columns kept in data files: all but the partition columns.
func (s *Snapshot) dataSchema() Schema {
	var out Schema
	for _, f := range s.schema.Fields {
		if !s.isPartitionColumn(f.Name) {
			out.Fields = append(out.Fields, f)
		}
	}
	return out
}

func (s *Snapshot) isPartitionColumn(name string) bool {
	return slices.ContainsFunc(s.metadata.PartitionColumns, func(c string) bool { return strings.EqualFold(c, name) })
}
