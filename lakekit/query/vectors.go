package query

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// typeNames are the types without parameters.
var typeNames = map[mapping.Type]string{
	mapping.TypeBoolean: "BOOLEAN", mapping.TypeTinyInt: "TINYINT", mapping.TypeSmallInt: "SMALLINT", mapping.TypeInteger: "INTEGER",
	mapping.TypeBigInt: "BIGINT", mapping.TypeUTinyInt: "UTINYINT", mapping.TypeUSmallInt: "USMALLINT", mapping.TypeUInteger: "UINTEGER",
	mapping.TypeUBigInt: "UBIGINT", mapping.TypeHugeInt: "HUGEINT", mapping.TypeUHugeInt: "UHUGEINT", mapping.TypeBigNum: "BIGNUM",
	mapping.TypeFloat: "FLOAT", mapping.TypeDouble: "DOUBLE", mapping.TypeVarchar: "VARCHAR", mapping.TypeBlob: "BLOB", mapping.TypeBit: "BIT",
	mapping.TypeUUID: "UUID", mapping.TypeDate: "DATE", mapping.TypeTime: "TIME", mapping.TypeTimeNS: "TIME", mapping.TypeTimeTZ: "TIMETZ",
	mapping.TypeTimestamp: "TIMESTAMP", mapping.TypeTimestampS: "TIMESTAMP_S", mapping.TypeTimestampMS: "TIMESTAMP_MS",
	mapping.TypeTimestampNS: "TIMESTAMP_NS", mapping.TypeTimestampTZ: "TIMESTAMPTZ", mapping.TypeInterval: "INTERVAL",
	mapping.TypeSQLNull: "NULL", mapping.TypeGeometry: "GEOMETRY",
}

// readType describes one of DuckDB's types.
func readType(t mapping.LogicalType, depth int) (v valueType, err error) {
	if depth > maxTypeDepth {
		return v, &Error{Message: fmt.Sprintf("the result has a type that is nested deeper than %d", maxTypeDepth), Hint: "cast it to VARCHAR, or take a member of it"}
	}
	child := func(given mapping.LogicalType) {
		defer mapping.DestroyLogicalType(&given)
		var c valueType
		if err == nil {
			c, err = readType(given, depth+1)
		}
		v.Children = append(v.Children, c)
	}
	v.kind = mapping.GetTypeId(t)
	switch v.kind {
	case mapping.TypeDecimal:
		v.physical, v.scale = mapping.DecimalInternalType(t), int(mapping.DecimalScale(t))
		v.Name = fmt.Sprintf("DECIMAL(%d,%d)", mapping.DecimalWidth(t), v.scale)
	case mapping.TypeEnum:
		v.Name, v.physical = "ENUM", mapping.EnumInternalType(t)
		for i := range mapping.EnumDictionarySize(t) {
			v.names = append(v.names, mapping.EnumDictionaryValue(t, mapping.IdxT(i)))
		}
	case mapping.TypeList:
		v.Name = "LIST"
		child(mapping.ListTypeChildType(t))
	case mapping.TypeArray:
		v.Name, v.size = "LIST", uint64(mapping.ArrayTypeArraySize(t))
		child(mapping.ArrayTypeChildType(t))
	case mapping.TypeMap:
		v.Name = "MAP"
		child(mapping.MapTypeKeyType(t))
		child(mapping.MapTypeValueType(t))
	case mapping.TypeStruct:
		v.Name = "STRUCT"
		for i := range mapping.StructTypeChildCount(t) {
			v.Fields = append(v.Fields, mapping.StructTypeChildName(t, i))
			child(mapping.StructTypeChildType(t, i))
		}
	case mapping.TypeUnion: // of its members, one has a value
		v.Name = "STRUCT"
		for i := range mapping.UnionTypeMemberCount(t) {
			v.Fields = append(v.Fields, mapping.UnionTypeMemberName(t, i))
			child(mapping.UnionTypeMemberType(t, i))
		}
	default:
		if v.Name = typeNames[v.kind]; v.Name == "" {
			return v, &Error{Message: "the result has a column of a type that cannot be shown", Hint: "cast it to VARCHAR"}
		}
		if mapping.LogicalTypeGetAlias(t) == "JSON" {
			v.Name = "JSON"
		}
	}
	return v, err
}

