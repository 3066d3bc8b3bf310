package ossserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// counted is an endless body of one kind of bytes, that counts what is read.
type counted struct {
	pattern string
	n       int64
}

func (c *counted) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = c.pattern[(c.n+int64(i))%int64(len(c.pattern))]
	}
	c.n += int64(len(p))
	return len(p), nil
}

func newRequest(t *testing.T, method, target string, body io.Reader, header ...string) *http.Request {
	t.Helper()
	hr := httptest.NewRequestWithContext(t.Context(), method, target, body)
	for i := 0; i < len(header); i += 2 {
		hr.Header.Set(header[i], header[i+1])
	}
	return hr
}

// TestNothingIsReadBeforeTheSignature: the header alone tells who may be served.
func TestNothingIsReadBeforeTheSignature(t *testing.T) {
	s := newServer(t)
	for name, header := range map[string][]string{
		"unsigned":  nil,
		"wrong V1":  {"Authorization", "OSS id:bm8=", "Date", time.Now().UTC().Format(http.TimeFormat)},
		"wrong id":  {"Authorization", "OSS other:bm8=", "Date", time.Now().UTC().Format(http.TimeFormat)},
		"old":       {"Authorization", "OSS id:bm8=", "Date", "Mon, 02 Jan 2006 15:04:05 GMT"},
		"malformed": {"Authorization", "OSS4-HMAC-SHA256 nothing"},
		"S3's":      {"Authorization", "AWS4-HMAC-SHA256 Credential=id"},
		"V4, hash":  {"Authorization", "OSS4-HMAC-SHA256 Credential=id/20260101/r/oss/aliyun_v4_request,Signature=0", "X-Oss-Content-Sha256", strings.Repeat("0", 64)},
	} {
		for _, call := range [][2]string{{"PUT", "/lake/k"}, {"POST", "/lake?delete"}, {"PUT", "/lake/../k"}, {"PUT", "/lake"}} {
			body := &counted{pattern: "x"}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, newRequest(t, call[0], call[1], body, header...))
			if w.Code != 400 && w.Code != 403 || body.n > 0 || w.Header().Get("Connection") != "close" {
				t.Errorf("%s, %s %s: %d, %d bytes read, connection %q", name, call[0], call[1], w.Code, body.n, w.Header().Get("Connection"))
			}
		}
	}
}

// dialed is a connection to the server, as net/http serves it.
func dialed(t *testing.T, s *server) net.Conn {
	t.Helper()
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	conn, err := net.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestTheUnsignedAreAnsweredAndLetGo: an announced body is not waited for, nor is it asked for.
func TestTheUnsignedAreAnsweredAndLetGo(t *testing.T) {
	for _, header := range []string{"Content-Length: 1073741824", "Content-Length: 5", "Transfer-Encoding: chunked", "Content-Length: 5\r\nExpect: 100-continue"} {
		t.Run(header, func(t *testing.T) {
			conn := dialed(t, newServer(t))
			fmt.Fprintf(conn, "PUT /lake/k HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", header)
			answer, err := io.ReadAll(conn) // until the server closes
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 403 Forbidden\r\n") || !strings.Contains(string(answer), "<Code>AccessDenied</Code>") {
				t.Errorf("%v\n%s", err, answer)
			}
		})
	}
}

// TestRefusedBodiesAreNotAskedFor: who waits for "100 Continue" is told by the answer.
func TestRefusedBodiesAreNotAskedFor(t *testing.T) {
	s := newServer(t)
	conn := dialed(t, s)
	hr := newRequest(t, "PUT", "http://a/absent/k", nil)
	sign(s, hr)
	fmt.Fprintf(conn, "PUT /absent/k HTTP/1.1\r\nHost: a\r\nDate: %s\r\nAuthorization: %s\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
		hr.Header.Get("Date"), hr.Header.Get("Authorization"))
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 404 Not Found\r\n") {
		t.Errorf("%v\n%s", err, answer)
	}
	// And who may send is asked to.
	conn = dialed(t, s)
	hr = newRequest(t, "PUT", "http://a/lake/k", nil)
	sign(s, hr)
	fmt.Fprintf(conn, "PUT /lake/k HTTP/1.1\r\nHost: a\r\nDate: %s\r\nAuthorization: %s\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
		hr.Header.Get("Date"), hr.Header.Get("Authorization"))
	lines := bufio.NewReader(conn)
	if line, err := lines.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	lines.ReadString('\n')
	io.WriteString(conn, "12345")
	if line, err := lines.ReadString('\n'); err != nil || line != "HTTP/1.1 200 OK\r\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// TestBodiesAreBounded: of what is too long, little is read before it is refused.
