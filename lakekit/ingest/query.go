package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
)

// Query is a streaming query that runs.
type Query struct {
	options    Options
	runID      string
	checkpoint checkpoint
	source     *source
	log        *slog.Logger
	meter      *meter
	startedAt  time.Time

	// Only the run goroutine uses these after initialize.
	table  *delta.Table
	bound  binding
	conf   json.RawMessage
	target api.PartitionOffsets // AvailableNow ends there
	last   time.Time            // start of the last trigger
	// lastPlan is when a batch was last planned; zero when none was in this run.
	lastPlan time.Time

	ctx           context.Context // of the run
	cancel        context.CancelFunc
	stopping      context.Context // of questions; ended by Stop: no further batch
	requestStop   context.CancelCauseFunc
	wake          chan struct{}
	compactSignal chan struct{}
	done          chan struct{}

	mu              sync.Mutex
	id              string
	err             error
	finished        bool
	planned         *batch               // written to offsets/, not to commits/
	start           api.PartitionOffsets // of the next batch; after a commit its end
	committed       int64
	behind          int64            // records, when last asked
	lag, lagBefore  int64            // behind after the last batch, and after the one before
	status          api.StreamStatus // Message, IsDataAvailable, IsTriggerActive, Waiting
	numInput        int64
	numDead         int64
	ignored         *ignoredFields
	numRetries      int64
	compactions     int64
	compactionError string
	leftAlone       []delta.LeftAlone // by auto compaction
	progress        []api.StreamProgress
	idleSince       time.Time // of the last progress
	retries         int64     // since the last progress, and how long they paused
	retryWait       time.Duration
	brokerSilent    time.Time // since when it owes an answer or records; zero when it does not
	waiters         []*waiter
}

// waiter is a call of ProcessAllAvailable.
type waiter struct {
	target api.PartitionOffsets // nil until the next plan
	done   chan struct{}
}

const (
	// pollingDelay is the least pause between two questions for new data,
	// spark.sql.streaming.pollingDelay.
	pollingDelay      = 10 * time.Millisecond
	progressKept      = 100              // spark.sql.streaming.numRecentProgressUpdates
	idleProgressEvery = 10 * time.Second // spark.sql.streaming.noDataProgressEventInterval
	backoffFirst      = 100 * time.Millisecond
	backoffMax        = 5 * time.Second
	// brokerPatience is after how long the status says that the broker does not
	// answer; the question goes on.
	brokerPatience = 500 * time.Millisecond
	// unknownTopicRetries bears with a broker that has just come back and does
	// not know all its topics yet, for 3 s as Spark's Kafka source does
	// (fetchOffset.numRetries times fetchOffset.retryIntervalMs, roughly).
	unknownTopicRetries = 5
)

// errStopped ends a batch that waits for the broker or the store.
var errStopped = errors.New("stopped")

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
	q := &Query{
		options:       options,
		runID:         runID,
		checkpoint:    checkpoint{options.Checkpoint},
		source:        source,
		log:           options.Logger.With("query", options.Name, "run", runID),
		meter:         newMeter(options.Clock),
		startedAt:     options.Clock.Now(),
		wake:          make(chan struct{}, 1),
		compactSignal: make(chan struct{}, 1),
		done:          make(chan struct{}),
		committed:     -1,
		ignored:       newIgnoredFields(),
	}
	q.ctx, q.cancel = context.WithCancel(context.WithoutCancel(ctx))
	q.stopping, q.requestStop = context.WithCancelCause(q.ctx)
	ready := make(chan struct{}) // initialized, or waiting
	go q.run(sync.OnceFunc(func() { close(ready) }))
	select {
	case <-ready:
	case <-q.done:
	case <-ctx.Done():
		q.cancel()
		<-q.done
		return nil, ctx.Err()
	}
	if err := q.Err(); err != nil {
		<-q.done
		return nil, err
	}
	return q, nil
}

// run is the query's goroutine; it owns the source and the compaction.
func (q *Query) run(ready func()) {
	defer close(q.done)
	var helpers sync.WaitGroup
	defer q.closeSource()
	defer helpers.Wait()
	defer q.cancel()
	helpers.Go(func() { q.source.drainLogs(q.ctx, q.log) })

	q.setMessage("Initializing sources", false, true)
	err := q.persist(ready, "start the query", q.initialize)
	if err == nil {
		// Finding the partitions' leaders takes librdkafka up to a second, which the
		// first batch need not wait for.
		err = q.source.assign(q.start, q.start)
	}
	if err == nil {
		ready()
		helpers.Go(func() { q.compactLoop(asCompaction(q.ctx)) })
		err = q.loop()
	}
	q.finish(err)
	ready()
}

