package blob_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"taxilake/lakekit/blob"
)

func TestOpenDir(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:                "give the folder that holds it",
		file + "-not-there": "no such file",
	} {
		if _, err := blob.OpenDir(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("OpenDir(%s): %v", path, err)
		}
	}
}

// TestDirIsLeftAlone: a folder that is only read stays as it is, and files on
// their way are no objects.
func TestDirIsLeftAlone(t *testing.T) {
	path := t.TempDir()
	dir, err := blob.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for range dir.List(t.Context(), blob.ListOptions{}) {
		t.Error("an object in an empty folder")
	}
	dir.Head(t.Context(), "k")
	if entries, err := os.ReadDir(path); err != nil || len(entries) != 0 {
		t.Errorf("reading made %v, %v", entries, err)
	}
	if err := os.MkdirAll(filepath.Join(path, ".oss-staging"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, ".oss-staging", "put-1"), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	for info := range dir.List(t.Context(), blob.ListOptions{}) {
		t.Errorf("object %s", info.Key)
	}
	for _, key := range []string{".oss-staging", ".oss-staging/put-1"} {
		if _, err := dir.Get(t.Context(), key); err == nil || !strings.Contains(err.Error(), "reserved") {
			t.Errorf("Get %s: %v", key, err)
		}
		if err := dir.Put(t.Context(), key, strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "reserved") {
			t.Errorf("Put %s: %v", key, err)
		}
	}
}

func TestDirKeyIsObjectAndFolder(t *testing.T) {
	dir := openDir(t)
	if err := dir.Put(t.Context(), "a/b", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "a/b/c"} {
		for op, err := range map[string]error{
			"Put":         dir.Put(t.Context(), key, strings.NewReader("y")),
			"PutIfAbsent": dir.PutIfAbsent(t.Context(), key, strings.NewReader("y")),
		} {
			if err == nil || errors.Is(err, blob.ErrExist) || !strings.Contains(err.Error(), "cannot be both an object and a folder") {
				t.Errorf("%s %s: %v", op, key, err)
			}
		}
	}
}

// TestDirSymlinks: a big data set may be linked into the lake.
func TestDirSymlinks(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "part-0.parquet"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	path := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(path, "linked")); err != nil {
		t.Skip(err)
	}
	if err := os.Symlink(filepath.Join(path, "nowhere"), filepath.Join(path, "dangling")); err != nil {
		t.Fatal(err)
	}
	dir, err := blob.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for info, err := range dir.List(t.Context(), blob.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	if got := strings.Join(keys, " "); got != "linked/part-0.parquet" {
		t.Errorf("keys %q", got)
	}
}

// TestDirDeletesNothingBeyondALink: what a link leads to is not the bucket's.
func TestDirDeletesNothingBeyondALink(t *testing.T) {
	outside, path := t.TempDir(), t.TempDir()
	for _, file := range []string{filepath.Join(outside, "data", "part"), filepath.Join(path, "own", "part")} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("content"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"linked": filepath.Join(outside, "data"), "file": filepath.Join(outside, "data", "part"), "own/loop": "..", "own/again": "../own",
	} {
		if err := os.Symlink(target, filepath.Join(path, link)); err != nil {
			t.Skip(err)
		}
	}
	dir, err := blob.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	keys := func() string {
		var keys []string
		for info, err := range dir.List(t.Context(), blob.ListOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, info.Key)
		}
		return strings.Join(keys, " ")
	}
	if got := keys(); got != "file linked/part own/part" {
		t.Errorf("objects %q", got)
	}
	err = dir.Delete(t.Context(), "own/part", "linked/part")
	if err == nil || !strings.Contains(err.Error(), `"linked" is a symbolic link`) {
		t.Errorf("Delete beyond a link: %v", err)
	}
	if got := keys(); got != "file linked/part own/part" {
		t.Errorf("objects after the refusal %q", got)
	}
	if err := dir.Delete(t.Context(), "file", "linked"); err != nil { // "linked" is no object
		t.Error(err)
	}
	if got := keys(); got != "linked/part own/part" {
		t.Errorf("objects without the linked file %q", got)
	}
	if data, err := os.ReadFile(filepath.Join(outside, "data", "part")); err != nil || string(data) != "content" {
		t.Errorf("outside: %q, %v", data, err)
	}
}
