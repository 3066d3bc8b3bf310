package folder

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// model is what Walk yields, by the definition of OSS.
func model(keys []string, prefix, after, delimiter string) (entries []string) {
	slices.Sort(keys)
	for _, key := range keys {
		beyond, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		if end := strings.Index(beyond, delimiter); delimiter != "" && end >= 0 {
			key = prefix + beyond[:end+len(delimiter)]
		}
		if key > after && (len(entries) == 0 || entries[len(entries)-1] != key) {
			entries = append(entries, key)
		}
	}
	return entries
}

func walked(t testing.TB, f *Folder, prefix, after, delimiter string) (entries []string) {
	t.Helper()
	for entry, err := range f.Walk(t.Context(), prefix, after, delimiter) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry.Key)
	}
	return entries
}

// TestWalkOfLargeFolders lists folders of several batches, from everywhere.
func TestWalkOfLargeFolders(t *testing.T) {
	dir := t.TempDir()
	var keys []string
	add := func(format string, n int) {
		for i := range n {
			keys = append(keys, fmt.Sprintf(format, i))
			write(t, filepath.Join(dir, "lake", keys[len(keys)-1]), "")
		}
	}
	add("f%04d", 20)
	add("d/%04d.parquet", 2*firstBatch+7)
	add("many/%04d/x", 120)
	add("d.%d", 3) // sorts before "d/"
	add("é/%d", 2)
	if err := os.MkdirAll(filepath.Join(dir, "lake", "empty", "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for name, folder := range map[string]*Folder{
		"open": Open(filepath.Join(dir, "lake"), ".staging"), "confined": Confined(root, "lake", "staging"),
	} {
		for range 40 {
			prefix := pick(random, "", "", "d", "d/", "d/0", "f", "many/", "many/00", "é/", "none")
			delimiter := pick(random, "", "", "/", "/", "0", "/00", ".")
			after := pick(random, "", keys[random.IntN(len(keys))], keys[random.IntN(len(keys))]+"x", "d/", "many/0100/")
			if got, want := walked(t, folder, prefix, after, delimiter), model(keys, prefix, after, delimiter); !slices.Equal(got, want) {
				t.Errorf("%s: prefix %q, after %q, delimiter %q: %d entries, want %d", name, prefix, after, delimiter, len(got), len(want))
			}
		}
	}
}

func pick(random *rand.Rand, from ...string) string { return from[random.IntN(len(from))] }

func TestWalkEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 * chunk {
		write(t, filepath.Join(dir, fmt.Sprintf("%04d", i)), "")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range Open(dir, ".staging").Walk(ctx, "", "", "") {
		if n++; n == 10 {
			cancel()
		}
		if n > 10 && !errors.Is(err, context.Canceled) {
			t.Fatalf("entry %d: %v", n, err)
		}
	}
	if n != 11 {
		t.Errorf("%d entries", n)
	}
}

func TestStageEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body := endless(cancel)
	if _, err := Open(dir, ".staging").Stage(ctx, body); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, ".staging")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

type endless func()

func (read endless) Read(p []byte) (int, error) {
	read()
	return len(p), nil
}

// TestOnlyRegularFilesAreObjects: what would block, or act, is left alone.
func TestOnlyRegularFilesAreObjects(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lake", "pipe")
	write(t, filepath.Join(dir, "lake", "file"), "content")
	if err := syscall.Mkfifo(path, 0o644); err != nil {
		t.Skip(err)
	}
	if err := os.Symlink("pipe", filepath.Join(dir, "lake", "to-pipe")); err != nil {
		t.Skip(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*Folder{
		"open": Open(filepath.Join(dir, "lake"), ".staging"), "confined": Confined(root, "lake", "staging"),
	} {
		for _, key := range []string{"pipe", "to-pipe"} {
			if _, _, err := f.Open(key); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: Open %s: %v", name, key, err)
			}
			if _, err := f.Stat(key); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: Stat %s: %v", name, key, err)
			}
		}
		if got := walked(t, f, "", "", ""); !slices.Equal(got, []string{"file"}) {
			t.Errorf("%s: objects %q", name, got)
		}
		staged, err := f.Stage(t.Context(), strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		for _, place := range []func(string) error{staged.Replace, staged.PutIfAbsent} {
			if err := place("pipe"); !errors.Is(err, ErrKeyConflict) {
				t.Errorf("%s: put in place of a pipe: %v", name, err)
			}
		}
		staged.Discard()
		if err := f.Remove(t.Context(), "pipe"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
			t.Errorf("%s: the pipe is gone: %v, %v", name, info, err)
		}
	}
}

// TestOpenWhileFilesTurnIntoPipes never waits for a writer that does not come.
func TestOpenWhileFilesTurnIntoPipes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "k")
	if err := syscall.Mkfifo(path+".pipe", 0o644); err != nil {
		t.Skip(err)
	}
	write(t, path+".file", "content")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 3000 {
			for _, suffix := range []string{".pipe", ".file"} {
				os.Remove(path)
				os.Link(path+suffix, path)
			}
		}
	}()
	f := Open(dir, ".staging")
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		if file, _, err := f.Open("k"); err == nil {
			file.Close()
		}
	}
}
