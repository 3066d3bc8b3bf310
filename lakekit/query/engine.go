package query

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
)

// Options of an Engine; the zero value works.
type Options struct {
	Limits             // of each statement
	Threads     int    // of one statement; default: all processors
	Concurrency int    // statements that run at the same time, the others wait; default 2
	CacheDir    string // copies of remote objects, of one engine at a time; default: a folder removed by Close
	CacheBytes  int64  // bound of CacheDir; default 2 GiB
	TempDir     string // for what does not fit into memory, of one engine at a time; default: inside CacheDir
}

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.withDefaults()
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
	slots   chan *spare  // one for each statement that may run
	waiting atomic.Int64 // statements for a slot
	remove  []string     // folders that end with the engine
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
	e := &Engine{slots: make(chan *spare, o.Concurrency)}
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
	if err := os.MkdirAll(o.TempDir, cacheDirMode); err != nil {
		return nil, errors.Join(fmt.Errorf("open query engine: %w", err), e.Close())
	}
	left, _ := filepath.Glob(filepath.Join(o.TempDir, tempPrefix+"*")) // by an engine that was killed
	for _, dir := range left {
		_ = os.RemoveAll(dir)
	}
	e.options = o
	for range o.Concurrency {
		e.slots <- e.prepare(nil)
	}
	return e, nil
}

