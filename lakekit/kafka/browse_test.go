package kafka_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/kafka/kafkatest"
)

// fill makes the topic: message i of n has the time i and is in partition
// i mod 3; partition 3 of the topic is empty.
func fill(t *testing.T, c kafka.Config, topic string, n int) {
	t.Helper()
	createTopic(t, c, topic, 4)
	p, err := confluent.NewProducer(&confluent.ConfigMap{"bootstrap.servers": c.Servers()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	reports := make(chan confluent.Event, n)
	for i := range n {
		err := p.Produce(&confluent.Message{
			TopicPartition: confluent.TopicPartition{Topic: &topic, Partition: int32(i % 3)},
			Key:            fmt.Appendf(nil, "%d", i),
			Timestamp:      time.UnixMilli(int64(i + 1)),
		}, reports)
		if err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		if m := (<-reports).(*confluent.Message); m.TopicPartition.Error != nil {
			t.Fatal(m.TopicPartition.Error)
		}
	}
}

func keys(messages []api.Message) string {
	var keys []string
	for _, m := range messages {
		keys = append(keys, string(m.Key))
	}
	return strings.Join(keys, " ")
}

func TestBrowse(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		fill(t, c, name("filled"), 12)
		for _, test := range []struct {
			name    string
			options kafka.BrowseOptions
			want    string
		}{
			{"all", kafka.BrowseOptions{Partition: -1, Offset: kafka.Earliest, Limit: 100}, "0 1 2 3 4 5 6 7 8 9 10 11"},
			{"default limit", kafka.BrowseOptions{Partition: -1, Offset: kafka.Earliest}, "0 1 2 3 4 5 6 7 8 9"},
			{"first", kafka.BrowseOptions{Partition: -1, Offset: kafka.Earliest, Limit: 4}, "0 1 2 3"},
			{"last", kafka.BrowseOptions{Partition: -1, Offset: kafka.Latest, Limit: 4}, "8 9 10 11"},
			{"from an offset", kafka.BrowseOptions{Partition: -1, Offset: 3, Limit: 100}, "9 10 11"},
			{"one partition", kafka.BrowseOptions{Partition: 1, Offset: 1, Limit: 2}, "4 7"},
			{"end of one partition", kafka.BrowseOptions{Partition: 2, Offset: kafka.Latest, Limit: 1}, "11"},
			{"after the end", kafka.BrowseOptions{Partition: 0, Offset: 4, Limit: 5}, ""},
			{"empty partition", kafka.BrowseOptions{Partition: 3, Offset: 0, Limit: 5}, ""},
			{"end of an empty partition", kafka.BrowseOptions{Partition: 3, Offset: kafka.Latest, Limit: 5}, ""},
		} {
			t.Run(test.name, func(t *testing.T) {
				messages, err := kafka.Browse(t.Context(), c, name("filled"), test.options)
				if err != nil || keys(messages) != test.want {
					t.Errorf("got %q (%v), want %q", keys(messages), err, test.want)
				}
			})
		}
	})
}

func TestBrowseLeavesNoTrace(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		fill(t, c, name("filled"), 12)
		if _, err := kafka.Browse(t.Context(), c, name("filled"), kafka.BrowseOptions{Partition: -1, Offset: kafka.Earliest, Limit: 12}); err != nil {
			t.Fatal(err)
		}
		admin, err := confluent.NewAdminClient(&confluent.ConfigMap{"bootstrap.servers": c.Servers()})
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		groups, err := admin.ListConsumerGroups(t.Context())
		if err != nil || len(groups.Valid) != 0 {
			t.Errorf("groups %v (%v), want none", groups.Valid, err)
		}
	})
}

func TestBrowseReturnsTheMessageAsItIs(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		createTopic(t, c, name("one"), 1)
		p, err := confluent.NewProducer(&confluent.ConfigMap{"bootstrap.servers": c.Servers()})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		topic, reports := name("one"), make(chan confluent.Event, 2)
		at := time.Date(2009, 6, 15, 17, 26, 21, 123e6, time.UTC)
		for _, m := range []confluent.Message{
			{Key: []byte("k"), Value: nil, Timestamp: at, Headers: []confluent.Header{{Key: "h", Value: []byte("1")}, {Key: "h", Value: []byte("2")}}},
			{Key: nil, Value: []byte{}, Timestamp: at},
		} {
			m.TopicPartition = confluent.TopicPartition{Topic: &topic}
			if err := p.Produce(&m, reports); err != nil {
				t.Fatal(err)
			}
			<-reports
		}
		got, err := kafka.Browse(t.Context(), c, topic, kafka.BrowseOptions{Limit: 2})
		if err != nil || len(got) != 2 {
			t.Fatalf("%d messages (%v)", len(got), err)
		}
		m := got[0]
		if m.Partition != 0 || m.Offset != 0 || !m.Timestamp.Equal(at) || string(m.Key) != "k" || m.Value != nil {
			t.Errorf("message %+v", m)
		}
		if len(m.Headers) != 2 || m.Headers[0].Key != "h" || string(m.Headers[0].Value) != "1" || string(m.Headers[1].Value) != "2" {
			t.Errorf("headers %v", m.Headers)
		}
		if m := got[1]; m.Offset != 1 || m.Key != nil || m.Value == nil || len(m.Value) != 0 {
			t.Errorf("null key and empty value came back as %v and %v", m.Key, m.Value)
		}
	})
}

