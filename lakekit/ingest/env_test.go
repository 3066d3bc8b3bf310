package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/kafka"
)

const (
	testTopic   = "nyc_taxi_data"
	tablePrefix = "delta/taxi_record"
	deadPrefix  = "delta/taxi_record_dead_letters"
	logPrefix   = "checkpoints/taxi_record"
)

// world is a broker with a topic, and a store with a table.
type world struct {
	t       testing.TB
	servers string
	topic   string
	cluster *kfake.Cluster // nil where it is not the test's own
	client  *kgo.Client
	admin   *confluent.AdminClient
	store   blob.Bucket
	next    int64 // id of the next record
}

func newWorld(t testing.TB, partitions int32) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, testTopic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	admin, err := confluent.NewAdminClient(&confluent.ConfigMap{"bootstrap.servers": strings.Join(cluster.ListenAddrs(), ","), "enable.metrics.push": false})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	w := &world{t: t, servers: strings.Join(cluster.ListenAddrs(), ","), topic: testTopic, cluster: cluster, admin: admin, store: blob.NewMemory("lake")}
	w.connect(cluster.ListenAddrs()...)
	w.createTable(nil)
	return w
}

// connect makes a new producer, which knows the topic as it is now.
func (w *world) connect(servers ...string) {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(servers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(32<<20),
		kgo.MetadataMinAge(50*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	w.client = client
}

var recordSchema = delta.Schema{Fields: []delta.Field{
	{Name: "id", Type: delta.Long},
	{Name: "fare_amount", Type: delta.Double, Nullable: true},
	{Name: "pickup_datetime", Type: delta.Timestamp, Nullable: true},
	{Name: "note", Type: delta.String, Nullable: true},
}}

func (w *world) createTable(properties map[string]string) {
	w.t.Helper()
	_, err := delta.Create(w.t.Context(), blob.Prefix(w.store, tablePrefix), delta.Definition{Schema: recordSchema, Properties: properties})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) options() Options {
	o := queryOptions(w.servers).on(w.store)
	o.Subscribe = []string{w.topic}
	return o
}

// queryOptions drain the topic into the store they are put on.
func queryOptions(servers string) Options {
	return Options{
		Name:            "taxi",
		Kafka:           kafka.Config{"bootstrap.servers": servers},
		Subscribe:       []string{testTopic},
		StartingOffsets: "earliest",
		Trigger:         AvailableNow(),
		Logger:          slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// on is the options with another store under them.
func (o Options) on(store blob.Bucket) Options {
	o.Table, o.Checkpoint, o.DeadLetters = blob.Prefix(store, tablePrefix), blob.Prefix(store, logPrefix), blob.Prefix(store, deadPrefix)
	return o
}

// send produces values, round robin over the partitions.
func (w *world) send(values ...string) {
	w.t.Helper()
	partitions := w.partitions()
	records := make([]*kgo.Record, len(values))
	for i, value := range values {
		records[i] = &kgo.Record{Topic: w.topic, Partition: int32(i) % partitions, Key: []byte("k"), Value: []byte(value), Timestamp: time.UnixMilli(1_245_086_781_000)}
	}
	if err := w.client.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) partitions() int32 {
	w.t.Helper()
	name := w.topic
	metadata, err := w.admin.GetMetadata(&name, false, 10_000)
	if err != nil {
		w.t.Fatal(err)
	}
	return int32(len(metadata.Topics[w.topic].Partitions))
}

// sendRecords produces n good records with ids of their own.
func (w *world) sendRecords(n int) {
	w.t.Helper()
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprintf(`{"id":%d,"fare_amount":%d.5,"pickup_datetime":"2009-06-15 17:26:21 UTC"}`, w.next, w.next)
		w.next++
	}
	w.send(values...)
}

// run runs a query to its end.
func (w *world) run(o Options) error {
	w.t.Helper()
	q, err := Start(w.t.Context(), o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	err = q.AwaitTermination(ctx)
	if ctx.Err() != nil {
		w.t.Errorf("the query did not end: %+v", q.Status())
		_ = q.Stop(ctx)
	}
	return err
}

func (w *world) mustRun(o Options) {
	w.t.Helper()
	if err := w.run(o); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) table() *delta.Table { return openTable(w.t, w.store, tablePrefix) }

func openTable(t testing.TB, store blob.Bucket, prefix string) *delta.Table {
	t.Helper()
	table, err := delta.Open(t.Context(), blob.Prefix(store, prefix))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func (w *world) snapshot() *delta.Snapshot {
	w.t.Helper()
	snapshot, err := w.table().Snapshot(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return snapshot
}

// ids counts how often each id is in the table.
func (w *world) ids() map[int64]int {
	w.t.Helper()
	ids := map[int64]int{}
	for rows, err := range w.snapshot().Scan(w.t.Context(), delta.ScanOptions{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		column := rows.Column(0).(*array.Int64)
		for i := range column.Len() {
			ids[column.Value(i)]++
		}
	}
	return ids
}

// checkExactlyOnce says which of the records sent are missing or repeated.
func (w *world) checkExactlyOnce() {
	w.t.Helper()
	ids := w.ids()
	var lost, twice []int64
	for id := range w.next {
		switch ids[id] {
		case 0:
			lost = append(lost, id)
		case 1:
		default:
			twice = append(twice, id)
		}
	}
	if len(lost)+len(twice) > 0 || int64(len(ids)) != w.next {
		w.t.Errorf("of %d records %d are missing, %d repeated (first: %v, %v); %d ids in the table", w.next, len(lost), len(twice), first(lost), first(twice), len(ids))
	}
}

func first(ids []int64) []int64 { return ids[:min(len(ids), 5)] }

// letters are the dead letters as "partition/offset value: reason", sorted.
func (w *world) letters() []string {
	w.t.Helper()
	table, err := delta.Open(w.t.Context(), blob.Prefix(w.store, deadPrefix))
	if errors.Is(err, delta.ErrNotTable) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	snapshot, err := table.Snapshot(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var letters []string
	for rows, err := range snapshot.Scan(w.t.Context(), delta.ScanOptions{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		partition, offset := rows.Column(1).(*array.Int32), rows.Column(2).(*array.Int64)
		value, reason := rows.Column(5).(*array.Binary), rows.Column(6).(*array.String)
		for i := range int(rows.NumRows()) {
			letters = append(letters, fmt.Sprintf("%d/%d %.60s: %s", partition.Value(i), offset.Value(i), value.Value(i), reason.Value(i)))
		}
	}
	slices.Sort(letters)
	return letters
}

// checkNoOrphans finds data files that no version of the table names.
func (w *world) checkNoOrphans(prefix string) {
	w.t.Helper()
	if _, err := delta.Open(w.t.Context(), blob.Prefix(w.store, prefix)); errors.Is(err, delta.ErrNotTable) {
		return
	}
	table := openTable(w.t, w.store, prefix)
	newest, err := table.Snapshot(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	named := map[string]bool{}
	for version := range newest.Version() + 1 {
		snapshot, err := table.SnapshotAt(w.t.Context(), version)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, file := range snapshot.Files() {
			key, err := file.Key()
			if err != nil {
				w.t.Fatal(err)
			}
			named[key] = true
		}
	}
	for object, err := range table.Bucket().List(w.t.Context(), blob.ListOptions{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if strings.HasSuffix(object.Key, ".parquet") && !strings.HasPrefix(object.Key, "_delta_log/") && !named[object.Key] {
			w.t.Errorf("%s is in no version of the table", table.Bucket().URI(object.Key))
		}
	}
}

// files are the contents of a folder by key.
func (w *world) files(prefix string) map[string]string {
	w.t.Helper()
	files := map[string]string{}
	bucket := blob.Prefix(w.store, prefix)
	for object, err := range bucket.List(w.t.Context(), blob.ListOptions{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		content, err := blob.ReadAll(w.t.Context(), bucket, object.Key)
		if err != nil {
			w.t.Fatal(err)
		}
		files[object.Key] = string(content)
	}
	return files
}

// wipe deletes everything under a prefix.
func (w *world) wipe(prefix string) {
	w.t.Helper()
	if err := w.store.Delete(w.t.Context(), prefixed(prefix, slices.Collect(maps.Keys(w.files(prefix))))...); err != nil {
		w.t.Fatal(err)
	}
}

func prefixed(prefix string, keys []string) []string {
	for i := range keys {
		keys[i] = prefix + "/" + keys[i]
	}
	return keys
}

// caughtUp is a query that has read n new records and goes on.
func (w *world) caughtUp(n int) *Query {
	w.t.Helper()
	w.sendRecords(n)
	o := w.options()
	o.Trigger = ProcessingTime(time.Millisecond)
	q, err := Start(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := q.ProcessAllAvailable(w.t.Context()); err != nil {
		stop(w.t, q)
		w.t.Fatal(err)
	}
	return q
}

func equalOffsets(a, b api.PartitionOffsets) bool {
	return maps.EqualFunc(a, b, maps.Equal[map[int32]int64, map[int32]int64])
}

// patience only ends a test that has failed: what is awaited comes, however busy
// the machine is.
const patience = 5 * time.Minute

func stop(t testing.TB, q *Query) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := q.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func abandonedContext() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func portOf(t testing.TB, addr string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

var errUnfit = errors.New("does not fit")

func cell(column arrow.Array, row int) string {
	if column.IsNull(row) {
		return "null"
	}
	return column.ValueStr(row)
}
