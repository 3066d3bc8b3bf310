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
	passengers alias
	counts     []int32 // passengers, by index of the alias
}

var loadModel = sync.OnceValues(func() (*model, error) {
	p, err := parseProfile(datasets.Profile)
	if err != nil {
		return nil, err
	}
	m := &model{
		calendar: newCalendar(p),
		city:     newCity(p),
		tariff:   newTariff(p),
		dirt:     dirt{&p.Dirty},
	}
	var weights []uint64
	for _, line := range p.TripsByPassengerCount {
		m.counts = append(m.counts, int32(line[0]))
		weights = append(weights, uint64(line[1]))
	}
	m.passengers = newAlias(weights)
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

	trip := m.city.trip(at.hour, &random)
	cents := m.tariff.cents(at, &trip, &random)
	passengers := m.counts[m.passengers.pick(random.next())]
	if trip.samePlace {
		trip.dropoff = trip.pickup
	}
	noDropoff := m.dirt.soilPlaces(at.year, &trip, &random)
	cents = m.dirt.soilFare(cents, &random)

	r.Key = appendKey(r.Key[:0], at)
	r.FareAmount = float64(cents) / 100
	r.PickupDatetime = at.seconds
	r.PassengerCount = passengers
	pickup, dropoff := trip.pickup.asWritten(at.year), trip.dropoff.asWritten(at.year)
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

// asWritten rounds as the taximeters did: to six decimals, and in 2015, the
// profile's seventh year, to single precision.
func (p point) asWritten(year int) point {
	if year == 6 {
		return point{float64(float32(p.longitude)), float64(float32(p.latitude))}
	}
	return point{roundToMillionths(p.longitude), roundToMillionths(p.latitude)}
}

func roundToMillionths(v float64) float64 { return math.RoundToEven(float64(v*1e6)) / 1e6 }
