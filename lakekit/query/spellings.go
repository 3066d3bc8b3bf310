package query

// spellings are what is written in Spark and unknown to DuckDB's parser, with
// what to write here. It counts where the parser stops at it or just behind it,
// and, at the beginning of a statement, wherever the parser stops.
var spellings = []struct{ words, instead string }{
	{"describe history", "a table's commits are listed by `lakekit table history`, in a notebook by lab.History"},
	{"describe detail", "a table's details are shown by `lakekit table describe`, in a notebook by lab.DescribeTable"},
	{"describe extended", "the columns of a table are listed by DESCRIBE and its name, its details by `lakekit table describe`"},
	{"describe table extended", "the columns of a table are listed by DESCRIBE and its name, its details by `lakekit table describe`"},
	{"optimize", "small files are merged by `lakekit table optimize`, in a notebook by lab.Optimize"},
	{"vacuum", "old files are deleted by `lakekit table vacuum`, in a notebook by lab.Vacuum"},
	{"restore", "an older version is brought back by `lakekit table restore`, in a notebook by lab.Restore"},
	{"version as of", "VERSION AS OF takes a whole number, such as VERSION AS OF 3"},
	{"timestamp as of", "TIMESTAMP AS OF takes a date or a time, such as TIMESTAMP AS OF '2026-01-31 12:00:00'"},
	{"array (", "an array is written [1, 2]"},
	{"div", "whole numbers are divided by //, as in 7 // 2"},
	{"left anti join", "LEFT ANTI JOIN is written ANTI JOIN"},
	{"left semi join", "LEFT SEMI JOIN is written SEMI JOIN"},
	{"rlike", "x RLIKE 'a' is written regexp_matches(x, 'a')"},
	{"lateral view", "instead of LATERAL VIEW explode(x), select unnest(x)"},
	{"window (", "to group by the hour, write date_trunc('HOUR', x)"},
	{"int (", "int(x) is written CAST(x AS INT)"},
}

// functionsInstead are functions of Spark's that have another name here.
var functionsInstead = map[string]string{
	"bigint": "CAST(x AS BIGINT)", "boolean": "CAST(x AS BOOLEAN)", "string": "CAST(x AS STRING)",
	"bround": "round_even(x, 0)", "collect_list": "list(x)", "collect_set": "list(DISTINCT x)", "explode": "unnest(x)",
	"months_between": "datediff(MONTH, from, to)", "timestampadd": "x + INTERVAL 1 HOUR",
	"nvl2": "if(x IS NULL, otherwise, value)", "rlike": "regexp_matches(x, 'a')", "sequence": "range(1, 4)", "size": "len(x)",
	"timestamp_seconds": "to_timestamp(x)",
}

// spelling is the hint for a statement whose parsing stopped at a byte, -1 for
// an unknown one; it may be empty.
func (s *parsedStatement) spelling(position int) string {
	for _, spelling := range spellings {
		words := wordsOf(spelling.words)
		for i := range s.tokens {
			last := min(i+len(words), len(s.tokens)-1) // the token behind
			near := i == 0 || s.tokens[i].start <= position && position <= s.tokens[last].end
			if near && s.matches(i, words) {
				return spelling.instead
			}
		}
	}
	return ""
}
