package broker_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A producer that did not see the answer to a batch sends it again. After a
// kill the broker must know it still, or the records would be there twice.
func TestBatchSentAgainAfterAKillIsStoredOnce(t *testing.T) {
	for _, test := range []struct {
		name    string
		restart bool // cleanly before the kill, which leaves an older state in the folder
		damage  func(t *testing.T, segment string)
	}{
		{name: "killed"},
		{name: "killed after a clean stop", restart: true},
		{name: "killed in the middle of a write", damage: func(t *testing.T, segment string) {
			half := make([]byte, 70)
			binary.BigEndian.PutUint32(half[8:], 1000) // says that it is 1012 bytes long
			f, err := os.OpenFile(segment, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.Write(half); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			addr, kill := startProcess(t, dir, 0)
			c := client(t, addr)
			topic := mustCreate(t, c, newTopic("sequences"))
			produce(t, c, "sequences", 3)
			if test.restart {
				kill()
				_, stop := serve(t, dir)
				stop()
				_, kill = startProcess(t, dir, portOf(t, addr)) // the producer goes on
			}
			produce(t, c, "sequences", 10)
			kill()
			segment := filepath.Join(dir, "partitions", "sequences-0", "0.dat")
			batches := readBatches(t, segment)
			if test.damage != nil {
				test.damage(t, segment)
			}

			addr, _ = serve(t, dir)
			c = client(t, addr)
			const records = 13
			for i, want := range map[int]*kerr.Error{
				1: nil, // a producer has 5 batches in flight at most: these it may send again
				5: nil,
				6: kerr.OutOfOrderSequenceNumber, // this one it cannot have sent again
			} {
				if got := sendAgain(t, c, topic, batches[records-i]); want == nil && got != nil || want != nil && got != want {
					t.Errorf("batch %d before the end sent again: %v, want %v", i, got, want)
				}
			}
			if got := endOffset(t, c, "sequences"); got != records {
				t.Errorf("%d records in the topic, want %d", got, records)
			}
		})
	}
}

// readBatches splits a segment file; each batch has one record here.
func readBatches(t *testing.T, segment string) (batches [][]byte) {
	t.Helper()
	data, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	for len(data) > 0 {
		var b kmsg.RecordBatch
		if err := b.ReadFrom(data); err != nil {
			t.Fatal(err)
		}
		size := 12 + int(b.Length)
		batches = append(batches, data[:size])
		data = data[size:]
	}
	return batches
}

func sendAgain(t *testing.T, c *kgo.Client, topic kmsg.CreateTopicsResponseTopic, batch []byte) error {
	t.Helper()
	sent := append(make([]byte, 8), batch[8:]...) // a producer leaves the offset, which no checksum covers, 0
	partition := kmsg.NewProduceRequestTopicPartition()
	partition.Records = sent
	to := kmsg.NewProduceRequestTopic()
	to.Topic, to.TopicID, to.Partitions = topic.Topic, topic.TopicID, append(to.Partitions, partition)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 1000
	req.Topics = append(req.Topics, to)
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}
