package chart

import (
	_ "embed"
	"errors"
	"fmt"

	"github.com/dop251/goja"
)

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

// maxCalls is how deep functions may call each other.
const maxCalls = 10_000

// library is echarts, ready to draw.
type library struct {
	vm                     *goja.Runtime
	draw, theme, functions goja.Value
}

func loadLibrary(source string) (*library, error) {
	l := &library{vm: goja.New()}
	l.vm.SetMaxCallStackSize(maxCalls)
	for _, script := range []struct {
		name, source string
		value        *goja.Value
	}{
		{"host.js", hostJS, nil},
		{"echarts.min.js", source, nil},
		{"theme.js", themeJS, &l.theme},
		{"functions.js", functionsJS, &l.functions},
		{"draw.js", drawJS, &l.draw},
	} {
		value, err := l.vm.RunScript(script.name, script.source)
		if err != nil {
			return nil, fmt.Errorf("load chart library: %w", err)
		}
		if script.value != nil {
			*script.value = value
		}
	}
	if lib := l.vm.Get("echarts"); lib == nil || goja.IsUndefined(lib) {
		return nil, errors.New("load chart library: the script defines no echarts; dist/echarts.min.js is the file wanted")
	}
	return l, nil
}

// drawing is a chart to draw.
type drawing struct {
	Option []byte
	Size   Size
}

func (l *library) svg(d drawing) (svg string, err error) {
	draw, _ := goja.AssertFunction(l.draw)
	value, err := draw(goja.Undefined(), l.theme, l.functions, l.vm.ToValue(string(d.Option)), l.vm.ToValue(d.Size.Width), l.vm.ToValue(d.Size.Height))
	if err != nil {
		if thrown, ok := errors.AsType[*goja.Exception](err); ok {
			return "", fmt.Errorf("draw chart: %s", thrown.Value())
		}
		return "", fmt.Errorf("draw chart: %w", err)
	}
	return value.String(), nil
}
