package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/decode"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/kafka/kafkatest"
)

func (w *world) replayOptions(store blob.Bucket) ReplayOptions {
	return ReplayOptions{Table: blob.Prefix(store, tablePrefix), DeadLetters: blob.Prefix(store, deadPrefix), Clock: fastClock{}, Logger: slog.New(slog.DiscardHandler)}
}

func (w *world) mustReplay() api.DeadLetterReplay {
	w.t.Helper()
	result, err := Replay(w.t.Context(), w.replayOptions(w.store))
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

// replaceTable gives the table another schema and none of its rows, as a
// course's table is made again with a corrected type; letters stay.
func (w *world) replaceTable(schema delta.Schema) {
	w.t.Helper()
	w.wipe(tablePrefix)
	if _, err := delta.Create(w.t.Context(), blob.Prefix(w.store, tablePrefix), delta.Definition{Schema: schema}); err != nil {
		w.t.Fatal(err)
	}
}

// fareAsString is the table's schema after the fix: fares may be words.
func fareAsString() delta.Schema {
	schema := delta.Schema{Fields: slices.Clone(recordSchema.Fields)}
	schema.Fields[1].Type = delta.String
	return schema
}

// sendFares produces n records that fit only the corrected table, and one that
// fits none.
func (w *world) sendFares(n int) {
	w.t.Helper()
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprintf(`{"id":%d,"fare_amount":"%d dollars"}`, w.next, w.next)
		w.next++
	}
	w.send(append(values, `{"fare_amount":"no id"}`)...)
}

func TestReplay(t *testing.T) {
	w := newWorld(t, 2)
	w.sendFares(10)
	w.mustRun(w.options())
	if n := len(w.letters()); n != 11 {
		t.Fatalf("%d dead letters, want 11", n)
	}
	if result := w.mustReplay(); result.NumReplayed != 0 || result.NumRemaining != 11 {
		t.Errorf("before the fix: %+v", result)
	}
	w.replaceTable(fareAsString())
	if result := w.mustReplay(); result.NumReplayed != 10 || result.NumRemaining != 1 {
		t.Errorf("after the fix: %+v", result)
	}
	w.checkExactlyOnce()
	letters := w.letters()
	if len(letters) != 1 || !strings.Contains(letters[0], `field "id": missing`) {
		t.Errorf("letters that stay: %v", letters)
	}
	version := w.snapshotVersion()
	if result := w.mustReplay(); result.NumReplayed != 0 || result.NumRemaining != 1 || w.snapshotVersion() != version {
		t.Errorf("once more: %+v, version %d after %d", result, w.snapshotVersion(), version)
	}
	w.checkNoOrphans(tablePrefix)
	w.checkNoOrphans(deadPrefix)
	if plans := w.files(deadPrefix + "/_replay"); len(plans) != 0 {
		t.Errorf("plans left: %v", plans)
	}
}

func TestReplayWithoutDeadLetters(t *testing.T) {
	w := newWorld(t, 1)
	if result := w.mustReplay(); result.NumReplayed != 0 || result.NumRemaining != 0 {
		t.Errorf("%+v", result)
	}
}

// A replay is killed before and after each single thing it does to the store.
// Whatever was reached, the next one makes it whole, and streams go on.
func TestReplayKilledAtEveryStep(t *testing.T) {
	template := newWorld(t, 1)
	template.sendFares(5)
	template.mustRun(template.options())
	letters := template.files(deadPrefix)
	n := int64(1)
	for ; ; n++ {
		w := &world{t: t, store: blob.NewMemory("lake"), next: template.next}
		for key, content := range letters {
			w.put(deadPrefix+"/"+key, content)
		}
		w.replaceTable(fareAsString())
		p := newProcess(w.store, n)
		result, err := Replay(t.Context(), w.replayOptions(p))
		if err == nil && result.NumReplayed == 5 {
			break
		}
		w.mustReplay()
		w.checkExactlyOnce()
		if left := w.letters(); len(left) != 1 || !strings.Contains(left[0], `field "id": missing`) {
			t.Errorf("letters that stay: %v", left)
		}
		if plans := w.files(deadPrefix + "/_replay"); len(plans) != 0 {
			t.Errorf("plans left: %v", plans)
		}
		if t.Failed() {
			t.Fatalf("killed at call %d", n)
		}
	}
	if n < 20 {
		t.Errorf("only %d steps were tried", n)
	}
	t.Logf("%d steps", n-1)
}