// vector is values of one type as DuckDB lays them out
// (https://duckdb.org/docs/stable/clients/c/vector).
type vector struct {
	*valueType
	data, validity unsafe.Pointer
	children       []vector
}

// vectorOf reads a vector that DuckDB owns, while its chunk lasts.
func vectorOf(t *valueType, given mapping.Vector) vector {
	v := vector{valueType: t, data: mapping.VectorGetData(given), validity: mapping.VectorGetValidity(given)}
	member := func(i int) mapping.Vector { return mapping.StructVectorGetChild(given, mapping.IdxT(i)) }
	switch t.kind {
	case mapping.TypeList:
		v.children = []vector{vectorOf(&t.Children[0], mapping.ListVectorGetChild(given))}
	case mapping.TypeArray:
		v.children = []vector{vectorOf(&t.Children[0], mapping.ArrayVectorGetChild(given))}
	case mapping.TypeMap: // a list of structs
		entry := mapping.ListVectorGetChild(given)
		for i := range t.Children {
			v.children = append(v.children, vectorOf(&t.Children[i], mapping.StructVectorGetChild(entry, mapping.IdxT(i))))
		}
	case mapping.TypeStruct:
		for i := range t.Children {
			v.children = append(v.children, vectorOf(&t.Children[i], member(i)))
		}
	case mapping.TypeUnion: // the first says which one has a value
		v.children = []vector{{data: mapping.VectorGetData(member(0)), validity: mapping.VectorGetValidity(member(0))}}
		for i := range t.Children {
			v.children = append(v.children, vectorOf(&t.Children[i], member(i+1)))
		}
	}
	return v
}

func valueAt[T any](v *vector, row uint64) T {
	var value T
	return *(*T)(unsafe.Add(v.data, uintptr(row)*unsafe.Sizeof(value)))
}

func (v *vector) isNull(row uint64) bool {
	if v.validity == nil {
		return false
	}
	return *(*uint64)(unsafe.Add(v.validity, row/64*8))>>(row%64)&1 == 0
}

// bytes of a text or binary; they are DuckDB's.
func (v *vector) bytes(row uint64) string {
	const inlined, size = 12, 16
	value := unsafe.Add(v.data, row*size)
	length := *(*uint32)(value)
	data := unsafe.Add(value, 4)
	if length > inlined {
		data = *(*unsafe.Pointer)(unsafe.Add(value, 8))
	}
	return unsafe.String((*byte)(data), length)
}

// whole128 is laid out as DuckDB's whole numbers of 16 bytes.
type whole128 struct {
	lower uint64
	upper int64
}

func (w whole128) text() string {
	if w.upper == 0 && w.lower <= math.MaxInt64 || w.upper == -1 && w.lower > math.MaxInt64 {
		return strconv.FormatInt(int64(w.lower), 10)
	}
	n := new(big.Int).Lsh(big.NewInt(w.upper), 64)
	return n.Add(n, new(big.Int).SetUint64(w.lower)).String()
}

type listEntry struct{ offset, length uint64 }

// values writes the rows of columns, as many as go into a part, and returns how
// many they are. It stops when they are larger than the limit.
type rowWriter struct {
	encoder
	limit  int64
	beyond bool
}

// isBeyond keeps a value from being copied that is too large in any case.
func (w *rowWriter) isBeyond(more int) bool {
	w.beyond = w.beyond || w.size()+int64(more) > w.limit
	return w.beyond
}

