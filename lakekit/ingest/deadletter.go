package ingest

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/delta"
)

// DeadLetterSchema is the schema of the dead-letter table: where the record
// is in Kafka, its raw bytes, and why it was refused. Columns are named as in
// Spark's Kafka source. With includeHeaders it has a column headers besides.
func DeadLetterSchema() delta.Schema {
	return delta.Schema{Fields: []delta.Field{
		{Name: "topic", Type: delta.String},
		{Name: "partition", Type: delta.Integer},
		{Name: "offset", Type: delta.Long},
		{Name: "timestamp", Type: delta.Timestamp, Nullable: true},
		{Name: "key", Type: delta.Binary, Nullable: true},
		{Name: "value", Type: delta.Binary, Nullable: true},
		{Name: "reason", Type: delta.String},
	}}
}

// deadLetterSchema has the headers, too, where a query includes them.
func deadLetterSchema(includeHeaders bool) delta.Schema {
	schema := DeadLetterSchema()
	if includeHeaders {
		schema.Fields = append(schema.Fields, delta.Field{Name: headersColumn, Type: headersType, Nullable: true})
	}
	return schema
}

// openDeadLetters opens the dead-letter table for the letters of a batch,
// created if it is not there.
func (q *Query) openDeadLetters(ctx context.Context, b *batch, dead *output) error {
	bucket := q.options.DeadLetters
	table, err := delta.Open(ctx, bucket)
	if errors.Is(err, delta.ErrNotTable) {
		table, err = delta.Create(ctx, bucket, delta.Definition{
			Description: "records of " + joinTopics(q.options.Subscribe) + " that do not fit " + q.table.URI(),
			Schema:      deadLetterSchema(q.options.IncludeHeaders),
		})
		if errors.Is(err, delta.ErrTableExists) {
			table, err = delta.Open(ctx, bucket)
		}
	}
	if err != nil {
		return fmt.Errorf("dead-letter table: %w", err)
	}
	snapshot, err := table.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("dead-letter table: %w", err)
	}
	hasHeaders, err := checkDeadLetters(snapshot)
	if err != nil {
		return err
	}
	if q.options.IncludeHeaders && !hasHeaders {
		if err := addColumns(ctx, snapshot, deadLetterSchema(true).Fields[len(DeadLetterSchema().Fields):]); err != nil {
			return fmt.Errorf("dead-letter table: %w", err)
		}
		if snapshot, err = table.Snapshot(ctx); err != nil {
			return fmt.Errorf("dead-letter table: %w", err)
		}
	}
	txn, ok := snapshot.Txn(q.id)
	dead.table, dead.snapshot, dead.skip = table, snapshot, ok && txn.Version >= b.id
	return nil
}

// checkDeadLetters makes sure that a table is one of dead letters.
func checkDeadLetters(snapshot *delta.Snapshot) (hasHeaders bool, err error) {
	switch have, want := snapshot.Schema().String(), DeadLetterSchema().String(); have {
	case want:
		return false, nil
	case deadLetterSchema(true).String():
		return true, nil
	default:
		return false, fmt.Errorf("%w: the dead-letter table %s has columns %s, want %s", ErrOptions, snapshot.Table().URI(), have, want)
	}
}

// letterBuilder makes rows of the dead-letter table.
type letterBuilder struct {
	builder   *array.RecordBuilder
	topic     *array.StringBuilder
	partition *array.Int32Builder
	offset    *array.Int64Builder
	timestamp *array.TimestampBuilder
	key       *array.BinaryBuilder
	value     *array.BinaryBuilder
	reason    *array.StringBuilder
	headers   *headersBuilder // nil when headers are not included
	size      int64
}

func newLetterBuilder(includeHeaders bool) *letterBuilder {
	schema, err := deadLetterSchema(includeHeaders).Arrow()
	if err != nil {
		panic(err) // the schema is a constant
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	l := &letterBuilder{
		builder:   b,
		topic:     b.Field(0).(*array.StringBuilder),
		partition: b.Field(1).(*array.Int32Builder),
		offset:    b.Field(2).(*array.Int64Builder),
		timestamp: b.Field(3).(*array.TimestampBuilder),
		key:       b.Field(4).(*array.BinaryBuilder),
		value:     b.Field(5).(*array.BinaryBuilder),
		reason:    b.Field(6).(*array.StringBuilder),
	}
	if includeHeaders {
		l.headers = newHeadersBuilder(b.Field(7))
	}
	return l
}

// maxReason bounds what a reason quotes of a record.
const maxReason = 500

func (l *letterBuilder) append(m *confluent.Message, problem error) {
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
	if m.TimestampType == confluent.TimestampNotAvailable {
		l.timestamp.AppendNull()
	} else {
		l.timestamp.Append(arrow.Timestamp(m.Timestamp.UnixMicro()))
	}
	appendBytes(l.key, m.Key)
	appendBytes(l.value, m.Value)
	l.reason.Append(validUTF8(reason))
	if l.headers != nil {
		l.size += l.headers.append(m.Headers)
	}
	l.size += int64(len(m.Key)+len(m.Value)+len(reason)) + 64
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
