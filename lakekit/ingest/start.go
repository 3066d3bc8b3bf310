package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/uuid"

	"taxilake/lakekit/api"
	"taxilake/lakekit/decode"
	"taxilake/lakekit/delta"
)

// Start starts a streaming query, which lives until Stop, an error, or the
// end of its trigger, whatever becomes of ctx. It returns when the query has
// opened table, topics and checkpoint, with an error of errors.go if it must
// not run; or, with a query that waits for them, when broker or store do not
// answer.
func Start(ctx context.Context, options Options) (*Query, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := options.arm(); err != nil {
		return nil, err
	}
	source, err := newSource(options.Kafka, options.Subscribe, options.BufferBytes/8)
	if err != nil {
		return nil, err
	}
	runID := uuid.NewString()
	log := options.Logger.With("query", options.Name, "run", runID)
	r := &run{
		options:    options,
		runID:      runID,
		log:        log,
		done:       make(chan struct{}),
		status:     newStatus(options, runID),
		meter:      newMeter(options.Clock),
		waiters:    &waiters{wake: make(chan struct{}, 1)},
		compaction: &compaction{log: log, due: make(chan struct{}, 1)},
		checkpoint: checkpoint{options.Checkpoint},
		source:     source,
		committed:  -1,
	}
	q := &Query{run: r}
	r.ctx, q.cancel = context.WithCancel(context.WithoutCancel(ctx))
	r.stopping, q.requestStop = context.WithCancelCause(r.ctx)
	ready := make(chan struct{}) // initialized, or waiting
	go func() {
		defer close(r.done)
		defer q.cancel()
		r.live(sync.OnceFunc(func() { close(ready) }))
	}()
	select {
	case <-ready:
	case <-r.done:
	case <-ctx.Done():
		q.cancel()
		<-r.done
		return nil, ctx.Err()
	}
	if err := q.Err(); err != nil {
		<-r.done
		return nil, err
	}
	return q, nil
}

// initialize opens the table and the checkpoint, and refuses what could not
// go on exactly; only after all checks does it write. After an error it can be
// called again.
func (r *run) initialize(ctx context.Context) error {
	// Another run may be active: what it has committed before the table is looked
	// at must be in it, and what is in it must be planned when we look after.
	committed, err := r.checkpoint.lastCommitted(ctx)
	if err != nil {
		return err
	}
	snapshot, err := r.openTable(ctx)
	if err != nil {
		return err
	}
	if err := r.checkFolders(ctx); err != nil {
		return err
	}
	state, err := r.checkpoint.load(ctx)
	if err != nil {
		return err
	}
	r.id = cmp.Or(state.queryID, r.id, uuid.NewString())
	r.status.setID(r.id)
	bound, err := r.checkpoint.readBinding(ctx)
	if err != nil {
		return err
	}
	topicIDs, partitions, err := r.describe()
	if errors.Is(err, errUnknownTopic) {
		return r.missingTopic(err, state.isNew)
	}
	if err != nil {
		return err
	}
	if err := r.checkTopicIDs(bound, topicIDs, state.initial != nil); err != nil {
		return err
	}
	if state.isNew {
		err = r.checkNew(snapshot)
	} else {
		err = r.checkResumed(snapshot, committed, state, bound)
	}
	if err != nil {
		return err
	}
	if err := r.checkEnd(partitions); err != nil {
		return err
	}
	begins := state.isNew && state.initial == nil
	if begins {
		if state.start, err = r.chooseStart(partitions); err != nil {
			return err
		}
	}
	if state.queryID == "" {
		if err := r.checkpoint.writeQueryID(ctx, r.id); err != nil {
			return err
		}
	}
	if err := r.bind(ctx, bound, snapshot.Metadata().ID, topicIDs, state); err != nil {
		return err
	}
	if begins {
		if err := r.checkpoint.writeInitial(ctx, state.start); err != nil {
			return err
		}
	}
	r.resume(state)
	return nil
}

