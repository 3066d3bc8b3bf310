package drill

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/kafka"
)

// ledger is what the topic has held: a record's identity by its place.
type ledger map[place]identity

type place struct {
	partition int32
	offset    int64
}

// identity is a trip's values, which tell the rows of a seed apart; what is no
// trip, and belongs into the dead-letter table, is identified by its place.
type identity string

func (p place) identity() identity { return identity(fmt.Sprintf("%d/%d", p.partition, p.offset)) }

// tripColumns are those of a trip but for the key, which as a timestamp is the
// pickup's.
var tripColumns = []string{"pickup_datetime", "fare_amount", "pickup_longitude", "pickup_latitude", "dropoff_longitude", "dropoff_latitude", "passenger_count"}

// read adds what the topic holds now. Records that a drill removes must be read
// before.
func (s *site) read() error {
	return kafka.Scan(s.ctx, s.kafka(), s.config().Topic, nil, func(m api.Message) error {
		at := place{m.Partition, m.Offset}
		s.ledger[at] = tripOf(m.Value, at)
		return nil
	})
}

func tripOf(message []byte, at place) identity {
	var record map[string]any
	if err := json.Unmarshal(message, &record); err != nil {
		return at.identity()
	}
	text, _ := record["pickup_datetime"].(string)
	pickup, err := time.Parse("2006-01-02 15:04:05 MST", text)
	if err != nil {
		return at.identity()
	}
	var id []byte
	for _, name := range tripColumns {
		switch value := record[name].(type) {
		case float64:
			id = appendNumber(id, value)
		case nil:
			id = append(id, "null "...)
		default:
			id = appendNumber(id, float64(pickup.UnixMicro()))
		}
	}
	return identity(id)
}

func appendNumber(id []byte, value float64) []byte {
	return append(strconv.AppendFloat(id, value, 'g', -1, 64), ' ')
}

// tripsIn gives the identities of the rows of the table.
func tripsIn(rows arrow.RecordBatch) func(int) identity {
	var columns []arrow.Array
	for _, name := range tripColumns {
		columns = append(columns, column[arrow.Array](rows, name))
	}
	return func(i int) identity {
		var id []byte
		for _, values := range columns {
			switch values := values.(type) {
			case *array.Float64:
				if values.IsValid(i) {
					id = appendNumber(id, values.Value(i))
					continue
				}
			case *array.Int32:
				if values.IsValid(i) {
					id = appendNumber(id, float64(values.Value(i)))
					continue
				}
			case *array.Timestamp:
				if values.IsValid(i) {
					id = appendNumber(id, float64(values.Value(i)))
					continue
				}
			}
			id = append(id, "null "...)
		}
		return identity(id)
	}
}

// lettersIn gives the identities of the rows of the dead-letter table.
func lettersIn(rows arrow.RecordBatch) func(int) identity {
	partition, offset := column[*array.Int32](rows, "partition"), column[*array.Int64](rows, "offset")
	return func(i int) identity { return place{partition.Value(i), offset.Value(i)}.identity() }
}

// account compares what the topic has held with the tables.
type account struct{ records, lost, twice int64 }

func (s *site) settle() (account, error) {
	if err := s.read(); err != nil {
		return account{}, err
	}
	found := map[identity]int64{}
	if err := s.count(s.config().Table, found, tripsIn); err != nil {
		return account{}, err
	}
	if err := s.count(s.config().DeadLetters, found, lettersIn); err != nil && !errors.Is(err, delta.ErrNotTable) {
		return account{}, err
	}
	return s.ledger.compare(found), nil
}

// compare counts what is missing in the tables, and what is there too often.
func (l ledger) compare(found map[identity]int64) (a account) {
	for _, id := range l {
		a.records++
		found[id]--
	}
	for _, n := range found {
		a.lost += max(0, -n)
		a.twice += max(0, n)
	}
	return a
}

func column[T arrow.Array](rows arrow.RecordBatch, name string) T {
	return rows.Column(rows.Schema().FieldIndices(name)[0]).(T)
}

// count adds up how often each identity is in a table.
func (s *site) count(uri string, found map[identity]int64, identities func(arrow.RecordBatch) func(int) identity) error {
	table, err := s.openTable(uri)
	if err != nil {
		return err
	}
	snapshot, err := table.Snapshot(s.ctx)
	if err != nil {
		return err
	}
	for rows, err := range snapshot.Scan(s.ctx, delta.ScanOptions{}) {
		if err != nil {
			return err
		}
		of := identities(rows)
		for i := range int(rows.NumRows()) {
			found[of(i)]++
		}
	}
	return nil
}

// openTable reads the embedded store's files, which needs no store.
func (s *site) openTable(uri string) (*delta.Table, error) {
	bucket, err := blob.OpenDir(s.tablePath(uri))
	if err != nil {
		return nil, errors.Join(delta.ErrNotTable, err)
	}
	return delta.Open(s.ctx, bucket)
}

// verdict waits for the stream, asks the server as `lakekit verify` does, and
// compares record by record.
func (s *site) verdict() error {
	if err := s.drained(); err != nil {
		return err
	}
	checked, err := s.lab.Verify()
	if err != nil {
		return err
	}
	said := fmt.Sprintf("%d of %d checks of `lakekit verify` hold", holding(checked), len(checked.Checks))
	if s.removed > 0 { // the checks are of all that was produced
		said = fmt.Sprintf("%s of them were removed before the stream read them", number(s.removed))
	}
	s.say("%s rows and %s dead letters; the server has produced %s records; %s",
		number(checked.Rows), number(checked.DeadLetters), number(checked.Produced), said)
	a, err := s.settle()
	if err != nil {
		return err
	}
	// What the broker has acknowledged and does not have, or has twice.
	acknowledged := checked.Produced + checked.DeadLetters - s.removed
	a.lost += max(0, acknowledged-a.records)
	a.twice += max(0, a.records-acknowledged)
	fmt.Fprintf(s.out, "%d records: %d lost, %d twice\n", a.records, a.lost, a.twice)
	switch {
	case a.lost > 0 || a.twice > 0:
		return ErrNotExact
	case !checked.OK && s.removed == 0:
		return fmt.Errorf("%w: %s", ErrNotExact, failing(checked))
	}
	return nil
}

func holding(v api.Verdict) (n int) {
	for _, check := range v.Checks {
		if check.OK {
			n++
		}
	}
	return n
}

func failing(v api.Verdict) string {
	for _, check := range v.Checks {
		if !check.OK {
			return check.Name + ": " + check.Detail
		}
	}
	return ""
}
