package ingest

import (
	"errors"
	"strings"
	"testing"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
)

// A query does not begin where one of its folders is partly another's, and
// leaves nothing there.
func TestFoldersOfOthers(t *testing.T) {
	w := newWorld(t, 1)
	for _, key := range []string{
		"spark/t/_delta_log/00000000000000000000.json", "spark/c/metadata", "spark/c/offsets/0", "spark/c/commits/0",
		"around/metadata", "around/sources/0/0",
	} {
		if err := w.store.Put(t.Context(), key, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := delta.Create(t.Context(), blob.Prefix(w.store, "free/t"), delta.Definition{Schema: recordSchema}); err != nil {
		t.Fatal(err)
	}
	for key, content := range w.files("free/t") { // a table of other makers, in a checkpoint's folder
		if err := w.store.Put(t.Context(), "around/t/"+key, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	before := w.files("")
	for _, test := range []struct{ table, checkpoint, deadLetters, says string }{
		{tablePrefix, "spark/t", deadPrefix, "oss://lake/spark/t is a table already"},
		{tablePrefix, "spark/t/_checkpoint", deadPrefix, "lies in the table oss://lake/spark/t"},
		{tablePrefix, "spark", deadPrefix, "holds the checkpoint oss://lake/spark/c"},
		{tablePrefix, "spark/c/d", deadPrefix, "lies in the checkpoint oss://lake/spark/c"},
		{tablePrefix, logPrefix, "spark", "holds the checkpoint oss://lake/spark/c"},
		{tablePrefix, logPrefix, "spark/c", "oss://lake/spark/c is a checkpoint already"},
		{tablePrefix, logPrefix, "spark/t/letters", "lies in the table oss://lake/spark/t"},
		{"around/t", logPrefix, deadPrefix, "lies in the checkpoint oss://lake/around"},
	} {
		o := w.options()
		o.Table, o.Checkpoint, o.DeadLetters = blob.Prefix(w.store, test.table), blob.Prefix(w.store, test.checkpoint), blob.Prefix(w.store, test.deadLetters)
		q, err := Start(t.Context(), o)
		if err == nil {
			stop(t, q)
		}
		if !errors.Is(err, delta.ErrOccupied) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: error %v", test, err)
		}
		if after := w.files(""); len(after) != len(before) {
			t.Errorf("%+v: left something of %q", test, after)
		}
	}
}
