package delta

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/internal/wait"
)

// Table is a Delta table at the root of a bucket. It may be used from many
// goroutines; many processes may write the same table.
type Table struct {
	bucket blob.Bucket
	engine string // in the history and in the files
	log    *slog.Logger
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error

	leftAlone leftAlone

	mu     sync.Mutex // guards latest, and keeps loads from running twice
	latest *Snapshot
}

// Option changes how a table is used from here.
type Option func(*Table)

// WithEngine names the writer in the history (engineInfo) and in the files
// (created_by); without it that is "taxilake".
func WithEngine(name string) Option { return func(t *Table) { t.engine = name } }

// WithLogger is told of maintenance that failed beside a commit that stands;
// without it that is slog.Default().
func WithLogger(log *slog.Logger) Option { return func(t *Table) { t.log = log } }

func newTable(bucket blob.Bucket, options ...Option) *Table {
	t := &Table{bucket: bucket, engine: "taxilake", log: slog.Default(), now: time.Now, sleep: wait.For}
	for _, set := range options {
		set(t)
	}
	return t
}

// Open opens the table at the root of bucket. It fails with ErrNotTable where
// there is none, with ErrUnsupported where it needs what we do not have.
func Open(ctx context.Context, bucket blob.Bucket, options ...Option) (*Table, error) {
	t := newTable(bucket, options...)
	if _, err := t.Snapshot(ctx); err != nil {
		return nil, fmt.Errorf("open table: %w", err)
	}
	return t, nil
}

// Bucket whose root the table is.
func (t *Table) Bucket() blob.Bucket { return t.bucket }

// URI is the table's address, for people.
func (t *Table) URI() string { return strings.TrimSuffix(t.bucket.URI(""), "/") }

// Snapshot is the newest version. It lists the log and reads only what was
// committed since the last call.
func (t *Table) Snapshot(ctx context.Context) (*Snapshot, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.latest != nil {
		snapshot, err := t.update(ctx, t.latest)
		if err != nil {
			return nil, err
		}
		if snapshot != nil {
			t.latest = snapshot
			return snapshot, nil
		}
	}
	snapshot, err := t.load(ctx, newestVersion)
	if err != nil {
		return nil, err
	}
	t.latest = snapshot
	return snapshot, nil
}

// known is the newest snapshot this Table has loaded, if it is at version or
// later; else the newest there is. Writers start from it without listing.
func (t *Table) known(ctx context.Context, version int64) (*Snapshot, error) {
	t.mu.Lock()
	latest := t.latest
	t.mu.Unlock()
	if latest != nil && latest.version >= version {
		return latest, nil
	}
	snapshot, err := t.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if snapshot.version < version {
		return nil, fmt.Errorf("%w: %s has no version %d, the newest is %d", ErrNoVersion, t.URI(), version, snapshot.version)
	}
	return snapshot, nil
}

// SnapshotAt is the table at a version, ErrNoVersion when there is no such
// version or it is no longer kept.
func (t *Table) SnapshotAt(ctx context.Context, version int64) (*Snapshot, error) {
	if version < 0 {
		return nil, fmt.Errorf("%w: versions begin at 0, not %d", ErrNoVersion, version)
	}
	t.mu.Lock()
	latest := t.latest
	t.mu.Unlock()
	if latest != nil && latest.version == version {
		return latest, nil
	}
	return t.load(ctx, version)
}

// SnapshotAsOf is the table as it stood at a time: the newest version
// committed at or before it. ErrNoVersion when that was before the oldest
// version still kept.
func (t *Table) SnapshotAsOf(ctx context.Context, at time.Time) (*Snapshot, error) {
	newest, err := t.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	listing, err := listLog(ctx, t.bucket, 0)
	if err != nil {
		return nil, err
	}
	version, err := t.versionAsOf(ctx, newest, listing.commits, at)
	if err != nil {
		return nil, err
	}
	return t.replayFrom(ctx, listing, version)
}

// Definition is what a new table is made of.
type Definition struct {
	Name        string
	Description string
	Schema      Schema
	PartitionBy []string          // columns of the schema, of primitive types
	Properties  map[string]string // those named delta.* are checked
}

