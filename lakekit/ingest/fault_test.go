package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
	"taxilake/lakekit/delta"
)

var errStoreDown = errors.New("the store is down")

// process is a store as one run of a query sees it, until the run is killed:
// from its nth call on nothing the run does has an effect.
type process struct {
	*blobtest.FaultBucket
	calls  atomic.Int64
	killAt int64
	dead   chan struct{}
	once   sync.Once
}

func newProcess(store blob.Bucket, killAt int64) *process {
	p := &process{killAt: killAt, dead: make(chan struct{})}
	p.FaultBucket = blobtest.Faults(store, func(op, key string) error {
		if p.calls.Add(1) < p.killAt {
			return nil
		}
		p.once.Do(func() { close(p.dead) })
		return errStoreDown
	})
	return p
}

// runAndKill runs a query and kills it at its nth call to the store; killed
// is false if it ended before.
func (w *world) runAndKill(o Options, n int64) (killed bool) {
	w.t.Helper()
	p := newProcess(w.store, n)
	q, err := Start(w.t.Context(), o.on(p))
	if err != nil {
		w.t.Fatalf("killed at call %d: %v", n, err)
	}
	select {
	case <-p.dead:
		_ = q.Stop(abandonedContext())
		return true
	case <-q.Done():
		if err := q.Err(); err != nil {
			w.t.Fatalf("killed at call %d: %v", n, err)
		}
		return false
	}
}

// A run is killed before and after each single thing it does to the store:
// plan, data files, creation and commit of dead letters, commit of the table,
// record of the commit. Whatever was reached, the next run makes it whole.
func TestKilledAtEveryStep(t *testing.T) {
	template := newWorld(t, 1)
	send := func(w *world) {
		w.sendRecords(3)
		w.send("poison")
		w.sendRecords(3)
	}
	send(template)
	o := template.options()
	o.MaxOffsetsPerTrigger = 4
	n := int64(1)
	for ; ; n++ {
		// The topic stays; table, checkpoint and dead letters are new each time.
		template.store = blob.NewMemory("lake")
		template.createTable(nil)
		o := o.on(template.store)
		if !template.runAndKill(o, n) {
			break
		}
		template.mustRun(o)
		template.checkExactlyOnce()
		if letters := template.letters(); len(letters) != 1 {
			t.Errorf("killed at call %d: dead letters %v, want one", n, letters)
		}
		if v := template.files(logPrefix); v["commits/1"] == "" || v["offsets/2"] != "" {
			t.Errorf("killed at call %d: checkpoint %v", n, v)
		}
		if t.Failed() {
			t.Fatalf("killed at call %d", n)
		}
	}
	if n < 40 {
		t.Errorf("only %d steps were tried", n)
	}
	t.Logf("%d steps", n-1)
}

// Runs of many batches are killed at random, one after the other, while
// records keep coming.
func TestKilledAtRandom(t *testing.T) {
	w := newWorld(t, 3)
	random := rand.New(rand.NewPCG(1, 2))
	o := w.options()
	o.MaxOffsetsPerTrigger = 200
	for range 25 {
		w.sendRecords(300)
		w.send("poison")
		w.runAndKill(o, random.Int64N(120)+1)
	}
	w.mustRun(o)
	w.checkExactlyOnce()
	if letters := w.letters(); len(letters) != 25 {
		t.Errorf("%d dead letters, want 25", len(letters))
	}
}

// fastClock makes pauses short, so that a test can fail a step many times.
type fastClock struct{ systemClock }

func (fastClock) After(time.Duration) <-chan time.Time { return time.After(time.Millisecond) }

