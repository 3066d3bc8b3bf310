package api

import (
	"encoding/json"
	"fmt"
	"html"
	"reflect"
	"strings"
	"time"
)

// View is a value in the two forms in which it can be shown.
type View struct {
	HTML   string // for a notebook
	Text   string // for a terminal
	Failed bool   // it says that something is not as it should be
}

// Viewer is a result that knows how to show itself.
type Viewer interface{ View() View }

// ViewOf shows any value: a Viewer by its View, a text as it is, everything else
// as its String or its JSON.
func ViewOf(value any) View {
	switch v := value.(type) {
	case Viewer:
		return v.View()
	case string:
		return View{HTML: "<div>" + html.EscapeString(v) + "</div>", Text: v}
	case fmt.Stringer:
		return preformatted(v.String())
	}
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		data = fmt.Appendf(nil, "%+v", value)
	}
	return preformatted(string(data))
}

func preformatted(text string) View {
	return View{HTML: `<pre style="font-family:monospace;line-height:1.35">` + html.EscapeString(text) + "</pre>", Text: text}
}

// Table is the view of rows below a title, by the means that the answers of SQL
// are shown with. In the header, | stands between the names of the columns, and #
// after one of whole numbers.
func Table(title, header string, rows ...[]any) View {
	grid := gridOf(header, rows...)
	return View{
		HTML: "<div><b>" + html.EscapeString(title) + "</b></div>" + grid.HTML(),
		Text: title + "\n" + grid.String(),
	}
}

// Each makes the rows of a Table from a list.
func Each[T any](list []T, row func(T) []any) [][]any {
	rows := make([][]any, len(list))
	for i, item := range list {
		rows[i] = row(item)
	}
	return rows
}

func gridOf(header string, rows ...[]any) *Result {
	grid := &Result{}
	for name := range strings.SplitSeq(header, "|") {
		column := Column{Name: strings.TrimSuffix(name, "#"), Type: "string"}
		if column.Name != name {
			column.Type = "bigint"
		}
		grid.Columns = append(grid.Columns, column)
	}
	for _, row := range rows {
		cells := make([]any, len(row))
		for i, cell := range row {
			cells[i] = gridCell(cell, grid.Columns[i].Type)
		}
		grid.Rows = append(grid.Rows, cells)
	}
	return grid
}

func gridCell(cell any, columnType string) any {
	if cell == nil {
		return nil
	}
	if n := reflect.ValueOf(cell); columnType == "bigint" && n.CanInt() {
		return n.Int()
	}
	if t, ok := cell.(time.Time); ok {
		return clock(t, time.DateTime)
	}
	return fmt.Sprint(cell)
}

func clock(t time.Time, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(layout)
}
