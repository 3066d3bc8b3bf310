package ingest

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
)

// triggerTimes measures the parts of a trigger, by Spark's names.
type triggerTimes struct {
	clock Clock
	began time.Time
	ms    map[string]int64
}

func (t *triggerTimes) measure(part string, step func() error) error {
	began := t.clock.Now()
	defer func() { t.ms[part] += t.clock.Now().Sub(began).Milliseconds() }()
	return step()
}

// ID is the query's id: the checkpoint's, the same in every run.
func (q *Query) ID() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.id
}

// RunID is the id of this run.
func (q *Query) RunID() string { return q.runID }

// Name is the name given to the query.
func (q *Query) Name() string { return q.options.Name }

// Status is what the query is doing now.
func (q *Query) Status() api.StreamStatus {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.status
	s.Name, s.ID, s.RunID = q.options.Name, q.id, q.runID
	select {
	case <-q.done:
	default:
		s.IsActive = true
	}
	if q.err != nil {
		s.Error = q.err.Error()
	}
	if silent := q.options.Clock.Now().Sub(q.brokerSilent); !q.brokerSilent.IsZero() && silent >= brokerPatience && !s.Waiting {
		s.Waiting = true
		s.Message = fmt.Sprintf("Waiting for the broker, silent for %v", silent.Round(100*time.Millisecond))
	}
	s.Subscribe = q.options.Subscribe
	s.Table = folder(q.options.Table)
	s.DeadLetters = folder(q.options.DeadLetters)
	s.Checkpoint = folder(q.options.Checkpoint)
	s.Trigger = q.options.Trigger.String()
	s.StartedAt = q.startedAt
	s.BatchID, s.NumInputRows, s.NumDeadLetters, s.RecordsBehind = q.committed, q.numInput, q.numDead, q.behind
	s.NumRetries = q.numRetries
	s.NumRowsWithIgnoredFields, s.IgnoredFields = q.ignored.rows, q.ignored.list()
	s.NumCompactions, s.CompactionError = q.compactions, q.compactionError
	s.CompactionSkipped = skipped(q.leftAlone)
	return s
}

// folder is a bucket's root as people write it.
func folder(bucket blob.Bucket) string { return strings.TrimSuffix(bucket.URI(""), "/") }

func (q *Query) setMessage(message string, dataAvailable, triggerActive bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.status.Message, q.status.IsDataAvailable, q.status.IsTriggerActive = message, dataAvailable, triggerActive
}

// setWaiting shows what the query waits for; "" is nothing.
func (q *Query) setWaiting(message string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if message == "" && !q.status.Waiting {
		return
	}
	q.status.Waiting = message != ""
	q.status.Message = message
	if message == "" {
		q.status.Message = "Processing new data"
	}
}

// awaitBroker notes that the broker owes an answer, or records.
func (q *Query) awaitBroker() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.brokerSilent.IsZero() {
		q.brokerSilent = q.options.Clock.Now()
	}
}

// brokerAnswered notes that the broker owes nothing any more.
func (q *Query) brokerAnswered() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.brokerSilent = time.Time{}
}

// flowing notes that records come from the broker.
func (q *Query) flowing() {
	q.brokerAnswered()
	q.setWaiting("")
}

// LastProgress is what the last trigger did, nil before the first.
func (q *Query) LastProgress() *api.StreamProgress {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.progress) == 0 {
		return nil
	}
	last := q.progress[len(q.progress)-1]
	return &last
}

// RecentProgress is what the last 100 triggers did, oldest first. Triggers
// without data are recorded every 10 s.
func (q *Query) RecentProgress() []api.StreamProgress {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]api.StreamProgress(nil), q.progress...)
}

// report records a trigger with a batch.
func (q *Query) report(t *triggerTimes, b *batch, latest api.PartitionOffsets) {
	if b.replayed { // the broker was not asked
		latest = nil
	}
	p := q.newProgress(t, b.id, b.numInput, b.start, b.entry.end, latest)
	p.Sink.NumOutputRows = b.numInput - b.numDead
	p.Sink.Metrics = q.sinkMetrics(b)
	q.keep(p)
	q.meter.batch(b.entry.end, t.ms)
}

