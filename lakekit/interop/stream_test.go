package interop_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/ingest"
	"taxilake/lakekit/kafka"
)

// lake is a topic, and a folder with the table and the checkpoint of the
// stream that empties it.
type lake struct {
	t       *testing.T
	servers string
	topic   string
	dir     string
	client  *kgo.Client
	next    int64 // id of the next record
}

const (
	topicPartitions = 3
	recordsPerTurn  = 150
	// offsetsPerTrigger makes three batches of a turn: the names of files in
	// TestRealHandover follow from that.
	offsetsPerTrigger = 60
)

var tripSchema = schema("id", delta.Long, "fare_amount", delta.Double, "pickup_datetime", delta.Timestamp, "note", delta.String)

const tripDDL = "id BIGINT, fare_amount DOUBLE, pickup_datetime TIMESTAMP, note STRING"

func newLake(t *testing.T) *lake {
	t.Helper()
	servers := os.Getenv("LAKEKIT_REAL_KAFKA")
	if servers == "" {
		t.Skip("LAKEKIT_REAL_KAFKA is not set, see docker/real.sh")
	}
	spark.need(t)
	l := &lake{t: t, servers: servers, dir: t.TempDir(), topic: fmt.Sprintf("handover-%d", time.Now().UnixNano())}
	admin := must[*kafka.Admin](t)(kafka.NewAdmin(kafka.Config{"bootstrap.servers": servers}))
	t.Cleanup(func() {
		if err := admin.DeleteTopic(context.Background(), l.topic); err != nil {
			t.Error(err)
		}
		admin.Close()
	})
	if _, err := admin.CreateTopic(t.Context(), kafka.TopicSpec{Name: l.topic, Partitions: topicPartitions}); err != nil {
		t.Fatal(err)
	}
	l.client = must[*kgo.Client](t)(kgo.NewClient(kgo.SeedBrokers(servers), kgo.RecordPartitioner(kgo.ManualPartitioner())))
	t.Cleanup(l.client.Close)
	return l
}

func (l *lake) table() string      { return filepath.Join(l.dir, "table") }
func (l *lake) checkpoint() string { return filepath.Join(l.dir, "checkpoint") }

func (l *lake) send() {
	l.t.Helper()
	records := make([]*kgo.Record, recordsPerTurn)
	for i := range records {
		records[i] = &kgo.Record{Topic: l.topic, Partition: int32(l.next % topicPartitions), Value: fmt.Appendf(nil,
			`{"id":%d,"fare_amount":%d.25,"pickup_datetime":"2009-06-15 17:26:%02d UTC","note":"\u00fc %d"}`, l.next, l.next, l.next%60, l.next)}
		l.next++
	}
	if err := l.client.ProduceSync(l.t.Context(), records...).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
}

