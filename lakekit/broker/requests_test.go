package broker_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"taxilake/lakekit/kafka/kafkatest"
)

func defaults(and ...string) map[string]string {
	m := map[string]string{"retention.ms": "-1", "retention.bytes": "2147483648", "segment.bytes": "16777216"}
	for _, c := range and {
		key, value, _ := strings.Cut(c, "=")
		m[key] = value
	}
	return m
}

func TestCreateTopicsAnswersAsKafka(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	c := client(t, addr)
	mustCreate(t, c, newTopic("taken"))
	counts := func(partitions int32, replicas int16) kmsg.CreateTopicsRequestTopic {
		topic := newTopic("counts")
		topic.NumPartitions, topic.ReplicationFactor = partitions, replicas
		return topic
	}
	placed := func(name string, on ...int32) kmsg.CreateTopicsRequestTopic {
		topic := newTopic(name)
		topic.NumPartitions, topic.ReplicationFactor = -1, -1
		topic.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Replicas: on}}
		return topic
	}
	null := newTopic("null", "retention.ms=")
	null.Configs[0].Value = nil
	for _, test := range []struct {
		name  string
		topic kmsg.CreateTopicsRequestTopic
		want  *kerr.Error // nil: made
	}{
		{"all characters", newTopic("aZ09._-"), nil},
		{"longest name", newTopic(strings.Repeat("x", 249)), nil},
		{"too long", newTopic(strings.Repeat("x", 250)), kerr.InvalidTopicException},
		{"empty", newTopic(""), kerr.InvalidTopicException},
		{"dot", newTopic("."), kerr.InvalidTopicException},
		{"two dots", newTopic(".."), kerr.InvalidTopicException},
		{"blank", newTopic("bad name!"), kerr.InvalidTopicException},
		{"slash", newTopic("../../etc"), kerr.InvalidTopicException},
		{"the groups' offsets", newTopic("__consumer_offsets"), kerr.InvalidTopicException},
		{"the transactions' states", newTopic("__transaction_state"), kerr.InvalidTopicException},
		{"the cluster's metadata", newTopic("__cluster_metadata"), kerr.InvalidTopicException},
		{"two underscores", newTopic("__mine"), nil},
		{"a dot where another has an underscore", newTopic("..mine"), kerr.InvalidTopicException},
		{"not ASCII", newTopic("täxi"), kerr.InvalidTopicException},
		{"taken", newTopic("taken"), kerr.TopicAlreadyExists},
		{"no partitions", counts(0, 1), kerr.InvalidPartitions},
		{"negative partitions", counts(-2, 1), kerr.InvalidPartitions},
		{"too many partitions", counts(10_001, 1), kerr.PolicyViolation},
		{"no replicas", counts(1, 0), kerr.InvalidReplicationFactor},
		{"too many replicas", counts(1, 3), kerr.InvalidReplicationFactor},
		{"default counts", counts(-1, -1), nil},
		{"on the broker", placed("placed", 0), nil},
		{"on no broker", placed("p1"), kerr.InvalidReplicaAssignment},
		{"on another broker", placed("p2", 99), kerr.InvalidReplicaAssignment},
		{"twice on the broker", placed("p3", 0, 0), kerr.InvalidReplicaAssignment},
		{"settings", newTopic("settings", "cleanup.policy=compact, delete", "compression.type=producer", "min.cleanable.dirty.ratio=0.5", "preallocate=False", "segment.bytes= 1048576 ", "leader.replication.throttled.replicas=0:1,1:0"), nil},
		{"unknown setting", newTopic("s1", "retention=1"), kerr.InvalidConfig},
		{"null", null, kerr.InvalidConfig},
		{"not a number", newTopic("s2", "retention.ms=abc"), kerr.InvalidConfig},
		{"too small", newTopic("s3", "retention.ms=-2"), kerr.InvalidConfig},
		{"too large", newTopic("s4", "max.message.bytes=2147483648"), kerr.InvalidConfig},
		{"not in the list", newTopic("s5", "cleanup.policy=forget"), kerr.InvalidConfig},
		{"not a codec", newTopic("s6", "compression.type=zip"), kerr.InvalidConfig},
		{"not a fraction", newTopic("s7", "min.cleanable.dirty.ratio=NaN"), kerr.InvalidConfig},
		{"not a boolean", newTopic("s8", "preallocate=1"), kerr.InvalidConfig},
		{"not replicas", newTopic("s9", "follower.replication.throttled.replicas=0"), kerr.InvalidConfig},
		{"no such level", newTopic("s10", "compression.gzip.level=0"), kerr.InvalidConfig},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := create(t, c, test.topic)[0]
			if got := kerr.ErrorForCode(answer.ErrorCode); test.want == nil && got != nil || test.want != nil && got != test.want {
				t.Errorf("answer %v, want %v", got, test.want)
			}
			checked := test.want != nil && test.want != kerr.TopicAlreadyExists && test.topic.Topic != "..mine"
			if checked && (answer.ErrorMessage == nil || *answer.ErrorMessage == "") {
				t.Error("no message")
			}
		})
	}
}

