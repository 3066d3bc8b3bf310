package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
)

// initialize opens the table and the checkpoint, and refuses what could not
// go on exactly; only after all checks does it write. After an error it can be
// called again.
func (q *Query) initialize(ctx context.Context) error {
	// Another run may be active: what it has committed before the table is looked
	// at must be in it, and what is in it must be planned when we look after.
	committed, err := q.checkpoint.lastCommitted(ctx)
	if err != nil {
		return err
	}
	snapshot, err := q.openTable(ctx)
	if err != nil {
		return err
	}
	if err := q.checkFolders(ctx); err != nil {
		return err
	}
	state, err := q.checkpoint.load(ctx)
	if err != nil {
		return err
	}
	q.setID(cmp.Or(state.queryID, q.ID(), uuid.NewString()))
	bound, err := q.checkpoint.readBinding(ctx)
	if err != nil {
		return err
	}
	topicIDs, partitions, err := q.describe()
	if errors.Is(err, errUnknownTopic) {
		return q.missingTopic(err, state.isNew)
	}
	if err != nil {
		return err
	}
	if err := q.checkTopicIDs(bound, topicIDs, state.initial != nil); err != nil {
		return err
	}
	if state.isNew {
		err = q.checkNew(snapshot)
	} else {
		err = q.checkResumed(snapshot, committed, state, bound)
	}
	if err != nil {
		return err
	}
	if err := q.checkEnd(partitions); err != nil {
		return err
	}
	begins := state.isNew && state.initial == nil
	if begins {
		if state.start, err = q.chooseStart(partitions); err != nil {
			return err
		}
	}
	if state.queryID == "" {
		if err := q.checkpoint.writeQueryID(ctx, q.id); err != nil {
			return err
		}
	}
	if err := q.bind(ctx, bound, snapshot.Metadata().ID, topicIDs, state); err != nil {
		return err
	}
	if begins {
		if err := q.checkpoint.writeInitial(ctx, state.start); err != nil {
			return err
		}
	}
	q.resume(state)
	return nil
}

// checkFolders refuses folders that are partly another table's or checkpoint's.
func (q *Query) checkFolders(ctx context.Context) error {
	if err := delta.CheckFolder(ctx, q.options.Table, delta.TableOwner); err != nil {
		return err
	}
	if err := delta.CheckFolder(ctx, q.options.Checkpoint, delta.CheckpointOwner); err != nil {
		return err
	}
	return delta.CheckFolder(ctx, q.options.DeadLetters, delta.TableOwner)
}

func (q *Query) openTable(ctx context.Context) (*delta.Snapshot, error) {
	table, err := delta.Open(ctx, q.options.Table)
	if errors.Is(err, delta.ErrNotTable) {
		return nil, fmt.Errorf("there is no table at %s to stream into, create it first: %w", folder(q.options.Table), err)
	}
	if err != nil {
		return nil, err
	}
	q.table = table
	snapshot, err := table.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	fields := snapshot.Schema().Fields
	if q.options.addsHeaders(snapshot.Schema()) {
		fields = append(slices.Clip(fields), headersField)
	}
	schema, err := delta.Schema{Fields: fields}.Arrow()
	if err != nil {
		return nil, err
	}
	decoder, err := newDecoder(schema, q.options.decoder())
	if err != nil {
		return nil, fmt.Errorf("%w: table %s: %w", ErrOptions, table.URI(), err)
	}
	decoder.release()
	return snapshot, nil
}

func (q *Query) missingTopic(err error, isNew bool) error {
	if isNew {
		return fmt.Errorf("%w: %w; create it first", ErrTopicMissing, err)
	}
	return fmt.Errorf("%w: %w; it was deleted, and the checkpoint %s is of no use for a new one: reset topic, table and checkpoint together",
		ErrTopicMissing, err, folder(q.checkpoint.bucket))
}

// checkTopicIDs compares the topics with those the offsets were recorded for.
func (q *Query) checkTopicIDs(bound binding, now map[string]string, haveOffsets bool) error {
	if !haveOffsets {
		return nil
	}
	for topic, id := range now {
		if before := bound.Topics[topic]; before != "" && before != id {
			return fmt.Errorf("%w: %s has the id %s, the offsets in the checkpoint %s are of the one with the id %s; reset topic, table and checkpoint together, or keep the table and start with a new checkpoint and startingOffsets by JSON, such as {%q:{\"0\":0}}",
				ErrTopicRecreated, topic, id, folder(q.checkpoint.bucket), before, topic)
		}
	}
	return nil
}

// checkNew refuses a table that an application has written under a
// transaction id: it may be another stream, and this one cannot know where that
// one ended. Starting offsets by JSON say where. Spark's streams use their
// query id, other writers names of their own, so that every id counts but those
// of replays, which follow a stream.
func (q *Query) checkNew(snapshot *delta.Snapshot) error {
	if strings.HasPrefix(strings.TrimSpace(q.options.StartingOffsets), "{") {
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
		ErrCheckpointMissing, q.table.URI(), last.AppID, last.Version, folder(q.checkpoint.bucket))
}

