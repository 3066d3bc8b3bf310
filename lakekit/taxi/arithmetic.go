package taxi

import "math"

// A compiler may fuse x*y + z into one operation with one rounding, and does
// so on arm64 but not on amd64; package math is written in assembly on some
// machines. The generator has to yield the same bytes everywhere, so it rounds
// every product by an explicit conversion, which the language specification
// says prevents fusing, and brings its own logarithm and exponential. To check:
// GOARCH=arm64 go build -gcflags=-S lists no FMADD, FMSUB or their negations in
// this package, and TestRowsNeverChange passes with GOAMD64=v3, which fuses.

func multiplyAdd(x, y, z float64) float64 { return float64(x*y) + z }

// logarithm is the natural logarithm of a positive, finite x.
func logarithm(x float64) float64 {
	fraction, exponent := math.Frexp(x)
	if fraction < math.Sqrt2/2 {
		fraction *= 2
		exponent--
	}
	// ln f = 2 artanh s, and |s| < 0.172
	s := (fraction - 1) / (fraction + 1)
	square := float64(s * s)
	series := 0.0
	for _, coefficient := range artanhSeries {
		series = multiplyAdd(series, square, coefficient)
	}
	return multiplyAdd(float64(exponent), math.Ln2, float64(2*float64(s*series)))
}

// artanhSeries are the coefficients of artanh(s)/s in powers of s squared,
// the highest first.
var artanhSeries = [...]float64{1. / 21, 1. / 19, 1. / 17, 1. / 15, 1. / 13, 1. / 11, 1. / 9, 1. / 7, 1. / 5, 1. / 3, 1}

// exponential is e to the power of x, for an |x| below 700.
func exponential(x float64) float64 {
	// ln 2 in two parts, the first of which has zeros enough at its end to be
	// multiplied exactly.
	const ln2High, ln2Low = 6.93147180369123816490e-01, 1.90821492927058770002e-10
	k := math.RoundToEven(float64(x * math.Log2E))
	rest := multiplyAdd(-k, ln2Low, multiplyAdd(-k, ln2High, x))
	series := 0.0
	for _, coefficient := range exponentialSeries {
		series = multiplyAdd(series, rest, coefficient)
	}
	return math.Ldexp(series, int(k))
}

// exponentialSeries are the inverse factorials of 13 to 0.
var exponentialSeries = [...]float64{
	1. / 6227020800, 1. / 479001600, 1. / 39916800, 1. / 3628800, 1. / 362880, 1. / 40320, 1. / 5040,
	1. / 720, 1. / 120, 1. / 24, 1. / 6, 1. / 2, 1, 1,
}
