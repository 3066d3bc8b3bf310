package marginals

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// WriteText writes every figure for people.
func (c *Comparison) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, g := range c.Groups {
		if len(g.Figures) > maximumListed {
			fmt.Fprintf(t, "%s (%s), %d figures, the furthest:\t\t\t\t\n", g.Name, g.Unit, len(g.Figures))
			g.Figures = []Figure{g.Furthest()}
		} else {
			fmt.Fprintf(t, "%s (%s)\tcounted\tpublished\tdistance\t\n", g.Name, g.Unit)
		}
		for _, f := range g.Figures {
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t\n", f.Label, g.format(f.Got), g.format(f.Published), g.format(f.Distance()))
		}
	}
	return t.Flush()
}

// maximumListed is how many figures of a group a report lists; of the 168
// hours of a week it names the furthest.
const maximumListed = 24

// WriteMarkdown writes a table of the groups with the furthest figure of each.
func (c *Comparison) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| marginal | figures | furthest at | counted | published | distance | by chance |\n|---|---|---|---|---|---|---|\n")
	for _, g := range c.Groups {
		f := g.Furthest()
		fmt.Fprintf(&b, "| %s (%s) | %d | %s | %s | %s | %s | %s |\n",
			g.Name, g.Unit, len(g.Figures), f.Label, g.format(f.Got), g.format(f.Published), g.format(f.Distance()), g.format(f.Chance))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Furthest is the figure with the largest distance.
func (g Group) Furthest() Figure {
	furthest := g.Figures[0]
	for _, f := range g.Figures {
		if f.Distance() > furthest.Distance() || math.IsNaN(f.Got) {
			furthest = f
		}
	}
	return furthest
}

// format shows shares in per cent, with as many digits as small ones need.
func (g Group) format(v float64) string {
	switch {
	case math.IsNaN(v):
		return "none"
	case g.Unit != "share":
		return fmt.Sprintf("%.3f", v)
	case v != 0 && math.Abs(v) < 0.0001:
		return fmt.Sprintf("%.6f %%", 100*v)
	}
	return fmt.Sprintf("%.3f %%", 100*v)
}
