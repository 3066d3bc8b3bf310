package chart_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/go-echarts/go-echarts/v2/charts"
	"github.com/go-echarts/go-echarts/v2/opts"

	"taxilake/lakekit/chart"
)

var echartsSource = sync.OnceValues(func() ([]byte, error) {
	path := os.Getenv("LAKEKIT_ECHARTS")
	if path == "" {
		path = filepath.Join("..", "jupyter", "node_modules", "echarts", "dist", "echarts.min.js")
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: run `make setup`, or set LAKEKIT_ECHARTS to echarts.min.js", err)
	}
	return source, nil
})

var renderer = sync.OnceValues(func() (*chart.Renderer, error) {
	source, err := echartsSource()
	if err != nil {
		return nil, err
	}
	return chart.NewRenderer(source)
})

func open(t testing.TB) *chart.Renderer {
	t.Helper()
	r, err := renderer()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// echart is what every chart of go-echarts has.
type echart interface {
	Validate()
	JSON() map[string]any
}

func option(t testing.TB, c echart) []byte {
	t.Helper()
	c.Validate()
	data, err := json.Marshal(c.JSON())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func labels(n int, format string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return list
}

func fares(n int) []float64 {
	list := make([]float64, n)
	for i := range list {
		list[i] = math.Round(100*(11+3*math.Sin(float64(i)/4))) / 100
	}
	return list
}

func bars(values []float64) (data []opts.BarData) {
	for _, v := range values {
		data = append(data, opts.BarData{Value: v})
	}
	return data
}

func global(title, x, y string) []charts.GlobalOpts {
	return []charts.GlobalOpts{
		charts.WithTitleOpts(opts.Title{Title: title, Subtitle: "taxi_record"}),
		charts.WithXAxisOpts(opts.XAxis{Name: x}),
		charts.WithYAxisOpts(opts.YAxis{Name: y}),
	}
}

func barChart() echart {
	c := charts.NewBar()
	c.SetGlobalOptions(global("Mean fare by hour", "hour of the day", "mean fare (USD)")...)
	c.SetXAxis(labels(24, "%02d")).AddSeries("mean fare", bars(fares(24)))
	return c
}

func lineChart() echart {
	c := charts.NewLine()
	c.SetGlobalOptions(global("Trips by month", "month", "trips")...)
	var a, b []opts.LineData
	for i := range 36 {
		a = append(a, opts.LineData{Value: 1_200_000 + i*1000})
		b = append(b, opts.LineData{Value: 900_000 + i*i*300})
	}
	c.SetXAxis(labels(36, "2012-%02d")).AddSeries("yellow cabs", a).AddSeries("green cabs", b)
	return c
}

func scatterChart() echart {
	c := charts.NewScatter()
	c.SetGlobalOptions(
		charts.WithTitleOpts(opts.Title{Title: "Where trips begin"}),
		charts.WithXAxisOpts(opts.XAxis{Name: "longitude (°)", Type: "value", Min: -74.05, Max: -73.75}),
		charts.WithYAxisOpts(opts.YAxis{Name: "latitude (°)", Type: "value", Min: 40.6, Max: 40.9}),
	)
	var data []opts.ScatterData
	for i := range 5000 {
		angle, radius := float64(i)*2.399963, 0.1*math.Sqrt(float64(i)/5000)
		data = append(data, opts.ScatterData{Value: []float64{-73.9 + radius*math.Cos(angle), 40.75 + radius*math.Sin(angle)}})
	}
	data = append(data, opts.ScatterData{Value: []float64{0, 0}}) // outside of the axes
	c.AddSeries("pickups", data)
	return c
}

func pieChart() echart {
	c := charts.NewPie()
	c.SetGlobalOptions(charts.WithTitleOpts(opts.Title{Title: "Trips by passengers"}))
	var data []opts.PieData
	for i := range 6 {
		data = append(data, opts.PieData{Name: fmt.Sprintf("%d passengers", i+1), Value: 600 / (i + 1)})
	}
	c.AddSeries("trips", data)
	return c
}

func heatmapChart() echart {
	c := charts.NewHeatMap()
	days := []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
	c.SetGlobalOptions(
		charts.WithTitleOpts(opts.Title{Title: "Trips by hour and weekday"}),
		charts.WithXAxisOpts(opts.XAxis{Name: "hour of the day", Type: "category", Data: labels(24, "%d")}),
		charts.WithYAxisOpts(opts.YAxis{Name: "weekday", Type: "category", Data: days}),
		charts.WithVisualMapOpts(opts.VisualMap{Min: 0, Max: 100, Calculable: opts.Bool(true)}),
	)
	var data []opts.HeatMapData
	for day := range 7 {
		for hour := range 24 {
			data = append(data, opts.HeatMapData{Value: [3]any{hour, day, (day*24 + hour*7) % 100}})
		}
	}
	c.AddSeries("trips", data)
	return c
}

func twoAxesChart() echart {
	c := charts.NewBar()
	c.SetGlobalOptions(global("Trips and mean fare by weekday", "weekday", "trips")...)
	c.ExtendYAxis(opts.YAxis{Name: "mean fare (USD)"})
	c.SetXAxis([]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}).AddSeries("trips", bars([]float64{130000, 128000, 140000, 145000, 150000, 155000, 152000}))
	l := charts.NewLine()
	var data []opts.LineData
	for _, v := range fares(7) {
		data = append(data, opts.LineData{Value: v})
	}
	l.SetXAxis(labels(7, "%d")).AddSeries("mean fare", data, charts.WithLineChartOpts(opts.LineChart{YAxisIndex: 1}))
	c.Overlap(l)
	return c
}

func TestSVG(t *testing.T) {
	tests := []struct {
		name  string
		chart echart
		texts []string
		marks int
	}{
		{"bar", barChart(), []string{"Mean fare by hour", "taxi_record", "hour of the day", "mean fare (USD)", "00", "12"}, 24},
		{"line", lineChart(), []string{"Trips by month", "month", "trips", "yellow cabs", "green cabs", "2012-00"}, 2 * 36},
		{"scatter of 5,000 points", scatterChart(), []string{"Where trips begin", "longitude (°)", "latitude (°)", "-73.9"}, 5000},
		{"pie", pieChart(), []string{"Trips by passengers", "1 passengers", "6 passengers"}, 6},
		{"heatmap", heatmapChart(), []string{"Trips by hour and weekday", "hour of the day", "weekday", "Sunday", "Saturday"}, 7 * 24},
		{"bar and line with two axes", twoAxesChart(), []string{"Trips and mean fare by weekday", "trips", "mean fare (USD)", "Sun"}, 7 + 7},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			svg, err := open(t).SVG(t.Context(), option(t, test.chart), 800, 420)
			if err != nil {
				t.Fatal(err)
			}
			drawn := read(t, svg)
			for _, want := range test.texts {
				if !drawn.texts[want] {
					t.Errorf("the picture lacks the text %q; it has %v", want, drawn.texts)
				}
			}
			if drawn.marks != test.marks {
				t.Errorf("the picture has %d marks, want %d", drawn.marks, test.marks)
			}
			if dir := os.Getenv("LAKEKIT_CHART_OUT"); dir != "" {
				if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(test.name, " ", "-")+".svg"), svg, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

type drawing struct {
	texts map[string]bool
	marks int // what stands for a value of a series
}

// read parses a picture as XML.
func read(t testing.TB, svg []byte) drawing {
	t.Helper()
	d := drawing{texts: map[string]bool{}}
	decoder := xml.NewDecoder(strings.NewReader(string(svg)))
	var root, inside string
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if root == "" {
				root = token.Name.Local
			}
			inside = token.Name.Local
			attributes := map[string]string{}
			for _, a := range token.Attr {
				attributes[a.Name.Local] = a.Value
			}
			if attributes["ecmeta_ssr_type"] == "chart" && attributes["ecmeta_data_index"] != "" {
				d.marks++
			} else if points := strings.Count(attributes["d"], "M"); points > 1000 {
				d.marks += points // a large scatter is one path
			}
		case xml.CharData:
			if inside == "text" {
				d.texts[string(token)] = true
			}
		case xml.EndElement:
			inside = ""
		}
	}
	if root != "svg" {
		t.Fatalf("root element is %q, want svg", root)
	}
	return d
}

// TestSpacing reads off the picture that title, legend, axis names and the
// labels of the axes keep out of each other's way.
func TestSpacing(t *testing.T) {
	svg, err := open(t).SVG(t.Context(), option(t, twoAxesChart()), 800, 420)
	if err != nil {
		t.Fatal(err)
	}
	at := positions(t, svg)
	rows := []string{"Trips and mean fare by weekday", "taxi_record", "180,000", "Sun", "weekday"}
	for i := 1; i < len(rows); i++ {
		above, below := at[rows[i-1]], at[rows[i]]
		if below[1]-above[1] < 12 {
			t.Errorf("%q at %v stands on %q at %v", rows[i], below, rows[i-1], above)
		}
	}
	columns := []string{"trips", "Sun", "Sat", "mean fare (USD)"}
	for i := 1; i < len(columns); i++ {
		left, right := at[columns[i-1]], at[columns[i]]
		if right[0]-left[0] < 16 {
			t.Errorf("%q at %v stands on %q at %v", columns[i], right, columns[i-1], left)
		}
	}
	for text, p := range at {
		if p[0] < 0 || p[0] > 800 || p[1] < 0 || p[1] > 420 {
			t.Errorf("%q stands outside, at %v", text, p)
		}
	}
}

var (
	textElement = regexp.MustCompile(`(?s)<text ([^>]*)>([^<]*)</text>`)
	lineOffset  = regexp.MustCompile(` y="(-?[\d.]+)"`)
	translation = regexp.MustCompile(`transform="(?:translate\(|matrix\([^)]*?,)(-?[\d.]+)[ ,](-?[\d.]+)\)"`)
)

// positions gives where each text was last put, axis names after the legend.
func positions(t *testing.T, svg []byte) map[string][2]float64 {
	t.Helper()
	at := map[string][2]float64{}
	for _, element := range textElement.FindAllStringSubmatch(string(svg), -1) {
		m := translation.FindStringSubmatch(element[1])
		if m == nil {
			continue
		}
		var p [2]float64
		if _, err := fmt.Sscan(m[1], &p[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscan(m[2], &p[1]); err != nil {
			t.Fatal(err)
		}
		if line := lineOffset.FindStringSubmatch(element[1]); line != nil && !strings.Contains(element[1], "matrix") {
			var y float64
			if _, err := fmt.Sscan(line[1], &y); err != nil {
				t.Fatal(err)
			}
			p[1] += y
		}
		text := html.UnescapeString(element[2])
		if _, first := at[text]; !first || strings.Contains(element[1], "matrix") {
			at[text] = p
		}
	}
	return at
}

func TestFunctions(t *testing.T) {
	c := charts.NewBar()
	c.SetGlobalOptions(
		charts.WithTitleOpts(opts.Title{Title: "Fares"}),
		charts.WithYAxisOpts(opts.YAxis{AxisLabel: &opts.AxisLabel{Formatter: opts.FuncOpts("function (v) { return v + ' USD'; }")}}),
	)
	c.SetXAxis([]string{"__f__function(){ throw 'run' }__f__"}).AddSeries("function () { throw 'run' }", bars([]float64{4}))
	svg, err := open(t).SVG(t.Context(), option(t, c), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	drawn := read(t, svg)
	if !drawn.texts["4 USD"] {
		t.Errorf("the formatter was not run: %v", drawn.texts)
	}
	if !drawn.texts["__f__function(){ throw 'run' }__f__"] {
		t.Errorf("the label is not shown as it is: %v", drawn.texts)
	}
}

func TestBadOptions(t *testing.T) {
	for _, test := range []struct {
		option        string
		width, height int
		want          string
	}{
		{"", 0, 0, "its JSON method"},
		{"null", 0, 0, "null"},
		{"[1]", 0, 0, "its JSON method"},
		{"{}", -1, 100, "cannot be drawn"},
		{"{}", 100, 1_000_000, "cannot be drawn"},
		{`{"series":[{"type":"bar","data":[1],"label":{"show":true,"formatter":"function(){ throw new Error('my own') }"}}],"xAxis":{"data":["a"]},"yAxis":{}}`, 0, 0, "my own"},
	} {
		_, err := open(t).SVG(t.Context(), []byte(test.option), test.width, test.height)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s is answered with %v, want %q", test.option, err, test.want)
		}
	}
	if _, err := open(t).SVG(t.Context(), option(t, barChart()), 0, 0); err != nil {
		t.Errorf("after the failures: %v", err)
	}
	if _, err := chart.NewRenderer([]byte("var x = 1")); err == nil {
		t.Error("a script without echarts was taken")
	}
}

func TestBundle(t *testing.T) {
	const hostile = `</script><script>alert("1")</script><!-- & ' `
	c := charts.NewBar()
	c.SetGlobalOptions(charts.WithTitleOpts(opts.Title{Title: hostile}))
	c.SetXAxis([]string{hostile}).AddSeries(hostile, bars([]float64{1}))
	b, err := open(t).Bundle(t.Context(), option(t, c), chart.Size{}, "http://127.0.0.1:8080/assets/echarts.min.js?a=1&b=2")
	if err != nil {
		t.Fatal(err)
	}
	if !read(t, b.SVG).texts[hostile] {
		t.Error("the picture does not show the title as it is")
	}
	if n := strings.Count(b.HTML, "<script"); n != 1 {
		t.Errorf("%d script elements, want 1", n)
	}
	if n := strings.Count(b.HTML, "</script"); n != 1 {
		t.Errorf("%d ends of script elements, want 1", n)
	}
	if strings.Contains(b.HTML, "<!--") {
		t.Error("the HTML holds the start of a comment")
	}
	if !strings.Contains(b.HTML, ` alt="`+html.EscapeString(hostile)+`"`) {
		t.Error("the picture has no alternative text, or one that is not escaped")
	}
	source := regexp.MustCompile(`src="data:image/svg\+xml;base64,([^"]+)"`).FindStringSubmatch(b.HTML)
	if source == nil {
		t.Fatal("the HTML holds no picture")
	}
	if svg, err := base64.StdEncoding.DecodeString(source[1]); err != nil || string(svg) != string(b.SVG) {
		t.Errorf("the picture in the HTML is another one (%v)", err)
	}
	other, err := open(t).Bundle(t.Context(), option(t, c), chart.Size{}, "")
	if err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`id="([^"]+)"`)
	if id.FindString(b.HTML) == id.FindString(other.HTML) {
		t.Error("two charts of a page have the same id")
	}
}

func TestText(t *testing.T) {
	tests := []struct {
		name   string
		option string
		want   string
	}{
		{"bars", `{"title":{"text":"Trips"},"xAxis":[{"data":["Sun","Monday"]}],"yAxis":[{}],"series":[{"name":"n","type":"bar","data":[{"value":40},{"value":20.5}]}]}`,
			"Trips\n" +
				"   Sun │" + strings.Repeat("█", 40) + " 40\n" +
				"Monday │" + strings.Repeat("█", 20) + "▌ 20.5\n"},
		{"two series, a gap and a negative value", `{"xAxis":{"data":["a","b"]},"yAxis":{},"series":[{"name":"x","type":"line","data":[null,2]},{"name":"y","type":"bar","data":["-",-1]}]}`,
			"Chart of x, y\n" +
				"x\na │ –\nb │" + strings.Repeat("█", 40) + " 2\n" +
				"y\na │ –\nb │" + strings.Repeat("░", 40) + " -1\n"},
		{"pie", `{"title":[{"text":"P"}],"series":[{"type":"pie","data":[{"name":"one","value":1}]}]}`,
			"P\none │" + strings.Repeat("█", 40) + " 1\n"},
		{"steering characters", `{"title":{"text":"a\u001b[2Jb\u202e"},"series":[]}`, "a [2Jb \n"},
		{"heatmap", `{"xAxis":{"data":["a","b"]},"yAxis":{"data":["low","up"]},"visualMap":{"min":0,"max":4},"series":[{"type":"heatmap","data":[{"value":[0,0,0]},{"value":[1,0,4]},[1,1,2]]}]}`,
			"Chart\n up │  ▒▒\nlow │··██\n3 values from 0 (light) to 4 (dark)\n"},
		{"nothing", `{}`, "Chart\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, err := open(t).Bundle(t.Context(), []byte(test.option), chart.Size{}, "")
			if err != nil {
				t.Fatal(err)
			}
			if b.Text != test.want {
				t.Errorf("the text is\n%s\nwant\n%s", b.Text, test.want)
			}
		})
	}
	b, err := open(t).Bundle(t.Context(), option(t, scatterChart()), chart.Size{}, "")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.Text, "pickups: 5000, x -74") || strings.Count(b.Text, "\n") != 17 {
		t.Errorf("the map of points is\n%s", b.Text)
	}
}

func TestConcurrency(t *testing.T) {
	r := open(t)
	want, err := r.SVG(context.Background(), option(t, pieChart()), 300, 200)
	if err != nil {
		t.Fatal(err)
	}
	data := option(t, pieChart())
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			svg, err := r.SVG(context.Background(), data, 300, 200)
			if err != nil {
				t.Error(err)
			} else if len(read(t, svg).texts) != len(read(t, want).texts) {
				t.Error("a chart drawn beside others differs")
			}
		})
	}
	workers.Wait()
}

func BenchmarkSVG(b *testing.B) {
	for name, c := range map[string]echart{"bar": barChart(), "heatmap": heatmapChart(), "scatter of 5,000": scatterChart()} {
		data := option(b, c)
		b.Run(name, func(b *testing.B) {
			r := open(b)
			for b.Loop() {
				if _, err := r.SVG(context.Background(), data, 800, 420); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNewRenderer(b *testing.B) {
	source, err := echartsSource()
	if err != nil {
		b.Skip(err)
	}
	for b.Loop() {
		r, err := chart.NewRenderer(source)
		if err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}
