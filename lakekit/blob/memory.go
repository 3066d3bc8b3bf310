package blob

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"taxilake/lakekit/internal/folder"
)

// Memory is a bucket in memory, for tests and examples.
type Memory struct {
	name string

	mu      sync.RWMutex
	objects map[string]memoryObject
}

type memoryObject struct {
	info ObjectInfo
	data []byte // never changed once stored
}

// NewMemory returns an empty bucket of that name.
func NewMemory(name string) *Memory {
	return &Memory{name: name, objects: map[string]memoryObject{}}
}

// URI implements Bucket.
func (m *Memory) URI(key string) string { return "oss://" + m.name + "/" + key }

// Get implements Bucket.
func (m *Memory) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	object, err := m.object(ctx, key)
	if err != nil {
		return nil, m.fail("get", key, err)
	}
	return io.NopCloser(bytes.NewReader(object.data)), nil
}

// GetRange implements Bucket.
func (m *Memory) GetRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	object, err := m.object(ctx, key)
	if err != nil {
		return nil, m.fail("get range of", key, err)
	}
	n, err := rangeLength(offset, length, object.info.Size)
	if err != nil {
		return nil, m.fail("get range of", key, err)
	}
	return io.NopCloser(io.NewSectionReader(bytes.NewReader(object.data), offset, n)), nil
}

// Head implements Bucket.
func (m *Memory) Head(ctx context.Context, key string) (ObjectInfo, error) {
	object, err := m.object(ctx, key)
	if err != nil {
		return ObjectInfo{}, m.fail("head", key, err)
	}
	return object.info, nil
}

func (m *Memory) object(ctx context.Context, key string) (memoryObject, error) {
	if err := cmp.Or(ctx.Err(), folder.CheckKey(key)); err != nil {
		return memoryObject{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	object, ok := m.objects[key]
	if !ok {
		return memoryObject{}, ErrNotExist
	}
	return object, nil
}

// Put implements Bucket.
func (m *Memory) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	return m.fail("put", key, m.put(ctx, key, body, false))
}

// PutIfAbsent implements Bucket.
func (m *Memory) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	return m.fail("put if absent", key, m.put(ctx, key, body, true))
}

func (m *Memory) put(ctx context.Context, key string, body io.Reader, ifAbsent bool) error {
	if err := cmp.Or(ctx.Err(), folder.CheckKey(key)); err != nil {
		return err
	}
	data, err := io.ReadAll(body)
	if err := cmp.Or(err, ctx.Err()); err != nil {
		return err
	}
	object := memoryObject{data: data, info: ObjectInfo{
		Key:          key,
		Size:         int64(len(data)),
		ETag:         fmt.Sprintf("%X", md5.Sum(data)),
		LastModified: time.Now(),
	}}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.objects[key]; taken && ifAbsent {
		return ErrExist
	}
	m.objects[key] = object
	return nil
}

// List implements Bucket. It yields the objects of the moment it starts.
func (m *Memory) List(ctx context.Context, opts ListOptions) iter.Seq2[ObjectInfo, error] {
	return func(yield func(ObjectInfo, error) bool) {
		if err := cmp.Or(ctx.Err(), opts.Check()); err != nil {
			yield(ObjectInfo{}, m.fail("list", opts.Prefix, err))
			return
		}
		m.mu.RLock()
		objects := maps.Clone(m.objects)
		m.mu.RUnlock()

		after := opts.StartAfter
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			if !strings.HasPrefix(key, opts.Prefix) {
				continue
			}
			info := objects[key].info
			if opts.Delimiter != "" {
				if end := strings.Index(key[len(opts.Prefix):], opts.Delimiter); end >= 0 {
					info = ObjectInfo{Key: key[:len(opts.Prefix)+end+1], IsPrefix: true}
				}
			}
			if info.Key <= after {
				continue
			}
			after = info.Key
			if err := ctx.Err(); err != nil {
				yield(ObjectInfo{}, m.fail("list", opts.Prefix, err))
				return
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// Delete implements Bucket.
func (m *Memory) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := cmp.Or(ctx.Err(), folder.CheckKey(key)); err != nil {
			return m.fail("delete", key, err)
		}
		m.mu.Lock()
		delete(m.objects, key)
		m.mu.Unlock()
	}
	return nil
}

func (m *Memory) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", op, m.URI(key), err)
}