// sinkMetrics are those that are not zero, nil for none.
func (q *Query) sinkMetrics(b *batch) map[string]string {
	q.mu.Lock()
	defer q.mu.Unlock()
	metrics := map[string]string{}
	var ignoring int64
	if b.ignored != nil {
		ignoring = b.ignored.rows
	}
	for name, n := range map[string]int64{"numDeadLetters": b.numDead, "numRowsWithIgnoredFields": ignoring, "numRetries": q.retries, "retryWaitMs": q.retryWait.Milliseconds()} {
		if n > 0 {
			metrics[name] = strconv.FormatInt(n, 10)
		}
	}
	q.retries, q.retryWait = 0, 0
	if len(metrics) == 0 {
		return nil
	}
	return metrics
}

// reportIdle records a trigger without data, now and then.
func (q *Query) reportIdle(t *triggerTimes, latest api.PartitionOffsets) {
	if len(q.progress) > 0 && t.began.Sub(q.idleSince) < idleProgressEvery {
		return
	}
	q.keep(q.newProgress(t, q.committed+1, 0, q.start, q.start, latest))
}

func (q *Query) keep(p api.StreamProgress) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.idleSince = q.options.Clock.Now()
	q.progress = append(q.progress, p)
	if len(q.progress) > progressKept {
		q.progress = append([]api.StreamProgress(nil), q.progress[len(q.progress)-progressKept:]...)
	}
}

func (q *Query) newProgress(t *triggerTimes, batchID, rows int64, start, end, latest api.PartitionOffsets) api.StreamProgress {
	took := t.clock.Now().Sub(t.began)
	t.ms["triggerExecution"] = took.Milliseconds()
	var input api.Rate
	if !q.last.IsZero() {
		input = api.Rate(float64(rows) / t.began.Sub(q.last).Seconds())
	}
	processed := api.Rate(float64(rows) / took.Seconds())
	if batchID == 0 {
		start = nil
	}
	return api.StreamProgress{
		ID:                     q.id,
		RunID:                  q.runID,
		Name:                   q.options.Name,
		Timestamp:              t.began.UTC().Format("2006-01-02T15:04:05.000Z"),
		BatchID:                batchID,
		BatchDuration:          took.Milliseconds(),
		NumInputRows:           rows,
		InputRowsPerSecond:     input,
		ProcessedRowsPerSecond: processed,
		DurationMs:             t.ms,
		StateOperators:         []any{},
		Sources: []api.SourceProgress{{
			Description:            q.source.description(),
			StartOffset:            start,
			EndOffset:              end,
			LatestOffset:           latest,
			NumInputRows:           rows,
			InputRowsPerSecond:     input,
			ProcessedRowsPerSecond: processed,
			Metrics:                behindMetrics(end, latest),
		}},
		Sink: api.StreamSinkProgress{Description: fmt.Sprintf("DeltaSink[%s]", q.table.URI())},
	}
}

// behindMetrics are the metrics of Spark's KafkaMicroBatchStream.
func behindMetrics(end, latest api.PartitionOffsets) map[string]string {
	var count, sum, most int64
	least := int64(math.MaxInt64)
	for topic, partitions := range latest {
		for partition, last := range partitions {
			behind := max(0, last-end[topic][partition])
			count++
			sum += behind
			most, least = max(most, behind), min(least, behind)
		}
	}
	if count == 0 {
		return nil
	}
	return map[string]string{
		"minOffsetsBehindLatest": strconv.FormatInt(least, 10),
		"maxOffsetsBehindLatest": strconv.FormatInt(most, 10),
		"avgOffsetsBehindLatest": api.Rate(float64(sum) / float64(count)).String(),
	}
}
