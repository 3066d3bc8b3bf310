package delta

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

const (
	// autoCompactMinFiles is spark.databricks.delta.autoCompact.minNumFiles.
	autoCompactMinFiles = 50
	// compactMinFiles: one file alone has nothing to be merged with.
	compactMinFiles = 2
)

// CompactOptions bound a run of Compact. The zero value merges all small
// files, as OPTIMIZE does.
type CompactOptions struct {
	TargetSize int64 // bytes; 0: delta.targetFileSize, else 128 MiB
	MinFiles   int   // small files that are worth a run; 0: 2, or 50 when Auto
	MaxBytes   int64 // to rewrite in this run; 0: no bound
	// Auto merges as a running stream needs it: only files of about the same
	// size, at least MinFiles of them, so that what was merged is left alone
	// until there is as much again and a byte is rewritten about twice until
	// it lies in a file of half the target. Files that cannot be rewritten are
	// left alone, see [Snapshot.LeftAlone]. The commit is marked auto.
	Auto bool
}

func (o CompactOptions) withDefaults(p properties) CompactOptions {
	o.TargetSize = cmp.Or(o.TargetSize, p.targetFileSize)
	if o.Auto {
		o.MinFiles = cmp.Or(o.MinFiles, autoCompactMinFiles)
	}
	o.MinFiles = max(compactMinFiles, o.MinFiles)
	return o
}

// CompactResult is what a run of Compact or Optimize did.
type CompactResult struct {
	Version      int64 // of the commit; -1 when there was nothing to do
	FilesRemoved int
	FilesAdded   int
	BytesRemoved int64
	BytesAdded   int64
}

// NeedsAutoCompaction is true when delta.autoOptimize.autoCompact is on and a
// partition has enough small files of about one size: 50, smaller than half
// the target file size.
func (s *Snapshot) NeedsAutoCompaction() bool {
	return s.properties.autoCompact && len(s.planCompaction(CompactOptions{Auto: true})) > 0
}

// Compact rewrites small files of each partition as larger ones. No row
// changes: appends that go on meanwhile are no conflict, and streams that read
// the table see nothing new. It fails with ErrConflict when one of the files
// was removed meanwhile, with ErrNotRewritable when rows of one would not stay
// what they are, and then has changed nothing.
func (t *Table) Compact(ctx context.Context, opts CompactOptions) (CompactResult, error) {
	none := CompactResult{Version: -1}
	s, err := t.Snapshot(ctx)
	if err != nil {
		return none, fmt.Errorf("compact: %w", err)
	}
	bins := s.planCompaction(opts)
	if len(bins) == 0 {
		return none, nil
	}
	opts = opts.withDefaults(s.properties)
	result, err := t.replaceFiles(ctx, s, bins, Commit{
		Operation:  "OPTIMIZE",
		Parameters: map[string]any{"predicate": "[]", "zOrderBy": "[]", "clusterBy": "[]", "auto": opts.Auto},
	}, func(bin []*Add) ([]*Add, []Add, error) {
		adds, err := s.rewriteFiles(ctx, bin, opts.TargetSize, s.scanToRewrite(ctx, bin))
		if !opts.Auto || !errors.Is(err, ErrNotRewritable) {
			return bin, adds, err
		}
		if bin, err = s.rewritable(ctx, bin); err != nil || len(bin) < compactMinFiles {
			return nil, nil, err
		}
		adds, err = s.rewriteFiles(ctx, bin, opts.TargetSize, s.scanToRewrite(ctx, bin))
		return bin, adds, err
	})
	if err != nil {
		return none, fmt.Errorf("compact %s: %w", t.URI(), err)
	}
	return result, nil
}

