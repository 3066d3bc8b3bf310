package ingest

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
	"taxilake/lakekit/delta"
)

// A record that was committed as a dead letter stays one, also when the batch is
// done once more by another schema or other options; and one that becomes a
// letter only then is not lost.
func TestLettersOfABatchBegunBefore(t *testing.T) {
	refuse, ignore := false, true
	widen := func(w *world) {
		if err := addColumns(w.t.Context(), w.snapshot(), []delta.Field{{Name: "tip", Type: delta.Double, Nullable: true}}); err != nil {
			w.t.Fatal(err)
		}
	}
	replay := func(w *world) {
		if _, err := Replay(w.t.Context(), ReplayOptions{Table: blob.Prefix(w.store, tablePrefix), DeadLetters: blob.Prefix(w.store, deadPrefix)}); err != nil {
			w.t.Fatal(err)
		}
	}
	nothing := func(*world) {}
	for _, test := range []struct {
		name          string
		killed        bool         // after the letters' commit, before the table's; else the table's is refused
		between       func(*world) // the two
		before, after *bool        // ignoreUnknownFields
		letters       int          // then
	}{
		{"killed", true, nothing, &refuse, &refuse, 3},
		{"killed, then fields are ignored", true, nothing, &refuse, &ignore, 3},
		{"killed, then fields are refused", true, nothing, &ignore, &refuse, 3},
		{"killed, widened", true, widen, &refuse, &refuse, 3},
		{"killed, widened, replayed", true, func(w *world) { widen(w); replay(w) }, &refuse, &refuse, 1},
		{"killed, others' letters, widened", true, func(w *world) {
			widen(w)
			table := openTable(w.t, w.store, deadPrefix)
			for range 20 { // more than are looked through at once
				if err := addColumns(w.t.Context(), must(table.Snapshot(w.t.Context()))(w.t), nil); err != nil {
					w.t.Fatal(err)
				}
			}
		}, &refuse, &refuse, 3},
		{"widened during the batch", false, widen, &refuse, &refuse, 3},
		{"widened and replayed during the batch", false, func(w *world) { widen(w); replay(w) }, &refuse, &refuse, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, 2)
			w.send(`{"id":0}`, `poison`, `{"id":1}`, `{"id":2,"tip":1}`, `{"id":3,"tip":2}`, `{"id":4}`)
			w.next = 5
			var reached, dead atomic.Bool
			killed := errors.New("killed")
			ended := make(chan struct{})
			o := w.options().on(blobtest.Faults(w.store, func(op, key string) error {
				if op == blobtest.PutIfAbsent && strings.HasPrefix(key, tablePrefix+"/_delta_log/") && reached.CompareAndSwap(false, true) {
					if test.killed {
						dead.Store(true)
						close(ended)
					} else {
						test.between(w)
					}
				}
				if dead.Load() {
					return killed
				}
				return nil
			}))
			o.IgnoreUnknownFields = test.before
			if test.killed {
				q, err := Start(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				<-ended
				_ = q.StopNow()
				test.between(w)
			} else {
				w.mustRun(o)
			}
			o = w.options()
			o.IgnoreUnknownFields = test.after
			w.mustRun(o)
			if letters := w.letters(); len(letters) != test.letters {
				t.Errorf("%d letters, want %d: %s", len(letters), test.letters, strings.Join(letters, "\n"))
			}
			if test.letters > 1 {
				if _, there := w.snapshot().Schema().Field("tip"); !there {
					widen(w)
				}
				replay(w)
			}
			w.checkExactlyOnce()
			if letters := w.letters(); len(letters) != 1 || !strings.Contains(letters[0], "poison") {
				t.Errorf("letters after a replay: %s", strings.Join(letters, "\n"))
			}
			if !test.killed {
				w.checkNoOrphans(tablePrefix)
				w.checkNoOrphans(deadPrefix)
			}
		})
	}
}

// The commit of the letters got no answer, and has happened. What becomes a letter
// after that is committed, too, and takes none of the others' files.
func TestLettersWhoseCommitWasInDoubt(t *testing.T) {
	w := newWorld(t, 1)
	w.send(`{"id":0}`, `poison`)
	w.next = 1
	var doubted, widened atomic.Bool
	o := w.options().on(blobtest.Faults(w.store, func(op, key string) error {
		letters := strings.HasPrefix(key, deadPrefix+"/_delta_log/00000000000000000001.json")
		switch {
		case letters && !widened.Load() && (op == blobtest.After+blobtest.PutIfAbsent || op == blobtest.PutIfAbsent && doubted.Load() || op == blobtest.Get):
			doubted.Store(true) // and it is not to be read back
			return errStoreDown
		case doubted.Load() && op == blobtest.List && strings.HasPrefix(key, tablePrefix) && widened.CompareAndSwap(false, true):
			// Now no record fits.
			return addColumns(t.Context(), w.snapshot(), []delta.Field{{Name: "tip", Type: delta.Double}})
		}
		return nil
	}))
	w.mustRun(o)
	if !widened.Load() {
		t.Fatal("the table was not looked at again")
	}
	if letters := w.letters(); len(letters) != 2 || !strings.Contains(letters[0], "missing") || !strings.Contains(letters[1], "poison") {
		t.Errorf("letters: %s", strings.Join(letters, "\n"))
	}
	w.checkReferencedFiles(deadPrefix)
}
