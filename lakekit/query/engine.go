package query

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
)

// Options of an Engine; the zero value works.
type Options struct {
	MemoryLimit string // of one statement, as DuckDB writes it; default 1GB, beyond it TempDir is used
	Threads     int    // of one statement; default: all processors
	Concurrency int    // statements that run at the same time, the others wait; default 2
	CacheDir    string // copies of remote objects, of one engine at a time; default: a folder removed by Close
	CacheBytes  int64  // bound of CacheDir; default 2 GiB
	TempDir     string // for what does not fit into memory; default: inside CacheDir
}

func (o Options) withDefaults() Options {
	if o.MemoryLimit == "" {
		o.MemoryLimit = "1GB"
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.Concurrency == 0 {
		o.Concurrency = 2
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 2 << 30
	}
	return o
}

// Engine runs SQL statements. Its methods may be called at the same time.
type Engine struct {
	options Options
	cache   *cache
	footers footers
	slots   chan struct{}
	remove  []string // folders that end with the engine
}

// Request is what a statement is run with.
type Request struct {
	// Tables finds the table of a name: taxi_record, db.taxi_record, or what
	// stands in the backticks of delta.`...`. It decides which addresses and
	// folders may be read. ErrUnknownTable for a table there is not,
	// delta.ErrNotTable, whose text is then shown, for a place that holds none.
	Tables func(ctx context.Context, name string) (*delta.Table, error)
	// TableNames lists what a name that is not known can mean: the same in another
	// case is taken, others are suggested. It is asked only then, and may be nil.
	TableNames func(ctx context.Context) []string
	// TimeZone is the session time zone, an IANA name or an offset such as
	// +08:00; default UTC.
	TimeZone string
	// MaxRows bounds the result, which is then marked as truncated; default
	// DefaultMaxRows, negative for no bound.
	MaxRows int
	// Each takes the rows in parts as they are read, at least one part, and may
	// not keep it. The result then has none, and MaxRows does not count.
	Each func(part *api.Result) error
}

// DefaultMaxRows is how many rows a result holds if nothing is asked for.
const DefaultMaxRows = 10_000

// ErrUnknownTable is for Request.Tables to say that there is no such table.
var ErrUnknownTable = errors.New("no such table")

// Open readies an engine.
func Open(o Options) (*Engine, error) {
	o = o.withDefaults()
	e := &Engine{slots: make(chan struct{}, o.Concurrency)}
	if o.CacheDir == "" {
		dir, err := os.MkdirTemp("", "lakekit-query-")
		if err != nil {
			return nil, fmt.Errorf("open query engine: %w", err)
		}
		o.CacheDir = dir
		e.remove = append(e.remove, dir)
	}
	if o.TempDir == "" {
		dir, err := os.MkdirTemp(o.CacheDir, "tmp-")
		if err != nil {
			return nil, fmt.Errorf("open query engine: %w", err)
		}
		o.TempDir = dir
		e.remove = append(e.remove, dir)
	}
	var err error
	if e.cache, err = openCache(o.CacheDir, o.CacheBytes); err != nil {
		return nil, errors.Join(fmt.Errorf("open query engine: %w", err), e.Close())
	}
	e.options = o
	return e, nil
}

// Close waits for running statements.
func (e *Engine) Close() error {
	for range cap(e.slots) {
		e.slots <- struct{}{}
	}
	var errs []error
	for _, dir := range e.remove {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// Query runs one statement that reads: SELECT, WITH, VALUES, FROM, DESCRIBE or
// SUMMARIZE, or EXPLAIN of one, which also tells the files read and skipped. What is wrong with the statement is an *Error.
func (e *Engine) Query(ctx context.Context, statement string, request Request) (*api.Result, error) {
	start := time.Now()
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for other statements: %w", context.Cause(ctx))
	}
	result, err := e.run(ctx, statement, request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("statement stopped: %w", context.Cause(ctx))
		}
		return nil, err
	}
	result.Elapsed = time.Since(start)
	return result, nil
}

func (e *Engine) run(ctx context.Context, statement string, request Request) (*api.Result, error) {
	zone, err := loadZone(request.TimeZone)
	if err != nil {
		return nil, err
	}
	box, err := e.openSandbox(ctx, zone)
	if err != nil {
		return nil, err
	}
	defer box.close()

	parsed, err := box.parse(ctx, statement)
	if err != nil {
		return nil, err
	}
	sources, err := box.pin(ctx, parsed, request, zone)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, s := range sources {
			s.release()
		}
	}()
	parsed.promoteFloats(sources)
	for _, s := range sources {
		if err := s.fetch(ctx, e); err != nil {
			return nil, err
		}
	}
	var result *api.Result
	if err = box.install(ctx, parsed, sources); err == nil {
		result, err = box.query(ctx, parsed, sources, request)
	}
	if f, ok := readFailure(err); ok && f.ofFile() {
		err = cmp.Or(box.damagedFile(ctx, sources), err)
	}
	return result, err
}

