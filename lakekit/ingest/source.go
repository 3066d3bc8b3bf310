package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
	"taxilake/lakekit/kafka"
)

// source reads ranges of offsets from topics. It keeps no place in a consumer
// group: the checkpoint says what to read.
type source struct {
	topics   []string
	consumer *confluent.Consumer
	// asker is a second client, for questions: on the connection of the first
	// they would wait behind its long fetches.
	asker     *confluent.Consumer
	admin     *confluent.AdminClient
	isolation confluent.IsolationLevel

	// partitions of the present assignment.
	partitions map[string]map[int32]*partition
	last       *partition // of the last record
	lastTopic  string
	lastNumber int32
	carried    int64 // bytes held back in all partitions
	maxCarried int64
	// trouble is the last thing the client reported, "" once records come.
	trouble string
}

// partition is how far one partition was read.
type partition struct {
	// from is where the next range must begin for the assignment to go on.
	from int64
	// position is the next offset the client gives, at or after from.
	position int64
	// carry are records read beyond the last range.
	carry  []*confluent.Message
	paused bool

	end  int64 // of the range being read
	done bool
}

// adminTimeout is how long a question to the cluster may take; a test has more time.
var adminTimeout = 5 * time.Second

const (
	pollMillis = 100
	// chunkRecords and chunkBytes bound what is handed over at once.
	chunkRecords = 2048
	chunkBytes   = 1 << 20
	// maxCarried bounds the records held back of partitions that reached the
	// end of their range before the others: beyond it, or beyond half of what
	// may be fetched ahead, they are paused.
	maxCarried = 16 << 20
	// maxQueueKiB is the largest queued.max.messages.kbytes.
	maxQueueKiB = 2_097_151
)

// newSource makes the clients; no broker need be there yet. queueBytes bounds
// what librdkafka fetches ahead.
func newSource(config kafka.Config, topics []string, queueBytes int64) (*source, error) {
	defaults := kafka.Config{
		// Kafka's and Spark's default; librdkafka's is read_committed.
		"isolation.level": "read_uncommitted",
	}
	maps.Copy(defaults, config)
	fixed := kafka.Config{
		"enable.auto.commit": "false",
		// Records that are gone must be noticed, not skipped.
		"auto.offset.reset":    "error",
		"enable.partition.eof": "true",
		// A record larger than a fetch is still delivered, up to this.
		"receive.message.max.bytes": "1000000000",
		// Fetching goes on while a batch is encoded and committed, until the
		// bytes are reached.
		"queued.min.messages":        "1000000",
		"queued.max.messages.kbytes": strconv.FormatInt(min(max(1, queueBytes>>10), maxQueueKiB), 10),
	}
	s := &source{topics: topics, maxCarried: min(maxCarried, queueBytes/2)}
	var err error
	if s.consumer, err = confluent.NewConsumer(defaults.Consumer(fixed)); err != nil {
		return nil, fmt.Errorf("%w: kafka consumer: %w", ErrOptions, err)
	}
	if s.asker, err = confluent.NewConsumer(defaults.Consumer(fixed)); err != nil {
		return nil, errors.Join(fmt.Errorf("kafka client: %w", err), s.consumer.Close())
	}
	if s.admin, err = confluent.NewAdminClientFromConsumer(s.asker); err != nil {
		return nil, errors.Join(fmt.Errorf("kafka admin client: %w", err), s.asker.Close(), s.consumer.Close())
	}
	if defaults["isolation.level"] == "read_committed" {
		s.isolation = confluent.IsolationLevelReadCommitted
	}
	return s, nil
}

func (s *source) close() error {
	s.admin.Close()
	return errors.Join(s.asker.Close(), s.consumer.Close())
}

// drainLogs passes the clients' logs on until ctx ends; a log that is not
// drained stops its client.
func (s *source) drainLogs(ctx context.Context, log *slog.Logger) {
	for {
		var line confluent.LogEvent
		select {
		case <-ctx.Done():
			return
		case line = <-s.consumer.Logs():
		case line = <-s.asker.Logs():
		}
		log.Debug("librdkafka", "client", line.Name, "message", line.Message)
	}
}

