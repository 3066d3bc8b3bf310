package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
)

// run is one run of a query, and its goroutine's own: nobody else touches it but
// for what it shares.
type run struct {
	options  Options
	runID    string
	log      *slog.Logger
	ctx      context.Context // of its work
	stopping context.Context // of its questions; ended by Stop: no further batch

	// Shared, each with a lock of its own.
	done       chan struct{} // closed at its end
	status     *status
	meter      *meter
	waiters    *waiters
	compaction *compaction

	checkpoint checkpoint
	source     *source
	table      *delta.Table
	id         string // of the query, the same in every run
	bound      binding
	conf       json.RawMessage
	planned    *batch               // written to offsets/, not to commits/
	start      api.PartitionOffsets // of the next batch
	committed  int64                // the last batch
	target     api.PartitionOffsets // AvailableNow ends there
	last       time.Time            // start of the last trigger
	lastPlan   time.Time            // when a batch was last planned; zero when none was in this run
}

// pollingDelay is the least pause between two questions for new data,
// spark.sql.streaming.pollingDelay.
const pollingDelay = 10 * time.Millisecond

// errStopped ends a batch that waits for the broker or the store.
var errStopped = errors.New("stopped")

// live is the run's goroutine, with the two that help it.
func (r *run) live(ready func()) {
	ctx, end := context.WithCancel(r.ctx)
	var helpers sync.WaitGroup
	defer r.closeSource()
	defer helpers.Wait()
	defer end()
	helpers.Go(func() { r.source.drainLogs(ctx, r.log) })

	r.status.say("Initializing sources", false, true)
	err := r.persist(ready, "start the query", r.initialize)
	if err == nil {
		// Finding the partitions' leaders takes librdkafka up to a second, which the
		// first batch need not wait for.
		err = r.source.assign(r.start, r.start)
	}
	if err == nil {
		ready()
		helpers.Go(func() { r.compaction.loop(asCompaction(ctx), r.table) })
		err = r.loop()
	}
	r.finish(err)
	ready()
}

func (r *run) closeSource() {
	if err := r.source.close(); err != nil {
		r.log.Warn("close the Kafka clients", "error", err)
	}
}

// loop makes batches until the query ends.
func (r *run) loop() error {
	for {
		began := r.options.Clock.Now()
		more, err := r.trigger(began)
		if err != nil {
			return err
		}
		if r.options.Trigger.ends() && !more {
			return nil
		}
		var pause time.Duration
		if !more {
			took := max(0, r.options.Clock.Now().Sub(began)) // a clock that was set back makes no longer pause
			pause = max(pollingDelay, r.options.Trigger.interval()-took)
		}
		if err := r.waitForTrigger(pause); err != nil {
			return err
		}
	}
}

// waitForTrigger waits until the next batch is due or asked for.
func (r *run) waitForTrigger(pause time.Duration) error {
	if r.stopping.Err() != nil {
		return errStopped
	}
	if pause == 0 { // more is known to be there
		return nil
	}
	select {
	case <-r.stopping.Done():
		return errStopped
	case <-r.waiters.wake:
		return nil
	case <-r.options.Clock.After(pause):
		return nil
	}
}

// trigger makes at most one batch. more says that the next one is due at
// once.
func (r *run) trigger(began time.Time) (more bool, err error) {
	t := &triggerTimes{clock: r.options.Clock, began: began, ms: map[string]int64{}}
	defer func() { r.last = began }()

	b := r.planned
	var latest api.PartitionOffsets
	if b == nil {
		r.status.say("Getting offsets from "+r.source.description(), false, true)
		if b, latest, err = r.plan(t); err != nil {
			return false, err
		}
		if b == nil {
			r.status.say("Waiting for data to arrive", false, false)
			r.reportIdle(t, latest)
			return false, nil
		}
	} else {
		latest = b.entry.end
	}
	r.status.say("Processing new data", true, true)
	if err := t.measure("addBatch", func() error {
		return r.persist(nil, fmt.Sprintf("write batch %d", b.id), func(ctx context.Context) error { return r.writeBatch(ctx, b) })
	}); err != nil {
		return false, err
	}
	if err := t.measure("commitOffsets", func() error {
		return r.persist(nil, fmt.Sprintf("record batch %d as committed", b.id), func(ctx context.Context) error {
			if err := r.checkpoint.writeCommit(ctx, b.id); err != nil {
				return err
			}
			return r.settle(ctx, b)
		})
	}); err != nil {
		return false, err
	}
	if err := r.checkpoint.purge(r.ctx, b.id); err != nil {
		r.log.Warn("old checkpoint files stay", "error", err)
	}
	r.goOn(b, latest)
	r.report(t, b, latest)
	r.status.say("Waiting for next trigger", false, false)
	r.compaction.batchDone(countBehind(b.entry.end, latest))
	return r.moreAtOnce(b, latest), nil
}

// moreAtOnce: backlogs are not made to wait for the interval, unless
// MaxOffsetsPerTrigger says how much an interval may take.
func (r *run) moreAtOnce(b *batch, latest api.PartitionOffsets) bool {
	switch r.options.Trigger.kind {
	case triggerOnce:
		return false
	case triggerAvailableNow:
		return r.target == nil || !reaches(b.entry.end, r.target)
	}
	return r.options.MaxOffsetsPerTrigger == 0 && (b.replayed || !reaches(b.entry.end, latest))
}

// goOn goes on to the next batch.
func (r *run) goOn(b *batch, latest api.PartitionOffsets) {
	r.planned = nil
	r.committed, r.start = b.id, r.nextStart(b.entry.end)
	for _, field := range r.status.committed(b, countBehind(b.entry.end, latest)) {
		r.log.Warn("a field of records is not written to the table", "field", field.Field, "reason", field.Reason, "records", field.NumRows, "batch", b.id)
	}
	r.waiters.release(r.start)
}

// finish records how the run ended.
func (r *run) finish(err error) {
	finished, message := err == nil, "Stopped"
	if errors.Is(err, errStopped) || r.ctx.Err() != nil && !isPermanent(err) {
		err = nil // whatever a step says that was cut short by Stop, it is not why
	}
	if err != nil {
		r.log.Error("streaming query failed", "error", err)
		message = "Terminated with exception: " + err.Error()
		err = fmt.Errorf("streaming query %s: %w", cmp.Or(r.options.Name, r.id), err)
	}
	r.status.end(finished, message, err)
}
