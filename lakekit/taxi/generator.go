package taxi

import (
	"math"
	"strconv"
	"sync"

	"taxilake/datasets"
)

// Generator yields made-up taxi records whose distributions follow the real
// file's. It holds no state: a row depends on the seed and its number alone,
// and is the same on every machine. It may be used by many goroutines.
type Generator struct {
	model *model
	seed  uint64
	order permutation
}

// RowsOfRealFile is how many rows Kaggle's train.csv has. A generator's first
// so many rows have keys of their own; the rows after them begin the data set
// anew, in another order, with the counters of the keys going on.
const RowsOfRealFile = 55_423_856

type model struct {
	calendar   *calendar
	city       *city
	tariff     *tariff
	dirt       dirt
	passengers *passengers
	// vtsShare is that of VTS's taximeters at other seconds and at second 00.
	vtsShareByYear [][2]float64
}

var loadModel = sync.OnceValues(func() (*model, error) {
	p, err := parseProfile(datasets.Profile)
	if err != nil {
		return nil, err
	}
	m := &model{
		calendar:   newCalendar(p),
		city:       newCity(p),
		tariff:     newTariff(p),
		dirt:       dirt{&p.Dirty},
		passengers: newPassengers(p),

		vtsShareByYear: p.VTSShareByYear,
	}
	return m, nil
})

// NewGenerator returns the generator of a seed. The error says what is wrong
// with the embedded profile and is nil in a sound build.
func NewGenerator(seed uint64) (*Generator, error) {
	m, err := loadModel()
	if err != nil {
		return nil, err
	}
	return &Generator{model: m, seed: seed, order: newPermutation(seed, m.calendar.trips)}, nil
}

// Record fills r with the row of that number, from 0.
func (g *Generator) Record(row int64, r *Record) {
	m := g.model
	repeat, index := uint64(row)/m.calendar.trips, uint64(row)%m.calendar.trips
	at := m.calendar.moment(repeat, g.order.at(repeat, index))
	random := newStream(g.seed, uint64(row))

	taximeter := cmt
	if random.uniform() < m.vtsShareByYear[at.year][at.onMinute] {
		taximeter = vts
	}
	trip := m.city.trip(&at, &random)
	cents := m.tariff.cents(at, &trip, &random)
	passengers := m.passengers.draw(&at, taximeter, &random)
	if trip.samePlace {
		trip.dropoff = trip.pickup
	}
	noDropoff := m.dirt.soilPlaces(at.year, taximeter, &trip, &random)
	cents = m.dirt.soilFare(cents, &random)

	r.Key = appendKey(r.Key[:0], at)
	r.FareAmount = float64(cents) / 100
	r.PickupDatetime = at.seconds
	r.PassengerCount = passengers
	units := 1e6
	if share := at.coarseShare[taximeter]; share > 0 && random.uniform() < share {
		units = at.coarseUnits
	}
	pickup, dropoff := trip.pickup.asWritten(at.year, units), trip.dropoff.asWritten(at.year, units)
	r.PickupLongitude, r.PickupLatitude = pickup.longitude, pickup.latitude
	r.DropoffLongitude = NullFloat64{dropoff.longitude, true}
	r.DropoffLatitude = NullFloat64{dropoff.latitude, true}
	if noDropoff {
		r.DropoffLongitude, r.DropoffLatitude = NullFloat64{}, NullFloat64{}
	}
}

func appendKey(dst []byte, at moment) []byte {
	dst = append(append(dst, at.date[:]...), ' ')
	dst = appendTimeOfDay(dst, uint32(at.seconds-at.start))
	dst = append(dst, ".000000"...)
	return strconv.AppendUint(dst, at.counter, 10)
}

// asWritten rounds as the taximeters did: to so many units a degree, and in
// 2015, the profile's seventh year, to single precision.
func (p point) asWritten(year uint8, units float64) point {
	if year == 6 {
		return point{float64(float32(p.longitude)), float64(float32(p.latitude))}
	}
	return point{roundTo(units, p.longitude), roundTo(units, p.latitude)}
}

func roundTo(units, v float64) float64 { return math.RoundToEven(float64(v*units)) / units }
