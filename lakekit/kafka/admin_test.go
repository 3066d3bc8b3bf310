package kafka_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/broker"
	"taxilake/lakekit/kafka"
)

func TestCluster(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		info, err := newAdmin(t, c).Cluster(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.ID == "" || len(info.Brokers) != 1 || info.ControllerID != info.Brokers[0].ID || info.Brokers[0].Host == "" || info.Brokers[0].Port == 0 {
			t.Errorf("cluster %+v", info)
		}
	})
}

func TestCreateTopic(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		a := newAdmin(t, c)
		spec := kafka.TopicSpec{Name: name("nyc_taxi_data"), Partitions: 3, ReplicationFactor: 1, Configs: map[string]string{"retention.ms": "60000"}}
		first, err := a.CreateTopic(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if first.Name != spec.Name || first.ID == "" || len(first.Partitions) != 3 || first.Records() != 0 {
			t.Errorf("topic %+v", first)
		}
		for i, p := range first.Partitions {
			if p.Partition != int32(i) || p.Leader < 0 || len(p.Replicas) != 1 || len(p.InSyncReplicas) != 1 {
				t.Errorf("partition %+v", p)
			}
		}
		if first.Configs["retention.ms"] != "60000" {
			t.Errorf("configs %v, want what was asked for", first.Configs)
		}

		again, err := a.CreateTopic(t.Context(), spec)
		if err != nil || again.ID != first.ID {
			t.Errorf("created again: id %s (%v), want the same topic %s", again.ID, err, first.ID)
		}
		spec.Partitions = 6
		_, err = a.CreateTopic(t.Context(), spec)
		if !errors.Is(err, kafka.ErrPartitionCount) || !strings.Contains(err.Error(), "has 3, 6 were asked for") || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("another partition count: %v", err)
		}
		spec.Partitions = 0
		if _, err = a.CreateTopic(t.Context(), spec); err != nil {
			t.Errorf("no partition count: %v", err)
		}

		// Settings asked for hold, or it is said that they do not.
		for asked, is := range map[string]error{
			"retention.ms=060000":            nil, // as Kafka reads it
			"retention.ms=70000":             kafka.ErrTopicSettings,
			"cleanup.policy=delete, compact": kafka.ErrTopicSettings,
			"cleanup.policy=delete":          nil, // by default, not by a setting of its own
		} {
			key, value, _ := strings.Cut(asked, "=")
			spec.Configs = map[string]string{key: value}
			_, err := a.CreateTopic(t.Context(), spec)
			if !errors.Is(err, is) || is != nil && (!strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), value)) {
				t.Errorf("created again with %s: %v, want %v", asked, err, is)
			}
		}
	})
}

func TestCreateTopicRefuses(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		a := newAdmin(t, c)
		for _, test := range []struct {
			name string
			spec kafka.TopicSpec
			is   error
			says string
		}{
			{"empty name", kafka.TopicSpec{}, kafka.ErrTopicName, `""`},
			{"blank in name", kafka.TopicSpec{Name: "bad name!"}, kafka.ErrTopicName, "letters"},
			{"dots", kafka.TopicSpec{Name: ".."}, kafka.ErrTopicName, ".."},
			{"long name", kafka.TopicSpec{Name: strings.Repeat("a", 250)}, kafka.ErrTopicName, "249"},
			{"negative partitions", kafka.TopicSpec{Name: name("a"), Partitions: -3}, nil, "create topic " + name("a")},
			{"replicas", kafka.TopicSpec{Name: name("a"), ReplicationFactor: 3}, nil, "leave the replication factor to the cluster"},
			{"unknown setting", kafka.TopicSpec{Name: name("a"), Configs: map[string]string{"retention": "1"}}, nil, "retention"},
			{"bad value", kafka.TopicSpec{Name: name("a"), Configs: map[string]string{"retention.ms": "abc"}}, nil, "retention.ms"},
		} {
			t.Run(test.name, func(t *testing.T) {
				_, err := a.CreateTopic(t.Context(), test.spec)
				if err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("error %v, want %v saying %q", err, test.is, test.says)
				}
			})
		}
		if _, err := a.DescribeTopic(t.Context(), name("a")); !errors.Is(err, kafka.ErrTopicNotFound) {
			t.Errorf("a topic that was refused: %v", err)
		}
	})
}

