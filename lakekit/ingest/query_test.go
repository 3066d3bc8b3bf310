package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
)

func TestBacklogThenLive(t *testing.T) {
	w := newWorld(t, 3)
	w.sendRecords(10_000)
	o := w.options()
	o.Trigger = ProcessingTime(10 * time.Millisecond)
	q, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		w.sendRecords(100)
		if err := q.ProcessAllAvailable(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.checkExactlyOnce()
	}
	if s := q.Status(); !s.IsActive || s.Error != "" || s.NumInputRows != w.next || s.RecordsBehind != 0 {
		t.Errorf("status: %+v", s)
	}
	stop(t, q)
	if s := q.Status(); s.IsActive || s.Message != "Stopped" {
		t.Errorf("status after stop: %+v", s)
	}
	w.sendRecords(100)
	w.mustRun(w.options())
	w.checkExactlyOnce()
	w.checkNoOrphans(tablePrefix)
	if letters := w.letters(); letters != nil {
		t.Errorf("dead letters of good records: %v", letters)
	}
}

func TestProcessAllAvailableOfAQueryThatEnds(t *testing.T) {
	for name, trigger := range map[string]Trigger{"availableNow": AvailableNow(), "once": Once()} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			w.sendRecords(10)
			for range 2 { // with records, and with nothing new
				o := w.options()
				o.Trigger = trigger
				q, err := Start(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 { // while it may still run, and when it has ended
					if err := q.ProcessAllAvailable(t.Context()); err != nil {
						t.Error(err)
					}
					w.checkExactlyOnce()
				}
				<-q.Done()
			}
		})
	}
}

func TestPoisonNeverStopsTheStream(t *testing.T) {
	w := newWorld(t, 1)
	w.sendRecords(3)
	huge := strings.Repeat("x", 3<<20)
	w.send(
		`{"id":`,
		`{"fare_amount":1}`,
		`{"id":null}`,
		`{"id":"7"}`,
		`{"id":9223372036854775808}`,
		``,
		`{"id":1,"pickup_datetime":"noon"}`,
		`{"note":"`+huge+`"}`,
	)
	w.send(`{"id":3,"note":"` + huge + `"}`)
	w.next++
	w.sendRecords(3)

	o := w.options()
	o.BufferBytes = minBufferBytes
	q, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.AwaitTermination(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.checkExactlyOnce()
	want := []string{
		`0/10 {"note":"` + strings.Repeat("x", 51) + `: field "id": missing`,
		`0/3 {"id":: malformed JSON: unexpected end at byte 6`,
		`0/4 {"fare_amount":1}: field "id": missing`,
		`0/5 {"id":null}: field "id": null in a required field`,
		`0/6 {"id":"7"}: field "id": wrong type: a string, want long`,
		`0/7 {"id":9223372036854775808}: field "id": 9223372036854775808 is out of range of long`,
		`0/8 : malformed JSON: unexpected end at byte 0`,
		`0/9 {"id":1,"pickup_datetime":"noon"}: field "pickup_datetime": not a timestamp: "noon"`,
	}
	if got := w.letters(); !slices.Equal(got, want) {
		t.Errorf("dead letters:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if s := q.Status(); s.NumDeadLetters != 8 || s.NumInputRows != 15 {
		t.Errorf("status: %+v", s)
	}
	if p := q.LastProgress(); p.Sink.Metrics["numDeadLetters"] != "8" || p.Sink.NumOutputRows != 7 {
		t.Errorf("progress: %+v", p)
	}
}

// With a buffer far smaller than the batch, the batch is several files and
// still one commit.
func TestBatchLargerThanTheBuffer(t *testing.T) {
	w := newWorld(t, 2)
	w.sendRecords(60_000)
	o := w.options()
	o.BufferBytes = minBufferBytes
	o.Trigger = Once()
	w.mustRun(o)
	w.checkExactlyOnce()
	s := w.snapshot()
	if s.Version() != 1 || len(s.Files()) < 3 {
		t.Errorf("version %d with %d files, want version 1 with several", s.Version(), len(s.Files()))
	}
}

func TestTriggersAndLimits(t *testing.T) {
	for _, test := range []struct {
		name    string
		trigger Trigger
		limit   int64
		batches int64
	}{
		{"available now in one batch", AvailableNow(), 0, 1},
		{"available now by maxOffsetsPerTrigger", AvailableNow(), 300, 4},
		{"once takes all", Once(), 300, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, 3)
			w.sendRecords(1200)
			o := w.options()
			o.Trigger, o.MaxOffsetsPerTrigger = test.trigger, test.limit
			w.mustRun(o)
			w.checkExactlyOnce()
			if v := w.snapshot().Version(); v != test.batches {
				t.Errorf("%d batches, want %d", v, test.batches)
			}
			w.mustRun(o)
			if v := w.snapshot().Version(); v != test.batches {
				t.Errorf("%d batches after a run without data, want %d", v, test.batches)
			}
		})
	}
}

