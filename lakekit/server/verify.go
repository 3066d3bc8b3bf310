package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/query"
	"taxilake/lakekit/taxi/expect"
)

// aggregate is one of the course's seven charts as a statement. Fares are summed
// in whole cents, so that the comparison is exact whatever the order of the sum.
type aggregate struct {
	chart     string
	statement string
	expected  func(*expect.Result) map[int64]expect.Fares
}

const centsOf = "sum(cast(round(fare_amount * 100) as bigint))"

var aggregates = []aggregate{
	{"trips per month", "select month(pickup_datetime), count(*), " + centsOf, func(r *expect.Result) map[int64]expect.Fares { return numbered(r.ByMonth[:], 1) }},
	{"trips per day of the week", "select dayofweek(pickup_datetime), count(*), " + centsOf, func(r *expect.Result) map[int64]expect.Fares { return numbered(r.ByWeekday[:], 1) }},
	{"trips per hour", "select hour(pickup_datetime), count(*), " + centsOf, byHour},
	{"mean fare per hour", "select cast(date_format(pickup_datetime, 'H') as int), count(*), " + centsOf, byHour},
	{"mean fare per year", "select year(pickup_datetime), count(*), " + centsOf, byYear},
	{"trips and mean fare per year", "select cast(date_format(pickup_datetime, 'yyyy') as int), count(*), " + centsOf, byYear},
	{"distribution of fares", "select cast(floor(fare_amount) as bigint), count(*), 0", func(r *expect.Result) map[int64]expect.Fares {
		groups := map[int64]expect.Fares{}
		for bin, trips := range r.ByFare {
			groups[bin] = expect.Fares{Trips: trips}
		}
		return groups
	}},
}

func byHour(r *expect.Result) map[int64]expect.Fares { return numbered(r.ByHour[:], 0) }

func byYear(r *expect.Result) map[int64]expect.Fares {
	groups := map[int64]expect.Fares{}
	for year, fares := range r.ByYear {
		groups[int64(year)] = fares
	}
	return groups
}

// numbered names groups from first on; SQL has no row for an empty one.
func numbered(groups []expect.Fares, first int64) map[int64]expect.Fares {
	named := map[int64]expect.Fares{}
	for i, fares := range groups {
		if fares.Trips > 0 {
			named[first+int64(i)] = fares
		}
	}
	return named
}

// verify compares what the ledger says was produced, computed again from the
// seeds, with what SQL says of the table.
func (s *Server) verify(r *http.Request) (api.Verdict, error) {
	began := time.Now()
	ctx := r.Context()
	if active := s.traffic.active(s.settings.Topic); len(active) > 0 {
		return api.Verdict{}, conflict("traffic is still being produced (run %d): end it with `lakekit traffic stop`, let the stream catch up, then verify", active[0].ID)
	}
	if err := s.traffic.reconcile(ctx, s.settings.Topic); err != nil {
		return api.Verdict{}, err
	}
	ranges := s.traffic.produced(s.settings.Topic)
	want, err := expect.Compute(ctx, ranges, expect.Options{})
	if err != nil {
		return api.Verdict{}, err
	}
	verdict := api.Verdict{Produced: want.All.Trips}
	if err := s.countMessages(ctx, &verdict); err != nil {
		return verdict, err
	}
	if err := s.countRows(ctx, &verdict, want); err != nil {
		return verdict, err
	}
	for _, a := range aggregates {
		check, err := s.compare(ctx, a, want, verdict.Version)
		if err != nil {
			return verdict, err
		}
		verdict.Checks = append(verdict.Checks, check)
	}
	verdict.OK = true
	for _, check := range verdict.Checks {
		verdict.OK = verdict.OK && check.OK
	}
	verdict.Seconds = time.Since(began).Seconds()
	return verdict, nil
}

func (s *Server) countMessages(ctx context.Context, v *api.Verdict) error {
	return s.admin(func(a *kafka.Admin) error {
		topic, err := a.DescribeTopic(ctx, s.settings.Topic)
		v.Messages = topic.Records()
		return err
	})
}

