package oss_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/oss"
)

// answer is what a scripted store says to a request.
type answer struct {
	status int
	header string // "Name: value", one a line
	body   string
}

func s3Failure(status int, code string) answer {
	return answer{status: status, body: "<Error><Code>" + code + "</Code><Message>the message</Message></Error>"}
}

// scripted is a client of a store that gives the answers in turn, the last of
// them again and again, and the requests it got.
func scripted(t *testing.T, config oss.ClientConfig, answers ...answer) (*oss.Client, func() []*http.Request) {
	t.Helper()
	var mu sync.Mutex
	var requests []*http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		a := answers[min(len(requests), len(answers)-1)]
		requests = append(requests, r)
		mu.Unlock()
		w.Header().Set("X-Amz-Request-Id", "REQUEST")
		for line := range strings.Lines(a.header) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			w.Header().Set(name, value)
		}
		w.WriteHeader(a.status)
		io.WriteString(w, a.body)
	}))
	t.Cleanup(server.Close)
	config.Endpoint = server.URL
	client, err := oss.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	oss.WithoutBackoff(client)
	return client, func() []*http.Request {
		mu.Lock()
		defer mu.Unlock()
		return requests
	}
}

var s3Config = oss.ClientConfig{
	Bucket: "lake", AccessKeyID: "test-id", AccessKeySecret: "test-secret", SecurityToken: "test-token", S3: true,
}

