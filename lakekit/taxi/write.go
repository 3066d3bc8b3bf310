package taxi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
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

// rowsPerChunk makes chunks of about half a megabyte: they stay in a core's
// cache until they are written.
const rowsPerChunk = 2048

// writeLines lets the cores make the chunks and writes them in order. Every
// core has one chunk being made and one waiting for its turn.
func (g *Generator) writeLines(ctx context.Context, w io.Writer, appendLine func([]byte, *Record) []byte, fromRow, n int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers := runtime.GOMAXPROCS(0)
	var made, free []chan []byte
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for i := range workers {
		made, free = append(made, make(chan []byte, 1)), append(free, make(chan []byte, 2))
		free[i] <- nil
		free[i] <- nil
		running.Go(func() {
			var r Record
			for from := int64(i) * rowsPerChunk; from < n; from += int64(workers) * rowsPerChunk {
				var chunk []byte
				select {
				case chunk = <-free[i]:
				case <-ctx.Done():
					return
				}
				chunk = slices.Grow(chunk[:0], rowsPerChunk*256)
				for row := from; row < min(n, from+rowsPerChunk); row++ {
					g.Record(fromRow+row, &r)
					chunk = appendLine(chunk, &r)
				}
				select {
				case made[i] <- chunk:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	for from, turn := int64(0), 0; from < n; from, turn = from+rowsPerChunk, (turn+1)%workers {
		select {
		case chunk := <-made[turn]:
			if _, err := w.Write(chunk); err != nil {
				return err
			}
			free[turn] <- chunk
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
