package query

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// statement is what the engine knows of a statement that the worker has parsed.
type statement struct {
	source  string
	explain string     // what asks for the plan instead: "EXPLAIN ", "EXPLAIN ANALYZE " or nothing
	tables  []tableRef // in the order of their text
}

// tableRef is a place where the statement names a table.
type tableRef struct {
	Name     string // as Request.Tables takes it
	Start    int    // byte of the statement
	Travel   *asOf
	ViewName string // of the view that stands for it
	filter   filter // comes to the engine as a wireFilter
}

// asOf is what a clause of time travel asks for.
type asOf struct {
	Timestamp bool   // and no version
	Value     string // as it is written
	Start     int    // byte of the statement
}

// parsedStatement is a statement in the worker.
type parsedStatement struct {
	statement
	tokens  []token
	edits   []edit
	travels map[int]*timeTravel // by their first token
	columns []string            // of the tables, for suggestions; set when it is run
	tree    any                 // DuckDB's syntax tree
	back    func(int) int       // from a byte of the tree to one of source
}

// executable returns the text for DuckDB, with the way back for positions.
func (s *parsedStatement) executable() (string, func(int) int) { return rewrite(s.source, s.edits) }

// maxTables that a statement may name.
const maxTables = 1000

// parse reads a statement with DuckDB's own parser and finds the tables it
// names.
func (w *session) parse(source string) (*parsedStatement, *parsedReply, error) {
	s := newStatement(source)
	if at := strings.IndexByte(source, 0); at >= 0 { // where a text ends for C
		return nil, nil, s.errorAt(at, "a statement has no character NUL")
	}
	if len(s.tokens) == 0 {
		return nil, nil, &Error{Message: "there is no statement"}
	}
	if err := s.applyRules(); err != nil {
		return nil, nil, err
	}
	parsable, back := s.executable()
	tree, err := w.parseTree(s, parsable, back)
	if err != nil {
		return nil, nil, err
	}
	s.tree, s.back = tree, back
	walk := treeWalk{filters: map[int]filter{}}
	walk.visit(tree, nil)
	if walk.refused != nil {
		return nil, nil, s.errorAt(back(walk.refusedAt), "%s", walk.refused.Error())
	}
	if len(walk.tables) > maxTables {
		return nil, nil, s.errorAt(back(walk.tables[maxTables].location), "a statement may name %d tables; this one names %d", maxTables, len(walk.tables))
	}
	for _, found := range walk.tables {
		if err := s.addTable(found); err != nil {
			return nil, nil, err
		}
	}
	for _, first := range slices.Sorted(maps.Keys(s.travels)) {
		if !s.travels[first].used {
			return nil, nil, s.errorAt(s.tokens[first].start, "time travel stands directly behind the name of a table, before its alias: taxi_record VERSION AS OF 3 AS t")
		}
	}
	slices.SortFunc(s.tables, func(a, b tableRef) int { return cmp.Compare(a.Start, b.Start) })
	return s, walk.reply(s), nil
}

// newStatement splits a statement, without the semicolons at its end and EXPLAIN.
func newStatement(source string) *parsedStatement {
	s := &parsedStatement{statement: statement{source: source}, tokens: tokens(source), travels: map[int]*timeTravel{}}
	for n := len(s.tokens); n > 0 && s.tokens[n-1].isSymbol(";"); n = len(s.tokens) {
		s.replace(n-1, n-1, " ")
		s.tokens = s.tokens[:n-1]
	}
	s.takeExplain()
	structure(s.tokens)
	return s
}

// takeExplain takes EXPLAIN [ANALYZE] off the statement: DuckDB's parser gives no
// syntax tree of it.
func (s *parsedStatement) takeExplain() {
	for _, keyword := range []string{"explain", "analyze"} {
		if !s.token(0).is(keyword) || keyword == "analyze" && s.explain == "" {
			return
		}
		s.explain += strings.ToUpper(keyword) + " "
		s.replace(0, 0, " ")
		s.tokens = s.tokens[1:]
	}
}

// parsed is the answer of json_serialize_sql.
type parsed struct {
	Error      bool   `json:"error"`
	Type       string `json:"error_type"`
	Message    string `json:"error_message"`
	Position   string `json:"position"`
	Statements []any  `json:"statements"`
}

