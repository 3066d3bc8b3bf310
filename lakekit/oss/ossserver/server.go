package ossserver

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"taxilake/lakekit/httpd"
)

// Options configure the server.
type Options struct {
	Dir             string // the object "a/b" of the bucket "lake" is the file Dir/lake/a/b; made if absent
	AccessKeyID     string
	AccessKeySecret string
	Region          string           // told to clients and asked of V4 signatures; "" tells cn-hangzhou and takes any
	Logger          *slog.Logger     // of failures on this side; default slog.Default()
	Clock           func() time.Time // against which signatures expire; default time.Now
}

type server struct {
	options    Options
	files      *store
	initiating sync.Mutex // multipart uploads
	gaveUp     time.Time  // unfinished ones for the last time
}

// New returns the server over a folder. It removes what an earlier server left
// half written there.
func New(options Options) (http.Handler, error) {
	if options.AccessKeyID == "" || options.AccessKeySecret == "" {
		return nil, errors.New("embedded object store: access key id and secret must be given")
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	if options.Clock == nil {
		options.Clock = time.Now
	}
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded object store in %s: %w", options.Dir, err)
	}
	files, err := openStore(dir)
	if err == nil {
		_, err = files.giveUpUploads(options.Clock().Add(-uploadTime))
	}
	if err != nil {
		return nil, fmt.Errorf("embedded object store in %s: %w", options.Dir, err)
	}
	return &server{options: options, files: files}, nil
}

// request is an HTTP request with its OSS meaning.
type request struct {
	*http.Request
	id          string
	bucket, key string // "" where the request names none
	query       url.Values
}

func (r *request) has(parameter string) bool { return r.query.Has(parameter) }

// maxDrain is how long a body may be, in bytes, to be read although its request
// is refused.
const maxDrain = 64 << 20

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	r := &request{Request: hr, id: rand.Text()[:24]}
	w.Header().Set("Server", "AliyunOSS")
	w.Header().Set("X-Oss-Request-Id", r.id)
	if err := s.admit(r); err != nil {
		httpd.HangUp(w)
		asAPIError(err).write(w, r)
		return
	}
	err := s.serve(w, r)
	if err == nil {
		return
	}
	if r.ContentLength > maxDrain || r.Header.Get("Expect") != "" {
		httpd.HangUp(w) // one that asked whether to send is told by the answer
	} else {
		// A client that is still sending would otherwise see a broken connection in
		// place of the answer.
		_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
	}
	answer := asAPIError(err)
	if answer.status >= 500 && answer.status != http.StatusNotImplemented && r.Context().Err() == nil {
		s.options.Logger.Error("embedded object store: request failed",
			"method", r.Method, "bucket", r.bucket, "key", r.key, "request", r.id, "error", err)
	}
	answer.write(w, r)
}

// admit tells who may be served, by the header of the request alone.
func (s *server) admit(r *request) error {
	if err := r.parse(); err != nil {
		return err
	}
	return s.authenticate(r)
}

func (s *server) serve(w http.ResponseWriter, r *request) error {
	if err := refuseQuery(r); err != nil {
		return err
	}
	if err := refuseHeaders(r); err != nil {
		return err
	}
	switch {
	case r.bucket == "":
		return s.serveAccount(w, r)
	case r.key == "":
		return s.serveBucket(w, r)
	}
	return s.serveObject(w, r)
}

// parameters are those of the query that are understood. Any other may make a
// request of OSS a wholly different one.
var parameters = func() map[string]bool {
	known := map[string]bool{}
	for _, name := range append(strings.Fields(`
		OSSAccessKeyId Expires Signature security-token
		x-oss-signature-version x-oss-credential x-oss-date x-oss-expires x-oss-additional-headers x-oss-signature x-oss-security-token
		prefix marker max-keys delimiter encoding-type list-type start-after continuation-token fetch-owner
		key-marker upload-id-marker max-uploads partNumber max-parts part-number-marker
		response-content-type response-content-language response-expires response-cache-control
		response-content-disposition response-content-encoding`), subresources...) {
		known[name] = true
	}
	return known
}()

// subresources are the parameters that say what a request is about.
var subresources = []string{"acl", "bucketInfo", "delete", "location", "objectMeta", "stat", "uploadId", "uploads"}