func (q *Query) closeSource() {
	if err := q.source.close(); err != nil {
		q.log.Warn("close the Kafka clients", "error", err)
	}
}

// loop makes batches until the query ends.
func (q *Query) loop() error {
	for {
		began := q.options.Clock.Now()
		more, err := q.trigger(began)
		if err != nil {
			return err
		}
		if q.options.Trigger.ends() && !more {
			return nil
		}
		var pause time.Duration
		if !more {
			took := max(0, q.options.Clock.Now().Sub(began)) // a clock that was set back makes no longer pause
			pause = max(pollingDelay, q.options.Trigger.interval()-took)
		}
		if err := q.waitForTrigger(pause); err != nil {
			return err
		}
	}
}

// waitForTrigger waits until the next batch is due or asked for.
func (q *Query) waitForTrigger(pause time.Duration) error {
	if q.stopping.Err() != nil {
		return errStopped
	}
	if pause == 0 { // more is known to be there
		return nil
	}
	select {
	case <-q.stopping.Done():
		return errStopped
	case <-q.wake:
		return nil
	case <-q.options.Clock.After(pause):
		return nil
	}
}

// trigger makes at most one batch. more says that the next one is due at
// once.
func (q *Query) trigger(began time.Time) (more bool, err error) {
	t := &triggerTimes{clock: q.options.Clock, began: began, ms: map[string]int64{}}
	defer func() { q.last = began }()

	b := q.planned
	var latest api.PartitionOffsets
	if b == nil {
		q.setMessage("Getting offsets from "+q.source.description(), false, true)
		if b, latest, err = q.plan(t); err != nil {
			return false, err
		}
		if b == nil {
			q.setMessage("Waiting for data to arrive", false, false)
			q.reportIdle(t, latest)
			return false, nil
		}
	} else {
		latest = b.entry.end
	}
	q.setMessage("Processing new data", true, true)
	if err := t.measure("addBatch", func() error {
		return q.persist(nil, fmt.Sprintf("write batch %d", b.id), func(ctx context.Context) error { return q.writeBatch(ctx, b) })
	}); err != nil {
		return false, err
	}
	if err := t.measure("commitOffsets", func() error {
		return q.persist(nil, fmt.Sprintf("record batch %d as committed", b.id), func(ctx context.Context) error {
			if err := q.checkpoint.writeCommit(ctx, b.id); err != nil {
				return err
			}
			return q.settle(ctx, b)
		})
	}); err != nil {
		return false, err
	}
	if err := q.checkpoint.purge(q.ctx, b.id); err != nil {
		q.log.Warn("old checkpoint files stay", "error", err)
	}
	q.committedBatch(b, latest)
	q.report(t, b, latest)
	q.setMessage("Waiting for next trigger", false, false)
	select {
	case q.compactSignal <- struct{}{}:
	default:
	}
	return q.moreAtOnce(b, latest), nil
}

// moreAtOnce: backlogs are not made to wait for the interval, unless
// MaxOffsetsPerTrigger says how much an interval may take.
func (q *Query) moreAtOnce(b *batch, latest api.PartitionOffsets) bool {
	switch q.options.Trigger.kind {
	case triggerOnce:
		return false
	case triggerAvailableNow:
		return q.target == nil || !reaches(b.entry.end, q.target)
	}
	return q.options.MaxOffsetsPerTrigger == 0 && (b.replayed || !reaches(b.entry.end, latest))
}

// plan decides on the next batch and writes it ahead; nil when there is
// nothing new.
func (q *Query) plan(t *triggerTimes) (b *batch, latest api.PartitionOffsets, err error) {
	waiters := q.takeWaiters()
	if err := t.measure("latestOffset", func() error {
		return q.persist(nil, "ask for the latest offsets", func(context.Context) (err error) {
			latest, err = q.latestOffsets()
			return err
		})
	}); err != nil {
		return nil, nil, err
	}
	q.noteLatest(latest, waiters)
	q.meter.offsets(q.start, latest)
	if q.options.Trigger.kind == triggerAvailableNow {
		if q.target == nil {
			if q.target, err = q.chooseEnd(latest); err != nil {
				return nil, nil, err
			}
		}
		latest = q.target
	}
	end := planEnd(q.start, latest, q.batchLimit())
	if !hasWork(q.start, end) || q.tooFew(latest) && len(waiters) == 0 {
		return nil, latest, nil
	}
	q.lastPlan = q.options.Clock.Now()
	conf := q.conf
	b = &batch{
		id:    q.committed + 1,
		start: q.start,
		entry: offsetsEntry{timestampMs: q.options.Clock.Now().UnixMilli(), conf: conf, end: end},
	}
	err = t.measure("walCommit", func() error {
		return q.persist(nil, fmt.Sprintf("plan batch %d", b.id), func(ctx context.Context) error {
			return q.checkpoint.writeOffsets(ctx, b.id, b.entry)
		})
	})
	if err != nil {
		return nil, nil, err
	}
	q.planned = b
	return b, latest, nil
}

