package query

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
	_ "time/tzdata" // a machine without a zone database still knows the zones

	"taxilake/lakekit/api"
)

// zone is the session time zone.
type zone struct {
	name       string
	duckdbName string
	location   *time.Location
	// steady says that the offset is the same from steadySince on, for good: at
	// all times if steadySince is zero. Spark's functions then add it instead of
	// asking ICU, which is ten times slower.
	steady      bool
	steadySince time.Time
	offset      time.Duration
	// spans are what else is added instead of asking ICU, in order, one where the
	// other ends.
	spans []span
}

// span is a time in which clocks keep their offset.
type span struct {
	since, until int64 // microseconds since 1970
	offset       int64 // microseconds
}

func loadZone(name string) (zone, error) {
	if name == "" {
		name = "UTC"
	}
	location, err := api.LoadZone(name)
	if err != nil {
		return zone{}, &Error{Message: fmt.Sprintf("there is no time zone %q", name), Hint: "write an IANA name such as Asia/Shanghai, or an offset such as +08:00", Err: err}
	}
	z := zone{name: name, duckdbName: name, location: location}
	// Later than any rule's change in the zone database; a zone with daylight
	// saving has a next change even then.
	farAway := time.Date(2400, 7, 1, 0, 0, 0, 0, time.UTC).In(location)
	start, end := farAway.ZoneBounds()
	if end.IsZero() {
		_, seconds := farAway.Zone()
		z.steady, z.steadySince, z.offset = true, start, time.Duration(seconds)*time.Second
	} else {
		z.spans = spans(location, time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	if name == "Z" {
		z.duckdbName = "UTC"
	} else if name[0] == '+' || name[0] == '-' {
		if z.offset%time.Hour != 0 || z.offset < -12*time.Hour || z.offset > 14*time.Hour {
			return zone{}, &Error{Message: fmt.Sprintf("the time zone %s is not available as an offset", name), Hint: "write its IANA name, such as Asia/Kolkata for +05:30"}
		}
		z.duckdbName = fmt.Sprintf("Etc/GMT%+d", int(-z.offset/time.Hour)) // POSIX counts the other way
	}
	return z, nil
}

// instant is when clocks show a time, given in UTC: of an hour that they show
// twice the first, and of one that they leave out as much later, as in Spark.
func (z zone) instant(local time.Time) time.Time {
	const day = 24 * time.Hour
	_, before := local.Add(-day).In(z.location).Zone()
	_, after := local.Add(day).In(z.location).Zone()
	for _, offset := range []int{before, after} {
		at := local.Add(-time.Duration(offset) * time.Second)
		if _, there := at.In(z.location).Zone(); there == offset {
			return at
		}
	}
	return local.Add(-time.Duration(before) * time.Second)
}

// wallClock is a date, or a time without a zone.
var wallClock = regexp.MustCompile(`^(\d{4,6})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?)?$`)

// parseWallClock reads what clocks show, as a time in UTC.
func parseWallClock(text string) (local time.Time, ok bool) {
	parts := wallClock.FindStringSubmatch(text)
	if parts == nil {
		return time.Time{}, false
	}
	var n [7]int
	for i := range n[:6] {
		n[i], _ = strconv.Atoi(parts[i+1]) // "" is 0
	}
	n[6], _ = strconv.Atoi((parts[7] + "000000000")[:9])
	local = time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], n[6], time.UTC)
	there := local.Year() == n[0] && int(local.Month()) == n[1] && local.Day() == n[2] && local.Hour() == n[3] && local.Minute() == n[4] && local.Second() == n[5]
	return local, there
}

// spans of a time zone with daylight saving, from first to last.
func spans(location *time.Location, first, last time.Time) []span {
	var all []span
	for at := first.In(location); at.Before(last); {
		_, next := at.ZoneBounds()
		if next.After(last) {
			next = last
		}
		_, seconds := at.Zone()
		all = append(all, span{at.UnixMicro(), next.UnixMicro(), int64(seconds) * 1e6})
		at = next.In(location)
	}
	return all
}

// offsetIn finds the offset of the instant x by halving the spans.
func offsetIn(spans []span, x string) string {
	half := len(spans) / 2
	if half == 0 {
		return fmt.Sprint(spans[0].offset)
	}
	return fmt.Sprintf("CASE WHEN %s < make_timestamptz(%d) THEN %s ELSE %s END", x, spans[half].since, offsetIn(spans[:half], x), offsetIn(spans[half:], x))
}
