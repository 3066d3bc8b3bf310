package atomicfile_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"taxilake/lakekit/internal/atomicfile"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

func TestWrites(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name   string
		before string // what the path holds, or ""
		write  func(path string) error
		err    error
		after  string
	}{
		{"a new file", "", func(path string) error { return atomicfile.Replace(path, 0o600, text("new")) }, nil, "new"},
		{"in place of another", "old", func(path string) error { return atomicfile.Replace(path, 0o600, text("new")) }, nil, "new"},
		{"half written", "old", func(path string) error {
			return atomicfile.Replace(path, 0o600, func(w io.Writer) error { return errors.Join(text("ne")(w), broken) })
		}, broken, "old"},
		{"created", "", func(path string) error { return atomicfile.Create(path, 0o600, text("new")) }, nil, "new"},
		{"created where one is", "old", func(path string) error { return atomicfile.Create(path, 0o600, text("new")) }, fs.ErrExist, "old"},
		{"JSON", "", func(path string) error {
			return atomicfile.Replace(path, 0o600, atomicfile.JSON(map[string]any{"a": "<b>"}))
		}, nil, "{\n  \"a\": \"<b>\"\n}\n"},
		{"no JSON", "old", func(path string) error { return atomicfile.Replace(path, 0o600, atomicfile.JSON(func() {})) }, errors.ErrUnsupported, "old"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			if test.before != "" {
				if err := os.WriteFile(path, []byte(test.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := test.write(path)
			if (err == nil) != (test.err == nil) || test.err != nil && test.err != errors.ErrUnsupported && !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			after, err := os.ReadFile(path)
			if err != nil || string(after) != test.after {
				t.Errorf("holds %q, %v; want %q", after, err, test.after)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 {
				t.Errorf("the folder holds %v, %v: want the file alone", entries, err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
		})
	}
}