func (q *Query) batchLimit() int64 {
	switch {
	case q.options.Trigger.kind == triggerOnce:
		return 0
	case q.options.MaxOffsetsPerTrigger > 0:
		return q.options.MaxOffsetsPerTrigger
	}
	return defaultBatchRecords
}

// tooFew: the batch is put off until minOffsetsPerTrigger are there, or
// maxTriggerDelay is over.
func (q *Query) tooFew(latest api.PartitionOffsets) bool {
	if q.options.Trigger.ends() || countBehind(latest, q.start) > 0 {
		return false
	}
	return countBehind(q.start, latest) < q.options.MinOffsetsPerTrigger &&
		q.options.Clock.Now().Sub(q.lastPlan) < q.options.MaxTriggerDelay
}

// hasWork: there are records to read, or offsets went back, which must be
// noticed.
func hasWork(start, end api.PartitionOffsets) bool {
	return countBehind(start, end) > 0 || countBehind(end, start) > 0
}

// latestOffsets asks for the ends of the topics, and makes sure that they are
// still the same topics.
func (q *Query) latestOffsets() (api.PartitionOffsets, error) {
	ids, partitions, err := q.describe()
	if err != nil {
		return nil, err
	}
	if err := q.checkTopicIDs(q.bound, ids, true); err != nil {
		return nil, err
	}
	latest, err := q.offsets(partitions, confluent.LatestOffsetSpec)
	if err != nil || countBehind(latest, q.start) == 0 {
		return latest, err
	}
	// Offsets that went back may be those of a topic made again since the
	// question for its id.
	if ids, _, err = q.describe(); err != nil {
		return nil, err
	}
	return latest, q.checkTopicIDs(q.bound, ids, true)
}

// describe asks the broker for the topics; Stop takes the question back.
func (q *Query) describe() (ids map[string]string, partitions map[string][]int32, err error) {
	q.awaitBroker()
	defer q.brokerAnswered()
	return q.source.describe(q.stopping)
}

// offsets asks the broker for offsets; Stop takes the question back.
func (q *Query) offsets(partitions map[string][]int32, spec confluent.OffsetSpec) (api.PartitionOffsets, error) {
	q.awaitBroker()
	defer q.brokerAnswered()
	return q.source.offsets(q.stopping, partitions, spec)
}

// persist does a step of the query until it succeeds: a broker or a store
// that is down is waited for; a topic that is gone is not. waiting, if not nil, is called before the first
// pause. The step must be safe to do again.
func (q *Query) persist(waiting func(), what string, step func(context.Context) error) error {
	unknownTopic := 0 // such answers one after the other
	for backoff := backoffFirst; ; backoff = min(2*backoff, backoffMax) {
		err := step(q.ctx)
		if err == nil {
			q.setWaiting("")
			return nil
		}
		if q.ctx.Err() != nil || errors.Is(err, errStopped) || isPermanent(err) {
			return err
		}
		if q.stopping.Err() != nil {
			return errStopped
		}
		if !errors.Is(err, errUnknownTopic) {
			unknownTopic = 0
		} else if unknownTopic++; unknownTopic > unknownTopicRetries {
			return q.missingTopic(err, false)
		}
		q.meter.retry()
		q.log.Warn("waiting to "+what, "retry_in", backoff, "error", err)
		q.setWaiting(fmt.Sprintf("Waiting to %s: %v", what, err))
		q.noteRetry(backoff)
		if waiting != nil {
			waiting()
		}
		select {
		case <-q.stopping.Done():
			return errStopped
		case <-q.options.Clock.After(backoff):
		}
	}
}

// noteRetry counts the pauses of this run, and of the present trigger.
func (q *Query) noteRetry(pause time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.numRetries++
	q.retries++
	q.retryWait += pause
}

// idle is called while a batch gets no records from the broker.
func (q *Query) idle(trouble string) error {
	if q.stopping.Err() != nil {
		return errStopped
	}
	q.awaitBroker()
	if trouble != "" {
		q.setWaiting("Waiting for the broker: " + trouble)
	}
	return nil
}

