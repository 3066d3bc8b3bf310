package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/internal/atomicfile"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/settings"
	"taxilake/lakekit/taxi"
)

// traffic runs producers and keeps the ledger: which rows of which seed went
// into which topic. The ledger is what the verdict compares the table with.
type traffic struct {
	server *Server
	path   string

	mutex sync.Mutex
	runs  []*entry
}

// entry is a run and, while it goes on, its producer.
type entry struct {
	lakekit.TrafficRun
	// Rows are the generator's rows that a run which did not end in order left
	// in the topic, nil until reconcile has looked for them; it may find none.
	Rows []rowRange `json:"rows,omitzero"`

	stop context.CancelFunc
	done chan struct{}
	// SkippedRows are the bad rows of a CSV file that the run has left out.
	SkippedRows int64 `json:"skipped_rows,omitempty"`

	// saved is the ElapsedSeconds of the progress last written to the ledger.
	saved float64
}

// rowRange is the rows [From, To) of the generator.
type rowRange struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

const defaultSeed = 1

func openTraffic(s *Server) (*traffic, error) {
	t := &traffic{server: s, path: ledgerPath(s, "traffic")}
	data, err := os.ReadFile(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &t.runs)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the ledger of produced records %s: %w; `lakekit reset` begins anew", t.path, err)
	}
	for _, run := range t.runs {
		run.Interrupted = run.Interrupted || run.Active()
	}
	return t, nil
}

// ledgerPath is where the server remembers something of this workspace.
func ledgerPath(s *Server, what string) string {
	return filepath.Join(s.settings.State, "server", cmp.Or(s.settings.Workspace, "default"), what+".json")
}

// save writes the ledger; the caller holds the mutex.
func (t *traffic) save() error {
	return saveJSON(t.path, t.runs)
}

func saveJSON(path string, v any) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("writing the server's memory: %w", err)
	}
	if err := atomicfile.Replace(path, 0o600, atomicfile.JSON(v)); err != nil {
		return fmt.Errorf("writing the server's memory: %w", err)
	}
	return nil
}

// start begins a run. The ledger knows of it before the first record is sent.
func (t *traffic) start(ctx context.Context, request lakekit.TrafficOptions) (lakekit.TrafficRun, error) {
	if request.CSV != "" && request.Seed != 0 {
		return lakekit.TrafficRun{}, badRequest("seed %d is the generator's, and csv %s is read instead of generating: leave one of the two out", request.Seed, request.CSV)
	}
	request.Topic = cmp.Or(request.Topic, t.server.settings.Topic)
	request.Seed = cmp.Or(request.Seed, defaultSeed)
	if request.Rate < 0 || request.Records < 0 {
		return lakekit.TrafficRun{}, badRequest("rate and records must not be negative; 0 means as fast as it goes, and without end")
	}
	if err := t.server.settings.CheckTopic(request.Topic, settings.Change); err != nil {
		return lakekit.TrafficRun{}, err
	}
	if err := kafka.CheckOwnTopic(request.Topic); err != nil {
		return lakekit.TrafficRun{}, err
	}
	if err := t.reconcile(ctx, request.Topic); err != nil {
		return lakekit.TrafficRun{}, err
	}
	var topic api.TopicInfo
	if err := t.server.admin(func(a *kafka.Admin) (err error) { topic, err = a.DescribeTopic(ctx, request.Topic); return err }); err != nil {
		return lakekit.TrafficRun{}, err
	}

	file, err := openCSV(ctx, request)
	if err != nil {
		return lakekit.TrafficRun{}, err
	}

	t.mutex.Lock()
	defer t.mutex.Unlock()
	if err := t.roomForOne(); err != nil {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
		return lakekit.TrafficRun{}, err
	}
	run := &entry{TrafficRun: lakekit.TrafficRun{
		ID: t.nextID(), Request: request, Started: time.Now().UTC(), StartOffsets: map[int32]int64{},
		Progress: api.TrafficProgress{Topic: request.Topic, State: api.TrafficRunning, TargetRate: request.Rate},
	}, done: make(chan struct{})}
	for _, p := range topic.Partitions {
		run.StartOffsets[p.Partition] = p.LatestOffset
	}
	background, stop := context.WithCancel(context.Background())
	source, err := t.source(background, run, file)
	if err != nil {
		stop()
		return lakekit.TrafficRun{}, err
	}
	t.runs = append(t.runs, run)
	if err := t.save(); err != nil {
		stop()
		t.runs = t.runs[:len(t.runs)-1]
		return lakekit.TrafficRun{}, errors.Join(err, source.Close())
	}
	run.stop = stop
	go t.produce(background, run, source)
	return run.TrafficRun, nil
}

