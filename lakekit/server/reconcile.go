package server

import (
	"context"
	"fmt"
	"hash/maphash"
	"io"

	"taxilake/lakekit/api"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/taxi"
)

// givenValues is a source of messages without a key.
type givenValues struct{ rest []string }

func (g *givenValues) Next() (key, value []byte, err error) {
	if len(g.rest) == 0 {
		return nil, nil, io.EOF
	}
	value = []byte(g.rest[0])
	g.rest = g.rest[1:]
	return nil, value, nil
}

// inOrder reports whether the run's own account is the whole truth: every row
// that it sent was acknowledged.
func (e *entry) inOrder() bool {
	return !e.Interrupted && e.Progress.Acknowledged == e.Progress.Sent
}

// rows are the generator's rows that the run has put into its topic.
func (e *entry) rows() []rowRange {
	if e.inOrder() {
		return []rowRange{{e.FromRow, e.FromRow + e.Progress.Sent + e.SkippedRows}}
	}
	return e.Rows
}

// reconcile works out, for runs that were interrupted or had failures, which of
// their rows are in the topic, by looking for each of them there.
func (t *traffic) reconcile(ctx context.Context, topic string) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for _, run := range t.runs {
		if run.Active() || run.inOrder() || run.Rows != nil || run.Request.Topic != topic || run.Request.CSV != "" {
			continue
		}
		rows, err := t.findRows(ctx, run)
		if err != nil {
			return fmt.Errorf("working out what run %d of traffic, which did not end in order, left in topic %s: %w", run.ID, topic, err)
		}
		run.account(rows)
		if err := t.save(); err != nil {
			return err
		}
	}
	return nil
}

// account makes the rows found in the topic the run's account: found is
// acknowledged, and what else was sent has failed.
func (e *entry) account(found []rowRange) {
	var n int64
	for _, rows := range found {
		n += rows.To - rows.From
	}
	p := &e.Progress
	p.Acknowledged, p.Sent = n, max(p.Sent, n)
	p.Failed, p.Unconfirmed = p.Sent-n, 0
	e.Rows = found
}

// missesUntilEnd is how many rows in a row may be absent from the topic before
// an interrupted run is taken to have ended: more than the producer's queue can
// hold.
const missesUntilEnd = 1_000_000

// findRows reads what came into the topic since the run began and generates the
// run's rows again until all of it is explained. Messages of others are nobody's
// rows and stay over.
func (t *traffic) findRows(ctx context.Context, run *entry) ([]rowRange, error) {
	seed := maphash.MakeSeed()
	present := map[uint64]int{}
	var unexplained int64
	err := kafka.Scan(ctx, t.server.kafka, run.Request.Topic, run.StartOffsets, func(m api.Message) error {
		present[maphash.Bytes(seed, m.Value)]++
		unexplained++
		return nil
	})
	if err != nil {
		return nil, err
	}
	generator, err := taxi.NewGenerator(run.Request.Seed)
	if err != nil {
		return nil, err
	}
	last := int64(endless)
	if !run.Interrupted {
		last = run.FromRow + run.Progress.Sent
	} else if run.Request.Records > 0 {
		last = run.FromRow + run.Request.Records
	}
	found := []rowRange{}
	source := taxi.NewRows(generator, run.FromRow, last-run.FromRow)
	for row, misses := run.FromRow, 0; unexplained > 0 && misses < missesUntilEnd; row++ {
		_, value, err := source.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		hash := maphash.Bytes(seed, value)
		if present[hash] == 0 {
			misses++
			continue
		}
		present[hash]--
		unexplained--
		misses = 0
		if n := len(found); n > 0 && found[n-1].To == row {
			found[n-1].To++
		} else {
			found = append(found, rowRange{row, row + 1})
		}
	}
	return found, nil
}
