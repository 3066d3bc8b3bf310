package jupyter

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"taxilake/lakekit/chart"
)

// TestLessonPages opens every page of the folder LAKEKIT_PAGES, as a student
// without a network would.
func TestLessonPages(t *testing.T) {
	folder := os.Getenv("LAKEKIT_PAGES")
	if folder == "" {
		t.Skip("LAKEKIT_PAGES names no folder of exported notebooks; make test sets it")
	}
	pages, err := filepath.Glob(filepath.Join(folder, "*.html"))
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) == 0 {
		t.Fatalf("%s holds no pages", folder)
	}
	browser := startBrowser(t)
	for _, page := range pages {
		name := filepath.Base(page)
		t.Run(name, func(t *testing.T) {
			view := browser.view(t, page)
			for _, fault := range view.faults {
				t.Error(fault)
			}
			if strings.HasPrefix(name, "04_") && view.charts < 7 {
				t.Errorf("%d charts, want the seven of the course", view.charts)
			}
			t.Logf("%d charts", view.charts)
		})
	}
}

// TestBrowserSeesFaults makes sure that the check of the lessons' pages can fail.
func TestBrowserSeesFaults(t *testing.T) {
	const picture = `<img src="data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSI5IiBoZWlnaHQ9IjkiLz4=">`
	const draw = `<script>setTimeout(function () {
		var canvas = document.createElement("canvas");
		canvas.getContext("2d").fillRect(10, 10, 20, 20);
		document.querySelector("img").replaceWith(canvas);
	}, 50)</script>`
	tests := []struct {
		name string
		body string
		want string // "" for none
	}{
		{"sound page", `<div id="lakekit-chart-a">` + picture + `</div>` + draw, ""},
		{"no charts", `<p>text</p>`, ""},
		{"link to elsewhere", `<a href="https://delta.io/">Delta Lake</a>`, ""},
		{"chart stays a picture", `<div id="lakekit-chart-a">` + picture + `</div>`, "chart lakekit-chart-a is not drawn"},
		{"empty canvas", `<div id="lakekit-chart-a"><canvas></canvas>` + picture + `</div>`, "chart lakekit-chart-a is not drawn"},
		{"canvas without size", `<div id="lakekit-chart-a" style="display:none">` + picture + `</div>` + draw, "chart lakekit-chart-a is not drawn"},
		{"no picture without scripts", `<div id="lakekit-chart-a"></div><script>document.querySelector("div").innerHTML = '` + picture + `'</script>` + draw,
			"chart lakekit-chart-a has no picture where scripts do not run"},
		{"exception", `<script>missing()</script>`, "missing is not defined"},
		{"console error", `<script>console.error("went wrong")</script>`, "went wrong"},
		{"script from the network", `<script src="https://cdn.example.org/echarts.js"></script>`, "asks for https://cdn.example.org/echarts.js"},
		{"picture from the network", `<img src="http://example.org/a.png">`, "asks for http://example.org/a.png"},
		{"style sheet from the network", `<link rel="stylesheet" href="//example.org/a.css">`, "refers to"},
		{"file that is not there", `<img src="missing.png">`, "missing.png"},
	}
	browser := startBrowser(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.want != "" { // a fault does not go away by waiting
				browser.patience = time.Second
			} else {
				browser.patience = patience
			}
			page := filepath.Join(t.TempDir(), "page.html")
			if err := os.WriteFile(page, []byte("<!DOCTYPE html><title>t</title>"+test.body), 0o644); err != nil {
				t.Fatal(err)
			}
			faults := browser.view(t, page).faults
			switch {
			case test.want == "" && len(faults) > 0:
				t.Errorf("faults %q, want none", faults)
			case test.want != "" && !slices.ContainsFunc(faults, func(fault string) bool { return strings.Contains(fault, test.want) }):
				t.Errorf("faults %q, want one with %q", faults, test.want)
			}
		})
	}
}

