package kafka_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"taxilake/lakekit/api"
	"taxilake/lakekit/broker"
	"taxilake/lakekit/kafka"
)

func TestProduceDeliversEveryRecordOnce(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		for _, test := range []struct {
			name    string
			rate    float64
			records int64
			want    int64
		}{
			{"as fast as it goes", 0, 0, 30_000},
			{"at a rate", 20_000, 0, 30_000},
			{"some of the source", 0, 1_234, 1_234},
			{"more than the source has", 0, 100_000, 30_000},
		} {
			t.Run(test.name, func(t *testing.T) {
				topic := name(strings.ReplaceAll(test.name, " ", "-"))
				createTopic(t, c, topic, 3)
				p, err := kafka.Produce(t.Context(), c, newNumbered(30_000, 100), kafka.ProduceOptions{Topic: topic, Rate: test.rate, Records: test.records})
				if err != nil {
					t.Fatal(err)
				}
				if p.State != api.TrafficFinished || p.Sent != test.want || p.Acknowledged != test.want || p.Failed != 0 || p.Unconfirmed != 0 {
					t.Errorf("progress %+v, want %d sent and acknowledged", p, test.want)
				}
				if p.LatencyP50Ms <= 0 || p.LatencyP99Ms < p.LatencyP50Ms {
					t.Errorf("latencies p50 %v ms, p99 %v ms", p.LatencyP50Ms, p.LatencyP99Ms)
				}
				checkExactlyOnce(t, countKeys(t, c, topic, int(test.want)), int(test.want))
			})
		}
	})
}

func TestProduceRefuses(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		createTopic(t, c, name("there"), 1)
		for _, test := range []struct {
			name    string
			config  kafka.Config
			options kafka.ProduceOptions
			is      error
			says    string
		}{
			{"missing topic", nil, kafka.ProduceOptions{Topic: name("absent")}, kafka.ErrTopicNotFound, "create it first"},
			{"topic name", nil, kafka.ProduceOptions{Topic: "bad name!"}, kafka.ErrTopicName, "letters"},
			{"negative rate", nil, kafka.ProduceOptions{Topic: name("there"), Rate: -1}, nil, "rate -1"},
			{"negative records", nil, kafka.ProduceOptions{Topic: name("there"), Records: -1}, nil, "-1 records"},
			{"unknown property", kafka.Config{"no.such": "1"}, kafka.ProduceOptions{Topic: name("there")}, nil, "no.such"},
			{"bad value", kafka.Config{"acks": "some"}, kafka.ProduceOptions{Topic: name("there")}, nil, "acks"},
		} {
			t.Run(test.name, func(t *testing.T) {
				source := newNumbered(10, 10)
				p, err := kafka.Produce(t.Context(), with(c, test.config), source, test.options)
				if err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("error %v, want %v saying %q", err, test.is, test.says)
				}
				if p.State != api.TrafficFailed || p.Sent != 0 || source.next != 0 {
					t.Errorf("progress %+v after %d records read, want none sent", p, source.next)
				}
			})
		}
	})
}

// sized yields records whose values have the sizes.
type sized struct {
	sizes []int
	*numbered
}

func (s sized) Next() (key, value []byte, err error) {
	key, _, err = s.numbered.Next()
	if err != nil {
		return nil, nil, err
	}
	return key, make([]byte, s.sizes[s.next-1]), nil
}

