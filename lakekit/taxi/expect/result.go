package expect

import (
	"fmt"
	"maps"
	"slices"
)

// Fares is a group of trips. Sums are in cents, so that they are exact.
type Fares struct {
	Trips int64
	Cents int64
}

func (f *Fares) add(cents int64) {
	f.Trips++
	f.Cents += cents
}

func (f *Fares) merge(other Fares) {
	f.Trips += other.Trips
	f.Cents += other.Cents
}

// Mean is the mean fare in US dollars, and 0 of no trips.
func (f Fares) Mean() float64 {
	if f.Trips == 0 {
		return 0
	}
	return float64(f.Cents) / 100 / float64(f.Trips)
}

// Result holds the seven aggregates of the course: trips per month, per day of
// the week and per hour, the mean fare per hour and per year, trips against
// mean fare per year, and the distribution of fares. Groups nobody travelled
// in are zero in the arrays and absent from the maps.
type Result struct {
	All       Fares
	ByMonth   [12]Fares     // 0 is January
	ByWeekday [7]Fares      // 0 is Sunday, Spark's dayofweek 1
	ByHour    [24]Fares     // of the day
	ByYear    map[int]Fares // calendar year
	// ByFare has the trips by fare in bins of one dollar, each named by its
	// lower bound, which belongs to it: floor(fare_amount). Bin -3 holds fares
	// from -3.00 to -2.01.
	ByFare map[int64]int64

	// BadRows is how many rows of CSV files could not be read and so became no
	// record.
	BadRows int64
}

// Add adds the counts of other rows.
func (r *Result) Add(other *Result) {
	r.All.merge(other.All)
	for i := range r.ByMonth {
		r.ByMonth[i].merge(other.ByMonth[i])
	}
	for i := range r.ByWeekday {
		r.ByWeekday[i].merge(other.ByWeekday[i])
	}
	for i := range r.ByHour {
		r.ByHour[i].merge(other.ByHour[i])
	}
	for year, fares := range other.ByYear {
		r.addToYear(year, fares)
	}
	for bin, trips := range other.ByFare {
		r.addToBin(bin, trips)
	}
	r.BadRows += other.BadRows
}

func (r *Result) addToYear(year int, fares Fares) {
	if r.ByYear == nil {
		r.ByYear = map[int]Fares{}
	}
	sum := r.ByYear[year]
	sum.merge(fares)
	r.ByYear[year] = sum
}

func (r *Result) addToBin(bin, trips int64) {
	if r.ByFare == nil {
		r.ByFare = map[int64]int64{}
	}
	r.ByFare[bin] += trips
}

// Diff says in words where got differs from the expected result r, one line a
// group, and nothing where every count and every cent is equal. BadRows are no
// part of the comparison.
func (r *Result) Diff(got *Result) []string {
	var d differences
	d.fares("all rows", r.All, got.All)
	for i := range r.ByMonth {
		d.fares(fmt.Sprintf("month %d", i+1), r.ByMonth[i], got.ByMonth[i])
	}
	for i := range r.ByWeekday {
		d.fares(fmt.Sprintf("dayofweek %d", i+1), r.ByWeekday[i], got.ByWeekday[i])
	}
	for i := range r.ByHour {
		d.fares(fmt.Sprintf("hour %d", i), r.ByHour[i], got.ByHour[i])
	}
	for _, year := range unionOfKeys(r.ByYear, got.ByYear) {
		d.fares(fmt.Sprintf("year %d", year), r.ByYear[year], got.ByYear[year])
	}
	for _, bin := range unionOfKeys(r.ByFare, got.ByFare) {
		d.count(fmt.Sprintf("fares from %d to under %d USD", bin, bin+1), "trips", r.ByFare[bin], got.ByFare[bin])
	}
	return d
}

type differences []string

func (d *differences) fares(group string, want, got Fares) {
	d.count(group, "trips", want.Trips, got.Trips)
	d.count(group, "cents", want.Cents, got.Cents)
}

func (d *differences) count(group, unit string, want, got int64) {
	if got != want {
		*d = append(*d, fmt.Sprintf("%s: %d %s, expected %d (%+d)", group, got, unit, want, got-want))
	}
}

func unionOfKeys[K int | int64, V any](a, b map[K]V) []K {
	keys := slices.Concat(slices.Collect(maps.Keys(a)), slices.Collect(maps.Keys(b)))
	slices.Sort(keys)
	return slices.Compact(keys)
}
