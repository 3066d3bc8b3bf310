package taxi

import (
	"math"
	"sort"
)

// calendar knows when trips begin. It lays the trips of the whole data set out
// in the order of time and answers when the trip of a given rank begins; the
// generator deals the ranks out in a random order, without repeating one, and
// so every second has exactly the trips it should have and every key is new.
type calendar struct {
	trips  uint64
	starts []uint32 // rank of the first trip of each hour, in the order of time
	days   []day
}

type day struct {
	start               int64 // seconds since 1970
	year                int   // since the profile's first
	weekday             int   // 0 is Monday
	secondZeroPerMyriad uint64
	newTariffShare      float64
	tollCents           int64
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
			c.addDay(p, uint64(trips))
		}
	}
	return c
}

func (c *calendar) addDay(p *profile, trips uint64) {
	at := p.FirstDay.AddDate(0, 0, len(c.days))
	year, weekday := at.Year()-p.FirstDay.Year(), (int(at.Weekday())+6)%7
	d := day{
		start:               at.Unix(),
		year:                year,
		weekday:             weekday,
		secondZeroPerMyriad: uint64(math.Round(p.SecondZeroShareByYear[year] * 1e4)),
	}
	for _, t := range p.Fare.NewTariff {
		if !at.Before(t.Since.Time) {
			d.newTariffShare = t.Share
		}
	}
	for _, t := range p.Fare.Tolls {
		if !at.Before(t.Since.Time) {
			d.tollCents = t.Cents
		}
	}
	c.days = append(c.days, d)

	weights := p.TripsByWeekdayAndHour[weekday]
	var total, before uint64
	for _, w := range weights {
		total += w
	}
	for _, w := range weights {
		c.starts = append(c.starts, uint32(c.trips+trips*before/total))
		before += w
	}
	c.trips += trips
}

// moment finds the trip of a rank below c.trips. Repeated data sets, which
// begin when a user asks for more rows than the real file has, count on in the
// same second.
func (c *calendar) moment(repeat, rank uint64) moment {
	hour := sort.Search(len(c.starts), func(i int) bool { return uint64(c.starts[i]) > rank }) - 1
	end := c.trips
	if hour+1 < len(c.starts) {
		end = uint64(c.starts[hour+1])
	}
	d := &c.days[hour/24]
	nth, trips := rank-uint64(c.starts[hour]), end-uint64(c.starts[hour])

	// Many taximeters cut the seconds off. A stride prime to the number of
	// slots and near its golden section visits each once, far from the last.
	onMinute := (trips*d.secondZeroPerMyriad + 5000) / 10000
	var second, slots uint64
	if nth < onMinute {
		const stride = 37
		slots, trips = 60, onMinute
		second = (nth*stride + uint64(hour)) % slots * 60
	} else {
		const stride = 2189
		slots, trips = 60*59, trips-onMinute
		nth -= onMinute
		slot := (nth*stride + uint64(hour)*977) % slots
		second = slot/59*60 + slot%59 + 1
	}
	perRepeat := (trips - nth%slots + slots - 1) / slots
	return moment{
		day:     d,
		hour:    hour % 24,
		seconds: d.start + int64(hour%24)*3600 + int64(second),
		counter: repeat*perRepeat + nth/slots + 1,
	}
}
