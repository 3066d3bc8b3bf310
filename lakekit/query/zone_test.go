package query

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// The zones that made most work: southern summers, half hours, two changes a
// year around Ramadan, a day left out, negative summer time.
var zones = []string{
	"UTC", "+08:00", "America/New_York", "Europe/Berlin", "Europe/Dublin", "Asia/Shanghai", "Asia/Kolkata", "Asia/Tehran",
	"Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "America/Sao_Paulo", "America/Caracas",
}

// TestSessionZoneAgreesWithGo: the wall clock of any instant, and the instant of
// any wall clock, are those of Go's zone database, at random and around every
// change.
func TestSessionZoneAgreesWithGo(t *testing.T) {
	e := openEngine(t)
	begin, end := time.Date(1900, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, name := range zones {
		t.Run(name, func(t *testing.T) {
			zone, err := loadZone(name)
			if err != nil {
				t.Fatal(err)
			}
			var times []time.Time
			for _, at := range changes(zone.location, begin, end) {
				for _, off := range []time.Duration{-25 * time.Hour, -time.Hour, -30 * time.Minute, -time.Second, 0, time.Second, 30 * time.Minute, time.Hour, 25 * time.Hour} {
					times = append(times, at.Add(off))
				}
			}
			random := rand.New(rand.NewPCG(1, 1))
			for range 3000 {
				times = append(times, begin.Add(time.Duration(random.Int64N(int64(end.Sub(begin)/time.Second)))*time.Second))
			}
			checkZone(t, e, zone, times)
		})
	}
}

// changes are the instants at which a zone's offset changes.
func changes(location *time.Location, begin, end time.Time) []time.Time {
	offset := func(at time.Time) int { _, seconds := at.In(location).Zone(); return seconds }
	var found []time.Time
	const step = 12 * time.Hour
	for at := begin; at.Before(end); at = at.Add(step) {
		if offset(at) == offset(at.Add(step)) {
			continue
		}
		low, high := at, at.Add(step)
		for high.Sub(low) > time.Second {
			middle := low.Add(high.Sub(low) / 2).Truncate(time.Second)
			if offset(middle) == offset(low) {
				low = middle
			} else {
				high = middle
			}
		}
		found = append(found, high)
	}
	return found
}

// checkZone takes each time once as an instant and once as a wall clock.
func checkZone(t *testing.T, e *Engine, zone zone, times []time.Time) {
	t.Helper()
	list := make([]string, len(times))
	for i, at := range times {
		list[i] = fmt.Sprint(at.Unix())
	}
	const layout = "2006-01-02 15:04:05"
	statement := fmt.Sprintf(`SELECT from_unixtime(s) AS local,
		unix_timestamp(strftime(make_timestamp(s * 1000000), '%%Y-%%m-%%d %%H:%%M:%%S'), 'yyyy-MM-dd HH:mm:ss') AS instant
		FROM (SELECT unnest([%s]) AS s)`, strings.Join(list, ", "))
	r, err := e.Query(t.Context(), statement, Request{TimeZone: zone.name, MaxRows: -1})
	if err != nil {
		t.Fatal(err)
	}
	locals, instants := r.Strings("local"), r.Strings("instant")
	wrong := 0
	for i, at := range times {
		if want := at.In(zone.location).Format(layout); locals[i] != want {
			t.Errorf("local time of %s is %s, want %s", at.UTC().Format(layout), locals[i], want)
			wrong++
		}
		if want := fmt.Sprint(instantOf(at, zone.location)); instants[i] != want {
			t.Errorf("instant of %s is %s, want %s", at.UTC().Format(layout), instants[i], want)
			wrong++
		}
		if wrong > 10 {
			t.FailNow()
		}
	}
}

// instantOf is the Unix time at which clocks show what at shows in UTC, by
// java.time.ZonedDateTime.ofLocal: the earlier one if it is repeated, with the
// offset before if it is left out.
func instantOf(at time.Time, location *time.Location) int64 {
	at = at.UTC()
	shift := func(from time.Time) time.Time {
		_, seconds := from.In(location).Zone()
		return at.Add(-time.Duration(seconds) * time.Second)
	}
	shows := func(instant time.Time) bool {
		_, seconds := instant.In(location).Zone()
		return instant.Add(time.Duration(seconds) * time.Second).Equal(at)
	}
	before, after := shift(at.Add(-36*time.Hour)), shift(at.Add(36*time.Hour))
	if !shows(before) && shows(after) {
		return after.Unix()
	}
	return before.Unix()
}
