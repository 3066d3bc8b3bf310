package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"taxilake/lakekit/delta"
)

// filter is what a statement asks of the rows of a table where it names it: the
// WHERE clause in DuckDB's syntax tree, nil for none that is understood.
type filter struct {
	where any
	alias string // the table's name in the clause
	alone bool   // the only table in FROM: its columns need no alias
	of    int    // the SELECT that the clause is of
}

// filtersOf finds the tables of a SELECT whose rows its WHERE clause filters, by
// their position. A sample is drawn before the clause, and rows without a match
// in an outer join are seen by it.
func filtersOf(node map[string]any) map[int]filter {
	found := map[int]filter{}
	if node["where_clause"] != nil && node["sample"] == nil {
		addFilters(found, node["from_table"], node["where_clause"], true)
	}
	return found
}

func addFilters(found map[int]filter, from, where any, alone bool) {
	node, _ := from.(map[string]any)
	if node == nil || node["sample"] != nil {
		return
	}
	switch node["type"] {
	case "BASE_TABLE":
		alias, _ := node["alias"].(string)
		if name, ok := node["table_name"].(string); ok && alias == "" {
			alias = name
		}
		if columns, _ := node["column_name_alias"].([]any); len(columns) == 0 {
			found[location(node)] = filter{where: where, alias: alias, alone: alone}
		}
	case "JOIN":
		if node["join_type"] == "INNER" && (node["ref_type"] == "REGULAR" || node["ref_type"] == "CROSS") {
			addFilters(found, node["left"], where, false)
			addFilters(found, node["right"], where, false)
		}
	}
}

// skipping decides by the log which files of a table can hold a row that one of
// the filters lets through. DuckDB itself compares, with the types that it
// compares the columns with: it is given the smallest and the largest value of
// each file in place of the column. Whatever is not understood keeps the file.
type skipping struct {
	b        *sandbox
	snapshot *delta.Snapshot
	filter   filter
	used     []usedPartition
}

// usedPartition is a partition column of the filters.
type usedPartition struct {
	physical string
	dataType delta.DataType
}

// The tables and columns of the planning; dropped before the statement's own.
const (
	filesTable = "files to plan"
	everything = "true"
)

// keptFiles returns the positions of the files to read.
func (b *sandbox) keptFiles(ctx context.Context, snapshot *delta.Snapshot, files []delta.Add, filters []filter) ([]int, error) {
	s := &skipping{b: b, snapshot: snapshot}
	var anyOf []string
	for _, f := range filters {
		s.filter = f
		anyOf = append(anyOf, s.keeps(ctx, f.where))
	}
	if len(files) < 2 || slices.Contains(anyOf, everything) {
		return everyFile(files), nil
	}
	kept, err := s.ask(ctx, files, strings.Join(anyOf, " OR "))
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return everyFile(files), nil // such as text that is no number: the statement itself will tell
	}
	return kept, nil
}

func everyFile(files []delta.Add) []int {
	all := make([]int, len(files))
	for i := range all {
		all[i] = i
	}
	return all
}

func (s *skipping) ask(ctx context.Context, files []delta.Add, condition string) (kept []int, err error) {
	columns := "file BIGINT, stats VARCHAR"
	for i := range s.used {
		columns += fmt.Sprintf(", partition%d VARCHAR", i)
	}
	if err := s.b.exec(ctx, fmt.Sprintf("CREATE TABLE %s (%s)", quoteName(filesTable), columns)); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.b.exec(ctx, "DROP TABLE "+quoteName(filesTable))) }()
	err = s.b.append(ctx, filesTable, func(yield func([]any) bool) {
		for i, f := range files {
			row := []any{int64(i), f.Stats}
			for _, column := range s.used {
				row = append(row, partitionText(f.PartitionValues[column.physical], column.dataType, s.b.zone))
			}
			if !yield(row) {
				return
			}
		}
	})
	if err != nil {
		return nil, err
	}
	answer, err := s.b.values(ctx, fmt.Sprintf(
		"WITH given AS (SELECT * REPLACE (TRY_CAST(stats AS JSON) AS stats) FROM %s) SELECT file FROM given WHERE coalesce(%s, true) ORDER BY file", quoteName(filesTable), condition))
	for _, row := range answer {
		file, _ := row[0].(int64)
		kept = append(kept, int(file))
	}
	return kept, err
}

