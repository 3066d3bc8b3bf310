package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
	"taxilake/lakekit/internal/wait"
)

// ErrNotDelivered is returned for a run that went to its end, but not with
// every record.
var ErrNotDelivered = errors.New("records were not delivered")

// Source yields the records to produce. Next returns io.EOF at the end; key
// and value may be nil (Kafka's null) and are valid until the next call.
type Source interface {
	Next() (key, value []byte, err error)
}

// ProduceOptions say what to produce, and how fast.
type ProduceOptions struct {
	Topic   string
	Rate    float64                   // records a second; 0: as fast as it goes
	Records int64                     // at most so many; 0: until the source ends
	Report  func(api.TrafficProgress) // called four times a second and at the end, never twice at once; may be nil
}

const (
	// waitingAfter is how long nothing is acknowledged before a report says
	// that the run waits.
	waitingAfter   = time.Second
	reportInterval = 250 * time.Millisecond
	// flushBound is how long a cancelled run waits for the records it has
	// handed over.
	flushBound = 5 * time.Second
	// queueFullPause is between two tries to hand over a record.
	queueFullPause = 2 * time.Millisecond
)

// Produce sends records to a topic that exists and returns the account of the
// run. Every record is in the topic once if it is counted as acknowledged.
//
// While the broker is away or cannot store, it waits, says so in its reports,
// and goes on when the broker is well again; only ctx ends that (or
// message.timeout.ms in c). A record that the broker refuses, such as one that
// is too large, is counted as failed and the run goes on; it then returns
// ErrNotDelivered at its end.
//
// What waiting does not mend ends the run: a topic that is missing
// (ErrTopicNotFound) or may not be written to (ErrNotAllowed), and at its
// beginning a refused login (ErrLogin) or a certificate that is not trusted
// (ErrTLS). A login that was good before and is refused while the run lasts,
// which a cluster at work on its brokers may do for a moment, ends it once
// nothing has been acknowledged for 10 s.
//
// When ctx ends, Produce waits up to 5 s for the records on their way and
// returns ctx's error. Those it then knows nothing of are Unconfirmed.
//
// The rate is held by small portions: never more than 20 ms of records at
// once. After a stall up to 2 s of records are made up for at a fifth above
// the rate; a longer one shortens the run's total.
func Produce(ctx context.Context, c Config, src Source, o ProduceOptions) (api.TrafficProgress, error) {
	r := &run{source: src, options: o, servers: c.Servers(), started: time.Now()}
	err := r.run(ctx, c)
	return r.end(ctx, err)
}

func (o ProduceOptions) check() error {
	if err := CheckOwnTopic(o.Topic); err != nil {
		return err
	}
	if !(o.Rate >= 0) || math.IsInf(o.Rate, 1) {
		return fmt.Errorf("produce to %s: %w: rate %v: want 0 (as fast as it goes) or records a second", o.Topic, ErrOptions, o.Rate)
	}
	if o.Records < 0 {
		return fmt.Errorf("produce to %s: %w: %d records: want 0 (all) or more", o.Topic, ErrOptions, o.Records)
	}
	return nil
}

// run is one run of Produce. One goroutine sends, one drains the client's
// events and one reports.
type run struct {
	source  Source
	options ProduceOptions
	servers string
	health  health
	started time.Time
	client  *confluent.Producer
	fail    context.CancelCauseFunc // ends the run with an error

	topicKnown                                     atomic.Bool
	sent, acknowledged, failed, unconfirmed, bytes atomic.Int64

	mu         sync.Mutex
	firstError string
	recent     latencies // since the last report
	all        latencies // before that
}

func (r *run) run(ctx context.Context, c Config) error {
	if err := r.options.check(); err != nil {
		return err
	}
	caller := ctx
	ctx, r.fail = context.WithCancelCause(ctx)
	defer r.fail(nil)
	var err error
	r.client, err = confluent.NewProducer(c.Producer(nil))
	if err != nil {
		return fmt.Errorf("make a kafka producer: %w", err)
	}
	logs := r.health.follow(r.client.Logs())
	var events sync.WaitGroup
	events.Go(r.drain)
	reports, stopReports := context.WithCancel(context.WithoutCancel(ctx))
	var reporter sync.WaitGroup
	reporter.Go(func() { r.reportUntil(reports) })

	err = r.send(ctx)
	r.settle(ctx)
	failed := caller.Err() == nil && ctx.Err() != nil
	if err == nil && (failed || r.outstanding()+r.unconfirmed.Load() > 0) {
		err = context.Cause(ctx)
	}
	stopReports()
	reporter.Wait()
	r.client.Close()
	events.Wait()
	<-logs
	return err
}

