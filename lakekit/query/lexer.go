package query

import "strings"

type tokenKind int

const (
	word       tokenKind = iota // an unquoted name or a keyword
	quotedName                  // "name"
	backtick                    // `name`
	text                        // 'text', E'text', $$text$$
	numeral
	symbol // one character of punctuation, or an operator
)

// token is a piece of a statement, without the space and comments around it.
type token struct {
	kind       tokenKind
	start, end int // bytes of the statement
	source     string

	// Set by structure: positions of tokens, -1 for none.
	inside  int // the bracket it stands in
	partner int // of a bracket, the other one
	first   int // where what it ends begins: x of x.y, x(1), x[1], x::DATE
}

func (t token) is(keyword string) bool { return t.kind == word && strings.EqualFold(t.source, keyword) }
func (t token) isSymbol(s string) bool { return t.kind == symbol && t.source == s }
func (t token) isName() bool           { return t.kind == word || t.kind == quotedName || t.kind == backtick }

// name is an identifier without its quotes.
func (t token) name() string {
	if t.kind == word {
		return t.source
	}
	return unquoteWith(t.source)
}

// unquoteWith takes off the quotes, the first character, and halves doubled
// ones.
func unquoteWith(source string) string {
	q := source[:1]
	inner := strings.TrimPrefix(source, q)
	inner = strings.TrimSuffix(inner, q)
	return strings.ReplaceAll(inner, q+q, q)
}

// tokens splits a statement. It never fails: what is not closed runs to the
// end, and DuckDB's parser says what is wrong with it.
func tokens(statement string) []token {
	var list []token
	for at := skipSpace(statement, 0); at < len(statement); {
		kind, end := next(statement, at)
		list = append(list, token{kind: kind, start: at, end: end, source: statement[at:end]})
		at = skipSpace(statement, end)
	}
	return list
}

func next(s string, at int) (tokenKind, int) {
	switch c := s[at]; {
	case c == '\'':
		return text, quotedEnd(s, at, '\'')
	case (c == 'e' || c == 'E') && at+1 < len(s) && s[at+1] == '\'':
		return text, escapedEnd(s, at+1)
	case c == '"':
		return quotedName, quotedEnd(s, at, '"')
	case c == '`':
		return backtick, quotedEnd(s, at, '`')
	case c == '$':
		if end, ok := dollarEnd(s, at); ok {
			return text, end
		}
	case isDigit(c):
		end := at
		for end < len(s) && (isWordByte(s[end]) || s[end] == '.' || isExponentSign(s, end)) {
			end++
		}
		return numeral, end
	case isWordByte(c):
		end := at
		for end < len(s) && (isWordByte(s[end]) || s[end] == '$') {
			end++
		}
		return word, end
	}
	for _, operator := range []string{"<=>", "::"} {
		if strings.HasPrefix(s[at:], operator) {
			return symbol, at + len(operator)
		}
	}
	return symbol, at + 1
}

func skipSpace(s string, at int) int {
	for at < len(s) {
		switch {
		case strings.IndexByte(" \t\r\n\f\v", s[at]) >= 0:
			at++
		case strings.HasPrefix(s[at:], "--"):
			line := strings.IndexByte(s[at:], '\n')
			if line < 0 {
				return len(s)
			}
			at += line + 1
		case strings.HasPrefix(s[at:], "/*"):
			at = commentEnd(s, at)
		default:
			return at
		}
	}
	return at
}

// commentEnd finds the end of a comment, inside which others may stand.
func commentEnd(s string, at int) int {
	depth := 0
	for at < len(s) {
		switch {
		case strings.HasPrefix(s[at:], "/*"):
			depth++
			at += 2
		case strings.HasPrefix(s[at:], "*/"):
			depth--
			at += 2
			if depth == 0 {
				return at
			}
		default:
			at++
		}
	}
	return at
}

func quotedEnd(s string, at int, quote byte) int {
	for at++; at < len(s); at++ {
		if s[at] != quote {
			continue
		}
		if at+1 < len(s) && s[at+1] == quote {
			at++
			continue
		}
		return at + 1
	}
	return len(s)
}

func escapedEnd(s string, at int) int {
	for at++; at < len(s); at++ {
		switch s[at] {
		case '\\':
			at++
		case '\'':
			if at+1 >= len(s) || s[at+1] != '\'' {
				return at + 1
			}
			at++
		}
	}
	return len(s)
}

// dollarEnd finds the end of $$text$$ or $tag$text$tag$.
func dollarEnd(s string, at int) (end int, ok bool) {
	tag := at + 1
	for tag < len(s) && isWordByte(s[tag]) {
		tag++
	}
	if tag >= len(s) || s[tag] != '$' || tag > at+1 && isDigit(s[at+1]) {
		return 0, false
	}
	delimiter := s[at : tag+1]
	length := strings.Index(s[tag+1:], delimiter)
	if length < 0 {
		return len(s), true
	}
	return tag + 1 + length + len(delimiter), true
}

// isExponentSign holds for the sign in 1e+9.
func isExponentSign(s string, at int) bool {
	return (s[at] == '+' || s[at] == '-') && (s[at-1] == 'e' || s[at-1] == 'E') && at+1 < len(s) && isDigit(s[at+1])
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isWordByte holds for letters of every script: their bytes in UTF-8 are above
// ASCII.
func isWordByte(c byte) bool {
	return c == '_' || isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
