package server

import (
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/kafka"
)

// newStreams is a server with a broker, a topic and the course's table, and no
// stream yet.
func newStreams(t *testing.T) *streams {
	t.Helper()
	s := newTraffic(t).server
	s.bucket = blob.NewMemory("lake")
	s.tables = map[string]*delta.Table{}
	s.settings.OSS.Bucket = "lake"
	s.settings.Table, s.settings.Checkpoint = "oss://lake/delta/taxi_record", "oss://lake/checkpoints/taxi_record"
	for _, key := range []string{"delta/taxi_record", "delta/other"} {
		if _, err := delta.Create(t.Context(), blob.Prefix(s.bucket, key), delta.Definition{Schema: taxiSchema()}); err != nil {
			t.Fatal(err)
		}
	}
	err := s.admin(func(a *kafka.Admin) error {
		_, err := a.CreateTopic(t.Context(), kafka.TopicSpec{Name: "second_topic", Partitions: 1})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.streams, err = openStreams(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.streams.close(t.Context()) })
	return s.streams
}

func (all *streams) mustStart(t *testing.T, request lakekit.StreamOptions) api.StreamStatus {
	t.Helper()
	status, err := all.start(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// processAll asks as a client does.
func (all *streams) processAll(t *testing.T, name string) (api.StreamStatus, error) {
	request := httptest.NewRequestWithContext(t.Context(), "POST", "/", nil)
	request.SetPathValue("name", name)
	return all.server.processAllAvailable(request)
}

func TestStreamsThatCannotRunTogether(t *testing.T) {
	all := newStreams(t)
	first := all.mustStart(t, lakekit.StreamOptions{})
	for _, test := range []struct {
		name    string
		request lakekit.StreamOptions
		status  int // 0: it is the first stream
		message string
	}{
		{"the same by default", lakekit.StreamOptions{}, 0, ""},
		{"the same, written otherwise", lakekit.StreamOptions{Subscribe: " nyc_taxi_data,", Table: "oss://lake//delta/taxi_record/", CheckpointLocation: "oss://lake/checkpoints//taxi_record/"}, 0, ""},
		{"other options", lakekit.StreamOptions{Trigger: "2 seconds"}, 409, "lakekit stream stop --name taxi_record"},
		{"its checkpoint", lakekit.StreamOptions{Name: "b", Table: "other", CheckpointLocation: "oss://lake/checkpoints/taxi_record"}, 409, "stream taxi_record runs already with checkpoint"},
		{"its checkpoint with a slash", lakekit.StreamOptions{Name: "b", Table: "other", CheckpointLocation: "oss://lake/checkpoints//taxi_record//"}, 409, "stream taxi_record runs already with checkpoint"},
		{"its topic and table", lakekit.StreamOptions{Name: "b", CheckpointLocation: "oss://lake/checkpoints/b"}, 409, "stream taxi_record streams topic nyc_taxi_data"},
		{"its topic among others", lakekit.StreamOptions{Name: "b", Subscribe: "second_topic, nyc_taxi_data", CheckpointLocation: "oss://lake/checkpoints/b"}, 409, "stream taxi_record"},
		{"bad trigger", lakekit.StreamOptions{Name: "b", Table: "other", Trigger: "now and then"}, 400, "trigger"},
		{"bad startingOffsets", lakekit.StreamOptions{Name: "b", Table: "other", StartingOffsets: "yesterday"}, 400, "startingOffsets"},
		{"bad name", lakekit.StreamOptions{Name: "a/b"}, 400, "name of a stream"},
		{"no topic", lakekit.StreamOptions{Name: "b", Table: "other", Subscribe: "no_such_topic"}, 404, "no_such_topic"},
		{"no topic at all", lakekit.StreamOptions{Name: "b", Table: "other", Subscribe: " ,"}, 400, "no topic"},
		{"no table", lakekit.StreamOptions{Name: "b", Table: "no_such_table"}, 404, "no_such_table"},
		{"checkpoint at its table", lakekit.StreamOptions{Name: "b", Table: "other", CheckpointLocation: "oss://lake/delta/other/"}, 400, "folder of its own"},
		{"checkpoint in its dead letters", lakekit.StreamOptions{Name: "b", Table: "other", CheckpointLocation: "oss://lake/delta/other_dead_letters/c"}, 400, "folder of its own"},
		{"checkpoint around its table", lakekit.StreamOptions{Name: "b", Table: "other", CheckpointLocation: "oss://lake/delta"}, 400, "folder of its own"},
		{"checkpoint in another table", lakekit.StreamOptions{Name: "b", Table: "other", CheckpointLocation: "oss://lake/delta/taxi_record/c"}, 409, "lies in the table oss://lake/delta/taxi_record"},
		{"checkpoint at another table", lakekit.StreamOptions{Name: "b", Table: "other", CheckpointLocation: "oss://lake/delta/taxi_record"}, 409, "oss://lake/delta/taxi_record is a table already"},
		{"checkpoint around others", lakekit.StreamOptions{Name: "b", Table: "other", CheckpointLocation: "oss://lake/checkpoints"}, 409, "holds the checkpoint oss://lake/checkpoints/taxi_record"},
		{"checkpoint in another", lakekit.StreamOptions{Name: "b", Table: "other", CheckpointLocation: "oss://lake/checkpoints/taxi_record/state"}, 409, "lies in the checkpoint oss://lake/checkpoints/taxi_record"},
		{"checkpoint elsewhere", lakekit.StreamOptions{Name: "b", Table: "other", CheckpointLocation: "/tmp/c"}, 400, "oss://lake/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, err := all.start(t.Context(), test.request)
			if test.status == 0 {
				if err != nil || status.RunID != first.RunID {
					t.Errorf("%+v, %v; want run %s", status, err, first.RunID)
				}
				return
			}
			if err == nil || statusOf(err) != test.status || !strings.Contains(err.Error(), test.message) {
				t.Errorf("%v, want status %d and %q", err, test.status, test.message)
			}
		})
	}
	all.mustStart(t, lakekit.StreamOptions{Name: "c", Subscribe: "second_topic", CheckpointLocation: "oss://lake/checkpoints/c", StartingOffsets: `{"second_topic":{"0":-2}}`})
}

func TestStopOfAStreamThatHasEnded(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(*testing.T, *streams) *streams
		why  string
	}{
		{"stopped", func(t *testing.T, all *streams) *streams {
			all.mustStart(t, lakekit.StreamOptions{})
			if _, err := all.stop(t.Context(), "taxi_record", api.StopAfterBatch); err != nil {
				t.Fatal(err)
			}
			return all
		}, ""},
		{"failed, for its topic was deleted", func(t *testing.T, all *streams) *streams {
			all.mustStart(t, lakekit.StreamOptions{Trigger: "10 milliseconds"})
			if err := all.server.admin(func(a *kafka.Admin) error { return a.DeleteTopic(t.Context(), testTopic) }); err != nil {
				t.Fatal(err)
			}
			<-all.queries["taxi_record"].query.Done()
			return all
		}, "topic does not exist"},
		{"not resumed", func(t *testing.T, all *streams) *streams {
			all.queries["taxi_record"] = &stream{Running: true, Request: lakekit.StreamOptions{Name: "taxi_record", Trigger: "never"}}
			if err := saveJSON(all.path, all.queries); err != nil {
				t.Fatal(err)
			}
			again, err := openStreams(t.Context(), all.server)
			if err != nil {
				t.Fatal(err)
			}
			return again
		}, `trigger "never"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := newStreams(t)
			all = test.end(t, all)
			all.server.streams = all
			_, err := all.processAll(t, "taxi_record")
			if err == nil || statusOf(err) != 409 || !strings.Contains(err.Error(), "`lakekit stream start`, or the cell of lesson 03") || !strings.Contains(err.Error(), test.why) {
				t.Errorf("process all available: %v", err)
			}
			status, err := all.stop(t.Context(), "taxi_record", api.StopAfterBatch)
			if err != nil {
				t.Fatal(err)
			}
			if status.IsActive || !strings.Contains(status.Error, test.why) || (status.Error == "") != (test.why == "") {
				t.Errorf("status %+v, want the error %q", status, test.why)
			}
			again, err := openStreams(t.Context(), all.server)
			if err != nil {
				t.Fatal(err)
			}
			if again.queries["taxi_record"].Running {
				t.Error("the stop is not remembered")
			}
		})
	}
}

// Who has seen that a stream failed or finished can start it anew at once.
func TestStartOfAStreamThatIsEnding(t *testing.T) {
	all := newStreams(t)
	all.mustStart(t, lakekit.StreamOptions{Trigger: "once"})
	query := all.queries["taxi_record"].query
	for !query.Finished() {
		time.Sleep(time.Millisecond)
	}
	all.mustStart(t, lakekit.StreamOptions{Trigger: "1 minute"})
}

// A start that waits for the store holds up nobody who asks for other streams,
// or stops one.
func TestStartThatWaits(t *testing.T) {
	all := newStreams(t)
	all.mustStart(t, lakekit.StreamOptions{})
	asked, answer := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(asked) })
	all.server.bucket = blobtest.Faults(all.server.bucket, func(_, key string) error {
		if strings.HasPrefix(key, "delta/other/") {
			once()
			<-answer
		}
		return nil
	})
	var started, stopped error
	var starting sync.WaitGroup
	starting.Go(func() {
		_, started = all.start(t.Context(), lakekit.StreamOptions{Table: "other", Subscribe: "second_topic"})
	})
	<-asked
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, stopped = all.stop(t.Context(), "taxi_record", api.StopAfterBatch)
		all.list()
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Minute): // only ends a test that has failed
		t.Error("the stop waits for the start")
	}
	close(answer)
	<-done
	starting.Wait()
	if started != nil || stopped != nil {
		t.Errorf("start: %v, stop: %v", started, stopped)
	}
}

// The next server goes on with the streams that ran when the last one ended,
// not with those that had done what was asked for.
func TestStreamsThatAreResumed(t *testing.T) {
	for trigger, resumed := range map[string]bool{"10 milliseconds": true, "availableNow": false, "once": false} {
		t.Run(trigger, func(t *testing.T) {
			all := newStreams(t)
			all.mustStart(t, lakekit.StreamOptions{Trigger: trigger})
			if !resumed {
				<-all.queries["taxi_record"].query.Done()
			}
			if err := all.close(t.Context()); err != nil {
				t.Fatal(err)
			}
			again, err := openStreams(t.Context(), all.server)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = again.close(t.Context()) }()
			if started := again.queries["taxi_record"].query != nil; started != resumed {
				t.Errorf("resumed: %v, want %v", started, resumed)
			}
		})
	}
}

func TestUnknownStreamNamesTheKnownOnes(t *testing.T) {
	all := &streams{queries: map[string]*stream{}}
	if _, err := all.find("a"); err == nil || statusOf(err) != 404 || !strings.Contains(err.Error(), "lakekit stream start --name a") {
		t.Errorf("%v", err)
	}
	all.queries["c"], all.queries["b"] = &stream{}, &stream{}
	if _, err := all.find("a"); err == nil || statusOf(err) != 404 || !strings.Contains(err.Error(), "there are: b, c") {
		t.Errorf("%v", err)
	}
}

func TestTableThatExists(t *testing.T) {
	s := newStreams(t).server
	for _, test := range []struct {
		name, body string
		status     int // 0: it is the table
		message    []string
	}{
		{"unknown property", `{"uri":"new","properties":{"delta.autoCompact":"true"}}`, 400, []string{"did you mean"}},
		{"new", `{"uri":"new","properties":{"delta.checkpointInterval":"20"}}`, 0, nil},
		{"the same", `{"uri":"new","properties":{"delta.checkpointinterval":"20"}}`, 0, nil},
		{"as it is", `{"uri":"new"}`, 0, nil},
		{"others", `{"uri":"oss://lake/delta//new/","properties":{"delta.checkpointInterval":"5","delta.appendOnly":"true"}}`,
			409, []string{"delta.checkpointInterval is 20, 5 was asked for", "delta.appendOnly is not set", "lakekit reset"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			detail, err := s.createTable(httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader(test.body)))
			if test.status == 0 {
				if err != nil || detail.Properties["delta.checkpointInterval"] != "20" {
					t.Errorf("%+v, %v", detail, err)
				}
				return
			}
			if err == nil || statusOf(err) != test.status {
				t.Fatalf("%v, want status %d", err, test.status)
			}
			for _, part := range test.message {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v does not say %q", err, part)
				}
			}
		})
	}
}

func TestPlain(t *testing.T) {
	for given, want := range map[string]string{
		"oss://lake/a/b":      "oss://lake/a/b",
		"oss://lake/a/b/":     "oss://lake/a/b",
		"oss://lake//a///b//": "oss://lake/a/b",
		"oss://lake/":         "oss://lake",
		"oss://lake/a/../b":   "oss://lake/a/../b",
		"a//b":                "a//b",
	} {
		if got := plain(given); got != want {
			t.Errorf("plain(%s) = %s, want %s", given, got, want)
		}
	}
}

func TestHintsOfUnequalNumbers(t *testing.T) {
	for found, want := range map[int64]string{9: "fewer", 10: "", 11: "more"} {
		if check := equal("rows", found, 10, "records", "fewer", "more"); check.Hint != want || check.OK != (want == "") {
			t.Errorf("%d of 10: %+v", found, check)
		}
	}
}

func TestSameStream(t *testing.T) {
	yes, no := true, false
	for _, test := range []struct {
		a, b lakekit.StreamOptions
		want bool
	}{
		{lakekit.StreamOptions{}, lakekit.StreamOptions{FailOnDataLoss: &yes, IgnoreUnknownFields: &yes, Kafka: map[string]string{}}, true},
		{lakekit.StreamOptions{}, lakekit.StreamOptions{FailOnDataLoss: &no}, false},
		{lakekit.StreamOptions{IgnoreUnknownFields: &yes}, lakekit.StreamOptions{IgnoreUnknownFields: &no}, false},
		{lakekit.StreamOptions{}, lakekit.StreamOptions{MergeSchema: true}, false},
	} {
		if got := sameStream(test.a, test.b); got != test.want {
			t.Errorf("%+v and %+v: %v", test.a, test.b, got)
		}
	}
}