type rowSource interface {
	kafka.Source
	Close() error
}

// maxRuns bounds the producers that work at once.
const maxRuns = 16

func (t *traffic) roomForOne() error {
	active := 0
	for _, run := range t.runs {
		if run.Active() {
			active++
		}
	}
	if active < maxRuns {
		return nil
	}
	return conflict("%d runs of traffic go on, and more do not at once: end some with `lakekit traffic stop`", active)
}

// source is where the run's records come from until ctx ends: the file, unless it
// is nil.
func (t *traffic) source(ctx context.Context, run *entry, file *taxi.CSVReader) (rowSource, error) {
	if file != nil {
		file.Until(ctx)
		run.FromRow = file.Row()
		return newCSVRows(run, file), nil
	}
	run.FromRow = t.nextRow(run.Request.Topic, run.Request.Seed)
	if run.Request.FromRow != nil {
		run.FromRow = *run.Request.FromRow
	}
	if run.FromRow < 0 {
		return nil, badRequest("from_row=%d: rows are counted from 0", run.FromRow)
	}
	generator, err := taxi.NewGenerator(run.Request.Seed)
	if err != nil {
		return nil, err
	}
	return generated{taxi.NewRows(generator, run.FromRow, cmp.Or(run.Request.Records, endless))}, nil
}

const endless = math.MaxInt64

type generated struct{ *taxi.Rows }

func (generated) Close() error { return nil }

// nextRow goes on after the rows that the runs with this seed into this topic
// have sent, or may still send.
func (t *traffic) nextRow(topic string, seed uint64) int64 {
	var next int64
	for _, run := range t.runs {
		if run.Request.Topic == topic && run.Request.Seed == seed && run.Request.CSV == "" {
			next = max(next, run.lastRow())
		}
	}
	return next
}

// rowsOfAnEndlessRun are kept free for a run without an end while it goes on:
// hours, at the highest rate.
const rowsOfAnEndlessRun = 10_000_000_000

func (e *entry) lastRow() int64 {
	if e.Active() {
		return e.FromRow + cmp.Or(e.Request.Records, rowsOfAnEndlessRun)
	}
	last := e.FromRow + e.Progress.Sent
	for _, rows := range e.Rows {
		last = max(last, rows.To)
	}
	return last
}

func (t *traffic) nextID() int {
	if len(t.runs) == 0 {
		return 1
	}
	return t.runs[len(t.runs)-1].ID + 1
}

// produce is a run's goroutine.
func (t *traffic) produce(ctx context.Context, run *entry, source rowSource) {
	defer close(run.done)
	defer run.stop()
	last, err := kafka.Produce(ctx, t.server.kafka, source, kafka.ProduceOptions{
		Topic: run.Request.Topic, Rate: run.Request.Rate, Records: run.Request.Records,
		Report: func(p api.TrafficProgress) { t.report(run, source, p) },
	})
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	if errors.Is(err, kafka.ErrTopicNotFound) {
		err = fmt.Errorf("topic %s is gone: it was deleted while run %d produced into it; its records are lost, and `lakekit reset` begins anew with topic, table and checkpoint together (%w)", run.Request.Topic, run.ID, err)
	}
	err = errors.Join(err, source.Close())

	t.mutex.Lock()
	defer t.mutex.Unlock()
	run.Progress, run.Ended = last, time.Now().UTC()
	run.tell(source)
	if err != nil {
		run.Progress.State, run.Progress.Message = api.TrafficFailed, err.Error()
		t.server.log.Error("producing", "run", run.ID, "error", err)
	}
	if err := t.save(); err != nil {
		t.server.log.Error("keeping the ledger of produced records", "error", err)
	}
}

// savedEverySeconds bounds how much of a run's account a crash can lose.
const savedEverySeconds = 3

// report takes a run's account so far, and writes it to the ledger now and then.
func (t *traffic) report(run *entry, source rowSource, p api.TrafficProgress) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	run.Progress = p
	run.tell(source)
	if p.ElapsedSeconds < run.saved+savedEverySeconds {
		return
	}
	run.saved = p.ElapsedSeconds
	if err := t.save(); err != nil {
		t.server.log.Error("keeping the ledger of produced records", "error", err)
	}
}

