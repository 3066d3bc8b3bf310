package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/kafka"
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
		objects, others, err := s.ownObjects(r.Context(), address)
		if err != nil {
			return plan, err
		}
		for _, object := range objects {
			plan.Objects++
			plan.Bytes += object.Size
		}
		for _, other := range others {
			if kept := address + "/" + other; !slices.Contains(plan.Addresses, kept) {
				plan.Kept = append(plan.Kept, kept)
			}
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

// deleteAll empties a folder of what is its owner's.
func (s *Server) deleteAll(ctx context.Context, address string) error {
	folder, err := s.folder(address)
	if err != nil {
		return err
	}
	objects, _, err := s.ownObjects(ctx, address)
	if err != nil {
		return err
	}
	keys := make([]string, len(objects))
	for i, object := range objects {
		keys[i] = object.Key
	}
	return folder.Delete(ctx, keys...)
}

// ownObjects are those of a folder, with keys below it, that do not lie in a
// table or a checkpoint within; others are the folders of these.
func (s *Server) ownObjects(ctx context.Context, address string) (objects []blob.ObjectInfo, others []string, err error) {
	folder, err := s.folder(address)
	if err != nil {
		return nil, nil, err
	}
	return delta.OwnObjects(ctx, folder, func(blob.ObjectInfo) bool { return true })
}
