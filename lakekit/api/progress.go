package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"taxilake/lakekit/internal/text"
)

// StreamProgress is what a streaming query did in one trigger: the JSON of
// Structured Streaming's StreamingQueryProgress, same names, same order, so
// that tools and habits made for Spark read it unchanged. Numbers it does not
// know (a rate over no time) are left out, as Spark does.
type StreamProgress struct {
	ID                     string             `json:"id"`    // of the query: the same across restarts from one checkpoint
	RunID                  string             `json:"runId"` // of this start of the query
	Name                   string             `json:"name"`
	Timestamp              string             `json:"timestamp"` // start of the trigger, UTC, ISO 8601 with milliseconds
	BatchID                int64              `json:"batchId"`
	BatchDuration          int64              `json:"batchDuration"` // milliseconds
	NumInputRows           int64              `json:"numInputRows"`
	InputRowsPerSecond     Rate               `json:"inputRowsPerSecond,omitzero"`     // since the start of the last trigger; 0 for a run's first
	ProcessedRowsPerSecond Rate               `json:"processedRowsPerSecond,omitzero"` // over the time this trigger took
	DurationMs             map[string]int64   `json:"durationMs"`                      // addBatch, commitOffsets, latestOffset, triggerExecution, walCommit; Spark's getBatch and queryPlanning are no steps here
	StateOperators         []any              `json:"stateOperators"`                  // always empty: the query keeps no state
	Sources                []SourceProgress   `json:"sources"`
	Sink                   StreamSinkProgress `json:"sink"`
}

// Batches are what a streaming query did in its last triggers, oldest first.
type Batches []StreamProgress

// View lists the batches.
func (list Batches) View() View {
	return Table("the last batches", "batch#|timestamp|records#|trigger ms#|addBatch ms#|max offsets behind", Each(list, func(p StreamProgress) []any {
		behind := ""
		if len(p.Sources) > 0 {
			behind = p.Sources[0].Metrics["maxOffsetsBehindLatest"]
		}
		return []any{p.BatchID, p.Timestamp, p.NumInputRows, p.DurationMs["triggerExecution"], p.DurationMs["addBatch"], behind}
	})...)
}

// Rate is rows a second. NaN and the infinities, a rate over no time, are left
// out of the JSON.
type Rate float64

// IsZero says that there is no rate to write; the json package asks it.
func (r Rate) IsZero() bool { return math.IsNaN(float64(r)) || math.IsInf(float64(r), 0) }

// MarshalJSON writes the rate as String does.
func (r Rate) MarshalJSON() ([]byte, error) { return []byte(r.String()), nil }

