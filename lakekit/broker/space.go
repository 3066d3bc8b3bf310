package broker

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

// minFreeSpace is what the disk must have free, in bytes, for records to be
// taken. kfake notes the sequence numbers of a batch before it writes it: had
// the disk no room then, it would take the batch, sent again, for stored and
// lose it. The rest is room for kfake's own files and for who frees space.
const minFreeSpace = 64 << 20

// refuseRecordsWhenFull answers Produce with KAFKA_STORAGE_ERROR, on which
// producers try again, while less than minFreeSpace is free.
func refuseRecordsWhenFull(free func() (int64, error)) produceCheck {
	full := false
	return func(req *kmsg.ProduceRequest) (kmsg.Response, error) {
		bytes, err := free()
		if err != nil {
			slog.Error("broker: look for free disk space", "error", err)
			return nil, nil
		}
		wasFull := full
		full = bytes < minFreeSpace
		switch {
		case full && !wasFull:
			slog.Warn("broker: the disk is full, producers wait: free some space", "free", bytes, "needed", minFreeSpace)
		case wasFull && !full:
			slog.Warn("broker: the disk has room again", "free", bytes)
		}
		if !full {
			return nil, nil
		}
		return refuseRecords(req)
	}
}

var errDiskFull = errors.New("the broker's disk is full")

func refuseRecords(req *kmsg.ProduceRequest) (kmsg.Response, error) {
	if req.Acks == 0 { // has no answer: as in Kafka, the connection ends
		return nil, errDiskFull
	}
	message := errDiskFull.Error()
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			partition := kmsg.NewProduceResponseTopicPartition()
			partition.Partition = p.Partition
			partition.ErrorCode = kerr.KafkaStorageError.Code
			partition.ErrorMessage = &message
			topic.Partitions = append(topic.Partitions, partition)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp, nil
}

// diskSpace returns the size of the disk where dir is, and what may still be
// written there, in bytes.
func diskSpace(dir string) (total, free int64, err error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return 0, 0, fmt.Errorf("look at the disk of %s: %w", dir, err)
	}
	return int64(disk.Blocks) * int64(disk.Bsize), int64(disk.Bavail) * int64(disk.Bsize), nil
}