// keeps is a condition on a file that holds if one of its rows may fulfil the
// expression.
func (s *skipping) keeps(ctx context.Context, expression any) string {
	node, _ := expression.(map[string]any)
	children, _ := node["children"].([]any)
	switch node["type"] {
	case "CONJUNCTION_AND":
		var all []string
		for _, child := range children {
			if condition := s.keeps(ctx, child); condition != everything {
				all = append(all, condition)
			}
		}
		if len(all) > 0 {
			return "(" + strings.Join(all, " AND ") + ")"
		}
	case "CONJUNCTION_OR":
		return s.anyOf(ctx, children)
	case "COMPARE_EQUAL", "COMPARE_LESSTHAN", "COMPARE_LESSTHANOREQUALTO", "COMPARE_GREATERTHAN", "COMPARE_GREATERTHANOREQUALTO":
		operator := node["type"].(string)
		column, found := s.column(node["left"])
		value := node["right"]
		if !found {
			column, found = s.column(node["right"])
			value, operator = node["left"], mirrored[operator]
		}
		if found {
			return s.compare(ctx, column, comparison{operator, value})
		}
	case "COMPARE_BETWEEN":
		if column, found := s.column(node["input"]); found {
			return s.compare(ctx, column, comparison{"COMPARE_GREATERTHANOREQUALTO", node["lower"]}, comparison{"COMPARE_LESSTHANOREQUALTO", node["upper"]})
		}
	case "COMPARE_IN":
		return s.in(ctx, children)
	case "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL":
		if column, found := s.column(children[0]); found && node["type"] == "OPERATOR_IS_NULL" {
			return column.someNull
		} else if found {
			return column.someValue
		}
	}
	return everything
}

var mirrored = map[string]string{
	"COMPARE_EQUAL": "COMPARE_EQUAL", "COMPARE_LESSTHAN": "COMPARE_GREATERTHAN", "COMPARE_LESSTHANOREQUALTO": "COMPARE_GREATERTHANOREQUALTO",
	"COMPARE_GREATERTHAN": "COMPARE_LESSTHAN", "COMPARE_GREATERTHANOREQUALTO": "COMPARE_LESSTHANOREQUALTO",
}

func (s *skipping) anyOf(ctx context.Context, expressions []any) string {
	var conditions []string
	for _, child := range expressions {
		conditions = append(conditions, s.keeps(ctx, child))
	}
	return either(conditions)
}

// maxListed values of an IN are compared with every file.
const maxListed = 1000

// in keeps a file for one of the values. All have one type: DuckDB compares
// with what is common to them.
func (s *skipping) in(ctx context.Context, children []any) string {
	column, found := s.column(children[0])
	if !found || len(children) > maxListed || !s.sameTypes(ctx, children[1:]) {
		return everything
	}
	var conditions []string
	for _, value := range children[1:] {
		conditions = append(conditions, s.compare(ctx, column, comparison{"COMPARE_EQUAL", value}))
	}
	return either(conditions)
}

func either(conditions []string) string {
	if len(conditions) == 0 || slices.Contains(conditions, everything) {
		return everything
	}
	return "(" + strings.Join(conditions, " OR ") + ")"
}

type comparison struct {
	operator string
	value    any
}

