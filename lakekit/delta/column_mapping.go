package delta

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// ColumnMapping is how the columns of the schema are found in data files, in
// partition values and in statistics: the value of delta.columnMapping.mode
// (PROTOCOL.md, section Column Mapping).
type ColumnMapping string

// The modes of column mapping.
const (
	MappingNone ColumnMapping = "none" // by their names
	MappingName ColumnMapping = "name" // by their physical names
	MappingID   ColumnMapping = "id"   // in files by field ids, else by their physical names
)

const (
	mappingModeKey  = "delta.columnMapping.mode"
	physicalNameKey = "delta.columnMapping.physicalName"
	columnIDKey     = "delta.columnMapping.id"
)

// ColumnMapping of the table at this version.
func (s *Snapshot) ColumnMapping() ColumnMapping { return mappingOf(s.protocol, s.metadata) }

func mappingOf(p Protocol, m Metadata) ColumnMapping {
	if mode := m.Configuration[mappingModeKey]; p.MinReaderVersion >= 2 && mode != "" {
		return ColumnMapping(strings.ToLower(mode))
	}
	return MappingNone
}

// PhysicalName of a column or of a member of a struct: the key of its partition
// values and statistics, and but for MappingID its name in data files.
func (m ColumnMapping) PhysicalName(f Field) string {
	if name, ok := f.Metadata[physicalNameKey].(string); ok && m != MappingNone {
		return name
	}
	return f.Name
}

// FieldID is the Parquet field id of a column under MappingID.
func (f Field) FieldID() (int32, bool) {
	var id int64
	var err error
	switch given := f.Metadata[columnIDKey].(type) {
	case json.Number:
		id, err = given.Int64()
	case float64:
		id = int64(given)
	case int:
		id = int64(given)
	default:
		return 0, false
	}
	return int32(id), err == nil && id == int64(int32(id))
}

// check refuses a schema whose columns cannot be found.
func (m ColumnMapping) check(fields []Field) error {
	if m == MappingNone {
		return nil
	}
	seen := map[string]string{}
	for _, f := range fields {
		physical, named := f.Metadata[physicalNameKey].(string)
		id, identified := f.FieldID()
		if m == MappingID {
			named, physical = identified, strconv.Itoa(int(id))
		}
		if !named || physical == "" {
			return fmt.Errorf("column %q has no column mapping (mode %s)", f.Name, m)
		}
		if other, taken := seen[physical]; taken {
			return fmt.Errorf("columns %q and %q are both mapped to %s", other, f.Name, physical)
		}
		seen[physical] = f.Name
		for _, nested := range structsOf(f.Type) {
			if err := m.check(nested.Fields); err != nil {
				return fmt.Errorf("in %q: %w", f.Name, err)
			}
		}
	}
	return nil
}

// Finds tells whether a column of a file, by its name there and its field id,
// is that of the table. A negative id is none.
func (m ColumnMapping) Finds(f Field, name string, id int32) bool {
	switch m {
	case MappingName:
		return m.PhysicalName(f) == name
	case MappingID:
		want, ok := f.FieldID()
		return ok && id == want
	}
	return strings.EqualFold(f.Name, name)
}

// logical gives the members of structs in a file their names in the table, and
// no name to those the table does not have.
func (m ColumnMapping) logical(data arrow.ArrayData, t DataType) arrow.ArrayData {
	switch t := t.(type) {
	case Schema:
		if from, ok := data.DataType().(*arrow.StructType); ok {
			fields, members := from.Fields(), make([]arrow.ArrayData, from.NumFields())
			for i, given := range fields {
				f, found := m.find(t.Fields, given)
				fields[i].Name = ""
				members[i] = data.Children()[i]
				if found {
					fields[i].Name = f.Name
					members[i] = m.logical(members[i], f.Type)
				}
				fields[i].Type = members[i].DataType()
			}
			return withChildren(data, arrow.StructOf(fields...), members)
		}
	case Array:
		if from, ok := data.DataType().(*arrow.ListType); ok {
			element := m.logical(data.Children()[0], t.Element)
			field := from.ElemField()
			field.Type = element.DataType()
			return withChildren(data, arrow.ListOfField(field), []arrow.ArrayData{element})
		}
	case Map:
		if _, ok := data.DataType().(*arrow.MapType); ok {
			entries := data.Children()[0]
			key, value := m.logical(entries.Children()[0], t.Key), m.logical(entries.Children()[1], t.Value)
			to := arrow.MapOf(key.DataType(), value.DataType())
			renamed := withChildren(entries, to.Elem(), []arrow.ArrayData{key, value})
			return withChildren(data, to, []arrow.ArrayData{renamed})
		}
	}
	return data
}

func (m ColumnMapping) find(fields []Field, given arrow.Field) (Field, bool) {
	for _, f := range fields {
		if m.Finds(f, given.Name, arrowFieldID(given)) {
			return f, true
		}
	}
	return Field{}, false
}

func arrowFieldID(f arrow.Field) int32 {
	if text, ok := f.Metadata.GetValue("PARQUET:field_id"); ok {
		if id, err := strconv.ParseInt(text, 10, 32); err == nil {
			return int32(id)
		}
	}
	return -1
}

func withChildren(data arrow.ArrayData, t arrow.DataType, children []arrow.ArrayData) arrow.ArrayData {
	return array.NewData(t, data.Len(), data.Buffers(), children, data.NullN(), data.Offset())
}
