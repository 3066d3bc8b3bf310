package oss_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
	"taxilake/lakekit/oss"
	"taxilake/lakekit/oss/ossserver"
)

// unreliable puts a gateway before an embedded server: meddle sees the nth
// request (from 1) and tells whether it has answered it itself.
func unreliable(t *testing.T, meddle func(n int64, w http.ResponseWriter, r *http.Request, pass http.Handler) (answered bool)) *oss.Client {
	t.Helper()
	store, err := ossserver.New(ossserver.Options{Dir: t.TempDir(), AccessKeyID: "test-id", AccessKeySecret: "test-secret"})
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int64
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.Count(r.URL.Path, "/") <= 2 && strings.HasSuffix(r.URL.Path, "/") {
			store.ServeHTTP(w, r) // creation of the bucket
			return
		}
		if !meddle(requests.Add(1), w, r, store) {
			store.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(gateway.Close)
	client := newClient(t, gateway.URL, "lake")
	if err := client.CreateBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	return client
}

func newClient(t *testing.T, endpoint, bucket string) *oss.Client {
	t.Helper()
	client, err := oss.NewClient(oss.ClientConfig{
		Endpoint: endpoint, Region: "cn-hangzhou", Bucket: bucket, AccessKeyID: "test-id", AccessKeySecret: "test-secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	oss.WithoutBackoff(client)
	return client
}

func abort(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func unavailable(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }

func TestClientRetries(t *testing.T) {
	for name, fault := range map[string]func(http.ResponseWriter){"broken connection": abort, "503": unavailable} {
		t.Run(name, func(t *testing.T) {
			var failures atomic.Int64
			client := unreliable(t, func(_ int64, w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
				if failures.Add(-1) >= 0 {
					fault(w)
					return true
				}
				return false
			})
			ctx := t.Context()
			var key string
			operations := map[string]func() error{
				"put":   func() error { return client.Put(ctx, key, strings.NewReader("content")) },
				"get":   func() error { _, err := blob.ReadAll(ctx, client, key); return err },
				"range": func() error { _, err := client.GetRange(ctx, key, 1, 2); return err },
				"head":  func() error { _, err := client.Head(ctx, key); return err },
				"list": func() error {
					for _, err := range client.List(ctx, blob.ListOptions{}) {
						return err
					}
					return errors.New("empty")
				},
				"delete":  func() error { return client.Delete(ctx, key) },
				"deletes": func() error { return client.Delete(ctx, key, "other") },
			}
			for _, op := range []string{"put", "get", "range", "head", "list", "deletes", "delete"} {
				key = "folder/key"
				failures.Store(4)
				if err := operations[op](); err != nil {
					t.Errorf("%s after 4 failures: %v", op, err)
				}
				failures.Store(100)
				if err := operations[op](); err == nil {
					t.Errorf("%s succeeded without an answer", op)
				}
				// net/http repeats by itself what was sent on a kept connection.
				if sent := 100 - failures.Load(); sent > 10 {
					t.Errorf("%s was sent %d times", op, sent)
				}
				if op == "delete" || op == "deletes" {
					continue
				}
				failures.Store(0)
				if got, err := blob.ReadAll(ctx, client, key); err != nil || string(got) != "content" {
					t.Errorf("after %s: %q, %v", op, got, err)
				}
			}
		})
	}
}

// TestPutIfAbsentIsSentOnce: a second sending could be refused because of the
// first, and tell the winner that it has lost.
func TestPutIfAbsentIsSentOnce(t *testing.T) {
	for name, test := range map[string]struct {
		stored bool
		fault  func(http.ResponseWriter)
	}{
		"lost on its way":  {false, abort},
		"answer lost":      {true, abort},
		"503":              {false, unavailable},
		"500 after stored": {true, func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }},
	} {
		t.Run(name, func(t *testing.T) {
			var puts atomic.Int64
			client := unreliable(t, func(_ int64, w http.ResponseWriter, r *http.Request, store http.Handler) bool {
				if r.Method != http.MethodPut {
					return false
				}
				if puts.Add(1); test.stored {
					store.ServeHTTP(httptest.NewRecorder(), r)
				}
				test.fault(w)
				return true
			})
			err := client.PutIfAbsent(t.Context(), "log/0.json", strings.NewReader("mine"))
			if err == nil || errors.Is(err, blob.ErrExist) {
				t.Errorf("error %v", err)
			}
			if n := puts.Load(); n != 1 {
				t.Errorf("sent %d times", n)
			}
			// The caller reads it back.
			data, err := blob.ReadAll(t.Context(), client, "log/0.json")
			if test.stored && string(data) != "mine" || !test.stored && !errors.Is(err, blob.ErrNotExist) {
				t.Errorf("read back %q, %v", data, err)
			}
		})
	}
}

// TestDownloadResumes: a connection that breaks in the middle is replaced.
func TestDownloadResumes(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	for _, test := range []struct {
		name    string
		breaks  int64 // the answers that break off
		replace bool  // the object is another after the first
		read    func(*oss.Client) (io.ReadCloser, error)
		want    []byte
	}{
		{"whole", 3, false, func(c *oss.Client) (io.ReadCloser, error) { return c.Get(t.Context(), "k") }, content},
		{"range", 3, false, func(c *oss.Client) (io.ReadCloser, error) { return c.GetRange(t.Context(), "k", 7, 900_000) }, content[7:900_007]},
		{"to the end", 3, false, func(c *oss.Client) (io.ReadCloser, error) { return c.GetRange(t.Context(), "k", 7, -1) }, content[7:]},
		{"replaced meanwhile", 1, true, func(c *oss.Client) (io.ReadCloser, error) { return c.Get(t.Context(), "k") }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var gets atomic.Int64
			client := unreliable(t, func(_ int64, w http.ResponseWriter, r *http.Request, store http.Handler) bool {
				if r.Method != http.MethodGet || gets.Add(1) > test.breaks {
					return false
				}
				answer := httptest.NewRecorder()
				store.ServeHTTP(answer, r)
				for name, values := range answer.Header() {
					w.Header()[name] = values
				}
				w.WriteHeader(answer.Code)
				w.Write(answer.Body.Bytes()[:100_000])
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			})
			if err := client.Put(t.Context(), "k", bytes.NewReader(content)); err != nil {
				t.Fatal(err)
			}
			body, err := test.read(client)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			if test.replace {
				if err := client.Put(t.Context(), "k", bytes.NewReader(content[1:])); err != nil {
					t.Fatal(err)
				}
			}
			got, err := io.ReadAll(body)
			if test.want == nil {
				if err == nil {
					t.Error("parts of two versions were put together")
				}
				return
			}
			if err != nil || !bytes.Equal(got, test.want) {
				t.Errorf("got %d bytes, %v; want %d", len(got), err, len(test.want))
			}
		})
	}
}

func TestDamagedDownload(t *testing.T) {
	client := unreliable(t, func(_ int64, w http.ResponseWriter, r *http.Request, store http.Handler) bool {
		if r.Method != http.MethodGet {
			return false
		}
		answer := httptest.NewRecorder()
		store.ServeHTTP(answer, r)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		body := answer.Body.Bytes()
		body[3] ^= 1
		w.Write(body)
		return true
	})
	if err := client.Put(t.Context(), "k", strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	if _, err := blob.ReadAll(t.Context(), client, "k"); err == nil || !strings.Contains(err.Error(), "CRC-64") {
		t.Errorf("error %v", err)
	}
}

// TestClientErrors: what a student reads names the object and the next step,
// and never a secret.
func TestClientErrors(t *testing.T) {
	store, err := ossserver.New(ossserver.Options{Dir: t.TempDir(), AccessKeyID: "test-id", AccessKeySecret: "test-secret", Region: "cn-hangzhou"})
	if err != nil {
		t.Fatal(err)
	}
	running := httptest.NewServer(store)
	t.Cleanup(running.Close)
	full := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInsufficientStorage)
		io.WriteString(w, "<Error><Code>InsufficientStorage</Code><Message>The disk is full.</Message></Error>")
	}))
	t.Cleanup(full.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	listener.Close()

	right := oss.ClientConfig{Endpoint: running.URL, Region: "cn-hangzhou", Bucket: "lake", AccessKeyID: "test-id", AccessKeySecret: "test-secret"}
	with := func(change func(*oss.ClientConfig)) oss.ClientConfig {
		config := right
		change(&config)
		return config
	}
	for _, test := range []struct {
		name   string
		config oss.ClientConfig
		kind   error
		want   []string
	}{
		{"no bucket", right, blob.ErrNoBucket, []string{"put oss://lake/a/b", "NoSuchBucket", `create the bucket "lake" at ` + running.URL, "request "}},
		{"wrong secret", with(func(c *oss.ClientConfig) { c.AccessKeySecret = "wrong-secret" }), blob.ErrDenied,
			[]string{"put oss://lake/a/b", "SignatureDoesNotMatch", "OSS_ACCESS_KEY_SECRET"}},
		{"wrong id", with(func(c *oss.ClientConfig) { c.AccessKeyID = "other-id" }), blob.ErrDenied, []string{"InvalidAccessKeyId", "OSS_ACCESS_KEY_ID"}},
		{"wrong region", with(func(c *oss.ClientConfig) { c.Region = "cn-beijing" }), blob.ErrDenied, []string{"cn-hangzhou"}},
		{"not running", with(func(c *oss.ClientConfig) { c.Endpoint = closed }), blob.ErrUnavailable,
			[]string{"put oss://lake/a/b", "no answer from the object store at " + closed, "refused", "`lakekit up`", "OSS_ENDPOINT"}},
		{"full", with(func(c *oss.ClientConfig) { c.Endpoint = full.URL }), blob.ErrUnavailable, []string{"InsufficientStorage", "free disk space"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, err := oss.NewClient(test.config)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			oss.WithoutBackoff(client)
			for op, err := range map[string]error{
				"put":           client.Put(t.Context(), "a/b", strings.NewReader("x")),
				"put if absent": client.PutIfAbsent(t.Context(), "a/b", strings.NewReader("x")),
			} {
				if err == nil {
					t.Fatal("no error")
				}
				if errors.Is(err, blob.ErrExist) || errors.Is(err, blob.ErrNotExist) {
					t.Errorf("%v is taken for a fact about the object", err)
				}
				if !errors.Is(err, test.kind) {
					t.Errorf("%v is no error of the kind: %v", err, test.kind)
				}
				for _, part := range test.want {
					if part = strings.Replace(part, "put ", op+" ", 1); !strings.Contains(err.Error(), part) {
						t.Errorf("%q lacks %q", err, part)
					}
				}
				if strings.Contains(err.Error(), "-secret") {
					t.Errorf("a secret is in %q", err)
				}
			}
		})
	}
}

