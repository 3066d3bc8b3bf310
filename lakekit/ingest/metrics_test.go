package ingest

import (
	"math"
	"slices"
	"testing"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
)

// A partition is behind since the record after the last one in the table came:
// not before that one, and not before nothing was left to read.
func TestLag(t *testing.T) {
	clock := &setClock{now: time.Unix(1000, 0)}
	m := newMeter(clock)
	offsets := func(zero, one int64) api.PartitionOffsets {
		return api.PartitionOffsets{testTopic: {0: zero, 1: one}}
	}
	read := func(partition int32, at int64) {
		topic := testTopic
		m.read([]*confluent.Message{{
			TopicPartition: confluent.TopicPartition{Topic: &topic, Partition: partition},
			Value:          []byte("0123456789"), Timestamp: time.Unix(at, 0), TimestampType: confluent.TimestampCreateTime,
		}})
	}
	check := func(when string, want ...PartitionLag) {
		t.Helper()
		for i := range want {
			want[i].Topic, want[i].Partition = testTopic, int32(i)
		}
		if got := m.metrics().Lag; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	check("before the first answer")
	m.offsets(offsets(0, 0), offsets(10, 0))
	check("an old backlog", PartitionLag{Records: 10}, PartitionLag{})

	m.begin()
	read(0, 500)
	m.begin() // the attempt failed
	read(0, 500)
	read(0, 700)
	m.batch(offsets(5, 0), map[string]int64{"addBatch": 40})
	check("half of it read", PartitionLag{Records: 5, Since: time.Unix(700, 0).UTC()}, PartitionLag{})
	if got := m.metrics().InputBytes; got != 20 {
		t.Errorf("%d bytes read, want 20", got)
	}

	clock.now = time.Unix(2000, 0)
	m.offsets(offsets(10, 0), offsets(10, 0))
	clock.now = time.Unix(2001, 0)
	m.offsets(offsets(10, 0), offsets(13, 1))
	check("records after a pause", PartitionLag{Records: 3, Since: time.Unix(2000, 0)}, PartitionLag{Records: 1, Since: time.Unix(2000, 0)})
}

// Timestamps that tell nothing of when a record came do not count, and one of a
// clock that is ahead counts as now.
func TestLagBesideOddTimestamps(t *testing.T) {
	now := time.Unix(1_700_000_000, 0).UTC()
	for _, test := range []struct {
		name string
		ms   int64
		want time.Time
	}{
		{"a minute old", now.Add(-time.Minute).UnixMilli(), now.Add(-time.Minute)},
		{"a clock that is ahead", now.Add(time.Minute).UnixMilli(), now},
		{"far in the future", now.Add(2 * time.Hour).UnixMilli(), time.Time{}},
		{"microseconds", now.UnixMicro(), time.Time{}},
		{"nanoseconds", now.UnixNano(), time.Time{}},
		{"none", api.NoTimestamp, time.Time{}},
		{"largest", math.MaxInt64, time.Time{}},
		{"least", math.MinInt64, time.Time{}},
	} {
		topic := testTopic
		m := newMeter(&setClock{now: now})
		m.offsets(api.PartitionOffsets{topic: {0: 0}}, api.PartitionOffsets{topic: {0: 2}})
		m.begin()
		m.read([]*confluent.Message{{
			TopicPartition: confluent.TopicPartition{Topic: &topic}, Timestamp: time.UnixMilli(test.ms), TimestampType: confluent.TimestampCreateTime,
		}})
		m.batch(api.PartitionOffsets{topic: {0: 1}}, nil)
		want := []PartitionLag{{Topic: topic, Records: 1, Since: test.want}}
		if got := m.metrics().Lag; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", test.name, got, want)
		}
	}
}

type setClock struct {
	systemClock
	now time.Time
}

func (c *setClock) Now() time.Time { return c.now }

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, seconds := range []float64{0.005, 0.2, 100} {
		h = h.with(seconds)
	}
	before := slices.Clone(h.Within)
	_ = h.with(1)
	if h.Count != 3 || h.Seconds != 100.205 || !slices.Equal(h.Within, before) {
		t.Errorf("%+v", h)
	}
	if want := []uint64{1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2}; !slices.Equal(h.Within, want) {
		t.Errorf("%v, want %v", h.Within, want)
	}
}
