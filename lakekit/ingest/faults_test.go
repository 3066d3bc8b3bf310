package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/kafka"
)

// Every fault ends with the same verdict: of the records that the broker has
// acknowledged none is lost, none is there twice. The suite runs on the
// embedded broker and on the Apache Kafka at LAKEKIT_REAL_KAFKA, but for faults
// of the broker itself: a cluster that others use is not to be killed.
func TestFaults(t *testing.T) {
	faults := []struct {
		name     string
		embedded bool // only
		inject   func(*world)
	}{
		{"killed at every failpoint", false, killedAtEveryFailpoint},
		{"killed at random under load", false, killedAtRandomUnderLoad},
		{"two processes on one checkpoint", false, twoProcesses},
		{"broker killed and restarted", true, brokerKilled},
		{"leaders moved", true, leadersMoved},
		{"retention overtakes the stream", false, func(w *world) { retentionOvertakes(w, 0, "10 to 15") }},
		{"retention overtakes whole batches", false, func(w *world) { retentionOvertakes(w, 6, "10 to 11", "12 to 13", "14 to 15") }},
		{"partitions added", false, partitionsAdded},
		{"store slow", false, storeSlow},
		{"store answers after the time-out", false, storeAnswersLate},
		{"disk full", false, diskFull},
		{"clock steps back", false, clockStepsBack},
		{"table maintained meanwhile", false, tableMaintained},
		{"table restored meanwhile", false, tableRestored},
	}
	for _, cluster := range []struct {
		name string
		open func(testing.TB, int32) *world
	}{{"embedded", newWorld}, {"real", newRealWorld}} {
		t.Run(cluster.name, func(t *testing.T) {
			for _, fault := range faults {
				if fault.embedded && cluster.name != "embedded" {
					continue
				}
				t.Run(fault.name, func(t *testing.T) {
					w := cluster.open(t, 3)
					fault.inject(w)
					w.verdict()
				})
			}
		})
	}
}

// newRealWorld has a topic of its own on a cluster that is not.
func newRealWorld(t testing.TB, partitions int32) *world {
	t.Helper()
	servers := os.Getenv("LAKEKIT_REAL_KAFKA")
	if servers == "" {
		t.Skip("LAKEKIT_REAL_KAFKA is not set: `make test-real` sets it")
	}
	admin, err := confluent.NewAdminClient(&confluent.ConfigMap{"bootstrap.servers": servers, "enable.metrics.push": false})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	w := &world{t: t, servers: servers, topic: "faults-" + strings.ToLower(rand.Text()[:10]), admin: admin, store: blob.NewMemory("lake")}
	// The records are of 2009, which Kafka's default retention takes when it looks.
	created, err := admin.CreateTopics(t.Context(), []confluent.TopicSpecification{
		{Topic: w.topic, NumPartitions: int(partitions), ReplicationFactor: 1, Config: map[string]string{"retention.ms": "-1"}},
	})
	if err != nil || created[0].Error.Code() != confluent.ErrNoError {
		t.Fatal(err, created)
	}
	t.Cleanup(func() {
		if _, err := admin.DeleteTopics(context.Background(), []string{w.topic}); err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(patience); w.partitions() != partitions; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the topic has %d partitions, want %d", w.partitions(), partitions)
		}
	}
	w.connect(servers)
	w.createTable(nil)
	return w
}

// verdict compares the table with the producer's ledger: every id up to next,
// once. Every version of the table must still be readable but for what was
// vacuumed, so no file that is missing is referenced.
func (w *world) verdict() {
	w.t.Helper()
	w.checkExactlyOnce()
	w.checkReferencedFiles(tablePrefix)
	if !w.t.Failed() {
		w.t.Logf("%d records: 0 lost, 0 twice", w.next)
	}
}