// compare keeps a file whose bounds allow all the comparisons.
func (s *skipping) compare(ctx context.Context, column fileColumn, comparisons ...comparison) string {
	conditions := []string{column.someValue}
	var values []any
	for _, c := range comparisons {
		values = append(values, c.value)
		value, kind, ok := s.constant(ctx, c.value)
		if !ok || !column.comparesWith(kind, value) {
			return everything
		}
		atLeast, above := "coalesce(%s <= %s, true)", "coalesce(%s < %s, true)"
		switch {
		case c.operator == "COMPARE_LESSTHAN":
			conditions = append(conditions, fmt.Sprintf(above, column.low, value))
		case c.operator != "COMPARE_GREATERTHAN" && c.operator != "COMPARE_GREATERTHANOREQUALTO":
			conditions = append(conditions, fmt.Sprintf(atLeast, column.low, value))
		}
		switch {
		case column.unordered && c.operator == "COMPARE_EQUAL":
			conditions = append(conditions, fmt.Sprintf("(isnan(CAST(%s AS DOUBLE)) OR coalesce(%s >= %s, true))", value, column.high, value))
		case column.unordered:
		case c.operator == "COMPARE_GREATERTHAN":
			conditions = append(conditions, fmt.Sprintf(above, value, column.high))
		case c.operator != "COMPARE_LESSTHAN" && c.operator != "COMPARE_LESSTHANOREQUALTO":
			conditions = append(conditions, fmt.Sprintf(atLeast, value, column.high))
		}
	}
	if !s.sameTypes(ctx, values) {
		return everything
	}
	return "(" + strings.Join(conditions, " AND ") + ")"
}

func (s *skipping) sameTypes(ctx context.Context, values []any) bool {
	kinds := map[string]bool{}
	for _, value := range values {
		_, kind, ok := s.constant(ctx, value)
		if !ok {
			return false
		}
		kinds[kind] = true
	}
	return len(kinds) == 1
}

// literal is the type of 'text', which takes that of what it is compared with.
const literal = "literal"

// pureFunctions may stand in a constant, which means the same whenever it is
// asked; DuckDB writes INTERVAL with them.
var pureFunctions = []string{"-", "+", "to_years", "to_months", "to_weeks", "to_days", "to_hours", "to_minutes", "to_seconds", "trunc"}

// constant returns an expression without columns as SQL, and its type.
func (s *skipping) constant(ctx context.Context, expression any) (sql, kind string, ok bool) {
	node, _ := expression.(map[string]any)
	if text, is := textConstant(node); is {
		return quote(text), literal, true
	}
	if number, kind, is := wholeConstant(node); is {
		return "(" + number + ")", kind, true
	}
	if !isConstant(node) {
		return "", "", false
	}
	// The text of an expression is to be had as that of a statement alone.
	statement, err := json.Marshal(map[string]any{"error": false, "statements": []any{map[string]any{"node": selectOf(expression), "named_param_map": []any{}}}})
	if err != nil {
		return "", "", false
	}
	if sql, ok = s.b.text(ctx, "SELECT json_deserialize_sql(CAST(? AS JSON))", string(statement)); !ok {
		return "", "", false
	}
	if sql, ok = strings.CutPrefix(sql, "SELECT "); !ok {
		return "", "", false
	}
	kind, ok = s.b.text(ctx, "SELECT typeof("+sql+")")
	return "(" + sql + ")", kind, ok
}

// wholeConstant spares the way through DuckDB, as IN may list many.
func wholeConstant(node map[string]any) (number, kind string, ok bool) {
	value, _ := node["value"].(map[string]any)
	valueType, _ := value["type"].(map[string]any)
	kind, _ = valueType["id"].(string)
	n, isNumber := value["value"].(json.Number)
	return n.String(), kind, isNumber && node["class"] == "CONSTANT" && (kind == "INTEGER" || kind == "BIGINT")
}

func textConstant(node map[string]any) (string, bool) {
	value, _ := node["value"].(map[string]any)
	kind, _ := value["type"].(map[string]any)
	text, ok := value["value"].(string)
	return text, ok && node["class"] == "CONSTANT" && kind["id"] == "VARCHAR" && value["is_null"] == false
}