func (s *source) description() string {
	return fmt.Sprintf("KafkaV2[Subscribe[%s]]", joinTopics(s.topics))
}

// describe returns the ids of the topics, "" where the broker gives none, and
// their partitions.
func (s *source) describe(ctx context.Context) (ids map[string]string, partitions map[string][]int32, err error) {
	result, err := s.admin.DescribeTopics(ctx, confluent.NewTopicCollectionOfTopicNames(s.topics), confluent.SetAdminRequestTimeout(adminTimeout))
	if err != nil {
		return nil, nil, fmt.Errorf("ask the broker for topics %s: %w", joinTopics(s.topics), err)
	}
	ids, partitions = map[string]string{}, map[string][]int32{}
	for _, topic := range result.TopicDescriptions {
		if isUnknownTopic(topic.Error) {
			return nil, nil, fmt.Errorf("topic %q: %w", topic.Name, errUnknownTopic)
		}
		if topic.Error.Code() != confluent.ErrNoError {
			return nil, nil, fmt.Errorf("ask the broker for topic %q: %w", topic.Name, topic.Error)
		}
		if most, least := topic.TopicID.GetMostSignificantBits(), topic.TopicID.GetLeastSignificantBits(); most != 0 || least != 0 {
			ids[topic.Name] = topic.TopicID.String()
		}
		if len(topic.Partitions) == 0 {
			return nil, nil, fmt.Errorf("ask the broker for topic %q: it names no partition yet", topic.Name)
		}
		for _, p := range topic.Partitions {
			partitions[topic.Name] = append(partitions[topic.Name], int32(p.Partition))
		}
	}
	return ids, partitions, nil
}

var errUnknownTopic = errors.New("the broker does not know it")

func isUnknownTopic(err confluent.Error) bool {
	switch err.Code() {
	case confluent.ErrUnknownTopicOrPart, confluent.ErrUnknownTopic, confluent.ErrUnknownPartition:
		return true
	}
	return false
}

// offsets asks for the earliest or the latest offset of partitions.
func (s *source) offsets(ctx context.Context, partitions map[string][]int32, spec confluent.OffsetSpec) (api.PartitionOffsets, error) {
	request := map[confluent.TopicPartition]confluent.OffsetSpec{}
	for topic, numbers := range partitions {
		for _, number := range numbers {
			request[confluent.TopicPartition{Topic: &topic, Partition: number}] = spec
		}
	}
	result, err := s.admin.ListOffsets(ctx, request, confluent.SetAdminRequestTimeout(adminTimeout), confluent.SetAdminIsolationLevel(s.isolation))
	if err != nil {
		return nil, fmt.Errorf("ask the broker for offsets: %w", err)
	}
	offsets := api.PartitionOffsets{}
	for tp, info := range result.ResultInfos {
		if isUnknownTopic(info.Error) {
			return nil, fmt.Errorf("topic %q, partition %d: %w", *tp.Topic, tp.Partition, errUnknownTopic)
		}
		if info.Error.Code() != confluent.ErrNoError {
			return nil, fmt.Errorf("ask the broker for the offset of %s-%d: %w", *tp.Topic, tp.Partition, info.Error)
		}
		if info.Offset < 0 { // the answer of a broker that is just coming back may hold no error and no offset
			return nil, fmt.Errorf("ask the broker for the offset of %s-%d: it names none yet", *tp.Topic, tp.Partition)
		}
		if offsets[*tp.Topic] == nil {
			offsets[*tp.Topic] = map[int32]int64{}
		}
		offsets[*tp.Topic][tp.Partition] = int64(info.Offset)
	}
	return offsets, nil
}

// errOffsetOutOfRange: records of the range were removed while it was read.
var errOffsetOutOfRange = errors.New("offset out of range")

