package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
)

// checkpoint is the folder of a streaming query, with Structured Streaming's
// files: metadata, sources/0/0, offsets/N and commits/N.
type checkpoint struct{ bucket blob.Bucket }

const (
	metadataKey = "metadata"
	initialKey  = "sources/0/0"
	// bindingKey is a file of our own, which Spark does not look at.
	bindingKey = "lakekit.json"

	// logEntriesKept is spark.sql.streaming.minBatchesToRetain.
	logEntriesKept = 100
)

// damaged ends the message about a file that is not there, or not as it was.
const damaged = "bring it back as it was written, or reset checkpoint and table together"

func offsetsKey(batch int64) string { return "offsets/" + strconv.FormatInt(batch, 10) }
func commitsKey(batch int64) string { return "commits/" + strconv.FormatInt(batch, 10) }

// sessionConf is the conf of a query's first offsets file: the settings Spark
// records for every query, at Spark's defaults. A stateless query depends on
// none of them; they are there so that Spark resumes without a warning.
const sessionConf = `{` +
	`"spark.sql.streaming.stateStore.providerClass":"org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider",` +
	`"spark.sql.streaming.stateStore.rocksdb.formatVersion":"5",` +
	`"spark.sql.streaming.stateStore.encodingFormat":"unsaferow",` +
	`"spark.sql.streaming.statefulOperator.useStrictDistribution":"true",` +
	`"spark.sql.streaming.flatMapGroupsWithState.stateFormatVersion":"2",` +
	`"spark.sql.streaming.multipleWatermarkPolicy":"min",` +
	`"spark.sql.streaming.aggregation.stateFormatVersion":"2",` +
	`"spark.sql.shuffle.partitions":"200",` +
	`"spark.sql.streaming.join.stateFormatVersion":"2",` +
	`"spark.sql.streaming.stateStore.compression.codec":"lz4",` +
	`"spark.sql.optimizer.pruneFiltersCanPruneStreamingSubplan":"false"}`

// offsetsEntry is the content of offsets/N: where batch N ends.
type offsetsEntry struct {
	timestampMs int64
	// conf goes from entry to entry unchanged, as Spark does.
	conf json.RawMessage
	end  api.PartitionOffsets
}

func (e offsetsEntry) encode() []byte {
	return fmt.Appendf(nil, "v1\n{\"batchWatermarkMs\":0,\"batchTimestampMs\":%d,\"conf\":%s}\n%s", e.timestampMs, e.conf, encodeOffsets(e.end))
}

func encodeOffsets(o api.PartitionOffsets) []byte {
	b, _ := o.MarshalJSON() // never fails
	return b
}

func decodeOffsetsEntry(content []byte) (offsetsEntry, error) {
	lines := strings.Split(string(content), "\n")
	switch {
	case lines[0] == "v2":
		return offsetsEntry{}, fmt.Errorf("%w: offset log v2 (named sources); set spark.sql.streaming.offsetLog.formatVersion to 1 in Spark before the query's first start", ErrCheckpointFormat)
	case lines[0] != "v1":
		return offsetsEntry{}, fmt.Errorf("%w: the first line is %.20q, want v1; %s", ErrCheckpointFormat, lines[0], damaged)
	case len(lines) != 3:
		return offsetsEntry{}, fmt.Errorf("%w: %d lines, want 3: version, metadata, one source; %s", ErrCheckpointFormat, len(lines), damaged)
	}
	var metadata struct {
		BatchWatermarkMs int64           `json:"batchWatermarkMs"`
		BatchTimestampMs int64           `json:"batchTimestampMs"`
		Conf             json.RawMessage `json:"conf"`
	}
	if err := json.Unmarshal([]byte(lines[1]), &metadata); err != nil {
		return offsetsEntry{}, fmt.Errorf("%w: metadata line: %w; %s", ErrCheckpointFormat, err, damaged)
	}
	if metadata.BatchWatermarkMs != 0 {
		return offsetsEntry{}, fmt.Errorf("%w: the query has a watermark, so it is not stateless", ErrCheckpointFormat)
	}
	if metadata.Conf == nil || string(metadata.Conf) == "null" {
		metadata.Conf = json.RawMessage("{}")
	}
	end, err := decodeOffsets([]byte(lines[2]))
	return offsetsEntry{metadata.BatchTimestampMs, metadata.Conf, end}, err
}

func decodeOffsets(line []byte) (o api.PartitionOffsets, err error) {
	if err := json.Unmarshal(line, &o); err != nil {
		return nil, fmt.Errorf("%w: Kafka offsets: %w; %s", ErrCheckpointFormat, err, damaged)
	}
	if o == nil {
		return nil, fmt.Errorf("%w: no Kafka offsets; %s", ErrCheckpointFormat, damaged)
	}
	for topic, partitions := range o {
		for partition, offset := range partitions {
			if partition < 0 || offset < 0 {
				return nil, fmt.Errorf("%w: offset %d of %s-%d; %s", ErrCheckpointFormat, offset, topic, partition, damaged)
			}
		}
	}
	return o, nil
}