// TestChartIsLiveOffline takes a chart all the way: drawn by package chart,
// put out by a notebook, exported, opened.
func TestChartIsLiveOffline(t *testing.T) {
	requireSetup(t)
	source, err := os.ReadFile(filepath.Join("node_modules", "echarts", "dist", "echarts.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	renderer, err := chart.NewRenderer(source)
	if err != nil {
		t.Fatal(err)
	}
	option := `{"title": {"text": "Trips by hour"}, "xAxis": {"data": ["0", "1"]}, "yAxis": {}, "series": [{"type": "bar", "data": [3, 5]}]}`
	bundle, err := renderer.Bundle(t.Context(), []byte(option), chart.Size{Width: 600, Height: 400}, "")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	exportPage(t, folder, bundle.HTML)
	view := startBrowser(t).view(t, filepath.Join(folder, "lesson.html"))
	for _, fault := range view.faults {
		t.Error(fault)
	}
	if view.charts != 1 {
		t.Errorf("%d charts on the page, want 1", view.charts)
	}
}

// patience is how long what has to come may take on a busy machine.
const patience = time.Minute

// browser is a Chromium that cannot resolve any name.
type browser struct {
	ctx      context.Context
	patience time.Duration // how long a chart may take to be drawn
}

func startBrowser(t *testing.T) browser {
	t.Helper()
	path := ""
	for _, name := range []string{
		"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
		"/Applications/Chromium.app/Contents/MacOS/Chromium",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
	} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("neither Chromium nor Chrome is installed (Debian, Ubuntu: sudo apt-get install chromium)")
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.WindowSize(1280, 900),
		chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND"),
		chromedp.Flag("no-proxy-server", true), // not one of the environment
	}
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return browser{ctx, patience}
}

// view is what the browser made of a page.
type view struct {
	charts int
	faults []string
}

// view opens a page twice: with scripts, where every chart must be drawn, and
// without, where every chart must show its picture.
func (b browser) view(t *testing.T, page string) view {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 2*patience)
	defer cancel()

	absolute, err := filepath.Abs(page)
	if err != nil {
		t.Fatal(err)
	}
	address := (&url.URL{Scheme: "file", Path: absolute}).String()

	var faults faultList
	if err := chromedp.Listen(ctx, faults.listen); err != nil {
		t.Fatal(err)
	}
	call(t, ctx, network.Enable, network.EnableParams{})
	call(t, ctx, log.Enable, cdp.Empty{})
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		t.Fatalf("opening %s: %v", page, err)
	}
	live := evaluate[[]chartState](t, ctx, liveCharts)
	for deadline := time.Now().Add(b.patience); slices.ContainsFunc(live, chartState.missing) && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
		live = evaluate[[]chartState](t, ctx, liveCharts)
	}
	for _, c := range live {
		if c.missing() {
			faults.add("chart %s is not drawn", c.ID)
		}
	}
	for _, reference := range evaluate[[]string](t, ctx, outsideReferences) {
		faults.add("refers to %s", reference)
	}

	call(t, ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		t.Fatalf("opening %s without scripts: %v", page, err)
	}
	still := evaluate[[]chartState](t, ctx, stillCharts)
	for _, c := range still {
		if c.missing() {
			faults.add("chart %s has no picture where scripts do not run", c.ID)
		}
	}
	if len(still) != len(live) {
		faults.add("%d charts with scripts, %d without", len(live), len(still))
	}
	return view{charts: len(live), faults: faults.all()}
}

type chartState struct {
	ID    string
	Shown bool
}

func (c chartState) missing() bool { return !c.Shown }

func call[P, R any](t *testing.T, ctx context.Context, command cdp.Command[P, R], params P) {
	t.Helper()
	if _, err := chromedp.Call(ctx, command, params); err != nil {
		t.Fatalf("calling the browser's %s: %v", command.Method, err)
	}
}

func evaluate[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("examining the page: %v", err)
	}
	return value
}

const (
	// A chart is drawn when its canvas has size and pixels that differ, or its svg has size and shapes.
	liveCharts = `[...document.querySelectorAll('[id^="lakekit-chart-"], [data-lakekit-chart]')].map(box => {
		const inked = canvas => {
			if (!canvas.width || !canvas.height) return false;
			const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
			return pixels.some(pixel => pixel !== pixels[0]);
		};
		const sized = element => element.getBoundingClientRect().width > 0 && element.getBoundingClientRect().height > 0;
		const drawn = [...box.querySelectorAll("canvas")].some(canvas => sized(canvas) && inked(canvas)) ||
			[...box.querySelectorAll("svg")].some(svg => sized(svg) && svg.querySelector("path, rect, circle, text"));
		return {ID: box.id, Shown: drawn};
	})`
	stillCharts = `[...document.querySelectorAll('[id^="lakekit-chart-"], [data-lakekit-chart]')].map(box => {
		const picture = box.querySelector("img, svg");
		const size = picture && picture.getBoundingClientRect();
		return {ID: box.id, Shown: Boolean(picture) && size.width > 0 && size.height > 0 && picture.naturalWidth !== 0};
	})`
	// Links that a reader may follow are not loaded by the page.
	outsideReferences = `[...document.querySelectorAll("[src], link[href], object[data], image, use")]
		.map(element => element.src || element.href || element.data || "")
		.map(reference => reference.baseVal || reference)
		.filter(reference => /^(https?:)?\/\//.test(reference) || /^file:\/\/[^/]/.test(reference))`
)

// faultList collects what goes wrong on a page; the browser reports from other goroutines.
type faultList struct {
	mu     sync.Mutex
	faults []string
}

func (l *faultList) add(format string, arguments ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, fmt.Sprintf(format, arguments...))
}

func (l *faultList) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.faults)
}

var inside = regexp.MustCompile(`^(file:///|data:|blob:|about:)`)

func (l *faultList) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		l.add("%s", (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			for _, argument := range e.Args {
				l.add("console: %s%s", argument.Value, argument.Description)
			}
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			l.add("browser: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if !inside.MatchString(e.Request.URL) {
			l.add("asks for %s", e.Request.URL)
		}
	case *network.EventLoadingFailed:
		l.add("a request failed: %s", e.ErrorText)
	}
}
