package ingest

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"taxilake/lakekit/blob"
)

// FailpointVariable is the environment variable that lets a process with a
// query kill itself (SIGKILL) at a point of a batch, to prove that the next run
// makes the batch whole: the name of one of the [Failpoints], and, after a
// colon, at which passing; the first is 1.
//
//	LAKEKIT_FAILPOINT=after-data-commit:3
//
// The points are in every build, so that what is proven is what is used. Where
// the variable is not set they are one comparison for each chunk of records.
const FailpointVariable = "LAKEKIT_FAILPOINT"

// The steps of a query that change a store, in the order of a first batch. Each
// is a point before, one during (half of the object is handed over) and one
// after it.
var failpointSteps = []string{
	"query-id", "binding", "initial-offsets", "offsets",
	"dead-letter-table", "dead-letter-file", "dead-letter-commit",
	"data-file", "data-commit", "log-checkpoint", "last-checkpoint", "commits",
	"compaction-file", "compaction-commit",
}

const (
	duringRead  = "during-read" // a chunk of records has come
	beforePurge = "before-purge"
	afterPurge  = "after-purge"
)

// Failpoints are the names of all points.
func Failpoints() []string {
	names := []string{duringRead, beforePurge, afterPurge}
	for _, step := range failpointSteps {
		names = append(names, "before-"+step, "during-"+step, "after-"+step)
	}
	return names
}

// failpoint is the one at which this process ends.
type failpoint struct {
	name string
	left atomic.Int64 // passings
}

// armed reads the variable once: nil when it is not set.
var armed = sync.OnceValues(func() (*failpoint, error) { return parseFailpoint(os.Getenv(FailpointVariable)) })

func parseFailpoint(text string) (*failpoint, error) {
	if text == "" {
		return nil, nil
	}
	name, count, counted := strings.Cut(text, ":")
	n := int64(1)
	if counted {
		var err error
		if n, err = strconv.ParseInt(count, 10, 64); err != nil || n < 1 {
			return nil, fmt.Errorf("%w: %s=%s: %q is not the number of a passing, want 1 or more", ErrOptions, FailpointVariable, text, count)
		}
	}
	if !slices.Contains(Failpoints(), name) {
		return nil, fmt.Errorf("%w: %s=%s: there is no such point; there are %s", ErrOptions, FailpointVariable, text, strings.Join(Failpoints(), ", "))
	}
	f := &failpoint{name: name}
	f.left.Store(n)
	return f, nil
}

// pass ends the process if it is armed for this point. A nil failpoint does
// nothing.
func (f *failpoint) pass(name string) {
	if f == nil || f.name != name || f.left.Add(-1) != 0 {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way
}

// passFailpoint is a point that is no step of a store.
func passFailpoint(name string) {
	f, _ := armed() // Start has told the error
	f.pass(name)
}

// arm puts the failpoint, if there is one, around the stores of a query; else
// they stay as they are.
func (o *Options) arm() error {
	f, err := armed()
	if f == nil || err != nil {
		return err
	}
	o.Logger.Warn("this process kills itself at a failpoint", "failpoint", f.name, "passing", f.left.Load())
	o.Table = failpointBucket{o.Table, f, tableStep}
	o.DeadLetters = failpointBucket{o.DeadLetters, f, deadLetterStep}
	o.Checkpoint = failpointBucket{o.Checkpoint, f, checkpointStep}
	return nil
}

// failpointBucket passes the points around each write.
type failpointBucket struct {
	blob.Bucket
	f *failpoint
	// step names the step that writes a key; "" is none of interest.
	step func(ctx context.Context, key string) string
}

// Put implements blob.Bucket.
func (b failpointBucket) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	return b.write(ctx, key, body, b.Bucket.Put)
}

// PutIfAbsent implements blob.Bucket.
func (b failpointBucket) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	return b.write(ctx, key, body, b.Bucket.PutIfAbsent)
}

func (b failpointBucket) write(ctx context.Context, key string, body io.ReadSeeker, put func(context.Context, string, io.ReadSeeker) error) error {
	step := b.step(ctx, key)
	if step == "" {
		return put(ctx, key, body)
	}
	b.f.pass("before-" + step)
	half, err := newHalfway(body, func() { b.f.pass("during-" + step) })
	if err != nil {
		return err
	}
	if err = put(ctx, key, half); err == nil {
		b.f.pass("after-" + step)
	}
	return err
}

// Delete implements blob.Bucket. In a checkpoint only the purge deletes.
func (b failpointBucket) Delete(ctx context.Context, keys ...string) error {
	if b.step(ctx, keys[0]) != "offsets" {
		return b.Bucket.Delete(ctx, keys...)
	}
	b.f.pass(beforePurge)
	err := b.Bucket.Delete(ctx, keys...)
	if err == nil {
		b.f.pass(afterPurge)
	}
	return err
}

// halfway passes a point when half of a body has been read.
type halfway struct {
	io.ReadSeeker
	left    int64 // bytes to the half
	reached func()
}

func newHalfway(body io.ReadSeeker, reached func()) (*halfway, error) {
	size, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	_, err = body.Seek(0, io.SeekStart)
	return &halfway{body, size / 2, sync.OnceFunc(reached)}, err
}

func (h *halfway) Read(p []byte) (int, error) {
	if h.left == 0 {
		h.reached()
		return h.ReadSeeker.Read(p)
	}
	n, err := h.ReadSeeker.Read(p[:min(int64(len(p)), h.left)])
	h.left -= int64(n)
	return n, err
}

func checkpointStep(_ context.Context, key string) string {
	switch {
	case key == metadataKey:
		return "query-id"
	case key == bindingKey:
		return "binding"
	case key == initialKey:
		return "initial-offsets"
	case strings.HasPrefix(key, "offsets/"):
		return "offsets"
	case strings.HasPrefix(key, "commits/"):
		return "commits"
	}
	return ""
}

var commitKey = regexp.MustCompile(`^_delta_log/[0-9]{20}\.json$`)

func tableStep(ctx context.Context, key string) string {
	switch {
	case commitKey.MatchString(key) && compacting(ctx):
		return "compaction-commit"
	case commitKey.MatchString(key):
		return "data-commit"
	case key == "_delta_log/_last_checkpoint":
		return "last-checkpoint"
	case strings.HasPrefix(key, "_delta_log/"):
		return "log-checkpoint"
	case compacting(ctx):
		return "compaction-file"
	}
	return "data-file"
}

func deadLetterStep(ctx context.Context, key string) string {
	switch step := tableStep(ctx, key); step {
	case "data-file":
		return "dead-letter-file"
	case "data-commit":
		if key == "_delta_log/00000000000000000000.json" {
			return "dead-letter-table"
		}
		return "dead-letter-commit"
	default:
		return step
	}
}

// compactionKey marks the context of a compaction, whose writes are points of
// their own.
type compactionKey struct{}

func asCompaction(ctx context.Context) context.Context {
	return context.WithValue(ctx, compactionKey{}, true)
}

func compacting(ctx context.Context) bool { return ctx.Value(compactionKey{}) != nil }
