package taxi

import (
	"math"
	"math/bits"
)

// city knows where trips begin and end.
type city struct {
	pickup, dropoff []zone
	routes          []routes // by hour class
	classOfHour     [24]int
	samePlaceShare  []float64 // by year
	jfk, lga, ewr   box
}

type point struct{ longitude, latitude float64 }

// zone is a neighbourhood: a two-dimensional normal distribution.
type zone struct {
	center      point
	sdLongitude float64
	// The latitude's deviation, split into the part that goes along with the
	// longitude's and the part of its own.
	sdLatitudeShared, sdLatitudeOwn float64
	inManhattan                     bool
}

// routes lead from a pickup zone to a dropoff zone, at work and at leisure, and
// each as of the first day and of the last: between the two the city changes
// evenly.
type routes [2][2][]routeColumn

// routeColumn is an alias's with the zones instead of their index, as small as
// can be: a hundred thousand of them have to stay near the processor.
type routeColumn struct {
	threshold  uint16 // of 2^16
	own, other [2]uint8
}

func newRouteColumns(pairs [][2]uint8, weights []uint64) (columns []routeColumn) {
	for i, column := range newAlias(weights) {
		columns = append(columns, routeColumn{uint16(column.threshold >> 16), pairs[i], pairs[column.other]})
	}
	return columns
}

func pickRoute(columns []routeColumn, random uint64) [2]uint8 {
	i, rest := bits.Mul64(random, uint64(len(columns)))
	if column := &columns[i]; uint16(rest>>48) < column.threshold {
		return column.own
	}
	return columns[i].other
}

type box struct {
	center                point
	halfWidth, halfHeight float64
}

// trip is where a trip leads.
type trip struct {
	pickup, dropoff point
	km              float64 // as the crow flies
	// Whether the ends are at these airports or in Manhattan.
	jfk, lga, manhattan bool
	beyond              beyond
	samePlace           bool // the dropoff repeats the pickup
}

// beyond is where a trip leads that leaves the city, or a bridge further.
type beyond int

const (
	nowhere beyond = iota
	newark
	newJersey
	suburbs // Westchester and Nassau
	statenIsland
)

func newCity(p *profile) *city {
	c := &city{
		classOfHour:    p.HourClass,
		samePlaceShare: p.SamePlaceShareByYear,
		jfk:            newBox(p.JFK),
		lga:            newBox(p.LGA),
		ewr:            newBox(p.Newark),
	}
	for _, z := range p.PickupZones {
		c.pickup = append(c.pickup, newZone(z, p.Manhattan))
	}
	for _, z := range p.DropoffZones {
		c.dropoff = append(c.dropoff, newZone(z, p.Manhattan))
	}
	for class, lines := range p.RoutesByHourClass {
		var pairs [][2]uint8
		for _, line := range lines {
			for i := 1; i < len(line); i += 2 {
				pairs = append(pairs, [2]uint8{uint8(line[0]), uint8(line[i])})
			}
		}
		var r routes
		for leisure := range r {
			for last := range r[leisure] {
				r[leisure][last] = newRouteColumns(pairs, p.routeWeights(class, leisure, last == 1))
			}
		}
		c.routes = append(c.routes, r)
	}
	return c
}

// routeWeights are those of an hour class, more or less by where a route begins
// and ends: the nightlife of weekends, LaGuardia's flights of workdays, and
// neighbourhoods that grow.
func (p *profile) routeWeights(class, leisure int, last bool) (weights []uint64) {
	part := p.PartOfHourClass[class]
	growth := func(percent int64) uint64 {
		if last {
			return uint64(100 + percent)
		}
		return uint64(100 - percent)
	}
	for _, line := range p.RoutesByHourClass[class] {
		pickup := p.PickupAreas[line[0]]
		from := p.PickupPercent[leisure][part][pickup] * growth(p.PickupGrowthPercent[pickup])
		for i := 1; i < len(line); i += 2 {
			dropoff := p.DropoffAreas[line[i]]
			to := p.DropoffPercent[leisure][part][dropoff] * growth(p.DropoffGrowthPercent[dropoff])
			weights = append(weights, uint64(line[i+1])*from*to)
		}
	}
	return weights
}

