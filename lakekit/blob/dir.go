package blob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"taxilake/lakekit/internal/folder"
)

// Dir is a local folder as a bucket: every object a plain file at its own key.
// Many processes may use the same folder. On a file system that ignores case,
// so do its keys.
//
// Symbolic links are followed to read and to write, as other engines do: a big
// data set may be linked into a table. Nothing is deleted beyond one: Delete
// refuses such keys, and of a file that is itself a link takes the link away.
// What is no regular file, such as a pipe, is no object.
type Dir struct {
	path  string
	files *folder.Folder
}

// staging is where a Dir writes files before they get their key.
const staging = ".oss-staging"

// OpenDir returns the bucket in an existing folder. It creates nothing there
// before the first Put.
func OpenDir(dir string) (*Dir, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder %s as a bucket: %w", dir, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open folder %s as a bucket: %w", dir, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open folder %s as a bucket: it is a file; give the folder that holds it", dir)
	}
	return &Dir{path: path, files: folder.Open(path, staging)}, nil
}

// URI is the file's address, "file:///home/ana/lake/a/b".
func (d *Dir) URI(key string) string {
	return "file://" + strings.TrimSuffix(filepath.ToSlash(d.path), "/") + "/" + key
}

// outer is the file system, of which a Dir is a folder.
func (d *Dir) outer() (Bucket, string, bool) {
	path := d.path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	root := filepath.VolumeName(path) + string(filepath.Separator)
	inside := filepath.ToSlash(strings.TrimPrefix(path, root))
	return &Dir{path: root, files: folder.Open(root, staging)}, inside, CheckKey(inside) == nil
}

// LocalPath implements Local.
func (d *Dir) LocalPath(key string) string { return filepath.Join(d.path, filepath.FromSlash(key)) }

// Get implements Bucket.
func (d *Dir) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	file, _, err := d.open(ctx, key)
	if err != nil {
		return nil, d.fail("get", key, err)
	}
	return file, nil
}

// GetRange implements Bucket.
func (d *Dir) GetRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	file, info, err := d.open(ctx, key)
	if err != nil {
		return nil, d.fail("get range of", key, err)
	}
	n, err := rangeLength(offset, length, info.Size())
	if err != nil {
		file.Close()
		return nil, d.fail("get range of", key, err)
	}
	return section{io.NewSectionReader(file, offset, n), file}, nil
}

// section is a part of a file that closes it.
type section struct {
	io.Reader
	io.Closer
}

func (d *Dir) open(ctx context.Context, key string) (*os.File, fs.FileInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if err := d.files.CheckKey(key); err != nil {
		return nil, nil, err
	}
	return d.files.Open(key)
}

// Head implements Bucket.
func (d *Dir) Head(ctx context.Context, key string) (ObjectInfo, error) {
	if err := cmp.Or(ctx.Err(), d.files.CheckKey(key)); err != nil {
		return ObjectInfo{}, d.fail("head", key, err)
	}
	info, err := d.files.Stat(key)
	if err != nil {
		return ObjectInfo{}, d.fail("head", key, err)
	}
	return fileInfo(key, info), nil
}

// Put implements Bucket.
func (d *Dir) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	return d.fail("put", key, d.put(ctx, key, body, (*folder.Staged).Replace))
}

// PutIfAbsent implements Bucket.
func (d *Dir) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	return d.fail("put if absent", key, d.put(ctx, key, body, (*folder.Staged).PutIfAbsent))
}

func (d *Dir) put(ctx context.Context, key string, body io.Reader, place func(*folder.Staged, string) error) error {
	if err := cmp.Or(ctx.Err(), d.files.CheckKey(key)); err != nil {
		return err
	}
	staged, err := d.files.Stage(ctx, body)
	if err != nil {
		return err
	}
	defer staged.Discard()
	if err := ctx.Err(); err != nil {
		return err
	}
	return place(staged, key)
}

// List implements Bucket.
func (d *Dir) List(ctx context.Context, opts ListOptions) iter.Seq2[ObjectInfo, error] {
	return func(yield func(ObjectInfo, error) bool) {
		if err := opts.Check(); err != nil {
			yield(ObjectInfo{}, d.fail("list", opts.Prefix, err))
			return
		}
		for entry, err := range d.files.Walk(ctx, opts.Prefix, opts.StartAfter, opts.Delimiter) {
			if err := cmp.Or(ctx.Err(), err); err != nil {
				yield(ObjectInfo{}, d.fail("list", opts.Prefix, err))
				return
			}
			info := ObjectInfo{Key: entry.Key, IsPrefix: true}
			if entry.Info != nil {
				info = fileInfo(entry.Key, entry.Info)
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// Delete implements Bucket.
func (d *Dir) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := cmp.Or(ctx.Err(), d.files.CheckKey(key)); err != nil {
			return d.fail("delete", key, err)
		}
	}
	if err := d.files.Remove(ctx, keys...); err != nil {
		return d.fail(fmt.Sprintf("delete %d objects, the first of them", len(keys)), keys[0], err)
	}
	return nil
}

// fail says what was being done to what, and turns the file system's errors
// into the bucket's. It keeps nil.
func (d *Dir) fail(op, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		err = ErrNotExist
	case errors.Is(err, fs.ErrExist):
		err = ErrExist
	}
	return fmt.Errorf("%s %s: %w", op, d.URI(key), err)
}

// fileInfo describes a file as an object. Its ETag stands for size and time
// of change: to hash the content would mean to read it.
func fileInfo(key string, info fs.FileInfo) ObjectInfo {
	return ObjectInfo{
		Key:          key,
		Size:         info.Size(),
		ETag:         folder.ETag(info),
		LastModified: info.ModTime(),
	}
}
