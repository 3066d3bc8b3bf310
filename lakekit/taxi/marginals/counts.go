package marginals

import (
	"bytes"
	"math"
	"time"

	"taxilake/lakekit/taxi"
)

const (
	firstYear, years = 2009, 7

	// Fares are counted to the cent up to 1,000 USD, distances to 10 m up to
	// 200 km; what lies beyond is counted at the end.
	fareSlots = 1000_00 + 1
	kmPerSlot = 0.01
	kmSlots   = 20_001
)

// Counts are the marginals of the records it was given. The zero value is
// empty and ready.
type Counts struct {
	Rows int64

	year             [years]money
	month            [12]int64
	weekday          [7]int64 // 0 is Monday
	weekdayLater     [7]int64 // eight hours later
	hour             [24]money
	weekdayHour      [7][24]int64
	onMinute         [years]int64
	fare             []int64 // by cents, from 0
	km               []int64
	distances        int64
	passengers       map[int32]int64
	flat             [2]share // JFK's, of the old and the new tariff
	aboveFlat        [5]map[int64]int64
	steps            [5]share // of 40 cents until 2012-09-03, then of 50 cents
	mistakes         [len(mistakeNames)]int64
	keysOfOtherTimes int64
}

type money struct {
	trips               int64
	cents, centsSquared float64
}

type share struct{ some, all int64 }

func (s *share) add(is bool) {
	s.all++
	if is {
		s.some++
	}
}

// mistakeNames are the labels of the group "mistakes".
var mistakeNames = [...]string{
	"zero coordinates", "zero pickup and dropoff", "zero pickup only", "zero dropoff only", "latitude and longitude swapped",
	"latitude a degree off", "out of range", "no dropoff", "dropoff at the pickup", "negative fare", "fare of zero", "fare below the minimum",
}

// Add counts a record.
func (c *Counts) Add(r *taxi.Record) {
	if c.fare == nil {
		c.fare, c.km, c.passengers = make([]int64, fareSlots), make([]int64, kmSlots), map[int32]int64{}
		for i := range c.aboveFlat {
			c.aboveFlat[i] = map[int64]int64{}
		}
	}
	c.Rows++
	cents := int64(math.Round(r.FareAmount * 100))
	at := time.Unix(r.PickupDatetime, 0).UTC()
	year, month, _ := at.Date()
	weekday, hour := (int(at.Weekday())+6)%7, at.Hour()
	if i := year - firstYear; i >= 0 && i < years {
		c.year[i].add(cents)
		if at.Second() == 0 {
			c.onMinute[i]++
		}
	}
	c.month[month-1]++
	c.weekday[weekday]++
	c.weekdayLater[(weekday+(hour+8)/24)%7]++
	c.hour[hour].add(cents)
	c.weekdayHour[weekday][hour]++
	c.fare[min(max(cents, 0), fareSlots-1)]++
	c.passengers[passengers(r.PassengerCount)]++
	c.addPlaces(r)
	c.addTariff(r, cents)
	c.addFareMistakes(cents)
	var written [len(time.DateTime)]byte
	if !bytes.HasPrefix(r.Key, at.AppendFormat(written[:0], time.DateTime)) {
		c.keysOfOtherTimes++
	}
}

// passengers bounds how many different numbers are told apart.
func passengers(n int32) int32 { return min(max(n, -1), 300) }

func (m *money) add(cents int64) {
	m.trips++
	m.cents += float64(cents)
	m.centsSquared += float64(cents) * float64(cents)
}

func (c *Counts) addPlaces(r *taxi.Record) {
	if !r.DropoffLongitude.Valid || !r.DropoffLatitude.Valid {
		c.mistake("no dropoff")
		return
	}
	from, to := place{r.PickupLongitude, r.PickupLatitude}, place{r.DropoffLongitude.Float64, r.DropoffLatitude.Float64}
	switch zero := (place{}); {
	case from == zero || to == zero:
		c.mistake("zero coordinates")
		switch {
		case from == to:
			c.mistake("zero pickup and dropoff")
		case from == zero:
			c.mistake("zero pickup only")
		default:
			c.mistake("zero dropoff only")
		}
	case from == to:
		c.mistake("dropoff at the pickup")
	}
	switch {
	case from.outOfRange() || to.outOfRange():
		c.mistake("out of range")
	case from.swapped() && to.swapped():
		c.mistake("latitude and longitude swapped")
	case from.aDegreeOff() || to.aDegreeOff():
		c.mistake("latitude a degree off")
	}
	if from.nearNewYork() && to.nearNewYork() {
		c.distances++
		c.km[min(int(from.km(to)/kmPerSlot), kmSlots-1)]++
	}
}

