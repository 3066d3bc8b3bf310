package query

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
)

// openBounded opens an engine for one statement at a time.
func openBounded(t testing.TB, limits Limits) *Engine {
	t.Helper()
	e, err := Open(Options{CacheDir: t.TempDir(), Limits: limits, Concurrency: 1, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// endless statements never come to an end by themselves.
var endless = map[string]string{
	"cross join":    "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE hash(a.range, b.range) = 1",
	"recursive CTE": "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
	"one long call": "SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))",
	"digits":        "SELECT repeat('9', 100000000)::BIGNUM",
}

// bombs are short statements of which each asks for more than there is.
var bombs = map[string]string{
	"list":             "SELECT generate_series(1, 1000000000)",
	"list in parts":    "SELECT len(list_concat(range(20000000), range(20000000), range(20000000), range(20000000)))",
	"array_repeat":     "SELECT list_resize([1], 2000000000, 7)",
	"text":             "SELECT repeat('x', 4000000000)",
	"text beyond all":  "SELECT repeat('x', 10000000000)",
	"blob":             "SELECT '\\xAA'::BLOB || encode(repeat('x', 1000000000))",
	"lpad":             "SELECT lpad('x', 2000000000, 'abc')",
	"printf":           "SELECT printf('%2000000000d', 1)",
	"format":           "SELECT format('{:>2000000000}', 'x')",
	"bits":             "SELECT bitstring('1', 2000000000)",
	"json":             "SELECT to_json(range(100000000))",
	"map":              "SELECT map_from_entries(list_transform(range(50000000), lambda x: {'key': x, 'value': x}))",
	"string_agg":       "SELECT string_agg(a.range::VARCHAR || b.range, ',') FROM range(100000) a, range(100000) b",
	"collected list":   "SELECT list(a.range) FROM range(100000) a, range(100000) b",
	"histogram":        "SELECT histogram(hash(range)) FROM range(1000000000)",
	"window of lists":  "SELECT list(range) OVER (ORDER BY range ROWS BETWEEN 1000000 PRECEDING AND CURRENT ROW) FROM range(10000000)",
	"regular matches":  "SELECT regexp_extract_all(repeat('a', 100000000), '(.)')",
	"sort":             "SELECT lag(range) OVER (ORDER BY hash(range)) FROM range(1000000000)",
	"join":             "SELECT count(*) FROM range(1000000000) a JOIN range(1000000000) b ON hash(a.range) = hash(b.range + 1)",
	"large cell":       "SELECT repeat('x', 50000000)",
	"rows of text":     "SELECT repeat('x', 10000) FROM range(1000000)",
	"parentheses":      "SELECT " + strings.Repeat("(", 100_000) + "1" + strings.Repeat(")", 100_000),
	"sum":              "SELECT 1" + strings.Repeat("+1", 100_000),
	"nots":             "SELECT " + strings.Repeat("NOT ", 100_000) + "true",
	"signs":            "SELECT " + strings.Repeat("- ", 100_000) + "1",
	"casts":            "SELECT 1" + strings.Repeat("::INT", 100_000),
	"casts to texts":   "SELECT 'a'" + strings.Repeat("::DATE::TEXT", 50_000),
	"casts of casts":   "SELECT " + strings.Repeat("(", 50_000) + "'a'" + strings.Repeat(")::TEXT", 50_000),
	"cases":            "SELECT " + strings.Repeat("CASE WHEN true THEN ", 20_000) + "1" + strings.Repeat(" END", 20_000),
	"nested list":      "SELECT " + strings.Repeat("[", 500) + "1" + strings.Repeat("]", 500),
	"nested struct":    "SELECT " + strings.Repeat("{'a': ", 100) + "1" + strings.Repeat("}", 100),
	"nested queries":   "SELECT * FROM " + strings.Repeat("(SELECT * FROM ", 20_000) + "range(1)" + strings.Repeat(")", 20_000),
	"columns":          "SELECT 1" + strings.Repeat(", 1", 100_000),
	"union":            "SELECT 1" + strings.Repeat(" UNION ALL SELECT 1", 20_000),
	"tables":           "SELECT 1 FROM t" + strings.Repeat(", t", 100_000),
	"text of names":    "SELECT 1 AS \"" + strings.Repeat("x", 900_000) + "\", y",
	"longer than text": "SELECT '" + strings.Repeat("x", 2_000_000) + "'",
}

// TestBombs: whatever a statement asks for, it is answered with what it has asked
// too much of, its process never takes more than it may, and the next statement
// finds the engine as it was.
func TestBombs(t *testing.T) {
	const memory = 400_000_000
	all := map[string]string{}
	for _, some := range []map[string]string{endless, bombs} {
		for name, statement := range some {
			all[name] = statement
		}
	}
	for name, statement := range all {
		t.Run(name, func(t *testing.T) {
			e := openBounded(t, Limits{Memory: memory, Time: time.Second, Result: 1_000_000, Temp: 50_000_000})
			w := idleWorker(e)
			_, err := e.Query(t.Context(), statement, tables(map[string]*delta.Table{}))
			var wrong *Error
			if !errors.As(err, &wrong) {
				t.Fatalf("it is answered with %v, want an *Error", err)
			}
			if len(err.Error()) > 3000 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
			if errors.Is(err, errWorker) {
				t.Errorf("the process broke off: %v", err)
			}
			if r := mustQuery(t, e, "SELECT 42 AS x", Request{}); r.Ints("x")[0] != 42 {
				t.Errorf("the next statement is answered with %s", r)
			}
			if !w.isAlive() && runtime.GOOS == "linux" {
				<-w.ended
				usage := w.command.ProcessState.SysUsage().(*syscall.Rusage)
				if peak := usage.Maxrss << 10; peak > memory+memory/5 {
					t.Errorf("its process had %s", FormatBytes(peak))
				}
			}
		})
	}
}

// idleWorker is the worker of the next statement.
func idleWorker(e *Engine) *worker {
	idle := <-e.slots
	<-idle.ready
	e.slots <- idle
	return idle.worker
}

// TestLimits: the message of each limit says which it is, how large, and how it is
// raised.
func TestLimits(t *testing.T) {
	raise := func(limit Limit) string { return "RAISE_" + string(limit) + " raises it" }
	tests := []struct {
		name      string
		limits    Limits
		statement string
		each      bool
		want      []string
	}{
		{"memory", Limits{Memory: 300_000_000}, bombs["list"], false, []string{"more memory than the 300 MB", "LIMIT", "RAISE_Memory"}},
		{"memory that DuckDB does not count", Limits{Memory: 300_000_000}, "SELECT list(repeat('x', 1000) || range) FROM range(100000000)", false, []string{"more memory than the 300 MB", "RAISE_Memory"}},
		{"disk", Limits{Memory: 400_000_000, Temp: 1_000_000}, bombs["sort"], false, []string{"more room on disk than the 1 MB", "RAISE_Temp"}},
		{"time", Limits{Time: 100 * time.Millisecond}, endless["cross join"], false, []string{"ran for 100ms", "RAISE_Time"}},
		{"result", Limits{Result: 1_000_000}, "SELECT repeat('x', 1000) FROM range(2000)", false, []string{"larger than the 1 MB", "LIMIT", "RAISE_Result"}},
		{"value", Limits{Result: 1_000_000}, "SELECT repeat('x', 1000001)", false, []string{"larger than the 1 MB", "RAISE_Result"}},
		{"escapes", Limits{Result: 1_000_000}, "SELECT repeat(chr(1), 200000)", false, []string{"larger than the 1 MB", "RAISE_Result"}},
		{"columns", Limits{Result: 10_000}, "SELECT " + strings.Repeat("1, ", 1000) + "1", false, []string{"larger than the 10 kB", "RAISE_Result"}},
		{"row", Limits{Result: 1_000_000}, "SELECT repeat('x', 600000), repeat('y', 600000)", true, []string{"a row of the result is larger than the 1 MB", "left(x, 1000)", "RAISE_Result"}},
		{"list of a row", Limits{Result: 1_000_000}, "SELECT range(1000000)", true, []string{"a row of the result is larger", "RAISE_Result"}},
		{"text", Limits{Text: 1000}, "SELECT " + strings.Repeat("1, ", 1000) + "1", false, []string{"3.01 kB long, more than the 1 kB", "RAISE_Text"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.limits.Raise = raise
			request := Request{}
			if test.each {
				request.Each = func(*api.Result) error { return nil }
			}
			_, err := openBounded(t, test.limits).Query(t.Context(), test.statement, request)
			if !errors.Is(err, ErrLimit) {
				t.Fatalf("the error is %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

// TestWithinLimits: what a limit does not forbid goes through it.
func TestWithinLimits(t *testing.T) {
	e := openBounded(t, Limits{Memory: 400_000_000, Result: 1_000_000, Text: 1000})
	mustQuery(t, e, "SELECT repeat('x', 900000)", Request{})
	mustQuery(t, e, "SELECT 1 -- "+strings.Repeat("x", 1000-len("SELECT 1 -- ")), Request{})
	rows := 0
	mustQuery(t, e, "SELECT repeat('x', 1000) FROM range(1000000)", Request{Each: func(part *api.Result) error { // 1 GB in all
		rows += len(part.Rows)
		return nil
	}})
	if rows != 1_000_000 {
		t.Errorf("%d rows came, want 1000000", rows)
	}
}

// TestTimeOfTheReader: how long the rows are looked at does not count.
func TestTimeOfTheReader(t *testing.T) {
	clock := startStopwatch(time.Hour, func() { t.Error("the time is over") })
	clock.stop()
	left := clock.left
	time.Sleep(10 * time.Millisecond)
	clock.start()
	clock.stop()
	if spent := left - clock.left; spent >= 10*time.Millisecond && left < time.Hour {
		t.Errorf("a stopped clock went on: %s are gone", spent)
	}
}

// holdSlot runs a statement that waits in the middle of its rows until release is
// called, which waits for its end.
func holdSlot(t *testing.T, e *Engine) (release func()) {
	t.Helper()
	running, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		first := true
		_, err := e.Query(t.Context(), "SELECT * FROM range(100000)", Request{Each: func(*api.Result) error {
			if first {
				close(running)
				<-goOn
			}
			first = false
			return nil
		}})
		done <- err
	}()
	select {
	case <-running:
	case err := <-done:
		t.Fatal(err)
	}
	return func() {
		close(goOn)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// eventually waits for what another process or goroutine is about to do.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s has not come to be", what)
		}
	}
}

func TestWaiting(t *testing.T) {
	e := openBounded(t, Limits{Waiting: 1})
	release := holdSlot(t, e)
	waited := make(chan error, 1)
	go func() {
		_, err := e.Query(t.Context(), "SELECT 1", Request{})
		waited <- err
	}()
	eventually(t, "the second statement waits", func() bool { return e.waiting.Load() == 1 })
	_, err := e.Query(t.Context(), "SELECT 1", Request{})
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "query.Limits.Waiting raises the limit") {
		t.Errorf("the third statement is answered with %v", err)
	}
	ctx, hangUp := context.WithCancelCause(t.Context())
	gone := errors.New("the student has gone")
	hangUp(gone)
	release()
	if err := <-waited; err != nil {
		t.Errorf("the statement that waited: %v", err)
	}
	if _, err := e.Query(ctx, "SELECT 1", Request{}); !errors.Is(err, gone) {
		t.Errorf("the statement of who has gone is answered with %v", err)
	}
}

// TestCancelEndsTheProcess: a statement is stopped whatever DuckDB is in the
// middle of, and with its process it leaves nothing behind.
func TestCancelEndsTheProcess(t *testing.T) {
	for name, statement := range endless {
		t.Run(name, func(t *testing.T) {
			e := openBounded(t, Limits{})
			box, err := e.openSandbox(t.Context(), zone{name: "UTC", duckdbName: "UTC", location: time.UTC})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := box.parse(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			if err := box.install(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			stopped := errors.New("the student pressed stop")
			time.AfterFunc(50*time.Millisecond, func() { cancel(stopped) })
			if _, err := box.rows(ctx, &runRequest{MaxRows: 1, Result: 1000}, nil); !errors.Is(err, stopped) {
				t.Errorf("the error is %v", err)
			}
			box.close()
			select {
			case <-box.worker.ended:
			default:
				t.Error("the process lives on")
			}
			if _, err := os.Stat(box.worker.tempDir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("its folder is still there: %v", err)
			}
			mustQuery(t, e, "SELECT 1", Request{})
		})
	}
}

// TestKilledWorker: the end of a process is an error of its statement alone.
func TestKilledWorker(t *testing.T) {
	e := openBounded(t, Limits{})
	kill := func(w *worker) {
		t.Helper()
		if err := syscall.Kill(w.command.Process.Pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-w.ended
	}
	box, err := e.openSandbox(t.Context(), zone{name: "UTC", duckdbName: "UTC", location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	kill(box.worker)
	var wrong *Error
	if _, err := box.parse(t.Context(), "SELECT 1"); !errors.As(err, &wrong) || !errors.Is(err, errWorker) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the statement of a killed process is answered with %v", err)
	}
	box.close()
	mustQuery(t, e, "SELECT 1", Request{})

	kill(idleWorker(e)) // between two statements
	mustQuery(t, e, "SELECT 1", Request{})
}

// TestWorkersAreKept: a statement that ended well, or was told what is wrong with
// it, costs no process.
func TestWorkersAreKept(t *testing.T) {
	e := openBounded(t, Limits{})
	first := idleWorker(e)
	mustQuery(t, e, "SELECT 1", Request{})
	if _, err := e.Query(t.Context(), "SELECT nothing", Request{}); err == nil {
		t.Error("a column was found")
	}
	if idleWorker(e) != first {
		t.Error("another process after statements that ended well")
	}
}

// TestNoSecrets: the process of a statement has an environment of its own.
func TestNoSecrets(t *testing.T) {
	t.Setenv("OSS_ACCESS_KEY_SECRET", "hush")
	e := openBounded(t, Limits{})
	if env := idleWorker(e).command.Env; len(env) != 1 || env[0] != workerVariable+"=1" {
		t.Errorf("its environment is %q", env)
	}
}

const victimVariable = "LAKEKIT_TEST_ENGINE_TEMP"

// TestEngineToKill is the process that TestNoOrphans kills.
func TestEngineToKill(t *testing.T) {
	temp := os.Getenv(victimVariable)
	if temp == "" {
		t.Skip("started by TestNoOrphans")
	}
	e, err := Open(Options{TempDir: temp})
	if err != nil {
		t.Fatal(err)
	}
	// It sorts on disk, and does not end.
	_, err = e.Query(t.Context(), bombs["sort"], Request{Each: func(*api.Result) error { return nil }})
	t.Error(err)
}

// TestNoOrphans: after kill -9 of the engine its workers end, whatever they are
// in the middle of, and clean up. The worker's folder goes with it.
func TestNoOrphans(t *testing.T) {
	temp := t.TempDir()
	victim := exec.Command(os.Args[0], "-test.run=^TestEngineToKill$")
	victim.Env = append(os.Environ(), victimVariable+"="+temp)
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	spilled := func() bool {
		files, _ := filepath.Glob(filepath.Join(temp, tempPrefix+"*", "duckdb", "*"))
		return len(files) > 0
	}
	eventually(t, "a file of what does not fit into memory", spilled)
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	eventually(t, "an empty folder", func() bool {
		left, err := os.ReadDir(temp)
		return err == nil && len(left) == 0
	})
}

// TestLeftovers: what a worker that was killed with its engine has left on disk
// goes when the next one opens.
func TestLeftovers(t *testing.T) {
	temp := t.TempDir()
	left := filepath.Join(temp, tempPrefix+"123", "duckdb")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(temp, "another's")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := Open(Options{TempDir: temp, CacheDir: t.TempDir(), Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1000: "1 kB", 1_500_000_000: "1.5 GB", 64_000_000: "64 MB", 2 << 40: "2.2 TB"} {
		if got := FormatBytes(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// FuzzRows: what comes from a worker never takes the engine down, and what was
// written is read again.
func FuzzRows(f *testing.F) {
	whole, text := valueType{Name: "BIGINT"}, valueType{Name: "VARCHAR"}
	columns := []resultColumn{{Type: whole}, {Type: text}, {Type: valueType{Name: "LIST", Children: []valueType{whole}}},
		{Type: valueType{Name: "MAP", Children: []valueType{text, whole}}}, {Type: valueType{Name: "STRUCT", Children: []valueType{whole, text}, Fields: []string{"a", "b"}}}}
	var e encoder
	e.int(-1)
	e.text(tagText, "é")
	e.count(tagList, 2)
	e.double(1.5)
	e.time(tagInstant, -1, 5)
	e.count(tagMap, 1)
	e.text(tagDecimal, "1.20")
	e.tag(tagNull)
	e.tag(tagStruct)
	e.tag(tagTrue)
	e.text(tagBinary, "\xff")
	f.Add(1, string(e.cells))
	f.Add(1, string(e.cells[:len(e.cells)-1]))
	f.Add(-1, "")
	f.Add(1<<62, "\x00")
	f.Fuzz(func(t *testing.T, n int, cells string) {
		rows, err := decodeRows(part{n, cells}, columns, time.UTC)
		if err == nil && len(rows) != n {
			t.Errorf("%d rows of %d", len(rows), n)
		}
		if n == 1 && cells == string(e.cells) {
			want := `[[-1 é [1.5 1969-12-31 23:59:59.000000005 +0000 UTC] [{1.20 <nil>}] map[a:true b:[255]]]]`
			if got := fmt.Sprint(rows); err != nil || got != want {
				t.Errorf("it is read as %s, %v; want %s", got, err, want)
			}
		}
	})
}