// checkFolders refuses folders that are partly another table's or checkpoint's.
func (r *run) checkFolders(ctx context.Context) error {
	if err := delta.CheckFolder(ctx, r.options.Table, delta.TableOwner); err != nil {
		return err
	}
	if err := delta.CheckFolder(ctx, r.options.Checkpoint, delta.CheckpointOwner); err != nil {
		return err
	}
	return delta.CheckFolder(ctx, r.options.DeadLetters, delta.TableOwner)
}

func (r *run) openTable(ctx context.Context) (*delta.Snapshot, error) {
	table, err := delta.Open(ctx, r.options.Table)
	if errors.Is(err, delta.ErrNotTable) {
		return nil, fmt.Errorf("there is no table at %s to stream into, create it first: %w", folder(r.options.Table), err)
	}
	if err != nil {
		return nil, err
	}
	r.table = table
	snapshot, err := table.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	fields := snapshot.Schema().Fields
	if r.options.addsHeaders(snapshot.Schema()) {
		fields = append(slices.Clip(fields), decode.HeadersField)
	}
	schema, err := delta.Schema{Fields: fields}.Arrow()
	if err != nil {
		return nil, err
	}
	decoder, err := decode.New(schema, r.options.decoder())
	if err != nil {
		return nil, fmt.Errorf("%w: table %s: %w", ErrOptions, table.URI(), err)
	}
	decoder.Release()
	return snapshot, nil
}

func (r *run) missingTopic(err error, isNew bool) error {
	if isNew {
		return fmt.Errorf("%w: %w; create it first", ErrTopicMissing, err)
	}
	return fmt.Errorf("%w: %w; it was deleted, and the checkpoint %s is of no use for a new one: reset topic, table and checkpoint together",
		ErrTopicMissing, err, folder(r.checkpoint.bucket))
}

// checkTopicIDs compares the topics with those the offsets were recorded for.
func (r *run) checkTopicIDs(bound binding, now map[string]string, haveOffsets bool) error {
	if !haveOffsets {
		return nil
	}
	for topic, id := range now {
		if before := bound.Topics[topic]; before != "" && before != id {
			return fmt.Errorf("%w: %s has the id %s, the offsets in the checkpoint %s are of the one with the id %s; reset topic, table and checkpoint together, or keep the table and start with a new checkpoint and startingOffsets by JSON, such as {%q:{\"0\":0}}",
				ErrTopicRecreated, topic, id, folder(r.checkpoint.bucket), before, topic)
		}
	}
	return nil
}

// checkNew refuses a table that an application has written under a
// transaction id: it may be another stream, and this one cannot know where that
// one ended. Starting offsets by JSON say where. Spark's streams use their
// query id, other writers names of their own, so that every id counts but those
// of replays, which follow a stream.
func (r *run) checkNew(snapshot *delta.Snapshot) error {
	if strings.HasPrefix(strings.TrimSpace(r.options.StartingOffsets), "{") {
		return nil
	}
	txns := slices.DeleteFunc(slices.Collect(maps.Values(snapshot.Txns())), func(txn delta.Txn) bool { return isReplay(txn.AppID) })
	if len(txns) == 0 {
		return nil
	}
	last := slices.MaxFunc(txns, func(a, b delta.Txn) int {
		return cmp.Or(cmp.Compare(a.LastUpdated, b.LastUpdated), cmp.Compare(a.AppID, b.AppID))
	})
	return fmt.Errorf("%w: %s was written by the query %s up to its batch %d, and %s is a new checkpoint; bring the checkpoint back, reset table and checkpoint together, or say by startingOffsets JSON from which offset of each partition to go on (-2, the earliest, if nothing of these topics is in the table)",
		ErrCheckpointMissing, r.table.URI(), last.AppID, last.Version, folder(r.checkpoint.bucket))
}

