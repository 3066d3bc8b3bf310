package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/decode"
	"taxilake/lakekit/delta"
)

func TestOptionsThatAreRefused(t *testing.T) {
	w := newWorld(t, 1)
	for _, test := range []struct {
		name    string
		set     func(*Options)
		message string
	}{
		{"endingOffsets without availableNow", func(o *Options) { o.EndingOffsets, o.Trigger = "latest", Once() }, "endingOffsets needs the trigger availableNow"},
		{"endingOffsets earliest", func(o *Options) { o.EndingOffsets = "earliest" }, "cannot end at the earliest"},
		{"endingOffsets earliest in a partition", func(o *Options) { o.EndingOffsets = `{"nyc_taxi_data":{"0":-2}}` }, "cannot end at the earliest"},
		{"endingOffsets of no meaning", func(o *Options) { o.EndingOffsets = "tomorrow" }, "endingOffsets"},
		{"endingOffsets of another topic", func(o *Options) { o.EndingOffsets = `{"nyc_taxi_data":{"0":1},"other":{"0":1}}` }, "endingOffsets names other-0"},
		{"endingOffsets without a partition", func(o *Options) { o.EndingOffsets = `{"nyc_taxi_data":{}}` }, "endingOffsets has no offset for nyc_taxi_data-0"},
		{"negative minOffsetsPerTrigger", func(o *Options) { o.MinOffsetsPerTrigger = -1 }, "minOffsetsPerTrigger is -1"},
		{"more at least than at most", func(o *Options) { o.MinOffsetsPerTrigger, o.MaxOffsetsPerTrigger = 3, 2 }, "more than maxOffsetsPerTrigger"},
		{"maxTriggerDelay of nothing", func(o *Options) { o.MaxTriggerDelay = time.Minute }, "minOffsetsPerTrigger, which is not set"},
		{"auto.offset.reset", func(o *Options) { o.KafkaOptions = map[string]string{"kafka.auto.offset.reset": "earliest"} }, "kafka.auto.offset.reset cannot be set: the query keeps track of its offsets: say where a new one begins by startingOffsets"},
		{"enable.auto.commit", func(o *Options) { o.KafkaOptions = map[string]string{"enable.auto.commit": "true"} }, "its checkpoint"},
		{"enable.auto.commit by its other name", func(o *Options) { o.KafkaOptions = map[string]string{"auto.commit.enable": "true"} }, "its checkpoint"},
		{"value.deserializer", func(o *Options) { o.KafkaOptions = map[string]string{"kafka.value.deserializer": "x"} }, "values are read as bytes"},
		{"key.deserializer", func(o *Options) { o.KafkaOptions = map[string]string{"kafka.key.deserializer": "x"} }, "keys are read as bytes"},
		{"interceptor.classes", func(o *Options) { o.KafkaOptions = map[string]string{"kafka.interceptor.classes": "x"} }, "Java client"},
		{"queue size", func(o *Options) { o.KafkaOptions = map[string]string{"queued.max.messages.kbytes": "1"} }, "bufferBytes"},
		{"no such kafka option", func(o *Options) { o.KafkaOptions = map[string]string{"kafka.fetch.minimum": "1"} }, "fetch.minimum"},
		{"a pattern of topics", func(o *Options) { o.Subscribe = []string{"nyc_*"} }, `subscribe: bad topic name "nyc_*"`},
		{"a topic that a C string cuts off", func(o *Options) { o.Subscribe = []string{testTopic + "\x00"} }, "subscribe: bad topic name"},
		{"includeHeaders without the column", func(o *Options) { o.IncludeHeaders = true }, "includeHeaders needs a column"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := w.options()
			test.set(&o)
			err := w.run(o)
			if !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), test.message) {
				t.Errorf("got %v, want %q", err, test.message)
			}
		})
	}
	if files := w.files(logPrefix); len(files) != 0 {
		t.Errorf("a refused start left %v", files)
	}
}

