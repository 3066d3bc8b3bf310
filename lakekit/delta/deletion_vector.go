package delta

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/uuid"

	"taxilake/lakekit/blob"
)

// DeletionVector names the rows of a data file that are deleted (PROTOCOL.md,
// section Deletion Vector Descriptor Schema); see [Snapshot.DeletedRows].
type DeletionVector struct {
	StorageType    string `json:"storageType"` // "u" and "p": a file, "i": inline
	PathOrInlineDv string `json:"pathOrInlineDv"`
	Offset         *int64 `json:"offset,omitempty"` // bytes
	SizeInBytes    int64  `json:"sizeInBytes"`
	Cardinality    int64  `json:"cardinality"` // rows it deletes
}

// uniqueID tells the vectors of one data file apart.
func (v *DeletionVector) uniqueID() string {
	if v.Offset == nil {
		return v.StorageType + v.PathOrInlineDv
	}
	return fmt.Sprintf("%s%s@%d", v.StorageType, v.PathOrInlineDv, *v.Offset)
}

const (
	deletionVectorMagic       = 1681511377
	deletionVectorFileVersion = 1
	// maxDeletionVector bytes: Spark cannot write one of 2 GiB either.
	maxDeletionVector = math.MaxInt32 - 8
)

// DeletedRows are the indexes, in ascending order, of the rows of a live data
// file, of so many records, that are deleted: nil for a file without a deletion
// vector. Statistics need not say how many: Spark leaves them out of checkpoints
// under delta.checkpoint.writeStatsAsJson=false. A vector that
// does not agree with its checksum, its size or its cardinality is
// ErrCorruptLog (PROTOCOL.md, section Deletion Vector Format).
func (s *Snapshot) DeletedRows(ctx context.Context, add Add, records int64) ([]int64, error) {
	if add.DeletionVector == nil {
		return nil, nil
	}
	rows, err := s.table.deletedRows(ctx, add.DeletionVector, records)
	if err != nil {
		return nil, fmt.Errorf("read the deletion vector of %s of version %d of %s: %w", add.Path, s.version, s.table.URI(), err)
	}
	return rows, nil
}

func (t *Table) deletedRows(ctx context.Context, v *DeletionVector, records int64) ([]int64, error) {
	switch {
	case v.Cardinality < 0 || v.Cardinality > records:
		return nil, fmt.Errorf("%w: it deletes %d of %d rows", ErrCorruptLog, v.Cardinality, records)
	case v.SizeInBytes < 0 || v.SizeInBytes > maxDeletionVector:
		return nil, fmt.Errorf("%w: a size of %d bytes", ErrCorruptLog, v.SizeInBytes)
	}
	data, err := t.deletionVectorData(ctx, v)
	if err != nil {
		return nil, err
	}
	rows, err := parseDeletionVector(data, v.Cardinality)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorruptLog, err)
	}
	if n := len(rows); n > 0 && rows[n-1] >= records {
		return nil, fmt.Errorf("%w: it deletes row %d of %d", ErrCorruptLog, rows[n-1], records)
	}
	return rows, nil
}

func (t *Table) deletionVectorData(ctx context.Context, v *DeletionVector) ([]byte, error) {
	switch v.StorageType {
	case "i":
		data, err := decodeZ85(v.PathOrInlineDv)
		if err != nil {
			return nil, fmt.Errorf("%w: inline deletion vector: %w", ErrCorruptLog, err)
		}
		if padding := int64(len(data)) - v.SizeInBytes; padding < 0 || padding > 3 {
			return nil, fmt.Errorf("%w: inline deletion vector has %d bytes, the log says %d", ErrCorruptLog, len(data), v.SizeInBytes)
		}
		return data[:v.SizeInBytes], nil
	case "u", "p":
		key, err := t.deletionVectorKey(v)
		if err != nil {
			return nil, err
		}
		data, err := t.deletionVectorFile(ctx, key, v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.bucket.URI(key), err)
		}
		return data, nil
	}
	return nil, fmt.Errorf("%w: deletion vector of storage type %q", ErrUnsupported, v.StorageType)
}

// encodedUUID is the length of a UUID in Z85.
const encodedUUID = 20

func (t *Table) deletionVectorKey(v *DeletionVector) (string, error) {
	if v.StorageType == "p" {
		return t.keyOf(v.PathOrInlineDv)
	}
	split := len(v.PathOrInlineDv) - encodedUUID
	if split < 0 {
		return "", fmt.Errorf("%w: deletion vector %q has no UUID", ErrCorruptLog, v.PathOrInlineDv)
	}
	raw, err := decodeZ85(v.PathOrInlineDv[split:])
	if err != nil {
		return "", fmt.Errorf("%w: deletion vector %q: %w", ErrCorruptLog, v.PathOrInlineDv, err)
	}
	name := "deletion_vector_" + uuid.UUID(raw).String() + ".bin"
	if split == 0 {
		return name, nil
	}
	return inside(v.PathOrInlineDv[:split] + "/" + name)
}

// keyOf is the key of an absolute URI inside the table.
func (t *Table) keyOf(uri string) (string, error) {
	roots := []string{t.URI() + "/"}
	if folder, ok := blob.LocalPath(t.bucket, ""); ok {
		folder = strings.TrimSuffix(encodePath(folder), "/") + "/"
		roots = append(roots, folder, "file:"+folder, "file://"+folder)
	}
	for _, root := range roots {
		if inside, ok := strings.CutPrefix(uri, root); ok {
			return decodePath(inside)
		}
	}
	return "", fmt.Errorf("%w: deletion vector outside the table: %s", ErrUnsupported, uri)
}

