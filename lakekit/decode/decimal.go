package decode

import (
	"math/big"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

func (c *column) bindDecimal(t *arrow.Decimal128Type, b *array.Decimal128Builder) {
	var value decimal128.Num
	c.want, c.width = "decimal", 16
	c.convert = func(c *column) error {
		if c.value.kind != jsonInteger && c.value.kind != jsonDecimal {
			return errWrongType
		}
		if t.Scale == 0 && !isWhole(c.value.text) {
			return errRounded
		}
		var ok bool
		if value, ok = parseDecimal(c.value.text, int(t.Precision), int(t.Scale)); !ok {
			return errOutOfRange
		}
		return nil
	}
	c.append = func(*column) { b.Append(value) }
}

// parseDecimal reads a JSON number as decimal(precision, scale). Digits beyond
// the scale are rounded half up, as Spark does; more digits before the point
// than there is room for are out of range.
func parseDecimal(text []byte, precision, scale int) (value decimal128.Num, ok bool) {
	negative := text[0] == '-'
	digits, shift := significand(text)
	shift += scale
	if len(digits) == 0 || len(digits)+shift < 0 {
		return value, true
	}
	if len(digits)+shift > precision {
		return value, false
	}
	roundUp := false
	for ; shift > 0; shift-- {
		digits = append(digits, '0')
	}
	if shift < 0 {
		kept := len(digits) + shift
		roundUp = digits[kept] >= '5'
		digits = append([]byte{'0'}, digits[:kept]...)
	}
	unscaled, _ := new(big.Int).SetString(string(digits), 10)
	if roundUp {
		unscaled.Add(unscaled, big.NewInt(1))
	}
	if negative {
		unscaled.Neg(unscaled)
	}
	value = decimal128.FromBigInt(unscaled)
	return value, value.FitsInPrecision(int32(precision))
}

// isWhole says whether a JSON number has no fraction.
func isWhole(text []byte) bool {
	digits, power := significand(text)
	for ; power < 0 && len(digits) > 0; power++ {
		if digits[len(digits)-1] != '0' {
			return false
		}
		digits = digits[:len(digits)-1]
	}
	return true
}

// significand splits a JSON number into its digits, without leading zeros, and
// the power of ten that they are multiplied with.
func significand(text []byte) (digits []byte, power int) {
	fraction := 0
	inFraction := false
	for i, c := range text {
		switch {
		case c == '.':
			inFraction = true
		case c|0x20 == 'e':
			return digits, exponent(string(text[i+1:])) - fraction
		case c >= '0' && c <= '9':
			if inFraction {
				fraction++
			}
			if len(digits) > 0 || c != '0' {
				digits = append(digits, c)
			}
		}
	}
	return digits, -fraction
}

// exponent is bounded, far beyond what any decimal holds and a record's digits
// make up for.
func exponent(text string) int {
	const most = 1 << 40
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil { // too large for an int64: the sign decides
		n = most
		if text[0] == '-' {
			n = -most
		}
	}
	return int(max(-most, min(most, n)))
}
