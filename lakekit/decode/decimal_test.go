package decode

import (
	"math/big"
	"strings"
	"testing"

	"taxilake/lakekit/delta"
)

func TestParseDecimal(t *testing.T) {
	for _, test := range []struct {
		text             string
		precision, scale int
		want             string // unscaled; "" is out of range
	}{
		{"0", 5, 2, "0"}, {"-0.0", 5, 2, "0"}, {"1", 5, 2, "100"}, {"-1.5", 5, 2, "-150"}, {"999.99", 5, 2, "99999"},
		{"1.004", 5, 2, "100"}, {"1.005", 5, 2, "101"}, {"-1.005", 5, 2, "-101"}, {"0.004", 5, 2, "0"}, {"0.005", 5, 2, "1"}, {"0.0049999", 5, 2, "0"},
		{"999.995", 5, 2, ""}, {"1000", 5, 2, ""}, {"1e3", 5, 2, ""}, {"1.5E2", 5, 2, "15000"}, {"15e-1", 5, 2, "150"}, {"1e-9", 5, 2, "0"},
		{"0e999999999999999999999", 5, 2, "0"}, {"1e999999999999999999999", 5, 2, ""}, {"1e-999999999999999999999", 5, 2, "0"},
		{strings.Repeat("9", 38), 38, 0, strings.Repeat("9", 38)}, {"1" + strings.Repeat("0", 38), 38, 0, ""},
		{strings.Repeat("9", 38) + ".5", 38, 0, ""}, {"0." + strings.Repeat("0", 37) + "1", 38, 38, "1"},
	} {
		value, ok := parseDecimal([]byte(test.text), test.precision, test.scale)
		if got := value.BigInt().String(); ok != (test.want != "") || ok && got != test.want {
			t.Errorf("%s as decimal(%d,%d): %s, %v, want %s", test.text, test.precision, test.scale, got, ok, test.want)
		}
	}
}

// FuzzParseDecimal compares with big.Rat, which is exact.
func FuzzParseDecimal(f *testing.F) {
	for _, seed := range []string{"0", "-1.5", "1.005", "99e-3", "1E+3", "123456789012345678901234567890.5"} {
		f.Add(seed, uint8(10), uint8(2))
	}
	f.Fuzz(func(t *testing.T, text string, precision, scale uint8) {
		s := jsonScanner{data: []byte(text)}
		value, err := s.value(0)
		if err != nil || s.pos < len(text) || value.kind != jsonInteger && value.kind != jsonDecimal || len(text) > 100 {
			return
		}
		if _, power := significand(value.text); power > 1000 || power < -1000 {
			return // too large for the reference
		}
		p := int(precision%38) + 1
		q := int(scale) % (p + 1)
		exact, ok := new(big.Rat).SetString(string(value.text))
		if !ok {
			return
		}
		exact.Mul(exact, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(q)), nil)))
		half := big.NewRat(1, 2)
		if exact.Sign() < 0 {
			half.Neg(half)
		}
		exact.Add(exact, half)
		want := new(big.Int).Quo(exact.Num(), exact.Denom())
		fits := new(big.Int).Abs(want).Cmp(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(p)), nil)) < 0
		got, ok := parseDecimal(value.text, p, q)
		if ok != fits || ok && got.BigInt().Cmp(want) != 0 {
			t.Errorf("%s as decimal(%d,%d): %s, %v, want %s, %v", text, p, q, got.BigInt(), ok, want, fits)
		}
	})
}

// A decimal without digits for a fraction takes none, whatever Spark makes of it:
// mergeSchema makes such columns for large integers.
func TestDecimalsOfIntegersAreNotRounded(t *testing.T) {
	schema := delta.Schema{Fields: []delta.Field{{Name: "n", Type: delta.Decimal{Precision: 20}, Nullable: true}, {Name: "m", Type: delta.Decimal{Precision: 5, Scale: 2}, Nullable: true}}}
	arrowSchema, err := schema.Arrow()
	if err != nil {
		t.Fatal(err)
	}
	for record, want := range map[string]string{
		`{"n":9223372036854775808}`: "9223372036854775808|null", `{"n":1.0}`: "1|null", `{"n":15e-1}`: `field "n": 15e-1 would be rounded as decimal`, `{"n":150e-1}`: "15|null",
		`{"n":0.5}`: `field "n": 0.5 would be rounded as decimal`, `{"n":0.000}`: "0|null", `{"n":1e-400}`: `field "n": 1e-400 would be rounded as decimal`,
		`{"n":123456789012345678901}`: `field "n": 123456789012345678901 is out of range of decimal`, `{"m":1.005}`: "null|1.01",
	} {
		got, err := decodeRow(t, arrowSchema, nil, record)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", record, got, want)
		}
	}
}
