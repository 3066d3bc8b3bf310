package delta

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"taxilake/lakekit/blob"
)

// roaringArray is the RoaringBitmapArray of rows, which are in order.
func roaringArray(t testing.TB, rows ...int64) []byte {
	t.Helper()
	var keys []uint32
	bitmaps := map[uint32]*roaring.Bitmap{}
	for _, row := range rows {
		key := uint32(row >> 32)
		if bitmaps[key] == nil {
			bitmaps[key] = roaring.New()
			keys = append(keys, key)
		}
		bitmaps[key].Add(uint32(row))
	}
	data := binary.LittleEndian.AppendUint32(nil, deletionVectorMagic)
	data = binary.LittleEndian.AppendUint64(data, uint64(len(keys)))
	for _, key := range keys {
		bitmaps[key].RunOptimize()
		data = binary.LittleEndian.AppendUint32(data, key)
		data = append(data, must[[]byte](t)(bitmaps[key].ToBytes())...)
	}
	return data
}

// deletionVectorFile is a file of one vector, at offset 1.
func deletionVectorFile(data []byte) []byte {
	file := binary.BigEndian.AppendUint32([]byte{deletionVectorFileVersion}, uint32(len(data)))
	file = append(file, data...)
	return binary.BigEndian.AppendUint32(file, crc32.ChecksumIEEE(data))
}

// TestInlineDeletionVector is the example of PROTOCOL.md in the format that
// PROTOCOL.md describes; the example itself is in an older one, with a magic
// number of its own, which is refused.
func TestInlineDeletionVector(t *testing.T) {
	old := must[[]byte](t)(decodeZ85("wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L"))
	if rows, err := parseDeletionVector(old, 6); err == nil || !strings.Contains(err.Error(), "begins with") {
		t.Errorf("older format: %v, %v", rows, err)
	}
	data := must[[]byte](t)(decodeZ85("^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L"))
	if got := must[[]int64](t)(parseDeletionVector(data, 6)); !slices.Equal(got, []int64{3, 4, 7, 11, 18, 29}) {
		t.Errorf("rows %v", got)
	}
}

func TestDeletionVectorKey(t *testing.T) {
	table := newTable(blob.NewMemory("lake"))
	for _, test := range []struct{ storage, path, want string }{
		{"u", "ab^-aqEH.-t@S}K{vb[*k^", "ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"},
		{"u", "^-aqEH.-t@S}K{vb[*k^", "deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"},
		{"p", "oss://lake/a%20b/c.bin", "a b/c.bin"},
	} {
		if got, err := table.deletionVectorKey(&DeletionVector{StorageType: test.storage, PathOrInlineDv: test.path}); got != test.want {
			t.Errorf("%s is %q, %v; want %q", test.path, got, err, test.want)
		}
	}
	for _, v := range []DeletionVector{{StorageType: "p", PathOrInlineDv: "s3://other/c.bin"}, {StorageType: "p", PathOrInlineDv: "oss://lake/%2e%2e/c.bin"}, {StorageType: "u", PathOrInlineDv: "..^-aqEH.-t@S}K{vb[*k^"}} {
		if _, err := table.deletionVectorKey(&v); !errors.Is(err, ErrUnsupported) {
			t.Errorf("outside the table: %v", err)
		}
	}
	local := newTable(must[blob.Bucket](t)(blob.OpenDir(t.TempDir())))
	uri := "file://" + strings.TrimPrefix(strings.TrimPrefix(local.URI(), "file:"), "//") + "/x/y.bin"
	if got, err := local.deletionVectorKey(&DeletionVector{StorageType: "p", PathOrInlineDv: uri}); got != "x/y.bin" {
		t.Errorf("%s is %q, %v", uri, got, err)
	}
}

