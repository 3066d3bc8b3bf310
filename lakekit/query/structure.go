package query

import (
	"slices"
	"strings"
)

// openings are the brackets by what closes them.
var openings = map[string]string{")": "(", "]": "[", "}": "{", "end": "case"}

// structure finds for each token the brackets around it and where the operand
// begins that ends with it. Tokens are seen once, whatever they are.
func structure(list []token) {
	var open []int
	for i := range list {
		t := &list[i]
		t.inside, t.partner = -1, -1
		opening, closes := t.bracket(list[max(i-1, 0)])
		for closes && len(open) > 0 && t.partner < 0 {
			last := open[len(open)-1]
			if open = open[:len(open)-1]; strings.EqualFold(list[last].source, openings[opening]) {
				t.partner, list[last].partner = last, i
			}
		}
		if len(open) > 0 {
			t.inside = open[len(open)-1]
		}
		if opening != "" && !closes {
			open = append(open, i)
		}
		t.first = operandBegin(list, i)
	}
}

// bracket is the token as a bracket, "" for none.
func (t token) bracket(before token) (bracket string, closes bool) {
	switch {
	case t.kind == symbol && strings.Contains("([{", t.source), t.is("case") && !before.isSymbol(".") && !before.is("as"):
		return strings.ToLower(t.source), false
	case t.kind == symbol && strings.Contains(")]}", t.source), t.is("end") && !before.isSymbol(".") && !before.is("as"):
		return strings.ToLower(t.source), true
	}
	return "", false
}

// Words that end no operand, so that one may begin behind them; those whose
// parentheses may be the arguments of a function, or none.
var (
	noOperands = strings.Fields(`all and any as between by case distinct div else end escape except filter from group having ilike in intersect
		is lambda like limit not offset on or over qualify regexp rlike select similar some then to union using values when where within`)
	perhapsCalled = []string{"all", "any", "ilike", "in", "like", "regexp", "rlike", "similar", "some", "using"}
)

// operandBegin finds the first token of the operand of a cast that a token ends:
// a name, a constant, a call, what is in brackets, and these with more behind them,
// as in x.y, x[1], sum(x) OVER (...) and x::DATE. It is -1 where it is not sure.
func operandBegin(list []token, i int) int {
	before := func(n int) token {
		if i < n {
			return token{kind: symbol, first: -1}
		}
		return list[i-n]
	}
	isOneOf := func(t token, words []string) bool {
		return t.kind == word && slices.Contains(words, strings.ToLower(t.source))
	}
	t, last := list[i], before(1)
	switch {
	case t.partner >= 0: // it closes
		i = t.partner
		switch last = before(1); {
		case t.is("end"):
		case t.isSymbol(")") && last.isName() && last.first >= 0, t.isSymbol("]") && last.first >= 0, last.is("map"):
			return last.first
		case last.is("filter"), last.is("over"):
			return before(2).first
		case last.is("group") && before(2).is("within"):
			return before(3).first
		case isOneOf(last, perhapsCalled):
			return -1
		}
		return i
	case t.kind == symbol, last.isSymbol("#"), last.isSymbol("$"), last.is("collate"):
		return -1
	case t.isName() && (last.isSymbol(".") || last.is("over")), last.isSymbol("::"):
		return before(2).first
	case t.kind == numeral && last.isSymbol("."):
		return i - 1
	case t.kind == text || t.kind == numeral: // of DATE '...' and INTERVAL 1, too
		if last.first >= 0 {
			return last.first
		}
		return i
	case t.is("zone") && last.is("time") && before(2).is("at"):
		return -1
	case t.is("zone") && last.is("time"): // of TIMESTAMP WITH TIME ZONE '...'
		return before(3).first
	case isOneOf(t, noOperands), last.is("is"), last.is("not") && before(2).is("is"), last.first >= 0:
		return -1
	}
	return i
}