// Every operation fails with a probability, before it happened or after: the
// answer is lost. The query goes on by itself, and leaves nothing behind.
func TestStoreFailsAndLosesAnswers(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, 2)
			w.sendRecords(400)
			w.send("poison", "poison")
			var mu sync.Mutex
			random := rand.New(rand.NewPCG(seed, 0))
			fails := 0
			faulty := blobtest.Faults(w.store, func(op, key string) error {
				mu.Lock()
				defer mu.Unlock()
				// Cleaning up is tried once: the next vacuum does the rest.
				if strings.HasSuffix(op, blobtest.Delete) || random.Float64() > 0.08 {
					return nil
				}
				fails++
				return errStoreDown
			})
			o := w.options().on(faulty)
			o.MaxOffsetsPerTrigger, o.Clock = 50, fastClock{}
			w.mustRun(o)
			w.checkExactlyOnce()
			w.checkNoOrphans(tablePrefix)
			w.checkNoOrphans(deadPrefix)
			if letters := w.letters(); len(letters) != 2 {
				t.Errorf("%d dead letters, want 2", len(letters))
			}
			if fails < 5 {
				t.Errorf("only %d failures", fails)
			}
		})
	}
}

// While the store is down the query waits and says so; a stop does not wait
// for it.
func TestStoreDown(t *testing.T) {
	w := newWorld(t, 1)
	w.sendRecords(10)
	var down atomic.Bool
	down.Store(true)
	o := w.options().on(blobtest.Faults(w.store, func(op, key string) error {
		if down.Load() {
			return errStoreDown
		}
		return nil
	}))
	o.Trigger = ProcessingTime(time.Millisecond)
	q, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if s := q.Status(); !s.Waiting || !strings.Contains(s.Message, errStoreDown.Error()) {
		t.Errorf("status: %+v", s)
	}
	down.Store(false)
	if err := q.ProcessAllAvailable(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := q.Status(); s.Waiting {
		t.Errorf("still waiting: %+v", s)
	}
	down.Store(true)
	w.sendRecords(10)
	for !q.Status().Waiting {
		time.Sleep(time.Millisecond)
	}
	stop(t, q)
	down.Store(false)
	w.mustRun(w.options())
	w.checkExactlyOnce()
}

// A compaction that fails is shown in the status and does not touch the
// ingest; when the store is well again, the next one mends the table.
func TestCompactionFails(t *testing.T) {
	w := newWorld(t, 1)
	w.wipe(tablePrefix)
	w.createTable(map[string]string{delta.AutoCompactKey: "true"})
	var sick atomic.Bool
	sick.Store(true)
	o := w.options().on(blobtest.Faults(w.store, func(op, key string) error {
		// Only a compaction reads data files.
		if sick.Load() && (op == blobtest.Get || op == blobtest.GetRange) && strings.HasPrefix(key, tablePrefix+"/part-") {
			return errStoreDown
		}
		return nil
	}))
	o.Trigger = ProcessingTime(time.Millisecond)
	q, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, q)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sendUntil := func(what string, reached func(api.StreamStatus) bool) {
		t.Helper()
		for !reached(q.Status()) {
			w.sendRecords(1)
			if err := q.ProcessAllAvailable(ctx); err != nil {
				t.Fatalf("until %s: %v: %+v", what, err, q.Status())
			}
		}
	}
	sendUntil("a compaction failed", func(s api.StreamStatus) bool { return s.CompactionError != "" })
	sent := w.next
	sendUntil("ten more batches", func(api.StreamStatus) bool { return w.next == sent+10 })
	if s := q.Status(); !s.IsActive || s.Waiting || s.Error != "" || s.NumCompactions != 0 || !strings.Contains(s.CompactionError, errStoreDown.Error()) {
		t.Errorf("while compaction fails: %+v", s)
	}
	w.checkExactlyOnce()

	sick.Store(false)
	sendUntil("a compaction succeeded", func(s api.StreamStatus) bool { return s.NumCompactions > 0 })
	if s := q.Status(); s.CompactionError != "" || s.Error != "" {
		t.Errorf("after the recovery: %+v", s)
	}
	// Each record came as a file of its own; 50 or more of them became one.
	if n := int64(w.snapshot().NumFiles()); n > w.next-49 {
		t.Errorf("%d files after compaction, of %d", n, w.next)
	}
	stop(t, q)
	w.checkExactlyOnce()
	w.checkNoOrphans(tablePrefix)
}

