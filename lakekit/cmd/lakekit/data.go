package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/internal/atomicfile"
	"taxilake/lakekit/query"
	"taxilake/lakekit/server"
	"taxilake/lakekit/settings"
	"taxilake/lakekit/taxi"
)

func datasetCommand() *cobra.Command {
	return group("dataset", "Generate taxi records, and check files of them", "  lakekit dataset generate --records 1000000 --out taxi.csv\n  lakekit dataset check train.csv.gz",
		datasetGenerate(), datasetCheck(), datasetStudy())
}

func datasetGenerate() *cobra.Command {
	var records, fromRow int64
	var seed uint64
	var format, out string
	c := &cobra.Command{
		Use: "generate", Short: "Write generated taxi records to a file or to standard output", Args: noArguments,
		Example: "  lakekit dataset generate --records 1000000 --seed 1 --format csv --out taxi.csv\n  lakekit dataset generate --from-row 1000000 --records 10 --format json\n  lakekit dataset generate --records 1000000 --format parquet --out taxi.parquet",
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			if records < 0 || fromRow < 0 || fromRow > math.MaxInt64-records {
				return usage("--records and --from-row must not be negative, nor their sum beyond 2^63")
			}
			if !slices.Contains(taxi.Formats, taxi.Format(format)) {
				return usage("--format %q: want csv, json or parquet", format)
			}
			generator, err := taxi.NewGenerator(seed)
			if err != nil {
				return err
			}
			return intoFile(cmd, out, func(w io.Writer) error {
				return generator.Write(cmd.Context(), w, taxi.Format(format), fromRow, records)
			})
		}),
	}
	flags := c.Flags()
	flags.Int64Var(&records, "records", 1000, "number of records")
	flags.Uint64Var(&seed, "seed", 1, "seed of the generator")
	flags.Int64Var(&fromRow, "from-row", 0, "first row")
	flags.StringVar(&format, "format", "csv", "csv (as the real file), json (as on the topic, one object a line) or parquet")
	flags.StringVar(&out, "out", "", "file to write (default: standard output)")
	return c
}