// String has a decimal point, as Spark's numbers have.
func (r Rate) String() string {
	text := strconv.FormatFloat(float64(r), 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// PartitionOffsets are Kafka offsets by topic and partition, as Structured
// Streaming writes them: {"nyc_taxi_data":{"0":1200,"1":1187,"2":1210}}. An
// end offset is exclusive: the next record to read.
type PartitionOffsets map[string]map[int32]int64

// MarshalJSON writes topics by name and partitions by number, without spaces.
func (o PartitionOffsets) MarshalJSON() ([]byte, error) {
	if o == nil {
		return []byte("null"), nil
	}
	b := []byte{'{'}
	for i, topic := range slices.Sorted(maps.Keys(o)) {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(topic)
		if err != nil {
			return nil, err
		}
		b = append(append(b, name...), ":{"...)
		for j, partition := range slices.Sorted(maps.Keys(o[topic])) {
			if j > 0 {
				b = append(b, ',')
			}
			b = append(strconv.AppendInt(append(b, '"'), int64(partition), 10), `":`...)
			b = strconv.AppendInt(b, o[topic][partition], 10)
		}
		b = append(b, '}')
	}
	return append(b, '}'), nil
}

// SourceProgress is the Kafka source's part of a StreamProgress. Metrics are
// minOffsetsBehindLatest, maxOffsetsBehindLatest and avgOffsetsBehindLatest,
// over the partitions, as strings.
type SourceProgress struct {
	Description            string            `json:"description"`
	StartOffset            PartitionOffsets  `json:"startOffset"` // null for the first batch of a query
	EndOffset              PartitionOffsets  `json:"endOffset"`
	LatestOffset           PartitionOffsets  `json:"latestOffset"` // null for a batch that an earlier run had planned
	NumInputRows           int64             `json:"numInputRows"`
	InputRowsPerSecond     Rate              `json:"inputRowsPerSecond,omitzero"`
	ProcessedRowsPerSecond Rate              `json:"processedRowsPerSecond,omitzero"`
	Metrics                map[string]string `json:"metrics,omitempty"`
}

// StreamSinkProgress is the Delta sink's part of a StreamProgress. Metrics
// has numDeadLetters when records of the batch went to the dead-letter table,
// numRowsWithIgnoredFields when rows were written without some of their fields,
// and numRetries and retryWaitMs when the trigger had to wait for the broker or
// the store.
type StreamSinkProgress struct {
	Description   string            `json:"description"`
	NumOutputRows int64             `json:"numOutputRows"`
	Metrics       map[string]string `json:"metrics,omitempty"`
}

// StreamStatus is what a streaming query is doing now: Structured Streaming's
// StreamingQueryStatus (message, isDataAvailable, isTriggerActive) with the
// query's identity and totals.
type StreamStatus struct {
	Name            string `json:"name"`
	ID              string `json:"id"`
	RunID           string `json:"runId"`
	IsActive        bool   `json:"isActive"`
	Message         string `json:"message"`
	IsDataAvailable bool   `json:"isDataAvailable"`
	IsTriggerActive bool   `json:"isTriggerActive"`

	// Waiting is set while the query retries something that failed, such as
	// the broker or the store being down; Message says what.
	Waiting bool `json:"isWaiting"`
	// Error is why the query ended; empty while it runs and after a stop.
	Error string `json:"error,omitempty"`

	Subscribe   []string  `json:"subscribe"`
	Table       string    `json:"table"`
	DeadLetters string    `json:"deadLetters,omitempty"`
	Checkpoint  string    `json:"checkpoint"`
	Trigger     string    `json:"trigger"`
	StartedAt   time.Time `json:"startedAt"`

	BatchID        int64 `json:"batchId"`        // last batch committed, -1 before the first
	NumInputRows   int64 `json:"numInputRows"`   // read in this run
	NumDeadLetters int64 `json:"numDeadLetters"` // of these, refused
	// NumRowsWithIgnoredFields are rows written in this run without some of the
	// fields of their records. IgnoredFields are those, by name, at most a hundred
	// told apart.
	NumRowsWithIgnoredFields int64          `json:"numRowsWithIgnoredFields,omitempty"`
	IgnoredFields            []IgnoredField `json:"ignoredFields,omitempty"`

	NumRetries      int64  `json:"numRetries"`                // in this run, of steps that broker or store failed
	RecordsBehind   int64  `json:"recordsBehind"`             // latest offsets minus committed, when last asked
	NumCompactions  int64  `json:"numCompactions"`            // done in this run
	CompactionError string `json:"compactionError,omitempty"` // of the last auto compaction; the ingest goes on
	// CompactionSkipped says why auto compaction leaves some files as they are.
	CompactionSkipped string `json:"compactionSkipped,omitempty"`
}

// State is the status in a word: active, waiting, stopped or failed.
func (s StreamStatus) State() string {
	switch {
	case s.Error != "":
		return "failed"
	case !s.IsActive:
		return "stopped"
	case s.Waiting:
		return "waiting"
	}
	return "active"
}

// LastBatch is the number of the last batch committed, or says that there is none.
func (s StreamStatus) LastBatch() string {
	if s.BatchID < 0 {
		return "none yet"
	}
	return strconv.FormatInt(s.BatchID, 10)
}

// View lists what there is to say of the stream.
func (s StreamStatus) View() View {
	rows := [][]any{
		{"state", s.State()}, {"message", s.Message}, {"query id", s.ID}, {"run id", s.RunID},
		{"reads topic", strings.Join(s.Subscribe, ", ")}, {"writes table", s.Table}, {"checkpoint", s.Checkpoint}, {"trigger", s.Trigger},
		{"last batch", s.LastBatch()}, {"records read in this run", text.Count(s.NumInputRows)}, {"of these refused", text.Count(s.NumDeadLetters)},
		{"records behind", text.Count(s.RecordsBehind)}, {"compactions in this run", s.NumCompactions},
	}
	add := func(said bool, name string, value any) {
		if said {
			rows = append(rows, []any{name, value})
		}
	}
	add(s.Error != "", "error", s.Error)
	add(s.NumRowsWithIgnoredFields > 0, "rows without some fields", text.Count(s.NumRowsWithIgnoredFields))
	for _, f := range s.IgnoredFields {
		add(true, "field "+f.Field, fmt.Sprintf("not in %s: %s", text.Counted(f.NumRows, "row"), f.Reason))
	}
	add(s.NumRetries > 0, "retries in this run", s.NumRetries)
	add(s.CompactionError != "", "compaction error", s.CompactionError)
	add(s.CompactionSkipped != "", "compaction skips", s.CompactionSkipped)
	return Table("stream "+s.Name, "stream|value", rows...)
}

// Streams are the streams of a workshop.
type Streams []StreamStatus

// View lists the streams.
func (list Streams) View() View {
	return Table("streams", "stream|state|message|batch|read#|behind#|table", Each(list, func(s StreamStatus) []any {
		return []any{s.Name, s.State(), s.Message, s.LastBatch(), s.NumInputRows, s.RecordsBehind, s.Table}
	})...)
}

// IgnoredField is a field of records that was not written to the table.
type IgnoredField struct {
	Field   string `json:"field"`   // with those it is in: from.zone, path[].x
	Reason  string `json:"reason"`  // why it is no column, or is not the value that counts
	NumRows int64  `json:"numRows"` // that were written without it
}
