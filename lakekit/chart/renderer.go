package chart

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dop251/goja"
)

// Size of a chart in CSS pixels; zero means DefaultSize.
type Size struct{ Width, Height int }

// DefaultSize fits the width of a notebook's cell.
var DefaultSize = Size{Width: 800, Height: 420}

// Larger pictures are refused; no screen shows them.
const maxPixels = 8192

// drawTimeout ends functions in an option that do not return.
const drawTimeout = 20 * time.Second

//go:embed theme.js
var themeJS string

//go:embed functions.js
var functionsJS string

// echarts asks for timers and a console at load; server-side rendering never
// needs a timer to fire.
const hostJS = `var self = this, window = undefined;
function setTimeout() { return 0 } function clearTimeout() {}
function setInterval() { return 0 } function clearInterval() {}
var console = { log: function () {}, warn: function () {}, error: function () {}, info: function () {} };`

const drawJS = `(function (theme, functions, optionJSON, width, height) {
  var option = theme(echarts, functions(JSON.parse(optionJSON)));
  option.animation = false;
  // Progressive drawing waits for a next frame, which never comes here.
  [].concat(option.series || []).forEach(function (s) { s.progressive = 0; s.animation = false; });
  var chart = echarts.init(null, 'lakekit', { renderer: 'svg', ssr: true, width: width, height: height });
  try {
    chart.setOption(option);
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
})`

// Renderer draws charts as SVG. Its methods may be called at the same time;
// they take turns.
type Renderer struct {
	mu                     sync.Mutex
	vm                     *goja.Runtime
	draw, theme, functions goja.Value
}

// NewRenderer loads echarts (dist/echarts.min.js of version 6), which takes
// some tenths of a second.
func NewRenderer(echartsSource []byte) (*Renderer, error) {
	r := &Renderer{vm: goja.New()}
	for _, script := range []struct {
		name, source string
		value        *goja.Value
	}{
		{"host.js", hostJS, nil},
		{"echarts.min.js", string(echartsSource), nil},
		{"theme.js", themeJS, &r.theme},
		{"functions.js", functionsJS, &r.functions},
		{"draw.js", drawJS, &r.draw},
	} {
		value, err := r.vm.RunScript(script.name, script.source)
		if err != nil {
			return nil, fmt.Errorf("load chart library: %w", err)
		}
		if script.value != nil {
			*script.value = value
		}
	}
	if lib := r.vm.Get("echarts"); lib == nil || goja.IsUndefined(lib) {
		return nil, errors.New("load chart library: the script defines no echarts; dist/echarts.min.js is the file wanted")
	}
	return r, nil
}

// SVG draws a chart. The option is the JSON of a go-echarts chart (its JSON
// method, or the Option of RenderSnippet).
func (r *Renderer) SVG(optionJSON []byte, width, height int) ([]byte, error) {
	size, err := Size{width, height}.orDefault()
	if err != nil {
		return nil, err
	}
	if _, err := parseOption(optionJSON); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	draw, _ := goja.AssertFunction(r.draw)
	watchdog := time.AfterFunc(drawTimeout, func() { r.vm.Interrupt("drawing took longer than " + drawTimeout.String()) })
	value, err := draw(goja.Undefined(), r.theme, r.functions, r.vm.ToValue(string(optionJSON)), r.vm.ToValue(size.Width), r.vm.ToValue(size.Height))
	watchdog.Stop()
	r.vm.ClearInterrupt()
	if err != nil {
		var thrown *goja.Exception
		if errors.As(err, &thrown) {
			return nil, fmt.Errorf("draw chart: %s", thrown.Value())
		}
		return nil, fmt.Errorf("draw chart: %w", err)
	}
	return []byte(value.String()), nil
}

func (s Size) orDefault() (Size, error) {
	if s.Width == 0 {
		s.Width = DefaultSize.Width
	}
	if s.Height == 0 {
		s.Height = DefaultSize.Height
	}
	if s.Width < 0 || s.Height < 0 || s.Width > maxPixels || s.Height > maxPixels {
		return Size{}, fmt.Errorf("a chart of %d x %d pixels cannot be drawn: each side is 1 to %d", s.Width, s.Height, maxPixels)
	}
	return s, nil
}

func parseOption(optionJSON []byte) (map[string]any, error) {
	var option map[string]any
	if err := json.Unmarshal(optionJSON, &option); err != nil {
		return nil, fmt.Errorf("read chart option: %w; it is the JSON of a chart, as its JSON method returns it", err)
	}
	if option == nil {
		return nil, errors.New("read chart option: it is null; it is the JSON of a chart, as its JSON method returns it")
	}
	return option, nil
}
