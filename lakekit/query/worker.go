package query

import (
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"
	"github.com/duckdb/duckdb-go/v2/mapping"

	"taxilake/lakekit/delta"
)

// workerVariable asks a program that links this package to be the worker of
// another one.
const workerVariable = "LAKEKIT_SQL_WORKER"

// A worker is the program of the engine, started once more. That every program
// with an engine is one, tests included, is why this is done here and not by each
// program's main.
func init() {
	if os.Getenv(workerVariable) != "" {
		work()
	}
}

// How a worker ends.
const (
	statusDone   = 0
	statusMemory = 3 // more than its memory
	statusBroken = 4 // it cannot answer
)

// work answers requests from standard input until it is closed, which happens
// whatever the end of the engine's process is.
func work() {
	requests := make(chan request)
	var tempDir string
	leave := func(status int) {
		if tempDir != "" {
			os.RemoveAll(tempDir)
		}
		os.Exit(status)
	}
	opened := make(chan *openRequest)
	go func() {
		decoder := gob.NewDecoder(os.Stdin)
		for {
			var r request
			if err := decoder.Decode(&r); err != nil {
				leave(statusDone)
			}
			if r.Open != nil {
				tempDir = r.Open.TempDir
				opened <- r.Open
				continue
			}
			requests <- r
		}
	}()
	replies := gob.NewEncoder(os.NewFile(3, "replies"))
	w := &session{options: <-opened, reply: func(r *reply) {
		if err := replies.Encode(r); err != nil {
			fmt.Fprintln(os.Stderr, err)
			leave(statusBroken)
		}
	}}
	ask, err := limitProcess(w.options.Memory)
	if err != nil {
		w.reply(&reply{Error: toWire(fmt.Errorf("limit the memory of a statement: %w", err))})
		leave(statusBroken)
	}
	debug.SetMemoryLimit(w.options.Memory / 4) // of Go, which holds the text of a statement and a part of the rows
	w.reply(&reply{Error: toWire(w.open())})
	w.begun, _ = memoryBytes()
	for r := range requests {
		done := watchMemory(w.options.Memory, ask, func() { leave(statusMemory) })
		w.answer(r)
		done()
	}
}

// watchEvery is short enough that a statement cannot take much in between: the
// system hands out some gigabytes a second.
const watchEvery = 10 * time.Millisecond

// watchMemory looks after the memory of this process, of which DuckDB counts but
// a part: lists, texts, and what an aggregate has collected are not in its limit.
// It calls exceeded when the process has more than that, or has asked for more.
func watchMemory(has, ask int64, exceeded func()) (done func()) {
	ended := make(chan struct{})
	go func() {
		clock := time.NewTicker(watchEvery)
		defer clock.Stop()
		for {
			select {
			case <-ended:
				return
			case <-clock.C:
				if resident, asked := memoryBytes(); resident > has || asked > ask {
					exceeded()
				}
			}
		}
	}()
	return func() { close(ended) }
}

// session is the worker's side: the DuckDB of one statement.
type session struct {
	options   *openRequest
	begun     int64 // bytes of the process before its first statement
	reply     func(*reply)
	db        mapping.Database
	conn      mapping.Connection
	statement *parsedStatement
	zone      zone
}

// open readies a DuckDB.
func (w *session) open() error {
	var config mapping.Config
	if mapping.CreateConfig(&config) == mapping.StateError {
		return errors.New("open DuckDB: no configuration")
	}
	defer mapping.DestroyConfig(&config)
	// The other third is for what DuckDB does not count.
	resident, _ := memoryBytes()
	memory := max(w.options.Memory-resident, 0) / 3 * 2
	for name, value := range map[string]string{
		"memory_limit":                 strconv.FormatInt(memory, 10) + "B",
		"threads":                      strconv.Itoa(w.options.Threads),
		"temp_directory":               filepath.Join(w.options.TempDir, "duckdb"),
		"autoinstall_known_extensions": "false",
		"autoload_known_extensions":    "false",
		"errors_as_json":               "true",
		"default_null_order":           "nulls_first_on_asc_last_on_desc",
		"ieee_floating_point_ops":      "false", // x / 0 is NULL
	} {
		if mapping.SetConfig(config, name, value) == mapping.StateError {
			return fmt.Errorf("open DuckDB: it refuses %s = %s", name, value)
		}
	}
	var message string
	if mapping.OpenExt("", &w.db, config, &message) == mapping.StateError {
		return fmt.Errorf("open DuckDB: %s", message)
	}
	if mapping.Connect(w.db, &w.conn) == mapping.StateError {
		return errors.New("open DuckDB: no connection")
	}
	// As a part of the configuration it is shown and not heeded (DuckDB 1.5.5).
	return w.exec(fmt.Sprintf("SET max_temp_directory_size = '%dB'", w.options.Temp))
}

func (w *session) close() {
	mapping.Disconnect(&w.conn)
	mapping.Close(&w.db)
	w.statement = nil
}

