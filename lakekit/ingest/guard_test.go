package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
)

// deleteRecords removes the records before an offset, as retention does.
func (w *world) deleteRecords(partition int32, before int64) {
	w.t.Helper()
	topic := w.topic
	result, err := w.admin.DeleteRecords(w.t.Context(), []confluent.TopicPartition{{Topic: &topic, Partition: partition, Offset: confluent.Offset(before)}})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := result.DeleteRecordsResults[0].TopicPartition.Error; err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) deleteTopic() {
	w.t.Helper()
	if _, err := w.admin.DeleteTopics(w.t.Context(), []string{testTopic}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) createTopic(partitions int) {
	w.t.Helper()
	if _, err := w.admin.CreateTopics(w.t.Context(), []confluent.TopicSpecification{{Topic: testTopic, NumPartitions: partitions, ReplicationFactor: 1}}); err != nil {
		w.t.Fatal(err)
	}
	w.connect(w.cluster.ListenAddrs()...)
}

// What would lose or repeat records is refused, and the message names the
// ways out.
func TestGuards(t *testing.T) {
	for _, test := range []struct {
		name    string
		harm    func(*world, *Options) // after a run over 30 records
		want    error
		message []string
	}{
		{"checkpoint deleted, table kept",
			func(w *world, o *Options) { w.wipe(logPrefix) },
			ErrCheckpointMissing, []string{"bring the checkpoint back", "reset table and checkpoint together", "startingOffsets"}},
		{"checkpoint deleted, table kept, its first commits no longer in the log",
			func(w *world, o *Options) {
				w.wipe(logPrefix)
				w.ageLog()
			},
			ErrCheckpointMissing, []string{"batch 1", "bring the checkpoint back"}},
		{"checkpoint deleted, table written by another application last",
			func(w *world, o *Options) {
				w.wipe(logPrefix)
				w.commit(delta.Commit{Operation: "WRITE", Txn: &delta.Txn{AppID: "kafka-connect-3", Version: 7, LastUpdated: math.MaxInt64}})
			},
			ErrCheckpointMissing, []string{"kafka-connect-3 up to its batch 7"}},
		{"older checkpoint brought back",
			func(w *world, o *Options) {
				for key := range w.files(logPrefix) {
					if key == "offsets/1" || key == "commits/1" {
						_ = w.store.Delete(w.t.Context(), logPrefix+"/"+key)
					}
				}
			},
			ErrCheckpointMissing, []string{"batch 1", "bring the newer checkpoint back"}},
		{"table made again, checkpoint kept",
			func(w *world, o *Options) { w.wipe(tablePrefix); w.createTable(nil) },
			ErrTableReplaced, []string{"reset table and checkpoint together"}},
		{"table made again, checkpoint of another engine kept",
			func(w *world, o *Options) {
				_ = w.store.Delete(w.t.Context(), logPrefix+"/"+bindingKey)
				w.wipe(tablePrefix)
				w.createTable(nil)
			},
			ErrTableReplaced, []string{"batch 1 was committed", "reset table and checkpoint together"}},
		{"no table",
			func(w *world, o *Options) { w.wipe(tablePrefix) },
			delta.ErrNotTable, []string{"create it first"}},
		{"topic made again",
			func(w *world, o *Options) { w.deleteTopic(); w.createTopic(3) },
			ErrTopicRecreated, []string{testTopic, "reset topic, table and checkpoint together", "startingOffsets"}},
		{"topic deleted",
			func(w *world, o *Options) { w.deleteTopic() },
			ErrTopicMissing, []string{testTopic, "reset topic, table and checkpoint together"}},
		{"offsets gone by retention",
			func(w *world, o *Options) { w.sendRecords(30); w.deleteRecords(1, 15) },
			ErrDataLoss, []string{"nyc_taxi_data-1 has nothing from offset 10 to 14", "failOnDataLoss=false", "reset table and checkpoint together"}},
		{"new query without a topic",
			func(w *world, o *Options) {
				w.wipe(logPrefix)
				w.wipe(tablePrefix)
				w.createTable(nil)
				w.deleteTopic()
			},
			ErrTopicMissing, []string{"create it first"}},
		{"offset log v2",
			func(w *world, o *Options) {
				w.put(logPrefix+"/offsets/1", "v2\n{}\n{}")
			},
			ErrCheckpointFormat, []string{"offsets/1", "offset log v2", "spark.sql.streaming.offsetLog.formatVersion"}},
		{"a commit without its plan",
			func(w *world, o *Options) { w.put(logPrefix+"/commits/7", commitContent) },
			ErrCheckpointFormat, []string{"last planned batch is 1", "last committed one 7"}},
		{"a plan half written",
			func(w *world, o *Options) {
				w.put(logPrefix+"/offsets/1", strings.TrimSuffix(w.files(logPrefix)["offsets/1"], "}"))
			},
			ErrCheckpointFormat, []string{"offsets/1", "bring it back", "reset checkpoint and table together"}},
		{"an empty plan",
			func(w *world, o *Options) { w.put(logPrefix+"/offsets/1", "") },
			ErrCheckpointFormat, []string{"offsets/1", "bring it back", "reset checkpoint and table together"}},
		{"metadata emptied",
			func(w *world, o *Options) { w.put(logPrefix+"/metadata", "") },
			ErrCheckpointFormat, []string{"metadata holds no query id", "bring it back"}},
		{"start emptied",
			func(w *world, o *Options) { w.put(logPrefix+"/sources/0/0", "\x00v1\n") },
			ErrCheckpointFormat, []string{"sources/0/0", "bring it back"}},
		{"a topic that Spark took out of the subscription, added again",
			func(w *world, o *Options) {
				w.put(logPrefix+"/offsets/1", strings.ReplaceAll(w.files(logPrefix)["offsets/1"], testTopic, "other"))
			},
			ErrOptions, []string{"take nyc_taxi_data out of subscribe", "startingOffsets"}},
		{"metadata lost",
			func(w *world, o *Options) { _ = w.store.Delete(w.t.Context(), logPrefix+"/metadata") },
			ErrCheckpointFormat, []string{"metadata is missing"}},
		{"required column that is not there",
			func(w *world, o *Options) { o.Required = []string{"tip"} },
			ErrOptions, []string{`"tip"`}},
		{"startingOffsets without a partition",
			func(w *world, o *Options) { w.wipe(logPrefix); o.StartingOffsets = `{"nyc_taxi_data":{"0":1}}` },
			ErrOptions, []string{"no offset for nyc_taxi_data-"}},
		{"startingOffsets beyond the topic",
			func(w *world, o *Options) {
				w.wipe(logPrefix)
				o.StartingOffsets = `{"nyc_taxi_data":{"0":1,"1":11,"2":10}}`
			},
			ErrOptions, []string{"11 for nyc_taxi_data-1", "offset 10"}},
		{"startingOffsets of no meaning",
			func(w *world, o *Options) { o.StartingOffsets = "yesterday" },
			ErrOptions, []string{"earliest, latest or JSON"}},
		{"a table used as its own dead letters",
			func(w *world, o *Options) { o.DeadLetters = o.Table },
			ErrOptions, []string{"dead letters"}},
		{"a checkpoint in the folder of the table",
			func(w *world, o *Options) { o.Checkpoint = blob.Prefix(w.store, tablePrefix+"/checkpoint") },
			ErrOptions, []string{"a folder of its own"}},
		{"a checkpoint around the dead letters",
			func(w *world, o *Options) { o.Checkpoint = blob.Prefix(w.store, "delta") },
			ErrOptions, []string{"a folder of its own"}},
		{"no such Kafka property",
			func(w *world, o *Options) { o.Kafka["bootstrap.server"] = "x" },
			ErrOptions, []string{"bootstrap.server"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, 3)
			o := w.options()
			o.MaxOffsetsPerTrigger = 15
			w.sendRecords(30)
			w.mustRun(o)
			test.harm(w, &o)
			before := w.snapshotVersion()
			err := w.run(o)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			for _, part := range test.message {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the message does not say %q: %v", part, err)
				}
			}
			if after := w.snapshotVersion(); after > before {
				t.Errorf("the table went on from version %d to %d", before, after)
			}
		})
	}
}