// TestDeletionVectorStorage deletes rows of one data file by a vector of each
// kind.
func TestDeletionVectorStorage(t *testing.T) {
	deleted := append(sequence(10, 80), 0, 95, 99)
	slices.Sort(deleted)
	data := roaringArray(t, deleted...)
	one := int64(1)
	const name = "deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"
	for storage, v := range map[string]DeletionVector{
		"relative": {StorageType: "u", PathOrInlineDv: "ab^-aqEH.-t@S}K{vb[*k^", Offset: &one},
		"absolute": {StorageType: "p", PathOrInlineDv: "oss://lake/ab/" + name, Offset: &one},
		"inline":   {StorageType: "i", PathOrInlineDv: encodeZ85(data)},
	} {
		t.Run(storage, func(t *testing.T) {
			v.SizeInBytes, v.Cardinality = int64(len(data)), int64(len(deleted))
			bucket := blob.NewMemory("lake")
			putText(t, bucket, "ab/"+name, string(deletionVectorFile(data)))
			commitVector(t, bucket, v)
			s := must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context()))
			want := slices.DeleteFunc(sequence(0, 100), func(id int64) bool { return slices.Contains(deleted, id) })
			equalIDs(t, ids(t, s), want)
			if s.NumRecords() != int64(len(want)) {
				t.Errorf("NumRecords is %d", s.NumRecords())
			}
		})
	}
}

// commitVector makes a table of one file with the ids 0 to 99, then gives the
// file a deletion vector by hand.
func commitVector(t testing.TB, bucket blob.Bucket, v DeletionVector) {
	t.Helper()
	table := createFares(t, bucket, nil)
	appendFares(t, table, 0, 100)
	add := must[*Snapshot](t)(table.Snapshot(t.Context())).Files()[0]
	remove := Remove{Path: add.Path, DeletionTimestamp: 1, DataChange: true}
	add.DeletionVector = &v
	var log strings.Builder
	for _, a := range []action{
		{Protocol: &Protocol{3, 7, []string{"deletionVectors"}, []string{"deletionVectors"}}}, {Add: &add}, {Remove: &remove},
	} {
		log.Write(must[[]byte](t)(json.Marshal(a)))
		log.WriteByte('\n')
	}
	putText(t, bucket, commitKey(2), log.String())
}

// TestBrokenDeletionVectors give no row at all.
func TestBrokenDeletionVectors(t *testing.T) {
	data := roaringArray(t, 1, 2, 3, 50)
	file := deletionVectorFile(data)
	offset := func(n int64) *int64 { return &n }
	good := DeletionVector{StorageType: "u", PathOrInlineDv: "ab^-aqEH.-t@S}K{vb[*k^", Offset: offset(1), SizeInBytes: int64(len(data)), Cardinality: 4}
	flip := func(i int) []byte { f := slices.Clone(file); f[i] ^= 1; return f }
	tests := []struct {
		name string
		file []byte
		edit func(*DeletionVector)
		want error
		says string
	}{
		{"missing", nil, nil, blob.ErrNotExist, ""},
		{"checksum", flip(20), nil, ErrCorruptLog, "checksum"},
		{"size in the file", flip(4), nil, ErrCorruptLog, "bytes, the log says"},
		{"size in the log", file, func(v *DeletionVector) { v.SizeInBytes++ }, ErrCorruptLog, "ends 1 bytes early"},
		{"negative size", file, func(v *DeletionVector) { v.SizeInBytes = -1 }, ErrCorruptLog, "size of -1"},
		{"huge size", file, func(v *DeletionVector) { v.SizeInBytes = math.MaxInt64 }, ErrCorruptLog, "size of"},
		{"truncated", file[:len(file)-3], nil, ErrCorruptLog, "ends 3 bytes early"},
		{"version", flip(0), nil, ErrUnsupported, "file of version 0"},
		{"no offset", file, func(v *DeletionVector) { v.Offset = nil }, ErrCorruptLog, "offset 0"},
		{"cardinality too low", file, func(v *DeletionVector) { v.Cardinality = 3 }, ErrCorruptLog, "more than 3 rows"},
		{"cardinality too high", file, func(v *DeletionVector) { v.Cardinality = 5 }, ErrCorruptLog, "has 4 rows, the log says 5"},
		{"cardinality beyond the file", file, func(v *DeletionVector) { v.Cardinality = 101 }, ErrCorruptLog, "deletes 101 of 100 rows"},
		{"row beyond the file", deletionVectorFile(roaringArray(t, 1, 2, 3, 100)), func(v *DeletionVector) { v.SizeInBytes = int64(len(roaringArray(t, 1, 2, 3, 100))) }, ErrCorruptLog, "row 100 of 100"},
		{"magic", deletionVectorFile(append([]byte{0}, data[1:]...)), nil, ErrCorruptLog, "begins with"},
		{"storage type", file, func(v *DeletionVector) { v.StorageType = "x" }, ErrUnsupported, `storage type "x"`},
		{"no UUID", file, func(v *DeletionVector) { v.PathOrInlineDv = "short" }, ErrCorruptLog, "no UUID"},
		{"inline of another size", file, func(v *DeletionVector) { v.StorageType, v.PathOrInlineDv = "i", "00000" }, ErrCorruptLog, "inline"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bucket := blob.NewMemory("lake")
			if test.file != nil {
				putText(t, bucket, "ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin", string(test.file))
			}
			v := good
			if test.edit != nil {
				test.edit(&v)
			}
			commitVector(t, bucket, v)
			for batch, err := range must[*Snapshot](t)(openFares(t, bucket).Snapshot(t.Context())).Scan(t.Context(), ScanOptions{}) {
				if err == nil {
					t.Fatalf("%d rows", batch.NumRows())
				}
				for _, says := range []string{test.says, "of version 2 of oss://lake", ".parquet"} {
					if !errors.Is(err, test.want) || !strings.Contains(err.Error(), says) {
						t.Errorf("error %v, want %v saying %q", err, test.want, says)
					}
				}
			}
		})
	}
}

