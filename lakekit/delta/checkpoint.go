package delta

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// maintainLog writes a checkpoint and cleans the log up when the version asks
// for it. The commit stands whatever happens here, so failures are logged; the
// next checkpoint makes up for a missed one.
func (t *Table) maintainLog(ctx context.Context, version int64) {
	t.mu.Lock()
	latest := t.latest
	t.mu.Unlock()
	if version == 0 || version%latest.properties.checkpointInterval != 0 {
		return
	}
	if err := t.Checkpoint(ctx); err != nil {
		t.log.Warn("checkpoint failed, the commit stands", "table", t.URI(), "version", version, "error", err)
		return
	}
	if err := t.cleanUpLog(ctx); err != nil {
		t.log.Warn("log cleanup failed, the next one goes on", "table", t.URI(), "error", err)
	}
}

// Checkpoint writes the state of the newest version as one Parquet file, from
// which readers start instead of version 0 (PROTOCOL.md, section Checkpoints).
// It keeps all transaction identifiers, and the tombstones younger than
// delta.deletedFileRetentionDuration.
func (t *Table) Checkpoint(ctx context.Context) error {
	s, err := t.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := checkWritable(s.protocol, s.metadata, s.schema); err != nil {
		return fmt.Errorf("checkpoint version %d of %s: %w", s.version, t.URI(), err)
	}
	spool, err := newSpool()
	if err != nil {
		return fmt.Errorf("make a temporary file for a checkpoint: %w", err)
	}
	defer spool.Close()
	actions, err := encodeCheckpoint(onlyWriter{spool}, s, t.now())
	if err != nil {
		return fmt.Errorf("checkpoint version %d of %s: %w", s.version, t.URI(), err)
	}
	size, err := spool.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = spool.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("checkpoint version %d of %s: %w", s.version, t.URI(), err)
	}
	key := fmt.Sprintf("%s%020d.checkpoint.parquet", logPrefix, s.version)
	if err := t.replaceLogFile(ctx, key, spool); err != nil {
		return err
	}
	hint, err := json.Marshal(map[string]int64{
		"version": s.version, "size": actions, "sizeInBytes": size, "numOfAddFiles": int64(len(s.adds)),
	})
	if err != nil {
		return err
	}
	return t.replaceLogFile(ctx, lastCheckpointKey, bytes.NewReader(hint))
}

// replaceLogFile puts what another engine may have put before. On a local file
// system Spark leaves a checksum beside its file, which would condemn the new one.
func (t *Table) replaceLogFile(ctx context.Context, key string, body io.ReadSeeker) error {
	sum := logPrefix + "." + strings.TrimPrefix(key, logPrefix) + ".crc"
	if err := t.bucket.Delete(ctx, sum); err != nil {
		return fmt.Errorf("delete %s: %w", t.bucket.URI(sum), err)
	}
	if err := t.bucket.Put(ctx, key, body); err != nil {
		return fmt.Errorf("write %s: %w", t.bucket.URI(key), err)
	}
	return nil
}

// cleanUpLog deletes the log before the newest checkpoint that is not newer
// than the newest commit at or before midnight UTC, delta.logRetentionDuration
// ago (PROTOCOL.md, section Metadata Cleanup). Every version since then stays
// readable.
func (t *Table) cleanUpLog(ctx context.Context) error {
	s, err := t.known(ctx, 0)
	if err != nil || !s.properties.expiredLogCleanup {
		return err
	}
	listing, err := listLog(ctx, t.bucket, 0)
	if err != nil {
		return err
	}
	cutOff := t.now().UTC().Add(-s.properties.logRetention).Truncate(24 * time.Hour)
	if expired := expiredLog(listing, cutOff); len(expired) > 0 {
		return t.bucket.Delete(ctx, expired...)
	}
	return nil
}

// expiredLog names what may go, oldest first and checkpoints before commits: a
// cleanup that is interrupted leaves no checkpoint without the commits after it.
func expiredLog(listing logListing, cutOff time.Time) []string {
	cutOffVersion := int64(-1)
	for i, at := range commitTimes(listing.commits, time.Time{}) {
		if !at.After(cutOff) {
			cutOffVersion = listing.commits[i].version
		}
	}
	keep := int64(-1)
	for _, c := range listing.checkpoints {
		if c.version <= cutOffVersion {
			keep = c.version
		}
	}
	var expired []string
	for _, c := range listing.checkpoints {
		for _, part := range c.parts {
			if part.version < keep {
				expired = append(expired, part.key)
			}
		}
	}
	for _, commit := range listing.commits {
		if commit.version < keep {
			expired = append(expired, commit.key)
		}
	}
	for _, other := range listing.others {
		// A log compaction that begins at the checkpoint is of no use either.
		if other.version < keep || other.version == keep && other.isLogCompaction() {
			expired = append(expired, other.key)
		}
	}
	return expired
}