func TestNewClientConfig(t *testing.T) {
	right := oss.ClientConfig{Endpoint: "http://user:pa%20ss@127.0.0.1:1/x", Bucket: "lake", AccessKeyID: "id", AccessKeySecret: "secret"}
	for want, change := range map[string]func(*oss.ClientConfig){
		"OSS_ENDPOINT":          func(c *oss.ClientConfig) { c.Endpoint = "" },
		"OSS_BUCKET":            func(c *oss.ClientConfig) { c.Bucket = "" },
		"OSS_ACCESS_KEY_ID":     func(c *oss.ClientConfig) { c.AccessKeyID = "" },
		"OSS_ACCESS_KEY_SECRET": func(c *oss.ClientConfig) { c.AccessKeySecret = "" },
		"correct OSS_ENDPOINT":  func(c *oss.ClientConfig) { c.Endpoint = "ftp://x" },
		"correct OSS_BUCKET":    func(c *oss.ClientConfig) { c.Bucket = "Not A Bucket" },
	} {
		config := right
		change(&config)
		if _, err := oss.NewClient(config); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret ") && !strings.Contains(want, "SECRET") {
			t.Errorf("error %v, want one that says %s", err, want)
		}
	}
	client, err := oss.NewClient(right)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	oss.WithoutBackoff(client)
	if _, err := client.Head(t.Context(), "k"); err == nil || strings.Contains(err.Error(), "pa") && strings.Contains(err.Error(), "ss@") {
		t.Errorf("the password of the endpoint is in %v", err)
	}
	if path, ok := blob.LocalPath(client, "k"); ok {
		t.Errorf("LocalPath of a remote bucket: %s", path)
	}
}

