package ingest

import (
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/delta"
)

// headersColumn is the column of a record's headers, named and typed as in
// Spark's Kafka source.
const headersColumn = "headers"

var headersType = delta.Array{Element: delta.Schema{Fields: []delta.Field{
	{Name: "key", Type: delta.String, Nullable: true},
	{Name: "value", Type: delta.Binary, Nullable: true},
}}, ContainsNull: true}

var headersField = delta.Field{Name: headersColumn, Type: headersType, Nullable: true}

var headersArrow = func() arrow.DataType {
	schema, err := delta.Schema{Fields: []delta.Field{headersField}}.Arrow()
	if err != nil {
		panic(err) // the type is a constant
	}
	return schema.Field(0).Type
}()

// addsHeaders says that mergeSchema is to add the column of the headers.
func (o Options) addsHeaders(schema delta.Schema) bool {
	_, there := schema.Field(headersColumn)
	return o.IncludeHeaders && o.MergeSchema && !there
}

// headersBuilder appends the headers of records.
type headersBuilder struct {
	list  *array.ListBuilder
	pair  *array.StructBuilder
	key   *array.StringBuilder
	value *array.BinaryBuilder
}

func newHeadersBuilder(b array.Builder) *headersBuilder {
	list := b.(*array.ListBuilder)
	pair := list.ValueBuilder().(*array.StructBuilder)
	return &headersBuilder{list, pair, pair.FieldBuilder(0).(*array.StringBuilder), pair.FieldBuilder(1).(*array.BinaryBuilder)}
}

// append returns about the bytes it takes. No headers are null, as in Spark, and
// as there what is not UTF-8 in a key is replaced: no engine reads a string of it.
func (h *headersBuilder) append(headers []confluent.Header) (size int64) {
	if len(headers) == 0 {
		h.list.AppendNull()
		return 0
	}
	h.list.Append(true)
	for _, header := range headers {
		h.pair.Append(true)
		h.key.Append(validUTF8(header.Key))
		appendBytes(h.value, header.Value)
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

// headersAt is what append made of a row's headers.
func headersAt(column arrow.Array, row int) []confluent.Header {
	if column.IsNull(row) {
		return nil
	}
	list := column.(*array.List)
	pairs := list.ListValues().(*array.Struct)
	keys, values := pairs.Field(0).(*array.String), pairs.Field(1).(*array.Binary)
	from, to := list.ValueOffsets(row)
	headers := make([]confluent.Header, 0, to-from)
	for i := int(from); i < int(to); i++ {
		headers = append(headers, confluent.Header{Key: keys.Value(i), Value: bytesAt(values, i)})
	}
	return headers
}

// bytesAt tells null from empty.
func bytesAt(column *array.Binary, row int) []byte {
	if column.IsNull(row) {
		return nil
	}
	return append([]byte{}, column.Value(row)...)
}