func isConstant(node map[string]any) bool {
	switch node["class"] {
	case "CONSTANT":
		return true
	case "CAST":
		child, _ := node["child"].(map[string]any)
		if text, ok := textConstant(child); ok {
			return isFixed(text)
		}
		return isConstant(child)
	case "FUNCTION":
		children, _ := node["children"].([]any)
		name, _ := node["function_name"].(string)
		return slices.Contains(pureFunctions, name) && len(children) > 0 && !slices.ContainsFunc(children, func(child any) bool {
			argument, _ := child.(map[string]any)
			return !isConstant(argument)
		})
	}
	return false
}

// isFixed tells a value from a word like 'now' or 'today'.
func isFixed(text string) bool {
	text = strings.TrimLeft(text, "+- .")
	return text != "" && isDigit(text[0])
}

// selectOf is the syntax tree of SELECT and an expression.
func selectOf(expression any) map[string]any {
	return map[string]any{
		"type": "SELECT_NODE", "modifiers": []any{}, "cte_map": map[string]any{"map": []any{}}, "select_list": []any{expression},
		"from_table":   map[string]any{"type": "EMPTY", "alias": "", "sample": nil},
		"where_clause": nil, "group_expressions": []any{}, "group_sets": []any{}, "aggregate_handling": "STANDARD_HANDLING",
		"having": nil, "sample": nil, "qualify": nil,
	}
}

// fileColumn is what the log knows of a column in a file, as SQL: NULL where it
// does not.
type fileColumn struct {
	dataType            delta.DataType
	low, high           string // no value is below or above
	someNull, someValue string // conditions
	// unordered: there may be values above high, NaN.
	unordered bool
}

// column finds the column that an expression names.
func (s *skipping) column(expression any) (fileColumn, bool) {
	node, _ := expression.(map[string]any)
	if node["class"] != "COLUMN_REF" {
		return fileColumn{}, false
	}
	names, _ := node["column_names"].([]any)
	schema := s.snapshot.Schema()
	switch {
	case len(names) == 1 && s.filter.alone:
	case len(names) == 2 && strings.EqualFold(fmt.Sprint(names[0]), s.filter.alias):
		if _, ambiguous := schema.Field(s.filter.alias); ambiguous { // perhaps a member of a struct
			return fileColumn{}, false
		}
	default:
		return fileColumn{}, false
	}
	f, ok := schema.Field(fmt.Sprint(names[len(names)-1]))
	if !ok {
		return fileColumn{}, false
	}
	switch f.Type.(type) {
	case delta.Primitive, delta.Decimal:
	default:
		return fileColumn{}, false
	}
	physical := s.snapshot.ColumnMapping().PhysicalName(f)
	if isPartitionColumn(s.snapshot.Metadata().PartitionColumns, f.Name) {
		return s.partitionColumn(physical, f.Type), true
	}
	return dataColumn(physical, f), true
}

func (s *skipping) partitionColumn(physical string, t delta.DataType) fileColumn {
	used := usedPartition{physical, t}
	i := slices.Index(s.used, used)
	if i < 0 {
		i = len(s.used)
		s.used = append(s.used, used)
	}
	text := fmt.Sprintf("partition%d", i)
	c := fileColumn{dataType: t, someNull: "(" + text + " = '')", someValue: "(" + text + " <> '')"}
	value := fmt.Sprintf("TRY_CAST(%s AS %s)", text, duckdbType(t))
	if t == delta.Float { // see promoteTypes
		value = "CAST(" + value + " AS DOUBLE)"
	}
	c.low, c.high = value, value
	return c
}

// maxJSONDigits: DuckDB reads the numbers of JSON as doubles.
const maxJSONDigits = 15

// shortestCut: engines cut texts in statistics to 32 characters or more, and not
// all of them raise what they have cut.
const shortestCut = 32

