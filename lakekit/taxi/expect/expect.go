package expect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"time"

	"taxilake/lakekit/taxi"
)

// Range names rows that were produced: of the generator of a seed, or, where
// CSV is set, of a file.
type Range struct {
	Seed    uint64
	CSV     string // as for taxi.OpenCSVFile; empty for the generator
	FromRow int64  // the first row, from 0
	Rows    int64  // how many; a file that ends earlier has fewer
}

// Options are the circumstances of the query to compare with.
type Options struct {
	// SessionOffset is what the session's time zone adds to the recorded
	// times: 0 in a UTC session, 8 h in the course's Asia/Shanghai one.
	SessionOffset time.Duration
	// Workers is how many goroutines count; 0 means one for each core.
	Workers int
}

// chunkRows is how much a worker takes at a time: enough that taking costs
// nothing, and little enough that the cores end together.
const chunkRows = 1 << 14

// Compute counts the rows of all ranges; a row in two of them counts twice,
// as it does in a table it was produced into twice. Rows of a CSV file that
// cannot be read are counted in BadRows only.
func Compute(ctx context.Context, ranges []Range, options Options) (*Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	workers := options.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	chunks := make(chan Range)
	results := make([]Result, workers)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			c := counter{result: &results[i], offset: int64(options.SessionOffset / time.Second)}
			for chunk := range chunks {
				if err := c.count(ctx, chunk); err != nil {
					cancel(err)
				}
			}
		})
	}
	deal(ctx, ranges, chunks)
	close(chunks)
	wg.Wait()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("computing the expected aggregates: %w", context.Cause(ctx))
	}
	total := &Result{}
	for i := range results {
		total.Add(&results[i])
	}
	return total, nil
}

// deal cuts generated ranges into chunks; a file has to be read from its
// beginning and stays whole.
func deal(ctx context.Context, ranges []Range, chunks chan<- Range) {
	for _, r := range ranges {
		size := int64(chunkRows)
		if r.CSV != "" {
			size = r.Rows
		}
		for r.Rows > 0 {
			chunk := r
			chunk.Rows = min(r.Rows, size)
			select {
			case chunks <- chunk:
			case <-ctx.Done():
				return
			}
			r.FromRow += chunk.Rows
			r.Rows -= chunk.Rows
		}
	}
}

type counter struct {
	result *Result
	offset int64 // seconds
	record taxi.Record
}

func (c *counter) count(ctx context.Context, r Range) error {
	if ctx.Err() != nil {
		return nil
	}
	if r.CSV != "" {
		return c.countCSV(ctx, r)
	}
	generator, err := taxi.NewGenerator(r.Seed)
	if err != nil {
		return err
	}
	for row := r.FromRow; row < r.FromRow+r.Rows; row++ {
		generator.Record(row, &c.record)
		c.add()
	}
	return nil
}

func (c *counter) countCSV(ctx context.Context, r Range) (err error) {
	reader, err := taxi.OpenCSVFile(r.CSV)
	if err != nil {
		return err
	}
	reader.Until(ctx)
	defer func() { err = errors.Join(err, reader.Close()) }()
	if err := reader.Skip(r.FromRow); err != nil {
		return endIsNoError(err)
	}
	for range r.Rows {
		if reader.Row()%chunkRows == 0 && ctx.Err() != nil {
			return nil
		}
		err := reader.Read(&c.record)
		var bad *taxi.RowError
		switch {
		case errors.As(err, &bad):
			c.result.BadRows++
		case err != nil:
			return endIsNoError(err)
		default:
			c.add()
		}
	}
	return nil
}

func endIsNoError(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

func (c *counter) add() {
	at := moment(c.record.PickupDatetime + c.offset)
	cents := int64(math.Round(c.record.FareAmount * 100))
	r := c.result
	r.All.add(cents)
	r.ByMonth[at.month-1].add(cents)
	r.ByWeekday[at.weekday].add(cents)
	r.ByHour[at.hour].add(cents)
	r.addToYear(at.year, Fares{Trips: 1, Cents: cents})
	r.addToBin(floorDivide(cents, 100), 1)
}

func floorDivide(a, b int64) int64 {
	quotient := a / b
	if a%b < 0 {
		quotient--
	}
	return quotient
}
