package taxi_test

import (
	"math"
	"testing"

	"taxilake/lakekit/taxi"
)

// Package marginals holds the records against the published figures; here is
// what no figure tells.

const sampleRows = 1_000_000

func generatedRecords(t *testing.T) []taxi.Record {
	t.Helper()
	g := generator(t, 1)
	records := make([]taxi.Record, sampleRows)
	for row := range records {
		g.Record(int64(row), &records[row])
	}
	return records
}

func TestWhatNeverOccurs(t *testing.T) {
	never := map[string]func(*taxi.Record) bool{
		"half a dropoff":               func(r *taxi.Record) bool { return r.DropoffLongitude.Valid != r.DropoffLatitude.Valid },
		"fare that is no whole cents":  func(r *taxi.Record) bool { return math.Round(r.FareAmount*100)/100 != r.FareAmount },
		"fare beyond the highest ever": func(r *taxi.Record) bool { return r.FareAmount > 93963.36 || r.FareAmount < -300 },
	}
	beyond1000 := 0
	for _, r := range generatedRecords(t) {
		for what, is := range never {
			if is(&r) {
				t.Errorf("%s: %+v", what, r)
			}
		}
		if r.FareAmount > 1000 {
			beyond1000++
		}
	}
	if beyond1000 > 5 {
		t.Errorf("%d fares beyond 1000 in a million, want at most a few", beyond1000)
	}
}

// The fares of trips out of town follow their own rules: to Newark a surcharge
// and the Hudson's toll, elsewhere often a price agreed on, in steps of 5 USD.
func TestFaresOutOfTown(t *testing.T) {
	var newark, newarkDollars, jersey, jerseyRound, above80, above100 float64
	for _, r := range generatedRecords(t) {
		longitude, latitude := r.DropoffLongitude.Float64, r.DropoffLatitude.Float64
		switch toNewark := math.Abs(longitude+74.179) < 0.018 && math.Abs(latitude-40.6925) < 0.015; {
		case toNewark:
			newark++
			newarkDollars += r.FareAmount
		case longitude < -74.06 && longitude > -75 && latitude > 40.66:
			jersey++
			if math.Mod(r.FareAmount, 5) == 0 {
				jerseyRound++
			}
		}
		if r.FareAmount > 80 {
			above80++
		}
		if r.FareAmount > 100 {
			above100++
		}
	}
	for what, c := range map[string][3]float64{
		"trips to Newark in a thousand":      {newark / sampleRows * 1000, 1.2, 2},
		"mean fare to Newark":                {newarkDollars / newark, 60, 78},
		"share of round fares to New Jersey": {jerseyRound / jersey, 0.35, 0.55},
		"fares above 80 in a thousand":       {above80 / sampleRows * 1000, 0.8, 1.4},
		"fares above 100 in a thousand":      {above100 / sampleRows * 1000, 0.2, 0.5},
	} {
		if got, least, most := c[0], c[1], c[2]; !(got >= least && got <= most) {
			t.Errorf("%s: %.3f, want %v to %v", what, got, least, most)
		}
	}
}

// TestTripsSpread finds bands and lines: in midtown, every street's width of
// longitude and latitude has about as many trips as its neighbours.
func TestTripsSpread(t *testing.T) {
	const west, south, step, cells = -74.000, 40.730, 0.001, 20
	var columns, rows [cells]float64
	for _, r := range generatedRecords(t) {
		x := int(math.Floor((r.PickupLongitude - west) / step))
		y := int(math.Floor((r.PickupLatitude - south) / step))
		if x >= 0 && x < cells && y >= 0 && y < cells {
			columns[x]++
			rows[y]++
		}
	}
	for name, counts := range map[string][cells]float64{"longitude": columns, "latitude": rows} {
		for i := 1; i < cells; i++ {
			if ratio := counts[i] / counts[i-1]; ratio < 0.7 || ratio > 1.4 {
				t.Errorf("trips by %s jump from %v to %v at step %d", name, counts[i-1], counts[i], i)
			}
		}
	}
}