func dataColumn(physical string, f delta.Field) fileColumn {
	t := f.Type
	pointer := "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(physical)
	stat := func(kind string) string { return fmt.Sprintf("(stats ->> %s)", quote("/"+kind+pointer)) }
	nulls, rows := "TRY_CAST("+stat("nullCount")+" AS BIGINT)", "TRY_CAST((stats ->> '/numRecords') AS BIGINT)"
	c := fileColumn{
		dataType:  t,
		someNull:  fmt.Sprintf("coalesce(%s > 0, true)", nulls),
		someValue: fmt.Sprintf("coalesce(%s < %s, true)", nulls, rows),
	}
	bound := func(kind string) string { return fmt.Sprintf("TRY_CAST(%s AS %s)", stat(kind), duckdbType(t)) }
	c.low, c.high = bound("minValues"), bound("maxValues")
	switch t {
	case delta.String:
		c.low, c.high = stat("minValues"), stat("maxValues")
		c.high = fmt.Sprintf("CASE WHEN length(%s) >= %d THEN %s || chr(1114111) ELSE %s END", c.high, shortestCut, c.high, c.high)
	case delta.Float, delta.Double:
		c.unordered = true
		if t == delta.Float || f.Widened() {
			// 0.7 in the statistics of a file of floats stands for the float, which as
			// a double is 0.699999988079071; as such it is compared, see promoteTypes.
			c.low = fmt.Sprintf("least(TRY_CAST(%s AS DOUBLE), TRY_CAST(%s AS FLOAT))", stat("minValues"), stat("minValues"))
			c.high = fmt.Sprintf("greatest(TRY_CAST(%s AS DOUBLE), TRY_CAST(%s AS FLOAT))", stat("maxValues"), stat("maxValues"))
		}
		c.low = fmt.Sprintf("CASE WHEN NOT isnan(%s) THEN %s END", c.low, c.low)
	case delta.Timestamp:
		zoned := "CASE WHEN regexp_matches(%s, '(Z|[+-][0-9][0-9]:[0-9][0-9])$') THEN %s END"
		c.low, c.high = fmt.Sprintf(zoned, stat("minValues"), c.low), fmt.Sprintf(zoned, stat("maxValues"), c.high)
		c.high = "(" + c.high + " + INTERVAL 1 MILLISECOND)" // they are cut down to milliseconds
	case delta.TimestampNTZ:
		c.high = "(" + c.high + " + INTERVAL 1 MILLISECOND)"
	}
	if d, ok := t.(delta.Decimal); ok && d.Precision > maxJSONDigits {
		c.low, c.high = nullOf(t), nullOf(t)
	}
	return c
}

// comparesWith: such types keep the order of the column when DuckDB brings both to one:
// text compared as numbers, and times of the day in a zone, do not.
func (c fileColumn) comparesWith(kind, value string) bool {
	base, _, _ := strings.Cut(kind, "(")
	if kind == literal && c.dataType != delta.String {
		_, decimal := c.dataType.(delta.Decimal) // compared as doubles, see compareTexts
		return isFixed(unquoteWith(value)) && c.dataType != delta.Binary && c.dataType != delta.Boolean && !decimal
	}
	switch c.dataType {
	case delta.Long, delta.Integer, delta.Short, delta.Byte, delta.Float, delta.Double:
		return slices.Contains([]string{"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DECIMAL", "FLOAT", "DOUBLE"}, base)
	case delta.String:
		return kind == literal
	case delta.Boolean:
		return base == "BOOLEAN"
	case delta.Date, delta.TimestampNTZ:
		return base == "DATE" || base == "TIMESTAMP"
	case delta.Timestamp:
		return base == "DATE" || base == "TIMESTAMP" || base == "TIMESTAMP WITH TIME ZONE"
	}
	_, decimal := c.dataType.(delta.Decimal)
	return decimal && slices.Contains([]string{"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DECIMAL", "FLOAT", "DOUBLE"}, base)
}
