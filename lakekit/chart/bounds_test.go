package chart_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"taxilake/lakekit/chart"
)

func bounded(t *testing.T, time time.Duration, memory int64, picture int) *chart.Renderer {
	t.Helper()
	source, err := echartsSource()
	if err != nil {
		t.Fatal(err)
	}
	r, err := chart.NewBoundedRenderer(source, time, memory, picture)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// withFunction is a bar chart whose label is made by a function.
func withFunction(t *testing.T, source string) []byte {
	t.Helper()
	formatter, err := json.Marshal(source)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(`{"series":[{"type":"bar","data":[1],"label":{"show":true,"formatter":` + string(formatter) + `}}],"xAxis":{"data":["a"]},"yAxis":{}}`)
}

// TestDrawingIsBounded: whatever a chart does, its caller is told, and the next
// chart is drawn. None of it depends on how fast that happens.
func TestDrawingIsBounded(t *testing.T) {
	const (
		computing = "of computing"
		memory    = "of memory"
	)
	const quick, small = 100 * time.Millisecond, 64 << 20
	for _, test := range []struct {
		name     string
		time     time.Duration
		memory   int64
		function string
		want     string
	}{
		{"a loop without end", quick, 0, "function () { for (;;); }", computing},
		{"a loop that catches", quick, 0, "function () { for (;;) try { throw 1 } catch (e) {} }", computing},
		{"an expression that tries everything", quick, 0, "function () { return /^(?=((a+)+)$)/.test('" + strings.Repeat("a", 60) + "b') }", computing},
		{"a list without end", 0, small, "function () { for (var a = [];; ) a.push({ a: a.length }) }", memory},
		{"a text that doubles", 0, small, "function () { for (var s = 'x'.repeat(1000), a = [];; ) { s = s + s; a.push(s.split('')) } }", memory},
		{"a text in one step", 0, small, "function () { return 'x'.repeat(1.5e9) }", memory},
		{"functions without end", 0, 0, "function f() { return f() + 1 }", ""},
		{"a buffer beyond all", 0, 0, "function () { return new ArrayBuffer(1e15).byteLength }", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := bounded(t, test.time, test.memory, 0)
			_, err := r.SVG(t.Context(), withFunction(t, test.function), 0, 0)
			var mistake *chart.Error
			if !errors.As(err, &mistake) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("it is answered with %v, want %q", err, test.want)
			}
			r.Loosen()
			if svg, err := r.SVG(t.Context(), withFunction(t, "function () { return 'fine' }"), 0, 0); err != nil || !read(t, svg).texts["fine"] {
				t.Errorf("the next chart: %v", err)
			}
		})
	}
}

func TestDrawingEndsWithItsCaller(t *testing.T) {
	r := bounded(t, 0, 0, 0)
	ctx, hangUp := context.WithCancel(t.Context())
	drawn := make(chan error)
	go func() {
		_, err := r.SVG(ctx, withFunction(t, "function () { for (;;); }"), 0, 0)
		drawn <- err
	}()
	waiting, giveUp := context.WithCancel(t.Context())
	giveUp()
	if _, err := r.SVG(waiting, withFunction(t, "function () { for (;;); }"), 0, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits and gives up gets %v", err)
	}
	hangUp()
	if err := <-drawn; !errors.Is(err, context.Canceled) {
		t.Errorf("who hangs up gets %v", err)
	}
	if _, err := r.SVG(t.Context(), option(t, barChart()), 0, 0); err != nil {
		t.Errorf("the next chart: %v", err)
	}
}

func TestAPictureIsBounded(t *testing.T) {
	_, err := bounded(t, 0, 0, 100).SVG(t.Context(), option(t, barChart()), 0, 0)
	var mistake *chart.Error
	if !errors.As(err, &mistake) || !strings.Contains(err.Error(), "draw fewer points") {
		t.Errorf("it is answered with %v", err)
	}
}

// TestTextOfTheLargestNumbers draws what lies as far apart as numbers can.
func TestTextOfTheLargestNumbers(t *testing.T) {
	for _, series := range []string{
		`{"type":"scatter","data":[[-1.7e308,-1.7e308],[1.7e308,1.7e308],[0,0]]}`,
		`{"type":"heatmap","data":[[0,0,-1.7e308],[1,0,1.7e308],[1e308,1e308,0],[-1,-1,0]]}`,
		`{"type":"bar","data":[-1.7e308,1.7e308]}`,
		`{"type":"line","data":[-1.7e308` + strings.Repeat(",1.7e308", 100) + `]}`,
		`{"type":"line","data":["-"` + strings.Repeat(`,"-"`, 100) + `]}`,
	} {
		b, err := open(t).Bundle(t.Context(), []byte(`{"xAxis":{"data":["a","b"]},"yAxis":{"data":["a"]},"series":[`+series+`]}`), chart.Size{}, "")
		if err != nil || b.Text == "" {
			t.Errorf("%.60s: %q, %v", series, b.Text, err)
		}
	}
}
