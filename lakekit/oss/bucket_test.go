package oss_test

import (
	"net/http/httptest"
	"path/filepath"
	"testing"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
	"taxilake/lakekit/oss"
	"taxilake/lakekit/oss/ossserver"
)

func TestClientV4(t *testing.T) {
	blobtest.AcceptanceTest(t, func(t *testing.T) blob.Bucket { return openClient(t, "cn-hangzhou") })
}

func TestClientV1(t *testing.T) {
	blobtest.AcceptanceTest(t, func(t *testing.T) blob.Bucket { return openClient(t, "") })
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
