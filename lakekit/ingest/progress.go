package ingest

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"taxilake/lakekit/api"
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

// report records a trigger with a batch.
func (r *run) report(t *triggerTimes, b *batch, latest api.PartitionOffsets) {
	if b.replayed { // the broker was not asked
		latest = nil
	}
	p := r.newProgress(t, b.id, b.numInput, b.start, b.entry.end, latest)
	p.Sink.NumOutputRows = b.numInput - b.numDead
	p.Sink.Metrics = r.sinkMetrics(b)
	r.status.keep(p)
	r.meter.batch(b.entry.end, t.ms)
}

// sinkMetrics are those that are not zero, nil for none.
func (r *run) sinkMetrics(b *batch) map[string]string {
	retries := r.status.takeRetries()
	metrics := map[string]string{}
	var ignoring int64
	if b.ignored != nil {
		ignoring = b.ignored.Rows()
	}
	for name, n := range map[string]int64{"numDeadLetters": b.numDead, "numRowsWithIgnoredFields": ignoring, "numRetries": retries.number, "retryWaitMs": retries.paused.Milliseconds()} {
		if n > 0 {
			metrics[name] = strconv.FormatInt(n, 10)
		}
	}
	if len(metrics) == 0 {
		return nil
	}
	return metrics
}

// reportIdle records a trigger without data, now and then.
func (r *run) reportIdle(t *triggerTimes, latest api.PartitionOffsets) {
	if !r.status.idle(t.began) {
		return
	}
	r.status.keep(r.newProgress(t, r.committed+1, 0, r.start, r.start, latest))
}

func (r *run) newProgress(t *triggerTimes, batchID, rows int64, start, end, latest api.PartitionOffsets) api.StreamProgress {
	took := t.clock.Now().Sub(t.began)
	t.ms["triggerExecution"] = took.Milliseconds()
	var input api.Rate
	if !r.last.IsZero() {
		input = api.Rate(float64(rows) / t.began.Sub(r.last).Seconds())
	}
	processed := api.Rate(float64(rows) / took.Seconds())
	if batchID == 0 {
		start = nil
	}
	return api.StreamProgress{
		ID:                     r.id,
		RunID:                  r.runID,
		Name:                   r.options.Name,
		Timestamp:              t.began.UTC().Format("2006-01-02T15:04:05.000Z"),
		BatchID:                batchID,
		BatchDuration:          took.Milliseconds(),
		NumInputRows:           rows,
		InputRowsPerSecond:     input,
		ProcessedRowsPerSecond: processed,
		DurationMs:             t.ms,
		StateOperators:         []any{},
		Sources: []api.SourceProgress{{
			Description:            r.source.description(),
			StartOffset:            start,
			EndOffset:              end,
			LatestOffset:           latest,
			NumInputRows:           rows,
			InputRowsPerSecond:     input,
			ProcessedRowsPerSecond: processed,
			Metrics:                behindMetrics(end, latest),
		}},
		Sink: api.StreamSinkProgress{Description: fmt.Sprintf("DeltaSink[%s]", r.table.URI())},
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
