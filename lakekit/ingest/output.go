package ingest

import (
	"context"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/decode"
	"taxilake/lakekit/delta"
)

// output collects the rows of one batch for one table and uploads them as
// data files: one at the end, or one each time they reach the limit.
type output struct {
	limit int64 // bytes in memory
	// open prepares the table when the first rows come, and pins the version that
	// the commit is planned from.
	open func(context.Context) (*delta.Snapshot, error)

	mu       sync.Mutex
	snapshot *delta.Snapshot // nil until then
	pending  []arrow.RecordBatch
	bytes    int64
	rows     int64
	files    []delta.Add
}

// newOutput is one for a table that is open.
func newOutput(snapshot *delta.Snapshot, limit int64) *output {
	return &output{snapshot: snapshot, limit: limit}
}

func (o *output) table() *delta.Table { return o.snapshot.Table() }

// add takes over a record batch of about that many bytes.
func (o *output) add(ctx context.Context, rows arrow.RecordBatch, bytes int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending = append(o.pending, rows)
	o.bytes += bytes
	o.rows += rows.NumRows()
	if o.bytes < o.limit {
		return nil
	}
	return o.uploadLocked(ctx)
}

func (o *output) upload(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.uploadLocked(ctx)
}

func (o *output) uploadLocked(ctx context.Context) error {
	if len(o.pending) == 0 {
		return nil
	}
	if o.snapshot == nil {
		var err error
		if o.snapshot, err = o.open(ctx); err != nil {
			return err
		}
	}
	files, err := o.table().WriteFiles(ctx, o.pending...)
	if err != nil {
		return fmt.Errorf("write data files: %w", err)
	}
	o.files = append(o.files, files...)
	o.drop()
	return nil
}

func (o *output) drop() {
	for _, rows := range o.pending {
		rows.Release()
	}
	o.pending, o.bytes = nil, 0
}

// discard frees the rows and deletes the files, which were not committed.
func (o *output) discard(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop()
	keys := o.keys()
	o.files = nil
	if len(keys) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := o.table().Bucket().Delete(ctx, keys...); err != nil {
		return fmt.Errorf("delete files that were not committed (the next vacuum will): %w", err)
	}
	return nil
}

func (o *output) keys() []string {
	keys := make([]string, 0, len(o.files))
	for _, file := range o.files {
		if key, err := file.Key(); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// worker decodes records; a batch has several.
type worker struct {
	decoder decode.Decoder
	letters *letterBuilder
	data    *output
	dead    *output
	headers []decode.Header // of the present record
	settled recordSet       // records that are dead letters already
	passed  int64           // number of them
}

func newWorker(schema *arrow.Schema, options decode.Options, settled recordSet, data, dead *output) (*worker, error) {
	decoder, err := decode.New(schema, options)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return &worker{decoder: decoder, letters: newLetterBuilder(options.IncludeHeaders), data: data, dead: dead, settled: settled}, nil
}

func (w *worker) release() {
	w.decoder.Release()
	w.letters.release()
}

// run decodes until the chunks end.
func (w *worker) run(ctx context.Context, chunks <-chan []*confluent.Message) error {
	for chunk := range chunks {
		if err := w.decode(ctx, chunk); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := w.handOverRows(ctx); err != nil {
		return err
	}
	return w.handOverLetters(ctx)
}

func (w *worker) decode(ctx context.Context, chunk []*confluent.Message) error {
	for _, m := range chunk {
		if w.settled != nil && w.settled.has(m.TopicPartition) {
			w.passed++
			continue
		}
		w.headers = w.headers[:0]
		for _, header := range m.Headers {
			w.headers = append(w.headers, decode.Header(header))
		}
		if err := w.decoder.Decode(m.Value, w.headers); err != nil {
			w.letters.append(m, w.headers, err)
		}
	}
	if w.decoder.Rows() >= handoverRecords || w.decoder.Size() >= w.data.limit/8 {
		if err := w.handOverRows(ctx); err != nil {
			return err
		}
	}
	if w.letters.size >= w.dead.limit/8 {
		return w.handOverLetters(ctx)
	}
	return nil
}

func (w *worker) handOverRows(ctx context.Context) error {
	if w.decoder.Rows() == 0 {
		return nil
	}
	size := w.decoder.Size()
	return w.data.add(ctx, w.decoder.Flush(), size)
}

func (w *worker) handOverLetters(ctx context.Context) error {
	if w.letters.rows() == 0 {
		return nil
	}
	size := w.letters.size
	return w.dead.add(ctx, w.letters.flush(), size)
}