// send hands the source's records to the client until there are no more of
// them (nil) or ctx ends (its cause).
func (r *run) send(ctx context.Context) error {
	if err := r.awaitTopic(ctx); err != nil {
		return err
	}
	portion := func() int { return 100 }
	pause := func() error { return context.Cause(ctx) }
	if r.options.Rate > 0 {
		p := newPacer(r.options.Rate, time.Now())
		portion = func() int { return p.take(time.Now()) }
		pause = func() error {
			if wait.For(ctx, p.idle()) != nil {
				return context.Cause(ctx)
			}
			return nil
		}
	}
	for {
		for range portion() {
			if r.options.Records > 0 && r.sent.Load() == r.options.Records {
				return nil
			}
			key, value, err := r.source.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("read record %d of the source: %w", r.sent.Load(), err)
			}
			if err := r.hand(ctx, key, value); err != nil {
				return err
			}
		}
		if err := pause(); err != nil {
			return err
		}
	}
}

// awaitTopic returns when the topic is there, or an error when the cluster
// says that it is not.
func (r *run) awaitTopic(ctx context.Context) error {
	client, err := confluent.NewAdminClientFromProducer(r.client)
	if err != nil {
		return fmt.Errorf("make a kafka admin client: %w", err)
	}
	defer client.Close()
	for {
		err := r.lookForTopic(ctx, client)
		if err == nil {
			r.topicKnown.Store(true)
			return nil
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		err = callFailed(err, r.servers, &r.health, "produce to %s", r.options.Topic)
		if !errors.Is(err, ErrNoBroker) {
			return err
		}
		if wait.For(ctx, pollInterval) != nil {
			return context.Cause(ctx)
		}
	}
}

func (r *run) lookForTopic(ctx context.Context, client *confluent.AdminClient) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	ctx, end := r.health.watch(ctx)
	defer end()
	result, err := client.DescribeTopics(ctx, confluent.NewTopicCollectionOfTopicNames([]string{r.options.Topic}))
	if err != nil {
		return err
	}
	return orNil(result.TopicDescriptions[0].Error)
}

// hand gives one record to the client, when its queue has room.
func (r *run) hand(ctx context.Context, key, value []byte) error {
	m := confluent.Message{
		TopicPartition: confluent.TopicPartition{Topic: &r.options.Topic, Partition: confluent.PartitionAny},
		Key:            key,
		Value:          value,
	}
	if n := r.sent.Add(1); n%r.latencyStride() == 0 {
		m.Opaque = time.Now()
	}
	for {
		err := r.client.Produce(&m, nil)
		switch {
		case err == nil:
			r.bytes.Add(int64(len(key) + len(value)))
			return nil
		case isCode(err, confluent.ErrQueueFull):
			if err := wait.For(ctx, queueFullPause); err != nil {
				r.sent.Add(-1)
				return context.Cause(ctx)
			}
		default:
			r.refused(err)
			return nil
		}
	}
}

// latencyStride measures about a thousand records a second: each one costs a
// lock and an entry in a map.
func (r *run) latencyStride() int64 {
	if r.options.Rate == 0 {
		return 128
	}
	return 1 + int64(r.options.Rate)/1000
}

// drain takes the client's events until it is closed. They must be taken:
// the client stops when nobody does.
func (r *run) drain() {
	for e := range r.client.Events() {
		switch e := e.(type) {
		case *confluent.Message:
			r.delivered(e)
		case confluent.Error:
			r.health.event(e)
			if e.IsFatal() {
				r.fail(callFailed(e, r.servers, &r.health, "produce to %s at %s", r.options.Topic, r.servers))
			}
		}
	}
}

func (r *run) delivered(m *confluent.Message) {
	switch err := m.TopicPartition.Error; {
	case err == nil:
		r.acknowledged.Add(1)
		if at, ok := m.Opaque.(time.Time); ok {
			r.mu.Lock()
			r.recent.add(time.Since(at))
			r.mu.Unlock()
		}
	case isCode(err, confluent.ErrPurgeQueue), isCode(err, confluent.ErrPurgeInflight):
		r.unconfirmed.Add(1)
	default:
		r.refused(err)
	}
}

// refused counts a record that will not be delivered, and ends the run first
// if no other will either.
func (r *run) refused(err error) {
	if isCode(err, confluent.ErrFatal) {
		err = cmp.Or(r.client.GetFatalError(), err) // which tells the cause
	}
	r.mu.Lock()
	if r.firstError == "" {
		r.firstError = err.Error()
	}
	r.mu.Unlock()
	var e confluent.Error
	if errors.As(err, &e) && e.IsFatal() || isCode(err, confluent.ErrUnknownTopicOrPart, confluent.ErrUnknownTopic, confluent.ErrUnknownPartition,
		confluent.ErrTopicAuthorizationFailed, confluent.ErrClusterAuthorizationFailed, confluent.ErrFatal) {
		r.fail(callFailed(err, r.servers, &r.health, "produce to %s", r.options.Topic))
	}
	r.failed.Add(1)
}

// outstanding is the number of records the client has not reported on.
func (r *run) outstanding() int64 {
	return r.sent.Load() - r.acknowledged.Load() - r.failed.Load() - r.unconfirmed.Load()
}

