package query

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"taxilake/lakekit/delta"
)

// Error says what is wrong with a statement, and where.
type Error struct {
	Message      string
	Hint         string // what to write instead; may be empty
	Line, Column int    // from 1, in characters; 0 if there is no place
	Source       string // the line
	Err          error  // the cause; may be nil
}

func (e *Error) Unwrap() error { return e.Err }

// Error writes the message, the line with a caret below the place, and the
// hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if e.Line > 0 {
		number := strconv.Itoa(e.Line)
		// Tabs stay tabs, so that the caret stands where the terminal puts the
		// character above it.
		indent := strings.Map(func(c rune) rune {
			if c == '\t' {
				return c
			}
			return ' '
		}, string([]rune(e.Source)[:e.Column-1]))
		fmt.Fprintf(&b, " (line %d, column %d)\n\n  %s | %s\n  %s | %s^", e.Line, e.Column,
			number, e.Source, strings.Repeat(" ", len(number)), indent)
	}
	if e.Hint != "" {
		b.WriteString("\n" + e.Hint)
	}
	return b.String()
}

// errorAt makes an error about a byte of the statement, -1 for none.
func (s *statement) errorAt(position int, format string, args ...any) *Error {
	e := &Error{Message: fmt.Sprintf(format, args...)}
	if position < 0 || position > len(s.source) {
		return e
	}
	before := s.source[:position]
	e.Line = strings.Count(before, "\n") + 1
	start := strings.LastIndexByte(before, '\n') + 1
	e.Column = utf8.RuneCountInString(before[start:]) + 1
	e.Source, _, _ = strings.Cut(s.source[start:], "\n")
	e.Source = strings.TrimRight(e.Source, "\r")
	// A position at the end of a line that ends in \r\n stands behind its text.
	e.Column = min(e.Column, utf8.RuneCountInString(e.Source)+1)
	return e
}

// failure is DuckDB's error with errors_as_json.
type failure struct {
	Type       string `json:"exception_type"`
	Message    string `json:"exception_message"`
	Subtype    string `json:"error_subtype"`
	Position   string `json:"position"`
	Name       string `json:"name"`
	Candidates string `json:"candidates"`
}

// executionError turns DuckDB's error into one about the statement; back maps
// its position to the statement.
func (s *statement) executionError(err error, back func(int) int) error {
	f, ok := readFailure(err)
	if !ok {
		return fmt.Errorf("run statement: %w", err)
	}
	position := -1
	if n, err := strconv.Atoi(f.Position); err == nil {
		// A byte at which nothing begins is one of a macro's text, not of the statement's.
		at := back(n)
		if slices.ContainsFunc(s.tokens, func(t token) bool { return t.start == at }) {
			position = at
		}
	}
	e := s.errorAt(position, "%s", firstParagraph(f.Message))
	e.Err = err
	switch {
	case f.Subtype == "COLUMN_NOT_FOUND" && f.Name != "":
		candidates := append(slices.Clone(s.columns), splitCandidates(f.Candidates)...)
		e.Message = fmt.Sprintf("there is no column %q", f.Name)
		if near := nearest(f.Name, candidates); near != "" {
			e.Hint = fmt.Sprintf("did you mean %s?", near)
		} else if len(s.columns) > 0 {
			e.Hint = "the columns are " + strings.Join(s.columns, ", ")
		}
		if position >= 0 && position < len(s.source) && s.source[position] == '"' {
			e.Hint = strings.TrimSpace(e.Hint + "\na text is written '" + f.Name + "'; in double quotes it is a column")
		}
	case f.Type == "Catalog" && f.Subtype == "MISSING_ENTRY" && f.Name != "":
		e.Message = fmt.Sprintf("there is no function %s", f.Name)
		if instead, ok := functionsInstead[strings.ToLower(f.Name)]; ok {
			e.Hint = "write " + instead
		} else if near := nearest(f.Name, append(slices.Sorted(maps.Keys(sparkFunctions)), splitCandidates(f.Candidates)...)); near != "" {
			e.Hint = fmt.Sprintf("did you mean %s?", near)
		}
	case f.Type == "Out of Memory":
		e.Hint = "group, filter or LIMIT to less, or give the engine more memory"
	}
	return e
}

