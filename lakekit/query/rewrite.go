package query

import (
	"cmp"
	"slices"
	"strings"
)

// edit replaces bytes of a statement, or puts some in front of one.
type edit struct {
	start, end  int
	replacement string
}

// rewrite applies edits, which do not overlap, and returns with the new text
// the way back: from a byte of it to the byte of the statement it stands for.
func rewrite(statement string, edits []edit) (text string, back func(int) int) {
	edits = slices.Clone(edits)
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end)) })
	var b strings.Builder
	at := 0
	starts := make([]int, len(edits)) // of each replacement in the new text
	for i, e := range edits {
		b.WriteString(statement[at:e.start])
		starts[i] = b.Len()
		b.WriteString(e.replacement)
		at = e.end
	}
	b.WriteString(statement[at:])
	return b.String(), func(position int) int {
		shift := 0
		for i, e := range edits {
			if position < starts[i] {
				break
			}
			if position < starts[i]+len(e.replacement) {
				return e.start
			}
			shift = e.end - (starts[i] + len(e.replacement))
		}
		return min(max(position+shift, 0), len(statement))
	}
}

// timeTravel is a clause VERSION AS OF or TIMESTAMP AS OF.
type timeTravel struct {
	first, last int   // tokens
	version     token // a number
	timestamp   token // a text; one of the two is there
}

// travels finds the clauses of time travel, keyed by their first token.
//
//	[FOR] [SYSTEM_]VERSION AS OF number | [FOR] [SYSTEM_TIME|TIMESTAMP] AS OF 'text'
func travels(list []token) map[int]timeTravel {
	found := map[int]timeTravel{}
	for i := 0; i+3 < len(list); i++ {
		if !list[i+1].is("as") || !list[i+2].is("of") {
			continue
		}
		clause := timeTravel{first: i, last: i + 3}
		value := list[i+3]
		switch {
		case (list[i].is("version") || list[i].is("system_version")) && (value.kind == numeral || value.kind == text):
			clause.version = value
		case (list[i].is("timestamp") || list[i].is("system_time")) && value.kind == text:
			clause.timestamp = value
		default:
			continue
		}
		if i > 0 && list[i-1].is("for") {
			clause.first--
		}
		found[clause.first] = clause
	}
	return found
}

// dialect returns the edits that turn Spark's spellings into DuckDB's: names in
// backticks, TIMESTAMP as an instant, no time travel.
func dialect(list []token, clauses map[int]timeTravel) []edit {
	var edits []edit
	var casts castDepth
	for i := 0; i < len(list); i++ {
		if clause, ok := clauses[i]; ok {
			start, end := list[i].start, list[clause.last].end
			edits = append(edits, edit{start, end, strings.Repeat(" ", end-start)})
			i = clause.last
			continue
		}
		casts.see(list, i)
		t := list[i]
		if t.kind == backtick {
			edits = append(edits, edit{t.start, t.end, quoteName(t.name())})
		} else if replacement, ok := timestampTypes[strings.ToLower(t.source)]; ok && t.kind == word && isType(list, i, casts) {
			edits = append(edits, edit{t.start, t.end, replacement})
		}
	}
	return edits
}

// timestampTypes are Spark's names of the two types of timestamp.
var timestampTypes = map[string]string{
	"timestamp": "TIMESTAMPTZ", "timestamp_ltz": "TIMESTAMPTZ", "timestamp_ntz": "TIMESTAMP",
}

// isType tells a type from a name: TIMESTAMP '...', x::TIMESTAMP,
// CAST(x AS TIMESTAMP).
func isType(list []token, i int, casts castDepth) bool {
	follows := func(keyword string) bool { return i+1 < len(list) && list[i+1].is(keyword) }
	if follows("with") || follows("without") { // TIMESTAMP WITH TIME ZONE says it itself
		return false
	}
	switch {
	case i+1 < len(list) && list[i+1].kind == text:
		return true
	case i > 1 && list[i-1].isSymbol(":") && list[i-2].isSymbol(":"):
		return true
	}
	return i > 0 && list[i-1].is("as") && casts.inside()
}

// castDepth knows whether the innermost open parenthesis is that of a CAST.
type castDepth []bool

func (c *castDepth) see(list []token, i int) {
	switch {
	case list[i].isSymbol("("):
		*c = append(*c, i > 0 && (list[i-1].is("cast") || list[i-1].is("try_cast")))
	case list[i].isSymbol(")") && len(*c) > 0:
		*c = (*c)[:len(*c)-1]
	}
}

func (c castDepth) inside() bool { return len(c) > 0 && c[len(c)-1] }
