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
	"taxilake/lakekit/decode"
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
	// begun: it was tried before in this run, so that its letters may be committed.
	begun bool
	data  attempts
	dead  attempts

	numInput, numDead int64
	ignored           *decode.IgnoredFields
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
func (r *run) writeBatch(ctx context.Context, b *batch) error {
	for {
		snapshot, err := r.table.Snapshot(ctx)
		if err != nil {
			return err
		}
		if err := r.checkTable(snapshot); err != nil {
			return err
		}
		if lastTxn(snapshot, r.id) >= b.id {
			if b.replayed || len(b.data.inDoubt) > 0 {
				return nil
			}
			return r.lostTo(b, r.table)
		}
		missing, err := r.writeRows(ctx, b, snapshot)
		if err != nil || len(missing) == 0 {
			return err
		}
		// The rows come with a later commit: until then the columns are null everywhere.
		r.log.Info("adding columns", "columns", decode.Describe(missing))
		if err := addColumns(ctx, snapshot, missing); err != nil {
			return err
		}
	}
}

// writeRows writes a batch by the schema of a snapshot. If the schema lacks
// columns it returns them instead, and nothing is written.
func (r *run) writeRows(ctx context.Context, b *batch, snapshot *delta.Snapshot) (missing []delta.Field, err error) {
	if r.options.addsHeaders(snapshot.Schema()) {
		return []delta.Field{decode.HeadersField}, nil
	}
	start, lost, err := r.findLost(b)
	if err != nil {
		return nil, err
	}
	end := b.entry.end
	if len(lost) > 0 {
		start, end = toRead(start, end)
	}
	schema, err := snapshot.Schema().Arrow()
	if err != nil {
		return nil, err
	}
	var settled recordSet
	if b.begun || b.replayed {
		if settled, err = r.committedLetters(ctx, b); err != nil {
			return nil, err
		}
		if settled != nil {
			b.dead.inDoubt = nil // their files are the letters', if not vacuum's
		}
	}
	b.begun = true
	data := newOutput(snapshot, r.options.BufferBytes/4)
	dead := &output{open: r.openDeadLetters, limit: r.options.BufferBytes / 8}
	found, err := r.transform(ctx, schema, start, end, settled, data, dead)
	if err != nil {
		return nil, errors.Join(err, data.discard(ctx), dead.discard(ctx))
	}
	if missing := found.columns.Beyond(snapshot.Schema()); len(missing) > 0 {
		return missing, errors.Join(data.discard(ctx), dead.discard(ctx))
	}
	b.numDead = dead.rows + found.settled
	b.numInput, b.ignored = data.rows+b.numDead, found.ignored
	if dead.rows > 0 {
		txn := r.txn(b)
		if settled != nil { // it is there, with the other letters
			txn = nil
		}
		if err := r.commit(ctx, b, &b.dead, dead, txn, nil); err != nil {
			return nil, errors.Join(err, data.discard(ctx))
		}
	}
	return nil, r.commit(ctx, b, &b.data, data, r.txn(b), lost)
}

func (r *run) txn(b *batch) *delta.Txn {
	return &delta.Txn{AppID: r.id, Version: b.id, LastUpdated: r.options.Clock.Now().UnixMilli()}
}

// checkTable sees to it that the table is still the one that was begun with.
func (r *run) checkTable(snapshot *delta.Snapshot) error {
	if id := snapshot.Metadata().ID; id != r.bound.TableID {
		return fmt.Errorf("%w: %s has the id %s, the checkpoint %s was written for %s; reset table and checkpoint together, or give the new table a new checkpoint",
			ErrTableReplaced, r.table.URI(), id, folder(r.checkpoint.bucket), r.bound.TableID)
	}
	return nil
}

func (r *run) lostTo(b *batch, table *delta.Table) error {
	return fmt.Errorf("%w: it wrote batch %d to %s; stop one of the two, or give each its own checkpoint and table", ErrConcurrentRun, b.id, table.URI())
}