// Files that cannot be rewritten do not keep the others from being merged, and
// the status says so in plain words.
func TestCompactionSkips(t *testing.T) {
	w := newWorld(t, 1)
	w.wipe(tablePrefix)
	w.createTable(map[string]string{delta.AutoCompactKey: "true"})
	// A file with an id that is null, which the table's schema forbids.
	elsewhere := blob.NewMemory("elsewhere")
	wrong := delta.Schema{Fields: slices.Clone(recordSchema.Fields)}
	wrong.Fields[0].Nullable = true
	other, err := delta.Create(t.Context(), elsewhere, delta.Definition{Schema: wrong})
	if err != nil {
		t.Fatal(err)
	}
	schema, err := wrong.Arrow()
	if err != nil {
		t.Fatal(err)
	}
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range wrong.Fields {
		builder.Field(i).AppendNull()
	}
	adds, err := other.WriteFiles(t.Context(), builder.NewRecordBatch())
	if err != nil {
		t.Fatal(err)
	}
	content, err := blob.ReadAll(t.Context(), elsewhere, adds[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	table := w.table()
	if err := table.Bucket().Put(t.Context(), adds[0].Path, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Commit(t.Context(), delta.Commit{Operation: "WRITE", Adds: adds, BlindAppend: true}); err != nil {
		t.Fatal(err)
	}

	o := w.options()
	o.Trigger = ProcessingTime(time.Millisecond)
	q, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, q)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for s := q.Status(); s.NumCompactions == 0; s = q.Status() {
		w.sendRecords(1)
		if err := q.ProcessAllAvailable(ctx); err != nil {
			t.Fatalf("%v: %+v", err, q.Status())
		}
	}
	s := q.Status()
	if !strings.HasPrefix(s.CompactionSkipped, "one file is not merged with others, the ingest goes on: ") ||
		!strings.Contains(s.CompactionSkipped, adds[0].Path) || !strings.Contains(s.CompactionSkipped, `column "id" has a null`) {
		t.Errorf("skipped: %q", s.CompactionSkipped)
	}
	if !s.IsActive || s.CompactionError != "" || s.Error != "" {
		t.Errorf("%+v", s)
	}
	if n := int64(w.snapshot().NumFiles()); n > w.next-47 {
		t.Errorf("%d files after compaction, of %d", n, w.next)
	}
}

// A run begins while another one writes two batches between two of its calls to
// the store: it goes on behind them, or says that there is another, and does not
// take them for a fault of checkpoint or table.
func TestBeginsBesideAnotherRun(t *testing.T) {
	w := newWorld(t, 1)
	w.sendRecords(1)
	w.mustRun(w.options())
	for n := int64(1); ; n++ {
		var calls atomic.Int64
		store := blobtest.Faults(w.store, func(op, key string) error {
			if calls.Add(1) == n {
				for range 2 {
					w.sendRecords(1)
					w.mustRun(w.options())
				}
			}
			return nil
		})
		if err := w.run(w.options().on(store)); err != nil && !errors.Is(err, ErrConcurrentRun) {
			t.Fatalf("before call %d: %v", n, err)
		}
		w.checkExactlyOnce()
		if calls.Load() < n {
			t.Logf("%d calls", n-1)
			return
		}
	}
}

// Of two runs of one query one ends with ErrConcurrentRun; nothing is lost,
// nothing twice, and no file of the loser stays.
func TestTwoRunsOfOneQuery(t *testing.T) {
	w := newWorld(t, 2)
	w.sendRecords(10)
	o := w.options()
	o.Trigger, o.MaxOffsetsPerTrigger = ProcessingTime(0), 1000
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var runs []*Query
	for range 2 {
		q, err := Start(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = q.Stop(ctx) }()
		runs = append(runs, q)
	}
	winner := runs[0]
	for loser := (*Query)(nil); loser == nil && ctx.Err() == nil; {
		w.sendRecords(20)
		select {
		case <-runs[0].Done():
			loser, winner = runs[0], runs[1]
		case <-runs[1].Done():
			loser = runs[1]
		default:
			continue
		}
		if err := loser.Err(); !errors.Is(err, ErrConcurrentRun) {
			t.Errorf("the loser ended with %v", err)
		}
	}
	if err := winner.ProcessAllAvailable(ctx); err != nil {
		t.Fatalf("%v: %+v", err, winner.Status())
	}
	w.checkExactlyOnce()
	w.checkNoOrphans(tablePrefix)
}
