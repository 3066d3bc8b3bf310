package chart

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text charts keep to a terminal's width and height.
const (
	barWidth     = 40 // cells of the longest bar
	labelWidth   = 24 // cells of a bar's label
	maxBars      = 31 // a month of days; more become a line of blocks
	maxTextLines = 8  // series shown

	maxHeatmapColumns = 48
)

// text draws a chart for a terminal: bars where there are few values, a line of
// blocks where there are many, a summary for pairs of numbers.
func text(option map[string]any) string {
	var b strings.Builder
	b.WriteString(title(option) + "\n")
	labels := categories(option)
	series := objects(option["series"])
	for i, s := range series {
		if i == maxTextLines {
			fmt.Fprintf(&b, "… and %d more series\n", len(series)-i)
			break
		}
		if s["type"] == "heatmap" {
			writeHeatmap(&b, s, axisLabels(option["yAxis"]))
			continue
		}
		writeSeries(&b, s, labels, len(series) > 1, limitsOf(option["xAxis"]), limitsOf(option["yAxis"]))
	}
	return strings.Map(printable, b.String())
}

// printable keeps labels from steering the terminal.
func printable(c rune) rune {
	if c != '\n' && (unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c)) {
		return ' '
	}
	return c
}

func writeSeries(b *strings.Builder, series map[string]any, labels []string, several bool, shownX, shownY limits) {
	name, _ := series["name"].(string)
	points, _ := series["data"].([]any)
	values := make([]float64, len(points))
	names := make([]string, len(points))
	for i, point := range points {
		pointName, value, dimensions := readPoint(point)
		if dimensions > 1 {
			xs, ys := coordinates(points, shownX, shownY)
			writeCloud(b, name, xs, ys)
			return
		}
		values[i] = value
		names[i] = pointName
		if pointName == "" && i < len(labels) {
			names[i] = labels[i]
		}
	}
	if several && name != "" {
		b.WriteString(name + "\n")
	}
	if len(values) > maxBars {
		writeBlocks(b, names, values)
	} else {
		writeBars(b, names, values)
	}
}

// categories are the labels of the axis that has any.
func categories(option map[string]any) []string {
	if labels := axisLabels(option["xAxis"]); len(labels) > 0 {
		return labels
	}
	return axisLabels(option["yAxis"])
}

func axisLabels(axes any) []string {
	var labels []string
	for _, axis := range objects(axes) {
		data, _ := axis["data"].([]any)
		for _, v := range data {
			labels = append(labels, fmt.Sprint(v))
		}
		if len(labels) > 0 {
			break
		}
	}
	return labels
}

