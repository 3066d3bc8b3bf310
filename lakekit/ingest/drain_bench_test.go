package ingest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"

	"taxilake/lakekit/broker"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/oss"
)

// BenchmarkDrain drains a topic of taxi records on the embedded broker into a
// Delta table on the local disk, and with a bare consumer of the same
// settings that only counts. Its metric "of-bare-consumer" is the ratio of
// the two rates.
func BenchmarkDrain(b *testing.B) {
	const records, partitions = 1_000_000, 3
	servers := startBroker(b)
	fillTopic(b, servers, partitions, records)
	var query, bare time.Duration
	for b.Loop() {
		bare += drainBare(b, servers, partitions, records)
		query += drainQuery(b, servers, records)
	}
	drained := float64(b.N * records)
	b.ReportMetric(drained/query.Seconds(), "records/s")
	b.ReportMetric(drained/bare.Seconds(), "bare-records/s")
	b.ReportMetric(bare.Seconds()/query.Seconds(), "of-bare-consumer")
}

func startBroker(t testing.TB) (servers string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- broker.Run(ctx, broker.Options{Dir: t.TempDir(), Ready: func(addr string) { ready <- addr }})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	select {
	case servers = <-ready:
	case err := <-ended:
		t.Fatalf("broker: %v", err)
	}
	return servers
}

func fillTopic(t testing.TB, servers string, partitions, records int) {
	t.Helper()
	admin, err := kafka.NewAdmin(kafka.Config{"bootstrap.servers": servers})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.CreateTopic(t.Context(), kafka.TopicSpec{Name: testTopic, Partitions: partitions, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range records {
		value := strings.Replace(taxiJSON, "4.5", fmt.Sprintf("%d.5", i%100), 1)
		client.Produce(t.Context(), &kgo.Record{Topic: testTopic, Key: []byte("2009-06-15 17:26:21.0000001"), Value: []byte(value)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func drainBare(t testing.TB, servers string, partitions, records int) time.Duration {
	t.Helper()
	consumer, err := confluent.NewConsumer(kafka.Config{"bootstrap.servers": servers}.Consumer(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	began := time.Now()
	var assignment []confluent.TopicPartition
	for partition := range partitions {
		topic := testTopic
		assignment = append(assignment, confluent.TopicPartition{Topic: &topic, Partition: int32(partition)})
	}
	if err := consumer.Assign(assignment); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < records; {
		switch event := consumer.Poll(pollMillis).(type) {
		case *confluent.Message:
			n++
		case confluent.Error:
			t.Fatal(event)
		}
	}
	return time.Since(began)
}

func drainQuery(t testing.TB, servers string, records int64) time.Duration {
	t.Helper()
	store, err := oss.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := delta.Create(t.Context(), oss.Prefix(store, tablePrefix), delta.Definition{Schema: taxiTable}); err != nil {
		t.Fatal(err)
	}
	o := queryOptions(servers).on(store)
	began := time.Now()
	q, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.AwaitTermination(t.Context()); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	snapshot, err := openTable(t, store, tablePrefix).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := snapshot.NumRecords(); n != records {
		t.Fatalf("%d rows, want %d", n, records)
	}
	return took
}

var taxiTable = delta.Schema{Fields: []delta.Field{
	{Name: "key", Type: delta.Timestamp, Nullable: true},
	{Name: "fare_amount", Type: delta.Double, Nullable: true},
	{Name: "pickup_datetime", Type: delta.Timestamp, Nullable: true},
	{Name: "pickup_longitude", Type: delta.Double, Nullable: true},
	{Name: "pickup_latitude", Type: delta.Double, Nullable: true},
	{Name: "dropoff_longitude", Type: delta.Double, Nullable: true},
	{Name: "dropoff_latitude", Type: delta.Double, Nullable: true},
	{Name: "passenger_count", Type: delta.Integer, Nullable: true},
}}
