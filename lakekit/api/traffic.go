package api

import "fmt"

// TrafficState says what a producing run is doing.
type TrafficState string

const (
	TrafficRunning  TrafficState = "running"  // records are sent
	TrafficWaiting  TrafficState = "waiting"  // the broker does not answer; goes on by itself when it is back
	TrafficFinished TrafficState = "finished" // every record was sent and its delivery reported
	TrafficStopped  TrafficState = "stopped"  // ended by the caller before the source was exhausted
	TrafficFailed   TrafficState = "failed"   // ended by an error
)

// TrafficProgress is the account of a producing run so far:
// Sent = Acknowledged + Failed + Unconfirmed.
type TrafficProgress struct {
	Topic string       `json:"topic"`
	State TrafficState `json:"state"`

	Sent         int64 `json:"sent"`         // records handed to the client
	Acknowledged int64 `json:"acknowledged"` // records the broker has confirmed
	Failed       int64 `json:"failed"`       // records given up, see FirstError
	Unconfirmed  int64 `json:"unconfirmed"`  // records not yet reported on; at the end of a stopped run: in the topic or not
	Bytes        int64 `json:"bytes"`        // keys and values of the records handed to the client

	RecordsPerSecond float64 `json:"recordsPerSecond"` // acknowledged since the previous report; in the last one: over the whole run
	TargetRate       float64 `json:"targetRate"`       // records a second asked for; 0: as fast as it goes
	ElapsedSeconds   float64 `json:"elapsedSeconds"`

	// Latency from handing a record to the client to its delivery report, of
	// the records acknowledged since the previous report (in the last report
	// of a run: of all of them); 0 when there were none.
	LatencyP50Ms float64 `json:"latencyP50Ms"`
	LatencyP99Ms float64 `json:"latencyP99Ms"`

	Message    string `json:"message,omitempty"`    // for people: what it waits for
	FirstError string `json:"firstError,omitempty"` // why the first of the failed records failed
}

// View shows the account in one row.
func (p TrafficProgress) View() View {
	rate := 0.0
	if p.ElapsedSeconds > 0 {
		rate = float64(p.Acknowledged) / p.ElapsedSeconds
	}
	return Table(fmt.Sprintf("traffic to %s: %s", p.Topic, p.State),
		"sent#|acknowledged#|failed#|seconds|records/s#|MB|latency p50 ms|p99 ms", []any{
			p.Sent, p.Acknowledged, p.Failed, fmt.Sprintf("%.1f", p.ElapsedSeconds), int64(rate),
			fmt.Sprintf("%.1f", float64(p.Bytes)/1e6), latency(p.LatencyP50Ms), latency(p.LatencyP99Ms),
		})
}

// latency leaves out what was too little to measure.
func latency(ms float64) string {
	if ms == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", ms)
}
