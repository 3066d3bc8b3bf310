package taxi_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"taxilake/lakekit/taxi"
)

// facts are the targets, testdata/facts.json.
type facts struct {
	Rows                  float64            `json:"rows"`
	RowsByYear            map[string]float64 `json:"rows_millions_by_year_full"`
	RowsByMonth           []float64          `json:"rows_millions_by_month_full"`
	RowsByHour            []float64          `json:"rows_thousands_by_hour_full"`
	WeekdayPercent        []float64          `json:"weekday_share_percent_full_mon0"`
	WeekdayPercentShifted []float64          `json:"weekday_share_percent_shifted_plus8h_mon0"`
	FareByHour            []float64          `json:"mean_fare_by_hour_sample"`
	FareByYear            map[string]float64 `json:"mean_fare_by_year_full"`
	FareQuantiles         map[string]float64 `json:"fare_quantiles_full"`
	FareMean              float64            `json:"fare_mean_full"`
	Share3To20            float64            `json:"share_fare_3_to_20_sample"`
	KmQuantiles           map[string]float64 `json:"distance_km_quantiles_sample"`
	PassengerCount        map[string]float64 `json:"passenger_count_full"`
}

func readFacts(t *testing.T) *facts {
	t.Helper()
	text, err := os.ReadFile("testdata/facts.json")
	if err != nil {
		t.Fatal(err)
	}
	var f facts
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	return &f
}

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

func pickup(r *taxi.Record) time.Time { return time.Unix(r.PickupDatetime, 0).UTC() }

type group struct{ trips, dollars float64 }

func (g group) mean() float64  { return g.dollars / g.trips }
func (g group) share() float64 { return g.trips / sampleRows }

func groupBy[K comparable](records []taxi.Record, key func(*taxi.Record) K) map[K]group {
	groups := map[K]group{}
	for i := range records {
		k := key(&records[i])
		g := groups[k]
		g.trips++
		g.dollars += records[i].FareAmount
		groups[k] = g
	}
	return groups
}

// expectShare allows for chance (five standard deviations) and for a target
// that was rounded.
func expectShare(t *testing.T, what string, got, want, rounding float64) {
	t.Helper()
	tolerance := 5*math.Sqrt(want*(1-want)/sampleRows) + rounding
	if math.Abs(got-want) > tolerance {
		t.Errorf("share of %s is %.5f, want %.5f within %.5f", what, got, want, tolerance)
	}
}

func expectNear(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %.4f, want %.4f within %.4f", what, got, want, tolerance)
	}
}

