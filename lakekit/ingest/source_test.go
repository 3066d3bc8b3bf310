package ingest

import (
	"strings"
	"testing"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
)

// A partition that has reached the end of its range while another has not is
// paused when what is held back of it reaches the bound; every record comes
// once all the same.
func TestPartitionsThatAreAheadArePaused(t *testing.T) {
	value := []byte(strings.Repeat("x", largeRecord))
	for part, record := range map[string]kgo.Record{
		"values":  {Value: value},
		"headers": {Headers: []kgo.RecordHeader{{Key: "trace", Value: value}}},
	} {
		t.Run(part, func(t *testing.T) { partitionAhead(t, record) })
	}
}

const largeRecord = 100 << 10

func partitionAhead(t *testing.T, record kgo.Record) {
	const queueBytes = 2 << 20
	w := newWorld(t, 2)
	produce := func(partition int32, records int) {
		var batch []*kgo.Record
		for range records {
			next := record
			next.Topic, next.Partition = testTopic, partition
			batch = append(batch, &next)
		}
		if err := w.client.ProduceSync(t.Context(), batch...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	const ahead = 100
	produce(0, ahead)
	s, err := newSource(w.options().Kafka, []string{testTopic}, queueBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.close() }()
	go s.drainLogs(t.Context(), w.options().Logger)

	seen := map[int32]int64{}
	read := func(start, end api.PartitionOffsets, idle func(string) error) {
		t.Helper()
		err := s.read(t.Context(), start, end, idle, func(chunk []*confluent.Message) error {
			if len(chunk) > chunkBytes/largeRecord+1 {
				t.Errorf("a chunk of %d records", len(chunk))
			}
			for _, m := range chunk {
				p := m.TopicPartition.Partition
				if int64(m.TopicPartition.Offset) != seen[p] {
					t.Errorf("partition %d gave offset %d, want %d", p, m.TopicPartition.Offset, seen[p])
				}
				seen[p]++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	begin := api.PartitionOffsets{testTopic: {0: 0, 1: 0}}
	middle := api.PartitionOffsets{testTopic: {0: 1, 1: 1}}
	paused, produced := false, false
	read(begin, middle, func(string) error {
		if p := s.partitions[testTopic][0]; p.paused && !produced {
			paused, produced = true, true
			produce(1, 1)
		}
		return nil
	})
	if !paused {
		t.Error("the partition was not paused")
	}
	if s.carried > s.maxCarried+largeRecord+1024 {
		t.Errorf("%d bytes are held back, the bound is %d", s.carried, s.maxCarried)
	}
	read(middle, api.PartitionOffsets{testTopic: {0: ahead, 1: 1}}, func(string) error { return nil })
	if seen[0] != ahead || seen[1] != 1 || s.carried != 0 {
		t.Errorf("seen %v, %d bytes still held back", seen, s.carried)
	}
}

// What a trigger had to wait for is in status and progress.
func TestRetriesAreReported(t *testing.T) {
	w := newWorld(t, 1)
	w.sendRecords(3)
	o := w.options()
	o.Clock = fastClock{}
	failures := 3
	q, err := Start(t.Context(), o.on(failingCommits(w.store, &failures)))
	if err != nil {
		t.Fatal(err)
	}
	if err := q.AwaitTermination(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.checkExactlyOnce()
	if s := q.Status(); s.NumRetries != 3 {
		t.Errorf("status: %+v", s)
	}
	if m := q.LastProgress().Sink.Metrics; m["numRetries"] != "3" || m["retryWaitMs"] != "700" {
		t.Errorf("progress: %v, want 3 retries that waited 100, 200 and 400 ms", m)
	}
	if text := q.Status().Message; strings.Contains(text, "Waiting") {
		t.Errorf("the query waits still: %s", text)
	}
}

// failingCommits fails the record of a commit in the checkpoint a few times.
func failingCommits(store blob.Bucket, failures *int) blob.Bucket {
	return blobtest.Faults(store, func(op, key string) error {
		if strings.Contains(key, "commits/") && strings.HasPrefix(op, "put") && *failures > 0 {
			*failures--
			return errStoreDown
		}
		return nil
	})
}