// A start that is refused leaves no file behind.
func TestRefusedStartWritesNothing(t *testing.T) {
	for _, test := range []struct {
		name string
		harm func(*world, *Options)
		want error
	}{
		{"no topic", func(w *world, o *Options) { o.Subscribe = []string{"no_such_topic"} }, ErrTopicMissing},
		{"no table", func(w *world, o *Options) { w.wipe(tablePrefix) }, delta.ErrNotTable},
		{"table of another application", func(w *world, o *Options) {
			w.commit(delta.Commit{Operation: "WRITE", Txn: &delta.Txn{AppID: "nightly", Version: 1}})
		}, ErrCheckpointMissing},
		{"startingOffsets without a partition", func(w *world, o *Options) { o.StartingOffsets = `{"nyc_taxi_data":{"0":1}}` }, ErrOptions},
		{"startingOffsets beyond the topic", func(w *world, o *Options) { o.StartingOffsets = `{"nyc_taxi_data":{"0":0,"1":1}}` }, ErrOptions},
		{"checkpoint at the table", func(w *world, o *Options) { o.Checkpoint = o.Table }, ErrOptions},
		{"checkpoint at the dead letters", func(w *world, o *Options) { o.Checkpoint = o.DeadLetters }, ErrOptions},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, 2)
			o := w.options()
			test.harm(w, &o)
			before := w.files("")
			if err := w.run(o); !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if after := w.files(""); !maps.Equal(after, before) {
				t.Errorf("%v became %v", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
			}
		})
	}
}

