package ingest

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
)

// The files are those of Structured Streaming, byte for byte.
func TestCheckpointBytes(t *testing.T) {
	w := newWorld(t, 2)
	w.sendRecords(6)
	o := w.options()
	o.MaxOffsetsPerTrigger = 4
	w.mustRun(o)
	files := w.files(logPrefix)
	for key := range files {
		files[key] = regexp.MustCompile(`("batchTimestampMs":)\d{13}\b`).ReplaceAllString(files[key], "${1}MS")
	}
	plan := func(end string) string {
		return "v1\n" + `{"batchWatermarkMs":0,"batchTimestampMs":MS,"conf":` + sessionConf + "}\n" + end
	}
	want := map[string]string{
		"sources/0/0": "\x00v1\n" + `{"nyc_taxi_data":{"0":0,"1":0}}`,
		"offsets/0":   plan(`{"nyc_taxi_data":{"0":2,"1":2}}`),
		"offsets/1":   plan(`{"nyc_taxi_data":{"0":3,"1":3}}`),
		"commits/0":   "v1\n" + `{"nextBatchWatermarkMs":0}`,
		"commits/1":   "v1\n" + `{"nextBatchWatermarkMs":0}`,
	}
	for key, content := range want {
		if files[key] != content {
			t.Errorf("%s is %q, want %q", key, files[key], content)
		}
	}
	if !regexp.MustCompile(`^\{"id":"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"\}$`).MatchString(files["metadata"]) {
		t.Errorf("metadata is %q", files["metadata"])
	}
	if len(files) != len(want)+2 { // metadata and our own
		t.Errorf("files: %v", files)
	}
}

// A checkpoint Spark wrote on a local disk, in the middle of a batch: Spark's
// order of partitions, checksums and leftovers beside the files, another conf.
func TestTakeOverFromSpark(t *testing.T) {
	w := newWorld(t, 3)
	w.sendRecords(30)
	const conf = `{"spark.sql.shuffle.partitions":"2"}`
	plan := func(end string) string {
		return "v1\n" + `{"batchWatermarkMs":0,"batchTimestampMs":1716400000000,"conf":` + conf + "}\n" + end
	}
	for key, content := range map[string]string{
		"metadata":         `{"id":"5d1a1a30-7f2e-4f4b-9f59-2d5b1e0f7d3a"}`,
		".metadata.crc":    "crc",
		"sources/0/0":      "\x00v1\n" + `{"nyc_taxi_data":{"2":0,"1":0,"0":0}}`,
		"offsets/0":        plan(`{"nyc_taxi_data":{"2":7,"1":8,"0":9}}`),
		"offsets/.0.crc":   "crc",
		"offsets/.1.x.tmp": "left behind",
	} {
		w.put(logPrefix+"/"+key, content)
	}
	o := w.options()
	o.StartingOffsets = "latest"
	w.mustRun(o)
	w.checkExactlyOnce()
	if txn, ok := w.snapshot().Txn("5d1a1a30-7f2e-4f4b-9f59-2d5b1e0f7d3a"); !ok || txn.Version != 1 {
		t.Errorf("txn %+v, %v", txn, ok)
	}
	files := w.files(logPrefix)
	if !strings.Contains(files["offsets/1"], `"conf":`+conf) {
		t.Errorf("the conf was not kept: %s", files["offsets/1"])
	}
	if files["commits/0"] == "" || files["commits/1"] == "" {
		t.Errorf("files: %v", files)
	}
}

func TestCheckpointKeepsTheLastEntries(t *testing.T) {
	w := newWorld(t, 1)
	o := w.options()
	o.MaxOffsetsPerTrigger = 1
	w.sendRecords(105)
	w.mustRun(o)
	files := w.files(logPrefix)
	for _, test := range []struct {
		key  string
		want bool
	}{{"offsets/3", false}, {"commits/3", false}, {"offsets/4", true}, {"commits/4", true}, {"offsets/104", true}, {"commits/104", true}} {
		if _, ok := files[test.key]; ok != test.want {
			t.Errorf("%s: there is %v, want %v", test.key, ok, test.want)
		}
	}
	w.sendRecords(1)
	w.mustRun(o)
	w.checkExactlyOnce()
}

