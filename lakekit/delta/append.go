package delta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
)

// AppendOptions of Append; the zero value adds rows that fit the table's schema.
type AppendOptions struct {
	// MergeSchema adds columns, and members of structs, that the table does not
	// have; where older rows have none they are null. No type is changed and no
	// column is dropped.
	MergeSchema  bool
	Txn          *Txn
	UserMetadata string
}

// maxReplans bounds how often an operation starts over because a concurrent
// commit made it invalid.
const maxReplans = 5

// Append writes rows and commits them as one version, whose number it returns.
// Rows that do not fit are ErrSchemaMismatch, which names the column and both
// types. When another commit changes the schema or the properties meanwhile,
// the rows are checked and written again.
func (t *Table) Append(ctx context.Context, opts AppendOptions, batches ...arrow.RecordBatch) (int64, error) {
	var version int64
	err := t.replanning(ctx, func() (err error) {
		version, err = t.tryAppend(ctx, opts, batches)
		return err
	})
	return version, err
}

func (t *Table) tryAppend(ctx context.Context, opts AppendOptions, batches []arrow.RecordBatch) (int64, error) {
	s, err := t.Snapshot(ctx)
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	commit := Commit{
		Operation: "WRITE", ReadVersion: s.version, BlindAppend: true, Txn: opts.Txn, UserMetadata: opts.UserMetadata,
	}
	if opts.MergeSchema {
		if s, commit.Metadata, err = s.evolved(batches); err != nil {
			return 0, fmt.Errorf("append to %s: %w", t.URI(), err)
		}
	}
	if commit.Adds, err = s.writeFiles(ctx, s.properties.targetFileSize, nil, all(batches)); err != nil {
		return 0, fmt.Errorf("append to %s: %w", t.URI(), err)
	}
	partitionBy, err := json.Marshal(s.metadata.PartitionColumns)
	if err != nil {
		return 0, err
	}
	var rows, bytes int64
	for _, batch := range batches {
		rows += batch.NumRows()
	}
	for _, add := range commit.Adds {
		bytes += add.Size
	}
	commit.Parameters = map[string]any{"mode": "Append", "partitionBy": string(partitionBy)}
	commit.Metrics = map[string]string{
		"numFiles": strconv.Itoa(len(commit.Adds)), "numOutputRows": strconv.FormatInt(rows, 10), "numOutputBytes": strconv.FormatInt(bytes, 10),
	}
	return t.commitOrDiscard(ctx, commit)
}

// commitOrDiscard deletes the files of a commit that was surely not made.
func (t *Table) commitOrDiscard(ctx context.Context, c Commit) (int64, error) {
	version, err := t.Commit(ctx, c)
	if err != nil && !errors.Is(err, ErrUnknownOutcome) {
		err = errors.Join(err, t.discard(ctx, c.Adds))
	}
	return version, err
}

// replanning runs an operation again that lost against a concurrent commit.
func (t *Table) replanning(ctx context.Context, operation func() error) error {
	backoff := backoffFirst
	for attempt := 1; ; attempt++ {
		err := operation()
		if !errors.Is(err, ErrConflict) || attempt == maxReplans || t.sleep(ctx, jitter(backoff)) != nil {
			return err
		}
		backoff *= 2
	}
}
