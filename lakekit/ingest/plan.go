package ingest

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
)

// defaultBatchRecords bounds a batch when maxOffsetsPerTrigger does not: large
// enough that the cost of a commit does not count, small enough that a
// backlog shows progress every second.
const defaultBatchRecords = 500_000

// plan decides on the next batch and writes it ahead; nil when there is
// nothing new.
func (r *run) plan(t *triggerTimes) (b *batch, latest api.PartitionOffsets, err error) {
	waiting := r.waiters.present()
	if err := t.measure("latestOffset", func() error {
		return r.persist(nil, "ask for the latest offsets", func(context.Context) (err error) {
			latest, err = r.latestOffsets()
			return err
		})
	}); err != nil {
		return nil, nil, err
	}
	aim(waiting, latest)
	r.status.setBehind(countBehind(r.start, latest))
	r.waiters.release(r.start)
	r.meter.offsets(r.start, latest)
	if r.options.Trigger.kind == triggerAvailableNow {
		if r.target == nil {
			if r.target, err = r.chooseEnd(latest); err != nil {
				return nil, nil, err
			}
		}
		latest = r.target
	}
	end := planEnd(r.start, latest, r.batchLimit())
	if !hasWork(r.start, end) || r.tooFew(latest) && len(waiting) == 0 {
		return nil, latest, nil
	}
	r.lastPlan = r.options.Clock.Now()
	conf := r.conf
	b = &batch{
		id:    r.committed + 1,
		start: r.start,
		entry: offsetsEntry{timestampMs: r.options.Clock.Now().UnixMilli(), conf: conf, end: end},
	}
	err = t.measure("walCommit", func() error {
		return r.persist(nil, fmt.Sprintf("plan batch %d", b.id), func(ctx context.Context) error {
			return r.checkpoint.writeOffsets(ctx, b.id, b.entry)
		})
	})
	if err != nil {
		return nil, nil, err
	}
	r.planned = b
	return b, latest, nil
}

func (r *run) batchLimit() int64 {
	switch {
	case r.options.Trigger.kind == triggerOnce:
		return 0
	case r.options.MaxOffsetsPerTrigger > 0:
		return r.options.MaxOffsetsPerTrigger
	}
	return defaultBatchRecords
}

// tooFew: the batch is put off until minOffsetsPerTrigger are there, or
// maxTriggerDelay is over.
func (r *run) tooFew(latest api.PartitionOffsets) bool {
	if r.options.Trigger.ends() || countBehind(latest, r.start) > 0 {
		return false
	}
	return countBehind(r.start, latest) < r.options.MinOffsetsPerTrigger &&
		r.options.Clock.Now().Sub(r.lastPlan) < r.options.MaxTriggerDelay
}

// hasWork: there are records to read, or offsets went back, which must be
// noticed.
func hasWork(start, end api.PartitionOffsets) bool {
	return countBehind(start, end) > 0 || countBehind(end, start) > 0
}

// latestOffsets asks for the ends of the topics, and makes sure that they are
// still the same topics.
func (r *run) latestOffsets() (api.PartitionOffsets, error) {
	ids, partitions, err := r.describe()
	if err != nil {
		return nil, err
	}
	if err := r.checkTopicIDs(r.bound, ids, true); err != nil {
		return nil, err
	}
	latest, err := r.offsets(partitions, confluent.LatestOffsetSpec)
	if err != nil || countBehind(latest, r.start) == 0 {
		return latest, err
	}
	// Offsets that went back may be those of a topic made again since the
	// question for its id.
	if ids, _, err = r.describe(); err != nil {
		return nil, err
	}
	return latest, r.checkTopicIDs(r.bound, ids, true)
}

// describe asks the broker for the topics; Stop takes the question back.
func (r *run) describe() (ids map[string]string, partitions map[string][]int32, err error) {
	r.status.awaitBroker()
	defer r.status.brokerAnswered()
	return r.source.describe(r.stopping)
}

// offsets asks the broker for offsets; Stop takes the question back.
func (r *run) offsets(partitions map[string][]int32, spec confluent.OffsetSpec) (api.PartitionOffsets, error) {
	r.status.awaitBroker()
	defer r.status.brokerAnswered()
	return r.source.offsets(r.stopping, partitions, spec)
}

// settle records where the topics stand that the plan after a batch may forget.
func (r *run) settle(ctx context.Context, b *batch) error {
	bound := r.bound
	bound.Left = bound.leave(b.entry.end, b.entry.end, r.options.Subscribe)
	if bound.equal(r.bound) {
		return nil
	}
	if err := r.checkpoint.writeBinding(ctx, bound); err != nil {
		return err
	}
	r.bound = bound
	return nil
}

// places are those of a plan, and of the topics that it does not know the ones
// where they were left.
func (r *run) places(planned api.PartitionOffsets) api.PartitionOffsets {
	places := api.PartitionOffsets{}
	maps.Copy(places, r.bound.Left)
	maps.Copy(places, planned)
	return places
}

// nextStart is where the plan after one that ended there begins.
func (r *run) nextStart(end api.PartitionOffsets) api.PartitionOffsets {
	start := r.places(end)
	maps.DeleteFunc(start, func(topic string, _ map[int32]int64) bool { return !slices.Contains(r.options.Subscribe, topic) })
	return start
}

// planEnd is where a batch ends that starts at start and takes at most limit
// records, each partition in proportion to what it has (Spark's
// maxOffsetsPerTrigger); limit 0 is all. A partition absent from start is new
// and starts at 0. One absent from latest stays where it is.
func planEnd(start, latest api.PartitionOffsets, limit int64) api.PartitionOffsets {
	total := countBehind(start, latest)
	end := api.PartitionOffsets{}
	for topic, partitions := range latest {
		end[topic] = map[int32]int64{}
		maps.Copy(end[topic], start[topic])
		for partition, last := range partitions {
			from := start[topic][partition]
			if limit > 0 && limit < total && last > from {
				last = min(last, from+share(limit, last-from, total))
			}
			end[topic][partition] = last
		}
	}
	return end
}

// share is a partition's part of the limit, at least one record so that a
// small partition beside large ones is not starved.
func share(limit, behind, total int64) int64 {
	part := float64(limit) * (float64(behind) / float64(total))
	if part < 1 {
		return 1
	}
	return int64(math.Floor(part))
}

// countBehind is the number of offsets from start to end, partitions that
// went back not counted.
func countBehind(start, end api.PartitionOffsets) (n int64) {
	for topic, partitions := range end {
		for partition, last := range partitions {
			n += max(0, last-start[topic][partition])
		}
	}
	return n
}

// reaches says that no partition of at is before the one of target.
func reaches(at, target api.PartitionOffsets) bool {
	return countBehind(at, target) == 0
}

func clone(o api.PartitionOffsets) api.PartitionOffsets {
	c := make(api.PartitionOffsets, len(o))
	for topic, partitions := range o {
		c[topic] = maps.Clone(partitions)
	}
	return c
}
