package delta

import (
	"errors"
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"taxilake/lakekit/oss"
	"taxilake/lakekit/oss/osstest"
)

var (
	modelSeed  = flag.Uint64("seed", 0, "of TestModel; 0 takes one from the clock")
	modelSteps = flag.Int("steps", 150, "of TestModel")
)

// model is what the table must hold: the ids that each version appended.
type model struct {
	mu      sync.Mutex
	nextID  int64
	appends map[int64][]int64
}

func (m *model) take(n int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nextID += n
	return m.nextID - n
}

func (m *model) committed(version, first, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.appends[version] = sequence(first, n)
}

func (m *model) at(version int64) []int64 {
	all := []int64{}
	for v, ids := range m.appends {
		if v <= version {
			all = append(all, ids...)
		}
	}
	slices.Sort(all)
	return all
}

// TestModel does random things to a table through several handles, with a
// store that loses requests and answers, and after each compares what a reader
// sees with the model, now and at some earlier version.
func TestModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("again with: go test -run TestModel -seed %d -steps %d", seed, *modelSteps)
	random := rand.New(rand.NewPCG(seed, 1))

	memory := oss.NewMemory("lake")
	createFares(t, memory, map[string]string{CheckpointIntervalKey: "4", "delta.autoOptimize.autoCompact": "true"})
	faults := rand.New(rand.NewPCG(seed, 2))
	var faultsMu sync.Mutex
	bucket := osstest.Faults(memory, func(op, key string) error {
		faultsMu.Lock()
		defer faultsMu.Unlock()
		if strings.HasSuffix(op, osstest.PutIfAbsent) && faults.IntN(5) == 0 {
			return errStore
		}
		if strings.Contains(key, "checkpoint") && faults.IntN(5) == 0 {
			return errStore
		}
		return nil
	})
	handles := []*Table{openFares(t, bucket), openFares(t, bucket), openFares(t, bucket)}
	m := &model{appends: map[int64][]int64{}}
	var newest int64

	appendRows := func(table *Table, n int64) {
		first := m.take(n)
		m.committed(appendFares(t, table, first, n), first, n)
	}
	compact := func(table *Table, opts CompactOptions) {
		if _, err := table.Compact(t.Context(), opts); err != nil && !errors.Is(err, ErrConflict) {
			t.Errorf("compact: %v", err)
		}
	}
	handle := func() *Table { return handles[random.IntN(len(handles))] }
	for step := range *modelSteps {
		switch random.IntN(8) {
		case 0:
			compact(handle(), CompactOptions{MaxBytes: random.Int64N(20000), MinFiles: 2 + random.IntN(4), Auto: random.IntN(2) == 0})
		case 1:
			if err := handle().Checkpoint(t.Context()); err != nil && !errors.Is(err, errStore) {
				t.Fatalf("step %d: checkpoint: %v", step, err)
			}
		case 2:
			handles[random.IntN(len(handles))] = openFares(t, bucket)
		case 3: // everyone at once
			var group sync.WaitGroup
			for i, table := range handles {
				n := 1 + random.Int64N(5)
				group.Go(func() {
					if i == 0 {
						compact(table, CompactOptions{})
						return
					}
					appendRows(table, n)
				})
			}
			group.Wait()
		default:
			appendRows(handle(), 1+random.Int64N(20))
		}
		s := must[*Snapshot](t)(handle().Snapshot(t.Context()))
		if s.Version() < newest {
			t.Fatalf("step %d: the table went back from version %d to %d", step, newest, s.Version())
		}
		newest = s.Version()
		equalIDs(t, ids(t, s), m.at(newest))
		if s.NumRecords() != int64(len(m.at(newest))) {
			t.Fatalf("step %d: %d records by the statistics, %d rows", step, s.NumRecords(), len(m.at(newest)))
		}
		past := random.Int64N(newest + 1)
		equalIDs(t, ids(t, must[*Snapshot](t)(handle().SnapshotAt(t.Context(), past))), m.at(past))
	}
}