func TestBodiesAreBounded(t *testing.T) {
	s := newServer(t)
	_, upload, _ := strings.Cut(do(t, s, "POST", "/lake/parts?uploads", nil).Body.String(), "<UploadId>")
	upload, _, _ = strings.Cut(upload, "<")
	for _, test := range []struct {
		name, method, target string
		body                 io.Reader
		length               int64 // as the header says, -1: chunked
		most                 int64 // bytes read
		code                 string
	}{
		{"an object of more than 5 GB", "PUT", "/lake/k", &counted{pattern: "x"}, maxObject + 1, 0, "EntityTooLarge"},
		{"a part of more than 5 GB", "PUT", "/lake/parts?partNumber=1&uploadId=" + upload, &counted{pattern: "x"}, maxObject + 1, 0, "EntityTooLarge"},
		{"a long list", "POST", "/lake?delete", &counted{pattern: "<Delete>"}, maxXML + 1, 0, "MalformedXML"},
		{"a list without an end", "POST", "/lake?delete", after("<Delete>", "<Quiet>true</Quiet>"), -1, maxXML, "MalformedXML"},
		{"a text without an end", "POST", "/lake?delete", after("<Delete>", " "), -1, maxTag, "MalformedXML"},
		{"a key without an end", "POST", "/lake?delete", after("<Delete><Object><Key>", "k"), -1, maxTag, "MalformedXML"},
		{"a name without an end", "POST", "/lake?delete", after("<", "k"), -1, maxTag, "MalformedXML"},
		{"attributes without an end", "POST", "/lake?delete", after("<Delete", ` a=">"`), -1, maxTag, "MalformedXML"},
		{"an instruction without an end", "POST", "/lake?delete", after("<?a ", "< "), -1, maxTag, "MalformedXML"},
		{"instructions without an end", "POST", "/lake?delete", after("", "<?a b?>"), -1, maxXML, "MalformedXML"},
		{"a comment", "POST", "/lake?delete", after("<!--", "<"), -1, 0, "MalformedXML"},
		{"a CDATA section", "POST", "/lake?delete", after("<Delete><![CDATA[", "<"), -1, 0, "MalformedXML"},
		{"more than 1,000 keys", "POST", "/lake?delete", after("<Delete>", "<Object><Key>k</Key></Object>"), -1, 64 << 10, "MalformedXML"},
		{"empty objects", "POST", "/lake?delete", after("<Delete>", "<Object/>"), -1, 64 << 10, "MalformedXML"},
		{"elements in elements", "POST", "/lake?delete", &counted{pattern: "<Delete>"}, -1, 16 << 10, "MalformedXML"},
		{"unknown elements in elements", "POST", "/lake?delete", after("<Delete>", "<a>"), -1, 16 << 10, "MalformedXML"},
		{"more than 10,000 parts", "POST", "/lake/parts?uploadId=" + upload, after("<CompleteMultipartUpload>", "<Part><PartNumber>1</PartNumber></Part>"), -1, 512 << 10, "MalformedXML"},
		{"a configuration without an end", "PUT", "/new", after("<CreateBucketConfiguration>", " "), -1, maxTag, "MalformedXML"},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := &metered{Reader: test.body}
			hr := newRequest(t, test.method, "http://a"+test.target, body, "Expect", "100-continue")
			hr.ContentLength = test.length
			sign(s, hr)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, hr)
			if w.Code != 400 || !strings.Contains(w.Body.String(), "<Code>"+test.code+"</Code>") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if body.n > test.most+(8<<10) {
				t.Errorf("%d bytes were read, of at most %d", body.n, test.most)
			}
		})
	}
	if files := allFiles(t, s); len(files) != 1 {
		t.Errorf("files %q", files)
	}
}

