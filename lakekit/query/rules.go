package query

import (
	"slices"
	"strings"
)

// A rule says how DuckDB is told what a piece of Spark's SQL means.
type rule struct {
	words string // it is for these tokens, see wordsOf
	when  func(s *parsedStatement, i int) bool
	to    string                                // what they are replaced with; $2 is the second of them
	apply func(s *parsedStatement, i int) error // where there is more to do; i is the first of them
}

const dayOfWeek = "dow|dayofweek|'dow'|'dayofweek'"

// rules, of which the first that fits is applied.
var rules = []rule{
	{words: "<backtick>", apply: quoteBackticks},
	{words: "system_version|version as of <number>|<text>", apply: (*parsedStatement).travel},
	{words: "system_time|timestamp as of <text>", apply: (*parsedStatement).travel},
	{words: "timestamp|timestamp_ltz", when: isType, to: "TIMESTAMPTZ"},
	{words: "timestamp_ntz", when: isType, to: "TIMESTAMP"},
	{words: "as", when: ofCast, apply: cast},
	{words: "::", apply: castOperator},
	{words: "float (", when: isCall, to: "spark_float("},
	{words: "double (", when: isCall, to: "spark_double("},
	// In Spark NULL is equal to NULL here.
	{words: "<=>", to: " IS NOT DISTINCT FROM "},
	// Spark counts the days of the week from 1, DuckDB from 0.
	{words: "extract ( " + dayOfWeek + " from", to: "dayofweek("},
	{words: "date_part ( " + dayOfWeek + " ,", to: "dayofweek("},
	// The unit is a keyword in Spark, a text in DuckDB.
	{words: "datediff|date_diff|timestampdiff ( <word> ,", when: hasThreeArguments, to: "datediff('$3',"},
	{words: "date_format|from_unixtime|to_date|to_timestamp|unix_timestamp (", apply: pattern},
}

// rulesOf are the rules by the words and the kinds that they begin with.
var rulesOf = func() map[string][]compiledRule {
	of := map[string][]compiledRule{}
	for _, r := range rules {
		words := wordsOf(r.words)
		for _, first := range words[0] {
			of[first] = append(of[first], compiledRule{r, words[1:]})
		}
	}
	return of
}()

type compiledRule struct {
	rule
	behind [][]string // what follows the first token
}

// kinds are the words of rules that stand for any token of a kind.
var kinds = map[tokenKind]string{word: "<word>", backtick: "<backtick>", text: "<text>", numeral: "<number>"}

// wordsOf reads the tokens of a rule: keywords, symbols, texts and kinds, between
// spaces, with alternatives as in a|b.
func wordsOf(pattern string) [][]string {
	var words [][]string
	for _, alternatives := range strings.Fields(pattern) {
		words = append(words, strings.Split(alternatives, "|"))
	}
	return words
}

// matches tells whether the tokens from i on are the words.
func (s *parsedStatement) matches(i int, words [][]string) bool {
	if i+len(words) > len(s.tokens) {
		return false
	}
	for n, alternatives := range words {
		t := s.tokens[i+n]
		if !slices.ContainsFunc(alternatives, func(w string) bool { return w == kinds[t.kind] || strings.EqualFold(w, t.source) }) {
			return false
		}
	}
	return true
}

// applyRules goes through the statement once. What a rule has matched no other one
// sees.
func (s *parsedStatement) applyRules() error {
	for i := 0; i < len(s.tokens); i++ {
		t := s.tokens[i]
		begin := kinds[t.kind]
		if t.kind == word || t.kind == symbol {
			begin = strings.ToLower(t.source)
		}
		for _, r := range rulesOf[begin] {
			if !s.matches(i+1, r.behind) || r.when != nil && !r.when(s, i) {
				continue
			}
			last := i + len(r.behind)
			if r.apply == nil {
				to := r.to
				for n := range r.behind {
					to = strings.ReplaceAll(to, "$"+string(rune('2'+n)), s.tokens[i+1+n].source)
				}
				s.replace(i, last, to)
			} else if err := r.apply(s, i); err != nil {
				return err
			}
			i = last
			break
		}
	}
	return nil
}

// token is the one at a position, an empty symbol where there is none.
func (s *parsedStatement) token(i int) token {
	if i < 0 || i >= len(s.tokens) {
		return token{kind: symbol, inside: -1, partner: -1, first: -1}
	}
	return s.tokens[i]
}

// tokenAt is the position of the token that begins at a byte, -1 for none.
func (s *parsedStatement) tokenAt(start int) int {
	i, found := slices.BinarySearchFunc(s.tokens, start, func(t token, start int) int { return t.start - start })
	if !found {
		return -1
	}
	return i
}

// replace replaces the tokens from first to last.
func (s *parsedStatement) replace(first, last int, replacement string) {
	s.edits = append(s.edits, edit{s.tokens[first].start, s.tokens[last].end, replacement})
}

// arguments are the first tokens of those of a call, given its parenthesis.
func (s *parsedStatement) arguments(open int) []int {
	end := s.tokens[open].partner
	var first []int
	for i := open + 1; i < end; i++ {
		if i == open+1 || s.tokens[i-1].isSymbol(",") {
			first = append(first, i)
		}
		i = max(i, s.tokens[i].partner)
	}
	return first
}

