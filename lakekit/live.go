package lakekit

import (
	"fmt"
	"html"
	"os"
	"strings"
	"time"

	"github.com/janpfeifer/gonb/gonbui"

	"taxilake/lakekit/api"
	"taxilake/lakekit/internal/text"
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
	line := b.title + "  " + b.text
	if line == l.text {
		return
	}
	l.text, l.open = line, true
	switch {
	case l.id != "":
		gonbui.UpdateHTML(l.id, b.html())
	case l.terminal:
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s", line)
	case time.Since(l.last) >= logEvery:
		l.last, l.open = time.Now(), false
		fmt.Fprintln(os.Stderr, line)
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

func trafficBar(run TrafficRun) bar {
	p := run.Progress
	b := bar{title: "traffic to " + p.Topic, done: -1}
	if run.Request.Records > 0 {
		b.done = float64(p.Acknowledged) / float64(run.Request.Records)
	}
	parts := []string{
		text.Count(p.Sent) + " sent",
		text.Count(p.Acknowledged) + " acknowledged",
		text.Count(p.Failed) + " failed",
		text.Count(int64(p.RecordsPerSecond)) + " records/s",
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
		"batch " + status.LastBatch(),
		fmt.Sprintf("%s records read", text.Count(status.NumInputRows)),
		text.Count(status.RecordsBehind) + " behind",
	}
	if n := status.NumRowsWithIgnoredFields; n > 0 {
		parts = append(parts, fmt.Sprintf("%s without some fields, see the status", text.Counted(n, "row")))
	}
	if len(progress) > 0 {
		if rate := progress[len(progress)-1].ProcessedRowsPerSecond; !rate.IsZero() {
			parts = append(parts, fmt.Sprintf("%s records/s in the last batch", text.Count(int64(rate))))
		}
	}
	if status.Message != "" {
		parts = append(parts, status.Message)
	}
	b.text = strings.Join(parts, " · ")
	return b
}