// read gives the records of the range from start to end, each once, those of
// a partition in order; records may be absent from the range (transaction
// markers, compacted topics). It waits for a broker that is down; idle is
// called with the client's trouble each time nothing came for a while, and
// may end the reading.
func (s *source) read(ctx context.Context, start, end api.PartitionOffsets, idle func(trouble string) error, each func([]*confluent.Message) error) error {
	open, err := s.begin(start, end)
	if err != nil {
		return err
	}
	out := chunker{each: each}
	if open, err = s.readCarried(open, &out); err != nil {
		return s.abandon(err)
	}
	for open > 0 {
		if err := ctx.Err(); err != nil {
			return s.abandon(err)
		}
		finished, err := s.poll(idle, &out)
		if err != nil {
			return s.abandon(err)
		}
		if finished {
			open--
		}
	}
	if err := out.flush(); err != nil {
		return s.abandon(err)
	}
	for topic, partitions := range s.partitions {
		for number, p := range partitions {
			p.from = end[topic][number]
		}
	}
	return nil
}

// abandon drops the assignment, so that the next read begins afresh.
func (s *source) abandon(err error) error {
	s.partitions = nil
	return err
}

// begin goes on with the present assignment if it is where start is, else
// makes a new one; open is the number of partitions with something to read.
func (s *source) begin(start, end api.PartitionOffsets) (open int, err error) {
	if !s.continues(start, end) {
		if err := s.assign(start, end); err != nil {
			return 0, err
		}
	}
	for topic, partitions := range s.partitions {
		for number, p := range partitions {
			p.end = end[topic][number]
			p.done = p.position >= p.end && len(p.carry) == 0 || start[topic][number] >= p.end
			if !p.done {
				open++
			}
		}
	}
	return open, s.resume()
}

func (s *source) continues(start, end api.PartitionOffsets) bool {
	count := 0
	for topic, partitions := range end {
		for number := range partitions {
			p := s.partitions[topic][number]
			if p == nil || p.from != start[topic][number] {
				return false
			}
			count++
		}
	}
	for _, partitions := range s.partitions {
		count -= len(partitions)
	}
	return count == 0
}

func (s *source) assign(start, end api.PartitionOffsets) error {
	s.partitions, s.last, s.carried = map[string]map[int32]*partition{}, nil, 0
	var assignment []confluent.TopicPartition
	for topic, partitions := range end {
		s.partitions[topic] = map[int32]*partition{}
		for number := range partitions {
			from := start[topic][number]
			s.partitions[topic][number] = &partition{from: from, position: from}
			assignment = append(assignment, confluent.TopicPartition{Topic: &topic, Partition: number, Offset: confluent.Offset(from)})
		}
	}
	if err := s.consumer.Assign(assignment); err != nil {
		return s.abandon(fmt.Errorf("assign partitions: %w", err))
	}
	return nil
}

// resume lets paused partitions go on that have something to read again.
func (s *source) resume() error {
	var paused []confluent.TopicPartition
	for topic, partitions := range s.partitions {
		for number, p := range partitions {
			if p.paused && !p.done {
				p.paused = false
				paused = append(paused, confluent.TopicPartition{Topic: &topic, Partition: number})
			}
		}
	}
	if len(paused) == 0 {
		return nil
	}
	return s.consumer.Resume(paused)
}

// readCarried gives the records held back that belong to the range now.
func (s *source) readCarried(open int, out *chunker) (int, error) {
	for _, partitions := range s.partitions {
		for _, p := range partitions {
			if p.done {
				continue
			}
			n := 0
			for n < len(p.carry) && int64(p.carry[n].TopicPartition.Offset) < p.end {
				s.carried -= recordBytes(p.carry[n])
				if err := out.add(p.carry[n]); err != nil {
					return open, err
				}
				n++
			}
			p.carry = slices.Delete(p.carry, 0, n)
			if p.position >= p.end || len(p.carry) > 0 {
				p.done = true
				open--
			}
		}
	}
	return open, nil
}

