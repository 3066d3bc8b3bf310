package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kbin"
)

// kfake stores a batch as it is: the number of records and their offsets are
// what its header says, compressed records are expanded by whoever reads them.
// Kafka goes through the records before it takes them (LogValidator), and so
// does this file, without having more than a record of them in memory.

// maxExpanded is how many bytes the compressed records of one request may
// have. Producers count socket.request.max.bytes and less before they compress.
const maxExpanded = 100 << 20

// Offsets into a batch (Kafka protocol, record batch, magic 2).
const (
	lengthAt     = 8
	magicAt      = 16
	crcAt        = 17
	attributesAt = 21
	deltaAt      = 23
	recordsAt    = 57
)

const (
	codecBits  = 0x07
	controlBit = 0x20
)

// refusedMagic takes the place of a batch's magic when its records are not as
// its header says, on the way to kfake. No client sends it.
const refusedMagic = 0x7f

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// checkBatch returns an error for a batch on which kfake and Kafka disagree:
// its header is in order and its records are not. left is how many bytes may
// still come of compressed ones.
func checkBatch(b []byte, left *int64) error {
	if len(b) < batchHeaderSize || int64(len(b)) != 12+int64(binary.BigEndian.Uint32(b[lengthAt:])) || b[magicAt] != 2 {
		return nil // kfake answers CORRUPT_MESSAGE
	}
	attributes := binary.BigEndian.Uint16(b[attributesAt:])
	if attributes&controlBit != 0 || attributes&codecBits > codecZstd {
		return nil
	}
	count := int32(binary.BigEndian.Uint32(b[recordsAt:]))
	if int32(binary.BigEndian.Uint32(b[deltaAt:])) != count-1 {
		return nil
	}
	err := eachRecord(b[batchHeaderSize:], attributes&codecBits, count, left, func(recordHead) {})
	if err != nil && crc32.Checksum(b[attributesAt:], crcTable) != binary.BigEndian.Uint32(b[crcAt:]) {
		return nil // damaged on its way: CORRUPT_MESSAGE
	}
	return err
}

// eachRecord goes through the records of a batch.
func eachRecord(records []byte, codec uint16, count int32, left *int64, do func(recordHead)) error {
	if count <= 0 {
		return fmt.Errorf("it has %d records", count)
	}
	plain := recordReader{window: records}
	if codec != codecNone {
		u := <-unpackers
		if u == nil {
			u = newUnpacker()
		}
		defer func() { unpackers <- u }()
		expanded, err := u.open(records, codec)
		if err != nil {
			return err
		}
		plain = recordReader{from: &expanding{expanded, left}, buffer: u.buffer[:]}
	}
	for n := range count {
		if err := plain.record(n); err != nil {
			return fmt.Errorf("record %d of %d: %w", n+1, count, err)
		}
		do(plain.head)
	}
	if plain.more(1) {
		return fmt.Errorf("there is more behind its %d records", count)
	}
	return plain.err
}

var (
	errRecordCutOff = errors.New("the batch ends before it does")
	errPackedCutOff = errors.New("what they are packed in is cut off")
	errRecordShape  = errors.New("its fields do not fit its length")
	errExpands      = fmt.Errorf("the records of one request expand to more than %d bytes", maxExpanded)
)

// recordReader goes through records. It fails once, and then only fails.
type recordReader struct {
	window []byte    // what is there of them
	from   io.Reader // of the rest; nil: that is all
	buffer []byte    // for windows
	left   int64     // of the record, without its length
	head   recordHead
	err    error
}

// recordHead is what rules of topics are about.
type recordHead struct {
	timestampDelta int64
	hasKey         bool
}

// record goes through the next record, which must be the n-th of its batch.
func (r *recordReader) record(n int32) error {
	r.left = binary.MaxVarintLen64
	r.left = r.varint()
	r.skip(1) // attributes
	r.head.timestampDelta = r.varint()
	if delta := r.varint(); r.err == nil && delta != int64(n) {
		return fmt.Errorf("it says it is at offset %d of the batch", delta)
	}
	key := r.varint()
	r.head.hasKey = key >= 0
	r.skip(max(key, 0))
	r.skip(max(r.varint(), 0)) // value; null is -1
	headers := r.varint()
	if headers < 0 {
		return errRecordShape
	}
	for ; headers > 0 && r.err == nil; headers-- {
		r.skip(r.varint()) // key
		r.skip(max(r.varint(), 0))
	}
	if r.err == nil && r.left != 0 {
		return errRecordShape
	}
	return r.err
}

func (r *recordReader) varint() int64 {
	if len(r.window) > 0 && r.window[0] < 0x80 && r.left > 0 { // most are one byte long
		v := int64(r.window[0])
		r.window, r.left = r.window[1:], r.left-1
		return v>>1 ^ -(v & 1)
	}
	if len(r.window) < binary.MaxVarintLen64 {
		r.more(binary.MaxVarintLen64)
	}
	v, n := binary.Varint(r.window)
	switch {
	case r.err != nil:
		return 0
	case n == 0:
		r.err = errRecordCutOff
		return 0
	case n < 0 || int64(n) > r.left:
		r.err = errRecordShape
		return 0
	}
	r.window, r.left = r.window[n:], r.left-int64(n)
	return v
}

