package query

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLocalTimeAroundChanges holds the wall clocks that are computed here to the
// zone database, in the microseconds around every change of a clock, and before
// and after the years that are computed.
func TestLocalTimeAroundChanges(t *testing.T) {
	e := openEngine(t)
	for _, name := range []string{"UTC", "Asia/Shanghai", "America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca", "Asia/Kolkata", "+08:00"} {
		t.Run(name, func(t *testing.T) {
			z, err := loadZone(name)
			if err != nil {
				t.Fatal(err)
			}
			instants := []time.Time{time.Date(1901, 1, 1, 12, 0, 0, 0, time.UTC), time.Date(1989, 12, 31, 23, 59, 59, 999999e3, time.UTC), time.Date(2045, 7, 1, 12, 0, 0, 0, time.UTC)}
			for at, last := time.Date(1985, 1, 1, 0, 0, 0, 0, time.UTC).In(z.location), time.Date(2037, 1, 1, 0, 0, 0, 0, time.UTC); ; {
				_, next := at.ZoneBounds()
				if next.IsZero() || next.After(last) {
					break
				}
				instants = append(instants, next.Add(-time.Microsecond), next, next.Add(time.Microsecond))
				at = next.In(z.location)
			}
			slices.SortFunc(instants, time.Time.Compare)
			var values []string
			for _, at := range instants {
				values = append(values, fmt.Sprintf("(make_timestamptz(%d))", at.UnixMicro()))
			}
			r := mustQuery(t, e, "SELECT x AS utc, year(x), month(x), dayofmonth(x), hour(x), minute(x), second(x) FROM (VALUES "+strings.Join(values, ", ")+") AS t(x) ORDER BY x", Request{TimeZone: name})
			if len(r.Rows) != len(instants) {
				t.Fatalf("%d rows, want %d", len(r.Rows), len(instants))
			}
			for i, row := range r.Rows {
				local := instants[i].In(z.location)
				want := fmt.Sprint(local.Year(), int(local.Month()), local.Day(), local.Hour(), local.Minute(), local.Second())
				if got := fmt.Sprint(row[1:]...); got != want {
					t.Errorf("%v is shown as %s, want %s", instants[i].UTC(), got, want)
				}
			}
		})
	}
}
