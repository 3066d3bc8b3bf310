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

	"taxilake/lakekit/delta"
)

// Error says what is wrong with a statement, and where.
type Error struct {
	Message      string
	Hint         string // what to write instead; may be empty
	Line, Column int    // from 1, in characters; 0 if there is no place
	Source       string // the line; of a long one what is around the place
	Caret        int    // characters of Source before the place
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
		}, string([]rune(e.Source)[:e.Caret]))
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
	e.Source, e.Caret = around(e.Source, e.Column-1)
	return e
}

// shownAround is how many characters are shown before and after a place.
const shownAround = 80

// around cuts a long line down to what is around a character.
func around(line string, at int) (shown string, caret int) {
	characters := []rune(line)
	first, last := max(0, at-shownAround), min(len(characters), at+shownAround)
	shown, caret = string(characters[first:last]), at-first
	if first > 0 {
		shown, caret = "…"+shown, caret+1
	}
	if last < len(characters) {
		shown += "…"
	}
	return shown, caret
}

// failure is DuckDB's error with errors_as_json, as it is on its way from the
// worker.
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
func (s *parsedStatement) executionError(err error, back func(int) int) error {
	f, ok := readFailure(err)
	if !ok {
		return fmt.Errorf("run statement: %w", err)
	}
	position := -1
	if n, err := strconv.Atoi(f.Position); err == nil {
		// A byte at which nothing begins is one of a macro's text, not of the statement's.
		at := back(n)
		if s.tokenAt(at) >= 0 {
			position = at
		}
	}
	e := s.errorAt(position, "%s", firstParagraph(f.Message))
	e.Err = err
	e.nesting()
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
	}
	return e
}

// Error is DuckDB's own message.
func (f failure) Error() string { return strings.TrimPrefix(f.Type+" Error: "+f.Message, " Error: ") }

func readFailure(err error) (failure, bool) { return errors.AsType[failure](err) }

func parseFailure(text string) failure {
	_, object, found := strings.Cut(text, "{")
	var f failure
	if !found || json.Unmarshal([]byte("{"+object), &f) != nil || f.Message == "" {
		f = failure{Message: text}
		if kind, message, hasKind := strings.Cut(text, " Error: "); hasKind {
			f = failure{Type: kind, Message: message}
		}
	}
	if len(f.Message) > longestMessage { // it quotes a value
		f.Message = strings.ToValidUTF8(f.Message[:longestMessage], "") + "…"
	}
	return f
}

const longestMessage = 2000

// nesting gives DuckDB's words for a statement that is nested too deeply, and
// for the end of its parser's stack, the form of the other mistakes.
func (e *Error) nesting() *Error {
	if strings.HasPrefix(e.Message, "memory exhausted at or near") || strings.HasPrefix(e.Message, "Max expression depth") {
		e.Message = "the statement is nested too deeply"
		e.Hint = "write it in steps, WITH a AS (SELECT ...) SELECT ... FROM a; a long chain of conditions as x IN (...), or as a table to join"
	}
	return e
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
			err := b.exec(ctx, "SELECT bit_xor(hash(COLUMNS(*))) FROM read_parquet("+quote(escapeGlob(file.path))+", hive_partitioning = false)")
			if f, ok := readFailure(err); ok && f.ofFile() {
				return fmt.Errorf("read table %s: version %d: %s: the data file is damaged: %s", s.ref.Name, s.snapshot.Version(), file.add.Path, firstParagraph(f.Message))
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
	e := s.errorAt(ref.Start, "there is no table %s", ref.Name)
	if errors.Is(cause, delta.ErrNotTable) {
		e.Message = cause.Error()
	}
	e.Err = cause
	names = slices.DeleteFunc(slices.Sorted(slices.Values(names)), func(name string) bool { return name == ref.Name })
	if near := nearest(ref.Name, names); near != "" {
		e.Hint = fmt.Sprintf("did you mean %s?", near)
	}
	if len(names) > 0 {
		e.Hint = strings.TrimSpace(e.Hint + "\nthere are " + strings.Join(names, ", "))
	}
	return e
}

// longestName is compared with others, which takes as much as both are long.
const longestName = 255

// nearest returns the candidate a typo may have meant: at most a third of its
// characters off.
func nearest(name string, candidates []string) string {
	if len(name) > longestName {
		return ""
	}
	best, distance := "", utf8.RuneCountInString(name)/3+1
	for _, c := range candidates {
		if len(c) > 2*longestName {
			continue
		}
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
