package marginals

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strings"
)

// Chart draws the group as an SVG picture, published beside counted, and names
// its file. A group of fewer than four figures, or of shares too unlike to be
// seen together, is better read as a table and has none.
func (g Group) Chart() (name string, svg []byte) {
	name = strings.ReplaceAll(strings.ReplaceAll(g.Name, ",", ""), " ", "-") + ".svg"
	switch {
	case len(g.Figures) == 7*24:
		return name, g.heatMap()
	case len(g.Figures) >= 4 && g.Name != "mistakes" && g.Name != "passengers":
		return name, g.bars()
	}
	return name, nil
}

const (
	chartWidth, chartHeight      = 760, 300
	chartLeft, chartRight        = 60, 10
	chartTop, chartBottom        = 50, 40
	publishedColor, countedColor = "#b8bec8", "#d9901a"
	plotWidth, plotHeight        = chartWidth - chartLeft - chartRight, chartHeight - chartTop - chartBottom
)

// picture is an SVG being drawn.
type picture struct{ bytes.Buffer }

func (g Group) newPicture() *picture {
	p := &picture{}
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11" fill="#333">`+"\n", chartWidth, chartHeight)
	p.rect(0, 0, chartWidth, chartHeight, "#ffffff", "")
	unit := g.Unit
	if unit == "share" {
		unit = "%"
	}
	p.text(chartLeft, 20, "start", `font-size="14" font-weight="bold"`, fmt.Sprintf("%s (%s)", g.Name, unit))
	return p
}

func (p *picture) text(x, y float64, anchor, attributes, text string) {
	fmt.Fprintf(p, `<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor, attributes, html.EscapeString(text))
}

func (p *picture) rect(x, y, width, height float64, fill, title string) {
	fmt.Fprintf(p, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s</title></rect>`+"\n", x, y, width, height, fill, html.EscapeString(title))
}

func (p *picture) end() []byte {
	p.WriteString("</svg>\n")
	return p.Bytes()
}

// scaled is a value as the chart shows it: shares in per cent.
func (g Group) scaled(v float64) float64 {
	if g.Unit == "share" {
		return 100 * v
	}
	return v
}

func (g Group) bars() []byte {
	p := g.newPicture()
	highest := 0.0
	for _, f := range g.Figures {
		highest = max(highest, g.scaled(f.Published), g.scaled(f.Got))
	}
	step := niceStep(highest / 4)
	top := math.Ceil(highest/step) * step
	y := func(v float64) float64 { return chartTop + plotHeight*(1-v/top) }
	for i := 0; float64(i)*step <= top; i++ {
		v := float64(i) * step
		fmt.Fprintf(p, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#e4e4e4"/>`+"\n", chartLeft, chartWidth-chartRight, y(v), y(v))
		p.text(chartLeft-6, y(v)+4, "end", "", fmt.Sprintf("%g", math.Round(v*1e6)/1e6))
	}
	width := plotWidth / float64(len(g.Figures))
	for i, f := range g.Figures {
		x := chartLeft + float64(i)*width
		title := fmt.Sprintf("%s: published %s, counted %s", f.Label, g.format(f.Published), g.format(f.Got))
		for j, v := range []float64{g.scaled(f.Published), g.scaled(f.Got)} {
			p.rect(x+width*(0.12+0.38*float64(j)), y(v), width*0.38, chartTop+plotHeight-y(v), []string{publishedColor, countedColor}[j], title)
		}
		p.text(x+width/2, chartHeight-chartBottom+16, "middle", "", f.Label)
	}
	for i, label := range []string{"published, the real file", "generated"} {
		x := float64(chartWidth - 270 + 160*i)
		p.rect(x, 11, 10, 10, []string{publishedColor, countedColor}[i], "")
		p.text(x+15, 20, "start", "", label)
	}
	return p.end()
}

// niceStep is 1, 2 or 5 times a power of ten, not less than v.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 5} {
		if n*power >= v {
			return n * power
		}
	}
	return 10 * power
}

// heatMap draws the hours of a week twice: published on the left, counted on
// the right.
func (g Group) heatMap() []byte {
	p := g.newPicture()
	highest := 0.0
	for _, f := range g.Figures {
		highest = max(highest, f.Published, f.Got)
	}
	const half, gap = plotWidth / 2, 12
	cellWidth, cellHeight := float64(half-gap)/24, float64(plotHeight)/7
	for side, name := range []string{"published, the real file", "generated"} {
		left := float64(chartLeft + side*half)
		p.text(left, chartTop-8, "start", "", name)
		for i, f := range g.Figures {
			v := []float64{f.Published, f.Got}[side]
			title := fmt.Sprintf("%s h: %s", f.Label, g.format(v))
			p.rect(left+float64(i%24)*cellWidth, chartTop+float64(i/24)*cellHeight, cellWidth-0.5, cellHeight-0.5, shade(v/highest), title)
		}
		for hour := 0; hour < 24; hour += 6 {
			p.text(left+float64(hour)*cellWidth, chartHeight-chartBottom+16, "start", "", fmt.Sprintf("%d h", hour))
		}
	}
	for weekday := range 7 {
		p.text(chartLeft-6, chartTop+(float64(weekday)+0.6)*cellHeight, "end", "", strings.Fields(g.Figures[weekday*24].Label)[0])
	}
	return p.end()
}

// shade runs from white to the colour of what is counted.
func shade(share float64) string {
	mix := func(full float64) int { return int(255 - (255-full)*share) }
	return fmt.Sprintf("#%02x%02x%02x", mix(0xb0), mix(0x50), mix(0x00))
}
