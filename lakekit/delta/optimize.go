package delta

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// OptimizeOptions of Optimize; the zero value merges the small files of every
// partition.
type OptimizeOptions struct {
	// Where chooses partitions, such as "day >= '2009-06-15' AND city IN ('NY',
	// 'LA')": conditions on partition columns, joined by AND. "" is all. Times
	// without a zone are UTC, here and in partitions.
	Where string
	// ZOrderBy rewrites all files of the chosen partitions, large ones too, with
	// the rows ordered along a Z curve of these columns, so that files hold
	// narrow ranges of each and conditions on any of them skip files.
	ZOrderBy   []string
	TargetSize int64 // bytes; 0: delta.targetFileSize, else 128 MiB
	DryRun     bool  // says what would be rewritten: the version is -1, bytes and files added an estimate
}

// Optimize rewrites data files so that they are read faster, as OPTIMIZE does.
// Like Compact it changes no row and stands in no append's way. ErrInvalid for
// conditions and columns the table does not have, ErrNotRewritable for a file
// whose rows would not stay what they are.
func (t *Table) Optimize(ctx context.Context, opts OptimizeOptions) (CompactResult, error) {
	none := CompactResult{Version: -1}
	s, err := t.Snapshot(ctx)
	if err != nil {
		return none, fmt.Errorf("optimize: %w", err)
	}
	compact := CompactOptions{TargetSize: opts.TargetSize}.withDefaults(s.properties)
	chosen, predicate, err := s.choosePartitions(opts.Where)
	if err != nil {
		return none, fmt.Errorf("optimize %s: %w", t.URI(), err)
	}
	columns, err := s.zOrderColumns(opts.ZOrderBy)
	if err != nil {
		return none, fmt.Errorf("optimize %s: %w", t.URI(), err)
	}
	var bins [][]*Add
	rewrite := func(bin []*Add) ([]*Add, []Add, error) {
		adds, err := s.rewriteFiles(ctx, bin, compact.TargetSize, s.scanToRewrite(ctx, bin))
		return bin, adds, err
	}
	if len(columns) == 0 {
		bins = planBins(chosen, compact)
	} else {
		bins = byPartition(chosen)
		rewrite = func(bin []*Add) ([]*Add, []Add, error) {
			adds, err := s.rewriteOrdered(ctx, bin, columns, compact.TargetSize)
			return bin, adds, err
		}
	}
	if len(bins) == 0 {
		return none, nil
	}
	if opts.DryRun {
		return estimate(bins, compact.TargetSize), nil
	}
	predicateJSON, err := json.Marshal(predicate)
	if err != nil {
		return none, err
	}
	zOrderJSON, err := json.Marshal(append([]string{}, columns...))
	if err != nil {
		return none, err
	}
	result, err := t.replaceFiles(ctx, s, bins, Commit{
		Operation:  "OPTIMIZE",
		Parameters: map[string]any{"predicate": string(predicateJSON), "zOrderBy": string(zOrderJSON), "clusterBy": "[]", "auto": false},
	}, rewrite)
	if err != nil {
		return none, fmt.Errorf("optimize %s: %w", t.URI(), err)
	}
	return result, nil
}

// choosePartitions are the files a condition is true for, and the condition as
// the history shows it.
func (s *Snapshot) choosePartitions(where string) ([]*Add, []string, error) {
	if strings.TrimSpace(where) == "" {
		return s.adds, []string{}, nil
	}
	predicate, err := parsePredicate(where, s.partitionFields(), "partition column")
	if err != nil {
		return nil, nil, fmt.Errorf("%w: condition %q: %w", ErrInvalid, where, err)
	}
	var chosen []*Add
	for _, add := range s.adds {
		matches, err := s.canHold(add, predicate)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", add.Path, err)
		}
		if matches {
			chosen = append(chosen, add)
		}
	}
	return chosen, []string{strings.TrimSpace(where)}, nil
}

func (s *Snapshot) partitionFields() []Field {
	var fields []Field
	for _, f := range s.schema.Fields {
		if s.isPartitionColumn(f.Name) {
			fields = append(fields, f)
		}
	}
	return fields
}

func byPartition(adds []*Add) [][]*Add {
	bins := map[string][]*Add{}
	for _, add := range adds {
		id := partitionID(add.PartitionValues)
		bins[id] = append(bins[id], add)
	}
	var out [][]*Add
	for _, id := range sortedKeys(bins) {
		out = append(out, bins[id])
	}
	return out
}

func estimate(bins [][]*Add, targetSize int64) CompactResult {
	result := CompactResult{Version: -1}
	for _, bin := range bins {
		size := int64(0)
		for _, add := range bin {
			size += add.Size
		}
		result.FilesRemoved += len(bin)
		result.BytesRemoved += size
		result.FilesAdded += int(max(1, (size+targetSize-1)/targetSize))
		result.BytesAdded += size
	}
	return result
}