// intoFile writes to a file that appears whole or not at all; into a pipe or a
// device as it comes.
func intoFile(cmd *cobra.Command, path string, write func(io.Writer) error) error {
	if path == "" {
		return write(cmd.OutOrStdout())
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
		return errors.Join(write(f), f.Close())
	}
	if err := atomicfile.Replace(path, 0o644, write); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func sqlCommand() *cobra.Command {
	var format, timeZone string
	var tables []string
	c := &cobra.Command{
		Use: "sql STATEMENT", Short: "Ask Delta tables by SQL", Args: arguments(1, 1, "one statement"),
		Long: `Ask Delta tables by SQL.

A statement is bounded. The limits are settings, of the environment or in .env:
  LAKEKIT_SQL_MEMORY   memory of a statement (1.5GB)
  LAKEKIT_SQL_TEMP     disk for what does not fit into it (4GB)
  LAKEKIT_SQL_TIME     how long it may run (5m; 1h on the command line)
  LAKEKIT_SQL_RESULT   size of a result (32MB); with --format csv or json of one row
  LAKEKIT_SQL_TEXT     length of a statement (1MB)
  LAKEKIT_SQL_WAITING  statements that wait in the workshop server (32)`,
		Example: "  lakekit sql \"select count(*) from taxi_record\"\n  lakekit sql \"select * from trips limit 5\" --table trips=/data/trips --format json",
		RunE: does(func(cmd *cobra.Command, args []string) error {
			if format != "table" && format != "csv" && format != "json" {
				return usage("--format %q: want table, csv or json", format)
			}
			named, err := pairs("--table", tables)
			if err != nil {
				return err
			}
			return runSQL(cmd, args[0], format, timeZone, named)
		}),
	}
	c.Flags().StringVar(&format, "format", "table", "table (the first 10,000 rows), csv or json (all; one object a line)")
	c.Flags().StringVar(&timeZone, "time-zone", "", "session time zone (default: LAKEKIT_TIMEZONE, else UTC)")
	c.Flags().StringArrayVar(&tables, "table", nil, "NAME=URI of a table: an oss:// address or a local folder (repeatable)")
	return c
}

func runSQL(cmd *cobra.Command, statement, format, timeZone string, named map[string]string) error {
	limits, err := settings.LoadSQL()
	if err != nil {
		return err
	}
	if s, err := settings.Load(); err == nil && timeZone == "" {
		timeZone = s.TimeZone
	}
	scratch, err := os.MkdirTemp("", "lakekit-sql-")
	if err != nil {
		return fmt.Errorf("making a folder for what the statement needs beside its memory: %w; TMPDIR says where, another folder if it is set so", err)
	}
	defer os.RemoveAll(scratch)
	limits.Time = cmp.Or(limits.Time, time.Hour) // somebody sits before it
	engine, err := query.Open(query.Options{
		Limits:      server.SQLLimits(limits, "raises the limit, before the command (LAKEKIT_SQL_...=... lakekit sql) or in .env"),
		Concurrency: 1, CacheDir: filepath.Join(scratch, "cache"), TempDir: filepath.Join(scratch, "tmp"),
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	out := bufio.NewWriter(cmd.OutOrStdout())
	request := query.Request{Tables: openTable(named), TableNames: suggestions(named), TimeZone: timeZone}
	switch format { // other programs read csv and json, and see no note that there are more rows
	case "csv":
		write := (*api.Result).WriteCSV
		request.Each = func(part *api.Result) error {
			err := write(part, out)
			write = (*api.Result).WriteCSVRows
			return err
		}
	case "json":
		request.Each = func(part *api.Result) error { return part.WriteJSON(out) }
	}
	result, err := engine.Query(cmd.Context(), statement, request)
	if err == nil && format == "table" {
		err = result.WriteText(out)
	}
	return errors.Join(err, out.Flush())
}

// openTable finds the tables a statement names: local folders without any
// service, oss:// addresses and the workshop's own tables in the object store.
func openTable(named map[string]string) func(context.Context, string) (*delta.Table, error) {
	return func(ctx context.Context, name string) (*delta.Table, error) {
		uri, given := named[name]
		if !given {
			uri = name
		}
		if given && !strings.HasPrefix(uri, "oss://") || strings.HasPrefix(uri, "/") {
			return openFolder(ctx, uri)
		}
		s, err := settings.Load()
		if err != nil {
			return nil, err
		}
		address := s.TableURI(uri)
		key, err := s.CheckAddress(address, settings.Read)
		if err != nil {
			return nil, err
		}
		if key == "" {
			return nil, fmt.Errorf("%s is the whole bucket; name the folder of a table in it", address)
		}
		bucket, err := server.OpenBucket(s)
		if err != nil {
			return nil, err
		}
		table, err := delta.Open(ctx, blob.Prefix(bucket, key))
		if errors.Is(err, delta.ErrNotTable) && !given && address != uri {
			return nil, query.ErrUnknownTable
		}
		return table, err
	}
}

// suggestions lists the tables that a statement could have meant.
func suggestions(named map[string]string) func(context.Context) []string {
	return func(ctx context.Context) []string {
		names := slices.Collect(maps.Keys(named))
		if s, err := settings.Load(); err == nil {
			if bucket, err := server.OpenBucket(s); err == nil {
				names = append(names, server.TableNames(ctx, bucket, s)...)
			}
		}
		return names
	}
}

func openFolder(ctx context.Context, path string) (*delta.Table, error) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder: name the folder that holds the table's _delta_log", path)
	}
	bucket, err := blob.OpenDir(path)
	if err != nil {
		return nil, err
	}
	return delta.Open(ctx, bucket)
}
