package query

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
)

// counted is a bucket with objects a, b, c, ... of 10 bytes each that counts
// its downloads.
func counted(t *testing.T, hook func(op, key string) error) (bucket blob.Bucket, downloads func() int) {
	t.Helper()
	memory := blob.NewMemory("lake")
	for _, key := range []string{"a", "b", "c", "d"} {
		if err := memory.Put(t.Context(), key, strings.NewReader(strings.Repeat(key, 10))); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	count := 0
	return blobtest.Faults(memory, func(op, key string) error {
			mu.Lock()
			if strings.EqualFold(op, "get") {
				count++
			}
			mu.Unlock()
			if hook != nil {
				return hook(op, key)
			}
			return nil
		}), func() int {
			mu.Lock()
			defer mu.Unlock()
			return count
		}
}

func newCache(t *testing.T, dir string, limit int64) *cache {
	t.Helper()
	c, err := openCache(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func stored(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestCacheKeepsWhatIsUsedLast(t *testing.T) {
	bucket, downloads := counted(t, nil)
	dir := t.TempDir()
	c := newCache(t, dir, 20)
	use := func(key string, wantDownloads int) {
		t.Helper()
		path, release, err := c.acquire(t.Context(), bucket, key, 10)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(content, bytes.Repeat([]byte(key), 10)) {
			t.Fatalf("the copy of %s is %q, %v", key, content, err)
		}
		release()
		release() // a second time is harmless
		if got := downloads(); got != wantDownloads {
			t.Fatalf("%d downloads after %s, want %d", got, key, wantDownloads)
		}
	}
	perGet := func() int { // the fault bucket may call its hook before and after
		_, release, err := c.acquire(t.Context(), bucket, "a", 10)
		if err != nil {
			t.Fatal(err)
		}
		release()
		return downloads()
	}()
	use("b", 2*perGet)
	use("a", 2*perGet)
	use("c", 3*perGet) // b goes, it was unused longest
	use("a", 3*perGet)
	use("b", 4*perGet)
	if n := stored(t, dir); n != 2 {
		t.Errorf("%d files are kept, want 2", n)
	}

	c = newCache(t, dir, 20) // a new process finds them
	use("b", 4*perGet)
	newCache(t, dir, 5)
	if n := stored(t, dir); n != 0 {
		t.Errorf("%d files are kept beyond the limit, want 0", n)
	}
}

func TestCacheKeepsWhatIsInUse(t *testing.T) {
	bucket, _ := counted(t, nil)
	dir := t.TempDir()
	c := newCache(t, dir, 10)
	var releases []func()
	for _, key := range []string{"a", "b", "c"} {
		_, release, err := c.acquire(t.Context(), bucket, key, 10)
		if err != nil {
			t.Fatal(err)
		}
		releases = append(releases, release)
	}
	if n := stored(t, dir); n != 3 {
		t.Fatalf("%d files are there while all are in use, want 3", n)
	}
	for _, release := range releases {
		release()
	}
	if n := stored(t, dir); n != 1 {
		t.Errorf("%d files are kept, want 1", n)
	}
}

func TestCacheSharesADownload(t *testing.T) {
	gate := make(chan struct{})
	var once sync.Once
	entered := make(chan struct{})
	bucket, downloads := counted(t, func(op, _ string) error {
		once.Do(func() { close(entered) })
		<-gate
		return nil
	})
	c := newCache(t, t.TempDir(), 100)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			_, release, err := c.acquire(t.Context(), bucket, "a", 10)
			if err != nil {
				t.Error(err)
				return
			}
			release()
		})
	}
	<-entered
	close(gate)
	workers.Wait()
	shared := downloads()
	if _, release, err := c.acquire(t.Context(), bucket, "b", 10); err != nil {
		t.Fatal(err)
	} else {
		release()
	}
	if perGet := downloads() - shared; shared != perGet {
		t.Errorf("eight users made %d calls of the store, one makes %d", shared, perGet)
	}
}

func TestCacheFailures(t *testing.T) {
	down := errors.New("connection reset")
	failing := true
	bucket, _ := counted(t, func(string, string) error {
		if failing {
			return down
		}
		return nil
	})
	dir := t.TempDir()
	c := newCache(t, dir, 100)
	if _, _, err := c.acquire(t.Context(), bucket, "a", 10); !errors.Is(err, down) {
		t.Fatalf("the error is %v, want the store's", err)
	}
	failing = false
	if _, _, err := c.acquire(t.Context(), bucket, "nothing", 10); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("the error is %v, want ErrNotExist", err)
	}
	if _, _, err := c.acquire(t.Context(), bucket, "a", 11); err == nil || !strings.Contains(err.Error(), "10 bytes, the table's log says 11") {
		t.Errorf("a cut object is answered with %v", err)
	}
	if n := stored(t, dir); n != 0 {
		t.Errorf("failures left %d files", n)
	}
	if c.used != 0 || len(c.entries) != 0 {
		t.Errorf("failures left %d bytes in %d entries", c.used, len(c.entries))
	}
	_, release, err := c.acquire(t.Context(), bucket, "a", 10)
	if err != nil {
		t.Fatalf("after the failures: %v", err)
	}
	release()
}

// TestCacheOutlivesACancelledCopy: who copies may give up; who waits for it
// copies in turn.
func TestCacheOutlivesACancelledCopy(t *testing.T) {
	entered, gate := make(chan struct{}), make(chan struct{})
	var once sync.Once
	bucket, _ := counted(t, func(string, string) error {
		first := false
		once.Do(func() { first = true; close(entered) })
		if first {
			<-gate
			return fmt.Errorf("download: %w", context.Canceled)
		}
		return nil
	})
	c := newCache(t, t.TempDir(), 100)
	var workers sync.WaitGroup
	workers.Go(func() {
		if _, _, err := c.acquire(t.Context(), bucket, "a", 10); !errors.Is(err, context.Canceled) {
			t.Errorf("who copied is told %v", err)
		}
	})
	<-entered
	workers.Go(func() {
		_, release, err := c.acquire(t.Context(), bucket, "a", 10)
		if err != nil {
			t.Errorf("who waited is told %v", err)
			return
		}
		release()
	})
	close(gate)
	workers.Wait()
}