// settle waits until every record is reported on. After ctx has ended, that is
// a bounded time; the rest is then withdrawn. It waits for the counts and not
// in the client's Flush, which can still be at work when it returns.
func (r *run) settle(ctx context.Context) {
	for r.outstanding() > 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if r.awaitReports(flushBound) {
		return
	}
	if err := r.client.Purge(confluent.PurgeQueue | confluent.PurgeInFlight); err != nil {
		slog.Warn("withdraw records from the kafka producer", "error", err)
	}
	r.awaitReports(time.Second)
}

func (r *run) awaitReports(bound time.Duration) (all bool) {
	for deadline := time.Now().Add(bound); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if r.outstanding() == 0 {
			return true
		}
	}
	return false
}

func (r *run) reportUntil(ctx context.Context) {
	var (
		lastReport   = r.started
		lastProgress = r.started
		before       api.TrafficProgress
	)
	for wait.For(ctx, reportInterval) == nil {
		now := time.Now()
		p := r.progress(now)
		p.State = api.TrafficRunning
		p.RecordsPerSecond = float64(p.Acknowledged-before.Acknowledged) / now.Sub(lastReport).Seconds()
		p.LatencyP50Ms, p.LatencyP99Ms = r.recentLatency()
		idle := r.topicKnown.Load() && p.Unconfirmed == 0
		if idle || p.Acknowledged != before.Acknowledged || p.Failed != before.Failed {
			lastProgress = now
			r.health.well()
		}
		if _, refusal := r.health.state(); errors.Is(refusal, ErrLogin) && now.Sub(lastProgress) >= answerTimeout {
			r.fail(fmt.Errorf("produce to %s: %w", r.options.Topic, refusal))
		}
		if now.Sub(lastProgress) >= waitingAfter {
			p.State = api.TrafficWaiting
			p.Message = fmt.Sprintf("%s; %d records in hand, the run goes on by itself", r.whyWaiting(), p.Unconfirmed)
		}
		if r.options.Report != nil {
			r.options.Report(p)
		}
		lastReport, before = now, p
	}
}

// whyWaiting tells a broker that is away from one that cannot store: librdkafka
// reports no error that it tries again on.
func (r *run) whyWaiting() string {
	if r.topicKnown.Load() {
		known, err := r.client.GetMetadata(&r.options.Topic, false, int(reportInterval.Milliseconds()))
		if err == nil && known.Topics[r.options.Topic].Error.Code() != confluent.ErrNoError {
			return fmt.Sprintf("topic %s is not there any more: was it deleted?", r.options.Topic)
		}
		if err == nil {
			return fmt.Sprintf("the broker at %s answers but stores nothing: is its disk full? The embedded one keeps 64 MiB free", r.servers)
		}
	}
	trouble, refusal := r.health.state()
	if refusal != nil {
		return refusal.Error()
	}
	if trouble != "" {
		trouble = " (" + trouble + ")"
	}
	return fmt.Sprintf("waiting for the broker at %s%s: `lakekit status` tells whether the embedded one runs, `lakekit up` starts it", r.servers, trouble)
}

// progress is the account at now, without what only one report knows.
func (r *run) progress(now time.Time) api.TrafficProgress {
	p := api.TrafficProgress{
		Topic:          r.options.Topic,
		Acknowledged:   r.acknowledged.Load(),
		Failed:         r.failed.Load(),
		Bytes:          r.bytes.Load(),
		TargetRate:     r.options.Rate,
		ElapsedSeconds: now.Sub(r.started).Seconds(),
	}
	p.Sent = r.sent.Load() // after the counts that it bounds
	p.Unconfirmed = p.Sent - p.Acknowledged - p.Failed
	r.mu.Lock()
	defer r.mu.Unlock()
	p.FirstError = r.firstError
	return p
}

func (r *run) recentLatency() (p50, p99 float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p50, p99 = r.recent.quantileMs(0.5), r.recent.quantileMs(0.99)
	r.all.addAll(&r.recent)
	r.recent = latencies{}
	return p50, p99
}

// end makes the last report.
func (r *run) end(ctx context.Context, err error) (api.TrafficProgress, error) {
	p := r.progress(time.Now())
	if p.ElapsedSeconds > 0 {
		p.RecordsPerSecond = float64(p.Acknowledged) / p.ElapsedSeconds
	}
	r.recentLatency()
	p.LatencyP50Ms, p.LatencyP99Ms = r.all.quantileMs(0.5), r.all.quantileMs(0.99)
	switch {
	case err == nil && p.Failed > 0:
		p.State = api.TrafficFinished
		err = fmt.Errorf("produce to %s: %d of %d %w: %s", p.Topic, p.Failed, p.Sent, ErrNotDelivered, p.FirstError)
	case err == nil:
		p.State = api.TrafficFinished
	case ctx.Err() != nil:
		p.State = api.TrafficStopped
		err = fmt.Errorf("produce to %s: %w", p.Topic, err)
	default:
		p.State = api.TrafficFailed
		p.Message = err.Error()
	}
	if r.options.Report != nil {
		r.options.Report(p)
	}
	return p, err
}
