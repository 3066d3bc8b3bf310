package delta

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/arrow/scalar"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// PartitionValues are the values of a file's partition columns as the log
// writes them; "" is null (PROTOCOL.md, section Partition Value Serialization).
type PartitionValues map[string]string

// MarshalJSON writes null for "": Spark takes "" in a string column for a
// string without characters.
func (v PartitionValues) MarshalJSON() ([]byte, error) {
	values := make(map[string]*string, len(v))
	for name, value := range v {
		values[name] = nil
		if value != "" {
			values[name] = &value
		}
	}
	return json.Marshal(values)
}

// partitionID tells partitions apart.
func partitionID(values map[string]string) string {
	var id strings.Builder
	for _, name := range sortedKeys(values) {
		fmt.Fprintf(&id, "%d:%s=%d:%s,", len(name), name, len(values[name]), values[name])
	}
	return id.String()
}

const (
	partitionTimestamp    = "2006-01-02T15:04:05.000000Z" // "highly recommended": ISO 8601, UTC
	partitionTimestampNTZ = "2006-01-02 15:04:05.000000"
)

// partitionValue is a value as the log writes it; "" is null (PROTOCOL.md,
// section Partition Value Serialization).
func partitionValue(column arrow.Array, i int) (string, error) {
	if column.IsNull(i) {
		return "", nil
	}
	switch column := column.(type) {
	case *array.Timestamp:
		layout := partitionTimestamp
		if column.DataType().(*arrow.TimestampType).TimeZone == "" {
			layout = partitionTimestampNTZ
		}
		return partitionTime(column.Value(i).ToTime(arrow.Microsecond), layout)
	case *array.Date32:
		return partitionTime(column.Value(i).ToTime(), time.DateOnly)
	case *array.Float64:
		return partitionFloat(column.Value(i), 64), nil
	case *array.Float32:
		return partitionFloat(float64(column.Value(i)), 32), nil
	case *array.Boolean:
		return strconv.FormatBool(column.Value(i)), nil
	case *array.Binary:
		return partitionText(column.ValueString(i))
	case *array.String:
		return partitionText(column.Value(i))
	case *array.Decimal128:
		scale := column.DataType().(*arrow.Decimal128Type).Scale
		return column.Value(i).ToString(scale), nil
	default:
		return column.ValueStr(i), nil
	}
}

// partitionTime refuses years that engines, and we, cannot read back.
func partitionTime(at time.Time, layout string) (string, error) {
	text := at.Format(layout)
	if !fourDigits(at) {
		return "", fmt.Errorf("%w: the year of %s is not 1 to 9999 and cannot name a partition", ErrSchemaMismatch, text)
	}
	return text, nil
}

// partitionFloat names infinity as Java does.
func partitionFloat(v float64, bits int) string {
	if math.IsInf(v, 0) {
		return strings.Replace(strconv.FormatFloat(v, 'g', -1, bits), "+", "", 1) + "inity"
	}
	return strconv.FormatFloat(v, 'g', -1, bits)
}

// partitionText refuses what the JSON of the log cannot hold.
func partitionText(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", fmt.Errorf("%w: the value %q is no UTF-8 and cannot name a partition", ErrSchemaMismatch, text)
	}
	return text, nil
}

// partitionColumn is the column of a partition's value, n times.
func partitionColumn(text string, t DataType, n int) (arrow.Array, error) {
	dataType, err := t.arrow()
	if err != nil {
		return nil, err
	}
	if text == "" {
		return array.MakeArrayOfNull(memory.DefaultAllocator, dataType, n), nil
	}
	value, err := parsePartitionValue(text, t, dataType)
	if err != nil {
		return nil, fmt.Errorf("%w: partition value %q is no %s: %w", ErrCorruptLog, text, t, err)
	}
	return scalar.MakeArrayFromScalar(value, n, memory.DefaultAllocator)
}

func parsePartitionValue(text string, t DataType, dataType arrow.DataType) (scalar.Scalar, error) {
	switch t := t.(type) {
	case Decimal:
		n, err := decimal128.FromString(text, int32(t.Precision), int32(t.Scale))
		return scalar.NewDecimal128Scalar(n, dataType), err
	case Primitive:
		switch t {
		case String:
			return scalar.NewStringScalar(text), nil
		case Binary:
			return scalar.NewBinaryScalar(memory.NewBufferBytes([]byte(text)), dataType), nil
		case Boolean:
			value, err := strconv.ParseBool(text)
			return scalar.NewBooleanScalar(value), err
		case Long, Integer, Short, Byte:
			return parseInteger(text, t)
		case Float:
			value, err := strconv.ParseFloat(text, 32)
			return scalar.NewFloat32Scalar(float32(value)), err
		case Double:
			value, err := strconv.ParseFloat(text, 64)
			return scalar.NewFloat64Scalar(value), err
		case Date:
			day, err := time.Parse(time.DateOnly, text)
			return scalar.NewDate32Scalar(arrow.Date32FromTime(day)), err
		case Timestamp, TimestampNTZ:
			at, err := parsePartitionTime(text)
			return scalar.NewTimestampScalar(arrow.Timestamp(at.UnixMicro()), dataType), err
		}
	}
	return nil, fmt.Errorf("%w: partition column of type %s", ErrUnsupported, t)
}

func parseInteger(text string, t Primitive) (scalar.Scalar, error) {
	bits := map[Primitive]int{Long: 64, Integer: 32, Short: 16, Byte: 8}[t]
	value, err := strconv.ParseInt(text, 10, bits)
	switch t {
	case Integer:
		return scalar.NewInt32Scalar(int32(value)), err
	case Short:
		return scalar.NewInt16Scalar(int16(value)), err
	case Byte:
		return scalar.NewInt8Scalar(int8(value)), err
	}
	return scalar.NewInt64Scalar(value), err
}

// parsePartitionTime reads both forms; a time without zone is taken as UTC,
// since the zone of the system that wrote it is not recorded.
func parsePartitionTime(text string) (time.Time, error) {
	var err error
	for _, layout := range []string{"2006-01-02 15:04:05", time.RFC3339, time.DateOnly} { // fractions are read by all
		var at time.Time
		if at, err = time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, err
}
