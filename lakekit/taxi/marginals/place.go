package marginals

import "math"

type place struct{ longitude, latitude float64 }

func (p place) within(west, east, south, north float64) bool {
	return p.longitude >= west && p.longitude <= east && p.latitude >= south && p.latitude <= north
}

// nearNewYork is where the published distances were taken from.
func (p place) nearNewYork() bool { return p.within(-75, -73, 40, 41.4) }

func (p place) atJFK() bool { return p.within(-73.8042, -73.7602, 40.6291, 40.6591) }

// inManhattan is its part from the Battery to 59th Street and west of Third
// Avenue, where every trip to JFK has the flat fare.
func (p place) inManhattan() bool { return p.within(-74.02, -73.975, 40.70, 40.765) }

func (p place) outOfRange() bool { return math.Abs(p.longitude) > 180 || math.Abs(p.latitude) > 90 }

func (p place) swapped() bool { return p.within(39, 42, -76, -72) }

func (p place) aDegreeOff() bool {
	return p.within(-75, -73, 41.4, 42.2) || p.within(-75, -73, 39.2, 40)
}

// km is the distance as the crow flies, on a sphere.
func (p place) km(q place) float64 {
	const radius, degree = 6371, math.Pi / 180
	north, east := math.Sin((q.latitude-p.latitude)*degree/2), math.Sin((q.longitude-p.longitude)*degree/2)
	a := north*north + math.Cos(p.latitude*degree)*math.Cos(q.latitude*degree)*east*east
	return 2 * radius * math.Asin(math.Sqrt(min(a, 1)))
}
