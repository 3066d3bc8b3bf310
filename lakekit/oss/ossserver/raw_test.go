package ossserver

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func newServer(t testing.TB) *server {
	t.Helper()
	handler, err := New(Options{
		Dir: filepath.Join(t.TempDir(), "store"), AccessKeyID: "id", AccessKeySecret: "secret",
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := handler.(*server)
	for _, dir := range []string{"lake", "other"} {
		if err := os.Mkdir(filepath.Join(s.options.Dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// sign signs a request as its own sender would.
func sign(s *server, hr *http.Request) {
	hr.Header.Set("Date", s.options.Clock().UTC().Format(http.TimeFormat))
	r := &request{Request: hr}
	if r.parse() == nil {
		hr.Header.Set("Authorization", "OSS id:"+s.signatureV1(r, hr.Header.Get("Date")).value)
	}
}

// do sends a request by the bytes of its target.
func do(t testing.TB, s *server, method, target string, body io.Reader, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	hr, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		hr.Header.Set(header[i], header[i+1])
	}
	if body == nil {
		body = http.NoBody
	}
	hr.Body = io.NopCloser(body)
	sign(s, hr)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, hr)
	return w
}

func TestRawRequests(t *testing.T) {
	s := newServer(t)
	outside := filepath.Join(s.options.Dir, "..", "outside")
	if err := os.WriteFile(outside, []byte("not of the store"), 0o644); err != nil {
		t.Fatal(err)
	}
	upload := do(t, s, "POST", "/lake/parts?uploads", nil).Body.String()
	_, upload, _ = strings.Cut(upload, "<UploadId>")
	upload, _, _ = strings.Cut(upload, "<")

	for _, test := range []struct {
		method, target, body string
		header               []string
		status               int
		code                 string
	}{
		{"PUT", "/lake/../../outside", "x", nil, 400, "InvalidObjectName"},
		{"PUT", "/lake/..%2F..%2Foutside", "x", nil, 400, "InvalidObjectName"},
		{"GET", "/lake/%2e%2e/%2e%2e/outside", "", nil, 400, "InvalidObjectName"},
		{"GET", "/lake/a/../../../outside", "", nil, 400, "InvalidObjectName"},
		{"GET", "/lake/./a", "", nil, 400, "InvalidObjectName"},
		{"GET", "/lake//etc/passwd", "", nil, 400, "InvalidObjectName"},
		{"GET", "/lake/%2Fetc/passwd", "", nil, 400, "InvalidObjectName"},
		{"GET", `/lake/%5Cetc`, "", nil, 400, "InvalidObjectName"},
		{"PUT", "/lake/a%00b", "x", nil, 400, "InvalidObjectName"},
		{"PUT", "/lake/a/", "x", nil, 400, "InvalidObjectName"},
		{"PUT", "/lake/%ff", "x", nil, 400, "InvalidObjectName"},
		{"PUT", "/lake/" + strings.Repeat("k", 256), "x", nil, 400, "InvalidObjectName"},
		{"PUT", "/lake/" + strings.Repeat("k/", 512), "x", nil, 400, "InvalidObjectName"},
		{"GET", "/../outside", "", nil, 400, "InvalidBucketName"},
		{"GET", "/..%2Foutside", "", nil, 400, "InvalidBucketName"},
		{"GET", "/.oss/staging", "", nil, 400, "InvalidBucketName"},
		{"PUT", "/.oss", "", nil, 400, "InvalidBucketName"},
		{"PUT", "/Lake", "", nil, 400, "InvalidBucketName"},
		{"PUT", "/la%00ke", "", nil, 400, "InvalidBucketName"},
		{"PUT", "/" + strings.Repeat("b", 64), "", nil, 400, "InvalidBucketName"},
		{"GET", "//a", "", nil, 400, "InvalidBucketName"},
		{"GET", "/lake/a?%zz", "", nil, 400, "InvalidArgument"},
		{"PUT", "/lake/a", "x", []string{"X-Oss-Copy-Source", "/lake/../../outside"}, 400, "InvalidObjectName"},
		{"PUT", "/lake/a", "x", []string{"X-Oss-Copy-Source", "/lake/..%2f..%2foutside"}, 400, "InvalidObjectName"},
		{"PUT", "/lake/a", "x", []string{"X-Oss-Copy-Source", "/../outside"}, 400, "InvalidBucketName"},
		{"PUT", "/lake/a", "x", []string{"X-Oss-Copy-Source", "%zz"}, 400, "InvalidArgument"},
		{"POST", "/lake?delete", "<Delete><Object><Key>../../outside</Key></Object></Delete>", nil, 400, "InvalidObjectName"},
		{"POST", "/lake?delete", "<Delete>", nil, 400, "MalformedXML"},
		{"POST", "/lake?delete", "<Delete/>", nil, 400, "MalformedXML"},
		{"POST", "/lake?delete", `<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&e;</Key></Object></Delete>`, nil, 400, "MalformedXML"},
		{"PATCH", "/lake/a", "", nil, 405, "MethodNotAllowed"},
		{"POST", "/lake/a", "", nil, 405, "MethodNotAllowed"},
		{"POST", "/", "", nil, 405, "MethodNotAllowed"},
		{"DELETE", "/lake?publicAccessBlock", "", nil, 501, "NotImplemented"},
		{"PUT", "/lake?bucketArchiveDirectRead", "", nil, 501, "NotImplemented"},
		{"PUT", "/lake/parts?partNumber=0&uploadId=" + upload, "x", nil, 400, "InvalidArgument"},
		{"PUT", "/lake/parts?partNumber=10001&uploadId=" + upload, "x", nil, 400, "InvalidArgument"},
		{"PUT", "/lake/other?partNumber=1&uploadId=" + upload, "x", nil, 404, "NoSuchUpload"},
		{"PUT", "/other/parts?partNumber=1&uploadId=" + upload, "x", nil, 404, "NoSuchUpload"},
		{"PUT", "/lake/parts?partNumber=1&uploadId=..", "x", nil, 404, "NoSuchUpload"},
		{"PUT", "/lake/parts?partNumber=1&uploadId=" + upload, "", []string{"X-Oss-Copy-Source", "/lake/../../outside"}, 400, "InvalidObjectName"},
		{"PUT", "/lake/parts?partNumber=1&uploadId=" + upload, "", []string{"X-Oss-Copy-Source", "/lake/absent"}, 404, "NoSuchKey"},
		{"POST", "/lake/parts?uploadId=" + upload, "<CompleteMultipartUpload/>", nil, 400, "MalformedXML"},
		{"POST", "/lake/parts?uploadId=" + upload,
			"<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>../x</ETag></Part></CompleteMultipartUpload>", nil, 400, "InvalidPart"},
	} {
		name := test.method + " " + test.target + " " + strings.Join(test.header, ": ")
		w := do(t, s, test.method, test.target, strings.NewReader(test.body), test.header...)
		if w.Code != test.status || !strings.Contains(w.Body.String(), "<Code>"+test.code+"</Code>") {
			t.Errorf("%.80s: %d %s, want %d %s", name, w.Code, w.Body, test.status, test.code)
		}
	}
	for target, want := range map[string]int{"/lake": 200, "/absent": 404, "/lake/absent": 404, "/lake/%2e%2e/x": 400} {
		w := do(t, s, "HEAD", target, nil)
		if w.Code != want || w.Body.Len() != 0 || (want != 200) != (w.Header().Get("X-Oss-Err") != "") {
			t.Errorf("HEAD %s: %d %v %q", target, w.Code, w.Header(), w.Body)
		}
	}
	if data, err := os.ReadFile(outside); err != nil || string(data) != "not of the store" {
		t.Errorf("the file outside is %q, %v", data, err)
	}

	var etags []string
	for part := range 2 {
		w := do(t, s, "PUT", fmt.Sprintf("/lake/parts?partNumber=%d&uploadId=%s", part+1, upload), strings.NewReader(strings.Repeat("x", minPartSize)))
		etags = append(etags, w.Header().Get("ETag"))
	}
	w := do(t, s, "POST", "/lake/parts?uploadId="+upload, strings.NewReader(fmt.Sprintf(
		"<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>%s</ETag></Part><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>",
		etags[1], etags[0])))
	if w.Code != 400 || !strings.Contains(w.Body.String(), "InvalidPartOrder") {
		t.Errorf("parts out of order: %d %s", w.Code, w.Body)
	}
}

// failing is a body, or a disk as the code behind it sees it, that fails half way.
type failing struct{ err error }

func (f failing) Read(p []byte) (int, error) {
	if len(p) < 1<<10 {
		return 0, f.err
	}
	return copy(p, "half of the object"), f.err
}

func TestFailedWrites(t *testing.T) {
	for _, test := range []struct {
		err     error
		status  int
		code    string
		message string
	}{
		{io.ErrUnexpectedEOF, 400, "IncompleteBody", "ended"},
		{os.ErrDeadlineExceeded, 400, "RequestTimeout", "not read from or written to within the timeout"},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, 507, "InsufficientStorage", "disk of the embedded object store is full"},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.EDQUOT}, 507, "InsufficientStorage", "free some space"},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, 500, "InternalError", "owner and mode"},
		{&os.PathError{Op: "secret detail", Path: "x", Err: syscall.EIO}, 400, "IncompleteBody", "ended"}, // of the client's end
	} {
		t.Run(fmt.Sprint(test.err), func(t *testing.T) {
			s := newServer(t)
			do(t, s, "PUT", "/lake/old", strings.NewReader("old"))
			for _, target := range []string{"/lake/old", "/lake/a/new"} {
				w := do(t, s, "PUT", target, failing{test.err})
				if w.Code != test.status || !strings.Contains(w.Body.String(), "<Code>"+test.code) || !strings.Contains(w.Body.String(), test.message) {
					t.Errorf("PUT %s: %d %s", target, w.Code, w.Body)
				}
				if strings.Contains(w.Body.String(), "secret detail") {
					t.Errorf("an internal detail is shown: %s", w.Body)
				}
			}
			if got := do(t, s, "GET", "/lake/old", nil).Body.String(); got != "old" {
				t.Errorf("old = %q", got)
			}
			if files := allFiles(t, s); len(files) != 1 || files[0] != "lake/old" {
				t.Errorf("files %q", files)
			}
		})
	}
}