// commit makes a commit of another writer.
func (w *world) commit(c delta.Commit) int64 {
	w.t.Helper()
	s := w.snapshot()
	c.ReadVersion = s.Version()
	version, err := s.Table().Commit(w.t.Context(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	return version
}

// ageLog leaves of the table's log what retention does: a checkpoint, and the
// commits since.
func (w *world) ageLog() {
	w.t.Helper()
	const checkpointInterval = 10
	for w.commit(delta.Commit{Operation: "WRITE"}) < checkpointInterval {
	}
	for version := range checkpointInterval {
		if err := w.store.Delete(w.t.Context(), fmt.Sprintf("%s/_delta_log/%020d.json", tablePrefix, version)); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) put(key, content string) {
	w.t.Helper()
	if err := w.store.Put(w.t.Context(), key, bytes.NewReader([]byte(content))); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) snapshotVersion() int64 {
	table, err := delta.Open(w.t.Context(), blob.Prefix(w.store, tablePrefix))
	if err != nil {
		return -1
	}
	snapshot, err := table.Snapshot(w.t.Context())
	if err != nil {
		return -1
	}
	return snapshot.Version()
}

// Starting offsets by JSON are the way out when a checkpoint is lost.
func TestGoOnWithoutCheckpointByOffsets(t *testing.T) {
	w := newWorld(t, 3)
	w.sendRecords(30)
	w.mustRun(w.options())
	w.wipe(logPrefix)
	w.sendRecords(30)
	o := w.options()
	o.StartingOffsets = `{"nyc_taxi_data":{"0":10,"1":10,"2":10}}`
	w.mustRun(o)
	w.checkExactlyOnce()
}

// A table that another application has written under a transaction id is begun
// with explicitly, too.
func TestBeginOnATableOfAnotherApplication(t *testing.T) {
	w := newWorld(t, 3)
	w.commit(delta.Commit{Operation: "WRITE", Txn: &delta.Txn{AppID: "nightly", Version: 1}})
	w.sendRecords(30)
	o := w.options()
	if err := w.run(o); !errors.Is(err, ErrCheckpointMissing) {
		t.Fatalf("got %v, want %v", err, ErrCheckpointMissing)
	}
	o.StartingOffsets = `{"nyc_taxi_data":{"0":-2,"1":-2,"2":-2}}`
	w.mustRun(o)
	w.checkExactlyOnce()
}

// failOnDataLoss=false goes on behind the gap, and the commit tells of it.
func TestDataLossTolerated(t *testing.T) {
	w := newWorld(t, 1)
	w.sendRecords(10)
	o := w.options()
	w.mustRun(o)
	w.sendRecords(10)
	w.deleteRecords(0, 14)
	no := false
	o.FailOnDataLoss = &no
	w.mustRun(o)
	if n := len(w.ids()); n != 16 {
		t.Errorf("%d rows, want 16", n)
	}
	history, err := w.table().History(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	const want = "records lost before they were read: nyc_taxi_data-0 has nothing from offset 10 to 13"
	if got := history[0].UserMetadata; got != want {
		t.Errorf("userMetadata is %q, want %q", got, want)
	}
}

// impatient waits a tenth of the time.
type impatient struct{ systemClock }

func (impatient) After(d time.Duration) <-chan time.Time { return time.After(d / 10) }

// What changes under a running query ends it too.
func TestGuardsWhileRunning(t *testing.T) {
	for _, test := range []struct {
		name string
		harm func(*world)
		want error
	}{
		{"topic made again", func(w *world) { w.deleteTopic(); w.createTopic(1) }, ErrTopicRecreated},
		{"topic deleted", func(w *world) { w.deleteTopic() }, ErrTopicMissing},
		{"table made again", func(w *world) { w.wipe(tablePrefix); w.createTable(nil); w.sendRecords(1) }, ErrTableReplaced},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, 1)
			w.sendRecords(10)
			o := w.options()
			o.Trigger, o.Clock = ProcessingTime(time.Millisecond), impatient{}
			q, err := Start(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = q.Stop(t.Context()) }()
			if err := q.ProcessAllAvailable(t.Context()); err != nil {
				t.Fatal(err)
			}
			test.harm(w)
			if err := q.AwaitTermination(t.Context()); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if s := q.Status(); s.IsActive || s.Error == "" || !strings.HasPrefix(s.Message, "Terminated with exception") {
				t.Errorf("status: %+v", s)
			}
		})
	}
}

// A column added to the table while the query runs is filled from then on.
func TestSchemaGrowsWhileRunning(t *testing.T) {
	w := newWorld(t, 1)
	q := w.caughtUp(2)
	defer stop(t, q)
	s := w.snapshot()
	metadata := s.Metadata()
	metadata.SchemaString = strings.TrimSuffix(metadata.SchemaString, "]}") + `,{"name":"tip","type":"double","nullable":true,"metadata":{}}]}`
	if _, err := s.Table().Commit(t.Context(), delta.Commit{Operation: "ADD COLUMNS", Metadata: &metadata, ReadVersion: s.Version()}); err != nil {
		t.Fatal(err)
	}
	w.send(`{"id":2,"tip":1.5}`)
	w.next++
	if err := q.ProcessAllAvailable(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.checkExactlyOnce()
	var tips []string
	for rows, err := range w.snapshot().Scan(t.Context(), delta.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(rows.NumRows()) {
			tips = append(tips, cell(rows.Column(4), i))
		}
	}
	slices.Sort(tips)
	if want := []string{"1.5", "null", "null"}; !slices.Equal(tips, want) {
		t.Errorf("tips %v, want %v", tips, want)
	}
}
