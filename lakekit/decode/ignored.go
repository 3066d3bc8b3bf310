package decode

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
)

// IgnoredFields are the fields of records, by their path, that did not become
// part of their rows: the table has no such column, or a later member of the
// same name counts. They are told, or with ignoreUnknownFields=false their
// records are dead letters.
type IgnoredFields struct {
	fields map[string]*ignoredField
	rows   int64 // of these fields
	// present are those of the present record, which is not counted yet.
	present []*ignoredField
}

type ignoredField struct {
	path, reason string
	rows         int64
	lasting      bool // whatever mergeSchema adds, it will not become a column
}

// maxIgnored bounds the fields that are told apart: names may be endless.
const maxIgnored = 100

const otherFields = "(other fields)"

// RefusedForFields begins the reason of a letter whose record fits but for
// fields that would be ignored. A replay leaves it where it is, unless it is
// told to ignore them.
const RefusedForFields = "ignoreUnknownFields is false: "

// NewIgnoredFields are none yet.
func NewIgnoredFields() *IgnoredFields { return &IgnoredFields{fields: map[string]*ignoredField{}} }

// note adds a field of the present record; why is asked when it is a new one.
func (f *IgnoredFields) note(path []byte, why func() (reason string, lasting bool)) {
	if f == nil { // the record was looked at before
		return
	}
	field, known := f.fields[string(path)]
	if !known {
		field = f.field(string(path), why)
	}
	if !slices.Contains(f.present, field) {
		f.present = append(f.present, field)
	}
}

// field is that of a path; the reason of a new one is asked for.
func (f *IgnoredFields) field(path string, why func() (string, bool)) *ignoredField {
	if field, known := f.fields[path]; known {
		return field
	}
	told := len(f.fields)
	if f.fields[otherFields] != nil {
		told--
	}
	if told >= maxIgnored && path != otherFields {
		return f.field(otherFields, func() (string, bool) { return fmt.Sprintf("more than %d are not told apart", maxIgnored), false })
	}
	reason, lasting := why()
	field := &ignoredField{path: path, reason: reason, lasting: lasting}
	f.fields[path] = field
	return field
}

// begin forgets the present record, accept counts it.
func (f *IgnoredFields) begin() { f.present = f.present[:0] }

func (f *IgnoredFields) accept() {
	if len(f.present) == 0 {
		return
	}
	f.rows++
	for _, field := range f.present {
		field.rows++
	}
}

// lasting are those of the present record that no column can be added for.
func (f *IgnoredFields) lasting() bool {
	return slices.ContainsFunc(f.present, func(field *ignoredField) bool { return field.lasting })
}

// err is why the present record is refused when nothing is to be ignored.
func (f *IgnoredFields) err() error {
	if len(f.present) == 0 {
		return nil
	}
	return fmt.Errorf("%sfield %q: %s", RefusedForFields, f.present[0].path, f.present[0].reason)
}

// Rows is the number of rows that are without some field of their record.
func (f *IgnoredFields) Rows() int64 { return f.rows }

// Merge adds the counts of another, and returns those of its fields that are new.
func (f *IgnoredFields) Merge(other *IgnoredFields) (fresh []api.IgnoredField) {
	fresh = slices.DeleteFunc(other.List(), func(field api.IgnoredField) bool {
		_, known := f.fields[field.Field]
		return known
	})
	f.rows += other.rows
	for path, field := range other.fields {
		if field.rows > 0 {
			f.field(path, func() (string, bool) { return field.reason, field.lasting }).rows += field.rows
		}
	}
	return fresh
}

// List is what there is to tell, by path.
func (f *IgnoredFields) List() (list []api.IgnoredField) {
	for _, path := range slices.Sorted(maps.Keys(f.fields)) {
		if field := f.fields[path]; field.rows > 0 {
			list = append(list, api.IgnoredField{Field: path, Reason: field.reason, NumRows: field.rows})
		}
	}
	return list
}

func whyRepeated() (reason string, lasting bool) {
	return "it is more than once in one object, of which the last counts", true
}

// whyNoColumn says why no column has a name, "" when one could have: another
// one of the same struct, or of the table, has it in other letters' case, or
// Parquet takes no such names without column mapping (PROTOCOL.md, section
// Column Mapping). SQL engines end a name at the character zero.
func whyNoColumn(name string, others []string) string {
	for _, other := range others {
		if foldName(name) == foldName(other) {
			return fmt.Sprintf("its name differs from that of %q only in the case of letters, which SQL does not tell apart", other)
		}
	}
	switch {
	case name == "":
		return "it has no name, and a column needs one"
	case len(name) > maxColumnName:
		return fmt.Sprintf("its name has %d bytes, that of a column has at most %d", len(name), maxColumnName)
	case strings.ContainsAny(name, " ,;{}()\n\t=\x00"):
		return `the name of a column has no space, tab or line break and none of ,;{}()=`
	}
	return ""
}

// foldName is the same for names that some engine does not tell apart: Spark
// looks columns up by Java's equalsIgnoreCase (character by character, upper case
// then lower case, which makes one of i, I, İ and ı) and refuses schemas by
// toLowerCase, where İ becomes i with a dot above.
func foldName(name string) string {
	folded := strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, name)
	return strings.ReplaceAll(folded, "i\u0307", "i")
}

// whyNoType says why the value of a field makes no column.
func whyNoType(t delta.DataType) string {
	s, isStruct := t.(delta.Schema)
	switch {
	case t == nil:
		return fmt.Sprintf("it is nested deeper than %d levels", maxNesting)
	case isStruct && slices.ContainsFunc(s.Fields, func(f delta.Field) bool { return f.Type != nil }):
		return "none of its own fields can be a column"
	}
	return "it is empty, which tells no type for a column"
}
