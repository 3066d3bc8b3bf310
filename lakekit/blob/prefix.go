package blob

import (
	"context"
	"io"
	"iter"
	"strings"
)

// Prefix is the part of a bucket under a folder, as a bucket of its own: a
// table at its root, or the workspace of one student. It is Local if b is.
// An empty prefix is b itself.
func Prefix(b Bucket, prefix string) Bucket {
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		return b
	}
	prefixed := prefixed{b, prefix + "/"}
	if local, ok := b.(Local); ok {
		return localPrefixed{prefixed, local}
	}
	return prefixed
}

// Outer is the bucket that b is a folder of, and that folder: of Prefix(b, "a/b")
// it is b and "a/b", of a Dir the file system. ok is false for a bucket that is
// no part of a larger one.
func Outer(b Bucket) (outer Bucket, folder string, ok bool) {
	inner, is := b.(interface {
		outer() (Bucket, string, bool)
	})
	if !is {
		return nil, "", false
	}
	if outer, folder, ok = inner.outer(); !ok {
		return nil, "", false
	}
	if further, above, more := Outer(outer); more {
		return further, above + "/" + folder, true
	}
	return outer, folder, true
}

func (p prefixed) outer() (Bucket, string, bool) {
	return p.bucket, strings.TrimSuffix(p.prefix, "/"), true
}

type prefixed struct {
	bucket Bucket
	prefix string // ends with "/"
}

func (p prefixed) URI(key string) string { return p.bucket.URI(p.prefix + key) }

func (p prefixed) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	return p.bucket.Get(ctx, p.prefix+key)
}

func (p prefixed) GetRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	return p.bucket.GetRange(ctx, p.prefix+key, offset, length)
}

func (p prefixed) Head(ctx context.Context, key string) (ObjectInfo, error) {
	info, err := p.bucket.Head(ctx, p.prefix+key)
	info.Key = strings.TrimPrefix(info.Key, p.prefix)
	return info, err
}

func (p prefixed) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	return p.bucket.Put(ctx, p.prefix+key, body)
}

func (p prefixed) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	return p.bucket.PutIfAbsent(ctx, p.prefix+key, body)
}

func (p prefixed) List(ctx context.Context, opts ListOptions) iter.Seq2[ObjectInfo, error] {
	opts.Prefix = p.prefix + opts.Prefix
	if opts.StartAfter != "" {
		opts.StartAfter = p.prefix + opts.StartAfter
	}
	return func(yield func(ObjectInfo, error) bool) {
		for info, err := range p.bucket.List(ctx, opts) {
			info.Key = strings.TrimPrefix(info.Key, p.prefix)
			if !yield(info, err) {
				return
			}
		}
	}
}

func (p prefixed) Delete(ctx context.Context, keys ...string) error {
	full := make([]string, len(keys))
	for i, key := range keys {
		full[i] = p.prefix + key
	}
	return p.bucket.Delete(ctx, full...)
}

type localPrefixed struct {
	prefixed
	local Local
}

func (p localPrefixed) LocalPath(key string) string { return p.local.LocalPath(p.prefix + key) }
