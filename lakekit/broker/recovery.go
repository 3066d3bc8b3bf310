package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"taxilake/lakekit/internal/atomicfile"
)

// kfake saves the sequence numbers of idempotent producers only at a clean
// stop. After a kill it would take a batch that a producer sends again, because
// it never saw the answer, for a new one. Kafka rebuilds them from the log;
// so does this file, in the format of kfake's seq_windows.json.

// markRunning notes in the folder that a broker runs, and rebuilds the
// producer state if the last one did not get to stop cleanly. The function it
// returns takes the note back.
func markRunning(dir string) (stopped func() error, err error) {
	marker := filepath.Join(dir, "broker.running")
	_, err = os.Stat(marker)
	switch {
	case err == nil:
		if err := rebuildProducerState(dir); err != nil {
			return nil, fmt.Errorf("rebuild the producer state: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err := os.WriteFile(marker, nil, 0o644); err != nil {
		return nil, err
	}
	return func() error { return os.Remove(marker) }, nil
}

type producerState struct {
	Version int               `json:"version"`
	Windows []*sequenceWindow `json:"windows"`
}

// sequenceWindow holds the last batches of one producer in one partition, in
// a ring as kfake keeps it: At is the place of the next one.
type sequenceWindow struct {
	ProducerID   int64                       `json:"pid"`
	Topic        string                      `json:"topic"`
	Partition    int32                       `json:"partition"`
	Entries      [batchesKept]sequenceOfSent `json:"entries"`
	Count        int                         `json:"count"`
	At           int                         `json:"at"`
	Epoch        int16                       `json:"epoch"`
	Seen         bool                        `json:"seen"`
	NextSequence int32                       `json:"next_seq"`
}

type sequenceOfSent struct {
	First  int32 `json:"first_seq"`
	Next   int32 `json:"next_seq"`
	Offset int64 `json:"offset"`
}

// batchesKept is how many batches of a producer can be told from repeats: the
// most that an idempotent producer has in flight.
const batchesKept = 5

func (w *sequenceWindow) add(b batchHeader) {
	if w.Epoch != b.producerEpoch { // a new epoch counts from 0 again
		w.Epoch, w.Count, w.At = b.producerEpoch, 0, 0
	}
	w.Seen = true
	w.NextSequence = int32((int64(b.firstSequence) + int64(b.records)) % math.MaxInt32)
	w.Entries[w.At] = sequenceOfSent{b.firstSequence, w.NextSequence, b.firstOffset}
	w.At = (w.At + 1) % batchesKept
	w.Count = min(w.Count+1, batchesKept)
}

func rebuildProducerState(dir string) error {
	state := producerState{Version: 1}
	partitions, err := os.ReadDir(filepath.Join(dir, "partitions"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, p := range partitions {
		topic, partition, ok := parsePartitionDir(p.Name())
		if !ok {
			continue
		}
		windows := map[int64]*sequenceWindow{}
		for b, err := range batches(filepath.Join(dir, "partitions", p.Name())) {
			if err != nil {
				return err
			}
			if b.producerID < 0 || b.firstSequence < 0 { // not idempotent, or a transaction marker
				continue
			}
			w := windows[b.producerID]
			if w == nil {
				w = &sequenceWindow{ProducerID: b.producerID, Topic: topic, Partition: partition, Epoch: b.producerEpoch}
				windows[b.producerID] = w
				state.Windows = append(state.Windows, w)
			}
			w.add(b)
		}
	}
	return atomicfile.Replace(filepath.Join(dir, "seq_windows.json"), 0o644, atomicfile.JSON(state))
}

// parsePartitionDir splits "nyc_taxi_data-2".
func parsePartitionDir(name string) (topic string, partition int32, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return "", 0, false
	}
	n, err := strconv.ParseInt(name[i+1:], 10, 32)
	if err != nil {
		return "", 0, false
	}
	topic, err = url.PathUnescape(name[:i])
	return topic, int32(n), err == nil
}

type batchHeader struct {
	firstOffset   int64
	length        int64 // of the batch in the file
	producerID    int64
	producerEpoch int16
	firstSequence int32
	records       int32
}

// batchHeaderSize is the length of a record batch before its records (Kafka
// protocol, record batch, magic 2).
const batchHeaderSize = 61

func parseBatchHeader(b *[batchHeaderSize]byte) batchHeader {
	return batchHeader{
		firstOffset:   int64(binary.BigEndian.Uint64(b[0:])),
		length:        12 + int64(binary.BigEndian.Uint32(b[8:])),
		producerID:    int64(binary.BigEndian.Uint64(b[43:])),
		producerEpoch: int16(binary.BigEndian.Uint16(b[51:])),
		firstSequence: int32(binary.BigEndian.Uint32(b[53:])),
		records:       int32(binary.BigEndian.Uint32(b[57:])),
	}
}

// batches yields the headers of a partition's batches in offset order. A
// batch that the kill cut off is left out, as kfake does when it loads.
func batches(partitionDir string) func(yield func(batchHeader, error) bool) {
	return func(yield func(batchHeader, error) bool) {
		segments, err := segmentFiles(partitionDir)
		if err != nil {
			yield(batchHeader{}, err)
			return
		}
		for _, s := range segments {
			if !segmentBatches(s, yield) {
				return
			}
		}
	}
}

func segmentFiles(partitionDir string) ([]string, error) {
	entries, err := os.ReadDir(partitionDir)
	if err != nil {
		return nil, err
	}
	var bases []int64
	for _, e := range entries {
		name, isSegment := strings.CutSuffix(e.Name(), ".dat")
		if base, err := strconv.ParseInt(name, 10, 64); isSegment && err == nil {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	files := make([]string, len(bases))
	for i, base := range bases {
		files[i] = filepath.Join(partitionDir, strconv.FormatInt(base, 10)+".dat")
	}
	return files, nil
}

func segmentBatches(path string, yield func(batchHeader, error) bool) (more bool) {
	f, err := os.Open(path)
	if err != nil {
		return yield(batchHeader{}, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return yield(batchHeader{}, err)
	}
	var header [batchHeaderSize]byte
	for pos := int64(0); ; {
		_, err := f.ReadAt(header[:], pos)
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			return yield(batchHeader{}, err)
		}
		b := parseBatchHeader(&header)
		pos += b.length
		if b.length < batchHeaderSize || pos > info.Size() {
			return true
		}
		if !yield(b, nil) {
			return false
		}
	}
}