func TestS3Answers(t *testing.T) {
	var (
		put    = func(ctx context.Context, c *oss.Client) error { return c.Put(ctx, "k", strings.NewReader("x")) }
		commit = func(ctx context.Context, c *oss.Client) error {
			return c.PutIfAbsent(ctx, "k", strings.NewReader("x"))
		}
		inParts = func(ctx context.Context, c *oss.Client) error {
			oss.InParts(c, 2)
			return c.PutIfAbsent(ctx, "k", strings.NewReader("xyz"))
		}
		get     = func(ctx context.Context, c *oss.Client) error { _, err := blob.ReadAll(ctx, c, "k"); return err }
		head    = func(ctx context.Context, c *oss.Client) error { _, err := c.Head(ctx, "k"); return err }
		remove  = func(ctx context.Context, c *oss.Client) error { return c.Delete(ctx, "k") }
		removes = func(ctx context.Context, c *oss.Client) error { return c.Delete(ctx, "k%", "l") }
		list    = func(ctx context.Context, c *oss.Client) error {
			for _, err := range c.List(ctx, blob.ListOptions{}) {
				return err
			}
			return nil
		}
		create = func(ctx context.Context, c *oss.Client) error { return c.CreateBucket(ctx) }
	)
	ok := answer{status: 200}
	initiated := answer{200, "", "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"}
	part := answer{200, `ETag: "9dd4e461268c8034f5c8564e155c67a6"`, ""}
	for _, test := range []struct {
		name    string
		do      func(context.Context, *oss.Client) error
		answers []answer
		want    string // words of the error, "" for none
		is      error
		sent    int
	}{
		{"stored", put, []answer{ok}, "", nil, 1},
		{"there already", commit, []answer{s3Failure(412, "PreconditionFailed")}, "", blob.ErrExist, 1},
		{"conflict, then there", commit, []answer{s3Failure(409, "ConditionalRequestConflict"), s3Failure(412, "PreconditionFailed")}, "", blob.ErrExist, 2},
		{"conflict, then stored", commit, []answer{s3Failure(409, "ConditionalRequestConflict"), ok}, "", nil, 2},
		{"damaged on its way", commit, []answer{s3Failure(400, "BadDigest"), ok}, "", nil, 2},
		{"always damaged", put, []answer{s3Failure(400, "BadDigest")}, "BadDigest", nil, 5},
		{"a commit is not sent again", commit, []answer{s3Failure(503, "SlowDown"), ok}, "SlowDown try again", nil, 1},
		{"a put is", put, []answer{s3Failure(503, "SlowDownWrite"), ok}, "", nil, 2},
		{"overloaded", put, []answer{s3Failure(503, "SlowDown")}, "SlowDown overloaded", nil, 5},
		{"folder removed under it", commit, []answer{s3Failure(403, "AccessDenied"), ok}, "", nil, 2},
		{"not allowed to put", commit, []answer{s3Failure(403, "AccessDenied")}, "AccessDenied LAKEKIT_WORKSPACE", nil, 3},
		{"not allowed to get", get, []answer{s3Failure(403, "AccessDenied")}, "AccessDenied LAKEKIT_WORKSPACE", nil, 1},
		{"wrong id", put, []answer{s3Failure(403, "InvalidAccessKeyId")}, "OSS_ACCESS_KEY_ID OSS_SESSION_TOKEN", nil, 1},
		{"wrong secret", put, []answer{s3Failure(403, "SignatureDoesNotMatch")}, "OSS_ACCESS_KEY_SECRET", nil, 1},
		{"expired", put, []answer{s3Failure(403, "ExpiredToken")}, "OSS_SESSION_TOKEN", nil, 1},
		{"token of another store", put, []answer{s3Failure(403, "InvalidTokenId")}, "OSS_SESSION_TOKEN", nil, 1},
		{"clock", put, []answer{s3Failure(403, "RequestTimeTooSkewed")}, "clock", nil, 1},
		{"region", put, []answer{s3Failure(400, "AuthorizationHeaderMalformed")}, "OSS_REGION", nil, 1},
		{"no bucket", put, []answer{s3Failure(404, "NoSuchBucket")}, `NoSuchBucket "lake" OSS_BUCKET`, nil, 1},
		{"full", put, []answer{s3Failure(507, "XMinioStorageFull")}, "XMinioStorageFull free disk space", nil, 1},
		{"no object", get, []answer{s3Failure(404, "NoSuchKey")}, "", blob.ErrNotExist, 1},
		{"no object, without a body", head, []answer{{status: 404}}, "", blob.ErrNotExist, 1},
		{"no object, by header", head, []answer{{404, "X-Minio-Error-Code: NoSuchKey", ""}}, "", blob.ErrNotExist, 1},
		{"no bucket, by header", head, []answer{{404, "X-Minio-Error-Code: NoSuchBucket", ""}}, "NoSuchBucket OSS_BUCKET REQUEST", nil, 1},
		{"not allowed, without a body", head, []answer{{status: 403}}, "may read the bucket", nil, 1},
		{"delete", remove, []answer{{status: 204}}, "", nil, 1},
		{"deletes", removes, []answer{{200, "", "<DeleteResult><Deleted><Key>k%</Key></Deleted><Deleted><Key>l</Key></Deleted></DeleteResult>"}}, "", nil, 1},
		{"one is not deleted", removes, []answer{{200, "", "<DeleteResult><Deleted><Key>l</Key></Deleted><Error><Key>k%</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"}}, "AccessDenied", nil, 1},
		{"one is slow", removes, []answer{
			{200, "", "<DeleteResult><Error><Key>l</Key><Code>SlowDown</Code></Error></DeleteResult>"},
			{200, "", "<DeleteResult><Deleted><Key>k%</Key></Deleted><Deleted><Key>l</Key></Deleted></DeleteResult>"}}, "", nil, 2},
		{"one is forgotten", removes, []answer{{200, "", "<DeleteResult><Deleted><Key>l</Key></Deleted></DeleteResult>"}}, "deleted only 1", nil, 1},
		{"no XML", removes, []answer{{200, "", "surprise"}}, "read the answer", nil, 5},
		{"no listing", list, []answer{{200, "", "surprise"}}, "EOF", nil, 1},
		{"bucket", create, []answer{ok}, "", nil, 1},
		{"bucket is there", create, []answer{s3Failure(409, "BucketAlreadyOwnedByYou")}, "", nil, 1},
		{"bucket of another", create, []answer{s3Failure(409, "BucketAlreadyExists")}, "BucketAlreadyExists", nil, 1},
		{"parts", inParts, []answer{initiated, part, part, {200, "", "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"}}, "", nil, 4},
		{"parts, there already", inParts, []answer{initiated, part, part, s3Failure(412, "PreconditionFailed"), {status: 204}}, "", blob.ErrExist, 5},
		{"parts, failed with status 200", inParts, []answer{initiated, part, part, s3Failure(200, "InternalError"), {status: 204}}, "InternalError", nil, 5},
		{"parts, there already with status 200", inParts, []answer{initiated, part, part, s3Failure(200, "PreconditionFailed"), {status: 204}}, "", blob.ErrExist, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, requests := scripted(t, s3Config, test.answers...)
			err := test.do(t.Context(), client)
			switch {
			case test.is != nil:
				if !errors.Is(err, test.is) {
					t.Errorf("error %v, want %v", err, test.is)
				}
			case test.want == "":
				if err != nil {
					t.Errorf("error %v", err)
				}
			case err == nil || errors.Is(err, blob.ErrExist) || errors.Is(err, blob.ErrNotExist):
				t.Errorf("error %v, want one of %s", err, test.want)
			default:
				for word := range strings.FieldsSeq(test.want) {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("%q lacks %q", err, word)
					}
				}
			}
			if n := len(requests()); n != test.sent {
				t.Errorf("%d requests, want %d", n, test.sent)
			}
			if err != nil && (strings.Contains(err.Error(), "test-secret") || strings.Contains(err.Error(), "test-token")) {
				t.Errorf("a secret is in %q", err)
			}
		})
	}
}

