package taxi

import (
	"math"
	"testing"
)

func TestArithmeticAgreesWithPackageMath(t *testing.T) {
	for x := 1e-9; x < 1e9; x *= 1.0037 {
		if got, want := logarithm(x), math.Log(x); math.Abs(got-want) > 4e-16*math.Max(1, math.Abs(want)) {
			t.Errorf("logarithm(%v) = %v, want %v", x, got, want)
		}
	}
	for x := -20.0; x < 20; x += 0.00317 {
		if got, want := exponential(x), math.Exp(x); math.Abs(got/want-1) > 1e-15 {
			t.Errorf("exponential(%v) = %v, want %v", x, got, want)
		}
	}
}
