package api

import (
	"fmt"
	"time"

	"taxilake/lakekit/internal/text"
)

// ClusterInfo describes a Kafka cluster.
type ClusterInfo struct {
	ID           string       `json:"id"`
	ControllerID int32        `json:"controllerId"` // -1: not known
	Brokers      []BrokerInfo `json:"brokers"`      // by id
}

// View lists the brokers.
func (c ClusterInfo) View() View {
	return Table("cluster "+c.ID, "broker#|address|controller", Each(c.Brokers, func(b BrokerInfo) []any {
		controller := ""
		if b.ID == c.ControllerID {
			controller = "yes"
		}
		return []any{b.ID, fmt.Sprintf("%s:%d", b.Host, b.Port), controller}
	})...)
}

// BrokerInfo is one broker of a cluster, at the address it advertises.
type BrokerInfo struct {
	ID   int32  `json:"id"`
	Host string `json:"host"`
	Port int    `json:"port"`
	Rack string `json:"rack,omitempty"`
}

// TopicInfo describes a topic.
type TopicInfo struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"` // changes when a topic is deleted and made again (KIP-516)
	Internal   bool              `json:"internal,omitempty"`
	Partitions []PartitionInfo   `json:"partitions"`        // by partition
	Configs    map[string]string `json:"configs,omitempty"` // those that are not the broker's defaults
}

// Records is the number of offsets the partitions hold. With compaction or
// transactions it is an upper bound of the number of messages.
func (t TopicInfo) Records() int64 {
	var n int64
	for _, p := range t.Partitions {
		n += p.LatestOffset - p.EarliestOffset
	}
	return n
}

// View lists the partitions below the topic's configurations.
func (t TopicInfo) View() View {
	title := fmt.Sprintf("topic %s: %s in %s", t.Name,
		text.Counted(t.Records(), "message"), text.Counted(int64(len(t.Partitions)), "partition"))
	if len(t.Configs) > 0 {
		title += " (" + pairs(t.Configs) + ")"
	}
	return Table(title, "partition#|earliest offset#|latest offset#|messages#|leader#", Each(t.Partitions, func(p PartitionInfo) []any {
		return []any{p.Partition, p.EarliestOffset, p.LatestOffset, p.LatestOffset - p.EarliestOffset, p.Leader}
	})...)
}

// Topics are topics, by name.
type Topics []TopicInfo

// View lists the topics.
func (list Topics) View() View {
	return Table("topics", "topic|partitions#|messages#", Each(list, func(t TopicInfo) []any {
		return []any{t.Name, len(t.Partitions), t.Records()}
	})...)
}

// PartitionInfo is one partition of a topic and the offsets it holds:
// EarliestOffset is the first, LatestOffset the one the next message gets.
type PartitionInfo struct {
	Partition      int32   `json:"partition"`
	Leader         int32   `json:"leader"` // -1: none
	Replicas       []int32 `json:"replicas"`
	InSyncReplicas []int32 `json:"inSyncReplicas"`
	EarliestOffset int64   `json:"earliestOffset"`
	LatestOffset   int64   `json:"latestOffset"`
}

// Message is a message as the topic holds it. A nil Key or Value is Kafka's
// null, which is not the same as an empty one.
type Message struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
	// Timestamp is [KafkaTime] of TimestampMs, which is Kafka's own number:
	// milliseconds since 1970 UTC, -1 for none.
	Timestamp   time.Time `json:"timestamp,omitzero"`
	TimestampMs int64     `json:"timestampMs"`
	Key         []byte    `json:"key"`
	Value       []byte    `json:"value"`
	Headers     []Header  `json:"headers,omitempty"`
}

// Messages are messages of a topic.
type Messages []Message

// View lists the messages.
func (list Messages) View() View {
	return Table(titleOf("messages", len(list)), "partition#|offset#|timestamp (UTC)|key|value", Each(list, func(m Message) []any {
		return []any{m.Partition, m.Offset, kafkaTime(m.Timestamp, m.TimestampMs), string(m.Key), string(m.Value)}
	})...)
}

// titleOf says of an empty list that it is one.
func titleOf(title string, n int) string {
	if n == 0 {
		return title + ": none"
	}
	return title
}

// kafkaTime shows a Kafka timestamp as the time it stands for, else as the
// number it is.
func kafkaTime(at time.Time, ms int64) string {
	if at.IsZero() && ms != NoTimestamp && KafkaTime(ms).IsZero() {
		return fmt.Sprintf("%d ms: no date", ms)
	}
	return clock(at, "2006-01-02 15:04:05.000") // empty for one that is not told
}

// NoTimestamp is Kafka's timestamp of a record without one.
const NoTimestamp int64 = -1

// KafkaTime is the time that a Kafka timestamp, in milliseconds since 1970 UTC,
// stands for. It is zero for one that stands for none: NoTimestamp, and what is
// outside the years 1 to 9999, to which JSON, Spark and Python go. Those are
// numbers of producers that count in micro- or nanoseconds.
func KafkaTime(ms int64) time.Time {
	if ms == NoTimestamp || ms <= yearOne || ms >= year10000 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

const (
	yearOne   = -62_135_596_800_000 // its first millisecond is Go's zero time
	year10000 = 253_402_300_800_000
)

// Header is one header of a message. Keys may repeat.
type Header struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}
