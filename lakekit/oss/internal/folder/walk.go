package folder

import (
	"errors"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
)

// Entry is an object, or a common prefix ("a/b/", Info nil).
type Entry struct {
	Key  string
	Info fs.FileInfo
}

// Walk yields, in byte order of their keys, the objects that begin with prefix
// and sort after startAfter. With delimited, those with a "/" beyond the prefix
// are rolled up into common prefixes. Folders that cannot contribute are not read.
func (f *Folder) Walk(prefix, startAfter string, delimited bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		dir := prefix[:strings.LastIndexByte(prefix, '/')+1]
		if dir != "" && CheckKey(dir[:len(dir)-1]) != nil {
			return // no key begins like this
		}
		w := walk{f, prefix, startAfter, delimited, yield}
		w.dir(dir)
	}
}

type walk struct {
	folder             *Folder
	prefix, startAfter string
	delimited          bool
	yield              func(Entry, error) bool
}

// dir walks the folder of keys that begin with base ("" or "a/b/"), and tells
// whether to go on.
func (w *walk) dir(base string) bool {
	names, err := w.names(base)
	if err != nil {
		return w.yield(Entry{}, err) && false
	}
	for _, name := range names {
		key := base + name
		isDir := strings.HasSuffix(name, "/")
		switch {
		case !strings.HasPrefix(key, w.prefix):
			continue
		case isDir && w.delimited:
			if key <= w.startAfter || !w.folder.holdsObject(key) {
				continue
			}
			if !w.yield(Entry{Key: key}, nil) {
				return false
			}
		case isDir:
			if key <= w.startAfter && !strings.HasPrefix(w.startAfter, key) {
				continue // all keys of the folder sort before startAfter
			}
			if !w.dir(key) {
				return false
			}
		case key > w.startAfter:
			info, err := w.folder.Stat(key)
			if errors.Is(err, fs.ErrNotExist) {
				continue // deleted since the folder was read
			}
			if !w.yield(Entry{key, info}, err) || err != nil {
				return false
			}
		}
	}
	return true
}

// names are the folder's entries, folders with "/" at their end, in the byte
// order of the keys they stand for: "a.b" before "a/", as '.' is before '/'.
func (w *walk) names(base string) ([]string, error) {
	entries, err := os.ReadDir(w.folder.Path(base))
	if err != nil {
		if errors.Is(notExist(err), fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		name := entry.Name()
		if w.folder.CheckKey(base+name) != nil {
			continue
		}
		mode := entry.Type()
		if mode&fs.ModeSymlink != 0 {
			info, err := os.Stat(w.folder.Path(base + name))
			if err != nil {
				continue
			}
			mode = info.Mode().Type()
		}
		switch {
		case mode.IsDir():
			names = append(names, name+"/")
		case mode.IsRegular():
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// holdsObject tells whether a folder holds any object: a key space knows no
// empty folders.
func (f *Folder) holdsObject(base string) bool {
	for range f.Walk(base, "", false) {
		return true
	}
	return false
}