// checkReferencedFiles: what the newest version names is there, whole.
func (w *world) checkReferencedFiles(prefix string) {
	w.t.Helper()
	table := openTable(w.t, w.store, prefix)
	snapshot, err := table.Snapshot(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, file := range snapshot.Files() {
		key, err := file.Key()
		if err != nil {
			w.t.Fatal(err)
		}
		if info, err := table.Bucket().Head(w.t.Context(), key); err != nil || info.Size != file.Size {
			w.t.Errorf("%s: %d bytes, the log says %d (%v)", key, info.Size, file.Size, err)
		}
	}
}

// onDisk moves the store into a folder that processes can share.
func (w *world) onDisk() (dir string) {
	w.t.Helper()
	dir = w.t.TempDir()
	store, err := blob.OpenDir(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.store = store
	return dir
}

func (w *world) victim(dir string, maxOffsets int64, environment ...string) *victim {
	w.t.Helper()
	return startVictim(w.t, victimQuery, queryOrder{w.servers, w.topic, dir, maxOffsets}, environment...)
}

// load sends records in small batches, from another goroutine, until it is
// stopped. A broker that is down is waited for.
func (w *world) load() (stop func()) {
	w.t.Helper()
	partitions := w.partitions()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			records := make([]*kgo.Record, 30)
			for i := range records {
				records[i] = &kgo.Record{Topic: w.topic, Partition: int32(i) % partitions, Value: fmt.Appendf(nil, `{"id":%d,"fare_amount":2.5}`, w.next)}
				w.next++
			}
			// Not with ctx: what was begun is acknowledged, so that the ledger is exact.
			if err := w.client.ProduceSync(context.WithoutCancel(ctx), records...).FirstErr(); err != nil {
				ended <- err
				return
			}
			time.Sleep(time.Millisecond)
		}
		ended <- nil
	}()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the load: %v", err)
		}
	})
}

// stream is a query that goes on until the end of the test.
func (w *world) stream(o Options) *Query {
	w.t.Helper()
	o.Trigger = ProcessingTime(time.Millisecond)
	q, err := Start(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = q.Stop(abandonedContext()) })
	return q
}

// drain waits until everything sent is in the table.
func (w *world) drain(q *Query) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := q.ProcessAllAvailable(ctx); err != nil {
		w.t.Fatalf("%v: %+v", err, q.Status())
	}
}

// batches waits until the query has made so many more.
func (w *world) batches(q *Query, n int64) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for from := q.Metrics().Batches; q.Metrics().Batches < from+n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) || !q.Status().IsActive {
			w.t.Fatalf("no %d batches: %+v", n, q.Status())
		}
	}
}

// A process is killed at every point of a batch, of the log's upkeep and of
// compaction; the next run makes whole what it left.
func killedAtEveryFailpoint(w *world) {
	const after = 60 // records
	aged := w.agedStore(logEntriesKept + 5)
	fresh := w.t.TempDir()
	w.store = must(blob.OpenDir(fresh))(w.t)
	w.createTable(nil)
	w.sendRecords(after / 2)
	w.send("poison", "poison", "poison", "poison", "poison", "poison")
	w.sendRecords(after / 2)

	firstRunOnly := []string{"query-id", "binding", "initial-offsets", "dead-letter-table"}
	for _, name := range Failpoints() {
		_, step, _ := strings.Cut(name, "-")
		template := aged
		if slices.Contains(firstRunOnly, step) {
			template = fresh
		}
		dir := filepath.Join(w.t.TempDir(), "lake")
		if err := os.CopyFS(dir, os.DirFS(template)); err != nil {
			w.t.Fatal(err)
		}
		victim := w.victim(dir, 9, FailpointVariable+"="+name)
		if signal := victim.await(); signal != syscall.SIGKILL {
			w.t.Fatalf("%s: it ended by %v: %s", name, signal, victim.errors.String())
		}
		w.store = must(blob.OpenDir(dir))(w.t)
		w.mustRun(w.options())
		w.checkExactlyOnce()
		w.checkReferencedFiles(tablePrefix)
		w.checkReferencedFiles(deadPrefix)
		if letters := w.letters(); len(letters) != 6 {
			w.t.Errorf("dead letters %v, want six", letters)
		}
		if w.t.Failed() {
			w.t.Fatalf("killed at %s", name)
		}
	}
	w.t.Logf("killed at %d points", len(Failpoints()))
}

