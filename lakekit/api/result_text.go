package api

import (
	"cmp"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"taxilake/lakekit/internal/text"
)

// maxCellWidth is how many terminal cells WriteText gives a value of a
// statement, maxLineWidth those of a line in another grid, maxHTMLRows how many
// rows HTML shows; CSV and JSON hold everything.
const (
	maxCellWidth = 60
	maxLineWidth = 76
	maxHTMLRows  = 1000
)

// View shows the result.
func (r *Result) View() View { return View{HTML: r.HTML(), Text: r.String()} }

// String returns the table WriteText writes, so that fmt.Println shows it.
func (r *Result) String() string {
	var b strings.Builder
	_ = r.WriteText(&b) // a strings.Builder takes everything
	return b.String()
}

// WriteText writes a table for a terminal: numbers to the right, control
// characters escaped. Long values of a statement are cut with an ellipsis, and
// the number of rows stands below; a grid that no statement gave has them whole,
// on several lines.
func (r *Result) WriteText(w io.Writer) error {
	widths := make([]int, len(r.Columns))
	lines := func(column int, cell string) []string {
		fitted := r.fit(visible(cell))
		for _, line := range fitted {
			widths[column] = max(widths[column], textWidth(line))
		}
		return fitted
	}
	header := make([][]string, len(r.Columns))
	for j, c := range r.Columns {
		header[j] = lines(j, c.Name)
	}
	rows := make([][][]string, len(r.Rows))
	for i, row := range r.Rows {
		rows[i] = make([][]string, len(row))
		for j, cell := range row {
			rows[i][j] = lines(j, formatCell(cell, r.Columns[j].Type))
		}
	}
	var b strings.Builder
	if len(r.Columns) > 0 {
		r.writeTextRow(&b, header, widths)
		for j, width := range widths {
			if j > 0 {
				b.WriteString("┼")
			}
			b.WriteString(strings.Repeat("─", width+2))
		}
		b.WriteByte('\n')
	}
	for _, row := range rows {
		r.writeTextRow(&b, row, widths)
	}
	if r.ofStatement() {
		fmt.Fprintf(&b, "(%s)\n", r.rowCount())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fit returns the lines that show a cell.
func (r *Result) fit(cell string) []string {
	if r.ofStatement() {
		return []string{cut(cell, maxCellWidth)}
	}
	return wrap(cell, maxLineWidth)
}

// writeTextRow writes a row whose cells are lines, as high as the highest.
func (r *Result) writeTextRow(b *strings.Builder, cells [][]string, widths []int) {
	height := 0
	for _, lines := range cells {
		height = max(height, len(lines))
	}
	for n := range height {
		var line strings.Builder
		for j, lines := range cells {
			if j > 0 {
				line.WriteString("│")
			}
			text := ""
			if n < len(lines) {
				text = lines[n]
			}
			padding := strings.Repeat(" ", widths[j]-textWidth(text))
			if isNumber(r.Columns[j].Type) {
				line.WriteString(" " + padding + text + " ")
			} else {
				line.WriteString(" " + text + padding + " ")
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
}

// WriteCSV writes RFC 4180 CSV with a header; NULL is an empty field.
func (r *Result) WriteCSV(w io.Writer) error {
	out := newCSVWriter(w)
	names := make([]string, len(r.Columns))
	for j, c := range r.Columns {
		names[j] = c.Name
	}
	if err := out.Write(names); err != nil {
		return err
	}
	out.Flush()
	return errors.Join(out.Error(), r.WriteCSVRows(w))
}

// WriteCSVRows writes what WriteCSV does, without the header.
func (r *Result) WriteCSVRows(w io.Writer) error {
	out := newCSVWriter(w)
	record := make([]string, len(r.Columns))
	for _, row := range r.Rows {
		for j, cell := range row {
			record[j] = ""
			if cell != nil {
				record[j] = formatCell(cell, r.Columns[j].Type)
			}
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func newCSVWriter(w io.Writer) *csv.Writer {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	return out
}

// The selectors outweigh JupyterLab's own rules for tables; colours come from
// its theme where there is one, else from the text's colour.
const htmlStyle = `<style>
.lakekit-result{overflow:auto;max-height:28em;max-width:100%}
.lakekit-result table.lakekit-table{border-collapse:collapse;margin:0;font-size:.92em;font-variant-numeric:tabular-nums;color:inherit;border:none}
.lakekit-result table.lakekit-table th,.lakekit-result table.lakekit-table td{padding:.25em .8em;text-align:left;white-space:nowrap;max-width:36em;overflow:hidden;text-overflow:ellipsis;border:none;border-bottom:1px solid rgba(128,128,128,.25);background:none;color:inherit}
.lakekit-result table.lakekit-whole td{white-space:normal;overflow-wrap:anywhere}
.lakekit-result table.lakekit-table th{position:sticky;top:0;font-weight:600;background:var(--jp-layout-color0,Canvas);border-bottom:2px solid rgba(128,128,128,.5)}
.lakekit-result table.lakekit-table .n{text-align:right}
.lakekit-result .null{opacity:.5;font-style:italic}
.lakekit-caption{opacity:.7;font-size:.85em;padding:.4em 0}
</style>`

// HTML returns a table for a notebook that fits light and dark themes, with the
// number of rows, the version read and the time taken below it.
func (r *Result) HTML() string {
	var b strings.Builder
	b.WriteString(htmlStyle)
	whole := ""
	if !r.ofStatement() {
		whole = " lakekit-whole"
	}
	fmt.Fprintf(&b, `<div class="lakekit-result"><table class="lakekit-table%s"><thead><tr>`, whole)
	class := make([]string, len(r.Columns))
	for j, c := range r.Columns {
		if isNumber(c.Type) {
			class[j] = ` class="n"`
		}
		fmt.Fprintf(&b, `<th%s title="%s">%s</th>`, class[j], html.EscapeString(c.Type), html.EscapeString(visible(c.Name)))
	}
	b.WriteString("</tr></thead><tbody>")
	shown := r.Rows[:min(len(r.Rows), maxHTMLRows)]
	for _, row := range shown {
		b.WriteString("<tr>")
		for j, cell := range row {
			fmt.Fprintf(&b, "<td%s>", class[j])
			if cell == nil {
				b.WriteString(`<span class="null">NULL</span>`)
			} else {
				b.WriteString(html.EscapeString(visible(formatCell(cell, r.Columns[j].Type))))
			}
			b.WriteString("</td>")
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString(`</tbody></table></div>`)
	if r.ofStatement() {
		fmt.Fprintf(&b, `<div class="lakekit-caption">%s</div>`, html.EscapeString(r.caption(len(shown))))
	}
	return b.String()
}

// caption reads "24 rows · version 12 · 18 ms".
func (r *Result) caption(shown int) string {
	parts := []string{r.rowCount()}
	if shown < len(r.Rows) {
		parts = append(parts, fmt.Sprintf("first %s shown", text.Count(int64(shown))))
	}
	for _, t := range r.Tables {
		version := fmt.Sprintf("version %d", t.Version)
		if len(r.Tables) > 1 {
			version = t.Name + " " + version
		}
		parts = append(parts, version)
	}
	if r.Elapsed > 0 {
		parts = append(parts, formatElapsed(r.Elapsed))
	}
	return strings.Join(parts, " · ")
}

// ofStatement tells an answer to SQL from a grid made of other things, under
// which a number of rows says nothing.
func (r *Result) ofStatement() bool { return r.Elapsed > 0 || len(r.Tables) > 0 || r.Truncated }

func (r *Result) rowCount() string {
	switch {
	case r.Truncated:
		return fmt.Sprintf("first %s rows, there are more", text.Count(int64(len(r.Rows))))
	case len(r.Rows) == 1:
		return "1 row"
	}
	return text.Count(int64(len(r.Rows))) + " rows"
}

func formatElapsed(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "< 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// formatCell writes a value as Spark's cast to string does, doubles without
// exponent between 1e-3 and 1e15.
func formatCell(cell any, typeName string) string {
	switch v := cell.(type) {
	case nil:
		return "NULL"
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return formatFloat(v, floatBits(typeName))
	case Decimal:
		return string(v)
	case string:
		return v
	case []byte:
		return formatBinary(v)
	case time.Time:
		return formatTime(v, typeName)
	}
	t, err := parseType(typeName)
	if err != nil {
		return fmt.Sprint(cell)
	}
	return formatNested(cell, t)
}

func formatNested(cell any, t dataType) string {
	var parts []string
	switch v := cell.(type) {
	case []any:
		for _, element := range v {
			parts = append(parts, formatNested(element, t.fields[0].dataType))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		for _, f := range t.fields {
			parts = append(parts, formatNested(v[f.name], f.dataType))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []MapEntry:
		for _, e := range v {
			parts = append(parts, formatNested(e.Key, t.fields[0].dataType)+" -> "+formatNested(e.Value, t.fields[1].dataType))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return formatCell(cell, t.name)
}

func formatFloat(v float64, bits int) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 0):
		if v < 0 {
			return "-Infinity"
		}
		return "Infinity"
	}
	size := math.Abs(v)
	if v != 0 && (size < 1e-3 || size >= 1e15) {
		return strings.Replace(strconv.FormatFloat(v, 'E', -1, bits), "E+", "E", 1)
	}
	s := strconv.FormatFloat(v, 'f', -1, bits)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func formatBinary(v []byte) string {
	s := strings.ToUpper(hex.EncodeToString(v))
	var parts []string
	for i := 0; i < len(s); i += 2 {
		parts = append(parts, s[i:i+2])
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func formatTime(v time.Time, typeName string) string {
	if typeName == "date" {
		return v.Format(time.DateOnly)
	}
	return v.Format("2006-01-02 15:04:05.999999999")
}

func isNumber(typeName string) bool {
	switch base, _, _ := strings.Cut(typeName, "("); base {
	case "tinyint", "smallint", "int", "bigint", "float", "double", "decimal":
		return true
	}
	return false
}

// visible escapes what would move a terminal's cursor or hide text.
func visible(s string) string {
	if strings.IndexFunc(s, isHidden) < 0 {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		if isHidden(c) {
			quoted := strconv.QuoteRuneToASCII(c)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

func isHidden(c rune) bool {
	return unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) || c == unicode.ReplacementChar
}

// cut shortens s to width terminal cells, the last of them an ellipsis.
func cut(s string, width int) string {
	if textWidth(s) <= width {
		return s
	}
	used := 0
	for i, c := range s {
		if used += runeWidth(c); used > width-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// wrap breaks s into lines of at most width terminal cells, between words where
// it can, else behind a slash.
func wrap(s string, width int) []string {
	var lines []string
	s = strings.TrimRight(s, " ")
	for textWidth(s) > width {
		end := lineEnd(s, width)
		lines = append(lines, strings.TrimRight(s[:end], " "))
		s = s[end:]
	}
	return append(lines, s)
}

// lineEnd is where the first line of s, which is wider than width, ends; a blank
// at the end of a line takes no room.
func lineEnd(s string, width int) int {
	used, blank, slash := 0, 0, 0
	for i, c := range s {
		if c == ' ' {
			blank = i + 1
		}
		if used += runeWidth(c); used > width {
			return cmp.Or(blank, slash, i)
		}
		if c == '/' {
			slash = i + 1
		}
	}
	return len(s)
}

func textWidth(s string) int {
	width := 0
	for _, c := range s {
		width += runeWidth(c)
	}
	return width
}

// runeWidth is the number of terminal cells of c: 2 for East Asian wide
// characters and emoji, 0 for marks that combine with the one before.
func runeWidth(c rune) int {
	switch {
	case unicode.In(c, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case c >= 0x1100 && c <= 0x115f, c >= 0x2e80 && c <= 0xa4cf && c != 0x303f, c >= 0xac00 && c <= 0xd7a3,
		c >= 0xf900 && c <= 0xfaff, c >= 0xfe30 && c <= 0xfe6f, c >= 0xff00 && c <= 0xff60,
		c >= 0xffe0 && c <= 0xffe6, c >= 0x1f300 && c <= 0x1faff, c >= 0x20000 && c <= 0x3fffd:
		return 2
	}
	return 1
}