const commitContent = "v1\n" + `{"nextBatchWatermarkMs":0}`

// add writes a file that must not be there yet. A file with the same content
// is the same write, whose answer was lost.
func (c checkpoint) add(ctx context.Context, key string, content []byte) error {
	err := c.bucket.PutIfAbsent(ctx, key, bytes.NewReader(content))
	if err == nil {
		return nil
	}
	there, readErr := blob.ReadAll(ctx, c.bucket, key)
	if readErr == nil && bytes.Equal(there, content) {
		return nil
	}
	if readErr == nil && errors.Is(err, blob.ErrExist) {
		return fmt.Errorf("%w: it wrote %s first; stop one of the two, or give each its own checkpoint and table", ErrConcurrentRun, c.bucket.URI(key))
	}
	return fmt.Errorf("write checkpoint: %w", err)
}

func (c checkpoint) writeOffsets(ctx context.Context, batch int64, e offsetsEntry) error {
	return c.add(ctx, offsetsKey(batch), e.encode())
}

func (c checkpoint) writeCommit(ctx context.Context, batch int64) error {
	return c.add(ctx, commitsKey(batch), []byte(commitContent))
}

func (c checkpoint) writeQueryID(ctx context.Context, id string) error {
	return c.add(ctx, metadataKey, []byte(`{"id":"`+id+`"}`))
}

// writeInitial records where the query began. The byte zero before the
// version is Spark's, for its own version 2.1.0.
func (c checkpoint) writeInitial(ctx context.Context, o api.PartitionOffsets) error {
	return c.add(ctx, initialKey, append([]byte("\x00v1\n"), encodeOffsets(o)...))
}

// purge deletes the entries that fall out of the window when batch is done,
// and the checksums Spark leaves beside files on a local disk.
func (c checkpoint) purge(ctx context.Context, batch int64) error {
	old := batch - logEntriesKept - 1
	if old < 0 {
		return nil
	}
	n := strconv.FormatInt(old, 10)
	return c.bucket.Delete(ctx, offsetsKey(old), commitsKey(old), "offsets/."+n+".crc", "commits/."+n+".crc")
}

// checkpointState is what a checkpoint says of the query's progress.
type checkpointState struct {
	queryID string // "" for a checkpoint that is not there yet
	isNew   bool   // nothing was planned yet
	// initial is where batch 0 begins; nil when that is not decided yet.
	initial api.PartitionOffsets
	// planned and committed are the last batch in offsets/ and commits/, -1
	// for none; equal, or planned is one ahead.
	planned, committed int64
	start              api.PartitionOffsets // of the planned batch when it is not committed, else of the next
	entry              offsetsEntry         // of the planned batch
}

// load reads the state and writes nothing: whether the query may begin is not
// known yet.
func (c checkpoint) load(ctx context.Context) (s checkpointState, err error) {
	if s.planned, s.committed, err = c.latestBatches(ctx); err != nil {
		return s, err
	}
	if s.queryID, err = c.queryID(ctx, s.planned >= 0); err != nil {
		return s, err
	}
	if s.initial, err = c.readInitial(ctx); err != nil {
		return s, err
	}
	switch {
	case s.planned < 0 && s.committed < 0:
		s.isNew, s.start = true, s.initial
		return s, nil
	case s.planned != s.committed && s.planned != s.committed+1:
		return s, fmt.Errorf("%w at %s: the last planned batch is %d, the last committed one %d; bring the missing files back, or reset checkpoint and table together",
			ErrCheckpointFormat, c.bucket.URI(""), s.planned, s.committed)
	}
	if s.entry, err = c.readOffsets(ctx, s.planned); err != nil {
		return s, err
	}
	switch {
	case s.planned == s.committed:
		s.start = s.entry.end
	case s.planned == 0:
		s.start = s.initial
	default:
		previous, err := c.readOffsets(ctx, s.planned-1)
		if err != nil {
			return s, err
		}
		s.start = previous.end
	}
	if s.start == nil {
		return s, fmt.Errorf("%w: %s is missing; %s", ErrCheckpointFormat, c.bucket.URI(initialKey), damaged)
	}
	return s, nil
}

// latestBatches are the last batches planned and committed at one time: another
// run may write between two looks.
func (c checkpoint) latestBatches(ctx context.Context) (planned, committed int64, err error) {
	if planned, err = c.latest(ctx, "offsets/"); err != nil {
		return 0, 0, err
	}
	for {
		if committed, err = c.lastCommitted(ctx); err != nil {
			return 0, 0, err
		}
		before := planned
		if planned, err = c.latest(ctx, "offsets/"); err != nil || planned == before {
			return planned, committed, err
		}
	}
}

func (c checkpoint) lastCommitted(ctx context.Context) (int64, error) {
	return c.latest(ctx, "commits/")
}