func (w *session) parseTree(s *parsedStatement, parsable string, back func(int) int) (any, error) {
	// The functions that serialise refuse all statements but those that read.
	answer, err := w.text("SELECT CAST(json_serialize_sql(?::VARCHAR) AS VARCHAR)", parsable)
	if err != nil {
		return nil, s.executionError(err, back)
	}
	var p parsed
	decoder := json.NewDecoder(strings.NewReader(answer))
	decoder.UseNumber()
	if err := decoder.Decode(&p); err != nil {
		if at, found := s.infiniteNumber(); found {
			return nil, s.errorAt(at, "number out of range: the largest double is 1.8e308")
		}
		return nil, fmt.Errorf("parse statement: %w", err)
	}
	if p.Error && p.Type == "parser" {
		position, err := strconv.Atoi(p.Position)
		if err != nil {
			return nil, s.errorAt(-1, "%s", p.Message).nesting()
		}
		e := s.errorAt(back(position), "%s", p.Message)
		e.Hint = s.spelling(back(position))
		return nil, e.nesting()
	}
	if p.Error {
		e := s.errorAt(s.tokens[0].start, "only statements that read are run here: SELECT, WITH, VALUES, DESCRIBE, SUMMARIZE; not %s", strings.ToUpper(s.tokens[0].source))
		e.Hint = s.spelling(-1)
		return nil, e
	}
	if len(p.Statements) != 1 {
		return nil, s.errorAt(s.secondStatement(), "one statement at a time: there are %d", len(p.Statements))
	}
	return p.Statements[0], nil
}

// infiniteNumber finds a number beyond the range of a double, which DuckDB puts
// into its answer as Infinity, no JSON.
func (s *parsedStatement) infiniteNumber() (position int, found bool) {
	for _, t := range s.tokens {
		if t.kind != numeral {
			continue
		}
		if _, err := strconv.ParseFloat(strings.ReplaceAll(t.source, "_", ""), 64); errors.Is(err, strconv.ErrRange) {
			return t.start, true
		}
	}
	return -1, false
}

func (s *parsedStatement) secondStatement() int {
	for i, t := range s.tokens {
		if t.isSymbol(";") && i+1 < len(s.tokens) {
			return s.tokens[i+1].start
		}
	}
	return -1
}

// addTable adds the table DuckDB's parser found at a byte of the parsed text,
// and the edit that puts a view in its place.
func (s *parsedStatement) addTable(found foundTable) error {
	start := s.back(found.location)
	first := s.tokenAt(start)
	if !s.token(first).isName() {
		return s.errorAt(start, "SQL reads tables here, not files: a folder or an address of a Delta table is written delta.`/folder` or delta.`oss://bucket/table`")
	}
	last := first
	parts := []string{s.tokens[first].name()}
	for s.token(last+1).isSymbol(".") && s.token(last+2).isName() {
		last += 2
		parts = append(parts, s.tokens[last].name())
	}
	ref := tableRef{Name: strings.Join(parts, "."), Start: start, filter: found.filter}
	alias := parts[len(parts)-1]
	if len(parts) == 2 && strings.EqualFold(parts[0], "delta") {
		ref.Name = parts[1]
	}
	ref.ViewName = ref.Name
	if clause, ok := s.travels[last+1]; ok {
		clause.used = true
		kind, value := s.tokens[clause.last-3], s.tokens[clause.last]
		ref.Travel = &asOf{Timestamp: kind.is("timestamp") || kind.is("system_time"), Value: value.source, Start: value.start}
		ref.ViewName += " " + s.source[s.tokens[clause.first].start:s.tokens[clause.last].end]
	}
	replacement := quoteName(ref.ViewName)
	if ref.ViewName != alias && !found.hasAlias {
		replacement += " AS " + quoteName(alias)
	}
	from, to := s.tokens[first].start, s.tokens[last].end
	s.edits = slices.DeleteFunc(s.edits, func(e edit) bool { return e.start >= from && e.end <= to })
	s.edits = append(s.edits, edit{from, to, replacement})
	s.tables = append(s.tables, ref)
	return nil
}

// maxFilters bounds what is sent of the WHERE clauses, in bytes: a table whose
// clause is not sent is read whole.
const maxFilters = 1 << 20

