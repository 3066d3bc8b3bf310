package query

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"taxilake/lakekit/blob"
)

// cache keeps copies of objects that never change, as a table's data files do,
// in a folder of one process. Those not in use go, the longest unused first,
// when all of them take more than the limit.
type cache struct {
	dir   string
	limit int64 // bytes

	mu      sync.Mutex
	entries map[string]*cacheEntry // by file name
	used    int64                  // bytes of the entries that are there
	clock   int64                  // counts uses
}

type cacheEntry struct {
	size    int64
	users   int
	lastUse int64
	ready   chan struct{} // closed when the copy is there or has failed
	err     error
}

const (
	cacheSuffix  = ".parquet"
	cachePartial = ".partial"
	cacheDirMode = 0o700
)

// openCache takes over what an earlier process left in dir.
func openCache(dir string, limit int64) (*cache, error) {
	if err := os.MkdirAll(dir, cacheDirMode); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	c := &cache{dir: dir, limit: limit, entries: map[string]*cacheEntry{}}
	var found []fs.FileInfo
	for _, f := range files {
		if filepath.Ext(f.Name()) == cachePartial {
			if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
				return nil, err
			}
		}
		if info, err := f.Info(); err == nil && info.Mode().IsRegular() && filepath.Ext(f.Name()) == cacheSuffix {
			found = append(found, info)
		}
	}
	slices.SortFunc(found, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range found {
		c.clock++
		c.entries[info.Name()] = &cacheEntry{size: info.Size(), lastUse: c.clock, ready: closed}
		c.used += info.Size()
	}
	c.evict()
	return c, nil
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// acquire returns the path of an object's content, which stays until release.
// An object that is a file on this machine is used in place. Callers that want
// the same object at the same time share one copying.
func (c *cache) acquire(ctx context.Context, bucket blob.Bucket, key string, size int64) (path string, release func(), err error) {
	if path, ok := blob.LocalPath(bucket, key); ok {
		path, err = filepath.Abs(path)
		return path, func() {}, err
	}
	sum := sha256.Sum256([]byte(bucket.URI(key)))
	name := hex.EncodeToString(sum[:]) + cacheSuffix
	path = filepath.Join(c.dir, name)
	for {
		entry, mine := c.use(name, size)
		if mine {
			entry.err = c.copy(ctx, bucket, key, size, path)
			c.finish(name, entry)
		}
		select {
		case <-entry.ready:
		case <-ctx.Done():
			c.release(entry)
			return "", nil, context.Cause(ctx)
		}
		if entry.err == nil {
			return path, sync.OnceFunc(func() { c.release(entry) }), nil
		}
		c.release(entry)
		// Whoever copied may have been cancelled, which is no failure of ours.
		if mine || !errors.Is(entry.err, context.Canceled) && !errors.Is(entry.err, context.DeadlineExceeded) {
			return "", nil, entry.err
		}
	}
}

// use counts a user of an entry; mine says that the caller is to copy the object.
func (c *cache) use(name string, size int64) (entry *cacheEntry, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock++
	entry, ok := c.entries[name]
	if !ok {
		entry = &cacheEntry{size: size, ready: make(chan struct{})}
		c.entries[name] = entry
		c.used += size
	}
	entry.users++
	entry.lastUse = c.clock
	return entry, !ok
}

// finish makes room for a copy that is there, and forgets one that failed.
func (c *cache) finish(name string, entry *cacheEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry.err != nil {
		delete(c.entries, name)
		c.used -= entry.size
	}
	close(entry.ready)
	c.evict()
}

func (c *cache) release(entry *cacheEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry.users--
	c.evict()
}

// evict is called with mu held.
func (c *cache) evict() {
	if c.used <= c.limit {
		return
	}
	var unused []string
	for name, entry := range c.entries {
		if entry.users == 0 {
			unused = append(unused, name)
		}
	}
	slices.SortFunc(unused, func(a, b string) int { return cmp.Compare(c.entries[a].lastUse, c.entries[b].lastUse) })
	for _, name := range unused {
		if c.used <= c.limit {
			return
		}
		if err := os.Remove(filepath.Join(c.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue // still there, so it still counts
		}
		c.used -= c.entries[name].size
		delete(c.entries, name)
	}
}

// copy brings an object to path, all or nothing.
func (c *cache) copy(ctx context.Context, bucket blob.Bucket, key string, size int64, path string) (err error) {
	body, err := bucket.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", bucket.URI(key), err)
	}
	defer body.Close()
	partial, err := os.CreateTemp(c.dir, "*"+cachePartial)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", bucket.URI(key), err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(partial.Name())
			err = fmt.Errorf("fetch %s: %w", bucket.URI(key), err)
		}
	}()
	copied, err := io.Copy(partial, body)
	if err := errors.Join(err, partial.Close()); err != nil {
		return err
	}
	if copied != size {
		return fmt.Errorf("the object has %d bytes, the table's log says %d", copied, size)
	}
	return os.Rename(partial.Name(), path)
}
