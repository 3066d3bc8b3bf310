package broker

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestRecordsWaitForRoomOnTheDisk(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	var asked, refused atomic.Int64
	checkProduce(cluster, refuseRecordsWhenFull(func() (int64, error) {
		switch n := asked.Add(1); {
		case n == 2:
			return 0, errors.New("cannot be told")
		case n <= 5:
			return minFreeSpace, nil
		case n <= 8:
			refused.Add(1)
			return minFreeSpace - 1, nil
		}
		return minFreeSpace, nil
	}))
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic("t"),
		kgo.RetryBackoffFn(func(int) time.Duration { return time.Millisecond }), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for n := range int64(10) {
		r, err := client.ProduceSync(t.Context(), kgo.StringRecord("v")).First()
		if err != nil || r.Offset != n {
			t.Fatalf("record %d is stored at %d (%v)", n, r.Offset, err)
		}
	}
	if refused.Load() != 3 {
		t.Errorf("%d requests were refused, want 3", refused.Load())
	}
}

func TestAFullDiskIsAnsweredForEveryPartition(t *testing.T) {
	req := kmsg.NewPtrProduceRequest()
	req.Acks = -1
	for _, partitions := range []int32{1, 2} {
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic, topic.TopicID = "t", [16]byte{byte(partitions)}
		for n := range partitions {
			partition := kmsg.NewProduceRequestTopicPartition()
			partition.Partition = n
			topic.Partitions = append(topic.Partitions, partition)
		}
		req.Topics = append(req.Topics, topic)
	}
	answer, err := refuseRecords(req)
	if err != nil {
		t.Fatal(err)
	}
	for i, topic := range answer.(*kmsg.ProduceResponse).Topics {
		asked := req.Topics[i]
		if topic.Topic != asked.Topic || topic.TopicID != asked.TopicID || len(topic.Partitions) != len(asked.Partitions) {
			t.Fatalf("topic %+v, asked for %+v", topic, asked)
		}
		for j, p := range topic.Partitions {
			if p.Partition != int32(j) || p.ErrorCode != kerr.KafkaStorageError.Code || *p.ErrorMessage == "" {
				t.Errorf("partition %+v", p)
			}
		}
	}
	req.Acks = 0
	if answer, err := refuseRecords(req); answer != nil || err == nil {
		t.Errorf("a request that wants no answer gets %v, %v, want the end of its connection", answer, err)
	}
}

func TestDiskSpace(t *testing.T) {
	if total, free, err := diskSpace(t.TempDir()); err != nil || free <= 0 || total <= free {
		t.Errorf("%d bytes of %d (%v)", free, total, err)
	}
	if _, _, err := diskSpace("/no/such/folder"); err == nil {
		t.Error("a folder that is not there has room")
	}
}
