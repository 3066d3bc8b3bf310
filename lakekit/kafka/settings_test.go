package kafka_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kerr"

	"taxilake/lakekit/kafka"
	"taxilake/lakekit/kafka/kafkatest"
)

// The embedded broker takes the topic settings that Kafka takes, with the values
// that Kafka takes, but for those that it would not apply: these it refuses by
// their name.
func TestTopicSettings(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		embedded := name("") == ""
		a := newAdmin(t, c)
		for i, test := range []struct {
			settings string
			taken    bool
			notHere  bool // taken by Kafka, refused by name by the embedded broker
		}{
			{"retention.ms=abc", false, false}, {"retention.ms=-2", false, false}, {"retention.ms=", false, false}, {"retention.ms=1e3", false, false},
			{"retention.ms=99999999999999999999", false, false}, {"retention.ms= 5000 ", true, false}, {"retention.ms=+5000", true, false}, {"retention.bytes=-5", true, false},
			{"retention=5", false, false}, {"message.timestamp.difference.max.ms=5", false, false}, {"message.format.version=3.0", false, false},
			{"cleanup.policy=none", false, false}, {"cleanup.policy=delete,", false, false}, {"cleanup.policy=compact", true, false}, {"cleanup.policy=compact,delete", true, false},
			{"cleanup.policy=compact retention.ms=1000", true, true}, {"cleanup.policy=compact,delete retention.ms=1000", true, false},
			{"delete.retention.ms=-1", false, false}, {"delete.retention.ms=1000", true, false},
			{"max.message.bytes=-1", false, false}, {"max.message.bytes=1000", true, false},
			{"message.timestamp.type=logappendtime", false, false}, {"message.timestamp.type=CreateTime", true, false}, {"message.timestamp.type=LogAppendTime", true, true},
			{"message.timestamp.before.max.ms=-1", false, false}, {"message.timestamp.before.max.ms=1000", true, false},
			{"message.timestamp.after.max.ms=abc", false, false}, {"message.timestamp.after.max.ms=1000", true, false},
			{"min.insync.replicas=0", false, false}, {"min.insync.replicas=1", true, false}, {"min.insync.replicas=2", true, false},
			{"compression.type=zip", false, false}, {"compression.type=producer", true, false}, {"compression.type=lz4", true, true}, {"compression.gzip.level=0", false, false},
			{"segment.bytes=1048575", false, false}, {"segment.bytes=1048576", true, false}, {"segment.ms=0", false, false}, {"segment.ms=1000", true, true},
			{"segment.jitter.ms=-1", false, false}, {"segment.jitter.ms=1000", true, true}, {"segment.index.bytes=3", false, false}, {"segment.index.bytes=1000", true, true},
			{"flush.ms=-1", false, false}, {"flush.ms=1000", true, true}, {"flush.messages=0", false, false}, {"flush.messages=1", true, true}, {"flush.messages=9223372036854775807", true, false},
			{"unclean.leader.election.enable=yes", false, false}, {"unclean.leader.election.enable=TRUE", true, false},
			{"preallocate=1", false, false}, {"preallocate=true", true, true}, {"index.interval.bytes=-1", false, false}, {"index.interval.bytes=1", true, true},
			{"min.cleanable.dirty.ratio=2", false, false}, {"min.cleanable.dirty.ratio=0.1", true, true}, {"min.compaction.lag.ms=1000", true, true}, {"max.compaction.lag.ms=0", false, false},
			{"file.delete.delay.ms=-1", false, false}, {"file.delete.delay.ms=1", true, true}, {"leader.replication.throttled.replicas=x", false, false}, {"leader.replication.throttled.replicas=0:1", true, false},
		} {
			configs := map[string]string{}
			last := ""
			for setting := range strings.SplitSeq(strings.ReplaceAll(test.settings, " retention", "|retention"), "|") {
				var value string
				last, value, _ = strings.Cut(setting, "=")
				configs[last] = value
			}
			topic := name(fmt.Sprintf("settings-%d", i))
			_, err := a.CreateTopic(t.Context(), kafka.TopicSpec{Name: topic, Partitions: 1, Configs: configs})
			if want := test.taken && !(embedded && test.notHere); (err == nil) != want {
				t.Errorf("create with %s: %v, taken should be %v", test.settings, err, want)
			}
			if err != nil && !strings.Contains(err.Error(), last) {
				t.Errorf("create with %s: %v does not name it", test.settings, err)
			}
		}
	})
}