func TestStartingOffsets(t *testing.T) {
	for _, test := range []struct {
		starting string
		want     int // of 30 records in 3 partitions
	}{
		{"earliest", 30},
		{"latest", 0},
		{"", 0},
		{`{"nyc_taxi_data":{"0":4,"1":-2,"2":-1}}`, 16},
	} {
		t.Run(test.starting, func(t *testing.T) {
			w := newWorld(t, 3)
			w.sendRecords(30)
			o := w.options()
			o.StartingOffsets = test.starting
			w.mustRun(o)
			if n := len(w.ids()); n != test.want {
				t.Errorf("%d rows, want %d", n, test.want)
			}
		})
	}
}

func TestNewPartitionsBeginAtZero(t *testing.T) {
	w := newWorld(t, 1)
	q := w.caughtUp(10)
	defer stop(t, q)
	if _, err := w.admin.CreatePartitions(t.Context(), []confluent.PartitionsSpecification{{Topic: testTopic, IncreaseTo: 3}}); err != nil {
		t.Fatal(err)
	}
	w.connect(w.cluster.ListenAddrs()...)
	w.sendRecords(30)
	if err := q.ProcessAllAvailable(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.checkExactlyOnce()
}

func TestAutoCompaction(t *testing.T) {
	w := newWorld(t, 1)
	w.wipe(tablePrefix)
	w.createTable(map[string]string{"delta.autoOptimize.autoCompact": "true"})
	o := w.options()
	o.Trigger = ProcessingTime(time.Millisecond)
	q, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, q)
	for q.Status().NumCompactions == 0 {
		w.sendRecords(2)
		if err := q.ProcessAllAvailable(t.Context()); err != nil {
			t.Fatal(err)
		}
		if t.Context().Err() != nil || w.next > 2000 {
			t.Fatalf("no compaction after %d records: %+v", w.next, q.Status())
		}
	}
	w.checkExactlyOnce()
	// Each batch came as a file of its own; 50 or more of them became one.
	if n, batches := len(w.snapshot().Files()), int(q.Status().BatchID)+1; n > batches-49 {
		t.Errorf("%d files of %d batches after compaction", n, batches)
	}
}

