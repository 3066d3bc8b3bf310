package delta

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
)

var (
	modelSeed  = flag.Uint64("seed", 0, "of TestModel; 0 takes one from the clock")
	modelSteps = flag.Int("steps", 1000, "of TestModel; about 8 ms each, with the race detector 50")
)

// modelRetention of deleted files, in TestModel.
const modelRetention = 36 * time.Hour

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// clockedBucket gives objects the time of a clock.
type clockedBucket struct {
	blob.Bucket
	clock *clock

	mu       sync.Mutex
	modified map[string]time.Time
}

func clocked(b blob.Bucket, c *clock) *clockedBucket {
	return &clockedBucket{Bucket: b, clock: c, modified: map[string]time.Time{}}
}

func (b *clockedBucket) stamp(key string, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.modified[key] = b.clock.now()
	}
	return err
}

func (b *clockedBucket) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	return b.stamp(key, b.Bucket.Put(ctx, key, body))
}

func (b *clockedBucket) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	return b.stamp(key, b.Bucket.PutIfAbsent(ctx, key, body))
}

func (b *clockedBucket) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.ObjectInfo, error] {
	return func(yield func(blob.ObjectInfo, error) bool) {
		for object, err := range b.Bucket.List(ctx, opts) {
			b.mu.Lock()
			if at, ok := b.modified[object.Key]; ok {
				object.LastModified = at
			}
			b.mu.Unlock()
			if !yield(object, err) {
				return
			}
		}
	}
}

// openAt opens the table with the clock's time.
func (c *clock) openAt(t testing.TB, bucket blob.Bucket) *Table {
	t.Helper()
	table := openFares(t, bucket)
	table.now = c.now
	return table
}

// model is what the table must hold: what each version did to the rows.
type model struct {
	mu       sync.Mutex
	nextID   int64
	appended map[int64][]int64 // ids by version
	restored map[int64]int64   // by version
	ended    map[int64]time.Time
}

func (m *model) take(n int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nextID += n
	return m.nextID - n
}

// at is the sorted ids of a version.
func (m *model) at(version int64) []int64 {
	all := []int64{}
	for v := version; v >= 0; v-- {
		if to, ok := m.restored[v]; ok {
			v = to + 1 // all that version had, and nothing between
			continue
		}
		all = append(all, m.appended[v]...)
	}
	slices.Sort(all)
	return all
}

// withExtra adds a column to rows.
func withExtra(rows arrow.RecordBatch, name string) arrow.RecordBatch {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	for i := range rows.NumRows() {
		b.Append(i)
	}
	fields := append(rows.Schema().Fields(), arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Int64})
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), append(rows.Columns(), b.NewArray()), rows.NumRows())
}

// world is a table under test, its handles and its model.
type world struct {
	t       *testing.T
	random  *rand.Rand
	clock   *clock
	bucket  blob.Bucket
	handles []*Table
	model   model
	newest  int64
	done    map[string]int
}

// retained versions were the newest within the table's retention of deleted
// files: nothing may take them away.
func (w *world) retained(version int64) bool {
	ended, over := w.model.ended[version]
	return !over || ended.After(w.clock.now().Add(-modelRetention))
}

func (w *world) handle() *Table { return w.handles[w.random.IntN(len(w.handles))] }

// operation prepares one, by chance, to be run at the same time as others.
func (w *world) operation(table *Table) func() error {
	ctx := w.t.Context()
	count := func(name string) {
		w.model.mu.Lock()
		defer w.model.mu.Unlock()
		w.done[name]++
	}
	n, small := 1+w.random.Int64N(20), w.random.Int64N(20_000)
	minFiles, auto, dice := 2+w.random.IntN(4), w.random.IntN(2) == 0, w.random.IntN(100)
	version := max(0, w.newest-w.random.Int64N(30))
	mayFail := !w.retained(version)
	switch {
	case dice < 40:
		return func() error {
			first := w.model.take(n)
			rows := fares(first, n)
			opts := AppendOptions{}
			if dice < 5 {
				opts.MergeSchema, rows = true, withExtra(rows, fmt.Sprintf("extra%d", dice))
			}
			v, err := table.Append(ctx, opts, rows)
			if err != nil {
				return fmt.Errorf("append: %w", err)
			}
			count("append")
			w.model.mu.Lock()
			defer w.model.mu.Unlock()
			w.model.appended[v] = sequence(first, n)
			return nil
		}
	case dice < 65:
		return func() error {
			var err error
			var result CompactResult
			if dice < 50 {
				result, err = table.Optimize(ctx, OptimizeOptions{ZOrderBy: []string{"fare_amount", "pickup"}[:1+dice%2]})
			} else {
				result, err = table.Compact(ctx, CompactOptions{MaxBytes: small, MinFiles: minFiles, Auto: auto})
			}
			if result.Version > 0 {
				count("optimize")
			}
			if errors.Is(err, ErrConflict) {
				count("optimize conflict")
				return nil
			}
			return err
		}
	case dice < 75:
		return func() error {
			result, err := table.Vacuum(ctx, VacuumOptions{})
			if result.Version > 0 {
				count("vacuum")
			}
			return err
		}
	case dice < 83:
		return func() error {
			result, err := table.Restore(ctx, version)
			switch {
			case mayFail && (errors.Is(err, ErrFilesMissing) || errors.Is(err, ErrNoVersion)):
				count("restore refused")
				return nil
			case errors.Is(err, ErrConflict): // a vacuum at the same time
				count("restore conflict")
				return nil
			case err != nil:
				return fmt.Errorf("restore version %d: %w", version, err)
			}
			if result.Version >= 0 {
				count("restore")
				w.model.mu.Lock()
				defer w.model.mu.Unlock()
				w.model.restored[result.Version] = version
			}
			return nil
		}
	default:
		return func() error {
			if err := table.Checkpoint(ctx); err != nil && !errors.Is(err, errStore) {
				return err
			}
			count("checkpoint")
			return nil
		}
	}
}

