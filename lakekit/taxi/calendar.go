package taxi

import (
	"math"
	"math/bits"
	"time"
)

// calendar knows when trips begin. It lays the trips of the whole data set out
// in the order of time and answers when the trip of a given rank begins; the
// generator deals the ranks out in a random order, without repeating one, and
// so every hour has exactly the trips it should have and every key is new.
type calendar struct {
	trips  uint64
	starts []uint32 // rank of the first trip of each hour, in the order of time, and the number of all
	days   []day
	// hourNear is the hour of the first rank of every so many, from where the
	// hour of any rank is a step or two away.
	hourNear []uint16
	seconds  []secondLayers // by trips a second, in steps of 1/secondLayersPerTrip
}

const (
	ranksPerHourNear = 1 << 10

	// The file holds one in twenty of the city's trips, 1.11 billion by the
	// records of the Taxi and Limousine Commission, and its keys count all.
	cityTripsPerTrip = 20

	// Seconds in an hour that do not begin a minute.
	otherSeconds = 60 * 59

	secondLayersPerTrip = 8
)

// secondLayers are the keys of an hour's other seconds at so many trips a
// second: how many have a counter of up to 0, 1 and so on. Trips come as they
// please, so that those of a second are a Poisson number. No hour has as many
// trips that a second has 24; a fixed size lets the search do without branches.
type secondLayers [24]uint16

func newSecondLayers(tripsPerSecond float64) (layers secondLayers) {
	probability, atLeast := exponential(-tripsPerSecond), 1.0
	for counter := 1; counter < len(layers); counter++ {
		atLeast -= probability
		probability = float64(probability * (tripsPerSecond / float64(counter)))
		layers[counter] = layers[counter-1] + uint16(float64(otherSeconds*atLeast)+0.5)
	}
	return layers
}

// all is the number of keys.
func (l *secondLayers) all() uint64 { return uint64(l[len(l)-1]) }

// find returns the nth key's counter, and which it is of those with that counter.
func (l *secondLayers) find(nth uint64) (counter, of uint64) {
	for _, keys := range l {
		counter += (uint64(keys) - nth - 1) >> 63 // 1 where keys <= nth
	}
	return counter, nth - uint64(l[counter-1])
}

type day struct {
	date                [len("2009-06-15")]byte
	start               int64   // seconds since 1970
	progress            float64 // from 0 on the first day to 1 on the last
	year                uint8   // since the profile's first
	weekday             uint8   // 0 is Monday
	traffic             uint8   // the weekday whose traffic it has: a holiday's is Sunday's
	passengers          uint8   // index of the time that they are known for
	hours               hourPlan
	trips               uint64
	secondZeroPerMyriad uint64
	leisureHours        uint32     // a bit for each hour
	coarseShare         [2]float64 // of the taximeters of each maker
	coarseUnits         float64    // a degree, that their positions are rounded to
	newTariffShare      float64
	tollCents           int64
	hudsonTollCents     int64
}

// moment is when a trip begins.
type moment struct {
	*day
	hour     int
	seconds  int64  // since 1970
	counter  uint64 // from 1 among all the city's trips of the same second
	onMinute int    // 1 at second 00
}

// leisure is 1 when people are out for pleasure, and 0 when they work on the
// day or the day after.
func (m *moment) leisure() uint32 { return m.leisureHours >> m.hour & 1 }

func newCalendar(p *profile) *calendar {
	c := &calendar{}
	for _, month := range p.TripsByDay {
		for _, trips := range month {
			c.days = append(c.days, newDay(p, p.FirstDay.AddDate(0, 0, len(c.days)), uint64(trips)))
		}
	}
	for i := range c.days {
		c.days[i].progress = float64(i) / float64(len(c.days))
	}
	ordinary := ordinaryHours(p, c.days)
	for i := range c.days {
		d := &c.days[i]
		hours := d.hours.weights(p, ordinary, d.weekday)
		var total, before uint64
		for _, weight := range hours {
			total += weight
		}
		for _, weight := range hours {
			c.starts = append(c.starts, uint32(c.trips+(d.trips*before+total/2)/total))
			before += weight
		}
		c.trips += d.trips
	}
	c.starts = append(c.starts, uint32(c.trips))
	var most uint64
	for hour := range len(c.starts) - 1 {
		most = max(most, uint64(c.starts[hour+1]-c.starts[hour]))
	}
	for i := range most*cityTripsPerTrip*secondLayersPerTrip/otherSeconds + 1 {
		c.seconds = append(c.seconds, newSecondLayers(float64(i+1)/secondLayersPerTrip))
	}
	hour := 0
	for rank := uint64(0); rank < c.trips; rank += ranksPerHourNear {
		for uint64(c.starts[hour+1]) <= rank {
			hour++
		}
		c.hourNear = append(c.hourNear, uint16(hour))
	}
	return c
}

