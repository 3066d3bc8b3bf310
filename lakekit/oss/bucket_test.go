package oss_test

import (
	"net/http/httptest"
	"path/filepath"
	"testing"

	"taxilake/lakekit/oss"
	"taxilake/lakekit/oss/ossserver"
	"taxilake/lakekit/oss/osstest"
)

func TestMemory(t *testing.T) {
	osstest.AcceptanceTest(t, func(*testing.T) oss.Bucket { return oss.NewMemory("lake") })
}

func TestDir(t *testing.T) {
	osstest.AcceptanceTest(t, openDir)
}

func TestPrefix(t *testing.T) {
	osstest.AcceptanceTest(t, func(*testing.T) oss.Bucket {
		return oss.Prefix(oss.Prefix(oss.NewMemory("lake"), "classes/alice/"), "delta/t")
	})
}

func TestPrefixOfDir(t *testing.T) {
	osstest.AcceptanceTest(t, func(t *testing.T) oss.Bucket { return oss.Prefix(openDir(t), "delta") })
}

func openDir(t *testing.T) oss.Bucket {
	dir, err := oss.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestClientV4(t *testing.T) {
	osstest.AcceptanceTest(t, func(t *testing.T) oss.Bucket { return openClient(t, "cn-hangzhou") })
}

func TestClientV1(t *testing.T) {
	osstest.AcceptanceTest(t, func(t *testing.T) oss.Bucket { return openClient(t, "") })
}

// openClient is a client of an embedded server with an empty bucket.
func openClient(t *testing.T, region string) *oss.Client {
	t.Helper()
	dir := t.TempDir()
	handler, err := ossserver.New(ossserver.Options{Dir: dir, AccessKeyID: "test-id", AccessKeySecret: "test-secret", Region: region})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client, err := oss.NewClient(oss.ClientConfig{
		Endpoint: server.URL, Region: region, Bucket: "lake",
		AccessKeyID: "test-id", AccessKeySecret: "test-secret",
		LocalDir: filepath.Join(dir, "lake"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if err := client.CreateBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	return client
}
