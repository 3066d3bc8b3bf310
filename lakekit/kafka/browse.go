package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
)

// Where Browse begins, besides an offset, and AllPartitions.
const (
	Earliest      int64 = -2
	Latest        int64 = -1 // the newest messages
	AllPartitions int32 = -1
)

// BrowseOptions say which messages to look at.
type BrowseOptions struct {
	Partition int32 // or AllPartitions
	Offset    int64 // of the first message in each partition, or Earliest or Latest
	Limit     int   // at most so many messages in all; 0: 10
}

const (
	defaultBrowseLimit = 10
	// maxBrowseBytes bounds what Browse holds of messages.
	maxBrowseBytes = 32 << 20
)

var errTooMuch = errors.New("too much")

func sizeOf(m api.Message) int {
	size := len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		size += len(h.Key) + len(h.Value)
	}
	return size
}

// Browse returns messages of a topic as they are now, in the order of their
// time, partition and offset: the first ones at or after the offset, or with
// Latest the last ones. It waits for no message to come. It is not a member of
// a group and commits nothing, so no consumer notices.
func Browse(ctx context.Context, c Config, topic string, o BrowseOptions) ([]api.Message, error) {
	if o.Limit < 0 || o.Offset < Earliest || o.Partition < AllPartitions {
		return nil, fmt.Errorf("browse topic %s: %w: partition %d, offset %d, limit %d: offset must be at least 0 (or -2 earliest, -1 latest), partition at least 0 (or -1 all), limit at least 1", topic, ErrOptions, o.Partition, o.Offset, o.Limit)
	}
	o.Limit = cmp.Or(o.Limit, defaultBrowseLimit)
	ranges, err := browseRanges(ctx, c, topic, o)
	if err != nil || len(ranges) == 0 {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var (
		messages []api.Message
		h        health
	)
	size := 0
	err = readRanges(ctx, c, &h, topic, ranges, func(m api.Message) error {
		if size += sizeOf(m); size > maxBrowseBytes {
			return errTooMuch
		}
		messages = append(messages, m)
		return nil
	})
	if err == errTooMuch {
		return nil, fmt.Errorf("browse topic %s: %w: the first %d messages have more than %d MiB together: set a smaller limit, or name a partition", topic, ErrOptions, len(messages), maxBrowseBytes>>20)
	}
	if err != nil {
		return nil, callFailed(err, c.Servers(), &h, "browse topic %s", topic)
	}
	slices.SortFunc(messages, func(x, y api.Message) int {
		return cmp.Or(cmp.Compare(x.TimestampMs, y.TimestampMs), cmp.Compare(x.Partition, y.Partition), cmp.Compare(x.Offset, y.Offset))
	})
	if o.Offset == Latest {
		return messages[max(0, len(messages)-o.Limit):], nil
	}
	return messages[:min(o.Limit, len(messages))], nil
}

// Scan calls visit for every message from the offsets given by partition up to
// the end that the topic has at the time of the call. A partition that is not
// given is read from its beginning. Like Browse it moves nobody's place.
func Scan(ctx context.Context, c Config, topic string, from map[int32]int64, visit func(api.Message) error) error {
	ranges, err := browseRanges(ctx, c, topic, BrowseOptions{Partition: AllPartitions, Offset: Earliest, Limit: math.MaxInt})
	if err != nil {
		return err
	}
	for p, r := range ranges {
		if r.from = max(r.from, from[p]); r.from >= r.to {
			delete(ranges, p)
		} else {
			ranges[p] = r
		}
	}
	if len(ranges) == 0 {
		return nil
	}
	var h health
	if err := readRanges(ctx, c, &h, topic, ranges, visit); err != nil {
		return callFailed(err, c.Servers(), &h, "read topic %s", topic)
	}
	return nil
}

// offsetRange is a part of a partition: at most limit messages in [from, to).
type offsetRange struct {
	from, to int64
	limit    int
}

// browseRanges says what to read of each partition; empty parts are left out.
func browseRanges(ctx context.Context, c Config, topic string, o BrowseOptions) (map[int32]offsetRange, error) {
	admin, err := NewAdmin(c)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	info, err := admin.DescribeTopic(ctx, topic)
	if err != nil {
		return nil, err
	}
	if int(o.Partition) >= len(info.Partitions) {
		return nil, fmt.Errorf("browse topic %s: %w: %d, the topic has 0 to %d", topic, ErrPartitionNotFound, o.Partition, len(info.Partitions)-1)
	}
	ranges := map[int32]offsetRange{}
	for _, p := range info.Partitions {
		if o.Partition != AllPartitions && o.Partition != p.Partition {
			continue
		}
		r := offsetRange{max(o.Offset, p.EarliestOffset), p.LatestOffset, o.Limit}
		if o.Offset == Latest {
			r.from = max(p.LatestOffset-int64(o.Limit), p.EarliestOffset)
		}
		if r.from < r.to {
			ranges[p.Partition] = r
		}
	}
	return ranges, nil
}

func readRanges(ctx context.Context, c Config, h *health, topic string, ranges map[int32]offsetRange, visit func(api.Message) error) error {
	consumer, err := confluent.NewConsumer(c.Consumer(Config{
		"enable.auto.commit":         "false",
		"enable.auto.offset.store":   "false",
		"enable.partition.eof":       "true", // a range may end in a gap that compaction or a transaction left
		"auto.offset.reset":          "earliest",
		"queued.max.messages.kbytes": "16384",
	}))
	if err != nil {
		return err
	}
	logs := h.follow(consumer.Logs())
	defer func() {
		consumer.Close()
		<-logs
	}()
	var assignment []confluent.TopicPartition
	for p, r := range ranges {
		assignment = append(assignment, confluent.TopicPartition{Topic: &topic, Partition: p, Offset: confluent.Offset(r.from)})
	}
	if err := consumer.Assign(assignment); err != nil {
		return err
	}

	for len(ranges) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch e := consumer.Poll(100).(type) {
		case *confluent.Message:
			p := e.TopicPartition.Partition
			r, open := ranges[p]
			if !open {
				continue
			}
			if at := int64(e.TopicPartition.Offset); at < r.to {
				if err := visit(message(e)); err != nil {
					return err
				}
				r.limit--
				r.from = at + 1
			} else {
				r.from = r.to
			}
			ranges[p] = r
			if r.limit == 0 || r.from >= r.to {
				delete(ranges, p)
			}
		case confluent.PartitionEOF:
			delete(ranges, e.Partition)
		case confluent.Error:
			if e.IsFatal() || refusalOf(e) != nil || isCode(e, confluent.ErrTopicAuthorizationFailed, confluent.ErrUnknownTopicOrPart) {
				return e
			}
		}
	}
	return nil
}

func message(m *confluent.Message) api.Message {
	ms := TimestampMs(m)
	out := api.Message{
		Partition:   m.TopicPartition.Partition,
		Offset:      int64(m.TopicPartition.Offset),
		Timestamp:   api.KafkaTime(ms),
		TimestampMs: ms,
		Key:         m.Key,
		Value:       m.Value,
	}
	for _, h := range m.Headers {
		out.Headers = append(out.Headers, api.Header{Key: h.Key, Value: h.Value})
	}
	return out
}

// TimestampMs is a record's timestamp as Kafka keeps it: milliseconds since 1970
// UTC, or api.NoTimestamp. Whatever a producer wrote there, it is exact:
// time.Time holds it in seconds.
func TimestampMs(m *confluent.Message) int64 {
	if m.TimestampType == confluent.TimestampNotAvailable {
		return api.NoTimestamp
	}
	return m.Timestamp.UnixMilli()
}
