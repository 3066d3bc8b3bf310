package delta

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"taxilake/lakekit/blob"
)

// RestoreResult is what Restore changed.
type RestoreResult struct {
	Version         int64 // of the commit; -1 when the table already was as asked for
	RestoredVersion int64
	FilesRestored   int
	BytesRestored   int64
	FilesRemoved    int
	BytesRemoved    int64
}

// Restore makes the table what it was at a version, by a new commit: nothing of
// the history is lost, and restoring can be undone by restoring again. Rows,
// schema and properties go back; the protocol and the transaction identifiers
// of streams stay, so that a stream goes on after its last batch and does not
// write rows again that are gone now.
//
// ErrFilesMissing names files of that version that were vacuumed. ErrConflict
// when a vacuum of ours runs; beside another engine's, restore nothing.
func (t *Table) Restore(ctx context.Context, version int64) (RestoreResult, error) {
	return t.restore(ctx, "version", version, func(ctx context.Context) (*Snapshot, error) { return t.SnapshotAt(ctx, version) })
}

// RestoreAsOf is Restore to the version that was the newest at a time.
func (t *Table) RestoreAsOf(ctx context.Context, at time.Time) (RestoreResult, error) {
	return t.restore(ctx, "timestamp", at.UTC().Format("2006-01-02 15:04:05.999"),
		func(ctx context.Context) (*Snapshot, error) { return t.SnapshotAsOf(ctx, at) })
}

func (t *Table) restore(ctx context.Context, parameter string, value any, find func(context.Context) (*Snapshot, error)) (RestoreResult, error) {
	var result RestoreResult
	err := t.replanning(ctx, func() error {
		target, err := find(ctx)
		if err != nil {
			return err
		}
		result, err = t.tryRestore(ctx, target, map[string]any{"version": nil, "timestamp": nil, parameter: value})
		return err
	})
	if err != nil {
		return RestoreResult{Version: -1}, fmt.Errorf("restore %s to %s %v: %w", t.URI(), parameter, value, err)
	}
	return result, nil
}

func (t *Table) tryRestore(ctx context.Context, target *Snapshot, parameters map[string]any) (RestoreResult, error) {
	now, err := t.Snapshot(ctx)
	if err != nil {
		return RestoreResult{}, err
	}
	if target.metadata.ID != now.metadata.ID {
		return RestoreResult{}, fmt.Errorf("%w: version %d is of another table that was at the same place", ErrInvalid, target.version)
	}
	commit := Commit{Operation: "RESTORE", Parameters: parameters, ReadVersion: now.version}
	result := RestoreResult{Version: -1, RestoredVersion: target.version}
	for _, add := range target.adds {
		if _, live := now.file(add.Path); !live {
			again := *add
			again.DataChange = true
			commit.Adds = append(commit.Adds, again)
			result.BytesRestored += add.Size
		}
	}
	for _, add := range now.adds {
		if _, wanted := target.file(add.Path); !wanted {
			commit.Removes = append(commit.Removes, add.remove(true))
			result.BytesRemoved += add.Size
		}
	}
	if !sameMetadata(target.metadata, now.metadata) {
		metadata := target.metadata
		commit.Metadata = &metadata
	}
	result.FilesRestored, result.FilesRemoved = len(commit.Adds), len(commit.Removes)
	if commit.Metadata == nil && len(commit.Adds)+len(commit.Removes) == 0 {
		return result, nil
	}
	if len(commit.Adds) > 0 {
		if err := t.checkNoVacuum(ctx, now); err != nil {
			return RestoreResult{}, err
		}
	}
	if err := t.checkFilesExist(ctx, commit.Adds); err != nil {
		return RestoreResult{}, err
	}
	size := func(n int64) string { return strconv.FormatInt(n, 10) }
	commit.Metrics = map[string]string{
		"numRestoredFiles": strconv.Itoa(result.FilesRestored), "restoredFilesSize": size(result.BytesRestored),
		"numRemovedFiles": strconv.Itoa(result.FilesRemoved), "removedFilesSize": size(result.BytesRemoved),
		"numOfFilesAfterRestore": strconv.Itoa(len(target.adds)), "tableSizeAfterRestore": size(target.SizeInBytes()),
	}
	result.Version, err = t.Commit(ctx, commit)
	return result, err
}

func sameMetadata(a, b Metadata) bool {
	return a.SchemaString == b.SchemaString && a.Name == b.Name && a.Description == b.Description &&
		slices.Equal(a.PartitionColumns, b.PartitionColumns) && maps.Equal(a.Configuration, b.Configuration)
}

// checkNoVacuum refuses while a vacuum runs: it may be about to delete what is
// to be restored.
func (t *Table) checkNoVacuum(ctx context.Context, s *Snapshot) error {
	listing, err := listLog(ctx, t.bucket, 0)
	if err != nil {
		return err
	}
	since := t.now().Add(-vacuumLease)
	recent := slices.DeleteFunc(listing.commits, func(f logFile) bool { return f.version > s.version || f.modified.Before(since) })
	for len(recent) > 0 {
		from := max(0, len(recent)-logReadParallelism)
		commits, err := readCommits(ctx, t.bucket, recent[from:])
		if err != nil {
			return err
		}
		for _, commit := range slices.Backward(commits) {
			switch commit.info.Operation {
			case "VACUUM START":
				return fmt.Errorf("%w: version %d has begun a vacuum that has not ended: try again when it has; if it was interrupted, vacuum again first", ErrConflict, commit.file.version)
			case "VACUUM END":
				return nil
			}
		}
		recent = recent[:from]
	}
	return nil
}

// namedFiles of those that are missing are enough to see what happened.
const namedFiles = 5

// checkFilesExist looks for every file at the store.
func (t *Table) checkFilesExist(ctx context.Context, adds []Add) error {
	missing := make([]bool, len(adds))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(logReadParallelism)
	for i, add := range adds {
		group.Go(func() error {
			key, err := add.Key()
			if err != nil {
				return err
			}
			_, err = t.bucket.Head(ctx, key)
			if missing[i] = errors.Is(err, blob.ErrNotExist); missing[i] {
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("look for the files to restore: %w", err)
	}
	var names []string
	for i, add := range adds {
		if missing[i] {
			names = append(names, add.Path)
		}
	}
	if len(names) == 0 {
		return nil
	}
	more := ""
	if len(names) > namedFiles {
		more = fmt.Sprintf(" and %d more", len(names)-namedFiles)
	}
	return fmt.Errorf("%w: %d of %d are no longer there, a vacuum has probably deleted them: %s%s",
		ErrFilesMissing, len(names), len(adds), strings.Join(names[:min(namedFiles, len(names))], ", "), more)
}
