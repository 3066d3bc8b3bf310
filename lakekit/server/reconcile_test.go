package server

import (
	"log/slog"
	"reflect"
	"testing"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/broker"
	"taxilake/lakekit/broker/brokertest"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/settings"
	"taxilake/lakekit/taxi"
)

const testTopic = "nyc_taxi_data"

// newTraffic is a traffic ledger on a broker of its own with an empty topic.
func newTraffic(t *testing.T) *traffic {
	t.Helper()
	s := &Server{
		settings: &settings.Settings{State: t.TempDir(), Topic: testTopic},
		log:      slog.New(slog.DiscardHandler),
		kafka:    kafka.Config{"bootstrap.servers": brokertest.Run(t, broker.Options{})},
	}
	err := s.admin(func(a *kafka.Admin) error {
		_, err := a.CreateTopic(t.Context(), kafka.TopicSpec{Name: testTopic, Partitions: 3})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.traffic, err = openTraffic(s); err != nil {
		t.Fatal(err)
	}
	return s.traffic
}

// send puts rows of a seed into the topic, as a run would have.
func (t *traffic) send(test *testing.T, seed uint64, ranges ...rowRange) {
	test.Helper()
	generator, err := taxi.NewGenerator(seed)
	if err != nil {
		test.Fatal(err)
	}
	for _, r := range ranges {
		if _, err := kafka.Produce(test.Context(), t.server.kafka, taxi.NewRows(generator, r.From, r.To-r.From), kafka.ProduceOptions{Topic: testTopic}); err != nil {
			test.Fatal(err)
		}
	}
}

func TestReconcileFindsWhatAnInterruptedRunLeft(t *testing.T) {
	for _, test := range []struct {
		name string
		run  lakekit.TrafficRun
		sent []rowRange
		want []rowRange
	}{
		{"everything arrived", lakekit.TrafficRun{Request: lakekit.TrafficOptions{Seed: 1, Records: 500}, Interrupted: true}, []rowRange{{0, 500}}, []rowRange{{0, 500}}},
		{"cut off", lakekit.TrafficRun{Request: lakekit.TrafficOptions{Seed: 1}, FromRow: 100, Interrupted: true}, []rowRange{{100, 350}}, []rowRange{{100, 350}}},
		{"partitions ended at different rows", lakekit.TrafficRun{Request: lakekit.TrafficOptions{Seed: 1}, Interrupted: true},
			[]rowRange{{0, 200}, {201, 220}, {225, 226}}, []rowRange{{0, 200}, {201, 220}, {225, 226}}},
		{"nothing arrived", lakekit.TrafficRun{Request: lakekit.TrafficOptions{Seed: 1}, Interrupted: true}, nil, []rowRange{}},
		{"cut off after its last report", lakekit.TrafficRun{Request: lakekit.TrafficOptions{Seed: 1}, Interrupted: true, Progress: api.TrafficProgress{Sent: 120, Acknowledged: 90, Unconfirmed: 30}},
			[]rowRange{{0, 100}}, []rowRange{{0, 100}}},
		{"deliveries failed", lakekit.TrafficRun{Request: lakekit.TrafficOptions{Seed: 1}, Progress: api.TrafficProgress{State: api.TrafficFinished, Sent: 300, Acknowledged: 298, Failed: 2}},
			[]rowRange{{0, 100}, {101, 200}, {201, 300}}, []rowRange{{0, 100}, {101, 200}, {201, 300}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ledger := newTraffic(t)
			ledger.send(t, test.run.Request.Seed, test.sent...)
			test.run.ID, test.run.Request.Topic = 1, testTopic
			ledger.runs = []*entry{{TrafficRun: test.run}}
			if err := ledger.reconcile(t.Context(), testTopic); err != nil {
				t.Fatal(err)
			}
			if got := ledger.runs[0].Rows; !reflect.DeepEqual(got, test.want) {
				t.Errorf("rows %v, want %v", got, test.want)
			}
			var found int64
			for _, rows := range test.want {
				found += rows.To - rows.From
			}
			again, err := openTraffic(ledger.server)
			if err != nil {
				t.Fatal(err)
			}
			if p := again.runs[0].Progress; p.Acknowledged != found || p.Sent != max(test.run.Progress.Sent, found) || p.Sent != p.Acknowledged+p.Failed+p.Unconfirmed {
				t.Errorf("%d rows were found, the ledger says %+v", found, p)
			}
		})
	}
}

func TestReconcileTellsRunsApart(t *testing.T) {
	ledger := newTraffic(t)
	ledger.send(t, 7, rowRange{0, 50})   // an earlier run, before the interrupted one began
	ledger.send(t, 1, rowRange{0, 80})   // the interrupted run
	ledger.send(t, 9, rowRange{0, 3000}) // somebody else's records
	run := lakekit.TrafficRun{ID: 2, Request: lakekit.TrafficOptions{Seed: 1, Topic: testTopic, Records: 1000}, Interrupted: true}
	ledger.runs = []*entry{{TrafficRun: run}}
	if err := ledger.reconcile(t.Context(), testTopic); err != nil {
		t.Fatal(err)
	}
	if got, want := ledger.runs[0].Rows, []rowRange{{0, 80}}; !reflect.DeepEqual(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}
}

// A run that was interrupted before its first record is not given the records of
// the next one, which begins at the same row, after another restart.
func TestRunThatLeftNothingKeepsNothing(t *testing.T) {
	ledger := newTraffic(t)
	ledger.runs = []*entry{{TrafficRun: lakekit.TrafficRun{ID: 1, Request: lakekit.TrafficOptions{Seed: 1, Topic: testTopic}, Interrupted: true}}}
	second, err := ledger.start(t.Context(), lakekit.TrafficOptions{Records: 50})
	if err != nil {
		t.Fatal(err)
	}
	run, err := ledger.find(second.ID)
	if err != nil {
		t.Fatal(err)
	}
	<-run.done
	again, err := openTraffic(ledger.server)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.reconcile(t.Context(), testTopic); err != nil {
		t.Fatal(err)
	}
	if ranges := again.produced(testTopic); len(ranges) != 1 || ranges[0].FromRow != 0 || ranges[0].Rows != 50 {
		t.Errorf("produced %+v", ranges)
	}
}

func TestLedgerSurvivesARestartAndGoesOnAfterItsLastRow(t *testing.T) {
	ledger := newTraffic(t)
	first, err := ledger.start(t.Context(), lakekit.TrafficOptions{Records: 100})
	if err != nil {
		t.Fatal(err)
	}
	run, err := ledger.find(first.ID)
	if err != nil {
		t.Fatal(err)
	}
	<-run.done

	again, err := openTraffic(ledger.server)
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.start(t.Context(), lakekit.TrafficOptions{Records: 50})
	if err != nil {
		t.Fatal(err)
	}
	if second.FromRow != 100 || second.ID != first.ID+1 {
		t.Errorf("second run %+v", second)
	}
	run, err = again.find(second.ID)
	if err != nil {
		t.Fatal(err)
	}
	<-run.done
	ranges := again.produced(testTopic)
	if len(ranges) != 2 || ranges[0].Rows != 100 || ranges[1].FromRow != 100 || ranges[1].Rows != 50 {
		t.Errorf("produced %+v", ranges)
	}
}

func TestRunsAtTheSameTimeShareNoRow(t *testing.T) {
	ledger := newTraffic(t)
	var ends []int64
	for _, records := range []int64{0, 1000, 0} {
		run, err := ledger.start(t.Context(), lakekit.TrafficOptions{Records: records, Rate: 1})
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, run.FromRow)
	}
	if want := []int64{0, rowsOfAnEndlessRun, rowsOfAnEndlessRun + 1000}; !reflect.DeepEqual(ends, want) {
		t.Errorf("runs began at rows %v, want %v", ends, want)
	}
	if err := ledger.close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestProgressIsSavedNowAndThen(t *testing.T) {
	ledger := &traffic{server: &Server{log: slog.New(slog.DiscardHandler), settings: &settings.Settings{State: t.TempDir()}}}
	ledger.path = ledgerPath(ledger.server, "traffic")
	run := &entry{TrafficRun: lakekit.TrafficRun{ID: 1}}
	ledger.runs = []*entry{run}
	for _, step := range []struct {
		elapsed     float64
		sent, saved int64
	}{{0.25, 1, 0}, {2.9, 2, 0}, {3.1, 3, 3}, {5, 4, 3}, {6.2, 5, 5}} {
		ledger.report(run, nil, api.TrafficProgress{State: api.TrafficRunning, ElapsedSeconds: step.elapsed, Sent: step.sent})
		again, err := openTraffic(ledger.server)
		if err != nil {
			t.Fatal(err)
		}
		var saved int64
		if len(again.runs) > 0 {
			saved = again.runs[0].Progress.Sent
		}
		if saved != step.saved || run.Progress.Sent != step.sent {
			t.Errorf("after %v s: %d sent by the file, want %d", step.elapsed, saved, step.saved)
		}
	}
}

func TestRunThatWasGoingOnIsInterruptedByARestart(t *testing.T) {
	ledger := newTraffic(t)
	ledger.runs = []*entry{{TrafficRun: lakekit.TrafficRun{ID: 1, Request: lakekit.TrafficOptions{Topic: testTopic, Seed: 1}, Progress: api.TrafficProgress{State: api.TrafficRunning}}}}
	if err := ledger.save(); err != nil {
		t.Fatal(err)
	}
	again, err := openTraffic(ledger.server)
	if err != nil {
		t.Fatal(err)
	}
	if run := again.runs[0]; !run.Interrupted || run.Active() {
		t.Errorf("run %+v", run.TrafficRun)
	}
}