// Stop ends the query and returns when it has ended. A batch that is being
// written is finished, unless it waits for the broker or the store, or ctx
// ends first: then it is abandoned, and written by the next start.
func (q *Query) Stop(ctx context.Context) error {
	q.requestStop(errStopped)
	select {
	case <-q.done:
	case <-ctx.Done():
		q.cancel()
		<-q.done
	}
	return q.Err()
}

// StopNow is Stop for who does not want to wait: the batch that is being
// written is abandoned, and written by the next start.
func (q *Query) StopNow() error {
	q.requestStop(errStopped)
	q.cancel()
	<-q.done
	return q.Err()
}

// Drain is Stop after ProcessAllAvailable. When ctx ends first, the query goes
// on.
func (q *Query) Drain(ctx context.Context) error {
	if err := q.ProcessAllAvailable(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return q.Stop(ctx)
}

// Done is closed when the query has ended.
func (q *Query) Done() <-chan struct{} { return q.done }

// Err is why the query ended; nil while it runs, after Stop, and when its
// trigger let it end.
func (q *Query) Err() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

// Finished says that the query has come to the end of its trigger, AvailableNow
// or Once.
func (q *Query) Finished() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.finished
}

// AwaitTermination waits until the query ends and returns Err, or until ctx
// does.
func (q *Query) AwaitTermination(ctx context.Context) error {
	select {
	case <-q.done:
		return q.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ProcessAllAvailable waits until all that is in the topics at the time of
// the call is in the table. With a trigger that ends, AvailableNow or Once, it
// waits until the query has ended.
func (q *Query) ProcessAllAvailable(ctx context.Context) error {
	w := &waiter{done: make(chan struct{})}
	q.mu.Lock()
	q.waiters = append(q.waiters, w)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	select {
	case <-w.done:
		return nil
	case <-q.done:
		if err := q.Err(); err != nil {
			return err
		}
		select {
		case <-w.done:
			return nil
		default:
		}
		if context.Cause(q.stopping) == errStopped {
			return errors.New("the query was stopped before all available records were processed; start it again, it goes on where it was")
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// takeWaiters are those whose target the coming question for offsets sets.
func (q *Query) takeWaiters() []*waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.waiters)
}

// noteLatest keeps what a question for offsets has told.
func (q *Query) noteLatest(latest api.PartitionOffsets, waiters []*waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range waiters {
		if w.target == nil {
			w.target = latest
		}
	}
	q.behind = countBehind(q.start, latest)
	q.releaseWaiters()
}

// releaseWaiters lets those go whose target is reached; the caller holds mu.
func (q *Query) releaseWaiters() {
	q.waiters = slices.DeleteFunc(q.waiters, func(w *waiter) bool {
		if w.target == nil || !reaches(q.start, w.target) {
			return false
		}
		close(w.done)
		return true
	})
}

// committedBatch goes on to the next batch.
func (q *Query) committedBatch(b *batch, latest api.PartitionOffsets) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.planned = nil
	q.committed, q.start = b.id, q.nextStart(b.entry.end)
	q.behind = countBehind(b.entry.end, latest)
	q.lagBefore, q.lag = q.lag, q.behind
	q.numInput += b.numInput
	q.numDead += b.numDead
	q.noteIgnored(b)
	q.releaseWaiters()
}

// noteIgnored counts the fields that a batch has ignored, and says so when it is
// the first of this run; the caller holds mu.
func (q *Query) noteIgnored(b *batch) {
	if b.ignored == nil {
		return
	}
	for _, field := range b.ignored.list() {
		if _, told := q.ignored.fields[field.Field]; !told {
			q.log.Warn("a field of records is not written to the table", "field", field.Field, "reason", field.Reason, "records", field.NumRows, "batch", b.id)
		}
	}
	q.ignored.merge(b.ignored)
}

func (q *Query) setID(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.id = id
}

// finish records how the query ended.
func (q *Query) finish(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.status = api.StreamStatus{Message: "Stopped"}
	q.finished = err == nil
	// Whatever a step says that was cut short by Stop, it is not why.
	stopped := errors.Is(err, errStopped) || q.ctx.Err() != nil && !isPermanent(err)
	if err == nil || stopped {
		return
	}
	q.err = fmt.Errorf("streaming query %s: %w", cmp.Or(q.options.Name, q.id), err)
	q.status.Message = "Terminated with exception: " + err.Error()
	q.log.Error("streaming query failed", "error", err)
}