func TestProduceGoesOnAfterARecordThatIsTooLarge(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		for _, test := range []struct {
			name   string
			limit  string // of the topic
			config kafka.Config
		}{
			{"for the client", "1048588", nil},
			{"for the broker", "2000", kafka.Config{"linger.ms": "0", "batch.num.messages": "1", "compression.type": "none"}},
		} {
			t.Run(test.name, func(t *testing.T) {
				topic := name(strings.ReplaceAll(test.name, " ", "-"))
				if _, err := newAdmin(t, c).CreateTopic(t.Context(), kafka.TopicSpec{Name: topic, Partitions: 1, Configs: map[string]string{"max.message.bytes": test.limit}}); err != nil {
					t.Fatal(err)
				}
				sizes := []int{10, 1 << 20, 10, 2 << 20, 10}
				p, err := kafka.Produce(t.Context(), with(c, test.config), sized{sizes, newNumbered(len(sizes), 0)}, kafka.ProduceOptions{Topic: topic})
				if !errors.Is(err, kafka.ErrNotDelivered) || !strings.Contains(err.Error(), "Message size too large") {
					t.Errorf("error %v", err)
				}
				if p.State != api.TrafficFinished || p.Sent != 5 || p.Acknowledged != 3 || p.Failed != 2 || !strings.Contains(p.FirstError, "Message size too large") {
					t.Errorf("progress %+v, want 3 acknowledged and 2 too large", p)
				}
				if got := countKeys(t, c, topic, 5); got["0"] != 1 || got["2"] != 1 || got["4"] != 1 || len(got) != 3 {
					t.Errorf("topic has %v, want 0, 2 and 4 once", got)
				}
			})
		}
	})
}

// failing yields one record and then an error.
type failing struct{ *numbered }

var errSource = errors.New("the file is damaged")

func (s failing) Next() (key, value []byte, err error) {
	if s.next == 1 {
		return nil, nil, errSource
	}
	return s.numbered.Next()
}

func TestProduceDeliversWhatCameBeforeAnErrorOfTheSource(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		createTopic(t, c, name("damaged"), 1)
		p, err := kafka.Produce(t.Context(), c, failing{newNumbered(5, 10)}, kafka.ProduceOptions{Topic: name("damaged")})
		if !errors.Is(err, errSource) || p.State != api.TrafficFailed || p.Acknowledged != 1 {
			t.Errorf("error %v, progress %+v", err, p)
		}
	})
}

func TestProduceStoppedReportsWhatWasAcknowledged(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		createTopic(t, c, name("stopped"), 3)
		ctx, cancel := context.WithCancel(t.Context())
		p, err := kafka.Produce(ctx, c, newNumbered(10_000_000, 100), kafka.ProduceOptions{
			Topic: name("stopped"),
			Report: func(p api.TrafficProgress) {
				if p.Acknowledged > 0 {
					cancel()
				}
			},
		})
		if !errors.Is(err, context.Canceled) || p.State != api.TrafficStopped {
			t.Errorf("error %v, state %s", err, p.State)
		}
		if p.Acknowledged == 0 || p.Acknowledged != p.Sent || p.Unconfirmed != 0 {
			t.Errorf("progress %+v, want all that was sent acknowledged", p)
		}
		info, err := newAdmin(t, c).DescribeTopic(t.Context(), name("stopped"))
		if err != nil || info.Records() != p.Acknowledged {
			t.Errorf("topic has %d records (%v), %d were acknowledged", info.Records(), err, p.Acknowledged)
		}
	})
}

