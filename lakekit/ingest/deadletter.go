package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
	"taxilake/lakekit/decode"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/kafka"
)

// DeadLetterSchema is the schema of the dead-letter table: where the record
// is in Kafka, its raw bytes, and why it was refused. Columns are named as in
// Spark's Kafka source. Kafka's timestamp is in the column timestamp when it
// stands for a time, see [api.KafkaTime], else as the number it is in
// timestampMs; both are null for a record without one. With includeHeaders the
// table has a column headers besides.
func DeadLetterSchema() delta.Schema {
	return delta.Schema{Fields: append(slices.Clip(letterFields), timestampMsField)}
}

// letterFields begin every dead-letter table.
var letterFields = []delta.Field{
	{Name: "topic", Type: delta.String},
	{Name: "partition", Type: delta.Integer},
	{Name: "offset", Type: delta.Long},
	{Name: "timestamp", Type: delta.Timestamp, Nullable: true},
	{Name: "key", Type: delta.Binary, Nullable: true},
	{Name: "value", Type: delta.Binary, Nullable: true},
	{Name: "reason", Type: delta.String},
}

// timestampMsField was not there in the first tables; they get it, as they get
// the headers, with the next letters.
var timestampMsField = delta.Field{Name: "timestampMs", Type: delta.Long, Nullable: true}

// deadLetterSchema has the headers, too, where a query includes them.
func deadLetterSchema(includeHeaders bool) delta.Schema {
	schema := DeadLetterSchema()
	if includeHeaders {
		schema.Fields = append(schema.Fields, decode.HeadersField)
	}
	return schema
}

// openDeadLetters opens the dead-letter table for letters, created if it is not
// there.
func (r *run) openDeadLetters(ctx context.Context) (*delta.Snapshot, error) {
	bucket := r.options.DeadLetters
	table, err := delta.Open(ctx, bucket)
	if errors.Is(err, delta.ErrNotTable) {
		table, err = delta.Create(ctx, bucket, delta.Definition{
			Description: "records of " + joinTopics(r.options.Subscribe) + " that do not fit " + r.table.URI(),
			Schema:      deadLetterSchema(r.options.IncludeHeaders),
		})
		if errors.Is(err, delta.ErrTableExists) {
			table, err = delta.Open(ctx, bucket)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("dead-letter table: %w", err)
	}
	snapshot, err := table.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("dead-letter table: %w", err)
	}
	columns, err := letterColumnsOf(snapshot)
	if err != nil {
		return nil, err
	}
	if missing := columns.missing(r.options.IncludeHeaders); len(missing) > 0 {
		if err := addColumns(ctx, snapshot, missing); err != nil {
			return nil, fmt.Errorf("dead-letter table: %w", err)
		}
		if snapshot, err = table.Snapshot(ctx); err != nil {
			return nil, fmt.Errorf("dead-letter table: %w", err)
		}
	}
	return snapshot, nil
}

// recordSet are records by their places in Kafka.
type recordSet map[string]map[int32][]int64

func (s recordSet) add(topic string, partition int32, offset int64) {
	if s[topic] == nil {
		s[topic] = map[int32][]int64{}
	}
	s[topic][partition] = append(s[topic][partition], offset)
}

func (s recordSet) sort() {
	for _, partitions := range s {
		for _, offsets := range partitions {
			slices.Sort(offsets)
		}
	}
}

// has is whether a record is in the set, which is sorted.
func (s recordSet) has(at confluent.TopicPartition) bool {
	_, found := slices.BinarySearch(s[*at.Topic][at.Partition], int64(at.Offset))
	return found
}

// committedLetters are the records that an earlier attempt at a batch has
// committed as dead letters; nil when none has. They stay dead letters, whatever
// schema or options have become meanwhile: they may even be in the table already,
// by a replay.
func (r *run) committedLetters(ctx context.Context, b *batch) (recordSet, error) {
	table, err := delta.Open(ctx, r.options.DeadLetters)
	if errors.Is(err, delta.ErrNotTable) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("dead-letter table: %w", err)
	}
	snapshot, err := table.Snapshot(ctx)
	if err != nil || lastTxn(snapshot, r.id) < b.id {
		return nil, err
	}
	versions, err := r.versionsOf(ctx, table, b)
	if err != nil {
		return nil, fmt.Errorf("dead-letter table: %w", err)
	}
	if len(versions) == 0 {
		return nil, fmt.Errorf("%w: batch %d was begun, and its dead letters committed to %s, whose log does not say any more which they are; bring its _delta_log back, or reset table and checkpoint together",
			ErrTableReplaced, b.id, table.URI())
	}
	letters := recordSet{}
	for _, version := range versions {
		snapshot, err := table.SnapshotAt(ctx, version)
		if err != nil {
			return nil, fmt.Errorf("dead letters of batch %d: %w", b.id, err)
		}
		for rows, err := range snapshot.Scan(ctx, delta.ScanOptions{Columns: []string{"topic", "partition", "offset"}, Added: true}) {
			if err != nil {
				return nil, fmt.Errorf("dead letters of batch %d: %w", b.id, err)
			}
			topic, partition, offset := rows.Column(0).(*array.String), rows.Column(1).(*array.Int32), rows.Column(2).(*array.Int64)
			for i := range int(rows.NumRows()) {
				letters.add(strings.Clone(topic.Value(i)), partition.Value(i), offset.Value(i))
			}
		}
	}
	letters.sort()
	return letters, nil
}