// latest is the highest batch of a log folder, -1 when it is empty.
func (c checkpoint) latest(ctx context.Context, folder string) (int64, error) {
	last := int64(-1)
	for object, err := range c.bucket.List(ctx, blob.ListOptions{Prefix: folder}) {
		if err != nil {
			return 0, fmt.Errorf("list %s: %w", c.bucket.URI(folder), err)
		}
		// Other names are not entries: Spark's checksums and temporary files.
		if n, err := strconv.ParseInt(strings.TrimPrefix(object.Key, folder), 10, 64); err == nil {
			last = max(last, n)
		}
	}
	return last, nil
}

func (c checkpoint) queryID(ctx context.Context, started bool) (string, error) {
	content, err := blob.ReadAll(ctx, c.bucket, metadataKey)
	if errors.Is(err, blob.ErrNotExist) {
		if started {
			return "", fmt.Errorf("%w: %s is missing though batches were planned; %s", ErrCheckpointFormat, c.bucket.URI(metadataKey), damaged)
		}
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read checkpoint: %w", err)
	}
	var metadata struct{ ID string }
	if err := json.Unmarshal(content, &metadata); err != nil || uuid.Validate(metadata.ID) != nil {
		return "", fmt.Errorf("%w: %s holds no query id: %.60q; %s", ErrCheckpointFormat, c.bucket.URI(metadataKey), content, damaged)
	}
	return metadata.ID, nil
}

func (c checkpoint) readInitial(ctx context.Context) (api.PartitionOffsets, error) {
	content, err := blob.ReadAll(ctx, c.bucket, initialKey)
	if errors.Is(err, blob.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	version, line, _ := bytes.Cut(bytes.TrimPrefix(content, []byte{0}), []byte("\n"))
	if string(version) != "v1" {
		// Spark 2.1.0 wrote the offsets without a version.
		if bytes.HasPrefix(version, []byte("{")) {
			line = version
		} else {
			return nil, fmt.Errorf("%w: %s begins with %.20q, want v1; %s", ErrCheckpointFormat, c.bucket.URI(initialKey), version, damaged)
		}
	}
	initial, err := decodeOffsets(line)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.bucket.URI(initialKey), err)
	}
	return initial, nil
}

func (c checkpoint) readOffsets(ctx context.Context, batch int64) (offsetsEntry, error) {
	content, err := blob.ReadAll(ctx, c.bucket, offsetsKey(batch))
	if errors.Is(err, blob.ErrNotExist) {
		return offsetsEntry{}, fmt.Errorf("%w: %s is missing; %s", ErrCheckpointFormat, c.bucket.URI(offsetsKey(batch)), damaged)
	}
	if err != nil {
		return offsetsEntry{}, fmt.Errorf("read checkpoint: %w", err)
	}
	entry, err := decodeOffsetsEntry(content)
	if err != nil {
		return entry, fmt.Errorf("%s: %w", c.bucket.URI(offsetsKey(batch)), err)
	}
	return entry, nil
}

// binding is what the checkpoint's offsets are worth something for: this
// table and these topics, by the ids that change when one is made again.
type binding struct {
	TableID string            `json:"tableId"`
	Topics  map[string]string `json:"topics"` // topic ids by name
	// Left is where topics stood that are no longer subscribed: Spark's files
	// forget it, and subscribed again they would be read from their beginning.
	Left api.PartitionOffsets `json:"left,omitempty"`
}

// leave returns Left after a batch from start to end, which may be the last
// that names a topic.
func (b binding) leave(start, end api.PartitionOffsets, subscribe []string) api.PartitionOffsets {
	left := api.PartitionOffsets{}
	maps.Copy(left, b.Left)
	for topic, place := range start {
		if end[topic] == nil { // Spark's batch, which its next one would not do
			left[topic] = place
		}
	}
	for topic, place := range end {
		switch {
		case start[topic] == nil: // it begins where the topic was left
		case slices.Contains(subscribe, topic):
			delete(left, topic)
		default:
			left[topic] = place
		}
	}
	return left
}

func (b binding) equal(other binding) bool {
	return b.TableID == other.TableID && maps.Equal(b.Topics, other.Topics) && maps.EqualFunc(b.Left, other.Left, maps.Equal)
}

func (c checkpoint) readBinding(ctx context.Context) (b binding, err error) {
	content, err := blob.ReadAll(ctx, c.bucket, bindingKey)
	if errors.Is(err, blob.ErrNotExist) {
		return binding{}, nil
	}
	if err != nil {
		return b, fmt.Errorf("read checkpoint: %w", err)
	}
	if err := json.Unmarshal(content, &b); err != nil {
		return b, fmt.Errorf("%w: %s: %w; %s", ErrCheckpointFormat, c.bucket.URI(bindingKey), err, damaged)
	}
	return b, nil
}

func (c checkpoint) writeBinding(ctx context.Context, b binding) error {
	content, err := json.Marshal(b)
	if err != nil {
		return err
	}
	if err := c.bucket.Put(ctx, bindingKey, bytes.NewReader(content)); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	return nil
}