// Close waits for running statements.
func (e *Engine) Close() error {
	var errs []error
	if e.options.Concurrency > 0 { // Open has not failed
		for range cap(e.slots) {
			s := <-e.slots
			if <-s.ready; s.err == nil {
				errs = append(errs, s.worker.end())
			}
		}
	}
	for _, dir := range e.remove {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// Query runs one statement that reads: SELECT, WITH, VALUES, FROM, DESCRIBE or
// SUMMARIZE, or EXPLAIN of one, which also tells the files read and skipped. What is wrong with the statement is an *Error.
func (e *Engine) Query(ctx context.Context, statement string, request Request) (*api.Result, error) {
	start := time.Now()
	limits := e.options.Limits
	if int64(len(statement)) > limits.Text {
		return nil, limits.textExceeded(len(statement))
	}
	zone, err := loadZone(request.TimeZone)
	if err != nil {
		return nil, err
	}
	box, err := e.openSandbox(ctx, zone)
	if err != nil {
		return nil, err
	}
	defer box.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	clock := startStopwatch(limits.Time, func() { cancel(limits.timeExceeded()) })
	defer clock.stop()
	if each := request.Each; each != nil {
		request.Each = func(part *api.Result) error {
			clock.stop()
			defer clock.start()
			return each(part)
		}
	}
	result, err := e.run(ctx, box, statement, request)
	if err != nil {
		if ctx.Err() == nil {
			return nil, limits.limitError(err)
		}
		cause := context.Cause(ctx)
		if errors.Is(cause, ErrLimit) {
			return nil, cause
		}
		return nil, fmt.Errorf("statement stopped: %w", cause)
	}
	result.Elapsed = time.Since(start)
	return result, nil
}

func (e *Engine) run(ctx context.Context, box *sandbox, statement string, request Request) (*api.Result, error) {
	parsed, err := box.parse(ctx, statement)
	if err != nil {
		return nil, err
	}
	sources, err := box.pin(ctx, parsed, request, box.zone)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, s := range sources {
			s.release()
		}
	}()
	for _, s := range sources {
		if err := s.fetch(ctx, e); err != nil {
			return nil, err
		}
	}
	var result *api.Result
	if err = box.install(ctx, sources); err == nil {
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

// sandbox is a DuckDB of one statement, in a process of its own. DuckDB cannot be
// given more files to read once access is shut off: a fresh one lets a statement
// read its own tables' files and no other. And much of what it takes is not in its
// own limit of memory, nor does it always heed that it is asked to stop: a process
// can be watched, and killed.
type sandbox struct {
	engine *Engine
	worker *worker
	zone   zone
}

// openSandbox waits until fewer statements run than may.
func (e *Engine) openSandbox(ctx context.Context, zone zone) (*sandbox, error) {
	var next *spare
	select {
	case next = <-e.slots:
	default:
		limits := e.options.Limits
		defer e.waiting.Add(-1)
		if e.waiting.Add(1) > int64(limits.Waiting) {
			return nil, fmt.Errorf("%w: %d, besides %d that run; try again when some are done; %s",
				ErrBusy, limits.Waiting, cap(e.slots), limits.Raise(LimitWaiting))
		}
		select {
		case next = <-e.slots:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for other statements: %w", context.Cause(ctx))
		}
	}
	w, err := next.take(ctx, e.options)
	if err != nil {
		e.slots <- e.prepare(nil)
		return nil, err
	}
	return &sandbox{engine: e, worker: w, zone: zone}, nil
}

// close lets another statement run. A worker that was killed has given back its
// memory then; one that is well is readied while nobody waits for it.
func (b *sandbox) close() {
	w := b.worker
	if !w.isAlive() {
		_ = w.end()
		w = nil
	}
	b.engine.slots <- b.engine.prepare(w)
}

// parse has the worker parse a statement.
func (b *sandbox) parse(ctx context.Context, text string) (*statement, error) {
	answer, err := b.worker.call(ctx, request{Parse: &parseRequest{Statement: text, TimeZone: b.zone.name}}, nil)
	if err != nil {
		return nil, err
	}
	s := &statement{source: text, explain: answer.Parsed.Explain, tables: answer.Parsed.Tables}
	wheres := make([]any, len(answer.Parsed.Wheres))
	for i, where := range answer.Parsed.Wheres {
		decoder := json.NewDecoder(strings.NewReader(where))
		decoder.UseNumber()
		if err := decoder.Decode(&wheres[i]); err != nil {
			return nil, fmt.Errorf("parse statement: %w", err)
		}
	}
	for _, f := range answer.Parsed.Filters {
		s.tables[f.Table].filter = filter{where: wheres[f.Where], alias: f.Alias, alone: f.Alone}
	}
	return s, nil
}

func (b *sandbox) exec(ctx context.Context, statements ...string) error {
	if _, err := b.worker.call(ctx, request{Exec: statements}, nil); err != nil {
		return fmt.Errorf("prepare DuckDB: %w", err)
	}
	return nil
}

// append appends rows of texts and whole numbers to a table.
func (b *sandbox) append(ctx context.Context, table string, rows iter.Seq[[]any]) error {
	var out encoder
	n := 0
	flush := func() error {
		if n == 0 {
			return nil
		}
		_, err := b.worker.call(ctx, request{Append: &appendRequest{table, part{n, string(out.cells)}}}, nil)
		out.reset()
		n = 0
		return err
	}
	for row := range rows {
		for _, cell := range row {
			if whole, ok := cell.(int64); ok {
				out.int(whole)
			} else {
				out.text(tagText, cell.(string))
			}
		}
		if n++; len(out.cells) >= partBytes {
			if err := flush(); err != nil {
				return fmt.Errorf("prepare DuckDB: %w", err)
			}
		}
	}
	if err := flush(); err != nil {
		return fmt.Errorf("prepare DuckDB: %w", err)
	}
	return nil
}

// values asks for rows of the engine's own.
func (b *sandbox) values(ctx context.Context, sql string, arguments ...string) (all [][]any, err error) {
	rows := rowReader{location: b.zone.location}
	_, err = b.worker.call(ctx, request{Values: &valuesRequest{sql, arguments}}, func(r *reply) error {
		more, err := rows.read(r)
		all = append(all, more...)
		return err
	})
	return all, err
}

// text asks for one text; false if there is none.
func (b *sandbox) text(ctx context.Context, sql string, arguments ...string) (string, bool) {
	rows, err := b.values(ctx, sql, arguments...)
	if err != nil || len(rows) != 1 {
		return "", false
	}
	text, ok := rows[0][0].(string)
	return text, ok
}

// rowReader reads the replies that have rows.
type rowReader struct {
	columns  []resultColumn
	location *time.Location
}

func (r *rowReader) read(answer *reply) ([][]any, error) {
	if answer.Columns != nil {
		r.columns = answer.Columns
	}
	return decodeRows(*answer.Part, r.columns, r.location)
}

// install readies the tables, then shuts off everything else.
func (b *sandbox) install(ctx context.Context, sources []*source) error {
	var paths []string
	for _, source := range sources {
		for _, f := range source.files {
			paths = append(paths, quote(f.path))
			if pattern := escapeGlob(f.path); pattern != f.path { // asked for as well
				paths = append(paths, quote(pattern))
			}
		}
	}
	if err := b.exec(ctx, "SET allowed_paths = ["+strings.Join(paths, ", ")+"]", "SET enable_external_access = false"); err != nil {
		return err
	}
	for _, source := range sources {
		if err := source.install(ctx, b); err != nil {
			return fmt.Errorf("read table %s: %w", source.table.URI(), err)
		}
	}
	return nil
}

// query runs the statement that was parsed last.
func (b *sandbox) query(ctx context.Context, s *statement, sources []*source, request Request) (*api.Result, error) {
	run := &runRequest{MaxRows: request.maxRows(), Result: b.engine.options.Result, Tables: map[int]int{}}
	for i, source := range sources {
		schema := source.snapshot.Schema()
		for _, f := range schema.Fields {
			run.Columns = append(run.Columns, f.Name)
		}
		text, err := json.Marshal(schema)
		if err != nil {
			return nil, err
		}
		run.Schemas = append(run.Schemas, string(text))
		for _, ref := range s.tables {
			if strings.EqualFold(source.ref.ViewName, ref.ViewName) {
				run.Tables[ref.Start] = i
			}
		}
	}
	result, err := b.rows(ctx, run, request.Each)
	if err != nil {
		return nil, err
	}
	if run.MaxRows >= 0 && len(result.Rows) > run.MaxRows {
		result.Rows, result.Truncated = result.Rows[:run.MaxRows], true
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

// rows reads a result. All parts but the last go to each, if it is given.
func (b *sandbox) rows(ctx context.Context, run *runRequest, each func(*api.Result) error) (*api.Result, error) {
	result := &api.Result{Rows: [][]any{}, TimeZone: b.zone.name}
	rows := rowReader{location: b.zone.location}
	answer, err := b.worker.call(ctx, request{Run: run}, func(r *reply) error {
		part, err := rows.read(r)
		if err != nil {
			return err
		}
		if result.Columns == nil {
			result.Columns = make([]api.Column, len(rows.columns))
			for i := range rows.columns {
				result.Columns[i] = api.Column{Name: rows.columns[i].Label, Type: rows.columns[i].Type.spark()}
			}
		}
		if each != nil && len(result.Rows) > 0 {
			if err := each(result); err != nil {
				return err
			}
			result.Rows = result.Rows[:0]
		}
		result.Rows = append(result.Rows, part...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if answer.Beyond && each != nil {
		return nil, b.engine.options.rowExceeded()
	}
	if answer.Beyond {
		return nil, b.engine.options.resultExceeded()
	}
	for i := range rows.columns {
		if rows.columns[i].Type.Name == "HUGEINT" {
			narrow(result, i)
		}
	}
	return result, nil
}

// stopwatch calls a function when it has run for a time.
type stopwatch struct {
	timer *time.Timer
	left  time.Duration
	since time.Time
}

func startStopwatch(d time.Duration, over func()) *stopwatch {
	return &stopwatch{timer: time.AfterFunc(d, over), left: d, since: time.Now()}
}

func (s *stopwatch) stop() {
	s.timer.Stop()
	s.left -= time.Since(s.since)
}

func (s *stopwatch) start() {
	s.since = time.Now()
	s.timer.Reset(max(s.left, 0))
}

// quote writes a SQL string, quoteName an identifier.
func quote(s string) string     { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
func quoteName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