// kafka.* options reach the client, with the prefix or without.
func TestKafkaOptions(t *testing.T) {
	w := newWorld(t, 1)
	w.sendRecords(10)
	o := w.options()
	servers := o.Kafka["bootstrap.servers"]
	o.Kafka["bootstrap.servers"] = "127.0.0.1:1"
	o.KafkaOptions = map[string]string{"kafka.bootstrap.servers": servers, "fetch.min.bytes": "2"}
	o.BufferBytes = 1 << 40 // librdkafka's own bound is 2 GiB
	w.mustRun(o)
	w.checkExactlyOnce()
}

func TestEndingOffsets(t *testing.T) {
	for _, test := range []struct {
		ending string
		want   int // of 30 records in 3 partitions
	}{
		{"", 30},
		{"latest", 30},
		{`{"nyc_taxi_data":{"0":4,"1":0,"2":-1}}`, 14},
		{`{"nyc_taxi_data":{"0":400,"1":10,"2":1}}`, 21},
	} {
		t.Run(test.ending, func(t *testing.T) {
			w := newWorld(t, 3)
			w.sendRecords(30)
			o := w.options()
			o.EndingOffsets, o.MaxOffsetsPerTrigger = test.ending, 7
			w.mustRun(o)
			if n := len(w.ids()); n != test.want {
				t.Errorf("%d rows, want %d", n, test.want)
			}
			// Ends that are behind already are no loss of records.
			o.EndingOffsets = `{"nyc_taxi_data":{"0":0,"1":0,"2":0}}`
			w.mustRun(o)
			if n := len(w.ids()); n != test.want {
				t.Errorf("%d rows after an end that is behind, want %d", n, test.want)
			}
			o.EndingOffsets = ""
			w.mustRun(o)
			w.checkExactlyOnce()
		})
	}
}

// skippingClock is ahead of the machine's by what the test has skipped.
type skippingClock struct {
	systemClock
	ahead chan time.Duration // holds one
}

func newSkippingClock() skippingClock {
	c := skippingClock{ahead: make(chan time.Duration, 1)}
	c.ahead <- 0
	return c
}

func (c skippingClock) Now() time.Time {
	ahead := <-c.ahead
	c.ahead <- ahead
	return time.Now().Add(ahead)
}

func (c skippingClock) skip(d time.Duration) { c.ahead <- <-c.ahead + d }

// waitFor waits until the query has seen n records that it has not written.
func waitFor(t *testing.T, q *Query, what string, holds func() bool) {
	t.Helper()
	for !holds() {
		select {
		case <-q.Done():
			t.Fatalf("waiting for %s: the query ended: %v", what, q.Err())
		case <-t.Context().Done():
			t.Fatalf("waiting for %s: %+v", what, q.Status())
		case <-time.After(time.Millisecond):
		}
	}
}

func TestMinOffsetsPerTrigger(t *testing.T) {
	w := newWorld(t, 1)
	clock := newSkippingClock()
	o := w.options()
	o.Trigger, o.MinOffsetsPerTrigger, o.Clock = ProcessingTime(time.Millisecond), 10, clock
	w.sendRecords(1)
	q, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, q)
	batches := func(n int64) func() bool { return func() bool { return q.Status().BatchID == n-1 } }
	behind := func(n int64) func() bool { return func() bool { return q.Status().RecordsBehind == n } }
	waitFor(t, q, "the first batch, which does not wait", batches(1))

	w.sendRecords(9)
	waitFor(t, q, "9 records seen", behind(9))
	if n := q.Status().BatchID; n != 0 {
		t.Fatalf("batch %d was made of less than minOffsetsPerTrigger", n)
	}
	w.sendRecords(1)
	waitFor(t, q, "a batch of enough records", batches(2))

	w.sendRecords(3)
	waitFor(t, q, "3 records seen", behind(3))
	clock.skip(defaultTriggerDelay)
	waitFor(t, q, "a batch after maxTriggerDelay", batches(3))

	w.sendRecords(2)
	if err := q.ProcessAllAvailable(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.checkExactlyOnce()
}

