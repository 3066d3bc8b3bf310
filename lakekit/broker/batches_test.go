package broker_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// record is one of a batch without its length, as record n.
func record(n int32, value string, headers ...string) []byte {
	b := append([]byte{0}, kbin.AppendVarlong(nil, 0)...)
	b = kbin.AppendVarint(b, n)
	b = kbin.AppendVarintBytes(b, nil)
	b = kbin.AppendVarintString(b, value)
	b = kbin.AppendVarint(b, int32(len(headers)))
	for _, h := range headers {
		b = kbin.AppendVarintString(kbin.AppendVarintString(b, h), h)
	}
	return b
}

func records(rs ...[]byte) (b []byte) {
	for _, r := range rs {
		b = kbin.AppendVarintBytes(b, r)
	}
	return b
}

var codecs = []struct {
	name string
	pack func(plain []byte) []byte
}{
	{"none", slices.Clone[[]byte]},
	{"gzip", func(plain []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write(plain)
		w.Close()
		return b.Bytes()
	}},
	{"snappy", func(plain []byte) []byte { // as Java frames it
		b := []byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1}
		for part := range slices.Chunk(plain, 32<<10) {
			packed := s2.EncodeSnappy(nil, part)
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(packed))), packed...)
		}
		return b
	}},
	{"lz4", func(plain []byte) []byte {
		var b bytes.Buffer
		w := lz4.NewWriter(&b)
		w.Write(plain)
		w.Close()
		return b.Bytes()
	}},
	{"zstd", func(plain []byte) []byte {
		w, _ := zstd.NewWriter(nil)
		return w.EncodeAll(plain, nil)
	}},
}

// batch is a record batch of what the codec has made, said to be count records.
func batch(codec int, packed []byte, count int32) []byte {
	b := kmsg.RecordBatch{
		Length: int32(49 + len(packed)), Magic: 2, Attributes: int16(codec), LastOffsetDelta: count - 1,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: count, Records: packed,
	}
	bytes := b.AppendTo(nil)
	binary.BigEndian.PutUint32(bytes[17:], crc32.Checksum(bytes[21:], crc32.MakeTable(crc32.Castagnoli)))
	return bytes
}