// TestWritesToOtherTables are refused by the name of the feature.
func TestWritesToOtherTables(t *testing.T) {
	for name, says := range map[string]string{
		"spark_deletion_vectors": "deletionVectors", "spark_mapping_name": "columnMapping", "spark_mapping_id": "columnMapping",
		"spark_type_widening": "typeWidening", "spark_v2_checkpoint_json": "v2Checkpoint", "spark_in_commit_timestamps": "inCommitTimestamp",
	} {
		table := must[*Table](t)(Open(t.Context(), goldenBucket(t, "testdata/golden/"+name)))
		s := must[*Snapshot](t)(table.Snapshot(t.Context()))
		if err := checkWritable(s.Protocol(), s.Metadata(), s.Schema()); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func encodeZ85(data []byte) string {
	for len(data)%4 != 0 {
		data = append(data, 0)
	}
	var out strings.Builder
	for ; len(data) > 0; data = data[4:] {
		value := binary.BigEndian.Uint32(data)
		var digits [5]byte
		for i := 4; i >= 0; i-- {
			digits[i] = z85Alphabet[value%85]
			value /= 85
		}
		out.Write(digits[:])
	}
	return out.String()
}

func FuzzDeletionVector(f *testing.F) {
	f.Add(roaringArray(f, 1, 2, 3, 1<<33), int64(4))
	f.Add(roaringArray(f, sequence(0, 70000)...), int64(70000))
	f.Add(roaringArray(f), int64(0))
	f.Fuzz(func(t *testing.T, data []byte, cardinality int64) {
		cardinality &= 1<<20 - 1 // as the file's rows bound it
		rows, err := parseDeletionVector(data, cardinality)
		if err == nil && (int64(len(rows)) != cardinality || !slices.IsSorted(rows) || len(slices.Compact(rows)) != len(rows)) {
			t.Errorf("%d rows, want %d in order", len(rows), cardinality)
		}
	})
}

func FuzzZ85(f *testing.F) {
	f.Add("HelloWorld", []byte{0x86, 0x4F, 0xD2, 0x6F})
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		_, _ = decodeZ85(text)
		back, err := decodeZ85(encodeZ85(slices.Clone(data)))
		if err != nil || !slices.Equal(back[:len(data)], data) {
			t.Errorf("%x became %x, %v", data, back, err)
		}
	})
}
