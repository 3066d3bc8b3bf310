package marginals_test

import (
	"math"
	"os"
	"testing"

	"taxilake/lakekit/taxi"
	"taxilake/lakekit/taxi/marginals"
)

// tolerances are how far the generator may be from the published figures,
// beyond what rounding and five standard deviations of chance explain. The
// figures of samples of 75,000 rows are themselves less exact than that: a
// mean fare of an hour by 0.2 USD, a distance by 0.1 km.
var tolerances = map[string]float64{
	"trips by year":                   0.00005,
	"trips by month":                  0.00005,
	"trips by weekday":                0.0005,
	"trips by weekday, 8 hours later": 0.0006,
	"trips by hour":                   0.0005,
	"trips by weekday and hour":       0.00001,
	"pickups at second 00 by year":    0.002,
	"mean fare":                       0.02,
	"mean fare by year":               0.04,
	"mean fare by hour":               0.06,
	"fare quantiles":                  0.35,
	"fares from 3 to 20":              0.005,
	"distance quantiles":              0.1,
	"passengers":                      1e-8,
	"JFK flat fare":                   0.02,
	"tolls":                           0,
	"fares in steps of 40 cents":      0.005,
	"fares in steps of 50 cents":      0.02,
	"mistakes":                        0.0004,
}

func TestRecordsLookLikeTheRealFile(t *testing.T) {
	const rows = 5_000_000
	counts, err := marginals.Generated(t.Context(), generator(t, 1), 0, rows)
	if err != nil {
		t.Fatal(err)
	}
	comparison, err := counts.Compare()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range comparison.Groups {
		t.Run(g.Name, func(t *testing.T) {
			tolerance, ok := tolerances[g.Name]
			if !ok {
				t.Fatal("has no tolerance")
			}
			for _, f := range g.Figures {
				if allowed := tolerance + 5*f.Chance; !(f.Distance() <= allowed) {
					t.Errorf("%s is %.6f, published %.6f: %.6f apart, %.6f allowed", f.Label, f.Got, f.Published, math.Abs(f.Got-f.Published), allowed)
				}
			}
		})
	}
	if t.Failed() || os.Getenv("SHOW") != "" {
		if err := comparison.WriteText(os.Stderr); err != nil {
			t.Error(err)
		}
	}
}

func generator(t *testing.T, seed uint64) *taxi.Generator {
	t.Helper()
	g, err := taxi.NewGenerator(seed)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