// Producers write whatever number they like as a timestamp. It is shown as it
// is, and as a time where it stands for one.
func TestBrowseShowsEveryTimestamp(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		topic := name("times")
		if _, err := newAdmin(t, c).CreateTopic(t.Context(), kafka.TopicSpec{Name: topic, Partitions: 1, Configs: map[string]string{
			"message.timestamp.before.max.ms": fmt.Sprint(math.MaxInt64), "message.timestamp.after.max.ms": fmt.Sprint(math.MaxInt64),
		}}); err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			ms   int64
			want string // "": no time
		}{
			{math.MinInt64, ""}, {math.MinInt64 + 1, ""}, {-62_135_596_800_001, ""}, {-2, "1969-12-31T23:59:59.998Z"}, {-1, ""}, {0, "1970-01-01T00:00:00Z"},
			{1_245_086_781_123, "2009-06-15T17:26:21.123Z"},
			{253_402_300_799_999, "9999-12-31T23:59:59.999Z"}, {253_402_300_800_000, ""},
			{1_245_086_781_123_456, ""},     // microseconds
			{1_245_086_781_123_456_789, ""}, // nanoseconds
			{9_223_372_036_854_776, ""},     // a thousand times that is no int64
			{math.MaxInt64, ""},
		} {
			if err := kafkatest.Send(t.Context(), c.Servers(), topic, kafkatest.Record{TimestampMs: test.ms, Value: []byte("x")}); err != nil {
				t.Fatalf("%d: %v", test.ms, err)
			}
			got, err := kafka.Browse(t.Context(), c, topic, kafka.BrowseOptions{Offset: kafka.Earliest, Limit: 100})
			if err != nil {
				t.Fatal(err)
			}
			m := got[slices.IndexFunc(got, func(m api.Message) bool { return m.Offset == int64(len(got)-1) })]
			data, err := json.Marshal(m)
			if err != nil {
				t.Errorf("%d: %v", test.ms, err)
				continue
			}
			want := fmt.Sprintf(`"timestampMs":%d,`, test.ms)
			if test.want != "" {
				want = fmt.Sprintf(`"timestamp":%q,`, test.want) + want
			}
			if !strings.Contains(string(data), want) || test.want == "" && !m.Timestamp.IsZero() {
				t.Errorf("%d: %s, want %s", test.ms, data, want)
			}
			if !slices.IsSortedFunc(got, func(x, y api.Message) int { return cmp.Compare(x.TimestampMs, y.TimestampMs) }) {
				t.Errorf("not in the order of time: %+v", got)
			}
		}
	})
}

func TestBrowseRefuses(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		createTopic(t, c, name("there"), 2)
		for _, test := range []struct {
			name    string
			topic   string
			options kafka.BrowseOptions
			is      error
			says    string
		}{
			{"missing topic", name("absent"), kafka.BrowseOptions{}, kafka.ErrTopicNotFound, "check the name"},
			{"topic name", "a b", kafka.BrowseOptions{}, kafka.ErrTopicName, "letters"},
			{"missing partition", name("there"), kafka.BrowseOptions{Partition: 2}, kafka.ErrPartitionNotFound, "0 to 1"},
			{"offset", name("there"), kafka.BrowseOptions{Offset: -3}, nil, "-2 earliest"},
			{"limit", name("there"), kafka.BrowseOptions{Limit: -1}, nil, "limit -1"},
		} {
			t.Run(test.name, func(t *testing.T) {
				_, err := kafka.Browse(t.Context(), c, test.topic, test.options)
				if err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("error %v, want %v saying %q", err, test.is, test.says)
				}
			})
		}
	})
}

// TestBrowseIsBounded in bytes as well as in messages.
func TestBrowseIsBounded(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		createTopic(t, c, name("large"), 1)
		const messages = 40
		source := &repeated{value: make([]byte, 900_000)}
		if _, err := kafka.Produce(t.Context(), c, source, kafka.ProduceOptions{Topic: name("large"), Records: messages}); err != nil {
			t.Fatal(err)
		}
		_, err := kafka.Browse(t.Context(), c, name("large"), kafka.BrowseOptions{Partition: kafka.AllPartitions, Limit: messages})
		if !errors.Is(err, kafka.ErrOptions) || !strings.Contains(err.Error(), "set a smaller limit") {
			t.Errorf("all of them: %v", err)
		}
		for _, offset := range []int64{kafka.Earliest, kafka.Latest} {
			some, err := kafka.Browse(t.Context(), c, name("large"), kafka.BrowseOptions{Partition: kafka.AllPartitions, Offset: offset, Limit: messages / 2})
			if err != nil || len(some) != messages/2 {
				t.Errorf("half of them: %d, %v", len(some), err)
			}
		}
	})
}

// repeated is a source of one value, without end.
type repeated struct{ value []byte }

func (r *repeated) Next() (key, value []byte, err error) { return nil, r.value, nil }