// answer does one request.
func (w *session) answer(r request) {
	var answer reply
	var err error
	switch {
	case r.Parse != nil:
		answer.Parsed, err = w.parseStatement(r.Parse)
	case r.Exec != nil:
		err = w.exec(r.Exec...)
	case r.Append != nil:
		err = w.append(r.Append.Table, r.Append.Rows)
	case r.Values != nil:
		_, err = w.send(r.Values.SQL, r.Values.Arguments, rowWriter{limit: w.options.Memory}, true)
	case r.Run != nil:
		answer.Beyond, err = w.run(r.Run)
	case r.Reset:
		w.close()
		resident, _ := memoryBytes()
		if answer.Spent = resident > w.begun+w.options.Memory/4; !answer.Spent {
			err = w.open()
		}
	}
	answer.Error = toWire(err)
	w.reply(&answer)
}

func (w *session) parseStatement(r *parseRequest) (*parsedReply, error) {
	var err error
	if w.zone, err = loadZone(r.TimeZone); err != nil {
		return nil, err
	}
	if err := w.exec("SET TimeZone = " + quote(w.zone.duckdbName)); err != nil {
		return nil, err
	}
	var parsed *parsedReply
	w.statement, parsed, err = w.parse(r.Statement)
	return parsed, err
}

// run runs the statement that was parsed, over the tables that were installed.
func (w *session) run(r *runRequest) (beyond bool, err error) {
	s := w.statement
	s.columns = r.Columns
	if err := w.promoteTypes(r); err != nil {
		return false, err
	}
	if err := w.installFunctions(s); err != nil {
		return false, err
	}
	if err := w.exec("SET lock_configuration = true"); err != nil {
		return false, err
	}
	text, back := s.executable()
	prefix, suffix := s.explain, ""
	if r.MaxRows >= 0 && s.explain == "" {
		prefix, suffix = "SELECT * FROM (", fmt.Sprintf("\n) LIMIT %d", r.MaxRows+1)
	}
	beyond, err = w.send(prefix+text+suffix, nil, rowWriter{limit: r.Result}, r.MaxRows >= 0)
	if err != nil {
		return false, s.executionError(err, func(position int) int { return back(position - len(prefix)) })
	}
	return beyond, nil
}

func (w *session) promoteTypes(r *runRequest) error {
	schemas := make([]delta.Schema, len(r.Schemas))
	for i, text := range r.Schemas {
		if err := json.Unmarshal([]byte(text), &schemas[i]); err != nil {
			return err
		}
	}
	tables := map[int]delta.Schema{}
	for start, i := range r.Tables {
		tables[start] = schemas[i]
	}
	return w.statement.promoteTypes(tables)
}

// exec runs statements of the engine's.
func (w *session) exec(statements ...string) error {
	for _, statement := range statements {
		var result mapping.Result
		state := mapping.Query(w.conn, statement, &result)
		message := mapping.ResultError(&result)
		mapping.DestroyResult(&result)
		if state == mapping.StateError {
			return parseFailure(message)
		}
	}
	return nil
}

// text asks for one value.
func (w *session) text(statement string, arguments ...string) (text string, err error) {
	err = w.query(statement, arguments, func(columns []resultColumn, vectors []vector, rows uint64) (bool, error) {
		if vectors != nil && rows > 0 && !vectors[0].isNull(0) {
			text = string(append([]byte(nil), vectors[0].bytes(0)...))
		}
		return true, nil
	})
	return text, err
}

// The bounds of one part of the rows.
const (
	partRows  = 10_000
	partBytes = 1 << 20
)

// send sends the columns of a statement and its rows in parts. Rows beyond the
// limit, of all of them or of one, are not sent.
func (w *session) send(statement string, arguments []string, out rowWriter, ofAll bool) (beyond bool, err error) {
	limit := out.limit
	rowsOfPart := 0
	flush := func() {
		if rowsOfPart == 0 {
			return
		}
		if ofAll {
			limit -= out.size()
		}
		w.reply(&reply{Part: &part{rowsOfPart, string(out.cells)}})
		out.reset()
		rowsOfPart = 0
	}
	err = w.query(statement, arguments, func(columns []resultColumn, vectors []vector, rows uint64) (bool, error) {
		if vectors == nil {
			for i := range columns {
				limit -= int64(len(columns[i].Label)) + columns[i].Type.weight()
			}
			if beyond = limit < 0; !beyond {
				w.reply(&reply{Columns: columns, Part: &part{}})
			}
			return !beyond, nil
		}
		for row := range rows {
			if out.limit = limit; !ofAll {
				out.limit += out.size()
			}
			for i := range vectors {
				out.cell(&vectors[i], row)
			}
			if beyond = out.isBeyond(0); beyond {
				return false, nil
			}
			if rowsOfPart++; rowsOfPart == partRows || len(out.cells) >= partBytes {
				flush()
			}
		}
		return true, nil
	})
	if err == nil && !beyond {
		flush()
	}
	return beyond, err
}