// slowBody would be read on after the put has failed, were it not taken back.
type slowBody struct {
	*strings.Reader
	returned *atomic.Bool
	late     *atomic.Int64
}

func (b slowBody) Read(p []byte) (int, error) {
	if b.returned.Load() {
		b.late.Add(1)
	}
	return b.Reader.Read(p[:1])
}

func TestBodyIsTheCallersAgain(t *testing.T) {
	client := unreliable(t, func(_ int64, w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		w.WriteHeader(http.StatusForbidden) // without having read the body
		return true
	})
	body := slowBody{strings.NewReader(strings.Repeat("x", 1<<20)), new(atomic.Bool), new(atomic.Int64)}
	if err := client.PutIfAbsent(t.Context(), "k", body); err == nil {
		t.Fatal("no error")
	}
	body.returned.Store(true)
	client.Close()
	if late := body.late.Load(); late != 0 {
		t.Errorf("%d reads after the put returned", late)
	}
}

func TestDeadline(t *testing.T) {
	hang := make(chan struct{})
	client := unreliable(t, func(_ int64, w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		return true
	})
	defer close(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	if _, err := client.Head(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestProvePutIfAbsent(t *testing.T) {
	if err := oss.ProvePutIfAbsent(t.Context(), openClient(t, "cn-hangzhou")); err != nil {
		t.Error(err)
	}
	store := blob.NewMemory("lake")
	if err := oss.ProvePutIfAbsent(t.Context(), store); err != nil {
		t.Error(err)
	}
	for info := range store.List(t.Context(), blob.ListOptions{}) {
		t.Errorf("left behind: %s", info.Key)
	}

	// A bucket with versioning takes x-oss-forbid-overwrite and overwrites.
	backend, err := ossserver.New(ossserver.Options{Dir: t.TempDir(), AccessKeyID: "test-id", AccessKeySecret: "test-secret"})
	if err != nil {
		t.Fatal(err)
	}
	embedded := httptest.NewServer(backend)
	t.Cleanup(embedded.Close)
	if err := newClient(t, embedded.URL, "lake").CreateBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	versioned := overwriting{newClient(t, embedded.URL, "lake")}
	if err := oss.ProvePutIfAbsent(t.Context(), versioned); err == nil || !strings.Contains(err.Error(), "versioning") {
		t.Errorf("error %v", err)
	}
	broken := blobtest.Faults(store, blobtest.FailNth(blobtest.PutIfAbsent, "*", 1, io.ErrUnexpectedEOF))
	if err := oss.ProvePutIfAbsent(t.Context(), broken); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}

type overwriting struct{ blob.Bucket }

func (b overwriting) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	return b.Put(ctx, key, body)
}

// TestThroughProxy: a reverse proxy between client and store keeps signatures
// and keys intact.
func TestThroughProxy(t *testing.T) {
	store, err := ossserver.New(ossserver.Options{Dir: t.TempDir(), AccessKeyID: "test-id", AccessKeySecret: "test-secret"})
	if err != nil {
		t.Fatal(err)
	}
	backend := httptest.NewServer(store)
	t.Cleanup(backend.Close)
	address, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(httputil.NewSingleHostReverseProxy(address))
	t.Cleanup(proxy.Close)
	client := newClient(t, proxy.URL, "lake")
	if err := client.CreateBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	key := "day=1/a b+c%20上.json"
	if err := client.Put(t.Context(), key, strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	if data, err := blob.ReadAll(t.Context(), client, key); err != nil || string(data) != "content" {
		t.Errorf("got %q, %v", data, err)
	}
}
