package query

import (
	"fmt"
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
