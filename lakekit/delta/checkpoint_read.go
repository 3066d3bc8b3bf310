package delta

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"taxilake/lakekit/blob"
)

// checkpointColumns are the parts of a checkpoint that we read, as prefixes of
// the Parquet column paths. Statistics as structs repeat those as JSON.
var checkpointColumns = []string{
	"protocol.", "metaData.", "txn.",
	"add.path", "add.partitionValues.", "add.size", "add.modificationTime", "add.dataChange", "add.stats", "add.tags.",
	"remove.path", "remove.deletionTimestamp", "remove.dataChange", "remove.extendedFileMetadata",
	"remove.partitionValues.", "remove.size", "remove.tags.",
	"add.deletionVector.", "remove.deletionVector.", "sidecar.path", "sidecar.sizeInBytes",
}

// checkpointBatchRows bounds the memory of reading and writing checkpoints: a
// row with statistics is about a kilobyte.
const checkpointBatchRows = 8 << 10

// sidecarPrefix is where the sidecars of V2 checkpoints are (PROTOCOL.md, section
// Sidecar Files).
const sidecarPrefix = logPrefix + "_sidecars/"

// readCheckpoint hands out the actions of a checkpoint, one file at a time:
// those of its parts, then those of the sidecars they name.
func readCheckpoint(ctx context.Context, bucket blob.Bucket, from checkpoint, apply func(*commitFile)) error {
	var sidecars []sidecar
	for _, part := range from.parts {
		state, err := readCheckpointPart(ctx, bucket, part)
		if err != nil {
			return err
		}
		apply(state)
		sidecars = append(sidecars, state.sidecars...)
	}
	for _, s := range sidecars {
		// Whatever folder is written before it, it is in this one.
		key, err := url.PathUnescape(s.Path[strings.LastIndexByte(s.Path, '/')+1:])
		if err != nil {
			return fmt.Errorf("%w: path of sidecar %q: %w", ErrCorruptLog, s.Path, err)
		}
		state, err := readCheckpointPart(ctx, bucket, logFile{version: from.version, key: sidecarPrefix + key})
		if err != nil {
			return err
		}
		apply(state)
	}
	return nil
}

// readCheckpointPart reads the actions of one checkpoint file (PROTOCOL.md,
// section Checkpoint Schema). A file that is no checkpoint is ErrCorruptLog.
func readCheckpointPart(ctx context.Context, bucket blob.Bucket, part logFile) (*commitFile, error) {
	content, err := blob.ReadAll(ctx, bucket, part.key)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint %d of %s: %w", part.version, bucket.URI(""), err)
	}
	var state *commitFile
	if strings.HasSuffix(part.key, ".json") {
		state, err = parseCommit(bucket.URI(part.key), bytes.NewReader(content))
	} else {
		err = decode(func() (err error) { state, err = decodeCheckpoint(ctx, content); return err })
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s: %w", ErrCorruptLog, bucket.URI(part.key), err)
	}
	state.file = part
	return state, nil
}