// step does one operation, or several at the same time.
func (w *world) step() {
	w.clock.advance(time.Duration(w.random.Int64N(int64(6 * time.Hour))))
	switch w.random.IntN(10) {
	case 0:
		w.handles[w.random.IntN(len(w.handles))] = w.clock.openAt(w.t, w.bucket)
	case 1, 2:
		var group sync.WaitGroup
		for _, table := range w.handles {
			run := w.operation(table)
			group.Go(func() {
				if err := run(); err != nil {
					w.t.Error(err)
				}
			})
		}
		group.Wait()
	default:
		if err := w.operation(w.handle())(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// passed notes that the table has come to a version at this time.
func (w *world) passed(version int64) {
	for v := w.newest; v < version; v++ {
		w.model.ended[v] = w.clock.now()
	}
	w.newest = version
}

// check compares what readers see, now and in the past, with the model.
func (w *world) check() {
	s := must[*Snapshot](w.t)(w.handle().Snapshot(w.t.Context()))
	if s.Version() < w.newest {
		w.t.Fatalf("the table went back from version %d to %d", w.newest, s.Version())
	}
	w.passed(s.Version())
	want := w.model.at(w.newest)
	equalIDs(w.t, ids(w.t, s), want)
	if s.NumRecords() != int64(len(want)) {
		w.t.Fatalf("%d records by the statistics, %d rows", s.NumRecords(), len(want))
	}
	version := max(0, w.newest-w.random.Int64N(50))
	past, err := w.handle().SnapshotAt(w.t.Context(), version)
	if err == nil {
		var got []int64
		if got, err = tryIDs(past); err == nil {
			equalIDs(w.t, got, w.model.at(version))
			return
		}
	}
	if w.retained(version) || !errors.Is(err, ErrNoVersion) && !errors.Is(err, blob.ErrNotExist) {
		w.t.Fatalf("version %d of %d (retained: %v): %v", version, w.newest, w.retained(version), err)
	}
	w.done["version gone"]++
}

// TestModel does random things to a table through several handles, with a
// store that loses requests and answers, while weeks go by; after each it
// compares what readers see with a model of the table.
func TestModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("again with: go test -run TestModel -seed %d -steps %d", seed, *modelSteps)
	random := rand.New(rand.NewPCG(seed, 1))
	clock := newClock()
	store := clocked(blob.NewMemory("lake"), clock)
	createFares(t, store, map[string]string{
		CheckpointIntervalKey: "4", LogRetentionDurationKey: "interval 3 days", DeletedFileRetentionDurationKey: "interval 36 hours", CompressionCodecKey: "none",
	})
	faults := rand.New(rand.NewPCG(seed, 2))
	var mu sync.Mutex
	bucket := blobtest.Faults(store, func(op, key string) error {
		mu.Lock()
		defer mu.Unlock()
		// Where older commits are gone, a checkpoint must be readable.
		can := strings.HasSuffix(op, blobtest.PutIfAbsent) || strings.Contains(key, "checkpoint") && (op != blobtest.Get || key == lastCheckpointKey)
		if can && faults.IntN(5) == 0 {
			return errStore
		}
		return nil
	})
	w := &world{t: t, random: random, clock: clock, bucket: bucket, done: map[string]int{},
		model: model{appended: map[int64][]int64{}, restored: map[int64]int64{}, ended: map[int64]time.Time{}}}
	for range 3 {
		w.handles = append(w.handles, clock.openAt(t, bucket))
	}
	for step := range *modelSteps {
		w.step()
		if t.Failed() {
			t.Fatalf("step %d", step)
		}
		w.check()
		bucket.ResetLog()
		if len(w.model.at(w.newest)) > 300 { // keeps a step from costing more and more
			result := must[RestoreResult](t)(w.handle().Restore(t.Context(), w.newest))
			if result.Version >= 0 {
				t.Fatal("restoring the newest version committed something")
			}
			w.truncate()
		}
	}
	t.Logf("%d versions, %v", w.newest, w.done)
}

// truncate deletes all rows, as DELETE does.
func (w *world) truncate() {
	table := w.handle()
	s := must[*Snapshot](w.t)(table.Snapshot(w.t.Context()))
	c := Commit{Operation: "DELETE", ReadVersion: s.Version()}
	for _, file := range s.Files() {
		c.Removes = append(c.Removes, file.remove(true))
	}
	v := must[int64](w.t)(table.Commit(w.t.Context(), c))
	w.model.restored[v] = -1 // as before anything was appended
	w.passed(v)
}
