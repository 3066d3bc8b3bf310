package ingest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/decode"
)

// status is what there is to tell of a run: the run writes it, anybody reads it.
type status struct {
	clock Clock

	mu           sync.Mutex
	now          api.StreamStatus
	err          error
	finished     bool
	ignored      *decode.IgnoredFields
	progress     []api.StreamProgress
	idleSince    time.Time // of the last progress
	retries      retries   // since the last progress
	brokerSilent time.Time // since when it owes an answer or records; zero when it does not
}

type retries struct {
	number int64
	paused time.Duration
}

const (
	progressKept      = 100              // spark.sql.streaming.numRecentProgressUpdates
	idleProgressEvery = 10 * time.Second // spark.sql.streaming.noDataProgressEventInterval
	// brokerPatience is after how long the status says that the broker does not
	// answer; the question goes on.
	brokerPatience = 500 * time.Millisecond
)

func newStatus(options Options, runID string) *status {
	return &status{clock: options.Clock, ignored: decode.NewIgnoredFields(), now: api.StreamStatus{
		Name: options.Name, RunID: runID, Subscribe: options.Subscribe, Trigger: options.Trigger.String(),
		Table: folder(options.Table), DeadLetters: folder(options.DeadLetters), Checkpoint: folder(options.Checkpoint),
		StartedAt: options.Clock.Now(), BatchID: -1,
	}}
}

// get is the status at this moment.
func (s *status) get() api.StreamStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now
	if silent := s.clock.Now().Sub(s.brokerSilent); !s.brokerSilent.IsZero() && silent >= brokerPatience && !now.Waiting {
		now.Waiting = true
		now.Message = fmt.Sprintf("Waiting for the broker, silent for %v", silent.Round(100*time.Millisecond))
	}
	now.NumRowsWithIgnoredFields, now.IgnoredFields = s.ignored.Rows(), s.ignored.List()
	return now
}

// outcome is why the run ended, and whether it came to the end of its trigger.
func (s *status) outcome() (err error, finished bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err, s.finished
}

func (s *status) recent() []api.StreamProgress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.progress)
}

func (s *status) setID(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.ID = id
}

func (s *status) setBatch(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.BatchID = id
}

func (s *status) setBehind(records int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.RecordsBehind = records
}

// say tells what the run does.
func (s *status) say(message string, dataAvailable, triggerActive bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Message, s.now.IsDataAvailable, s.now.IsTriggerActive = message, dataAvailable, triggerActive
}

// waitFor tells what the run waits for; "" is nothing.
func (s *status) waitFor(message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if message == "" && !s.now.Waiting {
		return
	}
	s.now.Waiting = message != ""
	s.now.Message = message
	if message == "" {
		s.now.Message = "Processing new data"
	}
}

// awaitBroker notes that the broker owes an answer, or records.
func (s *status) awaitBroker() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.brokerSilent.IsZero() {
		s.brokerSilent = s.clock.Now()
	}
}

// brokerAnswered notes that the broker owes nothing any more.
func (s *status) brokerAnswered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.brokerSilent = time.Time{}
}

// flowing notes that records come from the broker.
func (s *status) flowing() {
	s.brokerAnswered()
	s.waitFor("")
}

func (s *status) retried(pause time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.NumRetries++
	s.retries.number++
	s.retries.paused += pause
}

// takeRetries are those since it was last called.
func (s *status) takeRetries() retries {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.retries
	s.retries = retries{}
	return taken
}

// committed counts a batch. It returns the fields that it has ignored, those
// that no batch of this run has before.
func (s *status) committed(b *batch, behind int64) (ignored []api.IgnoredField) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.BatchID, s.now.RecordsBehind = b.id, behind
	s.now.NumInputRows += b.numInput
	s.now.NumDeadLetters += b.numDead
	if b.ignored == nil {
		return nil
	}
	return s.ignored.Merge(b.ignored)
}

// idle is whether a trigger without data is to be kept: the first, and then now
// and then.
func (s *status) idle(began time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.progress) == 0 || began.Sub(s.idleSince) >= idleProgressEvery
}

func (s *status) keep(p api.StreamProgress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idleSince = s.clock.Now()
	s.progress = append(s.progress, p)
	if len(s.progress) > progressKept {
		s.progress = slices.Clone(s.progress[len(s.progress)-progressKept:])
	}
}

// end notes the end of the run.
func (s *status) end(finished bool, message string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished, s.err = finished, err
	s.now.Message, s.now.IsDataAvailable, s.now.IsTriggerActive, s.now.Waiting = message, false, false, false
	if err != nil {
		s.now.Error = err.Error()
	}
}
