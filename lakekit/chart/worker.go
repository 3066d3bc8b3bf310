package chart

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"syscall"
	"time"
)

// workerVariable asks a program that links this package to be the worker of
// another one: a worker is the renderer's program, started once more. That holds
// for every program with a renderer, tests included, so it is done here and not in
// a main.
const workerVariable = "LAKEKIT_CHART_WORKER"

func init() {
	if os.Getenv(workerVariable) != "" {
		os.Exit(work())
	}
}

// How a worker ends, besides 0.
const (
	statusTime   = 3
	statusMemory = 4
	statusBroken = 5
)

// opening is the first thing that a worker is told.
type opening struct {
	Source string
	Bounds bounds
}

// drawn is a worker's answer.
type drawn struct{ SVG, Error string }

// work answers drawings from standard input until it is closed, which happens
// whatever the end of the renderer's process is.
func work() (status int) {
	requests, replies := gob.NewDecoder(os.Stdin), gob.NewEncoder(os.Stdout)
	var o opening
	if err := requests.Decode(&o); err != nil {
		return statusBroken
	}
	limitMemory(o.Bounds.Memory)
	library, err := loadLibrary(o.Source)
	if err := replies.Encode(answered("", err)); err != nil || library == nil {
		return statusBroken
	}
	drawings := make(chan drawing)
	go func() {
		for {
			var d drawing
			if err := requests.Decode(&d); err != nil {
				os.Exit(0) // the renderer's end, be it in the middle of a drawing
			}
			drawings <- d
		}
	}()
	for d := range drawings {
		done := watch(o.Bounds)
		svg, err := library.svg(d)
		done()
		if len(svg) > o.Bounds.Picture {
			svg, err = "", fmt.Errorf("draw chart: its picture has %d MiB, more than the %d MiB that a page can show: draw fewer points, or their counts", len(svg)>>20, o.Bounds.Picture>>20)
		}
		if err := replies.Encode(answered(svg, err)); err != nil {
			return statusBroken
		}
	}
	return 0
}

func answered(svg string, err error) drawn {
	if err != nil {
		return drawn{Error: err.Error()}
	}
	return drawn{SVG: svg}
}

// watchEvery is short against the limits.
const watchEvery = 20 * time.Millisecond

// watch ends the process when a drawing goes beyond its limits. Nothing but the
// end of a process stops every function: an expression for a text, or a text of a
// gigabyte, is made in one step.
func watch(bounds bounds) (done func()) {
	ended, before := make(chan struct{}), computed()
	objects := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	go func() {
		clock := time.NewTicker(watchEvery)
		defer clock.Stop()
		for {
			select {
			case <-ended:
				return
			case <-clock.C:
				if computed()-before > bounds.Time {
					os.Exit(statusTime)
				}
				if metrics.Read(objects); objects[0].Value.Uint64() > uint64(bounds.Memory) {
					os.Exit(statusMemory)
				}
			}
		}
	}()
	return func() { close(ended) }
}

// computed is the time that this process has had of processors.
func computed() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// limitMemory has the system refuse what lies far beyond the limit, should it be
// asked for in one step, and no core written of a process that ends so. Where it
// does not count (RLIMIT_DATA, on systems other than Linux), watch alone does.
func limitMemory(memory int64) {
	debug.SetMemoryLimit(memory / 2) // from there on Go rather collects than grows
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	far := uint64(memory)*3/2 + 512<<20 // the program, its stacks and the library
	_ = syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: far, Max: far})
}

// worker is the renderer's side of the process.
type worker struct {
	command *exec.Cmd
	bounds  bounds
	pipes   []io.Closer
	encoder *gob.Encoder
	decoder *gob.Decoder
	said    head
	ended   chan struct{} // closed when the process has ended
	broken  bool
}

func startWorker(ctx context.Context, source []byte, bounds bounds) (*worker, error) {
	program := "/proc/self/exe" // what runs, even if a newer one lies at its path
	if runtime.GOOS != "linux" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("start the process that draws: %w", err)
		}
	}
	w := &worker{bounds: bounds, ended: make(chan struct{})}
	w.command = &exec.Cmd{
		Path: program, Args: []string{filepath.Base(os.Args[0]), "chart-worker"},
		Env:         []string{workerVariable + "=1"}, // and no secrets
		Stderr:      &w.said,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true}, // Ctrl-C at the terminal is for the renderer
	}
	stdin, err := w.command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the process that draws: %w", err)
	}
	replies, answers, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the process that draws: %w", errors.Join(err, stdin.Close()))
	}
	w.command.Stdout = answers
	err = w.command.Start()
	answers.Close()
	if err != nil {
		return nil, fmt.Errorf("start the process that draws: %w", errors.Join(err, replies.Close()))
	}
	w.pipes, w.encoder, w.decoder = []io.Closer{stdin, replies}, gob.NewEncoder(stdin), gob.NewDecoder(replies)
	go func() {
		_ = w.command.Wait() // ProcessState has it
		close(w.ended)
	}()
	if _, err := w.ask(ctx, opening{string(source), bounds}); err != nil {
		w.end()
		return nil, err
	}
	return w, nil
}

func (w *worker) draw(ctx context.Context, d drawing) ([]byte, error) {
	svg, err := w.ask(ctx, d)
	return []byte(svg), err
}

// ask waits for an answer; a worker that has none when ctx ends is killed.
func (w *worker) ask(ctx context.Context, request any) (svg string, err error) {
	defer context.AfterFunc(ctx, w.kill)()
	var answer drawn
	if err = w.encoder.Encode(request); err == nil {
		err = w.decoder.Decode(&answer)
	}
	if err == nil && answer.Error != "" {
		return "", &Error{answer.Error}
	}
	if err == nil {
		return answer.SVG, nil
	}
	w.broken = true
	if ctx.Err() != nil {
		return "", fmt.Errorf("draw chart: %w", context.Cause(ctx))
	}
	w.kill()
	<-w.ended
	said := w.said.text()
	switch status := w.command.ProcessState.ExitCode(); {
	case status == statusTime:
		return "", mistake("draw chart: it takes more than %v of computing: draw fewer points, and see whether a function in it ends", w.bounds.Time)
	case status == statusMemory, strings.Contains(said, "out of memory"), strings.Contains(said, "cannot allocate memory"),
		strings.Contains(said, "ThreadSanitizer failed to allocate"): // as a build with the race detector says it
		return "", mistake("draw chart: it takes more than %d MiB of memory: draw fewer points, and see what a function in it makes", w.bounds.Memory>>20)
	}
	first, _, _ := strings.Cut(said, "\n")
	return "", mistake("draw chart: the process that draws has ended (%v): %s", w.command.ProcessState, first)
}

func (w *worker) kill() { _ = w.command.Process.Kill() } // it may have ended

// end kills the process and waits until it is gone.
func (w *worker) end() {
	w.kill()
	<-w.ended
	for _, pipe := range w.pipes {
		_ = pipe.Close() // of a process that is no more
	}
}

// head keeps the beginning of what a process writes.
type head struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

const headBytes = 4 << 10

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes.Write(p[:min(len(p), headBytes-h.bytes.Len())])
	return len(p), nil
}

func (h *head) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.TrimSpace(h.bytes.String())
}