func TestProduceReports(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		createTopic(t, c, name("reports"), 3)
		var reports []api.TrafficProgress // Report is never called twice at once: the race detector checks
		last, err := kafka.Produce(t.Context(), c, newNumbered(2_000, 100), kafka.ProduceOptions{
			Topic: name("reports"), Rate: 2_000,
			Report: func(p api.TrafficProgress) { reports = append(reports, p) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(reports) < 2 || reports[len(reports)-1] != last {
			t.Fatalf("%d reports, the last of them %+v, want %+v", len(reports), reports[len(reports)-1], last)
		}
		for i, p := range reports {
			if p.Sent != p.Acknowledged+p.Failed+p.Unconfirmed || p.TargetRate != 2_000 || p.Topic != name("reports") {
				t.Errorf("report %+v", p)
			}
			if i > 0 && (p.Acknowledged < reports[i-1].Acknowledged || p.ElapsedSeconds < reports[i-1].ElapsedSeconds) {
				t.Errorf("report %+v after %+v", p, reports[i-1])
			}
		}
	})
}

func TestProduceEndsWhenTheTopicIsDeleted(t *testing.T) {
	onEachCluster(t, func(t *testing.T, c kafka.Config, name func(string) string) {
		createTopic(t, c, name("gone"), 1)
		admin := newAdmin(t, c)
		var once sync.Once
		p, err := kafka.Produce(t.Context(), with(c, kafka.Config{"topic.metadata.propagation.max.ms": "100", "topic.metadata.refresh.interval.ms": "200"}), newNumbered(10_000_000, 10), kafka.ProduceOptions{
			Topic: name("gone"), Rate: 1_000,
			Report: func(p api.TrafficProgress) {
				if p.Acknowledged > 0 {
					once.Do(func() {
						if err := admin.DeleteTopic(t.Context(), name("gone")); err != nil {
							t.Error(err)
						}
					})
				}
			},
		})
		if !errors.Is(err, kafka.ErrTopicNotFound) || p.State != api.TrafficFailed || p.Failed == 0 {
			t.Errorf("error %v, progress %+v", err, p)
		}
	})
}

func TestProduceWithoutABroker(t *testing.T) {
	addr, stop := serve(t, broker.Options{Dir: t.TempDir()})
	stop() // nothing listens at addr now
	ctx, cancel := context.WithCancel(t.Context())
	var waiting api.TrafficProgress
	p, err := kafka.Produce(ctx, kafka.Config{"bootstrap.servers": addr}, newNumbered(10, 10), kafka.ProduceOptions{
		Topic: "any",
		Report: func(p api.TrafficProgress) {
			if p.State == api.TrafficWaiting {
				waiting = p
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) || p.State != api.TrafficStopped || p.Sent != 0 {
		t.Errorf("error %v, progress %+v", err, p)
	}
	if !strings.Contains(waiting.Message, "waiting for the broker at "+addr) {
		t.Errorf("message %q", waiting.Message)
	}
}

// The broker is kfake itself, whose control answers as broker does on a full disk.
func TestProduceGoesOnWhenTheDiskHasRoom(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.SeedTopics(3, "full"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	var full atomic.Bool
	cluster.ControlKey(kmsg.Produce.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		return storageError(r.(*kmsg.ProduceRequest)), nil, full.Load()
	})

	const records = 30_000
	c := kafka.Config{"bootstrap.servers": cluster.ListenAddrs()[0]}
	var waiting api.TrafficProgress
	p, err := kafka.Produce(t.Context(), c, newNumbered(records, 100), kafka.ProduceOptions{
		Topic: "full", Rate: 30_000,
		Report: func(p api.TrafficProgress) {
			if p.State == api.TrafficWaiting {
				waiting = p
			}
			full.Store(p.Acknowledged > 5_000 && waiting.State == "")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(waiting.Message, "disk full") || waiting.Unconfirmed == 0 {
		t.Errorf("the report of waiting is %+v", waiting)
	}
	if p.Acknowledged != records || p.Failed != 0 {
		t.Errorf("progress %+v, want %d acknowledged", p, records)
	}
	checkExactlyOnce(t, countKeys(t, c, "full", records), records)
}

func storageError(req *kmsg.ProduceRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			partition := kmsg.NewProduceResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p.Partition, kerr.KafkaStorageError.Code
			topic.Partitions = append(topic.Partitions, partition)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

func TestProduceGoesOnWhenTheBrokerIsBack(t *testing.T) {
	dir := t.TempDir()
	victim := startVictim(t, dir, 0)
	c := kafka.Config{"bootstrap.servers": victim.addr}
	createTopic(t, c, "drill", 3)

	const records = 60_000
	var states []api.TrafficState
	killed := false
	p, err := kafka.Produce(t.Context(), c, newNumbered(records, 100), kafka.ProduceOptions{
		Topic: "drill", Rate: 30_000,
		Report: func(p api.TrafficProgress) {
			states = append(states, p.State)
			switch {
			case p.Acknowledged > 5_000 && !killed:
				killed = true
				victim.kill()
			case p.State == api.TrafficWaiting && victim.killed:
				victim = startVictim(t, dir, portOf(t, victim.addr))
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !killed || !slices.Contains(states, api.TrafficWaiting) {
		t.Errorf("killed %v, states %v", killed, states)
	}
	if p.Acknowledged != records || p.Failed != 0 {
		t.Errorf("progress %+v, want %d acknowledged", p, records)
	}
	checkExactlyOnce(t, countKeys(t, c, "drill", records), records)
}
