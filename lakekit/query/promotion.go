package query

import (
	"slices"
	"strings"

	"taxilake/lakekit/delta"
)

// promoteTypes makes doubles of floats where the statement compares or
// computes them with another type, as Spark does (ANSI Compliance, Type
// Promotion and Precedence): DuckDB makes floats of the others, and 0.1 as a
// float is another number. Comparing two floats as doubles changes nothing. So it
// does with decimals that are compared with texts, which DuckDB rounds to them; it
// refuses to round a text to a whole number. What is made a text is Spark's.
func (s *parsedStatement) promoteTypes(tables map[int]delta.Schema) error {
	p := promotion{statement: s, tables: tables, edits: map[int]edit{}}
	p.visit(s.tree, nil)
	for _, e := range p.edits {
		s.edits = append(s.edits, e)
	}
	if p.refused != nil {
		return p.refused
	}
	return nil
}

// promotion walks DuckDB's syntax tree.
type promotion struct {
	statement *parsedStatement
	tables    map[int]delta.Schema // by their byte of the statement
	edits     map[int]edit         // by their byte of the statement
	refused   *Error
}

// scope is what a SELECT reads from: the tables by alias. Those of other
// SELECTs in FROM are of unknown types.
type scope struct {
	outer   *scope
	aliases []string
	schemas []delta.Schema
}

// computing operators; / gives a double in any case.
var computing = []string{"+", "-", "*", "/", "%"}

func (p *promotion) visit(node any, in *scope) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			p.visit(child, in)
		}
	case map[string]any:
		operands, _ := node["children"].([]any)
		name, _ := node["function_name"].(string)
		switch {
		case node["class"] == "LAMBDA": // its parameters have no known type
			return
		case node["type"] == "SELECT_NODE":
			in = &scope{outer: in}
			p.addTables(in, node["from_table"])
		case node["class"] == "COMPARISON":
			p.promote(in, false, node["left"], node["right"])
		case node["class"] == "BETWEEN":
			p.promote(in, false, node["input"], node["lower"], node["upper"])
		case node["type"] == "COMPARE_IN" || node["type"] == "COMPARE_NOT_IN":
			p.promote(in, false, operands...)
		case node["class"] == "SUBQUERY" && node["child"] != nil: // x IN (SELECT ...)
			p.promote(in, true, node["child"])
		case node["class"] == "FUNCTION" && slices.Contains(computing, name) && len(operands) == 2:
			p.promote(in, name == "/", operands...)
		case node["class"] == "FUNCTION" && slices.Contains(ofTexts, strings.ToLower(name)):
			for _, operand := range operands {
				if p.hasOwnText(in, operand) {
					p.around(operand, "spark_text(", ")")
				}
			}
		}
		for _, child := range node {
			p.visit(child, in)
		}
	}
}

func (p *promotion) addTables(in *scope, from any) {
	node, _ := from.(map[string]any)
	switch node["type"] {
	case "BASE_TABLE":
		schema, ok := p.tables[p.statement.back(location(node))]
		if columns, _ := node["column_name_alias"].([]any); !ok || len(columns) > 0 {
			return
		}
		alias, _ := node["alias"].(string)
		if alias == "" {
			alias, _ = node["table_name"].(string)
		}
		in.aliases, in.schemas = append(in.aliases, alias), append(in.schemas, schema)
	case "JOIN":
		p.addTables(in, node["left"])
		p.addTables(in, node["right"])
	}
}

// promote casts the operands that are floats, unless all are: then there is
// nothing to lose. Where one ends cannot always be told; then the others are cast,
// which are doubles to Spark, too.
func (p *promotion) promote(in *scope, always bool, operands ...any) {
	for _, operand := range operands {
		p.compareTexts(in.columnType(operand), operand, operands)
	}
	var others []any
	missed := false
	for _, operand := range operands {
		if !p.isFloat(in, operand) {
			others = append(others, operand)
		}
	}
	if len(others) == 0 && !always || len(others) == len(operands) {
		return
	}
	for _, operand := range operands {
		missed = p.isFloat(in, operand) && !p.cast(operand) || missed
	}
	for _, operand := range others {
		if missed {
			p.cast(operand)
		}
	}
}

// ofTexts are functions and operators that make texts of what they are given;
// ~~ is LIKE.
var ofTexts = []string{
	"||", "concat", "concat_ws", "~~", "!~~", "like_escape", "not_like_escape", "length", "lower", "upper", "substring", "substr", "left", "right",
	"replace", "split", "trim", "ltrim", "rtrim", "lpad", "rpad", "contains", "starts_with", "startswith", "endswith", "instr", "regexp_matches",
	"regexp_replace", "regexp_extract", "string_agg", "listagg",
}

// givingInstants are functions whose result is one.
var givingInstants = []string{"to_timestamp", "date_trunc", "now", "current_timestamp", "from_utc_timestamp", "to_utc_timestamp"}

