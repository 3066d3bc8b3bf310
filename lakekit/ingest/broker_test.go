package ingest

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"taxilake/lakekit/kafka"
)

// While the broker is down the query waits and says so; records that come
// when it is back are read from where it stopped.
func TestBrokerDown(t *testing.T) {
	dir := t.TempDir()
	open := func(port int) *kfake.Cluster {
		t.Helper()
		for {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir), kfake.Ports(port), kfake.SeedTopics(2, testTopic))
			if err == nil {
				return cluster
			}
			if port == 0 || !strings.Contains(err.Error(), "in use") {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	cluster := open(0)
	defer func() { cluster.Close() }()
	servers := cluster.ListenAddrs()[0]
	w := newWorld(t, 1)
	w.connect(servers)
	w.sendRecords(10)

	o := w.options()
	o.Kafka = kafka.Config{"bootstrap.servers": servers, "reconnect.backoff.max.ms": "100"}
	o.Trigger = ProcessingTime(time.Millisecond)
	q, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, q)
	if err := q.ProcessAllAvailable(t.Context()); err != nil {
		t.Fatal(err)
	}

	cluster.Close()
	for !q.Status().Waiting {
		time.Sleep(time.Millisecond)
	}
	if s := q.Status(); !strings.HasPrefix(s.Message, "Waiting ") || !s.IsActive {
		t.Errorf("status: %+v", s)
	}
	cluster = open(portOf(t, servers))
	w.connect(servers)
	w.sendRecords(10)
	if err := q.ProcessAllAvailable(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.checkExactlyOnce()
	if s := q.Status(); s.Waiting || s.Error != "" {
		t.Errorf("status: %+v", s)
	}
}

// A query started before its broker waits for it; a stop does not.
func TestStartWithoutBroker(t *testing.T) {
	w := newWorld(t, 1)
	w.sendRecords(10)
	o := w.options()
	servers := w.cluster.ListenAddrs()[0]
	w.cluster.Close()
	o.Kafka = kafka.Config{"bootstrap.servers": servers}
	q, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if s := q.Status(); !s.Waiting || !strings.Contains(s.Message, "Waiting to start the query") {
		t.Errorf("status: %+v", s)
	}
	stop(t, q)
}

// A broker that takes questions and does not answer is seen in the status long
// before the question fails, and a stop does not wait for its answer.
func TestBrokerSilent(t *testing.T) {
	// No question fails during the test: what is noticed is noticed before that,
	// and a stop that waited for an answer would not end.
	defer func(timeout time.Duration) { adminTimeout = timeout }(adminTimeout)
	adminTimeout = 2 * patience
	for _, test := range []struct {
		name string
		key  kmsg.Key
		send int // records, until it is noticed
	}{
		{"asked for the topics", kmsg.Metadata, 0},
		{"asked for offsets", kmsg.ListOffsets, 0},
		{"asked for records", kmsg.Fetch, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, 1)
			q := w.caughtUp(10)
			defer stop(t, q)
			release := w.silence(test.key)
			defer release()
			for deadline := time.Now().Add(patience); !q.Status().Waiting && time.Now().Before(deadline); {
				if test.send > 0 {
					w.sendRecords(test.send)
				}
				time.Sleep(10 * time.Millisecond)
			}
			if s := q.Status(); !strings.HasPrefix(s.Message, "Waiting for the broker") || !s.IsActive {
				t.Errorf("not noticed: %+v", s)
			}
			stop(t, q)
			release()
			w.mustRun(w.options())
			w.checkExactlyOnce()
		})
	}
}

// silence makes the broker hold back its answers to a kind of request, until
// they are released.
func (w *world) silence(key kmsg.Key) (release func()) {
	held := make(chan struct{})
	w.cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		w.cluster.SleepControl(func() { <-held })
		return nil, nil, false
	})
	return sync.OnceFunc(func() { close(held) })
}

// Aborted and open transactions and their markers leave gaps in the offsets;
// a batch that ends in one ends all the same.
func TestTransactionMarkers(t *testing.T) {
	for _, isolation := range []string{"read_uncommitted", "read_committed"} {
		t.Run(isolation, func(t *testing.T) {
			w := newWorld(t, 1)
			producer, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.TransactionalID("tx"), kgo.DefaultProduceTopic(testTopic))
			if err != nil {
				t.Fatal(err)
			}
			defer producer.Close()
			o := w.options()
			o.Kafka["isolation.level"] = isolation
			for range 3 {
				for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
					if err := producer.BeginTransaction(); err != nil {
						t.Fatal(err)
					}
					value := `{"id":-1}`
					if end == kgo.TryCommit {
						value = strings.Replace(`{"id":N}`, "N", string(rune('0'+w.next)), 1)
						w.next++
					}
					if err := producer.ProduceSync(t.Context(), &kgo.Record{Value: []byte(value)}).FirstErr(); err != nil {
						t.Fatal(err)
					}
					if err := producer.EndTransaction(t.Context(), end); err != nil {
						t.Fatal(err)
					}
					w.mustRun(o)
				}
			}
			ids := w.ids()
			if aborted := ids[-1]; isolation == "read_committed" && aborted != 0 || isolation == "read_uncommitted" && aborted != 3 {
				t.Errorf("%d records of aborted transactions", aborted)
			}
			delete(ids, -1)
			if len(ids) != 3 {
				t.Errorf("rows %v, want 3", ids)
			}
		})
	}
}

// A broker that has just come back may answer without an error and without an
// offset. That is no news of the topic: the query asks again.
func TestBrokerNamesNoOffset(t *testing.T) {
	w := newWorld(t, 2)
	q := w.caughtUp(10)
	defer stop(t, q)
	answered := make(chan struct{})
	w.cluster.ControlKey(kmsg.ListOffsets.Int16(), func(asked kmsg.Request) (kmsg.Response, error, bool) {
		request := asked.(*kmsg.ListOffsetsRequest)
		response := request.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, topic := range request.Topics {
			t := kmsg.NewListOffsetsResponseTopic()
			t.Topic = topic.Topic
			for _, partition := range topic.Partitions {
				p := kmsg.NewListOffsetsResponseTopicPartition()
				p.Partition, p.Offset = partition.Partition, -1
				t.Partitions = append(t.Partitions, p)
			}
			response.Topics = append(response.Topics, t)
		}
		close(answered)
		return response, nil, true
	})
	<-answered
	w.sendRecords(10)
	if err := q.ProcessAllAvailable(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.checkExactlyOnce()
}
