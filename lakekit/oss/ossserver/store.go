package ossserver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"taxilake/lakekit/oss/internal/folder"
)

// store is the folder of buckets, and under ".oss", which is no bucket name:
//
//	staging/             files on their way to their key
//	metadata/BUCKET/     what the objects' files cannot say, by hash of the key
//	multipart/UPLOADID/  parts
type store struct {
	dir     string
	locks   [256]sync.RWMutex // by key: a file and its metadata are placed together
	folders sync.Map          // bucket -> *folder.Folder
}

func (s *store) staging() string              { return filepath.Join(s.dir, ".oss", "staging") }
func (s *store) multipart(id string) string   { return filepath.Join(s.dir, ".oss", "multipart", id) }
func (s *store) bucketDir(name string) string { return filepath.Join(s.dir, name) }

// bucket is the folder of an existing bucket.
func (s *store) bucket(name string) (*folder.Folder, error) {
	if info, err := os.Stat(s.bucketDir(name)); err != nil || !info.IsDir() {
		return nil, errNoSuchBucket
	}
	files, _ := s.folders.LoadOrStore(name, folder.New(s.bucketDir(name), s.staging()))
	return files.(*folder.Folder), nil
}

func (s *store) lock(bucket, key string) *sync.RWMutex {
	hash := fnv.New32a()
	hash.Write([]byte(bucket + "/" + key))
	return &s.locks[hash.Sum32()%uint32(len(s.locks))]
}

// metadata is what an object's file cannot say. It holds for the file of that
// size and time only: another program may have replaced it.
type metadata struct {
	Key     string
	Size    int64
	ModTime time.Time
	ETag    string            // without quotes
	CRC64   string            `json:",omitempty"` // ECMA, decimal
	Type    string            // Normal, Multipart
	Headers map[string]string `json:",omitempty"` // Content-Type, X-Oss-Meta-*, ...
}

func (s *store) metadataDir(bucket string) string {
	return filepath.Join(s.dir, ".oss", "metadata", bucket)
}

func (s *store) metadataPath(bucket, key string) string {
	hash := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(hash[:])
	return filepath.Join(s.metadataDir(bucket), name[:2], name+".json")
}

// describe is the metadata of an object's file, as far as it is known.
// The caller holds the key's lock.
func (s *store) describe(bucket, key string, info fs.FileInfo) metadata {
	var m metadata
	data, err := os.ReadFile(s.metadataPath(bucket, key))
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil || m.Key != key || m.Size != info.Size() || !m.ModTime.Equal(info.ModTime()) {
		return metadata{Key: key, Size: info.Size(), ModTime: info.ModTime(), ETag: folder.ETag(info), Type: "Normal"}
	}
	return m
}

// place gives a staged file its key, with its metadata.
func (s *store) place(bucket string, staged *folder.Staged, m *metadata, ifAbsent bool) error {
	lock := s.lock(bucket, m.Key)
	lock.Lock()
	defer lock.Unlock()
	var err error
	if ifAbsent {
		err = staged.PutIfAbsent(m.Key)
	} else {
		err = staged.Replace(m.Key)
	}
	if err != nil {
		return err
	}
	m.Size, m.ModTime = staged.Info.Size(), staged.Info.ModTime()
	// The object is stored already; without the metadata it is a plain file
	// as other programs write them.
	if err := s.save(bucket, m); err != nil {
		os.Remove(s.metadataPath(bucket, m.Key))
	}
	return nil
}

func (s *store) save(bucket string, m *metadata) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return writeFile(s.metadataPath(bucket, m.Key), data)
}

// remove deletes objects. Their metadata goes first: what a racing put leaves
// is then either an object with its metadata, or metadata that fits no file.
func (s *store) remove(bucket string, files *folder.Folder, keys ...string) error {
	for _, key := range keys {
		os.Remove(s.metadataPath(bucket, key))
	}
	return files.Remove(keys...)
}

// writeFile writes a small file of the server's own, whole or not at all. It is
// not synced: nothing acknowledged depends on it.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