// checkResumed refuses a table that does not hold what the checkpoint says
// was committed.
func (r *run) checkResumed(snapshot *delta.Snapshot, committed int64, state checkpointState, bound binding) error {
	if bound.TableID != "" {
		r.bound = bound
		if err := r.checkTable(snapshot); err != nil {
			return err
		}
	}
	txn, ok := snapshot.Txn(state.queryID)
	if !ok {
		txn.Version = -1
	}
	if txn.Version < committed {
		return fmt.Errorf("%w: by the checkpoint %s batch %d was committed, but %s has the query's batches only to %d; reset table and checkpoint together, or give the table a new checkpoint",
			ErrTableReplaced, folder(r.checkpoint.bucket), committed, r.table.URI(), txn.Version)
	}
	if txn.Version > state.planned {
		return fmt.Errorf("%w: %s has batch %d of this query, the checkpoint %s only plans to %d; bring the newer checkpoint back, or reset table and checkpoint together",
			ErrCheckpointMissing, r.table.URI(), txn.Version, folder(r.checkpoint.bucket), state.planned)
	}
	for _, topic := range r.options.Subscribe {
		if _, read := state.initial[topic]; read && state.start[topic] == nil && state.entry.end[topic] == nil && bound.Left[topic] == nil {
			return fmt.Errorf("%w: subscribe names %s, which this query has read before, but the checkpoint %s does not know any more up to where, so that its records would be there twice; take %s out of subscribe, and stream it with a checkpoint of its own and startingOffsets by JSON, such as {%q:{\"0\":1200}}",
				ErrOptions, topic, folder(r.checkpoint.bucket), topic, topic)
		}
	}
	return nil
}

// bind records which table and topics the checkpoint belongs to, and where the
// topics stand that it may forget.
func (r *run) bind(ctx context.Context, before binding, tableID string, topicIDs map[string]string, state checkpointState) error {
	end := state.entry.end
	if state.isNew {
		end = state.start
	}
	r.bound = binding{TableID: tableID, Topics: maps.Clone(before.Topics), Left: before.leave(state.start, end, r.options.Subscribe)}
	if r.bound.Topics == nil {
		r.bound.Topics = map[string]string{}
	}
	maps.Copy(r.bound.Topics, topicIDs)
	if r.bound.equal(before) {
		return nil
	}
	return r.checkpoint.writeBinding(ctx, r.bound)
}

func (r *run) chooseStart(partitions map[string][]int32) (api.PartitionOffsets, error) {
	where, err := parseStartingOffsets(r.options.StartingOffsets)
	if err != nil {
		return nil, err
	}
	earliest, err := r.offsets(partitions, confluent.EarliestOffsetSpec)
	if err != nil {
		return nil, err
	}
	latest, err := r.offsets(partitions, confluent.LatestOffsetSpec)
	if err != nil {
		return nil, err
	}
	start, err := where.resolve(earliest, latest)
	if err != nil {
		return nil, err
	}
	for topic, partitions := range start {
		for partition, offset := range partitions {
			if last := latest[topic][partition]; offset > last {
				return nil, fmt.Errorf("%w: startingOffsets has %d for %s-%d, whose next record gets offset %d; want an offset up to that, -2 (earliest) or -1 (latest)",
					ErrOptions, offset, topic, partition, last)
			}
		}
	}
	return start, nil
}

func (r *run) checkEnd(partitions map[string][]int32) error {
	until, err := parseEndingOffsets(r.options.EndingOffsets)
	if err != nil {
		return err
	}
	return until.covers(partitions)
}

// chooseEnd is where a query with AvailableNow ends: at the offsets that were
// asked for, or at the latest, and not before what is committed. A partition
// whose offsets went back stays so, to be noticed.
func (r *run) chooseEnd(latest api.PartitionOffsets) (api.PartitionOffsets, error) {
	until, err := parseEndingOffsets(r.options.EndingOffsets)
	if err != nil {
		return nil, err
	}
	end, err := until.resolve(nil, latest)
	if err != nil {
		return nil, err
	}
	for topic, partitions := range end {
		for partition, offset := range partitions {
			last, from := latest[topic][partition], r.start[topic][partition]
			if last >= from {
				last = max(from, min(last, offset))
			}
			partitions[partition] = last
		}
	}
	return end, nil
}

// resume sets the query to what the checkpoint says.
func (r *run) resume(state checkpointState) {
	r.committed, r.conf, r.start = state.committed, state.entry.conf, r.nextStart(state.start)
	if r.conf == nil {
		r.conf = []byte(sessionConf)
	}
	r.status.setBatch(r.committed)
	if state.planned > state.committed {
		r.planned = &batch{id: state.planned, start: r.places(state.start), entry: state.entry, replayed: true}
	}
}
