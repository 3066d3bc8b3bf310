package taxi

import "math"

// tariff knows what trips cost.
type tariff struct {
	*fareProfile
	factor [][7][24]float64 // by year, weekday and hour
}

const (
	minimumCents = 250
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
	return t
}

// cents draws the fare of a trip, tolls included.
func (t *tariff) cents(at moment, trip *trip, random *stream) int64 {
	tariff := 0
	if random.uniform() < at.newTariffShare {
		tariff = 1
	}
	cents := minimumCents + t.UnitCents[tariff]*t.units(at, trip.km, random)
	tollShare := t.TollShareByKm[min(int(trip.km), len(t.TollShareByKm)-1)]
	switch {
	case trip.jfk && trip.manhattan && random.uniform() < t.JFKFlatShare:
		cents, tollShare = t.JFKFlatCents[tariff], t.JFKFlatTollShare
	case trip.lga:
		tollShare = t.LGATollShare
	}
	if random.uniform() < tollShare {
		cents += at.tollCents
	}
	return min(cents, maximumCents)
}

// units draws how often the taximeter clicks, a fifth of a mile or a minute
// in traffic each.
func (t *tariff) units(at moment, km float64, random *stream) int64 {
	logDistance := float64(t.DistanceExponent * logarithm(km+t.DistanceOffsetKm))
	residual := t.residual(km, random.uniform())
	units := float64(t.factor[at.year][at.weekday][at.hour]*exponential(logDistance+residual)) - 1
	return int64(math.Max(0, units+0.5))
}

// residual is the quantile of level u of what the distance does not explain:
// traffic, detours, waiting. Between the known levels it is a straight line,
// below them constant. Above them is an exponential tail; fares agreed on for
// trips out of town make it twice as long as the last two levels suggest.
func (t *tariff) residual(km, u float64) float64 {
	bin := 0
	for bin+1 < len(t.ResidualQuantiles) && km >= t.ResidualKmEdges[bin+1] {
		bin++
	}
	levels, quantiles := &t.ResidualLevels, &t.ResidualQuantiles[bin]
	const last = len(levels) - 1
	if u < levels[0] {
		return quantiles[0]
	}
	for i := range last {
		if u < levels[i+1] {
			return multiplyAdd((u-levels[i])/(levels[i+1]-levels[i]), quantiles[i+1]-quantiles[i], quantiles[i])
		}
	}
	slope := 2 * (quantiles[last] - quantiles[last-1]) / logarithm((1-levels[last-1])/(1-levels[last]))
	return multiplyAdd(slope, logarithm((1-levels[last])/(1-u)), quantiles[last])
}