// countRows pins the version that everything else is asked of.
func (s *Server) countRows(ctx context.Context, v *api.Verdict, want *expect.Result) error {
	rows, err := s.runSQL(ctx, api.SQLRequest{SQL: "select count(*) as n from " + tableName(s.settings.Table)})
	if err != nil {
		return err
	}
	v.Rows, v.Version = rows.Ints("n")[0], rows.Tables[0].Version
	if v.DeadLetters, err = s.countDeadLetters(ctx); err != nil {
		return err
	}
	const behind = "the stream may still be behind: `lakekit verify --wait`; a stream that began with startingOffsets=latest never saw what was there before"
	v.Checks = append(v.Checks,
		equal("rows of the table", v.Rows, want.All.Trips, "records produced", behind,
			"the topic holds records that no run of traffic sent, or the table rows from elsewhere: `lakekit reset` begins anew"),
		equal("rows and refused records", v.Rows+v.DeadLetters, v.Messages, "messages of the topic", behind,
			"retention has removed messages from the topic (`lakekit topic describe`), or the table holds rows from elsewhere: `lakekit reset` begins anew"),
	)
	return nil
}

// equal checks a number; fewer and more are the hints for when there are too
// few or too many.
func equal(name string, found, expected int64, of, fewer, more string) api.Check {
	check := api.Check{Name: name, OK: found == expected, Detail: fmt.Sprintf("%d of %d %s", found, expected, of)}
	switch {
	case found < expected:
		check.Hint = fewer
	case found > expected:
		check.Hint = more
	}
	return check
}

func (s *Server) countDeadLetters(ctx context.Context) (int64, error) {
	root, err := s.readable(s.settings.DeadLetters)
	if err != nil {
		return 0, err
	}
	table, err := delta.Open(ctx, root)
	if errors.Is(err, delta.ErrNotTable) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	snapshot, err := table.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	return snapshot.NumRecords(), nil
}

// compare asks for an aggregate and holds every group against the expected one.
func (s *Server) compare(ctx context.Context, a aggregate, want *expect.Result, version int64) (api.Check, error) {
	statement := fmt.Sprintf("%s from %s version as of %d group by 1", a.statement, tableName(s.settings.Table), version)
	result, err := s.engine.Query(ctx, statement, query.Request{Tables: s.queryTable, TimeZone: "UTC"})
	if err != nil {
		return api.Check{}, fmt.Errorf("asking for the %s: %w", a.chart, err)
	}
	check := api.Check{Name: a.chart, OK: true}
	expected := a.expected(want)
	for _, row := range result.Rows {
		group, trips, cents := whole(row[0]), whole(row[1]), whole(row[2])
		if found := (expect.Fares{Trips: trips, Cents: cents}); found != expected[group] {
			check.OK = false
			check.Detail = fmt.Sprintf("group %d: %d trips and %d cents, expected %d and %d", group, trips, cents, expected[group].Trips, expected[group].Cents)
			check.Hint = "the table does not hold exactly what was produced"
			return check, nil
		}
		delete(expected, group)
	}
	for group, fares := range expected {
		check.OK = false
		check.Detail = fmt.Sprintf("group %d with %d trips is missing", group, fares.Trips)
		check.Hint = "the table does not hold everything that was produced"
		return check, nil
	}
	check.Detail = fmt.Sprintf("%d groups equal, to the cent", len(result.Rows))
	return check, nil
}

// whole reads an integer cell; NULL, of no rows, is the group no record has.
func whole(cell any) int64 {
	switch v := cell.(type) {
	case int64:
		return v
	case api.Decimal:
		var n int64
		fmt.Sscan(string(v), &n)
		return n
	}
	return -1 << 62
}

func tableName(uri string) string { return uri[strings.LastIndexByte(uri, '/')+1:] }

// produced are the rows that runs have put into a topic.
func (t *traffic) produced(topic string) []expect.Range {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	var ranges []expect.Range
	for _, run := range t.runs {
		if run.Request.Topic != topic {
			continue
		}
		for _, rows := range run.rows() {
			ranges = append(ranges, expect.Range{
				Seed: cmp.Or(run.Request.Seed, defaultSeed), CSV: run.Request.CSV, FromRow: rows.From, Rows: rows.To - rows.From,
			})
		}
	}
	return ranges
}
