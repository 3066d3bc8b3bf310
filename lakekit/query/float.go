package query

import (
	"slices"
	"strings"

	"taxilake/lakekit/delta"
)

// promoteFloats makes doubles of floats where the statement compares or
// computes them with another type, as Spark does (ANSI Compliance, Type
// Promotion and Precedence): DuckDB makes floats of the others, and 0.1 as a
// float is another number. Comparing two floats as doubles changes nothing.
func (s *parsedStatement) promoteFloats(tables map[int]delta.Schema) {
	p := promotion{statement: s, tables: tables, edits: map[int]edit{}}
	p.visit(s.tree, nil)
	for _, e := range p.edits {
		s.edits = append(s.edits, e)
	}
}

func hasFloats(t delta.DataType) bool {
	if group, ok := t.(delta.Schema); ok {
		return slices.ContainsFunc(group.Fields, func(f delta.Field) bool { return hasFloats(f.Type) })
	}
	return t == delta.Float
}

// promotion walks DuckDB's syntax tree.
type promotion struct {
	statement *parsedStatement
	tables    map[int]delta.Schema // by their byte of the statement
	edits     map[int]edit         // by their byte of the statement
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
		case node["class"] == "FUNCTION" && slices.Contains(computing, name) && len(operands) == 2:
			p.promote(in, name == "/", operands...)
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

// promote casts the operands that are columns of floats, unless all are: then
// there is nothing to lose. What is computed of floats cannot be told where it
// ends, so that the number is cast that it meets.
func (p *promotion) promote(in *scope, always bool, operands ...any) {
	all := true
	for _, operand := range operands {
		all = all && p.isFloat(in, operand)
	}
	if all && !always {
		return
	}
	computed := false
	for _, operand := range operands {
		if p.isFloat(in, operand) && !p.cast(operand) {
			computed = true
		}
	}
	for _, operand := range operands {
		if node, _ := operand.(map[string]any); computed && node["class"] == "CONSTANT" {
			p.cast(operand)
		}
	}
}

// keepingFloats are functions and operators whose result has the type of what
// they are given.
var keepingFloats = []string{"min", "max", "first", "last", "any_value", "abs", "+", "-", "*", "%"}

func (p *promotion) isFloat(in *scope, expression any) bool {
	node, _ := expression.(map[string]any)
	switch node["class"] {
	case "COLUMN_REF":
		t := in.typeOf(columnNames(node))
		return t == delta.Float || t == delta.Short || t == delta.Byte // which floats hold
	case "CAST":
		t, _ := node["cast_type"].(map[string]any)
		return t["id"] == "FLOAT"
	case "FUNCTION":
		name, _ := node["function_name"].(string)
		children, _ := node["children"].([]any)
		return slices.Contains(keepingFloats, strings.ToLower(name)) && len(children) > 0 &&
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

// cast makes a double of a column or a number; false for anything else.
func (p *promotion) cast(operand any) bool {
	node, _ := operand.(map[string]any)
	tokens := p.statement.tokens
	start := p.statement.back(location(node))
	first := slices.IndexFunc(tokens, func(t token) bool { return t.start == start })
	if first < 0 {
		return false
	}
	last := first
	switch node["class"] {
	case "COLUMN_REF":
		last += 2 * (len(columnNames(node)) - 1)
	case "CONSTANT":
		if tokens[first].isSymbol("-") {
			last++
		}
		if last < len(tokens) && tokens[last].kind != numeral {
			return true // no number: it is compared as what it is
		}
	default:
		return false
	}
	if last >= len(tokens) {
		return false
	}
	end := tokens[last].end
	p.edits[start] = edit{start, start, "CAST("}
	p.edits[end] = edit{end, end, " AS DOUBLE)"}
	return true
}