// agedStore is a folder with a table and a checkpoint of so many batches that
// the next ones purge the checkpoint, write log checkpoints and compact.
func (w *world) agedStore(batches int) (dir string) {
	w.t.Helper()
	dir = w.onDisk()
	w.createTable(map[string]string{delta.AutoCompactKey: "true", delta.CheckpointIntervalKey: "5"})
	w.sendRecords(batches * int(w.partitions())) // a batch takes one of each at least
	o := w.options().on(blobtest.Faults(w.store, func(op, key string) error {
		// Only a compaction reads data files; it is left to the victims.
		if op == blobtest.Get || op == blobtest.GetRange {
			if strings.HasPrefix(key, tablePrefix+"/part-") {
				return errStoreDown
			}
		}
		return nil
	}))
	o.MaxOffsetsPerTrigger = 1
	w.mustRun(o)
	return dir
}

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// kills is how many random kills are made: LAKEKIT_KILLS, 100 in `make
// test-real`.
func kills(t testing.TB) int {
	text := os.Getenv("LAKEKIT_KILLS")
	if text == "" {
		return 20
	}
	return must(strconv.Atoi(text))(t)
}

// A process is killed at random again and again while records keep coming.
func killedAtRandomUnderLoad(w *world) {
	seed := mathrand.Uint64()
	if text := os.Getenv("LAKEKIT_SEED"); text != "" {
		seed = must(strconv.ParseUint(text, 10, 64))(w.t)
	}
	w.t.Logf("LAKEKIT_SEED=%d LAKEKIT_KILLS=%d", seed, kills(w.t))
	random := mathrand.New(mathrand.NewPCG(seed, 0))
	dir := w.onDisk()
	w.createTable(map[string]string{delta.AutoCompactKey: "true"})
	stop := w.load()
	defer stop()
	working := 0
	for range kills(w.t) {
		victim := w.victim(dir, 500)
		if random.IntN(10) > 0 { // else: killed while it starts
			victim.line()
			working++
		}
		time.Sleep(time.Duration(random.Int64N(int64(150 * time.Millisecond))))
		victim.kill()
	}
	stop()
	w.mustRun(w.options())
	if working == 0 {
		w.t.Error("no process came so far as to start its query")
	}
	// What the killed ones left lying about goes with a vacuum, and nothing else.
	now := time.Duration(0)
	if _, err := w.table().Vacuum(w.t.Context(), delta.VacuumOptions{Retention: &now, DisableRetentionCheck: true}); err != nil {
		w.t.Fatal(err)
	}
}

// Of two processes one ends with an error that says why.
func twoProcesses(w *world) {
	dir := w.onDisk()
	w.createTable(nil)
	stop := w.load()
	defer stop()
	ended := make(chan *victim, 2)
	var two []*victim
	for range 2 {
		v := w.victim(dir, 200)
		v.line()
		two = append(two, v)
	}
	for _, v := range two {
		go func() { v.await(); ended <- v }()
	}
	loser := <-ended
	for _, v := range two {
		if v != loser {
			_ = v.cmd.Process.Kill()
		}
	}
	<-ended
	stop()
	if message := loser.errors.String(); !strings.Contains(message, ErrConcurrentRun.Error()) {
		w.t.Errorf("the loser said %q", message)
	}
	w.mustRun(w.options())
}

// The broker is killed (kill -9) under load and comes back at its address.
func brokerKilled(w *world) {
	dir := w.t.TempDir()
	order := brokerOrder{Dir: dir}
	v := startVictim(w.t, victimBroker, order)
	w.servers = v.line()
	order.Port = portOf(w.t, w.servers)
	w.admin = must(confluent.NewAdminClient(&confluent.ConfigMap{"bootstrap.servers": w.servers, "enable.metrics.push": false}))(w.t)
	w.t.Cleanup(w.admin.Close)
	w.createTopicOn(w.servers, 3)
	o := w.options()
	o.Kafka = kafka.Config{"bootstrap.servers": w.servers, "reconnect.backoff.max.ms": "100"}
	q := w.stream(o)
	stop := w.load()
	defer stop()
	for range 3 {
		w.batches(q, 3)
		v.kill()
		for !q.Status().Waiting {
			time.Sleep(time.Millisecond)
		}
		v = startVictim(w.t, victimBroker, order)
		v.line()
	}
	w.batches(q, 3)
	stop()
	w.drain(q)
}

