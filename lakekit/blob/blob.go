package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"taxilake/lakekit/internal/folder"
)

// ErrNotExist is wrapped by the errors of Get, GetRange and Head for a key
// that holds no object.
var ErrNotExist = errors.New("object does not exist")

// ErrExist is wrapped by the errors of PutIfAbsent for a key that already
// holds an object.
var ErrExist = errors.New("object already exists")

// ErrNoBucket is wrapped by errors of a store that has no such bucket.
var ErrNoBucket = errors.New("bucket does not exist")

// ErrUnavailable is wrapped by errors of a store that does not answer, or answers
// that it cannot now, after all attempts.
var ErrUnavailable = errors.New("object store not available")

// ErrDenied is wrapped by errors of a store that does not let these credentials
// do what was asked for, or does not know them.
var ErrDenied = errors.New("denied by the object store")

// CheckKey tells why a key can name no object; see Bucket.
func CheckKey(key string) error { return folder.CheckKey(key) }

// ObjectInfo describes an object, or a folder of a delimited listing.
type ObjectInfo struct {
	Key          string
	Size         int64     // bytes
	ETag         string    // without quotes; changes whenever the content does
	LastModified time.Time // by the store's clock
	IsPrefix     bool      // Key is a common prefix, ending with the delimiter; the other fields are zero
}

// ListOptions selects what List yields. The zero value lists every object.
type ListOptions struct {
	Prefix     string // keys that begin with it
	StartAfter string // entries that sort strictly after it
	Delimiter  string // "" or "/": keys with it beyond Prefix are rolled up into one entry with IsPrefix
}

// Bucket is a flat set of objects by key, the part of OSS a table format
// needs. All methods may be called at the same time from many goroutines and
// from many processes on the same bucket.
//
// A key is 1 to 1,023 bytes of UTF-8 (OSS's limit; S3 has 1,024): segments of at
// most 255 bytes joined by "/", none of them empty, "." or "..", not even
// between spaces or beside a backslash; a key that is also the folder of
// another key ("a" beside "a/b") is refused by buckets made of files.
//
// What was acknowledged is durable, and is seen at once by every later Get,
// Head and List of anyone.
type Bucket interface {
	// URI is the address of a key for people and logs: "oss://lake/a/b".
	// URI("") ends with "/".
	URI(key string) string

	// Get opens an object for reading: all of one version, even when it is
	// replaced or deleted meanwhile. The caller closes it. ErrNotExist.
	Get(ctx context.Context, key string) (io.ReadCloser, error)

	// GetRange opens length bytes from offset on, or fewer at the end of the
	// object; a negative length means to the end. An offset at or beyond the
	// end is an error, unless length is 0. ErrNotExist.
	GetRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)

	// Head describes an object. ErrNotExist.
	Head(ctx context.Context, key string) (ObjectInfo, error)

	// Put stores the body, from its present position to its end, in place of
	// what the key held. All or nothing: readers see the old object or the new
	// one. After an error either may be there.
	Put(ctx context.Context, key string, body io.ReadSeeker) error

	// PutIfAbsent is Put for a key that holds no object; otherwise it changes
	// nothing and fails with ErrExist. Of racing writers exactly one succeeds.
	// After any error but ErrExist the object may be there: the caller reads
	// it back and tells by its content whose it is.
	PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error

	// List yields entries in byte order of their keys and fetches pages as
	// needed. It yields every object that is there from beginning to end of the
	// iteration, and may yield those that come or go meanwhile. An error is
	// yielded once, as the last element.
	List(ctx context.Context, opts ListOptions) iter.Seq2[ObjectInfo, error]

	// Delete removes objects, in any number; absent ones are no error. After
	// an error some may be gone; calling again is safe.
	Delete(ctx context.Context, keys ...string) error
}

// Local is implemented by buckets whose objects may be plain files on this
// machine, so that engines can read a table in place; see LocalPath.
type Local interface {
	// LocalPath is the file of a key, or with key "" the folder of them all;
	// "" if this bucket's objects are elsewhere.
	LocalPath(key string) string
}

// LocalPath is the file that holds a key's object, if the bucket keeps its
// objects as plain files on this machine.
func LocalPath(b Bucket, key string) (path string, ok bool) {
	if local, is := b.(Local); is {
		path = local.LocalPath(key)
	}
	return path, path != ""
}

// ReadAll reads a whole object.
func ReadAll(ctx context.Context, b Bucket, key string) ([]byte, error) {
	body, err := b.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", b.URI(key), err)
	}
	return data, nil
}
