package ossserver

import (
	"net"
	"net/url"
	"strings"

	"taxilake/lakekit/internal/folder"
)

// maxQuery is far more than a signed URL of OSS with the longest key has, in bytes.
const maxQuery = 16 << 10

// parse finds out which bucket and object a request is about.
func (r *request) parse() (err error) {
	if len(r.URL.RawQuery) > maxQuery {
		return errInvalidArgument.with("the query string is longer than 16 KB")
	}
	if r.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return errInvalidArgument.with("the query string is malformed")
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/")
	if !ok {
		return errInvalidArgument.with("the path is malformed")
	}
	if bucket, ok := bucketOfHost(r.Host); ok {
		r.bucket, r.key = bucket, path
	} else {
		r.bucket, r.key, _ = strings.Cut(path, "/")
	}
	if r.bucket == "" {
		if r.key != "" {
			return errInvalidBucketName
		}
		return nil
	}
	if !validBucketName(r.bucket) {
		return errInvalidBucketName
	}
	if r.key == "" {
		return nil
	}
	return checkKey(r.key)
}

func checkKey(key string) error {
	if err := folder.CheckKey(key); err != nil {
		return errInvalidObjectName.with(err.Error())
	}
	return nil
}

// bucketOfHost is the bucket of an address in bucket-in-host style. Only names
// under ".localhost" are taken for that: of others it is not known where the
// bucket ends.
func bucketOfHost(host string) (string, bool) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	bucket, ok := strings.CutSuffix(host, ".localhost")
	return bucket, ok && bucket != ""
}

// validBucketName is OSS's rule, "Bucket naming conventions": 3 to 63
// lowercase letters, digits and inner hyphens.
func validBucketName(name string) bool {
	if len(name) < 3 || len(name) > 63 || name[0] == '-' || name[len(name)-1] == '-' {
		return false
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
