package ingest

import (
	"context"
	"errors"

	"taxilake/lakekit/api"
)

// Query is the handle of a streaming query that runs.
type Query struct {
	run         *run
	cancel      context.CancelFunc      // of all its work
	requestStop context.CancelCauseFunc // lets it make no further batch
}

// ID is the query's id: the checkpoint's, the same in every run.
func (q *Query) ID() string { return q.run.status.get().ID }

// RunID is the id of this run.
func (q *Query) RunID() string { return q.run.runID }

// Name is the name given to the query.
func (q *Query) Name() string { return q.run.options.Name }

// Status is what the query is doing now.
func (q *Query) Status() api.StreamStatus {
	s := q.run.status.get()
	q.run.compaction.tell(&s)
	select {
	case <-q.run.done:
	default:
		s.IsActive = true
	}
	return s
}

// LastProgress is what the last trigger did, nil before the first.
func (q *Query) LastProgress() *api.StreamProgress {
	progress := q.RecentProgress()
	if len(progress) == 0 {
		return nil
	}
	return &progress[len(progress)-1]
}

// RecentProgress is what the last 100 triggers did, oldest first. Triggers
// without data are recorded every 10 s.
func (q *Query) RecentProgress() []api.StreamProgress { return q.run.status.recent() }

// Metrics are the query's totals and lag.
func (q *Query) Metrics() Metrics { return q.run.meter.metrics() }

// Stop ends the query and returns when it has ended. A batch that is being
// written is finished, unless it waits for the broker or the store, or ctx
// ends first: then it is abandoned, and written by the next start.
func (q *Query) Stop(ctx context.Context) error {
	q.requestStop(errStopped)
	select {
	case <-q.run.done:
	case <-ctx.Done():
		q.cancel()
		<-q.run.done
	}
	return q.Err()
}

// StopNow is Stop for who does not want to wait: the batch that is being
// written is abandoned, and written by the next start.
func (q *Query) StopNow() error {
	q.requestStop(errStopped)
	q.cancel()
	<-q.run.done
	return q.Err()
}

// Drain is Stop after ProcessAllAvailable. When ctx ends first, the query goes
// on.
func (q *Query) Drain(ctx context.Context) error {
	if err := q.ProcessAllAvailable(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return q.Stop(ctx)
}

// Done is closed when the query has ended.
func (q *Query) Done() <-chan struct{} { return q.run.done }

// Err is why the query ended; nil while it runs, after Stop, and when its
// trigger let it end.
func (q *Query) Err() error {
	err, _ := q.run.status.outcome()
	return err
}

// Finished says that the query has come to the end of its trigger, AvailableNow
// or Once.
func (q *Query) Finished() bool {
	_, finished := q.run.status.outcome()
	return finished
}

// AwaitTermination waits until the query ends and returns Err, or until ctx
// does.
func (q *Query) AwaitTermination(ctx context.Context) error {
	select {
	case <-q.run.done:
		return q.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ProcessAllAvailable waits until all that is in the topics at the time of
// the call is in the table. With a trigger that ends, AvailableNow or Once, it
// waits until the query has ended.
func (q *Query) ProcessAllAvailable(ctx context.Context) error {
	w := q.run.waiters.add()
	select {
	case <-w.done:
		return nil
	case <-q.run.done:
		if err := q.Err(); err != nil {
			return err
		}
		select {
		case <-w.done:
			return nil
		default:
		}
		if context.Cause(q.run.stopping) == errStopped {
			return errors.New("the query was stopped before all available records were processed; start it again, it goes on where it was")
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