// hasOwnText tells what Spark writes in another way than DuckDB, see spark_text.
func (p *promotion) hasOwnText(in *scope, expression any) bool {
	node, _ := expression.(map[string]any)
	switch node["class"] {
	case "COLUMN_REF":
		t := in.columnType(node)
		return t == delta.Timestamp || t == delta.Double || t == delta.Float
	case "CAST":
		t, _ := node["cast_type"].(map[string]any)
		return slices.Contains([]any{"TIMESTAMP WITH TIME ZONE", "DOUBLE", "FLOAT"}, t["id"])
	case "FUNCTION":
		name, _ := node["function_name"].(string)
		children, _ := node["children"].([]any)
		return slices.Contains(givingInstants, strings.ToLower(name)) || slices.Contains(keepingFloats, strings.ToLower(name)) && len(children) == 1 && p.hasOwnText(in, children[0])
	}
	return false
}

// compareTexts is for a column of a type among what it is compared with.
func (p *promotion) compareTexts(t delta.DataType, column any, operands []any) {
	_, isDecimal := t.(delta.Decimal)
	isWhole := t == delta.Long || t == delta.Integer || t == delta.Short || t == delta.Byte
	for _, operand := range operands {
		node, _ := operand.(map[string]any)
		value, ok := textConstant(node)
		switch {
		case ok && isDecimal:
			p.cast(column)
			return
		case ok && isWhole && isFixed(value) && strings.ContainsAny(value, ".eE") && p.refused == nil:
			at := p.statement.back(location(node))
			p.refused = p.statement.errorAt(at, "'%.40s' is no whole number, as the column has that it stands beside", value)
			p.refused.Hint = "write the number without quotes"
		}
	}
}

// columnType is nil for what is no column.
func (in *scope) columnType(expression any) delta.DataType {
	node, _ := expression.(map[string]any)
	if node["class"] != "COLUMN_REF" {
		return nil
	}
	return in.typeOf(columnNames(node))
}

// keepingFloats are functions and operators whose result has the type of what
// they are given.
var keepingFloats = []string{"min", "max", "first", "last", "any_value", "abs", "+", "-", "*", "%"}

func (p *promotion) isFloat(in *scope, expression any) bool {
	node, _ := expression.(map[string]any)
	switch node["class"] {
	case "COLUMN_REF":
		t := in.columnType(node)
		return t == delta.Float || t == delta.Short || t == delta.Byte // which floats hold
	case "CAST":
		t, _ := node["cast_type"].(map[string]any)
		return t["id"] == "FLOAT"
	case "FUNCTION", "WINDOW":
		name, _ := node["function_name"].(string)
		children, _ := node["children"].([]any)
		return name == "spark_float" || slices.Contains(keepingFloats, strings.ToLower(name)) && len(children) > 0 &&
			!slices.ContainsFunc(children, func(child any) bool { return !p.isFloat(in, child) })
	}
	return false
}

func columnNames(node map[string]any) []string {
	var names []string
	list, _ := node["column_names"].([]any)
	for _, name := range list {
		text, _ := name.(string)
		names = append(names, text)
	}
	return names
}

// typeOf finds a column, or a member of one; nil for none, or for several of
// different types.
func (in *scope) typeOf(names []string) delta.DataType {
	for ; in != nil; in = in.outer {
		var found []delta.DataType
		for i, schema := range in.schemas {
			for at := range names {
				if at > 0 && !strings.EqualFold(names[at-1], in.aliases[i]) {
					continue
				}
				if t := memberType(schema, names[at:]); t != nil {
					found = append(found, t)
				}
			}
		}
		switch {
		case len(found) == 1:
			return found[0]
		case len(found) > 1:
			return nil
		}
	}
	return nil
}

func memberType(t delta.DataType, names []string) delta.DataType {
	for _, name := range names {
		group, ok := t.(delta.Schema)
		if !ok {
			return nil
		}
		f, ok := group.Field(name)
		if !ok {
			return nil
		}
		t = f.Type
	}
	return t
}

// cast makes a double of an operand; false if it cannot be told where that ends.
func (p *promotion) cast(operand any) bool { return p.around(operand, "CAST(", " AS DOUBLE)") }

func (p *promotion) around(operand any, before, behind string) bool {
	node, _ := operand.(map[string]any)
	s := p.statement
	start := s.back(location(node))
	first := s.tokenAt(start)
	last := first
	switch node["class"] {
	case "COLUMN_REF":
		last += 2 * (len(columnNames(node)) - 1)
	case "CONSTANT":
		if s.token(first).isSymbol("-") {
			last++
		}
		if s.token(last).kind != numeral {
			return false
		}
	case "CAST", "FUNCTION":
		if last = s.token(first + 1).partner; !s.token(first).isName() || !s.token(first+1).isSymbol("(") || slices.ContainsFunc(behindCalls, s.token(last+1).is) {
			return false
		}
	default:
		return false
	}
	if first < 0 || last < first || last >= len(s.tokens) {
		return false
	}
	end := s.tokens[last].end
	p.edits[start] = edit{start, start, before}
	p.edits[end] = edit{end, end, behind}
	return true
}

// behindCalls are words that belong to the call they stand behind.
var behindCalls = []string{"filter", "over", "within", "ignore", "respect"}