func TestRecordsLookLikeTheRealFile(t *testing.T) {
	facts, records := readFacts(t), generatedRecords(t)

	t.Run("trips by time", func(t *testing.T) {
		millions := facts.Rows / 1e6
		byYear := groupBy(records, func(r *taxi.Record) string { return strconv.Itoa(pickup(r).Year()) })
		for year, want := range facts.RowsByYear {
			expectShare(t, year, byYear[year].share(), want/millions, 0.01/millions)
		}
		if len(byYear) != len(facts.RowsByYear) {
			t.Errorf("there are %d years, want %d", len(byYear), len(facts.RowsByYear))
		}
		byMonth := groupBy(records, func(r *taxi.Record) int { return int(pickup(r).Month()) })
		for i, want := range facts.RowsByMonth {
			expectShare(t, time.Month(i+1).String(), byMonth[i+1].share(), want/millions, 0.01/millions)
		}
		byHour := groupBy(records, func(r *taxi.Record) int { return pickup(r).Hour() })
		for hour, want := range facts.RowsByHour {
			expectShare(t, fmt.Sprint("hour ", hour), byHour[hour].share(), want/1e3/millions, 0.0005)
		}
		for offset, percents := range map[time.Duration][]float64{0: facts.WeekdayPercent, 8 * time.Hour: facts.WeekdayPercentShifted} {
			byWeekday := groupBy(records, func(r *taxi.Record) time.Weekday { return pickup(r).Add(offset).Weekday() })
			for i, want := range percents {
				weekday := time.Weekday((i + 1) % 7)
				expectShare(t, fmt.Sprint(weekday, " at +", offset), byWeekday[weekday].share(), want/100, 0.0006)
			}
		}
	})

	t.Run("whole minutes", func(t *testing.T) {
		byYear := groupBy(records, func(r *taxi.Record) int { return pickup(r).Year() })
		onMinute := groupBy(records, func(r *taxi.Record) int {
			if pickup(r).Second() != 0 {
				return 0
			}
			return pickup(r).Year()
		})
		for year, want := range map[int]float64{2009: 0.4888, 2010: 0.5157, 2011: 0.4933, 2012: 0.5027, 2013: 0.5067, 2014: 0.5124, 2015: 0.0179} {
			expectNear(t, fmt.Sprint("share of second 00 in ", year), onMinute[year].trips/byYear[year].trips, want, 0.008)
		}
	})

	t.Run("fares", func(t *testing.T) {
		byHour := groupBy(records, func(r *taxi.Record) int { return pickup(r).Hour() })
		for hour, want := range facts.FareByHour {
			expectNear(t, fmt.Sprint("mean fare at hour ", hour), byHour[hour].mean(), want, 0.03+5*10/math.Sqrt(byHour[hour].trips))
		}
		byYear := groupBy(records, func(r *taxi.Record) string { return strconv.Itoa(pickup(r).Year()) })
		for year, want := range facts.FareByYear {
			expectNear(t, "mean fare of "+year, byYear[year].mean(), want, 0.10)
		}
		fares := make([]float64, len(records))
		sum, within := 0.0, 0.0
		for i := range records {
			fares[i] = records[i].FareAmount
			sum += fares[i]
			if fares[i] >= 3 && fares[i] <= 20 {
				within++
			}
		}
		expectNear(t, "mean fare", sum/sampleRows, facts.FareMean, 0.05)
		expectNear(t, "share of fares from 3 to 20", within/sampleRows, facts.Share3To20, 0.005)
		expectQuantiles(t, "fare", fares, facts.FareQuantiles, map[string]float64{"0.95": 1, "0.99": 1.1}, 0.5)
	})

	t.Run("distances", func(t *testing.T) {
		var km []float64
		for i := range records {
			if r := &records[i]; inNewYork(r.PickupLongitude, r.PickupLatitude) && inNewYork(r.DropoffLongitude.Float64, r.DropoffLatitude.Float64) {
				km = append(km, haversineKm(r))
			}
		}
		expectQuantiles(t, "distance", km, facts.KmQuantiles, nil, 0.1)
	})

	t.Run("passengers", func(t *testing.T) {
		byCount := groupBy(records, func(r *taxi.Record) string { return strconv.Itoa(int(r.PassengerCount)) })
		for count, want := range facts.PassengerCount {
			expectShare(t, count+" passengers", byCount[count].share(), want/facts.Rows, 2./sampleRows)
		}
	})

	t.Run("mistakes", func(t *testing.T) { testMistakes(t, records) })
	t.Run("spread", func(t *testing.T) { testSpread(t, records) })
}

func expectQuantiles(t *testing.T, what string, values []float64, targets, tolerances map[string]float64, tolerance float64) {
	t.Helper()
	slices.Sort(values)
	for level, want := range targets {
		q, err := strconv.ParseFloat(level, 64)
		if err != nil {
			t.Fatal(err)
		}
		allowed, ok := tolerances[level]
		if !ok {
			allowed = tolerance
		}
		expectNear(t, fmt.Sprintf("%s quantile %s", what, level), values[int(q*float64(len(values)))], want, allowed)
	}
}

func inNewYork(longitude, latitude float64) bool {
	return math.Abs(longitude+74) < 1 && math.Abs(latitude-40.7) < 0.7
}

func haversineKm(r *taxi.Record) float64 {
	const degree = math.Pi / 180
	a := math.Pow(math.Sin((r.DropoffLatitude.Float64-r.PickupLatitude)*degree/2), 2) +
		math.Cos(r.PickupLatitude*degree)*math.Cos(r.DropoffLatitude.Float64*degree)*
			math.Pow(math.Sin((r.DropoffLongitude.Float64-r.PickupLongitude)*degree/2), 2)
	return 2 * 6371 * math.Asin(math.Sqrt(a))
}