func (r Request) maxRows() int {
	switch {
	case r.Each != nil:
		return -1
	case r.MaxRows == 0:
		return DefaultMaxRows
	}
	return r.MaxRows
}

// sandbox is a DuckDB of one statement. Opening one costs milliseconds, and
// DuckDB cannot be given more files to read once access is shut off: a fresh one
// lets a statement read its own tables' files and no other, and takes its
// memory along when it ends.
type sandbox struct {
	db   *sql.DB
	conn *sql.Conn
	zone zone
}

func (e *Engine) openSandbox(ctx context.Context, zone zone) (_ *sandbox, err error) {
	settings := url.Values{
		"memory_limit":                 {e.options.MemoryLimit},
		"threads":                      {strconv.Itoa(e.options.Threads)},
		"temp_directory":               {e.options.TempDir},
		"autoinstall_known_extensions": {"false"},
		"autoload_known_extensions":    {"false"},
		"errors_as_json":               {"true"},
		"default_null_order":           {"nulls_first_on_asc_last_on_desc"},
		"ieee_floating_point_ops":      {"false"}, // x / 0 is NULL
	}
	connector, err := duckdb.NewConnector("?"+settings.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	box := &sandbox{db: sql.OpenDB(connector), zone: zone}
	defer func() {
		if err != nil {
			box.close()
		}
	}()
	if box.conn, err = box.db.Conn(ctx); err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	return box, box.exec(ctx, "SET TimeZone = "+quote(zone.duckdbName))
}

func (b *sandbox) close() {
	if b.conn != nil {
		_ = b.conn.Close()
	}
	_ = b.db.Close() // an in-memory database has nothing to lose
}

func (b *sandbox) exec(ctx context.Context, statement string) error {
	if _, err := b.conn.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("prepare DuckDB: %w", err)
	}
	return nil
}

// install readies what the statement names, then shuts off everything else.
func (b *sandbox) install(ctx context.Context, s *statement, sources []*source) error {
	if err := b.installFunctions(ctx, s); err != nil {
		return err
	}
	var paths []string
	for _, source := range sources {
		for _, f := range source.snapshot.Schema().Fields {
			s.columns = append(s.columns, f.Name)
		}
		for _, f := range source.files {
			paths = append(paths, quote(f.path))
			if pattern := escapeGlob(f.path); pattern != f.path { // asked for as well
				paths = append(paths, quote(pattern))
			}
		}
	}
	if err := b.exec(ctx, "SET allowed_paths = ["+strings.Join(paths, ", ")+"]"); err != nil {
		return err
	}
	if err := b.exec(ctx, "SET enable_external_access = false"); err != nil {
		return err
	}
	for _, source := range sources {
		if err := source.install(ctx, b); err != nil {
			return fmt.Errorf("read table %s: %w", source.table.URI(), err)
		}
	}
	return b.exec(ctx, "SET lock_configuration = true")
}

func (b *sandbox) query(ctx context.Context, s *statement, sources []*source, request Request) (*api.Result, error) {
	maxRows := request.maxRows()
	text, back := s.executable()
	prefix, suffix := s.explain, ""
	if maxRows >= 0 && s.explain == "" {
		prefix, suffix = "SELECT * FROM (", fmt.Sprintf("\n) LIMIT %d", maxRows+1)
	}
	rows, columns, err := b.run(ctx, prefix+text+suffix)
	if err == nil && slices.ContainsFunc(columns, resultColumn.unreadable) {
		rows.Close()
		selected, from := readable(columns)
		prefix, suffix = selected+prefix, suffix+from
		rows, _, err = b.run(ctx, prefix+text+suffix)
	}
	var result *api.Result
	if err == nil {
		defer rows.Close()
		result, err = readRows(rows, columns, b.zone, request.Each)
	}
	if err != nil {
		return nil, s.executionError(err, func(position int) int { return back(position - len(prefix)) })
	}
	if maxRows >= 0 && len(result.Rows) > maxRows {
		result.Rows, result.Truncated = result.Rows[:maxRows], true
	}
	for _, source := range sources {
		read := source.read()
		result.Tables = append(result.Tables, read)
		if s.explain != "" {
			result.Rows = append(result.Rows, []any{"files", fmt.Sprintf("%s, version %d: %d files read, %d skipped", read.Name, read.Version, read.Files, read.FilesSkipped)})
		}
	}
	if request.Each != nil {
		if err := request.Each(result); err != nil {
			return nil, err
		}
		result.Rows = nil
	}
	return result, nil
}

// run starts a statement; the caller closes the rows.
func (b *sandbox) run(ctx context.Context, statement string) (*sql.Rows, []resultColumn, error) {
	rows, err := b.conn.QueryContext(ctx, statement)
	if err != nil {
		return nil, nil, err
	}
	columns, err := resultColumns(rows)
	if err != nil {
		rows.Close()
	}
	return rows, columns, err
}

// quote writes a SQL string, quoteName an identifier.
func quote(s string) string     { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
func quoteName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
