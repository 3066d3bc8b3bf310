// Package kafkatest sends records that clients do not: with any timestamp, in
// any batch.
package kafkatest

import (
	"context"
	"encoding/binary"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Record is a record as it is on the wire; a nil Key or Value is null.
type Record struct {
	TimestampMs int64
	Key, Value  []byte
}

// Batch is the records as one batch of the protocol's format 2, not compressed,
// of the given attributes.
func Batch(attributes int16, records ...Record) []byte {
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: attributes,
		LastOffsetDelta: int32(len(records) - 1), NumRecords: int32(len(records)),
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
	}
	for i, r := range records {
		if i == 0 {
			batch.FirstTimestamp, batch.MaxTimestamp = r.TimestampMs, r.TimestampMs
		}
		batch.MaxTimestamp = max(batch.MaxTimestamp, r.TimestampMs)
		record := kmsg.Record{TimestampDelta64: r.TimestampMs - batch.FirstTimestamp, OffsetDelta: int32(i), Key: r.Key, Value: r.Value}
		record.Length = int32(len(record.AppendTo(nil)) - 1) // the length 0 takes one byte
		batch.Records = record.AppendTo(batch.Records)
	}
	encoded := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(encoded[8:], uint32(len(encoded)-12))
	binary.BigEndian.PutUint32(encoded[17:], crc32.Checksum(encoded[21:], crc32.MakeTable(crc32.Castagnoli)))
	return encoded
}

// Produce sends batches, each to the partition of its place, in one request,
// and returns the answers by partition.
func Produce(ctx context.Context, servers, topic string, batches ...[]byte) ([]kmsg.ProduceResponseTopicPartition, error) {
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.Produce.Int16(), 12) // from 13 on topics go by their id
	client, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.MaxVersions(versions))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	request := kmsg.NewPtrProduceRequest()
	request.Acks, request.TimeoutMillis = -1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	for i, batch := range batches {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = int32(i), batch
		t.Partitions = append(t.Partitions, p)
	}
	request.Topics = append(request.Topics, t)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	answers := make([]kmsg.ProduceResponseTopicPartition, len(batches))
	for _, p := range response.Topics[0].Partitions {
		answers[p.Partition] = p
	}
	return answers, nil
}

// Send sends records, in one batch, to partition 0.
func Send(ctx context.Context, servers, topic string, records ...Record) error {
	answers, err := Produce(ctx, servers, topic, Batch(0, records...))
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(answers[0].ErrorCode)
}
