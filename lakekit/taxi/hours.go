package taxi

import (
	"slices"
	"time"
)

// hourPlan is how a day's trips spread over its hours.
type hourPlan uint8

const (
	ordinaryDay  hourPlan = iota
	holidayHours          // no rush hours: by day as on Sunday
	newYearHours          // the longest night of the year, then a quiet day
	clockForward          // the hour from 2 to 3 is left out
	clockBack             // the hour from 1 to 2 comes twice
)

const sunday = 6

func hoursOf(p *profile, at time.Time) hourPlan {
	on := func(days []date) bool {
		return slices.ContainsFunc(days, func(d date) bool { return d.Equal(at) })
	}
	switch {
	case at.Month() == time.January && at.Day() == 1:
		return newYearHours
	case on(p.Holidays):
		return holidayHours
	case on(p.ClockForward):
		return clockForward
	case on(p.ClockBack):
		return clockBack
	}
	return ordinaryDay
}

// leisureHours are those from Friday's evening to Sunday's, a bit each; a
// holiday, with Sunday's traffic, has Sunday's.
func leisureHours(traffic uint8) uint32 {
	const (
		friday, saturday = 4, 5
		evening          = 19
		all              = 1<<24 - 1
	)
	switch traffic {
	case friday:
		return all &^ (1<<evening - 1)
	case saturday:
		return all
	case sunday:
		return 1<<evening - 1
	}
	return 0
}

// weights are the trips of a day's hours in proportion, given those of the
// ordinary days of each weekday.
func (plan hourPlan) weights(p *profile, ordinary *[7][24]uint64, weekday uint8) [24]uint64 {
	hours := ordinary[weekday]
	switch plan {
	case holidayHours:
		const morning, evening = 6, 19
		copy(hours[morning:evening], ordinary[sunday][morning:evening])
	case newYearHours:
		hours = ordinary[sunday]
		for hour, percent := range p.NewYearPercentOfSunday {
			hours[hour] = hours[hour] * percent / 100
		}
	case clockForward:
		hours[2] = 0
	case clockBack:
		hours[1] *= 2
	}
	return hours
}

// ordinaryHours takes the special days out of the trips by weekday and hour,
// so that with them the weekdays have the trips the profile says. A special
// day's hours depend on the ordinary ones; a few rounds bring them together.
func ordinaryHours(p *profile, days []day) *[7][24]uint64 {
	ordinary := p.TripsByWeekdayAndHour
	for range 6 {
		var special [7][24]uint64
		var trips [7]uint64
		for _, d := range days {
			trips[d.weekday] += d.trips
			if d.hours == ordinaryDay {
				continue
			}
			hours := d.hours.weights(p, &ordinary, d.weekday)
			total := sum(hours[:])
			for hour, weight := range hours {
				special[d.weekday][hour] += d.trips * weight / total
			}
		}
		for weekday, target := range p.TripsByWeekdayAndHour {
			total := sum(target[:])
			for hour, weight := range target {
				all := trips[weekday] * weight / total
				ordinary[weekday][hour] = all - min(all, special[weekday][hour])
			}
		}
	}
	return &ordinary
}

func sum(weights []uint64) (total uint64) {
	for _, weight := range weights {
		total += weight
	}
	return total
}
