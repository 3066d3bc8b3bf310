package query

import (
	"bufio"
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// worker is the engine's side of a process that runs statements, one at a time.
type worker struct {
	command *exec.Cmd
	limits  Limits
	tempDir string
	pipes   []*os.File
	encoder *gob.Encoder
	decoder *gob.Decoder
	said    head
	ended   chan struct{} // closed when the process has ended
	broken  bool          // it was killed, or an exchange has failed
}

// tempPrefix begins the names of the folders of workers in Options.TempDir.
const tempPrefix = "statement-"

// startWorker starts a process and readies it for a statement.
func startWorker(o Options) (w *worker, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("start the process of a statement: %w", err)
		}
	}()
	w = &worker{limits: o.Limits, ended: make(chan struct{})}
	program := "/proc/self/exe" // what runs, even if a newer one lies at its path
	if runtime.GOOS != "linux" {
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	if w.tempDir, err = os.MkdirTemp(o.TempDir, tempPrefix); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.kill()
			w.end()
		}
	}()
	theirs, err := w.openPipes()
	if err != nil {
		close(w.ended)
		return nil, err
	}
	w.command = &exec.Cmd{
		Path: program, Args: []string{filepath.Base(os.Args[0]), "sql-worker"},
		Env:   []string{workerVariable + "=1"}, // and no secrets
		Dir:   w.tempDir,
		Stdin: theirs[0], Stdout: &w.said, Stderr: &w.said, ExtraFiles: theirs[1:],
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true}, // Ctrl-C at the terminal is for the engine
	}
	err = w.command.Start()
	for _, f := range theirs {
		f.Close()
	}
	if err != nil {
		close(w.ended)
		return nil, err
	}
	go func() {
		_ = w.command.Wait() // ProcessState has it
		close(w.ended)
	}()
	open := &openRequest{TempDir: w.tempDir, Memory: o.Memory, Temp: o.Temp, Threads: o.Threads}
	_, err = w.call(context.Background(), request{Open: open}, nil)
	return w, err
}

// openPipes returns the worker's ends: for requests, for replies.
func (w *worker) openPipes() (theirs []*os.File, err error) {
	requests, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	replies, answers, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, requests.Close(), ours.Close())
	}
	w.pipes = []*os.File{ours, replies}
	w.encoder, w.decoder = gob.NewEncoder(ours), gob.NewDecoder(bufio.NewReaderSize(replies, 64<<10))
	return []*os.File{requests, answers}, nil
}

// call makes a request and waits for its answer; rows, which may be nil, takes
// the parts before it. A worker that is not done when ctx is, or when rows fails,
// is killed.
func (w *worker) call(ctx context.Context, r request, rows func(*reply) error) (*reply, error) {
	defer context.AfterFunc(ctx, w.kill)()
	if err := w.encoder.Encode(r); err != nil {
		return nil, w.failed(ctx, err)
	}
	for {
		var answer reply
		if err := w.decoder.Decode(&answer); err != nil {
			return nil, w.failed(ctx, err)
		}
		if answer.Part == nil {
			return &answer, answer.Error.err()
		}
		if rows == nil {
			return nil, w.failed(ctx, errors.New("it answered with rows where none were asked for"))
		}
		if err := rows(&answer); err != nil {
			w.broken = true
			return nil, err
		}
	}
}

// errWorker says that the process of a statement has ended under it.
var errWorker = errors.New("the process that ran the statement has ended")

// memoryWords are those with which a program ends that gets no more memory: C++'s,
// Go's, and Go's for want of a stack.
var memoryWords = []string{"bad_alloc", "out of memory", "annot allocate memory", "failed to create new OS thread", "pthread_create failed"}

// failed is the error for an exchange that broke off.
func (w *worker) failed(ctx context.Context, err error) error {
	w.broken = true
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w.kill() // it may be alive, and not to be understood
	<-w.ended
	state := w.command.ProcessState
	said := w.said.text()
	if state.ExitCode() == statusMemory || slices.ContainsFunc(memoryWords, func(words string) bool { return strings.Contains(said, words) }) {
		return w.limits.memoryExceeded()
	}
	first, _, _ := strings.Cut(said, "\n")
	if first == "" {
		first = err.Error()
	}
	return &Error{
		Message: fmt.Sprintf("%s (%v): %s", errWorker, state, first), Err: errWorker,
		Hint: "DuckDB could not stand it: write it in another way, or in smaller steps; other statements go on",
	}
}

func (w *worker) kill() {
	if w.command != nil && w.command.Process != nil {
		_ = w.command.Process.Kill() // it may have ended
	}
}

// isAlive tells whether the worker can take a statement.
func (w *worker) isAlive() bool {
	select {
	case <-w.ended:
		return false
	default:
		return !w.broken
	}
}

// end kills the process, waits until its memory is free, and removes what it has
// left on disk.
func (w *worker) end() error {
	w.kill()
	<-w.ended
	var errs []error
	for _, p := range w.pipes {
		errs = append(errs, p.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(w.tempDir))...)
}

// renew readies a worker for another statement. It fails if the process has grown
// too large to be kept.
func (w *worker) renew() error {
	answer, err := w.call(context.Background(), request{Reset: true}, nil)
	if err == nil && answer.Spent {
		err = errors.New("the process has grown")
	}
	return err
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

// spare is a worker for the next statement, that may still be starting.
type spare struct {
	ready  chan struct{}
	worker *worker
	err    error
}

// prepare makes a spare of a worker that has run a statement, or of a new one.
func (e *Engine) prepare(used *worker) *spare {
	s := &spare{ready: make(chan struct{}), worker: used}
	go func() {
		defer close(s.ready)
		if used != nil {
			if used.renew() == nil {
				return
			}
			_ = used.end()
		}
		s.worker, s.err = startWorker(e.options)
	}()
	return s
}

// take waits for the worker.
func (s *spare) take(ctx context.Context, o Options) (*worker, error) {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if s.err == nil && s.worker.isAlive() {
		return s.worker, nil
	}
	if s.err == nil { // it was killed while nobody used it
		_ = s.worker.end()
	}
	return startWorker(o)
}

// withoutCore keeps a crash from writing all of the memory to disk.
func withoutCore() { _ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) }
