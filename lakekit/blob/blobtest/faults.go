package blobtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"strings"
	"sync"

	"taxilake/lakekit/blob"
)

// The operations a hook sees. Those that change the bucket are seen twice:
// before, and with After in front once they have succeeded.
const (
	Get         = "get"
	GetRange    = "get-range"
	Head        = "head"
	Put         = "put"
	PutIfAbsent = "put-if-absent"
	List        = "list"   // the key is the prefix
	Delete      = "delete" // once for each key; the keys before it are gone

	After = "after " // After+Put: the object is stored, the answer is not given yet
)

// Hook is called before and after operations of a FaultBucket. It may block
// until the test lets go, and what it returns is what the caller gets: before
// the operation, which then does not happen; after it, as with an answer lost
// on its way.
type Hook func(op, key string) error

// FaultBucket is a bucket with a hook, and a record of what was done to it.
// It is not blob.Local, whatever is under it: readers shall not get past it.
type FaultBucket struct {
	bucket blob.Bucket
	hook   Hook

	mu  sync.Mutex
	log []*line
}

type line struct{ operation, outcome string }

// Faults puts a hook around a bucket. A nil hook only records.
func Faults(b blob.Bucket, hook func(op, key string) error) *FaultBucket {
	if hook == nil {
		hook = func(string, string) error { return nil }
	}
	return &FaultBucket{bucket: b, hook: hook}
}

// FailNth is a hook that fails the nth call (from 1) of an operation on keys
// that match a pattern, in which "*" stands for anything, "/" included.
func FailNth(op, pattern string, n int, err error) Hook {
	var mu sync.Mutex
	return func(o, key string) error {
		if o != op || !match(pattern, key) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if n--; n == 0 {
			return err
		}
		return nil
	}
}

// Hooks calls hooks in turn until one of them fails.
func Hooks(hooks ...Hook) Hook {
	return func(op, key string) error {
		for _, hook := range hooks {
			if err := hook(op, key); err != nil {
				return err
			}
		}
		return nil
	}
}

func match(pattern, key string) bool {
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(key, "/", "\x00"))
	if err != nil {
		panic(fmt.Sprintf("pattern %q: %v", pattern, err))
	}
	return ok
}

// Log is the sequence of operations so far, in the order they began, a line
// each: "put-if-absent _delta_log/00000000000000000001.json", followed by
// " -> " and the failure if it failed.
func (f *FaultBucket) Log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := make([]string, len(f.log))
	for i, l := range f.log {
		lines[i] = l.operation + l.outcome
	}
	return lines
}

// ResetLog forgets the operations so far.
func (f *FaultBucket) ResetLog() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = nil
}

// Unwrap is the bucket under the hook.
func (f *FaultBucket) Unwrap() blob.Bucket { return f.bucket }

// do records an operation and calls the hook around it.
func (f *FaultBucket) do(op, key, detail string, run func() error) error {
	entry := &line{operation: strings.TrimSpace(op + " " + key + detail)}
	f.mu.Lock()
	f.log = append(f.log, entry)
	f.mu.Unlock()

	err := f.hook(op, key)
	if err == nil {
		err = run()
		if err == nil && (op == Put || op == PutIfAbsent || op == Delete) {
			err = f.hook(After+op, key)
		}
	}
	if err != nil {
		f.mu.Lock()
		entry.outcome = " -> " + outcome(err)
		f.mu.Unlock()
	}
	return err
}

func outcome(err error) string {
	switch {
	case errors.Is(err, blob.ErrNotExist):
		return "not exist"
	case errors.Is(err, blob.ErrExist):
		return "exist"
	}
	return "error: " + err.Error()
}

// URI implements blob.Bucket.
func (f *FaultBucket) URI(key string) string { return f.bucket.URI(key) }

// Get implements blob.Bucket.
func (f *FaultBucket) Get(ctx context.Context, key string) (body io.ReadCloser, err error) {
	err = f.do(Get, key, "", func() (err error) {
		body, err = f.bucket.Get(ctx, key)
		return err
	})
	return body, err
}

// GetRange implements blob.Bucket.
func (f *FaultBucket) GetRange(ctx context.Context, key string, offset, length int64) (body io.ReadCloser, err error) {
	err = f.do(GetRange, key, fmt.Sprintf(" %d+%d", offset, length), func() (err error) {
		body, err = f.bucket.GetRange(ctx, key, offset, length)
		return err
	})
	return body, err
}

// Head implements blob.Bucket.
func (f *FaultBucket) Head(ctx context.Context, key string) (info blob.ObjectInfo, err error) {
	err = f.do(Head, key, "", func() (err error) {
		info, err = f.bucket.Head(ctx, key)
		return err
	})
	return info, err
}

// Put implements blob.Bucket.
func (f *FaultBucket) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	return f.do(Put, key, "", func() error { return f.bucket.Put(ctx, key, body) })
}

// PutIfAbsent implements blob.Bucket.
func (f *FaultBucket) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	return f.do(PutIfAbsent, key, "", func() error { return f.bucket.PutIfAbsent(ctx, key, body) })
}

// List implements blob.Bucket.
func (f *FaultBucket) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.ObjectInfo, error] {
	return func(yield func(blob.ObjectInfo, error) bool) {
		var detail string
		if opts.StartAfter != "" {
			detail += " after " + opts.StartAfter
		}
		if opts.Delimiter != "" {
			detail += " delimiter " + opts.Delimiter
		}
		if err := f.do(List, opts.Prefix, detail, func() error { return nil }); err != nil {
			yield(blob.ObjectInfo{}, err)
			return
		}
		f.bucket.List(ctx, opts)(yield)
	}
}

// Delete implements blob.Bucket.
func (f *FaultBucket) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := f.do(Delete, key, "", func() error { return f.bucket.Delete(ctx, key) }); err != nil {
			return err
		}
	}
	return nil
}