// reply tells the engine of a statement and the tables it names.
func (w *treeWalk) reply(s *parsedStatement) *parsedReply {
	r := &parsedReply{Explain: s.explain, Tables: s.tables}
	sent := map[int]int{} // WHERE clauses, by the SELECT they are of
	size := 0
	for i, table := range s.tables {
		f := table.filter
		if f.where == nil {
			continue
		}
		at, known := sent[f.of]
		if !known {
			at = -1
			if text, err := json.Marshal(f.where); err == nil && size+len(text) <= maxFilters {
				at = len(r.Wheres)
				r.Wheres = append(r.Wheres, string(text))
				size += len(text)
			}
			sent[f.of] = at
		}
		if at >= 0 {
			r.Filters = append(r.Filters, wireFilter{Table: i, Where: at, Alias: f.alias, Alone: f.alone})
		}
	}
	return r
}

// treeWalk collects from DuckDB's syntax tree the tables a statement reads, and
// refuses what would read anything else.
type treeWalk struct {
	tables    []foundTable
	filters   map[int]filter // by the location of the table
	selects   int
	refused   error
	refusedAt int
}

type foundTable struct {
	location int // byte of the parsed text
	hasAlias bool
	filter   filter
}

// tableFunctions are those that read no files and no state of the engine.
var tableFunctions = []string{"range", "generate_series", "unnest", "json_each", "json_tree", "repeat"}

// visit walks a node; names are the common table expressions it can see.
func (w *treeWalk) visit(node any, names map[string]bool) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			w.visit(child, names)
		}
	case map[string]any:
		names = w.visitCTEs(node, names)
		switch node["type"] {
		case "SELECT_NODE":
			w.selects++
			for at, f := range filtersOf(node) {
				f.of = w.selects
				w.filters[at] = f
			}
		case "BASE_TABLE":
			w.table(node, names)
		case "TABLE_FUNCTION":
			w.tableFunction(node)
		case "SHOW_REF":
			if node["query"] == nil {
				w.refuse(node, "SHOW lists DuckDB's own objects, which are none of the lake's: the tables are listed by `lakekit ls oss://lake/delta`, a table's columns by DESCRIBE and its name")
			}
		}
		for _, key := range slices.Sorted(maps.Keys(node)) {
			if key != "cte_map" {
				w.visit(node[key], names)
			}
		}
	}
}

// visitCTEs visits the WITH of a node and returns the names seen below it. An
// expression sees those before it, and itself only if it is recursive.
func (w *treeWalk) visitCTEs(node map[string]any, names map[string]bool) map[string]bool {
	if name, ok := node["cte_name"].(string); ok {
		names = with(names, name)
	}
	ctes, _ := node["cte_map"].(map[string]any)
	entries, _ := ctes["map"].([]any)
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		w.visit(entry["value"], names)
		name, _ := entry["key"].(string)
		names = with(names, name)
	}
	return names
}

func with(names map[string]bool, name string) map[string]bool {
	extended := maps.Clone(names)
	if extended == nil {
		extended = map[string]bool{}
	}
	extended[strings.ToLower(name)] = true
	return extended
}

func (w *treeWalk) table(node map[string]any, names map[string]bool) {
	name, _ := node["table_name"].(string)
	if node["schema_name"] == "" && names[strings.ToLower(name)] {
		return
	}
	if node["at_clause"] != nil {
		w.refuse(node, "an older version is read with VERSION AS OF 3 or TIMESTAMP AS OF '2026-01-31', behind the table's name")
		return
	}
	w.tables = append(w.tables, foundTable{location(node), node["alias"] != "", w.filters[location(node)]})
}

func (w *treeWalk) tableFunction(node map[string]any) {
	function, _ := node["function"].(map[string]any)
	name, _ := function["function_name"].(string)
	if !slices.Contains(tableFunctions, strings.ToLower(name)) {
		w.refuse(node, fmt.Sprintf("%s(...) is not available: SQL reads tables here; a folder or an address of a Delta table is written delta.`/folder` or delta.`oss://bucket/table`", name))
	}
}

func (w *treeWalk) refuse(node map[string]any, reason string) {
	if w.refused == nil {
		w.refused, w.refusedAt = fmt.Errorf("%s", reason), location(node)
	}
}

// location is a node's byte in the parsed text; the greatest number stands for
// none.
func location(node map[string]any) int {
	number, _ := node["query_location"].(json.Number)
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil {
		return 0
	}
	return int(n)
}