// writeHeatmap draws a row of shades for each category of the y axis, the first
// at the bottom as in the picture.
func writeHeatmap(b *strings.Builder, series map[string]any, rows []string) {
	points, _ := series["data"].([]any)
	cells := map[[2]int]float64{}
	least, most, columns := math.Inf(1), math.Inf(-1), 0
	for _, point := range points {
		if object, ok := point.(map[string]any); ok {
			point = object["value"]
		}
		list, _ := point.([]any)
		if len(list) < 3 {
			continue
		}
		x, isX := list[0].(float64)
		y, isY := list[1].(float64)
		v, isV := list[2].(float64)
		if isX && isY && isV {
			cells[[2]int{int(x), int(y)}] = v
			least, most, columns = min(least, v), max(most, v), max(columns, int(x)+1)
		}
	}
	width := 0
	for i := range rows {
		rows[i] = shorten(rows[i])
		width = max(width, utf8.RuneCountInString(rows[i]))
	}
	for y := len(rows) - 1; y >= 0; y-- {
		line := strings.Repeat(" ", width-utf8.RuneCountInString(rows[y])) + rows[y] + " │"
		for x := range min(columns, maxHeatmapColumns) {
			v, ok := cells[[2]int{x, y}]
			line += strings.Repeat(shade(v, least, most, ok), 2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	if len(cells) > 0 {
		fmt.Fprintf(b, "%d values from %s (light) to %s (dark)\n", len(cells), number(least), number(most))
	}
}

func shade(v, least, most float64, there bool) string {
	shades := []string{"·", "░", "▒", "▓", "█"}
	switch {
	case !there:
		return " "
	case most == least:
		return shades[2]
	}
	return shades[int(math.Round(share(v, least, most)*4))]
}

// readPoint reads a number, an object with a value, or a list of coordinates.
// What is no number is NaN.
func readPoint(point any) (name string, value float64, dimensions int) {
	switch p := point.(type) {
	case float64:
		return "", p, 1
	case map[string]any:
		name, _ = p["name"].(string)
		_, value, dimensions = readPoint(p["value"])
		return name, value, dimensions
	case []any:
		if len(p) == 1 {
			return readPoint(p[0])
		}
		return "", math.NaN(), len(p)
	}
	return "", math.NaN(), 1
}

func writeBars(b *strings.Builder, names []string, values []float64) {
	width, most := 0, 0.0
	for i, v := range values {
		names[i] = shorten(names[i])
		width = max(width, utf8.RuneCountInString(names[i]))
		if !math.IsNaN(v) {
			most = max(most, math.Abs(v))
		}
	}
	for i, v := range values {
		padding := strings.Repeat(" ", width-utf8.RuneCountInString(names[i]))
		line := fmt.Sprintf("%s%s │%s %s", padding, names[i], bar(v, most), number(v))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// bar is as long as the value's share of the largest, in eighths of a cell.
func bar(v, most float64) string {
	if math.IsNaN(v) || most == 0 {
		return ""
	}
	if v < 0 {
		return strings.Repeat("░", int(math.Round(-v/most*barWidth)))
	}
	eighths := int(math.Round(v / most * barWidth * 8))
	s := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		s += string(rune('█' + 8 - rest))
	}
	return s
}

// writeBlocks draws many values as one line of blocks, each the mean of its
// share of the values.
func writeBlocks(b *strings.Builder, names []string, values []float64) {
	least, most := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if !math.IsNaN(v) {
			least, most = min(least, v), max(most, v)
		}
	}
	const columns = 60
	cells := min(columns, len(values))
	for i := range cells {
		from, to := i*len(values)/cells, (i+1)*len(values)/cells
		b.WriteRune(block(mean(values[from:to]), least, most))
	}
	fmt.Fprintf(b, "\n%d values from %s to %s", len(values), number(least), number(most))
	if first, last := names[0], names[len(names)-1]; first != "" && last != "" {
		fmt.Fprintf(b, ", %s … %s", shorten(first), shorten(last))
	}
	b.WriteString("\n")
}

func block(v, least, most float64) rune {
	if math.IsNaN(v) {
		return ' '
	}
	if most == least {
		return '▄'
	}
	return '▁' + rune(math.Round(share(v, least, most)*7))
}

func mean(values []float64) float64 {
	mean, n := 0.0, 0.0
	for _, v := range values {
		if !math.IsNaN(v) {
			n++
			mean += v/n - mean/n // a sum could be beyond the largest number
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return mean
}

// writeCloud draws pairs of numbers as a grid of braille dots.
func writeCloud(b *strings.Builder, name string, xs, ys []float64) {
	if name == "" {
		name = "points"
	}
	if len(xs) == 0 {
		fmt.Fprintf(b, "%s: none\n", name)
		return
	}
	minX, maxX := extent(xs)
	minY, maxY := extent(ys)
	const columns, rows = 60, 15
	var grid [rows][columns]rune
	for i := range xs {
		column := scale(xs[i], minX, maxX, columns*2)
		row := rows*4 - 1 - scale(ys[i], minY, maxY, rows*4)
		grid[row/4][column/2] |= brailleDots[row%4][column%2]
	}
	for _, line := range grid {
		var s strings.Builder
		for _, dots := range line {
			s.WriteRune('⠀' + dots)
		}
		b.WriteString(strings.TrimRight(s.String(), "⠀") + "\n")
	}
	fmt.Fprintf(b, "%s: %d, x %s to %s, y %s to %s\n", name, len(xs), number(minX), number(maxX), number(minY), number(maxY))
}

// brailleDots are the bits of a braille character by row and column.
var brailleDots = [4][2]rune{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

// limits are what an axis shows.
type limits struct{ least, most float64 }

func limitsOf(axis any) limits {
	l := limits{math.Inf(-1), math.Inf(1)}
	if axes := objects(axis); len(axes) > 0 {
		if least, ok := axes[0]["min"].(float64); ok {
			l.least = least
		}
		if most, ok := axes[0]["max"].(float64); ok {
			l.most = most
		}
	}
	return l
}

func (l limits) show(v float64) bool { return l.least <= v && v <= l.most }

func coordinates(points []any, shownX, shownY limits) (xs, ys []float64) {
	for _, point := range points {
		if object, ok := point.(map[string]any); ok {
			point = object["value"]
		}
		list, _ := point.([]any)
		if len(list) < 2 {
			continue
		}
		x, isX := list[0].(float64)
		y, isY := list[1].(float64)
		if isX && isY && shownX.show(x) && shownY.show(y) {
			xs, ys = append(xs, x), append(ys, y)
		}
	}
	return xs, ys
}

func extent(values []float64) (least, most float64) {
	least, most = values[0], values[0]
	for _, v := range values {
		least, most = min(least, v), max(most, v)
	}
	return least, most
}

func scale(v, least, most float64, steps int) int {
	if most == least {
		return steps / 2
	}
	return min(int(share(v, least, most)*float64(steps)), steps-1)
}

// share is where v lies between least and most, from 0 to 1. The difference of
// the largest numbers is beyond them, that of their halves is not.
func share(v, least, most float64) float64 {
	s := (v/2 - least/2) / (most/2 - least/2)
	if !(s > 0) {
		return 0
	}
	return min(s, 1)
}

// number writes at most four significant digits, whole ones in full.
func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.Abs(v) >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

func shorten(s string) string {
	if runes := []rune(s); len(runes) > labelWidth {
		return string(runes[:labelWidth-1]) + "…"
	}
	return s
}
