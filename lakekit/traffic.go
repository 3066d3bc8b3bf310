package lakekit

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/internal/wait"
)

// TrafficOptions describe taxi records to produce; the zero value is an endless
// run as fast as it goes into the course's topic.
type TrafficOptions struct {
	Topic   string  `json:"topic"`
	Rate    float64 `json:"rate" range:"0.001..10000000"`        // records a second; 0: as fast as it goes
	Records int64   `json:"records" range:"1..1000000000000000"` // 0: until it is stopped, or the CSV file ends
	Seed    uint64  `json:"seed"`                                // of the generator; 0: 1
	// FromRow is the generator's first row; nil goes on after the last row
	// that was produced with this seed, so that no record is sent twice. Of a
	// CSV file it is the row to go on with, from 0, and nil is its beginning.
	FromRow *int64 `json:"from_row,omitempty" range:"0..1000000000000000"`
	CSV     string `json:"csv,omitempty"` // path of a file to read instead of generating
}

// Traffic is a producing run in the server.
type Traffic struct {
	workshop *Workshop
	run      TrafficRun
}

// TrafficRun is a producing run that the server has kept account of.
type TrafficRun struct {
	ID       int                 `json:"id"`
	Request  TrafficOptions      `json:"request"`
	FromRow  int64               `json:"from_row"`
	Started  time.Time           `json:"started"`
	Ended    time.Time           `json:"ended,omitzero"`
	Progress api.TrafficProgress `json:"progress"`
	// StartOffsets are the topic's latest offsets by partition when the run
	// began.
	StartOffsets map[int32]int64 `json:"start_offsets"`
	// Interrupted: the server ended in mid-run, so that the last progress is
	// not the whole account.
	Interrupted bool `json:"interrupted,omitempty"`
}

// Active reports whether the run goes on.
func (r TrafficRun) Active() bool {
	return !r.Interrupted && (r.Progress.State == api.TrafficRunning || r.Progress.State == api.TrafficWaiting)
}

// TrafficRuns are the runs that the server has kept account of.
type TrafficRuns []TrafficRun

// View lists the runs.
func (list TrafficRuns) View() api.View {
	return api.Table("runs of traffic", "run#|source|state|sent#|acknowledged#|failed#", api.Each(list, func(r TrafficRun) []any {
		source, state := fmt.Sprintf("seed %d from row %d", r.Request.Seed, r.FromRow), string(r.Progress.State)
		if r.Request.CSV != "" {
			source = r.Request.CSV
		}
		if r.Interrupted {
			state = "interrupted"
		}
		return []any{r.ID, source, state, r.Progress.Sent, r.Progress.Acknowledged, r.Progress.Failed}
	})...)
}

// StartTraffic starts to produce taxi records. The run goes on in the server
// after the cell has ended; Wait follows it, Stop ends it.
func (w *Workshop) StartTraffic(options TrafficOptions) (*Traffic, error) {
	t := &Traffic{workshop: w}
	return t, w.post("/api/traffic", options, &t.run)
}

// WithContext returns the run bound to ctx: its calls end with ctx.
func (t *Traffic) WithContext(ctx context.Context) *Traffic {
	return &Traffic{t.workshop.WithContext(ctx), t.run}
}

// TrafficRuns lists all runs since the last reset.
func (w *Workshop) TrafficRuns() (TrafficRuns, error) {
	var runs TrafficRuns
	return runs, w.get("/api/traffic", nil, &runs)
}

// StopTraffic ends every run that goes on, and returns those.
func (w *Workshop) StopTraffic() (TrafficRuns, error) {
	runs, err := w.TrafficRuns()
	if err != nil {
		return nil, err
	}
	stopped := TrafficRuns{}
	for _, run := range runs {
		if !run.Active() {
			continue
		}
		t := Traffic{w, run}
		if _, err := t.Stop(); err != nil {
			return stopped, err
		}
		stopped = append(stopped, t.run)
	}
	return stopped, nil
}

// Progress asks how far the run is.
func (t *Traffic) Progress() (api.TrafficProgress, error) {
	return t.refresh(http.MethodGet, "")
}

// Stop ends the run and waits until every record that it has sent is accounted
// for.
func (t *Traffic) Stop() (api.TrafficProgress, error) {
	return t.refresh(http.MethodPost, "/stop")
}

func (t *Traffic) refresh(method, action string) (api.TrafficProgress, error) {
	var run TrafficRun
	if err := t.workshop.call(method, fmt.Sprintf("/api/traffic/%d%s", t.run.ID, action), nil, &run); err != nil {
		return t.run.Progress, err
	}
	t.run = run
	return run.Progress, nil
}

// Wait shows the run's progress until it ends. An interrupted or failed run is
// an error.
func (t *Traffic) Wait() (api.TrafficProgress, error) {
	live := newLive()
	defer live.close()
	for {
		progress, err := t.Progress()
		if err != nil {
			return progress, err
		}
		live.show(trafficBar(t.run))
		if t.run.Interrupted {
			return progress, fmt.Errorf("run %d of traffic was cut off when the server ended; start it again, it goes on after its last record", t.run.ID)
		}
		if !t.run.Active() {
			return progress, trafficError(progress)
		}
		if err := wait.For(t.workshop.ctx, refreshEvery); err != nil {
			return progress, err
		}
	}
}

func trafficError(p api.TrafficProgress) error {
	switch {
	case p.State == api.TrafficFailed:
		return fmt.Errorf("producing to %s: %s", p.Topic, p.Message)
	case p.Failed > 0:
		return fmt.Errorf("producing to %s: %d of %d records were not delivered; the first: %s", p.Topic, p.Failed, p.Sent, p.FirstError)
	}
	return nil
}

const refreshEvery = 250 * time.Millisecond
