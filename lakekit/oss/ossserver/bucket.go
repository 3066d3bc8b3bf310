package ossserver

import (
	"encoding/xml"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

type bucketInfo struct {
	Name             string
	Location         string
	Region           string
	CreationDate     string
	StorageClass     string
	ExtranetEndpoint string
	IntranetEndpoint string
}

func (s *server) region() string { return first(s.options.Region, "cn-hangzhou") }

func (s *server) bucketInfo(r *request, name string, created time.Time) bucketInfo {
	return bucketInfo{
		Name:             name,
		Location:         "oss-" + s.region(),
		Region:           s.region(),
		CreationDate:     timestamp(created),
		StorageClass:     "Standard",
		ExtranetEndpoint: r.Host,
		IntranetEndpoint: r.Host,
	}
}

func (s *server) listBuckets(w http.ResponseWriter, r *request) error {
	limit, err := r.maxKeys()
	if err != nil {
		return err
	}
	prefix, marker := r.query.Get("prefix"), r.query.Get("marker")
	result := struct {
		XMLName     xml.Name `xml:"ListAllMyBucketsResult"`
		Prefix      string
		Marker      string
		MaxKeys     int
		IsTruncated bool
		NextMarker  string `xml:",omitempty"`
		Owner       owner
		Buckets     []bucketInfo `xml:"Buckets>Bucket"`
	}{Prefix: prefix, Marker: marker, MaxKeys: limit, Owner: theOwner}

	entries, err := os.ReadDir(s.files.dir) // sorted by name
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if !validBucketName(name) || !strings.HasPrefix(name, prefix) || name <= marker {
			continue
		}
		info, err := os.Stat(s.files.bucketDir(name))
		if err != nil || !info.IsDir() {
			continue
		}
		if len(result.Buckets) == limit {
			result.IsTruncated, result.NextMarker = true, result.Buckets[limit-1].Name
			break
		}
		result.Buckets = append(result.Buckets, s.bucketInfo(r, name, info.ModTime()))
	}
	return writeXML(w, result)
}

// createBucket succeeds for a bucket that is there, as OSS does for its owner.
func (s *server) createBucket(w http.ResponseWriter, r *request) error {
	if !r.plain() {
		return errNotImplemented
	}
	if err := os.Mkdir(s.files.bucketDir(r.bucket), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := syncDir(s.files.dir); err != nil {
		return err
	}
	w.Header().Set("Location", "/"+r.bucket)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *server) deleteBucket(w http.ResponseWriter, r *request) error {
	if !r.plain() {
		return errNotImplemented
	}
	if _, err := s.files.bucket(r.bucket); err != nil {
		return err
	}
	if err := removeEmpty(s.files.bucketDir(r.bucket)); err != nil {
		if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) {
			return errBucketNotEmpty
		}
		return err
	}
	s.files.folders.Delete(r.bucket)
	if err := errors.Join(os.RemoveAll(s.files.metadataDir(r.bucket)), syncDir(s.files.dir)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// plain tells whether the query names nothing but the signature. Any other
// parameter of a bucket means another operation, never its creation or deletion.
func (r *request) plain() bool {
	for name := range r.query {
		switch name {
		case "OSSAccessKeyId", "Expires", "Signature", "security-token":
		default:
			if !strings.HasPrefix(name, "x-oss-") {
				return false
			}
		}
	}
	return true
}

// removeEmpty removes a folder in which there are only folders.
func removeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			return syscall.ENOTEMPTY
		}
	}
	for _, entry := range entries {
		if err := removeEmpty(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return os.Remove(dir)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func (s *server) headBucket(w http.ResponseWriter, r *request) error {
	if _, err := s.files.bucket(r.bucket); err != nil {
		return err
	}
	w.Header().Set("X-Oss-Bucket-Region", s.region())
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *server) getBucketInfo(w http.ResponseWriter, r *request) error {
	info, err := os.Stat(s.files.bucketDir(r.bucket))
	if err != nil || !info.IsDir() {
		return errNoSuchBucket
	}
	type bucket struct {
		bucketInfo
		Owner              owner
		Grant              string `xml:"AccessControlList>Grant"`
		DataRedundancyType string
	}
	return writeXML(w, struct {
		XMLName xml.Name `xml:"BucketInfo"`
		Bucket  bucket
	}{Bucket: bucket{s.bucketInfo(r, r.bucket, info.ModTime()), theOwner, "private", "LRS"}})
}

func (s *server) getBucketLocation(w http.ResponseWriter, r *request) error {
	if _, err := s.files.bucket(r.bucket); err != nil {
		return err
	}
	return writeXML(w, struct {
		XMLName  xml.Name `xml:"LocationConstraint"`
		Location string   `xml:",chardata"`
	}{Location: "oss-" + s.region()})
}