// replaceFiles commits, in place of the files of each bin that rewrite did, what
// it made of them: the same rows. When it fails, no file stays that is not
// committed.
func (t *Table) replaceFiles(ctx context.Context, s *Snapshot, bins [][]*Add, commit Commit,
	rewrite func(bin []*Add) (done []*Add, adds []Add, err error)) (CompactResult, error) {
	result := CompactResult{Version: -1}
	commit.ReadVersion = s.version
	for _, bin := range bins {
		done, adds, err := rewrite(bin)
		if err != nil {
			return result, errors.Join(err, t.discard(ctx, commit.Adds))
		}
		for _, old := range done {
			commit.Removes = append(commit.Removes, old.remove(false))
			result.BytesRemoved += old.Size
		}
		for _, add := range adds {
			add.DataChange = false
			commit.Adds = append(commit.Adds, add)
			result.BytesAdded += add.Size
		}
	}
	if len(commit.Removes) == 0 {
		return result, nil
	}
	result.FilesRemoved, result.FilesAdded = len(commit.Removes), len(commit.Adds)
	commit.Metrics = map[string]string{
		"numRemovedFiles": strconv.Itoa(result.FilesRemoved), "numAddedFiles": strconv.Itoa(result.FilesAdded),
		"numRemovedBytes": strconv.FormatInt(result.BytesRemoved, 10), "numAddedBytes": strconv.FormatInt(result.BytesAdded, 10),
	}
	var err error
	result.Version, err = t.commitOrDiscard(ctx, commit)
	return result, err
}

// remove is the tombstone of a file; the commit gives it its time.
func (a *Add) remove(dataChange bool) Remove {
	return Remove{Path: a.Path, DataChange: dataChange, ExtendedFileMetadata: true, PartitionValues: a.PartitionValues, Size: a.Size}
}

// discard deletes the files of a commit that is not made.
func (t *Table) discard(ctx context.Context, adds []Add) error {
	var keys []string
	for _, add := range adds {
		key, err := add.Key()
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	return t.deleteFiles(ctx, keys)
}

// planCompaction packs small files into bins, each of which becomes one file
// of about the target size. Files larger than half the target are left alone.
func (s *Snapshot) planCompaction(opts CompactOptions) [][]*Add {
	adds := s.adds
	if known := s.table.leftAlone.of(s); opts.Auto && len(known) > 0 {
		adds = slices.DeleteFunc(slices.Clone(adds), func(add *Add) bool { return known[add.Path] != nil })
	}
	return planBins(adds, opts.withDefaults(s.properties))
}

func planBins(adds []*Add, opts CompactOptions) [][]*Add {
	type class struct {
		partition string
		tier      int
	}
	small := map[class][]*Add{}
	var order []class
	for _, add := range adds {
		if add.Size > opts.TargetSize/2 {
			continue
		}
		c := class{partition: partitionID(add.PartitionValues)}
		if opts.Auto {
			c.tier = sizeTier(add.Size, opts.TargetSize/2, opts.MinFiles)
		}
		if small[c] == nil {
			order = append(order, c)
		}
		small[c] = append(small[c], add)
	}
	var bins [][]*Add
	budget := opts.MaxBytes
	for _, c := range order {
		files := small[c]
		if len(files) < opts.MinFiles {
			continue
		}
		// Oldest first: rows that came together stay together.
		slices.SortStableFunc(files, func(a, b *Add) int { return cmp.Compare(a.ModificationTime, b.ModificationTime) })
		for _, bin := range pack(files, opts.TargetSize) {
			if opts.MaxBytes > 0 {
				bin = within(bin, &budget)
			}
			if len(bin) >= compactMinFiles {
				bins = append(bins, bin)
			}
		}
	}
	return bins
}

// sizeTier is 0 for sizes down to a fanIn-th of top, 1 for a fanIn-th of that,
// and so on: fanIn files of a tier make a file of a lower one.
func sizeTier(size, top int64, fanIn int) int {
	tier := 0
	for bound := top / int64(fanIn); bound > 0 && size <= bound; bound /= int64(fanIn) {
		tier++
	}
	return tier
}

// pack cuts files into runs of at most the target size.
func pack(files []*Add, target int64) [][]*Add {
	var bins [][]*Add
	size := target // so that the first file begins a bin
	for _, f := range files {
		if size+f.Size > target || len(bins) == 0 {
			bins, size = append(bins, nil), 0
		}
		bins[len(bins)-1] = append(bins[len(bins)-1], f)
		size += f.Size
	}
	return bins
}

// within takes the files that the budget has room for.
func within(bin []*Add, budget *int64) []*Add {
	for i, f := range bin {
		if f.Size > *budget {
			return bin[:i]
		}
		*budget -= f.Size
	}
	return bin
}