var (
	stringMap  = arrow.MapOf(arrow.BinaryTypes.String, arrow.BinaryTypes.String)
	stringList = arrow.ListOfField(arrow.Field{Name: "element", Type: arrow.BinaryTypes.String, Nullable: true})
)

func optional(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

// checkpointSchema is that of PROTOCOL.md, section Checkpoint Schema. Members
// are optional throughout, as in Spark's. A tombstone's size and partition
// values are left out unless every one of them has them.
func checkpointSchema(extendedRemoves bool) *arrow.Schema {
	str, long, integer, boolean := arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Int32, arrow.FixedWidthTypes.Boolean
	remove := []arrow.Field{optional("path", str), optional("deletionTimestamp", long), optional("dataChange", boolean)}
	if extendedRemoves {
		remove = append(remove, optional("extendedFileMetadata", boolean), optional("partitionValues", stringMap), optional("size", long))
	}
	return arrow.NewSchema([]arrow.Field{
		optional("txn", arrow.StructOf(optional("appId", str), optional("version", long), optional("lastUpdated", long))),
		optional("add", arrow.StructOf(optional("path", str), optional("partitionValues", stringMap), optional("size", long),
			optional("modificationTime", long), optional("dataChange", boolean), optional("tags", stringMap), optional("stats", str))),
		optional("remove", arrow.StructOf(remove...)),
		optional("metaData", arrow.StructOf(optional("id", str), optional("name", str), optional("description", str),
			optional("format", arrow.StructOf(optional("provider", str), optional("options", stringMap))),
			optional("schemaString", str), optional("partitionColumns", stringList), optional("configuration", stringMap), optional("createdTime", long))),
		optional("protocol", arrow.StructOf(optional("minReaderVersion", integer), optional("minWriterVersion", integer),
			optional("readerFeatures", stringList), optional("writerFeatures", stringList))),
	}, nil)
}

// checkpointRowGroupRows bounds what the encoder holds back: some megabytes.
const checkpointRowGroupRows = 32 << 10

// encodeCheckpoint writes the state in batches, so that memory does not grow
// with it. It returns the number of actions.
func encodeCheckpoint(out io.Writer, s *Snapshot, now time.Time) (int64, error) {
	tombstones := slices.Collect(unexpired(s.tombstones, now.Add(-s.properties.deletedFileRetention)))
	extended := !slices.ContainsFunc(tombstones, func(r *Remove) bool { return !r.ExtendedFileMetadata })
	schema := checkpointSchema(extended)
	properties := parquet.NewWriterProperties(
		parquet.WithCompression(compress.Codecs.Snappy), parquet.WithDataPageVersion(parquet.DataPageV1),
		parquet.WithDictionaryFor("add.path", false), parquet.WithDictionaryFor("add.stats", false), parquet.WithDictionaryFor("remove.path", false),
		parquet.WithMaxRowGroupLength(checkpointRowGroupRows), parquet.WithCreatedBy(s.table.engine))
	file, err := pqarrow.NewFileWriter(schema, out, properties, pqarrow.NewArrowWriterProperties())
	if err != nil {
		return 0, err
	}
	w := &checkpointWriter{file: file, rows: array.NewRecordBuilder(memory.DefaultAllocator, schema), extended: extended}
	w.protocol(s.protocol)
	w.metadata(s.metadata)
	for _, app := range sortedKeys(s.txns) {
		w.txn(s.txns[app])
	}
	for _, r := range tombstones {
		w.remove(r)
	}
	for _, a := range s.adds {
		w.add(a)
	}
	w.flush()
	if w.err != nil {
		return 0, w.err
	}
	return w.actions, file.Close()
}

// The columns of the checkpoint schema.
const (
	txnColumn = iota
	addColumn
	removeColumn
	metadataColumn
	protocolColumn
	checkpointColumnCount
)

type checkpointWriter struct {
	file     *pqarrow.FileWriter
	rows     *array.RecordBuilder
	extended bool
	pending  int
	actions  int64
	err      error
}

// action begins a row: the members of one column follow, the others are null.
func (w *checkpointWriter) action(column int) *structAppender {
	if w.pending == checkpointBatchRows {
		w.flush()
	}
	for i := range checkpointColumnCount {
		if i != column {
			w.rows.Field(i).AppendNull()
		}
	}
	w.pending++
	w.actions++
	group := w.rows.Field(column).(*array.StructBuilder)
	group.Append(true)
	return &structAppender{group: group}
}

func (w *checkpointWriter) flush() {
	if w.pending == 0 || w.err != nil {
		return
	}
	w.err = w.file.WriteBuffered(w.rows.NewRecordBatch())
	w.pending = 0
}

func (w *checkpointWriter) protocol(p Protocol) {
	w.action(protocolColumn).int(p.MinReaderVersion).int(p.MinWriterVersion).list(p.ReaderFeatures).list(p.WriterFeatures)
}

func (w *checkpointWriter) metadata(m Metadata) {
	row := w.action(metadataColumn).str(m.ID).str(m.Name).str(m.Description)
	format := row.group.FieldBuilder(row.next).(*array.StructBuilder)
	row.next++
	format.Append(true)
	(&structAppender{group: format}).str(m.Format.Provider).dict(m.Format.Options)
	row.str(m.SchemaString)
	if m.PartitionColumns == nil {
		m.PartitionColumns = []string{}
	}
	row.list(m.PartitionColumns).dict(m.Configuration)
	if m.CreatedTime != nil {
		row.long(*m.CreatedTime)
	} else {
		row.null()
	}
}

func (w *checkpointWriter) txn(x Txn) {
	row := w.action(txnColumn).str(x.AppID).long(x.Version)
	if x.LastUpdated != 0 {
		row.long(x.LastUpdated)
	} else {
		row.null()
	}
}

func (w *checkpointWriter) remove(r *Remove) {
	row := w.action(removeColumn).str(r.Path).long(r.DeletionTimestamp).bool(r.DataChange)
	if w.extended {
		row.bool(true).values(r.PartitionValues).long(r.Size)
	}
}

// add: a state says that the files are there, not that they are news.
func (w *checkpointWriter) add(a *Add) {
	row := w.action(addColumn).str(a.Path).values(a.PartitionValues).long(a.Size).long(a.ModificationTime).bool(false)
	if len(a.Tags) > 0 {
		row.dict(a.Tags)
	} else {
		row.null()
	}
	row.str(a.Stats)
}

// structAppender fills the members of a struct in order.
type structAppender struct {
	group *array.StructBuilder
	next  int
}

func (a *structAppender) member() array.Builder {
	a.next++
	return a.group.FieldBuilder(a.next - 1)
}

func (a *structAppender) null() *structAppender { a.member().AppendNull(); return a }

func (a *structAppender) str(text string) *structAppender {
	if text == "" {
		return a.null()
	}
	a.member().(*array.StringBuilder).Append(text)
	return a
}

func (a *structAppender) long(v int64) *structAppender {
	a.member().(*array.Int64Builder).Append(v)
	return a
}

func (a *structAppender) int(v int) *structAppender {
	a.member().(*array.Int32Builder).Append(int32(v))
	return a
}

func (a *structAppender) bool(v bool) *structAppender {
	a.member().(*array.BooleanBuilder).Append(v)
	return a
}

// list is null when nil: a protocol below 3/7 must not list features.
func (a *structAppender) list(values []string) *structAppender {
	if values == nil {
		return a.null()
	}
	list := a.member().(*array.ListBuilder)
	list.Append(true)
	for _, v := range values {
		list.ValueBuilder().(*array.StringBuilder).Append(v)
	}
	return a
}

// dict is {} when nil: readers take a null map for a broken checkpoint.
func (a *structAppender) dict(values map[string]string) *structAppender {
	dict := a.member().(*array.MapBuilder)
	dict.Append(true)
	for _, key := range sortedKeys(values) {
		dict.KeyBuilder().(*array.StringBuilder).Append(key)
		dict.ItemBuilder().(*array.StringBuilder).Append(values[key])
	}
	return a
}

// values is dict with null for "".
func (a *structAppender) values(values PartitionValues) *structAppender {
	dict := a.member().(*array.MapBuilder)
	dict.Append(true)
	for _, key := range sortedKeys(values) {
		dict.KeyBuilder().(*array.StringBuilder).Append(key)
		if values[key] == "" {
			dict.ItemBuilder().AppendNull()
		} else {
			dict.ItemBuilder().(*array.StringBuilder).Append(values[key])
		}
	}
	return a
}
