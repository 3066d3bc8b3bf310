package query

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
)

// source is a table of a statement at one version.
type source struct {
	ref      tableRef
	table    *delta.Table
	snapshot *delta.Snapshot
	files    []sourceFile // those the statement needs
	skipped  int
	releases []func()
}

type sourceFile struct {
	add  delta.Add
	path string // on this machine, set by fetch
}

// pin finds the tables of a statement and fixes the version of each: a table
// named twice is read once, at one version.
func pin(ctx context.Context, s *statement, request Request, zone zone) ([]*source, error) {
	var sources []*source
	tables := map[string]*delta.Table{}
	for _, ref := range s.tables {
		known := slices.ContainsFunc(sources, func(other *source) bool { return strings.EqualFold(other.ref.viewName, ref.viewName) })
		if known {
			continue
		}
		table, ok := tables[ref.name]
		if !ok {
			var err error
			if table, err = findTable(ctx, s, ref, request); err != nil {
				return nil, err
			}
			tables[ref.name] = table
		}
		snapshot, err := s.pinned(ctx, ref, table, zone)
		if err != nil {
			return nil, err
		}
		source := &source{ref: ref, table: table, snapshot: snapshot}
		source.plan()
		sources = append(sources, source)
	}
	return sources, nil
}

// findTable asks for the table of a name, as in Spark whatever its case.
func findTable(ctx context.Context, s *statement, ref tableRef, request Request) (*delta.Table, error) {
	if request.Tables == nil {
		return nil, s.unknownTable(ref, nil, ErrUnknownTable)
	}
	table, err := request.Tables(ctx, ref.name)
	if err == nil {
		return table, nil
	}
	if !isNoTable(err) {
		return nil, fmt.Errorf("open table %s: %w", ref.name, err)
	}
	var names []string
	if request.TableNames != nil {
		names = request.TableNames(ctx)
	}
	for _, name := range names {
		if name != ref.name && strings.EqualFold(name, ref.name) {
			if table, err := request.Tables(ctx, name); err == nil {
				return table, nil
			}
		}
	}
	return nil, s.unknownTable(ref, names, err)
}

func isNoTable(err error) bool {
	return errors.Is(err, ErrUnknownTable) || errors.Is(err, delta.ErrNotTable)
}

func (s *statement) pinned(ctx context.Context, ref tableRef, table *delta.Table, zone zone) (*delta.Snapshot, error) {
	if ref.travel == nil {
		snapshot, err := table.Snapshot(ctx)
		if err != nil {
			return nil, fmt.Errorf("read table %s: %w", ref.name, err)
		}
		return snapshot, nil
	}
	clause := ref.travel
	if clause.version.source != "" {
		version, err := strconv.ParseInt(strings.Trim(clause.version.source, "'"), 10, 64)
		if err != nil {
			return nil, s.errorAt(clause.version.start, "VERSION AS OF takes a whole number, such as VERSION AS OF 3")
		}
		snapshot, err := table.SnapshotAt(ctx, version)
		return s.travelled(snapshot, err, ref, clause.version)
	}
	at, err := parseTimestamp(unquoteWith(clause.timestamp.source), zone.location)
	if err != nil {
		return nil, s.errorAt(clause.timestamp.start, "TIMESTAMP AS OF takes a date or a time, such as TIMESTAMP AS OF '2026-01-31 12:00:00'")
	}
	snapshot, err := table.SnapshotAsOf(ctx, at)
	return s.travelled(snapshot, err, ref, clause.timestamp)
}

// travelled points at the clause where the version is not to be had; a failing
// store is no fault of the statement.
func (s *statement) travelled(snapshot *delta.Snapshot, err error, ref tableRef, value token) (*delta.Snapshot, error) {
	if errors.Is(err, delta.ErrNoVersion) {
		e := s.errorAt(value.start, "table %s cannot be read as of %s: %v", ref.name, value.source, err)
		e.Err = err
		return nil, e
	}
	if err != nil {
		return nil, fmt.Errorf("read table %s as of %s: %w", ref.name, value.source, err)
	}
	return snapshot, nil
}

// parseTimestamp reads what Spark reads: a date, or a time with or without
// fraction and zone.
func parseTimestamp(s string, location *time.Location) (time.Time, error) {
	var err error
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", time.RFC3339} {
		var t time.Time
		if t, err = time.ParseInLocation(layout, strings.TrimSpace(s), location); err == nil {
			return t, nil
		}
	}
	return time.Time{}, err
}

// plan decides which files the statement needs: all of them so far. Skipping by
// statistics and partition values belongs here; within a file, DuckDB skips row
// groups by itself.
func (s *source) plan() {
	for _, add := range s.snapshot.Files() {
		s.files = append(s.files, sourceFile{add: add})
	}
}

// maxFetches is how many objects are copied from a store at the same time.
const maxFetches = 8

