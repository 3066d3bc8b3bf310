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
type TrafficOptions = api.TrafficRequest

// Traffic is a producing run in the server.
type Traffic struct {
	workshop *Workshop
	run      api.TrafficRun
}

// TrafficRuns are the runs that the server has kept account of.
type TrafficRuns []api.TrafficRun

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
	var run api.TrafficRun
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
