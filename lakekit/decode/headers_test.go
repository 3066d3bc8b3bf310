package decode

import (
	"reflect"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// A key that is not UTF-8 would make a file that engines refuse to read.
func TestHeaderKeysAreUTF8(t *testing.T) {
	builder := array.NewBuilder(memory.DefaultAllocator, headersArrow)
	defer builder.Release()
	NewHeadersBuilder(builder).Append([]Header{{Key: "\xfe\xffü", Value: []byte{0xfe}}})
	column := builder.NewArray()
	defer column.Release()
	if got, want := HeadersAt(column, 0), []Header{{Key: "\ufffd\ufffdü", Value: []byte{0xfe}}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
