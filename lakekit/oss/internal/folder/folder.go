// Package folder keeps objects as plain files at their own key under a root
// folder: written all or nothing, durable when acknowledged, listed in byte
// order of their keys. It is what oss.Dir and the embedded server have in
// common.
//
// A file is staged in a temporary folder of the same file system, synced, and
// then linked (put if absent) or renamed (replace) to its place; the folders
// that gained a name are synced after. Folders left empty by Remove go away,
// because a key space has none.
package folder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// ErrKeyConflict is wrapped when a key is the folder of existing keys, or when
// a folder of the key is itself an object: a file system cannot hold both.
var ErrKeyConflict = errors.New("a key cannot be both an object and a folder")

// maxTries bounds how often a writer makes a folder that others take away.
const maxTries = 1000

// Folder is a root folder and the place where its new files are staged.
type Folder struct {
	root, staging string

	// Writers share it; who takes an empty folder away has it alone, as durable
	// must not speak of a folder that was made anew.
	mu      sync.RWMutex
	durable sync.Map // path of a folder -> its name in its parent is on disk
}

// New returns the folder at root. Nothing is created before the first file is
// staged. The staging folder may lie directly under root: it is not listed.
func New(root, staging string) *Folder {
	return &Folder{root: root, staging: staging}
}

// Path is the file of a checked key; of "", the root.
func (f *Folder) Path(key string) string {
	return filepath.Join(f.root, filepath.FromSlash(key))
}

// CheckKey is the package's CheckKey, and refuses the staging folder's names.
func (f *Folder) CheckKey(key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if path := f.Path(key); path == f.staging || strings.HasPrefix(path, f.staging+string(filepath.Separator)) {
		return errors.New("the key is reserved for temporary files")
	}
	return nil
}

// Open opens an object; its error matches fs.ErrNotExist where there is none.
func (f *Folder) Open(key string) (*os.File, fs.FileInfo, error) {
	file, err := os.Open(f.Path(key))
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

// Stat describes an object; its error matches fs.ErrNotExist where there is none.
func (f *Folder) Stat(key string) (fs.FileInfo, error) {
	info, err := os.Stat(f.Path(key))
	if err != nil {
		return nil, notExist(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	return info, nil
}

// notExist folds "a folder of the key is a file" into "does not exist".
func notExist(err error) error {
	if errors.Is(err, syscall.ENOTDIR) {
		return fs.ErrNotExist
	}
	return err
}

// Remove deletes objects and the folders they leave empty. Absent is no error.
func (f *Folder) Remove(keys ...string) error {
	changed := map[string]bool{}
	for _, key := range keys {
		parent, err := f.remove(f.Path(key))
		if err != nil {
			return err
		}
		if parent != "" {
			changed[parent] = true
		}
	}
	for dir := range changed {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// remove returns the folder that has lost a name, "" if nothing was there.
func (f *Folder) remove(path string) (changed string, err error) {
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		return "", nil
	}
	if err := os.Remove(path); err != nil {
		if errors.Is(notExist(err), fs.ErrNotExist) {
			return "", nil
		}
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	parent := filepath.Dir(path)
	for parent != f.root && os.Remove(parent) == nil {
		f.durable.Delete(parent)
		parent = filepath.Dir(parent)
	}
	return parent, nil
}

// Staged is a complete, synced file that has no key yet.
type Staged struct {
	folder *Folder
	path   string
	Info   fs.FileInfo // of the file, and so of the object once it is placed
}

// Stage writes body to a temporary file. The caller discards it in the end,
// placed or not.
func (f *Folder) Stage(body io.Reader) (_ *Staged, err error) {
	if err := os.MkdirAll(f.staging, 0o755); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(f.staging, "put-")
	if err != nil {
		return nil, err
	}
	staged := &Staged{folder: f, path: file.Name()}
	defer func() {
		if err != nil {
			file.Close()
			staged.Discard()
		}
	}()
	if _, err := io.Copy(file, body); err != nil {
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

// Discard removes the temporary file, if it is still there.
func (s *Staged) Discard() {
	os.Remove(s.path)
}

// Replace makes the staged file the object of the key.
func (s *Staged) Replace(key string) error {
	return s.place(key, os.Rename)
}

// PutIfAbsent makes the staged file the object of the key if it has none;
// otherwise its error matches fs.ErrExist.
func (s *Staged) PutIfAbsent(key string) error {
	return s.place(key, os.Link)
}

func (s *Staged) place(key string, move func(from, to string) error) error {
	s.folder.mu.RLock()
	defer s.folder.mu.RUnlock()
	path := s.folder.Path(key)
	parent := filepath.Dir(path)
	// Another process may take a folder away between two steps.
	err := fs.ErrNotExist
	for try := 0; errors.Is(err, fs.ErrNotExist) && try < maxTries; try++ {
		if err = os.MkdirAll(parent, 0o755); err != nil {
			if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%w: a folder of this key is an object", ErrKeyConflict)
			}
			continue
		}
		if err = move(s.path, path); err != nil {
			if info, statErr := os.Lstat(path); statErr == nil && info.IsDir() {
				return fmt.Errorf("%w: objects lie under this key", ErrKeyConflict)
			}
		}
	}
	if err != nil {
		return err
	}
	return s.folder.sync(parent)
}

// sync puts on disk the names in a folder, and its own way from the root: it may
// have been made just now, by whomever.
func (f *Folder) sync(dir string) error {
	if err := syncDir(dir); err != nil {
		return err
	}
	for ; dir != f.root; dir = filepath.Dir(dir) {
		if _, done := f.durable.Load(dir); done {
			continue
		}
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
		f.durable.Store(dir, true)
	}
	return nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
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