// versionsOf are the versions of the dead-letter table with letters of a batch.
func (r *run) versionsOf(ctx context.Context, table *delta.Table, b *batch) (versions []int64, err error) {
	for limit := 16; ; limit *= 16 {
		history, err := table.History(ctx, limit)
		if err != nil {
			return nil, err
		}
		versions = nil
		for _, entry := range history {
			batch, err := strconv.ParseInt(entry.OperationParameters["epochId"], 10, 64)
			switch {
			case err != nil || entry.OperationParameters["queryId"] != r.id:
			case batch == b.id:
				versions = append(versions, entry.Version)
			case batch < b.id:
				return versions, nil
			}
		}
		if len(history) < limit {
			return versions, nil
		}
	}
}

// letterColumns are the places of the columns that not every dead-letter table
// has; 0 is none.
type letterColumns struct{ timestampMs, headers int }

// letterColumnsOf makes sure that a table is one of dead letters.
func letterColumnsOf(snapshot *delta.Snapshot) (columns letterColumns, err error) {
	have := snapshot.Schema()
	ours := len(have.Fields) >= len(letterFields) && delta.Schema{Fields: have.Fields[:len(letterFields)]}.String() == delta.Schema{Fields: letterFields}.String()
	for i := len(letterFields); ours && i < len(have.Fields); i++ {
		switch field := have.Fields[i]; {
		case field.Name == timestampMsField.Name && field.Type.String() == timestampMsField.Type.String():
			columns.timestampMs = i
		case field.Name == decode.HeadersColumn && field.Type.String() == decode.HeadersType.String():
			columns.headers = i
		default:
			ours = false
		}
	}
	if !ours {
		return columns, fmt.Errorf("%w: the dead-letter table %s has columns %s, want %s", ErrOptions, snapshot.Table().URI(), have, deadLetterSchema(true))
	}
	return columns, nil
}

func (c letterColumns) missing(includeHeaders bool) (fields []delta.Field) {
	if c.timestampMs == 0 {
		fields = append(fields, timestampMsField)
	}
	if includeHeaders && c.headers == 0 {
		fields = append(fields, decode.HeadersField)
	}
	return fields
}

// letterBuilder makes rows of the dead-letter table.
type letterBuilder struct {
	builder     *array.RecordBuilder
	topic       *array.StringBuilder
	partition   *array.Int32Builder
	offset      *array.Int64Builder
	timestamp   *array.TimestampBuilder
	key         *array.BinaryBuilder
	value       *array.BinaryBuilder
	reason      *array.StringBuilder
	timestampMs *array.Int64Builder
	headers     *decode.HeadersBuilder // nil when headers are not included
	size        int64
}

func newLetterBuilder(includeHeaders bool) *letterBuilder {
	schema, err := deadLetterSchema(includeHeaders).Arrow()
	if err != nil {
		panic(err) // the schema is a constant
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	l := &letterBuilder{
		builder:     b,
		topic:       b.Field(0).(*array.StringBuilder),
		partition:   b.Field(1).(*array.Int32Builder),
		offset:      b.Field(2).(*array.Int64Builder),
		timestamp:   b.Field(3).(*array.TimestampBuilder),
		key:         b.Field(4).(*array.BinaryBuilder),
		value:       b.Field(5).(*array.BinaryBuilder),
		reason:      b.Field(6).(*array.StringBuilder),
		timestampMs: b.Field(7).(*array.Int64Builder),
	}
	if includeHeaders {
		l.headers = decode.NewHeadersBuilder(b.Field(8))
	}
	return l
}

// maxReason bounds what a reason quotes of a record.
const maxReason = 500

func (l *letterBuilder) append(m *confluent.Message, headers []decode.Header, problem error) {
	reason := problem.Error()
	if m.Value == nil {
		reason = "no value (a tombstone)"
	}
	if len(reason) > maxReason {
		cut := maxReason
		for !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut] + "..."
	}
	l.topic.Append(*m.TopicPartition.Topic)
	l.partition.Append(m.TopicPartition.Partition)
	l.offset.Append(int64(m.TopicPartition.Offset))
	l.appendTimestamp(kafka.TimestampMs(m))
	appendBytes(l.key, m.Key)
	appendBytes(l.value, m.Value)
	l.reason.Append(strings.ToValidUTF8(reason, "\ufffd"))
	if l.headers != nil {
		l.size += l.headers.Append(headers)
	}
	l.size += int64(len(m.Key)+len(m.Value)+len(reason)) + 64
}

func (l *letterBuilder) appendTimestamp(ms int64) {
	at := api.KafkaTime(ms)
	if at.IsZero() {
		l.timestamp.AppendNull()
	} else {
		l.timestamp.Append(arrow.Timestamp(at.UnixMicro()))
	}
	if at.IsZero() && ms != api.NoTimestamp {
		l.timestampMs.Append(ms)
	} else {
		l.timestampMs.AppendNull()
	}
}

func appendBytes(b *array.BinaryBuilder, bytes []byte) {
	if bytes == nil {
		b.AppendNull()
		return
	}
	b.Append(bytes)
}

func (l *letterBuilder) rows() int { return l.reason.Len() }

func (l *letterBuilder) flush() arrow.RecordBatch {
	l.size = 0
	return l.builder.NewRecordBatch()
}

func (l *letterBuilder) release() { l.builder.Release() }