// Create makes a new table as version 0: ErrTableExists when one is there,
// ErrOccupied when it would lie in the folder of another table or checkpoint or
// hold one, ErrInvalid when no table can be as defined. The protocol is 1/2,
// unless a column's type needs a table feature.
func Create(ctx context.Context, bucket blob.Bucket, def Definition, options ...Option) (*Table, error) {
	t := newTable(bucket, options...)
	metadata, err := def.metadata(t.now())
	if err != nil {
		return nil, fmt.Errorf("create table %s: %w: %w", t.URI(), ErrInvalid, err)
	}
	listing, err := listLog(ctx, bucket, 0)
	if err != nil {
		return nil, fmt.Errorf("create table: %w", err)
	}
	if newestOf(listing) >= 0 {
		return nil, fmt.Errorf("create table %s: %w", t.URI(), ErrTableExists)
	}
	if err := CheckFolder(ctx, bucket, TableOwner); err != nil {
		return nil, fmt.Errorf("create table: %w", err)
	}
	protocol := protocolFor(def.Schema)
	partitionBy, _ := json.Marshal(metadata.PartitionColumns)
	properties, _ := json.Marshal(metadata.Configuration)
	c := Commit{
		Operation: "CREATE TABLE",
		Parameters: map[string]any{
			"isManaged": "false", "description": nullable(def.Description),
			"partitionBy": string(partitionBy), "properties": string(properties),
		},
		Metadata: metadata,
		protocol: &protocol,
	}
	if err := t.putFirst(ctx, c); err != nil {
		return nil, fmt.Errorf("create table %s: %w", t.URI(), err)
	}
	if _, err := t.Snapshot(ctx); err != nil {
		return nil, fmt.Errorf("create table: %w", err)
	}
	return t, nil
}

func nullable(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func (d Definition) metadata(now time.Time) (*Metadata, error) {
	if err := checkSchema(d.Schema, d.PartitionBy); err != nil {
		return nil, err
	}
	configuration, err := checkProperties(d.Properties)
	if err != nil {
		return nil, err
	}
	schema, err := json.Marshal(d.Schema)
	if err != nil {
		return nil, err
	}
	created := now.UnixMilli()
	return &Metadata{
		ID:               uuid.NewString(),
		Name:             d.Name,
		Description:      d.Description,
		Format:           Format{Provider: "parquet", Options: map[string]string{}},
		SchemaString:     string(schema),
		PartitionColumns: append([]string{}, d.PartitionBy...),
		Configuration:    maps.Clone(configuration),
		CreatedTime:      &created,
	}, nil
}

// checkSchema refuses schemas that no engine could write or read back.
func checkSchema(schema Schema, partitionBy []string) error {
	if err := checkFields(schema.Fields); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, column := range partitionBy {
		f, ok := schema.Field(column)
		switch f.Type.(type) {
		case Primitive, Decimal:
		default:
			if ok {
				return fmt.Errorf("cannot partition by %q: its type is %s", column, f.Type)
			}
			return fmt.Errorf("cannot partition by %q: no such column", column)
		}
		if f.Name != column || seen[column] {
			return fmt.Errorf("cannot partition by %q: name each column once, as %q in the schema", column, f.Name)
		}
		seen[column] = true
	}
	if len(seen) == len(schema.Fields) {
		return errors.New("a table needs a column that it is not partitioned by")
	}
	return nil
}

func checkFields(fields []Field) error {
	seen := map[string]bool{}
	for _, f := range fields {
		name := strings.ToLower(f.Name)
		switch {
		case f.Name == "":
			return errors.New("a column has no name")
		case seen[name]:
			return fmt.Errorf("column %q is there twice (names do not differ by case)", f.Name)
		case strings.ContainsAny(f.Name, " ,;{}()\n\t="):
			return fmt.Errorf("column name %q: without column mapping, Parquet takes none of \" ,;{}()\\n\\t=\"", f.Name)
		}
		seen[name] = true
		if err := checkType(f.Type); err != nil {
			return fmt.Errorf("in %q: %w", f.Name, err)
		}
	}
	return nil
}

func checkType(t DataType) error {
	switch t := t.(type) {
	case Schema:
		if len(t.Fields) == 0 {
			return errors.New("a struct needs a member")
		}
		return checkFields(t.Fields)
	case Array:
		return checkType(t.Element)
	case Map:
		return cmp.Or(checkType(t.Key), checkType(t.Value))
	}
	name, err := marshalType(t)
	if err != nil {
		return err
	}
	_, err = unmarshalType(name, 0)
	return err
}
