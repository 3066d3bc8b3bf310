package delta

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// predicate is conditions on columns that must all be true.
type predicate []condition

type condition struct {
	column   Field
	operator string // = != < <= > >= IN, IS NULL, IS NOT NULL
	values   []any  // as partitionKey makes them
}

// predicateToken: a word, a `quoted` name, a 'quoted' text in which two quotes are one, an operator.
var predicateToken = regexp.MustCompile("^(?:" +
	"([A-Za-z_][A-Za-z_0-9.]*|`[^`]+`)" + // word or quoted name
	"|('(?:[^']|'')*')" + // text
	"|([-+]?[0-9][0-9A-Za-z_.+-]*)" + // number
	"|(<=|>=|<>|!=|=|<|>|\\(|\\)|,))")

func tokens(text string) ([]string, error) {
	var out []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		token := predicateToken.FindString(text)
		if token == "" {
			return nil, fmt.Errorf("cannot read %q: conditions are COLUMN = VALUE, joined by AND", text)
		}
		out = append(out, token)
		text = text[len(token):]
	}
	return out, nil
}

// parsePredicate reads "column OP literal", "column IN (literal, ...)" and
// "column IS [NOT] NULL" joined by AND, on these columns, which are of a kind:
// "column", "partition column".
func parsePredicate(text string, columns []Field, kind string) (predicate, error) {
	words, err := tokens(text)
	if err != nil {
		return nil, err
	}
	p := predicateParser{words: words, columns: columns, kind: kind}
	var conditions predicate
	for {
		c, err := p.condition()
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, c)
		if len(p.words) == 0 {
			return conditions, nil
		}
		if !p.take("AND") {
			return nil, fmt.Errorf("expected AND, not %q: conditions are joined by AND", p.words[0])
		}
	}
}

type predicateParser struct {
	words   []string
	columns []Field
	kind    string
}

// take consumes a keyword or sign if it comes next.
func (p *predicateParser) take(word string) bool {
	if len(p.words) == 0 || !strings.EqualFold(p.words[0], word) {
		return false
	}
	p.words = p.words[1:]
	return true
}

func (p *predicateParser) next() (string, error) {
	if len(p.words) == 0 {
		return "", errors.New("it ends too early")
	}
	word := p.words[0]
	p.words = p.words[1:]
	return word, nil
}

func (p *predicateParser) condition() (condition, error) {
	name, err := p.next()
	if err != nil {
		return condition{}, err
	}
	column := slices.IndexFunc(p.columns, func(f Field) bool { return strings.EqualFold(f.Name, strings.Trim(name, "`")) })
	if column < 0 {
		return condition{}, fmt.Errorf("%s is no %s (they are: %s)", name, p.kind, fieldList(p.columns))
	}
	c := condition{column: p.columns[column]}
	switch {
	case p.take("IS"):
		c.operator = "IS NULL"
		if p.take("NOT") {
			c.operator = "IS NOT NULL"
		}
		if !p.take("NULL") {
			return condition{}, errors.New("expected NULL or NOT NULL after IS")
		}
		return c, nil
	case !isPlain(c.column.Type):
		return condition{}, fmt.Errorf("%s is a %s: only IS NULL and IS NOT NULL can be asked of it", name, c.column.Type)
	case p.take("IN"):
		return p.list(c)
	}
	sign, err := p.next()
	if err != nil {
		return condition{}, err
	}
	if c.operator = sign; sign == "<>" {
		c.operator = "!="
	}
	if !slices.Contains([]string{"=", "!=", "<", "<=", ">", ">="}, c.operator) {
		return condition{}, fmt.Errorf("expected a comparison after %s, not %q", name, sign)
	}
	value, err := p.literal(c.column)
	c.values = []any{value}
	return c, err
}

func isPlain(t DataType) bool {
	switch t.(type) {
	case Primitive, Decimal:
		return true
	}
	return false
}

func (p *predicateParser) list(c condition) (condition, error) {
	c.operator = "IN"
	if !p.take("(") {
		return c, errors.New("expected ( after IN")
	}
	for {
		value, err := p.literal(c.column)
		if err != nil {
			return c, err
		}
		c.values = append(c.values, value)
		if p.take(")") {
			return c, nil
		}
		if !p.take(",") {
			return c, errors.New("expected , or ) in the list after IN")
		}
	}
}

func (p *predicateParser) literal(column Field) (any, error) {
	word, err := p.next()
	if err != nil {
		return nil, err
	}
	quoted := strings.HasPrefix(word, "'")
	if quoted {
		word = strings.ReplaceAll(word[1:len(word)-1], "''", "'")
	} else if column.Type == String || column.Type == Binary {
		return nil, fmt.Errorf("%s is a %s: write the value as '%s'", column.Name, column.Type, word)
	}
	t := column.Type
	if t == Float { // of which 0.1 is none: it is compared as a double, as in Spark
		t = Double
	}
	value, err := partitionKey(word, t)
	if err != nil {
		return nil, fmt.Errorf("%q is no %s: %w", word, column.Type, err)
	}
	return value, nil
}

func fieldList(fields []Field) string {
	if len(fields) == 0 {
		return "none, the table is not partitioned"
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

// matches is whether the condition is true for the text of a partition value;
// like a comparison in SQL it is not for null.
func (c condition) matches(text string) (bool, error) {
	switch c.operator {
	case "IS NULL", "IS NOT NULL":
		return (text == "") == (c.operator == "IS NULL"), nil
	}
	if text == "" {
		return false, nil
	}
	value, err := partitionKey(text, c.column.Type)
	if err != nil {
		return false, fmt.Errorf("%w: partition value %q is no %s: %w", ErrCorruptLog, text, c.column.Type, err)
	}
	return c.holds(func(v any) int { return compareKeys(value, v) }), nil
}

// holds is whether a comparison is true for a value whose order to others is given.
func (c condition) holds(order func(any) int) bool {
	if c.operator == "IN" {
		return slices.ContainsFunc(c.values, func(v any) bool { return order(v) == 0 })
	}
	switch order := order(c.values[0]); c.operator {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	default:
		return order >= 0
	}
}

// partitionKey is a partition value that compareKeys can order.
func partitionKey(text string, t DataType) (any, error) {
	switch t {
	case String, Binary:
		return text, nil
	case Boolean:
		return strconv.ParseBool(text)
	case Float:
		return strconv.ParseFloat(text, 32)
	case Double:
		return strconv.ParseFloat(text, 64)
	case Date:
		return time.Parse(time.DateOnly, text)
	case Timestamp, TimestampNTZ:
		return parsePartitionTime(text)
	}
	if !plainNumber.MatchString(text) {
		return nil, errors.New("expected a number")
	}
	number, _ := new(big.Rat).SetString(text)
	return number, nil
}

// plainNumber has an exponent that cannot exhaust the memory.
var plainNumber = regexp.MustCompile(`^[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?$`)

// compareKeys orders two keys of one type.
func compareKeys(a, b any) int {
	switch a := a.(type) {
	case string:
		return cmp.Compare(a, b.(string))
	case float64:
		b := b.(float64)
		if (a != a) != (b != b) { // NaN is above all numbers, as in Spark; cmp has it below
			return -cmp.Compare(a, b)
		}
		return cmp.Compare(a, b)
	case time.Time:
		return a.Compare(b.(time.Time))
	case *big.Rat:
		return a.Cmp(b.(*big.Rat))
	case bool:
		switch {
		case a == b.(bool):
			return 0
		case a:
			return 1
		}
		return -1
	}
	panic(fmt.Sprintf("no order for %T", a))
}