// fetch brings the files within DuckDB's reach.
func (s *source) fetch(ctx context.Context, cache *cache) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		mu      sync.Mutex
		workers sync.WaitGroup
		slots   = make(chan struct{}, maxFetches)
	)
	for i := range s.files {
		if ctx.Err() != nil {
			break
		}
		slots <- struct{}{}
		workers.Go(func() {
			defer func() { <-slots }()
			f := &s.files[i]
			path, release, err := s.locate(ctx, cache, f.add)
			if err != nil {
				cancel(fmt.Errorf("read table %s: %w", s.ref.name, err))
				return
			}
			f.path = path
			mu.Lock()
			s.releases = append(s.releases, release)
			mu.Unlock()
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

func (s *source) locate(ctx context.Context, cache *cache, add delta.Add) (string, func(), error) {
	key, err := add.Key()
	if err != nil {
		return "", nil, err
	}
	return cache.acquire(ctx, s.table.Bucket(), key, add.Size)
}

// release lets the cache drop the files.
func (s *source) release() {
	for _, release := range s.releases {
		release()
	}
}

func (s *source) read() api.TableRead {
	return api.TableRead{
		Name: s.ref.name, URI: s.table.URI(), Version: s.snapshot.Version(),
		Files: len(s.files), FilesSkipped: s.skipped, Rows: s.snapshot.NumRecords(),
	}
}

// viewSQL creates the view that stands for the table. Files of the same
// partition are one branch, in which the partition's values are constants: a
// filter on them drops whole branches.
func (s *source) viewSQL() string {
	schema := s.snapshot.Schema()
	partitionColumns := s.snapshot.Metadata().PartitionColumns
	var branches []string
	for _, group := range s.partitions() {
		branches = append(branches, branchSQL(schema, partitionColumns, group))
	}
	if len(branches) == 0 {
		branches = []string{emptySQL(schema)}
	}
	return "CREATE VIEW " + quoteName(s.ref.viewName) + " AS " + strings.Join(branches, " UNION ALL ")
}

// partitions groups the files by their partition values, in the order of the
// first file of each.
func (s *source) partitions() [][]sourceFile {
	var groups [][]sourceFile
	index := map[string]int{}
	for _, f := range s.files {
		var key strings.Builder
		for _, column := range slices.Sorted(maps.Keys(f.add.PartitionValues)) {
			fmt.Fprintf(&key, "%q=%q,", column, f.add.PartitionValues[column])
		}
		i, ok := index[key.String()]
		if !ok {
			i = len(groups)
			index[key.String()] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], f)
	}
	return groups
}

// branchSQL reads the files of one partition. The schema is given, so that
// DuckDB needs no file's footer to know it, columns that came after a file was
// written are NULL, and columns that are no more are left out.
func branchSQL(schema delta.Schema, partitionColumns []string, files []sourceFile) string {
	var selected, columns, paths []string
	for _, f := range schema.Fields {
		name := quoteName(f.Name)
		if isPartitionColumn(partitionColumns, f.Name) {
			selected = append(selected, partitionValue(files[0].add.PartitionValues, f)+" AS "+name)
			continue
		}
		selected = append(selected, name)
		columns = append(columns, fmt.Sprintf("%s: {name: %s, type: %s, default_value: NULL}", quote(f.Name), quote(f.Name), quote(duckdbType(f.Type))))
	}
	for _, f := range files {
		paths = append(paths, quote(f.path))
	}
	return fmt.Sprintf("SELECT %s FROM read_parquet([%s], schema = MAP {%s})",
		strings.Join(selected, ", "), strings.Join(paths, ", "), strings.Join(columns, ", "))
}

func emptySQL(schema delta.Schema) string {
	var columns []string
	for _, f := range schema.Fields {
		columns = append(columns, fmt.Sprintf("CAST(NULL AS %s) AS %s", duckdbType(f.Type), quoteName(f.Name)))
	}
	return "SELECT " + strings.Join(columns, ", ") + " WHERE false"
}

func isPartitionColumn(columns []string, name string) bool {
	return slices.ContainsFunc(columns, func(c string) bool { return strings.EqualFold(c, name) })
}

// partitionValue writes a value of a partition as a constant (PROTOCOL.md,
// section Partition Value Serialization): empty is NULL, timestamps are in UTC.
func partitionValue(values map[string]string, f delta.Field) string {
	var value string
	for column, v := range values {
		if strings.EqualFold(column, f.Name) {
			value = v
		}
	}
	duckdbType := duckdbType(f.Type)
	switch {
	case value == "":
		return "CAST(NULL AS " + duckdbType + ")"
	case f.Type == delta.Timestamp && !strings.HasSuffix(value, "Z"):
		value += "+00"
	case f.Type == delta.Binary:
		return "encode(" + quote(value) + ")"
	}
	return "CAST(" + quote(value) + " AS " + duckdbType + ")"
}

var duckdbPrimitives = map[delta.Primitive]string{
	delta.String: "VARCHAR", delta.Long: "BIGINT", delta.Integer: "INTEGER", delta.Short: "SMALLINT", delta.Byte: "TINYINT",
	delta.Float: "FLOAT", delta.Double: "DOUBLE", delta.Boolean: "BOOLEAN", delta.Binary: "BLOB", delta.Date: "DATE",
	delta.Timestamp: "TIMESTAMP WITH TIME ZONE", delta.TimestampNTZ: "TIMESTAMP",
}

func duckdbType(t delta.DataType) string {
	switch t := t.(type) {
	case delta.Primitive:
		return duckdbPrimitives[t]
	case delta.Decimal:
		return fmt.Sprintf("DECIMAL(%d,%d)", t.Precision, t.Scale)
	case delta.Array:
		return duckdbType(t.Element) + "[]"
	case delta.Map:
		return fmt.Sprintf("MAP(%s, %s)", duckdbType(t.Key), duckdbType(t.Value))
	case delta.Schema:
		var members []string
		for _, f := range t.Fields {
			members = append(members, quoteName(f.Name)+" "+duckdbType(f.Type))
		}
		return "STRUCT(" + strings.Join(members, ", ") + ")"
	}
	panic(fmt.Sprintf("query: no DuckDB type for %T", t)) // DataType has no other implementation
}
