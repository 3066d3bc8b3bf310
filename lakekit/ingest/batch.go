package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"golang.org/x/sync/errgroup"

	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
)

// batch is one batch of the query, from its plan until it is in the table.
// Writing it may take several attempts.
type batch struct {
	id    int64
	start api.PartitionOffsets
	entry offsetsEntry
	// replayed: the plan was found in the checkpoint, so that the batch may be
	// in the table already.
	replayed bool
	data     attempts
	dead     attempts

	numInput, numDead int64
	ignored           *ignoredFields
}

// attempts is what is left of commits of one table whose outcome is unknown.
type attempts struct{ inDoubt []string }

const (
	decodeWorkers = 2
	// handoverRecords is the size of a worker's record batches.
	handoverRecords = 64 << 10
	cleanupTimeout  = 10 * time.Second
)

// writeBatch makes the records of a batch part of the table and of the
// dead-letter table, unless they are already. After an error it can be called
// again.
func (q *Query) writeBatch(ctx context.Context, b *batch) error {
	snapshot, err := q.table.Snapshot(ctx)
	if err != nil {
		return err
	}
	if err := q.checkTable(snapshot); err != nil {
		return err
	}
	if txn, ok := snapshot.Txn(q.id); ok && txn.Version >= b.id {
		if b.replayed || len(b.data.inDoubt) > 0 {
			return nil
		}
		return q.lostTo(b, q.table)
	}
	start, lost, err := q.findLost(b)
	if err != nil {
		return err
	}
	end := b.entry.end
	if len(lost) > 0 {
		start, end = toRead(start, end)
	}
	if q.options.addsHeaders(snapshot.Schema()) {
		if err := q.addColumns(ctx, snapshot, []delta.Field{headersField}); err != nil {
			return err
		}
		return q.writeBatch(ctx, b)
	}
	schema, err := snapshot.Schema().Arrow()
	if err != nil {
		return err
	}
	data := &output{table: q.table, limit: q.options.BufferBytes / 4}
	dead := &output{limit: q.options.BufferBytes / 8}
	dead.open = func(ctx context.Context) error { return q.openDeadLetters(ctx, b, dead) }
	added, ignored, err := q.transform(ctx, schema, start, end, data, dead)
	if err != nil {
		return errors.Join(err, data.discard(ctx), dead.discard(ctx))
	}
	if fields := added.beyond(snapshot.Schema()); len(fields) > 0 {
		if err := errors.Join(data.discard(ctx), dead.discard(ctx)); err != nil {
			return err
		}
		if err := q.addColumns(ctx, snapshot, fields); err != nil {
			return err
		}
		return q.writeBatch(ctx, b) // once more, with the columns
	}
	b.numInput, b.numDead, b.ignored = data.rows+dead.rows, dead.rows, ignored
	if dead.rows > 0 && !dead.skip {
		if err := q.commit(ctx, b, &b.dead, dead, nil); err != nil {
			return errors.Join(err, data.discard(ctx))
		}
	}
	data.snapshot = snapshot
	return q.commit(ctx, b, &b.data, data, lost)
}

// checkTable sees to it that the table is still the one that was begun with.
func (q *Query) checkTable(snapshot *delta.Snapshot) error {
	if id := snapshot.Metadata().ID; id != q.bound.TableID {
		return fmt.Errorf("%w: %s has the id %s, the checkpoint %s was written for %s; reset table and checkpoint together, or give the new table a new checkpoint",
			ErrTableReplaced, q.table.URI(), id, folder(q.checkpoint.bucket), q.bound.TableID)
	}
	return nil
}

func (q *Query) lostTo(b *batch, table *delta.Table) error {
	return fmt.Errorf("%w: it wrote batch %d to %s; stop one of the two, or give each its own checkpoint and table", ErrConcurrentRun, b.id, table.URI())
}

// findLost compares the batch with what the topics still have. It returns
// where reading must begin, and what is lost before that.
func (q *Query) findLost(b *batch) (start api.PartitionOffsets, lost []string, err error) {
	earliest, err := q.offsets(partitionsOf(b.entry.end), confluent.EarliestOffsetSpec)
	if err != nil {
		return nil, nil, err
	}
	start = clone(b.entry.end)
	for topic, partitions := range start {
		for partition, end := range partitions {
			from := b.start[topic][partition]
			first := earliest[topic][partition]
			switch {
			case end < from:
				lost = append(lost, fmt.Sprintf("%s-%d went back from offset %d to %d", topic, partition, from, end))
			case from < end && from < first:
				lost = append(lost, fmt.Sprintf("%s-%d has nothing from offset %d to %d", topic, partition, from, min(first, end)-1))
				partitions[partition] = min(first, end)
			default:
				partitions[partition] = from
			}
		}
	}
	if len(lost) == 0 {
		return start, nil, nil
	}
	slices.Sort(lost)
	if *q.options.FailOnDataLoss {
		return nil, nil, fmt.Errorf("%w: %s; retention removed them or the log was cut: go on without them by failOnDataLoss=false (the gap is then recorded in the commit), or reset table and checkpoint together",
			ErrDataLoss, strings.Join(lost, ", "))
	}
	q.log.Warn("records lost before they were read", "batch", b.id, "lost", lost)
	return start, lost, nil
}