// findLost compares the batch with what the topics still have. It returns
// where reading must begin, and what is lost before that.
func (r *run) findLost(b *batch) (start api.PartitionOffsets, lost []string, err error) {
	earliest, err := r.offsets(partitionsOf(b.entry.end), confluent.EarliestOffsetSpec)
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
	if *r.options.FailOnDataLoss {
		return nil, nil, fmt.Errorf("%w: %s; retention removed them or the log was cut: go on without them by failOnDataLoss=false (the gap is then recorded in the commit), or reset table and checkpoint together",
			ErrDataLoss, strings.Join(lost, ", "))
	}
	r.log.Warn("records lost before they were read", "batch", b.id, "lost", lost)
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

// findings are what the records of a batch have told.
type findings struct {
	columns decode.Columns // that the schema does not have
	ignored *decode.IgnoredFields
	settled int64 // records that were dead letters already
}

// transform reads the records from start to end into data, those that do not
// fit into dead, and those of settled into neither.
func (r *run) transform(ctx context.Context, schema *arrow.Schema, start, end api.PartitionOffsets, settled recordSet, data, dead *output) (found findings, err error) {
	var workers [decodeWorkers]*worker
	for i := range workers {
		if workers[i], err = newWorker(schema, r.options.decoder(), settled, data, dead); err != nil {
			return found, err
		}
		defer workers[i].release()
	}
	r.meter.begin()
	group, ctx := errgroup.WithContext(ctx)
	chunks := make(chan []*confluent.Message, decodeWorkers)
	group.Go(func() error {
		defer close(chunks)
		return r.source.read(ctx, start, end, r.idle, func(chunk []*confluent.Message) error {
			r.meter.read(chunk)
			select {
			case chunks <- chunk:
				passFailpoint(duringRead)
				r.status.flowing()
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	for _, w := range workers {
		group.Go(func() error { return w.run(ctx, chunks) })
	}
	err = group.Wait()
	r.status.brokerAnswered()
	if err != nil {
		return found, err
	}
	found = findings{columns: decode.Columns{}, ignored: decode.NewIgnoredFields()}
	for _, w := range workers {
		found.columns.Merge(w.decoder.Added())
		found.ignored.Merge(w.decoder.Ignored())
		found.settled += w.passed
	}
	// Not with the group's context, which has ended.
	return found, errors.Join(data.upload(r.ctx), dead.upload(r.ctx))
}

// commit makes the files of an output visible under a transaction id, and deletes
// them if that is certain to have failed.
func (r *run) commit(ctx context.Context, b *batch, tries *attempts, o *output, txn *delta.Txn, lost []string) error {
	var size int64
	for _, file := range o.files {
		size += file.Size
	}
	userMetadata := ""
	if len(lost) > 0 {
		userMetadata = "records lost before they were read: " + strings.Join(lost, ", ")
	}
	version, err := o.table().Commit(ctx, delta.Commit{
		Operation: "STREAMING UPDATE",
		Parameters: map[string]any{
			"outputMode": "Append",
			"queryId":    r.id,
			"epochId":    strconv.FormatInt(b.id, 10),
		},
		Metrics: map[string]string{
			"numOutputRows":   strconv.FormatInt(o.rows, 10),
			"numAddedFiles":   strconv.Itoa(len(o.files)),
			"numRemovedFiles": "0",
			"numOutputBytes":  strconv.FormatInt(size, 10),
		},
		Adds:         o.files,
		Txn:          txn,
		ReadVersion:  o.snapshot.Version(),
		BlindAppend:  true,
		UserMetadata: userMetadata,
	})
	switch {
	case err == nil:
		r.log.Debug("batch committed", "batch", b.id, "table", o.table().URI(), "version", version, "rows", o.rows)
		r.meter.wrote(len(o.files), size)
		// The version they were put for is taken: they can never be committed.
		leftover := tries.inDoubt
		tries.inDoubt = nil
		r.deleteFiles(ctx, o.table(), leftover)
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
		return r.lostTo(b, o.table())
	}
	return err
}

// unknownOutcome marks a commit in doubt that has no files.
const unknownOutcome = ""

func (r *run) deleteFiles(ctx context.Context, table *delta.Table, keys []string) {
	keys = slices.DeleteFunc(keys, func(key string) bool { return key == unknownOutcome })
	if len(keys) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := table.Bucket().Delete(ctx, keys...); err != nil {
		r.log.Warn("files of an abandoned commit stay until the next vacuum", "table", table.URI(), "files", keys, "error", err)
	}
}