func TestABadTopicRefusesThoseBesideIt(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	c := client(t, addr)
	answers := create(t, c, newTopic("good"), newTopic("bad name!"))
	for i, want := range []*kerr.Error{kerr.InvalidRequest, kerr.InvalidTopicException} {
		if got := kerr.ErrorForCode(answers[i].ErrorCode); got != want {
			t.Errorf("answer for %s is %v, want %v", answers[i].Topic, got, want)
		}
	}
	mustCreate(t, c, newTopic("good"))
}

func TestEveryTopicHasRetention(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	c := client(t, addr)
	for _, test := range []struct {
		name   string
		create []string
		alter  func(t *testing.T, topic string) error
		want   map[string]string
	}{
		{"none-given", nil, nil, defaults()},
		{"one-given", []string{"retention.ms=1000"}, nil, defaults("retention.ms=1000")},
		{"both-given", []string{"retention.ms=1000", "retention.bytes=-1"}, nil, defaults("retention.ms=1000", "retention.bytes=-1")},
		{"replaced", []string{"retention.ms=1000"}, func(t *testing.T, topic string) error {
			return alterAll(t, c, topic, "segment.bytes=1048576")
		}, defaults("segment.bytes=1048576")},
		{"no more than before", []string{"segment.bytes=1048576"}, func(t *testing.T, topic string) error {
			return alterAll(t, c, topic)
		}, defaults()},
		{"deleted", []string{"retention.ms=1000", "segment.bytes=1048576"}, func(t *testing.T, topic string) error {
			return alter(t, c, topic, kmsg.IncrementalAlterConfigOpDelete, "retention.ms", "segment.bytes")
		}, defaults()},
		{"compacted only", []string{"cleanup.policy=compact"}, nil, defaults("cleanup.policy=compact", "retention.bytes=-1")},
		{"compacted and cut", []string{"cleanup.policy=compact,delete"}, nil, defaults("cleanup.policy=compact,delete")},
		{"compacted only from now on", nil, func(t *testing.T, topic string) error {
			return alter(t, c, topic, kmsg.IncrementalAlterConfigOpSet, "cleanup.policy=compact")
		}, defaults("cleanup.policy=compact", "retention.bytes=-1")},
		{"cut again", []string{"cleanup.policy=compact"}, func(t *testing.T, topic string) error {
			return alter(t, c, topic, kmsg.IncrementalAlterConfigOpDelete, "cleanup.policy")
		}, defaults()},
		{"appended and taken away", []string{"retention.ms=1000"}, func(t *testing.T, topic string) error {
			return errors.Join(alter(t, c, topic, kmsg.IncrementalAlterConfigOpAppend, "cleanup.policy=compact"), alter(t, c, topic, kmsg.IncrementalAlterConfigOpSubtract, "cleanup.policy=compact"))
		}, defaults("retention.ms=1000", "cleanup.policy=delete")},
		{"spaces", []string{"retention.ms= 1000 "}, nil, defaults("retention.ms=1000")},
		{"set", nil, func(t *testing.T, topic string) error {
			return alter(t, c, topic, kmsg.IncrementalAlterConfigOpSet, "retention.ms=5000")
		}, defaults("retention.ms=5000")},
	} {
		t.Run(test.name, func(t *testing.T) {
			topic := strings.ReplaceAll(test.name, " ", "-")
			mustCreate(t, c, newTopic(topic, test.create...))
			if test.alter != nil {
				if err := test.alter(t, topic); err != nil {
					t.Fatal(err)
				}
			}
			if got := ownConfigs(t, c, topic); !maps.Equal(got, test.want) {
				t.Errorf("settings %v, want %v", got, test.want)
			}
		})
	}
}

