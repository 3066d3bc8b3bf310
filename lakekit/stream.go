package lakekit

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"taxilake/lakekit/api"
)

// StreamOptions describe a streaming query; the zero value streams the course's
// topic into the course's table, from the earliest record on, once a second.
type StreamOptions struct {
	Name                 string `json:"name"`                                                       // default: the table's name
	Subscribe            string `json:"subscribe,omitempty"`                                        // topics, separated by commas
	Table                string `json:"table,omitempty"`                                            // oss:// address or name
	CheckpointLocation   string `json:"checkpointLocation,omitempty"`                               // oss:// address
	StartingOffsets      string `json:"startingOffsets,omitempty"`                                  // default: earliest
	Trigger              string `json:"trigger,omitempty"`                                          // "1 second" (default), "availableNow", "once"
	EndingOffsets        string `json:"endingOffsets,omitempty"`                                    // with availableNow; default: latest
	MaxOffsetsPerTrigger int64  `json:"maxOffsetsPerTrigger,omitempty" range:"1..1000000000000000"` // 0: bounded by memory alone
	MinOffsetsPerTrigger int64  `json:"minOffsetsPerTrigger,omitempty" range:"1..1000000000000000"` // 0: a trigger waits for no more than one record
	MaxTriggerDelay      string `json:"maxTriggerDelay,omitempty"`                                  // bounds that wait: "15m" (default), "90 seconds"
	FailOnDataLoss       *bool  `json:"failOnDataLoss,omitempty"`                                   // default: true
	IncludeHeaders       bool   `json:"includeHeaders,omitempty"`                                   // into the table's column headers
	MergeSchema          bool   `json:"mergeSchema,omitempty"`                                      // add columns for fields the table does not have
	// IgnoreUnknownFields: rows of records with fields that have no column and get
	// none are written without them, which the status tells; false makes such a
	// record a dead letter. Default: true.
	IgnoreUnknownFields *bool `json:"ignoreUnknownFields,omitempty"`
	// BufferBytes bounds the records in memory; default: 256 MiB.
	BufferBytes int64 `json:"bufferBytes,omitempty" range:"1..1099511627776"`
	// Kafka are Spark's kafka.* options, by librdkafka's names with or without
	// the prefix "kafka.".
	Kafka map[string]string `json:"kafka,omitempty"`
}

// Stream is a streaming query in the server.
type Stream struct {
	workshop *Workshop
	name     string
	err      error // it was asked for wrongly
}

// StartStream starts a streaming query. It goes on in the server until Stop;
// starting one that runs with the same options returns it.
func (w *Workshop) StartStream(options StreamOptions) (*Stream, error) {
	var status api.StreamStatus
	err := w.post("/api/streams", options, &status)
	return &Stream{workshop: w, name: status.Name}, err
}

// Stream returns the stream with a name; without one, the course's.
func (w *Workshop) Stream(name ...string) *Stream {
	one, err := theOne("stream", name, tableName(w.settings.Table))
	return &Stream{w, one, err}
}

// Streams lists the streams.
func (w *Workshop) Streams() (api.Streams, error) {
	var list api.Streams
	return list, w.get("/api/streams", nil, &list)
}

func (s *Stream) path(rest string) string { return "/api/streams/" + url.PathEscape(s.name) + rest }

func (s *Stream) get(rest string, into any) error {
	if s.err != nil {
		return s.err
	}
	return s.workshop.get(s.path(rest), nil, into)
}

func (s *Stream) post(rest string, request, into any) error {
	if s.err != nil {
		return s.err
	}
	return s.workshop.post(s.path(rest), request, into)
}

// Status asks what the stream is doing.
func (s *Stream) Status() (api.StreamStatus, error) {
	var status api.StreamStatus
	return status, s.get("", &status)
}

// RecentProgress are the stream's last triggers, at most 100, oldest first.
func (s *Stream) RecentProgress() (api.Batches, error) {
	var list api.Batches
	return list, s.get("/progress", &list)
}

// LastProgress is the newest of RecentProgress.
func (s *Stream) LastProgress() (api.StreamProgress, error) {
	list, err := s.RecentProgress()
	if err != nil {
		return api.StreamProgress{}, err
	}
	if len(list) == 0 {
		return api.StreamProgress{}, fmt.Errorf("stream %s has not finished a batch yet: ask again in a moment", s.name)
	}
	return list[len(list)-1], nil
}

// Stop ends the stream between two batches. Starting it again goes on exactly
// there.
func (s *Stream) Stop() (api.StreamStatus, error) { return s.stop(api.StopAfterBatch) }

// Drain stops the stream when every record that is in the topic at the time of
// the call is in the table.
func (s *Stream) Drain() (api.StreamStatus, error) { return s.stop(api.StopDrained) }

// StopNow ends the stream at once, in the middle of a batch. Starting it again
// writes that batch, once.
func (s *Stream) StopNow() (api.StreamStatus, error) { return s.stop(api.StopNow) }

func (s *Stream) stop(mode api.StopMode) (api.StreamStatus, error) {
	var status api.StreamStatus
	return status, s.post("/stop", api.StopRequest{Mode: mode}, &status)
}

// ProcessAllAvailable shows the stream's progress until every record that was in
// the topic at the time of the call is in the table.
func (s *Stream) ProcessAllAvailable() (api.StreamStatus, error) {
	done := make(chan error, 1)
	var last api.StreamStatus
	go func() { done <- s.post("/process-all-available", struct{}{}, &last) }()
	err := s.follow(done)
	return last, err
}

// Watch shows the stream's progress for a while.
func (s *Stream) Watch(duration time.Duration) (api.StreamStatus, error) {
	done := make(chan error, 1)
	timer := time.AfterFunc(duration, func() { done <- nil })
	defer timer.Stop()
	if err := s.follow(done); err != nil {
		return api.StreamStatus{}, err
	}
	return s.Status()
}

// follow shows the stream live until done tells its end.
func (s *Stream) follow(done <-chan error) error {
	live := newLive()
	defer live.close()
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	for {
		status, err := s.Status()
		if err != nil {
			return err
		}
		progress, err := s.RecentProgress()
		if err != nil {
			return err
		}
		live.show(streamBar(status, progress))
		if status.Error != "" {
			return errors.New(status.Error)
		}
		select {
		case err := <-done:
			if status, failed := s.Status(); err == nil && failed == nil {
				live.show(streamBar(status, progress))
			}
			return err
		case <-s.workshop.ctx.Done():
			return s.workshop.ctx.Err()
		case <-ticker.C:
		}
	}
}