func (w *world) createTopicOn(servers string, partitions int) {
	w.t.Helper()
	if _, err := w.admin.CreateTopics(w.t.Context(), []confluent.TopicSpecification{{Topic: w.topic, NumPartitions: partitions, ReplicationFactor: 1}}); err != nil {
		w.t.Fatal(err)
	}
	w.connect(servers)
}

// Partitions change their leader among three brokers.
func leadersMoved(w *world) {
	cluster := must(kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(3, w.topic)))(w.t)
	w.t.Cleanup(cluster.Close)
	w.servers = strings.Join(cluster.ListenAddrs(), ",")
	w.connect(cluster.ListenAddrs()...)
	q := w.stream(w.options())
	stop := w.load()
	defer stop()
	moved := 0
	for i := range 15 {
		w.batches(q, 1)
		partition := int32(i % 3)
		before := cluster.LeaderFor(w.topic, partition)
		if err := cluster.MoveTopicPartition(w.topic, partition, (before+1)%3); err != nil {
			w.t.Fatal(err)
		}
		if cluster.LeaderFor(w.topic, partition) != before {
			moved++
		}
	}
	if moved != 15 {
		w.t.Errorf("%d leaders moved, want 15", moved)
	}
	stop()
	w.drain(q)
}

// Records go before they are read: that is refused; and when it is allowed, the
// gaps in the commits are exactly what the table lacks.
func retentionOvertakes(w *world, maxOffsets int64, gaps ...string) {
	o, no := w.options(), false
	o.MaxOffsetsPerTrigger = maxOffsets
	w.sendRecords(30)
	w.mustRun(o)
	w.sendRecords(30)
	w.deleteRecords(1, 16)
	if err := w.run(o); !errors.Is(err, ErrDataLoss) || !strings.Contains(err.Error(), "failOnDataLoss=false") {
		w.t.Errorf("got %v, want %v and the way out", err, ErrDataLoss)
	}
	o.FailOnDataLoss = &no
	w.mustRun(o)
	history, err := w.table().History(w.t.Context(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var told []string
	for _, entry := range slices.Backward(history) {
		if gap, found := strings.CutPrefix(entry.UserMetadata, fmt.Sprintf("records lost before they were read: %s-1 has nothing from offset ", w.topic)); found {
			told = append(told, gap)
		}
	}
	if !slices.Equal(told, gaps) {
		w.t.Errorf("the commits tell of gaps %v, want %v", told, gaps)
	}
	// Record i of the second 30 went to partition i%3: offsets 10 to 15 of
	// partition 1 are these six. They are the broker's loss, and sent again.
	ids := w.ids()
	var values []string
	for i := range int64(6) {
		id := 30 + 1 + 3*i
		if ids[id] != 0 {
			w.t.Errorf("record %d was removed, and is in the table", id)
		}
		values = append(values, fmt.Sprintf(`{"id":%d}`, id))
	}
	w.send(values...)
	w.mustRun(w.options())
}

// Partitions are added while records come.
func partitionsAdded(w *world) {
	q := w.stream(w.options())
	for _, partitions := range []int{5, 8} {
		stop := w.load()
		w.batches(q, 3)
		if _, err := w.admin.CreatePartitions(w.t.Context(), []confluent.PartitionsSpecification{{Topic: w.topic, IncreaseTo: partitions}}); err != nil {
			w.t.Fatal(err)
		}
		w.batches(q, 3)
		stop()
		deadline := time.Now().Add(patience)
		for w.partitions() != int32(partitions) {
			if time.Now().After(deadline) {
				w.t.Fatalf("the topic has %d partitions, want %d", w.partitions(), partitions)
			}
			time.Sleep(10 * time.Millisecond)
		}
		w.connect(strings.Split(w.servers, ",")...)
		w.sendRecords(100) // into the new ones, too
	}
	w.drain(q)
	if got := len(q.LastProgress().Sources[0].EndOffset[w.topic]); got != 8 {
		w.t.Errorf("the query reads %d partitions, want 8", got)
	}
}

func storeSlow(w *world) {
	o := w.options().on(blobtest.Faults(w.store, func(op, key string) error {
		time.Sleep(time.Duration(mathrand.Int64N(int64(10 * time.Millisecond))))
		return nil
	}))
	o.MaxOffsetsPerTrigger = 300
	q := w.stream(o)
	stop := w.load()
	defer stop()
	w.batches(q, 10)
	stop()
	w.drain(q)
}

// late is a store whose writes may happen long after the caller was told that
// they took too long.
type late struct {
	blob.Bucket
	mu     sync.Mutex
	random *mathrand.Rand
	held   []func()
	writes sync.WaitGroup
	calm   atomic.Bool
}

func (l *late) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	return l.write(ctx, key, body, l.Bucket.Put)
}

func (l *late) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	return l.write(ctx, key, body, l.Bucket.PutIfAbsent)
}

