package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"
	"time"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/taxi"
)

// csvRows are the records of a file. Rows that cannot be read are left out and
// counted: the run goes on, and the verdict leaves them out as well.
type csvRows struct {
	*taxi.Rows
	file     *taxi.CSVReader
	name     string
	records  int64
	done     float64 // of the file, when the run began
	skipped  atomic.Int64
	firstBad atomic.Pointer[taxi.RowError]
}

func newCSVRows(run *entry, file *taxi.CSVReader) *csvRows {
	records := cmp.Or(run.Request.Records, endless)
	return &csvRows{Rows: taxi.NewCSVRows(file, endless), file: file, name: filepath.Base(run.Request.CSV), records: records, done: file.Done()}
}

// openCSV opens the file that a request for traffic names, at the row to begin
// with; nil if it names none. Whoever shows the token may name any file that the
// server's user can read: it is their own.
func openCSV(ctx context.Context, request lakekit.TrafficOptions) (*taxi.CSVReader, error) {
	if request.CSV == "" {
		return nil, nil
	}
	if !filepath.IsAbs(request.CSV) {
		return nil, badRequest("csv=%q must be a full path: the server has a working folder of its own", request.CSV)
	}
	file, err := taxi.OpenCSVFile(request.CSV)
	if err != nil {
		return nil, badRequest("%w", err)
	}
	if request.FromRow != nil {
		file.Until(ctx)
		if err := file.Skip(*request.FromRow); err != nil {
			return nil, badRequest("%w", errors.Join(skipError(request, file, err), file.Close()))
		}
	}
	return file, nil
}

func skipError(request lakekit.TrafficOptions, file *taxi.CSVReader, err error) error {
	if err == io.EOF {
		return fmt.Errorf("%s has no row %d: it has only %d rows", request.CSV, *request.FromRow, file.Row())
	}
	return fmt.Errorf("skipping to row %d of %s: %w", *request.FromRow, request.CSV, err)
}

func (c *csvRows) Next() (key, value []byte, err error) {
	for {
		key, value, err = c.Rows.Next()
		var bad *taxi.RowError
		if !errors.As(err, &bad) {
			return key, value, err
		}
		c.firstBad.CompareAndSwap(nil, bad)
		c.skipped.Add(1)
	}
}

func (c *csvRows) Close() error { return c.file.Close() }

// tell puts what the progress of a producer does not know into the run's
// account: bad rows of a file, and how long it will take to its end.
func (e *entry) tell(source rowSource) {
	c, ok := source.(*csvRows)
	if !ok {
		return
	}
	e.SkippedRows = c.skipped.Load()
	p := &e.Progress
	var left time.Duration
	done := c.file.Done()
	if c.records != endless {
		c.done, done = 0, float64(p.Sent)/float64(c.records)
	}
	if advanced := done - c.done; advanced > 0 {
		left = time.Duration(p.ElapsedSeconds * (1 - done) / advanced * float64(time.Second)).Round(time.Second)
	}
	said := p.Message
	if said == "" && p.State == api.TrafficRunning {
		said = fmt.Sprintf("%.1f %% of %s, %s left", 100*done, c.name, left)
	}
	if bad := c.firstBad.Load(); bad != nil {
		if said != "" {
			said += "; "
		}
		said += fmt.Sprintf("bad rows left out: %d, the first: %v", e.SkippedRows, bad)
	}
	p.Message = said
}