// TestLongestDocuments: all that OSS takes is taken.
func TestLongestDocuments(t *testing.T) {
	s := newServer(t)
	var order, parts strings.Builder
	order.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<Delete>\n  <Quiet>true</Quiet>\n")
	for i := range maxKeys {
		fmt.Fprintf(&order, "  <Object>\n    <Key>%04d%s</Key>\n  </Object>\n", i, strings.Repeat("/"+strings.Repeat("&amp;", 99), 3))
	}
	order.WriteString("</Delete>")
	if w := do(t, s, "POST", "/lake?delete", strings.NewReader(order.String())); w.Code != 200 {
		t.Errorf("%d keys: %d %s", maxKeys, w.Code, w.Body)
	}
	longest := "<Delete><Object><Key>" + strings.Repeat(strings.Repeat("&#x00000041;", 255)+"/", 3) + strings.Repeat("&#x00000041;", 255) + "</Key></Object></Delete>"
	if w := do(t, s, "POST", "/lake?delete", strings.NewReader(longest)); w.Code != 200 {
		t.Errorf("the longest key: %d %s", w.Code, w.Body)
	}
	_, upload, _ := strings.Cut(do(t, s, "POST", "/lake/parts?uploads", nil).Body.String(), "<UploadId>")
	upload, _, _ = strings.Cut(upload, "<")
	parts.WriteString("<CompleteMultipartUpload>")
	for i := range maxParts {
		fmt.Fprintf(&parts, `<Part><PartNumber>%d</PartNumber><ETag>"%032d"</ETag></Part>`, i+1, i)
	}
	parts.WriteString("</CompleteMultipartUpload>")
	if w := do(t, s, "POST", "/lake/parts?uploadId="+upload, strings.NewReader(parts.String())); !strings.Contains(w.Body.String(), "InvalidPart") {
		t.Errorf("%d parts: %d %s", maxParts, w.Code, w.Body)
	}
}

func after(beginning, pattern string) io.Reader {
	return io.MultiReader(strings.NewReader(beginning), &counted{pattern: pattern})
}

type metered struct {
	io.Reader
	n int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.n += int64(n)
	return n, err
}

func TestQueriesAreBounded(t *testing.T) {
	s := newServer(t)
	if w := do(t, s, "GET", "/lake?prefix="+strings.Repeat("k", maxQuery), nil); w.Code != 400 || !strings.Contains(w.Body.String(), "longer than 16 KB") {
		t.Errorf("%d %.200s", w.Code, w.Body)
	}
	if w := do(t, s, "GET", "/lake?prefix="+strings.Repeat("%E4%B8%8A", 341), nil); w.Code != 200 {
		t.Errorf("the longest prefix: %d %.200s", w.Code, w.Body)
	}
}