func TestDecodeOffsetsEntry(t *testing.T) {
	for _, test := range []struct{ name, content, problem string }{
		{"good", "v1\n{\"batchWatermarkMs\":0,\"batchTimestampMs\":1,\"conf\":{}}\n{\"t\":{\"0\":1}}", ""},
		{"no conf, as Spark before 2.3", "v1\n{\"batchWatermarkMs\":0,\"batchTimestampMs\":1}\n{\"t\":{\"0\":1}}", ""},
		{"empty", "", "first line"},
		{"version 2", "v2\n{}\n{}", "offset log v2"},
		{"version 3", "v3\n{}\n{}", "first line"},
		{"two sources", "v1\n{}\n{}\n{}", "4 lines"},
		{"no source", "v1\n{}", "2 lines"},
		{"stateful", "v1\n{\"batchWatermarkMs\":5}\n{\"t\":{\"0\":1}}", "watermark"},
		{"source without offset", "v1\n{}\n-", "Kafka offsets"},
		{"null offsets", "v1\n{}\nnull", "no Kafka offsets"},
		{"negative offset", "v1\n{}\n{\"t\":{\"0\":-2}}", "offset -2 of t-0"},
		{"metadata cut off", "v1\n{\"batch\n{\"t\":{\"0\":1}}", "metadata line"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := decodeOffsetsEntry([]byte(test.content))
			if test.problem == "" && err == nil {
				return
			}
			if test.problem == "" || !errors.Is(err, ErrCheckpointFormat) || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("got %v, want %q", err, test.problem)
			}
		})
	}
}

// FuzzOffsetsEntry: what is read is written back to mean the same.
func FuzzOffsetsEntry(f *testing.F) {
	f.Add([]byte("v1\n{\"batchWatermarkMs\":0,\"batchTimestampMs\":1,\"conf\":{\"a\":\"b\"}}\n{\"t\":{\"0\":1,\"10\":2},\"u\":{}}"))
	f.Add([]byte("v1\n{}\n{\"t\\u0000\":{\"0\":1}}"))
	f.Add([]byte("v2\n{}\n{}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		entry, err := decodeOffsetsEntry(content)
		if err != nil {
			return
		}
		again, err := decodeOffsetsEntry(entry.encode())
		if err != nil || again.timestampMs != entry.timestampMs || string(again.conf) != string(entry.conf) || !equalOffsets(again.end, entry.end) {
			t.Errorf("%q\nread %+v\nwritten %q\nread %+v, %v", content, entry, entry.encode(), again, err)
		}
	})
}

func TestOffsetsOfManyPartitionsAreInOrder(t *testing.T) {
	got := string(encodeOffsets(api.PartitionOffsets{"b": {10: 1, 9: 2, 0: 3}, "a": {}}))
	if want := `{"a":{},"b":{"0":3,"9":2,"10":1}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Of two writers of an entry one is told of the other; a writer that asks
// again after a lost answer is not.
func TestEntriesAreWrittenOnce(t *testing.T) {
	c := checkpoint{blob.NewMemory("lake")}
	entry := offsetsEntry{timestampMs: 1, conf: []byte("{}"), end: api.PartitionOffsets{"t": {0: 1}}}
	if err := c.writeOffsets(t.Context(), 0, entry); err != nil {
		t.Fatal(err)
	}
	if err := c.writeOffsets(t.Context(), 0, entry); err != nil {
		t.Errorf("the same entry again: %v", err)
	}
	entry.timestampMs = 2
	if err := c.writeOffsets(t.Context(), 0, entry); !errors.Is(err, ErrConcurrentRun) {
		t.Errorf("another entry: got %v, want %v", err, ErrConcurrentRun)
	}
}
