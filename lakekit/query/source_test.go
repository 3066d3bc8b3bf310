package query

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
)

// copyGolden copies a golden table to a folder or, with root "", to memory.
func copyGolden(t testing.TB, name, root string) blob.Bucket {
	t.Helper()
	var bucket blob.Bucket = blob.NewMemory("lake")
	if root != "" {
		if err := os.MkdirAll(root, 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if bucket, err = blob.OpenDir(root); err != nil {
			t.Fatal(err)
		}
	}
	from := filepath.Join(goldenFolder, name, "table")
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		key, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return bucket.Put(t.Context(), filepath.ToSlash(key), strings.NewReader(string(content)))
	})
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

func openTable(t testing.TB, bucket blob.Bucket) Request {
	t.Helper()
	table, err := delta.Open(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	return tables(map[string]*delta.Table{"t": table})
}

// TestDeletionVectorsAnywhere: in a store, and in a folder whose name is a
// pattern to DuckDB.
func TestDeletionVectorsAnywhere(t *testing.T) {
	e := openEngine(t)
	for name, root := range map[string]string{"store": "", "pattern": filepath.Join(t.TempDir(), "a[1]*?{b} it's")} {
		request := openTable(t, copyGolden(t, "spark_deletion_vectors", root))
		for statement, want := range map[string]string{
			"SELECT count(*) FROM t":                                "152",
			"SELECT count(*) FROM t VERSION AS OF 2":                "201",
			"SELECT count(*) FROM t WHERE id BETWEEN 5 AND 25":      "10", // 5-9, 20-22, 24, 25
			"SELECT max(id) FROM t WHERE p = 'o/d d' AND id < 1000": "149",
		} {
			if got := answer(mustQuery(t, e, statement, request)); got != "[["+want+"]]" {
				t.Errorf("%s: %s: %s, want %s", name, statement, got, want)
			}
		}
	}
}

// TestBrokenFiles: whatever is wrong with a file is told with the version and
// the file's name, before any row.
func TestBrokenFiles(t *testing.T) {
	tests := []struct {
		name   string
		damage func(t *testing.T, bucket blob.Bucket, add delta.Add)
		want   error
		says   string
	}{
		{"missing", func(t *testing.T, bucket blob.Bucket, add delta.Add) {
			key, _ := add.Key()
			if err := bucket.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}, nil, ""},
		{"no Parquet", func(t *testing.T, bucket blob.Bucket, add delta.Add) {
			key, _ := add.Key()
			if err := bucket.Put(t.Context(), key, strings.NewReader(strings.Repeat("x", int(add.Size)))); err != nil {
				t.Fatal(err)
			}
		}, nil, ""},
		{"damaged pages", func(t *testing.T, bucket blob.Bucket, add delta.Add) {
			key, _ := add.Key()
			content, err := blob.ReadAll(t.Context(), bucket, key)
			if err != nil {
				t.Fatal(err)
			}
			clear(content[4:30])
			if err := bucket.Put(t.Context(), key, bytes.NewReader(content)); err != nil {
				t.Fatal(err)
			}
		}, nil, "damaged"},
		{"deletion vector", func(t *testing.T, bucket blob.Bucket, _ delta.Add) {
			for object, err := range bucket.List(t.Context(), blob.ListOptions{Prefix: "deletion_vector_"}) {
				if err != nil {
					t.Fatal(err)
				}
				content, err := blob.ReadAll(t.Context(), bucket, object.Key)
				if err != nil {
					t.Fatal(err)
				}
				content[len(content)-1] ^= 1
				if err := bucket.Put(t.Context(), object.Key, strings.NewReader(string(content))); err != nil {
					t.Fatal(err)
				}
			}
		}, delta.ErrCorruptLog, "checksum"},
	}
	for _, root := range []string{"", "folder"} {
		for _, test := range tests {
			t.Run(root+" "+test.name, func(t *testing.T) {
				if root != "" {
					root = filepath.Join(t.TempDir(), root)
				}
				bucket := copyGolden(t, "spark_deletion_vectors_checkpoint", root)
				request := openTable(t, bucket)
				table, _ := request.Tables(t.Context(), "t")
				snapshot, err := table.Snapshot(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				add := snapshot.Files()[0]
				test.damage(t, bucket, add)
				e := openEngine(t) // keeps no copy of another's files
				result, err := e.Query(t.Context(), "SELECT * FROM t", request)
				if err == nil {
					t.Fatalf("%d rows", len(result.Rows))
				}
				for _, says := range []string{"version 5", add.Path, test.says} {
					if !strings.Contains(err.Error(), says) {
						t.Errorf("error %v does not say %q", err, says)
					}
				}
				if test.want != nil && !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
			})
		}
	}
}

// TestFilesReadAtOnceAreOneGroup: what two files have in common does not depend
// on which is read first.
func TestFilesReadAtOnceAreOneGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.parquet")
	content := sparkFile(t, "2020-01-01", arrow.FixedWidthTypes.Date32, false, nil)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		var f footers
		shapes, start := make([]*shape, 8), make(chan struct{})
		var readers sync.WaitGroup
		for i := range shapes {
			readers.Go(func() {
				<-start
				read, err := f.read(path)
				if err != nil {
					t.Error(err)
				}
				shapes[i] = read.shape
			})
		}
		close(start)
		readers.Wait()
		if len(slices.Compact(shapes)) != 1 {
			t.Fatal("files of one schema are of several shapes")
		}
	}
}
