package blob_test

import (
	"testing"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
)

func TestMemory(t *testing.T) {
	blobtest.AcceptanceTest(t, func(*testing.T) blob.Bucket { return blob.NewMemory("lake") })
}

func TestDir(t *testing.T) {
	blobtest.AcceptanceTest(t, openDir)
}

func TestPrefix(t *testing.T) {
	blobtest.AcceptanceTest(t, func(*testing.T) blob.Bucket {
		return blob.Prefix(blob.Prefix(blob.NewMemory("lake"), "classes/alice/"), "delta/t")
	})
}

func TestPrefixOfDir(t *testing.T) {
	blobtest.AcceptanceTest(t, func(t *testing.T) blob.Bucket { return blob.Prefix(openDir(t), "delta") })
}

func openDir(t *testing.T) blob.Bucket {
	dir, err := blob.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
