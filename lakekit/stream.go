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
type StreamOptions = api.StreamRequest

// StreamStatus is what a streaming query is doing.
type StreamStatus = api.StreamStatus

// StreamProgress is what a streaming query did in one trigger.
type StreamProgress = api.StreamProgress

// Stream is a streaming query in the server.
type Stream struct {
	workshop *Workshop
	name     string
}

// StartStream starts a streaming query. It goes on in the server until Stop;
// starting one that runs with the same options returns it.
func (w *Workshop) StartStream(options StreamOptions) (*Stream, error) {
	var status StreamStatus
	err := w.post("/api/streams", options, &status)
	return &Stream{w, status.Name}, err
}

// Stream returns the stream with a name; "" is the course's.
func (w *Workshop) Stream(name string) *Stream {
	if name == "" {
		name = tableName(w.settings.Table)
	}
	return &Stream{w, name}
}

// Streams lists the streams.
func (w *Workshop) Streams() ([]StreamStatus, error) {
	var list []StreamStatus
	return list, w.get("/api/streams", nil, &list)
}

func (s *Stream) path(rest string) string { return "/api/streams/" + url.PathEscape(s.name) + rest }

// Status asks what the stream is doing.
func (s *Stream) Status() (StreamStatus, error) {
	var status StreamStatus
	return status, s.workshop.get(s.path(""), nil, &status)
}

// RecentProgress are the stream's last triggers, at most 100, oldest first.
func (s *Stream) RecentProgress() ([]StreamProgress, error) {
	var list []StreamProgress
	return list, s.workshop.get(s.path("/progress"), nil, &list)
}

// LastProgress is the newest of RecentProgress.
func (s *Stream) LastProgress() (StreamProgress, error) {
	list, err := s.RecentProgress()
	if err != nil {
		return StreamProgress{}, err
	}
	if len(list) == 0 {
		return StreamProgress{}, fmt.Errorf("stream %s has not finished a batch yet: ask again in a moment", s.name)
	}
	return list[len(list)-1], nil
}

// Stop ends the stream between two batches. Starting it again goes on exactly
// there.
func (s *Stream) Stop() (StreamStatus, error) { return s.stop(api.StopAfterBatch) }

// Drain stops the stream when every record that is in the topic at the time of
// the call is in the table.
func (s *Stream) Drain() (StreamStatus, error) { return s.stop(api.StopDrained) }

// StopNow ends the stream at once, in the middle of a batch. Starting it again
// writes that batch, once.
func (s *Stream) StopNow() (StreamStatus, error) { return s.stop(api.StopNow) }

func (s *Stream) stop(mode api.StopMode) (StreamStatus, error) {
	var status StreamStatus
	return status, s.workshop.post(s.path("/stop"), api.StopRequest{Mode: mode}, &status)
}

// ProcessAllAvailable shows the stream's progress until every record that was in
// the topic at the time of the call is in the table.
func (s *Stream) ProcessAllAvailable() (StreamStatus, error) {
	done := make(chan error, 1)
	var last StreamStatus
	go func() { done <- s.workshop.post(s.path("/process-all-available"), struct{}{}, &last) }()
	err := s.follow(done)
	return last, err
}

// Watch shows the stream's progress for a while.
func (s *Stream) Watch(duration time.Duration) (StreamStatus, error) {
	done := make(chan error, 1)
	timer := time.AfterFunc(duration, func() { done <- nil })
	defer timer.Stop()
	if err := s.follow(done); err != nil {
		return StreamStatus{}, err
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
