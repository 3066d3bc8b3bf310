// Package atomicfile writes files that appear whole or not at all, whatever ends
// the process.
package atomicfile

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace puts a file with what write writes, and this mode, in the place of what
// may be at path.
func Replace(path string, mode fs.FileMode, write func(io.Writer) error) error {
	return place(path, mode, write, os.Rename)
}

// Create is Replace for a path that holds nothing yet; otherwise it fails with
// fs.ErrExist. Of several at once the first wins.
func Create(path string, mode fs.FileMode, write func(io.Writer) error) error {
	return place(path, mode, write, os.Link)
}

func place(path string, mode fs.FileMode, write func(io.Writer) error, into func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return into(f.Name(), path)
}

// JSON writes a value for people to read too.
func JSON(v any) func(io.Writer) error {
	return func(w io.Writer) error {
		to := json.NewEncoder(w)
		to.SetIndent("", "  ")
		to.SetEscapeHTML(false)
		return to.Encode(v)
	}
}
