package ingest

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
)

// The stream tells what it ignores in its status and progress, over its batches.
func TestStreamTellsIgnoredFields(t *testing.T) {
	w := newWorld(t, 1)
	w.send(`{"id":0,"a b":1}`, `{"id":1,"ID":1,"tip":1}`, `{"id":2,"a b":1}`, `poison`)
	var log strings.Builder
	o := w.options()
	o.MergeSchema, o.MaxOffsetsPerTrigger = true, 2
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	q := w.mustEnd(o)
	status := q.Status()
	data, err := json.Marshal(status.IgnoredFields)
	const want = `[{"field":"ID","reason":"its name differs from that of \"id\" only in the case of letters, which SQL does not tell apart","numRows":1},` +
		`{"field":"a b","reason":"the name of a column has no space, tab or line break and none of ,;{}()=","numRows":2}]`
	if err != nil || string(data) != want || status.NumRowsWithIgnoredFields != 3 || status.NumDeadLetters != 1 {
		t.Errorf("%d rows, %s\nwant %s", status.NumRowsWithIgnoredFields, data, want)
	}
	var told []string
	for _, p := range q.RecentProgress() {
		told = append(told, p.Sink.Metrics["numRowsWithIgnoredFields"])
	}
	if !slices.Contains(told, "2") || !slices.Contains(told, "1") {
		t.Errorf("progress %v", told)
	}
	if n := strings.Count(log.String(), "a field of records is not written"); n != 2 {
		t.Errorf("told %d times, want once for each of two fields:\n%s", n, log.String())
	}
	w.next = 3
	w.checkExactlyOnce()
}

// With ignoreUnknownFields=false nothing of a record is lost: it is a dead
// letter, which a replay leaves where it is until the table has the columns.
func TestRefuseUnknownFields(t *testing.T) {
	w := newWorld(t, 1)
	no := false
	o := w.options()
	o.IgnoreUnknownFields = &no
	w.send(`{"id":0}`, `{"id":1,"tip":1}`, `{"id":"x","tip":1}`)
	q := w.mustEnd(o)
	if letters := w.letters(); len(letters) != 2 || !strings.HasSuffix(letters[0], `: ignoreUnknownFields is false: field "tip": the table has no column of that name; mergeSchema adds one`) {
		t.Errorf("letters %q", letters)
	}
	if status := q.Status(); status.NumRowsWithIgnoredFields != 0 || status.NumDeadLetters != 2 {
		t.Errorf("status %+v", status)
	}
	if result := w.mustReplay(); result.NumReplayed != 0 || result.NumRemaining != 2 {
		t.Errorf("before there is a column: %+v", result)
	}
	o.MergeSchema = true
	w.send(`{"id":2,"tip":2}`, `{"id":3,"tip":3,"a b":1}`, `{"id":4,"other":1,"a b":1}`)
	w.mustRun(o)
	if got, want := w.snapshot().Schema().String(), strings.TrimSuffix(recordSchema.String(), ">")+",tip:bigint>"; got != want {
		t.Errorf("the table became %s", got)
	}
	if result := w.mustReplay(); result.NumReplayed != 1 || result.NumRemaining != 3 {
		t.Errorf("with a column: %+v", result)
	}
	options := w.replayOptions(w.store)
	options.IgnoreUnknownFields = true
	if result, err := Replay(t.Context(), options); err != nil || result.NumReplayed != 2 || result.NumRemaining != 1 {
		t.Errorf("told to ignore: %+v, %v", result, err)
	}
	w.next = 5
	w.checkExactlyOnce()
	w.checkNoOrphans(deadPrefix)
	if _, err := delta.Open(t.Context(), blob.Prefix(w.store, deadPrefix)); err != nil {
		t.Error(err)
	}
}

// mustEnd is mustRun, and returns the query that has ended.
func (w *world) mustEnd(o Options) *Query {
	w.t.Helper()
	q, err := Start(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := q.AwaitTermination(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return q
}
