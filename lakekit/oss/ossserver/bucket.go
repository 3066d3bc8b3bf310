package ossserver

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"syscall"
	"time"
)

// What every bucket and object of this store has; anything else is not implemented.
const (
	storageClass = "Standard"
	redundancy   = "LRS"
	grantPrivate = "private"
	grantDefault = "default" // of an object: that of its bucket
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
		StorageClass:     storageClass,
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

	entries, err := fs.ReadDir(s.files.root.FS(), ".") // sorted by name
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if !validBucketName(name) || !strings.HasPrefix(name, prefix) || name <= marker {
			continue
		}
		info, err := s.files.bucketInfo(name)
		if err != nil {
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
	if r.ContentLength != 0 {
		var order struct {
			XMLName            xml.Name `xml:"CreateBucketConfiguration"`
			StorageClass       string
			DataRedundancyType string
		}
		if err := readXML(r, &order); err != nil {
			return err
		}
		if first(order.StorageClass, storageClass) != storageClass || first(order.DataRedundancyType, redundancy) != redundancy {
			return errNotImplemented.with("The embedded object store has only buckets of the storage class Standard, and LRS.")
		}
	}
	if err := s.files.root.Mkdir(r.bucket, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := s.files.bucket(r.bucket); err != nil {
		return err
	}
	if err := s.files.sync(); err != nil {
		return err
	}
	w.Header().Set("Location", "/"+r.bucket)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *server) deleteBucket(w http.ResponseWriter, r *request) error {
	if _, err := s.files.bucket(r.bucket); err != nil {
		return err
	}
	switch uploads, err := s.files.uploads(r.Context(), r.bucket); {
	case err != nil:
		return err
	case len(uploads) > 0:
		return errBucketNotEmpty.with("The bucket has unfinished multipart uploads; abort them first.")
	}
	if err := s.files.removeEmpty(r.Context(), r.bucket); err != nil {
		if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) {
			return errBucketNotEmpty
		}
		return err
	}
	s.files.folders.Delete(r.bucket)
	if err := errors.Join(s.files.root.RemoveAll(path.Join(metadataDir, r.bucket)), s.files.sync()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// removeEmpty removes a folder in which there are only folders.
func (s *store) removeEmpty(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.root.Remove(name)
	if err == nil || !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir, err := s.root.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(1000)
		for _, entry := range entries {
			if !entry.IsDir() {
				return syscall.ENOTEMPTY
			}
			if err := s.removeEmpty(ctx, name+"/"+entry.Name()); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return s.root.Remove(name)
		}
		if err != nil {
			return err
		}
	}
}

// sync puts the names of the buckets on disk.
func (s *store) sync() error {
	dir, err := s.root.Open(".")
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
	info, err := s.files.bucketInfo(r.bucket)
	if err != nil {
		return err
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
	}{Bucket: bucket{s.bucketInfo(r, r.bucket, info.ModTime()), theOwner, grantPrivate, redundancy}})
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

// getBucketStat counts by walking through the bucket: there is no account kept.
func (s *server) getBucketStat(w http.ResponseWriter, r *request) error {
	files, err := s.files.bucket(r.bucket)
	if err != nil {
		return err
	}
	result := struct {
		XMLName              xml.Name `xml:"BucketStat"`
		Storage              int64
		ObjectCount          int64
		MultipartUploadCount int64
		LiveChannelCount     int64
		LastModifiedTime     int64 // Unix seconds
		StandardStorage      int64
		StandardObjectCount  int64
	}{LastModifiedTime: s.options.Clock().Unix()}
	for entry, err := range files.Walk(r.Context(), "", "", "") {
		if err != nil {
			return err
		}
		result.Storage += entry.Info.Size()
		result.ObjectCount++
	}
	uploads, err := s.files.uploads(r.Context(), r.bucket)
	if err != nil {
		return err
	}
	result.MultipartUploadCount = int64(len(uploads))
	result.StandardStorage, result.StandardObjectCount = result.Storage, result.ObjectCount
	return writeXML(w, result)
}

// getACL is that of the bucket or object: there is one account, which alone may do anything.
func (s *server) getACL(w http.ResponseWriter, r *request) error {
	grant := grantPrivate
	if r.key != "" {
		grant = grantDefault
	}
	if err := s.exists(r); err != nil {
		return err
	}
	return writeXML(w, struct {
		XMLName xml.Name `xml:"AccessControlPolicy"`
		Owner   owner
		Grant   string `xml:"AccessControlList>Grant"`
	}{Owner: theOwner, Grant: grant})
}

// putACL takes the one there is; refuseHeaders has refused any other.
func (s *server) putACL(w http.ResponseWriter, r *request) error {
	if r.Header.Get("X-Oss-Acl") == "" && r.Header.Get("X-Oss-Object-Acl") == "" {
		return errInvalidArgument.with("The header x-oss-acl or x-oss-object-acl is missing.")
	}
	if err := s.exists(r); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// exists tells whether the bucket or object of a request is there.
func (s *server) exists(r *request) error {
	files, err := s.files.bucket(r.bucket)
	if err == nil && r.key != "" {
		_, err = files.Stat(r.key)
	}
	return err
}
