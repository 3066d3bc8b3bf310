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

	"github.com/apache/arrow-go/v18/arrow"

	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
)

// source is a table of a statement at one version.
type source struct {
	ref      tableRef
	table    *delta.Table
	snapshot *delta.Snapshot
	filters  []filter     // where the statement names it
	files    []sourceFile // those the statement needs
	skipped  int
	releases []func()
}

type sourceFile struct {
	add delta.Add
	// Set by fetch:
	path    string // on this machine
	shape   *shape
	deleted []int64 // indexes of rows
}

// pin finds the tables of a statement and fixes the version of each: a table
// named twice is read once, at one version.
func (b *sandbox) pin(ctx context.Context, s *statement, request Request, zone zone) ([]*source, error) {
	var sources []*source
	tables := map[string]*delta.Table{}
	for _, ref := range s.tables {
		known := slices.IndexFunc(sources, func(other *source) bool { return strings.EqualFold(other.ref.ViewName, ref.ViewName) })
		if known >= 0 {
			sources[known].filters = append(sources[known].filters, ref.filter)
			continue
		}
		table, ok := tables[ref.Name]
		if !ok {
			var err error
			if table, err = findTable(ctx, s, ref, request); err != nil {
				return nil, err
			}
			tables[ref.Name] = table
		}
		snapshot, err := s.pinned(ctx, ref, table, zone)
		if err != nil {
			return nil, err
		}
		sources = append(sources, &source{ref: ref, table: table, snapshot: snapshot, filters: []filter{ref.filter}})
	}
	for _, source := range sources {
		if err := source.plan(ctx, b); err != nil {
			return nil, err
		}
	}
	return sources, nil
}