// isType tells a type from a name: TIMESTAMP '...', x::TIMESTAMP,
// CAST(x AS TIMESTAMP).
func isType(s *parsedStatement, i int) bool {
	before, behind := s.token(i-1), s.token(i+1)
	if behind.is("with") || behind.is("without") { // TIMESTAMP WITH TIME ZONE says it itself
		return false
	}
	return behind.kind == text || before.isSymbol("::") || before.is("as") && ofCast(s, i)
}

// ofCast holds for what stands in a CAST and in no other brackets.
func ofCast(s *parsedStatement, i int) bool {
	call := s.token(s.tokens[i].inside - 1)
	return call.is("cast") || call.is("try_cast")
}

// isCall tells double(x) from a type or a member.
func isCall(s *parsedStatement, i int) bool {
	before := s.token(i - 1)
	return !before.is("as") && !before.isSymbol(".") && !before.isSymbol("::")
}

func hasThreeArguments(s *parsedStatement, i int) bool { return len(s.arguments(i+1)) == 3 }

func quoteBackticks(s *parsedStatement, i int) error {
	s.replace(i, i, quoteName(s.tokens[i].name()))
	return nil
}

// timeTravel is a clause VERSION AS OF or TIMESTAMP AS OF.
type timeTravel struct {
	first, last int // tokens
	used        bool
}

// travel takes a clause of time travel out of the statement.
func (s *parsedStatement) travel(i int) error {
	clause := &timeTravel{first: i, last: i + 3}
	if s.token(i - 1).is("for") {
		clause.first--
	}
	s.travels[clause.first] = clause
	blank := s.tokens[clause.last].end - s.tokens[clause.first].start
	s.replace(clause.first, clause.last, strings.Repeat(" ", blank))
	return nil
}

// casts to these types are other ones than DuckDB's, which rounds numbers and writes
// times with an offset: what is put around x in CAST(x AS type) and in TRY_CAST.
var casts = []struct {
	types         []string
	cast, tryCast string
}{
	{[]string{"tinyint", "smallint", "short", "int", "integer", "bigint", "long"}, "spark_whole(", "spark_try_whole("},
	{[]string{"string", "varchar", "text", "char"}, "spark_text(", "spark_text("},
}

// wholeCast is the position of those to whole numbers in casts.
const wholeCast = 0

// castTo finds the cast to the type at a token; -1 for none of them.
func castTo(t token) int {
	for i, c := range casts {
		if t.kind == word && slices.Contains(c.types, strings.ToLower(t.source)) {
			return i
		}
	}
	return -1
}

// isPlain tells whether the token ends x::type or CAST(x AS type) of a type whose
// values need nothing around them: whole numbers, and texts that are made texts.
func (s *parsedStatement) isPlain(last, to int) bool {
	t := s.token(last)
	if call := s.token(t.partner - 1); t.isSymbol(")") && (call.is("cast") || call.is("try_cast")) {
		last--
	} else if !s.token(last - 1).isSymbol("::") {
		return false
	}
	from := castTo(s.token(last))
	return from == to || from == wholeCast
}

// cast does CAST(x AS type).
func cast(s *parsedStatement, as int) error {
	open := s.tokens[as].inside
	to := castTo(s.token(as + 1))
	end := as + 2
	if s.token(end).isSymbol("(") { // VARCHAR(30)
		end = s.tokens[end].partner + 1
	}
	last := s.token(as - 1)
	if to < 0 || end != s.tokens[open].partner || last.kind == text && as == open+2 && !isFixed(unquoteWith(last.source)) {
		return nil // of CAST('x' AS INT) DuckDB knows the place
	}
	if last.first == open+1 && s.isPlain(as-1, to) {
		return nil
	}
	macro := casts[to].cast
	if s.tokens[open-1].is("try_cast") {
		macro = casts[to].tryCast
	}
	s.replace(open, open, "("+macro)
	s.replace(as, as, ") AS")
	return nil
}

// castOperator does x::type.
func castOperator(s *parsedStatement, i int) error {
	first, last := s.token(i-1).first, s.token(i-1)
	to := castTo(s.token(i + 1))
	switch {
	case to < 0, first < 0, s.token(i + 2).isSymbol("["):
	case s.isPlain(i-1, to):
	case last.kind == numeral && strings.Trim(last.source, "0123456789") == "":
	default:
		s.edits = append(s.edits, edit{s.tokens[first].start, s.tokens[first].start, casts[to].cast})
		s.replace(i, i, ")::")
	}
	return nil
}

// pattern turns a pattern into strftime's. DuckDB wants it as a constant,
// so it can be read off the statement.
func pattern(s *parsedStatement, i int) error {
	arguments := s.arguments(i + 1)
	if len(arguments) != 2 {
		return nil
	}
	argument := s.tokens[arguments[1]]
	if arguments[1]+1 != s.tokens[i+1].partner || argument.kind != text || argument.source[0] != '\'' {
		return s.errorAt(argument.start, "a pattern is one text in quotes, such as 'yyyy-MM-dd'")
	}
	format, err := strftimePattern(unquoteWith(argument.source))
	if err != nil {
		return s.errorAt(argument.start, "%s", err)
	}
	s.replace(arguments[1], arguments[1], quote(format))
	return nil
}
