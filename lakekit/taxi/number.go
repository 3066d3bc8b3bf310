package taxi

import (
	"math"
	"strconv"
)

// appendFloat appends the shortest decimal that reads back as v, never with an
// exponent, as the real file prints its numbers. NaN and the infinities, which
// no file or message can hold, are the caller's to keep out.
func appendFloat(dst []byte, v float64) []byte {
	// A number of at most six decimals and fifteen digits is its own shortest
	// form, which makes the common case integer arithmetic.
	if millionths := math.RoundToEven(v * 1e6); math.Abs(millionths) < 1e15 && millionths/1e6 == v && v != 0 {
		return appendMillionths(dst, int64(millionths))
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

func appendMillionths(dst []byte, n int64) []byte {
	if n < 0 {
		dst = append(dst, '-')
		n = -n
	}
	if whole := n / 1e6; whole < 10 {
		dst = append(dst, byte('0'+whole))
	} else if whole < 100 {
		dst = appendTwoDigits(dst, uint32(whole))
	} else {
		dst = strconv.AppendInt(dst, whole, 10)
	}
	fraction := uint32(n % 1e6)
	if fraction == 0 {
		return dst
	}
	a, b, c := fraction/1e4, fraction/100%100, fraction%100
	dst = append(dst, '.', byte('0'+a/10), byte('0'+a%10), byte('0'+b/10), byte('0'+b%10), byte('0'+c/10), byte('0'+c%10))
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

var powersOfTen = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// parseFloat reads a decimal number, with or without an exponent.
func parseFloat(s []byte) (float64, bool) {
	var mantissa uint64
	digits, decimals, point, negative := 0, 0, false, false
	rest := s
	if len(rest) > 0 && rest[0] == '-' {
		negative, rest = true, rest[1:]
	}
	for _, c := range rest {
		switch {
		case c-'0' <= 9:
			mantissa = mantissa*10 + uint64(c-'0')
			digits++
			if point {
				decimals++
			}
		case c == '.' && !point:
			point = true
		default:
			return parseUnusualFloat(s)
		}
	}
	// The quotient of two exact numbers is rounded once and so is right.
	if digits == 0 || digits > 18 || mantissa > 1<<53 {
		return parseUnusualFloat(s)
	}
	v := float64(mantissa) / powersOfTen[decimals]
	if negative {
		v = -v
	}
	return v, true
}

// parseUnusualFloat takes long numbers and exponents, but none of the forms
// only Go knows: hexadecimal, underscores, inf and nan.
func parseUnusualFloat(s []byte) (float64, bool) {
	for _, c := range s {
		if c-'0' > 9 && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(string(s), 64)
	return v, err == nil
}

// parseCount reads a whole number that fits 32 bits, also as the 1.0 that
// dataframe libraries write for whole numbers.
func parseCount(s []byte) (int32, bool) {
	if len(s) == 1 && s[0]-'0' <= 9 {
		return int32(s[0] - '0'), true
	}
	v, ok := parseFloat(s)
	if !ok || v != math.Trunc(v) || v < math.MinInt32 || v > math.MaxInt32 {
		return 0, false
	}
	return int32(v), true
}
