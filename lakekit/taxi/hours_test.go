package taxi

import (
	"math"
	"testing"
	"time"

	"taxilake/datasets"
)

// Holidays, New Year and the clock's changes have hours of their own, and yet
// the weekdays' hours add up to what the profile says.
func TestSpecialDaysChangeNoTotals(t *testing.T) {
	m, err := loadModel()
	if err != nil {
		t.Fatal(err)
	}
	c := m.calendar
	var got [7][24]float64
	for hour := range len(c.days) * 24 {
		got[c.days[hour/24].weekday][hour%24] += float64(c.starts[hour+1] - c.starts[hour])
	}
	for weekday, hours := range profileForTest(t).TripsByWeekdayAndHour {
		for hour, want := range hours {
			if math.Abs(got[weekday][hour]/float64(want)-1) > 0.0005 {
				t.Errorf("weekday %d, hour %d: %v trips, want %d", weekday, hour, got[weekday][hour], want)
			}
		}
	}
}

func TestHoursOfSpecialDays(t *testing.T) {
	m, err := loadModel()
	if err != nil {
		t.Fatal(err)
	}
	share := func(date string, from, to int) float64 {
		at, err := time.Parse(time.DateOnly, date)
		if err != nil {
			t.Fatal(err)
		}
		c := m.calendar
		day := int(at.Unix()-c.days[0].start) / secondsPerDay
		return float64(c.starts[day*24+to]-c.starts[day*24+from]) / float64(c.starts[day*24+24]-c.starts[day*24])
	}
	for _, c := range []struct {
		what        string
		date        string
		from, to    int
		least, most float64
	}{
		{"a Thursday's rush hour", "2013-06-13", 7, 10, 0.13, 0.17},
		{"Thanksgiving has none", "2013-11-28", 7, 10, 0.04, 0.10},
		{"a Thursday's night", "2013-06-13", 0, 5, 0.05, 0.10},
		{"New Year's night", "2015-01-01", 0, 5, 0.33, 0.45},
		{"New Year's night in another year", "2010-01-01", 0, 5, 0.33, 0.45},
		{"the hour that the clock leaves out", "2012-03-11", 2, 3, 0, 0},
		{"the hour on the Sunday before", "2012-03-04", 2, 3, 0.05, 0.07},
		{"the hour that comes twice", "2012-11-04", 1, 2, 0.10, 0.14},
	} {
		if got := share(c.date, c.from, c.to); got < c.least || got > c.most {
			t.Errorf("%s: a share of %.4f, want %v to %v", c.what, got, c.least, c.most)
		}
	}
}

func profileForTest(t *testing.T) *profile {
	t.Helper()
	p, err := parseProfile(datasets.Profile)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