// TestUnfinishedUploadsAreBounded: there are so many, and none for ever.
func TestUnfinishedUploadsAreBounded(t *testing.T) {
	s := newServer(t)
	now := time.Now()
	s.options.Clock = func() time.Time { return now }
	initiate := func() *httptest.ResponseRecorder { return do(t, s, "POST", "/lake/k?uploads", nil) }
	for i := range maxUploads - 1 {
		if err := os.Mkdir(filepath.Join(s.options.Dir, uploadsDir, fmt.Sprintf("UPLOAD%d", i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if w := initiate(); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := initiate(); w.Code != 400 || !strings.Contains(w.Body.String(), "TooManyUploads") {
		t.Errorf("one more: %d %s", w.Code, w.Body)
	}
	if w := do(t, s, "DELETE", "/lake", nil); w.Code != 409 || !strings.Contains(w.Body.String(), "unfinished multipart uploads") {
		t.Errorf("the bucket: %d %s", w.Code, w.Body)
	}
	now = now.Add(uploadTime + time.Hour)
	if w := initiate(); w.Code != 200 {
		t.Errorf("a week later: %d %s", w.Code, w.Body)
	}
	if entries, err := os.ReadDir(filepath.Join(s.options.Dir, uploadsDir)); err != nil || len(entries) != 1 {
		t.Errorf("%d uploads are left, %v", len(entries), err)
	}
	now = now.Add(uploadTime + time.Hour)
	if _, err := New(s.options); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Join(s.options.Dir, uploadsDir)); err != nil || len(entries) != 0 {
		t.Errorf("%d uploads are left after a start, %v", len(entries), err)
	}
}

// TestWorkEndsWithItsClient: nobody is left to copy, list or put for.
func TestWorkEndsWithItsClient(t *testing.T) {
	s := newServer(t)
	do(t, s, "PUT", "/lake/k", strings.NewReader("content"))
	do(t, s, "POST", "/other/parts?uploads", nil)
	for _, call := range [][]string{
		{"GET", "/lake"}, {"GET", "/lake?stat"}, {"PUT", "/lake/copy", "X-Oss-Copy-Source", "/lake/k"}, {"PUT", "/lake/new"}, {"DELETE", "/lake/k"},
		{"DELETE", "/lake"}, {"GET", "/other?uploads"},
	} {
		hr := newRequest(t, call[0], "http://a"+call[1], strings.NewReader("x"), call[2:]...)
		sign(s, hr)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, hr.WithContext(ctx))
		if w.Code != 503 {
			t.Errorf("%s %s: %d %s", call[0], call[1], w.Code, w.Body)
		}
	}
	if files := allFiles(t, s); len(files) != 2 || files[1] != "lake/k" {
		t.Errorf("files %q", files)
	}
}

// TestAStalledBodyIsNoObject: net/http takes a client that stalls for one that is
// gone; it is answered all the same.
func TestAStalledBodyIsNoObject(t *testing.T) {
	s := newServer(t)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetReadDeadline(time.Now()); err != nil {
			t.Error(err)
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	for _, call := range [][2]string{{"PUT", "/lake/k"}, {"PUT", "/new"}, {"POST", "/lake?delete"}} {
		hr := newRequest(t, call[0], "http://a"+call[1], nil)
		sign(s, hr)
		conn, err := net.Dial("tcp", web.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: a\r\nDate: %s\r\nAuthorization: %s\r\nContent-Length: 10\r\n\r\n",
			call[0], call[1], hr.Header.Get("Date"), hr.Header.Get("Authorization"))
		answer, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 Bad Request\r\n") || !strings.Contains(string(answer), "<Code>RequestTimeout</Code>") {
			t.Errorf("%s %s: %v\n%s", call[0], call[1], err, answer)
		}
	}
	if files := allFiles(t, s); len(files) != 0 {
		t.Errorf("files %q", files)
	}
}

// TestWhatIsNotThereIsRefused: what would change the meaning of a request is not ignored.
func TestWhatIsNotThereIsRefused(t *testing.T) {
	s := newServer(t)
	do(t, s, "PUT", "/lake/k", strings.NewReader("content"))
	for _, test := range []struct {
		method, target string
		header         []string
		status         int
		code           string
	}{
		{"PUT", "/lake/k?objectRetention", nil, 501, "NotImplemented"},
		{"PUT", "/lake/k?something-new", nil, 501, "NotImplemented"},
		{"GET", "/lake/k?legalHold", nil, 501, "NotImplemented"},
		{"PUT", "/lake/k?uploads", nil, 405, "MethodNotAllowed"},
		{"DELETE", "/lake?uploads", nil, 405, "MethodNotAllowed"},
		{"DELETE", "/lake?acl", nil, 405, "MethodNotAllowed"},
		{"DELETE", "/lake/k?acl", nil, 405, "MethodNotAllowed"},
		{"PUT", "/lake/k", []string{"X-Oss-Storage-Class", "IA"}, 501, "NotImplemented"},
		{"PUT", "/lake/k", []string{"X-Oss-Object-Acl", "public-read"}, 501, "NotImplemented"},
		{"PUT", "/lake/k", []string{"X-Oss-Server-Side-Encryption", "AES256"}, 501, "NotImplemented"},
		{"PUT", "/lake/k", []string{"X-Oss-Tagging", "a=b"}, 501, "NotImplemented"},
		{"PUT", "/lake/k", []string{"X-Oss-Callback", "e30="}, 501, "NotImplemented"},
		{"PUT", "/lake/k", []string{"If-None-Match", "*"}, 400, "NotImplemented"}, // S3's way to forbid overwriting
		{"PUT", "/lake/k", []string{"If-Match", `"0"`}, 400, "NotImplemented"},
		{"DELETE", "/lake/k", []string{"If-Match", `"0"`}, 400, "NotImplemented"},
		{"PUT", "/lake/k", []string{"X-Oss-Copy-Source", "/lake/k?versionId=1"}, 501, "NotImplemented"},
		{"PUT", "/lake/k", []string{"X-Oss-Copy-Source", "/lake/k", "X-Oss-Metadata-Directive", "MERGE"}, 400, "InvalidArgument"},
		{"PUT", "/cold", []string{"X-Oss-Acl", "public-read-write"}, 501, "NotImplemented"},
		{"PUT", "/lake?acl", nil, 400, "InvalidArgument"},
		{"GET", "/lake?max-keys=0", nil, 400, "InvalidArgument"},
		{"GET", "/lake?max-keys=1001", nil, 400, "InvalidArgument"},
		{"GET", "/lake?uploads&max-uploads=1001", nil, 400, "InvalidArgument"},
	} {
		w := do(t, s, test.method, test.target, strings.NewReader("changed"), test.header...)
		if w.Code != test.status || !strings.Contains(w.Body.String(), "<Code>"+test.code+"</Code>") {
			t.Errorf("%s %s %q: %d %s", test.method, test.target, test.header, w.Code, w.Body)
		}
	}
	if got := do(t, s, "GET", "/lake/k", nil).Body.String(); got != "content" {
		t.Errorf("k = %q", got)
	}
	if w := do(t, s, "HEAD", "/cold", nil); w.Code != 404 {
		t.Errorf("a bucket was made: %d", w.Code)
	}
}

// TestTimesAreThoseOfOSS: its clients know no other form.
func TestTimesAreThoseOfOSS(t *testing.T) {
	s := newServer(t)
	do(t, s, "PUT", "/lake/k", strings.NewReader("content"))
	path := filepath.Join(s.options.Dir, "lake", "k")
	if err := os.Chtimes(path, time.Time{}, time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.UTC)); err != nil {
		t.Fatal(err)
	}
	if got := do(t, s, "GET", "/lake", nil).Body.String(); !strings.Contains(got, "<LastModified>2026-02-03T04:05:06.000Z</LastModified>") {
		t.Errorf("listed: %s", got)
	}
	if got := do(t, s, "HEAD", "/lake/k", nil).Header().Get("Last-Modified"); got != "Tue, 03 Feb 2026 04:05:06 GMT" {
		t.Errorf("Last-Modified: %s", got)
	}
	_, upload, _ := strings.Cut(do(t, s, "POST", "/lake/parts?uploads", nil).Body.String(), "<UploadId>")
	upload, _, _ = strings.Cut(upload, "<")
	do(t, s, "PUT", "/lake/parts?partNumber=1&uploadId="+upload, strings.NewReader("x"))
	for target, element := range map[string]string{
		"/": "CreationDate", "/lake?bucketInfo": "CreationDate", "/lake?uploads": "Initiated", "/lake/parts?uploadId=" + upload: "LastModified",
	} {
		_, text, _ := strings.Cut(do(t, s, "GET", target, nil).Body.String(), "<"+element+">")
		text, _, _ = strings.Cut(text, "<")
		if _, err := time.Parse("2006-01-02T15:04:05.000Z", text); err != nil || !strings.HasSuffix(text, ".000Z") {
			t.Errorf("%s of %s: %q", element, target, text)
		}
	}
}
