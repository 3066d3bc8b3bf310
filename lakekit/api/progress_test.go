package api

import (
	"encoding/json"
	"math"
	"testing"
)

// Rates are the numbers that Spark 4.0 writes, small ones with all their digits.
func TestRates(t *testing.T) {
	for rate, want := range map[Rate]string{
		0:                      `{"rate":0.0}`,
		120:                    `{"rate":120.0}`,
		Rate(58.0 / 8.208):     `{"rate":7.0662768031189085}`,
		0.004:                  `{"rate":0.004}`,
		Rate(math.NaN()):       `{}`,
		Rate(math.Inf(1)):      `{}`,
		Rate(10_000_000.0 / 3): `{"rate":3333333.3333333335}`,
	} {
		got, err := json.Marshal(struct {
			Rate Rate `json:"rate,omitzero"`
		}{rate})
		if err != nil || string(got) != want {
			t.Errorf("%v: %s, %v, want %s", float64(rate), got, err, want)
		}
	}
}