func TestParseDelay(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "15m": 15 * time.Minute, "90 seconds": 90 * time.Second, " 1h ": time.Hour} {
		if got, err := ParseDelay(text); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"soon", "-1s", "0s", "5"} {
		if _, err := ParseDelay(text); !errors.Is(err, ErrOptions) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// sendWithHeaders produces a record with headers "a" and "b", the latter null.
func (w *world) sendWithHeaders(value string) {
	w.t.Helper()
	record := &kgo.Record{Topic: testTopic, Value: []byte(value), Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b"}}}
	if err := w.client.ProduceSync(w.t.Context(), record).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// column are the cells of a table's column, sorted.
func (w *world) column(name string) (cells []string) {
	w.t.Helper()
	for rows, err := range w.snapshot().Scan(w.t.Context(), delta.ScanOptions{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		column := rows.Column(rows.Schema().FieldIndices(name)[0])
		for i := range column.Len() {
			cells = append(cells, cell(column, i))
		}
	}
	slices.Sort(cells)
	return cells
}

// mergeSchema adds the column of the headers, whatever fields the records have.
func TestIncludeHeadersMergesSchema(t *testing.T) {
	w := newWorld(t, 1)
	w.send(`{"id":0,"Headers":"not from here","tip":1}`)
	w.sendWithHeaders(`{"id":1}`)
	o := w.options()
	o.IncludeHeaders, o.MergeSchema = true, true
	w.mustRun(o)
	if got, want := w.column("headers"), []string{`[{"key":"a","value":"MQ=="},{"key":"b","value":null}]`, "null"}; !slices.Equal(got, want) {
		t.Errorf("headers %v, want %v", got, want)
	}
	if got, want := w.snapshot().Schema().String(), strings.TrimSuffix(recordSchema.String(), ">")+",headers:"+decode.HeadersType.String()+",tip:bigint>"; got != want {
		t.Errorf("the table became\n%s, want\n%s", got, want)
	}
}

// Headers come with the records, with the dead letters, and from there with a
// replay.
func TestIncludeHeaders(t *testing.T) {
	w := newWorld(t, 1)
	w.send("poison from before headers were included")
	w.mustRun(w.options())
	withHeaders := func(schema delta.Schema) delta.Schema {
		return delta.Schema{Fields: append(slices.Clone(schema.Fields), delta.Field{Name: "headers", Type: decode.HeadersType, Nullable: true})}
	}
	w.replaceTable(withHeaders(recordSchema))
	w.wipe(logPrefix)
	w.sendWithHeaders(`{"id":0}`)
	w.sendRecords(1)
	w.next = 2
	w.send(`{"id":1,"headers":[{"key":"not from here"}]}`)
	w.sendWithHeaders(`{"id":2,"fare_amount":"2 dollars"}`)
	o := w.options()
	o.StartingOffsets = `{"nyc_taxi_data":{"0":1}}`
	o.IncludeHeaders = true
	w.mustRun(o)
	const headers = `[{"key":"a","value":"MQ=="},{"key":"b","value":null}]`
	if got, want := w.column("headers"), []string{headers, "null", "null"}; !slices.Equal(got, want) {
		t.Errorf("headers %v, want %v", got, want)
	}
	letters, err := DeadLetters(t.Context(), blob.Prefix(w.store, deadPrefix), 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(letters) != 2 || fmt.Sprint(letters[0].Headers) != "[{a [49]} {b []}]" || letters[1].Headers != nil {
		t.Errorf("dead letters: %+v", letters)
	}
	w.replaceTable(withHeaders(fareAsString()))
	if result := w.mustReplay(); result.NumReplayed != 1 || result.NumRemaining != 1 {
		t.Errorf("replay: %+v", result)
	}
	if got, want := w.column("headers"), []string{headers}; !slices.Equal(got, want) {
		t.Errorf("headers after the replay %v, want %v", got, want)
	}
	// Without includeHeaders the tables stay as they are.
	w.wipe(logPrefix)
	w.send(`{"id":3}`, "poison")
	o.IncludeHeaders, o.StartingOffsets = false, `{"nyc_taxi_data":{"0":5}}`
	w.mustRun(o)
	if n := len(w.letters()); n != 2 {
		t.Errorf("%d letters, want 2", n)
	}
}

func TestMergeSchema(t *testing.T) {
	w := newWorld(t, 1)
	w.send(
		`{"id":0,"tip":1,"note":"known"}`,
		`{"id":1,"tip":2.5,"flags":[true,null],"from":{"zone":"JFK","x":1}}`,
		`{"id":2,"from":{"x":2.5,"bad name":1},"bad name":1,"ID":5,"nothing":null,"empty":[],"huge":9223372036854775808,"word":"a"}`,
		`{"id":3,"word":true}`, // does not fit the string that a word and a boolean become
		`{"id":"x","poison":1}`,
	)
	o := w.options()
	w.mustRun(o)
	if got := w.snapshot().Schema().String(); got != recordSchema.String() {
		t.Fatalf("without mergeSchema the table became %s", got)
	}

	w.replaceTable(recordSchema)
	w.wipe(logPrefix)
	w.wipe(deadPrefix)
	o.MergeSchema = true
	w.mustRun(o)
	const added = ",flags:array<boolean>,from:struct<x:double,zone:string>,huge:decimal(19,0),tip:double,word:string>"
	if got, want := w.snapshot().Schema().String(), strings.TrimSuffix(recordSchema.String(), ">")+added; got != want {
		t.Errorf("the table became\n%s, want\n%s", got, want)
	}
	for column, want := range map[string][]string{
		"tip":   {"1", "2.5", "null"},
		"flags": {"[true,null]", "null", "null"},
		"from":  {"null", `{"x":1,"zone":"JFK"}`, `{"x":2.5,"zone":null}`},
		"huge":  {"9223372036854775808", "null", "null"},
		"word":  {"a", "null", "null"},
	} {
		if got := w.column(column); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", column, got, want)
		}
	}
	if letters := w.letters(); len(letters) != 2 || !strings.Contains(letters[0], `field "word": wrong type: a boolean, want string`) {
		t.Errorf("dead letters: %v", letters)
	}
	w.checkNoOrphans(tablePrefix)
	w.checkNoOrphans(deadPrefix)

	version := w.snapshotVersion()
	w.send(`{"id":3,"tip":7,"ID":6,"nothing":null}`)
	w.mustRun(o)
	if n := w.snapshotVersion() - version; n != 1 {
		t.Errorf("%d commits for a batch without new columns, want 1", n)
	}
	w.next = 4
	w.checkExactlyOnce()
}

// A run that adds columns is killed at each thing it does to the store.
func TestMergeSchemaKilledAtEveryStep(t *testing.T) {
	w := newWorld(t, 1)
	w.send(`{"id":0,"tip":1}`, `poison`, `{"id":1,"tip":2.5}`)
	w.next = 2
	o := w.options()
	o.MergeSchema = true
	n := int64(1)
	for ; ; n++ {
		w.store = blob.NewMemory("lake")
		w.createTable(nil)
		o := o.on(w.store)
		if !w.runAndKill(o, n) {
			break
		}
		w.mustRun(o)
		w.checkExactlyOnce()
		if got, want := w.column("tip"), []string{"1", "2.5"}; !slices.Equal(got, want) {
			t.Errorf("tips %v, want %v", got, want)
		}
		if letters := w.letters(); len(letters) != 1 {
			t.Errorf("dead letters %v, want one", letters)
		}
		if t.Failed() {
			t.Fatalf("killed at call %d", n)
		}
	}
	t.Logf("%d steps", n-1)
}

// Nested columns go through the table's files as they do through the decoder.
func TestNestedColumns(t *testing.T) {
	w := newWorld(t, 1)
	point := delta.Schema{Fields: []delta.Field{{Name: "x", Type: delta.Double}, {Name: "y", Type: delta.Double, Nullable: true}}}
	w.replaceTable(delta.Schema{Fields: append(slices.Clone(recordSchema.Fields),
		delta.Field{Name: "path", Type: delta.Array{Element: point, ContainsNull: true}, Nullable: true},
		delta.Field{Name: "fees", Type: delta.Map{Key: delta.String, Value: delta.Long}, Nullable: true},
		delta.Field{Name: "toll", Type: delta.Decimal{Precision: 5, Scale: 2}, Nullable: true})})
	w.send(
		`{"id":0,"path":[{"x":1},null,{"y":2,"x":3,"x":4}],"fees":{"a":1,"b":2,"a":3},"toll":1.005}`,
		`{"id":1,"path":[],"fees":{}}`,
		`{"id":2}`,
		`{"id":3,"path":[{"y":2}]}`,
		`{"id":3,"path":[{"x":"1"}]}`,
		`{"id":3,"path":{}}`,
		`{"id":3,"fees":{"a":null}}`,
		`{"id":3,"toll":1000}`,
	)
	w.next = 3
	w.mustRun(w.options())
	w.checkExactlyOnce()
	if got, want := w.column("path"), []string{`[]`, `[{"x":1,"y":null},null,{"x":4,"y":2}]`, "null"}; !slices.Equal(got, want) {
		t.Errorf("path: %v, want %v", got, want)
	}
	if got, want := w.column("fees"), []string{`[]`, `[{"key":"a","value":3},{"key":"b","value":2}]`, "null"}; !slices.Equal(got, want) {
		t.Errorf("fees: %v, want %v", got, want)
	}
	if got, want := w.column("toll"), []string{"1.01", "null", "null"}; !slices.Equal(got, want) {
		t.Errorf("toll: %v, want %v", got, want)
	}
	reasons := []string{`field "path[].x": missing`, `field "path[].x": wrong type: a string, want double`, `field "path": wrong type: an object, want array`, `field "fees{}": null in a required field`, `field "toll": 1000 is out of range of decimal`}
	for i, letter := range w.letters() {
		if !strings.HasSuffix(letter, reasons[i]) {
			t.Errorf("%s, want %s", letter, reasons[i])
		}
	}
}

func TestDrainAndStopNow(t *testing.T) {
	w := newWorld(t, 1)
	o := w.options()
	o.Trigger = ProcessingTime(time.Hour)
	q, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	w.sendRecords(100)
	if err := q.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.checkExactlyOnce()
	if s := q.Status(); s.IsActive || s.Error != "" {
		t.Errorf("drained: %+v", s)
	}

	w.sendRecords(100)
	slow := newStuckStore(w.store)
	if q, err = Start(t.Context(), o.on(slow)); err != nil {
		t.Fatal(err)
	}
	<-slow.stuck // in the middle of a batch
	if err := q.StopNow(); err != nil {
		t.Fatal(err)
	}
	if n := len(w.ids()); n != 100 {
		t.Errorf("%d rows after the stop, want 100", n)
	}
	w.mustRun(w.options())
	w.checkExactlyOnce()
}

// stuckStore never finishes the upload of a data file.
type stuckStore struct {
	blob.Bucket
	stuck chan struct{}
}

func newStuckStore(store blob.Bucket) stuckStore { return stuckStore{store, make(chan struct{}, 1)} }

func (s stuckStore) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	if !strings.HasSuffix(key, ".parquet") {
		return s.Bucket.Put(ctx, key, body)
	}
	s.stuck <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}
