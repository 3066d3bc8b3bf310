package taxi

import (
	"strings"
	"testing"

	"taxilake/datasets"
)

func TestBadProfiles(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"no JSON", "{", "[", "reading the taxi profile"},
		{"unknown part", `"about"`, `"abuot"`, `unknown field "abuot"`},
		{"no date", `"2009-01-01"`, `"1 January"`, "cannot parse"},
		{"year missing", `"second_zero_share_by_year":[0.4888,`, `"second_zero_share_by_year":[`, "second_zero_share_by_year has 6 values for 7 years"},
		{"no such class", `"hour_class":[0,`, `"hour_class":[14,`, "hour_class of hour 0 is 14, there are 14 classes"},
		{"no such area", `"pickup_areas":[8,`, `"pickup_areas":[16,`, "do not fit 16 areas"},
		{"area without a growth", `"pickup_growth_percent":[16,`, `"pickup_growth_percent":[`, "do not fit 16 areas"},
		{"no such part", `"part_of_hour_class":[0,`, `"part_of_hour_class":[5,`, "names a part that"},
		{"area without a per cent", "\"pickup_percent\":[\n[[", "\"pickup_percent\":[\n[[100,", "17 values for 16 areas"},
		{"passengers missing", `"passenger_counts":[1,`, `"passenger_counts":[`, "want 14 numbers a line"},
		{"no such maker", `"coarse_positions":[{"maker":0,`, `"coarse_positions":[{"maker":2,`, "names the maker 2"},
		{"no such pickup zone", "\"routes_by_hour_class\":[\n[\n[0,", "\"routes_by_hour_class\":[\n[\n[900,", "pickup zone 900 of"},
		{"no such dropoff zone", "\"routes_by_hour_class\":[\n[\n[0,0,", "\"routes_by_hour_class\":[\n[\n[0,900,", "dropoff zone 900 of"},
		{"half a pair", "\"routes_by_hour_class\":[\n[\n[0,", "\"routes_by_hour_class\":[\n[\n[0,0,", "want a pickup zone and pairs"},
		{"edge missing", `"residual_km_edges":[0.2,`, `"residual_km_edges":[`, "residual_quantiles has 11 lines for 11 edges"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(datasets.Profile, c.old) {
				t.Fatalf("the profile has no %q to replace", c.old)
			}
			_, err := parseProfile(strings.Replace(datasets.Profile, c.old, c.new, 1))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q in it", err, c.want)
			}
		})
	}
}
