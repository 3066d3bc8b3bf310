// Package interop_test holds our tables and streams against other engines:
// delta-rs, Spark with Delta, and DuckDB with its delta extension. What one
// writes the other reads, with the same rows, versions and transaction ids, and
// each takes over where the other stopped.
//
// The engines are processes of their own, which the scripts in engines/ make
// answer requests over pipes; docker/real.sh engines installs them.
package interop_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// engine is another engine, started by the first test that needs it.
type engine struct {
	name   string
	script string

	start   sync.Once
	failed  error
	mu      sync.Mutex
	process *exec.Cmd
	stdin   io.WriteCloser
	answers *bufio.Reader
	log     string
}

var (
	deltaRS = &engine{name: "delta-rs", script: "serve_deltars.py"}
	spark   = &engine{name: "spark", script: "serve_spark.py"}
	duckDB  = &engine{name: "duckdb", script: "serve_duckdb.py"}
)

// scratch is the folder of the engines' logs, of Spark's temporary files and
// of the rows that the engines read.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "interop-"); err != nil {
		log.Fatal(err)
	}
	status := m.Run()
	for _, e := range []*engine{deltaRS, spark, duckDB} {
		if err := e.stop(); err != nil {
			log.Printf("%s did not end well: %v", e.name, err)
			status = max(status, 1)
		}
	}
	if err := os.RemoveAll(scratch); err != nil {
		log.Print(err)
	}
	os.Exit(status)
}

// installed are the engines at LAKEKIT_REAL_ENGINES; without it the test is
// skipped.
func installed(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("LAKEKIT_REAL_ENGINES")
	if dir == "" {
		t.Skip("LAKEKIT_REAL_ENGINES is not set, see docker/real.sh engines")
	}
	return dir
}

// need starts the engine, or skips the test where it cannot be had.
func (e *engine) need(t testing.TB) *engine {
	t.Helper()
	python := filepath.Join(installed(t), "venv", "bin", "python")
	e.start.Do(func() { e.failed = e.run(python) })
	if e.failed != nil {
		t.Fatal(e.failed)
	}
	return e
}

func (e *engine) run(python string) (err error) {
	script, err := filepath.Abs(filepath.Join("engines", e.script))
	if err != nil {
		return err
	}
	e.log = filepath.Join(scratch, e.name+".log")
	stderr, err := os.Create(e.log)
	if err != nil {
		return err
	}
	defer stderr.Close()
	process := exec.Command(python, script)
	process.Dir, process.Stderr = scratch, stderr
	process.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if e.stdin, err = process.StdinPipe(); err != nil {
		return err
	}
	stdout, err := process.StdoutPipe()
	if err != nil {
		return err
	}
	e.answers = bufio.NewReader(stdout)
	if err := process.Start(); err != nil {
		return fmt.Errorf("start %s: %w", e.name, err)
	}
	e.process = process
	_, err = e.answer()
	return err
}

// stop ends the engine by the end of its input.
func (e *engine) stop() error {
	if e.process == nil {
		return nil
	}
	e.stdin.Close()
	kill := time.AfterFunc(time.Minute, func() { _ = e.process.Process.Kill() })
	defer kill.Stop()
	return e.process.Wait()
}

// request is an operation of a script with its arguments.
type request map[string]any

// ask sends a request and decodes its result.
func (e *engine) ask(t testing.TB, r request, result any) {
	t.Helper()
	if err := e.try(r, result); err != nil {
		t.Fatal(err)
	}
}

func (e *engine) try(r request, result any) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := e.stdin.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("ask %s: %w", e.name, err)
	}
	content, err := e.answer()
	if err != nil {
		return fmt.Errorf("%s %v: %w", e.name, r["op"], err)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(content, result)
}

func (e *engine) answer() (json.RawMessage, error) {
	line, err := e.answers.ReadBytes('\n')
	if err != nil {
		log, _ := os.ReadFile(e.log)
		return nil, fmt.Errorf("%s ended: %w\n%s", e.name, err, log[max(0, len(log)-4000):])
	}
	var answer struct {
		Result json.RawMessage
		Error  string
	}
	if err := json.Unmarshal(bytes.TrimSpace(line), &answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	return answer.Result, nil
}
