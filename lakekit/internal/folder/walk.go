package folder

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Entry is an object, or a common prefix ("a/b/", Info nil).
type Entry struct {
	Key  string
	Info fs.FileInfo
}

// Walk yields, in byte order of their keys, the objects that begin with prefix
// and sort after startAfter. With a delimiter, those with it beyond the prefix
// are rolled up into common prefixes. Folders that cannot contribute are not read.
//
// A folder's names are held by batches, and it is read once for each: memory is
// bounded however many there are.
func (f *Folder) Walk(ctx context.Context, prefix, startAfter, delimiter string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		dir := prefix[:strings.LastIndexByte(prefix, '/')+1]
		if dir != "" {
			key := dir[:len(dir)-1]
			if CheckKey(key) != nil {
				return // no key begins like this
			}
			if f.confined {
				if link, err := f.link(key); err != nil || link != "" {
					return
				}
			}
		}
		w := walk{ctx, f, prefix, startAfter, delimiter, yield}
		w.dir(dir)
	}
}

type walk struct {
	ctx          context.Context
	folder       *Folder
	prefix, last string // last is the entry that was yielded last, or where to begin
	delimiter    string
	yield        func(Entry, error) bool
}

const (
	firstBatch = 1 << 10 // names: about a page of a listing
	maxBatch   = 1 << 16
	chunk      = 1 << 10 // names read at once
)

// dir walks the folder of keys that begin with base ("" or "a/b/"), and tells
// whether to go on.
func (w *walk) dir(base string) bool {
	after := ""
	for size := firstBatch; ; size = min(size*4, maxBatch) {
		names, more, err := w.batch(base, after, size)
		if err != nil {
			return w.yield(Entry{}, err) && false
		}
		for _, name := range names {
			if !w.entry(base + name) {
				return false
			}
		}
		if !more {
			return true
		}
		after = names[len(names)-1]
	}
}

// entry yields what a name in a folder stands for; those of folders end with "/".
func (w *walk) entry(key string) bool {
	if err := w.ctx.Err(); err != nil {
		return w.yield(Entry{}, err) && false
	}
	if w.before(key) {
		return true
	}
	isDir := strings.HasSuffix(key, "/")
	if prefix, ok := w.rolledUp(key); ok {
		if prefix <= w.last || isDir && !w.folder.holdsObject(w.ctx, key) {
			return true
		}
		w.last = prefix
		return w.yield(Entry{Key: prefix}, nil)
	}
	if isDir {
		return w.dir(key)
	}
	info, err := w.folder.Stat(key)
	if errors.Is(err, fs.ErrNotExist) {
		return true // deleted since the folder was read, or never an object
	}
	w.last = key
	return w.yield(Entry{key, info}, err) && err == nil
}

// before tells whether a name cannot contribute, because it and all that lies
// under it sort before where the walk is.
func (w *walk) before(key string) bool {
	return key <= w.last && !(strings.HasSuffix(key, "/") && strings.HasPrefix(w.last, key))
}

// rolledUp is the common prefix to which a key belongs.
func (w *walk) rolledUp(key string) (string, bool) {
	if w.delimiter == "" || len(key) <= len(w.prefix) {
		return "", false
	}
	end := strings.Index(key[len(w.prefix):], w.delimiter)
	if end < 0 {
		return "", false
	}
	return key[:len(w.prefix)+end+len(w.delimiter)], true
}

// batch is the first size names of a folder that sort after one and contribute,
// folders with "/" at their end, in the byte order of the keys they stand for:
// "a.b" before "a/", as '.' is before '/'. It tells whether there are more.
func (w *walk) batch(base, after string, size int) (names []string, more bool, err error) {
	cut := func() {
		slices.Sort(names)
		if len(names) > size {
			clear(names[size:])
			names, more = names[:size], true
		}
	}
	for entry, err := range w.folder.readDir(w.ctx, base) {
		if err != nil {
			return nil, false, err
		}
		name := entry.Name()
		isDir := entry.IsDir()
		if entry.Type()&fs.ModeSymlink != 0 && !w.folder.confined {
			isDir = w.folder.leadsToDir(base, name)
		} else if !isDir && !entry.Type().IsRegular() {
			continue
		}
		if isDir {
			name += "/"
		}
		key := base + name
		if name <= after || more && name > names[size-1] || !strings.HasPrefix(key, w.prefix) || w.before(key) {
			continue
		}
		if prefix, ok := w.rolledUp(key); ok && prefix <= w.last || w.folder.CheckKey(base+entry.Name()) != nil {
			continue
		}
		if names = append(names, name); len(names) == 2*size {
			cut()
		}
	}
	cut()
	return names, more, nil
}

// readDir yields a folder's entries in no order; none, if it is not there.
func (f *Folder) readDir(ctx context.Context, base string) iter.Seq2[fs.DirEntry, error] {
	return func(yield func(fs.DirEntry, error) bool) {
		dir, err := f.files.OpenFile(f.name(base), os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			if !errors.Is(notExist(err), fs.ErrNotExist) {
				yield(nil, err)
			}
			return
		}
		defer dir.Close()
		for {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			entries, err := dir.ReadDir(chunk)
			for _, entry := range entries {
				if !yield(entry, nil) {
					return
				}
			}
			if err != nil {
				if err != io.EOF && !errors.Is(notExist(err), fs.ErrNotExist) {
					yield(nil, err)
				}
				return
			}
		}
	}
}

// leadsToDir tells whether a symbolic link leads to a folder, and not back to one
// in which it lies: what is there is listed already.
func (f *Folder) leadsToDir(base, link string) bool {
	info, err := f.files.Stat(f.name(base + link))
	if err != nil || !info.IsDir() {
		return false
	}
	for dir := f.name(base); ; dir = path.Dir(dir) {
		if above, err := f.files.Stat(dir); err == nil && os.SameFile(info, above) {
			return false
		}
		if dir == f.root {
			return true
		}
	}
}

// holdsObject tells whether a folder holds any object: a key space knows no
// empty folders.
func (f *Folder) holdsObject(ctx context.Context, base string) bool {
	n := 0
	for entry, err := range f.readDir(ctx, base) {
		if err == nil && entry.Type().IsRegular() && f.CheckKey(base+entry.Name()) == nil {
			return true
		}
		if n++; n == chunk {
			break
		}
	}
	for range f.Walk(ctx, base, "", "") {
		return true
	}
	return false
}
