package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	backoffFirst = 100 * time.Millisecond
	backoffMax   = 5 * time.Second
	// unknownTopicRetries bears with a broker that has just come back and does
	// not know all its topics yet, for 3 s as Spark's Kafka source does
	// (fetchOffset.numRetries times fetchOffset.retryIntervalMs, roughly).
	unknownTopicRetries = 5
)

// persist does a step of the query until it succeeds: a broker or a store that
// is down is waited for; a topic that is gone is not. waiting, if not nil, is
// called before the first pause. The step must be safe to do again.
func (r *run) persist(waiting func(), what string, step func(context.Context) error) error {
	unknownTopic := 0 // such answers one after the other
	for backoff := backoffFirst; ; backoff = min(2*backoff, backoffMax) {
		err := step(r.ctx)
		if err == nil {
			r.status.waitFor("")
			return nil
		}
		if r.ctx.Err() != nil || errors.Is(err, errStopped) || isPermanent(err) {
			return err
		}
		if r.stopping.Err() != nil {
			return errStopped
		}
		if !errors.Is(err, errUnknownTopic) {
			unknownTopic = 0
		} else if unknownTopic++; unknownTopic > unknownTopicRetries {
			return r.missingTopic(err, false)
		}
		r.log.Warn("waiting to "+what, "retry_in", backoff, "error", err)
		r.status.waitFor(fmt.Sprintf("Waiting to %s: %v", what, err))
		r.meter.retry()
		r.status.retried(backoff)
		if waiting != nil {
			waiting()
		}
		select {
		case <-r.stopping.Done():
			return errStopped
		case <-r.options.Clock.After(backoff):
		}
	}
}

// idle is called while a batch gets no records from the broker.
func (r *run) idle(trouble string) error {
	if r.stopping.Err() != nil {
		return errStopped
	}
	r.status.awaitBroker()
	if trouble != "" {
		r.status.waitFor("Waiting for the broker: " + trouble)
	}
	return nil
}