func (r *recordReader) skip(n int64) {
	if r.err == nil && (n < 0 || n > r.left) {
		r.err = errRecordShape
	}
	if r.err != nil {
		return
	}
	r.left -= n
	for n > int64(len(r.window)) {
		n -= int64(len(r.window))
		r.window = nil
		if !r.more(1) {
			if r.err == nil {
				r.err = errRecordCutOff
			}
			return
		}
	}
	r.window = r.window[n:]
}

// more gets so many bytes into the window, if there are as many.
func (r *recordReader) more(least int) bool {
	if len(r.window) < least && r.from != nil && r.err == nil {
		have := copy(r.buffer, r.window)
		n, err := io.ReadAtLeast(r.from, r.buffer[have:], least-have)
		r.window = r.buffer[:have+n]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			r.from = nil
		} else {
			r.err = err
		}
	}
	return len(r.window) >= least
}

const (
	codecNone = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
)

// unpackers bound how many batches are expanded at once, and keep what it takes.
var unpackers = make(chan *unpacker, runtime.GOMAXPROCS(0))

func init() {
	for range cap(unpackers) {
		unpackers <- nil
	}
}

// unpacker expands the records of a batch.
type unpacker struct {
	buffer [64 << 10]byte
	packed bytes.Reader
	gzip   gzip.Reader
	snappy snappyReader
	lz4    *lz4.Reader
	zstd   *zstd.Decoder
}

// maxZstdWindow is the largest of zstd's levels, 22, and of Java's decoder.
const maxZstdWindow = 128 << 20

func newUnpacker() *unpacker {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		panic(err) // the options are constants
	}
	return &unpacker{lz4: lz4.NewReader(nil), zstd: z}
}

func (u *unpacker) open(records []byte, codec uint16) (io.Reader, error) {
	u.packed.Reset(records)
	switch codec {
	case codecGzip:
		return &u.gzip, u.gzip.Reset(&u.packed)
	case codecSnappy:
		u.snappy.reset(records)
		return &u.snappy, nil
	case codecLZ4:
		u.lz4.Reset(&u.packed)
		return u.lz4, nil
	default:
		return u.zstd, u.zstd.Reset(&u.packed)
	}
}

// expanding counts what it reads, to the most that is allowed.
type expanding struct {
	io.Reader
	left *int64
}

func (e *expanding) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if *e.left -= int64(n); *e.left < 0 {
		return 0, errExpands
	}
	if err == io.ErrUnexpectedEOF { // which to io.ReadAtLeast is the end
		err = errPackedCutOff
	}
	return n, err
}

// snappyReader reads one block, as librdkafka may send it, or the frames of
// Java's snappy: a head of 16 bytes, then blocks behind their lengths.
type snappyReader struct {
	packed []byte
	framed bool
	buffer []byte
	plain  []byte
}

var (
	snappyFrames = []byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0}
	errSnappy    = errors.New("it is not snappy")
)

func (s *snappyReader) reset(packed []byte) {
	s.packed, s.plain = packed, nil
	if s.framed = len(packed) >= 16 && bytes.HasPrefix(packed, snappyFrames); s.framed {
		s.packed = packed[16:]
	}
}

func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.plain) == 0 {
		if len(s.packed) == 0 {
			return 0, io.EOF
		}
		block := s.packed
		s.packed = nil
		if s.framed {
			r := kbin.Reader{Src: block}
			block = r.Span(int(r.Int32()))
			if !r.Ok() {
				return 0, errSnappy
			}
			s.packed = r.Src
		}
		n, err := s2.DecodedLen(block)
		if err != nil {
			return 0, err
		}
		// Snappy's longest copy makes 64 bytes of 3.
		if n > 22*len(block) || n > maxExpanded {
			return 0, errSnappy
		}
		if s.plain, err = s2.Decode(s.buffer, block); err != nil {
			return 0, err
		}
		if s.buffer = s.plain[:0]; cap(s.buffer) > 1<<20 {
			s.buffer = nil
		}
	}
	n := copy(p, s.plain)
	s.plain = s.plain[n:]
	return n, nil
}

// maxBad is how many batches of a request are told what is wrong with them.
const maxBad = 100

// markBadBatches marks the batches of a Produce request that must not be
// stored, in place, and returns why.
func markBadBatches(produce request) (err error) {
	left := int64(maxExpanded)
	bad := 0
	for _, batch := range produce.binaries {
		if problem := checkBatch(batch, &left); problem != nil && bad < maxBad {
			batch[magicAt], err = refusedMagic, problem
			bad++
		} else if problem != nil {
			batch[magicAt] = 0 // CORRUPT_MESSAGE will do
		} else if isMarked(batch) {
			batch[magicAt] = 0 // no magic of a client's own
		}
	}
	return err
}

func isMarked(batch []byte) bool { return len(batch) > magicAt && batch[magicAt] == refusedMagic }