func newDay(p *profile, at time.Time, trips uint64) day {
	year, weekday := at.Year()-p.FirstDay.Year(), (int(at.Weekday())+6)%7
	d := day{
		start:               at.Unix(),
		year:                uint8(year),
		weekday:             uint8(weekday),
		traffic:             uint8(weekday),
		trips:               trips,
		hours:               hoursOf(p, at),
		secondZeroPerMyriad: uint64(math.Round(p.SecondZeroShareByYear[year] * 1e4)),
		tollCents:           centsOn(p.Fare.Tolls, at),
		hudsonTollCents:     centsOn(p.Fare.HudsonTolls, at),
	}
	copy(d.date[:], at.Format(time.DateOnly))
	if d.hours == newYearHours || d.hours == holidayHours {
		d.traffic = sunday
	}
	d.leisureHours = leisureHours(d.traffic)
	for _, t := range p.Fare.NewTariff {
		if !at.Before(t.Since.Time) {
			d.newTariffShare = t.Share
		}
	}
	for _, c := range p.CoarsePositions {
		if hours := at.Sub(c.Since.Time).Hours(); hours >= 0 && at.Before(c.Until.Time) {
			d.coarseShare[c.Maker] = multiplyAdd(hours/c.Until.Sub(c.Since.Time).Hours(), c.Share[1]-c.Share[0], c.Share[0])
			d.coarseUnits = math.Pow10(c.Decimals)
		}
	}
	for i, t := range p.Passengers {
		if !at.Before(t.Since.Time) {
			d.passengers = uint8(i)
		}
	}
	return d
}

// moment finds the trip of a rank below c.trips. Repeated data sets, which
// begin when a user asks for more rows than the real file has, count on in the
// same second.
func (c *calendar) moment(repeat, rank uint64) moment {
	hour := int(c.hourNear[rank/ranksPerHourNear])
	for uint64(c.starts[hour+1]) <= rank {
		hour++
	}
	d := &c.days[hour/24]
	nth, trips := rank-uint64(c.starts[hour]), uint64(c.starts[hour+1]-c.starts[hour])

	// Many taximeters cut the seconds off. Of the city's trips the file has one
	// here and there, the strides spread the trips over the minutes and seconds.
	m := moment{day: d, hour: hour % 24, seconds: d.start + int64(hour%24)*3600}
	onMinute := (trips*d.secondZeroPerMyriad + 5000) / 10000
	if nth < onMinute {
		const stride, minutes = 37, 60
		nth = among(nth, onMinute, onMinute*cityTripsPerTrip, hour)
		m.onMinute = 1
		m.seconds += int64((nth*stride + uint64(hour)) % minutes * 60)
		m.counter = nth/minutes + 1 + repeat*(onMinute*cityTripsPerTrip/minutes+1)
		return m
	}
	const stride = 2189
	trips -= onMinute
	layers := &c.seconds[trips*cityTripsPerTrip*secondLayersPerTrip/otherSeconds]
	counter, of := layers.find(among(nth-onMinute, trips, layers.all(), hour))
	second := (of*stride + uint64(hour)*977) % otherSeconds
	m.seconds += int64(second/59*60 + second%59 + 1)
	m.counter = counter + repeat*uint64(len(layers))
	return m
}

// among picks the nth of so many trips out of more, at least twice as many: one
// in each stretch, and not so near its end that the next could be the same.
func among(nth, trips, more uint64, hour int) uint64 {
	within, _ := bits.Mul64(mix(nth+uint64(hour)<<32), more-trips)
	return (nth*more + within) / trips
}