func (c *Counts) addFareMistakes(cents int64) {
	switch {
	case cents < 0:
		c.mistake("negative fare")
	case cents == 0:
		c.mistake("fare of zero")
	case cents < 250:
		c.mistake("fare below the minimum")
	}
}

func (c *Counts) mistake(name string) {
	for i := range mistakeNames {
		if mistakeNames[i] == name {
			c.mistakes[i]++
		}
	}
}

// tollsSince are the days from when a bridge cost more, and newTariffSince
// the days that the share of the new tariff is known for.
var (
	tollsSince     = days("2009-01-01", "2009-07-12", "2010-12-30", "2013-03-03", "2015-03-22")
	newTariffSince = days("2009-01-01", "2012-09-04", "2012-10-01", "2012-11-01", "2013-01-01")
)

func days(texts ...string) (seconds []int64) {
	for _, text := range texts {
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			panic(err)
		}
		seconds = append(seconds, day.Unix())
	}
	return seconds
}

// period is the last day not after the moment, and -1 before the first.
func period(since []int64, at int64) int {
	last := -1
	for last+1 < len(since) && since[last+1] <= at {
		last++
	}
	return last
}

func (c *Counts) addTariff(r *taxi.Record, cents int64) {
	tariff := period(newTariffSince, r.PickupDatetime)
	if tariff < 0 {
		return
	}
	if metered := cents - 250; metered >= 0 && metered <= 10_00 {
		step := int64(50)
		if tariff == 0 {
			step = 40
		}
		c.steps[tariff].add(metered%step == 0)
	}
	from, to := place{r.PickupLongitude, r.PickupLatitude}, place{r.DropoffLongitude.Float64, r.DropoffLatitude.Float64}
	if !(from.atJFK() && to.inManhattan() || from.inManhattan() && to.atJFK()) {
		return
	}
	switch flat := [2]int64{45_00, 52_00}; tariff {
	case 0:
		c.addFlat(0, period(tollsSince, r.PickupDatetime), cents-flat[0])
	case len(newTariffSince) - 1:
		c.addFlat(1, period(tollsSince, r.PickupDatetime), cents-flat[1])
	}
}

// addFlat takes a fare between JFK and Manhattan. The commonest amount above
// the flat fare is the toll; at its highest a toll here is 5.54 USD.
func (c *Counts) addFlat(tariff, tolls int, above int64) {
	c.flat[tariff].add(above == 0 || above > 4_00 && above < 6_00 && above%10 != 0 || above == 4_80)
	if above > 0 && above < 10_00 {
		c.aboveFlat[tolls][above]++
	}
}

// Merge adds what another has counted.
func (c *Counts) Merge(o *Counts) {
	if o.fare == nil {
		return
	}
	if c.fare == nil {
		*c = *o
		return
	}
	c.Rows += o.Rows
	addMoney(c.year[:], o.year[:])
	addMoney(c.hour[:], o.hour[:])
	addAll(c.month[:], o.month[:])
	addAll(c.weekday[:], o.weekday[:])
	addAll(c.weekdayLater[:], o.weekdayLater[:])
	for i := range c.weekdayHour {
		addAll(c.weekdayHour[i][:], o.weekdayHour[i][:])
	}
	addAll(c.onMinute[:], o.onMinute[:])
	addAll(c.fare, o.fare)
	addAll(c.km, o.km)
	c.distances += o.distances
	for n, trips := range o.passengers {
		c.passengers[n] += trips
	}
	addShares(c.flat[:], o.flat[:])
	addShares(c.steps[:], o.steps[:])
	for i := range c.aboveFlat {
		for cents, trips := range o.aboveFlat[i] {
			c.aboveFlat[i][cents] += trips
		}
	}
	addAll(c.mistakes[:], o.mistakes[:])
	c.keysOfOtherTimes += o.keysOfOtherTimes
}

func addAll(to, from []int64) {
	for i, n := range from {
		to[i] += n
	}
}

func addShares(to, from []share) {
	for i, s := range from {
		to[i].some += s.some
		to[i].all += s.all
	}
}

func addMoney(to, from []money) {
	for i, m := range from {
		to[i].trips += m.trips
		to[i].cents += m.cents
		to[i].centsSquared += m.centsSquared
	}
}
