package taxi

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// profile is datasets/profile.json; datasets/README.md explains its parts.
type profile struct {
	About      string    `json:"about"`
	FirstDay   date      `json:"first_day"`
	TripsByDay [][]int64 `json:"trips_by_day"`

	TripsByWeekdayAndHour  [7][24]uint64 `json:"trips_by_weekday_and_hour"`
	Holidays               []date        `json:"holidays"`
	NewYearPercentOfSunday [24]uint64    `json:"new_year_percent_of_sunday"`
	ClockForward           []date        `json:"clock_forward"`
	ClockBack              []date        `json:"clock_back"`
	SecondZeroShareByYear  []float64     `json:"second_zero_share_by_year"`

	PickupZones       [][5]float64 `json:"pickup_zones"`
	DropoffZones      [][5]float64 `json:"dropoff_zones"`
	HourClass         [24]int      `json:"hour_class"`
	RoutesByHourClass [][][]int    `json:"routes_by_hour_class"`
	SamePlaceShare    float64      `json:"same_place_share"`

	Fare fareProfile `json:"fare"`

	JFK       [4]float64   `json:"jfk"`
	LGA       [4]float64   `json:"lga"`
	Newark    [4]float64   `json:"newark"`
	Manhattan [][2]float64 `json:"manhattan"`

	TripsByPassengerCount [][2]int64   `json:"trips_by_passenger_count"`
	Dirty                 dirtyProfile `json:"dirty"`
}

type fareProfile struct {
	DistanceOffsetKm      float64      `json:"distance_offset_km"`
	LogUnitsByHourWeekday [24]float64  `json:"log_units_by_hour_weekday"`
	LogUnitsByHourWeekend [24]float64  `json:"log_units_by_hour_weekend"`
	YearFactor            []float64    `json:"year_factor"`
	HourFactor            [24]float64  `json:"hour_factor"`
	WeekdayFactor         [7]float64   `json:"weekday_factor"`
	ResidualKmEdges       []float64    `json:"residual_km_edges"`
	ResidualLevels        [9]float64   `json:"residual_levels"`
	ResidualQuantiles     [][9]float64 `json:"residual_quantiles"`
	NewTariff             []struct {
		Since date    `json:"since"`
		Share float64 `json:"share"`
	} `json:"new_tariff"`
	UnitCents            [2]int64     `json:"unit_cents"`
	JFKFlatCents         [2]int64     `json:"jfk_flat_cents"`
	JFKFlatShare         float64      `json:"jfk_flat_share"`
	JFKFlatTollShare     float64      `json:"jfk_flat_toll_share"`
	LGATollShare         float64      `json:"lga_toll_share"`
	Tolls                []priceSince `json:"tolls"`
	TollShareByKm        []float64    `json:"toll_share_by_km"`
	NewarkSurchargeCents [2]int64     `json:"newark_surcharge_cents"`
	HudsonTolls          []priceSince `json:"hudson_tolls"`
	HudsonTollShare      float64      `json:"hudson_toll_share"`
	SuburbDoubleShare    float64      `json:"suburb_double_share"`
	AgreedShare          float64      `json:"agreed_share"`
	AgreedShareOutOfTown float64      `json:"agreed_share_out_of_town"`
	AgreedLogMarkup      [2]float64   `json:"agreed_log_markup"`
	CancelledShare       float64      `json:"cancelled_share"`
	LoopShare            float64      `json:"loop_share"`
	LoopMeanKm           float64      `json:"loop_mean_km"`
}

type priceSince struct {
	Since date  `json:"since"`
	Cents int64 `json:"cents"`
}

type dirtyProfile struct {
	ZeroCoordinateShareByYear []float64 `json:"zero_coordinate_share_by_year"`
	ZeroAllFour               float64   `json:"zero_all_four"`
	ZeroPickupOnly            float64   `json:"zero_pickup_only"`
	ZeroDropoffOnly           float64   `json:"zero_dropoff_only"`
	SwappedLatLon             float64   `json:"swapped_lat_lon"`
	LatitudeOffByADegree      float64   `json:"latitude_off_by_a_degree"`
	OutOfRange                float64   `json:"out_of_range"`
	FareNegative              float64   `json:"fare_negative"`
	FareZero                  float64   `json:"fare_zero"`
	FareBelowMinimum          float64   `json:"fare_below_minimum"`
	FareHuge                  float64   `json:"fare_huge"`
	EmptyDropoff              float64   `json:"empty_dropoff"`
}

// date is a day as JSON holds it, "2012-09-04".
type date struct{ time.Time }

func (d *date) UnmarshalJSON(text []byte) (err error) {
	d.Time, err = time.Parse(`"`+time.DateOnly+`"`, string(text))
	return err
}

func parseProfile(text string) (*profile, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	var p profile
	if err := decoder.Decode(&p); err != nil {
		return nil, fmt.Errorf("reading the taxi profile: %w", err)
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("checking the taxi profile: %w", err)
	}
	return &p, nil
}

// check finds what would make the generator fail or run out of a table.
func (p *profile) check() error {
	days, first := 0, p.FirstDay
	for _, month := range p.TripsByDay {
		days += len(month)
	}
	if days == 0 {
		return fmt.Errorf("trips_by_day is empty")
	}
	years := first.AddDate(0, 0, days-1).Year() - first.Year() + 1
	for name, n := range map[string]int{
		"second_zero_share_by_year":           len(p.SecondZeroShareByYear),
		"fare.year_factor":                    len(p.Fare.YearFactor),
		"dirty.zero_coordinate_share_by_year": len(p.Dirty.ZeroCoordinateShareByYear),
	} {
		if n != years {
			return fmt.Errorf("%s has %d values for %d years", name, n, years)
		}
	}
	if edges, bins := len(p.Fare.ResidualKmEdges), len(p.Fare.ResidualQuantiles); bins == 0 || edges != bins+1 {
		return fmt.Errorf("fare.residual_quantiles has %d lines for %d edges", bins, edges)
	}
	if len(p.Fare.TollShareByKm) == 0 || len(p.TripsByPassengerCount) == 0 {
		return fmt.Errorf("fare.toll_share_by_km or trips_by_passenger_count is empty")
	}
	for hour, class := range p.HourClass {
		if class < 0 || class >= len(p.RoutesByHourClass) {
			return fmt.Errorf("hour_class of hour %d is %d, there are %d classes", hour, class, len(p.RoutesByHourClass))
		}
	}
	for class, lines := range p.RoutesByHourClass {
		if len(lines) == 0 {
			return fmt.Errorf("routes_by_hour_class %d is empty", class)
		}
		for _, line := range lines {
			if err := p.checkRoutes(line); err != nil {
				return fmt.Errorf("routes_by_hour_class %d: %w", class, err)
			}
		}
	}
	return nil
}

func (p *profile) checkRoutes(line []int) error {
	if len(line) < 3 || len(line)%2 == 0 {
		return fmt.Errorf("a line of %d numbers: want a pickup zone and pairs of dropoff zone and weight", len(line))
	}
	if line[0] < 0 || line[0] >= len(p.PickupZones) {
		return fmt.Errorf("pickup zone %d of %d", line[0], len(p.PickupZones))
	}
	for i := 1; i < len(line); i += 2 {
		if line[i] < 0 || line[i] >= len(p.DropoffZones) || line[i+1] <= 0 {
			return fmt.Errorf("dropoff zone %d of %d with weight %d", line[i], len(p.DropoffZones), line[i+1])
		}
	}
	return nil
}