// poll takes the client's next event; finished means that a partition reached
// the end of its range.
func (s *source) poll(idle func(string) error, out *chunker) (finished bool, err error) {
	switch event := s.consumer.Poll(pollMillis).(type) {
	case *confluent.Message:
		s.trouble = ""
		return s.take(event, out)
	case confluent.PartitionEOF:
		p := s.partitions[*event.Topic][event.Partition]
		if p == nil {
			return false, nil
		}
		p.position = max(p.position, int64(event.Offset))
		return p.finish(), nil
	case confluent.Error:
		switch event.Code() {
		case confluent.ErrAutoOffsetReset, confluent.ErrOffsetOutOfRange:
			return false, fmt.Errorf("read from kafka: %w: %w", errOffsetOutOfRange, event)
		}
		if isUnknownTopic(event) {
			return false, fmt.Errorf("read from kafka: %w: %w", event, errUnknownTopic)
		}
		if event.IsFatal() {
			return false, fmt.Errorf("read from kafka: %w", event)
		}
		s.trouble = event.Error()
	case nil:
		// What is here is worked on while nothing new comes.
		if err := out.flush(); err != nil {
			return false, err
		}
		return false, idle(s.trouble)
	}
	return false, nil
}

func (s *source) take(m *confluent.Message, out *chunker) (finished bool, err error) {
	p := s.partitionOf(m)
	if p == nil {
		return false, nil
	}
	if m.TopicPartition.Error != nil {
		return false, fmt.Errorf("read from kafka: %w", m.TopicPartition.Error)
	}
	offset := int64(m.TopicPartition.Offset)
	if offset < p.position {
		return false, nil
	}
	p.position = offset + 1
	if offset >= p.end {
		return p.finish(), s.hold(p, m)
	}
	return p.finish(), out.add(m)
}

// partitionOf remembers the last answer: records come in runs of a partition.
func (s *source) partitionOf(m *confluent.Message) *partition {
	topic, number := *m.TopicPartition.Topic, m.TopicPartition.Partition
	if s.last == nil || s.lastNumber != number || s.lastTopic != topic {
		s.last, s.lastTopic, s.lastNumber = s.partitions[topic][number], topic, number
	}
	return s.last
}

// finish says whether the partition has just reached the end of its range.
func (p *partition) finish() bool {
	if p.done || p.position < p.end {
		return false
	}
	p.done = true
	return true
}

// hold keeps a record for the next range.
func (s *source) hold(p *partition, m *confluent.Message) error {
	p.carry = append(p.carry, m)
	s.carried += recordBytes(m)
	if s.carried < s.maxCarried || p.paused {
		return nil
	}
	p.paused = true
	return s.consumer.Pause([]confluent.TopicPartition{{Topic: m.TopicPartition.Topic, Partition: m.TopicPartition.Partition}})
}

// recordBytes is about what a record takes in memory.
func recordBytes(m *confluent.Message) int64 {
	const fixed = 200
	size := len(m.Key) + len(m.Value) + fixed
	for i := range m.Headers {
		size += len(m.Headers[i].Key) + len(m.Headers[i].Value)
	}
	return int64(size)
}

// chunker hands records over in chunks bounded in number and bytes.
type chunker struct {
	each  func([]*confluent.Message) error
	chunk []*confluent.Message
	bytes int64
}

func (c *chunker) add(m *confluent.Message) error {
	if c.chunk == nil {
		c.chunk = make([]*confluent.Message, 0, chunkRecords)
	}
	c.chunk = append(c.chunk, m)
	c.bytes += recordBytes(m)
	if len(c.chunk) < chunkRecords && c.bytes < chunkBytes {
		return nil
	}
	return c.flush()
}

func (c *chunker) flush() error {
	if len(c.chunk) == 0 {
		return nil
	}
	chunk := c.chunk
	c.chunk, c.bytes = nil, 0
	return c.each(chunk)
}
