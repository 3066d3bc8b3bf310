package ingest

import (
	"maps"
	"slices"
	"sync"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
	"taxilake/lakekit/kafka"
)

// Metrics are the totals of a run of a query since its start, besides those in
// its status, and how far it is behind.
type Metrics struct {
	Batches     int64
	Retries     int64 // of steps that broker or store did not let succeed
	InputBytes  int64 // keys and values of the records in the table, dead letters included
	OutputFiles int64 // data files committed, those of dead letters included
	OutputBytes int64 // of these files
	// Stages are the durations of a batch's parts by the names of durationMs in
	// the progress.
	Stages map[string]Histogram
	Lag    []PartitionLag // by topic and partition
}

// DurationBuckets are the upper bounds, in seconds, of a Histogram.
var DurationBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

// Histogram counts durations.
type Histogram struct {
	Count   uint64
	Seconds float64  // the sum
	Within  []uint64 // durations up to each of DurationBuckets
}

// PartitionLag is how far the table is behind a partition.
type PartitionLag struct {
	Topic     string
	Partition int32
	// Records are the latest offset, when last asked, minus the committed one.
	Records int64
	// Since is the earliest time at which the first of them can have come: 0
	// records have none, and the first batch of a run on an old backlog is not
	// known to.
	Since time.Time
}

// meter keeps a query's Metrics.
type meter struct {
	clock Clock

	mu        sync.Mutex
	totals    Metrics
	reading   partitionTimes // timestamps of the newest records of the batch being read
	readBytes int64
	since     partitionTimes
	committed api.PartitionOffsets
	latest    api.PartitionOffsets
}

type partitionTimes map[topicPartition]time.Time

type topicPartition struct {
	topic     string
	partition int32
}

func (t partitionTimes) note(key topicPartition, at time.Time) {
	if at.After(t[key]) {
		t[key] = at
	}
}

func newMeter(clock Clock) *meter {
	return &meter{clock: clock, totals: Metrics{Stages: map[string]Histogram{}}, reading: partitionTimes{}, since: partitionTimes{}}
}

// begin forgets what an attempt at a batch has read.
func (m *meter) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readBytes = 0
	clear(m.reading)
}

// read notes records that have come. Those of a partition come in runs, in
// order.
func (m *meter) read(chunk []*confluent.Message) {
	now := m.clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, record := range chunk {
		m.readBytes += int64(len(record.Key) + len(record.Value))
		at := &record.TopicPartition
		if i+1 < len(chunk) && chunk[i+1].TopicPartition.Partition == at.Partition && *chunk[i+1].TopicPartition.Topic == *at.Topic {
			continue
		}
		if came := cameAt(record, now); !came.IsZero() {
			m.reading.note(topicPartition{*at.Topic, at.Partition}, came)
		}
	}
}

// clockSkew is how far a producer's clock may be ahead: Kafka's default of
// message.timestamp.after.max.ms.
const clockSkew = time.Hour

// cameAt is when a record came, by its timestamp; zero when that tells nothing,
// such as one in microseconds, which would let every later record seem young.
func cameAt(record *confluent.Message, now time.Time) time.Time {
	at := api.KafkaTime(kafka.TimestampMs(record))
	switch {
	case at.After(now.Add(clockSkew)):
		return time.Time{}
	case at.After(now):
		return now
	}
	return at
}

// wrote notes a commit of data files.
func (m *meter) wrote(files int, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.totals.OutputFiles += int64(files)
	m.totals.OutputBytes += bytes
}

func (m *meter) retry() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.totals.Retries++
}

// batch notes a batch that is in the table, and how long its parts took.
func (m *meter) batch(end api.PartitionOffsets, ms map[string]int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.totals.Batches++
	m.totals.InputBytes += m.readBytes
	for key, at := range m.reading {
		m.since.note(key, at)
	}
	m.readBytes = 0
	clear(m.reading)
	m.committed = end
	for stage, took := range ms {
		m.totals.Stages[stage] = m.totals.Stages[stage].with(float64(took) / 1000)
	}
}

// offsets notes an answer of the broker. Where nothing is left to read, the
// next record is to come.
func (m *meter) offsets(committed, latest api.PartitionOffsets) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.Now()
	m.committed, m.latest = committed, latest
	for topic, partitions := range latest {
		for partition, offset := range partitions {
			if committed[topic][partition] >= offset {
				m.since.note(topicPartition{topic, partition}, now)
			}
		}
	}
}

func (h Histogram) with(seconds float64) Histogram {
	within := make([]uint64, len(DurationBuckets)) // never the one handed out
	copy(within, h.Within)
	for i, bound := range DurationBuckets {
		if seconds <= bound {
			within[i]++
		}
	}
	return Histogram{h.Count + 1, h.Seconds + seconds, within}
}

func (m *meter) metrics() Metrics {
	m.mu.Lock()
	defer m.mu.Unlock()
	totals := m.totals
	totals.Stages = maps.Clone(totals.Stages)
	for _, topic := range slices.Sorted(maps.Keys(m.latest)) {
		for _, partition := range slices.Sorted(maps.Keys(m.latest[topic])) {
			lag := PartitionLag{Topic: topic, Partition: partition}
			if lag.Records = max(0, m.latest[topic][partition]-m.committed[topic][partition]); lag.Records > 0 {
				lag.Since = m.since[topicPartition{topic, partition}]
			}
			totals.Lag = append(totals.Lag, lag)
		}
	}
	return totals
}