func TestTopicsWithOffsets(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		a := newAdmin(t, c)
		createTopic(t, c, name("b"), 3)
		createTopic(t, c, name("a"), 1)
		if _, err := kafka.Produce(t.Context(), c, newNumbered(1_000, 10), kafka.ProduceOptions{Topic: name("b")}); err != nil {
			t.Fatal(err)
		}
		topics, err := a.Topics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		topics = slices.DeleteFunc(topics, func(i api.TopicInfo) bool { return !strings.HasPrefix(i.Name, name("")) })
		if len(topics) != 2 || topics[0].Name != name("a") || topics[1].Name != name("b") || topics[0].Records() != 0 || topics[1].Records() != 1_000 {
			t.Errorf("topics %+v", topics)
		}
		for _, p := range topics[1].Partitions {
			if p.EarliestOffset != 0 || p.LatestOffset == 0 {
				t.Errorf("partition %+v, want records in each", p)
			}
		}
	})
}

func TestDeleteTopic(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		a := newAdmin(t, c)
		before, err := a.CreateTopic(t.Context(), kafka.TopicSpec{Name: name("again"), Partitions: 3})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.DeleteTopic(t.Context(), name("again")); err != nil {
			t.Fatal(err)
		}
		if _, err := a.DescribeTopic(t.Context(), name("again")); !errors.Is(err, kafka.ErrTopicNotFound) {
			t.Errorf("describe a deleted topic: %v", err)
		}
		if err := a.DeleteTopic(t.Context(), name("again")); !errors.Is(err, kafka.ErrTopicNotFound) {
			t.Errorf("delete a deleted topic: %v", err)
		}
		after, err := a.CreateTopic(t.Context(), kafka.TopicSpec{Name: name("again"), Partitions: 6})
		if err != nil || after.ID == before.ID || len(after.Partitions) != 6 {
			t.Errorf("made again: %+v (%v), want another id than %s and 6 partitions", after, err, before.ID)
		}
	})
}

func TestAdminWithoutABroker(t *testing.T) {
	addr, stop := serve(t, broker.Options{Dir: t.TempDir()})
	stop() // nothing listens at addr now
	a := newAdmin(t, kafka.Config{"bootstrap.servers": addr})
	for name, call := range map[string]func(context.Context) error{
		"cluster":  func(ctx context.Context) error { _, err := a.Cluster(ctx); return err },
		"topics":   func(ctx context.Context) error { _, err := a.Topics(ctx); return err },
		"describe": func(ctx context.Context) error { _, err := a.DescribeTopic(ctx, "any"); return err },
		"create": func(ctx context.Context) error {
			_, err := a.CreateTopic(ctx, kafka.TopicSpec{Name: "any"})
			return err
		},
		"delete": func(ctx context.Context) error { return a.DeleteTopic(ctx, "any") },
		"browse": func(ctx context.Context) error {
			_, err := kafka.Browse(ctx, kafka.Config{"bootstrap.servers": addr}, "any", kafka.BrowseOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if err := call(ctx); !errors.Is(err, kafka.ErrNoBroker) || !strings.Contains(err.Error(), addr) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestTopicsThatCannotBe(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		a := newAdmin(t, c)
		createTopic(t, c, name("with.dot"), 1)
		for _, test := range []struct {
			spec kafka.TopicSpec
			is   error
			says string
		}{
			{kafka.TopicSpec{Name: name("x"), Partitions: -1}, kafka.ErrOptions, "-1 partitions"},
			{kafka.TopicSpec{Name: name("x"), Partitions: 1 << 32}, kafka.ErrOptions, "4294967296 partitions"},
			{kafka.TopicSpec{Name: name("x"), ReplicationFactor: -1}, kafka.ErrOptions, "-1 replicas"},
			{kafka.TopicSpec{Name: name("x"), ReplicationFactor: 1 << 16}, kafka.ErrOptions, "65536 replicas"},
			{kafka.TopicSpec{Name: name("with_dot")}, kafka.ErrTopicName, "differs only in"},
			{kafka.TopicSpec{Name: "__consumer_offsets"}, kafka.ErrTopicName, "begin with __"},
			{kafka.TopicSpec{Name: "__mine"}, kafka.ErrTopicName, "begin with __"},
			{kafka.TopicSpec{Name: ".."}, kafka.ErrTopicName, "letters"},
		} {
			if _, err := a.CreateTopic(t.Context(), test.spec); !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%+v: %v, want %v saying %q", test.spec, err, test.is, test.says)
			}
		}
		if err := a.DeleteTopic(t.Context(), "__consumer_offsets"); !errors.Is(err, kafka.ErrTopicName) {
			t.Errorf("delete: %v", err)
		}
		if _, err := kafka.Produce(t.Context(), c, newNumbered(1, 1), kafka.ProduceOptions{Topic: "__consumer_offsets"}); !errors.Is(err, kafka.ErrTopicName) {
			t.Errorf("produce: %v", err)
		}
		if _, err := a.DescribeTopic(t.Context(), name("x")); !errors.Is(err, kafka.ErrTopicNotFound) {
			t.Errorf("a topic that was refused: %v", err)
		}
	})
}
