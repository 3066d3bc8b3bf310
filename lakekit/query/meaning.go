package query

import (
	"slices"
	"strings"
)

// wholeTypes are the types for which Spark's CAST cuts a number off; DuckDB's
// rounds it.
var wholeTypes = []string{"tinyint", "smallint", "short", "int", "integer", "bigint", "long"}

// wholeCasts are the functions that cut off, by the cast around them.
var wholeCasts = map[string]string{"cast": "spark_whole", "try_cast": "spark_try_whole"}

// meanings returns the edits of what DuckDB takes to mean something else than
// Spark, and the functions that they call.
func meanings(list []token) (edits []edit, calls []string) {
	var open []int // the open parentheses, as tokens
	for i, t := range list {
		next := func(n int) token { return list[min(i+n, len(list)-1)] }
		switch {
		case t.isSymbol("("):
			open = append(open, i)
		case t.isSymbol(")") && len(open) > 0:
			open = open[:len(open)-1]
		case t.is("as") && len(open) > 0 && open[len(open)-1] > 0 && list[i-1].kind != text && next(2).isSymbol(")") && slices.Contains(wholeTypes, strings.ToLower(next(1).source)):
			parenthesis := list[open[len(open)-1]]
			if call, ok := wholeCasts[strings.ToLower(list[open[len(open)-1]-1].source)]; ok {
				edits = append(edits, edit{parenthesis.start, parenthesis.end, "(" + call + "("}, edit{t.start, t.end, ") AS"})
				calls = append(calls, call)
			}
		// In Spark they are compared as equal, with NULL equal to NULL.
		case t.isSymbol("<") && next(1).isSymbol("=") && next(2).isSymbol(">") && t.end == next(1).start && next(1).end == next(2).start:
			edits = append(edits, edit{t.start, next(2).end, " IS NOT DISTINCT FROM "})
		case (t.is("float") || t.is("double")) && next(1).isSymbol("(") && (i == 0 || !list[i-1].is("as") && !list[i-1].isSymbol(".")) && (i < 2 || !list[i-1].isSymbol(":") || !list[i-2].isSymbol(":")):
			call := "spark_" + strings.ToLower(t.source)
			edits = append(edits, edit{t.start, t.end, call})
			calls = append(calls, call)
		// Spark counts the days of the week from 1, DuckDB from 0.
		case t.is("extract") && next(1).isSymbol("(") && isDayOfWeek(next(2)) && next(3).is("from"),
			t.is("date_part") && next(1).isSymbol("(") && isDayOfWeek(next(2)) && next(3).isSymbol(","):
			edits = append(edits, edit{t.start, next(1).start, "dayofweek"}, edit{next(2).start, next(3).end, ""})
			calls = append(calls, "dayofweek")
		// The unit is a keyword in Spark, a text in DuckDB.
		case isDifference(t) && next(1).isSymbol("(") && next(2).kind == word && arguments(list[i+1:]) == 3:
			edits = append(edits, edit{t.start, t.end, "datediff"}, edit{next(2).start, next(2).end, quote(next(2).source)})
			calls = append(calls, "datediff")
		}
	}
	return edits, calls
}

func isDifference(t token) bool {
	return t.is("datediff") || t.is("date_diff") || t.is("timestampdiff")
}

// arguments counts those of a call, from its parenthesis on.
func arguments(list []token) int {
	n, depth := 1, 0
	for _, t := range list {
		switch {
		case t.isSymbol("(") || t.isSymbol("["):
			depth++
		case t.isSymbol(")") || t.isSymbol("]"):
			if depth--; depth == 0 {
				return n
			}
		case t.isSymbol(",") && depth == 1:
			n++
		}
	}
	return n
}

func isDayOfWeek(t token) bool {
	unit := strings.ToLower(strings.Trim(t.source, "'"))
	return unit == "dow" || unit == "dayofweek"
}