// The schema changed after a round was planned and before it was carried out:
// the round is planned anew, with the schema as it is now.
func TestReplayPlanOvertaken(t *testing.T) {
	w := newWorld(t, 1)
	w.sendFares(5)
	w.mustRun(w.options())
	w.replaceTable(fareAsString())
	r, err := openReplay(t.Context(), w.replayOptions(w.store))
	if err != nil {
		t.Fatal(err)
	}
	if planned, _, err := r.plan(t.Context()); err != nil || !planned {
		t.Fatal(planned, err)
	}
	if err := addColumns(t.Context(), w.snapshot(), []delta.Field{{Name: "tip", Type: delta.Double, Nullable: true}}); err != nil {
		t.Fatal(err)
	}
	if result := w.mustReplay(); result.NumReplayed != 5 || result.NumRemaining != 1 {
		t.Errorf("%+v", result)
	}
	w.checkExactlyOnce()
	w.checkNoOrphans(tablePrefix)
}

// Two replays at the same time, while a stream adds letters, move each letter
// once.
func TestReplaysAtTheSameTime(t *testing.T) {
	w := newWorld(t, 1)
	w.sendFares(50)
	w.mustRun(w.options())
	w.replaceTable(fareAsString())
	w.wipe(logPrefix)
	q := w.caughtUp(0) // from the earliest record again, so that they are wanted twice
	defer stop(t, q)
	w.next = 50
	var wait sync.WaitGroup
	var moved [2]int64
	for i := range moved {
		wait.Go(func() {
			result, err := Replay(t.Context(), w.replayOptions(w.store))
			if err != nil {
				t.Error(err)
			}
			moved[i] = result.NumReplayed
		})
	}
	for range 5 {
		w.send("poison")
		if err := q.ProcessAllAvailable(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wait.Wait()
	w.mustReplay()
	ids := w.ids()
	for id := range int64(50) {
		if ids[id] != 2 { // once by the stream, once by the replay
			t.Errorf("id %d is there %d times, want 2", id, ids[id])
		}
	}
	if n := len(w.letters()); n != 2+5 {
		t.Errorf("%d letters stay, want 7", n)
	}
}

// Of a topic that was made again letters with the same offset are told apart.
func TestReplayOfAnotherTopicOfThatName(t *testing.T) {
	w := newWorld(t, 1)
	w.send(`{"id":0,"fare_amount":"word"}`)
	w.mustRun(w.options())
	w.deleteTopic()
	w.createTopic(1)
	w.wipe(logPrefix)
	w.send(`{"fare_amount":"no id"}`)
	o := w.options()
	o.StartingOffsets = `{"nyc_taxi_data":{"0":-2}}`
	w.mustRun(o)
	w.replaceTable(fareAsString())
	w.next = 1
	if result := w.mustReplay(); result.NumReplayed != 1 || result.NumRemaining != 1 {
		t.Errorf("%+v", result)
	}
	w.checkExactlyOnce()
	if left := w.letters(); len(left) != 1 || !strings.Contains(left[0], "no id") {
		t.Errorf("letters that stay: %v", left)
	}
}

// A replay is no stream whose checkpoint was lost.
func TestStreamIntoATableThatWasReplayedInto(t *testing.T) {
	w := newWorld(t, 1)
	w.sendFares(3)
	w.mustRun(w.options())
	w.replaceTable(fareAsString())
	w.mustReplay()
	w.wipe(logPrefix)
	o := w.options()
	o.StartingOffsets = "latest"
	w.mustRun(o)
	w.checkExactlyOnce()
}

func TestReplayRefuses(t *testing.T) {
	w := newWorld(t, 1)
	w.sendFares(1)
	w.mustRun(w.options())
	inside := w.replayOptions(w.store)
	inside.DeadLetters = inside.Table
	if _, err := Replay(t.Context(), inside); !errors.Is(err, ErrOptions) {
		t.Errorf("the table as its dead letters: %v", err)
	}
	other := w.replayOptions(w.store)
	other.DeadLetters = blob.Prefix(w.store, "delta/other")
	if _, err := delta.Create(t.Context(), other.DeadLetters, delta.Definition{Schema: recordSchema}); err != nil {
		t.Fatal(err)
	}
	if _, err := Replay(t.Context(), other); !errors.Is(err, ErrOptions) {
		t.Errorf("a table that holds no letters: %v", err)
	}
	w.wipe(tablePrefix)
	if _, err := Replay(t.Context(), w.replayOptions(w.store)); !errors.Is(err, delta.ErrNotTable) {
		t.Errorf("no table: %v", err)
	}
}

func TestDeadLettersNewestFirst(t *testing.T) {
	w := newWorld(t, 1)
	none, err := DeadLetters(t.Context(), blob.Prefix(w.store, deadPrefix), 10)
	if err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
	w.send("a", "b", "c")
	w.mustRun(w.options())
	letters, err := DeadLetters(t.Context(), blob.Prefix(w.store, deadPrefix), 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(letters) != 2 || string(letters[0].Value) != "c" || letters[0].Offset != 2 || string(letters[1].Value) != "b" ||
		letters[0].Topic != testTopic || string(letters[0].Key) != "k" || letters[0].Timestamp.UnixMilli() != 1_245_086_781_000 ||
		!strings.HasPrefix(letters[0].Reason, "malformed JSON") {
		t.Errorf("%+v", letters)
	}
}

// The id of a letter depends on what it says alone, and each part of it counts.
func TestLetterID(t *testing.T) {
	topic, other := testTopic, "other"
	at := func(topic *string, partition int32, offset confluent.Offset) confluent.TopicPartition {
		return confluent.TopicPartition{Topic: topic, Partition: partition, Offset: offset}
	}
	now := time.UnixMilli(1_245_086_781_000)
	letters := []confluent.Message{
		{TopicPartition: at(&topic, 0, 1)},
		{TopicPartition: at(&other, 0, 1)},
		{TopicPartition: at(&topic, 1, 0)},
		{TopicPartition: at(&topic, 0, 2)},
		{TopicPartition: at(&topic, 0, 1), Timestamp: now, TimestampType: confluent.TimestampCreateTime},
		{TopicPartition: at(&topic, 0, 1), Timestamp: now.Add(time.Millisecond), TimestampType: confluent.TimestampCreateTime},
		{TopicPartition: at(&topic, 0, 1), Timestamp: time.UnixMilli(math.MaxInt64), TimestampType: confluent.TimestampCreateTime},
		{TopicPartition: at(&topic, 0, 1), Timestamp: time.UnixMilli(math.MaxInt64 - 1), TimestampType: confluent.TimestampCreateTime},
		{TopicPartition: at(&topic, 0, 1), Key: []byte{}},
		{TopicPartition: at(&topic, 0, 1), Value: []byte{}},
		{TopicPartition: at(&topic, 0, 1), Key: []byte("ab"), Value: []byte("c")},
		{TopicPartition: at(&topic, 0, 1), Key: []byte("a"), Value: []byte("bc")},
	}
	ids := func(order []int) map[int]letterID {
		l := newLetterBuilder(false)
		defer l.release()
		for _, i := range order {
			l.append(&letters[i], nil, errUnfit)
		}
		batch := l.flush()
		defer batch.Release()
		page, ids := pageOf(batch, letterColumns{timestampMs: 7}), map[int]letterID{}
		for row, i := range order {
			ids[i] = page.id(row)
		}
		return ids
	}
	var forward, backward []int
	for i := range letters {
		forward, backward = append(forward, i), append(backward, len(letters)-1-i)
	}
	first, second := ids(forward), ids(backward)
	seen := map[letterID]int{}
	for i, id := range first {
		if id != second[i] {
			t.Errorf("letter %d has two ids", i)
		}
		if j, again := seen[id]; again {
			t.Errorf("letters %d and %d have the same id", i, j)
		}
		seen[id] = i
	}
}

// timestamps are numbers that producers write where Kafka has milliseconds.
var timestamps = []int64{
	math.MinInt64, -62_135_596_800_001, -2, api.NoTimestamp, 0, 1_245_086_781_123, 253_402_300_799_999, 253_402_300_800_000,
	1_245_086_781_123_456, 1_245_086_781_123_456_789, math.MaxInt64/1000 + 1, math.MaxInt64,
}

func (w *world) sendAt(value string, timestamps ...int64) {
	w.t.Helper()
	for _, ms := range timestamps {
		if err := kafkatest.Send(w.t.Context(), w.servers, w.topic, kafkatest.Record{TimestampMs: ms, Value: []byte(value)}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// checkTimestamps wants dead letters with these timestamps, the newest first.
func (w *world) checkTimestamps(want ...int64) {
	w.t.Helper()
	letters, err := DeadLetters(w.t.Context(), blob.Prefix(w.store, deadPrefix), 100)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := json.Marshal(letters); err != nil {
		w.t.Error(err)
	}
	var got []int64
	for _, letter := range letters {
		got = append(got, letter.TimestampMs)
		if !letter.Timestamp.Equal(api.KafkaTime(letter.TimestampMs)) {
			w.t.Errorf("%d stands for %v", letter.TimestampMs, letter.Timestamp)
		}
	}
	slices.Sort(want)
	slices.Reverse(want)
	if !slices.Equal(got, want) {
		w.t.Errorf("timestamps %v, want %v", got, want)
	}
}

func TestDeadLettersKeepEveryTimestamp(t *testing.T) {
	w := newWorld(t, 1)
	w.sendAt(`{"id":0,"fare_amount":"word"}`, timestamps...)
	w.mustRun(w.options())
	w.checkTimestamps(slices.Clone(timestamps)...)
	w.replaceTable(fareAsString())
	if result := w.mustReplay(); result.NumReplayed != int64(len(timestamps)) || result.NumRemaining != 0 {
		t.Errorf("replay: %+v", result)
	}
	w.checkTimestamps()
}

// A table of dead letters from before the column timestampMs goes on, with
// headers and without, and so does a replay of its letters.
func TestDeadLettersOfAnOlderTable(t *testing.T) {
	for name, fields := range map[string][]delta.Field{"without headers": letterFields, "with headers": append(slices.Clip(letterFields), decode.HeadersField)} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			table, err := delta.Create(t.Context(), blob.Prefix(w.store, deadPrefix), delta.Definition{Schema: delta.Schema{Fields: fields}})
			if err != nil {
				t.Fatal(err)
			}
			l := newLetterBuilder(false)
			defer l.release()
			for i, at := range []time.Time{time.UnixMilli(1_245_086_781_000), time.UnixMilli(1_245_086_781_000_000)} {
				l.append(&confluent.Message{
					TopicPartition: confluent.TopicPartition{Topic: &w.topic, Offset: confluent.Offset(100 + i)},
					Value:          []byte(`{"id":0,"fare_amount":"word"}`), Timestamp: at, TimestampType: confluent.TimestampCreateTime,
				}, nil, errUnfit)
			}
			batch := l.flush()
			defer batch.Release()
			// As it was written then: every time that fits was a time.
			micros := array.NewTimestampBuilder(memory.DefaultAllocator, batch.Column(3).DataType().(*arrow.TimestampType))
			defer micros.Release()
			micros.Append(1_245_086_781_000_000)
			micros.Append(1_245_086_781_000_000_000)
			columns := slices.Clone(batch.Columns()[:len(letterFields)])
			columns[3] = micros.NewArray()
			old := array.NewRecordBatch(arrow.NewSchema(batch.Schema().Fields()[:len(letterFields)], nil), columns, batch.NumRows())
			adds, err := table.WriteFiles(t.Context(), old)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := table.Commit(t.Context(), delta.Commit{Operation: "WRITE", Adds: adds, BlindAppend: true}); err != nil {
				t.Fatal(err)
			}
			w.checkTimestamps(1_245_086_781_000, 1_245_086_781_000_000)
			w.sendAt(`{"id":0,"fare_amount":"word"}`, timestamps...)
			w.mustRun(w.options())
			w.checkTimestamps(append([]int64{1_245_086_781_000, 1_245_086_781_000_000}, timestamps...)...)
			w.replaceTable(fareAsString())
			if result := w.mustReplay(); result.NumReplayed != int64(len(timestamps))+2 || result.NumRemaining != 0 {
				t.Errorf("replay: %+v", result)
			}
		})
	}
}
