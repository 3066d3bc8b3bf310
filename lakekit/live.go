package lakekit

import (
	"fmt"
	"html"
	"os"
	"strings"
	"time"

	"github.com/janpfeifer/gonb/gonbui"

	"taxilake/lakekit/api"
)

// live shows something that changes, in one place: an output that is replaced
// in a notebook, a line that is rewritten in a terminal, a line now and then in
// a log.
type live struct {
	id       string
	terminal bool
	last     time.Time
	text     string
	open     bool
}

// logEvery is the distance of lines where they cannot be rewritten.
const logEvery = 5 * time.Second

func newLive() *live {
	info, err := os.Stderr.Stat()
	l := &live{terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
	if gonbui.IsNotebook {
		l.id = gonbui.UniqueId()
	}
	return l
}

// bar is a line of progress; done is between 0 and 1, or negative when there is
// no end to measure against.
type bar struct {
	title string
	done  float64
	text  string
}

func (l *live) show(b bar) {
	text := b.title + "  " + b.text
	if text == l.text {
		return
	}
	l.text, l.open = text, true
	switch {
	case l.id != "":
		gonbui.UpdateHTML(l.id, b.html())
	case l.terminal:
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s", text)
	case time.Since(l.last) >= logEvery:
		l.last, l.open = time.Now(), false
		fmt.Fprintln(os.Stderr, text)
	}
}

// close leaves the last state standing.
func (l *live) close() {
	switch {
	case l.id != "":
		gonbui.Sync()
	case l.terminal && l.text != "":
		fmt.Fprintln(os.Stderr)
	case l.open:
		fmt.Fprintln(os.Stderr, l.text)
	}
}

func (b bar) html() string {
	gauge := ""
	if b.done >= 0 {
		gauge = fmt.Sprintf(`<div style="height:6px;max-width:640px;border-radius:3px;background:rgba(128,128,128,.25);margin:.3em 0">`+
			`<div style="height:6px;border-radius:3px;width:%.1f%%;background:#2a7f9e"></div></div>`, 100*min(b.done, 1))
	}
	return `<div style="font-variant-numeric:tabular-nums"><b>` + html.EscapeString(b.title) + `</b> ` +
		html.EscapeString(b.text) + gauge + `</div>`
}

func trafficBar(run api.TrafficRun) bar {
	p := run.Progress
	b := bar{title: "traffic to " + p.Topic, done: -1}
	if run.Request.Records > 0 {
		b.done = float64(p.Acknowledged) / float64(run.Request.Records)
	}
	parts := []string{
		fmt.Sprintf("%s sent", count(p.Sent)),
		fmt.Sprintf("%s acknowledged", count(p.Acknowledged)),
		fmt.Sprintf("%s failed", count(p.Failed)),
		fmt.Sprintf("%s records/s", count(int64(p.RecordsPerSecond))),
		fmt.Sprintf("%.1f s", p.ElapsedSeconds),
	}
	if p.Message != "" {
		parts = append(parts, p.Message)
	}
	b.text = strings.Join(parts, " · ")
	return b
}

func streamBar(status api.StreamStatus, progress []api.StreamProgress) bar {
	b := bar{title: "stream " + status.Name, done: -1}
	if total := status.NumInputRows + status.RecordsBehind; total > 0 {
		b.done = float64(status.NumInputRows) / float64(total)
	}
	parts := []string{
		"batch " + lastBatch(status),
		fmt.Sprintf("%s records read", count(status.NumInputRows)),
		fmt.Sprintf("%s behind", count(status.RecordsBehind)),
	}
	if n := status.NumRowsWithIgnoredFields; n > 0 {
		parts = append(parts, fmt.Sprintf("%s without some fields, see the status", counted(n, "row")))
	}
	if len(progress) > 0 {
		if rate := progress[len(progress)-1].ProcessedRowsPerSecond; !rate.IsZero() {
			parts = append(parts, fmt.Sprintf("%s records/s in the last batch", count(int64(rate))))
		}
	}
	if status.Message != "" {
		parts = append(parts, status.Message)
	}
	b.text = strings.Join(parts, " · ")
	return b
}

// count writes a number with separators: 1,234,567.
func count(n int64) string {
	if n < 0 {
		return "-" + count(-n)
	}
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// counted writes a number of things: 1 file, 1,234 files.
func counted(n int64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return count(n) + " " + thing
}

// size writes a number of bytes in the unit that suits it.
func size(bytes int64) string {
	switch {
	case bytes < 1<<10:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	case bytes < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.2f GiB", float64(bytes)/(1<<30))
}
