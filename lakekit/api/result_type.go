package api

import (
	"fmt"
	"strings"
)

// dataType is a parsed type name of a Column.
type dataType struct {
	name   string // "bigint", "decimal(10,2)", "array", "map", "struct"
	fields []field
}

// field is a field of a struct, the element of an array, or key and value of a
// map.
type field struct {
	name string
	dataType
}

const maxTypeDepth = 64

// parseType reads a type in Spark's simple string form,
// such as map<string,struct<a:int,`b c`:double>>.
func parseType(s string) (dataType, error) {
	p := typeParser{rest: s}
	t, err := p.dataType(0)
	if err == nil && p.rest != "" {
		err = fmt.Errorf("unexpected %q", p.rest)
	}
	if err != nil {
		return dataType{}, fmt.Errorf("column type %q: %w", s, err)
	}
	return t, nil
}

type typeParser struct{ rest string }

func (p *typeParser) dataType(depth int) (dataType, error) {
	if depth > maxTypeDepth {
		return dataType{}, fmt.Errorf("nested deeper than %d", maxTypeDepth)
	}
	end := strings.IndexAny(p.rest, "<>(,")
	if end >= 0 && p.rest[end] == '(' {
		closing := strings.IndexByte(p.rest, ')')
		if closing < 0 {
			return dataType{}, fmt.Errorf("missing )")
		}
		end = closing + 1
	}
	if end < 0 {
		end = len(p.rest)
	}
	t := dataType{name: p.rest[:end]}
	p.rest = p.rest[end:]
	if t.name == "" {
		return dataType{}, fmt.Errorf("missing type name")
	}
	var want int
	switch t.name {
	case "array":
		want = 1
	case "map":
		want = 2
	case "struct":
	default:
		return t, nil
	}
	if !p.take("<") {
		return dataType{}, fmt.Errorf("missing < after %s", t.name)
	}
	for !p.take(">") {
		if len(t.fields) > 0 && !p.take(",") {
			return dataType{}, fmt.Errorf("missing , or > in %s", t.name)
		}
		var f field
		var err error
		if t.name == "struct" {
			if f.name, err = p.fieldName(); err != nil {
				return dataType{}, err
			}
		}
		if f.dataType, err = p.dataType(depth + 1); err != nil {
			return dataType{}, err
		}
		t.fields = append(t.fields, f)
	}
	if want > 0 && len(t.fields) != want {
		return dataType{}, fmt.Errorf("%s takes %d types, not %d", t.name, want, len(t.fields))
	}
	return t, nil
}

func (p *typeParser) fieldName() (string, error) {
	if !p.take("`") {
		name, rest, ok := strings.Cut(p.rest, ":")
		if !ok {
			return "", fmt.Errorf("missing : after field name")
		}
		p.rest = rest
		return name, nil
	}
	var name strings.Builder
	for {
		part, rest, ok := strings.Cut(p.rest, "`")
		if !ok {
			return "", fmt.Errorf("missing ` after field name")
		}
		name.WriteString(part)
		p.rest = rest
		if p.take("`") {
			name.WriteByte('`')
			continue
		}
		if !p.take(":") {
			return "", fmt.Errorf("missing : after field name")
		}
		return name.String(), nil
	}
}

func (p *typeParser) take(token string) bool {
	rest, ok := strings.CutPrefix(p.rest, token)
	p.rest = rest
	return ok
}

// QuoteField returns the name of a struct's field as it stands in a Column's
// type: in backticks where it is not a plain identifier.
func QuoteField(name string) string {
	plain := name != "" && strings.IndexFunc(name, func(c rune) bool {
		return c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	}) < 0
	if plain {
		return name
	}
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}