// deletionVectorFile reads one vector of a file: its size, its data and a
// CRC-32, all big-endian but the data.
func (t *Table) deletionVectorFile(ctx context.Context, key string, v *DeletionVector) ([]byte, error) {
	offset := int64(0)
	if v.Offset != nil {
		offset = *v.Offset
	}
	if offset < 1 {
		return nil, fmt.Errorf("%w: offset %d is that of the file's version", ErrCorruptLog, offset)
	}
	version, err := readRange(ctx, t.bucket, key, 0, 1)
	if err != nil {
		return nil, err
	}
	if version[0] != deletionVectorFileVersion {
		return nil, fmt.Errorf("%w: deletion vector file of version %d", ErrUnsupported, version[0])
	}
	block, err := readRange(ctx, t.bucket, key, offset, v.SizeInBytes+8)
	if err != nil {
		return nil, err
	}
	size, data := int64(binary.BigEndian.Uint32(block)), block[4:4+v.SizeInBytes]
	if size != v.SizeInBytes {
		return nil, fmt.Errorf("%w: at offset %d are %d bytes, the log says %d", ErrCorruptLog, offset, size, v.SizeInBytes)
	}
	if got, want := crc32.ChecksumIEEE(data), binary.BigEndian.Uint32(block[4+v.SizeInBytes:]); got != want {
		return nil, fmt.Errorf("%w: at offset %d the checksum is %08x, the file says %08x", ErrCorruptLog, offset, got, want)
	}
	return data, nil
}

// readRange reads all of a range; an object that is too short is ErrCorruptLog.
func readRange(ctx context.Context, bucket blob.Bucket, key string, offset, length int64) ([]byte, error) {
	body, err := bucket.GetRange(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	// Grown as bytes come: the length is the log's word alone.
	data, err := io.ReadAll(io.LimitReader(body, length))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) < length {
		return nil, fmt.Errorf("%w: the file ends %d bytes early", ErrCorruptLog, length-int64(len(data)))
	}
	return data, nil
}

// parseDeletionVector reads a RoaringBitmapArray of so many rows.
func parseDeletionVector(data []byte, cardinality int64) ([]int64, error) {
	if len(data) < 12 {
		return nil, fmt.Errorf("deletion vector of %d bytes", len(data))
	}
	if magic := binary.LittleEndian.Uint32(data); magic != deletionVectorMagic {
		return nil, fmt.Errorf("deletion vector begins with %d, not %d", magic, deletionVectorMagic)
	}
	buckets := binary.LittleEndian.Uint64(data[4:])
	in := bytes.NewReader(data[12:])
	var bitmaps []*roaring.Bitmap
	var keys []int64
	for left := cardinality; uint64(len(bitmaps)) < buckets; {
		var key uint32
		if err := binary.Read(in, binary.LittleEndian, &key); err != nil {
			return nil, fmt.Errorf("deletion vector ends after %d of %d bitmaps", len(bitmaps), buckets)
		}
		if n := len(keys); key > math.MaxInt32 || n > 0 && int64(key) <= keys[n-1] {
			return nil, fmt.Errorf("deletion vector: key %d out of order", key)
		}
		bitmap := roaring.New()
		if _, err := bitmap.ReadFrom(in); err != nil {
			return nil, fmt.Errorf("deletion vector: %w", err)
		}
		if err := bitmap.Validate(); err != nil && !bitmap.IsEmpty() {
			return nil, fmt.Errorf("deletion vector: %w", err)
		}
		if left -= int64(bitmap.GetCardinality()); left < 0 {
			return nil, fmt.Errorf("deletion vector has more than %d rows", cardinality)
		}
		bitmaps, keys = append(bitmaps, bitmap), append(keys, int64(key))
	}
	rows := make([]int64, 0, cardinality)
	for i, bitmap := range bitmaps {
		for at := bitmap.Iterator(); at.HasNext(); {
			rows = append(rows, keys[i]<<32|int64(at.Next()))
		}
	}
	switch {
	case in.Len() > 0:
		return nil, fmt.Errorf("deletion vector has %d bytes too many", in.Len())
	case int64(len(rows)) != cardinality:
		return nil, fmt.Errorf("deletion vector has %d rows, the log says %d", len(rows), cardinality)
	}
	return rows, nil
}

const z85Alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// decodeZ85 reads ZeroMQ's base 85 (rfc.zeromq.org/spec/32): five characters
// are four bytes, big-endian.
func decodeZ85(text string) ([]byte, error) {
	if len(text)%5 != 0 {
		return nil, fmt.Errorf("base 85: %d characters are no multiple of 5", len(text))
	}
	out := make([]byte, 0, len(text)/5*4)
	for ; text != ""; text = text[5:] {
		var value uint64
		for i := range 5 {
			digit := strings.IndexByte(z85Alphabet, text[i])
			if digit < 0 {
				return nil, fmt.Errorf("base 85: unexpected %q", text[i])
			}
			value = value*85 + uint64(digit)
		}
		if value > math.MaxUint32 {
			return nil, fmt.Errorf("base 85: %q is more than four bytes", text[:5])
		}
		out = binary.BigEndian.AppendUint32(out, uint32(value))
	}
	return out, nil
}