// TestS3Requests: nothing of OSS is left in what goes over the wire.
func TestS3Requests(t *testing.T) {
	client, requests := scripted(t, s3Config, answer{status: 200})
	ctx := t.Context()
	const key = "day=1/a b+c%20&'上~.json"
	if err := client.CreateBucket(ctx); err != nil {
		t.Fatal(err)
	}
	if err := client.PutIfAbsent(ctx, key, strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	if err := client.Put(ctx, key, strings.NewReader("")); err != nil {
		t.Fatal(err)
	}
	client.GetRange(ctx, key, 2, 3)
	client.List(ctx, blob.ListOptions{Prefix: "a+b c/"})(func(blob.ObjectInfo, error) bool { return false })
	path := "/lake/day%3D1/a%20b%2Bc%2520%26%27%E4%B8%8A~.json"
	for i, want := range []struct {
		line, body string
		header     map[string]string
	}{
		{"PUT /lake/ 0", "", nil},
		{"PUT " + path + " 7", "content", map[string]string{"If-None-Match": "*", "Content-Md5": "mgNkuembtIDdJeHwKEyFVQ=="}},
		{"PUT " + path + " 0", "", map[string]string{"If-None-Match": "", "Content-Md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}},
		{"GET " + path + " 0", "", map[string]string{"Range": "bytes=2-4"}},
		{"GET /lake/?continuation-token=&delimiter=&encoding-type=url&list-type=2&max-keys=1000&prefix=a%2Bb%20c%2F&start-after= 0", "", nil},
	} {
		r := requests()[i]
		if line := fmt.Sprintf("%s %s %d", r.Method, r.RequestURI, r.ContentLength); line != strings.Replace(want.line, "continuation-token=&", "", 1) {
			t.Errorf("request %s, want %s", line, want.line)
		}
		if body, _ := io.ReadAll(r.Body); string(body) != want.body {
			t.Errorf("%s: body %q", want.line, body)
		}
		for name, value := range want.header {
			if got := r.Header.Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", want.line, name, got, value)
			}
		}
		if auth := r.Header.Get("Authorization"); !strings.HasPrefix(auth, "AWS4-HMAC-SHA256 Credential=test-id/") || !strings.Contains(auth, "/us-east-1/s3/aws4_request") {
			t.Errorf("%s: Authorization %q", want.line, auth)
		}
		if got := r.Header.Get("X-Amz-Security-Token"); got != "test-token" {
			t.Errorf("%s: token %q", want.line, got)
		}
		for name := range r.Header {
			if strings.HasPrefix(name, "X-Oss-") {
				t.Errorf("%s: header %s", want.line, name)
			}
		}
	}
}

// TestS3Download: what S3 says of an object's content is held against what came.
func TestS3Download(t *testing.T) {
	const (
		ofContent = `ETag: "9a0364b9e99bb480dd25e1f0284c8555"`
		ofParts   = `ETag: "ef1d1ee96c8b4e6cda1f6ca5e6ea6d9b-2"`
	)
	for _, test := range []struct {
		name, header, body string
		damaged            bool
	}{
		{"as it was put", ofContent, "content", false},
		{"damaged", ofContent, "c0ntent", true},
		{"encrypted by a key of the store's", ofContent + "\nX-Amz-Server-Side-Encryption: aws:kms", "c0ntent", false},
		{"parts of unknown sizes", ofParts, "content", false},
		{"parts", oss.PartsETag("content", 4) + "\nX-Amz-Meta-Lakekit-Part-Size: 4", "content", false},
		{"parts, damaged", oss.PartsETag("content", 4) + "\nX-Amz-Meta-Lakekit-Part-Size: 4", "c0ntent", true},
		{"an ETag that is no digest", `ETag: "of another kind"`, "content", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, _ := scripted(t, s3Config, answer{200, test.header, test.body})
			data, err := blob.ReadAll(t.Context(), client, "k")
			if test.damaged {
				if err == nil || !strings.Contains(err.Error(), "MD5") {
					t.Errorf("error %v", err)
				}
			} else if err != nil || string(data) != test.body {
				t.Errorf("got %q, %v", data, err)
			}
		})
	}
}
