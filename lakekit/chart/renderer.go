package chart

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Size of a chart in CSS pixels; zero means DefaultSize.
type Size struct{ Width, Height int }

// DefaultSize fits the width of a notebook's cell.
var DefaultSize = Size{Width: 800, Height: 420}

// Larger pictures are refused; no screen shows them.
const maxPixels = 8192

// Error says what is wrong with a chart.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

func mistake(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// bounds are what the drawing of one chart may take. An option may hold functions,
// which can do anything: the time is the processor's, so that a busy machine draws
// what an idle one does.
type bounds struct {
	Time    time.Duration // of computing
	Memory  int64         // bytes, with those of the library
	Picture int           // bytes of SVG
}

var defaultBounds = bounds{Time: 20 * time.Second, Memory: 1 << 30, Picture: 24 << 20}

// Renderer draws charts as SVG, in a process of its own: what a chart's functions
// do there, be it that they never end, ends with it. Its methods may be called at
// the same time; they take turns.
type Renderer struct {
	source []byte
	bounds bounds
	turn   chan struct{}
	worker *worker // nil: the next drawing starts one
}

// NewRenderer loads echarts (dist/echarts.min.js of version 6), which takes
// some tenths of a second. The caller closes the renderer.
func NewRenderer(echartsSource []byte) (*Renderer, error) {
	return newRenderer(echartsSource, defaultBounds)
}

func newRenderer(source []byte, bounds bounds) (*Renderer, error) {
	r := &Renderer{source: source, bounds: bounds, turn: make(chan struct{}, 1)}
	var err error
	if r.worker, err = startWorker(context.Background(), source, bounds); err != nil {
		return nil, err
	}
	return r, nil
}

// Close waits for the drawing and ends the process.
func (r *Renderer) Close() {
	r.turn <- struct{}{}
	defer func() { <-r.turn }()
	if r.worker != nil {
		r.worker.end()
		r.worker = nil
	}
}

// SVG draws a chart. The option is the JSON of a go-echarts chart (its JSON
// method, or the Option of RenderSnippet). The drawing ends with ctx.
func (r *Renderer) SVG(ctx context.Context, optionJSON []byte, width, height int) ([]byte, error) {
	size, err := Size{width, height}.orDefault()
	if err != nil {
		return nil, err
	}
	if _, err := parseOption(optionJSON); err != nil {
		return nil, err
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to draw chart: %w", context.Cause(ctx))
	}
	if r.worker == nil {
		if r.worker, err = startWorker(ctx, r.source, r.bounds); err != nil {
			return nil, err
		}
	}
	svg, err := r.worker.draw(ctx, drawing{optionJSON, size})
	if r.worker.broken {
		r.worker.end()
		r.worker = nil
	}
	return svg, err
}

func (s Size) orDefault() (Size, error) {
	if s.Width == 0 {
		s.Width = DefaultSize.Width
	}
	if s.Height == 0 {
		s.Height = DefaultSize.Height
	}
	if s.Width < 0 || s.Height < 0 || s.Width > maxPixels || s.Height > maxPixels {
		return Size{}, mistake("a chart of %d x %d pixels cannot be drawn: each side is 1 to %d", s.Width, s.Height, maxPixels)
	}
	return s, nil
}

func parseOption(optionJSON []byte) (map[string]any, error) {
	var option map[string]any
	if err := json.Unmarshal(optionJSON, &option); err != nil {
		return nil, mistake("read chart option: %v; it is the JSON of a chart, as its JSON method returns it", err)
	}
	if option == nil {
		return nil, mistake("read chart option: it is null; it is the JSON of a chart, as its JSON method returns it")
	}
	return option, nil
}
