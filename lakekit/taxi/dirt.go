package taxi

// dirt makes the mistakes of the real file, which are part of the lesson.
type dirt struct{ *dirtyProfile }

// soilPlaces spoils the coordinates of a few trips and says whether the
// dropoff is missing. It asks for one random number, whatever it does, and
// hands its parts out to mistakes that exclude each other.
func (d dirt) soilPlaces(year uint8, by maker, t *trip, random *stream) (noDropoff bool) {
	u := random.uniform()
	happens := func(share float64) bool {
		u -= share
		return u < 0
	}
	zero := d.ZeroCoordinateShareByYear[year][by]
	switch {
	case happens(float64(zero * d.ZeroAllFour)):
		t.pickup, t.dropoff = point{}, point{}
	case happens(float64(zero * d.ZeroPickupOnly)):
		t.pickup = point{}
	case happens(float64(zero * d.ZeroDropoffOnly)):
		t.dropoff = point{}
	case happens(d.SwappedLatLonByYear[year][by]):
		t.pickup = point{longitude: t.pickup.latitude, latitude: t.pickup.longitude}
		t.dropoff = point{longitude: t.dropoff.latitude, latitude: t.dropoff.longitude}
	case happens(float64(d.LatitudeOffByADegree / 2)):
		t.pickup.latitude += sign(random)
	case happens(float64(d.LatitudeOffByADegree / 2)):
		t.dropoff.latitude += sign(random)
	case happens(float64(d.OutOfRange / 2)):
		t.pickup = point{longitude: outOfRange(random), latitude: outOfRange(random)}
	case happens(float64(d.OutOfRange / 2)):
		t.dropoff = point{longitude: outOfRange(random), latitude: outOfRange(random)}
	case happens(d.EmptyDropoff):
		return true
	}
	return false
}

func sign(random *stream) float64 { return float64(int64(random.next()>>63)*2 - 1) }

// outOfRange is a number that is no coordinate; the real file's worst are
// about 3,500 degrees.
func outOfRange(random *stream) float64 {
	return sign(random) * multiplyAdd(random.uniform(), 3500-180, 180)
}

// soilFare spoils a few fares.
func (d dirt) soilFare(cents int64, random *stream) int64 {
	u := random.uniform()
	happens := func(share float64) bool {
		u -= share
		return u < 0
	}
	switch {
	case happens(d.FareNegative):
		return -min(cents, 300_00)
	case happens(d.FareZero):
		return 0
	case happens(d.FareBelowMinimum):
		return 1 + int64(random.next()%(minimumCents-1))
	case happens(d.FareHuge):
		return hugeCents(random)
	}
	return cents
}

// hugeCents is spread evenly over the orders of magnitude up to the highest
// fare of the real file, 93,963.36 USD.
func hugeCents(random *stream) int64 {
	const highest = 93_963_36
	ratio := logarithm(float64(highest) / maximumCents)
	return int64(float64(maximumCents * exponential(float64(random.uniform()*ratio))))
}