// cell writes a value of a vector.
func (w *rowWriter) cell(v *vector, row uint64) {
	if v.isNull(row) {
		w.tag(tagNull)
		return
	}
	switch v.kind {
	case mapping.TypeBoolean:
		if valueAt[bool](v, row) {
			w.tag(tagTrue)
		} else {
			w.tag(tagFalse)
		}
	case mapping.TypeTinyInt:
		w.int(int64(valueAt[int8](v, row)))
	case mapping.TypeSmallInt:
		w.int(int64(valueAt[int16](v, row)))
	case mapping.TypeInteger:
		w.int(int64(valueAt[int32](v, row)))
	case mapping.TypeBigInt:
		w.int(valueAt[int64](v, row))
	case mapping.TypeUTinyInt:
		w.int(int64(valueAt[uint8](v, row)))
	case mapping.TypeUSmallInt:
		w.int(int64(valueAt[uint16](v, row)))
	case mapping.TypeUInteger:
		w.int(int64(valueAt[uint32](v, row)))
	case mapping.TypeUBigInt:
		w.text(tagDecimal, strconv.FormatUint(valueAt[uint64](v, row), 10))
	case mapping.TypeHugeInt:
		w.text(tagDecimal, valueAt[whole128](v, row).text())
	case mapping.TypeUHugeInt:
		n := valueAt[whole128](v, row)
		upper := new(big.Int).SetUint64(uint64(n.upper))
		w.text(tagDecimal, upper.Add(upper.Lsh(upper, 64), new(big.Int).SetUint64(n.lower)).String())
	case mapping.TypeBigNum:
		if s := v.bytes(row); !w.isBeyond(3 * len(s)) {
			w.text(tagDecimal, bigNumText(s))
		}
	case mapping.TypeFloat:
		w.double(float64(valueAt[float32](v, row)))
	case mapping.TypeDouble:
		w.double(valueAt[float64](v, row))
	case mapping.TypeDecimal:
		w.text(tagDecimal, decimalText(v.decimal(row), v.scale))
	case mapping.TypeVarchar:
		if s := v.bytes(row); w.isBeyond(len(s)) {
		} else if v.Name == "JSON" {
			w.json(s)
		} else {
			w.text(tagText, s)
		}
	case mapping.TypeBlob, mapping.TypeGeometry:
		if s := v.bytes(row); !w.isBeyond(len(s)) {
			w.text(tagBinary, s)
		}
	case mapping.TypeBit:
		if s := v.bytes(row); !w.isBeyond(8 * len(s)) {
			w.text(tagText, bitText(s))
		}
	case mapping.TypeUUID:
		n := valueAt[whole128](v, row)
		upper := uint64(n.upper) ^ 1<<63 // so that they sort
		w.text(tagText, fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", upper>>32, upper>>16&0xffff, upper&0xffff, n.lower>>48, n.lower&(1<<48-1)))
	case mapping.TypeEnum:
		w.text(tagText, v.names[v.enumIndex(row)])
	case mapping.TypeInterval:
		w.text(tagText, intervalText(valueAt[interval](v, row)))
	case mapping.TypeDate, mapping.TypeTime, mapping.TypeTimeNS, mapping.TypeTimeTZ, mapping.TypeTimestamp, mapping.TypeTimestampTZ,
		mapping.TypeTimestampS, mapping.TypeTimestampMS, mapping.TypeTimestampNS:
		w.moment(v, row)
	case mapping.TypeList:
		entry := valueAt[listEntry](v, row)
		w.elements(&v.children[0], entry.offset, entry.length)
	case mapping.TypeArray:
		w.elements(&v.children[0], row*v.size, v.size)
	case mapping.TypeMap:
		entry := valueAt[listEntry](v, row)
		w.count(tagMap, entry.length)
		for i := entry.offset; i < entry.offset+entry.length && !w.isBeyond(0); i++ {
			w.cell(&v.children[0], i)
			w.cell(&v.children[1], i)
		}
	case mapping.TypeStruct:
		w.tag(tagStruct)
		for i := range v.children {
			w.cell(&v.children[i], row)
		}
	case mapping.TypeUnion:
		w.tag(tagStruct)
		tag := int(valueAt[uint8](&v.children[0], row))
		for i := range v.children[1:] {
			if i == tag {
				w.cell(&v.children[i+1], row)
			} else {
				w.tag(tagNull)
			}
		}
	default: // TypeSQLNull has no values
		w.tag(tagNull)
	}
}

func (w *rowWriter) elements(v *vector, first, n uint64) {
	w.count(tagList, n)
	for i := first; i < first+n && !w.isBeyond(0); i++ {
		w.cell(v, i)
	}
}

// json writes a value of JSON: a text without its quotes, all else in JSON.
func (w *rowWriter) json(s string) {
	var text string
	var compact bytes.Buffer
	switch {
	case s == "null":
		w.tag(tagNull)
	case json.Unmarshal([]byte(s), &text) == nil:
		w.text(tagText, text)
	case json.Compact(&compact, []byte(s)) == nil:
		w.text(tagText, compact.String())
	default:
		w.text(tagText, s)
	}
}

func (w *rowWriter) moment(v *vector, row uint64) {
	const day = 24 * 60 * 60
	// of says how many parts a second has, and of how many nanoseconds each.
	of := func(tag byte, value, perSecond int64) {
		seconds, rest := value/perSecond, value%perSecond
		if rest < 0 {
			seconds, rest = seconds-1, rest+perSecond
		}
		w.time(tag, seconds, rest*(1e9/perSecond))
	}
	switch v.kind {
	case mapping.TypeDate:
		w.time(tagUTC, int64(valueAt[int32](v, row))*day, 0)
	case mapping.TypeTime:
		w.text(tagText, clockText(valueAt[int64](v, row)*1e3))
	case mapping.TypeTimeNS:
		w.text(tagText, clockText(valueAt[int64](v, row)))
	case mapping.TypeTimeTZ:
		w.text(tagText, zonedClockText(valueAt[uint64](v, row)))
	case mapping.TypeTimestampTZ:
		of(tagInstant, valueAt[int64](v, row), 1e6)
	case mapping.TypeTimestamp:
		of(tagUTC, valueAt[int64](v, row), 1e6)
	case mapping.TypeTimestampS:
		of(tagUTC, valueAt[int64](v, row), 1)
	case mapping.TypeTimestampMS:
		of(tagUTC, valueAt[int64](v, row), 1e3)
	case mapping.TypeTimestampNS:
		of(tagUTC, valueAt[int64](v, row), 1e9)
	}
}

// zonedClockText reads microseconds in the upper 40 bits, below them how much the
// offset is less than the largest one, in seconds.
func zonedClockText(bits uint64) string {
	const largestOffset = 16*60*60 - 1
	offset := largestOffset - int(bits&(1<<24-1))
	sign := '+'
	if offset < 0 {
		sign, offset = '-', -offset
	}
	text := fmt.Sprintf("%s%c%02d", clockText(int64(bits>>24)*1e3), sign, offset/3600)
	if offset%3600 != 0 {
		text += fmt.Sprintf(":%02d", offset/60%60)
	}
	return text
}

// decimal is the digits of a DECIMAL, without the point.
func (v *vector) decimal(row uint64) string {
	switch v.physical {
	case mapping.TypeSmallInt:
		return strconv.FormatInt(int64(valueAt[int16](v, row)), 10)
	case mapping.TypeInteger:
		return strconv.FormatInt(int64(valueAt[int32](v, row)), 10)
	case mapping.TypeBigInt:
		return strconv.FormatInt(valueAt[int64](v, row), 10)
	}
	return valueAt[whole128](v, row).text()
}

func (v *vector) enumIndex(row uint64) int {
	switch v.physical {
	case mapping.TypeUTinyInt:
		return int(valueAt[uint8](v, row))
	case mapping.TypeUSmallInt:
		return int(valueAt[uint16](v, row))
	}
	return int(valueAt[uint32](v, row))
}

// bigNumText reads three bytes of length, the first bit of which is set for what
// is not negative, and the digits in base 256; of negative numbers all bits are
// turned.
func bigNumText(s string) string {
	digits := []byte(s[3:])
	negative := s[0]&0x80 == 0
	if negative {
		for i := range digits {
			digits[i] = ^digits[i]
		}
	}
	n := new(big.Int).SetBytes(digits)
	if negative {
		n.Neg(n)
	}
	return n.String()
}

// bitText reads how many bits of the first byte do not count, then the bits.
func bitText(s string) string {
	unused, rest := int(s[0]), s[1:]
	text := make([]byte, 0, 8*len(rest))
	for i := unused; i < 8*len(rest); i++ {
		text = append(text, '0'+rest[i/8]>>(7-i%8)&1)
	}
	return string(text)
}
