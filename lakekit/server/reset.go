package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/oss"
)

// resetAddresses are the folders that belong together: one of them without the
// others is a stream that lost its place.
func (s *Server) resetAddresses() []string {
	return []string{s.settings.Table, s.settings.DeadLetters, s.settings.Checkpoint}
}

// planReset says what reset would delete.
func (s *Server) planReset(r *http.Request) (api.Reset, error) {
	plan := api.Reset{Topic: s.settings.Topic, Addresses: s.resetAddresses()}
	err := s.admin(func(a *kafka.Admin) error {
		topic, err := a.DescribeTopic(r.Context(), s.settings.Topic)
		if errors.Is(err, kafka.ErrTopicNotFound) {
			return nil
		}
		plan.Messages = topic.Records()
		return err
	})
	if err != nil {
		return plan, err
	}
	for _, address := range plan.Addresses {
		err := s.each(r.Context(), address, func(object oss.ObjectInfo) {
			plan.Objects++
			plan.Bytes += object.Size
		})
		if err != nil {
			return plan, err
		}
	}
	return plan, nil
}

// resetDeadline bounds a reset that nobody waits for any more.
const resetDeadline = 10 * time.Minute

// reset stops traffic and streams and deletes topic, tables, checkpoint and
// ledger together.
func (s *Server) reset(r *http.Request) (api.Reset, error) {
	plan, err := s.planReset(r)
	if err != nil {
		return plan, err
	}
	// One of these without the others is a stream that lost its place: who hangs up
	// in the middle does not leave that.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), resetDeadline)
	defer cancel()
	if err := errors.Join(s.traffic.close(ctx), s.streams.close(ctx)); err != nil {
		return plan, err
	}
	if err := errors.Join(s.streams.forget(), s.traffic.forget()); err != nil {
		return plan, err
	}
	err = s.admin(func(a *kafka.Admin) error { return a.DeleteTopic(ctx, s.settings.Topic) })
	if err != nil && !errors.Is(err, kafka.ErrTopicNotFound) {
		return plan, err
	}
	defer s.forgetTables()
	for _, address := range plan.Addresses {
		if err := s.deleteAll(ctx, address); err != nil {
			return plan, err
		}
	}
	return plan, nil
}

// deleteAll empties a folder.
func (s *Server) deleteAll(ctx context.Context, address string) error {
	folder, err := s.folder(address)
	if err != nil {
		return err
	}
	var keys []string
	if err := s.each(ctx, address, func(object oss.ObjectInfo) { keys = append(keys, object.Key) }); err != nil {
		return err
	}
	return folder.Delete(ctx, keys...)
}

// each visits the objects of a folder, with keys below it.
func (s *Server) each(ctx context.Context, address string, visit func(oss.ObjectInfo)) error {
	folder, err := s.folder(address)
	if err != nil {
		return err
	}
	for object, err := range folder.List(ctx, oss.ListOptions{}) {
		if err != nil {
			return err
		}
		visit(object)
	}
	return nil
}