// send produces a batch to each partition of a topic and returns the answers.
func send(t *testing.T, c *kgo.Client, topic kmsg.CreateTopicsResponseTopic, batches ...[]byte) (codes []*kerr.Error) {
	t.Helper()
	to := kmsg.NewProduceRequestTopic()
	to.Topic, to.TopicID = topic.Topic, topic.TopicID
	for n, b := range batches {
		partition := kmsg.NewProduceRequestTopicPartition()
		partition.Partition, partition.Records = int32(n), b
		to.Partitions = append(to.Partitions, partition)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	req.Topics = append(req.Topics, to)
	for again := true; again; { // Kafka needs a moment until a new topic can be written
		resp, err := req.RequestWith(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		again = false
		codes = make([]*kerr.Error, len(batches))
		for _, p := range resp.Topics[0].Partitions {
			if p.ErrorCode == 0 {
				continue
			}
			code := kerr.TypedErrorForCode(p.ErrorCode)
			codes[p.Partition] = code
			again = again || slices.Contains([]*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownTopicID, kerr.UnknownTopicOrPartition}, code)
		}
	}
	return codes
}

func TestBatches(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	testBatches(t, addr, false)
}

func TestRealBatches(t *testing.T) {
	addr := os.Getenv("LAKEKIT_REAL_KAFKA")
	if addr == "" {
		t.Skip("LAKEKIT_REAL_KAFKA is not set, see docker/real.sh")
	}
	testBatches(t, addr, true)
}

// What a batch says of its records must be so, packed or not: else a topic gets
// offsets without records, and consumers what they cannot read.
func testBatches(t *testing.T, addr string, real bool) {
	three := records(record(0, "a"), record(1, "b", "h"), record(2, strings.Repeat("c", 100_000)))
	wrongOffset := records(record(0, "a"), record(2, "b"))
	longHeader := append(record(0, "a")[:len(record(0, "a"))-1], 2, 255, 255, 255, 255, 15, 0)
	for _, test := range []struct {
		name     string
		plain    []byte
		count    int32
		want     *kerr.Error
		onlyOurs bool // Kafka 4.3 takes it, or answers UNKNOWN_SERVER_ERROR, by codec
	}{
		{"in order", three, 3, nil, false},
		{"fewer than said", three, 4, kerr.InvalidRecord, false},
		{"more than said", three, 2, kerr.InvalidRecord, false},
		{"far fewer than said", three, 1 << 30, kerr.InvalidRecord, false},
		{"none", nil, 0, kerr.InvalidRecord, false},
		{"offsets with a hole", wrongOffset, 2, kerr.InvalidRecord, true},
		{"a record longer than the batch", append(kbin.AppendVarint(nil, 1000), record(0, "a")...), 1, kerr.InvalidRecord, true},
		{"a record of 2 GB", kbin.AppendVarint(nil, 1<<30), 1, kerr.InvalidRecord, false},
		{"a negative length", kbin.AppendVarint(nil, -5), 1, kerr.InvalidRecord, false},
		{"a header without a key", records(longHeader), 1, kerr.InvalidRecord, false},
		{"bytes behind a record's headers", records(append(record(0, "a"), 1, 2, 3)), 1, kerr.InvalidRecord, false},
	} {
		if test.onlyOurs && real {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			c := client(t, addr)
			name := "batches-" + strings.ReplaceAll(test.name, " ", "-")
			name = strings.ReplaceAll(name, "'", "")
			topic := newTopic(name)
			topic.NumPartitions = int32(len(codecs))
			created := mustCreate(t, c, topic)
			defer deleteTopic(t, c, name)
			var batches [][]byte
			for codec, how := range codecs {
				batches = append(batches, batch(codec, how.pack(test.plain), test.count))
			}
			for codec, got := range send(t, c, created, batches...) {
				if got != test.want {
					t.Errorf("%s: %v, want %v", codecs[codec].name, got, test.want)
				}
			}
			// One that is refused leaves others of the request alone.
			mixed := [][]byte{batch(0, records(record(0, "x")), 1), batches[1], batch(2, codecs[2].pack(records(record(0, "x"))), 1)}
			if got := send(t, c, created, mixed...); got[0] != nil || got[1] != test.want || got[2] != nil {
				t.Errorf("beside good ones: %v", got)
			}
			if test.want != nil {
				if got := endOffset(t, c, name); got != 1 {
					t.Errorf("end offset %d, want 1", got)
				}
			}
		})
	}
	t.Run("damaged on its way", func(t *testing.T) {
		c := client(t, addr)
		created := mustCreate(t, c, newTopic("batches-damaged"))
		defer deleteTopic(t, c, "batches-damaged")
		for _, at := range []int{57 + 3, 61} { // a bit of the count, of the records
			damaged := batch(0, records(record(0, "a")), 1)
			damaged[at] ^= 4
			if got := send(t, c, created, damaged)[0]; got != kerr.CorruptMessage {
				t.Errorf("byte %d: %v, want CORRUPT_MESSAGE", at, got)
			}
		}
	})
}

func deleteTopic(t *testing.T, c *kgo.Client, name string) {
	t.Helper()
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &name
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Topics, req.TopicNames = append(req.Topics, topic), []string{name}
	if _, err := req.RequestWith(t.Context(), c); err != nil {
		t.Error(err)
	}
}

// A batch of a megabyte can hold gigabytes: nobody is made to expand them.
func TestBatchesThatExpand(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	c := client(t, addr)
	created := mustCreate(t, c, newTopic("bombs", "max.message.bytes=100000000"))
	value := string(make([]byte, 120<<20))
	plain := records(record(0, value))
	for codec, how := range codecs[1:] {
		packed := how.pack(plain)
		if got := send(t, c, created, batch(codec+1, packed, 1))[0]; got != kerr.InvalidRecord {
			t.Errorf("%s: %d bytes of %d: %v, want INVALID_RECORD", how.name, len(plain), len(packed), got)
		}
	}
	// A block that says that it is 4 GB long.
	lie := append([]byte{255, 255, 255, 255, 15}, make([]byte, 100)...)
	if got := send(t, c, created, batch(2, lie, 1))[0]; got != kerr.InvalidRecord {
		t.Errorf("snappy of 4 GB: %v, want INVALID_RECORD", got)
	}
	// Producers that compress well are no attackers.
	many := make([][]byte, 10_000)
	for n := range many {
		many[n] = record(int32(n), strings.Repeat("0", 1000))
	}
	for codec, how := range codecs[1:] {
		if got := send(t, c, created, batch(codec+1, how.pack(records(many...)), 10_000))[0]; got != nil {
			t.Errorf("%s: %v", how.name, got)
		}
	}
}
