// Package folder keeps objects as plain files at their own key under a root
// folder: written all or nothing, durable when acknowledged, listed in byte
// order of their keys. It is what blob.Dir and the embedded server have in
// common.
//
// A file is staged in a temporary folder of the same file system, synced, and
// then linked (put if absent) or renamed (replace) to its place; the folders
// that gained a name are synced after. Folders left empty by Remove go away,
// because a key space has none.
//
// Objects are regular files: what else lies under a key (a pipe, a device, a
// socket) is neither opened nor listed, replaced or removed. A folder that is
// Open follows symbolic links when it reads and writes, as any program of its
// user would, and removes nothing through them; one that is Confined knows no
// symbolic links at all, and cannot be led out of its root by one that is made
// between two steps.
package folder

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// ErrKeyConflict is wrapped when a key is the folder of existing keys, when a
// folder of the key is itself an object, which a file system cannot hold both,
// or when what lies there is no object.
var ErrKeyConflict = errors.New("a key cannot be both an object and a folder")

// errNoObject is an ErrKeyConflict of another reason.
type errNoObject string

func (e errNoObject) Error() string      { return string(e) }
func (errNoObject) Is(target error) bool { return target == ErrKeyConflict }

// maxTries bounds how often a writer makes a folder that others take away.
const maxTries = 1000

// maxDurable bounds the folders of which is remembered that their names are on
// disk; then it is found out anew.
const maxDurable = 1 << 16

// files are the operations on a file system that a Folder needs; *os.Root has
// them all, and leads nowhere out of its own folder.
type files interface {
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error)
	MkdirAll(name string, perm fs.FileMode) error
	Remove(name string) error
	Rename(from, to string) error
	Link(from, to string) error
}

// Folder is a root folder and the place where its new files are staged. Names
// are slash-separated, and relative to those of files.
type Folder struct {
	files         files
	root, staging string
	confined      bool

	// Writers share it; who takes an empty folder away has it alone, as durable
	// must not speak of a folder that was made anew.
	mu           sync.RWMutex
	durable      sync.Map // name of a folder -> its name in its parent is on disk
	countDurable atomic.Int32
}

// Open returns the folder at path. Nothing is created before the first file is
// staged. The staging folder lies directly under it, and is not listed.
func Open(path, staging string) *Folder {
	return &Folder{files: anywhere(path), root: ".", staging: staging}
}

// Confined returns the folder of that name in a root, with the staging folder
// elsewhere in it.
func Confined(root *os.Root, name, staging string) *Folder {
	return &Folder{files: root, root: name, staging: staging, confined: true}
}

// anywhere are the files under a path and wherever their links lead.
type anywhere string

func (a anywhere) at(name string) string { return filepath.Join(string(a), filepath.FromSlash(name)) }

func (a anywhere) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(a.at(name), flag, perm)
}
func (a anywhere) Stat(name string) (fs.FileInfo, error)  { return os.Stat(a.at(name)) }
func (a anywhere) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(a.at(name)) }
func (a anywhere) MkdirAll(name string, perm fs.FileMode) error {
	return os.MkdirAll(a.at(name), perm)
}
func (a anywhere) Remove(name string) error     { return os.Remove(a.at(name)) }
func (a anywhere) Rename(from, to string) error { return os.Rename(a.at(from), a.at(to)) }
func (a anywhere) Link(from, to string) error   { return os.Link(a.at(from), a.at(to)) }

// name is the file of a checked key; of "", the root.
func (f *Folder) name(key string) string { return path.Join(f.root, key) }

// CheckKey is the package's CheckKey, and refuses the staging folder's names.
func (f *Folder) CheckKey(key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if name := f.name(key); name == f.staging || strings.HasPrefix(name, f.staging+"/") {
		return errors.New("the key is reserved for temporary files")
	}
	return nil
}

// link is the first of a key and its folders that is a symbolic link, "" if none is.
func (f *Folder) link(key string) (string, error) {
	for end := 0; end < len(key); {
		next := strings.IndexByte(key[end:], '/')
		if next < 0 {
			next = len(key) - end
		}
		end += next
		info, err := f.files.Lstat(f.name(key[:end]))
		if err != nil {
			return "", notExist(err)
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return key[:end], nil
		}
		end++
	}
	return "", nil
}