// The JSON is that of Spark's StreamingQueryProgress: names, order, forms.
func TestProgressJSON(t *testing.T) {
	w := newWorld(t, 1)
	w.sendRecords(5)
	o := w.options()
	o.MaxOffsetsPerTrigger = 3
	q, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.AwaitTermination(t.Context()); err != nil {
		t.Fatal(err)
	}
	recent := q.RecentProgress()
	if len(recent) < 2 {
		t.Fatalf("%d progresses, want 2", len(recent))
	}
	if !strings.Contains(mustJSON(t, recent[0]), `"startOffset":null,"endOffset":{"nyc_taxi_data":{"0":3}},"latestOffset":{"nyc_taxi_data":{"0":5}},"numInputRows":3,"inputRowsPerSecond":0.0,`) {
		t.Errorf("first: %s", mustJSON(t, recent[0]))
	}
	got := regexp.MustCompile(`"[0-9a-f]{8}-[0-9a-f-]{27}"`).ReplaceAllString(mustJSON(t, recent[1]), `"UUID"`)
	got = regexp.MustCompile(`"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ"`).ReplaceAllString(got, `"TIME"`)
	got = regexp.MustCompile(`(PerSecond":)\d+\.\d+\b`).ReplaceAllString(got, `${1}R`)
	got = regexp.MustCompile(`("batchDuration"|"addBatch"|"commitOffsets"|"latestOffset"|"triggerExecution"|"walCommit"):\d+`).ReplaceAllString(got, `$1:MS`)
	const want = `{"id":"UUID","runId":"UUID","name":"taxi","timestamp":"TIME","batchId":1,"batchDuration":MS,"numInputRows":2,"inputRowsPerSecond":R,"processedRowsPerSecond":R,` +
		`"durationMs":{"addBatch":MS,"commitOffsets":MS,"latestOffset":MS,"triggerExecution":MS,"walCommit":MS},"stateOperators":[],` +
		`"sources":[{"description":"KafkaV2[Subscribe[nyc_taxi_data]]","startOffset":{"nyc_taxi_data":{"0":3}},"endOffset":{"nyc_taxi_data":{"0":5}},"latestOffset":{"nyc_taxi_data":{"0":5}},` +
		`"numInputRows":2,"inputRowsPerSecond":R,"processedRowsPerSecond":R,"metrics":{"avgOffsetsBehindLatest":"0.0","maxOffsetsBehindLatest":"0","minOffsetsBehindLatest":"0"}}],` +
		`"sink":{"description":"DeltaSink[oss://lake/delta/taxi_record]","numOutputRows":2}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The commit is what Spark's Delta sink writes.
func TestCommitOfABatch(t *testing.T) {
	w := newWorld(t, 1)
	w.sendRecords(4)
	w.mustRun(w.options())
	history, err := w.table().History(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	var metadata struct{ ID string }
	if err := json.Unmarshal([]byte(w.files(logPrefix)["metadata"]), &metadata); err != nil {
		t.Fatal(err)
	}
	h := history[0]
	if h.Operation != "STREAMING UPDATE" || h.IsBlindAppend == nil || !*h.IsBlindAppend ||
		h.OperationParameters["outputMode"] != "Append" || h.OperationParameters["epochId"] != "0" || h.OperationParameters["queryId"] != metadata.ID ||
		h.OperationMetrics["numOutputRows"] != "4" || h.OperationMetrics["numAddedFiles"] != "1" {
		t.Errorf("commit: %+v", h)
	}
	if txn, ok := w.snapshot().Txn(metadata.ID); !ok || txn.Version != 0 {
		t.Errorf("txn: %+v, %v", txn, ok)
	}
}

func TestStopWhileABatchIsWritten(t *testing.T) {
	w := newWorld(t, 3)
	w.sendRecords(20_000)
	o := w.options()
	o.MaxOffsetsPerTrigger, o.Trigger = 500, ProcessingTime(0)
	for range 10 {
		q, err := Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if err := q.Stop(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
	o.MaxOffsetsPerTrigger, o.Trigger = 0, AvailableNow()
	w.mustRun(o)
	w.checkExactlyOnce()
	w.checkNoOrphans(tablePrefix)
}

func TestProcessAllAvailableAfterStop(t *testing.T) {
	w := newWorld(t, 1)
	o := w.options()
	o.Trigger = ProcessingTime(time.Hour)
	q, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	stop(t, q)
	w.sendRecords(1)
	if err := q.ProcessAllAvailable(t.Context()); err == nil {
		t.Error("a stopped query processed what came after it")
	}
}

func TestPlanEnd(t *testing.T) {
	offsets := func(numbers ...int64) api.PartitionOffsets {
		partitions := map[int32]int64{}
		for i, n := range numbers {
			if n >= 0 {
				partitions[int32(i)] = n
			}
		}
		return api.PartitionOffsets{testTopic: partitions}
	}
	for _, test := range []struct {
		name                string
		start, latest, want api.PartitionOffsets
		limit               int64
	}{
		{"no limit", offsets(0, 5), offsets(10, 5), offsets(10, 5), 0},
		{"limit above", offsets(0, 0), offsets(10, 5), offsets(10, 5), 15},
		{"in proportion", offsets(0, 0, 0), offsets(100, 200, 0), offsets(10, 20, 0), 30},
		{"a small partition is not starved", offsets(0, 0), offsets(1_000_000, 1), offsets(9, 1), 10},
		{"new partition", offsets(5), offsets(5, 7), offsets(5, 7), 0},
		{"offsets went back", offsets(5), offsets(3), offsets(3), 2},
		{"a partition the broker did not name", offsets(5, 8), offsets(7), offsets(7, 8), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := planEnd(test.start, test.latest, test.limit); !equalOffsets(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestParseTrigger(t *testing.T) {
	for text, want := range map[string]Trigger{
		"":                             {},
		"availableNow":                 AvailableNow(),
		"once":                         Once(),
		"1 second":                     ProcessingTime(time.Second),
		"500 milliseconds":             ProcessingTime(500 * time.Millisecond),
		"2 minutes":                    ProcessingTime(2 * time.Minute),
		"1.5s":                         ProcessingTime(1500 * time.Millisecond),
		"10 Seconds":                   ProcessingTime(10 * time.Second),
		"interval 1 minute 30 seconds": ProcessingTime(90 * time.Second),
		"0s":                           ProcessingTime(0),
	} {
		got, err := ParseTrigger(text)
		if err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
		if again, err := ParseTrigger(got.String()); err != nil || again.interval() != got.interval() {
			t.Errorf("%q: %q does not read back: %v", text, got, err)
		}
	}
	for _, text := range []string{"soon", "-1 second", "1 fortnight", "second", "1 minute 30", "1 month", "interval"} {
		if _, err := ParseTrigger(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// Auto compaction yields while the lag grows from batch to batch.
func TestFallingBehind(t *testing.T) {
	c := &compaction{due: make(chan struct{}, 1)}
	for _, step := range []struct {
		lag  int64
		want bool
	}{{0, false}, {100, true}, {100, false}, {50, false}, {51, true}, {0, false}} {
		c.batchDone(step.lag)
		if got := c.fallingBehind(); got != step.want {
			t.Errorf("lag %d: %v, want %v", step.lag, got, step.want)
		}
	}
}

// A run that takes a topic away, or adds it again, is killed at each thing it
// does to the store, and the next one has other topics.
func TestSubscriptionChangesKilledAtEveryStep(t *testing.T) {
	for i, name := range []string{"taken away", "added again"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits for the clients to close
			w := newWorld(t, 1)
			w.sendRecords(6)
			w.createOther()
			for range 6 {
				w.sendOther()
			}
			for n := int64(1); w.changeSubscription(i+1, n); n++ {
				if w.checkExactlyOnce(); t.Failed() {
					t.Fatalf("killed at call %d", n)
				}
			}
		})
	}
}

// changeSubscription takes a topic away and adds it again, in five runs of
// which one is killed at its nth call to the store; it says whether it was.
func (w *world) changeSubscription(victim int, n int64) (killed bool) {
	w.t.Helper()
	w.store = blob.NewMemory("lake")
	w.createTable(nil)
	ends := []string{ // of the runs: the topics and how far each is read
		`{"nyc_taxi_data":{"0":1},"other":{"0":1}}`,
		`{"nyc_taxi_data":{"0":2}}`,
		`{"nyc_taxi_data":{"0":3},"other":{"0":3}}`,
		`{"nyc_taxi_data":{"0":4}}`,
		`{"nyc_taxi_data":{"0":-1},"other":{"0":-1}}`,
	}
	for i, end := range ends {
		o := w.options()
		o.EndingOffsets = end
		if strings.Contains(end, "other") {
			o.Subscribe = append(o.Subscribe, "other")
		}
		if i == victim {
			killed = w.runAndKill(o, n)
		} else {
			w.mustRun(o)
		}
	}
	return killed
}

func (w *world) createOther() {
	w.t.Helper()
	if _, err := w.admin.CreateTopics(w.t.Context(), []confluent.TopicSpecification{{Topic: "other", NumPartitions: 1, ReplicationFactor: 1}}); err != nil {
		w.t.Fatal(err)
	}
}

// sendOther produces a good record to the topic other.
func (w *world) sendOther() {
	w.t.Helper()
	if err := w.client.ProduceSync(w.t.Context(), &kgo.Record{Topic: "other", Value: fmt.Appendf(nil, `{"id":%d}`, w.next)}).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	w.next++
}

// Topics can be added to a query, taken away and added again; none of their
// records is lost or read twice.
func TestSubscriptionChanges(t *testing.T) {
	w := newWorld(t, 1)
	w.createOther()
	w.sendRecords(10)
	o := w.options()
	w.mustRun(o)
	w.sendOther()
	o.Subscribe = []string{testTopic, "other"}
	w.mustRun(o)
	w.checkExactlyOnce()

	o.Subscribe = []string{testTopic}
	w.sendOther()
	w.mustRun(o)
	if planned := len(w.files(logPrefix + "/offsets")); planned != 2 {
		t.Errorf("%d batches, want none for the topic taken away", planned)
	}
	w.sendRecords(10)
	w.mustRun(o)
	o.Subscribe = []string{testTopic, "other"}
	w.mustRun(o)
	w.checkExactlyOnce()

	if _, err := w.admin.DeleteTopics(t.Context(), []string{"other"}); err != nil {
		t.Fatal(err)
	}
	o.Subscribe = []string{testTopic}
	w.sendRecords(10)
	w.mustRun(o)
	w.mustRun(o)
	w.checkExactlyOnce()
}