// toRead leaves out partitions of which nothing is left to read: where all of a
// batch was removed, the broker knows not even its end any more.
func toRead(start, end api.PartitionOffsets) (from, to api.PartitionOffsets) {
	from, to = clone(start), clone(end)
	for topic, partitions := range end {
		for partition, last := range partitions {
			if start[topic][partition] >= last {
				delete(from[topic], partition)
				delete(to[topic], partition)
			}
		}
	}
	return from, to
}

func partitionsOf(o api.PartitionOffsets) map[string][]int32 {
	m := make(map[string][]int32, len(o))
	for topic, partitions := range o {
		m[topic] = slices.Collect(maps.Keys(partitions))
	}
	return m
}

// addColumns widens the table for the records of a batch. They are written by
// the commit after it: until then the columns are null everywhere.
func (q *Query) addColumns(ctx context.Context, snapshot *delta.Snapshot, fields []delta.Field) error {
	q.log.Info("adding columns", "columns", describeFields(fields))
	return addColumns(ctx, snapshot, fields)
}

// transform reads the records from start to end into data, those that do not
// fit into dead. It returns the columns that the schema does not have, and the
// fields that are not in the rows.
func (q *Query) transform(ctx context.Context, schema *arrow.Schema, start, end api.PartitionOffsets, data, dead *output) (columnTypes, *ignoredFields, error) {
	q.meter.begin()
	group, ctx := errgroup.WithContext(ctx)
	chunks := make(chan []*confluent.Message, decodeWorkers)
	group.Go(func() error {
		defer close(chunks)
		return q.source.read(ctx, start, end, q.idle, func(chunk []*confluent.Message) error {
			q.meter.read(chunk)
			select {
			case chunks <- chunk:
				passFailpoint(duringRead)
				q.flowing()
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	var found [decodeWorkers]columnTypes
	var left [decodeWorkers]*ignoredFields
	for i := range decodeWorkers {
		group.Go(func() error {
			w, err := newWorker(schema, q.options.decoder(), data, dead)
			if err != nil {
				return err
			}
			defer w.release()
			found[i], left[i] = w.decoder.added(), w.decoder.ignored()
			return w.run(ctx, chunks)
		})
	}
	err := group.Wait()
	q.brokerAnswered()
	if err != nil {
		return nil, nil, err
	}
	added, ignored := columnTypes{}, newIgnoredFields()
	for i := range decodeWorkers {
		added.merge(found[i])
		ignored.merge(left[i])
	}
	// Not with the group's context, which has ended.
	return added, ignored, errors.Join(data.upload(q.ctx), dead.upload(q.ctx))
}

// commit makes the files of an output visible under the query's transaction
// id, and deletes them if that is certain to have failed.
func (q *Query) commit(ctx context.Context, b *batch, tries *attempts, o *output, lost []string) error {
	var size int64
	for _, file := range o.files {
		size += file.Size
	}
	userMetadata := ""
	if len(lost) > 0 {
		userMetadata = "records lost before they were read: " + strings.Join(lost, ", ")
	}
	version, err := o.table.Commit(ctx, delta.Commit{
		Operation: "STREAMING UPDATE",
		Parameters: map[string]any{
			"outputMode": "Append",
			"queryId":    q.id,
			"epochId":    strconv.FormatInt(b.id, 10),
		},
		Metrics: map[string]string{
			"numOutputRows":   strconv.FormatInt(o.rows, 10),
			"numAddedFiles":   strconv.Itoa(len(o.files)),
			"numRemovedFiles": "0",
			"numOutputBytes":  strconv.FormatInt(size, 10),
		},
		Adds:         o.files,
		Txn:          &delta.Txn{AppID: q.id, Version: b.id, LastUpdated: q.options.Clock.Now().UnixMilli()},
		ReadVersion:  o.snapshot.Version(),
		BlindAppend:  true,
		UserMetadata: userMetadata,
	})
	switch {
	case err == nil:
		q.log.Debug("batch committed", "batch", b.id, "table", o.table.URI(), "version", version, "rows", o.rows)
		q.meter.wrote(len(o.files), size)
		// The version they were put for is taken: they can never be committed.
		leftover := tries.inDoubt
		tries.inDoubt = nil
		q.deleteFiles(ctx, o.table, leftover)
		return nil
	case errors.Is(err, delta.ErrUnknownOutcome):
		tries.inDoubt = append(tries.inDoubt, o.keys()...)
		tries.inDoubt = append(tries.inDoubt, unknownOutcome)
		return err
	}
	err = errors.Join(err, o.discard(ctx))
	switch {
	case errors.Is(err, delta.ErrTxnConflict) && len(tries.inDoubt) > 0:
		// The commit in doubt arrived after all; the next attempt finds it.
		return fmt.Errorf("an earlier commit of batch %d arrived late: %s", b.id, err)
	case errors.Is(err, delta.ErrTxnConflict):
		return q.lostTo(b, o.table)
	}
	return err
}

// unknownOutcome marks a commit in doubt that has no files.
const unknownOutcome = ""

func (q *Query) deleteFiles(ctx context.Context, table *delta.Table, keys []string) {
	keys = slices.DeleteFunc(keys, func(key string) bool { return key == unknownOutcome })
	if len(keys) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := table.Bucket().Delete(ctx, keys...); err != nil {
		q.log.Warn("files of an abandoned commit stay until the next vacuum", "table", table.URI(), "files", keys, "error", err)
	}
}