// findTable asks for the table of a name, as in Spark whatever its case.
func findTable(ctx context.Context, s *statement, ref tableRef, request Request) (*delta.Table, error) {
	if request.Tables == nil {
		return nil, s.unknownTable(ref, nil, ErrUnknownTable)
	}
	table, err := request.Tables(ctx, ref.Name)
	if err == nil {
		return table, nil
	}
	if !isNoTable(err) {
		return nil, fmt.Errorf("open table %s: %w", ref.Name, err)
	}
	var names []string
	if request.TableNames != nil {
		names = request.TableNames(ctx)
	}
	for _, name := range names {
		if name != ref.Name && strings.EqualFold(name, ref.Name) {
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
	if ref.Travel == nil {
		snapshot, err := table.Snapshot(ctx)
		if err != nil {
			return nil, fmt.Errorf("read table %s: %w", ref.Name, err)
		}
		return snapshot, nil
	}
	clause := ref.Travel
	if !clause.Timestamp {
		version, err := strconv.ParseInt(strings.Trim(clause.Value, "'"), 10, 64)
		if err != nil {
			return nil, s.errorAt(clause.Start, "VERSION AS OF takes a whole number, such as VERSION AS OF 3")
		}
		snapshot, err := table.SnapshotAt(ctx, version)
		return s.travelled(snapshot, err, ref)
	}
	at, err := parseTimestamp(unquoteWith(clause.Value), zone)
	if err != nil {
		return nil, s.errorAt(clause.Start, "TIMESTAMP AS OF takes a date or a time, such as TIMESTAMP AS OF '2026-01-31 12:00:00'")
	}
	snapshot, err := table.SnapshotAsOf(ctx, at)
	return s.travelled(snapshot, err, ref)
}

// travelled points at the clause where the version is not to be had; a failing
// store is no fault of the statement.
func (s *statement) travelled(snapshot *delta.Snapshot, err error, ref tableRef) (*delta.Snapshot, error) {
	if errors.Is(err, delta.ErrNoVersion) {
		e := s.errorAt(ref.Travel.Start, "table %s cannot be read as of %s: %v", ref.Name, ref.Travel.Value, err)
		e.Err = err
		return nil, e
	}
	if err != nil {
		return nil, fmt.Errorf("read table %s as of %s: %w", ref.Name, ref.Travel.Value, err)
	}
	return snapshot, nil
}

// parseTimestamp reads what Spark reads: a date, or a time with or without
// fraction and zone.
func parseTimestamp(s string, zone zone) (time.Time, error) {
	s = strings.TrimSpace(s)
	if local, ok := parseWallClock(s); ok {
		return zone.instant(local), nil
	}
	at, err := time.Parse("2006-01-02 15:04:05Z07:00", s)
	if err != nil {
		at, err = time.Parse(time.RFC3339, s)
	}
	return at, err
}

// plan decides by statistics and partition values which files the statement
// needs; within a file, DuckDB skips row groups by itself.
func (s *source) plan(ctx context.Context, b *sandbox) error {
	files := s.snapshot.Files()
	kept, err := b.keptFiles(ctx, s.snapshot, files, s.filters)
	if err != nil {
		return err
	}
	for _, i := range kept {
		s.files = append(s.files, sourceFile{add: files[i]})
	}
	s.skipped = len(files) - len(kept)
	return nil
}

// maxFetches is how many objects are copied from a store at the same time.
const maxFetches = 8

// fetch brings the files within DuckDB's reach.
func (s *source) fetch(ctx context.Context, e *Engine) error {
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
			release, err := s.fetchFile(ctx, e, f)
			if err != nil {
				cancel(fmt.Errorf("read table %s: version %d: %s: %w", s.ref.Name, s.snapshot.Version(), f.add.Path, err))
				return
			}
			mu.Lock()
			s.releases = append(s.releases, release)
			mu.Unlock()
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

func (s *source) fetchFile(ctx context.Context, e *Engine, f *sourceFile) (release func(), err error) {
	key, err := f.add.Key()
	if err != nil {
		return nil, err
	}
	path, release, err := e.cache.acquire(ctx, s.table.Bucket(), key, f.add.Size)
	if err != nil {
		return nil, err
	}
	footer, err := e.footers.of(path)
	if recorded, ok := f.add.NumRecords(); err == nil && ok && recorded != footer.rows {
		err = fmt.Errorf("the file has %d rows, the log says %d", footer.rows, recorded)
	}
	if err == nil {
		f.deleted, err = s.snapshot.DeletedRows(ctx, f.add, footer.rows)
	}
	if err != nil {
		release()
		return nil, err
	}
	f.path, f.shape = path, footer.shape
	return release, nil
}

// release lets the cache drop the files.
func (s *source) release() {
	for _, release := range s.releases {
		release()
	}
}

func (s *source) read() api.TableRead {
	return api.TableRead{
		Name: s.ref.Name, URI: s.table.URI(), Version: s.snapshot.Version(),
		Files: len(s.files), FilesSkipped: s.skipped, Rows: s.snapshot.NumRecords(),
	}
}

// group is files that are read alike: of one partition, one shape, and all with
// deleted rows or none. It is one branch of the table's view, in which the
// partition's values are constants: a filter on them drops whole branches.
type group struct {
	shape   *shape
	files   []sourceFile
	deletes bool
}

func (s *source) groups() []*group {
	var groups []*group
	index := map[string]*group{}
	for _, f := range s.files {
		var key strings.Builder
		fmt.Fprintf(&key, "%p %t", f.shape, len(f.deleted) > 0)
		for _, column := range slices.Sorted(maps.Keys(f.add.PartitionValues)) {
			fmt.Fprintf(&key, "%q=%q,", column, f.add.PartitionValues[column])
		}
		g, ok := index[key.String()]
		if !ok {
			g = &group{shape: f.shape, deletes: len(f.deleted) > 0}
			index[key.String()] = g
			groups = append(groups, g)
		}
		g.files = append(g.files, f)
	}
	return groups
}

// install creates the view that stands for the table, and the tables of deleted
// rows it needs.
func (s *source) install(ctx context.Context, b *sandbox) error {
	if len(s.snapshot.Schema().Fields) == 0 {
		return fmt.Errorf("version %d has no columns; add some first", s.snapshot.Version())
	}
	var branches []string
	for i, g := range s.groups() {
		deletedTable := ""
		if g.deletes {
			deletedTable = fmt.Sprintf("deleted rows %d of %s", i, s.ref.ViewName)
			if err := b.createDeleted(ctx, deletedTable, g.files); err != nil {
				return err
			}
		}
		branch, err := s.branchSQL(g, deletedTable, b.zone)
		if err != nil {
			return fmt.Errorf("version %d: read %s: %w", s.snapshot.Version(), g.files[0].add.Path, err)
		}
		branches = append(branches, branch)
	}
	if len(branches) == 0 {
		branches = []string{emptySQL(s.snapshot.Schema())}
	}
	return b.exec(ctx, "CREATE VIEW "+quoteName(s.ref.ViewName)+" AS "+strings.Join(branches, " UNION ALL "))
}

// The columns of a table of deleted rows. Columns of data files do not have
// such names, and need not: the branch reads the left side alone.
const (
	deletedFile  = "file of a deleted row"
	deletedIndex = "index of a deleted row"
)

// createDeleted makes a table of the rows that are deleted, by the position of
// their file in the group.
func (b *sandbox) createDeleted(ctx context.Context, name string, files []sourceFile) error {
	if err := b.exec(ctx, fmt.Sprintf("CREATE TABLE %s (%s UBIGINT, %s BIGINT)", quoteName(name), quoteName(deletedFile), quoteName(deletedIndex))); err != nil {
		return err
	}
	return b.append(ctx, name, func(yield func([]any) bool) {
		for i, f := range files {
			for _, row := range f.deleted {
				if !yield([]any{int64(i), row}) {
					return
				}
			}
		}
	})
}

// branchSQL reads the files of one group. Columns that came after a file was
// written are NULL, and columns that are no more are left out.
func (s *source) branchSQL(g *group, deletedTable string, zone zone) (string, error) {
	mapping := s.snapshot.ColumnMapping()
	if mapping == delta.MappingID && !g.shape.hasFieldIDs() {
		return "", fmt.Errorf("%w: column mapping by id of a file without field ids", delta.ErrUnsupported)
	}
	files := g.files[0].add.Path
	if n := len(g.files); n > 1 {
		files = fmt.Sprintf("%d files such as %s", n, files)
	}
	reader := columnReader{mapping, g.shape, fmt.Sprintf("read table %s: version %d: %s", s.ref.Name, s.snapshot.Version(), files), zone.steady && zone.steadySince.IsZero() && zone.offset == 0}
	var selected, paths []string
	for _, f := range s.snapshot.Schema().Fields {
		value := ""
		if isPartitionColumn(s.snapshot.Metadata().PartitionColumns, f.Name) {
			text, ok := g.files[0].add.PartitionValues[mapping.PhysicalName(f)]
			if !ok {
				return "", fmt.Errorf("%w: no value for partition column %q", delta.ErrCorruptLog, f.Name)
			}
			value = partitionValue(text, f.Type, zone)
		} else {
			var err error
			if value, err = reader.column(f); err != nil {
				return "", err
			}
		}
		selected = append(selected, value+" AS "+quoteName(f.Name))
	}
	for _, f := range g.files {
		paths = append(paths, quote(escapeGlob(f.path)))
	}
	// The folders' names say nothing: the log has the values of partitions. That
	// there may be NaN is for members of structs, see withoutBounds.
	from := fmt.Sprintf("read_parquet([%s], hive_partitioning = false, can_have_nan = true)", strings.Join(paths, ", "))
	if deletedTable != "" {
		for _, name := range []string{"file_index", "file_row_number"} {
			if slices.ContainsFunc(g.shape.columns, func(f arrow.Field) bool { return strings.EqualFold(f.Name, name) }) {
				return "", fmt.Errorf("%w: feature \"deletionVectors\" with a column named %q", delta.ErrUnsupported, name)
			}
		}
		from += fmt.Sprintf(" AS f ANTI JOIN %s AS d ON f.file_index = d.%s AND f.file_row_number = d.%s",
			quoteName(deletedTable), quoteName(deletedFile), quoteName(deletedIndex))
	}
	return fmt.Sprintf("SELECT %s FROM %s", strings.Join(selected, ", "), from), nil
}

// escapeGlob keeps DuckDB from taking a path for a pattern.
func escapeGlob(path string) string {
	return strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]").Replace(path)
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

// partitionValue writes a value of a partition as a constant; empty is NULL.
func partitionValue(text string, t delta.DataType, zone zone) string {
	switch {
	case text == "":
		return nullOf(t)
	case t == delta.Binary:
		return "encode(" + quote(text) + ")"
	}
	return "CAST(" + quote(partitionText(text, t, zone)) + " AS " + duckdbType(t) + ")"
}

// partitionText is a value of a partition as DuckDB reads it (PROTOCOL.md,
// section Partition Value Serialization). A timestamp without a zone is one of
// the session's, as in Spark: that of who wrote it is not known.
func partitionText(text string, t delta.DataType, zone zone) string {
	switch t {
	case delta.Date, delta.Timestamp, delta.TimestampNTZ:
		text = strings.TrimPrefix(text, "+") // as Java writes a year beyond 9999
	}
	if t == delta.Timestamp {
		if local, ok := parseWallClock(text); ok {
			return zone.instant(local).Format("2006-01-02 15:04:05.000000+00")
		}
	}
	return text
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
