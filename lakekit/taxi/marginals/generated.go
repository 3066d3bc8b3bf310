package marginals

import (
	"context"
	"runtime"
	"sync"

	"taxilake/lakekit/taxi"
)

// Generated counts n rows of a generator from row fromRow on, on all cores.
func Generated(ctx context.Context, g *taxi.Generator, fromRow, n int64) (*Counts, error) {
	workers := int64(runtime.GOMAXPROCS(0))
	parts := make([]Counts, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			var r taxi.Record
			for row := fromRow + i*n/workers; row < fromRow+(i+1)*n/workers; row++ {
				if row%4096 == 0 && ctx.Err() != nil {
					return
				}
				g.Record(row, &r)
				parts[i].Add(&r)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	total := &Counts{}
	for i := range parts {
		total.Merge(&parts[i])
	}
	return total, nil
}
