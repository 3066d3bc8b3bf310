package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"taxilake/lakekit/taxi"
	"taxilake/lakekit/taxi/marginals"
)

func datasetCheck() *cobra.Command {
	var fromRow, records int64
	c := &cobra.Command{
		Use: "check FILE", Short: "Read a file of taxi records and compare it with the published figures", Args: arguments(1, 1, "one file"),
		Long: `Reads a file such as Kaggle's train.csv, plain or packed with gzip or zip, and
prints how many rows it has, which are bad and why, and how its trips, fares and
mistakes compare with the published figures of the real file.

Bad rows do not make it fail; a file that breaks off, or is another file, does.`,
		Example: "  lakekit dataset check train.csv\n  lakekit dataset check new-york-city-taxi-fare-prediction.zip\n  lakekit dataset check train.csv.gz --from-row 20000000 --records 1000000",
		RunE: does(func(cmd *cobra.Command, args []string) (err error) {
			if fromRow < 0 || records < 0 {
				return usage("--from-row and --records must not be negative")
			}
			reader, err := taxi.OpenCSV(args[0])
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, reader.Close()) }()
			if err := reader.Skip(fromRow); err == io.EOF {
				return fmt.Errorf("%s has only %d rows: there is no row %d", filepath.Base(args[0]), reader.Row(), fromRow)
			} else if err != nil {
				return err
			}
			if records == 0 {
				records = math.MaxInt64
			}
			watch := newStopwatch(cmd.ErrOrStderr(), reader, records)
			report, err := marginals.Check(cmd.Context(), reader, records, watch.show)
			watch.end()
			switch {
			case errors.Is(err, context.Canceled):
				err = fmt.Errorf("stopped before row %d: go on with --from-row %d", report.NextRow, report.NextRow)
			case err != nil:
				err = fmt.Errorf("%w; the %d rows before were read", err, report.Rows+report.BadRows)
			}
			return errors.Join(report.WriteText(cmd.OutOrStdout()), err)
		}),
	}
	c.Flags().Int64Var(&fromRow, "from-row", 0, "first row, from 0")
	c.Flags().Int64Var(&records, "records", 0, "at most so many rows; 0: to the end of the file")
	return c
}

// stopwatch shows once a second how far a file has been read.
type stopwatch struct {
	out            io.Writer
	reader         *taxi.CSVReader
	records, first int64 // to read, and where it began
	doneBefore     float64
	began, shown   time.Time
}

func newStopwatch(out io.Writer, reader *taxi.CSVReader, records int64) *stopwatch {
	now := time.Now()
	return &stopwatch{out: out, reader: reader, records: records, first: reader.Row(), doneBefore: reader.Done(), began: now, shown: now}
}

func (s *stopwatch) show(row int64) {
	now := time.Now()
	if now.Sub(s.shown) < time.Second {
		return
	}
	s.shown = now
	elapsed, rows := now.Sub(s.began), row-s.first
	done := max(float64(rows)/float64(s.records), (s.reader.Done()-s.doneBefore)/max(1e-9, 1-s.doneBefore))
	left := time.Duration(float64(elapsed) * (1 - done) / done).Round(time.Second)
	fmt.Fprintf(s.out, "\r%d rows, %.1f %%, %.0f rows a second, %v left   ", row, 100*done, float64(rows)/elapsed.Seconds(), left)
}

// end begins a new line, where a line was begun.
func (s *stopwatch) end() {
	if s.shown != s.began {
		fmt.Fprintln(s.out)
	}
}

func datasetStudy() *cobra.Command {
	var records int64
	var seed uint64
	var out string
	c := &cobra.Command{
		Use: "study", Short: "Draw generated records beside the published figures", Args: noArguments,
		Long:    "Counts generated records and writes a chart of each marginal beside the published\nfigures of the real file, and a table of the distances, into a folder.",
		Example: "  lakekit dataset study --records 5000000 --out datasets/study",
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			if records <= 0 {
				return usage("--records must be positive")
			}
			generator, err := taxi.NewGenerator(seed)
			if err != nil {
				return err
			}
			counts, err := marginals.Generated(cmd.Context(), generator, 0, records)
			if err != nil {
				return err
			}
			comparison, err := counts.Compare()
			if err != nil {
				return err
			}
			return errors.Join(writeStudy(out, seed, comparison), comparison.WriteText(cmd.OutOrStdout()))
		}),
	}
	c.Flags().Int64Var(&records, "records", 5_000_000, "number of records")
	c.Flags().Uint64Var(&seed, "seed", 1, "seed of the generator")
	c.Flags().StringVar(&out, "out", "study", "folder to write to")
	return c
}

func writeStudy(folder string, seed uint64, comparison *marginals.Comparison) (err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("writing the study: %w", err)
	}
	table, err := os.Create(filepath.Join(folder, "README.md"))
	if err != nil {
		return fmt.Errorf("writing the study: %w", err)
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	fmt.Fprintf(table, "# Generated beside published\n\n%d generated rows of seed %d against `../published.json`, written by `lakekit dataset study`. A distance is beyond what rounding explains; the last column is one standard deviation of the generated rows.\n\n", comparison.Rows, seed)
	if err := comparison.WriteMarkdown(table); err != nil {
		return err
	}
	fmt.Fprintln(table)
	for _, g := range comparison.Groups {
		name, svg := g.Chart()
		if svg == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, name), svg, 0o644); err != nil {
			return fmt.Errorf("writing the study: %w", err)
		}
		fmt.Fprintf(table, "![%s](%s)\n\n", g.Name, name)
	}
	return nil
}
