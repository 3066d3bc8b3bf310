package ingest

import (
	"context"
	"errors"
	"fmt"

	"taxilake/lakekit/delta"
)

// maxCompactionBytes bounds a run of auto compaction, so that each is short
// and its memory small: two files of the usual target size.
const maxCompactionBytes = 256 << 20

// compactLoop runs auto compaction after commits that call for it. It owns no
// lock and shares nothing with the ingest but the table's log, where commits
// that only rearrange rows never stand in the way of an append.
func (q *Query) compactLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.compactSignal:
		}
		if q.fallingBehind() {
			continue
		}
		result, leftAlone, err := q.compactIfNeeded(ctx)
		if ctx.Err() != nil {
			return
		}
		q.noteCompaction(result, leftAlone, err)
	}
}

func (q *Query) compactIfNeeded(ctx context.Context) (result delta.CompactResult, leftAlone []delta.LeftAlone, err error) {
	none := delta.CompactResult{Version: -1}
	snapshot, err := q.table.Snapshot(ctx)
	if err != nil {
		return none, nil, err
	}
	if !snapshot.NeedsAutoCompaction() {
		return none, snapshot.LeftAlone(), nil
	}
	result, err = q.table.Compact(ctx, delta.CompactOptions{Auto: true, MaxBytes: maxCompactionBytes})
	if errors.Is(err, delta.ErrConflict) {
		q.log.Debug("auto compaction was overtaken; the next commit looks again", "error", err)
		return none, snapshot.LeftAlone(), nil
	}
	return result, snapshot.LeftAlone(), err
}

// fallingBehind says that the backlog has grown over the last two batches:
// the processor is then the ingest's.
func (q *Query) fallingBehind() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lag > q.lagBefore
}

func (q *Query) noteCompaction(result delta.CompactResult, leftAlone []delta.LeftAlone, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.compactionError = ""
	if err == nil {
		if text := skipped(leftAlone); text != skipped(q.leftAlone) {
			q.log.Warn("auto compaction skips files", "reason", text)
		}
		q.leftAlone = leftAlone
	}
	if err != nil {
		q.compactionError = err.Error()
		q.log.Warn("auto compaction failed, the ingest goes on", "error", err)
		return
	}
	if result.Version >= 0 {
		q.compactions++
		q.log.Info("auto compaction", "version", result.Version,
			"files_removed", result.FilesRemoved, "files_added", result.FilesAdded, "bytes", result.BytesAdded)
	}
}

// skipped says which files auto compaction leaves alone, and of one of them why.
func skipped(files []delta.LeftAlone) string {
	switch len(files) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("one file is not merged with others, the ingest goes on: %v", files[0].Reason)
	}
	return fmt.Sprintf("%d files are not merged with others, the ingest goes on; the first of them: %v", len(files), files[0].Reason)
}