// checkResumed refuses a table that does not hold what the checkpoint says
// was committed.
func (q *Query) checkResumed(snapshot *delta.Snapshot, committed int64, state checkpointState, bound binding) error {
	if bound.TableID != "" {
		q.bound = bound
		if err := q.checkTable(snapshot); err != nil {
			return err
		}
	}
	txn, ok := snapshot.Txn(state.queryID)
	if !ok {
		txn.Version = -1
	}
	if txn.Version < committed {
		return fmt.Errorf("%w: by the checkpoint %s batch %d was committed, but %s has the query's batches only to %d; reset table and checkpoint together, or give the table a new checkpoint",
			ErrTableReplaced, folder(q.checkpoint.bucket), committed, q.table.URI(), txn.Version)
	}
	if txn.Version > state.planned {
		return fmt.Errorf("%w: %s has batch %d of this query, the checkpoint %s only plans to %d; bring the newer checkpoint back, or reset table and checkpoint together",
			ErrCheckpointMissing, q.table.URI(), txn.Version, folder(q.checkpoint.bucket), state.planned)
	}
	for _, topic := range q.options.Subscribe {
		if _, read := state.initial[topic]; read && state.start[topic] == nil && state.entry.end[topic] == nil && bound.Left[topic] == nil {
			return fmt.Errorf("%w: subscribe names %s, which this query has read before, but the checkpoint %s does not know any more up to where, so that its records would be there twice; take %s out of subscribe, and stream it with a checkpoint of its own and startingOffsets by JSON, such as {%q:{\"0\":1200}}",
				ErrOptions, topic, folder(q.checkpoint.bucket), topic, topic)
		}
	}
	return nil
}

// bind records which table and topics the checkpoint belongs to, and where the
// topics stand that it may forget.
func (q *Query) bind(ctx context.Context, before binding, tableID string, topicIDs map[string]string, state checkpointState) error {
	end := state.entry.end
	if state.isNew {
		end = state.start
	}
	q.bound = binding{TableID: tableID, Topics: maps.Clone(before.Topics), Left: before.leave(state.start, end, q.options.Subscribe)}
	if q.bound.Topics == nil {
		q.bound.Topics = map[string]string{}
	}
	maps.Copy(q.bound.Topics, topicIDs)
	if q.bound.equal(before) {
		return nil
	}
	return q.checkpoint.writeBinding(ctx, q.bound)
}

func (q *Query) chooseStart(partitions map[string][]int32) (api.PartitionOffsets, error) {
	where, err := parseStartingOffsets(q.options.StartingOffsets)
	if err != nil {
		return nil, err
	}
	earliest, err := q.offsets(partitions, confluent.EarliestOffsetSpec)
	if err != nil {
		return nil, err
	}
	latest, err := q.offsets(partitions, confluent.LatestOffsetSpec)
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

func (q *Query) checkEnd(partitions map[string][]int32) error {
	until, err := parseEndingOffsets(q.options.EndingOffsets)
	if err != nil {
		return err
	}
	return until.covers(partitions)
}

// chooseEnd is where a query with AvailableNow ends: at the offsets that were
// asked for, or at the latest, and not before what is committed. A partition
// whose offsets went back stays so, to be noticed.
func (q *Query) chooseEnd(latest api.PartitionOffsets) (api.PartitionOffsets, error) {
	until, err := parseEndingOffsets(q.options.EndingOffsets)
	if err != nil {
		return nil, err
	}
	end, err := until.resolve(nil, latest)
	if err != nil {
		return nil, err
	}
	for topic, partitions := range end {
		for partition, offset := range partitions {
			last, from := latest[topic][partition], q.start[topic][partition]
			if last >= from {
				last = max(from, min(last, offset))
			}
			partitions[partition] = last
		}
	}
	return end, nil
}

// settle records where the topics stand that the plan after a batch may forget.
func (q *Query) settle(ctx context.Context, b *batch) error {
	bound := q.bound
	bound.Left = bound.leave(b.entry.end, b.entry.end, q.options.Subscribe)
	if bound.equal(q.bound) {
		return nil
	}
	if err := q.checkpoint.writeBinding(ctx, bound); err != nil {
		return err
	}
	q.bound = bound
	return nil
}

// places are those of a plan, and of the topics that it does not know the ones
// where they were left.
func (q *Query) places(planned api.PartitionOffsets) api.PartitionOffsets {
	places := api.PartitionOffsets{}
	maps.Copy(places, q.bound.Left)
	maps.Copy(places, planned)
	return places
}

// nextStart is where the plan after one that ended there begins.
func (q *Query) nextStart(end api.PartitionOffsets) api.PartitionOffsets {
	start := q.places(end)
	maps.DeleteFunc(start, func(topic string, _ map[int32]int64) bool { return !slices.Contains(q.options.Subscribe, topic) })
	return start
}

// resume sets the query to what the checkpoint says.
func (q *Query) resume(state checkpointState) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.committed, q.conf, q.start = state.committed, state.entry.conf, q.nextStart(state.start)
	if q.conf == nil {
		q.conf = []byte(sessionConf)
	}
	if state.planned > state.committed {
		q.planned = &batch{id: state.planned, start: q.places(state.start), entry: state.entry, replayed: true}
	}
}
