package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
)

// produce sends values as a client does.
func (all *streams) produce(t *testing.T, values ...string) {
	t.Helper()
	body, err := json.Marshal(api.MessagesRequest{Topic: testTopic, Values: values})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := all.server.send(httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader(string(body)))); err != nil {
		t.Fatal(err)
	}
}

func (all *streams) rows(t *testing.T, prefix string) int64 {
	t.Helper()
	table, err := delta.Open(t.Context(), blob.Prefix(all.server.bucket, prefix))
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := table.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.NumRecords()
}

// goodRecord has all the fields of the course's table.
const goodRecord = `{"key":"2015-01-01 00:00:00.0000001","fare_amount":1,"pickup_datetime":"2015-01-01 00:00:00 UTC","pickup_longitude":0,"pickup_latitude":0,"dropoff_longitude":0,"dropoff_latitude":0,"passenger_count":1}`

// wordyRecord fits a table whose fares are strings.
var wordyRecord = strings.Replace(goodRecord, `"fare_amount":1`, `"fare_amount":"one"`, 1)

func (all *streams) mustProcessAll(t *testing.T, name string) {
	t.Helper()
	if _, err := all.processAll(t, name); err != nil {
		t.Fatal(err)
	}
}

func TestDeadLetters(t *testing.T) {
	all := newStreams(t)
	s := all.server
	show := func(query string) ([]api.DeadLetter, error) {
		return s.listDeadLetters(httptest.NewRequestWithContext(t.Context(), "GET", "/?"+query, nil))
	}
	replay := func(body string) (api.DeadLetterReplay, error) {
		return s.replayDeadLetters(httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader(body)))
	}
	if letters, err := show(""); err != nil || len(letters) != 0 {
		t.Errorf("before any stream: %+v, %v", letters, err)
	}
	all.mustStart(t, lakekit.StreamOptions{})
	all.produce(t, goodRecord, wordyRecord, "poison")
	all.mustProcessAll(t, "taxi_record")
	if letters, err := show(""); err != nil || len(letters) != 2 || letters[0].Reason == "" || letters[0].Topic != testTopic {
		t.Errorf("letters: %+v, %v", letters, err)
	}
	if letters, err := show("limit=1&table=taxi_record"); err != nil || len(letters) != 1 {
		t.Errorf("one letter: %+v, %v", letters, err)
	}
	if result, err := replay(`{}`); err != nil || result.NumReplayed != 0 || result.NumRemaining != 2 {
		t.Errorf("before the fix: %+v, %v", result, err)
	}
	if _, err := all.stop(t.Context(), "taxi_record", api.StopAfterBatch); err != nil {
		t.Fatal(err)
	}
	if err := s.deleteAll(t.Context(), s.settings.Table); err != nil {
		t.Fatal(err)
	}
	schema := taxiSchema()
	schema.Fields[1].Type = delta.String
	if _, err := delta.Create(t.Context(), blob.Prefix(s.bucket, "delta/taxi_record"), delta.Definition{Schema: schema}); err != nil {
		t.Fatal(err)
	}
	for want := int64(1); want >= 0; want-- {
		if result, err := replay(`{"table":"taxi_record"}`); err != nil || result.NumReplayed != want || result.NumRemaining != 1 {
			t.Errorf("after the fix: %+v, %v, want %d replayed", result, err, want)
		}
	}
	if n := all.rows(t, "delta/taxi_record"); n != 1 {
		t.Errorf("%d rows after the replay, want 1", n)
	}
	for _, bad := range []struct {
		err    func() error
		status int
	}{
		{func() error { _, err := show("limit=0"); return err }, 400},
		{func() error { _, err := show("table=oss://elsewhere/t"); return err }, 400},
		{func() error { _, err := replay(`{"table":"no_such_table"}`); return err }, 404},
		{func() error { _, err := replay(`{"tables":"typo"}`); return err }, 400},
	} {
		if err := bad.err(); err == nil || statusOf(err) != bad.status {
			t.Errorf("%v, want status %d", err, bad.status)
		}
	}
}

// stuckBucket never finishes the upload of a data file.
type stuckBucket struct {
	blob.Bucket
	stuck chan struct{}
}

func (b stuckBucket) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	if !strings.HasSuffix(key, ".parquet") {
		return b.Bucket.Put(ctx, key, body)
	}
	select {
	case b.stuck <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return ctx.Err()
}

