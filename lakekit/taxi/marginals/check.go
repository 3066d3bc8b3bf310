package marginals

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"taxilake/lakekit/taxi"
)

// Report is what Check found in a file.
type Report struct {
	FromRow  int64 // the row it began with
	NextRow  int64 // the row to go on with
	Rows     int64 // rows that were read
	BadRows  int64
	Problems []Problem // the most frequent first
	Counts   Counts
	Complete bool // the file was read to its end
}

// Problem is a reason why rows are bad.
type Problem struct {
	Reason string
	Rows   int64
	Lines  []int64 // of the first few
	First  string  // the first of them in words
}

const (
	// Lines and reasons are bounded, so that a file which is none of taxi
	// records takes no more memory than one that is.
	linesOfProblem = 5
	mostProblems   = 50
	otherProblems  = "other reasons"
)

// Check reads at most n rows from where the reader stands, to the file's end
// with n = math.MaxInt64, and counts them. The report is valid also with an
// error: the file broke off, or ctx ended. Progress may be nil and is called
// every few thousand rows.
func Check(ctx context.Context, reader *taxi.CSVReader, n int64, progress func(rows int64)) (*Report, error) {
	const rowsPerProgress = 1 << 13
	report := &Report{FromRow: reader.Row()}
	problems := map[string]*Problem{}
	var r taxi.Record
	var failed error
	for report.NextRow = reader.Row(); reader.Row()-report.FromRow < n; report.NextRow = reader.Row() {
		err := reader.Read(&r)
		if err == io.EOF {
			report.Complete = true
			break
		}
		var bad *taxi.RowError
		switch {
		case errors.As(err, &bad):
			report.BadRows++
			note(problems, bad)
		case err != nil:
			failed = err
		default:
			report.Rows++
			report.Counts.Add(&r)
		}
		if failed != nil {
			break
		}
		if reader.Row()%rowsPerProgress == 0 {
			if progress != nil {
				progress(reader.Row())
			}
			if ctx.Err() != nil {
				failed = context.Cause(ctx)
				report.NextRow = reader.Row()
				break
			}
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(problems)) {
		report.Problems = append(report.Problems, *problems[reason])
	}
	slices.SortStableFunc(report.Problems, func(a, b Problem) int { return int(b.Rows - a.Rows) })
	return report, failed
}

func note(problems map[string]*Problem, bad *taxi.RowError) {
	reason := bad.Reason()
	if problems[reason] == nil && len(problems) >= mostProblems {
		reason = otherProblems
	}
	p := problems[reason]
	if p == nil {
		p = &Problem{Reason: reason, First: bad.Error()}
		problems[reason] = p
	}
	p.Rows++
	if len(p.Lines) < linesOfProblem {
		p.Lines = append(p.Lines, bad.Line)
	}
}

// WriteText writes the report for people: rows, bad rows by reason, and the
// marginals next to the published ones.
func (r *Report) WriteText(w io.Writer) error {
	if r.NextRow == r.FromRow {
		_, err := fmt.Fprintf(w, "no rows from row %d on\n", r.FromRow)
		return err
	}
	fmt.Fprintf(w, "rows %d to %d: %d good, %d bad\n", r.FromRow, r.NextRow-1, r.Rows, r.BadRows)
	for _, p := range r.Problems {
		rows := "rows"
		if p.Rows == 1 {
			rows = "row"
		}
		fmt.Fprintf(w, "  %d %s: %s, at %s\n", p.Rows, rows, p.Reason, lines(p))
	}
	if r.Rows == 0 {
		return nil
	}
	if n := r.Counts.keysOfOtherTimes; n > 0 {
		fmt.Fprintf(w, "  %d keys do not begin with the pickup time\n", n)
	}
	comparison, err := r.Counts.Compare()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nThe marginals next to the published ones of the real file. A distance is beyond\nwhat rounding explains; with %d rows some is chance.\n\n", r.Rows)
	return comparison.WriteText(w)
}

func lines(p Problem) string {
	text := "line"
	if p.Rows > 1 {
		text = "lines"
	}
	for i, line := range p.Lines {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(" %d", line)
	}
	if p.Rows > int64(len(p.Lines)) {
		text += ", ..."
	}
	return text
}
