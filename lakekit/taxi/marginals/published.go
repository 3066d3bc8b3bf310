package marginals

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"taxilake/datasets"
)

// published is datasets/published.json.
type published struct {
	About  string  `json:"about"`
	Rows   int64   `json:"rows"`
	Groups []group `json:"groups"`
}

type group struct {
	Name     string    `json:"name"`
	Unit     string    `json:"unit"`
	Source   string    `json:"source"`
	Labels   []string  `json:"labels"`
	Values   []float64 `json:"values"`
	Of       float64   `json:"of"`       // what the values are divided by
	Rounding float64   `json:"rounding"` // of a value, before the division
}

func readPublished(text string) (*published, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	var p published
	if err := decoder.Decode(&p); err != nil {
		return nil, fmt.Errorf("reading the published figures: %w", err)
	}
	for _, g := range p.Groups {
		if len(g.Labels) != len(g.Values) || g.Of <= 0 {
			return nil, fmt.Errorf("published figures %q: %d labels for %d values, of %v", g.Name, len(g.Labels), len(g.Values), g.Of)
		}
		if _, known := measures[g.Name]; !known {
			return nil, fmt.Errorf("published figures %q: nothing counts them", g.Name)
		}
	}
	return &p, nil
}

// Group is a marginal: what was counted next to what was published.
type Group struct {
	Name    string
	Unit    string // share, USD or km
	Source  string // of the published values
	Figures []Figure
}

// Figure is a value of a marginal.
type Figure struct {
	Label     string
	Got       float64 // NaN where there was nothing to count
	Published float64
	Rounding  float64 // how far Published may be from the exact value
	Chance    float64 // one standard deviation of Got
}

// Distance is how far the figures are apart, beyond what rounding explains.
func (f Figure) Distance() float64 {
	return math.Max(0, math.Abs(f.Got-f.Published)-f.Rounding)
}

// Comparison is all marginals of some records.
type Comparison struct {
	Rows   int64
	Groups []Group
}

// Compare puts the counts next to the published figures.
func (c *Counts) Compare() (*Comparison, error) {
	p, err := readPublished(datasets.Published)
	if err != nil {
		return nil, err
	}
	comparison := &Comparison{Rows: c.Rows}
	for _, g := range p.Groups {
		result := Group{Name: g.Name, Unit: g.Unit, Source: g.Source}
		for i, label := range g.Labels {
			got := value{math.NaN(), math.NaN()}
			if c.Rows > 0 {
				got = measures[g.Name](c, i, label)
			}
			result.Figures = append(result.Figures, Figure{label, got.value, g.Values[i] / g.Of, g.Rounding / g.Of, got.chance})
		}
		comparison.Groups = append(comparison.Groups, result)
	}
	return comparison, nil
}

type value struct{ value, chance float64 }

func (s share) value() value {
	// One more of each kind, so that what never occurred has a chance, too.
	likely := float64(s.some+1) / float64(s.all+2)
	p := float64(s.some) / float64(s.all)
	return value{p, math.Sqrt(likely * (1 - likely) / float64(s.all))}
}

func (m money) mean() value {
	n := float64(m.trips)
	mean := m.cents / n
	return value{mean / 100, math.Sqrt(math.Max(0, m.centsSquared/n-mean*mean)/n) / 100}
}

// measures computes the groups of published.json, value by value.
var measures = map[string]func(c *Counts, i int, label string) value{
	"trips by year":                   func(c *Counts, i int, _ string) value { return c.of(c.year[i].trips) },
	"trips by month":                  func(c *Counts, i int, _ string) value { return c.of(c.month[i]) },
	"trips by weekday":                func(c *Counts, i int, _ string) value { return c.of(c.weekday[i]) },
	"trips by weekday, 8 hours later": func(c *Counts, i int, _ string) value { return c.of(c.weekdayLater[i]) },
	"trips by hour":                   func(c *Counts, i int, _ string) value { return c.of(c.hour[i].trips) },
	"trips by weekday and hour":       func(c *Counts, i int, _ string) value { return c.of(c.weekdayHour[i/24][i%24]) },
	"pickups at second 00 by year":    func(c *Counts, i int, _ string) value { return share{c.onMinute[i], c.year[i].trips}.value() },
	"mean fare": func(c *Counts, _ int, _ string) value {
		all := []money{{}}
		for _, m := range c.hour {
			addMoney(all, []money{m})
		}
		return all[0].mean()
	},
	"mean fare by year": func(c *Counts, i int, _ string) value { return c.year[i].mean() },
	"mean fare by hour": func(c *Counts, i int, _ string) value { return c.hour[i].mean() },
	"fare quantiles":    func(c *Counts, _ int, level string) value { return quantile(c.fare, c.Rows, level, 0.01) },
	"fares from 3 to 20": func(c *Counts, _ int, _ string) value {
		var n int64
		for _, trips := range c.fare[3_00 : 20_00+1] {
			n += trips
		}
		return c.of(n)
	},
	"distance quantiles": func(c *Counts, _ int, level string) value { return quantile(c.km, c.distances, level, kmPerSlot) },
	"passengers": func(c *Counts, _ int, label string) value {
		n, _ := strconv.Atoi(label)
		return c.of(c.passengers[int32(n)])
	},
	"JFK flat fare":              func(c *Counts, i int, _ string) value { return c.flat[i].value() },
	"tolls":                      func(c *Counts, i int, _ string) value { return commonest(c.aboveFlat[i]) },
	"fares in steps of 40 cents": func(c *Counts, _ int, _ string) value { return c.steps[0].value() },
	"fares in steps of 50 cents": func(c *Counts, i int, _ string) value { return c.steps[i+1].value() },
	"mistakes":                   func(c *Counts, i int, _ string) value { return c.of(c.mistakes[i]) },
}

func (c *Counts) of(n int64) value { return share{n, c.Rows}.value() }

// quantile finds the slot that holds the level, and by how far it may be off
// by chance.
func quantile(slots []int64, n int64, level string, unit float64) value {
	q, err := strconv.ParseFloat(level, 64)
	if err != nil || n == 0 {
		return value{math.NaN(), math.NaN()}
	}
	at := func(q float64) float64 {
		rank := int64(q * float64(n))
		for slot, trips := range slots {
			if rank -= trips; rank < 0 {
				return float64(slot) * unit
			}
		}
		return float64(len(slots)) * unit
	}
	deviation := math.Sqrt(q * (1 - q) / float64(n))
	return value{at(q), (at(min(1, q+deviation)) - at(max(0, q-deviation))) / 2}
}

// commonest is the amount that occurs most often.
func commonest(trips map[int64]int64) value {
	best, most := math.NaN(), int64(0)
	for cents, n := range trips {
		if amount := float64(cents) / 100; n > most || n == most && amount < best {
			best, most = amount, n
		}
	}
	return value{best, 0}
}
