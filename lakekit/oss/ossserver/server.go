package ossserver

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
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
	options Options
	files   *store
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
	files := &store{dir: dir}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.RemoveAll(files.staging()), os.MkdirAll(files.staging(), 0o755)); err != nil {
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

// maxDrain is how much of a refused request's body is read, in bytes.
const maxDrain = 64 << 20

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	r := &request{Request: hr, id: rand.Text()[:24]}
	w.Header().Set("Server", "AliyunOSS")
	w.Header().Set("X-Oss-Request-Id", r.id)
	err := s.serve(w, r)
	if err == nil {
		return
	}
	// A client that is still sending would otherwise see a broken connection
	// in place of the answer.
	io.CopyN(io.Discard, r.Body, maxDrain)
	answer := asAPIError(err)
	if answer.status >= 500 && answer.status != http.StatusNotImplemented {
		s.options.Logger.Error("embedded object store: request failed",
			"method", r.Method, "bucket", r.bucket, "key", r.key, "request", r.id, "error", err)
	}
	answer.write(w, r)
}

func (s *server) serve(w http.ResponseWriter, r *request) error {
	if err := r.parse(); err != nil {
		return err
	}
	if err := s.authenticate(r); err != nil {
		return err
	}
	for _, name := range notImplemented {
		if r.has(name) {
			return errNotImplemented.with("the embedded object store does not implement ?" + name)
		}
	}
	switch {
	case r.bucket == "":
		return s.serveAccount(w, r)
	case r.key == "":
		return s.serveBucket(w, r)
	}
	return s.serveObject(w, r)
}

// notImplemented are the subresources of OSS that would otherwise be taken for
// an operation on the object or bucket itself.
var notImplemented = []string{
	"acl", "append", "asyncFetch", "callback", "cname", "comp", "cors", "encryption", "img",
	"inventory", "lifecycle", "live", "logging", "metaQuery", "policy",
	"qos", "qosInfo", "referer", "replication", "replicationLocation",
	"replicationProgress", "requestPayment", "resourceGroup", "restore", "rtc", "stat", "status", "style",
	"symlink", "tagging", "transferAcceleration", "versionId", "versioning", "versions", "vod", "website",
	"worm", "wormExtend", "wormId", "x-oss-async-process", "x-oss-process",
}

func (s *server) serveAccount(w http.ResponseWriter, r *request) error {
	if r.Method != http.MethodGet {
		return errMethodNotAllowed
	}
	return s.listBuckets(w, r)
}

func (s *server) serveBucket(w http.ResponseWriter, r *request) error {
	switch {
	case r.Method == http.MethodPut:
		return s.createBucket(w, r)
	case r.Method == http.MethodPost && r.has("delete"):
		return s.deleteObjects(w, r)
	case r.Method == http.MethodDelete:
		return s.deleteBucket(w, r)
	case r.Method == http.MethodHead:
		return s.headBucket(w, r)
	case r.Method != http.MethodGet:
		return errMethodNotAllowed
	case r.has("bucketInfo"):
		return s.getBucketInfo(w, r)
	case r.has("location"):
		return s.getBucketLocation(w, r)
	case r.has("uploads"):
		return errNotImplemented.with("the embedded object store does not list multipart uploads")
	}
	return s.listObjects(w, r)
}

func (s *server) serveObject(w http.ResponseWriter, r *request) error {
	switch r.Method {
	case http.MethodPut:
		switch {
		case r.has("uploadId"):
			return s.uploadPart(w, r)
		case r.Header.Get("X-Oss-Copy-Source") != "":
			return s.copyObject(w, r)
		}
		return s.putObject(w, r)
	case http.MethodGet:
		if r.has("uploadId") {
			return s.listParts(w, r)
		}
		return s.getObject(w, r)
	case http.MethodHead:
		return s.headObject(w, r)
	case http.MethodDelete:
		if r.has("uploadId") {
			return s.abortMultipartUpload(w, r)
		}
		return s.deleteObject(w, r)
	case http.MethodPost:
		switch {
		case r.has("uploads"):
			return s.initiateMultipartUpload(w, r)
		case r.has("uploadId"):
			return s.completeMultipartUpload(w, r)
		}
	}
	return errMethodNotAllowed
}
