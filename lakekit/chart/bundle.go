package chart

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"strings"
)

// Bundle is a chart for every place a notebook is read in.
type Bundle struct {
	HTML string // text/html: an SVG picture that turns live where echarts is at hand
	Text string // text/plain
	SVG  []byte
}

//go:embed live.js
var liveJS string

// Bundle draws a chart. Its picture is replaced by a live chart if the page has
// echarts, or can load it from scriptURL (may be empty), where Script's text is
// served. Where neither holds, or no script runs, the picture stays.
func (r *Renderer) Bundle(ctx context.Context, optionJSON []byte, size Size, scriptURL string) (Bundle, error) {
	option, err := parseOption(optionJSON)
	if err != nil {
		return Bundle{}, err
	}
	if size, err = size.orDefault(); err != nil {
		return Bundle{}, err
	}
	svg, err := r.SVG(ctx, optionJSON, size.Width, size.Height)
	if err != nil {
		return Bundle{}, err
	}
	return Bundle{HTML: liveHTML(option, optionJSON, svg, size, scriptURL), Text: text(option), SVG: svg}, nil
}

// Script wraps echarts so that it sets window.echarts wherever it is loaded: on
// a page with RequireJS, as notebooks exported to HTML are, it would register
// as a nameless module instead.
func Script(echartsSource []byte) []byte {
	return bytes.Join([][]byte{
		[]byte("(function(){var define,exports,module;"), echartsSource, []byte("\n}).call(window);\n"),
	}, nil)
}

func liveHTML(option map[string]any, optionJSON, svg []byte, size Size, scriptURL string) string {
	id := "lakekit-chart-" + rand.Text()
	var b strings.Builder
	fmt.Fprintf(&b, `<div id="%s" style="width:100%%;max-width:%dpx">`, id, size.Width)
	fmt.Fprintf(&b, `<img alt="%s" width="%d" height="%d" style="max-width:100%%;height:auto" src="data:image/svg+xml;base64,%s">`,
		html.EscapeString(title(option)), size.Width, size.Height, base64.StdEncoding.EncodeToString(svg))
	b.WriteString("</div>\n<script>")
	fmt.Fprintf(&b, "(%s)(%s, %s, %s, %s, %s, %d);", strings.TrimSpace(liveJS),
		scriptLiteral(id), scriptJSON(optionJSON), scriptLiteral(scriptURL), strings.TrimSpace(themeJS), strings.TrimSpace(functionsJS), size.Height)
	b.WriteString("</script>")
	return b.String()
}

// scriptLiteral writes a JavaScript string that cannot end the script element.
func scriptLiteral(s string) []byte {
	literal, _ := json.Marshal(s) // a string always marshals; escapes <, > and &
	return literal
}

// scriptJSON writes JSON as a script's literal: without the characters that end
// a script element or, in old browsers, a line.
func scriptJSON(value []byte) []byte {
	var b bytes.Buffer
	json.HTMLEscape(&b, value)
	return b.Bytes()
}

// title is the chart's heading, or what it shows.
func title(option map[string]any) string {
	for _, t := range objects(option["title"]) {
		if s, _ := t["text"].(string); s != "" {
			if sub, _ := t["subtext"].(string); sub != "" {
				s += ", " + sub
			}
			return s
		}
	}
	var names []string
	for _, s := range objects(option["series"]) {
		if name, _ := s["name"].(string); name != "" {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		return "Chart of " + strings.Join(names, ", ")
	}
	return "Chart"
}

// objects returns what echarts takes as one object or a list of them.
func objects(value any) []map[string]any {
	switch v := value.(type) {
	case map[string]any:
		return []map[string]any{v}
	case []any:
		var list []map[string]any
		for _, element := range v {
			if object, ok := element.(map[string]any); ok {
				list = append(list, object)
			}
		}
		return list
	}
	return nil
}
