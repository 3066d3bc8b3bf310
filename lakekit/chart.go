package lakekit

import (
	"strconv"
	"strings"

	"github.com/go-echarts/go-echarts/v2/charts"
	"github.com/go-echarts/go-echarts/v2/opts"
	"github.com/go-echarts/go-echarts/v2/render"

	"taxilake/lakekit/api"
)

// Chart is any chart of go-echarts.
type Chart interface {
	Validate()
	RenderSnippet() render.ChartSnippet
}

// Size of a drawn chart in pixels, unless the chart's own Initialization says
// otherwise.
const (
	chartWidth  = 800
	chartHeight = 420
)

// Chart draws a chart of go-echarts.
func (w *Workshop) Chart(chart Chart) (api.Picture, error) {
	snippet := chart.RenderSnippet()
	width, height := chartSize(snippet.Element)
	var p api.Picture
	return p, w.post("/api/charts", api.ChartRequest{Option: snippet.Option, Width: width, Height: height}, &p)
}

// chartSize reads the width and height from the element that go-echarts would
// put the chart into; its defaults of 900 by 500 give way to ours.
func chartSize(element string) (width, height int) {
	pixels := func(name string, otherwise, echartsDefault int) int {
		_, rest, found := strings.Cut(element, name+":")
		digits, _, _ := strings.Cut(rest, "px")
		if n, err := strconv.Atoi(strings.TrimSpace(digits)); found && err == nil && n != echartsDefault {
			return n
		}
		return otherwise
	}
	return pixels("width", chartWidth, 900), pixels("height", chartHeight, 500)
}

// exampleChart is the smallest chart there is, to try whether drawing works.
func exampleChart() Chart {
	bar := charts.NewBar()
	bar.SetXAxis([]string{"a"}).AddSeries("b", []opts.BarData{{Value: 1}})
	return bar
}
