package taxi

import (
	"math"
	"time"
)

// calendar knows when trips begin. It lays the trips of the whole data set out
// in the order of time and answers when the trip of a given rank begins; the
// generator deals the ranks out in a random order, without repeating one, and
// so every second has exactly the trips it should have and every key is new.
type calendar struct {
	trips  uint64
	starts []uint32 // rank of the first trip of each hour, in the order of time, and the number of all
	days   []day
	// hourNear is the hour of the first rank of every so many, from where the
	// hour of any rank is a step or two away.
	hourNear []uint16
}

const ranksPerHourNear = 1 << 10

type day struct {
	date                [len("2009-06-15")]byte
	start               int64 // seconds since 1970
	year                int   // since the profile's first
	weekday             int   // 0 is Monday
	traffic             int   // the weekday whose traffic it has: a holiday's is Sunday's
	trips               uint64
	hours               hourPlan
	secondZeroPerMyriad uint64
	newTariffShare      float64
	tollCents           int64
	hudsonTollCents     int64
}

// moment is when a trip begins.
type moment struct {
	*day
	hour    int
	seconds int64  // since 1970
	counter uint64 // from 1 among the trips of the same second
}

func newCalendar(p *profile) *calendar {
	c := &calendar{}
	for _, month := range p.TripsByDay {
		for _, trips := range month {
			c.days = append(c.days, newDay(p, p.FirstDay.AddDate(0, 0, len(c.days)), uint64(trips)))
		}
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
		year:                year,
		weekday:             weekday,
		traffic:             weekday,
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
	for _, t := range p.Fare.NewTariff {
		if !at.Before(t.Since.Time) {
			d.newTariffShare = t.Share
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

	// Many taximeters cut the seconds off. A stride prime to the number of
	// slots and near its golden section visits each once, far from the last.
	m := moment{day: d, hour: hour % 24, seconds: d.start + int64(hour%24)*3600}
	onMinute := (trips*d.secondZeroPerMyriad + 5000) / 10000
	if nth < onMinute {
		const stride, slots = 37, 60
		m.seconds += int64((nth*stride + uint64(hour)) % slots * 60)
		m.counter = nth/slots + 1
		if repeat > 0 {
			m.counter += repeat * inSlot(nth%slots, slots, onMinute)
		}
	} else {
		const stride, slots = 2189, 60 * 59
		nth -= onMinute
		slot := (nth*stride + uint64(hour)*977) % slots
		m.seconds += int64(slot/59*60 + slot%59 + 1)
		m.counter = nth/slots + 1
		if repeat > 0 {
			m.counter += repeat * inSlot(nth%slots, slots, trips-onMinute)
		}
	}
	return m
}

// inSlot is how many of the trips, dealt out to the slots in turn, fall to one.
func inSlot(slot, slots, trips uint64) uint64 { return (trips - slot + slots - 1) / slots }
