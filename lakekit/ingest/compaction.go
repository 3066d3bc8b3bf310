package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
)

// maxCompactionBytes bounds a run of auto compaction, so that each is short
// and its memory small: two files of the usual target size.
const maxCompactionBytes = 256 << 20

// compaction runs auto compaction after commits that call for it. It shares
// nothing with the ingest but the table's log, where commits that only rearrange
// rows never stand in the way of an append.
type compaction struct {
	log *slog.Logger
	due chan struct{}

	mu             sync.Mutex
	lag, lagBefore int64 // records that the ingest was behind after the last batch, and after the one before
	number         int64
	failure        string
	leftAlone      []delta.LeftAlone
}

// batchDone asks for a look at the table, after a batch.
func (c *compaction) batchDone(lag int64) {
	c.mu.Lock()
	c.lagBefore, c.lag = c.lag, lag
	c.mu.Unlock()
	select {
	case c.due <- struct{}{}:
	default:
	}
}

// loop compacts until ctx ends.
func (c *compaction) loop(ctx context.Context, table *delta.Table) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.due:
		}
		if c.fallingBehind() {
			continue
		}
		result, leftAlone, err := c.compactIfNeeded(ctx, table)
		if ctx.Err() != nil {
			return
		}
		c.note(result, leftAlone, err)
	}
}

func (c *compaction) compactIfNeeded(ctx context.Context, table *delta.Table) (result delta.CompactResult, leftAlone []delta.LeftAlone, err error) {
	none := delta.CompactResult{Version: -1}
	snapshot, err := table.Snapshot(ctx)
	if err != nil {
		return none, nil, err
	}
	if !snapshot.NeedsAutoCompaction() {
		return none, snapshot.LeftAlone(), nil
	}
	result, err = table.Compact(ctx, delta.CompactOptions{Auto: true, MaxBytes: maxCompactionBytes})
	if errors.Is(err, delta.ErrConflict) {
		c.log.Debug("auto compaction was overtaken; the next commit looks again", "error", err)
		return none, snapshot.LeftAlone(), nil
	}
	return result, snapshot.LeftAlone(), err
}

// fallingBehind says that the backlog has grown over the last two batches:
// the processor is then the ingest's.
func (c *compaction) fallingBehind() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lag > c.lagBefore
}

func (c *compaction) note(result delta.CompactResult, leftAlone []delta.LeftAlone, err error) {
	if err != nil {
		c.log.Warn("auto compaction failed, the ingest goes on", "error", err)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.failure = err.Error()
		return
	}
	if result.Version >= 0 {
		c.log.Info("auto compaction", "version", result.Version,
			"files_removed", result.FilesRemoved, "files_added", result.FilesAdded, "bytes", result.BytesAdded)
	}
	c.mu.Lock()
	before := c.leftAlone
	c.failure, c.leftAlone = "", leftAlone
	if result.Version >= 0 {
		c.number++
	}
	c.mu.Unlock()
	if text := skipped(leftAlone); text != skipped(before) {
		c.log.Warn("auto compaction skips files", "reason", text)
	}
}

// tell adds the compaction to a status.
func (c *compaction) tell(s *api.StreamStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.NumCompactions, s.CompactionError, s.CompactionSkipped = c.number, c.failure, skipped(c.leftAlone)
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