func readFailure(err error) (failure, bool) {
	var thrown *duckdb.Error
	if !errors.As(err, &thrown) {
		return failure{}, false
	}
	_, object, found := strings.Cut(thrown.Msg, "{")
	var f failure
	if !found || json.Unmarshal([]byte("{"+object), &f) != nil || f.Message == "" {
		kind, message, hasKind := strings.Cut(thrown.Msg, " Error: ")
		if !hasKind {
			message = thrown.Msg
		}
		return failure{Type: kind, Message: message}, true
	}
	return f, true
}

// ofFile tells whether a damaged Parquet file may be behind it, which DuckDB
// seldom names.
func (f failure) ofFile() bool {
	return f.Type == "IO" || f.Type == "Invalid" || f.Type == "Invalid Input" && strings.Contains(strings.ToLower(f.Message), "parquet")
}

// damagedFile reads the files of a failed statement one by one and returns the
// error of the first that cannot be read, nil for none.
func (b *sandbox) damagedFile(ctx context.Context, sources []*source) error {
	for _, s := range sources {
		for _, file := range s.files {
			// A count would be answered by the statistics of the file.
			_, err := b.conn.ExecContext(ctx, "SELECT bit_xor(hash(COLUMNS(*))) FROM read_parquet("+quote(escapeGlob(file.path))+", hive_partitioning = false)")
			if f, ok := readFailure(err); ok && f.ofFile() {
				return fmt.Errorf("read table %s: version %d: %s: the data file is damaged: %s", s.ref.name, s.snapshot.Version(), file.add.Path, firstParagraph(f.Message))
			}
		}
	}
	return nil
}

// firstParagraph leaves out DuckDB's own excerpt of the statement, which is the
// rewritten one.
func firstParagraph(message string) string {
	message, _, _ = strings.Cut(message, "\n\nLINE ")
	return strings.TrimSpace(message)
}

// splitCandidates reads DuckDB's list, in which a name may carry its table.
func splitCandidates(list string) []string {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.Trim(strings.TrimSpace(name), `"`)
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// unknownTable is the error for a name without a table, or for one that stands
// for a place where no table is.
func (s *statement) unknownTable(ref tableRef, names []string, cause error) error {
	e := s.errorAt(ref.start, "there is no table %s", ref.name)
	if errors.Is(cause, delta.ErrNotTable) {
		e.Message = cause.Error()
	}
	e.Err = cause
	names = slices.DeleteFunc(slices.Sorted(slices.Values(names)), func(name string) bool { return name == ref.name })
	if near := nearest(ref.name, names); near != "" {
		e.Hint = fmt.Sprintf("did you mean %s?", near)
	}
	if len(names) > 0 {
		e.Hint = strings.TrimSpace(e.Hint + "\nthere are " + strings.Join(names, ", "))
	}
	return e
}

// nearest returns the candidate a typo may have meant: at most a third of its
// characters off.
func nearest(name string, candidates []string) string {
	best, distance := "", utf8.RuneCountInString(name)/3+1
	for _, c := range candidates {
		short := c[strings.LastIndexByte(c, '.')+1:]
		if d := editDistance(strings.ToLower(name), strings.ToLower(short)); cmp.Less(d, distance) {
			best, distance = c, d
		}
	}
	return best
}

// editDistance counts the characters to insert, delete, replace or swap with
// their neighbour.
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		for j := range rows[i] {
			switch {
			case i == 0 || j == 0:
				rows[i][j] = i + j
			case x[i-1] == y[j-1]:
				rows[i][j] = rows[i-1][j-1]
			default:
				rows[i][j] = 1 + min(rows[i-1][j], rows[i][j-1], rows[i-1][j-1])
				if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
					rows[i][j] = min(rows[i][j], 1+rows[i-2][j-2])
				}
			}
		}
	}
	return rows[len(x)][len(y)]
}
