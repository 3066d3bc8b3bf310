package taxi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
)

// Format is how a file holds records.
type Format string

const (
	CSV     Format = "csv"     // the real file's form, with its header
	JSON    Format = "json"    // the topic's messages, one a line
	Parquet Format = "parquet" // compressed with zstd
)

// Formats are all of them.
var Formats = []Format{CSV, JSON, Parquet}

// ErrFormat says that a format is none of Formats.
var ErrFormat = errors.New("unknown format")

// Write writes n rows from row fromRow on, always with the same bytes. It uses
// all cores and a few megabytes, whatever n is.
func (g *Generator) Write(ctx context.Context, w io.Writer, format Format, fromRow, n int64) error {
	var err error
	switch format {
	case CSV:
		if _, err = io.WriteString(w, Header+"\n"); err == nil {
			err = g.writeLines(ctx, w, AppendCSV, fromRow, n)
		}
	case JSON:
		err = g.writeLines(ctx, w, func(dst []byte, r *Record) []byte {
			return append(AppendJSON(dst, r), '\n')
		}, fromRow, n)
	case Parquet:
		err = g.writeParquet(ctx, w, fromRow, n)
	default:
		return fmt.Errorf("%w %q: want one of %q", ErrFormat, format, Formats)
	}
	if err != nil {
		return fmt.Errorf("writing generated records as %s: %w", format, err)
	}
	return nil
}

// rowsPerChunk makes chunks of half a megabyte or less, which stay in a core's
// cache until they are written.
const rowsPerChunk = 2048

// writeLines has a worker for each core. They take the chunks in turns: each
// makes its own while others write, waits until the one before is written,
// writes, and passes the turn on.
func (g *Generator) writeLines(ctx context.Context, w io.Writer, appendLine func([]byte, *Record) []byte, fromRow, n int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	turns := make([]chan struct{}, runtime.GOMAXPROCS(0))
	for i := range turns {
		turns[i] = make(chan struct{}, 1)
	}
	turns[0] <- struct{}{}
	var running sync.WaitGroup
	for i := range turns {
		running.Go(func() {
			mine, next := turns[i], turns[(i+1)%len(turns)]
			var r Record
			var chunk []byte
			for from := int64(i) * rowsPerChunk; from < n; from += int64(len(turns)) * rowsPerChunk {
				chunk = chunk[:0]
				for row := from; row < min(n, from+rowsPerChunk); row++ {
					g.Record(fromRow+row, &r)
					chunk = appendLine(chunk, &r)
				}
				select {
				case <-mine:
				case <-ctx.Done():
					return
				}
				if ctx.Err() != nil {
					return
				}
				if _, err := w.Write(chunk); err != nil {
					cancel(err)
					return
				}
				next <- struct{}{}
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}