func decodeCheckpoint(ctx context.Context, content []byte) (*commitFile, error) {
	source, err := file.NewParquetReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	defer source.Close()
	var leaves []int
	schema := source.MetaData().Schema
	for i := range schema.NumColumns() {
		if isCheckpointColumn(schema.Column(i).Path()) {
			leaves = append(leaves, i)
		}
	}
	state := &commitFile{}
	if len(leaves) == 0 {
		return nil, fmt.Errorf("no actions in its schema")
	}
	reader, err := pqarrow.NewFileReader(source, pqarrow.ArrowReadProperties{BatchSize: checkpointBatchRows}, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	batches, err := reader.GetRecordReader(ctx, leaves, nil)
	if err != nil {
		return nil, err
	}
	defer batches.Release()
	for left := source.NumRows(); left > 0; left -= batches.RecordBatch().NumRows() {
		if !batches.Next() {
			return nil, cmp.Or(batches.Err(), fmt.Errorf("the file ends %d rows early", left))
		}
		if err := state.appendCheckpointRows(batches.RecordBatch()); err != nil {
			return nil, err
		}
	}
	return state, nil
}

func isCheckpointColumn(path string) bool {
	for _, column := range checkpointColumns {
		if path == column || strings.HasSuffix(column, ".") && strings.HasPrefix(path, column) {
			return true
		}
	}
	return false
}

func (c *commitFile) appendCheckpointRows(batch arrow.RecordBatch) error {
	for column, f := range batch.Schema().Fields() {
		group, ok := batch.Column(column).(*array.Struct)
		if !ok {
			return fmt.Errorf("column %s is a %s, not a struct", f.Name, f.Type)
		}
		row := structReader{group: group, name: f.Name}
		for i := range group.Len() {
			if group.IsNull(i) {
				continue
			}
			row.i = i
			if err := c.append(row.action()); err != nil {
				return err
			}
			if row.err != nil {
				return row.err
			}
		}
	}
	return nil
}

// structReader reads members of one row of a struct column by their names;
// missing ones are zero, the first wrong type is remembered.
type structReader struct {
	group *array.Struct
	name  string
	i     int
	err   error
}

func (r *structReader) action() action {
	switch r.name {
	case "add":
		return action{Add: &Add{
			Path: r.str("path"), PartitionValues: r.dict("partitionValues"), Size: r.int("size"),
			ModificationTime: r.int("modificationTime"), DataChange: r.bool("dataChange"), Stats: r.str("stats"), Tags: r.dict("tags"),
			DeletionVector: r.deletionVector(),
		}}
	case "remove":
		return action{Remove: &Remove{
			Path: r.str("path"), DeletionTimestamp: r.int("deletionTimestamp"), DataChange: r.bool("dataChange"),
			ExtendedFileMetadata: r.bool("extendedFileMetadata"), PartitionValues: r.dict("partitionValues"), Size: r.int("size"), Tags: r.dict("tags"),
			DeletionVector: r.deletionVector(),
		}}
	case "sidecar":
		return action{Sidecar: &sidecar{Path: r.str("path"), SizeInBytes: r.int("sizeInBytes")}}
	case "txn":
		return action{Txn: &Txn{AppID: r.str("appId"), Version: r.int("version"), LastUpdated: r.int("lastUpdated")}}
	case "protocol":
		return action{Protocol: &Protocol{
			MinReaderVersion: int(r.int("minReaderVersion")), MinWriterVersion: int(r.int("minWriterVersion")),
			ReaderFeatures: r.list("readerFeatures"), WriterFeatures: r.list("writerFeatures"),
		}}
	case "metaData":
		return action{Metadata: r.metadata()}
	}
	return action{}
}

func (r *structReader) metadata() *Metadata {
	m := &Metadata{
		ID: r.str("id"), Name: r.str("name"), Description: r.str("description"), SchemaString: r.str("schemaString"),
		PartitionColumns: r.list("partitionColumns"), Configuration: r.dict("configuration"),
	}
	if created := r.int("createdTime"); created != 0 {
		m.CreatedTime = &created
	}
	if group, ok := r.member("format").(*array.Struct); ok {
		format := structReader{group: group, i: r.i}
		m.Format = Format{Provider: format.str("provider"), Options: format.dict("options")}
	}
	return m
}

func (r *structReader) deletionVector() *DeletionVector {
	column := r.member("deletionVector")
	group, ok := column.(*array.Struct)
	if !ok {
		r.mistyped("deletionVector", column)
		return nil
	}
	in := structReader{group: group, name: r.name + ".deletionVector", i: r.i}
	v := &DeletionVector{
		StorageType: in.str("storageType"), PathOrInlineDv: in.str("pathOrInlineDv"),
		SizeInBytes: in.int("sizeInBytes"), Cardinality: in.int("cardinality"),
	}
	if in.member("offset") != nil {
		offset := in.int("offset")
		v.Offset = &offset
	}
	r.err = cmp.Or(r.err, in.err)
	return v
}

// member is nil where the column is missing or its value null.
func (r *structReader) member(name string) arrow.Array {
	index, ok := r.group.DataType().(*arrow.StructType).FieldIdx(name)
	if !ok || r.group.Field(index).IsNull(r.i) {
		return nil
	}
	return r.group.Field(index)
}

func (r *structReader) mistyped(name string, column arrow.Array) {
	if r.err == nil && column != nil {
		r.err = fmt.Errorf("column %s.%s is a %s", r.name, name, column.DataType())
	}
}

func (r *structReader) str(name string) string {
	column := r.member(name)
	if text, ok := column.(array.StringLike); ok {
		return strings.Clone(text.Value(r.i)) // not to keep the whole batch
	}
	r.mistyped(name, column)
	return ""
}

func (r *structReader) int(name string) int64 {
	switch column := r.member(name).(type) {
	case *array.Int64:
		return column.Value(r.i)
	case *array.Int32:
		return int64(column.Value(r.i))
	default:
		r.mistyped(name, column)
		return 0
	}
}

func (r *structReader) bool(name string) bool {
	column := r.member(name)
	if flag, ok := column.(*array.Boolean); ok {
		return flag.Value(r.i)
	}
	r.mistyped(name, column)
	return false
}

func (r *structReader) list(name string) []string {
	column := r.member(name)
	list, ok := column.(array.ListLike)
	if !ok {
		r.mistyped(name, column)
		return nil
	}
	values, ok := list.ListValues().(array.StringLike)
	if !ok {
		r.mistyped(name, column)
		return nil
	}
	from, to := list.ValueOffsets(r.i)
	out := make([]string, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, strings.Clone(values.Value(int(i))))
	}
	return out
}

func (r *structReader) dict(name string) map[string]string {
	column := r.member(name)
	dict, ok := column.(*array.Map)
	if !ok {
		r.mistyped(name, column)
		return nil
	}
	keys, isText := dict.Keys().(array.StringLike)
	values, areText := dict.Items().(array.StringLike)
	if !isText || !areText {
		r.mistyped(name, column)
		return nil
	}
	from, to := dict.ValueOffsets(r.i)
	out := make(map[string]string, to-from)
	for i := int(from); i < int(to); i++ {
		out[strings.Clone(keys.Value(i))] = strings.Clone(values.Value(i)) // a null value is ""
	}
	return out
}