func newBox(b [4]float64) box { return box{point{b[0], b[1]}, b[2], b[3]} }

func (b *box) contains(p point) bool {
	return math.Abs(p.longitude-b.center.longitude) <= b.halfWidth && math.Abs(p.latitude-b.center.latitude) <= b.halfHeight
}

func newZone(z [5]float64, manhattan [][2]float64) zone {
	center, sdLongitude, sdLatitude, correlation := point{z[0], z[1]}, z[2], z[3], z[4]
	return zone{
		center:           center,
		sdLongitude:      sdLongitude,
		sdLatitudeShared: sdLatitude * correlation,
		sdLatitudeOwn:    sdLatitude * math.Sqrt(1-float64(correlation*correlation)),
		inManhattan:      inside(manhattan, center),
	}
}

// inside says whether a polygon holds a point: whether a ray from the point
// to the east crosses its outline an odd number of times.
func inside(polygon [][2]float64, p point) bool {
	odd := false
	for i, a := range polygon {
		b := polygon[(i+1)%len(polygon)]
		if (a[1] > p.latitude) == (b[1] > p.latitude) {
			continue
		}
		along := (p.latitude - a[1]) / (b[1] - a[1])
		if p.longitude < multiplyAdd(along, b[0]-a[0], a[0]) {
			odd = !odd
		}
	}
	return odd
}

func (z *zone) draw(random *stream) point {
	a, b := random.normal(), random.normal()
	return point{
		longitude: multiplyAdd(a, z.sdLongitude, z.center.longitude),
		latitude:  multiplyAdd(b, z.sdLatitudeOwn, multiplyAdd(a, z.sdLatitudeShared, z.center.latitude)),
	}
}

func (c *city) trip(at *moment, random *stream) trip {
	routes := &c.routes[c.classOfHour[at.hour]]
	passed, same := random.uniforms()
	last := 0
	if passed < at.progress {
		last = 1
	}
	pair := pickRoute(routes[at.leisure()][last], random.next())
	from, to := &c.pickup[pair[0]], &c.dropoff[pair[1]]
	t := trip{pickup: from.draw(random), dropoff: to.draw(random)}
	t.km = distanceKm(t.pickup, t.dropoff)
	t.jfk = c.jfk.contains(t.pickup) || c.jfk.contains(t.dropoff)
	t.lga = c.lga.contains(t.pickup) || c.lga.contains(t.dropoff)
	t.manhattan = from.inManhattan || to.inManhattan
	t.beyond = c.beyond(t.dropoff)
	t.samePlace = same < c.samePlaceShare[at.year]
	return t
}

// beyond draws the city's border with straight lines: the Hudson, the line to
// Westchester and the one to Nassau.
func (c *city) beyond(p point) beyond {
	const hudson, staten, westchester, nassau = -74.03, 40.65, 40.915, -73.71
	switch {
	case c.ewr.contains(p):
		return newark
	case p.longitude < hudson && p.latitude >= staten:
		return newJersey
	case p.longitude < hudson:
		return statenIsland
	case p.latitude > westchester || p.longitude > nassau:
		return suburbs
	}
	return nowhere
}

// distanceKm treats the city as flat, which is right to 0.01 % across it.
func distanceKm(a, b point) float64 {
	const (
		kmPerDegree = 6371 * math.Pi / 180
		latitude    = 40.75
		cosine      = 0.757564984 // of that latitude, and the sine
		sine        = 0.652759752
	)
	fromMiddle := (float64((a.latitude+b.latitude)/2) - latitude) * (math.Pi / 180)
	x := (a.longitude - b.longitude) * (cosine - float64(sine*fromMiddle))
	y := a.latitude - b.latitude
	return float64(kmPerDegree * math.Sqrt(multiplyAdd(x, x, float64(y*y))))
}
