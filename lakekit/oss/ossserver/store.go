package ossserver

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	"taxilake/lakekit/internal/folder"
)

// store is the folder of buckets, and under ".oss", which is no bucket name:
//
//	staging/             files on their way to their key
//	metadata/BUCKET/     what the objects' files cannot say, by hash of the key
//	multipart/UPLOADID/  parts
//
// All of its files are reached through the root, which no symbolic link leads
// out of.
type store struct {
	root    *os.Root
	locks   [256]sync.RWMutex // by key: a file and its metadata are placed together
	folders sync.Map          // bucket -> *folder.Folder
}

const (
	stagingDir  = ".oss/staging"
	uploadsDir  = ".oss/multipart"
	metadataDir = ".oss/metadata"
)

// openStore opens the folder, and removes what an earlier server left half written.
func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(root.RemoveAll(stagingDir), root.MkdirAll(stagingDir, 0o755), root.MkdirAll(uploadsDir, 0o755)); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &store{root: root}, nil
}

// bucket is the folder of an existing bucket.
func (s *store) bucket(name string) (*folder.Folder, error) {
	if _, err := s.bucketInfo(name); err != nil {
		return nil, err
	}
	files, _ := s.folders.LoadOrStore(name, folder.Confined(s.root, name, stagingDir))
	return files.(*folder.Folder), nil
}

func (s *store) bucketInfo(name string) (fs.FileInfo, error) {
	info, err := s.root.Lstat(name)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err == nil && info.Mode()&fs.ModeSymlink != 0:
		return nil, errNoSuchBucket.with("The folder of this bucket is a symbolic link, which the embedded object store does not follow. " +
			"Put the folder itself in its place.")
	case err != nil || !info.IsDir():
		return nil, errNoSuchBucket
	}
	return info, nil
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

func metadataName(bucket, key string) string {
	hash := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(hash[:])
	return path.Join(metadataDir, bucket, name[:2], name+".json")
}

// describe is the metadata of an object's file, as far as it is known.
// The caller holds the key's lock.
func (s *store) describe(bucket, key string, info fs.FileInfo) metadata {
	var m metadata
	data, err := s.root.ReadFile(metadataName(bucket, key))
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
		_ = s.root.Remove(metadataName(bucket, m.Key))
	}
	return nil
}

func (s *store) save(bucket string, m *metadata) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.writeFile(metadataName(bucket, m.Key), data)
}

// remove deletes objects. Their metadata goes first: what a racing put leaves
// is then either an object with its metadata, or metadata that fits no file.
func (s *store) remove(ctx context.Context, bucket string, files *folder.Folder, keys ...string) error {
	for _, key := range keys {
		_ = s.root.Remove(metadataName(bucket, key))
	}
	return files.Remove(ctx, keys...)
}

// writeFile writes a small file of the server's own, whole or not at all. It is
// not synced: nothing acknowledged depends on it.
func (s *store) writeFile(name string, data []byte) error {
	if err := s.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	temporary := path.Join(stagingDir, "file-"+rand.Text())
	err := s.root.WriteFile(temporary, data, 0o644)
	if err == nil {
		err = s.root.Rename(temporary, name)
	}
	if err != nil {
		_ = s.root.Remove(temporary)
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