// ours lets our query take what is in the topic. A hook that returns errKilled
// is the end of its process: whatever it still tries reaches nothing.
func (l *lake) ours(hook blobtest.Hook) {
	l.t.Helper()
	for _, folder := range []string{l.table(), l.checkpoint()} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			l.t.Fatal(err)
		}
	}
	if _, err := delta.Open(l.t.Context(), bucket(l.t, l.table())); errors.Is(err, delta.ErrNotTable) {
		create(l.t, l.table(), delta.Definition{Schema: tripSchema, Properties: map[string]string{delta.CheckpointIntervalKey: "4"}})
	}
	store := bucket(l.t, l.dir)
	var dead atomic.Bool
	killed := make(chan struct{})
	if hook != nil {
		store = blobtest.Faults(store, func(op, key string) error {
			if dead.Load() {
				return errKilled
			}
			err := hook(op, key)
			if errors.Is(err, errKilled) && !dead.Swap(true) {
				close(killed)
			}
			return err
		})
	}
	query := must[*ingest.Query](l.t)(ingest.Start(l.t.Context(), ingest.Options{
		Name:                 "trips",
		Kafka:                kafka.Config{"bootstrap.servers": l.servers},
		Subscribe:            []string{l.topic},
		StartingOffsets:      "earliest",
		MaxOffsetsPerTrigger: offsetsPerTrigger,
		Trigger:              ingest.AvailableNow(),
		Table:                blob.Prefix(store, "table"),
		Checkpoint:           blob.Prefix(store, "checkpoint"),
		DeadLetters:          blob.Prefix(store, "dead_letters"),
		Logger:               slog.New(slog.NewTextHandler(io.Discard, nil)),
	}))
	if hook != nil {
		select {
		case <-killed:
		case <-query.Done():
			l.t.Errorf("the query ended before it was killed: %v", query.Err())
		}
		_ = query.Stop(l.t.Context()) // it was killed: what it says of that goes nowhere
		return
	}
	if err := query.AwaitTermination(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

var errKilled = errors.New("killed")

// kill is a hook that ends the query at the first such operation on a key.
func kill(operation, key string) blobtest.Hook { return blobtest.FailNth(operation, key, 1, errKilled) }

// spark lets Spark take what is in the topic.
func (l *lake) spark() {
	l.t.Helper()
	spark.ask(l.t, request{"op": "stream", "servers": l.servers, "topic": l.topic, "schema": tripDDL, "path": l.table(), "checkpoint": l.checkpoint(), "max_offsets": offsetsPerTrigger}, nil)
}

// forget takes back the end of the last batch: the file in commits, and with
// data also the commit in the table. It leaves the files as a kill before those
// were written does.
func (l *lake) forget(data bool) {
	l.t.Helper()
	batch := strconv.FormatInt(slices.Max(l.batches("commits")), 10)
	l.remove("checkpoint/commits/"+batch, "checkpoint/commits/."+batch+".crc")
	if !data {
		return
	}
	version := snapshot(l.t, open(l.t, l.table())).Version()
	entry := must[[]byte](l.t)(os.ReadFile(commitFile(l.table(), version)))
	if !strings.Contains(string(entry), `"STREAMING UPDATE"`) || !strings.Contains(string(entry), fmt.Sprintf(`"epochId":"%s"`, batch)) {
		l.t.Fatalf("version %d is not batch %s: %s", version, batch, entry)
	}
	name := fmt.Sprintf("table/_delta_log/%020d", version)
	l.remove(name+".json", fmt.Sprintf("table/_delta_log/.%020d.json.crc", version), name+".crc", fmt.Sprintf("table/_delta_log/.%020d.crc.crc", version),
		name+".checkpoint.parquet", fmt.Sprintf("table/_delta_log/.%020d.checkpoint.parquet.crc", version))
}

// remove deletes files; only the first must be there.
func (l *lake) remove(names ...string) {
	l.t.Helper()
	for i, name := range names {
		if err := os.Remove(filepath.Join(l.dir, name)); err != nil && (i == 0 || !errors.Is(err, fs.ErrNotExist)) {
			l.t.Fatal(err)
		}
	}
}

// batches are the numbers of the files in a folder of the checkpoint, sorted.
func (l *lake) batches(folder string) (numbers []int64) {
	l.t.Helper()
	for _, entry := range must[[]os.DirEntry](l.t)(os.ReadDir(filepath.Join(l.checkpoint(), folder))) {
		if n, err := strconv.ParseInt(entry.Name(), 10, 64); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// check: every record is in the table once, as both engines read it, and
// checkpoint and table agree on the last batch.
func (l *lake) check() {
	l.t.Helper()
	want := []string{}
	for id := range l.next {
		want = append(want, fmt.Sprintf(`{"fare_amount":"%d.25","id":"int64 %d","note":"ü %d","pickup_datetime":"2009-06-15T17:26:%02d.000000Z"}`, id, id, id, id%60))
	}
	slices.Sort(want)
	s := snapshot(l.t, open(l.t, l.table()))
	equalRows(l.t, scanned(l.t, s), want)
	equalRows(l.t, spark.read(l.t, l.table(), nil), want)

	planned, committed := l.batches("offsets"), l.batches("commits")
	if !slices.Equal(planned, committed) {
		l.t.Errorf("planned are the batches %v, committed %v", planned, committed)
	}
	for i, n := range planned {
		if n != planned[0]+int64(i) {
			l.t.Errorf("batches %v have a gap", planned)
			break
		}
	}
	var metadata struct{ ID string }
	if err := json.Unmarshal(must[[]byte](l.t)(os.ReadFile(filepath.Join(l.checkpoint(), "metadata"))), &metadata); err != nil {
		l.t.Fatal(err)
	}
	if txn, _ := s.Txn(metadata.ID); txn.Version != planned[len(planned)-1] || len(s.Txns()) != 1 {
		l.t.Errorf("transaction identifiers %v, want one of the query %s at batch %d", s.Txns(), metadata.ID, planned[len(planned)-1])
	}
}

// TestRealHandover: Spark takes over our streams and we Spark's, from the same
// checkpoint and table, wherever the other stopped.
func TestRealHandover(t *testing.T) {
	ours := func(l *lake) { l.send(); l.ours(nil) }
	sparks := func(l *lake) { l.send(); l.spark() }
	killed := func(operation, key string) func(*lake) {
		return func(l *lake) { l.send(); l.ours(kill(operation, key)) }
	}
	forget := func(data bool) func(*lake) { return func(l *lake) { l.forget(data) } }
	for _, test := range []struct {
		name  string
		turns []func(*lake)
	}{
		{"ours, then spark", []func(*lake){ours, sparks}},
		{"spark, then ours", []func(*lake){sparks, ours}},
		{"in turns", []func(*lake){ours, sparks, ours, sparks, sparks, ours, ours, sparks}},
		{"nothing new for either", []func(*lake){ours, (*lake).spark, func(l *lake) { l.ours(nil) }, sparks}},
		{"more batches of ours than the checkpoint keeps", []func(*lake){func(l *lake) {
			for range 40 {
				ours(l)
			}
			if kept := l.batches("offsets"); kept[0] == 0 {
				l.t.Errorf("the checkpoint keeps %v", kept)
			}
		}, sparks, ours}},

		{"ours killed before the plan of the first batch, then spark", []func(*lake){killed(blobtest.PutIfAbsent, "checkpoint/offsets/0"), sparks}},
		{"ours killed after the plan of the first batch, then spark", []func(*lake){killed(blobtest.After+blobtest.PutIfAbsent, "checkpoint/offsets/0"), sparks}},
		{"ours killed after the plan, then spark", []func(*lake){ours, killed(blobtest.After+blobtest.PutIfAbsent, "checkpoint/offsets/4"), sparks, ours}},
		{"ours killed before the commit in the table, then spark", []func(*lake){ours, killed(blobtest.PutIfAbsent, "table/_delta_log/*5.json"), sparks, ours}},
		{"ours killed after the commit in the table, then spark", []func(*lake){ours, killed(blobtest.After+blobtest.PutIfAbsent, "table/_delta_log/*5.json"), sparks, ours}},
		{"ours killed before the end of the batch is noted, then spark", []func(*lake){ours, killed(blobtest.PutIfAbsent, "checkpoint/commits/5"), sparks, ours}},
		{"ours killed after the end of the batch is noted, then spark", []func(*lake){ours, killed(blobtest.After+blobtest.PutIfAbsent, "checkpoint/commits/4"), sparks, ours}},

		{"spark without the end of its batch, then ours", []func(*lake){sparks, forget(false), ours, sparks}},
		{"spark without the commit in the table, then ours", []func(*lake){sparks, forget(true), ours, sparks}},
		{"spark without the end of its batch, after ours, then ours", []func(*lake){ours, sparks, forget(false), ours, sparks}},
		{"spark without the commit in the table, after ours, then ours", []func(*lake){ours, sparks, forget(true), ours, sparks}},
		{"ours without the end of its batch, then spark", []func(*lake){ours, forget(false), sparks}},
		{"ours without the commit in the table, then spark", []func(*lake){ours, forget(true), sparks, ours}},
		{"ours without the commit in the table, then spark without the end of its batch, then ours", []func(*lake){ours, forget(true), (*lake).spark, forget(false), ours, sparks}},

		{"maintained by us between the turns", []func(*lake){sparks, func(l *lake) {
			must[delta.CompactResult](l.t)(open(l.t, l.table()).Compact(l.t.Context(), delta.CompactOptions{}))
			if err := open(l.t, l.table()).Checkpoint(l.t.Context()); err != nil {
				l.t.Fatal(err)
			}
		}, sparks, ours}},
		{"maintained by spark between the turns", []func(*lake){ours, func(l *lake) { statements(l.t, l.table(), nil, "OPTIMIZE T ", "VACUUM T RETAIN 0 HOURS") }, ours, sparks}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLake(t)
			for _, turn := range test.turns {
				turn(l)
			}
			l.check()
		})
	}
}

// TestRealCheckpointFiles: for one topic and one plan, our checkpoint has the
// bytes of Spark's, but for the query's id and the time.
func TestRealCheckpointFiles(t *testing.T) {
	l := newLake(t)
	l.send()
	l.ours(nil)
	ours := l.checkpointFiles()
	for _, folder := range []string{l.table(), l.checkpoint()} {
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
	}
	l.spark()
	theirs := l.checkpointFiles()
	delete(ours, "lakekit.json")
	same(t, "files", len(ours), len(theirs))
	for name, want := range theirs {
		if got := ours[name]; got != want {
			t.Errorf("%s\n got %q\nwant %q", name, got, want)
		}
	}
}

var changing = regexp.MustCompile(`"id":"[0-9a-f-]{36}"|"batchTimestampMs":[0-9]+`)

// checkpointFiles are the contents of the checkpoint by name, without what
// differs from run to run.
func (l *lake) checkpointFiles() map[string]string {
	l.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(l.checkpoint(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, ".crc") {
			return err
		}
		content, err := os.ReadFile(path)
		name, nameErr := filepath.Rel(l.checkpoint(), path)
		files[name] = changing.ReplaceAllStringFunc(string(content), func(found string) string { return found[:strings.Index(found, ":")] })
		return cmp.Or(err, nameErr)
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return files
}