func TestAlterConfigsRefuses(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	c := client(t, addr)
	mustCreate(t, c, newTopic("kept"))
	for _, config := range []string{"retention.ms=abc", "retention=1", "compression.type=lz4", "segment.bytes=14"} {
		if err := alterAll(t, c, "kept", config); err != kerr.InvalidConfig {
			t.Errorf("alter %s: %v, want %v", config, err, kerr.InvalidConfig)
		}
		if err := alter(t, c, "kept", kmsg.IncrementalAlterConfigOpSet, config); err != kerr.InvalidConfig {
			t.Errorf("alter incrementally %s: %v, want %v", config, err, kerr.InvalidConfig)
		}
	}
	if got := ownConfigs(t, c, "kept"); !maps.Equal(got, defaults()) {
		t.Errorf("settings %v, want them unchanged", got)
	}
}

func alterAll(t *testing.T, c *kgo.Client, topic string, configs ...string) error {
	t.Helper()
	resource := kmsg.NewAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	for _, s := range configs {
		key, value, _ := strings.Cut(s, "=")
		config := kmsg.NewAlterConfigsRequestResourceConfig()
		config.Name, config.Value = key, &value
		resource.Configs = append(resource.Configs, config)
	}
	req := kmsg.NewPtrAlterConfigsRequest()
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return kerr.ErrorForCode(resp.Resources[0].ErrorCode)
}

func alter(t *testing.T, c *kgo.Client, topic string, op kmsg.IncrementalAlterConfigOp, configs ...string) error {
	t.Helper()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	for _, s := range configs {
		key, value, isSet := strings.Cut(s, "=")
		config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		config.Name, config.Op = key, op
		if isSet {
			config.Value = &value
		}
		resource.Configs = append(resource.Configs, config)
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return kerr.ErrorForCode(resp.Resources[0].ErrorCode)
}

// What kfake would take as a default of all topics and not apply is refused.
func TestBrokerDefaultsAreRefused(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	c := client(t, addr)
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType = kmsg.ConfigResourceTypeBroker
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	value := "LogAppendTime"
	config.Name, config.Value = "log.message.timestamp.type", &value
	resource.Configs = append(resource.Configs, config)
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if got := kerr.ErrorForCode(resp.Resources[0].ErrorCode); got != kerr.InvalidConfig {
		t.Errorf("%v, want %v", got, kerr.InvalidConfig)
	}
}

// A batch whose producer says that the broker set its timestamps is stored as
// any other, and is still there after the next start.
func TestBatchesOfTheBrokersTimeAreKept(t *testing.T) {
	dir := t.TempDir()
	addr, stop := serve(t, dir)
	mustCreate(t, client(t, addr), newTopic("times"))
	const at = 1_245_086_781_000
	answers, err := kafkatest.Produce(t.Context(), addr, "times", kafkatest.Batch(8, kafkatest.Record{TimestampMs: at, Value: []byte("v")}))
	if err != nil || answers[0].ErrorCode != 0 {
		t.Fatal(err, answers)
	}
	stop()
	addr, _ = serve(t, dir)
	c := client(t, addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"times": {0: kgo.NewOffset().At(0)}}))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	records := c.PollFetches(ctx).Records()
	if len(records) != 1 || string(records[0].Value) != "v" || records[0].Timestamp.UnixMilli() != at {
		t.Errorf("records %+v", records)
	}
}