// A server that must end in the middle of a batch leaves what the next one
// resumes exactly.
func TestServerEndsInTheMiddleOfABatch(t *testing.T) {
	all := newStreams(t)
	s, store := all.server, all.server.bucket
	all.produce(t, goodRecord, "poison", goodRecord)
	stuck := stuckBucket{store, make(chan struct{}, 1)}
	s.bucket = stuck
	all.mustStart(t, lakekit.StreamOptions{})
	<-stuck.stuck
	gone, cancel := context.WithCancel(t.Context())
	cancel() // the time for ending is over
	if err := all.close(gone); err != nil {
		t.Fatal(err)
	}
	s.bucket = store
	if n := all.rows(t, "delta/taxi_record"); n != 0 {
		t.Errorf("%d rows of a batch that was not finished", n)
	}
	again, err := openStreams(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	s.streams = again
	t.Cleanup(func() { _ = again.close(context.WithoutCancel(t.Context())) })
	again.mustProcessAll(t, "taxi_record")
	if n, dead := again.rows(t, "delta/taxi_record"), again.rows(t, "delta/taxi_record_dead_letters"); n != 2 || dead != 1 {
		t.Errorf("%d rows and %d dead letters, want 2 and 1", n, dead)
	}
}

func TestStopByChoice(t *testing.T) {
	all := newStreams(t)
	stop := func(body string) (api.StreamStatus, error) {
		request := httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader(body))
		request.SetPathValue("name", "taxi_record")
		return all.server.stopStream(request)
	}
	rows := int64(0)
	for _, test := range []struct {
		body    string
		drained bool
	}{{`{"mode":"drain"}`, true}, {`{"mode":"now"}`, false}, {`{}`, false}, {`{"mode":"drain"}`, true}} {
		all.mustStart(t, lakekit.StreamOptions{Trigger: "1 hour"})
		all.produce(t, goodRecord)
		rows++
		if status, err := stop(test.body); err != nil || status.IsActive || status.Error != "" {
			t.Errorf("%s: %+v, %v", test.body, status, err)
		}
		if n := all.rows(t, "delta/taxi_record"); test.drained && n != rows {
			t.Errorf("%s: %d rows, want %d", test.body, n, rows)
		}
	}
	if _, err := stop(`{"mode":"later"}`); err == nil || statusOf(err) != 400 || !strings.Contains(err.Error(), "drain") {
		t.Errorf("an unknown mode: %v", err)
	}
}

// The options reach the query: what it refuses comes back as the caller's
// mistake, and what changes them is another stream.
func TestStreamOptions(t *testing.T) {
	all := newStreams(t)
	for _, test := range []struct {
		name    string
		request lakekit.StreamOptions
		message string // "": accepted
	}{
		{"endingOffsets", lakekit.StreamOptions{EndingOffsets: "latest"}, "availableNow"},
		{"minOffsetsPerTrigger", lakekit.StreamOptions{MinOffsetsPerTrigger: 5, MaxOffsetsPerTrigger: 4}, "minOffsetsPerTrigger"},
		{"maxTriggerDelay", lakekit.StreamOptions{MaxTriggerDelay: "soon"}, "maxTriggerDelay"},
		{"includeHeaders", lakekit.StreamOptions{IncludeHeaders: true}, "column"},
		{"bufferBytes", lakekit.StreamOptions{BufferBytes: 1}, "buffer"},
		{"kafka", lakekit.StreamOptions{Kafka: map[string]string{"kafka.auto.offset.reset": "latest"}}, "startingOffsets"},
		{"secret", lakekit.StreamOptions{Kafka: map[string]string{"kafka.sasl.password": "hush"}}, "client.properties"},
		{"all of them", lakekit.StreamOptions{
			MinOffsetsPerTrigger: 1, MaxOffsetsPerTrigger: 4, MaxTriggerDelay: "1 minute", MergeSchema: true, BufferBytes: 8 << 20,
			Kafka: map[string]string{"kafka.fetch.min.bytes": "10"},
		}, ""},
		{"all of them again", lakekit.StreamOptions{
			MinOffsetsPerTrigger: 1, MaxOffsetsPerTrigger: 4, MaxTriggerDelay: "1 minute", MergeSchema: true, BufferBytes: 8 << 20,
			Kafka: map[string]string{"kafka.fetch.min.bytes": "10"},
		}, ""},
		{"one other", lakekit.StreamOptions{
			MinOffsetsPerTrigger: 1, MaxOffsetsPerTrigger: 4, MaxTriggerDelay: "1 minute", MergeSchema: true, BufferBytes: 8 << 20,
			Kafka: map[string]string{"kafka.fetch.min.bytes": "11"},
		}, "other options"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := all.start(t.Context(), test.request)
			if test.message == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || statusOf(err) >= 500 || !strings.Contains(err.Error(), test.message) {
				t.Errorf("got %v, want %q", err, test.message)
			}
			if err != nil && strings.Contains(err.Error(), "hush") {
				t.Errorf("the message shows the secret: %v", err)
			}
		})
	}
	all.produce(t, strings.Replace(goodRecord, `{`, `{"tip":0.5,`, 1))
	all.mustProcessAll(t, "taxi_record")
	table, err := delta.Open(t.Context(), blob.Prefix(all.server.bucket, "delta/taxi_record"))
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := table.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, added := snapshot.Schema().Field("tip"); !added {
		t.Errorf("mergeSchema added no column: %s", snapshot.Schema())
	}
}
