package server

import (
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"taxilake/lakekit/api"
	"taxilake/lakekit/ingest"
)

// metrics serves what the streams and the traffic do in Prometheus' text
// format. Totals of a stream begin anew with each of its runs, as Prometheus
// expects of a process that was restarted.
func (s *Server) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		streamMetrics{s}, trafficMetrics{s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)})
}

// streamTotal is a counter of a stream.
type streamTotal struct {
	desc  *prometheus.Desc
	value func(api.StreamStatus, ingest.Metrics) int64
}

func streamDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("lakekit", "stream", name), help, append([]string{"stream"}, labels...), nil)
}

var (
	streamActive   = streamDesc("active", "1 while the streaming query runs.")
	streamWaiting  = streamDesc("waiting", "1 while the streaming query waits for the broker or the object store.")
	streamLag      = streamDesc("lag_records", "Latest offset, when last asked, minus the offset up to which records are in the table.", "topic", "partition")
	streamLagTime  = streamDesc("lag_seconds", "Age of the oldest record that is not in the table yet, at most; 0 when there is none. Absent until it is known.", "topic", "partition")
	streamDuration = streamDesc("batch_duration_seconds", "Time that a batch took, by stage; the stages are those of durationMs in the progress, triggerExecution is the whole.", "stage")
	streamTotals   = []streamTotal{
		{streamDesc("batches_total", "Batches committed."), func(_ api.StreamStatus, m ingest.Metrics) int64 { return m.Batches }},
		{streamDesc("input_rows_total", "Records read and committed, dead letters included."), func(s api.StreamStatus, _ ingest.Metrics) int64 { return s.NumInputRows }},
		{streamDesc("input_bytes_total", "Keys and values of the records read and committed."), func(_ api.StreamStatus, m ingest.Metrics) int64 { return m.InputBytes }},
		{streamDesc("dead_letters_total", "Records that went to the dead-letter table."), func(s api.StreamStatus, _ ingest.Metrics) int64 { return s.NumDeadLetters }},
		{streamDesc("rows_with_ignored_fields_total", "Rows written without some of the fields of their records."), func(s api.StreamStatus, _ ingest.Metrics) int64 { return s.NumRowsWithIgnoredFields }},
		{streamDesc("output_files_total", "Data files committed."), func(_ api.StreamStatus, m ingest.Metrics) int64 { return m.OutputFiles }},
		{streamDesc("output_bytes_total", "Size of the data files committed."), func(_ api.StreamStatus, m ingest.Metrics) int64 { return m.OutputBytes }},
		{streamDesc("retries_total", "Steps tried again because the broker or the object store did not let them succeed."), func(_ api.StreamStatus, m ingest.Metrics) int64 { return m.Retries }},
		{streamDesc("compactions_total", "Runs of auto compaction."), func(s api.StreamStatus, _ ingest.Metrics) int64 { return s.NumCompactions }},
	}
)

// streamMetrics asks the streams at each scrape.
type streamMetrics struct{ *Server }

func (c streamMetrics) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{streamActive, streamWaiting, streamLag, streamLagTime, streamDuration} {
		descs <- desc
	}
	for _, total := range streamTotals {
		descs <- total.desc
	}
}

func (c streamMetrics) Collect(metrics chan<- prometheus.Metric) {
	for name, query := range c.streams.started() {
		status := api.StreamStatus{}
		if query != nil {
			status = query.Status()
		}
		metrics <- gauge(streamActive, flag(status.IsActive), name)
		metrics <- gauge(streamWaiting, flag(status.Waiting), name)
		if query == nil {
			continue
		}
		m := query.Metrics()
		for _, total := range streamTotals {
			metrics <- counter(total.desc, total.value(status, m), name)
		}
		for stage, h := range m.Stages {
			metrics <- prometheus.MustNewConstHistogram(streamDuration, h.Count, h.Seconds, buckets(h), name, stage)
		}
		if status.IsActive { // of one that has ended nothing is known any more
			collectLag(metrics, name, m.Lag)
		}
	}
}

func collectLag(metrics chan<- prometheus.Metric, stream string, lag []ingest.PartitionLag) {
	for _, l := range lag {
		partition := strconv.Itoa(int(l.Partition))
		metrics <- gauge(streamLag, float64(l.Records), stream, l.Topic, partition)
		switch {
		case l.Records == 0:
			metrics <- gauge(streamLagTime, 0, stream, l.Topic, partition)
		case !l.Since.IsZero():
			metrics <- gauge(streamLagTime, max(0, time.Since(l.Since).Seconds()), stream, l.Topic, partition)
		}
	}
}

func buckets(h ingest.Histogram) map[float64]uint64 {
	counts := make(map[float64]uint64, len(h.Within))
	for i, n := range h.Within {
		counts[ingest.DurationBuckets[i]] = n
	}
	return counts
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func gauge(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

func counter(desc *prometheus.Desc, value int64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
}

// started are the queries of the streams that are known, nil for one that was
// not started since the server was.
func (all *streams) started() map[string]*ingest.Query {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	queries := make(map[string]*ingest.Query, len(all.queries))
	for name, known := range all.queries {
		queries[name] = known.query
	}
	return queries
}

func trafficDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("lakekit", "traffic", name), help, []string{"topic"}, nil)
}

// trafficTotals are summed over the runs of the ledger; a reset begins anew.
var trafficTotals = []struct {
	desc  *prometheus.Desc
	value func(api.TrafficProgress) int64
}{
	{trafficDesc("sent_records_total", "Records handed to the Kafka client."), func(p api.TrafficProgress) int64 { return p.Sent }},
	{trafficDesc("acknowledged_records_total", "Records confirmed by the broker."), func(p api.TrafficProgress) int64 { return p.Acknowledged }},
	{trafficDesc("failed_records_total", "Records given up."), func(p api.TrafficProgress) int64 { return p.Failed }},
	{trafficDesc("sent_bytes_total", "Keys and values handed to the Kafka client."), func(p api.TrafficProgress) int64 { return p.Bytes }},
}

// trafficMetrics reads the ledger at each scrape.
type trafficMetrics struct{ *Server }

func (c trafficMetrics) Describe(descs chan<- *prometheus.Desc) {
	for _, total := range trafficTotals {
		descs <- total.desc
	}
}

func (c trafficMetrics) Collect(metrics chan<- prometheus.Metric) {
	runs := c.traffic.progress()
	for _, total := range trafficTotals {
		sums := map[string]int64{}
		for _, p := range runs {
			sums[p.Topic] += total.value(p)
		}
		for _, topic := range slices.Sorted(maps.Keys(sums)) {
			metrics <- counter(total.desc, sums[topic], topic)
		}
	}
}

// progress is that of every run in the ledger.
func (t *traffic) progress() []api.TrafficProgress {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	list := make([]api.TrafficProgress, len(t.runs))
	for i, run := range t.runs {
		list[i] = run.Progress
	}
	return list
}