// allFiles are the files of the store but the metadata.
func allFiles(t testing.TB, s *server) (files []string) {
	t.Helper()
	err := filepath.WalkDir(s.options.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(s.options.Dir, path)
		if !strings.HasPrefix(relative, ".oss/metadata/") {
			files = append(files, relative)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func FuzzTarget(f *testing.F) {
	for _, target := range []string{
		"/", "/lake", "/lake/", "/lake/a/b", "/lake/..%2f..%2fetc", "/lake/%2e%2e/x", "//lake", "/lake//a", "/lake/a%00", "/%2e%2e/x",
		"/lake/a?uploads", "/lake/a?x=%zz", "*", "http://lake.localhost/a/../b", "/lake/%5c..%5cx", "/la%2fke/a",
	} {
		f.Add(target, "127.0.0.1:9000")
	}
	f.Add("/a/b", "lake.localhost:9000")
	f.Add("/a/b", "...localhost")
	f.Fuzz(func(t *testing.T, target, host string) {
		hr, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
		if err != nil {
			t.Skip()
		}
		r := &request{Request: hr}
		if err := r.parse(); err != nil {
			if status := asAPIError(err).status; status != 400 {
				t.Fatalf("status %d of %v", status, err)
			}
			return
		}
		if r.bucket == "" && r.key != "" {
			t.Fatalf("key %q without a bucket", r.key)
		}
		bucket := filepath.Join("/store", r.bucket)
		if r.bucket != "" && (filepath.Dir(bucket) != "/store" || strings.HasPrefix(r.bucket, ".")) {
			t.Fatalf("bucket %q", r.bucket)
		}
		if r.key != "" && filepath.Join(bucket, r.key) != bucket+"/"+r.key {
			t.Fatalf("key %q leaves its place", r.key)
		}
	})
}

func FuzzAuthorization(f *testing.F) {
	for _, header := range []string{
		"", "OSS id:c2lnbmF0dXJl", "OSS id", "OSS :", "OSS2 AccessKeyId:id,Signature:x", "Basic aWQ6c2VjcmV0",
		"OSS4-HMAC-SHA256 Credential=id/20260101/cn-hangzhou/oss/aliyun_v4_request,Signature=00",
		"OSS4-HMAC-SHA256 Credential=id/20260101/cn-hangzhou/oss/aliyun_v4_request, AdditionalHeaders=host;user-agent, Signature=00",
		"OSS4-HMAC-SHA256 Credential=id////aliyun_v4_request,Signature=", "OSS4-HMAC-SHA256 ,,,=",
	} {
		f.Add(header, "/lake/a")
	}
	f.Add("", "/lake/a?Signature=x&Expires=99999999999&OSSAccessKeyId=id")
	f.Add("", "/lake/a?x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=id/20260101/r/oss/aliyun_v4_request&x-oss-date=20260101T000000Z&x-oss-expires=1&x-oss-signature=0")
	s := newServer(f)
	f.Fuzz(func(t *testing.T, header, target string) {
		hr, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n")))
		if err != nil {
			t.Skip()
		}
		hr.Header.Set("Authorization", header)
		hr.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		hr.Header.Set("X-Oss-Content-Sha256", unsigned)
		r := &request{Request: hr}
		if r.parse() != nil {
			t.Skip()
		}
		err = s.authenticate(r)
		if err == nil {
			t.Fatal("a made-up signature was accepted")
		}
		if status := asAPIError(err).status; status != 400 && status != 403 {
			t.Fatalf("status %d of %v", status, err)
		}
	})
}

// FuzzRequests sends well signed nonsense: no answer is an internal error, and
// nothing is written but objects and the server's own files.
func FuzzRequests(f *testing.F) {
	f.Add("PUT", "/lake/a/b", "body", "")
	f.Add("GET", "/lake?list-type=2&prefix=a%2f&delimiter=%2f&max-keys=7&continuation-token=YQ&encoding-type=url", "", "")
	f.Add("GET", "/lake/a", "", "bytes=1-")
	f.Add("POST", "/lake?delete&encoding-type=url", "<Delete><Object><Key>a</Key></Object></Delete>", "")
	f.Add("POST", "/lake/a?uploads", "", "")
	f.Add("GET", "/lake/a?uploadId=X&max-parts=1", "", "bytes=-9223372036854775807")
	f.Add("DELETE", "/lake", "", "")
	f.Fuzz(func(t *testing.T, method, target, body, ranges string) {
		s := newServer(t)
		do(t, s, "PUT", "/lake/a", strings.NewReader("0123456789"))
		hr, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: h\r\n\r\n")))
		if err != nil {
			t.Skip()
		}
		hr.Header.Set("Range", ranges)
		hr.Header.Set("X-Oss-Range-Behavior", "standard")
		hr.Body = io.NopCloser(bytes.NewReader([]byte(body)))
		sign(s, hr)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, hr)
		if w.Code >= 500 && w.Code != http.StatusNotImplemented {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if entries, err := os.ReadDir(filepath.Dir(s.options.Dir)); err != nil || len(entries) != 1 {
			t.Errorf("beside the store: %v, %v", entries, err)
		}
		for _, file := range allFiles(t, s) {
			if !strings.HasPrefix(file, "lake/") && !strings.HasPrefix(file, "other/") && !strings.HasPrefix(file, ".oss/multipart/") {
				t.Errorf("file %s", file)
			}
		}
	})
}

// FuzzXML: whatever is sent as a document, little is read, held and kept of it.
func FuzzXML(f *testing.F) {
	for _, document := range []string{
		"<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>", "<Delete><Object><Key>..</Key></Object></Delete>",
		"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>&quot;0&quot;</ETag></Part></CompleteMultipartUpload>",
		"<?xml version='1.0'?><Delete xmlns='a'/>", "<!DOCTYPE d [<!ENTITY e 'e'>]><Delete>&e;</Delete>", "<a><b><c>", "<Delete a='>'><Object/></Delete>",
	} {
		f.Add(document)
	}
	f.Fuzz(func(t *testing.T, document string) {
		newOrder := func() *request {
			hr := httptest.NewRequest("POST", "/lake?delete", strings.NewReader(document))
			return &request{Request: hr}
		}
		var order struct {
			XMLName xml.Name            `xml:"Delete"`
			Quiet   bool                `xml:"Quiet"`
			Objects list[orderedDelete] `xml:"Object"`
		}
		if err := readXML(newOrder(), &order); err != nil {
			if status := asAPIError(err).status; status != 400 {
				t.Errorf("status %d of %v", status, err)
			}
		} else if len(order.Objects) > maxKeys {
			t.Errorf("%d objects", len(order.Objects))
		} else if xml.Unmarshal([]byte(document), &struct{}{}) != nil {
			t.Error("what is no XML was taken")
		}
		var parts struct {
			XMLName xml.Name          `xml:"CompleteMultipartUpload"`
			Parts   list[orderedPart] `xml:"Part"`
		}
		if err := readXML(newOrder(), &parts); err == nil && len(parts.Parts) > maxParts {
			t.Errorf("%d parts", len(parts.Parts))
		}
	})
}

func FuzzRange(f *testing.F) {
	for _, header := range []string{"", "bytes=0-", "bytes=1-5", "bytes=-3", "bytes=-0", "bytes=5-1", "bytes=0-0,2-3", "bytes=99999999999999999999-", "bytes=9-20", "x=1-2", "bytes=-9223372036854775808"} {
		f.Add(header, int64(10), true)
		f.Add(header, int64(0), false)
	}
	f.Fuzz(func(t *testing.T, header string, size int64, standard bool) {
		if size < 0 {
			t.Skip()
		}
		start, length, partial, err := parseRange(header, size, standard)
		switch {
		case err != nil:
			if !standard || asAPIError(err).status != 416 {
				t.Errorf("%v", err)
			}
		case start < 0, length < 0, start+length > size, !partial && (start != 0 || length != size), partial && length == 0:
			t.Errorf("%q of %d: %d bytes from %d, partial %t", header, size, length, start, partial)
		}
	})
}
