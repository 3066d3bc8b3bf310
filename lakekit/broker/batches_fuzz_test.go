package broker

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A batch that passes can be read, and has the records that it says.
func FuzzCheckBatch(f *testing.F) {
	plain := kbin.AppendVarintBytes(nil, append(kbin.AppendVarint([]byte{0, 0}, 0), 1, 2, 'v', 0))
	for codec, c := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		packed := plain
		if codec > 0 {
			compressor, err := kgo.DefaultCompressor(c)
			if err != nil {
				f.Fatal(err)
			}
			packed, _ = compressor.Compress(new(bytes.Buffer), plain)
		}
		b := kmsg.RecordBatch{Magic: 2, Attributes: int16(codec), NumRecords: 1, Length: int32(49 + len(packed)), Records: packed}
		f.Add(b.AppendTo(nil), int64(1<<20))
	}
	f.Fuzz(func(t *testing.T, b []byte, left int64) {
		if len(b) >= batchHeaderSize { // else the fuzzer never gets past the header
			binary.BigEndian.PutUint32(b[lengthAt:], uint32(len(b)-12))
			b[magicAt] = 2
			binary.BigEndian.PutUint32(b[deltaAt:], binary.BigEndian.Uint32(b[recordsAt:])-1)
			binary.BigEndian.PutUint32(b[crcAt:], crc32.Checksum(b[attributesAt:], crcTable))
		}
		left = min(max(left, 0), 16<<20)
		if checkBatch(b, &left) != nil || len(b) < batchHeaderSize {
			return
		}
		var batch kmsg.RecordBatch
		if err := batch.ReadFrom(b); err != nil {
			t.Fatal(err)
		}
		if uint16(batch.Attributes)&controlBit != 0 || uint16(batch.Attributes)&codecBits > codecZstd {
			return
		}
		records, err := kfake.BatchRecords(batch)
		if err != nil || len(records) != int(batch.NumRecords) {
			t.Errorf("%d of %d records: %v", len(records), batch.NumRecords, err)
		}
	})
}
