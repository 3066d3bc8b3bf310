package ingest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/decode"
	"taxilake/lakekit/delta"
)

// DeadLetters are the newest records of a dead-letter table, by their time in
// Kafka, at most limit; none when the table is not there, which is when the
// first record is refused.
func DeadLetters(ctx context.Context, bucket blob.Bucket, limit int) ([]api.DeadLetter, error) {
	table, err := delta.Open(ctx, bucket)
	if errors.Is(err, delta.ErrNotTable) {
		return nil, nil
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
	var newest []api.DeadLetter
	for batch, err := range snapshot.Scan(ctx, delta.ScanOptions{}) {
		if err != nil {
			return nil, err
		}
		page := pageOf(batch, columns)
		for i := range page.rows {
			if newest = append(newest, page.shown(i)); len(newest) >= 2*limit+1000 {
				newest = newestFirst(newest, limit)
			}
		}
	}
	return newestFirst(newest, limit), nil
}

func newestFirst(letters []api.DeadLetter, limit int) []api.DeadLetter {
	slices.SortFunc(letters, func(a, b api.DeadLetter) int {
		return cmp.Or(cmp.Compare(b.TimestampMs, a.TimestampMs), strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(b.Offset, a.Offset))
	})
	return letters[:min(limit, len(letters))]
}

// letterPage are rows of a dead-letter table.
type letterPage struct {
	rows        int
	topic       *array.String
	partition   *array.Int32
	offset      *array.Int64
	timestamp   *array.Timestamp
	key         *array.Binary
	value       *array.Binary
	reason      *array.String
	timestampMs *array.Int64 // nil without the column
	headers     arrow.Array  // nil without the column
}

func pageOf(batch arrow.RecordBatch, columns letterColumns) letterPage {
	page := letterPage{
		rows:      int(batch.NumRows()),
		topic:     batch.Column(0).(*array.String),
		partition: batch.Column(1).(*array.Int32),
		offset:    batch.Column(2).(*array.Int64),
		timestamp: batch.Column(3).(*array.Timestamp),
		key:       batch.Column(4).(*array.Binary),
		value:     batch.Column(5).(*array.Binary),
		reason:    batch.Column(6).(*array.String),
	}
	if columns.timestampMs > 0 {
		page.timestampMs = batch.Column(columns.timestampMs).(*array.Int64)
	}
	if columns.headers > 0 {
		page.headers = batch.Column(columns.headers)
	}
	return page
}

// timestampAt is the letter's timestamp in Kafka, in milliseconds.
func (p letterPage) timestampAt(row int) int64 {
	switch {
	case p.timestamp.IsValid(row):
		return time.UnixMicro(int64(p.timestamp.Value(row))).UnixMilli()
	case p.timestampMs != nil && p.timestampMs.IsValid(row):
		return p.timestampMs.Value(row)
	}
	return api.NoTimestamp
}

func (p letterPage) headersOf(row int) []decode.Header {
	if p.headers == nil {
		return nil
	}
	return decode.HeadersAt(p.headers, row)
}

func (p letterPage) shown(row int) api.DeadLetter {
	ms := p.timestampAt(row)
	letter := api.DeadLetter{
		Topic: strings.Clone(p.topic.Value(row)), Partition: p.partition.Value(row), Offset: p.offset.Value(row),
		Timestamp: api.KafkaTime(ms), TimestampMs: ms,
		Key: bytesAt(p.key, row), Value: bytesAt(p.value, row), Reason: strings.Clone(p.reason.Value(row)),
	}
	for _, header := range p.headersOf(row) {
		letter.Headers = append(letter.Headers, api.Header{Key: header.Key, Value: header.Value})
	}
	return letter
}

// letterID tells dead letters apart: where the record was in Kafka is not
// enough, a topic that was made again begins at offset 0.
type letterID [16]byte

func (p letterPage) id(row int) letterID {
	var text []byte
	number := func(n int64) { text = binary.AppendVarint(text, n) }
	field := func(null bool, content []byte) {
		if null {
			number(-1)
			return
		}
		number(int64(len(content)))
		text = append(text, content...)
	}
	field(false, []byte(p.topic.Value(row)))
	number(int64(p.partition.Value(row)))
	number(p.offset.Value(row))
	if p.timestamp.IsValid(row) { // what lies under a null is undefined
		number(int64(p.timestamp.Value(row)))
	} else if p.timestampMs != nil && p.timestampMs.IsValid(row) {
		number(p.timestampMs.Value(row))
	}
	field(p.key.IsNull(row), p.key.Value(row))
	field(p.value.IsNull(row), p.value.Value(row))
	sum := sha256.Sum256(text)
	return letterID(sum[:len(letterID{})])
}

// bytesAt tells null from empty.
func bytesAt(column *array.Binary, row int) []byte {
	if column.IsNull(row) {
		return nil
	}
	return append([]byte{}, column.Value(row)...)
}