func (l *late) write(ctx context.Context, key string, body io.ReadSeeker, put func(context.Context, string, io.ReadSeeker) error) error {
	content, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := func(ctx context.Context) error { return put(ctx, key, strings.NewReader(string(content))) }
	if l.calm.Load() || l.random.IntN(5) > 0 {
		return now(ctx)
	}
	l.held = append(l.held, func() { _ = now(context.WithoutCancel(ctx)) })
	if l.random.IntN(3) == 0 { // some arrive while it is tried again, some much later
		l.release()
	}
	return fmt.Errorf("put %s: %w", key, context.DeadlineExceeded)
}

// release lets the writes happen that were held back; the caller holds mu.
func (l *late) release() {
	for _, write := range l.held {
		l.writes.Go(write)
	}
	l.held = nil
}

func storeAnswersLate(w *world) {
	l := &late{Bucket: w.store, random: mathrand.New(mathrand.NewPCG(1, 2))}
	o := w.options().on(l)
	o.Clock, o.MaxOffsetsPerTrigger = fastClock{}, 300
	q := w.stream(o)
	stop := w.load()
	defer stop()
	w.batches(q, 30)
	stop()
	l.calm.Store(true)
	l.mu.Lock()
	l.release()
	l.mu.Unlock()
	l.writes.Wait()
	w.drain(q)
	if retries := q.Metrics().Retries; retries < 10 {
		w.t.Errorf("only %d retries", retries)
	}
}

// quota is a store on a disk with so many bytes left.
type quota struct {
	blob.Bucket
	left atomic.Int64
}

func (d *quota) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	return d.write(ctx, key, body, d.Bucket.Put)
}

func (d *quota) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	return d.write(ctx, key, body, d.Bucket.PutIfAbsent)
}

func (d *quota) write(ctx context.Context, key string, body io.ReadSeeker, put func(context.Context, string, io.ReadSeeker) error) error {
	size, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if d.left.Add(-size) < 0 {
		d.left.Add(size)
		return fmt.Errorf("put %s: %w", key, syscall.ENOSPC)
	}
	return put(ctx, key, body)
}

// The disk fills up at every size at which a batch can meet it; when there is
// room again the query goes on by itself.
func diskFull(w *world) {
	d := &quota{Bucket: w.store}
	o := w.options().on(d)
	o.Clock = fastClock{}
	d.left.Store(8 << 10)
	q := w.stream(o)
	stop := w.load()
	defer stop()
	for range 10 {
		deadline := time.Now().Add(patience)
		for s := q.Status(); !s.Waiting || !strings.Contains(s.Message, syscall.ENOSPC.Error()); s = q.Status() {
			if time.Now().After(deadline) {
				w.t.Fatalf("it does not say that the disk is full: %+v", s)
			}
			time.Sleep(time.Millisecond)
		}
		before := q.Metrics().Retries
		for q.Metrics().Retries == before && q.Status().Waiting {
			time.Sleep(time.Millisecond)
		}
		d.left.Add(3000) // a step or two of a batch
	}
	stop()
	d.left.Store(1 << 40)
	w.drain(q)
	w.checkNoOrphans(tablePrefix)
}

