package taxi_test

import (
	"math"
	"strconv"
	"testing"
	"time"

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

// decimals is how many a record's places have at most, and 6 where it has none.
func decimals(r *taxi.Record) int {
	for n, units := range []float64{1, 1e1, 1e2, 1e3, 1e4, 1e5} {
		if r.PickupLongitude != 0 && round(r.PickupLongitude, units) && round(r.PickupLatitude, units) &&
			round(r.DropoffLongitude.Float64, units) && round(r.DropoffLatitude.Float64, units) {
			return n
		}
	}
	return 6
}

func round(v, units float64) bool { return math.Round(v*units)/units == v }

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

// What goes together in the real file has a common cause: the maker of the
// taximeter, or that people are out for pleasure. The figures are those of a
// sample of 75,000 rows, in per cent but for the counters of keys.
func TestWhatGoesTogether(t *testing.T) {
	type share struct{ some, all float64 }
	shares := map[string]*share{}
	add := func(name string, value float64) {
		if shares[name] == nil {
			shares[name] = &share{}
		}
		shares[name].some += value
		shares[name].all++
	}
	is := map[bool]float64{true: 100}
	for _, r := range generatedRecords(t) {
		at := time.Unix(r.PickupDatetime, 0).UTC()
		counter, err := strconv.Atoi(string(r.Key[len("2009-06-15 17:26:21.000000"):]))
		if err != nil {
			t.Fatal(err)
		}
		seconds := "other seconds"
		if at.Second() == 0 {
			seconds = "second 00"
		}
		if at.Year() < 2015 {
			add("counter of keys at "+seconds, float64(counter))
			add("5 or 6 passengers at "+seconds, is[r.PassengerCount == 5 || r.PassengerCount == 6])
		} else {
			add("5 or 6 passengers in 2015", is[r.PassengerCount == 5 || r.PassengerCount == 6])
		}
		switch at.Year() {
		case 2010:
			add("no position in 2010 at "+seconds, is[r.PickupLongitude == 0])
			add("6 passengers in 2010", is[r.PassengerCount == 6])
		case 2011:
			add("no passengers in 2011 at "+seconds, is[r.PassengerCount == 0])
			add("places of at most 4 decimals in late 2011 at "+seconds, is[at.Month() >= time.July && decimals(&r) <= 4])
		case 2014:
			add("places of at most 5 decimals in 2014 at "+seconds, is[decimals(&r) <= 5])
		case 2013:
			add("swapped coordinates in 2013", is[r.PickupLongitude > 30 && r.PickupLongitude < 50])
			add("6 passengers in 2013", is[r.PassengerCount == 6])
		}
		laGuardia := math.Abs(r.PickupLongitude+73.8715) < 0.016 && math.Abs(r.PickupLatitude-40.7731) < 0.008
		switch at.Weekday() {
		case time.Saturday:
			add("pickups at LaGuardia on Saturdays", is[laGuardia])
			add("1 passenger on Saturdays", is[r.PassengerCount == 1])
		case time.Monday:
			add("pickups at LaGuardia on Mondays", is[laGuardia])
			add("1 passenger on Mondays", is[r.PassengerCount == 1])
			if at.Hour() >= 6 && at.Hour() < 9 {
				add("1 passenger on Monday mornings", is[r.PassengerCount == 1])
			}
		}
	}
	for name, c := range map[string][2]float64{
		"counter of keys at second 00":                               {105.5, 8},
		"counter of keys at other seconds":                           {2.62, 0.1},
		"5 or 6 passengers at second 00":                             {17.6, 1},
		"5 or 6 passengers at other seconds":                         {0.05, 0.03},
		"5 or 6 passengers in 2015":                                  {8.65, 1},
		"6 passengers in 2010":                                       {0.40, 0.1},
		"6 passengers in 2013":                                       {3.73, 0.4},
		"no passengers in 2011 at second 00":                         {0.05, 0.05},
		"no passengers in 2011 at other seconds":                     {2.55, 0.5},
		"no position in 2010 at second 00":                           {2.83, 0.3},
		"no position in 2010 at other seconds":                       {1.79, 0.3},
		"places of at most 4 decimals in late 2011 at other seconds": {6.4, 1},
		"places of at most 5 decimals in 2014 at second 00":          {10.4, 1.5},
		"swapped coordinates in 2013":                                {0.28, 0.06},
		"pickups at LaGuardia on Saturdays":                          {1.00, 0.6},
		"pickups at LaGuardia on Mondays":                            {2.86, 0.7},
		"1 passenger on Saturdays":                                   {64.1, 1.5},
		"1 passenger on Mondays":                                     {72.1, 1.5},
		"1 passenger on Monday mornings":                             {78, 2},
	} {
		s := shares[name]
		if s == nil {
			t.Errorf("%s: none", name)
		} else if got := s.some / s.all; math.Abs(got-c[0]) > c[1] {
			t.Errorf("%s: %.3f, want %v give or take %v", name, got, c[0], c[1])
		}
	}
}
