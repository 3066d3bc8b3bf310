package taxi

import (
	"encoding/json"
	"fmt"
	"slices"
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
	VTSShareByYear         [][2]float64  `json:"vts_share_by_year"`

	PickupZones          [][5]float64  `json:"pickup_zones"`
	DropoffZones         [][5]float64  `json:"dropoff_zones"`
	HourClass            [24]int       `json:"hour_class"`
	RoutesByHourClass    [][][]int     `json:"routes_by_hour_class"`
	Areas                []string      `json:"areas"`
	PickupAreas          []int         `json:"pickup_areas"`
	DropoffAreas         []int         `json:"dropoff_areas"`
	PartOfHourClass      []int         `json:"part_of_hour_class"`
	PickupPercent        [2][][]uint64 `json:"pickup_percent"`
	DropoffPercent       [2][][]uint64 `json:"dropoff_percent"`
	PickupGrowthPercent  []int64       `json:"pickup_growth_percent"`
	DropoffGrowthPercent []int64       `json:"dropoff_growth_percent"`
	SamePlaceShareByYear []float64     `json:"same_place_share_by_year"`

	Fare fareProfile `json:"fare"`

	CoarsePositions []coarsePositions `json:"coarse_positions"`

	JFK       [4]float64   `json:"jfk"`
	LGA       [4]float64   `json:"lga"`
	Newark    [4]float64   `json:"newark"`
	Manhattan [][2]float64 `json:"manhattan"`

	PassengerCounts []int32           `json:"passenger_counts"`
	Passengers      []passengersSince `json:"passengers"`
	Company         [3]uint64         `json:"company"`
	CompanyShare    [2][24]float64    `json:"company_share"`
	Dirty           dirtyProfile      `json:"dirty"`
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

// passengersSince are how often each of passenger_counts is typed in from a day
// on, in cars with CMT's taximeters and with VTS's.
type passengersSince struct {
	Since date     `json:"since"`
	CMT   []uint64 `json:"cmt"`
	VTS   []uint64 `json:"vts"`
}

// coarsePositions are those that a growing share of a maker's taximeters wrote
// with fewer decimals for a time.
type coarsePositions struct {
	Maker    maker      `json:"maker"`
	Since    date       `json:"since"`
	Until    date       `json:"until"`
	Decimals int        `json:"decimals"`
	Share    [2]float64 `json:"share"` // on the first day and the last
}

type priceSince struct {
	Since date  `json:"since"`
	Cents int64 `json:"cents"`
}

type dirtyProfile struct {
	ZeroCoordinateShareByYear [][2]float64 `json:"zero_coordinate_share_by_year"`
	ZeroAllFour               float64      `json:"zero_all_four"`
	ZeroPickupOnly            float64      `json:"zero_pickup_only"`
	ZeroDropoffOnly           float64      `json:"zero_dropoff_only"`
	SwappedLatLonByYear       [][2]float64 `json:"swapped_lat_lon_by_year"`
	LatitudeOffByADegree      float64      `json:"latitude_off_by_a_degree"`
	OutOfRange                float64      `json:"out_of_range"`
	FareNegative              float64      `json:"fare_negative"`
	FareZero                  float64      `json:"fare_zero"`
	FareBelowMinimum          float64      `json:"fare_below_minimum"`
	FareHuge                  float64      `json:"fare_huge"`
	EmptyDropoff              float64      `json:"empty_dropoff"`
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
		"vts_share_by_year":                   len(p.VTSShareByYear),
		"same_place_share_by_year":            len(p.SamePlaceShareByYear),
		"fare.year_factor":                    len(p.Fare.YearFactor),
		"dirty.zero_coordinate_share_by_year": len(p.Dirty.ZeroCoordinateShareByYear),
		"dirty.swapped_lat_lon_by_year":       len(p.Dirty.SwappedLatLonByYear),
	} {
		if n != years {
			return fmt.Errorf("%s has %d values for %d years", name, n, years)
		}
	}
	if edges, bins := len(p.Fare.ResidualKmEdges), len(p.Fare.ResidualQuantiles); bins == 0 || edges != bins+1 {
		return fmt.Errorf("fare.residual_quantiles has %d lines for %d edges", bins, edges)
	}
	if len(p.Fare.TollShareByKm) == 0 || len(p.PassengerCounts) == 0 || len(p.Passengers) == 0 {
		return fmt.Errorf("fare.toll_share_by_km, passenger_counts or passengers is empty")
	}
	for _, c := range p.CoarsePositions {
		if c.Maker != cmt && c.Maker != vts {
			return fmt.Errorf("coarse_positions names the maker %d, there are %d and %d", c.Maker, cmt, vts)
		}
	}
	for _, since := range p.Passengers {
		if n := len(p.PassengerCounts); len(since.CMT) != n || len(since.VTS) != n {
			return fmt.Errorf("passengers since %s: want %d numbers a line", since.Since.Format(time.DateOnly), n)
		}
	}
	if err := p.checkAreas(); err != nil {
		return err
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

// checkAreas finds zones outside of the areas, and areas without a number.
func (p *profile) checkAreas() error {
	if len(p.PickupAreas) != len(p.PickupZones) || len(p.DropoffAreas) != len(p.DropoffZones) || len(p.PartOfHourClass) != len(p.RoutesByHourClass) {
		return fmt.Errorf("pickup_areas, dropoff_areas or part_of_hour_class do not fit the zones and classes")
	}
	areas := len(p.Areas)
	if outside(p.PickupAreas, areas) || outside(p.DropoffAreas, areas) || len(p.PickupGrowthPercent) != areas || len(p.DropoffGrowthPercent) != areas {
		return fmt.Errorf("pickup_areas, dropoff_areas or their growth do not fit %d areas", areas)
	}
	for _, parts := range [][][]uint64{p.PickupPercent[0], p.PickupPercent[1], p.DropoffPercent[0], p.DropoffPercent[1]} {
		if outside(p.PartOfHourClass, len(parts)) {
			return fmt.Errorf("part_of_hour_class names a part that pickup_percent or dropoff_percent lacks")
		}
		for _, percent := range parts {
			if len(percent) != areas {
				return fmt.Errorf("pickup_percent or dropoff_percent has %d values for %d areas", len(percent), areas)
			}
		}
	}
	return nil
}

func outside(indices []int, size int) bool {
	return slices.ContainsFunc(indices, func(i int) bool { return i < 0 || i >= size })
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