// backwards is a clock that is set back an hour now and then. Without a
// monotonic reading, which time.Now has, each step is seen.
type backwards struct{ calls *atomic.Int64 }

func (b backwards) Now() time.Time {
	steps := b.calls.Add(1) / 7
	return time.Now().Round(0).Add(-time.Duration(steps) * time.Hour)
}

func (b backwards) After(d time.Duration) <-chan time.Time { return time.After(d) }

func clockStepsBack(w *world) {
	o := w.options()
	o.Clock, o.MaxOffsetsPerTrigger = backwards{new(atomic.Int64)}, 300
	q := w.stream(o)
	stop := w.load()
	defer stop()
	w.batches(q, 20)
	stop()
	w.drain(q)
	for _, p := range q.RecentProgress() {
		if p.NumInputRows < 0 {
			w.t.Errorf("progress: %+v", p)
		}
	}
}

// Another process compacts, optimizes and vacuums the table that is written.
func tableMaintained(w *world) {
	o := w.options()
	o.MaxOffsetsPerTrigger = 100
	q := w.stream(o)
	stop := w.load()
	defer stop()
	rewritten := int64(0)
	for i := range 8 {
		w.batches(q, 4)
		other := w.table() // as another process has it
		var result delta.CompactResult
		var err error
		if i%2 == 0 {
			result, err = other.Compact(w.t.Context(), delta.CompactOptions{})
		} else {
			result, err = other.Optimize(w.t.Context(), delta.OptimizeOptions{ZOrderBy: []string{"id"}})
		}
		if err != nil {
			w.t.Fatal(err)
		}
		rewritten += int64(result.FilesRemoved)
		if _, err := other.Vacuum(w.t.Context(), delta.VacuumOptions{}); err != nil {
			w.t.Fatal(err)
		}
	}
	if rewritten == 0 {
		w.t.Error("nothing was rewritten")
	}
	stop()
	w.drain(q)
	now := time.Duration(0) // nothing is being written: whatever the newest version does not need may go
	result, err := w.table().Vacuum(w.t.Context(), delta.VacuumOptions{Retention: &now, DisableRetentionCheck: true})
	if err != nil || len(result.Files) == 0 {
		w.t.Errorf("vacuum: %+v, %v", result, err)
	}
	w.sendRecords(50)
	w.drain(q)
}

// A table set back to an older version loses by intention what came since. The
// query goes on with what comes next, and repeats nothing; set back again, all
// is there.
func tableRestored(w *world) {
	q := w.stream(w.options())
	w.sendRecords(100)
	w.drain(q)
	older := w.snapshotVersion()
	w.sendRecords(100)
	w.drain(q)
	newer := w.snapshotVersion()
	if _, err := w.table().Restore(w.t.Context(), older); err != nil {
		w.t.Fatal(err)
	}
	w.sendRecords(100)
	w.drain(q)
	ids := w.ids()
	for id := range int64(300) {
		want := 1
		if id >= 100 && id < 200 {
			want = 0
		}
		if ids[id] != want {
			w.t.Fatalf("record %d is there %d times, want %d", id, ids[id], want)
		}
	}
	if _, err := w.table().Restore(w.t.Context(), newer); err != nil {
		w.t.Fatal(err)
	}
	w.sendRecords(100)
	w.drain(q)
	// The third hundred went with the second restore, as asked for: send it again.
	var again []string
	for id := 200; id < 300; id++ {
		again = append(again, fmt.Sprintf(`{"id":%d}`, id))
	}
	w.send(again...)
	w.drain(q)
}