// Stat describes an object; its error matches fs.ErrNotExist where there is none.
func (f *Folder) Stat(key string) (fs.FileInfo, error) {
	if f.confined {
		if link, err := f.link(key); err != nil {
			return nil, err
		} else if link != "" {
			return nil, fs.ErrNotExist
		}
	}
	info, err := f.files.Stat(f.name(key))
	if err != nil {
		return nil, notExist(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	return info, nil
}

// Open opens an object; its error matches fs.ErrNotExist where there is none.
func (f *Folder) Open(key string) (*os.File, fs.FileInfo, error) {
	// To open anything else may have effects of its own.
	if _, err := f.Stat(key); err != nil {
		return nil, nil, err
	}
	// It may have become a pipe since: to open that would wait for its writer.
	file, err := f.files.OpenFile(f.name(key), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, notExist(err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// notExist folds "a folder of the key is a file" into "does not exist".
func notExist(err error) error {
	if errors.Is(err, syscall.ENOTDIR) {
		return fs.ErrNotExist
	}
	return err
}

// Remove deletes objects and the folders they leave empty. Absent is no error.
// Where one of them lies beyond a symbolic link, nothing is removed.
func (f *Folder) Remove(ctx context.Context, keys ...string) error {
	present := make([]string, 0, len(keys))
	for _, key := range keys {
		link, err := f.link(key)
		switch {
		case errors.Is(err, fs.ErrNotExist), link != "" && f.confined:
			continue
		case err != nil:
			return err
		case link != "" && link != key:
			return fmt.Errorf("%q is a symbolic link, and nothing is deleted beyond one: "+
				"delete %q where the link leads to, or put the folder itself in its place", link, strings.TrimPrefix(key, link+"/"))
		}
		if link != "" {
			if _, err := f.Stat(key); err != nil {
				continue // it leads to no object
			}
		}
		present = append(present, key)
	}
	changed := map[string]bool{}
	var err error
	for _, key := range present {
		if err = ctx.Err(); err != nil {
			break
		}
		var parent string
		if parent, err = f.remove(f.name(key)); err != nil {
			break
		}
		if parent != "" {
			changed[parent] = true
		}
	}
	for dir := range changed {
		err = errors.Join(err, f.syncNames(dir))
	}
	return err
}

// remove returns the folder that has lost a name, "" if nothing was there.
func (f *Folder) remove(name string) (changed string, err error) {
	if info, err := f.files.Lstat(name); err == nil && !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0 {
		return "", nil
	}
	if err := f.files.Remove(name); err != nil {
		if errors.Is(notExist(err), fs.ErrNotExist) {
			return "", nil
		}
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	parent := path.Dir(name)
	for parent != f.root && f.files.Remove(parent) == nil {
		f.forget(parent)
		parent = path.Dir(parent)
	}
	return parent, nil
}

// Staged is a complete, synced file that has no key yet.
type Staged struct {
	folder *Folder
	name   string
	Info   fs.FileInfo // of the file, and so of the object once it is placed
}

// Stage writes body to a temporary file. The caller discards it in the end,
// placed or not.
func (f *Folder) Stage(ctx context.Context, body io.Reader) (_ *Staged, err error) {
	if err := f.files.MkdirAll(f.staging, 0o755); err != nil {
		return nil, err
	}
	staged := &Staged{folder: f, name: f.staging + "/put-" + rand.Text()}
	file, err := f.files.OpenFile(staged.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			file.Close()
			staged.Discard()
		}
	}()
	if _, err := io.Copy(file, reader{ctx, body}); err != nil {
		return nil, err
	}
	// Other engines read the objects in place, perhaps as another user.
	if err := file.Chmod(0o644); err != nil {
		return nil, err
	}
	if err := file.Sync(); err != nil {
		return nil, err
	}
	if staged.Info, err = file.Stat(); err != nil {
		return nil, err
	}
	return staged, file.Close()
}

// reader is a body that ends with its context.
type reader struct {
	ctx  context.Context
	body io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.body.Read(p)
}

// Discard removes the temporary file, if it is still there.
func (s *Staged) Discard() {
	_ = s.folder.files.Remove(s.name)
}

// Replace makes the staged file the object of the key.
func (s *Staged) Replace(key string) error {
	return s.place(key, s.folder.files.Rename)
}

// PutIfAbsent makes the staged file the object of the key if it has none;
// otherwise its error matches fs.ErrExist.
func (s *Staged) PutIfAbsent(key string) error {
	return s.place(key, s.folder.files.Link)
}

func (s *Staged) place(key string, move func(from, to string) error) error {
	f := s.folder
	f.mu.RLock()
	defer f.mu.RUnlock()
	name := f.name(key)
	parent := path.Dir(name)
	// Another process may take a folder away between two steps.
	err := fs.ErrNotExist
	for try := 0; errors.Is(err, fs.ErrNotExist) && try < maxTries; try++ {
		if err = f.checkPlace(key); err != nil {
			return err
		}
		if err = f.files.MkdirAll(parent, 0o755); err != nil {
			if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%w: a folder of this key is an object", ErrKeyConflict)
			}
			continue
		}
		if err = move(s.name, name); err != nil {
			if info, statErr := f.files.Lstat(name); statErr == nil && info.IsDir() {
				return fmt.Errorf("%w: objects lie under this key", ErrKeyConflict)
			}
		}
	}
	if err != nil {
		return err
	}
	return f.sync(parent)
}

// checkPlace refuses to put an object in place of what is none.
func (f *Folder) checkPlace(key string) error {
	if f.confined {
		if link, err := f.link(key); err == nil && link != "" {
			return errNoObject(fmt.Sprintf("%q is a symbolic link, which is not followed", link))
		}
	}
	info, err := f.files.Lstat(f.name(key))
	if err != nil || info.IsDir() || info.Mode().IsRegular() || info.Mode()&fs.ModeSymlink != 0 {
		return nil
	}
	return errNoObject("what lies at this key is no regular file")
}

// sync puts on disk the names in a folder, and its own way from the root: it may
// have been made just now, by whomever.
func (f *Folder) sync(dir string) error {
	if err := f.syncNames(dir); err != nil {
		return err
	}
	for ; dir != f.root; dir = path.Dir(dir) {
		if _, done := f.durable.Load(dir); done {
			continue
		}
		if err := f.syncNames(path.Dir(dir)); err != nil {
			return err
		}
		f.remember(dir)
	}
	return nil
}

func (f *Folder) remember(dir string) {
	if _, known := f.durable.LoadOrStore(dir, true); !known && f.countDurable.Add(1) > maxDurable {
		f.durable.Clear()
		f.countDurable.Store(0)
	}
}

func (f *Folder) forget(dir string) {
	if _, known := f.durable.LoadAndDelete(dir); known {
		f.countDurable.Add(-1)
	}
}

func (f *Folder) syncNames(name string) error {
	dir, err := f.files.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // taken away again: there is no name left to make durable
		}
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// ETag tells versions of a file apart without reading it. Like those of
// multipart objects it is not an MD5, and shows so by its dash.
func ETag(info fs.FileInfo) string {
	return fmt.Sprintf("%016X%016X-1", info.ModTime().UnixNano(), info.Size())
}
