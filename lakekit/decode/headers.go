package decode

import (
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"taxilake/lakekit/delta"
)

// HeadersColumn is the column of a record's headers, named and typed as in
// Spark's Kafka source.
const HeadersColumn = "headers"

var HeadersType = delta.Array{Element: delta.Schema{Fields: []delta.Field{
	{Name: "key", Type: delta.String, Nullable: true},
	{Name: "value", Type: delta.Binary, Nullable: true},
}}, ContainsNull: true}

var HeadersField = delta.Field{Name: HeadersColumn, Type: HeadersType, Nullable: true}

var headersArrow = func() arrow.DataType {
	schema, err := delta.Schema{Fields: []delta.Field{HeadersField}}.Arrow()
	if err != nil {
		panic(err) // the type is a constant
	}
	return schema.Field(0).Type
}()

// HeadersBuilder appends the headers of records.
type HeadersBuilder struct {
	list  *array.ListBuilder
	pair  *array.StructBuilder
	key   *array.StringBuilder
	value *array.BinaryBuilder
}

func NewHeadersBuilder(b array.Builder) *HeadersBuilder {
	list := b.(*array.ListBuilder)
	pair := list.ValueBuilder().(*array.StructBuilder)
	return &HeadersBuilder{list, pair, pair.FieldBuilder(0).(*array.StringBuilder), pair.FieldBuilder(1).(*array.BinaryBuilder)}
}

// Append returns about the bytes it takes. No headers are null, as in Spark, and
// as there what is not UTF-8 in a key is replaced: no engine reads a string of it.
func (h *HeadersBuilder) Append(headers []Header) (size int64) {
	if len(headers) == 0 {
		h.list.AppendNull()
		return 0
	}
	h.list.Append(true)
	for _, header := range headers {
		h.pair.Append(true)
		h.key.Append(validUTF8(header.Key))
		if header.Value == nil {
			h.value.AppendNull()
		} else {
			h.value.Append(header.Value)
		}
		size += int64(len(header.Key) + len(header.Value))
	}
	return size
}

func validUTF8(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return string([]rune(text))
}

// HeadersAt are the headers that Append made a row's value of.
func HeadersAt(column arrow.Array, row int) []Header {
	if column.IsNull(row) {
		return nil
	}
	list := column.(*array.List)
	pairs := list.ListValues().(*array.Struct)
	keys, values := pairs.Field(0).(*array.String), pairs.Field(1).(*array.Binary)
	from, to := list.ValueOffsets(row)
	headers := make([]Header, to-from)
	for i := range headers {
		at := int(from) + i
		headers[i].Key = keys.Value(at)
		if values.IsValid(at) {
			headers[i].Value = append([]byte{}, values.Value(at)...)
		}
	}
	return headers
}