func refuseQuery(r *request) error {
	for name := range r.query {
		if !parameters[name] {
			return errNotImplemented.with("The embedded object store does not implement ?" + name)
		}
	}
	return nil
}

// subresource is the first of a request, "" for the bucket or object itself.
func (r *request) subresource() string {
	for _, name := range subresources {
		if r.has(name) {
			return name
		}
	}
	return ""
}

// implemented are the values of headers that mean what this store does anyway;
// any other would be accepted and ignored.
var implemented = map[string][]string{
	"X-Oss-Acl":                           {grantPrivate},
	"X-Oss-Object-Acl":                    {grantDefault, grantPrivate},
	"X-Oss-Storage-Class":                 {storageClass},
	"X-Oss-Callback":                      nil,
	"X-Oss-Process":                       nil,
	"X-Oss-Tagging":                       nil,
	"X-Oss-Traffic-Limit":                 nil,
	"X-Oss-Server-Side-Data-Encryption":   nil,
	"X-Oss-Server-Side-Encryption":        nil,
	"X-Oss-Server-Side-Encryption-Key-Id": nil,
	"X-Oss-Object-Worm-Mode":              nil,
	"X-Oss-Object-Worm-Retain-Until-Date": nil,
	"X-Oss-Bucket-Resource-Group-Id":      nil,
	"X-Oss-Bucket-Tagging":                nil,
}

// refuseHeaders refuses what would make a request another one.
func refuseHeaders(r *request) error {
	for name, values := range implemented {
		if value := r.Header.Get(name); value != "" && !slices.Contains(values, value) {
			return errNotImplemented.with("The embedded object store does not implement " + strings.ToLower(name) + ": " + value)
		}
	}
	if r.Method == http.MethodPut || r.Method == http.MethodPost || r.Method == http.MethodDelete {
		for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
			if r.Header.Get(name) != "" {
				return errNoSuchCondition.with("OSS has no " + name + " for a write. Use x-oss-forbid-overwrite.")
			}
		}
	}
	return nil
}

func (s *server) serveAccount(w http.ResponseWriter, r *request) error {
	if r.Method != http.MethodGet || r.subresource() != "" {
		return errMethodNotAllowed
	}
	return s.listBuckets(w, r)
}

func (s *server) serveBucket(w http.ResponseWriter, r *request) error {
	switch r.Method + " " + r.subresource() {
	case "PUT ":
		return s.createBucket(w, r)
	case "HEAD ":
		return s.headBucket(w, r)
	case "GET ":
		return s.listObjects(w, r)
	case "DELETE ":
		return s.deleteBucket(w, r)
	case "GET acl":
		return s.getACL(w, r)
	case "PUT acl":
		return s.putACL(w, r)
	case "GET bucketInfo":
		return s.getBucketInfo(w, r)
	case "GET location":
		return s.getBucketLocation(w, r)
	case "GET stat":
		return s.getBucketStat(w, r)
	case "POST delete":
		return s.deleteObjects(w, r)
	case "GET uploads":
		return s.listMultipartUploads(w, r)
	}
	return errMethodNotAllowed
}

func (s *server) serveObject(w http.ResponseWriter, r *request) error {
	switch r.Method + " " + r.subresource() {
	case "PUT ":
		if r.Header.Get("X-Oss-Copy-Source") != "" {
			return s.copyObject(w, r)
		}
		return s.putObject(w, r)
	case "GET ":
		return s.getObject(w, r)
	case "HEAD ", "HEAD objectMeta":
		return s.headObject(w, r)
	case "DELETE ":
		return s.deleteObject(w, r)
	case "GET acl":
		return s.getACL(w, r)
	case "PUT acl":
		return s.putACL(w, r)
	case "POST uploads":
		return s.initiateMultipartUpload(w, r)
	case "PUT uploadId":
		return s.uploadPart(w, r)
	case "POST uploadId":
		return s.completeMultipartUpload(w, r)
	case "DELETE uploadId":
		return s.abortMultipartUpload(w, r)
	case "GET uploadId":
		return s.listParts(w, r)
	}
	return errMethodNotAllowed
}