func (t *traffic) list() []lakekit.TrafficRun {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	list := make([]lakekit.TrafficRun, 0, len(t.runs))
	for _, run := range t.runs {
		list = append(list, run.TrafficRun)
	}
	return list
}

func (t *traffic) find(id int) (*entry, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for _, run := range t.runs {
		if run.ID == id {
			return run, nil
		}
	}
	return nil, notFound("there is no run of traffic with number %d", id)
}

func (t *traffic) snapshot(run *entry) lakekit.TrafficRun {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return run.TrafficRun
}

// halt ends a run and waits until what it has handed over is accounted for.
func (t *traffic) halt(ctx context.Context, run *entry) error {
	if run.done == nil {
		return nil
	}
	run.stop()
	select {
	case <-run.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopping run %d of traffic: %w", run.ID, ctx.Err())
	}
}

// active are the runs that go on, of one topic or of all ("").
func (t *traffic) active(topic string) []*entry {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return slices.DeleteFunc(slices.Clone(t.runs), func(run *entry) bool {
		return !run.Active() || topic != "" && run.Request.Topic != topic
	})
}

func (t *traffic) close(ctx context.Context) error {
	var failed error
	for _, run := range t.active("") {
		failed = errors.Join(failed, t.halt(ctx, run))
	}
	return failed
}

// forget empties the ledger, after all runs were halted.
func (t *traffic) forget() error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.runs = nil
	return t.save()
}

func (s *Server) trafficRuns(*http.Request) ([]lakekit.TrafficRun, error) {
	return s.traffic.list(), nil
}

func (s *Server) startTraffic(r *http.Request) (lakekit.TrafficRun, error) {
	request, err := body[lakekit.TrafficOptions](r)
	if err != nil {
		return lakekit.TrafficRun{}, err
	}
	return s.traffic.start(r.Context(), request)
}

func (s *Server) trafficEntry(r *http.Request) (*entry, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return nil, badRequest("%q is not the number of a run", r.PathValue("id"))
	}
	return s.traffic.find(id)
}

func (s *Server) trafficRun(r *http.Request) (lakekit.TrafficRun, error) {
	run, err := s.trafficEntry(r)
	if err != nil {
		return lakekit.TrafficRun{}, err
	}
	return s.traffic.snapshot(run), nil
}

func (s *Server) stopTraffic(r *http.Request) (lakekit.TrafficRun, error) {
	run, err := s.trafficEntry(r)
	if err != nil {
		return lakekit.TrafficRun{}, err
	}
	if err := s.traffic.halt(r.Context(), run); err != nil {
		return lakekit.TrafficRun{}, err
	}
	return s.traffic.snapshot(run), nil
}

// send puts given messages into a topic, as a student's mistake would.
func (s *Server) send(r *http.Request) (api.TrafficProgress, error) {
	request, err := body[api.MessagesRequest](r)
	if err != nil {
		return api.TrafficProgress{}, err
	}
	topic := cmp.Or(request.Topic, s.settings.Topic)
	if err := s.settings.CheckTopic(topic, settings.Change); err != nil {
		return api.TrafficProgress{}, err
	}
	if err := kafka.CheckOwnTopic(topic); err != nil {
		return api.TrafficProgress{}, err
	}
	// A broker that is away says so here, where the producer would wait for it.
	if err := s.admin(func(a *kafka.Admin) error { _, err := a.DescribeTopic(r.Context(), topic); return err }); err != nil {
		return api.TrafficProgress{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestDeadline)
	defer cancel()
	progress, err := kafka.Produce(ctx, s.kafka, &givenValues{request.Values}, kafka.ProduceOptions{
		Topic: topic, Records: int64(len(request.Values)),
	})
	if errors.Is(err, kafka.ErrNotDelivered) { // the broker refuses the message
		err = failure{http.StatusBadRequest, err}
	}
	if errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil {
		err = fmt.Errorf("sending to topic %s: the broker has confirmed %d of %d messages within %v, then no more: %w; `lakekit status` tells whether it runs, `lakekit up` starts it",
			topic, progress.Acknowledged, len(request.Values), requestDeadline, err)
	}
	return progress, err
}