// What a setting asks of records is asked of them, and only of the partition
// with the bad ones.
func TestTopicSettingsApply(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		now := time.Now().UnixMilli()
		at := func(ms ...int64) []byte {
			var records []kafkatest.Record
			for _, ms := range ms {
				records = append(records, kafkatest.Record{TimestampMs: ms, Key: []byte("k"), Value: []byte("v")})
			}
			return kafkatest.Batch(0, records...)
		}
		large := kafkatest.Batch(0, kafkatest.Record{TimestampMs: now, Key: []byte("k"), Value: make([]byte, 2000)})
		noKey := kafkatest.Batch(0, kafkatest.Record{TimestampMs: now, Value: []byte("v")})
		always := map[string]string{"message.timestamp.after.max.ms": fmt.Sprint(math.MaxInt64)}
		for i, test := range []struct {
			name    string
			configs map[string]string
			batch   []byte
			want    *kerr.Error // nil: stored
		}{
			{"a usual record", nil, at(now), nil},
			{"no timestamp", map[string]string{"message.timestamp.before.max.ms": "600000", "message.timestamp.after.max.ms": "600000"}, at(-1), nil},
			{"within the bounds", map[string]string{"message.timestamp.before.max.ms": "600000", "message.timestamp.after.max.ms": "600000"}, at(now-300_000, now+300_000), nil},
			{"too early", map[string]string{"message.timestamp.before.max.ms": "600000"}, at(now - 900_000), kerr.InvalidTimestamp},
			{"one of them too early", map[string]string{"message.timestamp.before.max.ms": "600000"}, at(now, now-900_000, now), kerr.InvalidTimestamp},
			{"0 is too early", map[string]string{"message.timestamp.before.max.ms": "600000"}, at(0), kerr.InvalidTimestamp},
			{"too late", map[string]string{"message.timestamp.after.max.ms": "600000"}, at(now + 900_000), kerr.InvalidTimestamp},
			{"microseconds", map[string]string{"message.timestamp.after.max.ms": "600000"}, at(now * 1000), kerr.InvalidTimestamp},
			{"microseconds where all may come", always, at(now*1000, math.MaxInt64), nil},
			{"a batch of the broker's time", nil, kafkatest.Batch(8, kafkatest.Record{TimestampMs: now, Key: []byte("k")}), nil},
			{"too large", map[string]string{"max.message.bytes": "1000"}, large, kerr.MessageTooLarge},
			{"as large as may be", map[string]string{"max.message.bytes": fmt.Sprint(len(large))}, large, nil},
			{"a byte too large", map[string]string{"max.message.bytes": fmt.Sprint(len(large) - 1)}, large, kerr.MessageTooLarge},
			{"more replicas than there are", map[string]string{"min.insync.replicas": "2"}, at(now), nil},
			{"a compacted topic", map[string]string{"cleanup.policy": "compact"}, at(now), nil},
			{"a compacted topic without a key", map[string]string{"cleanup.policy": "compact,delete"}, noKey, kerr.InvalidRecord},
			{"no key", nil, noKey, nil},
		} {
			topic := name(fmt.Sprintf("records-%d", i))
			if _, err := newAdmin(t, c).CreateTopic(t.Context(), kafka.TopicSpec{Name: topic, Partitions: 2, Configs: test.configs}); err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
			good := at(now)
			answers, err := kafkatest.Produce(t.Context(), c.Servers(), topic, good, test.batch)
			if err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
			if got := kerr.ErrorForCode(answers[1].ErrorCode); (test.want == nil) != (got == nil) || test.want != nil && got != test.want {
				t.Errorf("%s: %v, want %v", test.name, got, test.want)
			}
			if beside := kerr.ErrorForCode(answers[0].ErrorCode); beside != nil {
				t.Errorf("%s: the good one beside it: %v", test.name, beside)
			}
			// Nothing of one request is left for the next.
			if err := kafkatest.Send(t.Context(), c.Servers(), topic, kafkatest.Record{TimestampMs: now, Key: []byte("k"), Value: []byte("v")}); err != nil {
				t.Errorf("%s: a good record after it: %v", test.name, err)
			}
		}
	})
}

func TestAlterTopicSettings(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		createTopic(t, c, name("altered"), 2)
		client, err := confluent.NewAdminClient(&confluent.ConfigMap{"bootstrap.servers": c.Servers()})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		alter := func(setting, value string, operation confluent.AlterConfigOpType) error {
			results, err := client.IncrementalAlterConfigs(t.Context(), []confluent.ConfigResource{{
				Type: confluent.ResourceTopic, Name: name("altered"), Config: []confluent.ConfigEntry{{Name: setting, Value: value, IncrementalOperation: operation}},
			}})
			if err != nil {
				return err
			}
			if results[0].Error.Code() != confluent.ErrNoError {
				return results[0].Error
			}
			return nil
		}
		for _, test := range []struct {
			setting, value string
			operation      confluent.AlterConfigOpType
			taken          bool
		}{
			{"retention.ms", "abc", confluent.AlterConfigOpTypeSet, false},
			{"retention.ms", "60000", confluent.AlterConfigOpTypeSet, true},
			{"retention", "1", confluent.AlterConfigOpTypeSet, false},
			{"cleanup.policy", "forget", confluent.AlterConfigOpTypeAppend, false},
			{"cleanup.policy", "compact", confluent.AlterConfigOpTypeAppend, true},
			{"cleanup.policy", "compact", confluent.AlterConfigOpTypeSubtract, true},
			{"retention.ms", "", confluent.AlterConfigOpTypeDelete, true},
			{"cleanup.policy", "compact", confluent.AlterConfigOpTypeSet, true},
			{"segment.bytes", "14", confluent.AlterConfigOpTypeSet, false},
		} {
			if err := alter(test.setting, test.value, test.operation); (err == nil) != test.taken {
				t.Errorf("%v %s=%s: %v, taken should be %v", test.operation, test.setting, test.value, err, test.taken)
			}
		}
		for count, taken := range map[int]bool{1: false, 2: false} {
			results, err := client.CreatePartitions(t.Context(), []confluent.PartitionsSpecification{{Topic: name("altered"), IncreaseTo: count}})
			if err != nil {
				t.Fatal(err)
			}
			if got := results[0].Error.Code() == confluent.ErrNoError; got != taken {
				t.Errorf("%d partitions for a topic of 2: %v", count, results[0].Error)
			}
		}
		results, err := client.CreatePartitions(t.Context(), []confluent.PartitionsSpecification{{Topic: name("altered"), IncreaseTo: 3}})
		if err != nil || results[0].Error.Code() != confluent.ErrNoError {
			t.Errorf("a third partition: %v, %v", results, err)
		}
	})
}