// takeRows takes rows as DuckDB makes them, and says whether it wants more.
type takeRows func(columns []resultColumn, vectors []vector, rows uint64) (more bool, err error)

// query runs a statement and gives its columns to each, without vectors, then its
// rows, until each wants no more.
func (w *session) query(statement string, arguments []string, each takeRows) error {
	var prepared mapping.PreparedStatement
	defer mapping.DestroyPrepare(&prepared)
	if mapping.Prepare(w.conn, statement, &prepared) == mapping.StateError {
		return parseFailure(mapping.PrepareError(prepared))
	}
	for i, argument := range arguments {
		length := mapping.IdxT(len(argument))
		if mapping.BindVarcharLength(prepared, mapping.IdxT(i+1), argument, length) == mapping.StateError {
			return parseFailure(mapping.PrepareError(prepared))
		}
	}
	var pending mapping.PendingResult
	defer mapping.DestroyPending(&pending)
	// Else DuckDB holds all rows, outside of its memory limit, before it gives the first.
	if bindings.PendingPreparedStreaming(prepared, &pending) == mapping.StateError {
		return parseFailure(mapping.PendingError(pending))
	}
	var result mapping.Result
	defer mapping.DestroyResult(&result)
	if mapping.ExecutePending(pending, &result) == mapping.StateError {
		return parseFailure(mapping.ResultError(&result))
	}
	columns, err := readColumns(&result)
	if err != nil {
		return err
	}
	if more, err := each(columns, nil, 0); err != nil || !more {
		return err
	}
	for {
		chunk := mapping.FetchChunk(result)
		if chunk.Ptr == nil {
			break
		}
		more, err := each(columns, vectorsOf(columns, chunk), uint64(mapping.DataChunkGetSize(chunk)))
		mapping.DestroyDataChunk(&chunk)
		if err != nil || !more {
			return err
		}
	}
	if message := mapping.ResultError(&result); message != "" {
		return parseFailure(message)
	}
	return nil
}

func vectorsOf(columns []resultColumn, chunk mapping.DataChunk) []vector {
	vectors := make([]vector, len(columns))
	for i := range columns {
		vectors[i] = vectorOf(&columns[i].Type, mapping.DataChunkGetVector(chunk, mapping.IdxT(i)))
	}
	return vectors
}

func readColumns(result *mapping.Result) ([]resultColumn, error) {
	columns := make([]resultColumn, mapping.ColumnCount(result))
	for i := range columns {
		columns[i].Label = mapping.ColumnName(result, mapping.IdxT(i))
		t := mapping.ColumnLogicalType(result, mapping.IdxT(i))
		var err error
		columns[i].Type, err = readType(t, 0)
		mapping.DestroyLogicalType(&t)
		if mistake, ok := errors.AsType[*Error](err); ok {
			mistake.Message = fmt.Sprintf("column %q: %s", columns[i].Label, mistake.Message)
		}
		if err != nil {
			return nil, err
		}
	}
	return columns, nil
}

// append appends rows to a table of texts and of whole numbers of 8 bytes.
func (w *session) append(table string, given part) (err error) {
	var appender mapping.Appender
	defer mapping.AppenderDestroy(&appender)
	check := func(state mapping.State) {
		if state == mapping.StateError && err == nil {
			err = parseFailure(mapping.AppenderError(appender))
		}
	}
	if check(mapping.AppenderCreate(w.conn, "", table, &appender)); err != nil {
		return err
	}
	types := make([]mapping.LogicalType, mapping.AppenderColumnCount(appender))
	for i := range types {
		types[i] = mapping.AppenderColumnType(appender, mapping.IdxT(i))
		defer mapping.DestroyLogicalType(&types[i])
	}
	chunk := mapping.CreateDataChunk(types)
	defer mapping.DestroyDataChunk(&chunk)
	cells := decoder{rest: given.Cells}
	for first := 0; first < given.Rows && err == nil; first += int(mapping.VectorSize()) {
		mapping.DataChunkReset(chunk)
		rows := min(given.Rows-first, int(mapping.VectorSize()))
		for row := range rows {
			for i := range types {
				vector := mapping.DataChunkGetVector(chunk, mapping.IdxT(i))
				switch cell := cells.cell(nil).(type) {
				case int64:
					*(*int64)(unsafe.Add(mapping.VectorGetData(vector), 8*row)) = cell
				case string:
					mapping.VectorAssignStringElement(vector, mapping.IdxT(row), cell)
				}
			}
		}
		mapping.DataChunkSetSize(chunk, mapping.IdxT(rows))
		check(mapping.AppendDataChunk(appender, chunk))
	}
	check(mapping.AppenderClose(appender))
	if cells.broken {
		return errBrokenPart
	}
	return err
}
