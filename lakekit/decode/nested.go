package decode

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// partError is the complaint about a part of a nested column, which names the
// part.
type partError struct{ error }

// put checks nothing: it appends a value that was checked before.
func (c *column) put(value jsonValue) {
	c.value = value
	if value.kind <= jsonNull {
		c.null()
		return
	}
	if !c.nested {
		// Another element may have been converted since the check.
		_ = c.convert(c)
	}
	c.append(c)
}

func (c *column) checkPart(value jsonValue) error {
	c.value = value
	if err := c.check(); err != nil {
		return partError{err}
	}
	return nil
}

func (c *column) bindStruct(t *arrow.StructType, b *array.StructBuilder) error {
	parts, byName, names := make([]column, t.NumFields()), map[string]int{}, []string{}
	for i, field := range t.Fields() {
		names = append(names, field.Name)
		parts[i].losses = c.losses
		if err := parts[i].bind(c.name+"."+field.Name, field, b.FieldBuilder(i)); err != nil {
			return fmt.Errorf("field %q: %w", field.Name, err)
		}
		byName[field.Name] = i
	}
	values := make([]jsonValue, len(parts)) // the last of each member
	read := func(object jsonValue, losses *IgnoredFields) error {
		clear(values)
		return object.members(func(m member) error {
			i, known := byName[string(m.name.appendContent(nil))]
			switch {
			case !known && m.value.kind > jsonNull:
				losses.note(appendPath(nil, c.name, m.name), func() (string, bool) {
					if reason := whyNoColumn(string(m.name.appendContent(nil)), names); reason != "" {
						return reason, true
					}
					return "the struct has no field of that name, and mergeSchema adds whole columns only", true
				})
			case known && values[i].kind > jsonNull:
				losses.note([]byte(parts[i].name), whyRepeated)
			}
			if known {
				values[i] = m.value
			}
			return nil
		})
	}
	c.want, c.nested = "struct", true
	c.convert = func(c *column) error {
		if c.value.kind != jsonObject {
			return errWrongType
		}
		c.bytes = c.value.text
		if err := read(c.value, c.losses); err != nil {
			return err
		}
		for i := range parts {
			if err := parts[i].checkPart(values[i]); err != nil {
				return err
			}
		}
		return nil
	}
	c.append = func(c *column) {
		_ = read(c.value, nil)
		b.Append(true)
		for i := range parts {
			parts[i].put(values[i])
		}
	}
	return nil
}

func (c *column) bindList(t *arrow.ListType, b *array.ListBuilder) error {
	element := column{losses: c.losses}
	if err := element.bind(c.name+"[]", t.ElemField(), b.ValueBuilder()); err != nil {
		return fmt.Errorf("element: %w", err)
	}
	c.want, c.nested = "array", true
	c.convert = func(c *column) error {
		if c.value.kind != jsonArray {
			return errWrongType
		}
		c.bytes = c.value.text
		return c.value.elements(element.checkPart)
	}
	c.append = func(c *column) {
		b.Append(true)
		_ = c.value.elements(func(value jsonValue) error {
			element.put(value)
			return nil
		})
	}
	return nil
}

// bindMap reads an object as a map; of a repeated key the last value counts.
func (c *column) bindMap(t *arrow.MapType, b *array.MapBuilder) error {
	keys, ok := b.KeyBuilder().(*array.StringBuilder)
	if !ok {
		return fmt.Errorf("a map with keys of type %s cannot be streamed from JSON", t.KeyType())
	}
	item := column{losses: c.losses}
	if err := item.bind(c.name+"{}", t.ItemField(), b.ItemBuilder()); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	read := func(object jsonValue, losses *IgnoredFields, visit func(string, jsonValue) error) error {
		var names []string
		last := map[string]jsonValue{}
		err := object.members(func(m member) error {
			name := string(m.name.appendContent(nil))
			if before, again := last[name]; !again {
				names = append(names, name)
			} else if before.kind > jsonNull {
				losses.note([]byte(item.name), whyRepeated)
			}
			last[name] = m.value
			return nil
		})
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := visit(name, last[name]); err != nil {
				return err
			}
		}
		return nil
	}
	c.want, c.nested = "map", true
	c.convert = func(c *column) error {
		if c.value.kind != jsonObject {
			return errWrongType
		}
		c.bytes = c.value.text
		return read(c.value, c.losses, func(_ string, value jsonValue) error { return item.checkPart(value) })
	}
	c.append = func(c *column) {
		b.Append(true)
		_ = read(c.value, nil, func(name string, value jsonValue) error {
			keys.Append(name)
			item.put(value)
			return nil
		})
	}
	return nil
}