// mistakes of the real file, and some that neither file has.
var mistakes = map[string]func(*taxi.Record) bool{
	"zero pickup and dropoff": func(r *taxi.Record) bool { return zeroPickup(r) && zeroDropoff(r) },
	"zero pickup only":        func(r *taxi.Record) bool { return zeroPickup(r) && !zeroDropoff(r) },
	"zero dropoff only":       func(r *taxi.Record) bool { return !zeroPickup(r) && zeroDropoff(r) },
	"swapped": func(r *taxi.Record) bool {
		return r.PickupLongitude > 39 && r.PickupLongitude < 42 && r.PickupLatitude < -70 && r.DropoffLatitude.Float64 < -70
	},
	"a degree off": func(r *taxi.Record) bool {
		return offByADegree(r.PickupLatitude) || offByADegree(r.DropoffLatitude.Float64)
	},
	"out of range": func(r *taxi.Record) bool {
		return outOfRange(r.PickupLongitude, r.PickupLatitude) || outOfRange(r.DropoffLongitude.Float64, r.DropoffLatitude.Float64)
	},
	"no dropoff":     func(r *taxi.Record) bool { return !r.DropoffLongitude.Valid && !r.DropoffLatitude.Valid },
	"half a dropoff": func(r *taxi.Record) bool { return r.DropoffLongitude.Valid != r.DropoffLatitude.Valid },
	"dropoff at the pickup": func(r *taxi.Record) bool {
		return !zeroPickup(r) && r.DropoffLongitude.Float64 == r.PickupLongitude && r.DropoffLatitude.Float64 == r.PickupLatitude
	},
	"negative fare":                func(r *taxi.Record) bool { return r.FareAmount < 0 },
	"fare of zero":                 func(r *taxi.Record) bool { return r.FareAmount == 0 },
	"fare below the minimum":       func(r *taxi.Record) bool { return r.FareAmount > 0 && r.FareAmount < 2.5 },
	"fare that is no whole cents":  func(r *taxi.Record) bool { return math.Round(r.FareAmount*100)/100 != r.FareAmount },
	"fare beyond 1000":             func(r *taxi.Record) bool { return r.FareAmount > 1000 },
	"fare beyond the highest ever": func(r *taxi.Record) bool { return r.FareAmount > 93963.36 || r.FareAmount < -300 },
}

func zeroPickup(r *taxi.Record) bool { return r.PickupLongitude == 0 && r.PickupLatitude == 0 }

func zeroDropoff(r *taxi.Record) bool {
	zero := taxi.NullFloat64{Valid: true}
	return r.DropoffLongitude == zero && r.DropoffLatitude == zero
}

func outOfRange(longitude, latitude float64) bool {
	return math.Abs(longitude) > 180 && math.Abs(latitude) > 90
}

func testMistakes(t *testing.T, records []taxi.Record) {
	counts := map[string]float64{}
	for mistake, made := range mistakes {
		n := 0
		for i := range records {
			if made(&records[i]) {
				n++
			}
		}
		counts[mistake] = float64(n)
	}
	for mistake, share := range map[string]float64{
		"zero pickup and dropoff": 0.0200 * 0.911,
		"zero pickup only":        0.0200 * 0.044,
		"zero dropoff only":       0.0200 * 0.045,
		"swapped":                 0.0004,
		"a degree off":            0.0004,
		"out of range":            0.00003,
		"no dropoff":              0.0000068,
		"dropoff at the pickup":   0.0095 * 0.98,
		"negative fare":           0.000044,
		"fare of zero":            0.000024,
		"fare below the minimum":  0.000022,
	} {
		expectShare(t, mistake, counts[mistake]/sampleRows, share, share/10+1./sampleRows)
		if counts[mistake] == 0 {
			t.Errorf("%s does not occur", mistake)
		}
	}
	for _, never := range []string{"half a dropoff", "fare that is no whole cents", "fare beyond the highest ever"} {
		if counts[never] > 0 {
			t.Errorf("%s occurs %v times", never, counts[never])
		}
	}
	if counts["fare beyond 1000"] > 5 {
		t.Errorf("%v fares beyond 1000 in a million, want at most a few", counts["fare beyond 1000"])
	}
}

func offByADegree(latitude float64) bool {
	return latitude > 41.3 && latitude < 42.2 || latitude > 39.2 && latitude < 40.1
}

// testSpread finds bands and lines: in midtown, every street's width of
// longitude and latitude has about as many trips as its neighbours.
func testSpread(t *testing.T, records []taxi.Record) {
	const west, south, step, cells = -74.000, 40.730, 0.001, 20
	var columns, rows [cells]float64
	for i := range records {
		x := int(math.Floor((records[i].PickupLongitude - west) / step))
		y := int(math.Floor((records[i].PickupLatitude - south) / step))
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
