package taxi

import (
	"math"
	"time"
)

// tariff knows what trips cost: the rules of New York's taximeters, and how
// far they ran for a trip of a length at an hour. The file's fares include
// tolls; tips, the tax and the surcharges of night and rush hour are not in it.
type tariff struct {
	*fareProfile
	factor   [][7][24]float64 // units a kilometre, by year, weekday and hour
	detours  []detour         // by kilometres, in steps of half a kilometre
	byDetour []int            // index into detours
}

const (
	minimumCents = 250
	// Below this the ends of a trip are one place.
	loopKm = 0.2
	// No taximeter runs on for longer than this; the few higher fares of the
	// real file are mistyped ones and belong to dirt.
	maximumCents = 500_00
)

func newTariff(p *profile) *tariff {
	t := &tariff{fareProfile: &p.Fare, factor: make([][7][24]float64, len(p.Fare.YearFactor))}
	for year, ofYear := range p.Fare.YearFactor {
		for weekday, ofWeekday := range p.Fare.WeekdayFactor {
			logUnits := &p.Fare.LogUnitsByHourWeekday
			if weekday >= 5 {
				logUnits = &p.Fare.LogUnitsByHourWeekend
			}
			for hour, ofHour := range p.Fare.HourFactor {
				t.factor[year][weekday][hour] = ofYear * ofWeekday * ofHour * exponential(logUnits[hour])
			}
		}
	}
	for bin := range p.Fare.ResidualQuantiles {
		t.detours = append(t.detours, newDetour(p.Fare.ResidualLevels, p.Fare.ResidualQuantiles[bin]))
		for last := bin == len(p.Fare.ResidualQuantiles)-1; float64(len(t.byDetour)) < 2*p.Fare.ResidualKmEdges[bin+1]; {
			t.byDetour = append(t.byDetour, bin)
			if last {
				break
			}
		}
	}
	return t
}

// cents draws the fare of a trip, tolls included.
func (t *tariff) cents(at moment, trip *trip, random *stream) int64 {
	km := trip.km
	if trip.samePlace || km < loopKm {
		if random.uniform() < t.CancelledShare {
			return minimumCents
		}
		if random.uniform() < t.LoopShare {
			km = t.loopKm(random)
		}
	}
	tariff := 0
	if random.uniform() < at.newTariffShare {
		tariff = 1
	}
	if trip.jfk && trip.manhattan && random.uniform() < t.JFKFlatShare {
		return t.JFKFlatCents[tariff] + toll(at.tollCents, t.JFKFlatTollShare, random)
	}
	units := t.units(at, km, random)
	if trip.beyond == suburbs && random.uniform() < t.SuburbDoubleShare {
		units += units / 2
	}
	cents := minimumCents + t.UnitCents[tariff]*units
	agreedShare := t.AgreedShare
	if trip.beyond == suburbs || trip.beyond == newJersey {
		agreedShare = t.AgreedShareOutOfTown
	}
	if random.uniform() < agreedShare {
		return t.agreedCents(cents, random)
	}
	switch {
	case trip.beyond == newark:
		cents += t.NewarkSurchargeCents[tariff] + toll(at.hudsonTollCents, t.HudsonTollShare, random)
	case trip.beyond == newJersey:
		cents += toll(at.hudsonTollCents, t.HudsonTollShare, random)
	case trip.beyond == statenIsland:
		// The Verrazano bridge, whose toll is twice that of the others.
		cents += 2 * at.tollCents
	case trip.lga:
		cents += toll(at.tollCents, t.LGATollShare, random)
	default:
		cents += toll(at.tollCents, t.TollShareByKm[min(int(trip.km), len(t.TollShareByKm)-1)], random)
	}
	return min(cents, maximumCents)
}

// loopKm is the length of a trip that ends where it began, or where its
// position had not been updated: the ends say nothing about it.
func (t *tariff) loopKm(random *stream) float64 {
	return multiplyAdd(-t.LoopMeanKm, logarithm(1-random.uniform()), loopKm)
}

func toll(cents int64, share float64, random *stream) int64 {
	if random.uniform() < share {
		return cents
	}
	return 0
}

// agreedCents is a fare settled before the trip: more than the meter would
// show, in steps of 5 USD.
func (t *tariff) agreedCents(metered int64, random *stream) int64 {
	const step = 5_00
	markup := exponential(multiplyAdd(random.normal(), t.AgreedLogMarkup[1], t.AgreedLogMarkup[0]))
	steps := math.Ceil(float64(float64(metered)*markup) / step)
	return min(int64(steps)*step, maximumCents)
}

// units draws how often the taximeter clicks: for a fifth of a mile each, or a
// minute in traffic.
func (t *tariff) units(at moment, km float64, random *stream) int64 {
	bin := t.byDetour[min(int(2*km), len(t.byDetour)-1)]
	ratio := t.detours[bin].draw(random.uniform())
	units := float64(float64(t.factor[at.year][at.traffic][at.hour]*(km+t.DistanceOffsetKm))*ratio) - 1
	return int64(math.Max(0, units+0.5))
}

// detour is the distribution of how much more or less the taximeter runs than
// usual for the distance: by streets, traffic and waiting. Between the known
// quantiles it is a straight line, below them constant, and above them its
// logarithm has an exponential tail, as steep as the last two say.
type detour struct {
	segments  [101]detourSegment // by hundredths of the level
	lastLevel float64
	lastLog   float64
	slope     float64
}

type detourSegment struct{ base, slope float64 }

func newDetour(levels, logQuantiles [9]float64) detour {
	last := len(levels) - 1
	d := detour{
		lastLevel: levels[last],
		lastLog:   logQuantiles[last],
		slope:     (logQuantiles[last] - logQuantiles[last-1]) / logarithm((1-levels[last-1])/(1-levels[last])),
	}
	lower := -1
	for hundredth := range d.segments {
		for lower < last-1 && math.Round(100*levels[lower+1]) <= float64(hundredth) {
			lower++
		}
		if lower < 0 {
			d.segments[hundredth].base = exponential(logQuantiles[0])
			continue
		}
		from, to := exponential(logQuantiles[lower]), exponential(logQuantiles[lower+1])
		slope := (to - from) / (levels[lower+1] - levels[lower])
		d.segments[hundredth] = detourSegment{multiplyAdd(-levels[lower], slope, from), slope}
	}
	return d
}

// draw is the quantile of level u.
func (d *detour) draw(u float64) float64 {
	if u >= d.lastLevel {
		return exponential(multiplyAdd(d.slope, logarithm((1-d.lastLevel)/(1-u)), d.lastLog))
	}
	s := &d.segments[int(100*u)]
	return multiplyAdd(s.slope, u, s.base)
}

// centsOn is the price of a day.
func centsOn(prices []priceSince, at time.Time) (cents int64) {
	for _, p := range prices {
		if !at.Before(p.Since.Time) {
			cents = p.Cents
		}
	}
	return cents
}
